"""Candidates for the theorem of recurrent equilibrium networks. The theorem verifies them.

For a factor r, the inequality `F(P, q) > 0` is linear in the metric and the multipliers. The method
of centres: maximise `log det F - tr F` by Newton's method, see how far this point lets the factor
fall, go most of the way, and so on.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla
from jaxtyping import Float

Square = Float[np.ndarray, "n n"]
Multipliers = Float[np.ndarray, " k"]

# Up to so many states the metric is sought; beyond, it has to be given.
_MOST_STATES, _MOST_UNITS = 32, 1024
_ROUNDS, _NEWTON = 60, 12
_CLOSE = 1e-4
# The share of what a centre gains that stays as room for the next one.
_ROOM = 0.3
_SCALES = 2.0 ** np.arange(0.5, 40, 1.5)


@dataclass(frozen=True)
class Equilibrium:
    """What the inequality is about: `x+ = A x + B w`, `w = phi(C x + D w)`, slopes `[0, gain]`."""

    A: Square
    B: Float[np.ndarray, "n k"]
    C: Float[np.ndarray, "k n"]
    D: Float[np.ndarray, "k k"]
    gain: float


def find_ren_candidate(
    ren: Equilibrium, metric: Square | None
) -> tuple[Square, Multipliers] | None:
    """A metric (the given one, if there is one) and multipliers that may fulfil the inequality."""
    if len(ren.D) > _MOST_UNITS or (metric is None and len(ren.A) > _MOST_STATES):
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Of ill-conditioned systems, whose solutions the theorem judges.
        warnings.simplefilter("ignore")
        try:
            return _search(ren, metric)
        except (np.linalg.LinAlgError, ValueError):
            return None  # numbers that overflow, or a layer too deep to start from


def best_factor(ren: Equilibrium, P: Square, q: Multipliers) -> float:
    """The least factor that the inequality allows, in floats; infinite where it allows none."""
    B, across = ren.B, ren.A.T @ P @ ren.B + ren.gain * ren.C.T * q
    try:
        with np.errstate(all="ignore"):
            rest = _layer(ren, q) - B.T @ P @ B
            np.linalg.cholesky(rest)
            corner = ren.A.T @ P @ ren.A + across @ np.linalg.solve(rest, across.T)
            inverse = np.linalg.inv(np.linalg.cholesky(P))
            square = np.linalg.eigvalsh(inverse @ ((corner + corner.T) / 2) @ inverse.T)[-1]
    except np.linalg.LinAlgError:
        return float("inf")
    return float(np.sqrt(max(square, 0.0)))


def _layer(ren: Equilibrium, q: Multipliers) -> Square:
    """`2 Q - gain (Q D + D^T Q)`."""
    own = ren.gain * q[:, None] * ren.D
    return 2 * np.diag(q) - own - own.T


def _search(ren: Equilibrium, metric: Square | None) -> tuple[Square, Multipliers] | None:
    P = _first_metric(ren) if metric is None else metric
    q = _first_multipliers(ren, P)
    reached = best_factor(ren, P, q)
    if not np.isfinite(reached):
        return None
    level = 1.05 * reached + 1e-6
    for _ in range(_ROUNDS):
        P, q = _centre(ren, P, q, level, metric is None)
        found = best_factor(ren, P, q)
        if not found < level:
            break
        gap, level = level - found, found + _ROOM * (level - found)
        if not gap > _CLOSE * found:
            break
    return P, q


def _first_metric(ren: Equilibrium) -> Square:
    """A metric in which the linear part contracts."""
    radius = np.abs(np.linalg.eigvals(ren.A)).max()
    shrunk = ren.A / max(1.1 * radius, 0.1)
    P = sla.solve_discrete_lyapunov(shrunk.T, np.eye(len(ren.A)))
    return (P + P.T) / (2 * np.abs(P).max())


def _first_multipliers(ren: Equilibrium, P: Square) -> Multipliers:
    """Multipliers that the layer fulfils by its absolute values, at the scale that suits `P`."""
    size = len(ren.D)
    triangle, ones = np.eye(size) - ren.gain * np.abs(ren.D), np.ones(size)
    shape = sla.solve_triangular(triangle.T, ones) if size else ones
    shape /= sla.solve_triangular(triangle, ones, lower=True) if size else ones
    driven = ren.B.T @ P @ ren.B
    least = sla.eigh(driven, _layer(ren, shape), eigvals_only=True)[-1] if size else 1.0
    least = max(float(least), 1e-9)
    factors = [best_factor(ren, P, least * s * shape) for s in _SCALES]
    return least * _SCALES[int(np.argmin(factors))] * shape


def _inequality(ren: Equilibrium, P: Square, q: Multipliers, level: float) -> Square:
    joined = np.hstack([ren.A, ren.B])
    whole = -joined.T @ P @ joined
    n = len(P)
    whole[:n, :n] += level**2 * P
    across = ren.gain * ren.C.T * q
    whole[:n, n:] -= across
    whole[n:, :n] -= across.T
    whole[n:, n:] += _layer(ren, q)
    return (whole + whole.T) / 2


def _centre(
    ren: Equilibrium, P: Square, q: Multipliers, level: float, free: bool
) -> tuple[Square, Multipliers]:
    """Newton's method for `min -log det F + tr F`, over `q`, and over `P` if it is free."""
    n, k = ren.B.shape
    row, column = np.triu_indices(n) if free else (np.zeros(0, int),) * 2
    half = np.where(row == column, 0.5, 1.0)
    for _ in range(_NEWTON):
        F = _inequality(ren, P, q, level)
        gradient, hessian = _derivatives(ren, F, level, row, column, half)
        ridge = 1e-13 * np.diag(hessian) + 1e-300
        move = -sla.solve(hessian + np.diag(ridge), gradient, assume_a="sym")
        decrement = float(-gradient @ move)
        step = np.zeros((n, n))
        np.add.at(step, (row, column), half * move[k:])
        step = step + step.T
        length = 1.0 if decrement < 0.1 else 1 / (1 + np.sqrt(max(decrement, 0.0)))
        for _ in range(30):
            following = _inequality(ren, P + length * step, q + length * move[:k], level)
            if _is_definite(following):
                break
            length /= 2
        else:
            return P, q
        P, q = P + length * step, q + length * move[:k]
        if not decrement > 1e-3:
            break
    return P, q


def _derivatives(
    ren: Equilibrium, F: Square, level: float, row: np.ndarray, column: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, Square]:
    """Gradient and Hessian of `-log det F + tr F` in the multipliers and the metric's entries.

    Every derivative of F is a sum of terms `weight (y z^T + z y^T)`: products of their inner
    products, in the metric `F^-1`, are all that is needed.
    """
    n, k = ren.B.shape
    unit = np.vstack([np.zeros((n, k)), np.eye(k)])
    heard = unit - ren.gain * np.hstack([ren.C, ren.D]).T
    stay, go = np.eye(n + k, n), np.hstack([ren.A, ren.B]).T
    vectors = np.hstack([unit, heard, stay, go])
    white = sla.solve_triangular(np.linalg.cholesky(F), vectors, lower=True)
    gram, plain = white.T @ white, vectors.T @ vectors
    multipliers = np.arange(k)
    left = np.concatenate([multipliers, 2 * k + row, 2 * k + n + row])
    right = np.concatenate([k + multipliers, 2 * k + column, 2 * k + n + column])
    weight = np.concatenate([np.ones(k), level**2 * half, -half])
    slopes = 2 * weight * (plain[left, right] - gram[left, right])
    curves = gram[np.ix_(left, left)] * gram[np.ix_(right, right)]
    curves += gram[np.ix_(left, right)] * gram[np.ix_(right, left)]
    curves *= 2 * weight[:, None] * weight
    last = k + len(row)
    gradient, hessian = slopes[:last].copy(), curves[:last, :last].copy()
    gradient[k:] += slopes[last:]
    hessian[:, k:] += curves[:last, last:]
    hessian[k:] += curves[last:, :last]
    hessian[k:, k:] += curves[last:, last:]
    return gradient, hessian


def _is_definite(matrix: Square) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return bool(np.isfinite(matrix).all())
