"""Lyapunov spectra against closed forms: linear systems, classical maps, Lorenz' flow."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem, RateNetwork
from limitset._types import StepIndex
from limitset.analysis import (
    AdamsBashforth4,
    AdamsMoulton4,
    CholeskyQR,
    EachStep,
    Euler,
    RungeKutta4,
    SpectrumVerdict,
    lyapunov_spectrum,
)
from limitset.dynamics import AbstractFlow, AbstractMap, ExplicitEuler, discretise
from limitset.networks import random_rate_network


class LinearFlow(AbstractFlow):
    """`dx/dt = A x`."""

    matrix: jax.Array

    @property
    def state_size(self) -> int:
        return self.matrix.shape[0]

    @property
    def input_size(self) -> int:
        return 0

    def velocity(self, t, x, u):
        del t, u
        return self.matrix @ x


class Lorenz(AbstractFlow):
    """The flow with the classical parameters 10, 28, 8/3."""

    @property
    def state_size(self) -> int:
        return 3

    @property
    def input_size(self) -> int:
        return 0

    def velocity(self, t, x, u):
        del t, u
        return jnp.stack(
            [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]
        )


class Formula(AbstractMap):
    """A map from its formula."""

    formula: Callable[[StepIndex, jax.Array], jax.Array]
    size: int

    @property
    def state_size(self) -> int:
        return self.size

    @property
    def input_size(self) -> int:
        return 0

    def advance(self, n, x, u):
        del u
        return self.formula(n, x)


HENON = Formula(lambda n, x: jnp.stack([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]]), 2)
LOGISTIC = Formula(lambda n, x: 4 * x * (1 - x), 1)


def rotated(eigenvalues: list[float]) -> jax.Array:
    """A symmetric matrix with these eigenvalues, not diagonal."""
    count = len(eigenvalues)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((count, count)))[0]
    return jnp.asarray(turn @ np.diag(eigenvalues) @ turn.T)


@pytest.mark.parametrize("method", [None, CholeskyQR()], ids=["householder", "cholesky"])
def test_linear_map_is_exact(method):
    matrix, factors = rotated([2.0, 0.5, -0.25]), np.log([2.0, 0.5, 0.25])
    chosen = {} if method is None else {"method": method}
    system = Formula(lambda n, x: matrix @ x, 3)
    found = lyapunov_spectrum(system, jnp.zeros(3), steps=100, interval=3, transient=0, **chosen)
    assert np.allclose(found.exponents, factors, rtol=0, atol=1e-12)
    assert found.converged and found.steps == 120 and found.time == 120.0
    assert found.standard_errors.max() < 1e-12


@pytest.mark.parametrize(
    ("integrator", "step_factor"),
    [
        (RungeKutta4(0.1), lambda z: 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24),
        (Euler(0.1), lambda z: 1 + z),
    ],
)
def test_linear_flow_is_exact_for_its_rule(integrator, step_factor):
    rates = np.array([0.5, -0.7, -2.0])
    flow = LinearFlow(rotated(list(rates)))
    found = lyapunov_spectrum(
        flow, jnp.zeros(3), steps=400, transient=0, tangent_transient=400, integrator=integrator
    )
    exact = np.log(np.abs(step_factor(0.1 * rates))) / 0.1
    assert np.allclose(found.exponents, exact, rtol=0, atol=1e-10)
    assert np.isclose(found.time, 40.0)


@pytest.mark.parametrize("rule", [AdamsBashforth4, AdamsMoulton4])
def test_rules_that_look_back_are_of_order_four(rule):
    spiral = LinearFlow(jnp.array([[-0.2, 1.0], [-1.0, -0.2]]))
    errors = []
    for step in (0.1, 0.05):
        found = lyapunov_spectrum(
            spiral, jnp.zeros(2), steps=400, transient=0, integrator=rule(step)
        )
        errors.append(abs(found.exponents[0] + 0.2))
    assert 12 < errors[0] / errors[1] < 22
    assert errors[1] < 1e-5


def test_adams_moulton_moves_states_with_order_four():
    """Also from the first step on: its past is found by steps backwards."""
    spiral = LinearFlow(jnp.array([[-0.2, 1.0], [-1.0, -0.2]]))
    start, time = jnp.array([1.0, 0.5]), 8.0
    exact = jax.scipy.linalg.expm(time * spiral.matrix) @ start
    errors = []
    for step in (0.1, 0.05):
        found = lyapunov_spectrum(
            spiral,
            start,
            steps=round(time / step),
            transient=0,
            tangent_transient=0,
            blocks=8,
            integrator=AdamsMoulton4(step),
        )
        errors.append(np.abs(found.final_state - exact).max())
    assert 10 < errors[0] / errors[1] < 40
    assert errors[1] < 1e-5


def test_adams_moulton_refuses_inputs_that_change():
    network, inputs = random_rate_network(jax.random.key(0), 2, 1), jnp.zeros((2000, 1))
    changed = GOOD | {"integrator": AdamsMoulton4(0.1), "inputs": inputs}
    with pytest.raises(InputProblem, match="looks back over steps"):
        lyapunov_spectrum(network, jnp.zeros(2), **changed)


def test_logistic_map_has_log_two():
    found = lyapunov_spectrum(LOGISTIC, jnp.array([0.3]), steps=20_000)
    assert abs(found.exponents[0] - np.log(2)) < 4 * found.standard_errors[0] < 4e-3
    low, high = found.confidence_interval(0.999)[0]
    assert low < np.log(2) < high


def test_vectors_that_a_map_sends_to_zero_shrink_for_ever():
    """Squares of squares underflow within a dozen steps, in all blocks that are measured."""
    squares = Formula(lambda n, x: x**2, 1)
    found = lyapunov_spectrum(squares, jnp.array([0.5]), steps=100, transient=50)
    assert found.exponents.tolist() == [-np.inf] and found.final_state.tolist() == [0.0]


def test_henon_map():
    found = lyapunov_spectrum(HENON, jnp.zeros(2), steps=20_000)
    assert abs(found.exponents[0] - 0.41922) < 4 * found.standard_errors[0] < 0.012
    # The determinant of its Jacobian is -0.3 everywhere.
    assert np.isclose(found.exponents.sum(), np.log(0.3), rtol=0, atol=1e-12)
    dimension = found.kaplan_yorke_dimension
    assert dimension is not None and abs(dimension - 1.2583) < 0.003


def test_lorenz_flow():
    start = jnp.array([1.0, 2.0, 20.0])
    found = lyapunov_spectrum(Lorenz(), start, steps=10_000, integrator=RungeKutta4(0.01))
    exact = np.array([0.9056, 0.0, -14.5723])
    assert (np.abs(found.exponents - exact) < 4 * found.standard_errors + 2e-3).all()
    # The divergence is -(10 + 1 + 8/3) everywhere; what is left is of the order of the step.
    assert abs(found.exponents.sum() + 41 / 3) < 3e-4
    assert found.near_zero_count(0.1) == 1


@pytest.mark.slow
def test_lorenz_flow_to_three_digits():
    start = jnp.array([1.0, 2.0, 20.0])
    found = lyapunov_spectrum(Lorenz(), start, steps=400_000, integrator=RungeKutta4(0.005))
    assert np.allclose(found.exponents, [0.9056, 0.0, -14.5723], rtol=0, atol=0.012)
    assert (
        np.abs(found.exponents - [0.9056, 0, -14.5723]) < 4 * found.standard_errors + 1e-4
    ).all()
    dimension, error = found.kaplan_yorke_dimension, found.kaplan_yorke_standard_error
    assert dimension is not None and abs(dimension - 2.0621) < 1e-3 and error is not None
    assert error < 1e-3 and found.converged


@pytest.mark.slow
def test_error_bars_cover_the_truth():
    """95 % intervals from 20 blocks, 100 starts each of a map and of a flow."""
    starts = 0.1 * np.random.default_rng(5).standard_normal((100, 3))
    hits = np.zeros(2, int)
    for start in starts:
        found = lyapunov_spectrum(HENON, jnp.asarray(start[:2]), steps=4_000)
        low, high = found.confidence_interval()[0]
        hits[0] += low < 0.41922 < high
        flow = lyapunov_spectrum(
            Lorenz(), jnp.asarray(start), steps=20_000, integrator=RungeKutta4(0.01)
        )
        low, high = flow.confidence_interval()[0]
        hits[1] += low < 0.9056 < high
    assert (hits >= 90).all(), hits


def test_stable_fixed_point_has_no_zero_exponent():
    network = random_rate_network(jax.random.key(1), 6, gain=0.5)
    found = lyapunov_spectrum(
        network, jax.random.key(2), steps=1000, transient=500, integrator=RungeKutta4(0.1)
    )
    exact = np.sort(np.linalg.eigvals(np.asarray(network.weight)).real - 1)[::-1]
    assert np.allclose(found.exponents, exact, rtol=0, atol=0.02)
    assert found.exponents.max() < -0.3 and found.kaplan_yorke_dimension == 0.0
    assert found.entropy_rate == 0.0 and found.near_zero_count(0.2) == 0


def test_maps_of_flows_count_in_units_of_time():
    network = RateNetwork(rotated([0.5, -1.0]))
    euler = discretise(network, ExplicitEuler(0.1))
    numbers: dict[str, Any] = {"steps": 300, "transient": 0, "tangent_transient": 300}
    as_map = lyapunov_spectrum(euler, jnp.zeros(2), integrator=EachStep(0.1), **numbers)
    as_flow = lyapunov_spectrum(network, jnp.zeros(2), integrator=Euler(0.1), **numbers)
    assert np.allclose(as_map.exponents, as_flow.exponents, rtol=0, atol=1e-12)
    assert np.allclose(as_map.exponents, np.log([0.95, 0.8]) / 0.1, rtol=0, atol=1e-12)


def test_stop_rule_and_its_verdicts():
    numbers: dict[str, Any] = {"steps": 20_000, "transient": 100, "interval": 10}
    stopped = lyapunov_spectrum(HENON, jnp.zeros(2), tolerance=0.1, **numbers)
    assert stopped.converged and len(stopped.blocks) == 8 and stopped.steps == 8_000
    short = lyapunov_spectrum(HENON, jnp.zeros(2), tolerance=1e-6, **numbers)
    assert short.verdict is SpectrumVerdict.TOO_SHORT and short.steps == 20_000
    assert np.allclose(short.running[-1], short.exponents)


def test_drift_is_seen():
    # The Jacobian 1 - 0.3 x^2 goes to 1 as 1/n does to 0.
    slow = Formula(lambda n, x: x - 0.1 * x**3, 1)
    found = lyapunov_spectrum(slow, jnp.ones(1), steps=400, transient=0)
    assert found.verdict is SpectrumVerdict.DRIFTING and not found.converged


def test_parallel_vectors_are_seen():
    numbers: dict[str, Any] = {"steps": 100, "transient": 0, "interval": 40}
    system = Formula(lambda n, x: jnp.array([2.0, 0.5]) * x, 2)
    found = lyapunov_spectrum(system, jnp.zeros(2), **numbers)
    assert found.verdict is SpectrumVerdict.UNRESOLVED and found.spread > 29
    singular = Formula(lambda n, x: jnp.array([0.5, 0.0]) * x, 2)
    found = lyapunov_spectrum(singular, jnp.zeros(2), steps=100, transient=0)
    assert found.verdict is SpectrumVerdict.UNRESOLVED
    assert np.isclose(found.exponents[0], np.log(0.5))


def test_blow_up_is_reported():
    explosive = Formula(lambda n, x: x**2, 1)
    early = lyapunov_spectrum(explosive, jnp.array([2.0]), steps=100, transient=50)
    assert early.verdict is SpectrumVerdict.NOT_FINITE and np.isnan(early.exponents).all()
    assert early.kaplan_yorke_dimension is None and early.entropy_rate is None
    late = Formula(lambda n, x: jnp.where(n < 150, 0.5 * x, jnp.exp(1e4 + x)), 1)
    kept = lyapunov_spectrum(
        late, jnp.ones(1), steps=200, transient=0, tangent_transient=0, interval=1
    )
    assert kept.verdict is SpectrumVerdict.NOT_FINITE and len(kept.blocks) == 15
    assert np.allclose(kept.exponents, np.log(0.5))


FLOW, MAP = RateNetwork(jnp.eye(2)), HENON
GOOD: dict[str, Any] = {"steps": 10, "transient": 0, "integrator": RungeKutta4(0.1)}


@pytest.mark.parametrize(
    ("system", "start", "changed", "message"),
    [
        (FLOW, jnp.zeros(2), {"count": 3}, "count is 3; 2 state variables have 1 to 2"),
        (FLOW, jnp.zeros(2), {"count": 0}, "count is 0"),
        (FLOW, jnp.zeros(3), {}, "the system needs 2"),
        (FLOW, jnp.array([0.0, jnp.nan]), {}, "NaN or infinite"),
        (FLOW, jnp.zeros(2, jnp.float32), {}, "convert start to float64"),
        (FLOW, jnp.zeros(2), {"steps": 0}, "steps is 0"),
        (FLOW, jnp.zeros(2), {"transient": -1}, "transient is -1"),
        (FLOW, jnp.zeros(2), {"tangent_transient": -1}, "tangent_transient is -1"),
        (FLOW, jnp.zeros(2), {"interval": 0}, "interval is 0"),
        (FLOW, jnp.zeros(2), {"blocks": 2}, "blocks is 2; give 8 or more"),
        (FLOW, jnp.zeros(2), {"tolerance": 0.0}, "tolerance is 0.0"),
        (FLOW, jnp.zeros(2), {"tolerance": float("nan")}, "tolerance is nan"),
        (FLOW, jnp.zeros(2), {"seed": -1}, "seed is -1"),
        (FLOW, jnp.zeros(2), {"vectors": "float16"}, "vectors are 'float16'"),
        (FLOW, jnp.zeros(2), {"integrator": None}, "integrator is None"),
        (FLOW, jnp.zeros(2), {"integrator": EachStep()}, "EachStep does not advance RateNetwork"),
        (MAP, jnp.zeros(2), {}, "RungeKutta4 does not advance Formula; use EachStep"),
        (FLOW, jnp.zeros(2), {"inputs": jnp.zeros(1)}, r"inputs have shape \(1,\)"),
        (FLOW, jnp.zeros(2), {"inputs": jnp.zeros((5, 0))}, "inputs last 5 steps"),
    ],
)
def test_unusable_input(system, start, changed, message):
    with pytest.raises(InputProblem, match=message) as caught:
        lyapunov_spectrum(system, start, **(GOOD | changed))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("step", [0.0, -0.1, float("nan"), float("inf")])
def test_unusable_steps(step):
    for rule in (EachStep, Euler, RungeKutta4, AdamsBashforth4, AdamsMoulton4):
        with pytest.raises(InputProblem, match="step is"):
            rule(step)


def test_inputs_must_come_and_be_finite():
    network = random_rate_network(jax.random.key(0), 2, 1)
    with pytest.raises(InputProblem, match="no inputs came"):
        lyapunov_spectrum(network, jnp.zeros(2), **GOOD)
    with pytest.raises(InputProblem, match="inputs have entries"):
        lyapunov_spectrum(network, jnp.zeros(2), inputs=jnp.array([jnp.inf]), **GOOD)
