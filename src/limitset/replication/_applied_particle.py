"""A particle with its weights: what a model folder of the kind `particle` holds."""

import equinox as eqx
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.replication._particle import apply_to
from limitset.replication._particle_spec import ParticleSpec


class Particle(AbstractMap):
    """A particle of given weights, as a map of the weights that it is applied to.

    `x_i -> N(x_i, place of i, 0, ...)`, with `N` of these weights: a self-replicator maps its
    own weights to themselves, and a linear one maps all weights to themselves. `SelfApplication`
    is the map of a particle that rewrites itself.

    **Arguments:** `spec`; `weights` of shape `(n,)`.

    **Raises:** `InputProblem` for weights of another shape.

    **Example:**

    >>> import jax.numpy as jnp
    >>> perfect = Particle(ParticleSpec(), jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0))
    >>> bool((perfect.advance(0, perfect.weights, jnp.zeros(0)) == perfect.weights).all())
    True

    **Reference:** arXiv 2212.10078.
    """

    spec: ParticleSpec = eqx.field(static=True)
    weights: Float[Array, " n"]

    def __check_init__(self) -> None:
        if self.weights.shape != (self.spec.weight_count,):
            raise InputProblem(
                f"weights has shape {self.weights.shape}; this particle needs "
                f"({self.spec.weight_count},)"
            )

    @property
    def state_size(self) -> int:
        """The weights that it may be applied to, as many as its own."""
        return self.spec.weight_count

    @property
    def input_size(self) -> int:
        """None."""
        return 0

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """What the particle answers when asked for the weights `x`."""
        return apply_to(self.spec, self.weights, x)
