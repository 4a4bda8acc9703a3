"""The statement `all_equilibria`: those of a list, and no others in a box or in the whole space.

Nothing is believed of the search that made the list. Each of its boxes is proved to hold exactly
one equilibrium, alone in a larger box; and the search is done again, from a box that holds all, by
shrinking and bisecting, until every part is empty or within one of those larger boxes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._document import (
    NotProved,
    TooMuchWork,
    require,
    take,
    take_list,
    take_real,
)
from limitset.checker._eigenvalues import real_part, sides
from limitset.checker._equilibrium import read_vector, wide_field
from limitset.checker._field import Field, Vector, expand
from limitset.checker._krawczyk import (
    around,
    column,
    contraction,
    has_one_zero,
    invert,
    refine,
)
from limitset.checker._network import Network
from limitset.checker._relaxation import Relaxed, intersected, shrink
from limitset.checker._search_space import SearchSpace, search_space

_MOST = 256
# Limits of work, in products of numbers, all boxes or all equilibria together: minutes at most.
_MOST_SEARCH = 600_000_000
_MOST_PROOFS = 30_000_000
# The first size and the number of sizes tried for a box in which an equilibrium is alone.
_FIRST, _TRIALS = 1.0, 16
_ROUNDS = 2
# Slightly off centre: equilibria of symmetric networks lie on the middle planes of boxes.
_CUT = 0.4871
_NARROWEST = 2.0**-40


Corners = tuple[Vector, Vector]


class _Known(NamedTuple):
    """An equilibrium's box, and the corners of a larger one in which it is alone."""

    box: Vector
    alone: Corners


def prove_all_equilibria(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(document["theorem"] == "search", "the theorem is unknown")
    region, spread, entering, entries = read_claim(document)
    field = wide_field(document, network, entering, spread)
    n = len(field.bias)
    require(n <= _MOST, f"this statement is checked for at most {_MOST} units")
    require(field.leak > 0, "without leak, equilibria may be unbounded")
    if len(entries) * n**3 > _MOST_PROOFS:
        raise TooMuchWork("so many equilibria of so many units are more work than is allowed")
    corners = None
    if region is not None:
        low, high = (read_vector(corner, n) for corner in region)
        ordered = all(a <= b for a, b in zip(low, high, strict=True))
        require(ordered, "the corners of the region are exchanged")
        corners = low, high
    known = [_prove_one(field, entry) for entry in entries]
    for k, one in enumerate(known):
        inside = corners is None or _within(one.box, corners)
        require(inside, "an equilibrium is not certainly in the region")
        # Disjoint boxes hold different equilibria.
        apart = all(_disjoint(one.box, other.box) for other in known[:k])
        require(apart, "two equilibria of the list may be the same")
    _search(search_space(field, document["witness"]), corners, known)


def read_claim(document: dict[str, Any]) -> tuple[list[Any] | None, float, Any, list[Any]]:
    """The corners of the region or None, the weight radius, the input, and the equilibria."""
    region, spread, entering, entries = take(
        document["claim"], "region weight_radius input equilibria"
    )
    corners = None if region is None else take(region, "low high")
    return corners, take_real(spread), entering, take_list(entries)


def _prove_one(field: Field, entry: Any) -> _Known:
    n = len(field.bias)
    *vectors, stability, index = take(entry, "center radius stability index")
    center, radius = (read_vector(vector, n) for vector in vectors)
    require(min(radius) > 0, "the radius of a box is not positive")

    def value(x: Vector) -> Vector:
        return expand(field, x).value()

    def jacobian(x: Vector) -> arb_mat:
        return expand(field, x).jacobian()

    A, box = invert(jacobian(center)), around(center, radius)
    shift = (A * column(value(center))).entries()
    proved = has_one_zero(contraction(A, jacobian(box)), shift, radius)
    require(proved, "exactly one equilibrium in a box of the list is not established")
    # In the box A J is regular and joined to I by regular matrices: det J has the sign of det A.
    sign = (-A).det()
    known = sign > 0 if index == 1 else sign < 0 if index == -1 else index is None
    require(type(index) in (int, type(None)) and known, "an index is not established")
    if stability != "undecided":
        right, _ = sides(jacobian(refine(value, jacobian, box)), real_part)
        proved = stability == ("unstable" if right else "stable")
        require(proved, "the stability of an equilibrium is not established")

    def spread(reach: Vector) -> arb_mat:
        return contraction(A, jacobian(around(center, reach)))

    return _Known(box, _alone(spread, center, radius))


def _alone(spread: Callable[[Vector], arb_mat], center: Vector, radius: Vector) -> Corners:
    """The corners of a cube around the box that holds no other equilibrium."""
    least, size, n = max(map(float, radius)), _FIRST, len(center)
    for _ in range(_TRIALS):
        reach = [arb(size)] * n
        matrix = spread(reach)
        if size > least and has_one_zero(matrix, [arb(0)] * n, reach):
            return [c - size for c in center], [c + size for c in center]
        # The norm is in proportion to the size at first.
        norm = max(float(sum(map(abs, row), arb(0)).upper()) for row in matrix.tolist())
        size *= min(0.5, 0.9 / norm) if norm > 1 else 0.5
    raise NotProved("no larger box in which an equilibrium of the list is alone was found")


def _search(space: SearchSpace, region: Corners | None, known: list[_Known]) -> None:
    """Prove that the region has no other equilibria."""
    system = space.system
    whole = system.everywhere()
    narrowest = _NARROWEST * max(1.0, *(float(z.abs_upper()) for z in whole))
    if region is not None:
        entered = space.unknowns([a.union(b) for a, b in zip(*region, strict=True)])
        whole = intersected(whole, entered)
    stack = [] if whole is None else [whole]
    left = _MOST_SEARCH
    cost = _cost_of_a_box(len(system.d), len(system.c), len(known))
    while stack:
        left -= cost
        if left < 0:
            raise TooMuchWork("the search for other equilibria takes more work than is allowed")
        cut = _remainder(space, region, known, stack.pop())
        if cut is None:
            continue
        wide = max(float(z.rad()) for z in cut.box)
        require(wide > narrowest, "an equilibrium that is not on the list cannot be excluded")
        stack += _halves(cut, wide)


def _cost_of_a_box(m: int, k: int, known: int) -> int:
    """Overhead, k units, products of matrices, and looking for it among the known ones."""
    return 2000 + 60 * k + m * m * (m + 2 * k) + 50 * known


def _remainder(
    space: SearchSpace, region: Corners | None, known: list[_Known], box: Vector
) -> Relaxed | None:
    """The box, smaller; None if it certainly has no equilibrium of the region that is not known."""
    cut = None
    for _ in range(_ROUNDS):
        cut = shrink(space.system, box)
        if cut is None:
            return None
        box = cut.box
        states = space.states(box)
        outside = region is not None and not _may_meet(states, region)
        if outside or any(_within(states, one.alone) for one in known):
            return None
    return cut


def _halves(cut: Relaxed, wide: float) -> list[Vector]:
    widths = [float(z.rad()) for z in cut.box]
    allowed = [k for k, width in enumerate(widths) if width > 1e-3 * wide]
    k = max(allowed, key=lambda k: cut.weights[k])
    low, high = cut.box[k].lower(), cut.box[k].upper()
    middle = (low + (high - low) * _CUT).mid()
    parts = (low.union(middle), middle.union(high))
    return [[*cut.box[:k], part, *cut.box[k + 1 :]] for part in parts]


def _within(states: Vector, corners: Corners) -> bool:
    return all(low <= x and x <= high for x, low, high in zip(states, *corners, strict=True))


def _may_meet(states: Vector, corners: Corners) -> bool:
    return not any(x < low or x > high for x, low, high in zip(states, *corners, strict=True))


def _disjoint(box: Vector, other: Vector) -> bool:
    return any(a < b or a > b for a, b in zip(box, other, strict=True))
