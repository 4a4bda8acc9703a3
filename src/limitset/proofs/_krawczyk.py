"""The Krawczyk test: one zero in a box, and none but it in a larger one.

For `F: R^m -> R^m`, a float matrix `A` near the inverse of the Jacobian, `Y >= |A F(center)|` and
`Z >= |I - A DF(box)|`, the inequality `Y + Z rho < rho` proves exactly one zero of `F` within
`rho` of the center, at which `DF` is nonsingular. `Z sigma < sigma` alone proves at most one zero
within `sigma`: two of them would give `|x - y| <= Z |x - y|`. All inequalities are entrywise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.proofs._ball import Ball
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic
from limitset.proofs._value import Undecided

Vector = Float[np.ndarray, " m"]
Radius = Float[np.ndarray, "..."] | float
Square = Float[np.ndarray, "m m"]
BallFunction = Callable[[Ball], Ball]

_NEWTON_STEPS = 60
_INFLATIONS = 12
# The first radius tried for uniqueness, and how often it may shrink.
_WIDEST = 2.0**6
_SHRINKINGS = 40


@dataclass(frozen=True)
class ZeroEnclosure:
    """Exactly one zero within `radius` of `center`, and no other within `uniqueness_radius`.

    `radius` is a vector, a closed box; `uniqueness_radius` is one number for all coordinates (the
    largest that was tried with success), or 0 where it would not reach beyond `radius`.
    """

    center: Vector
    radius: Vector
    uniqueness_radius: float

    @property
    def box(self) -> Ball:
        """The box that holds the zero."""
        return Ball(self.center.copy(), self.radius.copy())


def newton(value: BallFunction, jacobian: BallFunction, start: Vector) -> Vector | Refusal:
    """A zero of the midpoints by Newton's method: a candidate, not a claim.

    **Arguments:** `value`, `jacobian` functions of a ball of shape `(m,)`; `start` of shape
    `(m,)`.

    **Returns:** the last iterate once steps stop shrinking at roundoff; a refusal where they
    do not.
    """
    x = np.array(start, dtype=np.float64)
    previous = math.inf
    for _ in range(_NEWTON_STEPS):
        point = Ball.exact(x)
        try:
            with np.errstate(all="ignore"):
                step = np.linalg.solve(jacobian(point).mid, value(point).mid)
        except np.linalg.LinAlgError:
            return Refusal(Reason.JACOBIAN_SINGULAR, "A Newton step met a singular Jacobian.")
        size, scale = float(np.abs(step).max()), 1.0 + float(np.abs(x).max())
        if not math.isfinite(size):
            break
        x = x - step
        if not np.isfinite(x).all():
            break
        if size <= 1e-15 * scale or (size <= 1e-11 * scale and size >= 0.5 * previous):
            return x
        previous = size
    return Refusal(
        Reason.NEWTON_FAILED, "Newton's method did not converge.", {"last_step": previous}
    )


def krawczyk(
    value: BallFunction,
    jacobian: BallFunction,
    center: Vector,
    radius: Radius | None = None,
    *,
    seek_uniqueness: bool = True,
) -> ZeroEnclosure | Refusal:
    """A proof that a function has exactly one zero near a point.

    Accepted is `Y + Z rho < rho` (see above). Without `radius`, `rho` starts at `3 Y` and grows
    to `2 (Y + Z rho)` until that holds.

    **Arguments:** `value` encloses `F` over a ball and `jacobian` encloses `DF`, both for balls
    of shape `(m,)`; `center` of shape `(m,)`; `radius` a claimed `rho`, tested as it stands;
    without `seek_uniqueness` the larger box of uniqueness is not searched, and its radius is 0.
    Wherever `value` and `jacobian` hold for a whole family of functions, so does the result.

    **Returns:** the enclosure, or a refusal, which proves nothing.

    **Raises:** `InputProblem` for numbers that are not finite, a radius that is not positive, or
    balls that are not guaranteed.

    >>> double = lambda x: x * x - 2.0
    >>> slope = lambda x: (x * 2.0).reshape(1, 1)
    >>> zero = krawczyk(double, slope, np.array([1.4142135623]))
    >>> bool(zero.box.lower()[0] <= 2**0.5 <= zero.box.upper()[0]), zero.uniqueness_radius > 0.3
    (True, True)

    **Source:** R. Krawczyk, Computing 4, 1969; S. M. Rump, Acta Numerica 19, 2010.
    """
    require_sound_arithmetic()
    point = Ball.exact(center)
    if point.ndim != 1 or point.size == 0:
        raise InputProblem(f"The center has shape {point.shape}; give a vector (m,) with m >= 1.")
    claimed = None if radius is None else _claimed_radius(radius, point.shape)
    residual, slope = value(point), jacobian(point)
    if not (residual.guaranteed and slope.guaranteed):
        raise InputProblem("The function gives unverified balls; a proof needs guaranteed ones.")
    A = _preconditioner(slope.mid)
    if isinstance(A, Refusal):
        return A
    Y = (A @ residual).magnitude()
    if not np.isfinite(Y).all():
        return Refusal(Reason.NONFINITE, "The residual at the center is unbounded.")
    tests = _Tests(A, jacobian, point.mid, Y)
    rho = _inflate(tests) if claimed is None else tests.exists(claimed)
    if isinstance(rho, Refusal):
        return rho
    return ZeroEnclosure(point.mid, rho, _uniqueness_radius(tests, rho) if seek_uniqueness else 0.0)


@dataclass(frozen=True)
class _Tests:
    """What stays the same while radii are tried."""

    A: Ball
    jacobian: BallFunction
    center: Vector
    Y: Vector

    def image(self, rho: Vector, shift: Vector) -> Vector:
        """Upper bounds of `shift + Z rho`; infinite where nothing is known."""
        try:
            slope = self.jacobian(Ball(self.center.copy(), rho.copy()))
        except Undecided:
            # The function has no enclosure on so large a box.
            return np.full_like(rho, np.inf)
        if not slope.guaranteed:
            return np.full_like(rho, np.inf)
        Z = Ball.exact(np.eye(len(rho))) - self.A @ slope
        if not np.isfinite(Z.rad).all():
            return np.full_like(rho, np.inf)
        return (Ball.exact(Z.magnitude()) @ rho + shift).upper()

    def exists(self, rho: Vector) -> Vector | Refusal:
        """The radius itself if it holds exactly one zero."""
        image = self.image(rho, self.Y)
        if (image < rho).all():
            return rho
        return _not_contained(self.Y, image, rho)


def _inflate(tests: _Tests) -> Vector | Refusal:
    """A radius that holds exactly one zero, as small as the residual suggests."""
    tiny = 1e-30 * (1.0 + np.abs(tests.center))
    rho = 3.0 * tests.Y + tiny
    image = rho
    for _ in range(_INFLATIONS):
        image = tests.image(rho, tests.Y)
        if (image < rho).all():
            return rho
        if not (image < _WIDEST).all():
            break
        rho = np.maximum(2.0 * image, rho)
    return _not_contained(tests.Y, image, rho)


def _uniqueness_radius(tests: _Tests, rho: Vector) -> float:
    """A large radius within which `Z sigma < sigma`; 0 where it would be below that of existence.

    `Z` grows about linearly with a small radius, which tells what to try next.
    """
    least = float(rho.max())
    sigma = _WIDEST
    for _ in range(_SHRINKINGS):
        sigma = max(sigma, least)
        unique, growth = _at_most_one(tests, sigma)
        if unique:
            wider = sigma * min(4.0, 0.95 / max(growth, 0.1))
            return wider if wider > sigma and _at_most_one(tests, wider)[0] else sigma
        if sigma == least:
            break
        sigma *= min(0.5, max(0.9 / growth, 2.0**-10))
    return 0.0


def _at_most_one(tests: _Tests, sigma: float) -> tuple[bool, float]:
    """Whether `Z sigma < sigma` is certain, and roughly the largest row sum of `Z`."""
    box = np.full_like(tests.Y, sigma)
    image = tests.image(box, np.zeros_like(box))
    return bool((image < box).all()), float(image.max() / sigma)


def _claimed_radius(radius: Radius, shape: tuple[int, ...]) -> Vector:
    rho = Ball.exact(radius).mid
    if rho.ndim > 1 or (rho.ndim == 1 and rho.shape != shape) or not (rho > 0).all():
        raise InputProblem(
            f"The radius has shape {rho.shape} or is not positive; give one positive number, or "
            f"one for each of the {shape[0]} coordinates."
        )
    return np.broadcast_to(rho, shape).copy()


def _preconditioner(slope: Square) -> Ball | Refusal:
    """The float inverse of the Jacobian as an exact point; nothing is assumed of it."""
    singular = Refusal(Reason.JACOBIAN_SINGULAR, "The Jacobian at the center has no float inverse.")
    try:
        with np.errstate(all="ignore"):
            inverse = np.linalg.inv(slope)
    except np.linalg.LinAlgError:
        return singular
    return Ball.exact(inverse) if np.isfinite(inverse).all() else singular


def _not_contained(Y: Vector, image: Vector, rho: Vector) -> Refusal:
    excess = image - rho
    return Refusal(
        Reason.KRAWCZYK_NOT_CONTAINED,
        f"The Krawczyk image leaves the box: residual {float(Y.max()):.3g}, radius "
        f"{float(rho.max()):.3g}, image {float(image.max()):.3g}.",
        {
            "residual": float(Y.max()),
            "radius": float(rho.max()),
            "image": float(image.max()),
            "excess": float(excess.max()),
        },
    )
