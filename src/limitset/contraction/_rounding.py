"""The rounding error of one float32 step of a map of rate networks or assemblies."""

from dataclasses import dataclass

import numpy as np

from limitset.contraction._layer import Vector
from limitset.contraction._size import (
    Inputs,
    Metric,
    Size,
    apply,
    check_at_zero,
    error_of,
    fixed,
    length,
    plus,
    relative,
    rounded,
    scale_of,
    settled,
    spread_of,
    steepest_of,
    times,
    values_of,
    weigh,
)
from limitset.dynamics import EulerAssemblyMap, ExponentialAssemblyMap, RateMap, SemiImplicitMap
from limitset.networks import Activation, Elman, Form, RateNetwork, module_slices
from limitset.proofs import Ball

RoundedMap = RateMap | SemiImplicitMap | EulerAssemblyMap | ExponentialAssemblyMap | Elman


@dataclass(frozen=True)
class Step:
    """Bounds of one step from a ball of states.

    Of its rounding error, of its value at state 0, and of the drive times the gain, if it has one.
    """

    error: Size
    at_zero: Size
    driven: Size


@dataclass(frozen=True)
class _Layer:
    """A layer of units: magnitudes of its weights, and its place.

    `constant` is what inputs and biases add, `entering` what errors of the inputs add.
    """

    activation: Activation
    firing: bool
    place: slice
    weight: Ball
    spread: float
    constant: Ball
    entering: Ball
    terms: int


@dataclass(frozen=True)
class RoundedStep:
    """What the analysis needs of a map, gathered once: layers, stored matrices, and their norms."""

    system: RoundedMap
    metric: Metric
    layers: tuple[_Layer, ...]
    reach: Ball
    matrices: dict[str, tuple[Ball, float]]


def rounded_step(system: RoundedMap, metric: Metric, reach: Ball, inputs: Inputs) -> RoundedStep:
    """Gather what `step_bounds` needs."""
    layers = tuple(_layer(*pair, metric, inputs) for pair in _modules(system))
    matrices = {}
    for name in ("propagator", "transition", "response"):
        if hasattr(system, name):
            magnitude = np.abs(np.asarray(getattr(system, name), np.float64))
            matrices[name] = Ball.exact(magnitude), spread_of(magnitude, scale_of(metric, None))
    return RoundedStep(system, metric, layers, reach, matrices)


def step_bounds(step: RoundedStep, radius: float, error: float) -> Step:
    """Bounds for all states within the radius; `error` is the activations' relative error."""
    system, size, scale = step.system, step.system.state_size, scale_of(step.metric, None)
    each = [_local(step, layer, radius, error) for layer in step.layers]
    driven, erred, at_zero, value = (
        _join(step, [part[k] for part in each], radius) for k in range(4)
    )
    if isinstance(system, RateMap | Elman):
        return Step(erred, at_zero, driven)
    if isinstance(system, SemiImplicitMap):
        matrix = step.matrices["propagator"]
        reached, erred = apply(matrix, plus(value, erred)), apply(matrix, erred)
        erred = rounded(erred, reached, size + 1, scale)
        return Step(erred, apply(matrix, at_zero), driven)
    kept = apply(step.matrices["transition"], Size(step.reach * radius, 1.0, 0.0))
    if isinstance(system, EulerAssemblyMap):
        reached = plus(kept, plus(driven, erred))
        return Step(rounded(erred, reached, size + 2, scale), at_zero, driven)
    matrix = step.matrices["response"]
    reached = plus(kept, apply(matrix, plus(driven, erred)))
    erred = rounded(apply(matrix, erred), reached, 2 * size + 2, scale)
    return Step(erred, apply(matrix, at_zero), driven)


def _local(
    step: RoundedStep, layer: _Layer, radius: float, error: float
) -> tuple[Size, Size, Size, Size]:
    """`gain * drive`: its size, its error, its size at state 0; and `keep x + gain * drive`.

    Where a map adds the two before anything else, the error includes that of adding.
    """
    system, scale = step.system, scale_of(step.metric, layer.place)
    drive, slip, still = _drive(step, layer, radius, error)
    if isinstance(system, ExponentialAssemblyMap):
        return drive, slip, still, drive
    keep, gain = (weights[layer.place] for weights in _constants(system))
    driven, erred, at_zero = (weigh(gain, part) for part in (drive, slip, still))
    if isinstance(system, EulerAssemblyMap):
        return driven, rounded(erred, driven, 1, scale), at_zero, driven
    kept = weigh(keep, Size(step.reach[layer.place] * radius, 1.0, 0.0))
    value = plus(kept, plus(driven, erred))
    return driven, rounded(erred, value, 4, scale), at_zero, value


def _modules(system: RoundedMap) -> list[tuple[RateNetwork | Elman, slice]]:
    if isinstance(system, RateMap):
        return [(system.network, slice(0, system.state_size))]
    if isinstance(system, Elman):
        return [(system, slice(0, system.state_size))]
    places = module_slices(system.assembly)
    return list(zip(system.assembly.modules, places, strict=True))


def _constants(
    system: RateMap | SemiImplicitMap | EulerAssemblyMap | Elman,
) -> tuple[Vector, Vector]:
    """Magnitudes of `keep` and `gain`, unit by unit."""
    size = system.state_size
    if isinstance(system, Elman):
        return np.zeros(size), np.ones(size)
    keep = 0.0 if isinstance(system, EulerAssemblyMap) else system.keep
    pair = (np.asarray(c, np.float64) for c in (keep, system.gain))
    keep, gain = (np.abs(np.broadcast_to(c, size)) for c in pair)
    return keep, gain


def _layer(module: RateNetwork | Elman, place: slice, metric: Metric, inputs: Inputs) -> _Layer:
    check_at_zero(module.activation)
    if isinstance(module, Elman):
        weight, entering = module.weight_hh, module.weight_ih
        biases = [module.bias_ih, module.bias_hh]
    else:
        weight, entering, biases = module.weight, module.input_weight, [module.bias]
    magnitude = np.abs(np.asarray(weight, np.float64))
    columns = np.abs(np.asarray(entering, np.float64))
    constant = Ball.exact(columns) @ inputs.entries
    for bias in biases:
        constant = constant + np.abs(np.asarray(bias, np.float64))
    return _Layer(
        module.activation,
        isinstance(module, Elman) or module.form is Form.FIRING_RATE,
        place,
        Ball.exact(magnitude),
        spread_of(magnitude, scale_of(metric, place)),
        constant,
        Ball.exact(columns) @ inputs.error,
        len(magnitude) + columns.shape[1] + 4,
    )


def _drive(
    step: RoundedStep, layer: _Layer, radius: float, error: float
) -> tuple[Size, Size, Size]:
    """`W phi(x) + B u + b` or `phi(W x + B u + b)`: its size, its error, its size at state 0."""
    scale = scale_of(step.metric, layer.place)
    steepest, share = steepest_of(layer.activation), radius / len(step.layers) ** 0.5
    states = Size(step.reach[layer.place] * radius, 1.0, 0.0)
    constant = fixed(layer.constant, scale)
    entering, error = fixed(layer.entering, scale), error_of(layer.activation, error)
    matrix = (layer.weight, layer.spread)
    if layer.firing:
        argument = settled(plus(apply(matrix, states), constant), scale, share)
        slip = rounded(entering, argument, layer.terms, scale)
        size = settled(values_of(layer.activation, plus(argument, slip), scale), scale, share)
        erred = plus(times(slip, steepest), relative(size, error, scale))
        return size, erred, values_of(layer.activation, constant, scale)
    value = settled(values_of(layer.activation, states, scale), scale, share)
    slip = relative(value, error, scale)
    size = settled(plus(apply(matrix, plus(value, slip)), constant), scale, share)
    erred = rounded(plus(apply(matrix, slip), entering), size, layer.terms, scale)
    resting = fixed(Ball.exact(np.full(len(layer.constant), layer.activation.at_zero)), scale)
    return size, erred, plus(apply(matrix, resting), constant)


def _join(step: RoundedStep, parts: list[Size], radius: float) -> Size:
    """The parts of one vector, one after the other: `sum_i (a_i r_i + c_i)^2`, `sum_i r_i^2 = r^2`.

    By the triangle inequality, its root is at most `max a_i r + sqrt(sum_i c_i^2)`.
    """
    mid = np.concatenate([part.entries.mid for part in parts])
    rad = np.concatenate([part.entries.rad for part in parts])
    offsets = np.array([part.offset for part in parts])
    offset = length(Ball.exact(offsets)) if np.isfinite(offsets).all() else float("inf")
    whole = Size(Ball(mid, rad), max(part.slope for part in parts), offset)
    return settled(whole, scale_of(step.metric, None), radius)
