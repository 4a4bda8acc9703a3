"""The statement `branch`: a curve of equilibria through a parameter interval, and all its events.

It starts at the low end of the interval and goes on to its exit. Events are the crossings of the
imaginary axis: by a pair, a Hopf point; by a real eigenvalue, a fold, as the curve is regular in
states and parameter. The origin of an odd flow is such a curve, too; there a real eigenvalue
crosses at a pitchfork if its cubic coefficient is not 0.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._branch_curve import (
    Joint,
    Piece,
    bend,
    between,
    connect,
    find_joint,
    origin,
)
from limitset.checker._branch_spectrum import Crosser, find_crosser
from limitset.checker._document import NotProved, require, take, take_list, take_real, take_tensor
from limitset.checker._eigenvalues import real_part, sides
from limitset.checker._equilibrium import read_vector
from limitset.checker._family import Family, read_family
from limitset.checker._field import Jet, Vector
from limitset.checker._hopf import compare
from limitset.checker._krawczyk import around
from limitset.checker._network import Network

CLAIM = "interval exit at_origin center radius hopf folds pitchforks events"
_EVENT = "kind parameter frequency unstable"
_KINDS = {"hopf": "hopf", "folds": "fold", "pitchforks": "pitchfork"}
# Points of the curve times the cube of the number of unknowns.
_MOST_WORK = 2**28
# How often a piece may be cut until it is established what happens on it, and all of them.
_CUTS = 12
_CUTS_PER_POINT = 32


class _Event(NamedTuple):
    """A crossing on the curve, and the counts right of the axis before and after it."""

    kind: str
    parameter: arb
    frequency: arb
    unstable: tuple[int, int]


def prove_branch(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(document["theorem"] == "uniform_krawczyk", "the theorem is unknown")
    family = read_family(document, network)
    require(family.still == 0, "this statement is about flows")
    interval, leaves, at_origin, *_ = take(document["claim"], CLAIM)
    low, high = (take_real(end) for end in take_list(interval))
    leaves = take_real(leaves)
    require(low < high and leaves in (low, high), "the interval is empty, or is left elsewhere")
    points, normals = _read_curve(document, family.size)
    if at_origin is True:
        _require_odd(family, network)
        axis = [*[arb(0)] * family.size, arb(1)]
        resting = all(e == 0 for point in points for e in point[:-1])
        require(resting and normals == [axis] * len(points), "a point is not at the origin")
        joints = [Joint(p, u, p) for p, u in zip(points, normals, strict=True)]
        pieces = [origin(family, *pair) for pair in pairwise(joints)]
    else:
        require(at_origin is False, "whether the curve is the origin is neither true nor false")
        joints = [find_joint(family, *given) for given in zip(points, normals, strict=True)]
        pieces = [connect(family, *pair) for pair in pairwise(joints)]
    _require_walk(pieces, low, high, leaves)
    _compare_start(document["claim"], joints[0], family.size)
    search = _Search(family, at_origin, _CUTS_PER_POINT * len(points))
    _compare_events(
        document["claim"], [event for piece in pieces for event in search.events(piece)]
    )


def _read_curve(document: dict[str, Any], n: int) -> tuple[list[Vector], list[Vector]]:
    """The points and normals, as rows of two matrices."""
    rows = []
    for entry in take(document["witness"], "points normals"):
        dtype, shape, _, values = take_tensor(entry)
        fits = dtype == "float64" and len(shape) == 2 and shape[1] == n + 1 and shape[0] > 1
        require(fits, "the points of the curve do not fit the network")
        require(shape[0] * (n + 1) ** 3 <= _MOST_WORK, "the curve has too many points")
        exact = list(map(arb, values))
        rows.append([exact[k : k + n + 1] for k in range(0, len(exact), n + 1)])
    require(len(rows[0]) == len(rows[1]), "each point of the curve needs a normal")
    return rows[0], rows[1]


def _require_odd(family: Family, network: Network) -> None:
    """Require `f(-x, a) = -f(x, a)`."""
    module = network.modules[0]
    silent = family.lift is None and not any(v for bias in module.biases for v in bias.values)
    require(silent and module.activation == "tanh", "the origin is not at rest by symmetry")


def _require_walk(pieces: list[Piece], low: float, high: float, leaves: float) -> None:
    """Require that the curve goes from the low end to its exit, inside, and not twice through a
    point: it does not come back to its start."""
    first, last = pieces[0].first, pieces[-1].last
    ends = first.is_pinned and last.is_pinned
    ends = ends and first.point[-1] == low and last.point[-1] == leaves
    require(ends, "the curve does not begin and end at the ends of the interval")
    for k, piece in enumerate(pieces):
        inside = piece.tube[-1] >= low and piece.tube[-1] <= high
        inside = inside or piece.velocity[-1] > 0 or piece.velocity[-1] < 0
        inside = inside and (k == 0 or _is_inside(piece.first, low, high))
        require(inside, "the curve may leave the interval before its exit")
        apart = not all(t.overlaps(s) for t, s in zip(piece.tube, first.box, strict=True))
        require(k == 0 or apart, "the curve may come back to its start")


def _is_inside(joint: Joint, low: float, high: float) -> bool:
    a = joint.point[-1] if joint.is_pinned else joint.box[-1]
    return bool(a >= low and a <= high)


def _compare_start(claim: dict[str, Any], start: Joint, n: int) -> None:
    center, radius = (read_vector(claim[name], n) for name in ("center", "radius"))
    inside = zip(start.box[:-1], center, radius, strict=True)
    require(
        all(abs(x - c) <= r for x, c, r in inside), "the claimed box of the start does not hold it"
    )


def _compare_events(claim: dict[str, Any], events: list[_Event]) -> None:
    """Require the counts, and the claimed events in their order."""
    for name, kind in _KINDS.items():
        number = sum(event.kind == kind for event in events)
        counted = type(claim[name]) is int and claim[name] == number
        require(counted, f"the number of {name} is not established")
    claimed = take_list(claim["events"])
    require(len(claimed) == len(events), "the events are not those on the curve")
    for given, event in zip(claimed, events, strict=True):
        kind, parameter, frequency, unstable = take(given, _EVENT)
        counts = take_list(unstable)
        whole = all(type(count) is int for count in counts)
        fits = kind == event.kind and whole and tuple(counts) == event.unstable
        require(fits, "an event is another, or changes other numbers of eigenvalues")
        compare(parameter, event.parameter, "parameter")
        compare(frequency, event.frequency, "frequency")


class _Search:
    """For the crossings on pieces of a curve."""

    def __init__(self, family: Family, at_origin: bool, cuts: int) -> None:
        self.family, self.at_origin, self.cuts = family, at_origin, cuts

    def events(self, piece: Piece) -> Iterator[_Event]:
        """All crossings on the piece, in their order."""
        motion = _states(bend(self.family, self._jet(piece.tube), piece.velocity))
        yield from self._between(piece, motion, arb(-0.5), arb(0.5), _CUTS)

    def _between(
        self, piece: Piece, motion: arb_mat, low: arb, high: arb, depth: int
    ) -> Iterator[_Event]:
        """For `s - 1/2` between two values."""
        half, place = (high - low) / 2, (low + high) / 2
        try:
            crosser = find_crosser(self._jacobian(piece, place), motion, half)
            found = None if crosser is None else self._event(piece, low, high, crosser)
        except NotProved:
            self.cuts -= 1
            if depth == 0 or self.cuts < 0:
                raise
            # Off the middle, where symmetric curves like to have their events.
            cut = low + (high - low) * arb(0.46875)
            yield from self._between(piece, motion, low, cut, depth - 1)
            yield from self._between(piece, motion, cut, high, depth - 1)
            return
        if found is not None:
            yield found

    def _event(self, piece: Piece, low: arb, high: arb, crosser: Crosser) -> _Event | None:
        """A crossing, if the counts at both ends differ; it is the only one."""
        direction = int(crosser.velocity > 0) - int(crosser.velocity < 0)
        require(direction != 0, "the direction in which an eigenvalue moves is not established")
        before, after = (sides(self._jacobian(piece, t), real_part)[0] for t in (low, high))
        step = direction * (2 if crosser.is_pair else 1)
        require(after - before in (0, step), "the count of eigenvalues is not established")
        if before == after:
            return None
        tube = self._box(piece, low.union(high))
        kind = "hopf" if crosser.is_pair else "fold"
        if kind == "fold" and self.at_origin:
            self._require_pitchfork(tube, crosser)
            kind = "pitchfork"
        return _Event(kind, tube[-1], crosser.frequency, (before, after))

    def _require_pitchfork(self, tube: Vector, crosser: Crosser) -> None:
        """Require `p.C(q, q, q) != 0`; with `conj(q)` for the last `q` any phase will do."""
        q = crosser.right
        cubic = self._jet(tube).third(q, q, [entry.conjugate() for entry in q])
        products = [a * b for a, b in zip(crosser.left, q, strict=True)]
        scale = sum(products[1:], products[0])
        terms = [a * c for a, c in zip(crosser.left, cubic, strict=True)]
        coefficient = (sum(terms[1:], terms[0]) * scale.conjugate()).real
        require(
            coefficient > 0 or coefficient < 0, "that a crossing is a pitchfork is not established"
        )

    def _jet(self, y: Vector) -> Jet:
        return self.family.at(y[:-1], y[-1])

    def _box(self, piece: Piece, t: arb) -> Vector:
        line = [c + t * d for c, d in zip(piece.center, piece.chord, strict=True)]
        return around(line, piece.radius)

    def _jacobian(self, piece: Piece, t: arb) -> arb_mat:
        """`J` at `s = 1/2 + t`, of a tiny box."""
        if t == -0.5 or t == 0.5:
            box = (piece.first if t < 0 else piece.last).box
        elif self.at_origin:
            box = self._box(piece, t)
        else:
            box = between(self.family, piece, t).box
        return self._jet(box).jacobian()


def _states(matrix: arb_mat) -> arb_mat:
    return arb_mat([row[:-1] for row in matrix.tolist()])
