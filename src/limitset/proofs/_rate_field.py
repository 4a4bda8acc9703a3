"""A rate network under constant input as a vector field on balls, up to the positive factor 1/tau.

`leak x = W phi(x) + b` (Hopfield) or `leak x = phi(W x + b)` (firing rate) at an equilibrium; the
time constant moves neither equilibria nor their stability or index, so it is left out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.networks import SIGMOID, TANH, Form, RateNetwork
from limitset.proofs._ball import Ball
from limitset.proofs._elementary import logistic, logistic_slope, tanh, tanh_slope

_ACTIVATIONS: dict[object, tuple[Callable[[Ball], Ball], Callable[[Ball], Ball]]] = {
    TANH: (tanh, tanh_slope),
    SIGMOID: (logistic, logistic_slope),
}


@dataclass(frozen=True)
class RateField:
    """`value` is `tau dx/dt` and `jacobian` its derivative, for all networks in a ball of weights.

    `bias` includes the input. `leak` is exact.
    """

    weight: Ball
    bias: Ball
    leak: float
    form: Form
    is_tanh: bool

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.bias)

    def value(self, x: Ball) -> Ball:
        """`tau dx/dt` at all states of the ball."""
        phi, _ = _ACTIVATIONS[TANH if self.is_tanh else SIGMOID]
        if self.form is Form.HOPFIELD:
            return self.weight @ phi(x) + self.bias - x * self.leak
        return phi(self.weight @ x + self.bias) - x * self.leak

    def jacobian(self, x: Ball) -> Ball:
        """The derivative of `value` at all states of the ball."""
        _, slope = _ACTIVATIONS[TANH if self.is_tanh else SIGMOID]
        if self.form is Form.HOPFIELD:
            product = self.weight * slope(x).reshape(1, -1)
        else:
            product = slope(self.weight @ x + self.bias).reshape(-1, 1) * self.weight
        return product - Ball.exact(self.leak * np.eye(self.size))


def rate_field(
    network: RateNetwork,
    input: Float[np.ndarray, " m"] | None = None,
    weight_radius: float = 0.0,
) -> RateField:
    """The vector field of a rate network, of the real numbers that its stored floats are.

    **Arguments:** `network` with tanh or sigmoid; `input` constant, zero if omitted;
    `weight_radius` how far every entry of `weight`, `input_weight` and `bias` may lie from the
    stored one.

    **Raises:** `InputProblem` for another system or activation, shapes that do not fit, or
    numbers that are not finite.
    """
    # A subclass may have another velocity.
    if type(network) is not RateNetwork:
        raise InputProblem(f"A {type(network).__name__} is no rate network; pass a RateNetwork.")
    if network.activation not in _ACTIVATIONS:
        raise InputProblem(
            f"activation {network.activation.name!r} has no enclosure here; use tanh or sigmoid."
        )
    if not (isinstance(weight_radius, float | int) and 0 <= weight_radius < math.inf):
        raise InputProblem(f"weight_radius is {weight_radius}; give a finite number >= 0.")
    leak, tau = float(network.leak), float(network.time_constant)
    if not (0 <= leak < math.inf and 0 < tau < math.inf):
        raise InputProblem(
            f"leak is {leak}, time_constant {tau}; give leak >= 0 and a positive tau."
        )

    def near(array: object) -> Ball:
        point = Ball.exact(np.asarray(array))
        return Ball(point.mid.copy(), np.full(point.shape, float(weight_radius)))

    bias = near(network.bias)
    if input is not None:
        u = Ball.exact(input)
        if u.shape != (network.input_size,):
            raise InputProblem(
                f"input has shape {u.shape}; this network needs ({network.input_size},)."
            )
        if network.input_size:
            bias = bias + near(network.input_weight) @ u
    is_tanh = network.activation == TANH
    return RateField(near(network.weight), bias, leak, network.form, is_tanh)
