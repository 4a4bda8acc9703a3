"""The GRU as first published: the reset gate acts before the product."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex


class ResetBeforeGRU(AbstractMap):
    """A GRU cell with the reset gate before the product; gates stacked as (reset, update, new).

    `r = s(W_ir u + U_r x + b_r)`, `z = s(W_iz u + U_z x + b_z)`,
    `c = tanh(W_in u + U_n (r * x) + b_n)`, `x+ = (1 - z) * c + z * x`.

    PyTorch and cuDNN run the other placement, `r * (U_n x + b)`: that is `GRU`. A large `z` keeps
    here as there.

    **Arguments:** `weight_ih` (3n, m), `weight_hh` (3n, n), `bias` (3n,).

    **Raises:** `InputProblem` on shapes that do not fit.

    **Example:**

    >>> import jax.numpy as jnp
    >>> cell = ResetBeforeGRU(jnp.zeros((6, 1)), jnp.zeros((6, 2)), jnp.zeros(6))
    >>> cell.advance(0, jnp.ones(2), jnp.zeros(1)).tolist()
    [0.5, 0.5]

    **Reference:** arXiv 1406.1078.
    """

    weight_ih: Float[Array, "gates m"]
    weight_hh: Float[Array, "gates n"]
    bias: Float[Array, " gates"]

    def __check_init__(self) -> None:
        require_arrays(weight_ih=self.weight_ih, weight_hh=self.weight_hh, bias=self.bias)
        size = self.weight_hh.shape[-1] if self.weight_hh.ndim else 0
        inputs = self.weight_ih.shape[-1] if self.weight_ih.ndim else 0
        shapes = [self.weight_ih.shape, self.weight_hh.shape, self.bias.shape]
        if size == 0 or shapes != [(3 * size, inputs), (3 * size, size), (3 * size,)]:
            raise InputProblem(
                f"ResetBeforeGRU tensors have shapes {shapes}; weight_ih (3n, m), weight_hh "
                "(3n, n) and bias (3n,) are needed"
            )

    @property
    def state_size(self) -> int:
        """Number of hidden units."""
        return self.weight_hh.shape[-1]

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.weight_ih.shape[-1]

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next hidden state; `n` is not used."""
        del n
        size = self.state_size
        entering = self.weight_ih @ u + self.bias
        gates = jax.nn.sigmoid(entering[: 2 * size] + self.weight_hh[: 2 * size] @ x)
        reset, update = jnp.split(gates, 2)
        new = jnp.tanh(entering[2 * size :] + self.weight_hh[2 * size :] @ (reset * x))
        return (1 - update) * new + update * x
