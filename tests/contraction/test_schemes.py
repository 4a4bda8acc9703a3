"""What is certified of the map that runs: schemes, their factors, and the longest step."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import Evidence, InputProblem
from limitset.contraction import (
    AbsoluteValue,
    Certificate,
    DiagonalMetric,
    EulerStep,
    Implicit,
    QuadraticMetric,
    Refuted,
    Sector,
    SingularValue,
    SkewFeedback,
    Unknown,
    certify,
    discrete_factor,
    largest_step,
    random_stable_assembly,
)
from limitset.dynamics import (
    AbstractFlow,
    AbstractMap,
    AbstractScheme,
    BackwardEuler,
    Cayley,
    EulerAssemblyMap,
    ExplicitEuler,
    ExponentialEuler,
    ImplicitMap,
    Rotation,
    SemiImplicit,
    discretise,
    implicit_residual,
    native_assembly,
)
from limitset.networks import Assembly, RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")

SPLIT = (SemiImplicit, Cayley, Rotation)
DIAGONAL = (AbsoluteValue(), SingularValue(), SkewFeedback())
TURN = np.array([[0.0, -1.0], [1.0, 0.0]])


def certified(system: AbstractFlow | AbstractMap, **options: Any) -> Certificate:
    answer = certify(system, input_bound=None, **options)
    assert isinstance(answer, Certificate), answer.reason
    return answer


def factor_of(certificate: Certificate, scheme: AbstractScheme) -> float:
    answer = discrete_factor(certificate, scheme, input_bound=None)
    assert isinstance(answer, Certificate) and answer.factor is not None, answer
    return answer.factor


def turning(sigma: float, strength: float, **options: Any) -> Assembly:
    """Four modules of two units with `|W| = sigma`, in skew coupling of norm `strength`."""
    module = RateNetwork(jnp.asarray(sigma * TURN), **options)
    ring = np.kron(np.array([[0, 1.0], [-1, 0]]), np.eye(2))
    skew = np.zeros((8, 8))
    skew[:4, :4] = skew[4:, 4:] = ring
    return Assembly([module] * 4, jnp.asarray(strength * skew))


def metric_of_ones(size: int) -> DiagonalMetric:
    return DiagonalMetric(jnp.ones(size))


# --- Factors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [Cayley, Rotation])
@pytest.mark.parametrize("step", [0.03, 0.3, 1.0])
@pytest.mark.parametrize("strength", [0.1, 10.0, 1e5])
def test_rotations_have_the_local_factor(scheme: Any, step: float, strength: float):
    """`1 - h (1 - sigma)` for every coupling, exactly: no energy is lost in it, none is gained."""
    system = discretise(turning(0.6, strength), scheme(step))
    answer = certified(system, metric=metric_of_ones(8), theorems=DIAGONAL)
    assert answer.factor == pytest.approx(1 - step * 0.4, rel=1e-9)
    damped = discretise(turning(0.6, strength), SemiImplicit(step))
    weaker = certified(damped, metric=metric_of_ones(8), theorems=DIAGONAL)
    assert weaker.factor is not None and answer.factor is not None
    assert weaker.factor <= answer.factor * (1 + 1e-9)


@pytest.mark.parametrize("step", [0.01, 1.0, 100.0])
def test_backward_euler_has_the_factor_of_its_formula(step: float):
    """`1 / (1 + h lam)`, from every theorem, the sector theorem in its own metric included."""
    flows = [
        (RateNetwork(jnp.asarray([[0.3, 0.4], [0.2, -2.0]]), leak=1.5), (AbsoluteValue(),)),
        (RateNetwork(jnp.asarray(0.7 * TURN), time_constant=2.0), (SingularValue(),)),
        (RateNetwork(jnp.asarray([[-5.2, 2.1], [3.4, -1.8]])), (Sector(),)),
        (turning(0.6, 1e3), (SkewFeedback(),)),
    ]
    for flow, theorems in flows:
        rate = certified(flow, theorems=theorems).rate
        answer = certified(discretise(flow, BackwardEuler(step)), theorems=(Implicit(theorems),))
        assert rate is not None and answer.factor is not None
        assert answer.factor == pytest.approx(1 / (1 + step * rate), rel=1e-12)
        assert answer.factor * (1 + step * rate) >= 1
        assert answer.theorem == "backward_euler" and answer.parts[0].rate == rate


def test_the_step_that_runs_is_certified():
    """0.1 is a little more in float32. The factor is that of the stored number."""
    flow = RateNetwork(jnp.zeros((1, 1), jnp.float32))
    answer = certified(discretise(flow, BackwardEuler(0.1)))
    assert answer.factor == pytest.approx(1 / (1 + float(np.float32(0.1))), rel=1e-15)
    moved = eqx.tree_at(lambda s: s.step, answer.system, jnp.float32(0.05))
    assert certified(moved).factor == pytest.approx(1 / (1 + float(np.float32(0.05))), rel=1e-15)
    for bad in (0.0, -0.5):
        worse = eqx.tree_at(lambda s: s.step, answer.system, jnp.float32(bad))
        assert isinstance(certify(worse), Unknown)


def test_explicit_euler_has_the_factor_of_the_general_bound():
    """`1 - 2 h lam + h^2 |J|^2`, of the flow's certificate, is never better than it may be."""
    step, sigma, strength = 0.02, 0.6, 3.0
    flow = turning(sigma, strength)
    system = discretise(flow, ExplicitEuler(step))
    answer = certified(system, metric=metric_of_ones(8), theorems=(EulerStep(DIAGONAL),))
    slope = np.hypot(1, strength) + sigma
    bound = np.sqrt(1 - 2 * step * (1 - sigma) + step**2 * slope**2)
    assert answer.factor == pytest.approx(bound, rel=1e-9)
    assert answer.factor >= bound * (1 - 1e-12)
    direct = certified(system, metric=metric_of_ones(8), theorems=DIAGONAL)
    assert direct.factor == pytest.approx(
        np.hypot(1 - step, step * strength) + step * sigma, rel=1e-9
    )


def test_explicit_euler_from_a_sector_certificate():
    """A metric that is not diagonal: the bound holds at all corners of the slopes."""
    weight, step = np.array([[-5.2, 2.1], [3.4, -1.8]]), 0.03
    system = discretise(RateNetwork(jnp.asarray(weight)), ExplicitEuler(step))
    answer = certified(system, theorems=(EulerStep((Sector(),)),))
    assert isinstance(answer.metric, QuadraticMetric) and answer.factor is not None
    for corner in np.ndindex(2, 2):
        jacobian = (1 - step) * np.eye(2) + step * weight * np.array(corner)
        assert float(answer.metric.gain(jnp.asarray(jacobian))) <= answer.factor


@pytest.mark.parametrize("scheme", [Cayley, Rotation])
@pytest.mark.parametrize("theorem", ["absolute_value", "singular_value"])
def test_native_assemblies_have_the_margin_as_factor(scheme: Any, theorem: str):
    """The parametrisation bounds each module by its margin, and turning keeps it, exactly."""
    core = random_stable_assembly(
        jax.random.key(0), modules=3, units=4, inputs=1, theorem=theorem, margin=0.8,
        coupling_gain=50.0,
    )  # fmt: skip
    core = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), core)
    native = native_assembly(core.explicit(), scheme)
    answer = certified(native, metric=core.metric(), theorems=DIAGONAL)
    assert answer.factor is not None and answer.factor <= 0.8 * (1 + 1e-9)
    assert answer.factor == pytest.approx(max(answer.module_bounds), rel=1e-9)


def test_native_factor_is_that_of_the_modules_exactly():
    flow = turning(0.7, 37.0, leak=3.0, time_constant=5.0)
    answer = certified(native_assembly(flow), metric=metric_of_ones(8), theorems=DIAGONAL)
    assert answer.factor is not None and answer.factor >= 0.7
    assert answer.factor == pytest.approx(0.7, rel=1e-12)


# --- From a flow's certificate to that of its map -------------------------------------------------


def test_discrete_factor_of_every_scheme():
    flow = certified(turning(0.6, 2.0), metric=metric_of_ones(8), theorems=DIAGONAL)
    step = 0.1
    for scheme in (*SPLIT, ExponentialEuler):
        assert factor_of(flow, scheme(step)) <= 1 - step * 0.4 + 2e-3
    assert factor_of(flow, BackwardEuler(step)) <= 1 / 1.04 * (1 + 1e-9)
    assert factor_of(flow, ExplicitEuler(step)) < 1


def test_discrete_factor_keeps_the_metric():
    metric = DiagonalMetric(jnp.asarray(np.exp(np.linspace(0, 1, 2))))
    flow = certified(RateNetwork(jnp.asarray(0.2 * TURN)), metric=metric, theorems=DIAGONAL)
    for scheme in (ExplicitEuler(0.2), ExponentialEuler(0.2), BackwardEuler(0.2)):
        answer = discrete_factor(flow, scheme)
        assert isinstance(answer, Certificate)
        found = answer.metric
        ratio = (
            found.scale / metric.scale
            if isinstance(found, DiagonalMetric)
            else jnp.sqrt(jnp.diagonal(found.matrix)) / metric.scale  # pyright: ignore[reportAttributeAccessIssue]
        )
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


def test_discrete_factor_is_no_better_than_its_evidence():
    """A claim that rests on another one has the weaker evidence of the two."""
    flow = certified(RateNetwork(jnp.asarray([[-5.2, 2.1], [3.4, -1.8]])))
    guessed = replace(flow, rate=100.0, evidence=Evidence.SAMPLED)
    answer = discrete_factor(guessed, BackwardEuler(1.0))
    assert isinstance(answer, Certificate) and answer.factor == pytest.approx(1 / 101, rel=1e-9)
    assert answer.evidence is Evidence.SAMPLED


def test_maps_have_no_discrete_factor():
    answer = certified(discretise(RateNetwork(jnp.zeros((1, 1))), ExplicitEuler(0.5)))
    for call in (lambda: discrete_factor(answer, ExplicitEuler(0.5)),
                 lambda: largest_step(answer, ExplicitEuler, longest=1.0)):  # fmt: skip
        with pytest.raises(InputProblem, match="a map already"):
            call()


def test_largest_step_is_verified_and_nearly_largest():
    """A unit with self-weight -6: its Euler step has the factor `max(1 - h, 7 h - 1)`."""
    flow = certified(RateNetwork(jnp.asarray([[-6.0]])))
    step = largest_step(flow, ExplicitEuler)
    assert isinstance(step, float) and 2 / 7 * (1 - 1.1e-3) <= step < 2 / 7
    assert factor_of(flow, ExplicitEuler(step)) < 1
    assert largest_step(flow, ExplicitEuler, longest=0.1) == 0.1
    assert largest_step(flow, BackwardEuler) == pytest.approx(10, rel=1e-9)
    with pytest.raises(InputProblem, match="longest is 0"):
        largest_step(flow, ExplicitEuler, longest=0.0)


@pytest.mark.parametrize("strength", [20.0])
def test_largest_step_of_explicit_euler_shrinks_with_the_coupling(strength: float):
    """`|1 - h + i h l| + h sigma < 1` in the limit; the split steps do not see the coupling."""
    flow = certified(turning(0.5, strength), metric=metric_of_ones(8), theorems=DIAGONAL)
    steps = np.linspace(1e-5, 1, 100_001)
    allowed = steps[np.hypot(1 - steps, steps * strength) + 0.5 * steps < 1].max()
    step = largest_step(flow, ExplicitEuler, longest=1.0)
    assert isinstance(step, float) and allowed * (1 - 2e-3) <= step <= 1.5 * allowed
    for scheme in SPLIT:
        assert largest_step(flow, scheme, longest=1.0) == 1.0


# --- Bad twins ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1e-4, 1e-2, 0.3])
def test_explicit_euler_is_refused_where_the_coupling_is_strong(step: float):
    """For every step there is a coupling that tears states apart, however good the flow is."""
    limit = np.sqrt((2 - step) / step)
    flow = turning(0.0, 1.01 * limit)
    assert certified(flow, metric=metric_of_ones(8)).rate == pytest.approx(1, rel=1e-9)
    system = discretise(flow, ExplicitEuler(step))
    assert not isinstance(certify(system), Certificate)
    answer = certify(system, metric=metric_of_ones(8), theorems=(SkewFeedback(),))
    assert not isinstance(answer, Certificate)
    tried = answer.tried[0].reason
    assert f"norm {limit:.3g} at most, {1.01 * limit:.3g} came" in tried and "Cayley" in tried
    below = discretise(turning(0.0, 0.99 * limit), ExplicitEuler(step))
    assert certified(below, metric=metric_of_ones(8)).margin > 0


def test_backward_euler_of_a_flow_that_is_not_certified_is_unknown():
    """An expanding flow has a stable resolvent at long steps, which proves nothing about it."""
    for weight in ([[3.0]], [[0.0, -4.0], [4.0, 0.0]]):
        flow = RateNetwork(jnp.asarray(weight), activation="tanh")
        for step in (0.1, 10.0):
            answer = certify(discretise(flow, BackwardEuler(step)))
            assert isinstance(answer, Unknown) and "the flow is not certified" in answer.reason


def test_altered_flows_inside_an_implicit_map_are_not_believed():
    class Altered(RateNetwork):
        def velocity(self, t: Any, x: Any, u: Any) -> Any:
            return 5 * x

    flow = Altered(jnp.zeros((1, 1)))  # pyright: ignore[reportCallIssue]
    answer = certify(discretise(flow, BackwardEuler(0.1)))
    assert isinstance(answer, Unknown) and "Altered" in answer.reason


def test_couplings_that_are_not_skew_do_not_profit_from_a_split_step():
    """`L = L^T` grows: its propagators expand, and no scheme is certified at short steps."""
    module = RateNetwork(jnp.zeros((2, 2)))
    symmetric = np.kron(np.array([[0, 1.0], [1.0, 0]]), np.eye(2))
    for scheme in (*SPLIT, ExplicitEuler, ExponentialEuler, BackwardEuler):
        flow = Assembly([module, module], jnp.asarray(1.5 * symmetric))
        assert not isinstance(certify(discretise(flow, scheme(0.1))), Certificate)
    # At a step of 10, semi-implicit "contracts" by stepping over a pole; the flow is refuted.
    flow = Assembly([module, module], jnp.asarray(1.5 * symmetric))
    assert isinstance(certify(flow), Refuted)


def test_a_map_whose_numbers_were_changed_is_judged_by_them():
    """The slip of `keep`, `gain` and `transition` from the flow's own step enters the bound."""
    step = 0.05
    flow = turning(0.6, 0.5)
    system = discretise(flow, ExplicitEuler(step))
    theorem = (EulerStep(DIAGONAL),)
    honest = certified(system, metric=metric_of_ones(8), theorems=theorem)
    assert isinstance(system, EulerAssemblyMap)
    moved = eqx.tree_at(lambda s: s.transition, system, system.transition + 1e-3 * jnp.eye(8))
    answer = certified(moved, metric=metric_of_ones(8), theorems=theorem)
    assert answer.factor is not None and honest.factor is not None
    assert answer.factor == pytest.approx(honest.factor + 1e-3, rel=1e-6)
    louder = eqx.tree_at(lambda s: s.gain, system, 3 * system.gain)
    assert not isinstance(certify(louder, metric=metric_of_ones(8), theorems=theorem), Certificate)


# --- Measured decay -------------------------------------------------------------------------------


def random_flow(rng: np.random.Generator, kind: str) -> tuple[RateNetwork | Assembly, Any]:
    activation = str(rng.choice(["tanh", "relu", "sigmoid", "softplus", "identity"]))
    form = str(rng.choice(["hopfield", "firing_rate"]))

    def module(n: int) -> RateNetwork:
        weight = np.linalg.qr(rng.standard_normal((n, n)))[0] * rng.uniform(0.3, 0.98)
        constants = {"leak": rng.uniform(1.0, 2.0), "time_constant": rng.uniform(0.5, 2.0)}
        arrays = (weight, rng.standard_normal((n, 2)), rng.standard_normal(n))
        return RateNetwork(*map(jnp.asarray, arrays), activation=activation, form=form, **constants)

    if kind == "rate":
        return module(4), (AbsoluteValue(), SingularValue())
    skew = np.zeros((4, 4))
    skew[:2, 2:] = 20 * rng.standard_normal((2, 2))
    return Assembly([module(2), module(2)], jnp.asarray(skew - skew.T)), (SkewFeedback(),)


@eqx.filter_jit
def _pair(system: ImplicitMap, x: jax.Array, y: jax.Array, u: jax.Array) -> tuple[jax.Array, ...]:
    following = jax.vmap(system.advance, (None, 0, None))
    judge = jax.vmap(lambda x, z: implicit_residual(system, 0, x, z, u))
    first, second = following(0, x, u), following(0, y, u)
    return first, second, judge(x, first), judge(y, second)


@pytest.mark.parametrize("kind", ["rate", "assembly"])
def test_no_pair_decays_slower_than_certified_under_backward_euler(kind: str):
    """The residuals of the two runs are all that may come on top of the certified factor."""
    rng, closest = np.random.default_rng(5), 0.0
    for _ in range(4):
        flow, theorems = random_flow(rng, kind)
        step = float(np.exp(rng.uniform(-4, 3)))
        system = discretise(flow, BackwardEuler(step))
        assert isinstance(system, ImplicitMap)
        metric = metric_of_ones(4)
        answer = certified(system, metric=metric, theorems=(Implicit(theorems),))
        x = jnp.asarray(rng.standard_normal((50, 4)) * 10.0 ** rng.uniform(-2, 1, (50, 1)))
        y = x + jnp.asarray(rng.standard_normal((50, 4)) * 10.0 ** rng.uniform(-3, 1, (50, 1)))
        u = jnp.asarray(rng.standard_normal(2))
        first, second, *residuals = (np.asarray(a) for a in _pair(system, x, y, u))
        before, after = (np.linalg.norm(np.asarray(a), axis=1) for a in (x - y, first - second))
        missed = sum(np.linalg.norm(r, axis=1) for r in residuals)
        allowed = answer.factor * before + missed + 1e-14 * (1 + np.abs(first).max())
        assert (after <= allowed).all()
        closest = max(closest, float((after / (answer.factor * before)).max()))
    assert closest > 0.6


def test_the_gap_of_a_step_that_is_not_solved():
    """A state that misses its equation by `r` is within `|r| / (1 + h lam)` of the solution."""
    rng = np.random.default_rng(8)
    flow, theorems = random_flow(rng, "assembly")
    system = discretise(flow, BackwardEuler(0.7))
    assert isinstance(system, ImplicitMap)
    rate = certified(flow, metric=metric_of_ones(4), theorems=theorems).rate
    assert rate is not None
    x, u = jnp.asarray(rng.standard_normal(4)), jnp.asarray(rng.standard_normal(2))
    exact = system.advance(0, x, u)
    for size in (1e-6, 1e-2, 10.0):
        near = exact + size * jnp.asarray(rng.standard_normal(4))
        missed = float(jnp.linalg.norm(implicit_residual(system, 0, x, near, u)))
        apart = float(jnp.linalg.norm(near - exact))
        assert apart <= missed / (1 + 0.7 * rate) * (1 + 1e-6)


def test_answers_that_are_no_certificates_of_flows_are_told():
    flow: Any = certified(RateNetwork(-jnp.eye(2)))
    unknown: Any = certify(RateNetwork(jnp.array([[0.0, -4.0], [4.0, 0.0]])))
    assert isinstance(unknown, Unknown)
    answers: tuple[Any, ...] = (unknown, None)
    for given in answers:
        with pytest.raises(InputProblem, match="give certificates"):
            discrete_factor(given, ExplicitEuler(0.1))
        with pytest.raises(InputProblem, match="give certificates"):
            largest_step(given, ExplicitEuler)
    with pytest.raises(InputProblem, match="as ExplicitEuler"):
        largest_step(flow, ExplicitEuler(0.1))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputProblem, match="with its step"):
        discrete_factor(flow, ExplicitEuler)  # pyright: ignore[reportArgumentType]
    # The formula for backward Euler gives the factor -1/2 for this rate.
    for rate in (-1.0, 0.0, np.inf, np.nan):
        with pytest.raises(InputProblem, match="positive"):
            discrete_factor(replace(flow, rate=rate), BackwardEuler(3.0))
