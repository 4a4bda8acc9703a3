"""Convolutional blocks that are stable for every value of the free parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset.contraction._block_parametrisation import (
    AbstractBlockParametrisation,
    check_epsilon,
    check_slopes,
    check_step,
    rounding_slack,
)
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._norm_bound import norm_bound
from limitset.contraction._polyhedral_metric import MaximumMetric
from limitset.contraction._projected_block import check_disks, check_square_taps, with_centres
from limitset.networks import (
    TANH,
    AbstractOperator,
    Activation,
    Convolution,
    NegativeGram,
    Padding,
    ResidualBlock,
    find_activation,
)

# Scales of metrics stay within exp(-20) and exp(20), whose ratios float32 holds.
_LARGEST_LOG_SCALE = 20.0


class SymmetricConvolution(AbstractBlockParametrisation):
    """`A = -K^T K - epsilon I` with K a convolution of 2-norm at most `sqrt(1 - 2 epsilon)`.

    `K^T` is the exact transpose, whatever the padding, so A is symmetric negative definite with
    eigenvalues in `[epsilon - 1, -epsilon]`: what `ProjectedDense` promises, in a quadratic metric,
    for convolutions. K is the free convolution, scaled down where a bound of its norm is larger.

    **Arguments:** `convolution`, of any channels and stride; the others as for `ProjectedDense`,
    with `bias` (n,) or one number per channel of the state.

    **Raises:** `InputProblem` for sizes and settings that do not fit.

    **Reference:** arXiv 1804.07209; the norm's bound is that of arXiv 2402.00240.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import dense_matrix
    >>> core = SymmetricConvolution(
    ...     Convolution(jnp.full((1, 1, 1, 1), 9.0), 1, 2), None, jnp.zeros(1), epsilon=0.25
    ... )
    >>> [round(float(a), 3) for a in jnp.diag(dense_matrix(core.explicit().state_operator))]
    [-0.75, -0.75]
    """

    convolution: Convolution
    input_operator: AbstractOperator | None
    bias: Float[Array, " b"]
    epsilon: float = eqx.field(static=True, default=0.01)
    step: float = eqx.field(static=True, default=1.0)
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        taps = self.convolution.taps
        check_epsilon(self.epsilon, 0.5, taps.dtype, sum(taps.shape))
        check_step(self.step, 2.0)
        check_slopes(self.activation)
        eqx.filter_eval_shape(SymmetricConvolution.explicit, self)

    def explicit(self) -> ResidualBlock:
        """The block that runs."""
        taps = self.convolution.taps
        slack = rounding_slack(taps.dtype, sum(taps.shape))
        limit = ((1 - 2 * self.epsilon) * (1 - slack)) ** 0.5
        scaled = limit / jnp.maximum(norm_bound(self.convolution), limit) * taps
        inner = eqx.tree_at(lambda c: c.taps, self.convolution, scaled)
        one, shift = jnp.ones((), taps.dtype), jnp.asarray(self.epsilon, taps.dtype)
        return ResidualBlock(
            NegativeGram(inner, one, shift),
            self.input_operator,
            self.bias,
            jnp.asarray(self.step, taps.dtype),
            self.activation,
        )

    def metric(self) -> AbstractMetric | None:
        """None: the metric `-A` is an operator, too large for a matrix."""
        return None

    def idle(self) -> int:
        """None."""
        return 0

    @property
    def unties(self) -> bool:
        """No: the metric is that of the weights."""
        return False


class RowSumConvolution(AbstractBlockParametrisation):
    """The class of `ProjectedConvolution`, smoothly, and in a metric that may be learned.

    For each output channel `shift = (1 - eta) tanh(shifts)`, the centre tap is `-1 - shift`, and
    the others are `(1 - epsilon - |shift|) V / max(sum |V|, 1)`, where the sum weighs the taps from
    channel j to channel i by `scale_i / scale_j`. The maximum norm with these scales does not
    increase, at any padding.

    **Arguments:** `taps` V and `shifts`, any values; `log_scale`, (c,), logarithms of the scales,
    or `None`: all 1, and then blocks may be untied; the others as for `ProjectedConvolution`.

    **Raises:** `InputProblem` for sizes and settings that do not fit.

    **Reference:** arXiv 1804.07209, Algorithm 2; arXiv 2106.03194 for metrics.

    >>> import jax.numpy as jnp
    >>> taps, zero = jnp.full((1, 1, 1, 3), 5.0), jnp.zeros(1)
    >>> core = RowSumConvolution(taps, zero, None, zero, 1, 4, epsilon=0.1, eta=0.2)
    >>> [round(float(tap), 3) for tap in core.explicit().state_operator.taps.ravel()]
    [0.45, -1.0, 0.45]
    """

    taps: Float[Array, "c c k l"]
    shifts: Float[Array, " c"]
    input_operator: AbstractOperator | None
    bias: Float[Array, " b"]
    height: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    padding: Padding = eqx.field(static=True, default=Padding.ZERO)
    log_scale: Float[Array, " c"] | None = None
    epsilon: float = eqx.field(static=True, default=0.05)
    eta: float = eqx.field(static=True, default=0.1)
    step: float = eqx.field(static=True, default=1.0)
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        check_square_taps(self.taps, shifts=self.shifts, log_scale=self.log_scale)
        check_disks(self.epsilon, self.eta, self.taps)
        check_step(self.step, 1.0)
        check_slopes(self.activation)
        eqx.filter_eval_shape(RowSumConvolution.explicit, self)

    def explicit(self) -> ResidualBlock:
        """The block that runs."""
        shifts = (1 - self.eta) * jnp.tanh(self.shifts)
        taps = with_centres(self.taps, jnp.zeros_like(shifts))
        slack = rounding_slack(taps.dtype, taps[0].size)
        room = 1 - self.epsilon - jnp.abs(shifts) - slack
        scale = bounded_scale(self.log_scale, shifts)
        weights = (scale[:, None] / scale)[:, :, None, None]
        # Of size 1 first: sums may overflow.
        largest = jax.lax.stop_gradient(jnp.abs(taps).max((1, 2, 3)))
        largest = jnp.maximum(largest, 1.0)[:, None, None, None]
        sums = jnp.abs(taps / largest * weights).sum((1, 2, 3))[:, None, None, None]
        least = jnp.maximum(sums, 1 / largest)
        scaled = room[:, None, None, None] * (taps / largest) / least
        return ResidualBlock(
            Convolution(with_centres(scaled, -1 - shifts), self.height, self.width, self.padding),
            self.input_operator,
            self.bias,
            jnp.asarray(self.step, taps.dtype),
            self.activation,
        )

    def metric(self) -> MaximumMetric:
        """The weighted maximum norm; a proposal that a certificate still verifies."""
        scale = bounded_scale(self.log_scale, self.shifts)
        return MaximumMetric(jnp.repeat(scale, self.height * self.width))

    def idle(self) -> int:
        """The own centre taps, which the shifts replace."""
        return self.shifts.size

    @property
    def unties(self) -> bool:
        """Only without scales: with them, the norm is that of the weights."""
        return self.log_scale is None


def bounded_scale(
    log_scale: Float[Array, " c"] | None, like: Float[Array, " c"]
) -> Float[Array, " c"]:
    """The scales of a metric, of which float32 holds all ratios; ones where there are none."""
    if log_scale is None:
        return jnp.ones_like(like)
    return jnp.exp(jnp.clip(log_scale, -_LARGEST_LOG_SCALE, _LARGEST_LOG_SCALE))
