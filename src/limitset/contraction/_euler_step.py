"""Explicit Euler from the certificate of the flow, and a bound of its velocity's slope."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._best import best_certificate
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._layer import Vector, product_upper, sum_upper
from limitset.contraction._lure import Lure, lure_of
from limitset.contraction._metric import AbstractMetric, DiagonalMetric, QuadraticMetric
from limitset.contraction._theorem import AbstractTheorem
from limitset.dynamics import EulerAssemblyMap, ExplicitEuler, RateMap
from limitset.proofs import Ball, is_positive_definite

Square = Float[np.ndarray, "n n"]

# The checker's limit too: five matrices of this size have to be proved definite.
_MOST = 512
# How far above its float estimate a norm is tried.
_ADVANCES = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1.0, 10.0, 1e3)


class EulerStep(AbstractTheorem):
    """Contraction of `x+ = x + h f(x, u)` in the metric of the flow, if the step is short enough.

    Hypotheses:

    1. One of `theorems` certifies the flow, with the rate `lam` in a quadratic metric `M`.
    2. `|J|_M <= F` for all Jacobians `J = A + B D C` of the flow, and `|E|_M <= e` for what the
       stored map's Jacobian differs from `I + h J` by.

    Then `factor = sqrt(1 - 2 h lam + h^2 F^2) + e`, below 1 only for `h < 2 lam / F^2`: a large
    coupling leaves no step that is short enough.

    **Reference:** textbook; arXiv 2106.08928 for the systems.
    """

    theorems: tuple[AbstractTheorem, ...]

    @property
    def name(self) -> str:
        """`"euler_step"`."""
        return "euler_step"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Maps that explicit Euler made of rate networks and assemblies of at most 512 units."""
        flow = _flow_of(system)
        if flow is None or flow.state_size > _MOST:
            return False
        return any(theorem.applies_to(flow) for theorem in self.theorems)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, or in the metric that is best for the flow."""
        flow = _flow_of(system)
        if flow is None or not isinstance(system, AbstractMap):
            return Unknown("euler_step speaks of explicit Euler maps only")
        proved, tried = best_certificate(flow, self.theorems, metric)
        if proved is None or proved.rate is None:
            reasons = "; ".join(f"{attempt.theorem}: {attempt.reason}" for attempt in tried)
            return Unknown(f"the flow is not certified: {reasons}")
        return euler_certificate(system, proved)


def euler_certificate(system: AbstractMap, proved: Certificate) -> Certificate | Unknown:
    """The certificate of an explicit Euler map, from that of its flow."""
    flow = _flow_of(system)
    if flow is None or proved.rate is None or not isinstance(system, RateMap | EulerAssemblyMap):
        return Unknown("euler_step speaks of explicit Euler maps only")
    if flow.state_size > _MOST:
        return Unknown(f"euler_step is for at most {_MOST} units, {flow.state_size} came")
    form = _form(proved.metric)
    outer, inner = lure_of(system), lure_of(flow)
    if form is None or isinstance(outer, str) or isinstance(inner, str):
        return Unknown("euler_step needs a quadratic metric and known slopes")
    bounds = _bounds(outer, inner, form, system.scheme.step)
    factor = _factor(bounds, proved.rate, system.scheme.step)
    if not factor < 1:
        return Unknown(
            f"the factor per step is bounded by {factor:.6g}, not below 1 (velocity slope "
            f"{bounds.slope():.6g}, rate {proved.rate:.6g}); shorten the step, or use "
            "SemiImplicit or BackwardEuler"
        )
    return Certificate(
        system,
        "euler_step",
        proved.metric,
        None,
        factor,
        (),
        (),
        bounds.numbers(),
        multipliers=tuple(bounds.weights.tolist()),
        parts=(proved,),
    )


def _flow_of(system: AbstractFlow | AbstractMap) -> AbstractFlow | None:
    if isinstance(system, RateMap) and isinstance(system.scheme, ExplicitEuler):
        return system.network
    return system.assembly if isinstance(system, EulerAssemblyMap) else None


def _form(metric: AbstractMetric) -> Ball | None:
    """The matrix of the metric."""
    if isinstance(metric, DiagonalMetric):
        scale = Ball.exact(np.asarray(metric.scale, np.float64))
        return Ball.exact(np.eye(len(scale))) * (scale * scale)
    if isinstance(metric, QuadraticMetric):
        return Ball.exact(np.asarray(metric.matrix, np.float64))
    return None


@dataclass(frozen=True)
class _Bounds:
    """Norms in the metric M and, for slopes, in the diagonal metric T of the `weights`.

    `linear`: of A. `entering`: of B from T to M. `leaving`: of `span C` from M to T. `drift` and
    `slip`: of what the map's A and B differ from `I + h A` and `h B` by.
    """

    linear: float
    entering: float
    leaving: float
    drift: float
    slip: float
    weights: Vector

    def numbers(self) -> tuple[float, ...]:
        return (self.linear, self.entering, self.leaving, self.drift, self.slip)

    def slope(self) -> float:
        return sum_upper(self.linear, product_upper(self.entering, self.leaving))


def _factor(bounds: _Bounds, rate: float, step: float) -> float:
    moved = Ball.exact(step) * bounds.slope()
    square = 1.0 - 2.0 * Ball.exact(step) * rate + moved * moved
    error = sum_upper(bounds.drift, product_upper(bounds.slip, bounds.leaving))
    upper = float(square.upper())
    if not 0 <= upper < np.inf:
        return float("inf")
    return sum_upper(float(Ball.exact(upper).sqrt().upper()), error)


def _bounds(outer: Lure, inner: Lure, form: Ball, step: float) -> _Bounds:
    identity = Ball.exact(np.eye(len(form)))
    seen = Ball.exact(inner.span).reshape(-1, 1) * inner.C
    slope = Ball.exact(step)
    weights = _weights(inner, form.mid)
    between = Ball.exact(np.eye(len(weights))) * weights
    return _Bounds(
        _norm(inner.A, form, form),
        _norm(inner.B, between, form),
        _norm(seen, form, between),
        _norm(outer.A - identity - inner.A * slope, form, form),
        _norm(outer.B - inner.B * slope, between, form),
        weights,
    )


def _weights(lure: Lure, form: Square) -> Vector:
    """Weights of slopes that balance what enters them and what leaves them; a mere choice."""
    with np.errstate(all="ignore"):
        entering = np.einsum("im,ij,jm->m", lure.B.mid, form, lure.B.mid)
        leaving = np.einsum("mi,im->m", lure.C.mid, np.linalg.pinv(form) @ lure.C.mid.T)
        diagonal = np.diagonal(form)
        own = (lure.C.mid**2 / diagonal).sum(1)
        balanced = np.sqrt(entering / leaving)
        candidates = [1 / own, balanced]
    usable = [w for w in candidates if np.isfinite(w).all() and (w > 0).all()]
    usable.append(np.ones(len(lure.span)))

    def worth(weights: Vector) -> float:
        into = _estimate(lure.B.mid, np.diag(weights), form)
        return into * _estimate(lure.span[:, None] * lure.C.mid, form, np.diag(weights))

    return min(usable, key=worth)


def _estimate(matrix: Float[np.ndarray, "a b"], source: Square, target: Square) -> float:
    """The norm of a matrix from one quadratic metric to another, in floats."""
    if not matrix.size:
        return 0.0
    try:
        with np.errstate(all="ignore"):
            into = np.linalg.cholesky(target).T @ matrix
            return float(np.linalg.norm(into @ np.linalg.inv(np.linalg.cholesky(source).T), 2))
    except np.linalg.LinAlgError:
        return float("inf")


def _norm(matrix: Ball, source: Ball, target: Ball) -> float:
    """An upper bound of `sup |X v|_target / |v|_source`: `b^2 source - X^T target X > 0`."""
    if not matrix.size:
        return 0.0
    estimate = _estimate(matrix.mid, source.mid, target.mid)
    # What is almost zero is bounded a little above its rounding error.
    estimate = max(estimate, 1e-100, 4 * _estimate(matrix.rad, source.mid, target.mid))
    image = matrix.T @ (target @ matrix)
    for advance in _ADVANCES:
        bound = estimate * (1 + advance)
        if not bound < np.inf:
            break
        square = Ball.exact(bound) * bound
        if is_positive_definite(source * square - image):
            return bound
    return float("inf")
