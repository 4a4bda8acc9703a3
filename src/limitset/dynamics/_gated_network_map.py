"""A gated network as a map that no gate makes stiff."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.dynamics._scheme import ExponentialEuler
from limitset.networks import GatedNetwork


class GatedNetworkMap(AbstractMap):
    """One exponential step of a gated network: each variable decays exactly, the rest is frozen.

    - `h+ = R + exp(-step sigma_z(z)) (h - R)`, `R = state_weight (phi(h) * sigma_r(r)) + I_h`
    - `z+ = Z + update_keep (z - Z)`, `Z = update_weight phi(h) + I_z`
    - `r+ = Q + output_keep (r - Q)`, `Q = output_weight phi(h) + I_r`

    New values are between old ones and targets for every step, so that steep gates and fast ones
    (`update_time` far below `step`) are harmless; of order 1 in the step. `step`, `update_keep` and
    `output_keep` are stored as arrays, not as formulas.

    **Reference:** Hochbruck and Ostermann, Acta Numerica 19 (2010).
    """

    network: GatedNetwork
    step: Float[Array, ""]
    update_keep: Float[Array, ""]
    output_keep: Float[Array, ""]
    scheme: ExponentialEuler

    def __check_init__(self) -> None:
        own = self.network.state_weight.dtype
        for name in ("step", "update_keep", "output_keep"):
            value = getattr(self, name)
            if value.shape != () or value.dtype != own:
                raise InputProblem(f"{name} is {value.dtype}{value.shape}; give one {own} number")

    @property
    def state_size(self) -> int:
        """Three times the number of units."""
        return self.network.state_size

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.network.input_size

    def keep(self, z: State) -> State:
        """The share of `h - R` that one step leaves, `exp(-step sigma_z(z))`."""
        return jnp.exp(-self.step * self.network.parameters.update_gate(z))

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state; `n` is not used."""
        del n
        network, own = self.network, self.network.parameters
        h, z, r = jnp.split(x, 3)
        state_input, update_input, output_input = network.enter(u)
        said = own.phi(h)
        target = network.state_weight @ (said * own.output_gate(r)) + state_input
        update = network.update_weight @ said + update_input
        output = network.output_weight @ said + output_input
        return jnp.concatenate(
            [
                target + self.keep(z) * (h - target),
                update + self.update_keep * (z - update),
                output + self.output_keep * (r - output),
            ]
        )


def discretise_gated_network(network: GatedNetwork, scheme: ExponentialEuler) -> GatedNetworkMap:
    """The map of a gated network, its constants computed in float64 and rounded once."""
    own, dtype = network.parameters, network.state_weight.dtype
    update_keep, output_keep = (
        jnp.exp(-scheme.step / time.astype(jnp.float64)).astype(dtype)
        for time in (own.update_time, own.output_time)
    )
    step = jnp.asarray(scheme.step, dtype)
    return GatedNetworkMap(network, step, update_keep, output_keep, scheme)
