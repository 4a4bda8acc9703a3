"""Weighted sums and maxima as metrics: norms whose balls are polyhedra."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset._types import Matrix, State
from limitset.contraction._metric import AbstractMetric


class SumMetric(AbstractMetric):
    """`|v|_M = sum_i scale_i |v_i|`, a weighted 1-norm.

    The gain of a map is the largest weighted column sum, so that what one unit hands out is
    bounded. It combines with no skew feedback: that needs a quadratic metric.

    **Arguments:** `scale`, shape (n,), positive and finite.

    **Reference:** arXiv 2110.08298.

    >>> import jax.numpy as jnp
    >>> float(SumMetric(jnp.array([3.0, 4.0])).norm(jnp.array([1.0, -1.0])))
    7.0
    """

    scale: Float[Array, " n"]

    def __check_init__(self) -> None:
        _check_scale(self.scale)

    def norm(self, v: State) -> Float[Array, ""]:
        """`sum_i scale_i |v_i|`."""
        return jnp.sum(self.scale * jnp.abs(v))

    def gain(self, jacobian: Matrix) -> Float[Array, ""]:
        """The largest column sum of `|S J S^-1|`."""
        return jnp.abs(_whiten(self.scale, jacobian)).sum(0).max()

    def measure(self, jacobian: Matrix) -> Float[Array, ""]:
        """The same sums with the diagonal's own signs."""
        return _signed_diagonal(_whiten(self.scale, jacobian)).sum(0).max()

    def condition(self) -> float:
        """`(|scale|_2 / min scale)^2`; n for equal weights, where the 1-norm is not round."""
        scale = np.asarray(self.scale, np.float64)
        return float((np.linalg.norm(scale / scale.min())) ** 2)


class MaximumMetric(AbstractMetric):
    """`|v|_M = max_i scale_i |v_i|`, a weighted maximum norm.

    The gain of a map is the largest weighted row sum, so that what one unit receives is bounded.
    It combines with no skew feedback: that needs a quadratic metric.

    **Arguments:** `scale`, shape (n,), positive and finite.

    **Reference:** arXiv 2110.08298.

    >>> import jax.numpy as jnp
    >>> float(MaximumMetric(jnp.array([3.0, 4.0])).norm(jnp.array([1.0, -1.0])))
    4.0
    """

    scale: Float[Array, " n"]

    def __check_init__(self) -> None:
        _check_scale(self.scale)

    def norm(self, v: State) -> Float[Array, ""]:
        """`max_i scale_i |v_i|`."""
        return jnp.max(self.scale * jnp.abs(v))

    def gain(self, jacobian: Matrix) -> Float[Array, ""]:
        """The largest row sum of `|S J S^-1|`."""
        return jnp.abs(_whiten(self.scale, jacobian)).sum(1).max()

    def measure(self, jacobian: Matrix) -> Float[Array, ""]:
        """The same sums with the diagonal's own signs."""
        return _signed_diagonal(_whiten(self.scale, jacobian)).sum(1).max()

    def condition(self) -> float:
        """`(max scale |1 / scale|_2)^2`; n for equal weights, where the norm is not round."""
        scale = np.asarray(self.scale, np.float64)
        return float((np.linalg.norm(scale.max() / scale)) ** 2)


def _check_scale(scale: Float[Array, " n"]) -> None:
    require_arrays(scale=scale)
    if scale.ndim != 1:
        raise InputProblem(f"metric scale has shape {scale.shape}; give a vector (n,)")


def _whiten(scale: Float[Array, " n"], jacobian: Matrix) -> Matrix:
    return scale[:, None] * jacobian / scale


def _signed_diagonal(matrix: Matrix) -> Matrix:
    """Magnitudes off the diagonal, the entries themselves on it."""
    own = jnp.eye(matrix.shape[0], dtype=bool)
    return jnp.where(own, matrix, jnp.abs(matrix))
