"""Weighted sums and maxima: the best rate, what they see that others do not, what they refuse."""

import itertools
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from contraction.families import FAMILIES, INPUTS, POLYHEDRAL, Family, System
from contraction.test_sector import systems
from limitset import InputProblem
from limitset.checker import check
from limitset.contraction import (
    AbsoluteValue,
    AbstractMetric,
    BlockMetric,
    Certificate,
    DiagonalMetric,
    MaximumMetric,
    Metzler,
    QuadraticMetric,
    Sector,
    SingularValue,
    SkewFeedback,
    SumMetric,
    Unknown,
    certify,
)
from limitset.contraction._lure import Lure, lure_of
from limitset.contraction._metzler import column_majorants
from limitset.dynamics import AbstractFlow, ExplicitEuler, SemiImplicit, discretise
from limitset.io import write_certificate
from limitset.networks import Assembly, RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")

FORMS = ("hopfield", "firing_rate")
KINDS = {"hopfield": SumMetric, "firing_rate": MaximumMetric}


def network(weight: Any, form: str = "hopfield", **options: Any) -> RateNetwork:
    return RateNetwork(jnp.asarray(weight, jnp.float64), form=form, **options)


def metzler(system: System, metric: AbstractMetric | None = None) -> Certificate | Unknown:
    return Metzler().apply(system, metric)


def proved(system: System, metric: AbstractMetric | None = None) -> Certificate:
    answer = metzler(system, metric)
    assert isinstance(answer, Certificate), answer
    return answer


def rate(system: System, metric: AbstractMetric | None = None) -> float:
    certificate = proved(system, metric)
    assert certificate.rate is not None
    return certificate.rate


def abscissa(weight: np.ndarray) -> float:
    """Of `|W|` with its diagonal signed."""
    signed = np.abs(weight)
    np.fill_diagonal(signed, np.diag(weight))
    return float(np.linalg.eigvals(signed).real.max())


def inhibited(rng: np.random.Generator, n: int) -> np.ndarray:
    """Weights with self-weights that are mostly negative, and a random abscissa below 1."""
    weight = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.7)
    weight += np.diag(rng.uniform(-3, 1, n))
    return weight + (rng.uniform(-0.5, 0.95) - abscissa(weight)) * np.eye(n)


@pytest.mark.parametrize("form", FORMS)
def test_the_best_rate_is_that_of_the_signed_majorant(form: str):
    """`1 - max(0, a)`, whatever the draw; leak, time constant and slope scale it."""
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5, 20, 60):
        weight = inhibited(rng, n)
        best = 1 - max(0.0, abscissa(weight))
        certificate = proved(network(weight, form))
        # One or two units may be diagonal, which both norms suit.
        assert n <= 2 or isinstance(certificate.metric, KINDS[form])
        assert certificate.rate is not None
        assert best - 2e-2 * (n == 2) - 5e-3 < certificate.rate <= best + 1e-12
        other = rate(network(4 * weight, form, activation="sigmoid", leak=2.0, time_constant=0.5))
        assert 2 * (1 + best) - 3e-2 < other <= 2 * (1 + best) + 1e-12


@pytest.mark.parametrize("form", FORMS)
def test_strong_inhibition_is_seen_where_absolute_values_are_not_enough(form: str):
    weight = np.array([[-4.0, 3.0], [3.0, -4.0]])
    assert rate(network(weight, form)) > 1 - 1e-12
    for theorem in (AbsoluteValue(), SingularValue()):
        assert isinstance(theorem.apply(network(weight, form), None), Unknown)


@pytest.mark.parametrize("form", FORMS)
def test_the_norm_of_the_other_form_is_worse_or_refused(form: str):
    """Sums go with Hopfield units, maxima with firing rates; the other sees entrywise bounds."""
    weight, other = np.array([[-4.0, 3.0], [3.0, -4.0]]), KINDS[FORMS[form == "hopfield"]]
    assert rate(network(weight, form), KINDS[form](jnp.ones(2))) > 1 - 1e-12
    assert isinstance(metzler(network(weight, form), other(jnp.ones(2))), Unknown)
    # And rightly so: at one corner of the slopes distances grow.
    slopes = np.array([1.0, 0.0])
    driven = weight * (slopes if form == "hopfield" else slopes[:, None])
    assert other(jnp.ones(2)).measure(jnp.asarray(driven - np.eye(2))) > 0


def test_reducible_weights_give_finite_metrics():
    rng = np.random.default_rng(1)
    chain = np.eye(12, k=-1) * 5 + np.diag(rng.uniform(-2, 0.8, 12))
    blocks = np.kron(np.eye(2), inhibited(rng, 4))
    for weight in (np.zeros((3, 3)), np.diag([0.5, -9.0, 0.0]), chain, chain.T, blocks):
        for form in FORMS:
            certificate = proved(network(weight, form))
            scale = np.asarray(certificate.metric.scale)  # pyright: ignore[reportAttributeAccessIssue]
            assert np.isfinite(scale).all() and (scale > 0).all()
            best = 1 - max(0.0, float(np.diag(weight).max()), abscissa(weight))
            assert certificate.rate is not None and certificate.rate > best - 2e-2


def best_value(majorants: tuple[np.ndarray, ...]) -> float:
    """The least value of the largest `(s^T M)_j / s_j`, by bisection over linear programs."""
    n = len(majorants[0])
    low, high = -50.0, float(max(np.abs(M).sum() for M in majorants))
    for _ in range(60):
        value = (low + high) / 2
        rows = np.concatenate([M.T - value * np.eye(n) for M in majorants])
        found = linprog(np.ones(n), A_ub=rows, b_ub=np.zeros(len(rows)), bounds=[(1, 1e9)] * n)
        low, high = (low, value) if found.status == 0 else (value, high)
    return high


@pytest.mark.parametrize("seed", range(6))
def test_the_weights_are_the_best_where_coupling_mixes_the_ends(seed: int):
    """Assemblies: which end of a slope is worse depends on the weights that are sought."""
    rng = np.random.default_rng(seed)
    modules = [network(0.7 * inhibited(rng, 3), FORMS[seed % 2]) for _ in range(2)]
    coupling = np.kron(np.array([[0.0, 1.0], [1.0, 0.0]]), np.ones((3, 3)))
    coupling *= 0.1 * rng.standard_normal((6, 6))
    assembly = Assembly(modules, jnp.asarray(coupling))
    for system in (assembly, discretise(assembly, ExplicitEuler(0.05))):
        lure = lure_of(system)
        assert isinstance(lure, Lure)
        continuous = isinstance(system, AbstractFlow)
        majorants = column_majorants(lure, continuous, seed % 2 == 1)
        assert majorants is not None and len(majorants) == 2
        best = best_value(majorants)
        answer = metzler(system)
        margin = answer.margin if isinstance(answer, Certificate) else 0.0
        assert margin > (-best if continuous else 1 - best) - 2e-3


@pytest.mark.parametrize("index", range(9))
def test_no_member_of_the_family_beats_the_bound(index: int):
    """Random slopes, corners among them, of every kind of system, in either norm."""
    system, rng = systems()[index], np.random.default_rng(index)
    lure = lure_of(system)
    assert isinstance(lure, Lure)
    continuous = isinstance(system, AbstractFlow)
    for kind, transposed in ((SumMetric, False), (MaximumMetric, True)):
        scale = np.exp(0.3 * rng.standard_normal(system.state_size))
        metric = kind(jnp.asarray(scale))
        majorants = column_majorants(lure, continuous, transposed)
        assert majorants is not None
        weights = 1 / scale if transposed else scale
        bound = max((weights @ M / weights).max() for M in majorants)
        corners = itertools.islice(itertools.product((0.0, 1.0), repeat=len(lure.span)), 64)
        slopes = [np.array(c) for c in corners] + list(rng.random((64, len(lure.span))))
        for d in slopes:
            J = jnp.asarray(lure.A.mid + lure.B.mid * (d * lure.span) @ lure.C.mid)
            assert (metric.measure(J) if continuous else metric.gain(J)) <= bound + 1e-12


def test_unstable_and_switching_systems_are_never_certified():
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    for weight in (2 * turn, 1.01 * np.eye(3), np.diag([0.5, 3.0]), np.full((2, 2), 1e308)):
        for form in FORMS:
            assert isinstance(metzler(network(weight, form)), Unknown)
    assert isinstance(metzler(network(np.zeros((2, 2)), leak=0.0)), Unknown)
    assert isinstance(metzler(network(np.zeros((2, 2)), activation="silu")), Unknown)
    # Euler steps beyond the mirror: a self-weight of -6 under h = 0.3 has the factor 1.1.
    strong = np.diag([-6.0, -1.0])
    assert rate(network(strong)) > 0.999
    assert isinstance(metzler(discretise(network(strong), ExplicitEuler(0.3))), Unknown)
    assert proved(discretise(network(strong), ExplicitEuler(1 / 7))).factor == pytest.approx(6 / 7)


def test_metrics_that_are_none_are_refused():
    flow = network(np.diag([-1.0, -2.0]))
    for kind in (SumMetric, MaximumMetric):
        for scale in ([1.0, np.nan], [1.0, -1.0], [1.0, 0.0], [np.inf, 1.0], [1.0, 1.0, 1.0]):
            with pytest.raises(InputProblem):
                metzler(flow, kind(jnp.array(scale)))
        with pytest.raises(InputProblem):
            kind(jnp.ones((2, 2)))
        # Weights so uneven that their quotients overflow prove nothing.
        dense = network(np.full((2, 2), 0.1))
        assert isinstance(metzler(dense, kind(jnp.array([1e-300, 1e300]))), Unknown)
    assert isinstance(metzler(flow, DiagonalMetric(jnp.ones(2))), Unknown)


def test_no_other_theorem_takes_a_sum_for_a_sum_of_squares():
    """Above all not negative feedback: a skew coupling is nothing special in these norms."""
    module = network(0.5 * np.eye(2))
    skew = np.kron(np.array([[0.0, -30.0], [30.0, 0.0]]), np.eye(2))
    assembly = Assembly([module, module], jnp.asarray(skew))
    assert isinstance(certify(assembly), Certificate)
    for kind in (SumMetric, MaximumMetric):
        metric = kind(jnp.ones(4))
        for theorem in (SkewFeedback(), Sector()):
            assert isinstance(theorem.apply(assembly, metric), Unknown)
        for theorem in (AbsoluteValue(), SingularValue(), Sector()):
            assert isinstance(theorem.apply(module, kind(jnp.ones(2))), Unknown)
        assert isinstance(certify(assembly, metric=metric), Unknown)
        with pytest.raises(InputProblem):
            BlockMetric((metric, QuadraticMetric(jnp.eye(1))), (4, 1))
    assert isinstance(metzler(discretise(assembly, SemiImplicit(0.01))), Unknown)


def test_norms_gains_and_measures_are_those_of_the_definition():
    rng = np.random.default_rng(3)
    scale, J = np.exp(rng.standard_normal(4)), rng.standard_normal((4, 4))
    for kind, order in ((SumMetric, 1), (MaximumMetric, np.inf)):
        metric = kind(jnp.asarray(scale))
        v = rng.standard_normal(4)
        assert metric.norm(jnp.asarray(v)) == pytest.approx(np.linalg.norm(scale * v, order))
        whitened = scale[:, None] * J / scale
        assert metric.gain(jnp.asarray(J)) == pytest.approx(np.linalg.norm(whitened, order))
        step = np.linalg.norm(np.eye(4) + 1e-8 * whitened, order)
        assert metric.measure(jnp.asarray(J)) == pytest.approx((step - 1) / 1e-8, abs=1e-6)
        angles = np.linspace(0, np.pi, 4001)
        around = scale[:2] * np.stack([np.cos(angles), np.sin(angles)], 1)
        norms = np.linalg.norm(around, order, axis=1)
        uneven = (norms.max() / norms.min()) ** 2
        assert kind(jnp.asarray(scale[:2])).condition() == pytest.approx(uneven, rel=1e-3)


@pytest.mark.parametrize("index", range(9))
def test_the_checker_agrees_about_every_kind(index: int, tmp_path):
    system = systems()[index]
    scale = jnp.linspace(1.0, 1.1, system.state_size)
    for metric in (None, SumMetric(scale), MaximumMetric(scale)):
        answer = metzler(system, metric)
        if isinstance(answer, Certificate):
            verdict = check(write_certificate(answer, tmp_path / "c.json"))
            assert verdict.accepted, verdict.reason
    # Weaker couplings let assemblies contract in these norms too.
    if hasattr(system, "state_size") and index >= 5:
        assert isinstance(metzler(system), Unknown)


def small_assemblies() -> list[System]:
    rng = np.random.default_rng(5)
    weak = 0.05 * np.kron(np.array([[0.0, 1.0], [1.0, 0.0]]), rng.standard_normal((3, 3)))
    found: list[System] = []
    for forms in (("hopfield",) * 2, ("firing_rate",) * 2, FORMS):
        modules = [network(0.4 * inhibited(rng, 3), form) for form in forms]
        assembly = Assembly(modules, jnp.asarray(weak))
        found += [assembly, discretise(assembly, SemiImplicit(0.1))]
        found += [discretise(assembly, ExplicitEuler(0.1))]
    return found


@pytest.mark.parametrize("index", range(9))
def test_assemblies_of_one_form_or_both(index: int, tmp_path):
    certificate = proved(small_assemblies()[index])
    assert check(write_certificate(certificate, tmp_path / "c.json")).accepted


def growth(kind: type, scale: np.ndarray, apart: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The one-sided derivative of `|apart|` along `change`; no entry of `apart` is near 0."""
    weighted, sign = scale * change, np.sign(apart)
    if kind is SumMetric:
        return (weighted * sign).sum(-1)
    largest = np.argmax(scale * np.abs(apart), -1)[..., None]
    return np.take_along_axis(weighted * sign, largest, -1)[..., 0]


@pytest.mark.parametrize("family", POLYHEDRAL, ids=lambda f: f.name)
def test_no_pair_decays_slower_than_certified(family: Family):
    """Hundreds of networks of each kind, pairs near and far, and along the worst column or row."""
    rng, closest = np.random.default_rng(7), 0.0
    for stack in family.draw(3, 600):
        answers = [metzler(stack.member(i)) for i in range(len(stack))]
        kept = [i for i, a in enumerate(answers) if isinstance(a, Certificate)]
        assert len(kept) > 0.9 * len(stack)
        certificates = [a for a in answers if isinstance(a, Certificate)]
        kind = type(certificates[0].metric)
        scale = np.stack([np.asarray(c.metric.scale) for c in certificates])[:, None]  # pyright: ignore[reportAttributeAccessIssue]
        members = jax.tree.map(lambda leaf, kept=kept: leaf[jnp.array(kept)], stack.systems)
        count, n = len(kept), scale.shape[-1]
        x = rng.standard_normal((count, 30, n)) * 10.0 ** rng.uniform(-2, 1, (count, 30, 1))
        x[:, :15] = np.abs(x[:, :15]) * (rng.random((count, 15, n)) < 0.5) * 1e-3 + 3
        apart = rng.standard_normal((count, 30, n)) * 10.0 ** rng.uniform(-2, 1, (count, 30, 1))
        # Nearly one unit (sums), or all of them alike (maxima).
        for j in range(n):
            near = np.full(n, 1e-6)
            near[j] = 1.0
            apart[:, j] = near if kind is SumMetric else rng.choice([-1, 1], n) / scale[:, 0]
        u = rng.standard_normal((count, INPUTS))

        def follow(system: Any, x: jax.Array, u: jax.Array) -> jax.Array:
            one = system.velocity if isinstance(system, AbstractFlow) else system.advance
            return jax.vmap(lambda x: one(0, x, u))(x)

        run = eqx.filter_jit(eqx.filter_vmap(follow))
        change = np.asarray(run(members, x + apart, u) - run(members, x, u))
        order = 1 if kind is SumMetric else np.inf
        distance = np.linalg.norm(scale * apart, order, axis=-1)
        slip = 1e-11 * np.linalg.norm(scale * (np.abs(x) + np.abs(apart) + 10), order, axis=-1)
        if certificates[0].rate is not None:
            claim = np.array([c.rate for c in certificates])[:, None]
            grown = growth(kind, scale, apart, change)
            assert (grown <= -claim * distance + slip).all()
            closest = max(closest, float((claim * distance / -grown).max()))
        else:
            claim = np.array([c.factor for c in certificates])[:, None]
            following = np.linalg.norm(scale * change, order, axis=-1)
            assert (following <= claim * distance + slip).all()
            closest = max(closest, float((following / (claim * distance)).max()))
    assert closest > 0.9


def test_own_norms_are_never_far_behind_absolute_values():
    """`1 - a` is at least the rate of the absolute-value theorem, whose majorant is larger."""
    for family in FAMILIES[:6]:
        for stack in family.draw(5, 10):
            for i in range(len(stack)):
                system = stack.member(i)
                if not isinstance(system, RateNetwork):
                    continue
                other, own = AbsoluteValue().apply(system, None), metzler(system)
                if isinstance(other, Certificate):
                    assert isinstance(own, Certificate)
                    assert own.margin > 0.97 * other.margin - 1e-9


@pytest.mark.slow
def test_two_thousand_units_within_half_a_minute():
    import time

    n = 2048
    weight = np.random.default_rng(0).standard_normal((n, n)) * (0.9 / n) - 2 * np.eye(n)
    for form in FORMS:
        start = time.process_time()
        assert rate(network(weight, form)) > 1 - 1e-9
        assert time.process_time() - start < 30


@pytest.mark.parametrize("form", FORMS)
def test_float32_statements_hold_in_sums_and_maxima(form: str, tmp_path):
    """The bound of rounding holds for runs, the checker proves it again, and not less."""
    rng = np.random.default_rng(8)
    weight = jnp.asarray(inhibited(rng, 6) * 0.5, jnp.float32)
    flow = RateNetwork(weight, jnp.asarray(rng.standard_normal((6, 2)), jnp.float32), form=form)
    runner = discretise(flow, ExplicitEuler(0.1))
    answer = certify(runner, theorems=(Metzler(),))
    assert isinstance(answer, Certificate) and answer.float32 is not None
    gap = answer.float32
    assert 0 < gap.gap < 1e-3
    assert check(write_certificate(answer, tmp_path / "c.json")).accepted
    for change in ({"rounding": gap.rounding / 3}, {"state_radius": gap.state_radius / 50}):
        other = replace(answer, float32=replace(gap, **change))
        assert not check(write_certificate(other, tmp_path / "c.json")).accepted
    exact = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), runner)
    for _ in range(50):
        x = rng.standard_normal(6)
        x *= gap.state_radius * rng.random() / float(answer.metric.norm(jnp.asarray(x)))
        x, u = x.astype(np.float32), rng.uniform(-1, 1, 2).astype(np.float32)
        ran = np.asarray(runner.advance(0, jnp.asarray(x), jnp.asarray(u)), np.float64)
        meant = exact.advance(0, jnp.asarray(x, jnp.float64), jnp.asarray(u, jnp.float64))
        assert answer.metric.norm(jnp.asarray(ran) - meant) <= gap.rounding


def test_a_subclass_of_a_maximum_is_no_sum():
    """It expands in the maximum norm, and contracts in the sum norm of the same scale."""

    class Mine(MaximumMetric):
        pass

    system = RateNetwork(jnp.array([[0.0, 0.6, 0.6], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    ones = jnp.ones(3)
    assert isinstance(certify(system, metric=SumMetric(ones)), Certificate)
    for metric in (MaximumMetric(ones), Mine(ones)):
        assert isinstance(certify(system, metric=metric), Unknown)
        assert isinstance(Metzler().apply(system, metric), Unknown)
    answer = certify(system, metric=Mine(ones))
    assert isinstance(answer, Unknown) and "may measure something else" in answer.reason
