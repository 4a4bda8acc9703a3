"""Weights that contract in a metric that is not diagonal; it differs between the two forms."""

import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float

from limitset.contraction._one_by_one import one_by_one
from limitset.contraction._spectral_weights import divided_by_norm, over_identity
from limitset.contraction._weights import AbstractWeightParametrisation, WeightAndFactor
from limitset.networks import Form


class SymmetricWeight(AbstractWeightParametrisation):
    """`W = limit (I - S^2)` with `S = C C^T`: every symmetric `W` without eigenvalue above `limit`.

    With `T = 2 limit (I + S)` this is `W = T - T^2 / (4 limit)`, which contracts in `T^2` in the
    firing-rate form and in `T^-2` in the Hopfield form; the factors here are `I + S` and its
    inverse. The other branch of the square root, `T < 2 limit`, gives no further weights and
    worse metrics. No eigenvalues are computed, so that repeated ones do no harm.

    **Arguments:** `root` (..., n, n), C, any values.

    **Reference:** arXiv 2302.13452, 2106.08928 (symmetric weights).
    """

    root: Float[Array, "*p n n"]

    def explicit(self, limit: float, form: Form = Form.HOPFIELD) -> WeightAndFactor:
        """Weights, the factor of the form's metric, and its inverse."""
        identity = jnp.eye(self.root.shape[-1], dtype=self.root.dtype)
        S = _symmetric(self.root @ jnp.swapaxes(self.root, -1, -2))
        weight = limit * (identity - _symmetric(S @ S))
        outer, inner = identity + S, _symmetric(one_by_one(jnp.linalg.inv, identity + S))
        if form is Form.FIRING_RATE:
            return WeightAndFactor(weight, outer, inner)
        return WeightAndFactor(weight, inner, outer)

    def idle(self) -> int:
        """None; `C` and `C O` with O orthogonal give the same weights."""
        return 0

    @property
    def takes_negative_slopes(self) -> bool:
        """No."""
        return False


class DefiniteWeight(AbstractWeightParametrisation):
    """`W = -P1 Q P2` with `Q = I + C C^T`, P1 and P2 diagonal: of any size, at the leak's own rate.

    In the Hopfield form with `M = (P1 Q P1)^-1`, `M W D = -P1^-1 P2 D`, which is never positive for
    slopes that are not negative; in the firing-rate form `M = P2 Q P2`. So `limit` does not enter.
    Multiples of Q are reached through P1 and P2.

    **Arguments:** `root` (..., n, n), C; `log_left`, `log_right` (..., n), the logarithms of P1 and
    P2. Any values.

    **Reference:** arXiv 2106.08928, products of diagonal and definite weights.
    """

    root: Float[Array, "*p n n"]
    log_left: Float[Array, "*p n"]
    log_right: Float[Array, "*p n"]

    def explicit(self, limit: float, form: Form = Form.HOPFIELD) -> WeightAndFactor:
        """Weights, the factor of the form's metric, and its inverse."""
        del limit
        F, inverse = _definite_factor(self.root)
        left, right = jnp.exp(self.log_left), jnp.exp(self.log_right)
        Q = jnp.swapaxes(F, -1, -2) @ F
        weight = -left[..., :, None] * Q * right[..., None, :]
        if form is Form.FIRING_RATE:
            return WeightAndFactor(weight, F * right[..., None, :], inverse / right[..., :, None])
        transposed, inverse = (jnp.swapaxes(a, -1, -2) for a in (F, inverse))
        return WeightAndFactor(
            weight, inverse / left[..., None, :], left[..., :, None] * transposed
        )

    def idle(self) -> int:
        """None; `C` and `C O` with O orthogonal give the same weights."""
        return 0

    @property
    def takes_negative_slopes(self) -> bool:
        """No."""
        return False


class SectorWeight(AbstractWeightParametrisation):
    """All weights that the sector theorem certifies: the largest class here.

    Firing-rate form: `W = limit (2 E Z F - E^2 F^T F)` with `E = diag(exp(log_gain))`,
    `Z = X / max(1, |X|_2)`, and F the triangular factor of `I + C C^T`; the metric is `F^T F`, the
    multipliers are `E^-2 / limit`. Hopfield form: the transpose of that, in the inverse metric.
    The largest eigenvalue or norm of `W` may exceed `limit` by far, the rate does not suffer.

    **Arguments:** `core` (..., n, n), X; `root` (..., n, n), C; `log_gain` (..., n). Any values.

    **Reference:** arXiv 2604.15238, theorem 35, with a general factor of the metric.
    """

    core: Float[Array, "*p n n"]
    root: Float[Array, "*p n n"]
    log_gain: Float[Array, "*p n"]

    def explicit(self, limit: float, form: Form = Form.HOPFIELD) -> WeightAndFactor:
        """Weights, the factor of the form's metric, and its inverse."""
        F, inverse = _definite_factor(self.root)
        gain = jnp.exp(self.log_gain)[..., :, None]
        damped = gain * (jnp.swapaxes(F, -1, -2) @ F)
        weight = limit * gain * (2 * divided_by_norm(self.core) @ F - damped)
        if form is Form.FIRING_RATE:
            return WeightAndFactor(weight, F, inverse)
        return WeightAndFactor(*(jnp.swapaxes(a, -1, -2) for a in (weight, inverse, F)))

    def idle(self) -> int:
        """None; `C` and `C O` with O orthogonal give the same weights."""
        return 0

    @property
    def takes_negative_slopes(self) -> bool:
        """No."""
        return False


def _definite_factor(
    root: Float[Array, "*p n n"],
) -> tuple[Float[Array, "*p n n"], Float[Array, "*p n n"]]:
    """Upper triangular F with `F^T F = I + C C^T`, and its inverse.

    The triangle of `[C^T; I]` exists for every C; a Cholesky factorisation would fail in float32
    where `C C^T` drowns the identity.
    """
    size = root.shape[-1]
    triangle = one_by_one(jnp.linalg.qr, over_identity(jnp.swapaxes(root, -1, -2)))[1]
    diagonal = jnp.diagonal(triangle, axis1=-2, axis2=-1)
    factor = triangle * jnp.where(diagonal < 0, -1.0, 1.0).astype(root.dtype)[..., :, None]
    identity = jnp.broadcast_to(jnp.eye(size, dtype=root.dtype), root.shape)
    return factor, one_by_one(jsl.solve_triangular, factor, identity)


def _symmetric(matrix: Float[Array, "*p n n"]) -> Float[Array, "*p n n"]:
    return (matrix + jnp.swapaxes(matrix, -1, -2)) / 2
