"""Blocks of deep networks that contract, as one theorem among the others."""

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._block_certificate import BlockCertificate
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._certify_block import certify_block
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._theorem import AbstractTheorem
from limitset.networks import AbstractBlock


class DeepBlock(AbstractTheorem):
    """Contraction of a block in depth: what `certify_block` proves, where its factor is below 1.

    Hypotheses: those of `symmetric`, `row_sum`, `gradient` or `equilibrium`, and slopes or a leak
    that make the factor smaller than 1. A ReLU or tanh residual block is nonexpansive only, since
    slopes may vanish: `certify_block` has its gains.

    **Reference:** arXiv 1804.07209.
    """

    @property
    def name(self) -> str:
        """`"deep_block"`."""
        return "deep_block"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Blocks, tied or untied."""
        return isinstance(system, AbstractBlock)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in the metric of the block's theorem."""
        if not isinstance(system, AbstractBlock):
            return Unknown("deep_block speaks of blocks only")
        answer = certify_block(system, metric=metric)
        if not isinstance(answer, BlockCertificate):
            return answer
        if not answer.factor < 1:
            return Unknown(
                f"the block is nonexpansive by {answer.theorem}, with factor 1: distances never "
                "grow, but need not shrink where slopes vanish; certify_block has its input gains"
            )
        names = (answer.theorem,)
        return Certificate(
            answer.block, self.name, answer.metric, None, answer.factor, names, (answer.factor,)
        )
