"""Equilibria from many starts: all of small networks, and only true ones."""

import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem, RateNetwork
from limitset.analysis import find_equilibria
from limitset.networks import gain_family


def test_uncoupled_bistable_units_have_all_combinations():
    family = gain_family(RateNetwork(jnp.eye(2)))
    found = find_equilibria(family, 2.0, 2, starts=200)
    assert found.shape == (9, 2)
    assert np.allclose(found, 2 * np.tanh(found), rtol=0, atol=1e-9)


def test_a_contracting_network_has_one():
    rng = np.random.default_rng(0)
    weight = 0.1 * rng.standard_normal((5, 5))
    network = RateNetwork(jnp.asarray(weight), bias=jnp.asarray(rng.standard_normal(5)))
    found = find_equilibria(gain_family(network), 1.0, 5)
    assert found.shape == (1, 5)
    expected = weight @ np.tanh(found[0]) + np.asarray(network.bias)
    assert np.allclose(found[0], expected, rtol=0, atol=1e-9)


def test_where_there_is_none_none_is_found():
    assert find_equilibria(lambda x, a: 1 + a * x**2, 1.0, 2).shape == (0, 2)


def test_unusable_numbers():
    with pytest.raises(InputProblem, match="positive"):
        find_equilibria(lambda x, a: a - x, 0.0, 0)
