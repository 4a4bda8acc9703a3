"""The error of one float32 step of backward Euler, whose residual is as small as the run has it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context, Decimal

import numpy as np

from limitset.contraction._certificate import Certificate
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._rounding_drive import (
    Layer,
    Units,
    drive_bounds,
    gather_units,
    join,
    magnitude_of,
)
from limitset.contraction._size import (
    FARTHEST,
    MOST,
    Inputs,
    Metric,
    Reach,
    Size,
    apply,
    fixed,
    norm_of,
    plus,
    reach_of,
    rounded,
    scale_of,
    times,
)
from limitset.dynamics import ImplicitMap
from limitset.networks import Assembly, RateNetwork, module_slices
from limitset.proofs import Ball

Analysis = Callable[[float], Reach]
# A quotient counts as so many roundings: as what some machines put in its place, too.
_QUOTIENT = 4


@dataclass(frozen=True)
class Equation:
    """`x+ - step f(x+, u) = x`, with magnitudes of its numbers.

    `leaks` and `speeds`, which are inverse time constants rounded up, are those of the layers.
    """

    units: Units
    leaks: tuple[float, ...]
    speeds: tuple[float, ...]
    coupling: tuple[Ball, float] | None
    step: float


@dataclass(frozen=True)
class Bounds:
    """Of the error of an evaluated residual; of `f(0, u)`; and of `f` without leak and coupling."""

    error: Size
    at_zero: Size
    driven: Size


def implicit_step(certificate: Certificate, inputs: Inputs, error: float) -> Analysis | None:
    """What a step of backward Euler does to a ball, if its residual stays below that of the answer.

    With the residual `r`, the state that is reached is within `factor |r|_M` of the exact one, as
    `v -> v - step f(v)` expands distances by `1 / factor`. `None` for flows that are neither rate
    networks nor assemblies, and for metrics of blocks.
    """
    system, metric = certificate.system, certificate.metric
    if not isinstance(system, ImplicitMap) or not isinstance(metric, Metric):
        return None
    equation = equation_of(system, metric, inputs)
    if equation is None:
        return None
    kept, states = _kept(certificate, equation.step), equation.units.reach

    # What a solver returns is not in the ball before its residual is known to be small.
    anywhere = replace(equation.units, reach=Ball.exact(np.full(system.state_size, FARTHEST)))
    beyond = residual_bounds(replace(equation, units=anywhere), 1.0, error)
    if not np.isfinite(beyond.error.entries.upper()).all():
        return None

    def reach(radius: float) -> Reach:
        if not (states * radius).upper().max() <= FARTHEST:
            return Reach(float("inf"), float("inf"), float("inf"))
        bounds, factor = residual_bounds(equation, radius, error), certificate.factor or 0.0
        residual = _allowed(bounds.error, equation.units, radius)
        if not np.isfinite(residual):
            return Reach(float("inf"), float("inf"), float("inf"))
        left = fixed(Ball.exact(np.full(system.state_size, residual)), scale_of(metric))
        missed = norm_of(plus(bounds.error, left), metric, radius)
        pushed, driven = (
            product_upper(equation.step, norm_of(size, metric, radius))
            for size in (bounds.at_zero, bounds.driven)
        )
        # By contraction towards F(0, u), or by leak and coupling, the drive bounded as a whole.
        by_factor = product_upper(factor, sum_upper(radius, pushed))
        by_drive = sum_upper(product_upper(kept, radius), product_upper(kept, driven))
        reached = min(by_factor, by_drive)
        return Reach(
            product_upper(factor, missed), reached, product_upper(factor, pushed), residual
        )

    return reach


def _allowed(error: Size, units: Units, radius: float) -> float:
    """The largest entry that this error may have, rounded up to one decimal digit.

    A choice: what runs leave is a part of it.
    """
    norm = norm_of(error, units.metric, radius)
    if not np.isfinite(norm):
        return float("inf")
    number = float(np.minimum(error.entries.upper(), (units.reach * norm).upper()).max())
    decimal = Context(prec=1, rounding=ROUND_CEILING).create_decimal_from_float(number)
    # A claim rounds it down, and should show the digit.
    found = float(decimal)
    return found if Decimal(found) >= decimal else float(np.nextafter(found, np.inf))


def _kept(certificate: Certificate, step: float) -> float:
    """What a step without the drive leaves of a state's norm, at most: leak and coupling alone."""
    flow = certificate.system.flow if isinstance(certificate.system, ImplicitMap) else None
    if not isinstance(flow, RateNetwork | Assembly):
        return float("inf")
    modules = flow.modules if isinstance(flow, Assembly) else (flow,)
    rates = [Ball.exact(float(m.leak)) / Ball.exact(float(m.time_constant)) for m in modules]
    least = Ball.exact(min(float(rate.lower()) for rate in rates))
    if isinstance(flow, Assembly):
        (part,) = certificate.parts
        if part.theorem != "skew_feedback":
            return float("inf")
        least = least - part.coupling_bounds[0]
    expanded = 1.0 + least * step
    return float((1.0 / expanded).upper()) if expanded.lower() > 0 else float("inf")


def equation_of(system: ImplicitMap, metric: Metric, inputs: Inputs) -> Equation | None:
    """What the bounds need, gathered once; `None` for other flows and metrics without an inverse.

    Also where a time constant is so short that what is flushed before division matters.
    """
    reach, flow = reach_of(metric), system.flow
    if reach is None or not isinstance(flow, RateNetwork | Assembly):
        return None
    if isinstance(flow, Assembly):
        modules = list(zip(flow.modules, module_slices(flow), strict=True))
        coupling = magnitude_of(flow.coupling, metric)
    else:
        modules, coupling = [(flow, slice(0, flow.state_size))], None
    constants = [float(module.time_constant) for module, _ in modules]
    if not min(constants) * MOST >= 1:
        return None
    speeds = tuple(float((Ball.exact(1.0) / Ball.exact(tau)).upper()) for tau in constants)
    leaks = tuple(abs(float(module.leak)) for module, _ in modules)
    units = gather_units(modules, metric, reach, inputs)
    return Equation(units, leaks, speeds, coupling, float(system.step))


def residual_bounds(equation: Equation, radius: float, error: float) -> Bounds:
    """For all `x` and `x+` of norm `radius`; `error` is the activations' relative error.

    Outside the ball the error grows no faster than the norm of `x+`: every bound of an entry is
    concave in the radius, and not negative at 0.
    """
    units = equation.units
    scale = scale_of(units.metric)
    rows = zip(units.layers, equation.leaks, equation.speeds, strict=True)
    each = [_velocity(units, *row, radius, error) for row in rows]
    driven, at_zero, velocity, erred = (
        join(units, [part[k] for part in each], radius) for k in range(4)
    )
    states = Size(units.reach * radius, 1.0, 0.0)
    if equation.coupling is not None:
        velocity = plus(velocity, apply(equation.coupling, states))
        erred = rounded(erred, plus(velocity, erred), units.reach.size + 1, scale)
    # Both states are in the ball, each of them with a norm of its own.
    whole = plus(states, states, times(plus(velocity, erred), equation.step))
    return Bounds(rounded(times(erred, equation.step), whole, 3, scale), at_zero, driven)


def _velocity(
    units: Units, layer: Layer, leak: float, speed: float, radius: float, error: float
) -> tuple[Size, Size, Size, Size]:
    """Drive over time constant, the same at 0, and, with the leak, size and error."""
    scale = scale_of(units.metric, layer.place)
    drive, slip, still = drive_bounds(units, layer, radius, error)
    own = Size(units.reach[layer.place] * radius, 1.0, 0.0)
    pulled = plus(drive, slip, times(own, leak))
    erred = rounded(slip, pulled, 2, scale)
    velocity = times(plus(pulled, erred), speed)
    lost = rounded(times(erred, speed), velocity, _QUOTIENT, scale)
    return times(drive, speed), times(still, speed), velocity, lost
