"""A walk along a curve of equilibria: from one end of a parameter interval to the next exit."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import scipy.optimize
from jaxtyping import Float

from limitset.proofs._ball import Ball
from limitset.proofs._branch_events import Crossing, examine
from limitset.proofs._branch_segment import AbstractCurve, Joint, Segment
from limitset.proofs._refusal import Reason, Refusal

Vector = Float[np.ndarray, " n"]

# Steps are not made shorter than this, in the size of the largest coordinate.
_SHORTEST = 1e-7
# Events are enclosed in pieces of about this length.
_SHARP = 2.0**-32
_WIDENINGS = 4
# Where pieces are cut, and by how much steps are shortened, until no eigenvalue is on the axis.
_CUTS = (0.5, 0.42, 0.58, 0.35)
_SHORTER = (0.87, 0.71)
# The first plane fixes the parameter; its normal is scaled by the tangent, up to a limit.
_UPRIGHT = 2.0**-10
# Normals that turn less than this are never what makes a step fail.
_TURN = 0.1


Found = tuple[Segment, Crossing | None | Refusal]


class Walk:
    """Along a curve through a parameter interval, in as many segments as allowed."""

    def __init__(self, curve: AbstractCurve, low: float, high: float, most: int) -> None:
        self.curve, self.low, self.high, self.left = curve, low, high, most
        self.start: Joint | None = None

    def trace(self, state: Vector, step: float) -> list[Segment] | Refusal:
        """The curve from the low end to the next exit."""
        axis = np.append(np.zeros_like(state), 1.0)
        joint = self.curve.joint(np.append(state, self.low), axis, axis)
        if isinstance(joint, Refusal):
            return joint
        joint = self.start = replace(joint, normal=axis / max(joint.tangent[-1], _UPRIGHT))
        found: list[Segment] = []
        length = step
        while not (found and joint.is_pinned and joint.point[-1] in (self.low, self.high)):
            if self.left < 1:
                return Refusal(Reason.SEARCH_NOT_FINISHED, "All segments of the branch are used.")
            taken = self._step(joint, length)
            if isinstance(taken, Refusal):
                length /= 2
                if length < _SHORTEST * (1.0 + np.abs(joint.point).max()):
                    return _stuck(taken, joint)
            else:
                found.append(taken)
                joint, length = taken.last, min(1.3 * length, step)
        return found

    def resolve(self, piece: Segment) -> list[Found]:
        """The piece, cut until it is decided what happens on each part, or nothing helps."""
        finding = examine(self.curve.system, piece)
        if finding is None:
            return [(piece, finding)]
        if isinstance(finding, Crossing):
            return self._sharpened(piece, finding)
        for cut in _CUTS if piece.size > _SHORTEST else ():
            halves = self._cut(piece, [cut])
            if halves and halves[0].last.unstable is not None:
                return [part for half in halves for part in self.resolve(half)]
        return [(piece, finding)]

    def _step(self, joint: Joint, length: float) -> Segment | Refusal:
        """A segment from the joint, at most up to the end of the interval."""
        guess, normal = joint.point + length * joint.tangent, None
        if not self.low < guess[-1] < self.high:
            end = self.high if joint.tangent[-1] > 0 else self.low
            guess = joint.point + (end - joint.point[-1]) / joint.tangent[-1] * joint.tangent
            guess[-1] = end
            normal = np.append(np.zeros(len(guess) - 1), 1.0 / joint.tangent[-1])
        taken = self._reached(joint, guess, normal)
        if isinstance(taken, Segment):
            return taken
        turn = (joint.tangent if normal is None else normal) - joint.normal
        if not np.abs(turn).max() > _TURN:
            return taken
        # Half as far with half the turn: only the second half of it is left for the next step.
        return self._reached(joint, 0.5 * (joint.point + guess), joint.normal + 0.5 * turn)

    def _reached(self, joint: Joint, guess: Vector, normal: Vector | None) -> Segment | Refusal:
        """A segment to the plane through the guess; across the tangent if no normal is given."""
        across = joint.tangent if normal is None else normal
        last = self.curve.joint(guess, across, normal)
        for shorter in _SHORTER if normal is None else ():
            # An end at which an eigenvalue is on the axis would leave both sides undecided.
            if isinstance(last, Refusal) or last.unstable is not None:
                break
            nearer = joint.point + shorter * (guess - joint.point)
            last = self.curve.joint(nearer, across, normal)
        return last if isinstance(last, Refusal) else self._connected(joint, last)

    def _connected(self, first: Joint, last: Joint) -> Segment | Refusal:
        """The segment, if it stays in the interval and, being a later one, off the start.

        A curve that never comes back to its start does not meet itself.
        """
        taken = self.curve.segment(first, last)
        if isinstance(taken, Refusal):
            return taken
        self.left -= 1
        parameter = taken.tube[-1]
        inside = parameter.lower() >= self.low and parameter.upper() <= self.high
        inside = inside or taken.velocity[-1].mignitude() > 0
        inside = inside and all(self._holds(joint) for joint in (first, last))
        start = self.start
        away = start is None or first is start or _apart(taken.tube, start.box)
        if inside and away:
            return taken
        return Refusal(
            Reason.KRAWCZYK_NOT_CONTAINED,
            "A step of the branch may leave the interval, or come back to the start.",
        )

    def _holds(self, joint: Joint) -> bool:
        """Whether the joint is in the interval; where the plane fixes the parameter, exactly."""
        parameter = joint.box[-1]
        exact = joint.is_pinned and self.low <= joint.point[-1] <= self.high
        return bool(exact or (parameter.lower() >= self.low and parameter.upper() <= self.high))

    def _cut(self, piece: Segment, places: list[float]) -> list[Segment] | None:
        """The piece in parts, cut at values of `s`; None where a part is not proved."""
        joints, parts = [piece.first], []
        for s in places:
            guess, normal = _plane(piece, s)
            joint = self.curve.joint(guess, normal, normal)
            if isinstance(joint, Refusal):
                return None
            joints.append(joint)
        for first, last in pairwise([*joints, piece.last]):
            part = self._connected(first, last) if self.left > 0 else None
            if not isinstance(part, Segment):
                return None
            parts.append(part)
        return parts

    def _sharpened(self, piece: Segment, finding: Crossing) -> list[Found]:
        """The piece in three, of which a short one in the middle has the event, if possible."""
        place = self._place(piece, finding)
        if place is None:
            return [(piece, finding)]
        reach = _SHARP / max(piece.size, _SHARP)
        for _ in range(_WIDENINGS):
            ends = [s for s in (place - reach, place + reach) if 0 < s < 1]
            parts = self._cut(piece, ends)
            found = [(part, examine(self.curve.system, part)) for part in parts or ()]
            crossings = [event for _, event in found if event is not None]
            if len(crossings) == 1 and isinstance(crossings[0], Crossing):
                return found
            reach *= 32
        return [(piece, finding)]

    def _place(self, piece: Segment, finding: Crossing) -> float | None:
        """Where the eigenvalue seems to cross, as a value of `s`."""

        def real_part(s: float) -> float:
            point = self.curve.locate(*_plane(piece, s))
            if isinstance(point, Refusal):
                return np.nan
            slope = self.curve.system.exact.jacobian(Ball.exact(point)).mid
            values = np.linalg.eigvals(slope[:, :-1])
            return float(np.real(values[np.abs(values - finding.eigenvalue).argmin()]))

        try:
            return float(scipy.optimize.brentq(real_part, 0.0, 1.0, xtol=1e-13))  # pyright: ignore[reportArgumentType]
        except (ValueError, RuntimeError):
            return None


def _apart(one: Ball, other: Ball) -> bool:
    return bool(((one - other).mignitude() > 0).any())


def _plane(piece: Segment, s: float) -> tuple[Vector, Vector]:
    """A point of the chord, and the normal there."""
    first, last = piece.first, piece.last
    point = (1 - s) * first.point + s * last.point
    return point, (1 - s) * first.normal + s * last.normal


def _stuck(refusal: Refusal, joint: Joint) -> Refusal:
    """Where the proof of the curve ends, and why."""
    where = f"The curve is not proved beyond parameter {joint.point[-1]:.6g}: {refusal.message}"
    return Refusal(refusal.reason, where, {**refusal.numbers, "parameter": float(joint.point[-1])})
