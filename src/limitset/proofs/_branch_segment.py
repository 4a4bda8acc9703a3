"""Curves of equilibria, piece by piece: joints, and one uniform test between two of them.

The curve `g(y) = f(x, a) = 0`, `y = (x, a)`, is cut by the planes `u(s).(y - c(s)) = 0` through
the points `c(s) = (1 - s) y0 + s y1` of a chord, `0 <= s <= 1`, whose normals turn from `u0` to
`u1` in the same way. A Krawczyk test for all `s` at once proves exactly one equilibrium within
`radius` of `c(s)` in each plane; by the implicit function theorem they form a smooth curve. The
next piece begins in the plane in which this one ends, so both meet in the same equilibrium.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import equinox as eqx
import numpy as np
from jaxtyping import Float

from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._critical import refusing
from limitset.proofs._inertia import count_right
from limitset.proofs._parametric import ParametricField
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._value import Undecided

Point = Float[np.ndarray, " k"]
"""State and parameter together."""

_NEWTON_STEPS = 40
_INFLATIONS = 8
# Radii above this are not tried.
_WIDEST = 2.0**6


@dataclass(frozen=True, eq=False)
class Joint:
    """Where two pieces meet: the one equilibrium within `radius` of `point` in the plane through
    it across `normal`.

    `tangent` is an approximate direction of the curve, `value` encloses `g(point)`, and `slope`
    `Dg` in the box. `unstable` counts the eigenvalues right of the imaginary axis; None where one
    may be on it.
    """

    point: Point
    normal: Point
    radius: Point
    tangent: Point
    value: Ball
    slope: Ball
    unstable: int | None

    @property
    def box(self) -> Ball:
        """The box that holds the equilibrium."""
        return Ball(self.point.copy(), self.radius.copy())

    @property
    def is_pinned(self) -> bool:
        """Whether the plane fixes the parameter, which then is exact."""
        return not self.normal[:-1].any()


@dataclass(frozen=True, eq=False)
class Segment:
    """The curve between two joints: one equilibrium for every `s` in [0, 1].

    `tube` holds all of them, `velocity` all `dy/ds`, and `middle` the Jacobian `D_x f` of that at
    `s = 1/2`. The curve does not meet itself within a segment.
    """

    first: Joint
    last: Joint
    radius: Point
    tube: Ball
    velocity: Ball
    middle: Ball

    @property
    def size(self) -> float:
        """The largest coordinate of the chord, relative to that of its ends."""
        chord = np.abs(self.last.point - self.first.point).max()
        return float(chord / (1.0 + np.abs(self.first.point).max()))


class AbstractCurve(ABC):
    """How joints are found on a curve of equilibria, and connected."""

    system: eqx.AbstractVar[ParametricField]

    @abstractmethod
    def locate(self, guess: Point, across: Point) -> Point | Refusal:
        """A point of the curve in the plane through `guess` across a direction: a candidate."""

    @abstractmethod
    def joint(self, guess: Point, across: Point, normal: Point | None = None) -> Joint | Refusal:
        """The same with a proof; `across` points forward.

        **Arguments:** `normal` of the plane of the joint, the tangent if omitted.
        """

    @abstractmethod
    def segment(self, first: Joint, last: Joint) -> Segment | Refusal:
        """The curve from one joint to another."""


class RegularCurve(AbstractCurve):
    """A curve on which `Dg` has full rank."""

    def __init__(self, system: ParametricField) -> None:
        self.system = system

    @refusing
    def locate(self, guess: Point, across: Point) -> Point | Refusal:
        """By Newton's method, with a new derivative only where the old one converges slowly."""
        exact, point = self.system.exact, guess
        inverse, previous, is_slow = None, np.inf, True
        for _ in range(_NEWTON_STEPS):
            if inverse is None or is_slow:
                inverse = _inverse(exact.jacobian(Ball.exact(point)).mid, across)
            if isinstance(inverse, Refusal):
                return inverse
            value = exact.velocity(Ball.exact(point)).mid
            step = inverse @ np.append(value, across @ (point - guess))
            point, size = point - step, float(np.abs(step).max())
            if not np.isfinite(point).all():
                break
            scale = 1.0 + float(np.abs(point).max())
            if size <= 1e-14 * scale or (size <= 1e-10 * scale and size >= 0.5 * previous):
                return point
            is_slow, previous = size > 0.1 * previous, size
        return Refusal(Reason.NEWTON_FAILED, "Newton's method does not find the next point.")

    @refusing
    def joint(self, guess: Point, across: Point, normal: Point | None = None) -> Joint | Refusal:
        """The Krawczyk test in the plane."""
        found = self.locate(guess, across)
        if isinstance(found, Refusal):
            return found
        if not across[:-1].any():
            found = np.append(found[:-1], guess[-1])
        slope = self.system.jacobian(Ball.exact(found))
        tangent = np.linalg.svd(slope.mid)[2][-1]
        tangent = tangent if tangent @ across >= 0 else -tangent
        upright = tangent if normal is None else normal
        inverse = _inverse(slope.mid, upright)
        if isinstance(inverse, Refusal):
            return inverse
        A, value = Ball.exact(inverse), self.system.velocity(Ball.exact(found))
        Y = _bounded(A[:, :-1] @ value)
        rho = 3.0 * Y + 1e-30 * (1.0 + np.abs(found))
        for _ in range(_INFLATIONS):
            slope = self.system.jacobian(Ball(found.copy(), rho.copy()))
            whole = _stacked(slope, Ball.exact(upright[None]))
            Z = _bounded(Ball.exact(np.eye(len(rho))) - A @ whole)
            image = (Ball.exact(Z) @ rho + Y).upper()
            if (image < rho).all():
                unstable = count_right(slope[:, :-1], 0.0)
                return Joint(found, upright, rho, tangent, value, slope, unstable)
            rho = np.maximum(2.0 * image, rho)
        return Refusal(Reason.KRAWCZYK_NOT_CONTAINED, "No equilibrium is proved near a point.")

    @refusing
    def segment(self, first: Joint, last: Joint) -> Segment | Refusal:
        """The Krawczyk test for all planes between the joints."""
        return _UniformTest(self.system, first, last).segment()


class OriginCurve(AbstractCurve):
    """The curve `x = 0` of a field with `f(0, a) = 0`; exact, and regular or not."""

    def __init__(self, system: ParametricField) -> None:
        self.system = system

    def locate(self, guess: Point, across: Point) -> Point:
        """The origin at the parameter."""
        return np.append(np.zeros(len(guess) - 1), guess[-1])

    def joint(self, guess: Point, across: Point, normal: Point | None = None) -> Joint:
        """Nothing has to be proved but where the eigenvalues are."""
        point, axis = self.locate(guess, across), np.append(np.zeros(len(guess) - 1), 1.0)
        slope = self.system.jacobian(Ball.exact(point))
        unstable, still = count_right(slope[:, :-1], 0.0), np.zeros_like(point)
        return Joint(point, axis, still, axis, Ball.exact(still[:-1]), slope, unstable)

    def segment(self, first: Joint, last: Joint) -> Segment:
        """The origin between two parameters."""
        start, end = Ball.exact(first.point), Ball.exact(last.point)
        chord = end - start
        # States are exactly 0, without the radius that operations add for underflow.
        moves = np.append(np.zeros(len(chord) - 1), 1.0)
        velocity = Ball(chord.mid.copy(), chord.rad * moves)
        middle = (start + end) * 0.5
        slope = self.system.jacobian(Ball(middle.mid.copy(), middle.rad * moves))[:, :-1]
        return Segment(first, last, first.radius, start.hull(end), velocity, slope)


class _UniformTest:
    """What stays the same while radii are tried on one chord."""

    def __init__(self, system: ParametricField, first: Joint, last: Joint) -> None:
        self.system, self.first, self.last = system, first, last
        start, end = Ball.exact(first.point), Ball.exact(last.point)
        self.chord, self.line = end - start, start.hull(end)
        self.center = (start + end) * 0.5
        self.turn = Ball.exact(last.normal) - first.normal
        self.normal = (Ball.exact(first.normal) + last.normal) * 0.5

    def segment(self) -> Segment | Refusal:
        """The segment, or why not."""
        inverse = _inverse(0.5 * (self.first.slope.mid + self.last.slope.mid), self.normal.mid)
        if isinstance(inverse, Refusal):
            return inverse
        A = Ball.exact(inverse)
        Y = self._residual(A)
        rho = 3.0 * Y + 1e-30 * (1.0 + np.abs(self.center.mid))
        rho = np.maximum(rho, 2.0 * np.maximum(self.first.radius, self.last.radius))
        turned = Ball.exact(_bounded(A[:, -1:] * self.turn)) * 0.5
        for _ in range(_INFLATIONS):
            Z = self._defect(A, rho)
            image = ((Z + turned) @ rho + Y).upper()
            if (image < rho).all():
                return self._accepted(A, Z, rho, image)
            if not (image < _WIDEST).all():
                break
            rho = np.maximum(2.0 * image, rho)
        return Refusal(Reason.KRAWCZYK_NOT_CONTAINED, "A step of the branch is too long to prove.")

    def _residual(self, A: Ball) -> Point:
        """Bounds of `|A (g(c(s)), 0)|` for all s.

        `g(c(s))` is between `g(y0)` and `g(y1)` but for `s (1 - s) / 2 D^2 g(chord, chord)`.
        """
        ends, chord = self.first.value.hull(self.last.value), self.chord.reshape(1, -1)
        bent = self.system.second(self.line, chord, chord)[0]
        flat, curved = (_bounded(A[:, :-1] @ part) for part in (ends, bent))
        return (Ball.exact(flat) + Ball.exact(curved) * 0.125).upper()

    def _defect(self, A: Ball, rho: Point) -> Ball:
        """A bound of `|I - A (Dg, u(1/2))|` on the boxes around all `c(s)`.

        With `|d| <= rho`, `Dg(c(s) + d)` is `Dg(c(1/2) + d)` and `s - 1/2` times its derivative
        along the chord.
        """
        spread = Ball(np.zeros_like(rho), rho)
        slope = self.system.jacobian(self.center + spread)
        bend = self.system.bends(self.line + spread, self.chord.reshape(1, -1))[0]
        still = A @ _stacked(slope, self.normal.reshape(1, -1)) - np.eye(len(rho))
        return Ball.exact(_bounded(still)) + Ball.exact(_bounded(A[:, :-1] @ bend)) * 0.5

    def _accepted(self, A: Ball, Z: Ball, rho: Point, image: Point) -> Segment | Refusal:
        """The velocity `dy/ds` for all s, and the segment; its equilibria are within the image.

        `Dg dy/ds = 0` and `u(s).dy/ds = speed = u(s).chord - turn.(y - c(s)) > 0`, so the velocity
        is `speed / u(s).v` times the `v` with `Dg v = 0`, `u(1/2).v = 1`. From `|v| <= B` follows
        `|v - A (0, 1)| <= Z B`; the first `B` is a multiple of `rho`.
        """
        spread = Ball(np.zeros_like(rho), image)
        straight = A[:, -1]
        contraction = Ball.exact(float((Z @ rho / rho).upper().max()))
        if not contraction.mid < 1:
            return _not_glued()
        largest = Ball.exact(float((Ball.exact(straight.magnitude()) / rho).upper().max()))
        B = (Ball.exact(rho) * largest / (1.0 - contraction)).upper()
        for _ in range(4):
            B = np.minimum(B, (Z @ B + straight.magnitude()).upper())
        v = straight + Ball(np.zeros_like(rho), (Z @ B).upper())
        # What is linear in s is between its values at the ends.
        ahead, along = (
            ball_sum(part * self.first.normal).hull(ball_sum(part * self.last.normal))
            for part in (self.chord, v)
        )
        speed = ahead - ball_sum(self.turn * spread)
        glued = (self.first.radius <= rho).all() and (self.last.radius <= rho).all()
        if not (glued and speed.lower() > 0 and along.lower() > 0):
            return _not_glued()
        velocity = v * (speed / along)
        if not ball_sum(velocity * self.chord).lower() > 0:
            return _not_glued()
        middle = self.system.jacobian(self.center + spread)[:, :-1]
        return Segment(self.first, self.last, image, self.line + spread, velocity, middle)


def _inverse(slope: Float[np.ndarray, "n k"], normal: Point) -> Float[np.ndarray, "k k"] | Refusal:
    """A float inverse of `(Dg, normal)`: a preconditioner, not a claim."""
    singular = Refusal(Reason.JACOBIAN_SINGULAR, "The derivative is singular near a point.")
    try:
        with np.errstate(all="ignore"):
            inverse = np.linalg.inv(np.vstack([slope, normal[None]]))
    except np.linalg.LinAlgError:
        return singular
    return inverse if np.isfinite(inverse).all() else singular


def _bounded(ball: Ball) -> Float[np.ndarray, "..."]:
    """Bounds of the absolute values.

    **Raises:** `Undecided` where there is none.
    """
    bound = ball.magnitude()
    if not np.isfinite(bound).all():
        raise Undecided("A derivative of the field is unbounded on a step of the branch.")
    return bound


def _not_glued() -> Refusal:
    return Refusal(Reason.KRAWCZYK_NOT_CONTAINED, "A step of the branch may turn back.")


def _stacked(upper: Ball, lower: Ball) -> Ball:
    mid = np.concatenate([upper.mid, lower.mid])
    rad = np.concatenate([upper.rad, lower.rad])
    return Ball(mid, rad, upper.guaranteed and lower.guaranteed)
