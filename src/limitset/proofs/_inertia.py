"""How many eigenvalues lie right of a line: by discs, or by the inertia of a Lyapunov form."""

import warnings

import numpy as np
import scipy.linalg
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._linalg import is_positive_definite
from limitset.proofs._selftest import require_sound_arithmetic
from limitset.proofs._spectrum import Spectrum, enclose_spectrum

Square = Float[np.ndarray, "n n"]


def count_right(J: Ball, line: float) -> int | None:
    """Number of eigenvalues with real part above `line`, the same for every matrix in the ball.

    By discs around all eigenvalues; where the eigenvectors are too ill-conditioned for that, or a
    disc meets the line, by `count_right_by_inertia`. Two lines with counts `k` and `k + 2` show
    that exactly two eigenvalues lie between them.

    **Arguments:** `J` of shape `(n, n)`; `line` the real part.

    **Returns:** the count, with multiplicity; None where it is not proved.

    **Raises:** `InputProblem` for a matrix that is empty, not square or not guaranteed.

    >>> J = Ball.exact([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -2.0]])
    >>> count_right(J, -0.5), count_right(J, 0.5), count_right(J, 0.0)
    (2, 0, None)
    """
    spectrum = enclose_spectrum(J)
    count = spectrum.count_right(line) if isinstance(spectrum, Spectrum) else None
    return count_right_by_inertia(J, line) if count is None else count


def count_right_by_inertia(J: Ball, line: float) -> int | None:
    """The same count without eigenvectors: for matrices near a Jordan block.

    With a float solution `P` of `P K + K^T P = I`, `K = J - line I`: if `P K + K^T P` is proved
    positive definite, no eigenvalue lies on the line, and as many lie right of it as `P` has
    positive eigenvalues.

    **Source:** A. Ostrowski and H. Schneider, J. Math. Anal. Appl. 4, 1962.
    """
    require_sound_arithmetic()
    if J.ndim != 2 or J.shape[0] != J.shape[1] or J.size == 0:
        raise InputProblem(f"A square matrix is needed, got shape {J.shape}.")
    if not J.guaranteed:
        raise InputProblem("The matrix is not guaranteed; pass numbers that are known exactly.")
    K = J - line * np.eye(len(J))
    P = lyapunov_candidate(K.mid)
    if P is None:
        return None
    half = Ball.exact(P) @ K
    return positive_eigenvalues(P) if is_positive_definite(half + half.T) else None


def positive_eigenvalues(P: Square) -> int | None:
    """Number of positive eigenvalues of an exact symmetric matrix; None where it is not proved.

    With approximate eigenvectors `Q`, and powers of two `S` that bring the diagonal of
    `T = S Q^T P Q S` near 1: if `T` and `Q^T Q` are strictly diagonally dominant, `Q S` is
    nonsingular, Sylvester's law of inertia applies, and the signs on the diagonal of `T` count.

    **Raises:** `InputProblem` where `P` is not symmetric.

    >>> positive_eigenvalues(np.array([[0.0, 1.0], [1.0, 0.0]]))
    1
    """
    if P.ndim != 2 or not np.array_equal(P, P.T):
        raise InputProblem("The inertia of a matrix that is not symmetric; pass (P + P.T) / 2.")
    try:
        Q = np.linalg.eigh(P)[1]
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(Q).all() or not _is_dominant(Ball.exact(Q.T) @ Q):
        return None
    T = Ball.exact(Q.T) @ (Ball.exact(P) @ Q)
    half = -(np.frexp(np.abs(np.diagonal(T.mid)))[1] // 2)
    T = T.ldexp(half[:, None] + half[None, :])
    return int((np.diagonal(T.mid) > 0).sum()) if _is_dominant(T) else None


def _is_dominant(T: Ball) -> bool:
    """Whether every member certainly is strictly diagonally dominant."""
    off = np.array(T.magnitude())
    np.fill_diagonal(off, 0.0)
    if not np.isfinite(off).all():
        return False
    sums = ball_sum(Ball.exact(off), axis=1).upper()
    return bool((np.diagonal(T.mignitude()) > sums).all())


def lyapunov_candidate(K: Square) -> Square | None:
    """The float solution of `P K + K^T P = I`, made symmetric; None where the solver failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            P = scipy.linalg.solve_continuous_lyapunov(K.T, np.eye(len(K)))
        except (np.linalg.LinAlgError, ValueError):
            return None
    with np.errstate(all="ignore"):
        P = 0.5 * P + 0.5 * P.T
    return P if np.isfinite(P).all() else None
