"""Linear recurrences with a diagonal transition: complex units, stored as real numbers."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex


class DiagonalRecurrence(AbstractMap):
    """`z+ = lambda * z + input_weight u + bias`, entry by entry, with complex `z` and `lambda`.

    The state is real: the real parts of the n complex units, then their imaginary parts, 2n
    numbers. `lambda = real + i imaginary` is stored in parts too; these are the numbers that run.

    A step is linear, so a whole sequence can be evaluated in O(log steps) rounds: `run_recurrence`.

    **Example:**

    >>> import jax.numpy as jnp
    >>> turn = DiagonalRecurrence(jnp.array([0.0]), jnp.array([0.5]))
    >>> turn.advance(0, jnp.array([1.0, 0.0]), jnp.zeros(0)).tolist()
    [0.0, 0.5]

    **Reference:** arXiv 2303.06349.
    """

    real: Float[Array, " n"]
    imaginary: Float[Array, " n"]
    input_weight: Float[Array, "2*n m"]
    bias: Float[Array, " 2*n"]

    def __init__(
        self,
        real: Float[Array, " n"],
        imaginary: Float[Array, " n"],
        input_weight: Float[Array, "2*n m"] | None = None,
        bias: Float[Array, " 2*n"] | None = None,
    ) -> None:
        """**Arguments:**

        - `real`, `imaginary`: the parts of `lambda`, shape (n,) each.
        - `input_weight`: shape (2n, m), rows of real parts first; no inputs if omitted.
        - `bias`: shape (2n,), real parts first; zero if omitted.

        **Raises:** `InputProblem` on shapes or dtypes that do not fit.
        """
        require_arrays(real=real, imaginary=imaginary)
        size = 2 * real.shape[0] if real.ndim == 1 else 0
        self.real, self.imaginary = real, imaginary
        self.input_weight = (
            jnp.zeros((size, 0), real.dtype) if input_weight is None else input_weight
        )
        self.bias = jnp.zeros(size, real.dtype) if bias is None else bias

    def __check_init__(self) -> None:
        require_arrays(input_weight=self.input_weight, bias=self.bias)
        size = 2 * self.real.shape[0] if self.real.ndim == 1 else 0
        if size == 0 or self.imaginary.shape != self.real.shape:
            raise InputProblem(
                f"real and imaginary have shapes {self.real.shape} and {self.imaginary.shape}; "
                "give both parts of lambda as vectors (n,) with n >= 1"
            )
        fits = self.input_weight.ndim == 2 and self.input_weight.shape[0] == size
        if not fits or self.bias.shape != (size,):
            raise InputProblem(
                f"input_weight {self.input_weight.shape} and bias {self.bias.shape} do not fit "
                f"{size // 2} complex units; give shapes ({size}, m) and ({size},)"
            )
        dtypes = {a.dtype for a in (self.real, self.imaginary, self.input_weight, self.bias)}
        if len(dtypes) > 1 or not jnp.issubdtype(self.real.dtype, jnp.floating):
            raise InputProblem(
                f"a recurrence has dtypes {sorted(map(str, dtypes))}; convert all its arrays to "
                "float32 or all to float64"
            )

    @property
    def state_size(self) -> int:
        """Twice the number of complex units."""
        return 2 * self.real.shape[0]

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.input_weight.shape[1]

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state; `n` is not used."""
        del n
        a, b = jnp.split(x, 2)
        turned = [self.real * a - self.imaginary * b, self.imaginary * a + self.real * b]
        return jnp.concatenate(turned) + self.input_weight @ u + self.bias
