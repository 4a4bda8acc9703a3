"""Branches of equilibria in a parameter, with the exact number of Hopf points and folds on them."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Complex, Float

from limitset._result import InputProblem
from limitset.dynamics import Field
from limitset.proofs._ball import Ball
from limitset.proofs._branch_events import Crossing
from limitset.proofs._branch_segment import OriginCurve, RegularCurve, Segment
from limitset.proofs._branch_walk import Walk
from limitset.proofs._critical import refusing
from limitset.proofs._parametric import ParametricField
from limitset.proofs._pitchfork import odd_field, prove_symmetric_pitchfork
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic

Vector = Float[np.ndarray, " n"]


class EventKind(enum.StrEnum):
    """What happens at a parameter of a branch."""

    HOPF = "hopf"
    FOLD = "fold"
    PITCHFORK = "pitchfork"


@dataclass(frozen=True, eq=False)
class BranchEvent:
    """One Hopf point, fold or pitchfork of a branch, the only one with parameter and state there.

    A Hopf point here is a simple pair `+-i frequency` that crosses the imaginary axis at nonzero
    speed while no other eigenvalue is on it; `prove_hopf` tells about its cycles, and takes
    `parameter.mid`, `frequency.mid`, `state.mid` and `vector` as the candidate. At a fold or
    pitchfork, 0 is a simple eigenvalue that crosses in the same way, and `frequency` is 0.
    `unstable` counts the eigenvalues right of the axis before and after, along the branch.
    """

    kind: EventKind
    parameter: Ball
    state: Ball
    frequency: Ball
    vector: Complex[np.ndarray, " n"]
    unstable: tuple[int, int]


@dataclass(frozen=True, eq=False)
class UndecidedPiece:
    """A piece of a branch of whose events nothing is known, and why."""

    parameter: Ball
    state: Ball
    refusal: Refusal


@dataclass(frozen=True, eq=False)
class ProvedBranch:
    """A smooth curve of equilibria from one end of a parameter interval to the next exit.

    It starts at the low end, where the parameter is exact, and goes on until it leaves the
    interval at the `exit`; it does not meet itself. `segments` hold it, piece by piece. `events`
    are all Hopf points, folds and pitchforks outside the `undecided` pieces: where there are none
    of those, there are exactly so many on the curve. All of it is said for every field whose
    arrays differ by at most `weight_radius`, entry by entry.
    """

    interval: tuple[float, float]
    segments: tuple[Segment, ...]
    events: tuple[BranchEvent, ...]
    undecided: tuple[UndecidedPiece, ...]
    at_origin: bool
    weight_radius: float

    @property
    def complete(self) -> bool:
        """Whether the events are all there are on the curve."""
        return not self.undecided

    @property
    def exit(self) -> float:
        """The end of the interval at which the curve leaves it."""
        return float(self.segments[-1].last.point[-1])

    def count(self, kind: EventKind) -> int | None:
        """How many events of a kind are on the curve; None where that is not decided."""
        return sum(e.kind is kind for e in self.events) if self.complete else None


@refusing
def prove_branch(
    field: Field,
    state: Vector,
    interval: tuple[float, float],
    *,
    step: float = 0.1,
    segments: int = 20_000,
    weight_radius: float = 0.0,
) -> ProvedBranch | Refusal:
    """Prove a branch of equilibria, and count what happens on it.

    1. Pseudo-arclength continuation in floats, around folds if need be. On every step a Krawczyk
       test in all planes across it at once: a smooth curve. Neighbours share an equilibrium.
    2. Enclosures of the spectrum over whole steps. Where all eigenvalues are off the imaginary
       axis nothing happens; where one simple eigenvalue or pair meets it, its speed has one sign,
       and the ends of the step are on different sides, it crosses exactly once. A real one does
       so at a fold: the curve has full rank there, so the parameter turns back. Steps on which
       that is not decided are cut.
    3. The origin of an odd `RateFamily` is a branch, exactly; what crosses there is proved to be
       a pitchfork.

    **Arguments:**

    - `field`: `f(x, a)` in JAX, twice differentiable on balls.
    - `state`: near an equilibrium at the low end of the interval, shape (n,); 0 for the origin.
    - `interval`: parameters `(low, high)`; the branch sets out towards `high`.
    - `step`: the longest step, in the length of `(x, a)`.
    - `segments`: the largest number of steps.
    - `weight_radius`: prove it for every field whose arrays differ by at most this, entry by
      entry; single numbers, such as a leak, stay as they are.

    **Returns:** the branch, with what is undecided on it; a refusal where the curve itself is not
    proved up to its exit, as at points where branches cross.

    **Raises:** `InputProblem` for numbers that are not finite, or an empty interval.

    **Example:** `x' = -a - x^2`, whose curve turns back at 0.

    >>> branch = prove_branch(lambda x, a: -a - x * x, np.array([0.5]), (-0.25, 0.25))
    >>> branch.count(EventKind.FOLD), branch.exit
    (1, -0.25)

    **Source:** J. B. van den Berg, J.-P. Lessard and K. Mischaikow, Math. Comp. 79, 2010;
    Y. A. Kuznetsov, Elements of Applied Bifurcation Theory, sections 3 and 10.2.
    """
    require_sound_arithmetic()
    low, high = interval
    x = np.asarray(state, np.float64)
    if not (x.ndim == 1 and x.size and np.isfinite([*x, low, high]).all() and low < high):
        raise InputProblem(
            f"state {x.shape} and interval {interval}; give a finite vector (n,), low < high"
        )
    if not (0 < step < np.inf and segments >= 1):
        raise InputProblem(f"step is {step} and segments {segments}; give positive numbers")
    odd = odd_field(field)
    at_origin = not isinstance(odd, Refusal) and not x.any()
    if isinstance(odd, Refusal) or x.any():
        curve = RegularCurve(ParametricField(field, weight_radius))
    else:
        curve = OriginCurve(ParametricField(odd, weight_radius))
    walk = Walk(curve, float(low), float(high), segments)
    pieces = walk.trace(x, step)
    if isinstance(pieces, Refusal):
        return pieces
    found = [part for piece in pieces for part in walk.resolve(piece)]
    events: list[BranchEvent] = []
    undecided: list[UndecidedPiece] = []
    for piece, finding in found:
        if isinstance(finding, Crossing):
            event = _event(piece, finding)
            if at_origin and event.kind is EventKind.FOLD:
                event = _pitchfork(field, piece, event, weight_radius)
            if isinstance(event, BranchEvent):
                events.append(event)
                continue
            finding = event
        if finding is not None:
            undecided.append(UndecidedPiece(piece.tube[-1], piece.tube[:-1], finding))
    return ProvedBranch(
        (float(low), float(high)),
        tuple(piece for piece, _ in found),
        tuple(events),
        tuple(_merged(undecided)),
        at_origin,
        weight_radius,
    )


def _event(piece: Segment, crossing: Crossing) -> BranchEvent:
    kind = EventKind.HOPF if crossing.is_pair else EventKind.FOLD
    size = Ball(np.array(crossing.eigenvalue.imag), np.array(crossing.radius))
    frequency = size if crossing.is_pair else Ball.exact(0.0)
    parameter, state = piece.tube[-1], piece.tube[:-1]
    return BranchEvent(kind, parameter, state, frequency, crossing.vector, crossing.unstable)


def _pitchfork(
    field: Field, piece: Segment, event: BranchEvent, weight_radius: float
) -> BranchEvent | Refusal:
    """The event at the origin, which is no fold, as a pitchfork if it is proved to be one."""
    fork = prove_symmetric_pitchfork(
        field, float(event.parameter.mid), np.real(event.vector), weight_radius=weight_radius
    )
    if isinstance(fork, Refusal):
        return fork
    low, high = piece.first.point[-1], piece.last.point[-1]
    if not (low <= fork.parameter.lower() and fork.parameter.upper() <= high):
        return Refusal(Reason.NOT_SYMMETRIC, "a real eigenvalue crosses at no proved pitchfork")
    return replace(event, kind=EventKind.PITCHFORK)


def _merged(pieces: list[UndecidedPiece]) -> Iterator[UndecidedPiece]:
    """Neighbours with the same reason as one piece."""
    whole: UndecidedPiece | None = None
    for piece in pieces:
        if whole is not None and _touch(whole, piece):
            parameter = whole.parameter.hull(piece.parameter)
            whole = UndecidedPiece(parameter, whole.state.hull(piece.state), piece.refusal)
            continue
        if whole is not None:
            yield whole
        whole = piece
    if whole is not None:
        yield whole


def _touch(one: UndecidedPiece, other: UndecidedPiece) -> bool:
    apart = (one.parameter - other.parameter).mignitude() > 0
    apart = apart or ((one.state - other.state).mignitude() > 0).any()
    return one.refusal.reason is other.refusal.reason and not apart
