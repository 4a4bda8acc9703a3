"""How fast a fixed point is left: the rightmost point of the bulk of its spectrum."""

import enum
import math
from dataclasses import dataclass, field

import jax.numpy as jnp
from scipy.special import ndtr, ndtri

from limitset._result import Evidence
from limitset.meanfield._fixed_points import MeanFieldPoint
from limitset.meanfield._spectral_law import spectrum_at
from limitset.meanfield._spectrum import right_end


class Stability(enum.Enum):
    """What the stability number says, and what it says of the units whose update gates are open.

    `MARGINAL`: unstable for every update gain, but at a rate that falls exponentially as that gain
    grows.
    """

    STABLE = "stable"
    MARGINAL = "marginal"
    UNSTABLE = "unstable"


@dataclass(frozen=True)
class LeadingEdge:
    """The rightmost point of the bulk, and what becomes of it as update gates become switches.

    **Arguments:**

    - `rate`: the largest real part, per unit of time, from the boundary for n -> infinity. With an
      update gain it is 0 at a stable point, since there are units with gates as shut as one likes.
    - `asymptotic_rate`: its leading term for large update gains, or NaN where there is none: at
      stable points, and for constant update gates.
    - `open_fraction`: the part of the units whose update gate hears enough to be open, `f1`; 1 for
      a constant gate.
    - `open_stability_number`: `K f1`, what decides about switches.
    - `stability`: the class. Near `K f1 = 1` rounding of eigenvalues could not tell it.
    """

    rate: float
    asymptotic_rate: float
    open_fraction: float
    open_stability_number: float
    stability: Stability
    evidence: Evidence = field(default=Evidence.FLOAT64)


def leading_edge(point: MeanFieldPoint) -> LeadingEdge:
    """The growth rate at a fixed point, exact and for large update gains.

    The exact one is the largest real `l` with spectral radius 1. For large update gains it is, with
    `f1 = P(update_gain z + update_bias > 0)` and `PhiInverse` the normal quantile,

        logit(l) = update_bias + update_gain sqrt(gate_variance) PhiInverse(1 - 1 / K)   if K f1 < 1
        l = sqrt(K f1) - 1                                                               if K f1 > 1

    **Arguments:** `point`, as from `fixed_points`.

    **Returns:** a `LeadingEdge`; asymptotic for n -> infinity, in float64.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> from limitset.meanfield import fixed_points
    >>> ensemble = GatedParameters(gain=3.0, update_gain=10.0, open_output=True)
    >>> edge = leading_edge(fixed_points(ensemble)[-1])
    >>> round(edge.rate, 5), edge.stability.value
    (0.05121, 'marginal')

    **Reference:** arXiv 2007.14823.
    """
    open_fraction = _open_fraction(point)
    number = point.stability_number * open_fraction
    if point.is_stable:
        stability = Stability.STABLE
    else:
        stability = Stability.MARGINAL if number < 1 else Stability.UNSTABLE
    return LeadingEdge(
        right_end(spectrum_at(point)),
        _asymptotic_rate(point, number, stability),
        open_fraction,
        number,
        stability,
    )


def _spread(point: MeanFieldPoint) -> float:
    """The standard deviation of the update gate's argument."""
    p = point.parameters
    return 0.0 if p.open_update else abs(float(p.update_gain)) * math.sqrt(point.gate_variance)


def _open_fraction(point: MeanFieldPoint) -> float:
    spread = _spread(point)
    return float(ndtr(float(point.parameters.update_bias) / spread)) if spread > 0 else 1.0


def _asymptotic_rate(point: MeanFieldPoint, number: float, stability: Stability) -> float:
    if stability is Stability.STABLE or _spread(point) == 0:
        return math.nan
    if stability is Stability.UNSTABLE:
        return math.sqrt(number) - 1
    quantile = float(ndtri(1 - 1 / point.stability_number))
    argument = float(point.parameters.update_bias) + _spread(point) * quantile
    return float(point.parameters.nonlinearity.gate(jnp.asarray(argument)))
