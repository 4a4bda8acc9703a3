"""One float32 step of gated units, `P (x + h nu(u) (w phi(x) + B u + b - x))`, and of recurrences.

The gates are sigmoids of the input, so their errors do not depend on the state. Where a unit obeys
`|x+| <= m |x| + a k` with `m < 1`, also `|x+|^2 <= m |x|^2 + (a k)^2 / (1 - m)`: summed over all
units this bounds the whole far better than the triangle inequality, if speeds differ.
"""

from typing import Any

from flint import arb, arb_mat

from limitset.checker._contraction import read_scale, read_value
from limitset.checker._document import Tensor, take, take_list, take_real
from limitset.checker._network import ACTIVATIONS, Network
from limitset.checker._size import (
    ALL,
    Gauge,
    Inputs,
    Matrix,
    Reach,
    Rounding,
    Size,
    apply,
    error_of,
    fixed,
    length_of,
    lost,
    matrix_of,
    plus,
    require_finite,
    root,
    rounded,
    share_lost,
    times,
    values_of,
    weigh,
)

Bounds = tuple[list[arb], list[arb]]


def gated_step(
    document: dict[str, Any], network: Network, inputs: Inputs, radius: arb, r: Rounding
) -> Reach:
    """From the ball; module and propagator have the norms that the witness says."""
    scale = read_scale(document, network)
    gauge = Gauge([1 / arb(s) for s in scale], scale, arb_mat(0, 0))
    modules, coupling = take(document["witness"], "modules coupling")
    (factor,) = (arb(take_real(take(entry, "theorem bound")[1])) for entry in modules)
    norms = [arb(take_real(bound)) for bound in take_list(coupling)]
    erred, crude, entering = _units(network, gauge, inputs, radius, r)
    moved, drift = _moved(network, gauge, entering, radius, factor)
    if not norms:
        return Reach(_norm(gauge, erred, radius), moved, drift)
    n = len(scale)
    matrix = matrix_of(network.tensors["propagator"].values, n, gauge, ALL)
    length = moved + _norm(gauge, erred, radius)
    states = Size(plus(crude, erred).entries, arb(0), length)
    # An error passes through the propagator itself; what a product loses, through magnitudes.
    carried = apply(Matrix(matrix.magnitude, norms[0]), erred)
    terms = (n + 1, arb(0))
    whole = rounded(gauge, ALL, carried, apply(matrix, states), states, [matrix], terms, r)
    return Reach(_norm(gauge, whole, radius), norms[0] * moved, norms[0] * drift)


def _units(
    network: Network, gauge: Gauge, inputs: Inputs, radius: arb, r: Rounding
) -> tuple[Size, Size, list[arb]]:
    """The error of the units' own step, its size from magnitudes of its terms, and `B u + b`."""
    tensors, h = network.tensors, abs(arb(network.tensors["step"].values[0]))
    own = tensors["self_weight"].values
    entering, wrong = affine(tensors["input_weight"], tensors["bias"], inputs, r)
    states = Size([radius * x for x in gauge.reach], arb(1), arb(0))
    value = values_of(gauge, ALL, network.activation, states)
    change = plus(weigh(own, value), fixed(gauge, ALL, entering), states)
    flushed = fixed(gauge, ALL, [arb(r.underflow)] * len(own))
    slip = plus(times(value, error_of(network.activation, r)), flushed)
    slip = plus(weigh(own, slip), fixed(gauge, ALL, wrong))
    result, terms = plus(change, slip), (4, sum(map(abs, map(arb, own)), arb(0)))
    slip = rounded(gauge, ALL, slip, result, plus(result, value), [], terms, r)
    gates, slips = _gates(network, inputs, r)
    # The product of step and gate may be flushed, and meets the change after that.
    speeds, errors = [h * x for x in gates], [h * x + lost(1, h + x, r) for x in slips]
    high = [a + b for a, b in zip(speeds, errors, strict=True)]
    slip = plus(weigh(high, slip), weigh(errors, change))
    crude = plus(states, weigh(speeds, change))
    result, terms = plus(crude, slip), (4, sum(high, arb(0)) + h + sum(high, arb(0)) / h)
    entered = plus(result, plus(change, slip))
    return rounded(gauge, ALL, slip, result, entered, [], terms, r), crude, entering


def _gates(network: Network, inputs: Inputs, r: Rounding) -> tuple[list[arb], list[arb]]:
    """The largest speed of every gate, and the error of its speed."""
    tensors = network.tensors
    _, wrong = affine(tensors["gate_weight"], tensors["gate_bias"], inputs, r)
    speeds, errors = [], []
    ends = zip(wrong, tensors["slowest"].values, tensors["fastest"].values, strict=True)
    for argument, slowest, fastest in ends:
        share = argument / 4 + r.activation + r.underflow
        span = abs(arb(fastest) - slowest)
        size = abs(arb(slowest)) + span * (1 + share)
        speeds.append(arb(slowest).max(arb(fastest)))
        errors.append(span * share + size * share_lost(4, r) + lost(4, size, r))
    require_finite([a + b for a, b in zip(speeds, errors, strict=True)])
    return speeds, errors


def affine(weight: Tensor, bias: Tensor, inputs: Inputs, r: Rounding) -> Bounds:
    """`W u + b` for inputs within their bounds, and its error."""
    m, (sizes, carried) = weight.shape[1], entered(weight, bias, inputs)
    total, errors = sum(inputs.entries, arb(0)), []
    for i, (size, wrong) in enumerate(zip(sizes, carried, strict=True)):
        factors = sum((abs(arb(w)) for w in weight.values[i * m : (i + 1) * m]), total)
        errors.append(wrong + size * share_lost(m + 2, r) + lost(m + 2, factors, r))
    require_finite([a + b for a, b in zip(sizes, errors, strict=True)])
    return sizes, errors


def entered(weight: Tensor, bias: Tensor, inputs: Inputs) -> Bounds:
    """`W u + b` for inputs within their bounds, and what their errors make of it."""
    m, sizes, carried = weight.shape[1], [], []
    for i, b in enumerate(bias.values):
        row = [abs(arb(w)) for w in weight.values[i * m : (i + 1) * m]]
        sizes.append(sum((w * u for w, u in zip(row, inputs.entries, strict=True)), abs(arb(b))))
        carried.append(sum((w * e for w, e in zip(row, inputs.error, strict=True)), arb(0)))
    return sizes, carried


def _moved(
    network: Network, gauge: Gauge, entering: list[arb], radius: arb, factor: arb
) -> tuple[arb, arb]:
    """The norm of the units' exact step, by contraction or by convexity; and that from state 0."""
    lowest, highest, _, at_zero = ACTIVATIONS[network.activation]
    tensors, h = network.tensors, arb(network.tensors["step"].values[0])
    drives, squares, convex = [], arb(0), True
    units = zip(
        tensors["self_weight"].values,
        tensors["slowest"].values,
        tensors["fastest"].values,
        entering,
        gauge.scale or (),
        strict=True,
    )
    for weight, slowest, fastest, pushed, scale in units:
        speed = h * max(slowest, fastest)
        drive = abs(speed) * (abs(arb(weight)) * at_zero + pushed)
        ends = [abs(1 - speed * (1 - arb(weight) * s)) for s in (lowest, highest)]
        rest = 1 - ends[0].max(ends[1])
        convex = convex and bool(rest > 0)
        squares += (drive * scale) * (drive * scale) / rest if convex else 0
        drives.append(drive)
    drift = length_of(gauge, ALL, drives)
    by_factor = factor * radius + drift
    by_units = root(factor * radius * radius + squares)
    return (by_units if convex and by_units < by_factor else by_factor), drift


def recurrence_step(
    document: dict[str, Any], network: Network, inputs: Inputs, radius: arb, r: Rounding
) -> Reach:
    """Of `lambda z + B u + b`, from a ball; both parts of a unit have one scale."""
    scale, tensors = read_scale(document, network), network.tensors
    gauge = Gauge([1 / arb(s) for s in scale], scale, arb_mat(0, 0))
    pushed, wrong = entered(tensors["input_weight"], tensors["bias"], inputs)
    pairs = zip(tensors["real"].values, tensors["imaginary"].values, strict=True)
    both = [abs(arb(a)) + abs(arb(b)) for a, b in pairs]
    states = Size([radius * x for x in gauge.reach], arb(1), arb(0))
    entering, turned = fixed(gauge, ALL, pushed), weigh(both + both, states)
    weights = map(abs, map(arb, tensors["input_weight"].values))
    terms = (len(inputs.entries) + 6, sum(weights, sum(both + inputs.entries, arb(0))))
    result = plus(turned, entering)
    carried, entered_by = fixed(gauge, ALL, wrong), plus(states, result)
    whole = rounded(gauge, ALL, carried, result, entered_by, [], terms, r)
    drift = length_of(gauge, ALL, pushed)
    reached = read_value(document, network) * radius + drift
    return Reach(_norm(gauge, whole, radius), reached, drift)


def _norm(gauge: Gauge, size: Size, radius: arb) -> arb:
    """At least `|v|_M`, in a diagonal metric."""
    alone = length_of(gauge, ALL, size.entries)
    if size.slope is None or size.offset is None:
        return alone
    known = size.slope * radius + size.offset
    return known if known < alone else alone
