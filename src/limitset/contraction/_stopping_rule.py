"""From the certificate of a block to a rule that says how near to its limit a state is."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from limitset._result import InputProblem
from limitset.contraction._block_certificate import BlockCertificate
from limitset.contraction._block_roundoff import block_roundoff
from limitset.contraction._certificate import Unknown
from limitset.contraction._certify_block import certify_block
from limitset.contraction._layer import product_upper
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._polyhedral_metric import MaximumMetric
from limitset.contraction._symmetric_form import SymmetricForm, symmetric_form
from limitset.dynamics import ShrinkingSteps, StateNorm, VanishingDrive
from limitset.networks import (
    IDENTITY,
    RELU,
    EquilibriumBlock,
    GradientBlock,
    ResidualBlock,
    vanishes_at_zero_alone,
)
from limitset.proofs import Ball


def stopping_rule(
    certificate: BlockCertificate, tolerance: float
) -> ShrinkingSteps | VanishingDrive:
    """A rule that stops where a block's limit is certainly within `tolerance`.

    - ReLU: `|limit - x(k+1)| <= q / (1 - q) |x(k+1) - x(k)|` with `q = |I + h A| < 1`. Since
      `r = relu(z)` leaves `z - r <= 0`, `z(k+1) <= (I + h A) r(k)` in every entry, so
      `|r(k+1)| <= q |r(k)|` in every norm that sees absolute values alone: the 2-norm where A is
      symmetric, and the maximum norm for row sums. The limit depends on the first state.
    - tanh, and leaky ReLU: `|limit - x| <= |A^-1| |A x + B u + b|`. The limit is
      `-A^-1 (B u + b)`, affine in the input: what such a block computes, it computes on the way.
    - Blocks that contract by `factor < 1`: the same as ReLU with `q = factor`, and one limit.

    Rounding of the weights' dtype is added to the bounds, under the assumptions of `Roundoff` and
    with an activation of relative error at most 32 units in the last place.

    **Arguments:** `certificate`, from `certify_block`; `tolerance`, positive, in the norm of the
    rule: `rule.norm`, the 2-norm or the maximum norm, perhaps with weights.

    **Returns:** a rule for `settle`.

    **Raises:** `InputProblem` where no limit is known: untied blocks, other activations, a
    contraction factor or an `|I + h A|` that is not certainly below 1.

    **Reference:** arXiv 1804.07209.

    >>> import jax.numpy as jnp
    >>> from limitset.contraction import certify_block
    >>> from limitset.networks import DenseOperator, ResidualBlock
    >>> minus, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(minus, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> round(float(stopping_rule(certify_block(block), 1e-3).factor), 9)
    0.5
    """
    if not isinstance(certificate, BlockCertificate):
        raise InputProblem(
            f"{type(certificate).__name__} came; give a certificate from certify_block"
        )
    block = certificate.block
    if isinstance(block, ResidualBlock):
        if block.activation is RELU:
            return _for_relu(block, tolerance)
        if vanishes_at_zero_alone(block.activation):
            return _for_vanishing(block, tolerance)
        raise InputProblem(
            f"no limit is known of a residual block with {block.activation.name}; relu, tanh and "
            "leaky_relu have one: run to a fixed depth"
        )
    if isinstance(block, GradientBlock | EquilibriumBlock):
        if not certificate.factor < 1:
            raise InputProblem(
                f"the factor is {certificate.factor:g}; a limit needs one certainly below 1: give "
                "the block a leak, or run to a fixed depth"
            )
        norm = _norm_of(certificate.metric)
        return ShrinkingSteps(tolerance, certificate.factor, norm, block_roundoff(block, norm))
    raise InputProblem(
        f"a {type(block).__name__} need not have a limit; run it to a fixed depth, or tie its "
        "weights"
    )


def _for_relu(block: ResidualBlock, tolerance: float) -> ShrinkingSteps:
    linear = _linear(block)
    form = symmetric_form(block.state_operator) if linear.theorem == "symmetric" else None
    if not isinstance(form, SymmetricForm):
        norm, carry = _norm_of(linear.metric), 1.0
    else:
        # In the norm |rates^(-1/2) v| the matrix I + h A is symmetric.
        scale = 1 / np.sqrt(form.rates)
        norm = StateNorm(jnp.asarray(scale))
        spread = 1.01 * float(scale.max() / scale.min())
        carry = product_upper(linear.euclidean_transient, spread)
    return ShrinkingSteps(tolerance, linear.factor, norm, block_roundoff(block, norm), carry)


def _for_vanishing(block: ResidualBlock, tolerance: float) -> VanishingDrive:
    linear = _linear(block)
    form = symmetric_form(block.state_operator) if linear.theorem == "symmetric" else None
    if isinstance(form, SymmetricForm):
        norm = StateNorm()
        gain = 1 / (Ball.exact(form.lowest) * float(form.rates.min()))
    else:
        # |A^-1| = h |(I - (I + h A))^-1| <= h / (1 - q).
        norm = _norm_of(linear.metric)
        gain = Ball.exact(float(block.step)) / (1 - Ball.exact(linear.factor))
    return VanishingDrive(tolerance, float(gain.upper()), norm, block_roundoff(block, norm))


def _linear(block: ResidualBlock) -> BlockCertificate:
    """Of the block with slopes 1, whose factor is `|I + h A|`."""
    answer = certify_block(dataclasses.replace(block, activation=IDENTITY))
    if isinstance(answer, Unknown):
        raise InputProblem(f"no bound of |I + h A| is known, which a limit needs: {answer.reason}")
    if not answer.factor < 1:
        raise InputProblem(
            f"|I + h A| is bounded by {answer.factor:g} only; a bound of the distance to the limit "
            "needs less than 1: shrink the step, or enlarge epsilon"
        )
    return answer


def _norm_of(metric: AbstractMetric) -> StateNorm:
    if isinstance(metric, DiagonalMetric | MaximumMetric):
        return StateNorm(metric.scale, isinstance(metric, MaximumMetric))
    raise InputProblem(
        f"no stopping rule is known in a {type(metric).__name__}; certify the block in the 2-norm "
        "or the maximum norm"
    )
