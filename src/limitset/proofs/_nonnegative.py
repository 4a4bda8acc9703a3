"""Norms of matrices with nonnegative entries, from products with vectors only."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.proofs._ball import Ball, frobenius_upper
from limitset.proofs._selftest import require_sound_arithmetic

Vector = Float[np.ndarray, " n"]

_LANCZOS_STEPS = 200
_POWER_STEPS = 400
# Weights that underflow to 0 would divide by 0; this floor lies far below every useful weight.
_FLOOR = 2.0**-800


def nonnegative_symmetric_eigenvalue_upper(R: Ball) -> float:
    """Upper bound of the spectral radius of symmetric matrices with entries in `[0, upper(R)]`.

    `max_i (R x)_i / x_i` for a positive `x` (Collatz and Wielandt): any positive `x` gives a
    bound, the Perron vector the sharp one. Signs are ignored, so the result also bounds the
    two-norm of every symmetric matrix in the ball.

    **Returns:** the bound; infinite where `R` is unbounded. Never NaN.

    >>> bound = nonnegative_symmetric_eigenvalue_upper(Ball.exact([[0, 2], [2, 0]]))
    >>> 2.0 <= bound <= 2.0 + 1e-9
    True
    """
    require_sound_arithmetic()
    if R.ndim != 2 or R.shape[0] != R.shape[1]:
        raise InputProblem(f"A symmetric matrix is needed, got shape {R.shape}.")
    U = R.magnitude()
    return _largest_ratio(np.maximum(U, U.T), squared=False)


def nonnegative_two_norm_upper(R: Ball) -> float:
    """Upper bound of the two-norm of every matrix with `|entry| <= magnitude(R)`.

    `|R|_2^2 <= max_j (R^T R x)_j / x_j` for a positive `x`.

    **Returns:** the bound; infinite where `R` is unbounded. Never NaN.

    >>> 2.0 <= nonnegative_two_norm_upper(Ball.exact([[1, 1], [1, 1]])) <= 2.0 + 1e-9
    True
    """
    require_sound_arithmetic()
    if R.ndim != 2:
        raise InputProblem(f"A matrix is needed, got shape {R.shape}.")
    U = R.magnitude()
    return _largest_ratio(U if U.shape[0] >= U.shape[1] else U.T, squared=True)


def _largest_ratio(U: Float[np.ndarray, "m n"], squared: bool) -> float:
    """Collatz-Wielandt bound for `U`, or the root of the one for `U^T U`."""
    largest = float(np.max(U, initial=0.0))
    if not largest < math.inf:
        return math.inf
    if largest == 0.0:
        return 0.0
    exponent = math.frexp(largest)[1]
    scaled = Ball.exact(U).ldexp(-exponent)
    A = scaled.mid

    def apply(v: Vector) -> Vector:
        return A.T @ (A @ v) if squared else A @ v

    x = Ball.exact(_perron_weights(apply, A.shape[1]))
    y = scaled.T @ (scaled @ x) if squared else scaled @ x
    ratio = float((y / x).upper().max())
    if squared:
        ratio = float(Ball.exact(ratio).sqrt().upper()) if ratio < math.inf else math.inf
    bound = min(ratio, frobenius_upper(scaled))
    return float(Ball.exact(bound).ldexp(exponent).upper())


def _perron_weights(apply: Callable[[Vector], Vector], n: int) -> Vector:
    """Positive weights near the Perron vector of a symmetric nonnegative operator.

    Lanczos finds the vector even where power steps need thousands. Shifted power steps
    then repair its small entries and the blocks it misses, on which the ratios depend.
    """
    vector = np.abs(dominant_vector(apply, n))
    x = vector / vector.max() + 2.0**-30
    best, best_ratio, since = x, math.inf, 0
    for _ in range(_POWER_STEPS):
        y = apply(x)
        ratios = y / x
        high, low = float(ratios.max()), float(ratios.min())
        if high < best_ratio:
            since = 0 if high < best_ratio * (1 - 1e-12) else since + 1
            best, best_ratio = x, high
        else:
            since += 1
        if high - low <= 1e-12 * high or since > 20:
            break
        # The shift keeps bipartite matrices from oscillating between two vectors.
        x = y + 0.5 * high * x
        x = np.maximum(x / x.max(), _FLOOR)
    return best


def dominant_vector(apply: Callable[[Vector], Vector], n: int) -> Vector:
    """Approximate eigenvector of the largest eigenvalue of a symmetric operator; not a bound.

    Lanczos with full reorthogonalisation, from a positive start.
    """
    steps = min(n, _LANCZOS_STEPS)
    basis = np.zeros((steps, n))
    T = np.zeros((steps + 1, steps + 1))
    # Deterministic and generic: no symmetry of a matrix is likely to be orthogonal to it.
    q = 1.0 + 0.25 * np.sin(1.0 + np.arange(n) ** 1.5)
    q = q / np.linalg.norm(q)
    check = 8
    for k in range(steps):
        basis[k] = q
        w = apply(q)
        T[k, k] = q @ w
        for _ in range(2):
            w = w - basis[: k + 1].T @ (basis[: k + 1] @ w)
        beta = float(np.linalg.norm(w))
        T[k, k + 1] = T[k + 1, k] = beta
        if k + 1 >= check or k + 1 == steps or beta <= 1e-14 * abs(T[k, k]):
            values, vectors = np.linalg.eigh(T[: k + 1, : k + 1])
            ritz = vectors[:, -1]
            if k + 1 == steps or beta * abs(ritz[-1]) <= 1e-12 * abs(values[-1]):
                return basis[: k + 1].T @ ritz
            check = 1 + (5 * check) // 4
        q = w / beta
    return q
