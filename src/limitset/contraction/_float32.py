"""What rounding does to a contracting map that runs in float32."""

from dataclasses import dataclass

import jax
import numpy as np

from limitset.contraction._certificate import Certificate, Float32Gap
from limitset.contraction._layer import Vector, product_upper, sum_upper
from limitset.contraction._metric import DiagonalMetric, QuadraticMetric
from limitset.dynamics import RateMap, SemiImplicitMap
from limitset.networks import (
    IDENTITY,
    RELU,
    Activation,
    Elman,
    Form,
    RateNetwork,
    module_slices,
)
from limitset.proofs import Ball, NotVerified, verified_inverse

_Metric = DiagonalMetric | QuadraticMetric
_UNIT = 2.0**-24
# Any product, sum or activation that underflows errs by less than this, flushed or not.
_UNDERFLOW = 2.0**-120
# Relative error of float32 activations, as assumed of the runtime: 32 units in the last place.
# tests/contraction/test_float32.py measures it over all magnitudes.
ACTIVATION_ERROR = 2.0**-19


@dataclass(frozen=True)
class _Drive:
    """Componentwise bounds of a drive: its size, its rounding error, its value at state 0."""

    size: Ball
    error: Ball
    at_zero: Ball


@dataclass(frozen=True)
class _Step:
    """Componentwise bounds: result, its rounding error, its value at state 0, `gain * drive`."""

    size: Ball
    error: Ball
    at_zero: Ball
    driven: Ball


def float32_gap(certificate: Certificate, input_bound: float) -> Float32Gap | None:
    """How far apart two float32 runs of one input can stay, for a certified float32 map.

    One step of a float32 run is the exact step plus an error `e` with `|e|_M <= rounding`, as long
    as `|x|_M <= state_radius` and `|u_j| <= input_bound`; and the rounded map sends that ball into
    itself. Then two runs obey `d <- factor d + 2 rounding`. Every quantity is rounded upward.

    **Returns:** the bound, or `None` for flows, for maps that are not float32 throughout, for maps
    whose explicit matrices have no such analysis here, and where no radius is found.
    """
    system, factor = certificate.system, certificate.factor
    metric = certificate.metric
    if factor is None or not isinstance(metric, DiagonalMetric | QuadraticMetric):
        return None
    if not isinstance(system, RateMap | SemiImplicitMap | Elman) or not _is_float32(system):
        return None
    reach = _reach(metric)
    if reach is None:
        return None
    exact = all(m.activation in (RELU, IDENTITY) for m, _, _ in _modules(system))
    error = 0.0 if exact else ACTIVATION_ERROR
    # Semi-implicit maps have one coupling bound, the propagator's; the others need none.
    amplification = certificate.coupling_bounds[0] if certificate.coupling_bounds else 1.0
    if isinstance(system, SemiImplicitMap) and not certificate.coupling_bounds:
        amplification = float("inf")
    radius = 1e-2
    for _ in range(100):
        step = _step(system, reach * radius, input_bound, error)
        rounding = _norm(step.error, metric)
        linear = _linear_reach(system, step, metric, amplification)
        # Two bounds of the exact step: by contraction towards F(0, u), and by the linear part with
        # the drive bounded as a whole, which is far better for bounded activations.
        by_factor = sum_upper(product_upper(factor, radius), _norm(step.at_zero, metric))
        by_drive = sum_upper(product_upper(linear[0], radius), linear[1])
        reached = sum_upper(min(by_factor, by_drive), rounding)
        if not np.isfinite(reached):
            return None
        if reached <= radius:
            gap = Ball.exact(2 * rounding) / (1 - Ball.exact(factor))
            return Float32Gap(input_bound, error, radius, rounding, float(gap.upper()))
        # Both bounds grow slower than the radius, so that some geometric step passes them.
        radius *= 1.15
    return None


def _linear_reach(
    system: RateMap | SemiImplicitMap | Elman, step: _Step, metric: _Metric, amplification: float
) -> tuple[float, float]:
    """`(a, d)` with `|F(x, u)|_M <= a |x|_M + d` while the drive stays below its bound.

    Without a bound of the propagator it is infinite; other maps keep one share of all units, so
    that the kind of metric does not matter.
    """
    kept = max(float(np.abs(keep).max()) for _, _, (keep, _) in _modules(system))
    driven = product_upper(amplification, _norm(step.driven, metric))
    return product_upper(amplification, kept), driven


def _is_float32(system: RateMap | SemiImplicitMap | Elman) -> bool:
    return all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(system))


def _modules(
    system: RateMap | SemiImplicitMap | Elman,
) -> list[tuple[RateNetwork | Elman, slice, tuple[Vector, Vector]]]:
    """Each layer with its place in the state and its keep and gain."""
    if isinstance(system, SemiImplicitMap):
        keep, gain = (np.asarray(c, np.float64) for c in (system.keep, system.gain))
        places = module_slices(system.assembly)
        return [
            (m, s, (keep[s], gain[s])) for m, s in zip(system.assembly.modules, places, strict=True)
        ]
    size = system.state_size
    if isinstance(system, RateMap):
        constants = np.full(size, float(system.keep)), np.full(size, float(system.gain))
        return [(system.network, slice(0, size), constants)]
    return [(system, slice(0, size), (np.zeros(size), np.ones(size)))]


def _step(
    system: RateMap | SemiImplicitMap | Elman, states: Ball, input_bound: float, error: float
) -> _Step:
    steps = []
    for module, place, (keep, gain) in _modules(system):
        driven = _drive(module, states[place], input_bound, error)
        size = states[place] * np.abs(keep) + (driven.size + driven.error) * np.abs(gain)
        rounding = driven.error * np.abs(gain) + size * _gamma(4) + 4 * _UNDERFLOW
        driven_step = driven.size * np.abs(gain)
        steps.append(_Step(size, rounding, driven.at_zero * np.abs(gain), driven_step))
    local = _Step(
        _join([s.size for s in steps]),
        _join([s.error for s in steps]),
        _join([s.at_zero for s in steps]),
        _join([s.driven for s in steps]),
    )
    if not isinstance(system, SemiImplicitMap):
        return local
    propagator = Ball.exact(np.abs(np.asarray(system.propagator, np.float64)))
    terms = system.state_size + 1
    size = propagator @ (local.size + local.error)
    rounding = propagator @ local.error + size * _gamma(terms) + terms * _UNDERFLOW
    return _Step(size, rounding, propagator @ local.at_zero, local.driven)


def _drive(module: RateNetwork | Elman, states: Ball, input_bound: float, error: float) -> _Drive:
    """Bounds of `W phi(x) + B u + b` or `phi(W x + B u + b)` for `|x| <= states`."""
    if isinstance(module, Elman):
        weight, inputs = module.weight_hh, module.weight_ih
        bias = np.abs(np.asarray(module.bias_ih, np.float64)) + Ball.exact(
            np.abs(np.asarray(module.bias_hh, np.float64))
        )
        firing = True
    else:
        weight, inputs = module.weight, module.input_weight
        bias = Ball.exact(np.abs(np.asarray(module.bias, np.float64)))
        firing = module.form is Form.FIRING_RATE
    matrix = Ball.exact(np.abs(np.asarray(weight, np.float64)))
    columns = np.abs(np.asarray(inputs, np.float64))
    constant = Ball.exact(columns) @ np.full(columns.shape[1], input_bound) + bias
    terms = matrix.shape[0] + columns.shape[1] + 4
    activation = module.activation
    steepest = max(abs(s) for s in activation.slope_interval or (np.inf, np.inf))
    if firing:
        argument = matrix @ states + constant
        slip = argument * _gamma(terms) + terms * _UNDERFLOW
        size = _values(activation, (argument + slip) * steepest)
        rounding = slip * steepest + size * error + _UNDERFLOW
        return _Drive(size, rounding, _values(activation, constant * steepest))
    value = _values(activation, states * steepest)
    slip = value * error + _UNDERFLOW
    size = matrix @ (value + slip) + constant
    rounding = matrix @ slip + size * _gamma(terms) + terms * _UNDERFLOW
    resting = Ball.exact(np.full(matrix.shape[0], activation.at_zero))
    return _Drive(size, rounding, matrix @ resting + constant)


def _values(activation: Activation, excursion: Ball) -> Ball:
    """Upper bounds of `|phi|` where the argument's image moves at most this far from `phi(0)`."""
    reached = (excursion + activation.at_zero).upper()
    return Ball.exact(np.minimum(reached, activation.supremum))


def _gamma(terms: int) -> Ball:
    """`k u / (1 - k u)`: relative error of k roundings."""
    return Ball.exact(terms * _UNIT) / (1 - Ball.exact(terms * _UNIT))


def _join(balls: list[Ball]) -> Ball:
    return Ball(np.concatenate([b.mid for b in balls]), np.concatenate([b.rad for b in balls]))


def _reach(metric: _Metric) -> Ball | None:
    """Bounds of `|x_i|` where `|x|_M <= 1`: `1 / scale_i`, or the root of `(M^-1)_ii`."""
    if isinstance(metric, DiagonalMetric):
        return 1.0 / Ball.exact(np.asarray(metric.scale, np.float64))
    try:
        inverse = verified_inverse(Ball.exact(np.asarray(metric.matrix, np.float64)))
    except NotVerified:
        return None
    return Ball.exact(np.diagonal(inverse.upper()).copy()).sqrt()


def _norm(vector: Ball, metric: _Metric) -> float:
    """An upper bound of `|v|_M` for all `v` with entries below those of the vector."""
    if isinstance(metric, DiagonalMetric):
        weighted = Ball.exact(np.asarray(metric.scale, np.float64)) * vector
        square = weighted @ weighted
    else:
        form = Ball.exact(np.abs(np.asarray(metric.matrix, np.float64)))
        square = vector @ (form @ vector)
    # From the upper end: the ball of a tiny square may reach below zero.
    upper = float(square.upper())
    return float(Ball.exact(upper).sqrt().upper()) if np.isfinite(upper) else float("inf")
