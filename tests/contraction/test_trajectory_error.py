"""The certified distance to a trajectory holds for states from anywhere, and is not far off."""

import dataclasses

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.contraction import (
    AbstractMetric,
    BlockMaximumMetric,
    BlockMetric,
    Certificate,
    DiagonalMetric,
    MaximumMetric,
    QuadraticMetric,
    SumMetric,
    certify,
    enclose_residuals,
    newton_iterations,
    random_stable_assembly,
    trajectory_error,
)
from limitset.contraction._trajectory_error import norms_upper
from limitset.dynamics import (
    AbstractMap,
    ExplicitEuler,
    ParallelNewton,
    SemiImplicit,
    discretise,
    simulate,
)
from limitset.networks import RateNetwork
from limitset.proofs import Ball

STEPS, INPUTS = 40, 2


def certified(seed: int) -> Certificate:
    core = random_stable_assembly(jax.random.key(seed), modules=2, units=3, inputs=INPUTS)
    answer = certify(discretise(core.explicit(), SemiImplicit(0.5)), metric=core.metric())
    assert isinstance(answer, Certificate)
    return answer


def draw(seed: int) -> tuple[jax.Array, jax.Array]:
    one, two = jax.random.split(jax.random.key(seed))
    initial = jax.random.normal(one, (6,), jnp.float32)
    return initial, jax.random.normal(two, (STEPS, INPUTS), jnp.float32)


def widened(tree):  # noqa: ANN001, ANN201
    return jax.tree.map(lambda a: a.astype(jnp.float64), tree)


def distances(certificate: Certificate, initial, inputs, states) -> np.ndarray:  # noqa: ANN001
    """To the trajectory in float64."""
    system: AbstractMap = certificate.system  # pyright: ignore[reportAssignmentType]
    truth = simulate(widened(system), widened(initial), widened(inputs)).states
    return np.asarray(jax.vmap(certificate.metric.norm)(widened(states) - truth))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_the_bound_holds_for_states_from_anywhere(seed: int):
    certificate = certified(seed)
    system: AbstractMap = certificate.system  # pyright: ignore[reportAssignmentType]
    initial, inputs = draw(seed)
    scan = simulate(system, initial, inputs).states
    noise = jax.random.normal(jax.random.key(seed + 9), scan.shape, jnp.float32)
    rough = simulate(system, initial, inputs, method=ParallelNewton(tolerance=0.05)).states
    for states in (scan, rough, scan + 1e-3 * noise, scan + noise, jnp.zeros_like(scan)):
        residuals = enclose_residuals(system, initial, inputs, states)
        bound = trajectory_error(certificate, residuals)
        real = distances(certificate, initial, inputs, states)
        # Truth in float64 has its own rounding.
        assert (real <= bound + 1e-13).all()
        assert bound.max() < 100 * real.max() + 1e-12
        worst = norms_upper(residuals, certificate.metric).max()
        assert bound.max() <= worst / (1 - (certificate.factor or 1.0)) * (1 + 1e-9)


def test_the_start_counts_and_is_forgotten():
    certificate, nothing = certified(0), Ball.exact(np.zeros((STEPS, 6)))
    bound = trajectory_error(certificate, nothing, start=2.0)
    assert certificate.factor is not None
    np.testing.assert_allclose(bound, 2 * certificate.factor ** np.arange(1, STEPS + 1), rtol=1e-9)
    assert (bound >= 2 * certificate.factor ** np.arange(1, STEPS + 1) * (1 - 1e-15)).all()


def test_a_wrong_state_shows():
    certificate, (initial, inputs) = certified(1), draw(1)
    system: AbstractMap = certificate.system  # pyright: ignore[reportAssignmentType]
    states = simulate(system, initial, inputs).states.at[20].add(0.5)
    bound = trajectory_error(certificate, enclose_residuals(system, initial, inputs, states))
    assert bound[19] < 1e-5 and bound[20] > 0.1
    assert bound[-1] < bound[20]


def test_unknown_residuals_are_unknown_for_ever():
    residuals = Ball(np.zeros((3, 6)), np.array([[0.0] * 6, [np.inf] * 6, [0.0] * 6]))
    assert trajectory_error(certified(0), residuals).tolist()[1:] == [np.inf, np.inf]


METRICS: dict[str, AbstractMetric] = {
    "diagonal": DiagonalMetric(jnp.array([1.0, 2.0, 0.5, 3.0])),
    "quadratic": QuadraticMetric(jnp.eye(4) + 0.2),
    "sum": SumMetric(jnp.array([1.0, 2.0, 0.5, 3.0])),
    "maximum": MaximumMetric(jnp.array([1.0, 2.0, 0.5, 3.0])),
    "block": BlockMetric(
        (QuadraticMetric(jnp.eye(2) + 0.2), DiagonalMetric(jnp.ones(2))),
        (2, 2),
        jnp.array([2.0, 3]),
    ),
    "block maximum": BlockMaximumMetric(
        (SumMetric(jnp.ones(2)), DiagonalMetric(jnp.ones(2))), (2, 2), jnp.array([2.0, 3.0])
    ),
}


@pytest.mark.parametrize("name", METRICS)
def test_norms_are_bounded_from_above(name: str):
    rows = np.random.default_rng(0).standard_normal((50, 4))
    bounds = norms_upper(Ball.exact(rows), METRICS[name])
    real = np.asarray(jax.vmap(METRICS[name].norm)(jnp.asarray(rows)))
    assert (bounds >= real * (1 - 1e-15)).all() and (bounds <= real * (1 + 1e-12)).all()
    wide = norms_upper(Ball(rows, np.full_like(rows, 0.1)), METRICS[name])
    corner = np.asarray(jax.vmap(METRICS[name].norm)(jnp.asarray(rows + 0.1 * np.sign(rows))))
    assert (wide >= corner * (1 - 1e-15)).all()


# --- Iterations -----------------------------------------------------------------------------------


def single_layer(seed: int) -> tuple[Certificate, float]:
    """`x+ = x / 2 + W tanh(x) / 2 + ...` with the Lipschitz constant of its Jacobian."""
    weight = jax.random.normal(jax.random.key(seed), (4, 4))
    weight = 0.9 * weight / jnp.linalg.norm(weight, 2)
    one = jax.random.normal(jax.random.key(seed + 50), (4, INPUTS))
    system = discretise(RateNetwork(weight, 3 * one), ExplicitEuler(0.5))
    answer = certify(system, metric=DiagonalMetric(jnp.ones(4)), input_bound=None)
    assert isinstance(answer, Certificate)
    # |tanh''| <= 4 / (3 sqrt 3), and |diag(d)|_2 <= |x - y|_2 times that.
    return answer, 0.5 * float(jnp.linalg.norm(weight, 2)) * 4 / 27**0.5


@pytest.mark.parametrize("seed", range(3))
def test_newton_keeps_to_its_number_of_iterations(seed: int):
    certificate, lipschitz = single_layer(seed)
    system: AbstractMap = certificate.system  # pyright: ignore[reportAssignmentType]
    inputs = 2 * jax.random.normal(jax.random.key(seed), (300, INPUTS))
    method = ParallelNewton(tolerance=1e-9, norm=certificate.metric.norm)
    initial = jnp.ones(4)
    found = simulate(system, initial, inputs, method=method)
    before = jnp.broadcast_to(initial, (300, 4))
    residuals = initial - jax.vmap(system.advance, (None, 0, 0))(0, before, inputs)
    scale = max(float(jax.vmap(certificate.metric.norm)(found.states).max()), 2.0)
    most = newton_iterations(
        certificate,
        lipschitz=lipschitz,
        residual=float(jnp.linalg.norm(residuals, axis=1).max()),
        tolerance=1e-9 * scale,
    )
    assert found.convergence is not None and bool(found.convergence.converged)
    assert int(found.convergence.iterations) <= most


def test_iterations_are_counted_as_stated():
    certificate = dataclasses.replace(certified(0), factor=0.5)
    # h = 2 residual: 1/8 less an iteration down to 1/2, then squares.
    count = lambda r, t: newton_iterations(certificate, lipschitz=1.0, residual=r, tolerance=t)  # noqa: E731
    assert count(0.1, 0.2) == 0 and count(0.2, 0.09) == 1 and count(0.2, 0.07) == 2
    assert 5 <= count(0.5, 0.2) <= 6
    # Rounding upward may put h = 1/2 above 1/2.
    assert 5 <= count(0.25, 1e-9) <= 6


# --- Refusals -------------------------------------------------------------------------------------


def refusal(call) -> str:  # noqa: ANN001
    with pytest.raises(InputProblem) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_refused():
    certificate, rows = certified(0), np.zeros((3, 6))
    flow = dataclasses.replace(certificate, factor=None, rate=1.0)
    assert "flow" in refusal(lambda: trajectory_error(flow, Ball.exact(rows)))
    assert "(3, 5)" in refusal(lambda: trajectory_error(certificate, Ball.exact(rows[:, :5])))
    doubtful = Ball(rows, rows, guaranteed=False)
    assert "guaranteed" in refusal(lambda: trajectory_error(certificate, doubtful))
    for start in (-1.0, float("nan"), float("inf")):
        message = refusal(lambda s=start: trajectory_error(certificate, Ball.exact(rows), start=s))
        assert "start" in message
    numbers = {"lipschitz": 1.0, "residual": 1.0, "tolerance": 1e-6}
    assert "flow" in refusal(lambda: newton_iterations(flow, **numbers))
    for name in numbers:
        for value in (0.0, float("nan"), float("inf")):
            changed = {**numbers, name: value}
            message = refusal(lambda c=changed: newton_iterations(certificate, **c))
            assert message.startswith(name)
    tiny = {**numbers, "tolerance": 1e-300}
    assert "too small" in refusal(lambda: newton_iterations(certificate, **tiny))


@pytest.fixture
def untyped():
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_states_that_do_not_fit_the_inputs(untyped: None):
    system: AbstractMap = certified(0).system  # pyright: ignore[reportAssignmentType]
    initial, inputs = draw(0)
    assert "(39, 6)" in refusal(
        lambda: enclose_residuals(system, initial, inputs, jnp.zeros((39, 6), jnp.float32))
    )


@pytest.mark.usefixtures("no_shape_checks")
def test_what_does_not_fit_is_told():
    flow = RateNetwork(-jnp.eye(2))
    runner = discretise(flow, ExplicitEuler(0.1))
    answer, x, u = certify(runner, input_bound=None), jnp.zeros(2), jnp.zeros((5, 0))
    assert isinstance(answer, Certificate)
    with pytest.raises(InputProblem, match="discretise the flow"):
        enclose_residuals(flow, x, u, jnp.zeros((5, 2)))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputProblem, match="initial has shape"):
        enclose_residuals(runner, jnp.zeros(3), u, jnp.zeros((5, 3)))
    with pytest.raises(InputProblem, match="ball of enclose_residuals"):
        trajectory_error(answer, np.zeros((5, 2)))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputProblem, match="give certificates"):
        trajectory_error(None, Ball.exact(np.zeros((5, 2))))  # pyright: ignore[reportArgumentType]
