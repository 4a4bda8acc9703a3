"""Constant metrics: one object gives the norm, the gain of a map and the measure of a flow."""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset._types import Matrix, State


class AbstractMetric(eqx.Module):
    """A norm on states. Its values are float64 numbers, not bounds: `certify` makes the bounds."""

    @abc.abstractmethod
    def norm(self, v: State) -> Float[Array, ""]:
        """`|v|_M`."""

    @abc.abstractmethod
    def gain(self, jacobian: Matrix) -> Float[Array, ""]:
        """`sup |J v|_M / |v|_M`: below one, a map with this Jacobian contracts."""

    @abc.abstractmethod
    def measure(self, jacobian: Matrix) -> Float[Array, ""]:
        """`lim (gain(I + h J) - 1) / h`: negative, a flow with this Jacobian contracts."""

    @abc.abstractmethod
    def condition(self) -> float:
        """`sup |v|_M / |v|` over `inf |v|_M / |v|`, squared: how far the metric is from round."""


class DiagonalMetric(AbstractMetric):
    """`|v|_M = |scale * v|_2`, so `M = diag(scale^2)`.

    **Arguments:** `scale`, shape (n,), positive and finite.

    >>> import jax.numpy as jnp
    >>> float(DiagonalMetric(jnp.array([3.0, 4.0])).norm(jnp.ones(2)))
    5.0
    """

    scale: Float[Array, " n"]

    def __check_init__(self) -> None:
        require_arrays(scale=self.scale)
        if self.scale.ndim != 1:
            raise InputProblem(f"metric scale has shape {self.scale.shape}; give a vector (n,)")

    def norm(self, v: State) -> Float[Array, ""]:
        """`|scale * v|_2`."""
        return jnp.linalg.norm(self.scale * v)

    def gain(self, jacobian: Matrix) -> Float[Array, ""]:
        """The 2-norm of `S J S^-1`."""
        return jnp.linalg.norm(self._whiten(jacobian), 2)

    def measure(self, jacobian: Matrix) -> Float[Array, ""]:
        """The largest eigenvalue of the symmetric part of `S J S^-1`."""
        whitened = self._whiten(jacobian)
        return jnp.linalg.eigvalsh((whitened + whitened.T) / 2)[-1]

    def condition(self) -> float:
        """`(max scale / min scale)^2`."""
        scale = np.asarray(self.scale, np.float64)
        ratio = float(scale.max()) / float(scale.min())
        return ratio * ratio

    def _whiten(self, jacobian: Matrix) -> Matrix:
        return self.scale[:, None] * jacobian / self.scale


class QuadraticMetric(AbstractMetric):
    """`|v|_M = sqrt(v^T matrix v)` for a symmetric positive definite matrix.

    **Arguments:** `matrix`, shape (n, n). It is the metric itself, not its inverse.
    """

    matrix: Float[Array, "n n"]

    def __check_init__(self) -> None:
        require_arrays(matrix=self.matrix)
        if self.matrix.ndim != 2 or self.matrix.shape[0] != self.matrix.shape[1]:
            raise InputProblem(f"metric matrix has shape {self.matrix.shape}; give (n, n)")

    def norm(self, v: State) -> Float[Array, ""]:
        """`sqrt(v^T M v)`."""
        return jnp.sqrt(v @ self.matrix @ v)

    def gain(self, jacobian: Matrix) -> Float[Array, ""]:
        """The 2-norm of `M^1/2 J M^-1/2`."""
        return jnp.linalg.norm(self._whiten(jacobian), 2)

    def measure(self, jacobian: Matrix) -> Float[Array, ""]:
        """The largest eigenvalue of the symmetric part of `M^1/2 J M^-1/2`."""
        whitened = self._whiten(jacobian)
        return jnp.linalg.eigvalsh((whitened + whitened.T) / 2)[-1]

    def condition(self) -> float:
        """Largest over smallest eigenvalue of the matrix."""
        eigenvalues = np.linalg.eigvalsh(np.asarray(self.matrix, np.float64))
        return float(eigenvalues[-1] / eigenvalues[0])

    def _whiten(self, jacobian: Matrix) -> Matrix:
        eigenvalues, vectors = jnp.linalg.eigh(self.matrix)
        root = (vectors * jnp.sqrt(eigenvalues)) @ vectors.T
        inverse_root = (vectors / jnp.sqrt(eigenvalues)) @ vectors.T
        return root @ jacobian @ inverse_root
