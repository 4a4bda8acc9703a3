"""The rounding error of one float32 step of gated units and of diagonal recurrences."""

from collections.abc import Callable

import numpy as np

from limitset.contraction._certificate import Certificate
from limitset.contraction._layer import Vector, product_upper, sum_upper
from limitset.contraction._metric import DiagonalMetric
from limitset.contraction._size import (
    LARGEST,
    UNDERFLOW,
    Inputs,
    Reach,
    Size,
    apply,
    check_at_zero,
    error_of,
    fixed,
    length,
    norm_of,
    plus,
    relative,
    root,
    rounded,
    scale_of,
    share_lost,
    spread_of,
    values_of,
    weigh,
)
from limitset.dynamics import GatedMap
from limitset.networks import DiagonalRecurrence, GatedRate
from limitset.proofs import Ball


def gated_step(
    certificate: Certificate, inputs: Inputs, error: float
) -> Callable[[float], Reach] | None:
    """The analysis of `x + h nu(u) (w phi(x) + B u + b - x)`, then of the propagator."""
    system, metric = certificate.system, certificate.metric
    if not isinstance(system, GatedMap) or not isinstance(metric, DiagonalMetric):
        return None
    check_at_zero(system.units.activation)
    gates = _gates(system.units, inputs, error)
    if gates is None:
        return None
    units = _Units(system, metric, inputs, error, gates, certificate.module_bounds[0])
    if system.propagator is None:
        return lambda radius: Reach(
            norm_of(units.error(radius), metric, radius), units.reached(radius), units.pushed[0]
        )
    magnitude = np.abs(np.asarray(system.propagator, np.float64))
    entries, turned = Ball.exact(magnitude), certificate.coupling_bounds[0]
    spread, scale = spread_of(magnitude, scale_of(metric)), scale_of(metric)

    def reach(radius: float) -> Reach:
        erred, moved = units.error(radius), units.reached(radius)
        states = plus(units.crude(radius), erred)
        length_of = sum_upper(moved, norm_of(erred, metric, radius))
        computed = apply((entries, spread), Size(states.entries, 0.0, length_of))
        # An error passes through the propagator itself; what a product loses, through magnitudes.
        carried = apply((entries, turned), erred)
        lost = rounded(carried, computed, len(magnitude) + 1, scale)
        reached, pushed = (product_upper(turned, part) for part in (moved, units.pushed[0]))
        return Reach(norm_of(lost, metric, radius), reached, pushed)

    return reach


class _Units:
    """Gated units before the propagator: what their inputs set, and bounds of their own step."""

    def __init__(
        self,
        system: GatedMap,
        metric: DiagonalMetric,
        inputs: Inputs,
        error: float,
        gates: tuple[Ball, Ball],
        factor: float,
    ) -> None:
        units, self.scale, self.factor = system.units, scale_of(metric), factor
        self.states = 1.0 / Ball.exact(np.asarray(metric.scale, np.float64))
        self.activation = units.activation
        self.activation_error = error_of(units.activation, error)
        self.weight = np.abs(np.asarray(units.self_weight, np.float64))
        step = abs(Ball.exact(float(system.step)))
        self.speeds = (step * gates[0]).upper()
        # The product of step and gate may underflow, and meets the change after that.
        self.slip = (step * gates[1] + UNDERFLOW).upper()
        self.entering, entering_error = _affine(units.input_weight, units.bias, inputs)
        self.entering_error = fixed(entering_error, self.scale)
        self.pushed = _pushed(system, self.entering, self.scale)

    def crude(self, radius: float) -> Size:
        """The exact step, from the magnitudes of its terms."""
        return plus(self._states(radius), weigh(self.speeds, self._change(radius)))

    def error(self, radius: float) -> Size:
        """The error of the units' own step."""
        value = values_of(self.activation, self._states(radius), self.scale)
        wrong = weigh(self.weight, relative(value, self.activation_error, self.scale))
        change, wrong = self._change(radius), plus(wrong, self.entering_error)
        wrong = rounded(wrong, plus(change, wrong), 4, self.scale)
        high = (Ball.exact(self.speeds) + self.slip).upper()
        wrong = plus(weigh(high, wrong), weigh(self.slip, change))
        return rounded(wrong, plus(self.crude(radius), wrong), 4, self.scale)

    def reached(self, radius: float) -> float:
        """The norm of the exact step: by contraction, or by convexity, unit by unit."""
        drift, squares = self.pushed
        by_factor = sum_upper(product_upper(self.factor, radius), drift)
        kept = Ball.exact(self.factor) * radius * radius
        return min(by_factor, root(kept + squares)) if np.isfinite(squares) else by_factor

    def _states(self, radius: float) -> Size:
        return Size(self.states * radius, 1.0, 0.0)

    def _change(self, radius: float) -> Size:
        """`w phi(x) + B u + b - x`."""
        states = self._states(radius)
        value = weigh(self.weight, values_of(self.activation, states, self.scale))
        return plus(value, fixed(self.entering, self.scale), states)


def _gates(units: GatedRate, inputs: Inputs, error: float) -> tuple[Ball, Ball] | None:
    """The gates' largest speeds, and the error of their speeds; `None` if one may overflow."""
    argument, wrong = _affine(units.gate_weight, units.gate_bias, inputs)
    if not (argument + wrong).upper().max() < LARGEST:
        return None
    wrong = wrong * 0.25 + (Ball.exact(error) + UNDERFLOW)
    slowest, fastest = (np.asarray(s, np.float64) for s in (units.slowest, units.fastest))
    span = abs(Ball.exact(fastest) - slowest)
    magnitude = Ball.exact(np.abs(slowest)) + span * (1.0 + wrong)
    largest, slip = np.maximum(slowest, fastest), span * wrong + magnitude * share_lost(4)
    slip = slip + 4 * UNDERFLOW
    if not (Ball.exact(largest) + slip).upper().max() < LARGEST:
        return None
    return Ball.exact(largest), slip


def _affine(weight: object, bias: object, inputs: Inputs) -> tuple[Ball, Ball]:
    """`W u + b` for inputs within their bounds, and its error."""
    terms = inputs.entries.size + 2
    size, carried = entered(weight, bias, inputs)
    return size, carried + size * share_lost(terms) + terms * UNDERFLOW


def entered(weight: object, bias: object, inputs: Inputs) -> tuple[Ball, Ball]:
    """`W u + b` for inputs within their bounds, and what their errors make of it."""
    magnitude = Ball.exact(np.abs(np.asarray(weight, np.float64)))
    size = magnitude @ inputs.entries + np.abs(np.asarray(bias, np.float64))
    return size, magnitude @ inputs.error


def _pushed(system: GatedMap, entering: Ball, scale: Vector | None) -> tuple[float, float]:
    """What inputs add to the units: their norm, and the sum of squares that convexity allows.

    With `|x+| <= m |x| + a k`, `m < 1`: `|x+|^2 <= m |x|^2 + (a k)^2 / (1 - m)`.
    """
    units = system.units
    lowest, highest = units.activation.slope_interval or (-np.inf, np.inf)
    weight = Ball.exact(np.asarray(units.self_weight, np.float64))
    fastest = np.maximum(np.asarray(units.slowest), np.asarray(units.fastest)).astype(np.float64)
    speed = Ball.exact(fastest) * float(system.step)
    drive = abs(speed) * (abs(weight) * units.activation.at_zero + entering)
    ends = [(1.0 - speed * (1.0 - weight * s)).magnitude() for s in (lowest, highest)]
    rest = 1.0 - Ball.exact(np.maximum(*ends))
    scaled = drive if scale is None else drive * scale
    if not rest.certainly_positive().all():
        return length(scaled), float("inf")
    shares = scaled * scaled / rest
    return length(scaled), float((shares @ np.ones(len(fastest))).upper())


def recurrence_step(
    certificate: Certificate, inputs: Inputs, error: float
) -> Callable[[float], Reach] | None:
    """The analysis of `lambda z + B u + b` from a ball of states."""
    del error
    system, metric = certificate.system, certificate.metric
    if not isinstance(system, DiagonalRecurrence) or not isinstance(metric, DiagonalMetric):
        return None
    scale, terms = scale_of(metric), inputs.entries.size + 6
    pushed, wrong = entered(system.input_weight, system.bias, inputs)
    real, imaginary = (np.abs(np.asarray(a, np.float64)) for a in (system.real, system.imaginary))
    both = (Ball.exact(real) + imaginary).upper()
    states = 1.0 / Ball.exact(np.asarray(metric.scale, np.float64))

    def reach(radius: float) -> Reach:
        # Both parts of a unit have one scale: each is at most the sum of the magnitudes.
        turned = weigh(np.tile(both, 2), Size(states * radius, 1.0, 0.0))
        entering = fixed(pushed, scale)
        lost = rounded(fixed(wrong, scale), plus(turned, entering), terms, scale)
        moved = sum_upper(product_upper(certificate.factor or 0.0, radius), entering.offset)
        return Reach(norm_of(lost, metric, radius), moved, entering.offset)

    return reach
