"""Along which lines through 0 a class-B fixed point can lie: a search over three squares.

With `a = s b` and one entry `b_i = 1`, the others in `[-1, 1]`, the equations
`(1 - kappa_0) a = kappa_{1:3}` of forms of degree `L` in `a` fall apart: two of them,
`k_j(b) = b_j k_i(b)`, are about the direction alone, and the size solves
`s^L k_0(b) + s^{L-1} k_i(b) = 1`. Where all `|s|` of interest make the left side smaller than 1,
the direction need not be decided; so a bound of `|s|` settles directions in which `kappa` vanishes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from flint import fmpq
from jaxtyping import Bool, Float

from limitset.proofs._ball import Ball
from limitset.proofs._krawczyk import krawczyk, newton
from limitset.proofs._particle_forms import Form, as_balls
from limitset.proofs._refusal import Refusal

Plane = dict[tuple[int, int], fmpq]
Boxes = Float[np.ndarray, "boxes 2"]
Halves = Float[np.ndarray, "halves 2"]

_BATCH = 512
# Boxes narrower than the first are worth a candidate; those narrower than the second are given up.
_SMALL, _NARROWEST = 0.07, 1e-13
_CANDIDATES, _STEPS = 2, 8
# Slightly off centre: zeros of symmetric equations lie on the middle lines of boxes.
_CUT = 0.4871


@dataclass(frozen=True, eq=False)
class Direction:
    """Exactly one line through 0: `b` with `b[chart] = 1`, alone within `unique` of its middle."""

    chart: int
    box: Ball
    unique: float

    @property
    def vector(self) -> Ball:
        """The three entries of `b`."""
        return Ball.moved(
            lambda box, one: np.insert(box, self.chart, one), self.box, Ball.exact(1.0)
        )

    def in_chart(self, chart: int) -> Ball | None:
        """The other two entries where that of `chart` is 1; None where it may be 0."""
        b = self.vector
        if not b[chart].mignitude() > 0:
            return None
        others = [j for j in range(3) if j != chart]
        return b[others] / b[chart]


@dataclass(frozen=True, eq=False)
class Square:
    """The equations on `b_chart = 1` as polynomials in the other two entries `(u, v)`.

    **Arguments:** `forms` are `kappa_{0:3}(Pi a)`; `chart` 0, 1 or 2.
    """

    forms: Sequence[Form]
    chart: int

    @cached_property
    def planes(self) -> tuple[Plane, ...]:
        """The two equations, `k_0` and `k_i`."""
        u, v = (j for j in range(3) if j != self.chart)
        flat = [{(e[u], e[v]): c for e, c in form.items()} for form in self.forms]
        lead = flat[1 + self.chart]
        by_u = _minus(flat[1 + u], {(m + 1, n): c for (m, n), c in lead.items()})
        by_v = _minus(flat[1 + v], {(m, n + 1): c for (m, n), c in lead.items()})
        return by_u, by_v, flat[0], lead

    @cached_property
    def values(self) -> Ball:
        """Coefficients of the four, of shape `(4, degree + 1, degree + 1)`."""
        return _table(self.planes)

    @cached_property
    def slopes(self) -> Ball:
        """Coefficients of their derivatives, along `u`, then along `v`."""
        along_u = [{(m - 1, n): m * c for (m, n), c in p.items() if m} for p in self.planes]
        along_v = [{(m, n - 1): n * c for (m, n), c in p.items() if n} for p in self.planes]
        return _table([*along_u, *along_v])

    def at(self, point: Ball) -> Ball:
        """`k_0` and `k_i` of every member of one box."""
        return self.enclosed(point[None])[2:, 0]

    def enclosed(self, boxes: Ball) -> Ball:
        """The four over boxes of shape `(boxes, 2)`, in the form of the mean value theorem."""
        middle, slope, off = self._expanded(boxes)
        return middle + slope[0] * off[:, 0] + slope[1] * off[:, 1]

    def misses(self, boxes: Ball) -> Bool[np.ndarray, " boxes"]:
        """Boxes in which two combinations of the equations certainly have no common zero.

        The combinations are those of the adjugate of the Jacobian at the middle: each varies along
        one variable only, as far as the Jacobian is constant, however nearly singular that is.
        """
        middle, slope, off = self._expanded(boxes)
        (a, b), (c, d) = slope.mid[:, :2].swapaxes(0, 1)
        missed = np.zeros(len(boxes), dtype=bool)
        for p, q in ((d, -b), (-c, a)):
            value = middle[0] * p + middle[1] * q
            along = slope[:, 0] * p + slope[:, 1] * q
            whole = value + along[0] * off[:, 0] + along[1] * off[:, 1]
            missed |= whole.mignitude() > 0
        return missed

    def _expanded(self, boxes: Ball) -> tuple[Ball, Ball, Ball]:
        """Values at the middles, slopes of shape `(2, 4, boxes)` over the boxes, and offsets."""
        middle = _evaluate(self.values, Ball.exact(boxes.mid))
        slope = _evaluate(self.slopes, boxes).reshape(2, 4, -1)
        return middle, slope, Ball(np.zeros_like(boxes.mid), boxes.rad)

    def equation(self, point: Ball) -> Ball:
        """The two equations, for `krawczyk`."""
        return _evaluate(self.values[:2], point[None])[:, 0]

    def jacobian(self, point: Ball) -> Ball:
        """Their derivative."""
        slope = _evaluate(self.slopes, point[None]).reshape(2, 4)
        return slope[:, :2].T


def _minus(plane: Plane, other: Plane) -> Plane:
    total = dict(plane)
    for exponents, c in other.items():
        total[exponents] = total.get(exponents, fmpq(0)) - c
    return total


def _table(planes: Sequence[Plane]) -> Ball:
    exponents = [e for plane in planes for e in plane]
    rows, columns = (max((e[k] for e in exponents), default=0) + 1 for k in range(2))
    order = [(m, n) for m in range(rows) for n in range(columns)]
    entries = [plane.get(e, fmpq(0)) for plane in planes for e in order]
    return as_balls(entries).reshape(len(planes), rows, columns)


def _evaluate(table: Ball, points: Ball) -> Ball:
    """Horner's rule in both variables: shape `(polynomials, points)`."""
    u, v = points[:, 0], points[:, 1]
    total = Ball.exact(np.zeros((table.shape[0], points.shape[0])))
    for m in reversed(range(table.shape[1])):
        inner = total * 0.0
        for n in reversed(range(table.shape[2])):
            inner = inner * v + table[:, m, n, None]
        total = total * u + inner
    return total


@dataclass
class DirectionSearch:
    """All directions of one square in which a fixed point of size at most `reach` may lie.

    `undecided` counts boxes that were given up: the list is complete if there are none.
    """

    square: Square
    depth: int
    reach: float
    most: int
    found: list[Direction] = field(default_factory=list)
    undecided: int = 0
    boxes: int = 0
    tried: set[tuple[float, ...]] = field(default_factory=set)

    def run(self) -> None:
        """Search until nothing is left, or `most` boxes were looked at."""
        lo, hi = -np.ones((1, 2)), np.ones((1, 2))
        while len(lo):
            if self.boxes >= self.most:
                self.undecided += len(lo)
                return
            now = (lo[-_BATCH:], hi[-_BATCH:])
            lo, hi = lo[:-_BATCH], hi[:-_BATCH]
            self.boxes += len(now[0])
            below, above = self._split(*now)
            lo, hi = np.concatenate([lo, below]), np.concatenate([hi, above])

    def _split(self, lo: Boxes, hi: Boxes) -> tuple[Halves, Halves]:
        """Halves of the boxes that may hold directions not known yet."""
        boxes = Ball.from_bounds(lo, hi)
        kept = ~self._excluded(boxes) & ~self._known(boxes)
        lo, hi = lo[kept], hi[kept]
        small = np.flatnonzero((hi - lo).max(axis=1, initial=0.0) < _SMALL)
        if len(small):
            for center in self._candidates(0.5 * (lo[small] + hi[small])):
                self._try(center)
            kept = ~self._known(Ball.from_bounds(lo, hi))
            lo, hi = lo[kept], hi[kept]
        tiny = (hi - lo).max(axis=1, initial=0.0) <= _NARROWEST
        self.undecided += int(tiny.sum())
        lo, hi = lo[~tiny], hi[~tiny]
        rows, side = np.arange(len(lo)), (hi - lo).argmax(axis=1) if len(lo) else np.zeros(0, int)
        cut = lo[rows, side] + _CUT * (hi - lo)[rows, side]
        below, above = hi.copy(), lo.copy()
        below[rows, side], above[rows, side] = cut, cut
        return np.concatenate([lo, above]), np.concatenate([below, hi])

    def _excluded(self, boxes: Ball) -> Bool[np.ndarray, " boxes"]:
        four = self.square.enclosed(boxes)
        apart = (four[:2].mignitude() > 0).any(axis=0) | self.square.misses(boxes)
        if not np.isfinite(self.reach):
            return apart
        sizes = Ball.exact(np.minimum(four[2:].magnitude(), 1e300))
        power = _power(Ball.exact(self.reach), self.depth - 1)
        return apart | ((sizes[0] * self.reach + sizes[1]) * power).certainly_less(1.0)

    def _known(self, boxes: Ball) -> Bool[np.ndarray, " boxes"]:
        """Boxes in which no direction but a known one can lie."""
        inside = np.zeros(boxes.shape[0], dtype=bool)
        for one in self.found:
            away = (boxes - one.box.mid).magnitude()
            inside |= (away <= one.unique).all(axis=1)
        return inside

    def _candidates(self, start: Boxes) -> Halves:
        """Where Newton's method in floats ends, from many points at once; new ones only."""
        values, slopes = (Ball.exact(t.mid) for t in (self.square.values[:2], self.square.slopes))
        x, step = start, np.full_like(start, np.inf)
        with np.errstate(all="ignore"):
            for _ in range(_STEPS):
                missed = _evaluate(values, Ball.exact(x)).mid
                (a, c), (b, d) = _evaluate(slopes, Ball.exact(x)).mid.reshape(2, 4, -1)[:, :2]
                determinant = a * d - b * c
                step = np.stack([d * missed[0] - b * missed[1], a * missed[1] - c * missed[0]], 1)
                step = step / determinant[:, None]
                x = np.where((np.abs(step) < 1).all(axis=1, keepdims=True), x - step, 2.0)
            ended = (np.abs(step) < 1e-11).all(axis=1) & (np.abs(x) < 1.1).all(axis=1)
        fresh = []
        for center in np.unique(np.round(x[ended], 9), axis=0):
            if tuple(center) not in self.tried and not self._known(Ball.exact(center[None]))[0]:
                fresh.append(center)
        return np.array(fresh[:_CANDIDATES]).reshape(-1, 2)

    def _try(self, start: Float[np.ndarray, " 2"]) -> None:
        """Add the direction near a candidate, if it is proved to be alone."""
        self.tried.add(tuple(start))
        center = newton(self.square.equation, self.square.jacobian, start)
        if isinstance(center, Refusal):
            return
        zero = krawczyk(self.square.equation, self.square.jacobian, center)
        if not isinstance(zero, Refusal) and zero.uniqueness_radius > 0:
            self.found.append(Direction(self.square.chart, zero.box, zero.uniqueness_radius))


def _power(base: Ball, exponent: int) -> Ball:
    result = Ball.exact(1.0)
    for _ in range(exponent):
        result = result * base
    return result
