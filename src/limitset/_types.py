"""Array types shared by all folders that use JAX, and limitset's precision policy."""

import jax
from jaxtyping import Array, Float, Int

# Analysis and proof need float64, and JAX rounds to float32 silently unless told otherwise before
# the first array is made. Training may still use float32 arrays: dtypes are always explicit.
jax.config.update("jax_enable_x64", True)

State = Float[Array, " n"]
Input = Float[Array, " m"]
Matrix = Float[Array, "n n"]
Time = float | Float[Array, ""]
StepIndex = int | Int[Array, ""]

__all__ = ["Input", "Matrix", "State", "StepIndex", "Time"]
