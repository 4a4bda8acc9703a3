"""The absolute-value and singular-value theorems: one layer of units, flow or map."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._layer import (
    Layer,
    Vector,
    gain_bound,
    gain_map_bound,
    layer_of,
    map_bound,
    measure_bound,
)
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._search import absolute_metric, singular_metric
from limitset.contraction._theorem import AbstractTheorem, diagonal_scale
from limitset.dynamics import RateMap
from limitset.networks import Elman, RateNetwork
from limitset.proofs import Ball


@dataclass(frozen=True)
class Bound:
    """A verified bound of one layer, the theorem it comes from, and what it does to the system.

    `bound` is of the slope-weighted weights (flows) or of the whole map; `value` is the rate or
    factor that follows.
    """

    theorem: str
    bound: float
    value: float


class AbsoluteValue(AbstractTheorem):
    """Contraction from absolute values of the weights, in a diagonal metric.

    Hypotheses, for `tau x' = -leak x + W phi(x) + u` or `-leak x + phi(W x + u)`:

    1. The slopes of `phi` lie in a known interval `[lo, hi]`.
    2. With `A_ij = max(|lo|, |hi|) |w_ij|` off the diagonal and the worst signed self-weight
       `max(lo w_ii, hi w_ii)` on it, `sym(S A S^-1) < leak` for the metric `diag(scale^2)`.

    Then `rate = (leak - lambda_max(sym(S A S^-1))) / tau`. The best rate over all metrics is
    `(leak - abscissa(A)) / tau`. For a map `x+ = keep x + gain drive`, the 2-norm of the entrywise
    majorant of its whitened Jacobian is the factor.

    **Reference:** arXiv 2106.08928, theorem 1.
    """

    @property
    def name(self) -> str:
        """`"absolute_value"`."""
        return "absolute_value"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Rate networks, their maps, and Elman cells."""
        return isinstance(system, RateNetwork | RateMap | Elman)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, or in the best diagonal metric if it is `None`."""
        return _apply(self.name, system, metric, absolute_metric)


class SingularValue(AbstractTheorem):
    """Contraction from the largest singular value of the weights, in a diagonal metric.

    Hypotheses, for the same systems as `AbsoluteValue`:

    1. The slopes of `phi` lie in a known interval; `g` is the largest in absolute value.
    2. `g |S W S^-1|_2 < leak` for the metric `diag(scale^2)`.

    Then `rate = (leak - g |S W S^-1|_2) / tau`; a map `x+ = keep x + gain drive` has the factor
    `|keep| + |gain| g |S W S^-1|_2`. The metric is sought by convex optimisation.

    **Reference:** arXiv 2106.08928, theorem 5; arXiv 2604.15238, lemma 13.
    """

    @property
    def name(self) -> str:
        """`"singular_value"`."""
        return "singular_value"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Rate networks, their maps, and Elman cells."""
        return isinstance(system, RateNetwork | RateMap | Elman)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, or in a nearly best diagonal metric if it is `None`."""
        return _apply(self.name, system, metric, singular_metric)


def flow_bound(theorem: str, network: RateNetwork, layer: Layer, scale: Vector) -> Bound:
    """The rate of one rate network in a given metric, rounded down."""
    bound = (measure_bound if theorem == "absolute_value" else gain_bound)(layer, scale)
    if not np.isfinite(bound):
        return Bound(theorem, bound, -np.inf)
    leak, time_constant = float(network.leak), float(network.time_constant)
    if not time_constant > 0:
        return Bound(theorem, bound, -np.inf)
    rate = (Ball.exact(leak) - bound) / Ball.exact(time_constant)
    return Bound(theorem, bound, float(rate.lower()))


def step_bound(theorem: str, layer: Layer, scale: Vector, keep: Vector, gain: Vector) -> Bound:
    """The factor of `keep x + gain drive` in a given metric, rounded up."""
    bound = (map_bound if theorem == "absolute_value" else gain_map_bound)(layer, scale, keep, gain)
    return Bound(theorem, bound, bound)


def _apply(
    theorem: str,
    system: AbstractFlow | AbstractMap,
    metric: AbstractMetric | None,
    search: Callable[[Layer], Vector],
) -> Certificate | Unknown:
    network = system.network if isinstance(system, RateMap) else system
    if not isinstance(network, RateNetwork | Elman):
        return Unknown(f"{theorem} speaks of rate networks and Elman cells only")
    layer = layer_of(network)
    if layer is None:
        return Unknown(f"the slopes of {network.activation.name!r} have no proved bound")
    scale = search(layer) if metric is None else diagonal_scale(metric, network.state_size)
    if scale is None:
        return Unknown(f"{theorem} needs a diagonal metric")
    used = DiagonalMetric(jnp.asarray(scale))
    if isinstance(system, RateNetwork):
        bound = flow_bound(theorem, system, layer, scale)
        if not bound.value > 0:
            return Unknown(
                f"the bound {bound.bound:.6g} is not below the leak {float(system.leak):.6g}"
            )
        return Certificate(system, theorem, used, bound.value, None, (theorem,), (bound.bound,))
    keep, gain = _constants(system)
    bound = step_bound(theorem, layer, scale, keep, gain)
    if not bound.value < 1:
        return Unknown(f"the factor per step is bounded by {bound.value:.6g}, not below 1")
    return Certificate(system, theorem, used, None, bound.value, (theorem,), (bound.bound,))


def _constants(system: AbstractFlow | AbstractMap) -> tuple[Vector, Vector]:
    size = system.state_size
    if isinstance(system, RateMap):
        return np.full(size, float(system.keep)), np.full(size, float(system.gain))
    return np.zeros(size), np.ones(size)
