"""All zeros of a function of one variable on an interval, and one zero near a number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flint import arb

from limitset.proofs._meanfield_conditions import Condition, Interval, hull, interval
from limitset.proofs._refusal import Reason, Refusal

_NEWTON_STEPS = 80
_INFLATIONS = 8
_BISECTIONS = 10
# The first pieces, as ratios of their ends, and the shortest ones.
_WIDE = 2.0
_NARROW = 2.0**-40
# How far around a zero uniqueness is tried, as ratios.
_REACHES = (4.0, 2.0, 1.5, 1.2, 1.1, 1.05, 1.02, 1.01, 1.001, 1 + 1e-4, 1 + 1e-5, 1 + 1e-7)


@dataclass(frozen=True)
class Isolated:
    """Intervals with exactly one zero each, and intervals of which nothing is known.

    Elsewhere there is none. `rising[i]` says how the function passes zero in `zeros[i]`.
    """

    zeros: tuple[Interval, ...]
    rising: tuple[bool, ...]
    undecided: tuple[Interval, ...]
    pieces: int


@dataclass(frozen=True)
class _Piece:
    """A closed interval, with the certain sign of the function or else of its slope, or 0."""

    low: float
    high: float
    sign: int
    slope: int


def isolate(condition: Condition, low: float, high: float, max_pieces: int) -> Isolated:
    """All zeros in `[low, high]`, `0 < low`, by bisection in the logarithm.

    A piece is done where the function has one sign, or its slope has. Neighbours with slopes of one
    sign are joined; the signs at the ends of the union decide between one zero and none.
    """
    waiting = _first_pieces(low, high)
    done: list[_Piece] = []
    seen = 0
    while waiting:
        left, right = waiting.pop()
        seen += 1
        piece = _classify(condition, left, right)
        middle = _between(left, right)
        short = not (right - left > _NARROW * right and left < middle < right)
        if piece.sign or piece.slope or short or seen + len(waiting) >= max_pieces:
            done.append(piece)
        else:
            waiting += [(middle, right), (left, middle)]
    return _count(condition, sorted(done, key=lambda p: p.low), seen)


def _first_pieces(low: float, high: float) -> list[Interval]:
    ends = [low]
    while ends[-1] * _WIDE < high:
        ends.append(ends[-1] * _WIDE)
    return list(zip(ends, [*ends[1:], high], strict=True))[::-1]


def _between(left: float, right: float) -> float:
    return math.sqrt(left) * math.sqrt(right) if right > 2 * left else left + (right - left) / 2


def sign_of(number: arb) -> int:
    """1 or -1 where that is certain, else 0."""
    return 1 if number > 0 else -1 if number < 0 else 0


def _classify(condition: Condition, left: float, right: float) -> _Piece:
    value, slope = sharpened(condition, hull(left, right))
    sign = sign_of(value)
    return _Piece(left, right, sign, 0 if sign else sign_of(slope))


def sharpened(condition: Condition, v: arb) -> tuple[arb, arb]:
    """Value and slope on a ball, from those on it and from mean values around its middle."""
    value, slope, curvature = condition(v)
    middle = v.mid()
    if v.is_exact():
        return value, slope
    at_middle, slope_at_middle, _ = condition(middle)
    slope = _meet(slope, slope_at_middle + (v - middle) * curvature)
    return _meet(value, at_middle + (v - middle) * slope), slope


def _meet(a: arb, b: arb) -> arb:
    if not (a.is_finite() and b.is_finite()):
        return a if a.is_finite() else b
    return a.intersection(b)


def _count(condition: Condition, pieces: Sequence[_Piece], seen: int) -> Isolated:
    zeros: list[Interval] = []
    rising: list[bool] = []
    undecided: list[Interval] = []
    i = 0
    while i < len(pieces):
        first = last = pieces[i]
        i += 1
        if first.sign:
            continue
        while i < len(pieces) and first.slope and pieces[i].slope == first.slope:
            last = pieces[i]
            i += 1
        run = (first.low, last.high)
        left, right = (sign_of(sharpened(condition, arb(end))[0]) for end in run)
        if not (first.slope and left and right):
            undecided.append(run)
        elif left != right:
            zeros.append(run)
            rising.append(right > 0)
    return Isolated(tuple(zeros), tuple(rising), tuple(undecided), seen)


def zero_in(condition: Condition, run: Interval, rising: bool) -> arb | Refusal:
    """A narrow enclosure of the only zero of a run."""
    left, right = run
    for _ in range(_BISECTIONS):
        middle = _between(left, right)
        sign = sign_of(condition(arb(middle))[0])
        if not (sign and left < middle < right):
            break
        left, right = (left, middle) if (sign > 0) == rising else (middle, right)
    found = zero_near(condition, _between(left, right))
    if isinstance(found, Refusal) or not (found >= run[0] and found <= run[1]):
        return hull(left, right)
    return found


def zero_near(condition: Condition, start: float) -> arb | Refusal:
    """A ball with exactly one zero, within a factor of 2 of a number: Newton's method, then
    `x - f(x) / f'(X)` inside of `X`."""
    x = arb(start)
    step = arb(0)
    for _ in range(_NEWTON_STEPS):
        value, slope, _ = condition(x)
        step = (value / slope).mid()
        if not (step.is_finite() and sign_of(slope)):
            return Refusal(Reason.JACOBIAN_SINGULAR, "A Newton step met a slope around 0.")
        x = (x - step).mid()
        if not (x > start / 2 and x < 2 * arb(start)):
            return Refusal(
                Reason.NEWTON_FAILED,
                "Newton's method left the neighbourhood of the candidate; give a nearer one.",
                {"candidate": start, "reached": float(x)},
            )
        if abs(step) <= arb(2) ** -100 * x:
            break
    return _verify(condition, x, abs(step))


def _verify(condition: Condition, x: arb, step: arb) -> arb | Refusal:
    value, slope, _ = condition(x)
    radius = 4 * abs(value / slope).upper() + step + arb(2) ** -120 * x
    for _ in range(_INFLATIONS):
        around = x + arb(0, radius.upper())
        image = x - value / sharpened(condition, around)[1]
        if around.contains_interior(image):
            return image
        radius = 8 * radius
    return Refusal(
        Reason.KRAWCZYK_NOT_CONTAINED,
        "The image of the interval leaves it.",
        {"center": float(x), "residual": float(abs(value).upper()), "radius": float(radius)},
    )


def unique_around(condition: Condition, zero: arb) -> Interval:
    """An interval around a zero in which there is no other, since the slope has one sign.

    A single number where none was found.
    """
    low, high = interval(zero)
    for reach in _REACHES:
        around = (low / reach, high * reach)
        if sign_of(sharpened(condition, hull(*around))[1]):
            return around
    return low, low
