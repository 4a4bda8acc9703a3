"""Lipschitz recurrent networks: a linear part beside the activation. A baseline without proof."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow
from limitset._types import Input, State, Time
from limitset.networks._activation import TANH, Activation, find_activation


class LipschitzNetwork(AbstractFlow):
    """`dx/dt = linear x + phi(weight x + input_weight u + bias)`, as a flow.

    Here for comparison: no theorem of limitset speaks of it, and conditions on the symmetric parts
    of `linear` and `weight` bound its growth, they do not make it contract.

    **Arguments:** `linear`, `weight` (n, n); `input_weight` (n, m); `bias` (n,).

    **Raises:** `InputProblem` if shapes do not fit.

    **Reference:** arXiv 2006.12070.

    >>> import jax.numpy as jnp
    >>> zero = jnp.zeros((2, 2))
    >>> LipschitzNetwork(zero, zero, jnp.ones((2, 1)), jnp.zeros(2)).state_size
    2
    """

    linear: Float[Array, "n n"]
    weight: Float[Array, "n n"]
    input_weight: Float[Array, "n m"]
    bias: Float[Array, " n"]
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        size = self.bias.shape[-1] if self.bias.ndim == 1 else 0
        square, rows = (size, size), self.input_weight.shape[:1]
        if self.linear.shape != square or self.weight.shape != square or rows != (size,):
            raise InputProblem(
                f"linear {self.linear.shape}, weight {self.weight.shape}, input_weight "
                f"{self.input_weight.shape} and bias {self.bias.shape} do not fit; give (n, n), "
                "(n, n), (n, m) and (n,)"
            )

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.bias.shape[-1]

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.input_weight.shape[-1]

    def velocity(self, t: Time, x: State, u: Input) -> State:
        """`dx/dt`; autonomous, so `t` is not used."""
        del t
        driven = self.activation(self.weight @ x + self.input_weight @ u + self.bias)
        return self.linear @ x + driven


def blend(free: Float[Array, "n n"], skewness: float, damping: float) -> Float[Array, "n n"]:
    """`(1 - skewness) (F + F^T) + skewness (F - F^T) - damping I`.

    >>> import jax.numpy as jnp
    >>> blend(jnp.array([[0.0, 1.0], [0.0, 0.0]]), 1.0, 0.5).tolist()
    [[-0.5, 1.0], [-1.0, -0.5]]
    """
    symmetric, skew = free + free.T, free - free.T
    identity = jnp.eye(free.shape[0], dtype=free.dtype)
    return (1 - skewness) * symmetric + skewness * skew - damping * identity
