"""The gain below which every trajectory decays: bounds, reducible weights, runs below it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem
from limitset.analysis import RungeKutta4
from limitset.networks import GatedParameters, random_gated_network
from limitset.proofs import decay_gain


@pytest.mark.parametrize("seed", range(5))
def test_the_gain_is_below_the_reciprocal_of_the_radius_and_near_it(seed):
    weight = np.random.default_rng(seed).normal(size=(12, 12)) / 12**0.5
    radius = np.abs(np.linalg.eigvals(np.abs(weight))).max()
    assert 0.999 < decay_gain(weight) * radius < 1


@pytest.mark.parametrize(
    "weight",
    [
        np.array([[0.5, 7.0], [0.0, 0.25]]),
        np.array([[0.5, 0.0], [0.0, 4.0]]),
        np.diag([1e-3, 1.0, 1e3]) @ np.ones((3, 3)),
        np.eye(3)[[1, 2, 0]],
    ],
)
def test_reducible_and_graded_weights_are_never_overrated(weight):
    radius = np.abs(np.linalg.eigvals(np.abs(weight))).max()
    assert 0 < decay_gain(weight) <= 1 / radius


def test_without_weights_everything_decays():
    assert decay_gain(np.zeros((3, 3))) > 1e200


def test_nan_is_no_weight():
    with pytest.raises((InputProblem, np.linalg.LinAlgError)):
        decay_gain(np.array([[np.nan]]))


def test_trajectories_decay_below_it():
    """Steep gates and a start far away; the weighted maximum falls at every step."""
    parameters = GatedParameters(output_gain=20.0, update_gain=3.0)
    network = random_gated_network(jax.random.key(0), 15, parameters)
    gain = 0.98 * decay_gain(np.asarray(network.state_weight))
    slow = random_gated_network(
        jax.random.key(0), 15, GatedParameters(gain=gain, output_gain=20.0, update_gain=3.0)
    )
    values, vectors = np.linalg.eig(np.abs(np.asarray(slow.state_weight)))
    weights = np.abs(np.real(vectors[:, np.argmax(np.real(values))]))
    rule, x = RungeKutta4(0.05), 3 * jax.random.normal(jax.random.key(1), (45,))
    sizes = []
    for n in range(200):
        sizes.append(np.max(np.abs(np.asarray(x[:15])) / weights))
        x = rule.move(slow, n, x, jnp.zeros(0))
    assert (np.diff(sizes) < 1e-9).all() and sizes[-1] < sizes[0]
