"""Blocks as dense matrices in float64: what the parametrisations promise, by brute force."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from limitset.contraction import (
    CONVOLUTION_BLOCKS,
    DENSE_BLOCKS,
    MaximumMetric,
    random_convolution_block,
    random_dense_block,
)
from limitset.networks import (
    AbstractOperator,
    Convolution,
    DenseOperator,
    EquilibriumBlock,
    GradientBlock,
    NegativeGram,
)

# The norms below are computed in float64, which rounds.
ONE = 1 + 1e-12
_MODES: dict[str, tuple[Any, dict[str, Any]]] = {
    "zero": ("constant", {"constant_values": -1}),
    "circular": ("wrap", {}),
    "edge": ("edge", {}),
    "reflect": ("reflect", {}),
}
# Every kind, and for convolutions every padding.
PADDINGS = ("zero", "circular", "edge", "reflect")
KINDS = [("dense", kind) for kind in DENSE_BLOCKS] + [
    (padding, kind) for kind in CONVOLUTION_BLOCKS for padding in PADDINGS
]


def draw(where: str, kind: str, seed: int = 0, **settings: Any) -> Any:
    """Random parameters of a small block; `where` is "dense" or a padding."""
    key = jax.random.key(seed)
    if where == "dense":
        return random_dense_block(key, kind=kind, units=5, inputs=2, **settings)
    image = {"channels": 2, "inputs": 1, "height": 4, "width": 3, "padding": where}
    return random_convolution_block(key, kind=kind, **{**image, **settings})


def matrix_of(operator: AbstractOperator) -> np.ndarray:
    """The matrix of the stored numbers in float64, not by way of the library's own."""
    if isinstance(operator, NegativeGram):
        inner = matrix_of(operator.inner)
        square = float(operator.scale) * inner.T @ inner
        return -(square + float(operator.shift) * np.eye(len(square)))
    if isinstance(operator, Convolution):
        return _convolution_matrix(operator)
    assert isinstance(operator, DenseOperator)
    return np.asarray(operator.matrix, np.float64)


def _convolution_matrix(convolution: Convolution) -> np.ndarray:
    """Tap by tap: which pixel each output reads, -1 for the zeros around the image."""
    assert convolution.stride == 1
    taps = np.asarray(convolution.taps, np.float64)
    outputs, inputs, *kernel = taps.shape
    height, width = convolution.height, convolution.width
    pixels = np.arange(height * width).reshape(height, width)
    mode, fill = _MODES[convolution.padding]
    padded = np.pad(pixels, [(k // 2, k // 2) for k in kernel], mode=mode, **fill)
    matrix = np.zeros((outputs, height * width, inputs, height * width))
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            read = padded[row : row + height, column : column + width].ravel()
            for here in np.flatnonzero(read >= 0):
                matrix[:, here, :, read[here]] += taps[:, :, row, column]
    return matrix.reshape(outputs * height * width, inputs * height * width)


def jacobian(block: Any, slopes: np.ndarray) -> np.ndarray:
    """Of one step, at given slopes of the activation."""
    step = float(block.step)
    if isinstance(block, GradientBlock):
        matrix = matrix_of(block.operator)
        eye = np.eye(matrix.shape[1])
        return (1 - step * float(block.leak)) * eye - step * matrix.T @ (slopes[:, None] * matrix)
    matrix = slopes[:, None] * matrix_of(block.state_operator)
    eye = np.eye(len(matrix))
    return eye + step * (matrix - eye if isinstance(block, EquilibriumBlock) else matrix)


def gain(core: Any, block: Any, slopes: np.ndarray) -> float:
    """The norm of one step's Jacobian in the metric of the kind."""
    J = jacobian(block, slopes)
    if isinstance(block, GradientBlock):
        return float(np.linalg.norm(J, 2))
    metric = core.metric()
    if isinstance(metric, MaximumMetric):
        scale = np.asarray(metric.scale, np.float64)
        return float(np.abs(scale[:, None] * J / scale).sum(1).max())
    values, vectors = np.linalg.eigh(-matrix_of(block.state_operator))
    root = np.sqrt(values)[:, None] * vectors.T
    return float(np.linalg.norm(root @ J @ (vectors / np.sqrt(values)), 2))


def slope_patterns(block: Any, seed: int = 0, count: int = 6) -> list[np.ndarray]:
    """All on, all off, some corners, and points inside."""
    size = block.operator.output_size if isinstance(block, GradientBlock) else block.state_size
    rng = np.random.default_rng(seed)
    corners = [(rng.random(size) < 0.5).astype(float) for _ in range(count)]
    return [np.ones(size), np.zeros(size), *corners, *(rng.random(size) for _ in range(2))]


explicit = jax.jit(lambda core: core.explicit())


def worst_gain(core: Any, seed: int = 0) -> float:
    """The largest norm over slope patterns."""
    block = explicit(core)
    return max(gain(core, block, slopes) for slopes in slope_patterns(block, seed))


def blown_up(tree: Any, factor: float) -> Any:
    """All weights multiplied."""
    return jax.tree.map(lambda a: factor * a if eqx.is_inexact_array(a) else a, tree)
