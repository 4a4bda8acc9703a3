"""Bounds of a step in float32, for maps of rate networks and assemblies, and for Elman cells."""

from typing import NamedTuple

from flint import arb

from limitset.checker._network import ACTIVATIONS, Network, RateModule
from limitset.checker._size import (
    ALL,
    Gauge,
    Inputs,
    Matrix,
    Rounding,
    Size,
    apply,
    error_of,
    fixed,
    largest_of,
    length_of,
    matrix_of,
    max_of,
    plus,
    root,
    rounded,
    settled,
    times,
    values_of,
    weigh,
)


class Layer(NamedTuple):
    """A module, its weights, and what inputs and biases, and errors of the inputs, add.

    `terms`: the most terms of its sums, and the sum of all inputs and input weights.
    """

    module: RateModule
    weight: Matrix
    constant: list[arb]
    entering: list[arb]
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


def gather(network: Network, gauge: Gauge, inputs: Inputs) -> Map:
    """What does not depend on the ball of states."""
    layers = []
    for module in network.modules:
        (k, m), U = module.input_weight.shape, module.input_weight.values
        biases = zip(*(bias.values for bias in module.biases), strict=True)
        constant = [sum((abs(arb(b)) for b in each), arb(0)) for each in biases]
        rows = [[abs(arb(u)) for u in U[i * m : (i + 1) * m]] for i in range(k)]
        added, entering = (
            [sum((u * x for u, x in zip(row, bounds, strict=True)), arb(0)) for row in rows]
            for bounds in inputs
        )
        constant = [a + b for a, b in zip(constant, added, strict=True)]
        weight = matrix_of(module.weight.values, k, gauge, module.units)
        factors = sum(inputs.entries, sum(map(abs, map(arb, U)), arb(0)))
        layers.append(Layer(module, weight, constant, entering, (k + m + 4, factors)))
    names = [n for n in ("propagator", "transition", "response") if n in network.tensors]
    n = len(network.keep)
    stored = {name: matrix_of(network.tensors[name].values, n, gauge, ALL) for name in names}
    return Map(network, gauge, layers, stored)


def state_size(system: Map, radius: arb) -> State:
    """All states within the radius."""
    return State([r * radius for r in system.gauge.reach], radius)


def norm_of(system: Map, size: Size) -> arb:
    """At least `|v|_M` for all `v` of this size; of a whole state, whose norm has no slope."""
    length = length_of(system.gauge, ALL, size.entries)
    known = size.offset
    return length if known is None or not known < length else known


def drive_size(system: Map, state: State, r: Rounding) -> Size:
    """`gain * drive`, or the drive where the map has no gain for each unit."""
    parts = [_local(system, layer, state, r)[2] for layer in system.layers]
    return join(system, parts, state)


def step_sizes(system: Map, state: State, r: Rounding) -> tuple[Size, Size]:
    """The size of one step, and of its rounding error."""
    parts = [_local(system, layer, state, r) for layer in system.layers]
    value, error = (join(system, [part[k] for part in parts], state) for k in range(2))
    rule, n, none = system.network.rule, len(state.entries), arb(0)
    if rule == "unit":
        return value, error
    if rule == "split":
        P, reached = system.stored["propagator"], plus(value, error)
        result, carried, terms = apply(P, reached), apply(P, error), (n + 1, none)
        return result, rounded(system.gauge, ALL, carried, result, reached, [P], terms, r)
    T, driven = system.stored["transition"], plus(value, error)
    whole = Size(state.entries, *((none, state.radius) if system.gauge.scale else (None, None)))
    entering = plus(whole, driven)
    if rule == "explicit_euler":
        result, terms = plus(apply(T, whole), driven), (n + 2, none)
        return result, rounded(system.gauge, ALL, error, result, entering, [T], terms, r)
    R, terms = system.stored["response"], (2 * n + 2, none)
    result = plus(apply(T, whole), apply(R, driven))
    return result, rounded(system.gauge, ALL, apply(R, error), result, entering, [T, R], terms, r)


def _local(system: Map, layer: Layer, state: State, r: Rounding) -> tuple[Size, Size, Size]:
    """`keep x + gain * drive`, its error, and `gain * drive`, for the units of one layer.

    Maps with a transition add the state later: for them, it is `gain * drive` or the drive alone.
    """
    network, units = system.network, layer.module.units
    drive, error = drive_and_error(system, layer, state, r)
    if network.rule == "exponential_euler":
        return drive, error, drive
    stored = network.tensors["gain"].values if network.rule == "explicit_euler" else network.gain
    keep, gain = network.keep[units], stored[units]
    driven, carried = (weigh(gain, size) for size in (drive, error))
    entering, terms = plus(drive, error), (1, largest_of(gain))
    if network.rule == "explicit_euler":
        lost = rounded(system.gauge, units, carried, driven, entering, [], terms, r)
        return driven, lost, driven
    own, terms = own_units(system, layer, state), (4, largest_of(keep) + largest_of(gain))
    value, entering = plus(weigh(keep, own), plus(driven, carried)), plus(own, entering)
    return value, rounded(system.gauge, units, carried, value, entering, [], terms, r), driven


def own_units(system: Map, layer: Layer, state: State) -> Size:
    """The units of one layer, which share the ball with the others."""
    entries = state.entries[layer.module.units]
    return Size(entries, *((arb(1), arb(0)) if system.gauge.scale else (None, None)))


def drive_and_error(system: Map, layer: Layer, state: State, r: Rounding) -> tuple[Size, Size]:
    """`W phi(x) + B u + b`, or `phi(W x + B u + b)`, and its error."""
    module, units, own = layer.module, layer.module.units, own_units(system, layer, state)
    share = state.radius / arb(len(system.layers)).sqrt()
    constant = fixed(system.gauge, units, layer.constant)
    slipped = fixed(system.gauge, units, layer.entering)
    none = fixed(system.gauge, units, [arb(0)] * len(own.entries))
    alpha = error_of(module.activation, r)

    def weighed(operand: Size, error: Size) -> tuple[Size, Size]:
        entering = plus(operand, error)
        result = plus(apply(layer.weight, entering), constant)
        result = settled(system.gauge, units, result, share)
        carried = plus(apply(layer.weight, error), slipped)
        matrix, terms = layer.weight, layer.terms
        return result, rounded(system.gauge, units, carried, result, entering, [matrix], terms, r)

    def activated(operand: Size, error: Size) -> tuple[Size, Size]:
        value = values_of(system.gauge, units, module.activation, plus(operand, error))
        value = settled(system.gauge, units, value, share)
        steepest = arb(ACTIVATIONS[module.activation][1])
        lost = fixed(system.gauge, units, [arb(r.underflow)] * len(value.entries))
        return value, plus(plus(times(error, steepest), times(value, alpha)), lost)

    if module.form == "hopfield":
        return weighed(*activated(own, none))
    return activated(*weighed(own, none))


def join(system: Map, parts: list[Size], state: State) -> Size:
    """The parts one after the other, whose norms are roots of sums of `(slope_i r_i + offset_i)^2`.

    They are at most `max slope_i` times the radius, and the root of the sum of `offset_i^2`.
    """
    entries = [entry for part in parts for entry in part.entries]
    slopes = [part.slope for part in parts if part.slope is not None]
    offsets = [part.offset for part in parts if part.offset is not None]
    if len(slopes) < len(parts) or len(offsets) < len(parts):
        return Size(entries, None, None)
    norm = max_of(slopes) * state.radius + root(sum((c * c for c in offsets), arb(0)))
    alone = length_of(system.gauge, ALL, entries)
    return Size(entries, arb(0), alone if alone < norm else norm)
