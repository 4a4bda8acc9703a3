"""The drives of rate networks and Elman cells in float32: sizes, errors, sizes at state 0."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float

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
)
from limitset.networks import Activation, Elman, Form, RateNetwork
from limitset.proofs import Ball


@dataclass(frozen=True)
class Layer:
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
class Units:
    """All units in a metric, layer by layer; `reach` bounds their states where the norm is 1."""

    metric: Metric
    layers: tuple[Layer, ...]
    reach: Ball


def gather_units(
    modules: Sequence[tuple[RateNetwork | Elman, slice]],
    metric: Metric,
    reach: Ball,
    inputs: Inputs,
) -> Units:
    """What `drive_bounds` needs of modules and their places."""
    return Units(metric, tuple(_layer(*pair, metric, inputs) for pair in modules), reach)


def magnitude_of(matrix: Float[Array, "n n"], metric: Metric) -> tuple[Ball, float]:
    """Magnitudes of a stored matrix of all units, and their norm."""
    magnitude = np.abs(np.asarray(matrix, np.float64))
    return Ball.exact(magnitude), spread_of(magnitude, scale_of(metric))


def drive_bounds(
    units: Units, layer: Layer, radius: float, error: float
) -> tuple[Size, Size, Size]:
    """`W phi(x) + B u + b` or `phi(W x + B u + b)`: its size, its error, its size at state 0."""
    scale = scale_of(units.metric, layer.place)
    steepest, share = steepest_of(layer.activation), radius / len(units.layers) ** 0.5
    states = Size(units.reach[layer.place] * radius, 1.0, 0.0)
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


def join(units: Units, parts: list[Size], radius: float) -> Size:
    """The parts of one vector, one after the other: `sum_i (a_i r_i + c_i)^2`, `sum_i r_i^2 = r^2`.

    By the triangle inequality, its root is at most `max a_i r + sqrt(sum_i c_i^2)`.
    """
    mid = np.concatenate([part.entries.mid for part in parts])
    rad = np.concatenate([part.entries.rad for part in parts])
    offsets = np.array([part.offset for part in parts])
    offset = length(Ball.exact(offsets)) if np.isfinite(offsets).all() else float("inf")
    whole = Size(Ball(mid, rad), max(part.slope for part in parts), offset)
    return settled(whole, scale_of(units.metric, None), radius)


def _layer(module: RateNetwork | Elman, place: slice, metric: Metric, inputs: Inputs) -> Layer:
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
    return Layer(
        module.activation,
        isinstance(module, Elman) or module.form is Form.FIRING_RATE,
        place,
        Ball.exact(magnitude),
        spread_of(magnitude, scale_of(metric, place)),
        constant,
        Ball.exact(columns) @ inputs.error,
        len(magnitude) + columns.shape[1] + 4,
    )
