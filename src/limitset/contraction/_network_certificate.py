"""The verb `certify_network`: how far a deep network's last state moves with its input."""

from dataclasses import dataclass

from limitset._result import Evidence, InputProblem
from limitset.contraction._block_certificate import (
    BlockCertificate,
    Norm,
    block_gain,
    transient_gain,
)
from limitset.contraction._block_slopes import check_numbers
from limitset.contraction._certificate import Unknown, frozen
from limitset.contraction._certify_block import certify_block
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._operator_bounds import (
    euclidean_norm,
    maximum_norm,
    unknown_operator,
)
from limitset.networks import AbstractOperator, DeepNetwork, Stage


@dataclass(frozen=True)
class NetworkCertificate:
    """Lipschitz bounds of a deep network, from its input to its last state before the readout.

    `euclidean_gain` bounds `|x(u + w) - x(u)|_2 / |w|_2`, `maximum_gain` the same in the maximum
    norm, for all inputs: products over the stages of what each block does to its input and its
    first state in so many steps, times the norms of the operators between them. `blocks` are the
    certificates, one for each stage.
    """

    network: DeepNetwork
    blocks: tuple[BlockCertificate, ...]
    euclidean_gain: float
    maximum_gain: float
    evidence: Evidence = Evidence.VERIFIED


def certify_network(network: DeepNetwork) -> NetworkCertificate | Unknown:
    """Bound how far the last state of a deep network moves with its input, for all inputs.

    Through a stage of depth K a change `w` of its input becomes at most
    `|exit| (gain(K) |w| + transient(K) |start| |w|)`, and the stages multiply.

    **Arguments:** `network`.

    **Returns:** a `NetworkCertificate`, or `Unknown` with the first stage that has no certificate.

    **Raises:** `InputProblem` for anything but a deep network, and for numbers that are NaN,
    infinite, traced, or of another dtype than float32 and float64.

    **Reference:** arXiv 1804.07209.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator, LinearReadout, ResidualBlock, Stage
    >>> half = DenseOperator(jnp.array([[-0.5]]))
    >>> block = ResidualBlock(half, half, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> network = DeepNetwork((Stage(block, 2),), LinearReadout(jnp.ones((2, 1)), jnp.zeros(2)))
    >>> round(certify_network(network).euclidean_gain, 9)
    1.0
    """
    if not isinstance(network, DeepNetwork):
        raise InputProblem(
            f"a {type(network).__name__} came; give a DeepNetwork, or use certify_block for a block"
        )
    check_numbers(network)
    network = frozen(network)
    blocks = []
    for index, stage in enumerate(network.stages):
        for operator in (stage.start, stage.exit):
            unknown = unknown_operator(operator)
            if unknown is not None:
                return Unknown(f"stage {index}: no norm is known of the operator {unknown}")
        answer = certify_block(stage.block)
        if isinstance(answer, Unknown):
            return Unknown(f"stage {index}: {answer.reason}")
        blocks.append(answer)
    pairs = list(zip(network.stages, blocks, strict=True))
    euclidean = [stage_gain(stage, block, "euclidean") for stage, block in pairs]
    maximum = [stage_gain(stage, block, "maximum") for stage, block in pairs]
    return NetworkCertificate(
        network, tuple(blocks), product_upper(*euclidean), product_upper(*maximum)
    )


def stage_gain(stage: Stage, certificate: BlockCertificate, norm: Norm) -> float:
    """An upper bound of what a stage makes of a change of its input, of size 1 in the norm."""
    held = block_gain(certificate, stage.depth, norm) if stage.block.input_size else 0.0
    started = 0.0
    if stage.start is not None:
        carried = transient_gain(certificate, stage.depth, norm)
        started = product_upper(carried, operator_norm(stage.start, norm))
    left = 1.0 if stage.exit is None else operator_norm(stage.exit, norm)
    return product_upper(left, sum_upper(held, started))


def operator_norm(operator: AbstractOperator, norm: Norm) -> float:
    """An upper bound of the operator's norm."""
    return euclidean_norm(operator) if norm == "euclidean" else maximum_norm(operator)
