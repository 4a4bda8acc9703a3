"""Self-application as a map on weight space: a particle rewrites itself."""

import equinox as eqx

from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.replication._particle_spec import ParticleSpec
from limitset.replication._reduction import Spec, as_reduction


class SelfApplication(AbstractMap):
    """The map `T(theta)_i = N_theta(theta_i, place of i, 0, ...)`; its fixed points replicate.

    For a linear particle `T(theta) = kappa_0(theta) theta + Pi kappa_{1:3}(theta)`. Networks that
    hear their weights otherwise, `Aggregating` and `Recurrent`, are applied to them in their way.

    **Arguments:** `spec`.

    **Example:**

    >>> import jax.numpy as jnp
    >>> perfect = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)
    >>> map_ = SelfApplication(ParticleSpec())
    >>> bool((map_.advance(0, perfect, jnp.zeros(0)) == perfect).all())
    True

    **Reference:** Gabor et al., ALIFE 2019, doi 10.1162/isal_a_00197.
    """

    spec: Spec = eqx.field(static=True, default_factory=ParticleSpec)

    @property
    def state_size(self) -> int:
        """The weights of the network."""
        return as_reduction(self.spec).weight_count

    @property
    def input_size(self) -> int:
        """None."""
        return 0

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The weights that the network with weights `x` answers when asked for them."""
        return as_reduction(self.spec).rewrite(x, x)
