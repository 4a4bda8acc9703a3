"""Families of biases: the field of flows and of maps, and what does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem, RateNetwork
from limitset.dynamics import BiasFamily, ExplicitEuler, RateMap, discretise
from limitset.networks import random_elman

WEIGHT = jnp.asarray(np.random.default_rng(0).standard_normal((2, 2)))
X, D = jnp.array([0.25, -0.5]), jnp.array([1.0, -2.0])


@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_a_constant_input_does_the_same(form: str):
    network = RateNetwork(WEIGHT, D[:, None], jnp.array([0.5, 0.25]), form=form, time_constant=2.0)
    step = discretise(network, ExplicitEuler(0.5))
    assert isinstance(step, RateMap)
    u = jnp.array([0.75])
    flow, stepped = BiasFamily(network, D), BiasFamily(step, D)
    assert np.allclose(flow(X, 0.75), network.velocity(0.0, X, u), rtol=0, atol=1e-15)
    assert np.allclose(stepped(X, jnp.asarray(0.75)), step.advance(0, X, u), rtol=0, atol=1e-15)
    assert flow.state_size == stepped.state_size == 2


def test_elman_cells():
    cell = random_elman(jax.random.key(1), 2, 1)
    d = D.astype(cell.bias_hh.dtype)
    x = X.astype(d.dtype)
    expected = jnp.tanh(cell.weight_hh @ x + cell.bias_ih + cell.bias_hh + 0.5 * d)
    assert np.allclose(BiasFamily(cell, d)(x, 0.5), expected, atol=1e-6)


def test_what_does_not_fit():
    network = RateNetwork(WEIGHT)
    with pytest.raises(InputProblem, match=r"of shape \(3,\).*of shape \(2,\)"):
        BiasFamily(network, jnp.zeros(3))
    with pytest.raises(InputProblem, match="float32.*float64"):
        BiasFamily(network, jnp.zeros(2, jnp.float32))
