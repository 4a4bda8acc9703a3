"""Fixed points of smooth maps by Anderson's acceleration."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Vector = Float[Array, " n"]
Scalar = Float[Array, ""]

_MEMORY = 8
# Relative to the largest: differences of residuals are nearly parallel close to the end.
_RIDGE = 1e-13


class Ending(NamedTuple):
    """Where an iteration ended: the last residual is that of the point before `point`."""

    point: Vector
    residual: Scalar
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]


class _State(NamedTuple):
    iterations: Int[Array, ""]
    point: Vector
    points: Float[Array, "memory n"]
    residuals: Float[Array, "memory n"]
    error: Scalar


def find_fixed_point(
    advance: Callable[[Vector], Vector],
    start: Vector,
    *,
    tolerance: float,
    iterations: int,
    floor: float,
) -> Ending:
    """Iterate `x <- advance(x)` until `max |advance(x) - x| <= tolerance * max(|x[0]|, floor)`.

    Each step goes to where the last eight residuals, taken as a linear model, are smallest. That
    is GMRES for a map that is linear, and it also reaches points that plain iteration leaves.

    **Returns:** an `Ending`; `residual` is relative in the same way.

    **Reference:** D. G. Anderson, J. ACM 12 (1965) 547.
    """
    shape = (_MEMORY, start.shape[0])

    def proceeds(state: _State) -> Array:
        return (state.iterations < iterations) & ~(state.error <= tolerance)

    def step(state: _State) -> _State:
        residual = advance(state.point) - state.point
        slot = state.iterations % _MEMORY
        points = state.points.at[slot].set(state.point)
        residuals = state.residuals.at[slot].set(residual)
        filled = (jnp.arange(_MEMORY) <= state.iterations)[:, None]
        turns = jnp.where(filled, residuals - residual, 0.0)
        moves = jnp.where(filled, points - state.point, 0.0)
        weights = _least_squares(turns, residual)
        size = jnp.maximum(jnp.abs(state.point[0]), floor)
        error = jnp.max(jnp.abs(residual)) / size
        following = state.point + residual - weights @ (moves + turns)
        return _State(state.iterations + 1, following, points, residuals, error)

    begin = _State(jnp.array(0), start, jnp.zeros(shape), jnp.zeros(shape), jnp.array(jnp.inf))
    end = jax.lax.while_loop(proceeds, step, begin)
    return Ending(end.point, end.error, end.iterations, end.error <= tolerance)


def _least_squares(rows: Float[Array, "memory n"], target: Vector) -> Float[Array, " memory"]:
    """Weights whose combination of rows comes closest to the target."""
    gram = rows @ rows.T
    size = jnp.diag(gram)
    # Unused rows are zero, and so is the present one.
    scale = jnp.where(size > 0, jax.lax.rsqrt(jnp.where(size > 0, size, 1.0)), 0.0)
    normal = gram * scale[:, None] * scale + (_RIDGE + (size == 0)) * jnp.eye(_MEMORY)
    return scale * jnp.linalg.solve(normal, scale * (rows @ target))
