"""The sector theorem: every slope in its interval, by one matrix inequality with multipliers."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._lure import LURE_SYSTEMS, Lure, lure_of
from limitset.contraction._metric import AbstractMetric, DiagonalMetric, QuadraticMetric
from limitset.contraction._sector_multipliers import find_multipliers
from limitset.contraction._sector_search import find_sector_candidates
from limitset.contraction._theorem import AbstractTheorem, checked_scale
from limitset.proofs import Ball, is_positive_definite

Square = Float[np.ndarray, "n n"]
Multipliers = Float[np.ndarray, " m"]

# How far below the float optimum a bound is tried, and then again.
_RETREATS = (1e-9, 1e-7, 1e-5, 1e-3)
# A metric that is given needs multipliers only; they cost some hundred inverses of order n + m.
_LARGEST_GIVEN = 128


class Sector(AbstractTheorem):
    """Contraction from the sector of the slopes, in a metric that need not be diagonal.

    All Jacobians are `A + B D C` with slopes `d_i` in `[0, g_i]`. For `y = D C v` and multipliers
    `q_i > 0`, `y^T Q (g C v - y) >= 0`. So a flow has the rate `c`, or a map the factor `r`, in
    the metric `P`, if the matrix

        [P A + A^T P + 2 c P   P B + C^T G Q]        [A^T P A - r^2 P   A^T P B + C^T G Q]
        [        ...                  -2 Q  ]   or   [      ...            B^T P B - 2 Q ]

    is negative definite, with `G = diag(g)`.

    Hypotheses:

    1. The slopes of every activation lie in a known interval.
    2. `P` is positive definite, the multipliers are positive.
    3. The matrix above is negative definite.

    `P` and `Q` come from closed forms for symmetric weights, or from a search in floats; for a `P`
    that is given, `Q` comes from convex minimisation. The hypotheses are then verified. For
    symmetric weights the rate is the best possible.

    **Reference:** arXiv 2604.15238, in both forms, for flows and maps.
    """

    @property
    def name(self) -> str:
        """`"sector"`."""
        return "sector"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Rate networks, Elman cells, assemblies and their maps."""
        return isinstance(system, LURE_SYSTEMS)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, which need not be diagonal, or in one of its own."""
        if metric is not None:
            return _certify_in_metric(system, metric)
        lure = lure_of(system)
        if isinstance(lure, str):
            return Unknown(lure)
        continuous = isinstance(system, AbstractFlow)
        best: _Proved | None = None
        for candidate in find_sector_candidates(lure, continuous):
            proved = _prove(lure, Ball.exact(candidate.metric), candidate.multipliers, continuous)
            if proved is not None and (best is None or proved.worth > best.worth):
                best = proved
        if best is None:
            return Unknown("no metric and multipliers were found that fulfil the inequality")
        return _certificate(system, QuadraticMetric(jnp.asarray(best.metric)), best)


@dataclass(frozen=True)
class _Proved:
    metric: Square
    multipliers: Multipliers
    bound: float
    margin: float

    @property
    def worth(self) -> float:
        """The margin; a condition number ten times as large must gain 0.1 % of it."""
        return self.margin * (1 - 1e-3 * np.log10(np.linalg.cond(self.metric)))


def _certify_in_metric(
    system: AbstractFlow | AbstractMap, metric: AbstractMetric
) -> Certificate | Unknown:
    """The best rate or factor in a metric that is given; only the multipliers are sought."""
    if not isinstance(metric, DiagonalMetric | QuadraticMetric):
        return Unknown("sector needs a diagonal or quadratic metric")
    if system.state_size > _LARGEST_GIVEN:
        return Unknown(f"sector seeks multipliers for at most {_LARGEST_GIVEN} states")
    lure, continuous = lure_of(system), isinstance(system, AbstractFlow)
    if isinstance(lure, str):
        return Unknown(lure)
    used = _symmetric(metric) if isinstance(metric, QuadraticMetric) else metric
    form = None if used is None else _form(used, system.state_size)
    if used is None or form is None or not is_positive_definite(_scaled(form)):
        return Unknown("the given metric is not certainly positive definite and of this size")
    multipliers = find_multipliers(lure, form.mid, continuous)
    if multipliers is None:
        return Unknown("no multipliers were found for the given metric")
    proved = _prove(lure, form, multipliers, continuous)
    if proved is not None:
        return _certificate(system, used, proved)
    reached = _float_bound(lure, form.mid, multipliers, continuous)
    word = "rate" if continuous else "factor"
    return Unknown(f"the best {word} found in the given metric is {reached:.6g}")


def _symmetric(metric: QuadraticMetric) -> QuadraticMetric | None:
    """The same metric where its matrix is symmetric but for rounding: `v^T M v` does not see it."""
    matrix = np.asarray(metric.matrix, np.float64)
    largest = float(np.abs(matrix).max(initial=0.0))
    if not (np.isfinite(largest) and np.abs(matrix - matrix.T).max() <= 1e-12 * largest):
        return None
    return QuadraticMetric(jnp.asarray(matrix / 2 + matrix.T / 2))


def _form(metric: DiagonalMetric | QuadraticMetric, size: int) -> Ball | None:
    """The matrix of the metric; squares of scales in balls."""
    if isinstance(metric, DiagonalMetric):
        scale = Ball.exact(checked_scale(metric.scale, size))
        return Ball.moved(np.diag, scale * scale)
    matrix = np.asarray(metric.matrix, np.float64)
    return Ball.exact(matrix) if matrix.shape == (size, size) else None


def _certificate(
    system: AbstractFlow | AbstractMap, metric: AbstractMetric, proved: _Proved
) -> Certificate:
    rate, factor = (
        (proved.bound, None) if isinstance(system, AbstractFlow) else (None, proved.bound)
    )
    multipliers = tuple(proved.multipliers.tolist())
    return Certificate(system, "sector", metric, rate, factor, (), (), multipliers=multipliers)


def _prove(lure: Lure, form: Ball, q: Multipliers, continuous: bool) -> _Proved | None:
    """The best verified rate or factor in the metric with these multipliers, if it contracts."""
    P = form.mid
    if not ((q > 0).all() and np.isfinite(P).all() and np.isfinite(q).all()):
        return None
    if not is_positive_definite(_scaled(form)):
        return None
    best = _float_bound(lure, P, q, continuous)
    for retreat in _RETREATS:
        if continuous:
            bound, margin = best - retreat * (1 + abs(best)), best
            if not bound > 0:
                return None
        else:
            bound, margin = best + retreat, 1 - best
            if not 0 <= bound < 1:
                return None
        if sector_holds(lure, form, q, bound, continuous):
            return _Proved(P, q, bound, margin)
    return None


def sector_holds(
    lure: Lure, metric: Square | Ball, multipliers: Multipliers, bound: float, continuous: bool
) -> bool:
    """Whether the inequality certainly holds with this rate or factor."""
    P = metric if isinstance(metric, Ball) else Ball.exact(metric)
    Q = Ball.exact(multipliers)
    PB = P @ lure.B
    across = lure.C.T * (Q * lure.span)
    if continuous:
        half = P @ lure.A
        corner, across = half + half.T + P * (2.0 * Ball.exact(bound)), PB + across
        rest = Ball.exact(np.zeros((len(multipliers),) * 2))
    else:
        corner = lure.A.T @ (P @ lure.A) - P * (Ball.exact(bound) * bound)
        across = lure.A.T @ PB + across
        rest = lure.B.T @ PB
    rest = rest - Ball.exact(np.eye(len(multipliers))) * (2.0 * Q)
    return is_positive_definite(_scaled(-_joined(corner, across, rest)))


def _joined(corner: Ball, across: Ball, rest: Ball) -> Ball:
    """`[[corner, across], [across^T, rest]]`, symmetric as stored."""
    corner, rest = (corner + corner.T) * 0.5, (rest + rest.T) * 0.5
    mid = np.block([[corner.mid, across.mid], [across.mid.T, rest.mid]])
    rad = np.block([[corner.rad, across.rad], [across.rad.T, rest.rad]])
    return Ball(mid, rad, corner.guaranteed and across.guaranteed and rest.guaranteed)


def _scaled(matrix: Ball) -> Ball:
    """`S X S` with powers of two in S that bring the diagonal near 1: exact, and definite as X."""
    diagonal = np.abs(np.diagonal(matrix.mid))
    powers = -(np.frexp(np.where(diagonal > 0, diagonal, 1.0))[1] // 2)
    return matrix.ldexp(powers[:, None] + powers[None, :])


def _float_bound(lure: Lure, P: Square, q: Multipliers, continuous: bool) -> float:
    """The rate or factor that the inequality allows, in floats; NaN where it allows none.

    With the multipliers eliminated by a Schur complement, it is an eigenvalue relative to `P`.
    """
    A, B, C = lure.A.mid, lure.B.mid, lure.C.mid
    across = C.T * (q * lure.span)
    try:
        with np.errstate(all="ignore"):
            if continuous:
                X = P @ B + across
                corner = P @ A + A.T @ P + X @ (X / (2 * q)).T
            else:
                X = A.T @ P @ B + across
                rest = 2 * np.diag(q) - B.T @ P @ B
                np.linalg.cholesky(rest)
                corner = A.T @ P @ A + X @ np.linalg.solve(rest, X.T)
            root = np.linalg.cholesky(P)
            inverse = np.linalg.inv(root)
            largest = np.linalg.eigvalsh(inverse @ ((corner + corner.T) / 2) @ inverse.T)[-1]
    except np.linalg.LinAlgError:
        return float("nan")
    return float(-largest / 2) if continuous else float(np.sqrt(max(largest, 0.0)))
