"""Blocks with one equilibrium for each input, for every value of their parameters."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.contraction._block_parametrisation import (
    AbstractBlockParametrisation,
    check_slopes,
    rounding_slack,
)
from limitset.contraction._convolution_blocks import bounded_scale
from limitset.contraction._gradient_block import weights_of, with_weights
from limitset.contraction._polyhedral_metric import MaximumMetric
from limitset.contraction._projected_block import check_square_taps, own_centres
from limitset.networks import (
    TANH,
    AbstractOperator,
    Activation,
    Convolution,
    DenseOperator,
    EquilibriumBlock,
    Padding,
    find_activation,
)


class StableEquilibrium(AbstractBlockParametrisation):
    """`z = phi(W z + B u + b)` with one solution for each input, for every value of the parameters.

    `W = S^-1 T S - diag(sum_j |T_ij|) + gamma I` with `S = diag(exp(log_scale))`: then
    `max_i (W_ii + sum_(j != i) |W_ij| s_i / s_j) <= gamma < 1`. A convolution's sum runs over all
    taps of an output channel, every input channel and position; the largest tap times the channels,
    as once released, is too little. Steps `z + step (phi(W z + B u + b) - z)` with
    `step = 1 / (1 - min(0, min_i W_ii))` contract by `1 - step (1 - max(gamma, 0))` in the maximum
    norm with scales s.

    **Arguments:** `operator` T, a `DenseOperator` (n, n), or a `Convolution` of stride 1 from c
    channels to c; `input_operator` B, from inputs to states, or `None`; `bias` b; `log_scale`, (n,)
    or one number per channel, or `None`: scales 1, and then blocks may be untied; `gamma` below 1;
    `activation` with slopes in [0, 1].

    **Raises:** `InputProblem` for sizes and settings that do not fit.

    **Reference:** arXiv 2106.03194.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator
    >>> free = DenseOperator(jnp.array([[1.0, 3.0], [0.0, -1.0]]))
    >>> core = StableEquilibrium(free, None, jnp.zeros(2), gamma=0.5)
    >>> [[round(float(w), 3) for w in row] for row in core.explicit().state_operator.matrix]
    [[-2.5, 3.0], [0.0, -1.5]]
    """

    operator: AbstractOperator
    input_operator: AbstractOperator | None
    bias: Float[Array, " c"]
    log_scale: Float[Array, " s"] | None = None
    gamma: float = eqx.field(static=True, default=0.0)
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        weights = weights_of(self.operator)
        taps = weights[:, :, None, None] if weights.ndim == 2 else weights
        check_square_taps(taps, log_scale=self.log_scale)
        slack = rounding_slack(weights.dtype, weights[0].size)
        if not abs(self.gamma) < 1 - 4 * slack:
            raise InputProblem(
                f"gamma is {self.gamma}; give a number between -1 and 1, by the rounding's margin"
            )
        check_slopes(self.activation)
        eqx.filter_eval_shape(StableEquilibrium.explicit, self)

    def explicit(self) -> EquilibriumBlock:
        """The block that runs, with the largest step of its weights."""
        dense = isinstance(self.operator, DenseOperator)
        weights = weights_of(self.operator)
        taps = weights[:, :, None, None] if dense else weights
        slack = rounding_slack(taps.dtype, taps[0].size)
        scale = self._scales()
        sums = (1 + slack) * jnp.abs(taps).sum((1, 2, 3))
        own, gamma = own_centres(taps), self.gamma - slack * abs(self.gamma)
        turned = taps * (scale / scale[:, None])[:, :, None, None]
        centres = jnp.where(own, taps, 0.0).sum((1, 2, 3)) - sums + gamma
        taps = jnp.where(own, centres[:, None, None, None], turned)
        return EquilibriumBlock(
            with_weights(self.operator, taps[:, :, 0, 0] if dense else taps),
            self.input_operator,
            self.bias,
            (1 - slack) / (1 - jnp.minimum(self._least(taps, centres), 0.0)),
            self.activation,
        )

    def metric(self) -> MaximumMetric:
        """The weighted maximum norm; a proposal that a certificate still verifies."""
        scale = self._scales()
        return MaximumMetric(jnp.repeat(scale, self.operator.output_size // scale.size))

    def idle(self) -> int:
        """None."""
        return 0

    @property
    def unties(self) -> bool:
        """Only without scales: with them, the norm is that of the weights."""
        return self.log_scale is None

    def _scales(self) -> Float[Array, " s"]:
        weights = weights_of(self.operator)
        return bounded_scale(self.log_scale, jnp.zeros(weights.shape[0], weights.dtype))

    def _least(
        self, taps: Float[Array, "c c k l"], centres: Float[Array, " c"]
    ) -> Float[Array, ""]:
        """A lower bound of the diagonal of W, at the image's edge too."""
        convolution = self.operator
        if not isinstance(convolution, Convolution) or convolution.padding in (
            Padding.ZERO,
            Padding.CIRCULAR,
        ):
            return centres.min()
        # Pixels that are repeated beyond the edge see themselves through other taps too.
        own = jnp.abs(jnp.diagonal(taps)).sum((0, 1)) - jnp.abs(centres)
        return (centres - own).min()
