"""Weights bounded by their absolute values: sparse modules, self-damped units, triangles."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset.contraction._weights import (
    AbstractWeightParametrisation,
    SparsityPattern,
    WeightAndScale,
    check_pattern,
    masked,
    row_and_column_sums,
)
from limitset.networks import Form


class AbsoluteValueWeight(AbstractWeightParametrisation):
    """`W = limit S^-1 R^-1/2 Theta C^-1/2 S`, R and C the row and column sums of |Theta|.

    The entrywise absolute value of `S W S^-1` has 2-norm at most `limit` (Schur's test), exactly
    `limit` if the pattern is irreducible and there is no slack. A weight that is 0 may grow; one
    that `pattern` leaves out may not, so that sparse modules stay sparse.

    **Arguments:** `theta` (..., n, n), any values; `log_scale` (..., n), any values; `row_slack`
    and `column_slack` (..., n), any values, whose squares are added to the sums: with them every
    weight of smaller norm is reached too; `pattern` of the weights that exist, all if omitted.

    **Reference:** the absolute-value theorem of arXiv 2106.08928; Schur's test.
    """

    theta: Float[Array, "*p n n"]
    log_scale: Float[Array, "*p n"]
    row_slack: Float[Array, "*p n"] | None = None
    column_slack: Float[Array, "*p n"] | None = None
    pattern: SparsityPattern | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        check_pattern(self.pattern, self.theta)

    def explicit(self, limit: float, form: Form = Form.HOPFIELD) -> WeightAndScale:
        """Weights and metric scale, the same for both forms."""
        del form
        theta = masked(self.theta, self.pattern)
        rows, columns = row_and_column_sums(jnp.abs(theta), self.row_slack, self.column_slack)
        scale = jnp.exp(self.log_scale)
        left = limit / (scale * jnp.sqrt(rows))
        right = scale / jnp.sqrt(columns)
        return WeightAndScale(left[..., :, None] * theta * right[..., None, :], scale)

    def idle(self) -> int:
        """What the pattern leaves out."""
        return 0 if self.pattern is None else self.pattern.absent

    @property
    def takes_negative_slopes(self) -> bool:
        """Yes: the bound is of absolute values."""
        return True


class SelfDampedWeight(AbstractWeightParametrisation):
    """The absolute-value theorem with its exemption: self-weights as negative as training likes.

    `W_ii = limit (1 - softplus(damping_i))`, and off the diagonal

        W = S^-1 G^1/2 R^-1/2 Theta C^-1/2 G^1/2 S,    G_ii = limit min(softplus(damping_i), 1)

    with R and C as in `AbsoluteValueWeight`. By Schur's test the part off the diagonal is at most
    `x^T G x` in absolute values, and the diagonal, with `max(W_ii, 0)`, at most `limit - G`: the
    measure is at most `limit`. Flows only: a step of a map needs
    `step (leak + largest |slope W_ii|) <= time constant`.

    **Arguments:** `theta` (..., n, n), of which the diagonal does not count; `damping`,
    `log_scale` (..., n); `row_slack`, `column_slack`, `pattern` as in `AbsoluteValueWeight`.

    **Reference:** the absolute-value theorem of arXiv 2106.08928; Schur's test.
    """

    theta: Float[Array, "*p n n"]
    damping: Float[Array, "*p n"]
    log_scale: Float[Array, "*p n"]
    row_slack: Float[Array, "*p n"] | None = None
    column_slack: Float[Array, "*p n"] | None = None
    pattern: SparsityPattern | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        check_pattern(self.pattern, self.theta)

    def explicit(self, limit: float, form: Form = Form.HOPFIELD) -> WeightAndScale:
        """Weights and metric scale, the same for both forms."""
        del form
        size = self.theta.shape[-1]
        theta = jnp.where(jnp.eye(size, dtype=bool), 0.0, masked(self.theta, self.pattern))
        return _self_damped(
            limit, theta, self.damping, self.log_scale, self.row_slack, self.column_slack
        )

    def idle(self) -> int:
        """The diagonal of theta, and what the pattern leaves out off it."""
        if self.pattern is None:
            return self.damping.size
        mask, size = self.pattern.mask(), self.theta.shape[-1]
        return mask.size - int((mask & ~jnp.eye(size, dtype=bool)).sum())

    @property
    def takes_negative_slopes(self) -> bool:
        """No: a negative slope turns a negative self-weight into growth."""
        return False


class TriangularWeight(AbstractWeightParametrisation):
    """Lower triangular weights: units in feedforward order, each with its own self-weight.

    The weights of `SelfDampedWeight` with a lower triangular Theta. Every triangular `W` with
    `W_ii < limit` is reached, and by slopes of `log_scale` as steep as its entries ask for. Where
    entries are formed freely and the metric is computed from them, its condition number leaves
    float32 after a few dozen units; here it is a free parameter and stays what it is.

    **Arguments:** `theta` (..., n, n), of which only the part below the diagonal counts;
    `damping`, `log_scale` (..., n); `row_slack`, `column_slack` (..., n) or none.

    **Reference:** the theorem on triangular weights of arXiv 2106.08928.
    """

    theta: Float[Array, "*p n n"]
    damping: Float[Array, "*p n"]
    log_scale: Float[Array, "*p n"]
    row_slack: Float[Array, "*p n"] | None = None
    column_slack: Float[Array, "*p n"] | None = None

    def explicit(self, limit: float, form: Form = Form.HOPFIELD) -> WeightAndScale:
        """Weights and metric scale, the same for both forms."""
        del form
        theta = jnp.tril(self.theta, -1)
        return _self_damped(
            limit, theta, self.damping, self.log_scale, self.row_slack, self.column_slack
        )

    def idle(self) -> int:
        """The diagonal of theta and what is above it."""
        size = self.theta.shape[-1]
        return self.damping.size * (size + 1) // 2

    @property
    def takes_negative_slopes(self) -> bool:
        """No, as with `SelfDampedWeight`."""
        return False


def _self_damped(
    limit: float,
    theta: Float[Array, "*p n n"],
    damping: Float[Array, "*p n"],
    log_scale: Float[Array, "*p n"],
    row_slack: Float[Array, "*p n"] | None,
    column_slack: Float[Array, "*p n"] | None,
) -> WeightAndScale:
    drop = jax.nn.softplus(damping)
    share = jnp.minimum(drop, 1.0)
    # The square root of an underflown share would have an infinite slope.
    tiny = jnp.finfo(share.dtype).tiny
    half = jnp.where(share > tiny, jnp.sqrt(jnp.where(share > tiny, share, 1.0)), 0.0)
    rows, columns = row_and_column_sums(jnp.abs(theta), row_slack, column_slack)
    scale = jnp.exp(log_scale)
    left = limit * half / (scale * jnp.sqrt(rows))
    right = half * scale / jnp.sqrt(columns)
    own = limit * (1 - drop)
    weight = left[..., :, None] * theta * right[..., None, :]
    diagonal = own[..., :, None] * jnp.eye(theta.shape[-1], dtype=theta.dtype)
    return WeightAndScale(weight + diagonal, scale)
