"""Candidates of Hopf points: known ones are found, nothing else is."""

import jax.numpy as jnp
import numpy as np
import pytest

from limitset import RateNetwork
from limitset.analysis import find_hopf_points
from limitset.dynamics import hopf_system
from limitset.networks import gain_family, shift_family


def biased(seed: int, size: int) -> RateNetwork:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((size, size)) / np.sqrt(size)
    bias = 0.8 * rng.standard_normal(size)
    return RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate")


@pytest.mark.parametrize(
    ("seed", "size", "known"),
    [
        (13, 12, [(2.0213891487176, 0.5409817879476)]),
        (
            32,
            5,
            [(1.7862389481475, None), (2.7862936699465, 1.283705338926), (5.659832355004, None)],
        ),
    ],
)
def test_all_points_of_biased_networks(seed: int, size: int, known: list):
    network = biased(seed, size)
    found = find_hopf_points(gain_family(network), [np.tanh(network.bias)], (0.0, 8.0), step=0.1)
    assert len(found) == len(known)
    for candidate, (parameter, frequency) in zip(found, known, strict=True):
        assert candidate.parameter == pytest.approx(parameter, abs=1e-11)
        if frequency is not None:
            assert candidate.frequency == pytest.approx(frequency, abs=1e-11)


def test_candidates_solve_the_augmented_system():
    network = biased(32, 5)
    family = gain_family(network)
    for c in find_hopf_points(family, [np.tanh(network.bias)], (0.0, 8.0)):
        phi = np.imag(c.vector) / np.linalg.norm(np.imag(c.vector)) ** 2
        phase = c.vector * (1j / (phi @ c.vector))
        unknown = np.concatenate([[c.parameter, c.frequency], c.state, phase.real, phase.imag])
        value = hopf_system(family, jnp.asarray(phi), jnp.asarray(unknown))
        assert np.abs(value).max() < 1e-10


def test_real_crossings_are_no_hopf_points():
    family = shift_family(RateNetwork(jnp.diag(jnp.array([0.3, -0.2, 0.1]))))
    assert find_hopf_points(family, [np.zeros(3)], (0.0, 3.0)) == ()


def test_two_pairs_that_cross_together_are_two_points():
    """Equal parameters, different frequencies: neither may hide the other."""
    turn = np.kron(np.diag([1.0, 2.0]), np.array([[0.0, -1.0], [1.0, 0.0]]))
    family = shift_family(RateNetwork(jnp.asarray(turn)))
    found = find_hopf_points(family, [np.zeros(4)], (0.0, 2.0), step=0.3)
    assert {round(c.frequency, 9) for c in found} <= {1.0, 2.0} and len(found) >= 1
    assert all(c.parameter == pytest.approx(1.0, abs=1e-10) for c in found)
