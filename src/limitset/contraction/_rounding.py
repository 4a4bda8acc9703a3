"""The rounding error of one float32 step of a map, entry by entry and in the norm of a metric."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset.contraction._layer import Vector, product_upper, sum_upper, whiten
from limitset.contraction._metric import DiagonalMetric, QuadraticMetric
from limitset.contraction._polyhedral_metric import MaximumMetric, SumMetric
from limitset.dynamics import EulerAssemblyMap, ExponentialAssemblyMap, RateMap, SemiImplicitMap
from limitset.networks import Activation, Elman, Form, RateNetwork, module_slices
from limitset.proofs import Ball

Square = Float[np.ndarray, "n n"]
Metric = DiagonalMetric | QuadraticMetric | SumMetric | MaximumMetric
RoundedMap = RateMap | SemiImplicitMap | EulerAssemblyMap | ExponentialAssemblyMap | Elman

_UNIT = 2.0**-24
# Any product, sum or activation that underflows errs by less than this, flushed or not.
_UNDERFLOW = 2.0**-120
# Steps towards the vector that bounds a norm, and the share by which another arithmetic may miss
# the same bound: the checker takes the same steps.
_POWER_STEPS = 8
_SLACK = 1 + 1e-9


@dataclass(frozen=True)
class Size:
    """Bounds of a vector: of its entries, and of its norm in the metric.

    The norm is at most `slope r + offset` if the part of the state that it depends on has the norm
    `r`; so the parts of a state, which share one ball, are not all counted as large as the ball.
    """

    entries: Ball
    slope: float
    offset: float


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
    """A layer of units: magnitudes of its weights, what inputs and biases add, and its place."""

    activation: Activation
    firing: bool
    place: slice
    weight: Ball
    spread: float
    constant: Ball
    terms: int


@dataclass(frozen=True)
class RoundedStep:
    """What the analysis needs of a map, gathered once: layers, stored matrices, and their norms."""

    system: RoundedMap
    metric: Metric
    layers: tuple[_Layer, ...]
    reach: Ball
    matrices: dict[str, tuple[Ball, float]]


def rounded_step(
    system: AbstractMap, metric: Metric, reach: Ball, input_bound: float
) -> RoundedStep | None:
    """Gather what `step_bounds` needs; `None` for maps without such an analysis."""
    if not isinstance(system, RoundedMap):
        return None
    layers = tuple(_layer(*pair, metric, input_bound) for pair in _modules(system))
    matrices = {}
    for name in ("propagator", "transition", "response"):
        if hasattr(system, name):
            magnitude = np.abs(np.asarray(getattr(system, name), np.float64))
            matrices[name] = Ball.exact(magnitude), _spread(magnitude, _scale(metric, None))
    return RoundedStep(system, metric, layers, reach, matrices)


def step_bounds(step: RoundedStep, radius: float, error: float) -> Step:
    """Bounds for all states within the radius; `error` is the activations' relative error."""
    system, size, scale = step.system, step.system.state_size, _scale(step.metric, None)
    each = [_local(step, layer, radius, error) for layer in step.layers]
    driven, erred, at_zero, value = (
        _join(step, [part[k] for part in each], radius) for k in range(4)
    )
    if isinstance(system, RateMap | Elman):
        return Step(erred, at_zero, driven)
    if isinstance(system, SemiImplicitMap):
        matrix = step.matrices["propagator"]
        reached, erred = _apply(matrix, _plus(value, erred)), _apply(matrix, erred)
        erred = _rounded(erred, reached, size + 1, scale)
        return Step(erred, _apply(matrix, at_zero), driven)
    kept = _apply(step.matrices["transition"], Size(step.reach * radius, 1.0, 0.0))
    if isinstance(system, EulerAssemblyMap):
        reached = _plus(kept, _plus(driven, erred))
        return Step(_rounded(erred, reached, size + 2, scale), at_zero, driven)
    matrix = step.matrices["response"]
    reached = _plus(kept, _apply(matrix, _plus(driven, erred)))
    erred = _rounded(_apply(matrix, erred), reached, 2 * size + 2, scale)
    return Step(erred, _apply(matrix, at_zero), driven)


def _local(
    step: RoundedStep, layer: _Layer, radius: float, error: float
) -> tuple[Size, Size, Size, Size]:
    """`gain * drive`: its size, its error, its size at state 0; and `keep x + gain * drive`.

    Where a map adds the two before anything else, the error includes that of adding.
    """
    system, scale = step.system, _scale(step.metric, layer.place)
    drive, slip, still = _drive(step, layer, radius, error)
    if isinstance(system, ExponentialAssemblyMap):
        return drive, slip, still, drive
    keep, gain = (weights[layer.place] for weights in _constants(system))
    driven, erred, at_zero = (_weigh(gain, part) for part in (drive, slip, still))
    if isinstance(system, EulerAssemblyMap):
        return driven, _rounded(erred, driven, 1, scale), at_zero, driven
    kept = _weigh(keep, Size(step.reach[layer.place] * radius, 1.0, 0.0))
    value = _plus(kept, _plus(driven, erred))
    return driven, _rounded(erred, value, 4, scale), at_zero, value


def norm_of(size: Size, metric: Metric, radius: float) -> float:
    """An upper bound of the norm of a vector of this size."""
    by_norm = sum_upper(product_upper(size.slope, radius), size.offset)
    return min(by_norm, entries_norm(size.entries, metric))


def entries_norm(entries: Ball, metric: Metric) -> float:
    """An upper bound of `|v|_M` for all `v` with entries below those given."""
    if isinstance(metric, DiagonalMetric):
        return _length(Ball.exact(np.asarray(metric.scale, np.float64)) * entries)
    if isinstance(metric, SumMetric | MaximumMetric):
        scale = Ball.exact(np.asarray(metric.scale, np.float64))
        if isinstance(metric, SumMetric):
            return float((scale @ entries).upper())
        return float((scale * entries).upper().max())
    form = Ball.exact(np.abs(np.asarray(metric.matrix, np.float64)))
    return _root(entries @ (form @ entries))


def _length(vector: Ball) -> float:
    return _root(vector @ vector)


def _root(square: Ball) -> float:
    # From the upper end: the ball of a tiny square may reach below zero.
    upper = float(square.upper())
    return float(Ball.exact(upper).sqrt().upper()) if np.isfinite(upper) else float("inf")


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


def _layer(module: RateNetwork | Elman, place: slice, metric: Metric, input_bound: float) -> _Layer:
    still, told = abs(float(module.activation(jnp.zeros(())))), module.activation.at_zero
    if still > told * (1 + 1e-9):
        raise InputProblem(
            f"activation {module.activation.name!r} is {still:g} at 0, above its at_zero {told:g}; "
            "give it an at_zero that bounds |phi(0)|, or certify with input_bound=None"
        )
    if isinstance(module, Elman):
        weight, inputs = module.weight_hh, module.weight_ih
        biases = [module.bias_ih, module.bias_hh]
    else:
        weight, inputs, biases = module.weight, module.input_weight, [module.bias]
    magnitude = np.abs(np.asarray(weight, np.float64))
    columns = np.abs(np.asarray(inputs, np.float64))
    constant = Ball.exact(columns) @ np.full(columns.shape[1], input_bound)
    for bias in biases:
        constant = constant + np.abs(np.asarray(bias, np.float64))
    return _Layer(
        module.activation,
        isinstance(module, Elman) or module.form is Form.FIRING_RATE,
        place,
        Ball.exact(magnitude),
        _spread(magnitude, _scale(metric, place)),
        constant,
        len(magnitude) + columns.shape[1] + 4,
    )


def _scale(metric: Metric, place: slice | None) -> Vector | None:
    """The metric's scale at these units; `None` if it is not diagonal, where entries must do."""
    if not isinstance(metric, DiagonalMetric):
        return None
    scale = np.asarray(metric.scale, np.float64)
    return scale if place is None else scale[place]


def _spread(magnitude: Square, scale: Vector | None) -> float:
    """An upper bound of `|S X S^-1|_2` for all matrices of these magnitudes.

    `|X|_2^2 <= max_i (X^T X v)_i / v_i` for every positive `v` (Collatz and Wielandt).
    """
    if scale is None:
        return float("inf")
    V = whiten(Ball.exact(magnitude), scale)
    upper = V.upper()
    v = np.ones(len(magnitude))
    if not (np.isfinite(upper).all() and upper.max(initial=0.0) > 0):
        return 0.0 if not upper.any() else float("inf")
    with np.errstate(all="ignore"):
        for _ in range(_POWER_STEPS):
            image = upper.T @ (upper @ v)
            v = np.maximum(image / image.max(), 1e-3)
    if not np.isfinite(v).all():
        return float("inf")
    ratios = (V.T @ (V @ v)) / Ball.exact(v)
    return product_upper(_root(Ball.exact(ratios.upper().max())), _SLACK)


def _drive(
    step: RoundedStep, layer: _Layer, radius: float, error: float
) -> tuple[Size, Size, Size]:
    """`W phi(x) + B u + b` or `phi(W x + B u + b)`: its size, its error, its size at state 0."""
    scale = _scale(step.metric, layer.place)
    steepest, share = _steepest(layer), radius / len(step.layers) ** 0.5
    states = Size(step.reach[layer.place] * radius, 1.0, 0.0)
    constant = _fixed(layer.constant, scale)
    matrix = (layer.weight, layer.spread)
    if layer.firing:
        argument = _settled(_plus(_apply(matrix, states), constant), scale, share)
        slip = _rounded(_times(argument, 0.0), argument, layer.terms, scale)
        size = _settled(_values(layer, _plus(argument, slip), scale), scale, share)
        erred = _plus(_times(slip, steepest), _relative(size, error, scale))
        return size, erred, _values(layer, constant, scale)
    value = _settled(_values(layer, states, scale), scale, share)
    slip = _relative(value, error, scale)
    size = _settled(_plus(_apply(matrix, _plus(value, slip)), constant), scale, share)
    erred = _rounded(_apply(matrix, slip), size, layer.terms, scale)
    resting = _fixed(Ball.exact(np.full(len(layer.constant), layer.activation.at_zero)), scale)
    return size, erred, _plus(_apply(matrix, resting), constant)


def _values(layer: _Layer, argument: Size, scale: Vector | None) -> Size:
    """`|phi|` where the argument is at most this large."""
    steepest, at_zero = _steepest(layer), layer.activation.at_zero
    reached = (argument.entries * steepest + at_zero).upper()
    entries = Ball.exact(np.minimum(reached, layer.activation.supremum))
    still = _fixed(Ball.exact(np.full(len(entries), at_zero)), scale)
    offset = sum_upper(product_upper(argument.offset, steepest), still.offset)
    return Size(entries, product_upper(argument.slope, steepest), offset)


def _steepest(layer: _Layer) -> float:
    lowest, highest = layer.activation.slope_interval or (np.inf, np.inf)
    return max(abs(lowest), abs(highest))


def _fixed(entries: Ball, scale: Vector | None) -> Size:
    """A vector that does not depend on the state."""
    offset = float("inf") if scale is None else _length(Ball.exact(scale) * entries)
    return Size(entries, 0.0, offset)


def _settled(size: Size, scale: Vector | None, radius: float) -> Size:
    """The norm from the entries, where that is less than the norm by products.

    `radius` is the part's share of the ball: equal parts have the root of their number less.
    """
    alone = _fixed(size.entries, scale)
    by_norm = sum_upper(product_upper(size.slope, radius), size.offset)
    return alone if alone.offset < by_norm else size


def _plus(first: Size, second: Size) -> Size:
    return Size(
        first.entries + second.entries,
        sum_upper(first.slope, second.slope),
        sum_upper(first.offset, second.offset),
    )


def _times(size: Size, number: float) -> Size:
    slope, offset = (product_upper(part, number) for part in (size.slope, size.offset))
    return Size(size.entries * number, slope, offset)


def _weigh(weights: Vector, size: Size) -> Size:
    """`weights * v`, entry by entry."""
    largest = float(weights.max())
    slope, offset = (product_upper(part, largest) for part in (size.slope, size.offset))
    return Size(size.entries * weights, slope, offset)


def _apply(matrix: tuple[Ball, float], size: Size) -> Size:
    """`|A| v`."""
    magnitude, spread = matrix
    slope, offset = (product_upper(part, spread) for part in (size.slope, size.offset))
    return Size(magnitude @ size.entries, slope, offset)


def _relative(size: Size, error: float, scale: Vector | None) -> Size:
    """The error of an activation with values of this size."""
    flushed = _fixed(Ball.exact(np.full(len(size.entries), _UNDERFLOW)), scale)
    return _plus(_times(size, error), flushed)


def _rounded(carried: Size, result: Size, terms: int, scale: Vector | None) -> Size:
    """An error carried into a sum of so many products, and that of adding them up."""
    gamma = Ball.exact(terms * _UNIT) / (1 - Ball.exact(terms * _UNIT))
    own = _times(result, float(gamma.upper()))
    lost = _fixed(Ball.exact(np.full(len(result.entries), terms * _UNDERFLOW)), scale)
    return _plus(_plus(carried, own), lost)


def _join(step: RoundedStep, parts: list[Size], radius: float) -> Size:
    """The parts of one vector, one after the other: `sum_i (a_i r_i + c_i)^2`, `sum_i r_i^2 = r^2`.

    By the triangle inequality, its root is at most `max a_i r + sqrt(sum_i c_i^2)`.
    """
    mid = np.concatenate([part.entries.mid for part in parts])
    rad = np.concatenate([part.entries.rad for part in parts])
    offsets = np.array([part.offset for part in parts])
    offset = _length(Ball.exact(offsets)) if np.isfinite(offsets).all() else float("inf")
    whole = Size(Ball(mid, rad), max(part.slope for part in parts), offset)
    return _settled(whole, _scale(step.metric, None), radius)
