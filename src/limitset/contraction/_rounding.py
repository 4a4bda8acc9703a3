"""The rounding error of one float32 step of a map of rate networks or assemblies."""

from dataclasses import dataclass

import numpy as np

from limitset.contraction._layer import Vector
from limitset.contraction._rounding_drive import (
    Layer,
    Units,
    drive_bounds,
    gather_units,
    join,
    magnitude_of,
)
from limitset.contraction._size import (
    Inputs,
    Metric,
    Size,
    apply,
    plus,
    rounded,
    scale_of,
    weigh,
)
from limitset.dynamics import EulerAssemblyMap, ExponentialAssemblyMap, RateMap, SemiImplicitMap
from limitset.networks import Elman, RateNetwork, module_slices
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
class RoundedStep:
    """What the analysis needs of a map, gathered once: units, stored matrices, and their norms."""

    system: RoundedMap
    units: Units
    matrices: dict[str, tuple[Ball, float]]


def rounded_step(system: RoundedMap, metric: Metric, reach: Ball, inputs: Inputs) -> RoundedStep:
    """Gather what `step_bounds` needs."""
    units, matrices = gather_units(_modules(system), metric, reach, inputs), {}
    for name in ("propagator", "transition", "response"):
        if hasattr(system, name):
            matrices[name] = magnitude_of(getattr(system, name), metric)
    return RoundedStep(system, units, matrices)


def step_bounds(step: RoundedStep, radius: float, error: float) -> Step:
    """Bounds for all states within the radius; `error` is the activations' relative error."""
    system, size, scale = step.system, step.system.state_size, scale_of(step.units.metric, None)
    each = [_local(step, layer, radius, error) for layer in step.units.layers]
    driven, erred, at_zero, value = (
        join(step.units, [part[k] for part in each], radius) for k in range(4)
    )
    if isinstance(system, RateMap | Elman):
        return Step(erred, at_zero, driven)
    if isinstance(system, SemiImplicitMap):
        matrix = step.matrices["propagator"]
        reached, erred = apply(matrix, plus(value, erred)), apply(matrix, erred)
        erred = rounded(erred, reached, size + 1, scale)
        return Step(erred, apply(matrix, at_zero), driven)
    kept = apply(step.matrices["transition"], Size(step.units.reach * radius, 1.0, 0.0))
    if isinstance(system, EulerAssemblyMap):
        reached = plus(kept, plus(driven, erred))
        return Step(rounded(erred, reached, size + 2, scale), at_zero, driven)
    matrix = step.matrices["response"]
    reached = plus(kept, apply(matrix, plus(driven, erred)))
    erred = rounded(apply(matrix, erred), reached, 2 * size + 2, scale)
    return Step(erred, apply(matrix, at_zero), driven)


def _local(
    step: RoundedStep, layer: Layer, radius: float, error: float
) -> tuple[Size, Size, Size, Size]:
    """`gain * drive`: its size, its error, its size at state 0; and `keep x + gain * drive`.

    Where a map adds the two before anything else, the error includes that of adding.
    """
    system, scale = step.system, scale_of(step.units.metric, layer.place)
    drive, slip, still = drive_bounds(step.units, layer, radius, error)
    if isinstance(system, ExponentialAssemblyMap):
        return drive, slip, still, drive
    keep, gain = (weights[layer.place] for weights in _constants(system))
    driven, erred, at_zero = (weigh(gain, part) for part in (drive, slip, still))
    if isinstance(system, EulerAssemblyMap):
        return driven, rounded(erred, driven, 1, scale), at_zero, driven
    kept = weigh(keep, Size(step.units.reach[layer.place] * radius, 1.0, 0.0))
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
