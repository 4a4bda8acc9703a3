"""Linear readout of a state."""

import equinox as eqx
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._types import State


class LinearReadout(eqx.Module):
    """`y = weight x + bias`. It has no state, so it never changes a contraction certificate.

    **Arguments:** `weight` of shape (outputs, n), `bias` of shape (outputs,).
    """

    weight: Float[Array, "k n"]
    bias: Float[Array, " k"]

    def __check_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise InputProblem(
                f"readout weight {self.weight.shape} and bias {self.bias.shape} do not fit; "
                "give shapes (outputs, n) and (outputs,)"
            )

    def __call__(self, x: State) -> Float[Array, " k"]:
        """The outputs for one state."""
        return self.weight @ x + self.bias
