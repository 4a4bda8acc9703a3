"""Families of maps: the recurrent weights of a stored map depend on one parameter."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._types import State
from limitset.dynamics._scheme import RateMap
from limitset.networks import Elman


class MapFamily(eqx.Module):
    """Maps with recurrent weights `W(a) = weight + a direction`, one for every `a`.

    A family is a field: `family(x, a)` is the next state after `x`, without input. `keep` and
    `gain` of a `RateMap` stay as they are stored.

    **Arguments:** `map`, a discretised `RateNetwork` or an `Elman` cell; `direction` (n, n).

    **Raises:** `InputProblem` if the direction has another shape or dtype than the weights.

    **Example:** `x+ = tanh(r R x)` for a rotation `R`, by one Euler step of length 1.

    >>> from limitset.dynamics import ExplicitEuler, discretise
    >>> from limitset.networks import RateNetwork
    >>> turn = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    >>> step = discretise(RateNetwork(turn, form="firing_rate"), ExplicitEuler(1.0))
    >>> family = gain_map_family(step)
    >>> family(jnp.array([0.0, 0.5]), 2.0).round(6).tolist()
    [-0.761594, 0.0]
    """

    map: RateMap | Elman
    direction: Float[Array, "n n"]

    def __check_init__(self) -> None:
        weight = self.weight
        if (self.direction.shape, self.direction.dtype) != (weight.shape, weight.dtype):
            raise InputProblem(
                f"direction is {self.direction.dtype} of shape {self.direction.shape}; the weights "
                f"that it changes are {weight.dtype} of shape {weight.shape}"
            )

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.map.state_size

    @property
    def weight(self) -> Float[Array, "n n"]:
        """The weights from units to units, at parameter 0."""
        return _weight(self.map)

    def at(self, parameter: float | Float[Array, ""]) -> RateMap | Elman:
        """The map at one value of the parameter."""
        return eqx.tree_at(_weight, self.map, self.weight + parameter * self.direction)

    def __call__(self, x: State, parameter: float | Float[Array, ""]) -> State:
        """The state after `x`, without input."""
        return self.at(parameter).advance(0, x, jnp.zeros(self.map.input_size, x.dtype))


def gain_map_family(map: RateMap | Elman) -> MapFamily:
    """The family `W(a) = a W` of a map: its gain as parameter."""
    weight = _weight(map)
    return MapFamily(eqx.tree_at(_weight, map, jnp.zeros_like(weight)), weight)


def shift_map_family(map: RateMap | Elman) -> MapFamily:
    """The family `W(a) = W + a I` of a map: equal self-weights as parameter."""
    return MapFamily(map, jnp.eye(map.state_size, dtype=_weight(map).dtype))


def _weight(map: RateMap | Elman) -> Any:
    return map.weight_hh if isinstance(map, Elman) else map.network.weight
