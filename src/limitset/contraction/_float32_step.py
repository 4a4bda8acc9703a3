"""One float32 step of a certified map: its rounding error, and a ball that it maps into itself."""

from collections.abc import Callable

import numpy as np

from limitset.contraction._certificate import Certificate
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._rounding import RoundedMap, Step, rounded_step, step_bounds
from limitset.contraction._rounding_composite import composite_step
from limitset.contraction._rounding_gated import gated_step, recurrence_step
from limitset.contraction._rounding_ren import ren_step
from limitset.contraction._size import Inputs, Metric, Reach, norm_of, reach_of
from limitset.dynamics import ExponentialAssemblyMap, RateMap, SemiImplicitMap
from limitset.networks import Elman

Analysis = Callable[[float], Reach]


def local_step(certificate: Certificate, inputs: Inputs, error: float) -> Analysis | None:
    """What one step does to the ball of a given radius; `None` for maps without an analysis.

    `error` is the relative error of activations that float32 does not compute exactly.
    """
    for analyse in (rate_step, gated_step, recurrence_step, ren_step):
        step = analyse(certificate, inputs, error)
        if step is not None:
            return step
    return composite_step(certificate, inputs, error, local_step)


def smallest_ball(step: Analysis) -> tuple[float, Reach] | None:
    """A small ball that float32 runs do not leave, and what a step does to it."""
    radius, growth = 1e-2, 2.0
    for _ in range(128):
        found = step(radius)
        reached = sum_upper(found.reached, found.rounding)
        if not np.isfinite(reached):
            return None
        # What is reached grows slower than the radius, so that some geometric step passes it.
        if reached <= radius:
            if growth < 2 or radius == 1e-2:
                return radius, found
            radius, growth = radius / 2, 1.15
        radius *= growth
    return None


def rate_step(certificate: Certificate, inputs: Inputs, error: float) -> Analysis | None:
    """The analysis of maps of rate networks and assemblies, and of Elman cells."""
    system, metric = certificate.system, certificate.metric
    if not isinstance(system, RoundedMap) or not isinstance(metric, Metric):
        return None
    states = reach_of(metric)
    if states is None:
        return None
    step = rounded_step(system, metric, states, inputs)

    def reach(radius: float) -> Reach:
        bounds = step_bounds(step, radius, error)
        # Two bounds of the exact step: by contraction towards F(0, u), and by the linear part with
        # the drive bounded as a whole, which is far better for bounded activations.
        moved = norm_of(bounds.at_zero, metric, radius)
        by_factor = sum_upper(product_upper(certificate.factor or 0.0, radius), moved)
        by_drive = _linear_reach(certificate, system, bounds, radius)
        return Reach(norm_of(bounds.error, metric, radius), min(by_factor, by_drive), moved)

    return reach


def _linear_reach(
    certificate: Certificate, system: RoundedMap, bounds: Step, radius: float
) -> float:
    """A bound of `|F(x, u)|_M` from the linear part and a drive that stays below its bound.

    Norms of stored matrices are those of the certificate: without them it is infinite. Maps of
    networks keep one share of all units, so that the kind of metric does not matter.
    """
    metric, norms = certificate.metric, certificate.coupling_bounds
    if not isinstance(metric, Metric):
        return float("inf")
    driven = norm_of(bounds.driven, metric, radius)
    if isinstance(system, Elman):
        return driven
    if isinstance(system, RateMap):
        return sum_upper(product_upper(abs(float(system.keep)), radius), driven)
    if certificate.theorem != "skew_feedback":
        return float("inf")
    if isinstance(system, ExponentialAssemblyMap):
        driven = product_upper(norms[1], driven)
    if isinstance(system, SemiImplicitMap):
        kept = float(np.abs(np.asarray(system.keep, np.float64)).max())
        return product_upper(norms[0], sum_upper(product_upper(kept, radius), driven))
    return sum_upper(product_upper(norms[0], radius), driven)
