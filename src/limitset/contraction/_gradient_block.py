"""Gradient steps with leak, whose weights are scaled to what the step allows."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.contraction._block_parametrisation import (
    AbstractBlockParametrisation,
    check_slopes,
    rounding_slack,
    runs_as,
)
from limitset.contraction._metric import DiagonalMetric
from limitset.contraction._norm_bound import norm_bound
from limitset.networks import (
    TANH,
    AbstractOperator,
    Activation,
    Convolution,
    DenseOperator,
    GradientBlock,
    find_activation,
)


class StableGradient(AbstractBlockParametrisation):
    """`x+ = (1 - step leak) x - step R^T phi(R x + B u + b)` with `|R|^2 <= 2 / step - 2 leak`.

    It contracts by `1 - step leak` in the plain 2-norm for every value of the parameters, ReLU
    included, tied or not. R is the free operator, scaled down where a bound of its norm is larger.
    With `leak` 0 it is a layer of Lipschitz constant 1.

    **Arguments:** `operator`, a `DenseOperator` (r, n) or a `Convolution` from states;
    `input_operator` B, from inputs to the operator's images, or `None`; `bias` b, (r,) or one
    number per channel; `leak`, 0 or more; `step`, positive with `step leak < 1`; `activation` with
    slopes in [0, 1].

    **Raises:** `InputProblem` for sizes and settings that do not fit.

    **Reference:** arXiv 2110.12690 for `leak` 0 without input.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator
    >>> core = StableGradient(DenseOperator(jnp.full((1, 1), 9.0)), None, jnp.zeros(1), leak=0.5)
    >>> round(float(core.explicit().operator.matrix[0, 0]), 3)
    1.0
    """

    operator: AbstractOperator
    input_operator: AbstractOperator | None
    bias: Float[Array, " c"]
    leak: float = eqx.field(static=True, default=0.1)
    step: float = eqx.field(static=True, default=1.0)
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        weights_of(self.operator)
        if not (self.leak >= 0 and self.step > 0 and self.step * self.leak < 1):
            raise InputProblem(
                f"leak {self.leak} and step {self.step}; give a leak of 0 or more and a positive "
                "step whose product with the leak is below 1"
            )
        check_slopes(self.activation)
        eqx.filter_eval_shape(StableGradient.explicit, self)

    def explicit(self) -> GradientBlock:
        """The block that runs."""
        weights = weights_of(self.operator)
        dtype = weights.dtype
        step, leak = runs_as(self.step, dtype), runs_as(self.leak, dtype)
        slack = rounding_slack(dtype, sum(weights.shape))
        limit = ((2 / step - 2 * leak) * (1 - slack)) ** 0.5
        scale = limit / jnp.maximum(norm_bound(self.operator), limit)
        return GradientBlock(
            with_weights(self.operator, scale * weights),
            self.input_operator,
            self.bias,
            jnp.asarray(step, dtype),
            jnp.asarray(leak, dtype),
            self.activation,
        )

    def metric(self) -> DiagonalMetric:
        """The Euclidean metric; a proposal that a certificate still verifies."""
        return DiagonalMetric(jnp.ones(self.operator.input_size, self.bias.dtype))

    def idle(self) -> int:
        """None."""
        return 0

    @property
    def unties(self) -> bool:
        """Yes: the norm is the same whatever the weights."""
        return True


def weights_of(operator: AbstractOperator) -> jax.Array:
    """The matrix or the taps of an operator."""
    if isinstance(operator, DenseOperator):
        return operator.matrix
    if isinstance(operator, Convolution):
        return operator.taps
    raise InputProblem(
        f"a {type(operator).__name__} came; give a DenseOperator or a Convolution with free weights"
    )


def with_weights(operator: AbstractOperator, weights: jax.Array) -> AbstractOperator:
    """The operator with another matrix, or other taps."""
    name = "matrix" if isinstance(operator, DenseOperator) else "taps"
    return dataclasses.replace(operator, **{name: weights})
