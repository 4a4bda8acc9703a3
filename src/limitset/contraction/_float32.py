"""What rounding does to a contracting map that runs in float32."""

import jax
import numpy as np

from limitset._system import AbstractMap
from limitset.contraction._certificate import Certificate, Float32Gap
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._metric import QuadraticMetric
from limitset.contraction._rounding import (
    Metric,
    RoundedMap,
    Step,
    norm_of,
    rounded_step,
    step_bounds,
)
from limitset.dynamics import EulerAssemblyMap, ExponentialAssemblyMap, RateMap, SemiImplicitMap
from limitset.networks import IDENTITY, RELU, Elman
from limitset.proofs import Ball, NotVerified, verified_inverse

# Relative error of float32 activations, as assumed of the runtime: 32 units in the last place.
# tests/contraction/test_float32.py measures it over all magnitudes.
ACTIVATION_ERROR = 2.0**-19


def float32_gap(certificate: Certificate, input_bound: float) -> Float32Gap | None:
    """How far apart two float32 runs of one input can stay, for a certified float32 map.

    One step of a float32 run is the exact step plus an error `e` with `|e|_M <= rounding`, as long
    as `|x|_M <= state_radius` and `|u_j| <= input_bound`; and the rounded map sends that ball into
    itself. Then two runs obey `d <- factor d + 2 rounding`. Every quantity is rounded upward.

    **Returns:** the bound, or `None` for flows, for maps that are not float32 throughout, for maps
    that solve equations or are of other kinds, and where no radius is found.
    """
    system, factor = certificate.system, certificate.factor
    metric = certificate.metric
    if factor is None or not isinstance(metric, Metric):
        return None
    if not isinstance(system, RoundedMap) or not _is_float32(system):
        return None
    reach = reach_of(metric)
    step = None if reach is None else rounded_step(system, metric, reach, input_bound)
    if step is None:
        return None
    error = 0.0 if _is_exact(system) else ACTIVATION_ERROR
    radius = 1e-2
    for _ in range(100):
        bounds = step_bounds(step, radius, error)
        rounding = norm_of(bounds.error, metric, radius)
        # Two bounds of the exact step: by contraction towards F(0, u), and by the linear part with
        # the drive bounded as a whole, which is far better for bounded activations.
        moved = norm_of(bounds.at_zero, metric, radius)
        by_factor = sum_upper(product_upper(factor, radius), moved)
        by_drive = _linear_reach(certificate, system, bounds, radius)
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


def _is_float32(system: AbstractMap) -> bool:
    return all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(system))


def _is_exact(system: RoundedMap) -> bool:
    """Whether float32 computes all activations without error."""
    if isinstance(system, SemiImplicitMap | EulerAssemblyMap | ExponentialAssemblyMap):
        networks = list(system.assembly.groups)
    else:
        networks = [system.network if isinstance(system, RateMap) else system]
    return all(network.activation in (RELU, IDENTITY) for network in networks)


def reach_of(metric: Metric) -> Ball | None:
    """Bounds of `|x_i|` where `|x|_M <= 1`: `1 / scale_i`, or the root of `(M^-1)_ii`."""
    if not isinstance(metric, QuadraticMetric):
        return 1.0 / Ball.exact(np.asarray(metric.scale, np.float64))
    try:
        inverse = verified_inverse(Ball.exact(np.asarray(metric.matrix, np.float64)))
    except NotVerified:
        return None
    return Ball.exact(np.diagonal(inverse.upper()).copy()).sqrt()
