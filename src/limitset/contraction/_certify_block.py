"""The verb `certify_block`: what one block of a deep network promises at every depth."""

from limitset._result import InputProblem
from limitset.contraction._block_certificate import BlockCertificate
from limitset.contraction._block_row_sum import certify_rows
from limitset.contraction._block_slopes import check_numbers, layers_of
from limitset.contraction._block_symmetric import certify_gradient, certify_symmetric
from limitset.contraction._certificate import Unknown, frozen
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._polyhedral_metric import MaximumMetric
from limitset.networks import AbstractBlock, EquilibriumBlock, GradientBlock, ResidualBlock
from limitset.proofs import require_sound_arithmetic


def certify_block(
    block: AbstractBlock, *, metric: AbstractMetric | None = None
) -> BlockCertificate | Unknown:
    """Prove that a block never drives states apart, at any depth, for all states and inputs.

    Every Jacobian of a step, whatever its slopes, has norm at most `factor <= 1` in one metric:

    - `symmetric`, residual blocks with `A = -Lambda P`: in the metric P, for steps up to
      `2 / lambda_max`, with weights shared across depth.
    - `row_sum`, residual blocks with dominant rows: in a weighted maximum norm, tied or not.
    - `gradient`, gradient blocks: in the 2-norm, tied or not.
    - `equilibrium`, equilibrium blocks with row sums below 1: in a weighted maximum norm.

    **Arguments:** `block`; `metric`, a proposal: the scale of a `MaximumMetric` is used by the two
    theorems in that norm, and they alone are tried; any other metric leaves the choice to the
    other two, whose metric the block determines.

    **Returns:** the certificate with the smaller factor (the first, of equals), or `Unknown` with
    the reasons.

    **Raises:** `InputProblem` for numbers that are NaN, infinite, traced, or of another dtype;
    `UnsoundArithmetic` on a machine whose floating point fails the self-test.

    **Reference:** arXiv 1804.07209, 2110.12690, 2106.03194.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator, ResidualBlock
    >>> A = DenseOperator(jnp.array([[-0.6, -0.3], [-0.3, -0.6]]))
    >>> answer = certify_block(ResidualBlock(A, A, jnp.zeros(2), jnp.array(1.0), "relu"))
    >>> answer.theorem, answer.factor, round(answer.step_limit, 6)
    ('symmetric', 1.0, 2.222222)
    """
    if not isinstance(block, AbstractBlock):
        raise InputProblem(
            f"a {type(block).__name__} came; give a block, such as ResidualBlock, or use "
            "certify_network for a deep network"
        )
    check_numbers((block, metric))
    require_sound_arithmetic()
    block, metric = frozen((block, metric))
    layers = layers_of(block)
    if isinstance(layers, str):
        return Unknown(layers)
    answers: list[BlockCertificate | Unknown] = []
    given = metric if type(metric) is MaximumMetric else None
    if isinstance(layers[0], GradientBlock):
        gradients = [layer for layer in layers if isinstance(layer, GradientBlock)]
        if given is not None:
            return Unknown("gradient: the metric is the plain 2-norm; leave the proposal out")
        return certify_gradient(block, gradients)
    rows = [layer for layer in layers if isinstance(layer, ResidualBlock | EquilibriumBlock)]
    residuals = [layer for layer in layers if isinstance(layer, ResidualBlock)]
    if residuals and given is None:
        answers.append(certify_symmetric(block, residuals))
    if given is not None or metric is None or not residuals:
        answers.append(certify_rows(block, rows, given))
    proved = [answer for answer in answers if isinstance(answer, BlockCertificate)]
    if proved:
        return min(proved, key=lambda certificate: certificate.factor)
    return Unknown("; ".join(a.reason for a in answers if isinstance(a, Unknown)))
