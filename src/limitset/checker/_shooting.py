"""Closed orbits in segments: the Krawczyk test in Arb for `flow_h(x_i) = x_(i+1)`, cyclic.

Unknowns `(x_1, ..., x_m, h)`; the last equation is `p . (x_1 - c_1) = 0`. Let `M` be the midpoint
of the derivative over the box: `(M z)_i = V_i z_i + g_i s - z_(i+1)`, and `p . z_1`. Its inverse is
found by elimination: `z_(i+1) = V_i z_i + g_i s - e_i` from `z_1` on gives

    z_(m+1) = B_0 z_1 + G s - sum of B_j e_j,  B_j = V_m ... V_(j+1),  G = sum of B_j g_j,

and `z_(m+1) = z_1`, `p . z_1 = e_0` is one small system. With the preconditioner `M^-1` the
Krawczyk image, less the center, is `-M^-1 (F(center) + (DF(box) - M) (box - center))`.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from typing import NamedTuple

from flint import arb, arb_mat

from limitset.checker._document import require
from limitset.checker._field import Vector, expand
from limitset.checker._krawczyk import around, column, solve
from limitset.checker._taylor import Flow, Segment, end_of, follow

# Boxes become smaller in rounds, until they are as fine as this or as they will be.
_ROUNDS, _FINE = 4, 2.0**-50


class Chain(NamedTuple):
    """A box of states at the ends of segments, the time between them, and what follows there."""

    states: list[Vector]
    step: arb
    segments: list[Segment]
    velocities: list[Vector]


def enclose_orbit(
    flow: Flow,
    states: Sequence[Vector],
    step: arb,
    phase: Vector,
    state_radius: arb,
    step_radius: arb,
) -> Chain:
    """Exactly one closed chain in the box of the radii around exact centers; a small box of it."""
    wide = [around(x, [state_radius] * len(phase)) for x in states]
    box = _chain(flow, wide, step + arb(0, step_radius))
    for attempt in range(_ROUNDS):
        shifts, late = _image(flow, box, phase, states[0])
        if attempt == 0:
            inside = all(abs(s) < state_radius for shift in shifts for s in shift)
            proved = inside and abs(late) < step_radius
            require(proved, "exactly one closed orbit is not established")
        before, centers = _width(box), zip(box.states, shifts, strict=True)
        moved = [[c.mid() + s for c, s in zip(*pair, strict=True)] for pair in centers]
        box = _chain(flow, moved, box.step.mid() + late)
        if _width(box) < _FINE or not 4 * _width(box) < before:
            break
    return box


def _chain(flow: Flow, states: list[Vector], step: arb) -> Chain:
    """The segments from all states and for all times in the box."""
    segments = [follow(flow, x, step) for x in states]
    ends = (segment.at(arb(1)) for segment in segments)
    return Chain(states, step, segments, [expand(flow.field, end).value() for end in ends])


def _width(box: Chain) -> arb:
    return reduce(arb.max, (entry.rad() for x in box.states for entry in x), box.step.rad())


def _image(flow: Flow, box: Chain, phase: Vector, anchor: Vector) -> tuple[list[Vector], arb]:
    """What holds the distance of every closed chain in the box from the middle of the box."""
    centers, step = [[v.mid() for v in x] for x in box.states], box.step.mid()
    errors = []
    for k, (x, center) in enumerate(zip(box.states, centers, strict=True)):
        slope, velocity = box.segments[k].slope, column(box.velocities[k])
        bent = (slope - slope.mid()) * (column(x) - column(center))
        late = (velocity - velocity.mid()) * (box.step - step)
        target = centers[(k + 1) % len(centers)]
        errors.append(column(end_of(flow, center, step)) - column(target) + bent + late)
    offset = (arb_mat([phase]) * (column(centers[0]) - column(anchor)))[0, 0]
    return _solve(box, phase, errors, offset)


def product(slopes: Sequence[arb_mat]) -> arb_mat:
    """The product, the last factor on the left; neighbours first, so that errors grow less."""
    factors = list(slopes)
    while len(factors) > 1:
        pairs = zip(factors[::2], factors[1::2], strict=False)
        left_over = factors[len(factors) // 2 * 2 :]
        factors = [later * earlier for earlier, later in pairs] + left_over
    return factors[0]


def _solve(
    box: Chain, phase: Vector, errors: list[arb_mat], offset: arb
) -> tuple[list[Vector], arb]:
    """`-M^-1 e` for all `e` in the balls, `M` the midpoint: the states, and the time.

    `e` has the errors of the segments, and of the phase condition.
    """
    n, m = len(phase), len(errors)
    slopes = [segment.slope.mid() for segment in box.segments]
    speeds = [column(v).mid() for v in box.velocities]
    one = arb_mat(n, n, [float(i == j) for i in range(n) for j in range(n)])
    whole, *later = reversed(list(accumulate([one, *reversed(slopes)], lambda B, V: B * V)))
    late = sum((B * g for B, g in zip(later, speeds, strict=True)), arb_mat(n, 1))
    rows = [[*r, *g] for r, g in zip((whole - one).tolist(), late.tolist(), strict=True)]
    blocks = [B.tolist() for B in later]
    rights = [[*(entry for block in blocks for entry in block[i]), arb(0)] for i in range(n)]
    rights.append([*[arb(0)] * (n * m), arb(1)])
    first = solve(arb_mat([*rows, [*phase, arb(0)]]), arb_mat(rights)).tolist()
    # Rows of the inverse: applied as a whole, so that the errors of the segments may cancel.
    state, time = arb_mat(first[:n]), arb_mat(first[n:])
    stacked = column([*(entry for e in errors for entry in e.entries()), offset])
    images = []
    for i, (V, g) in enumerate(zip(slopes, speeds, strict=True)):
        images.append([-z for z in (state * stacked).entries()])
        state = V * state + g * time
        for r in range(n):
            state[r, n * i + r] -= 1
    return images, -(time * stacked)[0, 0]
