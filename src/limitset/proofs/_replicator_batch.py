"""Distances to exact self-replicators, for many linear particles of one shape at once."""

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._particle_forms import (
    QUESTION,
    ParticleShape,
    Positions,
    Shapes,
    kappa,
    kappa_gradient,
    times,
)
from limitset.proofs._selftest import require_sound_arithmetic

Batch = Float[np.ndarray, "N n"]
Frames = Float[np.ndarray, "N n 4"]
Unknowns = Float[np.ndarray, "N 4"]

_GOAL = np.array([1.0, 0.0, 0.0, 0.0])
_STEPS = 8
_INFLATIONS = 4
# Farther than this a box says nothing useful, and its numbers might overflow.
_WIDEST = 1e3


def bound_replicator_distances(
    weights: Batch, positions: Positions, shapes: Shapes
) -> Float[np.ndarray, " N"]:
    """How far the nearest exact self-replicator is from each particle, at most.

    The test of `prove_replicator`, for all particles in one step; nothing but the distance.

    **Arguments:** `weights` of shape `(N, n)`; `positions` and `shapes` as in `prove_replicator`.

    **Returns:** verified bounds of shape `(N,)`, Euclidean; `inf` where none was proved.

    **Raises:** `InputProblem` for numbers or shapes that cannot be used.

    >>> perfect = np.zeros(14)
    >>> perfect[[0, 8, 12]] = 1.0
    >>> shapes = ((2, 4), (2, 2), (1, 2))
    >>> bounds = bound_replicator_distances(
    ...     np.stack([perfect + 1e-6, 0.0 * perfect]), np.zeros((14, 3)), shapes
    ... )
    >>> bool(bounds[0] < 1e-5), float(bounds[1])
    (True, inf)

    **Reference:** R. Krawczyk, Computing 4, 1969.
    """
    require_sound_arithmetic()
    shape = ParticleShape(positions, shapes)
    start = Ball.exact(weights).mid
    if start.ndim != 2 or start.shape[1] != shape.size:
        raise InputProblem(f"weights has shape {start.shape}; give (N, {shape.size})")
    if not len(start):
        return np.zeros(0)
    with np.errstate(all="ignore"):
        frames = _frames(shape, start)
        centers = _refined(shape, start, frames)
    return _proved(shape, start, frames, centers)


def _along(weights: Batch, frames: Frames, y: Ball) -> Ball:
    """`weights + Q y` for each particle."""
    return ball_sum(Ball.exact(frames) * y[:, None, :], axis=-1) + weights


def _frames(shape: ParticleShape, weights: Batch) -> Frames:
    """Orthonormal bases of the ranges of `G^T`, in floats."""
    G = kappa_gradient(shape, Ball.exact(weights)).mid
    return np.linalg.qr(np.swapaxes(G, 1, 2))[0]


def _refined(shape: ParticleShape, weights: Batch, frames: Frames) -> Unknowns:
    """Newton's method for the midpoints: candidates; where it leaves all bounds, 0."""
    y = np.zeros((len(weights), QUESTION))
    for _ in range(_STEPS):
        theta = Ball.exact(_along(weights, frames, Ball.exact(y)).mid)
        slope = kappa_gradient(shape, theta).mid @ frames
        missed = kappa(shape, theta).mid - _GOAL
        y = y - (_inverses(slope) @ missed[..., None])[..., 0]
        y = np.where((np.abs(y) < _WIDEST).all(axis=1, keepdims=True), y, 0.0)
    return y


def _inverses(matrices: Float[np.ndarray, "N 4 4"]) -> Float[np.ndarray, "N 4 4"]:
    """Float inverses; of singular matrices anything, which no test accepts."""
    regular = np.linalg.matrix_rank(matrices) == QUESTION
    inverse = np.linalg.inv(np.where(regular[:, None, None], matrices, np.eye(QUESTION)))
    return np.where(np.isfinite(inverse), inverse, 0.0)


def _proved(
    shape: ParticleShape, weights: Batch, frames: Frames, centers: Unknowns
) -> Float[np.ndarray, " N"]:
    """`Y + Z rho < rho` entrywise, as `krawczyk` has it, with a few larger boxes."""
    middle = _along(weights, frames, Ball.exact(centers))
    slope = times(kappa_gradient(shape, middle), Ball.exact(frames))
    A = Ball.exact(_inverses(slope.mid))
    missed = kappa(shape, middle) - _GOAL
    Y = times(A, missed[..., None])[..., 0].magnitude()
    Y = np.where(Y < _WIDEST, Y, _WIDEST)
    rho, bound = 3.0 * Y + 1e-30, np.full(len(weights), np.inf)
    for _ in range(_INFLATIONS):
        box = Ball(centers, rho)
        around = kappa_gradient(shape, _along(weights, frames, box))
        Z = (np.eye(QUESTION) - times(A, times(around, Ball.exact(frames)))).magnitude()
        Z = np.where(Z < _WIDEST, Z, _WIDEST)
        image = (ball_sum(Ball.exact(Z) * rho[:, None, :], axis=-1) + Y).upper()
        holds = (image < rho).all(axis=1) & (Y < _WIDEST).all(axis=1)
        move = ball_sum(Ball.exact(frames) * box[:, None, :], axis=-1)
        length = ball_sum(move * move, axis=-1).upper()
        bound = np.where(holds, np.minimum(bound, Ball.exact(length).sqrt().upper()), bound)
        rho = np.minimum(np.maximum(2.0 * image, rho), _WIDEST)
    return bound
