"""Bounds of vectors, entry by entry and in the metric, and what float32 adds to them.

Entries alone would count every unit as large as the whole ball of states. A norm that is known is
at most `slope r + offset`, where `r` is the norm of the units of the state that it depends on.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._arithmetic import whiten
from limitset.checker._document import require
from limitset.checker._network import ACTIVATIONS

_POWER_STEPS = 8
ALL = slice(None)
LARGEST = 2.0**126
# What a solver returns is taken to be below this: sums that are infinite farther out may be hidden
# by an activation.
FARTHEST = 2.0**32
# Stored numbers that are not 0 lie between these: none of them is flushed to 0, and none makes much
# of what is.
LEAST, MOST = 2.0**-126, 2.0**26
EXACT = ("relu", "identity")


class Rounding(NamedTuple):
    """Unit roundoff, what underflows cost a term, the largest flushed number, the error of phi."""

    unit: float
    underflow: float
    flushed: float
    activation: float


class Inputs(NamedTuple):
    """Bounds of inputs, as they are and as they should be, and of how far these are apart."""

    entries: list[arb]
    error: list[arb]


class Reach(NamedTuple):
    """Norms for one step from a ball: of its rounding error, and of the exact next state.

    `pushed` is the norm of what inputs make of the state 0.
    """

    rounding: arb
    reached: arb
    pushed: arb


class Gauge(NamedTuple):
    """Bounds of `|x_i|` where `|x|_M <= 1`; the scale of a diagonal metric, or else `|M|`.

    Where the metric is polyhedral, that instead: `"sum"` or `"maximum"`, and its weights.
    """

    reach: list[arb]
    scale: tuple[float, ...] | None
    form: arb_mat
    polyhedral: tuple[str, tuple[float, ...]] | None = None


class Size(NamedTuple):
    """Bounds of entries, and of the norm if it is known."""

    entries: list[arb]
    slope: arb | None
    offset: arb | None


class Matrix(NamedTuple):
    """Magnitudes of a stored matrix, and the norm of all matrices of these magnitudes."""

    magnitude: arb_mat
    spread: arb | None


def values_of(gauge: Gauge, units: slice, activation: str, argument: Size) -> Size:
    """`|phi|` where the argument is at most this large."""
    _, steepest, supremum, at_zero = ACTIVATIONS[activation]
    entries = [at_zero + steepest * x for x in argument.entries]
    still = fixed(gauge, units, [arb(at_zero)] * len(entries))
    if supremum != math.inf:
        entries = [x.min(arb(supremum)) for x in entries]
    grown = times(argument, arb(steepest))
    if grown.offset is None or still.offset is None:
        return Size(entries, None, None)
    return Size(entries, grown.slope, grown.offset + still.offset)


def rounded(
    gauge: Gauge,
    units: slice,
    carried: Size,
    result: Size,
    entering: Size,
    matrices: list[Matrix],
    terms: tuple[int, arb],
    r: Rounding,
) -> Size:
    """The error carried into a sum, and what is lost when it is added up.

    `entering` and the matrices are the factors of its products; the `terms` are their number, and
    the sum of the factors beside those.
    """
    gamma = share_lost(terms[0], r)
    own = [lost(terms[0], sum(entering.entries, terms[1]), r)] * len(result.entries)
    ones = arb_mat(len(own), 1, [r.flushed] * len(own))
    for matrix in matrices:
        own = [a + b for a, b in zip(own, (matrix.magnitude * ones).entries(), strict=True)]
    require_finite([x + e for x, e in zip(result.entries, carried.entries, strict=True)])
    return plus(plus(carried, times(result, gamma)), fixed(gauge, units, own))


def share_lost(terms: int, r: Rounding) -> arb:
    """`k u / (1 - k u)`: what a sum of k products loses of its magnitude."""
    gamma = terms * arb(r.unit) / (1 - terms * arb(r.unit))
    require(bool(gamma >= 0), "float32: a sum has too many terms")
    return gamma


def lost(terms: int, factors: arb, r: Rounding) -> arb:
    """What underflow costs a sum: a factor that is flushed leaves out the other one."""
    return terms * arb(r.underflow) + r.flushed * (factors + 2)


def require_finite(values: list[arb]) -> None:
    """Go on only if float32 holds all these."""
    require(all(x < LARGEST for x in values), "float32: a number may overflow")


def error_of(activation: str, r: Rounding) -> arb:
    """The relative error of an activation: none for those that float32 computes exactly."""
    return arb(0) if activation in EXACT else arb(r.activation)


def matrix_of(values: Any, n: int, gauge: Gauge, units: slice) -> Matrix:
    """A square matrix of the units."""
    sizes = [abs(v) for v in values]
    scale = None if gauge.scale is None else gauge.scale[units]
    return Matrix(arb_mat(n, n, sizes), None if scale is None else spread_of(whiten(sizes, scale)))


def spread_of(V: arb_mat) -> arb:
    """At least `|X|_2` for all `|X| <= V`: `|X|_2^2 <= max_i (V^T V v)_i / v_i`, `v > 0`."""
    n, across = V.nrows(), V.transpose()
    v = arb_mat(n, 1, [1] * n)
    for _ in range(_POWER_STEPS):
        image = [float(entry.mid()) for entry in (across * (V * v)).entries()]
        if not 0 < max(image) < math.inf:
            break
        v = arb_mat(n, 1, [max(entry / max(image), 1e-3) for entry in image])
    ratios = zip((across * (V * v)).entries(), v.entries(), strict=True)
    return root(max_of([(a / b).abs_upper() for a, b in ratios]))


def max_of(values: list[arb]) -> arb:
    """The largest; NaN if one is."""
    largest = values[0]
    for value in values[1:]:
        largest = largest.max(value)
    return largest


def root(square: arb) -> arb:
    """The root of the upper end of a number that is not negative."""
    # Powers and roots of balls around 0 are NaN in python-flint, products and their ends are not.
    return square.abs_upper().sqrt()


def length_of(gauge: Gauge, units: slice, vector: list[arb]) -> arb:
    """At least `|v|_M` for all `v` with entries below those of the vector."""
    if gauge.polyhedral is not None:
        kind, weights = gauge.polyhedral
        parts = [(x * w).abs_upper() for x, w in zip(vector, weights, strict=True)]
        return sum(parts, arb(0)) if kind == "sum" else max_of(parts)
    if gauge.scale is not None:
        scaled = [x * s for x, s in zip(vector, gauge.scale[units], strict=True)]
        return root(sum((x * x for x in scaled), arb(0)))
    column = arb_mat(len(vector), 1, vector)
    return root((column.transpose() * gauge.form * column)[0, 0])


def fixed(gauge: Gauge, units: slice, entries: list[arb]) -> Size:
    """A vector that does not depend on the state."""
    if gauge.scale is None:
        return Size(entries, None, None)
    return Size(entries, arb(0), length_of(gauge, units, entries))


def settled(gauge: Gauge, units: slice, size: Size, share: arb) -> Size:
    """The norm from the entries, where that is less than the known one."""
    alone = fixed(gauge, units, size.entries)
    if size.slope is None or size.offset is None or alone.offset is None:
        return size
    return alone if alone.offset < size.slope * share + size.offset else size


def plus(first: Size, second: Size, *others: Size) -> Size:
    """A sum."""
    if others:
        return plus(plus(first, second), *others)
    entries = [a + b for a, b in zip(first.entries, second.entries, strict=True)]
    if first.slope is None or second.slope is None:
        return Size(entries, None, None)
    return Size(entries, first.slope + second.slope, _sum(first.offset, second.offset))


def times(size: Size, number: arb) -> Size:
    """A multiple."""
    return _grown(size, [number * entry for entry in size.entries], number)


def weigh(weights: Sequence[float | arb], size: Size) -> Size:
    """`weights * v`, entry by entry."""
    entries = [abs(arb(w)) * entry for w, entry in zip(weights, size.entries, strict=True)]
    return _grown(size, entries, largest_of(weights))


def apply(matrix: Matrix, size: Size) -> Size:
    """`|A| v`."""
    column = arb_mat(len(size.entries), 1, size.entries)
    return _grown(size, (matrix.magnitude * column).entries(), matrix.spread)


def _grown(size: Size, entries: list[arb], by: arb | None) -> Size:
    if size.slope is None or size.offset is None or by is None:
        return Size(entries, None, None)
    return Size(entries, size.slope * by, size.offset * by)


def _sum(first: arb | None, second: arb | None) -> arb | None:
    return None if first is None or second is None else first + second


def largest_of(values: Sequence[float | arb]) -> arb:
    """The largest magnitude."""
    return max_of([abs(arb(value)) for value in values])
