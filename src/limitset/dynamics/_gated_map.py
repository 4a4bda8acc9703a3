"""Gated units as a map: their own steps at the speeds that the input sets, then the coupling."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.dynamics._propagator import propagator
from limitset.dynamics._scheme import AbstractScheme, ExplicitEuler, SplitScheme
from limitset.networks import GatedAssembly, GatedRate


class GatedMap(AbstractMap):
    """`x+ = propagator (x + step * units(x, u))`: gated units, and a coupling that is split off.

    `propagator` is the rounded propagator of the coupling over one step, computed once, outside
    any loop; `None` for units without coupling. `step` is stored as an array: a certificate is
    about the numbers that run.
    """

    units: GatedRate
    step: Float[Array, ""]
    propagator: Float[Array, "n n"] | None
    scheme: AbstractScheme

    def __check_init__(self) -> None:
        size, own = self.units.state_size, self.units.self_weight.dtype
        if self.step.shape != () or self.step.dtype != own:
            raise InputProblem(f"step is {self.step.dtype}{self.step.shape}; give one {own} number")
        if self.propagator is None:
            return
        if self.propagator.shape != (size, size) or self.propagator.dtype != own:
            raise InputProblem(
                f"propagator is {self.propagator.dtype}{self.propagator.shape}; {size} units need "
                f"{own}({size}, {size})"
            )

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.units.state_size

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.units.input_size

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state; `n` is not used."""
        del n
        gates, entering = self.units.enter(u)
        change = self.units.self_weight * self.units.activation(x) + entering - x
        local = x + (self.step * gates) * change
        return local if self.propagator is None else self.propagator @ local


def discretise_gated(flow: GatedRate | GatedAssembly, scheme: AbstractScheme) -> GatedMap:
    """The map of gated units: explicit Euler without a coupling, a split scheme with one."""
    units = flow if isinstance(flow, GatedRate) else flow.units
    step = jnp.asarray(scheme.step, units.self_weight.dtype)
    if isinstance(flow, GatedRate) and isinstance(scheme, ExplicitEuler):
        return GatedMap(units, step, None, scheme)
    if isinstance(flow, GatedAssembly) and isinstance(scheme, SplitScheme):
        return GatedMap(units, step, propagator(flow.coupling, scheme), scheme)
    needed = "ExplicitEuler" if isinstance(flow, GatedRate) else "SemiImplicit, Cayley or Rotation"
    raise InputProblem(
        f"{type(scheme).__name__} does not apply to {type(flow).__name__}; use {needed}"
    )
