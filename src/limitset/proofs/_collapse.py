"""A ball of weights from which self-application goes to 0, for every particle of a shape."""

import math
from dataclasses import dataclass

import numpy as np

from limitset._result import InputProblem
from limitset.proofs._ball import Ball, frobenius_upper
from limitset.proofs._linalg import two_norm_upper
from limitset.proofs._particle_forms import ParticleShape, Positions, Shapes
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic


@dataclass(frozen=True)
class CollapseBall:
    """Every `theta` with `|theta|_2 <= radius` has `|T(theta)|_2 <= factor |theta|_2`.

    `factor` is below 1, so iterates of all of these go to 0, which is the only fixed point among
    them. `is_linear` says whether this is about the identity as activation, or about every
    activation `a` with `|a(x)| <= |x|`, as tanh and ReLU.
    """

    radius: float
    factor: float
    is_linear: bool


def prove_collapse_ball(
    positions: Positions, shapes: Shapes, radius: float | None = None, *, linear: bool = True
) -> CollapseBall | Refusal:
    """Prove that self-application takes all small weights to 0.

    `|W_L| ... |W_1| <= (r / sqrt L)^L` for `|theta|_2 <= r`, as the squares of the Frobenius norms
    add up to at most `r^2`. A linear particle answers `X kappa` with `X = [theta, Pi]`, hence
    `|T(theta)|_2 <= (r / sqrt L)^L sqrt(r^2 + |Pi|_2^2)`; any other one with `|a(x)| <= |x|`
    answers row by row, and the same holds with the Frobenius norm of `Pi`. Over `r` this bound
    grows with `r`, so below 1 it is a factor for the whole ball.

    **Arguments:** `positions` of shape `(n, 3)`; `shapes` of the matrices as (rows, columns),
    first to last; `radius` a claim to test, the largest one that passes if omitted; `linear` as
    `is_linear` of the result.

    **Returns:** the ball, or a refusal, which proves nothing.

    **Raises:** `InputProblem` for numbers or shapes that cannot be used.

    >>> ball = prove_collapse_ball(np.zeros((14, 3)), ((2, 4), (2, 2), (1, 2)))
    >>> abs(ball.radius - 3**0.5) < 1e-12, ball.factor < 1
    (True, True)

    **Reference:** arXiv 2212.10078 for the particles; the bound is elementary.
    """
    require_sound_arithmetic()
    shape = ParticleShape(positions, shapes)
    places = Ball.exact(shape.positions)
    norm = two_norm_upper(places) if linear else frobenius_upper(places)
    if radius is None:
        radius = _largest(shape.depth, norm)
    elif not 0 < radius < math.inf:
        raise InputProblem(f"radius is {radius}; give a positive number")
    factor = _factor(shape.depth, norm, radius)
    if not factor < 1:
        return Refusal(
            Reason.NOT_CONTRACTING,
            f"The norm of the image is bounded by {factor:.6g} times that of the weights only.",
            {"factor": factor},
        )
    return CollapseBall(float(radius), factor, linear)


def _factor(depth: int, norm: float, radius: float) -> float:
    """`(r / sqrt L)^L sqrt(r^2 + N^2) / r`, rounded up; infinite where it overflows."""
    r = Ball.exact(radius)
    square = r * r + Ball.exact(norm) * norm
    if not np.isfinite(square.upper()):
        return math.inf
    product = square.sqrt() / Ball.exact(float(depth)).sqrt()
    for _ in range(depth - 1):
        product = product * (r / Ball.exact(float(depth)).sqrt())
    return float(product.upper())


def _largest(depth: int, norm: float) -> float:
    """By bisection; the bound grows with the radius."""
    low, high = 0.0, math.sqrt(depth)
    for _ in range(80):
        middle = 0.5 * (low + high)
        if middle > 0 and _factor(depth, norm, middle) < 1:
            low = middle
        else:
            high = middle
    return max(low, float(np.finfo(np.float64).tiny))
