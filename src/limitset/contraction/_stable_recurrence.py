"""Free parameters -> diagonal recurrences that contract for every value of them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset.contraction._metric import DiagonalMetric
from limitset.contraction._parametrisation import AbstractParametrisation
from limitset.networks import DiagonalRecurrence

# Beyond these, exponentials of the free parameters overflow, or say nothing new.
_LARGEST_LOG_LOG, _LARGEST_LOG_ANGLE = 4.0, float(np.log(np.pi))


class StableRecurrence(AbstractParametrisation):
    """Free parameters of a diagonal recurrence with `|lambda| < 1` for every value they can take.

    `|lambda| = exp(-exp(log_log_modulus))`, `arg lambda = exp(log_angle)`, at most pi, and inputs
    enter as `gamma * (input_weight u + bias)` with `gamma = sqrt(1 - |lambda|^2)`: then states
    driven by noise are of one size, however long the memory. The modulus is kept so far below 1
    that the rounded parts of `lambda` satisfy the bound too, in float32 as in float64.

    **Arguments:** `log_log_modulus`, `log_angle` (n,); `input_weight` (2n, m), `bias` (2n,), rows
    of real parts first. Any values.

    **Reference:** arXiv 2303.06349.
    """

    log_log_modulus: Float[Array, " n"]
    log_angle: Float[Array, " n"]
    input_weight: Float[Array, "2*n m"]
    bias: Float[Array, " 2*n"]

    def __check_init__(self) -> None:
        shape = self.log_log_modulus.shape
        size = 2 * shape[0] if len(shape) == 1 else -1
        fits = self.log_angle.shape == shape and self.input_weight.shape[:1] == (size,)
        if not (fits and self.bias.shape == (size,)):
            raise InputProblem(
                f"log_log_modulus {shape}, log_angle {self.log_angle.shape}, input_weight "
                f"{self.input_weight.shape} and bias {self.bias.shape} do not fit; give (n,), "
                "(n,), (2n, m) and (2n,)"
            )

    def explicit(self) -> DiagonalRecurrence:
        """The recurrence that runs. Compute it once per update, outside any loop over time."""
        dtype = self.log_log_modulus.dtype
        decay = jnp.exp(jnp.minimum(self.log_log_modulus, _LARGEST_LOG_LOG))
        # Cosine, sine and the two products err by a few units in the last place.
        modulus = jnp.minimum(jnp.exp(-decay), 1 - 16 * float(jnp.finfo(dtype).eps))
        angle = jnp.exp(jnp.minimum(self.log_angle, _LARGEST_LOG_ANGLE))
        gamma = jnp.tile(jnp.sqrt((1 - modulus) * (1 + modulus)), 2)
        return DiagonalRecurrence(
            modulus * jnp.cos(angle),
            modulus * jnp.sin(angle),
            gamma[:, None] * self.input_weight,
            gamma * self.bias,
        )

    def metric(self) -> DiagonalMetric:
        """The Euclidean metric; a proposal that `certify` still verifies."""
        return DiagonalMetric(jnp.ones(2 * self.log_log_modulus.shape[0]))

    def idle(self) -> int:
        """None."""
        return 0


def random_stable_recurrence(
    key: Key[Array, ""],
    *,
    units: int,
    inputs: int,
    r_min: float = 0.9,
    r_max: float = 0.999,
    max_angle: float = 0.314,
) -> StableRecurrence:
    """Random free parameters (float32): `lambda` uniform on a sector of a ring.

    **Arguments:** `units`, complex ones; `inputs`; `r_min` and `r_max`, the ring's radii: a unit of
    modulus `r` remembers about `1 / (1 - r)` steps; `max_angle` in radians per step.

    **Raises:** `InputProblem` for sizes, radii or angles that do not fit.

    >>> import jax
    >>> random_stable_recurrence(jax.random.key(0), units=3, inputs=2).explicit().state_size
    6
    """
    if units < 1 or inputs < 0:
        raise InputProblem(f"units {units}, inputs {inputs}; give at least 1 and 0")
    if not (0 <= r_min < r_max < 1 and 0 < max_angle <= np.pi):
        raise InputProblem(
            f"r_min {r_min}, r_max {r_max}, max_angle {max_angle}; give 0 <= r_min < r_max < 1 and "
            "an angle in (0, pi]"
        )
    radius_key, angle_key, input_key = jax.random.split(key, 3)
    # Away from 0, where the logarithms are infinite.
    least = max(r_min**2, 1e-6 * r_max**2)
    square = jax.random.uniform(radius_key, (units,), jnp.float32, least, r_max**2)
    angle = jax.random.uniform(angle_key, (units,), jnp.float32, 1e-3 * max_angle, max_angle)
    weight = jax.random.normal(input_key, (2 * units, inputs), jnp.float32)
    return StableRecurrence(
        jnp.log(-0.5 * jnp.log(square)),
        jnp.log(angle),
        weight / max(2 * inputs, 1) ** 0.5,
        jnp.zeros(2 * units, jnp.float32),
    )
