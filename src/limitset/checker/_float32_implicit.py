"""One float32 step of backward Euler: `x+` with `x+ - step f(x+, u) - x = r`, `|r_i|` small.

What a solver returns is any state whose residual, evaluated in float32, has no entry above the
`residual` of the section, and no entry above `FARTHEST` itself. `v -> v - step f(v)` expands by
`1 / factor`, so `x+` is within `factor |r|` of the exact next state, if `r` is the true residual.

Of a state outside the ball, at `t > 1` times its radius, the error of evaluation is at most `t`
times that at the edge: bounds of entries are concave in the radius and nonnegative at 0. So `t R <=
reached + t rounding < t R` where `reached + rounding <= R`, and no such state is returned.
"""

from typing import Any

from flint import arb

from limitset.checker._contraction import read_value
from limitset.checker._document import require, take, take_list, take_real
from limitset.checker._float32_step import read_gauge
from limitset.checker._network import Network
from limitset.checker._rounding import (
    Layer,
    Map,
    State,
    drive_and_error,
    gather,
    join,
    norm_of,
    own_units,
    state_size,
)
from limitset.checker._size import (
    ALL,
    FARTHEST,
    Inputs,
    Rounding,
    Size,
    apply,
    fixed,
    matrix_of,
    plus,
    rounded,
    times,
)

# Roundings of a quotient: as many as a reciprocal and a product, or division by 2 units, have.
_QUOTIENT = 4


def prove_implicit_ball(
    document: dict[str, Any],
    network: Network,
    inputs: Inputs,
    numbers: tuple[float, float, float],
    r: Rounding,
) -> arb:
    """Prove that runs do not leave the ball; how far a step ends from the exact one within it.

    `numbers`: the ball's radius, the rounding of a step, and the residual.
    """
    require(network.family == "layers", "float32 is not known for systems of this kind")
    radius, rounding, residual = map(arb, numbers)
    require(bool(residual > 0), "float32: the residual is not positive")
    system, exactly = gather(network, read_gauge(document, network), inputs), Rounding(0, 0, 0, 0)
    state, rest = (state_size(system, at) for at in (radius, arb(0)))
    far = State([x.max(arb(FARTHEST)) for x in state.entries], radius)
    _evaluation_error(system, far, r)  # nothing overflows
    error = _evaluation_error(system, state, r)
    left = fixed(system.gauge, ALL, [residual] * len(network.keep))
    factor, step = read_value(document, network), _step(network)
    moved, driven = (step * _driven(system, at, exactly) for at in (rest, state))
    reached, expanded = factor * (radius + moved), 1 + step * _held(document, network)
    if expanded > 0 and (radius + driven) / expanded < reached:
        reached = (radius + driven) / expanded
    require(bool(reached + rounding <= radius), "float32: runs may leave the ball")
    return factor * norm_of(system, plus(error, left))


def _step(network: Network) -> arb:
    return arb(network.tensors["step"].values[0])


def _driven(system: Map, state: State, r: Rounding) -> arb:
    """The norm of all drives over their time constants."""
    parts = [
        times(drive_and_error(system, layer, state, r)[0], 1 / arb(layer.module.time_constant))
        for layer in system.layers
    ]
    return norm_of(system, join(system, parts, state))


def _held(document: dict[str, Any], network: Network) -> arb:
    """A rate with which leak and coupling bring states together, without the drives."""
    least, *others = (arb(m.leak) / m.time_constant for m in network.modules)
    for rate in others:
        least = least.min(rate)
    if "coupling" not in network.tensors:
        return least
    (flow,) = take(document["witness"], "flow")
    if flow["theorem"] != "skew_feedback":
        return arb("-inf")
    # The measure of the coupling in the metric, which is diagonal, as the proof has bounded it.
    return least - arb(take_real(take_list(take(flow["witness"], "modules coupling")[1])[0]))


def _evaluation_error(system: Map, state: State, r: Rounding) -> Size:
    """The error of an evaluated residual, for `x` and `x+` of this size."""
    network, gauge, n = system.network, system.gauge, len(state.entries)
    parts = [_velocity(system, layer, state, r) for layer in system.layers]
    velocity, error = (join(system, [part[k] for part in parts], state) for k in range(2))
    known = (arb(0), state.radius) if gauge.scale else (None, None)
    whole = Size(state.entries, *known)
    if "coupling" in network.tensors:
        L = matrix_of(network.tensors["coupling"].values, n, gauge, ALL)
        entering, velocity = plus(velocity, error, whole), plus(velocity, apply(L, whole))
        result, terms = plus(velocity, error), (n + 1, arb(0))
        error = rounded(gauge, ALL, error, result, entering, [L], terms, r)
    step, entering = _step(network), plus(velocity, error, whole, whole)
    result = plus(times(plus(velocity, error), step), whole, whole)
    return rounded(gauge, ALL, times(error, step), result, entering, [], (3, step), r)


def _velocity(system: Map, layer: Layer, state: State, r: Rounding) -> tuple[Size, Size]:
    """`(drive - leak x) / time_constant` as computed, and its error."""
    module, gauge = layer.module, system.gauge
    leak, speed = arb(module.leak), 1 / arb(module.time_constant)
    drive, slip = drive_and_error(system, layer, state, r)
    own, driven = own_units(system, layer, state), plus(drive, slip)
    pulled = plus(driven, times(own, leak))
    erred = rounded(gauge, module.units, slip, pulled, plus(driven, own), [], (2, leak), r)
    whole = plus(pulled, erred)
    velocity, carried, terms = times(whole, speed), times(erred, speed), (_QUOTIENT, speed)
    return velocity, rounded(gauge, module.units, carried, velocity, whole, [], terms, r)
