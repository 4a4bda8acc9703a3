"""Weights bounded by their largest singular value, in a diagonal metric."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset.contraction._one_by_one import one_by_one
from limitset.contraction._weights import AbstractWeightParametrisation, WeightAndScale
from limitset.networks import Form


class SingularValueWeight(AbstractWeightParametrisation):
    """`W = S^-1 U diag(limit sigmoid(spectrum)) V^T S`, U and V Cayley transforms of skew parts.

    `S W S^-1` has 2-norm below `limit`.

    **Arguments:** `left`, `right` (..., n, n), of which only the skew part counts; `spectrum` and
    `log_scale` (..., n). Any values.

    **Reference:** the singular-value theorem of arXiv 2106.08928.
    """

    left: Float[Array, "*p n n"]
    right: Float[Array, "*p n n"]
    spectrum: Float[Array, "*p n"]
    log_scale: Float[Array, "*p n"]

    def explicit(self, limit: float, form: Form = Form.HOPFIELD) -> WeightAndScale:
        """Weights and metric scale, the same for both forms."""
        del form
        scale = jnp.exp(self.log_scale)
        values = limit * jax.nn.sigmoid(self.spectrum)
        core = (_cayley(self.left) * values[..., None, :]) @ jnp.swapaxes(
            _cayley(self.right), -1, -2
        )
        return WeightAndScale(core * scale[..., None, :] / scale[..., :, None], scale)

    def idle(self) -> int:
        """The diagonals of both skew parts; of each, one triangle mirrors the other."""
        return 2 * self.spectrum.size

    @property
    def takes_negative_slopes(self) -> bool:
        """Yes: a norm does not see signs."""
        return True


class SpectralNormWeight(AbstractWeightParametrisation):
    """`W = limit S^-1 X S / max(1, |X|_2)`: spectral normalisation, in a metric.

    Every `W` with `|S W S^-1|_2 <= limit` is reached, those of norm `limit` too, and `X` is the
    whitened weight itself over `limit`: the parametrisation to start from weights that exist.

    **Arguments:** `core` (..., n, n) and `log_scale` (..., n), any values.

    **Reference:** the singular-value theorem of arXiv 2106.08928.
    """

    core: Float[Array, "*p n n"]
    log_scale: Float[Array, "*p n"]

    def explicit(self, limit: float, form: Form = Form.HOPFIELD) -> WeightAndScale:
        """Weights and metric scale, the same for both forms."""
        del form
        return _in_metric(limit * divided_by_norm(self.core), self.log_scale)

    def idle(self) -> int:
        """None."""
        return 0

    @property
    def takes_negative_slopes(self) -> bool:
        """Yes: a norm does not see signs."""
        return True


class QuotientWeight(AbstractWeightParametrisation):
    """`W = limit S^-1 X R^-1 S` with `R^T R = I + X^T X`: smooth, and of norm below `limit`.

    `X R^-1` is the upper half of the orthonormal factor of `[X; I]`, so no inverse is formed. Every
    `W` with `|S W S^-1|_2 < limit` is reached by exactly one `X`, without singular values,
    eigenvalues, or two orthogonal matrices.

    **Arguments:** `core` (..., n, n) and `log_scale` (..., n), any values.

    **Reference:** the singular-value theorem of arXiv 2106.08928.
    """

    core: Float[Array, "*p n n"]
    log_scale: Float[Array, "*p n"]

    def explicit(self, limit: float, form: Form = Form.HOPFIELD) -> WeightAndScale:
        """Weights and metric scale, the same for both forms."""
        del form
        orthonormal, triangle = one_by_one(jnp.linalg.qr, over_identity(self.core))
        # Householder's signs jump with the entries of X; a positive diagonal is unique.
        signs = jnp.where(jnp.diagonal(triangle, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
        size = self.core.shape[-1]
        bounded = orthonormal[..., :size, :] * signs.astype(self.core.dtype)[..., None, :]
        return _in_metric(limit * bounded, self.log_scale)

    def idle(self) -> int:
        """None."""
        return 0

    @property
    def takes_negative_slopes(self) -> bool:
        """Yes: a norm does not see signs."""
        return True


class OrthogonalScaledWeight(AbstractWeightParametrisation):
    """`W = P1 O P2` with O orthogonal, P1 and P2 diagonal and `max(p1 p2) < limit`.

    `O` is the Cayley transform of a skew matrix, `p1 = exp(-log_scale)` and
    `p2 = limit sigmoid(spectrum) exp(log_scale)`. In the metric `P1^-2` the norm of `W` is
    `max(p1 p2)`. All singular directions are those of the units: half the numbers of
    `SingularValueWeight`.

    **Arguments:** `rotation` (..., n, n), of which only the part below the diagonal counts;
    `spectrum` and `log_scale` (..., n). Any values.

    **Reference:** arXiv 2106.08928, products of diagonal and orthogonal weights.
    """

    rotation: Float[Array, "*p n n"]
    spectrum: Float[Array, "*p n"]
    log_scale: Float[Array, "*p n"]

    def explicit(self, limit: float, form: Form = Form.HOPFIELD) -> WeightAndScale:
        """Weights and metric scale, the same for both forms."""
        del form
        values = limit * jax.nn.sigmoid(self.spectrum)
        turned = _cayley(jnp.tril(self.rotation, -1)) * values[..., None, :]
        return _in_metric(turned, self.log_scale)

    def idle(self) -> int:
        """The diagonal of the rotation and what is above it."""
        return self.spectrum.size * (self.rotation.shape[-1] + 1) // 2

    @property
    def takes_negative_slopes(self) -> bool:
        """Yes: a norm does not see signs."""
        return True


def divided_by_norm(free: Float[Array, "*p n n"]) -> Float[Array, "*p n n"]:
    """`X / max(1, |X|_2)`. Singular values alone have finite slopes where they coincide."""
    norm = one_by_one(_norm, free)
    return free / jnp.maximum(norm, 1.0)[..., None, None]


def over_identity(free: Float[Array, "*p m n"]) -> Float[Array, "*p k n"]:
    """`[X; I]`, whose columns are independent whatever X is."""
    size = free.shape[-1]
    identity = jnp.broadcast_to(jnp.eye(size, dtype=free.dtype), (*free.shape[:-2], size, size))
    return jnp.concatenate([free, identity], -2)


def _in_metric(core: Float[Array, "*p n n"], log_scale: Float[Array, "*p n"]) -> WeightAndScale:
    scale = jnp.exp(log_scale)
    return WeightAndScale(core * scale[..., None, :] / scale[..., :, None], scale)


def _cayley(free: Float[Array, "*p n n"]) -> Float[Array, "*p n n"]:
    skew = free - jnp.swapaxes(free, -1, -2)
    identity = jnp.eye(free.shape[-1], dtype=free.dtype)
    return one_by_one(jnp.linalg.solve, identity + skew, identity - skew)


def _norm(matrix: Float[Array, "m n"]) -> Float[Array, ""]:
    return jnp.linalg.svd(matrix, compute_uv=False)[0]
