"""Fixed points of maps, proved: existence, uniqueness, stability, and a basin."""

import math
import warnings
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Float

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset.proofs._ball import Ball
from limitset.proofs._derivative import jacobian
from limitset.proofs._enclose import enclose
from limitset.proofs._equilibrium import Stability
from limitset.proofs._instability import InstabilityWitness, is_schur_refuted
from limitset.proofs._krawczyk import BallFunction, krawczyk, newton
from limitset.proofs._linalg import (
    is_positive_definite,
    largest_eigenvalue_upper,
    smallest_eigenvalue_lower,
)
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic
from limitset.proofs._value import Undecided, UnsupportedPrimitive

Vector = Float[np.ndarray, " n"]
Square = Float[np.ndarray, "n n"]

# Cubes in which attraction is tested, from the largest.
_WIDEST, _SHRINKINGS = 1.0, 24
# What is claimed of what was proved of wide boxes: room for another enclosure of the same map.
_ROOM = 0.5


@dataclass(frozen=True, eq=False)
class MapFixedPoint:
    """One fixed point of a map, proved.

    Exactly one fixed point lies within `radius` (a vector) of `center`, and no other within
    `uniqueness_radius` (sup-norm; 0 where nothing is known beyond `radius`). `STABLE`: all
    eigenvalues of the derivative `J` lie inside the unit circle, shown by `form` P, as P and
    `P - J^T P J` are positive definite. `UNSTABLE`: one lies outside or on it, shown by
    `instability`, whose `bound` is a lower bound of its modulus.

    A stable one attracts every start within `basin_radius` of `center` (Euclidean; 0 where none
    is known): in a cube of radius `cube` around the center, P decreases along all pairs of steps.
    """

    center: Vector
    radius: Vector
    uniqueness_radius: float
    stability: Stability
    form: Square | None
    instability: InstabilityWitness | None
    cube: float
    basin_radius: float

    @property
    def box(self) -> Ball:
        """The box that holds the fixed point."""
        return Ball(self.center.copy(), self.radius.copy())

    @property
    def excludes_zero(self) -> bool:
        """Whether the fixed point is certainly not 0."""
        return bool((self.box.mignitude() > 0).any())


def prove_map_fixed_point(
    map_: AbstractMap,
    candidate: Vector,
    *,
    radius: float | None = None,
    within: float = math.inf,
) -> MapFixedPoint | Refusal:
    """Prove that a map without inputs has exactly one fixed point near a candidate.

    The Krawczyk test for `x -> advance(x) - x`, with the program of the map enclosed; Newton's
    method improves the candidate first. Stability follows from a Stein form. Where fixed points
    are not isolated, as replicators of linear particles, the test fails.

    **Arguments:** `map_` in float64, with `input_size` 0, the same at every step; `candidate` of
    shape `(n,)`; `radius` a claim to test at the candidate itself; `within` how far from the
    candidate Newton's method may end (sup-norm).

    **Returns:** the fixed point, or a refusal, which proves nothing.

    **Raises:** `InputProblem` for numbers or shapes that cannot be used, and maps with inputs.

    >>> from limitset.dynamics import ExplicitEuler, discretise
    >>> from limitset.networks import RateNetwork
    >>> network = RateNetwork(jnp.array([[0.5]]), bias=jnp.array([1.0]))
    >>> map_ = discretise(network, ExplicitEuler(0.5))
    >>> point = prove_map_fixed_point(map_, np.array([1.2]))
    >>> point.stability.value, point.basin_radius > 0.1
    ('stable', True)

    **Reference:** R. Krawczyk, Computing 4, 1969; P. Stein, J. Res. Nat. Bur. Standards 48, 1952.
    """
    require_sound_arithmetic()
    start = Ball.exact(candidate).mid
    if map_.input_size or start.shape != (map_.state_size,):
        raise InputProblem(
            f"The map has {map_.input_size} inputs and {map_.state_size} states, the candidate "
            f"shape {start.shape}; give a map without inputs, and ({map_.state_size},)."
        )

    def step(x: Float[jnp.ndarray, " n"]) -> Float[jnp.ndarray, " n"]:
        return map_.advance(0, x, jnp.zeros(0))

    image, slope = enclose(step), enclose(jacobian(step))

    def value(x: Ball) -> Ball:
        return image(x) - x

    def derivative(x: Ball) -> Ball:
        return slope(x) - np.eye(len(x))

    try:
        center = newton(value, derivative, start) if radius is None else start
        if isinstance(center, Refusal):
            return center
        moved = float(np.abs(center - start).max())
        if not moved <= within:
            return Refusal(
                Reason.NOT_NEAR,
                f"The fixed point found is {moved:.3g} away; {within:.3g} is allowed.",
                {"moved": moved, "within": float(within)},
            )
        zero = krawczyk(value, derivative, center, radius)
        if isinstance(zero, Refusal):
            return zero
        alone = _ROOM * zero.uniqueness_radius
        alone = alone if alone > zero.radius.max() else 0.0
        return _classified(slope, zero.center, zero.radius, alone)
    except UnsupportedPrimitive as problem:
        return Refusal(Reason.UNSUPPORTED_PRIMITIVE, str(problem))
    except Undecided as problem:
        return Refusal(Reason.NONFINITE, str(problem))


def _classified(
    slope: BallFunction, center: Vector, radius: Vector, uniqueness: float
) -> MapFixedPoint:
    J = slope(Ball(center.copy(), radius.copy()))
    form = _stein_form(J)
    if form is not None:
        cube, basin = _basin(slope, form, center, radius)
        return MapFixedPoint(center, radius, uniqueness, Stability.STABLE, form, None, cube, basin)
    instability = is_schur_refuted(J)
    stability = Stability.UNDECIDED if instability is None else Stability.UNSTABLE
    return MapFixedPoint(center, radius, uniqueness, stability, None, instability, 0.0, 0.0)


def _stein_form(J: Ball) -> Square | None:
    """A form that proves every matrix in the ball Schur stable; None proves nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            P = scipy.linalg.solve_discrete_lyapunov(J.mid.T, np.eye(len(J)))
        except (np.linalg.LinAlgError, ValueError):
            return None
    P = 0.5 * (P + P.T)
    if not np.isfinite(P).all() or not is_positive_definite(Ball.exact(P)):
        return None
    return P if _decreases(P, J) else None


def _decreases(P: Square, J: Ball) -> bool:
    return is_positive_definite(Ball.exact(P) - J.T @ (Ball.exact(P) @ J))


def _basin(slope: BallFunction, P: Square, center: Vector, radius: Vector) -> tuple[float, float]:
    """A cube around the center where P decreases, and a ball that stays in it.

    Between a point of the cube and the fixed point, one step multiplies the difference by a mean
    of Jacobians in the cube. The largest sublevel of P in the cube is thus mapped into itself.
    """
    cube = _WIDEST
    for _ in range(_SHRINKINGS):
        try:
            holds = _decreases(P, slope(Ball(center.copy(), np.full_like(center, cube))))
        except Undecided:
            holds = False
        if holds:
            break
        cube *= 0.7
    else:
        return 0.0, 0.0
    cube, form = _ROOM * cube, Ball.exact(P)
    low, high = smallest_eigenvalue_lower(form), largest_eigenvalue_upper(form)
    off = Ball.exact(float(radius.max()))
    if not 0 < low <= high < np.inf:
        return 0.0, 0.0
    inner = (Ball.exact(cube) - off) * (Ball.exact(low) / high).sqrt()
    # From the center instead of the fixed point.
    reach = inner - off * Ball.exact(float(len(center))).sqrt()
    return cube, max(0.0, 0.999 * float(reach.lower()))
