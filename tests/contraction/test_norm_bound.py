"""The classical case `x' = -x + W tanh x`: certified globally where `|W|_2 < 1`, never beyond."""

import flint
import jax.numpy as jnp
import numpy as np
import pytest
from flint import acb_mat, arb, arb_mat

from limitset.contraction import (
    Certificate,
    DiagonalMetric,
    Refuted,
    SingularValue,
    Unknown,
    certify,
    measure_distances,
)
from limitset.dynamics import ExplicitEuler, discretise, simulate
from limitset.networks import RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def network(weight: np.ndarray) -> RateNetwork:
    return RateNetwork(jnp.asarray(weight), form="hopfield")


def of_norm(seed: int, n: int, norm: float) -> np.ndarray:
    weight = np.random.default_rng(seed).standard_normal((n, n))
    return weight * (norm / np.linalg.norm(weight, 2))


def in_identity(weight: np.ndarray) -> Certificate:
    """The certificate in the Euclidean norm, from singular values alone."""
    euclidean = DiagonalMetric(jnp.ones(len(weight)))
    answer = certify(network(weight), metric=euclidean, theorems=(SingularValue(),))
    assert isinstance(answer, Certificate), answer.reason
    return answer


@pytest.mark.parametrize("n", [1, 2, 10, 60])
@pytest.mark.parametrize("norm", [0.1, 0.9, 0.999, 1 - 1e-6])
def test_T27_norms_below_one_are_certified_at_one_minus_the_norm(n: int, norm: float):
    weight = of_norm(n, n, norm)
    answer = in_identity(weight)
    exact = 1 - np.linalg.norm(weight, 2)
    assert answer.rate is not None and exact - 1e-9 <= answer.rate <= exact + 1e-14
    assert np.asarray(answer.metric.gain(jnp.eye(n))) == pytest.approx(1)  # the identity
    # The best theorem in its own metric is at least as good.
    best = certify(network(weight))
    assert isinstance(best, Certificate) and best.rate is not None
    assert best.rate >= answer.rate - 1e-9


def test_T27_the_rate_is_at_most_one_minus_the_norm():
    """Certainly so, with all singular values to 80 digits."""
    for seed in range(10):
        weight = of_norm(seed, 3, 0.95)
        rate = in_identity(weight).rate
        with flint.ctx.workprec(300):
            W = arb_mat(weight.tolist())
            squares = [z.real.sqrt() for z in acb_mat(W.transpose() * W).eig()]
            assert rate is not None and all(arb(rate) <= 1 - s for s in squares)


@pytest.mark.parametrize("n", [1, 3, 8])
@pytest.mark.parametrize("c", [1.0, 1 + 1e-12, 1.001, 1.5, 20.0])
def test_T27_multiples_of_the_identity_above_one_are_refused(n: int, c: float):
    """For `c > 1` there are `3^n` equilibria: no metric contracts. At `c = 1` there is no rate."""
    answer = certify(network(c * np.eye(n)))
    assert isinstance(answer, Unknown | Refuted)
    if c >= 1.001:
        assert isinstance(answer, Refuted)


@pytest.mark.parametrize("norm", [1.0, 1 + 1e-15, 1.01])
def test_T27_rotations_of_norm_one_or_more_are_refused_in_the_euclidean_norm(norm: float):
    turn = norm * np.array([[0.6, -0.8], [0.8, 0.6]])
    theorems, euclidean = (SingularValue(),), DiagonalMetric(jnp.ones(2))
    assert isinstance(certify(network(turn), metric=euclidean, theorems=theorems), Unknown)


@pytest.mark.parametrize("seed", range(3))
def test_T27_two_trajectories_approach_at_no_less_than_the_certified_rate(seed: int):
    """Euler steps `h`: `exp(-rate t)` and a little for the error of a step, of the order `h`."""
    n, step, count = 12, 1e-3, 3000
    weight = of_norm(seed, n, 0.8)
    answer = in_identity(weight)
    assert answer.rate is not None
    euler = discretise(network(weight), ExplicitEuler(step))
    rng = np.random.default_rng(seed)
    starts = [jnp.asarray(scale * rng.standard_normal((4, n))) for scale in (1.0, 3.0)]
    quiet = jnp.zeros((4, count, 0))
    pairs = [(start, quiet) for start in starts]
    distances = np.asarray(measure_distances(euler, answer.metric, pairs[0], pairs[1]))
    times = step * np.arange(count + 1)
    bound = distances[:, :1] * np.exp(-answer.rate * times)
    assert (distances <= bound * (1 + 4 * step * times) + 1e-12).all()
    # They do approach: not slower than at the certified rate, and to much less than before.
    assert (distances[:, -1] < 0.7 * distances[:, 0]).all()


def test_T27_a_bistable_network_keeps_its_trajectories_apart():
    """Negative control: where nothing is certified, two trajectories really stay apart."""
    euler = discretise(network(1.5 * np.eye(2)), ExplicitEuler(0.01))
    ends = [
        np.asarray(simulate(euler, sign * jnp.full(2, 0.1), steps=3000).states[-1])
        for sign in (1.0, -1.0)
    ]
    assert np.linalg.norm(ends[0] - ends[1]) > 1.0
