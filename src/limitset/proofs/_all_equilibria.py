"""All equilibria of a rate network, with a proof that there are no others."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from limitset._result import InputProblem
from limitset.networks import RateNetwork
from limitset.proofs._ball import Ball
from limitset.proofs._equilibrium import Equilibrium, prove_field_equilibrium
from limitset.proofs._equilibrium_search import SearchSpace, search_space
from limitset.proofs._known_equilibria import KnownEquilibria
from limitset.proofs._krawczyk import newton
from limitset.proofs._rate_field import RateField, rate_field
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import UnsoundArithmetic, require_sound_arithmetic
from limitset.proofs._tanh_system import all_zeros_box, contract

Bounds = Float[np.ndarray, "boxes m"]
Boxes = Bool[np.ndarray, " boxes"]
Corner = Float[np.ndarray, "..."]
Corners = tuple[Corner, Corner]

_BATCH = 1024
_ROUNDS = 2
# Slightly off centre: equilibria of symmetric networks lie on the middle planes of boxes.
_CUT = 0.4871
# Boxes this narrow, relative to the whole region, are set aside instead of being bisected: the
# first width where they do not shrink by themselves, as around a degenerate equilibrium.
_NARROW = 1e-6
_NARROWEST = 1e-13


@dataclass(frozen=True)
class AllEquilibria:
    """What a search for all equilibria has proved.

    Every entry of `equilibria` is proved by itself; they are distinct and sorted by center. If
    `complete`, there are no others in the region. Otherwise `refusal` says why, and all others lie
    in the boxes `undecided` (shape `(boxes, n)`; bounds of states). `index_sum` adds up the
    indices; over the whole space it must be 1 (Poincare-Hopf), and it is None where an index is
    undecided. `boxes` is the number of boxes looked at, `dimension` that of the search.
    """

    equilibria: tuple[Equilibrium, ...]
    refusal: Refusal | None
    undecided: Ball
    index_sum: int | None
    boxes: int
    dimension: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether the region certainly holds no other equilibrium."""
        return self.refusal is None


@dataclass(frozen=True)
class SearchProgress:
    """How far a search is: boxes looked at, boxes waiting, and equilibria proved so far."""

    searched: int
    waiting: int
    proved: int


def prove_all_equilibria(
    network: RateNetwork,
    box: Corners | None = None,
    input: Float[np.ndarray, " m"] | None = None,
    *,
    weight_radius: float = 0.0,
    max_boxes: int = 2_000_000,
    on_progress: Callable[[SearchProgress], None] | None = None,
) -> AllEquilibria:
    """Prove all equilibria of a rate network in a closed box, or in the whole space.

    Solutions of `leak x = W phi(x) + B u + b` or `leak x = phi(W x + B u + b)`. Values of the
    activation bound them all. Boxes are cut down to the image of linear relaxations, dropped when
    empty or inside the uniqueness box of a proved equilibrium, and bisected otherwise. A weight of
    rank at most n/2 is searched in the space of its range.

    **Arguments:** `network` with tanh or sigmoid and positive leak; `box` two corners of shape
    `(n,)`; `input` constant, of shape `(m,)`, zero if omitted; `weight_radius` as in
    `prove_equilibrium`, then all statements hold for every network that near; `max_boxes` where
    to give up; `on_progress` is called after every batch of boxes.

    **Returns:** the equilibria, and whether they are all.

    **Raises:** `InputProblem` for a leak of 0 and for numbers or shapes that cannot be used;
    `UnsoundArithmetic` if a finished search contradicts the index theorem.

    >>> import jax.numpy as jnp
    >>> found = prove_all_equilibria(RateNetwork(jnp.array([[2.0, 0.0], [0.0, 2.0]])))
    >>> len(found.equilibria), found.complete, found.index_sum
    (9, True, 1)

    **Source:** R. E. Moore, R. B. Kearfott, M. J. Cloud, Introduction to Interval Analysis, SIAM,
    2009; J. Milnor, Topology from the Differentiable Viewpoint, for the index sum.
    """
    require_sound_arithmetic()
    if not max_boxes >= 1:
        raise InputProblem(f"max_boxes is {max_boxes}; give a positive number.")
    started = time.perf_counter()
    flow = rate_field(network, input, weight_radius)
    if not flow.leak > 0:
        raise InputProblem("The leak is 0, so equilibria may be unbounded; give a positive leak.")
    region = None if box is None else _corners(box, flow.size)
    search = _Search(flow, search_space(flow), float(weight_radius), region)
    search.run(max_boxes, on_progress)
    found = search.in_region()
    indices = [equilibrium.index for equilibrium in found]
    known = [index for index in indices if index is not None]
    index_sum = sum(known) if len(known) == len(indices) else None
    result = AllEquilibria(
        found,
        search.refusal(max_boxes),
        search.undecided(),
        index_sum,
        search.boxes,
        search.space.system.size,
        time.perf_counter() - started,
    )
    if result.complete and region is None and index_sum not in (None, 1):
        raise UnsoundArithmetic(
            f"The indices of all equilibria add up to {index_sum}, not 1: trust no result here."
        )
    return result


@dataclass
class _Search:
    """Boxes still to be searched, those given up, and the equilibria proved so far."""

    flow: RateField
    space: SearchSpace
    weight_radius: float
    region: Corners | None
    given_up: list[Ball] = field(default_factory=list)
    boxes: int = 0

    def __post_init__(self) -> None:
        self.known = KnownEquilibria(self.flow.size)
        lo, hi = all_zeros_box(self.space.system)
        if not np.isfinite(hi - lo).all():
            raise InputProblem("The equilibria have no finite bound in float64; rescale weights.")
        if self.region is not None and not self.space.changes_states:
            lo, hi = np.maximum(lo, self.region[0]), np.minimum(hi, self.region[1])
        self.scale = float(np.max(np.abs([lo, hi]), initial=1.0))
        inside = bool((lo <= hi).all())
        self.lo, self.hi = (lo[None], hi[None]) if inside else (lo[None][:0], hi[None][:0])

    def run(
        self, max_boxes: int, on_progress: Callable[[SearchProgress], None] | None = None
    ) -> None:
        """Search until no box is left or too many were looked at."""
        while len(self.lo) and self.boxes < max_boxes:
            batch = min(_BATCH, max_boxes - self.boxes)
            lo, hi = self.lo[-batch:], self.hi[-batch:]
            self.lo, self.hi = self.lo[:-batch], self.hi[:-batch]
            self.boxes += len(lo)
            self._treat(lo, hi)
            if on_progress is not None:
                proved = len(self.known.found)
                on_progress(SearchProgress(self.boxes, len(self.lo), proved))

    def _treat(self, lo: Bounds, hi: Bounds) -> None:
        near = np.zeros(len(lo), dtype=bool)
        split = hi - lo
        for _ in range(_ROUNDS):
            shrunk = contract(self.space.system, lo, hi)
            alive = (shrunk.lo <= shrunk.hi).all(axis=1)
            lo, hi, split = shrunk.lo[alive], shrunk.hi[alive], shrunk.split[alive]
            near = near[alive] | shrunk.near[alive]
            if not len(lo):
                return
        states = self.space.states(Ball.from_bounds(lo, hi))
        kept = self._meets_region(states) & ~self._explained(states, near)
        width = (hi - lo).max(axis=1, initial=0.0) / self.scale
        narrow = width <= np.where(near, _NARROWEST, _NARROW)
        if (kept & narrow).any():
            self.given_up.append(states[kept & narrow])
        wide = kept & ~narrow
        self._bisect(lo[wide], hi[wide], split[wide])

    def _bisect(self, lo: Bounds, hi: Bounds, split: Bounds) -> None:
        if not len(lo):
            return
        rows = np.arange(len(lo))
        widest = (hi - lo).max(axis=1, keepdims=True)
        side = np.where(hi - lo > 1e-3 * widest, split, -1.0).argmax(axis=1)
        cut = lo[rows, side] + _CUT * (hi[rows, side] - lo[rows, side])
        below, above = hi.copy(), lo.copy()
        below[rows, side], above[rows, side] = cut, cut
        self.lo = np.concatenate([self.lo, lo, above])
        self.hi = np.concatenate([self.hi, below, hi])

    def _meets_region(self, states: Ball) -> Boxes:
        if self.region is None:
            return np.ones(len(states), dtype=bool)
        low, high = self.region
        return np.asarray(((states.upper() >= low) & (states.lower() <= high)).all(axis=1))

    def _explained(self, states: Ball, near: Boxes) -> Boxes:
        """Boxes of states that can hold no equilibrium but known ones; proves some on the way."""
        explained = self.known.explain(states)
        for i in np.flatnonzero(near & ~explained).tolist():
            if not explained[i] and self._prove_near(states.mid[i]):
                explained |= self.known.explain(states)
        return explained

    def _prove_near(self, start: Float[np.ndarray, " n"]) -> bool:
        """Whether Newton's method leads from here to an equilibrium that is new."""
        center = newton(self.flow.value, self.flow.jacobian, start)
        if isinstance(center, Refusal) or self.known.explain(Ball.exact(center[None]))[0]:
            return False
        new = prove_field_equilibrium(
            self.flow.value, self.flow.jacobian, center, weight_radius=self.weight_radius
        )
        return isinstance(new, Equilibrium) and self.known.add(new)

    def in_region(self) -> tuple[Equilibrium, ...]:
        """The proved equilibria that certainly lie in the region, sorted."""
        kept = [e for e in self.known.found if self._is_inside(e)]
        return tuple(sorted(kept, key=lambda e: tuple(e.center.tolist())))

    def _is_inside(self, equilibrium: Equilibrium) -> bool:
        if self.region is None:
            return True
        box = equilibrium.box
        low, high = self.region
        return bool((box.lower() >= low).all() and (box.upper() <= high).all())

    def undecided(self) -> Ball:
        """All boxes of states that may hold further equilibria of the region."""
        rows = [Ball(np.zeros((0, self.flow.size)), np.zeros((0, self.flow.size)))]
        # What was given up early may lie near an equilibrium that was proved later.
        rows += [states[~self.known.explain(states)] for states in self.given_up]
        if len(self.lo):
            rows.append(self.space.states(Ball.from_bounds(self.lo, self.hi)))
        for known in self.known.found:
            row = Ball(known.center[None].copy(), known.radius[None].copy())
            if self._meets_region(row)[0] and not self._is_inside(known):
                rows.append(row)
        return Ball(np.concatenate([r.mid for r in rows]), np.concatenate([r.rad for r in rows]))

    def refusal(self, max_boxes: int) -> Refusal | None:
        """Why the list may be incomplete; None if it is certainly complete."""
        undecided = len(self.undecided())
        if not undecided:
            return None
        why = (
            f"the limit of {max_boxes} boxes was reached"
            if len(self.lo)
            else "a degenerate equilibrium, or one on the boundary, cannot be told from none"
        )
        return Refusal(
            Reason.SEARCH_NOT_FINISHED,
            f"{undecided} boxes stay undecided: {why}.",
            {"undecided": float(undecided), "proved": float(len(self.known.found))},
        )


def _corners(box: Corners, size: int) -> Corners:
    low, high = Ball.exact(box[0]).mid, Ball.exact(box[1]).mid
    if low.shape != (size,) or high.shape != (size,) or not (low <= high).all():
        raise InputProblem(
            f"The box has corners of shapes {low.shape} and {high.shape}; give two of shape "
            f"({size},), the lower one first."
        )
    return low, high
