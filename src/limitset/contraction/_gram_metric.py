"""The metric of large symmetric blocks, whose matrix is never formed."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._types import Matrix, State
from limitset.contraction._metric import AbstractMetric, QuadraticMetric
from limitset.contraction._operator_bounds import euclidean_norm
from limitset.networks import AbstractOperator, NegativeGram, dense_matrix


class GramMetric(AbstractMetric):
    """`|v|_M^2 = scale |inner v|^2 + shift |v|^2`, so `M` is a Gram matrix that is only applied.

    **Arguments:** `inner`, an operator on states, such as a convolution; `scale`, 0 or positive;
    `shift`, positive.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator
    >>> metric = GramMetric(DenseOperator(jnp.array([[2.0, 0.0]])), jnp.array(1.0), jnp.array(5.0))
    >>> float(metric.norm(jnp.array([1.0, 0.0])))
    3.0
    """

    inner: AbstractOperator
    scale: Float[Array, ""]
    shift: Float[Array, ""]

    def norm(self, v: State) -> Float[Array, ""]:
        """`|v|_M`."""
        image = self.inner(v)
        return jnp.sqrt(self.scale * (image @ image) + self.shift * (v @ v))

    def gain(self, jacobian: Matrix) -> Float[Array, ""]:
        """The 2-norm of `M^1/2 J M^-1/2`; forms the matrix."""
        return self._formed().gain(jacobian)

    def measure(self, jacobian: Matrix) -> Float[Array, ""]:
        """The largest eigenvalue of the symmetric part of `M^1/2 J M^-1/2`; forms the matrix."""
        return self._formed().measure(jacobian)

    def condition(self) -> float:
        """`1 + scale |inner|^2 / shift`, which is not exceeded."""
        return 1.0 + float(self.scale) * euclidean_norm(self.inner) ** 2 / float(self.shift)

    def _formed(self) -> QuadraticMetric:
        return QuadraticMetric(-dense_matrix(NegativeGram(self.inner, self.scale, self.shift)))
