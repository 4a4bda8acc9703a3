"""The sector theorem: closed forms, the optimum of an independent solver, and what it refuses."""

import warnings

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.checker import check
from limitset.contraction import (
    Certificate,
    DiagonalMetric,
    QuadraticMetric,
    Sector,
    SingularValue,
    SumMetric,
    Unknown,
    certify,
)
from limitset.contraction._lure import Lure, lure_of
from limitset.contraction._sector import sector_holds
from limitset.dynamics import (
    AbstractFlow,
    AbstractMap,
    ExplicitEuler,
    ExponentialEuler,
    SemiImplicit,
    discretise,
)
from limitset.io import write_certificate
from limitset.networks import Activation, Assembly, Elman, RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")

FORMS = ("hopfield", "firing_rate")


def sector(system: AbstractFlow | AbstractMap) -> Certificate | Unknown:
    return Sector().apply(system, None)


def proved(system: AbstractFlow | AbstractMap) -> Certificate:
    answer = sector(system)
    assert isinstance(answer, Certificate), answer
    return answer


def rate(system: AbstractFlow) -> float:
    certificate = proved(system)
    assert certificate.rate is not None
    return certificate.rate


def random(seed: int, n: int, size: float = 1.0) -> np.ndarray:
    return size * np.random.default_rng(seed).standard_normal((n, n)) / np.sqrt(n)


def network(weight: np.ndarray, form: str = "hopfield", **options: object) -> RateNetwork:
    return RateNetwork(jnp.asarray(weight), form=form, **options)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [1, 2, 5, 40, 200])
def test_symmetric_weights_have_the_best_rate(form: str, n: int):
    """`leak - max(g lambda, 0)` over the time constant; sizes beyond the search have it too."""
    symmetric = random(n, n) + random(n, n).T
    symmetric *= 0.7 / np.linalg.eigvalsh(symmetric)[-1] if n > 1 else 0.7 / symmetric[0, 0]
    assert 0.299 < rate(network(symmetric, form)) <= 0.3 + 1e-9
    options = {"leak": 2.0, "time_constant": 0.5, "activation": "sigmoid"}
    assert 3.649 < rate(network(symmetric, form, **options)) <= 3.65 + 1e-9
    assert rate(network(-symmetric @ symmetric - np.eye(n), form)) > 0.999


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("orthogonal", [False, True])
def test_products_of_diagonals_and_one_matrix(form: str, orthogonal: bool):
    """`-P1 Q P2`: rate 1 for Q > 0; `P1 O P2` with O orthogonal: 1 - max p1 p2."""
    rng = np.random.default_rng(1)
    left, right = rng.uniform(0.2, 0.9, (2, 8))
    if orthogonal:
        middle = np.linalg.qr(rng.standard_normal((8, 8)))[0]
        # With one scalar on each side the bound is attained.
        assert rate(network(np.diag(left) @ middle @ np.diag(right), form)) > 1 - max(left * right)
    else:
        half = rng.standard_normal((8, 8))
        weight = -np.diag(left) @ (half @ half.T + np.eye(8)) @ np.diag(right)
        assert rate(network(weight, form)) > 0.999


@pytest.mark.parametrize("form", FORMS)
def test_never_behind_the_singular_value_theorem(form: str):
    for seed in range(12):
        flow = network(random(seed, 2 + seed, 0.4), form)
        for system in (flow, discretise(flow, ExplicitEuler(0.3))):
            other = SingularValue().apply(system, None)
            assert isinstance(other, Certificate)
            assert proved(system).margin > 0.99 * other.margin


def best_rate(lure: Lure) -> float:
    """The optimum over metrics and multipliers, by bisection over semidefinite programs."""
    A, B, C = lure.A.mid, lure.B.mid, lure.C.mid
    n, m = B.shape
    low, high = -5.0, float(-np.linalg.eigvals(A).real.max())
    for _ in range(14):
        c = (low + high) / 2
        P, q = cp.Variable((n, n), symmetric=True), cp.Variable(m)
        across = P @ B + C.T @ cp.diag(cp.multiply(lure.span, q))
        whole = cp.bmat([[P @ A + A.T @ P + 2 * c * P, across], [across.T, -2 * cp.diag(q)]])
        room = cp.Variable()
        problem = cp.Problem(
            cp.Maximize(room),
            [
                cp.PSD(P - np.eye(n)),
                whole + room * np.eye(n + m) << 0,
                q >= 1e-6,
                cp.trace(P) <= 1e6,
            ],  # pyright: ignore[reportArgumentType]
        )
        with warnings.catch_warnings():
            # Near the optimum the solver doubts itself; a point it found counts, others do not.
            warnings.simplefilter("ignore")
            problem.solve(solver=cp.CLARABEL)
        low, high = (c, high) if room.value is not None and room.value > 1e-7 else (low, c)
    return low


@pytest.mark.parametrize("seed", range(4))
def test_the_search_comes_close_to_the_optimum(seed: int):
    flow = network(random(seed, 4, 0.7), FORMS[seed % 2])
    lure = lure_of(flow)
    assert isinstance(lure, Lure)
    assert rate(flow) > 0.99 * best_rate(lure) - 0.01


@pytest.mark.parametrize("form", FORMS)
def test_rotations_lose_every_constant_metric_at_two(form: str):
    """`W = [[0, -c], [c, 0]]` has `W + W^T = 0`, and a metric only for c < 2."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    assert rate(network(1.9 * turn, form)) > 0.01
    for c in (2.0, 2.1, 3.0, 10.0):
        assert isinstance(sector(network(c * turn, form)), Unknown)


def test_unstable_and_unbounded_systems_are_never_certified():
    for weight in (1.01 * np.eye(3), random(0, 20, 2.0), np.diag([0.5, 3.0])):
        for form in FORMS:
            assert isinstance(sector(network(weight, form)), Unknown)
    assert isinstance(sector(network(np.zeros((2, 2)), leak=0.0)), Unknown)
    assert isinstance(sector(network(np.zeros((2, 2)), activation="silu")), Unknown)
    assert isinstance(sector(network(-1e308 * np.ones((2, 2)))), Unknown)
    fast = discretise(network(-5 * np.eye(2)), ExplicitEuler(0.5))
    assert isinstance(sector(fast), Unknown)


def test_metrics_of_one_form_are_refused_for_the_other():
    """The classical slip: the two forms have inverse metrics."""
    symmetric = random(3, 6) + random(3, 6).T
    symmetric *= 0.8 / np.linalg.eigvalsh(symmetric)[-1]
    flows = [network(symmetric, form) for form in FORMS]
    lures = [lure_of(flow) for flow in flows]
    for own, other in ((0, 1), (1, 0)):
        certificate = proved(flows[own])
        assert certificate.rate is not None
        metric = np.asarray(certificate.metric.matrix)  # pyright: ignore[reportAttributeAccessIssue]
        q = np.array(certificate.multipliers)
        for factor in (1e-2, 1.0, 1e2):
            own_lure, other_lure = lures[own], lures[other]
            assert isinstance(own_lure, Lure) and isinstance(other_lure, Lure)
            assert not sector_holds(other_lure, metric, factor * q, certificate.rate, True)
        assert sector_holds(own_lure, metric, q, certificate.rate, True)
        assert not sector_holds(own_lure, metric, q, 1.001 * certificate.rate, True)
        assert not sector_holds(own_lure, metric, -q, certificate.rate, True)


def systems() -> list[AbstractFlow | AbstractMap]:
    flow = network(random(5, 4, 0.5), "firing_rate", activation="relu")
    other = network(random(6, 3, 0.6), leak=1.5, time_constant=2.0)
    coupling = np.zeros((7, 7))
    coupling[:4, 4:] = random(7, 4)[:, :3]
    coupling[4:, :4] = -coupling[:4, 4:].T
    assembly = Assembly((flow, other), jnp.asarray(coupling))
    weight = jnp.asarray(random(8, 5, 0.4))
    return [
        flow,
        network(random(5, 4, 0.5), activation="identity"),
        discretise(other, ExplicitEuler(0.2)),
        discretise(flow, ExponentialEuler(0.7)),
        Elman(jnp.zeros((5, 0)), weight, jnp.zeros(5), jnp.zeros(5)),
        assembly,
        discretise(assembly, SemiImplicit(0.2)),
        discretise(assembly, ExplicitEuler(0.02)),
        discretise(assembly, ExponentialEuler(0.2)),
    ]


@pytest.mark.parametrize("index", range(9))
def test_the_checker_agrees_about_every_kind(index: int, tmp_path):
    certificate = certify(systems()[index], theorems=(Sector(),))
    assert isinstance(certificate, Certificate)
    path = write_certificate(certificate, tmp_path / "c.json")
    verdict = check(path)
    assert verdict.accepted, verdict.reason


def derivative(system: AbstractFlow | AbstractMap, state: np.ndarray) -> np.ndarray:
    """The Jacobian of what runs, without input."""
    none = jnp.zeros(system.input_size)
    if isinstance(system, AbstractFlow):
        return np.asarray(jax.jacfwd(lambda x: system.velocity(0.0, x, none))(jnp.asarray(state)))
    return np.asarray(jax.jacfwd(lambda x: system.advance(0, x, none))(jnp.asarray(state)))


@pytest.mark.parametrize("index", range(9))
def test_jacobians_at_all_corners_lie_in_the_model(index: int):
    """`A + B D C` holds the derivative of what runs, and decays as claimed, for random slopes."""
    system = systems()[index]
    lure, certificate = lure_of(system), proved(system)
    assert isinstance(lure, Lure)
    rng = np.random.default_rng(index)
    # The derivative at random states is linear in its slopes, which the model allows.
    units = [np.outer(b, c).ravel() for b, c in zip(lure.B.mid.T, lure.C.mid, strict=True)]
    for _ in range(10):
        moved = derivative(system, rng.standard_normal(system.state_size)) - lure.A.mid
        if not units:
            assert np.abs(moved).max() < 1e-12
            continue
        slopes, *_ = np.linalg.lstsq(np.array(units).T, moved.ravel(), rcond=None)
        assert np.abs(np.array(units).T @ slopes - moved.ravel()).max() < 1e-9
        assert (slopes > -1e-9).all() and (slopes < lure.span + 1e-9).all()
    for _ in range(50):
        slopes = rng.choice([0.0, 0.3, 1.0], len(lure.span)) * lure.span
        jacobian = jnp.asarray(lure.A.mid + lure.B.mid * slopes @ lure.C.mid)
        if certificate.rate is not None:
            assert certificate.metric.measure(jacobian) <= -certificate.rate + 1e-9
        else:
            assert certificate.metric.gain(jacobian) <= 1 - certificate.margin + 1e-9


def test_float32_statements_hold_in_quadratic_metrics():
    weight = random(9, 6, 0.4).astype(np.float32)
    runner = discretise(RateNetwork(jnp.asarray(weight)), ExplicitEuler(0.3))
    answer = certify(runner, theorems=(Sector(),))
    assert isinstance(answer, Certificate) and answer.float32 is not None
    assert 0 < answer.float32.gap < 1e-4


def test_metrics_that_it_cannot_use():
    flow = network(random(5, 4, 0.3))
    for metric in (
        SumMetric(jnp.ones(4)),
        QuadraticMetric(-jnp.eye(4)),
        QuadraticMetric(jnp.eye(3)),
    ):
        assert isinstance(Sector().apply(flow, metric), Unknown)
    tilted = jnp.eye(4).at[0, 1].set(1e-3)
    assert isinstance(Sector().apply(flow, QuadraticMetric(tilted)), Unknown)
    answer = Sector().apply(network(np.zeros((129, 129))), DiagonalMetric(jnp.ones(129)))
    assert isinstance(answer, Unknown) and "at most 128" in answer.reason


def test_linear_networks_decay_as_fast_as_their_poles():
    """Identity units have one slope; a Jordan block has no best metric, but nearly best ones."""
    block = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.5]])
    for form in FORMS:
        flow = network(block, form, activation="identity")
        assert 0.49 < rate(flow) < 0.5
        certificate = proved(discretise(flow, ExplicitEuler(0.1)))
        assert certificate.factor is not None and 0.95 < certificate.factor < 0.952


def test_slopes_that_cannot_vanish_are_used():
    """Slopes in [0.5, 1]: the least of them belongs to the linear part."""
    leaky = Activation("leaky", lambda x: jnp.where(x > 0, x, 0.5 * x), (0.5, 1.0))
    weight = np.array([[-3.0, 2.0], [-2.0, -3.0]])
    flow = RateNetwork(jnp.asarray(weight), activation=leaky)
    plain = network(weight, activation="relu")
    assert rate(flow) > rate(plain) + 0.5
