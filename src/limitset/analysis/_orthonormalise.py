"""How tangent vectors are made orthonormal again, and what that says of their growth."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from limitset._result import InputProblem

# One more round makes columns orthonormal to rounding if they are so already up to this
# (Frobenius norm of Q'Q - I); see the reference of CholeskyQR.
_NEARLY_ORTHONORMAL = 0.5


class AbstractOrthonormalisation(eqx.Module):
    """A way to split `frame = Q R`: `Q` orthonormal, `R` upper triangular, its diagonal positive.

    With that diagonal the split is unique, so every way gives the same answer up to rounding.
    """

    @abc.abstractmethod
    def split(self, frame: Float[Array, "n k"]) -> tuple[Float[Array, "n k"], Float[Array, "k k"]]:
        """`Q` and `R`, for n >= k columns that are independent."""


class Householder(AbstractOrthonormalisation):
    """By Householder reflections (LAPACK on processors): right for any columns.

    >>> import jax.numpy as jnp
    >>> Householder().split(jnp.array([[-3.0], [4.0]]))[1].round(12).tolist()
    [[5.0]]

    **Reference:** G. Golub and C. Van Loan, Matrix Computations (2013), section 5.2.
    """

    def split(self, frame: Float[Array, "n k"]) -> tuple[Float[Array, "n k"], Float[Array, "k k"]]:
        """`Q` and `R`."""
        orthonormal, triangle = jnp.linalg.qr(frame)
        # LAPACK leaves the signs open; a zero on the diagonal keeps its column.
        signs = jnp.where(jnp.diagonal(triangle) < 0, -1, 1).astype(frame.dtype)
        return orthonormal * signs, triangle * signs[:, None]


class CholeskyQR(AbstractOrthonormalisation):
    """By Cholesky factors of Gram matrices: products and triangular solves only.

    Accelerators do these fast, in batches too, where they do reflections slowly. Two rounds give
    what reflections give as long as the columns' condition number is below about 1e7 in float64
    and 1e3 in float32. Each call looks at that: columns that are worse, or NaN, go to
    `Householder`. Under `vmap` both are computed.

    **Arguments:** `rounds`, 2 or more.

    >>> import jax.numpy as jnp
    >>> CholeskyQR().split(jnp.array([[-3.0], [4.0]]))[1].round(12).tolist()
    [[5.0]]

    **Reference:** Y. Yamamoto and others, Electron. Trans. Numer. Anal. 44 (2015) 306-326.
    """

    rounds: int = eqx.field(static=True, default=2)

    def __check_init__(self) -> None:
        if not (isinstance(self.rounds, int) and 2 <= self.rounds <= 8):
            raise InputProblem(f"rounds is {self.rounds!r}; give a whole number from 2 to 8")

    def split(self, frame: Float[Array, "n k"]) -> tuple[Float[Array, "n k"], Float[Array, "k k"]]:
        """`Q` and `R`."""
        orthonormal, triangle = frame, jnp.eye(frame.shape[1], dtype=frame.dtype)
        good = jnp.array(False)
        for _ in range(self.rounds):
            orthonormal, factor, good = _cholesky_round(orthonormal)
            triangle = factor @ triangle
        return jax.lax.cond(
            good, lambda: (orthonormal, triangle), lambda: Householder().split(frame)
        )


def _cholesky_round(
    frame: Float[Array, "n k"],
) -> tuple[Float[Array, "n k"], Float[Array, "k k"], Bool[Array, ""]]:
    """`frame = Q R` by one Cholesky factor, and whether `frame` was nearly orthonormal before."""
    gram = frame.T @ frame
    departure = jnp.linalg.norm(gram - jnp.eye(frame.shape[1], dtype=frame.dtype))
    lower = jnp.linalg.cholesky(gram)
    orthonormal = jax.scipy.linalg.solve_triangular(lower, frame.T, lower=True).T
    # NaN compares as false.
    return orthonormal, lower.T, departure <= _NEARLY_ORTHONORMAL
