"""The matrix by which a split step applies a linear coupling to the modules' own steps."""

import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jax.core import Tracer
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.dynamics._scheme import Cayley, Rotation, SplitScheme


def propagator(coupling: Float[Array, "n n"], scheme: SplitScheme) -> Float[Array, "n n"]:
    """The propagator of `x' = coupling x` over one step, in float64, rounded once to its dtype.

    With `L = coupling` and `h = scheme.step`: `(I - hL)^-1` for `SemiImplicit`,
    `(I - hL/2)^-1 (I + hL/2)` for `Cayley`, `exp(hL)` for `Rotation`. If `M L` is skew, none of
    them expands in the metric `M`, and the last two preserve its norm.

    **Arguments:** `coupling`, shape (n, n); `scheme`, with its `step`.

    **Returns:** shape (n, n), in the dtype of the coupling; differentiable.

    **Raises:** `InputProblem` if the matrix to be inverted is singular, which skew couplings
    exclude.
    """
    moved = scheme.step * coupling.astype(jnp.float64)
    identity = jnp.eye(coupling.shape[-1])
    if isinstance(scheme, Rotation):
        result = jsl.expm(moved, max_squarings=64)
    elif isinstance(scheme, Cayley):
        result = jnp.linalg.solve(identity - moved / 2, identity + moved / 2)
    else:
        result = jnp.linalg.inv(identity - moved)
    result = result.astype(coupling.dtype)
    if not isinstance(result, Tracer) and not jnp.isfinite(result).all():
        raise InputProblem(
            f"the propagator of {type(scheme).__name__} does not exist at step {scheme.step}; take "
            "another step, or a coupling that is skew in the modules' metric, where this cannot "
            "happen"
        )
    return result
