"""Newton's method on augmented systems, in float64; nothing is proved."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Unknown = Float[np.ndarray, " k"]


def newton(
    expand: Callable[[Float[Array, " k"]], tuple[Array, Array]], start: Unknown
) -> Unknown | None:
    """Where steps become as small as roundoff, or `None` where they do not.

    **Arguments:** `expand` gives the value of the system and its Jacobian.
    """
    unknown = start
    for _ in range(20):
        value, jacobian = (np.asarray(part) for part in expand(jnp.asarray(unknown)))
        try:
            change = np.linalg.solve(jacobian, value)
        except np.linalg.LinAlgError:
            return None
        unknown = unknown - change
        size = np.linalg.norm(change)
        if not np.isfinite(size):
            return None
        if size <= 1e-12 * (1 + np.linalg.norm(unknown)):
            return unknown
    return None


@eqx.filter_jit
def state_jacobian(
    field: Any, state: Float[Array, " n"], parameter: Float[Array, ""]
) -> Float[Array, "n n"]:
    """The derivative of a field by its state."""
    return jax.jacfwd(lambda x: field(x, parameter))(state)
