"""Equilibria of flows, proved: existence, uniqueness, stability and index."""

import enum
import warnings
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.networks import RateNetwork
from limitset.proofs._ball import Ball, inf_norm_upper
from limitset.proofs._instability import InstabilityWitness, is_hurwitz_refuted
from limitset.proofs._krawczyk import BallFunction, ZeroEnclosure, krawczyk, newton
from limitset.proofs._linalg import is_positive_definite
from limitset.proofs._rate_field import rate_field
from limitset.proofs._refusal import Refusal
from limitset.proofs._selftest import require_sound_arithmetic

Vector = Float[np.ndarray, " n"]
Radius = Float[np.ndarray, "..."] | float
Square = Float[np.ndarray, "n n"]


class Stability(enum.StrEnum):
    """What is proved of the linearisation; `UNDECIDED` says nothing."""

    STABLE = "stable"
    UNSTABLE = "unstable"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Equilibrium:
    """One equilibrium, proved.

    Exactly one equilibrium lies within `radius` (a vector) of `center`, and no other within
    `uniqueness_radius` (sup-norm; 0 where nothing is known beyond `radius`). `STABLE`: all
    eigenvalues of the Jacobian have negative real parts, shown by `lyapunov_form` P, as P and
    `-(P J + J^T P)` are positive definite. `UNSTABLE`: one has a positive real part, shown by
    `instability`. `index` is the sign of `det(-J)`, None where undecided. With `weight_radius`
    above 0, all of this holds for every network whose entries are that near.
    """

    center: Vector
    radius: Vector
    uniqueness_radius: float
    stability: Stability
    index: int | None
    lyapunov_form: Square | None
    instability: InstabilityWitness | None
    weight_radius: float = 0.0

    @property
    def box(self) -> Ball:
        """The box that holds the equilibrium."""
        return Ball(self.center.copy(), self.radius.copy())


def prove_equilibrium(
    network: RateNetwork,
    candidate: Vector,
    input: Float[np.ndarray, " m"] | None = None,
    *,
    radius: Radius | None = None,
    weight_radius: float = 0.0,
) -> Equilibrium | Refusal:
    """Prove that a rate network has exactly one equilibrium near a candidate.

    `-leak x + W phi(x) + B u + b = 0` or `-leak x + phi(W x + B u + b) = 0`. Newton's method
    improves the candidate, the Krawczyk test proves it. With `radius`, the candidate itself is
    tested with that radius instead.

    **Arguments:** `network` with tanh or sigmoid; `candidate` of shape `(n,)`; `input` constant,
    of shape `(m,)`, zero if omitted; `radius` a claim to test; `weight_radius` the largest
    distance of every entry of `weight`, `input_weight` and `bias` from the stored one.

    **Returns:** the equilibrium, or a refusal, which proves nothing.

    **Raises:** `InputProblem` for numbers or shapes that cannot be used.

    >>> import jax.numpy as jnp
    >>> network = RateNetwork(jnp.array([[2.0]]))
    >>> origin = prove_equilibrium(network, np.array([0.01]))
    >>> origin.stability.value, origin.index
    ('unstable', -1)
    >>> prove_equilibrium(network, np.array([2.0])).stability.value
    'stable'

    **Source:** R. Krawczyk, Computing 4, 1969; arXiv 2202.05073 for the class of networks.
    """
    field = rate_field(network, input, weight_radius)
    start = Ball.exact(candidate)
    if start.shape != (field.size,):
        raise InputProblem(
            f"The candidate has shape {start.shape}; this network needs ({field.size},)."
        )
    return prove_field_equilibrium(
        field.value, field.jacobian, start.mid, radius=radius, weight_radius=weight_radius
    )


def prove_field_equilibrium(
    value: BallFunction,
    jacobian: BallFunction,
    candidate: Vector,
    *,
    radius: Radius | None = None,
    weight_radius: float = 0.0,
) -> Equilibrium | Refusal:
    """Prove that a vector field has exactly one equilibrium near a candidate.

    **Arguments:** `value` encloses the field over a ball of shape `(n,)`, `jacobian` its
    derivative; for a family of fields, all of them. The others as in `prove_equilibrium`;
    `weight_radius` is only written into the record.

    >>> cubic, slope = lambda x: x - x * x * x, lambda x: (1.0 - x * x * 3.0).reshape(1, 1)
    >>> prove_field_equilibrium(cubic, slope, np.array([0.9])).stability.value
    'stable'
    """
    require_sound_arithmetic()
    start = Ball.exact(candidate).mid
    center = newton(value, jacobian, start) if radius is None else start
    if isinstance(center, Refusal):
        return center
    zero = krawczyk(value, jacobian, center, radius)
    if isinstance(zero, Refusal):
        return zero
    return _classified(jacobian(zero.box), zero, weight_radius)


def _classified(J: Ball, zero: ZeroEnclosure, weight_radius: float) -> Equilibrium:
    if not J.guaranteed:
        raise InputProblem("The Jacobian gives unverified balls; a proof needs guaranteed ones.")
    form = lyapunov_form(J)
    instability = is_hurwitz_refuted(J) if form is None else None
    stability = Stability.UNDECIDED
    if form is not None:
        stability = Stability.STABLE
    elif instability is not None:
        stability = Stability.UNSTABLE
    return Equilibrium(
        zero.center,
        zero.radius,
        zero.uniqueness_radius,
        stability,
        determinant_sign(-J),
        form,
        instability,
        float(weight_radius),
    )


def lyapunov_form(J: Ball) -> Square | None:
    """A form that proves every matrix in the ball Hurwitz; None proves nothing.

    `P` and `-(P J + J^T P)` are certainly positive definite.

    >>> lyapunov_form(Ball.exact([[-1.0, 5.0], [0.0, -1.0]])) is not None
    True

    **Source:** A. M. Lyapunov; the float solution is a guess that is verified here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            P = scipy.linalg.solve_continuous_lyapunov(J.mid.T, -np.eye(len(J)))
        except (np.linalg.LinAlgError, ValueError):
            return None
    P = 0.5 * (P + P.T)
    if not np.isfinite(P).all():
        return None
    half = Ball.exact(P) @ J
    if is_positive_definite(Ball.exact(P)) and is_positive_definite(-(half + half.T)):
        return P
    return None


def determinant_sign(M: Ball) -> int | None:
    """The sign of the determinant of every matrix in the ball; None where undecided.

    From a float factorisation come a permutation and triangular `L`, `U` with
    `L (rows of M) U = I + E`. If `|E|_inf < 1`, then `det(I + s E) != 0` for `s` in `[0, 1]`, so
    `det(I + E) > 0`, and the sign follows from the permutation and the diagonals.

    >>> determinant_sign(Ball.exact([[0.0, 1.0], [1.0, 0.0]]))
    -1
    >>> determinant_sign(Ball.exact([[1.0, 1.0], [1.0, 1.0]])) is None
    True
    """
    require_sound_arithmetic()
    identity = np.eye(len(M))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        factors, swaps = scipy.linalg.lu_factor(M.mid)
        try:
            lower = scipy.linalg.solve_triangular(factors, identity, lower=True, unit_diagonal=True)
            upper = scipy.linalg.solve_triangular(factors, identity, lower=False)
        except np.linalg.LinAlgError:
            return None
    # Whatever the solver left outside the triangles is dropped, so determinants are diagonals.
    L, U = np.tril(lower), np.triu(upper)
    if not (np.isfinite(L).all() and np.isfinite(U).all()):
        return None
    order = np.arange(len(M))
    for i, j in enumerate(swaps):
        order[[i, j]] = order[[j, i]]
    E = Ball.exact(L) @ M[order] @ U - identity
    if not inf_norm_upper(E) < 1.0:
        return None
    exchanges = int(np.count_nonzero(swaps != np.arange(len(M))))
    diagonal = np.concatenate([np.diagonal(L), np.diagonal(U)])
    return -1 if (exchanges + int(np.count_nonzero(diagonal < 0))) % 2 else 1
