"""All class-B fixed points of self-application of linear particles of one shape.

A nonzero fixed point `theta` of `T(theta) = kappa_0 theta + Pi kappa_{1:3}` either replicates
whatever it is asked (class A, `kappa_{0:3} = (1, 0, 0, 0)`), or, with `Pi` of rank 3, `kappa_0` is
not 1 and `theta = Pi a` (class B), where `a` in R^3 solves `(1 - kappa_0) a = kappa_{1:3}`.

`DT = kappa_0 I + X G` with `X = [theta, Pi]` and `theta` in the range of `Pi`: the rank of `X G` is
at most 3, so `kappa_0` is an eigenvalue, `n - 3` times or more; and `DT theta = (L + kappa_0)
theta`. For `L >= 3` one of both lies outside the unit circle.
"""

import itertools
import math
import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.proofs._ball import Ball
from limitset.proofs._krawczyk import krawczyk
from limitset.proofs._linalg import is_positive_definite
from limitset.proofs._particle_forms import (
    ParticleShape,
    Positions,
    Shapes,
    kappa,
    kappa_forms,
    kappa_gradient,
)
from limitset.proofs._positional_directions import Direction, DirectionSearch, Square
from limitset.proofs._positional_sizes import trinomial_roots
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic

# Coefficients are products of a few coordinates, and have to be floats.
_LARGEST = 1e9


@dataclass(frozen=True, eq=False)
class PositionalReplicator:
    """One class-B fixed point `theta = Pi a` of self-application, proved.

    Exactly one solution `a` lies within `radius` of `center`. `kappa_0` encloses its first
    entry of `kappa`, an eigenvalue; `expansion` is a lower bound, above 1, of the largest
    modulus of an eigenvalue: no class-B fixed point is stable.
    """

    center: Float[np.ndarray, " 3"]
    radius: Float[np.ndarray, " 3"]
    kappa_0: Ball
    expansion: float

    @property
    def box(self) -> Ball:
        """Where `a` lies."""
        return Ball(self.center.copy(), self.radius.copy())


@dataclass(frozen=True, eq=False)
class AllPositionalReplicators:
    """What a search for all class-B fixed points with `0 < max |a_i| <= reach` has proved.

    Every entry is proved by itself and they are distinct. If `complete`, there are no others.
    `directions` are middles of all lines through 0 that were found, those on an edge of a square
    more than once: the index of the entry that is 1, and the two others. `boxes` were looked at.
    """

    fixed_points: tuple[PositionalReplicator, ...]
    reach: float
    refusal: Refusal | None
    directions: tuple[tuple[int, float, float], ...]
    boxes: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether there is certainly no other one."""
        return self.refusal is None


def prove_all_positional_replicators(
    positions: Positions, shapes: Shapes, *, reach: float = 10.0, max_boxes: int = 500_000
) -> AllPositionalReplicators:
    """Prove all class-B fixed points of size at most `reach`: of every linear particle of a shape.

    `(1 - kappa_0(Pi a)) a = kappa_{1:3}(Pi a)` is split into an equation of the direction of `a`,
    searched in squares by bisection and Krawczyk tests, and one of its size.

    **Arguments:** `positions` of shape `(n, 3)` and rank 3; `shapes` of the matrices as (rows,
    columns), first to last; `reach` the largest `max |a_i|`, or `inf`; `max_boxes` where to give
    up. `kappa` vanishes along some directions, near which a finite reach decides, and `inf` often
    does not.

    **Returns:** the fixed points, and whether they are all.

    **Raises:** `InputProblem` for numbers or shapes that cannot be used.

    >>> positions = np.zeros((14, 3))  # the raw numbers of layer, cell and edge
    >>> positions[:, 0] = [0] * 8 + [1] * 4 + [2] * 2
    >>> positions[:, 1] = [0] * 4 + [1] * 4 + [0, 0, 1, 1, 0, 0]
    >>> positions[:, 2] = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 0, 1, 0, 1]
    >>> every = prove_all_positional_replicators(positions, ((2, 4), (2, 2), (1, 2)))
    >>> every.complete, len(every.fixed_points)
    (True, 6)

    **Reference:** arXiv 2212.10078 for the particles; R. E. Moore, R. B. Kearfott, M. J. Cloud,
    Introduction to Interval Analysis, SIAM, 2009.
    """
    require_sound_arithmetic()
    shape = ParticleShape(positions, shapes)
    if not np.abs(shape.positions).max() <= _LARGEST:
        raise InputProblem(f"positions exceed {_LARGEST:g}; give coordinates of moderate size")
    if not (reach > 0 and max_boxes >= 1):
        raise InputProblem(f"reach is {reach}, max_boxes {max_boxes}; give positive numbers")
    started = time.perf_counter()
    Pi = Ball.exact(shape.positions)
    search = _Search(shape, float(reach))
    if is_positive_definite(Pi.T @ Pi):
        search.run(max_boxes)
    else:
        search.refuse("The coordinates do not certainly have rank 3.")
    found = sorted(search.found, key=lambda one: tuple(one.center.tolist()))
    return AllPositionalReplicators(
        tuple(found),
        float(reach),
        search.refusal,
        tuple(search.directions),
        search.boxes,
        time.perf_counter() - started,
    )


class _Search:
    """Directions, sizes along them, and a proof of each fixed point."""

    def __init__(self, shape: ParticleShape, reach: float) -> None:
        self.shape, self.reach = shape, reach
        self.found: list[PositionalReplicator] = []
        self.refusal: Refusal | None = None
        self.directions: list[tuple[int, float, float]] = []
        self.boxes = 0

    def refuse(self, message: str) -> None:
        """Keep the first reason why the list may be incomplete."""
        if self.refusal is None:
            self.refusal = Refusal(
                Reason.SEARCH_NOT_FINISHED, message, {"proved": float(len(self.found))}
            )

    def run(self, max_boxes: int) -> None:
        """Search the three squares, then solve for the sizes."""
        forms = kappa_forms(self.shape)
        squares = [Square(forms, chart) for chart in range(3)]
        known: list[Direction] = []
        for square in squares:
            search = DirectionSearch(square, self.shape.depth, self.reach, max_boxes)
            search.run()
            self.boxes += search.boxes
            if search.undecided:
                self.refuse(
                    f"{search.undecided} boxes of directions stay undecided; a smaller reach "
                    "than " + f"{self.reach:g} may decide them."
                )
            for direction in search.found:
                u, v = direction.box.mid.tolist()
                self.directions.append((direction.chart, u, v))
                if _is_new(direction, known):
                    known.append(direction)
        for one, other in itertools.combinations(known, 2):
            if not _apart(one, other):
                self.refuse("Two directions cannot be told apart.")
        for direction in known:
            self._solve(direction, squares[direction.chart])

    def _solve(self, direction: Direction, square: Square) -> None:
        """All fixed points along one direction."""
        constant, lead = square.at(direction.box)
        least = 0.0
        if math.isfinite(self.reach):
            # Entries of b other than that of the chart may exceed 1 by a rounding error only.
            least = float((direction.vector.magnitude().max() / Ball.exact(self.reach)).lower())
        roots = trinomial_roots(self.shape.depth, lead, constant, least)
        if roots is None:
            self.refuse("The sizes along one direction are not certain.")
            return
        for root in roots:
            one = _fixed_point(self.shape, direction.vector / root)
            if one is None:
                self.refuse("A fixed point is not certainly alone, or not certainly of class B.")
            elif not one.box.magnitude().max() <= self.reach:
                self.refuse("A fixed point is not certainly within reach.")
            else:
                self.found.append(one)


def _is_new(direction: Direction, known: list[Direction]) -> bool:
    """Whether it is not certainly one of those known, as lines on the edge of a square are."""
    for one in known:
        there = direction.in_chart(one.chart)
        if there is not None and ((there - one.box.mid).magnitude() <= one.unique).all():
            return False
    return True


def _apart(one: Direction, other: Direction) -> bool:
    """Whether two lines certainly differ: the entries of `b` are not in proportion."""
    b, c = one.vector, other.vector
    pairs = ((0, 1), (0, 2), (1, 2))
    return any((b[i] * c[j] - b[j] * c[i]).mignitude() > 0 for i, j in pairs)


def _fixed_point(shape: ParticleShape, near: Ball) -> PositionalReplicator | None:
    """The only solution in a box that is known to hold one; None where that is not certain."""
    zero = krawczyk(lambda a: _equation(shape, a), lambda a: _derivative(shape, a), near.mid.copy())
    if isinstance(zero, Refusal):
        return None
    # What is known to lie in `near` is what was proved, if that is alone there.
    reach = max(zero.uniqueness_radius, float(zero.radius.min()))
    if not ((near - zero.center).magnitude() <= reach).all():
        return None
    first = kappa(shape, Ball.exact(shape.positions) @ zero.box)[0]
    modulus = np.maximum(first.mignitude(), (first + float(shape.depth)).mignitude())
    # With n > 3 kappa_0 is an eigenvalue; 1 would be class A.
    is_positional = (first - 1.0).mignitude() > 0 and shape.size > 3 and modulus > 1
    if not is_positional:
        return None
    return PositionalReplicator(zero.center, zero.radius, first, float(modulus))


def _equation(shape: ParticleShape, a: Ball) -> Ball:
    value = kappa(shape, Ball.exact(shape.positions) @ a)
    return (1.0 - value[0]) * a - value[1:]


def _derivative(shape: ParticleShape, a: Ball) -> Ball:
    theta = Ball.exact(shape.positions) @ a
    value, slope = kappa(shape, theta), kappa_gradient(shape, theta) @ shape.positions
    return (1.0 - value[0]) * np.eye(3) - a.reshape(3, 1) * slope[:1] - slope[1:]
