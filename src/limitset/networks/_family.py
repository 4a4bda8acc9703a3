"""Families of rate networks: weights that depend on one parameter."""

import dataclasses
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._types import State
from limitset.networks._rate import RateNetwork

System = TypeVar("System", "RateNetwork", "RateFamily")


class RateFamily(eqx.Module):
    """Rate networks `W(a) = weight + a direction`, one for every value of the parameter `a`.

    A family is a field: `family(x, a)` is the velocity at state `x`, without input. The class of
    arXiv 2202.05073, `x' = tanh((W0 + a I) x + b)`, is a firing-rate network with leak 0 and the
    identity as direction; a gain is weight 0 and the recurrent weights as direction.

    **Example:**

    >>> import jax.numpy as jnp
    >>> turn = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    >>> family = RateFamily(RateNetwork(turn), jnp.eye(2))
    >>> family.at(0.5).weight.tolist()
    [[0.5, -1.0], [1.0, 0.5]]
    """

    network: RateNetwork
    direction: Float[Array, "n n"]

    def __check_init__(self) -> None:
        if self.direction.shape != self.network.weight.shape:
            raise InputProblem(
                f"direction has shape {self.direction.shape}; the weights that it changes need "
                f"{self.network.weight.shape}"
            )
        if self.direction.dtype != self.network.weight.dtype:
            raise InputProblem(
                f"direction is {self.direction.dtype} and weight {self.network.weight.dtype}; "
                "convert both to one"
            )

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.network.state_size

    def at(self, parameter: float | Float[Array, ""]) -> RateNetwork:
        """The network at one value of the parameter."""
        constants = {
            field.name: getattr(self.network, field.name)
            for field in dataclasses.fields(self.network)
        }
        constants["weight"] = self.network.weight + parameter * self.direction
        return RateNetwork(**constants)

    def __call__(self, x: State, parameter: float | Float[Array, ""]) -> State:
        """The velocity at state `x`, without input."""
        none = jnp.zeros(self.network.input_size, x.dtype)
        return self.at(parameter).velocity(0.0, x, none)


def gain_family(network: RateNetwork) -> RateFamily:
    """The family `W(a) = a W` of a network: its gain as parameter."""
    silent = eqx.tree_at(lambda n: n.weight, network, jnp.zeros_like(network.weight))
    return RateFamily(silent, network.weight)


def shift_family(network: RateNetwork) -> RateFamily:
    """The family `W(a) = W + a I` of a network: equal self-weights as parameter."""
    return RateFamily(network, jnp.eye(network.state_size, dtype=network.weight.dtype))


def widened(system: System) -> System:
    """The same network or family in float64; every float32 number is kept exactly."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), system)
