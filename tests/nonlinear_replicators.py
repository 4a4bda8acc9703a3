"""Stable self-replicators with nonlinear activations, as self-application ends at them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset.networks import SIGMOID, SOFTPLUS, TANH
from limitset.replication import ParticleSpec, apply_to


@dataclass(frozen=True)
class Kept:
    """A particle, its weights to 16 digits, and a basin that is proved; 0 if none is known."""

    spec: ParticleSpec
    weights: np.ndarray
    basin: float


def settle(spec: ParticleSpec, weights: Float[Array, "N n"], steps: int) -> Float[Array, "N n"]:
    """Self-application of each, so many times."""

    @jax.jit
    def run(start: Float[Array, "N n"]) -> Float[Array, "N n"]:
        step = jax.vmap(lambda w: apply_to(spec, w, w))
        return jax.lax.fori_loop(0, steps, lambda _, w: step(w), start)

    return run(weights)


def _settled(spec: ParticleSpec, start: np.ndarray) -> np.ndarray:
    return np.asarray(settle(spec, jnp.asarray(start)[None], 500))[0]


_SIGMOID = ParticleSpec(4, (3, 3), activation=SIGMOID)
_SOFTPLUS = ParticleSpec(4, (2, 2), activation=SOFTPLUS)
_TANH = ParticleSpec(4, (3, 3), activation=TANH)
# Signs of saturated units; the sizes follow by self-application.
_SIGNS = np.array([1.0 if sign == "+" else -1.0 for sign in "+++-+-------++----------"])
REPLICATORS = {
    "sigmoid": Kept(_SIGMOID, _settled(_SIGMOID, np.full(24, -0.55)), 5e-4),
    "softplus": Kept(_SOFTPLUS, _settled(_SOFTPLUS, np.full(14, -0.4)), 5e-4),
    "tanh": Kept(_TANH, _settled(_TANH, 2 * _SIGNS), 0.0),
}
