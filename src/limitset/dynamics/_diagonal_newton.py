"""Newton along time with the diagonals of the Jacobians only: n numbers a step, not n^2."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

States = Float[Array, "t n"]
Linear = Callable[[States], States]
_Iterate = tuple[States, Float[Array, ""], Float[Array, ""], Int[Array, ""]]


def diagonal_change(linear: Linear, right: States) -> States:
    """The solution of `v_k - diag(A_k) v_{k-1} = right_k`, for `linear` with those `A_k`."""
    return _scan(_diagonals(linear, right), right, reverse=False)


def solve_by_diagonals(linear: Linear, right: States) -> States:
    """The solution of `v_k - A_k v_{k-1} = right_k`, in memory `O(t n)`; NaN if it is not found.

    Repeats `v - diagonal_change(linear(v) - right)`. After k rounds k steps are right in exact
    arithmetic, whatever the `A_k`, so that there are at most as many rounds as steps.
    """

    def forward(matvec: Linear, b: States) -> States:
        return _repeat(matvec, b, reverse=False)

    def backward(vecmat: Linear, b: States) -> States:
        return _repeat(vecmat, b, reverse=True)

    return jax.lax.custom_linear_solve(linear, right, forward, backward)


def _repeat(linear: Linear, right: States, *, reverse: bool) -> States:
    diagonals = _diagonals(linear, right)
    tolerance = 100 * jnp.finfo(right.dtype).eps

    def measured(v: States, count: Int[Array, ""]) -> _Iterate:
        return v, jnp.abs(linear(v) - right).max(), tolerance * jnp.abs(v).max(), count

    def unfinished(now: _Iterate) -> Bool[Array, ""]:
        _, residual, bound, count = now
        return (residual > bound) & (count < len(right))

    def improve(now: _Iterate) -> _Iterate:
        v, _, _, count = now
        return measured(v - _scan(diagonals, linear(v) - right, reverse=reverse), count + 1)

    start = measured(_scan(diagonals, right, reverse=reverse), jnp.array(0))
    v, residual, bound, _ = jax.lax.while_loop(unfinished, improve, start)
    return jnp.where(residual <= bound, v, jnp.nan)


def _diagonals(linear: Linear, like: States) -> States:
    """Of all `A_k` in `v_k - A_k v_{k-1}`, or of their transposes: one derivative after another."""

    def entries(unit: Int[Array, ""]) -> Float[Array, " t"]:
        probe = jnp.zeros_like(like).at[:, unit].set(1)
        return (probe - linear(probe))[:, unit]

    return jax.lax.map(entries, jnp.arange(like.shape[1])).T


def _scan(factors: States, offsets: States, *, reverse: bool) -> States:
    """All `x_k = factors_k x_{k-1} + offsets_k`, or with `x_{k+1}`."""

    def compose(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
        (a, b), (c, d) = first, second
        return c * a, c * b + d

    return jax.lax.associative_scan(compose, (factors, offsets), reverse=reverse)[1]
