"""Free parameters from weights that exist: `explicit` of what comes out gives them back.

Everything here is in float64, for one module whose bound is 1: weights over their limit.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset.contraction._absolute_weights import (
    AbsoluteValueWeight,
    SelfDampedWeight,
    TriangularWeight,
)
from limitset.contraction._factor_weights import SectorWeight, SymmetricWeight
from limitset.contraction._layer import Vector
from limitset.contraction._spectral_weights import SpectralNormWeight

Square = Float[np.ndarray, "n n"]
# Theta, log-scale, and the slacks of rows and columns.
Test = tuple[Float[Array, "n n"], Float[Array, " n"], Float[Array, " n"], Float[Array, " n"]]


def recover_absolute_value(weight: Square) -> AbsoluteValueWeight | None:
    """Parameters of a weight with spectral radius of `|W|` below 1; `None` for others."""
    found = _test_vector(np.abs(weight), np.ones(len(weight)))
    if found is None:
        return None
    scale, vector = found
    whitened = weight * scale[:, None] / scale
    return AbsoluteValueWeight(*_schur(whitened, scale, vector, vector))


def recover_absolute_value_in(weight: Square, scale: Vector) -> AbsoluteValueWeight | None:
    """The same in a given metric, where `|S W S^-1|` in absolute values has a norm below 1."""
    whitened = weight * scale[:, None] / scale
    magnitude, ones = np.abs(whitened), np.ones(len(weight))
    try:
        rows = np.linalg.solve(np.diag(ones) - magnitude @ magnitude.T, ones + magnitude @ ones)
    except np.linalg.LinAlgError:
        return None
    columns = ones + magnitude.T @ rows
    # Then `|V| columns <= rows` and `|V|^T rows <= columns`, which is what Schur's test asks.
    if not ((rows > 0).all() and (magnitude @ columns <= rows).all()):
        return None
    return AbsoluteValueWeight(*_schur(whitened, scale, rows, columns))


def recover_self_damped(weight: Square) -> SelfDampedWeight | None:
    """The same where only positive self-weights count; `None` where that does not suffice."""
    found = _self_damped(weight)
    return None if found is None else SelfDampedWeight(found[0], _damping(weight), *found[1:])


def recover_triangular(weight: Square) -> TriangularWeight | None:
    """Parameters of a lower triangular weight with self-weights below 1; `None` for others."""
    if np.triu(weight, 1).any():
        return None
    found = _self_damped(weight)
    return None if found is None else TriangularWeight(found[0], _damping(weight), *found[1:])


def recover_spectral_norm(weight: Square, scale: Vector) -> SpectralNormWeight:
    """Parameters of a weight of norm at most 1 in the metric `diag(scale^2)`."""
    whitened = weight * scale[:, None] / scale
    return SpectralNormWeight(jnp.asarray(whitened), jnp.asarray(np.log(scale)))


def recover_symmetric(weight: Square) -> SymmetricWeight:
    """Parameters of a symmetric weight without eigenvalue above 1."""
    values, vectors = np.linalg.eigh((weight + weight.T) / 2)
    root = np.maximum(0.0, 1 - values) ** 0.25
    return SymmetricWeight(jnp.asarray((vectors * root) @ vectors.T))


def recover_sector(core: Square, factor: Square, gain: Vector) -> SectorWeight:
    """Parameters of `2 E Z F - E^2 F^T F`, with `Z` of norm at most 1 and any invertible F."""
    left, values, right = np.linalg.svd(factor)
    # Of all F with this metric the triangle is taken, and the least eigenvalue is 1.
    least = values[-1]
    root = (right.T * np.sqrt(np.maximum((values / least) ** 2 - 1, 0.0))) @ right
    square = (right.T * (values / least) ** 2) @ right
    triangle = np.linalg.cholesky((square + square.T) / 2).T
    turned = core @ (left * (values / least)) @ right @ np.linalg.inv(triangle)
    return SectorWeight(*(jnp.asarray(a) for a in (turned, root, np.log(gain * least))))


def _self_damped(weight: Square) -> Test | None:
    gap = 1 - np.maximum(np.diag(weight), 0.0)
    if not (gap > 0).all():
        return None
    off_diagonal = weight - np.diag(np.diag(weight))
    found = _test_vector(np.abs(off_diagonal), gap)
    if found is None:
        return None
    scale, vector = found
    half = np.sqrt(gap)
    whitened = off_diagonal * (scale / half)[:, None] / (scale * half)
    return _schur(whitened, scale, half * vector, half * vector)


def _test_vector(magnitude: Square, gap: Vector) -> tuple[Vector, Vector] | None:
    """A scale S and `S d`, with `|W| d < G d` and, for `l = S^2 d`, `|W|^T l < G l`."""
    try:
        matrix = np.diag(gap) - magnitude
        right, left = (np.linalg.solve(m, np.ones(len(gap))) for m in (matrix, matrix.T))
    except np.linalg.LinAlgError:
        return None
    if not (np.isfinite([right, left]).all() and (right > 0).all() and (left > 0).all()):
        return None
    scale = np.sqrt(left) / np.sqrt(right)
    scale = scale / np.exp(np.log(scale).mean())
    vector = scale * right
    return scale, vector / np.exp(np.log(vector).mean())


def _schur(whitened: Square, scale: Vector, rows: Vector, columns: Vector) -> Test:
    """Theta, log-scale and slacks for which the sums with slacks are `rows^2` and `columns^2`."""
    theta = rows[:, None] * whitened * columns
    row_slack = np.sqrt(np.maximum(rows**2 - np.abs(theta).sum(1), 0.0))
    column_slack = np.sqrt(np.maximum(columns**2 - np.abs(theta).sum(0), 0.0))
    return (
        jnp.asarray(theta),
        jnp.asarray(np.log(scale)),
        jnp.asarray(row_slack),
        jnp.asarray(column_slack),
    )


def _damping(weight: Square) -> Float[Array, " n"]:
    """The inverse of softplus, at `1 - W_ii`."""
    drop = 1 - np.diag(weight)
    return jnp.asarray(drop + np.log(-np.expm1(-drop)))
