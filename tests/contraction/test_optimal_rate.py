"""Acceptance: verified rates lie within 1% of the best that the theorem can give, never above."""

import cvxpy as cp
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.families import CERTIFIABLE, majorant
from limitset.contraction import AbsoluteValue, Certificate, SingularValue, certify
from limitset.networks import ACTIVATIONS, RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def steepest(activation: str) -> float:
    return (ACTIVATIONS[activation].slope_interval or (np.nan, np.nan))[1]


def rate_by(theorem: AbsoluteValue | SingularValue, network: RateNetwork) -> float:
    answer = certify(network, theorems=(theorem,))
    assert isinstance(answer, Certificate), answer.reason
    assert answer.rate is not None and answer.theorem == theorem.name
    return answer.rate


def best_norm(weight: np.ndarray, tolerance: float = 1e-4) -> tuple[float, float]:
    """Bracket of `min |S W S^-1|_2` over positive diagonal S: `W^T P W <= s^2 P`, by bisection."""
    n = len(weight)
    scales, margin = cp.Variable(n), cp.Variable()
    square = cp.Parameter(nonneg=True)
    metric = cp.diag(scales)
    gap = square * metric - weight.T @ metric @ weight - margin * np.eye(n)
    rules = [gap >> 0, scales >= 1e-7, cp.sum(scales) == n]
    problem = cp.Problem(cp.Maximize(margin), rules)
    low = float(np.abs(np.linalg.eigvals(weight)).max())
    high = float(np.linalg.norm(weight, 2))
    while high - low > tolerance * high:
        middle = (low + high) / 2
        square.value = middle**2
        problem.solve(solver=cp.CLARABEL)
        assert margin.value is not None
        if margin.value >= 0:
            high = middle
        else:
            low = middle
    return low, high


@pytest.mark.parametrize("activation", CERTIFIABLE)
@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_absolute_value_attains_the_spectral_abscissa(activation: str, form: str):
    """The best rate of any diagonal metric is `(leak - abscissa of the majorant) / tau`."""
    rng = np.random.default_rng(1)
    for size in (1, 2, 5, 30):
        weight = rng.standard_normal((size, size))
        abscissa = np.linalg.eigvals(majorant(weight, activation, exempt=True)).real.max()
        for share in (0.3, 0.8, 0.95):
            leak, time_constant = rng.uniform(0.3, 3.0, 2)
            scaled = weight * share * leak / max(abscissa, 1.0)
            network = RateNetwork(
                jnp.asarray(scaled),
                activation=activation,
                form=form,
                leak=leak,
                time_constant=time_constant,
            )
            bound = np.linalg.eigvals(majorant(scaled, activation, exempt=True)).real.max()
            optimum = (leak - bound) / time_constant
            rate = rate_by(AbsoluteValue(), network)
            assert 0.99 * optimum <= rate <= optimum * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("pattern", ["triangular", "empty", "chain", "two_blocks"])
def test_absolute_value_where_no_best_metric_exists(pattern: str):
    """Reducible weights: Perron vectors have zeros, and the rate is approached, not attained."""
    rng, n = np.random.default_rng(2), 6
    weight = {
        "triangular": np.tril(rng.standard_normal((n, n)), -1) - np.diag(rng.random(n)),
        "empty": np.zeros((n, n)),
        "chain": np.eye(n, k=-1),
        "two_blocks": np.kron(np.diag([0.5, 0.25]), np.ones((3, 3)) / 3),
    }[pattern]
    optimum = 1 - np.linalg.eigvals(majorant(weight, "tanh", exempt=True)).real.max()
    rate = rate_by(AbsoluteValue(), RateNetwork(jnp.asarray(weight)))
    assert 0.99 * optimum <= rate <= optimum + 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_singular_value_attains_the_semidefinite_optimum(seed: int):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    activation = CERTIFIABLE[seed % len(CERTIFIABLE)]
    weight = rng.standard_normal((n, n)) * np.exp(rng.standard_normal((n, 1)))
    if seed % 3 == 0:
        weight *= rng.random((n, n)) < 0.6
    low, _ = best_norm(weight)
    leak, time_constant = rng.uniform(0.3, 3.0, 2)
    weight *= rng.uniform(0.4, 0.9) * leak / (max(low, 1e-3) * steepest(activation))
    low, high = best_norm(weight)
    network = RateNetwork(
        jnp.asarray(weight), activation=activation, leak=leak, time_constant=time_constant
    )
    rate = rate_by(SingularValue(), network)
    # The bracket stands on a solver with about seven digits.
    assert rate <= (leak - steepest(activation) * low * (1 - 1e-6)) / time_constant
    assert rate >= 0.99 * (leak - steepest(activation) * high) / time_constant


def test_one_unit_is_decided_exactly():
    """`x' = -a x + w phi(x)`: the rate is `a - max(w, 0)`, however negative `w` is."""
    for weight, expected in ((-50.0, 1.5), (0.0, 1.5), (1.25, 0.25)):
        rate = rate_by(AbsoluteValue(), RateNetwork(jnp.array([[weight]]), leak=1.5))
        assert expected * (1 - 1e-3) <= rate <= expected


@pytest.mark.parametrize("size", [8, 32, 64])
def test_triangular_weights_are_certified_in_a_metric_of_moderate_width(size: int):
    """Their best metrics are wider than any; those that floats can hold cost little of the rate."""
    weight = np.tril(np.random.default_rng(size).uniform(-1, 1, (size, size)), -1)
    answer = certify(RateNetwork(jnp.asarray(weight)), theorems=(AbsoluteValue(),))
    assert isinstance(answer, Certificate), answer.reason
    assert 0.3 < (answer.rate or 0.0) < 1 and answer.condition <= 1e60
