"""The theorem of recurrent equilibrium networks: one metric, and a multiplier for each unit."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._metric import AbstractMetric, DiagonalMetric, QuadraticMetric
from limitset.contraction._ren_search import Equilibrium, best_factor, find_ren_candidate
from limitset.contraction._theorem import AbstractTheorem, diagonal_scale
from limitset.networks import REN
from limitset.proofs import Ball, is_positive_definite

Square = Float[np.ndarray, "n n"]
Multipliers = Float[np.ndarray, " k"]

# How far above the float optimum a factor is tried, and then again.
_RETREATS = (1e-9, 1e-7, 1e-5, 1e-3)


class RecurrentEquilibrium(AbstractTheorem):
    """Contraction of a `REN` in a quadratic metric, by multipliers for its units.

    With slopes in `[0, g]`, `P > 0` and multipliers `q_i > 0`, `Q = diag(q)`, the map has the
    factor r in the metric P if

        [r^2 P - A^T P A        -(A^T P B1 + g C1^T Q)                    ]
        [     ...          2 Q - g (Q D11 + D11^T Q) - B1^T P B1          ]

    is positive definite: for differences `dw_i = d_i dv_i`, `dw^T Q (g dv - dw) >= 0`.

    Hypotheses:

    1. The slopes of `phi` lie in a known interval `[lo, g]` with `lo >= 0`.
    2. `P` is positive definite, the multipliers are positive.
    3. The matrix above is positive definite.

    In a given metric, such as a parametrisation's, only the multipliers are sought; up to 32 states
    the metric is sought too. What the search finds is then verified.

    **Reference:** arXiv 2104.05942.
    """

    @property
    def name(self) -> str:
        """`"ren"`."""
        return "ren"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Recurrent equilibrium networks."""
        return isinstance(system, REN)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, or in a metric that a search finds."""
        if not isinstance(system, REN):
            return Unknown("ren speaks of recurrent equilibrium networks only")
        ren = equilibrium_of(system)
        if ren is None:
            return Unknown(
                f"the slopes of {system.activation.name!r} have no proved bound in [0, g]"
            )
        given = None if metric is None else _form_of(metric, system.state_size)
        if metric is not None and given is None:
            return Unknown("ren needs a quadratic or a diagonal metric")
        found = find_ren_candidate(ren, given)
        if found is None:
            return Unknown("no metric and multipliers were found that fulfil the inequality")
        factor = verified_factor(ren, *found)
        if not factor < 1:
            best = best_factor(ren, *found)
            return Unknown(f"the factor per step is bounded by {best:.6g}, not certainly below 1")
        P, q = found
        return Certificate(
            system,
            self.name,
            QuadraticMetric(jnp.asarray(P)),
            None,
            factor,
            (),
            (),
            multipliers=tuple(q.tolist()),
        )


def equilibrium_of(system: REN) -> Equilibrium | None:
    """The matrices of a REN as exact float64 numbers; `None` without slopes in some `[0, g]`."""
    interval = system.activation.slope_interval
    if interval is None or not 0 <= interval[0] <= interval[1]:
        return None
    A, B1, C1, D11 = (
        np.asarray(m, np.float64) for m in (system.A, system.B1, system.C1, system.D11)
    )
    # What stands on the diagonal and above never reaches a unit.
    return Equilibrium(A, B1, C1, np.tril(D11, -1), interval[1])


def verified_factor(ren: Equilibrium, P: Square, q: Multipliers) -> float:
    """The best verified factor in this metric with these multipliers; infinite if there is none."""
    usable = (q > 0).all() and np.isfinite(P).all() and np.isfinite(q).all()
    if not (usable and (P == P.T).all() and is_positive_definite(Ball.exact(P))):
        return float("inf")
    best = best_factor(ren, P, q)
    for retreat in _RETREATS:
        factor = best + retreat
        if not factor < 1:
            break
        if ren_holds(ren, P, q, factor):
            return factor
    return float("inf")


def ren_holds(ren: Equilibrium, P: Square, q: Multipliers, factor: float) -> bool:
    """Whether the inequality certainly holds with this factor."""
    A, B, C, D = (Ball.exact(m) for m in (ren.A, ren.B, ren.C, ren.D))
    metric, Q, gain = Ball.exact(P), Ball.exact(q), ren.gain
    PB = metric @ B
    corner = metric * (Ball.exact(factor) * factor) - A.T @ (metric @ A)
    across = -(A.T @ PB + C.T * (Q * gain))
    own = Q.reshape(-1, 1) * D * gain
    rest = Ball.exact(np.eye(len(q))) * (2.0 * Q) - own - own.T - B.T @ PB
    whole = Ball.moved(
        lambda a, b, c: np.block([[a, b], [b.T, c]]),
        (corner + corner.T) * 0.5,
        across,
        (rest + rest.T) * 0.5,
    )
    return is_positive_definite(whole)


def _form_of(metric: AbstractMetric, size: int) -> Square | None:
    if isinstance(metric, DiagonalMetric):
        scale = diagonal_scale(metric, size)
        return None if scale is None else np.diag(scale**2)
    if not isinstance(metric, QuadraticMetric):
        return None
    matrix = np.asarray(metric.matrix, np.float64)
    if matrix.shape != (size, size):
        raise InputProblem(
            f"the metric has shape {matrix.shape} and the system {size} states; give one that fits"
        )
    return (matrix + matrix.T) / 2 if np.isfinite(matrix).all() else None
