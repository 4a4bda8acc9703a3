"""Verified definiteness, extreme eigenvalues, norms and linear systems of ball matrices."""

import math

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.proofs._ball import (
    Ball,
    ball_sum,
    frobenius_upper,
    gram,
    inf_norm_upper,
    one_norm_upper,
)
from limitset.proofs._nonnegative import (
    nonnegative_symmetric_eigenvalue_upper,
    nonnegative_two_norm_upper,
)
from limitset.proofs._selftest import require_sound_arithmetic

Square = Float[np.ndarray, "n n"]

_ROUNDOFF = 2.0**-53


class NotVerified(ArithmeticError):
    """A verification did not close; `number` is the bound that had to be below 1."""

    def __init__(self, message: str, number: float) -> None:
        super().__init__(message)
        self.number = number


def smallest_eigenvalue_lower(S: Ball) -> float:
    """Lower bound of the smallest eigenvalue of every symmetric matrix in the ball.

    With a float Cholesky factor `L` of `M - s I` and `D >= |M - s I - L L^T|` entrywise,
    `lambda_min >= s - |D|_inf - |rad|_2`. Nothing is assumed of the factor. Where it does not
    exist, Gershgorin's discs give the bound. For a matrix that is not symmetric the bound is
    about its symmetric part.

    **Arguments:** `S` of shape `(n, n)`.

    **Returns:** the bound; `-inf` when nothing is established. Never NaN.

    >>> bound = smallest_eigenvalue_lower(Ball.exact([[2.0, 1.0], [1.0, 2.0]]))
    >>> 1.0 - 1e-14 <= bound <= 1.0
    True

    **Source:** a-posteriori form of S. M. Rump, BIT 46, 2006.
    """
    require_sound_arithmetic()
    S = _symmetric_part(S)
    if S.size == 0:
        return math.inf
    best = _gershgorin_lower(S)
    loss = nonnegative_symmetric_eigenvalue_upper(_radius(S))
    if not loss < math.inf:
        return best
    return max(best, _down(_tight_lower(S.mid), loss))


def largest_eigenvalue_upper(S: Ball) -> float:
    """Upper bound of the largest eigenvalue of every symmetric matrix in the ball.

    `-smallest_eigenvalue_lower(-S)`; may be negative, `inf` when nothing is established.

    >>> largest_eigenvalue_upper(Ball.exact([[-2.0, 1.0], [1.0, -2.0]])) < -0.999
    True
    """
    return -smallest_eigenvalue_lower(-S)


def is_positive_definite(S: Ball) -> bool:
    """Whether every symmetric matrix in the ball is proved positive definite.

    False proves nothing. Rows and columns are first scaled by powers of two towards a unit
    diagonal, a congruence, so that units of measurement do not matter. For a matrix that is not
    symmetric the statement is about its symmetric part.

    >>> is_positive_definite(Ball.exact([[1e-9, 0.0], [0.0, 1e9]]))
    True
    >>> is_positive_definite(Ball.exact([[1.0, 1.0], [1.0, 1.0]]))
    False
    """
    require_sound_arithmetic()
    S = _symmetric_part(S)
    diagonal = np.diagonal(S.mid)
    if not np.diagonal(S.lower() > 0).all():
        return False
    half = -(np.frexp(diagonal)[1] // 2)
    S = S.ldexp(half[:, None] + half[None, :])
    loss = nonnegative_symmetric_eigenvalue_upper(_radius(S))
    shift = len(S) * _ROUNDOFF
    for _ in range(3):
        bound = _down(_shifted_lower(S.mid, shift), loss)
        if bound > 0:
            return True
        # What was lost hardly depends on the shift: try one that pays for it.
        shift = 1.25 * (shift - bound)
        if not shift < math.inf:
            return False
    return False


def two_norm_upper(A: Ball) -> float:
    """Upper bound of the two-norm (largest singular value) of every matrix in the ball.

    `|A|_2 <= |mid|_2 + |rad|_2`. The first is the root of `lambda_max(G) + |G - A^T A|_2` with
    the float product `G`, and the definiteness of `t I - G` proves `lambda_max(G) <= t`. Cheap
    norms are the fallback. A vector gets its Euclidean norm.

    **Returns:** the bound, some 1e-11 above the norm in relative terms for matrices of a few
    hundred rows; `inf` where the ball is unbounded. Never NaN.

    >>> 5.0 <= two_norm_upper(Ball.exact([[3.0, 0.0], [4.0, 0.0]])) <= 5.0 + 1e-12
    True
    """
    require_sound_arithmetic()
    if A.ndim not in (1, 2):
        raise InputProblem(f"A matrix or a vector is needed, got shape {A.shape}.")
    cheap = frobenius_upper(A)
    if A.ndim == 1 or not 0.0 < cheap < math.inf:
        return cheap
    # A scale near 1 keeps products of norms, and A^T A, within the range of float64.
    exponent = math.frexp(cheap)[1]
    scaled = A.ldexp(-exponent)
    product = Ball.exact(one_norm_upper(scaled)) * inf_norm_upper(scaled)
    cheap = min(cheap, _scaled_up(Ball.exact(product.upper()).sqrt(), exponent))
    wide = A.shape[0] < A.shape[1]
    G, error = gram(scaled.mid.T if wide else scaled.mid)
    largest = -_tight_lower(-G)
    if not math.isfinite(largest + error):
        return cheap
    square = Ball.exact(max(0.0, largest)) + error
    spread = nonnegative_two_norm_upper(_radius(scaled))
    if not math.isfinite(spread):
        return cheap
    return min(cheap, _scaled_up(Ball.exact(square.upper()).sqrt() + spread, exponent))


def verified_solve(A: Ball, b: Ball) -> Ball:
    """Every solution of `A x = b` over the members of `A` and `b`; proves `A` nonsingular too.

    With a float inverse `X`, `eps >= |I - X A|_inf < 1` and `r = b - A x0`:
    `|x - x0| <= |X r| + eps / (1 - eps) max_j |X r|_j` entrywise, by column.

    **Arguments:** `A` of shape `(n, n)`; `b` of shape `(n,)` or `(n, k)`.

    **Raises:** `NotVerified` with `eps` where it is not below 1.

    >>> x = verified_solve(Ball.exact([[2.0, 1.0], [1.0, 3.0]]), Ball.exact([3.0, 4.0]))
    >>> bool(np.all(x.lower() <= 1.0)), bool(np.all(x.upper() >= 1.0)), bool(x.rad.max() < 1e-14)
    (True, True, True)
    """
    require_sound_arithmetic()
    if A.ndim != 2 or A.shape[0] != A.shape[1] or b.ndim not in (1, 2) or len(b) != len(A):
        raise InputProblem(f"A linear system of shapes {A.shape} and {b.shape}; sizes must agree.")
    if b.size == 0:
        return b
    X = _float_inverse(A.mid)
    defect = inf_norm_upper(X @ A - np.eye(len(A)))
    if not defect < 1.0:
        raise NotVerified(f"|I - X A| is bounded by {defect:.3g} only; below 1 is needed.", defect)
    with np.errstate(all="ignore"):
        start = X.mid @ b.mid
        start = start + X.mid @ (b.mid - A.mid @ start)
    if not np.isfinite(start).all():
        raise NotVerified("The approximate solution overflows; rescale the system.", math.inf)
    magnitude = (X @ (b - A @ start)).magnitude()
    if not np.isfinite(magnitude).all():
        raise NotVerified("The right side, or its residual, is unbounded.", math.inf)
    correction = Ball.exact(magnitude)
    eps = Ball.exact(defect)
    radius = correction + eps / (1.0 - eps) * Ball.exact(correction.mid.max(axis=0))
    return Ball(start, radius.upper(), A.guaranteed and b.guaranteed)


def verified_inverse(A: Ball) -> Ball:
    """The inverses of all members of `A`: `verified_solve` with the identity on the right.

    **Raises:** `NotVerified` where a member may be singular.
    """
    if A.ndim != 2:
        raise InputProblem(f"A square matrix is needed, got shape {A.shape}.")
    return verified_solve(A, Ball.exact(np.eye(len(A))))


def _symmetric_part(S: Ball) -> Ball:
    """`(S + S^T) / 2`, which is `S` itself where the ball is symmetric."""
    if S.ndim != 2 or S.shape[0] != S.shape[1]:
        raise InputProblem(f"A square matrix is needed, got shape {S.shape}.")
    if np.array_equal(S.mid, S.mid.T) and np.array_equal(S.rad, S.rad.T):
        return S
    return (S + S.T) * 0.5


def _radius(S: Ball) -> Ball:
    """The matrix of radii as the ball `|x| <= rad` around 0."""
    return Ball(np.zeros_like(S.mid), S.rad)


def _down(bound: float, loss: float) -> float:
    """A float at most `bound - loss`; `-inf` where that is not certain."""
    if not (math.isfinite(bound) and math.isfinite(loss)):
        return -math.inf
    return float((Ball.exact(bound) - loss).lower())


def _scaled_up(bound: Ball, exponent: int) -> float:
    """A float at least `bound * 2^exponent`; the point is scaled, a tiny radius would underflow."""
    return float(Ball.exact(bound.upper()).ldexp(exponent).upper())


def _gershgorin_lower(S: Ball) -> float:
    """`min_i (S_ii - sum_{j != i} |S_ij|)`."""
    diagonal = Ball(np.diagonal(S.mid), np.diagonal(S.rad))
    off = np.array(S.magnitude())
    np.fill_diagonal(off, 0.0)
    if not np.isfinite(off).all():
        return -math.inf
    return float((diagonal - ball_sum(Ball.exact(off), axis=1)).lower().min())


def _shifted_lower(M: Square, shift: float) -> float:
    """Lower bound of the smallest eigenvalue of the exact symmetric `M`, near `shift`.

    `M = s I + L L^T + (C - P) + (P - L L^T) + (M - s I - C)` with floats `C` near `M - s I` and
    `P` near `L L^T`; the last three terms are bounded in norm.
    """
    C = M.copy()
    with np.errstate(all="ignore"):
        np.fill_diagonal(C, np.diagonal(M) - shift)
        try:
            L = np.linalg.cholesky(C)
        except np.linalg.LinAlgError:
            return -math.inf
    if not (np.isfinite(C).all() and np.isfinite(L).all()):
        return -math.inf
    P, product_error = gram(L.T)
    if not math.isfinite(product_error):
        return -math.inf
    residual = inf_norm_upper(Ball.exact(C) - P)
    diagonal = inf_norm_upper(Ball.exact(np.diagonal(M)) - shift - np.diagonal(C))
    if not math.isfinite(residual + diagonal):
        return -math.inf
    return float((Ball.exact(shift) - residual - product_error - diagonal).lower())


def _tight_lower(M: Square) -> float:
    """The best bound of `_shifted_lower` near the approximate smallest eigenvalue."""
    try:
        with np.errstate(all="ignore"):
            values = np.linalg.eigvalsh(M)
    except np.linalg.LinAlgError:
        return -math.inf
    smallest, scale = float(values[0]), float(np.abs(values).max())
    if not math.isfinite(scale):
        return -math.inf
    # A factor exists once the shift stays about n roundoffs below the smallest eigenvalue.
    step = 2 * len(M) * _ROUNDOFF * scale
    for _ in range(8):
        bound = _shifted_lower(M, smallest - step)
        if bound > -math.inf:
            return bound
        step *= 8
    return -math.inf


def _float_inverse(A: Square) -> Ball:
    """An approximate inverse as an exact point: it is a preconditioner, not a claim."""
    try:
        with np.errstate(all="ignore"):
            X = np.linalg.inv(A)
    except np.linalg.LinAlgError as error:
        raise NotVerified("The midpoint matrix is singular in floats.", math.inf) from error
    if not np.isfinite(X).all():
        raise NotVerified("The approximate inverse overflows; rescale the matrix.", math.inf)
    return Ball.exact(X)
