"""Backward Euler: whatever certifies the flow certifies its implicit map."""

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._best import best_certificate
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._theorem import AbstractTheorem
from limitset.dynamics import ImplicitMap
from limitset.proofs import Ball


class Implicit(AbstractTheorem):
    """Contraction of `x+ = x + h f(x+, u)`: the factor `1 / (1 + h lam)`, for every step.

    Hypotheses:

    1. One of `theorems` certifies the flow, with the rate `lam` in a metric `M`, quadratic or not.
    2. The step `h`, as stored, is positive.

    Then `|v - w - h (f(v) - f(w))|_M >= (1 + h lam) |v - w|_M`, because `-h J` has the measure
    `h lam` at least. So the equation has exactly one solution, and solutions approach by the
    factor. The claim is about that exact solution. A run whose residual is at most `eps` in the
    metric is off by `eps / (1 + h lam)` per step at most (`limitset.dynamics.implicit_residual`).

    **Reference:** E. Hairer and G. Wanner, Solving Ordinary Differential Equations II (1996),
    section IV.12.
    """

    theorems: tuple[AbstractTheorem, ...]

    @property
    def name(self) -> str:
        """`"backward_euler"`."""
        return "backward_euler"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Implicit maps of flows that a theorem speaks of."""
        if not isinstance(system, ImplicitMap):
            return False
        return any(theorem.applies_to(system.flow) for theorem in self.theorems)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, or in the metric that is best for the flow."""
        if not isinstance(system, ImplicitMap):
            return Unknown("backward_euler speaks of implicit maps only")
        flow, tried = best_certificate(system.flow, self.theorems, metric)
        if flow is None or flow.rate is None:
            reasons = "; ".join(f"{attempt.theorem}: {attempt.reason}" for attempt in tried)
            return Unknown(f"the flow is not certified: {reasons}")
        return implicit_certificate(system, flow)


def implicit_certificate(system: ImplicitMap, flow: Certificate) -> Certificate | Unknown:
    """The certificate of an implicit map, from that of its flow."""
    step = Ball.exact(float(system.step))
    if flow.rate is None or not step.lower() > 0:
        return Unknown(f"the stored step {float(system.step)} is not positive")
    factor = float((1.0 / (1.0 + step * flow.rate)).upper())
    if not factor < 1:
        return Unknown(f"the factor per step is bounded by {factor:.6g}, not below 1")
    return Certificate(system, "backward_euler", flow.metric, None, factor, (), (), parts=(flow,))
