"""Linear operators between vectors: dense matrices, pooling, and negative Gram operators."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays

# Of any length: what goes in is not as long as what comes out.
Vector = Float[Array, " _"]


class AbstractOperator(eqx.Module):
    """A linear map between vectors, applied without its matrix where that is large."""

    @property
    @abc.abstractmethod
    def input_size(self) -> int:
        """Length of what it is applied to."""

    @property
    @abc.abstractmethod
    def output_size(self) -> int:
        """Length of what it gives."""

    @abc.abstractmethod
    def __call__(self, x: Vector) -> Vector:
        """The image of one vector, shape (input_size,), of shape (output_size,)."""

    @abc.abstractmethod
    def adjoint(self, y: Vector) -> Vector:
        """The image under the transpose: `<self(x), y> = <x, self.adjoint(y)>` for all x, y."""


class DenseOperator(AbstractOperator):
    """`x -> matrix x`.

    **Arguments:** `matrix`, shape (n, m).

    >>> import jax.numpy as jnp
    >>> DenseOperator(jnp.array([[1.0, 2.0]]))(jnp.array([3.0, 4.0])).tolist()
    [11.0]
    """

    matrix: Float[Array, "n m"]

    def __check_init__(self) -> None:
        require_arrays(matrix=self.matrix)
        if self.matrix.ndim != 2:
            raise InputProblem(f"matrix has shape {self.matrix.shape}; give (outputs, inputs)")

    @property
    def input_size(self) -> int:
        """Number of columns."""
        return self.matrix.shape[-1]

    @property
    def output_size(self) -> int:
        """Number of rows."""
        return self.matrix.shape[-2]

    def __call__(self, x: Vector) -> Vector:
        """`matrix x`."""
        return self.matrix @ x

    def adjoint(self, y: Vector) -> Vector:
        """`matrix^T y`."""
        return y @ self.matrix


class MeanPool(AbstractOperator):
    """Means over squares of `window` x `window` pixels that do not overlap.

    Its 2-norm is `1 / window`, its maximum norm 1. States are images of shape
    (channels, height, width), row by row.

    **Raises:** `InputProblem` if the window does not divide height and width.

    >>> import jax.numpy as jnp
    >>> MeanPool(1, 2, 2, 2)(jnp.array([1.0, 2.0, 3.0, 6.0])).tolist()
    [3.0]
    """

    channels: int = eqx.field(static=True)
    height: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    window: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        sizes = (self.channels, self.height, self.width, self.window)
        if not min(sizes) >= 1 or self.height % self.window or self.width % self.window:
            raise InputProblem(
                f"a window of {self.window} does not divide images of {self.channels} x "
                f"{self.height} x {self.width}; choose one that divides height and width"
            )

    @property
    def input_size(self) -> int:
        """Pixels before."""
        return self.channels * self.height * self.width

    @property
    def output_size(self) -> int:
        """Pixels after."""
        return self.input_size // self.window**2

    def __call__(self, x: Vector) -> Vector:
        """The means."""
        rows, columns = self.height // self.window, self.width // self.window
        return (
            x.reshape(self.channels, rows, self.window, columns, self.window).mean((2, 4)).ravel()
        )

    def adjoint(self, y: Vector) -> Vector:
        """Each mean spread over its square."""
        rows, columns = self.height // self.window, self.width // self.window
        squares = y.reshape(self.channels, rows, 1, columns, 1) / self.window**2
        shape = (self.channels, rows, self.window, columns, self.window)
        return jnp.broadcast_to(squares, shape).ravel()


class NegativeGram(AbstractOperator):
    """`x -> -rates * (scale inner^T (inner x) + shift x)`, symmetric but for the rates.

    Definite however it is rounded: eigenvalues of the bracket lie in
    `[shift, shift + scale |inner|^2]`. The inner product is never formed, so that a convolution
    stays one.

    **Arguments:** `inner`; `scale` and `shift`, 0 or positive; `rates`, shape (n,), positive, a
    speed for each unit, or `None`: 1.

    **Reference:** arXiv 1804.07209, where `scale` is 1 and `inner` a matrix.

    >>> import jax.numpy as jnp
    >>> inner = DenseOperator(jnp.array([[2.0, 0.0]]))
    >>> NegativeGram(inner, jnp.array(1.0), jnp.array(0.5))(jnp.ones(2)).tolist()
    [-4.5, -0.5]
    """

    inner: AbstractOperator
    scale: Float[Array, ""]
    shift: Float[Array, ""]
    rates: Float[Array, " n"] | None = None

    @property
    def input_size(self) -> int:
        """Length of a state."""
        return self.inner.input_size

    @property
    def output_size(self) -> int:
        """Length of a state."""
        return self.inner.input_size

    def __call__(self, x: Vector) -> Vector:
        """The image of one vector."""
        image = -self._bracket(x)
        return image if self.rates is None else self.rates * image

    def adjoint(self, y: Vector) -> Vector:
        """The image under the transpose."""
        return -self._bracket(y if self.rates is None else self.rates * y)

    def _bracket(self, x: Vector) -> Vector:
        return self.scale * self.inner.adjoint(self.inner(x)) + self.shift * x


def dense_matrix(operator: AbstractOperator) -> Float[Array, "n m"]:
    """The matrix of an operator, from the images of unit vectors: for small ones, and for tests.

    **Returns:** shape (outputs, inputs), of the operator's dtype.

    **Raises:** `InputProblem` for more than 2**26 entries.

    >>> dense_matrix(MeanPool(1, 2, 2, 2)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    entries = operator.input_size * operator.output_size
    if entries > 2**26:
        raise InputProblem(
            f"the matrix would have {entries} entries; apply the operator to vectors instead"
        )
    leaves = [leaf for leaf in jax.tree.leaves(operator) if eqx.is_inexact_array(leaf)]
    dtype = jnp.result_type(*leaves) if leaves else jnp.float64
    return jax.vmap(operator, out_axes=1)(jnp.eye(operator.input_size, dtype=dtype))


def transpose_of(function: Callable[[Vector], Vector], y: Vector, size: int) -> Vector:
    """The transpose of a linear function of vectors of that size, at `y`."""
    entering = jax.ShapeDtypeStruct((size,), y.dtype)
    (image,) = jax.linear_transpose(function, entering)(y)
    return image
