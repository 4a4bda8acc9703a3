"""Families of maps: the weights at a parameter, what the field is, and what does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem, RateNetwork
from limitset.dynamics import (
    ExplicitEuler,
    ExponentialEuler,
    MapFamily,
    RateMap,
    discretise,
    gain_map_family,
    shift_map_family,
)
from limitset.networks import Elman, random_elman

RNG = np.random.default_rng(0)
WEIGHT, DIRECTION = (jnp.asarray(RNG.standard_normal((3, 3))) for _ in range(2))
BIAS, STATE = RNG.standard_normal((2, 3))


def stepped(scheme: type[ExplicitEuler] | type[ExponentialEuler]) -> RateMap:
    network = RateNetwork(WEIGHT, jnp.ones((3, 2)), jnp.asarray(BIAS), form="firing_rate", leak=0.5)
    step = discretise(network, scheme(0.25))
    assert isinstance(step, RateMap)
    return step


@pytest.mark.parametrize("scheme", [ExplicitEuler, ExponentialEuler])
def test_a_stored_map_keeps_its_constants(scheme: type[ExplicitEuler]):
    step = stepped(scheme)
    family = MapFamily(step, DIRECTION)
    weight = WEIGHT + 0.75 * DIRECTION
    drive = np.tanh(np.asarray(weight) @ STATE + BIAS)
    expected = float(step.keep) * STATE + float(step.gain) * drive
    assert np.allclose(family(jnp.asarray(STATE), jnp.asarray(0.75)), expected, rtol=0, atol=1e-14)
    assert family.state_size == 3 and (family.weight == WEIGHT).all()
    member = family.at(0.75)
    assert isinstance(member, RateMap) and np.allclose(member.network.weight, weight)


def test_elman_cells():
    cell = random_elman(jax.random.key(1), 3, 2)
    family = MapFamily(cell, jnp.eye(3, dtype=cell.weight_hh.dtype))
    x = jnp.asarray(STATE, cell.weight_hh.dtype)
    weight = cell.weight_hh + 0.5 * jnp.eye(3)
    expected = jnp.tanh(weight @ x + cell.bias_ih + cell.bias_hh)
    assert np.allclose(family(x, 0.5), expected, atol=1e-6)
    member = family.at(0.5)
    assert isinstance(member, Elman) and (member.weight_ih == cell.weight_ih).all()


def test_gain_and_shift():
    step = stepped(ExplicitEuler)
    for parameter in (0.0, 0.5, -2.0):
        gain, shift = (f(step).at(parameter) for f in (gain_map_family, shift_map_family))
        assert isinstance(gain, RateMap) and isinstance(shift, RateMap)
        assert (gain.network.weight == parameter * WEIGHT).all()
        assert (shift.network.weight == WEIGHT + parameter * jnp.eye(3)).all()


def test_what_does_not_fit():
    step = stepped(ExplicitEuler)
    with pytest.raises(InputProblem, match=r"of shape \(2, 2\).*of shape \(3, 3\)"):
        MapFamily(step, jnp.zeros((2, 2)))
    with pytest.raises(InputProblem, match="float32.*float64"):
        MapFamily(step, jnp.zeros((3, 3), jnp.float32))
