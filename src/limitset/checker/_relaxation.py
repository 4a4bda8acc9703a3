"""Boxes of states cut down without losing a zero of `leak z = A tanh(C z + c) + d`.

On an interval, `tanh y = alpha y + e` for a chord's slope `alpha` and `e` in a ball. With
`M = leak - A alpha C`, a zero `z = m + h` of the box has
`M h = A (alpha (C m + c) + e) + d - leak m`, so `h = P (...) + (I - P M) h` for any matrix `P`;
here one near the inverse of `M`. The ball of `e` is of second order in the width of the box.

Source: L. V. Kolev, Interval Methods for Circuit Analysis, World Scientific, 1993.
"""

from collections.abc import Sequence
from typing import NamedTuple

from flint import arb, arb_mat

from limitset.checker._field import Vector, times
from limitset.checker._krawczyk import contraction

# Below this slope a chord is as good as flat, and `atanh(sqrt(1 - slope))` is no longer finite.
_FLAT = 2.0**-40


class System(NamedTuple):
    """`leak z = A tanh(C z + c) + d`; the numbers are balls, and `c` may even depend on `z`."""

    leak: arb
    A: arb_mat
    C: arb_mat
    c: Vector
    d: Vector

    def everywhere(self) -> Vector:
        """A box with all zeros: `|tanh| <= 1`."""
        return self.image([arb(0, 1)] * len(self.c))

    def image(self, values: Vector) -> Vector:
        """`(A v + d) / leak`."""
        return [(a + d) / self.leak for a, d in zip(times(self.A, values), self.d, strict=True)]


class Relaxed(NamedTuple):
    """A box with all zeros of another, and how much each coordinate adds to its width."""

    box: Vector
    weights: list[float]


def shrink(system: System, box: Vector) -> Relaxed | None:
    """The box cut to its image and to that of the relaxation; None if it certainly has no zero."""
    y = [a + c for a, c in zip(times(system.C, box), system.c, strict=True)]
    slopes, rests, values = zip(*map(relax_tanh, y), strict=True)
    smaller = intersected(box, system.image(list(values)))
    if smaller is None:
        return None
    chords = [[a * s for a, s in zip(row, slopes, strict=True)] for row in system.A.tolist()]
    scaled = arb_mat(chords)
    M = -(scaled * system.C)
    for i in range(M.nrows()):
        M[i, i] += system.leak
    try:
        P = M.mid().inv().mid()
    except ZeroDivisionError:
        return Relaxed(smaller, [float(b.rad()) for b in smaller])
    center = [b.mid() for b in box]
    straight = [a + c for a, c in zip(times(system.C, center), system.c, strict=True)]
    known = zip(times(scaled, straight), system.d, center, strict=True)
    moved = times(P, [a + d - system.leak * e for a, d, e in known])
    PA, defect = P * system.A, contraction(P, M)
    bent = times(PA, list(rests))
    left = times(defect, [b - e for b, e in zip(box, center, strict=True)])
    line = [sum(each) for each in zip(center, moved, bent, left, strict=True)]
    smaller = intersected(smaller, line)
    if smaller is None:
        return None
    return Relaxed(smaller, _weights(system, PA, rests, y, smaller))


def relax_tanh(y: arb) -> tuple[arb, arb, arb]:
    """An exact slope `alpha`, a ball of `g(y) = tanh y - alpha y`, and one of `tanh y`.

    `g` has its extremes at the ends, or at `+-p` where `1 - tanh(p)^2 = alpha`.
    """
    low, high = y.lower(), y.upper()
    at_low, at_high = low.tanh(), high.tanh()
    width = float(high - low)
    steep = float(at_high - at_low) / width if width > 1e-7 else 1 - float(at_low) * float(at_high)
    slope = arb(min(steep, 1.0) if steep > _FLAT else 0.0)
    rest = (at_low - slope * low).union(at_high - slope * high)
    if slope > 0:
        top = (1 - slope).sqrt()
        p = top.atanh()
        peak = top - slope * p
        for place, value in ((p, peak), (-p, -peak)):
            if not (place < low or place > high):
                rest = rest.union(value)
    return slope, rest, at_low.union(at_high)


def intersected(box: Vector, other: Vector) -> Vector | None:
    """A box with all common points of two; None if they certainly have none."""
    pairs = list(zip(box, other, strict=True))
    if not all(a.overlaps(b) for a, b in pairs):
        return None
    return [a.intersection(b) for a, b in pairs]


def _weights(
    system: System, PA: arb_mat, rests: Sequence[arb], y: Vector, box: Vector
) -> list[float]:
    """Guesses of where to cut: `sum_j |P A|_j rest_j / width(y_j) |C_j|`, times the width."""
    columns = zip(*PA.tolist(), strict=True)
    curved = [
        sum(abs(float(a)) for a in column) * float(rest.rad()) / (float(each.rad()) or 1.0)
        for column, rest, each in zip(columns, rests, y, strict=True)
    ]
    along = zip(*system.C.tolist(), strict=True)
    return [
        sum(k * abs(float(c)) for k, c in zip(curved, column, strict=True)) * float(b.rad())
        for column, b in zip(along, box, strict=True)
    ]
