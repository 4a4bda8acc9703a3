"""Random blocks of deep networks of every kind, and their Jacobians at chosen slopes."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from limitset.contraction import BlockCertificate, certify_block
from limitset.networks import (
    AbstractBlock,
    AbstractOperator,
    Convolution,
    DenseOperator,
    EquilibriumBlock,
    GradientBlock,
    NegativeGram,
    Padding,
    ResidualBlock,
    UntiedBlock,
    block_at,
    untie,
)
from limitset.proofs import convolution_matrix

Square = np.ndarray


def dense(matrix: object) -> DenseOperator:
    return DenseOperator(jnp.asarray(np.asarray(matrix, np.float64)))


def number(value: float) -> jnp.ndarray:
    return jnp.asarray(value, jnp.float64)


def definite(
    rng: np.random.Generator, size: int, lowest: float = 0.01, highest: float = 0.99
) -> Square:
    """A symmetric matrix whose eigenvalues fill `[lowest, highest]`."""
    Q = np.linalg.qr(rng.standard_normal((size, size)))[0]
    P = (Q * np.linspace(lowest, highest, size)) @ Q.T
    return (P + P.T) / 2


def residual(
    A: object, B: object = None, *, step: float = 1.0, activation: str = "relu", bias: object = None
) -> ResidualBlock:
    state = A if isinstance(A, AbstractOperator) else dense(A)
    entering = B if B is None or isinstance(B, AbstractOperator) else dense(B)
    shift = np.zeros(state.output_size) if bias is None else bias
    return ResidualBlock(state, entering, jnp.asarray(shift), number(step), activation)


def row_dominant(rng: np.random.Generator, size: int, slack: float, shift: float = 0.0) -> Square:
    """Diagonal `-1 - shift`, and rows beside it of sum `1 - |shift| - slack`."""
    rest = rng.standard_normal((size, size))
    np.fill_diagonal(rest, 0.0)
    rest *= (1 - abs(shift) - slack) / np.abs(rest).sum(1, keepdims=True)
    return rest - (1 + shift) * np.eye(size)


def dominant_taps(
    rng: np.random.Generator, channels: int, kernel: tuple[int, int], slack: float, shift: float
) -> np.ndarray:
    """Centre `-1 - shift`, all other taps of an output channel of sum `1 - |shift| - slack`."""
    taps = rng.standard_normal((channels, channels, *kernel))
    own = np.arange(channels)
    taps[own, own, kernel[0] // 2, kernel[1] // 2] = 0.0
    total = np.abs(taps).sum((1, 2, 3), keepdims=True)
    taps *= (1 - abs(shift) - slack) / np.where(total > 0, total, 1.0)
    taps[own, own, kernel[0] // 2, kernel[1] // 2] = -1 - shift
    return taps


def convolution(
    taps: object, height: int, width: int, padding: str = "zero", stride: int = 1
) -> Convolution:
    return Convolution(jnp.asarray(taps), height, width, Padding(padding), stride)


def matrix(operator: AbstractOperator | None) -> Square:
    """The matrix; that of a convolution is compared with its images in test_convolution_norm.py."""
    if isinstance(operator, DenseOperator):
        return np.asarray(operator.matrix, np.float64)
    if isinstance(operator, NegativeGram):
        K = matrix(operator.inner)
        P = float(operator.scale) * K.T @ K + float(operator.shift) * np.eye(len(K.T))
        return -(P if operator.rates is None else np.asarray(operator.rates)[:, None] * P)
    assert isinstance(operator, Convolution)
    size = (operator.height, operator.width)
    return np.asarray(
        convolution_matrix(np.asarray(operator.taps), *size, operator.padding, operator.stride).mid
    )


def linear_parts(block: AbstractBlock) -> tuple[float, Square, Square, Square]:
    """`(k, L, A, B)`: with slopes D, differences move as `e+ = k e + L D (A e + B w)`."""
    assert isinstance(block, ResidualBlock | GradientBlock | EquilibriumBlock)
    h, size = float(block.step), slope_count(block)
    entering = block.input_operator
    B = np.zeros((size, 0)) if entering is None else matrix(entering)
    if isinstance(block, GradientBlock):
        R = matrix(block.operator)
        return 1 - h * float(block.leak), -h * R.T, R, B
    kept = 1.0 if isinstance(block, ResidualBlock) else 1 - h
    return kept, h * np.eye(size), matrix(block.state_operator), B


def jacobian(block: AbstractBlock, slopes: np.ndarray) -> Square:
    """The Jacobian of a step with these slopes."""
    kept, left, A, _ = linear_parts(block)
    return kept * np.eye(block.state_size) + left @ (slopes[:, None] * A)


def slope_count(block: AbstractBlock) -> int:
    return block.operator.output_size if isinstance(block, GradientBlock) else block.state_size


def layers(block: AbstractBlock) -> list[AbstractBlock]:
    if isinstance(block, UntiedBlock):
        return [block_at(block, k) for k in range(block.depth)]
    return [block]


def certified(block: AbstractBlock, **options: object) -> BlockCertificate:
    answer = certify_block(block, **options)  # pyright: ignore[reportArgumentType]
    assert isinstance(answer, BlockCertificate), answer
    return answer


def _symmetric(rng: np.random.Generator, activation: str) -> AbstractBlock:
    P = definite(rng, 5, 0.05, 1.4)
    return residual(-P, rng.standard_normal((5, 3)), activation=activation)


def _rated(rng: np.random.Generator, activation: str) -> AbstractBlock:
    inner = convolution(rng.standard_normal((2, 2, 3, 3)) * 0.15, 3, 3)
    rates = jnp.asarray(np.repeat(rng.uniform(0.3, 1.5, 2), 9))
    gram = NegativeGram(inner, number(0.8), number(0.1), rates)
    return residual(gram, rng.standard_normal((18, 2)), activation=activation, bias=np.ones(2))


def _untied_symmetric(rng: np.random.Generator, activation: str) -> AbstractBlock:
    """One metric; rates, steps and inputs of each depth its own."""
    inner = dense(rng.standard_normal((5, 4)) * 0.3)
    blocks = []
    for _ in range(3):
        rates = jnp.asarray(rng.uniform(0.3, 1.2, 4))
        gram = NegativeGram(inner, number(0.8), number(0.1), rates)
        entering = rng.standard_normal((4, 2)) * rng.uniform(0.1, 2.0)
        blocks.append(residual(gram, entering, step=rng.uniform(0.2, 0.8), activation=activation))
    return untie(blocks)


def _rows(rng: np.random.Generator, activation: str) -> AbstractBlock:
    taps = dominant_taps(rng, 2, (3, 3), 0.1, 0.2)
    entering = convolution(rng.standard_normal((2, 1, 3, 3)), 3, 3)
    return residual(convolution(taps, 3, 3), entering, activation=activation, bias=np.ones(2))


def _untied_rows(rng: np.random.Generator, activation: str) -> AbstractBlock:
    blocks = [
        residual(
            row_dominant(rng, 4, 0.1, rng.uniform(-0.3, 0.3)),
            rng.standard_normal((4, 2)),
            activation=activation,
        )
        for _ in range(3)
    ]
    return untie(blocks)


def gradient(
    R: object, B: object = None, *, step: float, leak: float, activation: str = "relu"
) -> GradientBlock:
    operator = R if isinstance(R, AbstractOperator) else dense(R)
    entering = B if B is None or isinstance(B, AbstractOperator) else dense(B)
    bias = jnp.zeros(operator.output_size)
    return GradientBlock(operator, entering, bias, number(step), number(leak), activation)


def _gradient(rng: np.random.Generator, activation: str) -> AbstractBlock:
    R = rng.standard_normal((6, 4))
    R /= np.linalg.norm(R, 2)
    return gradient(R, rng.standard_normal((6, 3)), step=1.5, leak=0.1, activation=activation)


def _untied_gradient(rng: np.random.Generator, activation: str) -> AbstractBlock:
    blocks = [_gradient(rng, activation) for _ in range(3)]
    return untie(blocks)


def equilibrium(
    W: object, B: object = None, *, step: float, activation: str = "relu"
) -> EquilibriumBlock:
    state = W if isinstance(W, AbstractOperator) else dense(W)
    entering = B if B is None or isinstance(B, AbstractOperator) else dense(B)
    return EquilibriumBlock(state, entering, jnp.zeros(state.output_size), number(step), activation)


def contracting_weight(rng: np.random.Generator, size: int, level: float) -> Square:
    """`max_i (W_ii + sum_(j != i) |W_ij|) = level`, attained by every row."""
    W = rng.standard_normal((size, size))
    np.fill_diagonal(W, 0.0)
    return W + np.diag(level - np.abs(W).sum(1))


def _equilibrium(rng: np.random.Generator, activation: str) -> AbstractBlock:
    W = contracting_weight(rng, 5, 0.4)
    return equilibrium(
        W,
        rng.standard_normal((5, 2)),
        step=1 / (1 - min(np.diag(W).min(), 0.0)),
        activation=activation,
    )


KINDS: dict[str, Callable[[np.random.Generator, str], AbstractBlock]] = {
    "symmetric": _symmetric,
    "symmetric_untied": _untied_symmetric,
    "symmetric_convolution": _rated,
    "row_sum": _rows,
    "row_sum_untied": _untied_rows,
    "gradient": _gradient,
    "gradient_untied": _untied_gradient,
    "equilibrium": _equilibrium,
}
