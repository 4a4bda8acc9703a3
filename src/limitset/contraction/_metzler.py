"""Weighted sums and maxima: contraction from the Metzler majorant, with signed self-weights."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._lure import LURE_SYSTEMS, Lure, lure_of
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._polyhedral_metric import MaximumMetric, SumMetric
from limitset.contraction._search import column_scale
from limitset.contraction._theorem import AbstractTheorem, checked_scale
from limitset.proofs import Ball

Square = Float[np.ndarray, "n n"]


class Metzler(AbstractTheorem):
    """Contraction in a weighted 1-norm or maximum norm, where self-weights keep their sign.

    In the norm `sum_i s_i |v_i|` a flow has the rate `c`, or a map the factor `r`, if every
    Jacobian has in every column

        J_jj + sum_{i != j} s_i |J_ij| / s_j <= -c    or    sum_i s_i |J_ij| / s_j <= r,

    and in the norm `max_i s_i |v_i|` the same along rows. Both are convex in the slopes. In the
    Hopfield form a column of the Jacobian depends on one slope, in the firing-rate form a row of
    it, so that the two ends of its interval decide: the sum norm suits the former, the maximum the
    latter. Where a column or row depends on several slopes (firing-rate units behind a propagator,
    assemblies of both forms), entrywise bounds of the Jacobian stand in.

    Hypotheses:

    1. The slopes of every activation lie in a known interval.
    2. The sums above are below 0 (flows) or 1 (maps) at the ends of the slopes.

    For `x' = -x + W phi(x)` with slopes in [0, 1] the best rate is `1 - max(0, a)`, with `a` the
    spectral abscissa of `|W|` with its diagonal signed.

    **Reference:** arXiv 2110.08298.
    """

    @property
    def name(self) -> str:
        """`"metzler"`."""
        return "metzler"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Rate networks, Elman cells, assemblies and their maps."""
        return isinstance(system, LURE_SYSTEMS)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, or in the best norm of the kind that suits the form."""
        if not isinstance(metric, SumMetric | MaximumMetric | None):
            return Unknown("metzler needs a sum or maximum metric")
        lure = lure_of(system)
        if isinstance(lure, str):
            return Unknown(lure)
        continuous = isinstance(system, AbstractFlow)
        kind = MaximumMetric if isinstance(metric, MaximumMetric) else SumMetric
        if metric is None:
            kind = suited_norm(lure)
        majorants = column_majorants(lure, continuous, kind is MaximumMetric)
        if majorants is None:
            return Unknown("the entries of the Jacobian overflow")
        if metric is None:
            scale = column_scale(majorants, rate_unit(lure, continuous))
            metric = kind(jnp.asarray(1 / scale if kind is MaximumMetric else scale))
        weights = Ball.exact(checked_scale(metric.scale, system.state_size))
        bound = column_bound(majorants, 1 / weights if kind is MaximumMetric else weights)
        if continuous and not bound < 0:
            return Unknown(f"the largest column or row has the growth {bound:.6g}, not below 0")
        if not continuous and not 0 <= bound < 1:
            return Unknown(f"the factor per step is bounded by {bound:.6g}, not below 1")
        rate, factor = (-bound, None) if continuous else (None, bound)
        return Certificate(system, self.name, metric, rate, factor, (), ())


def column_majorants(lure: Lure, continuous: bool, transposed: bool) -> tuple[Square, ...] | None:
    """Matrices whose columns bound those of all Jacobians, or of their transposes.

    A column of a Jacobian is a mean of the columns that stand at its place in two Jacobians, the
    slopes at either end; its sums are bounded by theirs. Where columns share slopes, there is one
    matrix of entrywise bounds. Entries off the diagonal are magnitudes, on it flows keep signs.
    """
    lined = _lined(lure, transposed)
    if lined is None:
        middle = (lure.B * (lure.span / 2)) @ lure.C + lure.A
        spread = (abs(lure.B) * (lure.span / 2)) @ abs(lure.C)
        off, own = (abs(middle) + spread).upper(), (middle + spread).upper()
        matrices = [_signed(off, own, continuous)]
    else:
        ends = (lure.A, lure.A + lined)
        matrices = [_signed(end.magnitude(), end.upper(), continuous) for end in ends]
    if not all(np.isfinite(matrix).all() for matrix in matrices):
        return None
    return tuple(matrix.T if transposed else matrix for matrix in matrices)


def rate_unit(lure: Lure, continuous: bool) -> float:
    """What rates or factors are measured by: the fastest decay without slopes, or 1."""
    return float(np.abs(np.diagonal(lure.A.mid)).max()) if continuous else 1.0


def column_bound(majorants: tuple[Square, ...], weights: Ball) -> float:
    """An upper bound of the largest `(w^T M)_j / w_j`; infinite where it overflows."""
    largest = -np.inf
    for matrix in majorants:
        sums = ((weights @ Ball.exact(matrix)) / weights).upper()
        if not np.isfinite(sums).all():
            return float("inf")
        largest = max(largest, float(sums.max()))
    return largest


def suited_norm(lure: Lure) -> type[SumMetric] | type[MaximumMetric]:
    """The norm along whose lines slopes stand alone; the sum where neither has that."""
    alone = [_lined(lure, transposed) is not None for transposed in (False, True)]
    return MaximumMetric if alone == [False, True] else SumMetric


def _lined(lure: Lure, transposed: bool) -> Ball | None:
    """`B G C`, if each of its columns (transposed: rows) belongs to one slope; else `None`."""
    selector = lure.B.T if transposed else lure.C
    taken = (selector.mid != 0) | (selector.rad != 0)
    if (taken.sum(0) > 1).any() or (taken.sum(1) > 1).any():
        return None
    # One entry in each row of the selector: the product needs no sums.
    slopes, lines = np.nonzero(taken)
    picked = selector[slopes, lines] * lure.span[slopes]
    rest = lure.C[slopes].T if transposed else lure.B[:, slopes]
    columns = rest * picked
    mid, rad = np.zeros(lure.A.shape), np.zeros(lure.A.shape)
    mid[:, lines], rad[:, lines] = columns.mid, columns.rad
    product = Ball(mid, rad, columns.guaranteed)
    return product.T if transposed else product


def _signed(off: Square, own: Square, continuous: bool) -> Square:
    """Magnitudes off the diagonal; on it, for flows, upper ends."""
    matrix = np.array(off)
    if continuous:
        np.fill_diagonal(matrix, np.diagonal(own))
    return matrix
