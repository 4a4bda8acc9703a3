"""The best of several theorems, for certificates of systems and of their parts."""

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Attempt, Certificate, Unknown
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._theorem import AbstractTheorem

# A simpler theorem, and its simpler metric, stand unless a later one gains more than this.
_WORTH = 1 + 1e-3


def best_certificate(
    system: AbstractFlow | AbstractMap,
    theorems: tuple[AbstractTheorem, ...],
    metric: AbstractMetric | None,
) -> tuple[Certificate | None, list[Attempt]]:
    """The certificate with the largest margin, if there is one, and what each theorem answered."""
    tried: list[Attempt] = []
    best: Certificate | None = None
    for theorem in theorems:
        if not theorem.applies_to(system):
            continue
        answer = theorem.apply(system, metric)
        if isinstance(answer, Unknown):
            tried.append(Attempt(theorem.name, None, answer.reason))
            continue
        bound = answer.factor if answer.rate is None else answer.rate
        tried.append(Attempt(theorem.name, bound, answer.claim()))
        if best is None or answer.margin > best.margin * _WORTH:
            best = answer
    return best, tried
