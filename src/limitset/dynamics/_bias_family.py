"""Families of networks and maps whose bias depends on one parameter: a constant input."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._types import State
from limitset.dynamics._scheme import RateMap
from limitset.networks import Elman, RateNetwork

System = RateNetwork | RateMap | Elman


class BiasFamily(eqx.Module):
    """Networks with the bias `bias + a direction`, one for every value of the parameter `a`.

    A family is a field: `family(x, a)` is the velocity at `x` of a `RateNetwork`, and the next
    state after `x` of a map, without further input.

    **Arguments:** `system`, a `RateNetwork`, a discretised one, or an `Elman` cell; `direction`
    (n,).

    **Raises:** `InputProblem` if the direction has another shape or dtype than the bias.

    **Example:** `x' = -x + 2 tanh(x) + a`.

    >>> family = BiasFamily(RateNetwork(jnp.array([[2.0]])), jnp.array([1.0]))
    >>> family(jnp.zeros(1), 0.5).tolist()
    [0.5]
    """

    system: System
    direction: Float[Array, " n"]

    def __check_init__(self) -> None:
        bias = _bias(self.system)
        if (self.direction.shape, self.direction.dtype) != (bias.shape, bias.dtype):
            raise InputProblem(
                f"direction is {self.direction.dtype} of shape {self.direction.shape}; the bias "
                f"that it changes is {bias.dtype} of shape {bias.shape}"
            )

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.system.state_size

    def at(self, parameter: float | Float[Array, ""]) -> System:
        """The system at one value of the parameter."""
        bias = _bias(self.system) + parameter * self.direction
        return eqx.tree_at(_bias, self.system, bias)

    def __call__(self, x: State, parameter: float | Float[Array, ""]) -> State:
        """The velocity at state `x`, or the state after it, without input."""
        member = self.at(parameter)
        none = jnp.zeros(member.input_size, x.dtype)
        if isinstance(member, RateNetwork):
            return member.velocity(0.0, x, none)
        return member.advance(0, x, none)


def _bias(system: System) -> Any:
    if isinstance(system, Elman):
        return system.bias_hh
    return system.network.bias if isinstance(system, RateMap) else system.bias
