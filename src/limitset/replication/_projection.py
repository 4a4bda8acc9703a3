"""From a linear particle to one that copies itself: a new first matrix, in closed form."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.replication._linear_theory import (
    Numbers,
    deviation,
    first_matrix,
    largest_weight,
    later_product,
    read_weights,
)
from limitset.replication._particle_spec import QUESTION, ParticleSpec

# Squared length of `u` from which on numbers divided by it are still finite.
_SMALLEST = 1e-200


@dataclass(frozen=True)
class Projection:
    """Particles moved onto the self-replicators, up to rounding.

    **Arguments:** `weights`, in the dtype of those that were given; `distance`, how far each
    particle was moved (Euclidean, over all weights); `deviation`, `kappa_{0:3} - (1, 0, 0, 0)` of
    what came out, evaluated in float64: what rounding has left.
    """

    weights: Float[Array, "*batch n"]
    distance: Float[np.ndarray, "*batch"]
    deviation: Float[np.ndarray, "*batch 4"]


def project_to_replicator(spec: ParticleSpec, weights: Float[Numbers, "*batch n"]) -> Projection:
    """Self-replicators near linear particles, with the same answers to the task.

    With `u = W_L ... W_2`, columns `j = 0, ..., 3` of `W_1` become `w_j + u^T (e0_j - u w_j) /
    |u|^2`. Then `kappa_{0:3} = (1, 0, 0, 0)`. No smaller change of these columns alone does this;
    its length is `|delta| / |u|`. All other weights stay as they are, bit for bit, and so do
    `kappa_4, ...`, which answer the task.

    **Arguments:** `spec`, with linear particles; `weights`, one vector or a batch of them, float32
    or float64.

    **Returns:** the projected particles. They are replicators up to rounding;
    `project_exactly` gives true ones.

    **Raises:** `InputProblem` for particles that are not linear, weights that do not fit, and
    particles whose later matrices have the product 0: they answer 0 whatever their first matrix is.

    **Example:**

    >>> import jax
    >>> from limitset.replication import draw_particles
    >>> spec = ParticleSpec(inputs=5, widths=(3, 3))
    >>> found = project_to_replicator(spec, draw_particles(jax.random.key(0), spec, 100))
    >>> bool(np.abs(found.deviation).max() < 1e-13)
    True
    """
    given = read_weights(spec, weights)
    later = later_product(spec, given)
    squared = (later**2).sum(axis=-1)
    if not (squared > _SMALLEST).all():
        raise InputProblem(
            f"{(~(squared > _SMALLEST)).sum()} of {squared.size} particles have later matrices "
            "whose product is 0 or nearly so; no first matrix makes replicators of them; leave "
            "them out"
        )
    moved = given.copy()
    columns = first_matrix(spec, moved)[..., :QUESTION]
    change = -deviation(spec, given) / squared[..., None]
    columns += later[..., :, None] * change[..., None, :]
    largest = float(np.abs(moved).max(initial=0.0))
    if largest > min(largest_weight(spec), float(jnp.finfo(weights.dtype).max)):
        raise InputProblem(
            f"weights of replicators would reach {largest:.1e}, because products of later matrices "
            "are that near 0; leave such particles out"
        )
    result = jnp.asarray(moved, weights.dtype)
    distance = np.linalg.norm(np.asarray(result, np.float64) - given, axis=-1)
    return Projection(result, np.asarray(distance), deviation(spec, result))
