"""Bounds of a step in float32: of vectors, entry by entry, and of their norms in the metric.

Entries alone would count every unit as large as the whole ball of states. A norm that is known is
at most `slope r + offset`, where `r` is the norm of the units of the state that it depends on.
"""

import math
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._arithmetic import whiten
from limitset.checker._document import require
from limitset.checker._network import ACTIVATIONS, Network, RateModule

_POWER_STEPS = 8
_ALL = slice(None)


class Rounding(NamedTuple):
    """Unit roundoff, what underflows cost a term, the largest flushed number, the error of phi."""

    unit: float
    underflow: float
    flushed: float
    activation: float


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


class Layer(NamedTuple):
    """A module, its weights, and what inputs and biases add.

    `terms`: the most terms of its sums, and the sum of all inputs and input weights.
    """

    module: RateModule
    weight: Matrix
    constant: list[arb]
    terms: tuple[int, arb]


class Map(NamedTuple):
    """A map with what the bounds need of it."""

    network: Network
    gauge: Gauge
    layers: list[Layer]
    stored: dict[str, Matrix]


class State(NamedTuple):
    """The ball of states: bounds of its entries, and its radius."""

    entries: list[arb]
    radius: arb


def gather(network: Network, gauge: Gauge, inputs: float) -> Map:
    """What does not depend on the ball of states."""
    layers = []
    for module in network.modules:
        (k, m), U = module.input_weight.shape, module.input_weight.values
        biases = zip(*(bias.values for bias in module.biases), strict=True)
        constant = [sum((abs(arb(b)) for b in each), arb(0)) for each in biases]
        for i in range(k):
            constant[i] += inputs * sum((abs(arb(u)) for u in U[i * m : (i + 1) * m]), arb(0))
        weight = _matrix(module.weight.values, k, gauge, module.units)
        factors = m * arb(inputs) + sum(map(abs, map(arb, U)), arb(0))
        layers.append(Layer(module, weight, constant, (k + m + 4, factors)))
    names = [n for n in ("propagator", "transition", "response") if n in network.tensors]
    n = len(network.keep)
    stored = {name: _matrix(network.tensors[name].values, n, gauge, _ALL) for name in names}
    return Map(network, gauge, layers, stored)


def state_size(system: Map, radius: float) -> State:
    """All states within the radius."""
    return State([r * radius for r in system.gauge.reach], arb(radius))


def norm_of(system: Map, size: Size) -> arb:
    """At least `|v|_M` for all `v` of this size; of a whole state, whose norm has no slope."""
    length = _length(system.gauge, _ALL, size.entries)
    known = size.offset
    return length if known is None or not known < length else known


def drive_size(system: Map, state: State, r: Rounding) -> Size:
    """`gain * drive`, or the drive where the map has no gain for each unit."""
    parts = [_local(system, layer, state, r)[2] for layer in system.layers]
    return _join(system, parts, state)


def step_sizes(system: Map, state: State, r: Rounding) -> tuple[Size, Size]:
    """The size of one step, and of its rounding error."""
    parts = [_local(system, layer, state, r) for layer in system.layers]
    value, error = (_join(system, [part[k] for part in parts], state) for k in range(2))
    rule, n, none = system.network.rule, len(state.entries), arb(0)
    if rule == "unit":
        return value, error
    if rule == "split":
        P, reached = system.stored["propagator"], _plus(value, error)
        result, carried, terms = _apply(P, reached), _apply(P, error), (n + 1, none)
        return result, _rounded(system, _ALL, carried, result, reached, [P], terms, r)
    T, driven = system.stored["transition"], _plus(value, error)
    whole = Size(state.entries, *((none, state.radius) if system.gauge.scale else (None, None)))
    entering = _plus(whole, driven)
    if rule == "explicit_euler":
        result, terms = _plus(_apply(T, whole), driven), (n + 2, none)
        return result, _rounded(system, _ALL, error, result, entering, [T], terms, r)
    R, terms = system.stored["response"], (2 * n + 2, none)
    result = _plus(_apply(T, whole), _apply(R, driven))
    return result, _rounded(system, _ALL, _apply(R, error), result, entering, [T, R], terms, r)


def _local(system: Map, layer: Layer, state: State, r: Rounding) -> tuple[Size, Size, Size]:
    """`keep x + gain * drive`, its error, and `gain * drive`, for the units of one layer.

    Maps with a transition add the state later: for them, it is `gain * drive` or the drive alone.
    """
    network, units = system.network, layer.module.units
    drive, error = _drive(system, layer, state, r)
    if network.rule == "exponential_euler":
        return drive, error, drive
    stored = network.tensors["gain"].values if network.rule == "explicit_euler" else network.gain
    keep, gain = network.keep[units], stored[units]
    driven, carried = (_weigh(gain, size) for size in (drive, error))
    entering, terms = _plus(drive, error), (1, _largest(gain))
    if network.rule == "explicit_euler":
        lost = _rounded(system, units, carried, driven, entering, [], terms, r)
        return driven, lost, driven
    own, terms = _own(system, layer, state), (4, _largest(keep) + _largest(gain))
    value, entering = _plus(_weigh(keep, own), _plus(driven, carried)), _plus(own, entering)
    return value, _rounded(system, units, carried, value, entering, [], terms, r), driven


def _own(system: Map, layer: Layer, state: State) -> Size:
    """The units of one layer, which share the ball with the others."""
    entries = state.entries[layer.module.units]
    return Size(entries, *((arb(1), arb(0)) if system.gauge.scale else (None, None)))


def _largest(values: tuple[float, ...]) -> arb:
    return arb(max(map(abs, values)))


def _drive(system: Map, layer: Layer, state: State, r: Rounding) -> tuple[Size, Size]:
    """`W phi(x) + B u + b`, or `phi(W x + B u + b)`, and its error."""
    module, units, own = layer.module, layer.module.units, _own(system, layer, state)
    share = state.radius / arb(len(system.layers)).sqrt()
    constant = _fixed(system, units, layer.constant)
    none = _fixed(system, units, [arb(0)] * len(own.entries))

    def weighed(operand: Size, error: Size) -> tuple[Size, Size]:
        entering = _plus(operand, error)
        result = _plus(_apply(layer.weight, entering), constant)
        result = _settled(system, units, result, share)
        carried, matrix, terms = _apply(layer.weight, error), layer.weight, layer.terms
        return result, _rounded(system, units, carried, result, entering, [matrix], terms, r)

    def activated(operand: Size, error: Size) -> tuple[Size, Size]:
        value = _settled(system, units, _values(system, layer, _plus(operand, error)), share)
        steepest = arb(ACTIVATIONS[module.activation][1])
        lost = _fixed(system, units, [arb(r.underflow)] * len(value.entries))
        return value, _plus(_plus(_times(error, steepest), _times(value, arb(r.activation))), lost)

    if module.form == "hopfield":
        return weighed(*activated(own, none))
    return activated(*weighed(own, none))


def _values(system: Map, layer: Layer, argument: Size) -> Size:
    """`|phi|` where the argument is at most this large."""
    _, steepest, supremum, at_zero = ACTIVATIONS[layer.module.activation]
    entries = [at_zero + steepest * x for x in argument.entries]
    still = _fixed(system, layer.module.units, [arb(at_zero)] * len(entries))
    if supremum != math.inf:
        entries = [x.min(arb(supremum)) for x in entries]
    grown = _times(argument, arb(steepest))
    if grown.offset is None or still.offset is None:
        return Size(entries, None, None)
    return Size(entries, grown.slope, grown.offset + still.offset)


def _rounded(
    system: Map,
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
    gamma = terms[0] * arb(r.unit) / (1 - terms[0] * arb(r.unit))
    # A factor that is flushed leaves out the other one, and a bias itself.
    flushed = r.flushed * (sum(entering.entries, terms[1]) + 2)
    own = [terms[0] * r.underflow + flushed] * len(result.entries)
    ones = arb_mat(len(own), 1, [r.flushed] * len(own))
    for matrix in matrices:
        own = [a + b for a, b in zip(own, (matrix.magnitude * ones).entries(), strict=True)]
    finite = gamma >= 0 and all(
        x + e < 2.0**126 for x, e in zip(result.entries, carried.entries, strict=True)
    )
    require(bool(finite), "float32: a number may overflow, or a sum has too many terms")
    return _plus(_plus(carried, _times(result, gamma)), _fixed(system, units, own))


def _matrix(values: Any, n: int, gauge: Gauge, units: slice) -> Matrix:
    sizes = [abs(v) for v in values]
    scale = None if gauge.scale is None else gauge.scale[units]
    return Matrix(arb_mat(n, n, sizes), None if scale is None else _spread(whiten(sizes, scale)))


def _spread(V: arb_mat) -> arb:
    """At least `|X|_2` for all `|X| <= V`: `|X|_2^2 <= max_i (V^T V v)_i / v_i`, `v > 0`."""
    n, across = V.nrows(), V.transpose()
    v = arb_mat(n, 1, [1] * n)
    for _ in range(_POWER_STEPS):
        image = [float(entry.mid()) for entry in (across * (V * v)).entries()]
        if not 0 < max(image) < math.inf:
            break
        v = arb_mat(n, 1, [max(entry / max(image), 1e-3) for entry in image])
    ratios = zip((across * (V * v)).entries(), v.entries(), strict=True)
    return _root(max_of([(a / b).abs_upper() for a, b in ratios]))


def max_of(values: list[arb]) -> arb:
    """The largest; NaN if one is."""
    largest = values[0]
    for value in values[1:]:
        largest = largest.max(value)
    return largest


def _root(square: arb) -> arb:
    # Powers and roots of balls around 0 are NaN in python-flint, products and their ends are not.
    return square.abs_upper().sqrt()


def _length(gauge: Gauge, units: slice, vector: list[arb]) -> arb:
    """At least `|v|_M` for all `v` with entries below those of the vector."""
    if gauge.polyhedral is not None:
        kind, weights = gauge.polyhedral
        parts = [(x * w).abs_upper() for x, w in zip(vector, weights, strict=True)]
        return sum(parts, arb(0)) if kind == "sum" else max_of(parts)
    if gauge.scale is not None:
        scaled = [x * s for x, s in zip(vector, gauge.scale[units], strict=True)]
        return _root(sum((x * x for x in scaled), arb(0)))
    column = arb_mat(len(vector), 1, vector)
    return _root((column.transpose() * gauge.form * column)[0, 0])


def _fixed(system: Map, units: slice, entries: list[arb]) -> Size:
    """A vector that does not depend on the state."""
    if system.gauge.scale is None:
        return Size(entries, None, None)
    return Size(entries, arb(0), _length(system.gauge, units, entries))


def _settled(system: Map, units: slice, size: Size, share: arb) -> Size:
    """The norm from the entries, where that is less than the known one."""
    alone = _fixed(system, units, size.entries)
    if size.slope is None or size.offset is None or alone.offset is None:
        return size
    return alone if alone.offset < size.slope * share + size.offset else size


def _plus(first: Size, second: Size) -> Size:
    entries = [a + b for a, b in zip(first.entries, second.entries, strict=True)]
    if first.slope is None or second.slope is None:
        return Size(entries, None, None)
    return Size(entries, first.slope + second.slope, _sum(first.offset, second.offset))


def _times(size: Size, number: arb) -> Size:
    return _grown(size, [number * entry for entry in size.entries], number)


def _weigh(weights: tuple[float, ...], size: Size) -> Size:
    entries = [abs(arb(w)) * entry for w, entry in zip(weights, size.entries, strict=True)]
    return _grown(size, entries, _largest(weights))


def _apply(matrix: Matrix, size: Size) -> Size:
    column = arb_mat(len(size.entries), 1, size.entries)
    return _grown(size, (matrix.magnitude * column).entries(), matrix.spread)


def _grown(size: Size, entries: list[arb], by: arb | None) -> Size:
    if size.slope is None or size.offset is None or by is None:
        return Size(entries, None, None)
    return Size(entries, size.slope * by, size.offset * by)


def _sum(first: arb | None, second: arb | None) -> arb | None:
    return None if first is None or second is None else first + second


def _join(system: Map, parts: list[Size], state: State) -> Size:
    """The parts one after the other, whose norms are roots of sums of `(slope_i r_i + offset_i)^2`.

    They are at most `max slope_i` times the radius, and the root of the sum of `offset_i^2`.
    """
    entries = [entry for part in parts for entry in part.entries]
    slopes = [part.slope for part in parts if part.slope is not None]
    offsets = [part.offset for part in parts if part.offset is not None]
    if len(slopes) < len(parts) or len(offsets) < len(parts):
        return Size(entries, None, None)
    norm = max_of(slopes) * state.radius + _root(sum((c * c for c in offsets), arb(0)))
    alone = _length(system.gauge, _ALL, entries)
    return Size(entries, arb(0), alone if alone < norm else norm)
