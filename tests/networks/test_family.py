"""Families of networks: the weights at a parameter, and what does not fit."""

import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem, RateNetwork
from limitset.networks import RateFamily, gain_family, shift_family, widened


def test_weights_move_along_the_direction():
    rng = np.random.default_rng(0)
    weight, direction = (jnp.asarray(rng.standard_normal((3, 3))) for _ in range(2))
    network = RateNetwork(weight, jnp.ones((3, 2)), jnp.ones(3), form="firing_rate", leak=0.5)
    family = RateFamily(network, direction)
    member, x = family.at(0.25), jnp.asarray(rng.standard_normal(3))
    assert np.allclose(member.weight, weight + 0.25 * direction, rtol=0, atol=1e-15)
    assert member.form == network.form and member.activation == network.activation
    expected = -0.5 * x + np.tanh((weight + 0.25 * direction) @ x + 1)
    assert np.allclose(family(x, jnp.asarray(0.25)), expected, rtol=0, atol=1e-14)


def test_gain_and_shift():
    network = RateNetwork(jnp.array([[0.0, -2.0], [2.0, 0.0]]))
    assert (gain_family(network).at(0.5).weight == 0.5 * network.weight).all()
    assert (shift_family(network).at(0.5).weight == network.weight + 0.5 * jnp.eye(2)).all()


def test_widening_keeps_every_number():
    network = RateNetwork(jnp.array([[0.1, -2.0], [0.3, 0.0]], jnp.float32))
    wide = widened(shift_family(network))
    assert wide.network.weight.dtype == wide.direction.dtype == jnp.float64
    assert (wide.network.weight == np.asarray(network.weight, np.float64)).all()


def test_what_does_not_fit():
    network = RateNetwork(jnp.zeros((2, 2)))
    with pytest.raises(InputProblem, match=r"direction has shape \(3, 3\).*need \(2, 2\)"):
        RateFamily(network, jnp.zeros((3, 3)))
    with pytest.raises(InputProblem, match="convert both"):
        RateFamily(network, jnp.zeros((2, 2), jnp.float32))
