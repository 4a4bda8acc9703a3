"""Deep stacks: layers that contract, each driven by those below it, contract together."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._best import best_certificate
from limitset.contraction._block_metric import BlockMaximumMetric
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._input_gain import bound_entry, bound_passage
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._theorem import AbstractTheorem
from limitset.networks import Stack
from limitset.proofs import Ball


class Cascade(AbstractTheorem):
    """Contraction of a `Stack`, whatever the size of its relays.

    Hypotheses:

    1. One of `theorems` certifies every layer: the factor `f_k` in a metric `M_k`, diagonal or
       quadratic.
    2. `beta_k` bounds what a layer's input does to it, from the Euclidean norm into `M_k`.
    3. The slopes of every relay's activation are at most `g` in absolute value; `r_j` bounds
       `|write_j| g |read_j|`, from `M_j` into the Euclidean norm.
    4. For the weights `w_k > 0` and the factor `q < 1`,
       `f_k + q w_k beta_k sum_(j<k) r_j / w_j <= q` in every layer.

    Let `e_k` be the distance of two states in layer k. Then `e_k+ <= f_k e_k + beta_k sum_(j<k)
    r_j e_j+`, and from the lowest layer up, `w_k e_k+ <= q max_j w_j e_j`. So the factor is `q` in
    the metric `max_k w_k |x_k|_(M_k)`. As nothing acts downwards, weights exist for every
    `q > max_k f_k`; large relays need unequal weights, which is transient growth. `q` lies above
    the slowest layer's factor by a share `slack` of its margin: a larger share buys less growth.

    **Reference:** cascades of contracting systems, as in arXiv 2106.08928.
    """

    theorems: tuple[AbstractTheorem, ...]
    slack: float = eqx.field(static=True, default=0.01)

    def __check_init__(self) -> None:
        if not 0 < self.slack < 1:
            raise InputProblem(f"slack is {self.slack}; give a share of the margin between 0 and 1")

    @property
    def name(self) -> str:
        """`"cascade"`."""
        return "cascade"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Stacks."""
        return isinstance(system, Stack)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in the layers' own metrics, or in those of a `BlockMaximumMetric`.

        The weights of a given metric are not used; those that the relays need are.
        """
        if not isinstance(system, Stack):
            return Unknown("cascade speaks of stacks only")
        proposals: tuple[AbstractMetric | None, ...] = (None,) * len(system.layers)
        if metric is not None:
            if not isinstance(metric, BlockMaximumMetric) or metric.sizes != system.sizes:
                return Unknown("cascade needs a block maximum metric with a part for each layer")
            proposals = metric.parts
        parts: list[Certificate] = []
        for index, (layer, proposal) in enumerate(zip(system.layers, proposals, strict=True)):
            part, tried = best_certificate(layer, self.theorems, proposal)
            if part is None or part.factor is None:
                reasons = "; ".join(f"{attempt.theorem}: {attempt.reason}" for attempt in tried)
                reasons = reasons or f"no theorem speaks about {type(layer).__name__}"
                return Unknown(f"layer {index} is not certified: {reasons}")
            parts.append(part)
        return self._combine(system, tuple(parts))

    def _combine(self, stack: Stack, parts: tuple[Certificate, ...]) -> Certificate | Unknown:
        entries = [bound_entry(part) for part in parts[1:]]
        pairs = zip(stack.relays, parts, strict=False)
        passages = [bound_passage(relay, part.metric) for relay, part in pairs]
        for index, (passage, entry) in enumerate(zip(passages, entries, strict=True)):
            if not np.isfinite(passage.gain):
                return Unknown(f"relay {index} has no known bound in the metric of its layer")
            if not np.isfinite(entry.gain):
                return Unknown(f"no bound is known of what inputs do to layer {index + 1}")
        joints = [(p.gain, e.gain) for p, e in zip(passages, entries, strict=True)]
        factors = [part.factor or 0.0 for part in parts]
        worst = max(factors)
        factor = worst + self.slack * (1 - worst) if joints else worst
        weights = _weights(factor, factors, joints)
        if not (factor < 1 and (weights > 0).all() and np.isfinite(weights).all()):
            return Unknown(f"the relays are too large for weights in float64: {weights.tolist()}")
        if not cascade_holds(factor, factors, joints, weights):
            return Unknown(f"rounding leaves no room above the slowest layer's factor {worst:.17g}")
        metrics = tuple(part.metric for part in parts)
        pairs = zip(passages, entries, strict=True)
        bounds = [(p.write, p.read, e.response, e.drive) for p, e in pairs]
        return Certificate(
            stack,
            self.name,
            BlockMaximumMetric(metrics, stack.sizes, jnp.asarray(weights)),
            None,
            factor,
            tuple(part.theorem for part in parts),
            tuple(factors),
            sum(bounds, ()),
            parts=parts,
        )


def cascade_holds(
    factor: float,
    factors: list[float],
    joints: list[tuple[float, float]],
    weights: np.ndarray,
) -> bool:
    """Whether hypothesis 4 certainly holds; `joints` are the pairs `r_(k-1), beta_k`."""
    load, q = Ball.exact(0.0), Ball.exact(factor)
    for k, own in enumerate(factors):
        weight = Ball.exact(float(weights[k]))
        total = Ball.exact(own)
        if k:
            passed, entering = joints[k - 1]
            load = load + Ball.exact(passed) / Ball.exact(float(weights[k - 1]))
            total = total + q * weight * Ball.exact(entering) * load
        if not total.upper() <= factor:
            return False
    return True


def _weights(factor: float, factors: list[float], joints: list[tuple[float, float]]) -> np.ndarray:
    """The largest weights up to 1 that the inequality allows, lowest layer first, in floats."""
    weights, load = [1.0], 0.0
    for own, (passed, entering) in zip(factors[1:], joints, strict=True):
        load += passed / weights[-1] if weights[-1] > 0 else float("inf")
        pressed = factor * entering * load
        room = (factor - own) * (1 - 1e-9)
        weights.append(min(1.0, room / pressed) if pressed > 0 else 1.0)
    return np.array(weights)
