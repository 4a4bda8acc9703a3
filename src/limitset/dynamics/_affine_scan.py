"""Linear recurrences solved for all steps at once."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def affine_scan(
    matrices: Float[Array, "t n n"], offsets: Float[Array, "t n"]
) -> Float[Array, "t n"]:
    """All `x_k = matrices_k x_{k-1} + offsets_k`, from `x_{-1} = 0`, in `2 log2(t)` rounds.

    Another start `x` enters by `offsets_0 + matrices_0 x`. Derivatives of any order, in both modes:
    the transpose of one scan is one scan backwards, and no partial product is stored for it.

    **Arguments:**

    - `matrices`: shape (t, n, n); the first one is not used.
    - `offsets`: shape (t, n).

    **Returns:** shape (t, n). The work is `O(t n^3)`; that of a loop is `O(t n^2)`.

    **Example:**

    >>> affine_scan(jnp.full((3, 1, 1), 0.5), jnp.ones((3, 1)))[:, 0].tolist()
    [1.0, 1.5, 1.75]

    **Reference:** G. E. Blelloch, Prefix sums and their applications (1990).
    """

    def residual(x: Float[Array, "t n"]) -> Float[Array, "t n"]:
        before = jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])
        return x - _apply(matrices, before)

    def forward(_: object, b: Float[Array, "t n"]) -> Float[Array, "t n"]:
        return jax.lax.associative_scan(_compose, (matrices, b))[1]

    def backward(_: object, b: Float[Array, "t n"]) -> Float[Array, "t n"]:
        # The transposed recurrence runs from the end: y_k = matrices_{k+1}^T y_{k+1} + b_k.
        ahead = jnp.concatenate([matrices[1:].mT, jnp.zeros_like(matrices[:1])])
        return jax.lax.associative_scan(_compose, (ahead, b), reverse=True)[1]

    return jax.lax.custom_linear_solve(residual, offsets, forward, backward)


_Affine = tuple[Array, Array]


def _compose(first: _Affine, second: _Affine) -> _Affine:
    (A, a), (B, b) = first, second
    return B @ A, _apply(B, a) + b


def _apply(matrices: Array, vectors: Array) -> Array:
    return (matrices @ vectors[..., None])[..., 0]
