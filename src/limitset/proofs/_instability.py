"""Proofs that a matrix is not stable: an eigenvalue outside the half plane, or the unit disc."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.proofs._ball import Ball
from limitset.proofs._linalg import is_positive_definite
from limitset.proofs._selftest import require_sound_arithmetic

Square = Float[np.ndarray, "n n"]

# Fractions of the excess at which the matrix is tested. Inside the excess no two eigenvalues
# cancel by symmetry (J = diag(1, -1) has no Lyapunov solution at 0); 0 catches tiny excesses.
_FRACTIONS = (0.5, 0.37, 0.71, 0.1, 0.0)


@dataclass(frozen=True)
class InstabilityWitness:
    """A form and a direction that no stable matrix of the ball can have.

    `form` is symmetric, decreases along all trajectories of the system slowed to `bound`, and is
    negative at `direction`. `bound` is what the eigenvalue is proved to reach: its real part for
    flows, its modulus for maps.
    """

    form: Square
    direction: Float[np.ndarray, " n"]
    bound: float


def is_hurwitz_refuted(J: Ball) -> InstabilityWitness | None:
    """A proof that every matrix in the ball has an eigenvalue of nonnegative real part.

    Let `K = J - s I` with `s >= 0`. If `-(P K + K^T P)` is positive definite and `v^T P v < 0`,
    then `K` is not Hurwitz: a Hurwitz `K` would give `P = int exp(K^T t) Q exp(K t) dt`, positive
    definite. So `J` has an eigenvalue of real part at least `s`.

    **Returns:** the witness, or None, which proves nothing.

    >>> is_hurwitz_refuted(Ball.exact([[0.5, 1.0], [0.0, -1.0]])).bound >= 0
    True
    >>> is_hurwitz_refuted(Ball.exact([[-0.5, 1.0], [0.0, -1.0]])) is None
    True

    **Source:** A. Ostrowski and H. Schneider, J. Math. Anal. Appl. 4, 1962.
    """
    excess = _excess(J, of_modulus=False)
    if not 0.0 <= excess < math.inf:
        return None
    for fraction in _FRACTIONS:
        shift = fraction * excess
        K = J - shift * np.eye(len(J))
        P = _lyapunov_form(K.mid)
        if P is None:
            continue
        half = Ball.exact(P) @ K
        witness = _witness(P, -(half + half.T), shift)
        if witness is not None:
            return witness
    return None


def is_schur_refuted(J: Ball) -> InstabilityWitness | None:
    """A proof that every matrix in the ball has an eigenvalue of modulus at least 1.

    Let `K = J / s` with `s >= 1`. If `P - K^T P K` is positive definite and `v^T P v < 0`, then
    `K` is not Schur stable: otherwise `P = sum_k (K^T)^k Q K^k` would be positive definite. So
    `J` has an eigenvalue of modulus at least `s`.

    **Returns:** the witness, or None, which proves nothing.

    >>> is_schur_refuted(Ball.exact([[1.5, 0.0], [1.0, 0.2]])).bound >= 1
    True
    >>> is_schur_refuted(Ball.exact([[0.9, 0.0], [1.0, 0.2]])) is None
    True

    **Source:** P. Stein, J. Res. Nat. Bur. Standards 48, 1952.
    """
    excess = _excess(J, of_modulus=True)
    if not 0.0 <= excess < math.inf:
        return None
    for fraction in _FRACTIONS:
        scale = 1.0 + fraction * excess
        K = J / scale
        P = _stein_form(K.mid)
        if P is None:
            continue
        witness = _witness(P, Ball.exact(P) - K.T @ (Ball.exact(P) @ K), scale)
        if witness is not None:
            return witness
    return None


def _excess(J: Ball, of_modulus: bool) -> float:
    """How far the float spectrum reaches beyond the stable region; a candidate, not a bound."""
    require_sound_arithmetic()
    if J.ndim != 2 or J.shape[0] != J.shape[1] or J.size == 0:
        raise InputProblem(f"A square matrix is needed, got shape {J.shape}.")
    try:
        values = np.linalg.eigvals(J.mid)
    except np.linalg.LinAlgError:
        return math.nan
    return float(np.abs(values).max() - 1.0 if of_modulus else values.real.max())


def _lyapunov_form(K: Square) -> Square | None:
    """The float solution of `P K + K^T P = -I`, made symmetric."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            P = scipy.linalg.solve_continuous_lyapunov(K.T, -np.eye(len(K)))
        except (np.linalg.LinAlgError, ValueError):
            return None
    return _symmetric_or_none(P)


def _stein_form(K: Square) -> Square | None:
    """The float solution of `P - K^T P K = I`, made symmetric."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            P = scipy.linalg.solve_discrete_lyapunov(K.T, np.eye(len(K)))
        except (np.linalg.LinAlgError, ValueError):
            return None
    return _symmetric_or_none(P)


def _symmetric_or_none(P: Square) -> Square | None:
    """The symmetric part, which then is the form; None where the solver failed."""
    P = 0.5 * (P + P.T)
    return P if np.isfinite(P).all() else None


def _witness(P: Square, decrease: Ball, bound: float) -> InstabilityWitness | None:
    """The witness if the form certainly decreases and is certainly negative somewhere."""
    direction = np.ascontiguousarray(np.linalg.eigh(P)[1][:, 0])
    value = Ball.exact(direction) @ (Ball.exact(P) @ direction)
    if not (value.upper() < 0 and is_positive_definite(decrease)):
        return None
    return InstabilityWitness(P, direction, bound)
