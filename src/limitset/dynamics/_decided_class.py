"""A rule that stops as soon as the class that a network's limit will give is certain."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from limitset._result import InputProblem
from limitset._types import State
from limitset.dynamics._stopping import (
    AbstractStoppingRule,
    Judgement,
    Number,
    ShrinkingSteps,
    StateNorm,
    VanishingDrive,
)
from limitset.networks import AbstractBlock, LinearReadout

# What evaluating scores and norms in float64 may lose, many times over.
_SLACK = 1 + 1e-9


class DecidedClass(AbstractStoppingRule):
    """Stop where the largest score at the limit is certainly the present one.

    With an error of at most e, score i exceeds score j at the limit if it does now by more than
    `e |w_i - w_j|`, in the norm dual to the rule's. Samples far from every border stop early. Those
    that no bound decides go on to the tolerance of `rule`.

    **Arguments:** `rule`, which bounds the error; `readout` of the block's state.

    **Raises:** `InputProblem` for a rule that bounds nothing.

    >>> import jax.numpy as jnp
    >>> from limitset.dynamics import settle
    >>> from limitset.networks import DenseOperator, ResidualBlock
    >>> minus, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(minus, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> readout = LinearReadout(jnp.array([[1.0], [-1.0]]), jnp.zeros(2))
    >>> rule = DecidedClass(ShrinkingSteps(1e-3, 0.5), readout)
    >>> int(settle(block, jnp.ones(1), rule, 50).depth)
    2
    """

    rule: ShrinkingSteps | VanishingDrive
    weight: Float[Array, "k n"]
    bias: Float[Array, " k"]
    gaps: Float[Array, "k k"]

    def __init__(self, rule: ShrinkingSteps | VanishingDrive, readout: LinearReadout) -> None:
        if not isinstance(rule, ShrinkingSteps | VanishingDrive):
            raise InputProblem(
                f"a {type(rule).__name__} bounds no error; give a rule from stopping_rule"
            )
        self.rule = rule
        self.weight = jnp.asarray(readout.weight, jnp.float64)
        self.bias = jnp.asarray(readout.bias, jnp.float64)
        self.gaps = _dual_norm(self.weight[:, None] - self.weight, rule.norm)

    def judge(
        self, block: AbstractBlock, entering: PyTree, before: State, after: State
    ) -> Judgement:
        """The judgement of `rule`, met earlier where the class is decided."""
        judged = self.rule.judge(block, entering, before, after)
        scores = self.weight @ after.astype(jnp.float64) + self.bias
        best = jnp.argmax(scores)
        # Scores lose a little in float64 too; in float32 it would be more than the margins.
        sizes = jnp.abs(self.weight) @ jnp.abs(after.astype(jnp.float64)) + jnp.abs(self.bias)
        needed = judged.error * self.gaps[best] * _SLACK + 1e-12 * sizes.max()
        is_best = jnp.arange(scores.shape[0]) == best
        decided = (is_best | (scores[best] - scores > needed)).all()
        return judged._replace(met=judged.met | decided, stalled=judged.stalled & ~decided)

    def drift(self, entering: PyTree, before: State) -> Number:
        """That of `rule`."""
        return self.rule.drift(entering, before)


def _dual_norm(rows: Float[Array, "k k n"], norm: StateNorm) -> Float[Array, "k k"]:
    """The largest `|row . v|` with `norm(v) <= 1`."""
    scaled = jnp.abs(rows) / norm.scale
    return scaled.sum(-1) if norm.maximum else jnp.sqrt((scaled * scaled).sum(-1))
