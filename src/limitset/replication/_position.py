"""The coordinates by which a particle network is asked for its own weights."""

import enum

import numpy as np
from jaxtyping import Float

# Keeps a coordinate away from an exact zero, as the organism networks' public code does.
_OFFSET = 1e-8


class PositionCode(enum.Enum):
    """How (layer, cell, edge) of a weight become three inputs; in general no two of these agree.

    Layers, cells (rows) and edges (columns) are numbered from 0. `COLMAX` is that of organism
    networks, `KERAS2019` that of the first soups, `PERLAYER` and `L2COL` those of later ones.
    """

    COLMAX = "colmax"  # each column over its maximum + 1e-8, then + 1e-8
    PERLAYER = "perlayer"  # each number over its largest value within the layer, if that exceeds 1
    KERAS2019 = "keras2019"  # the same with cell = source and edge = target of the weight
    L2COL = "l2col"  # each column over its Euclidean norm, then + 1e-8; RAW for four inputs
    RAW = "raw"  # the numbers themselves


def coordinates(
    shapes: tuple[tuple[int, int], ...], code: PositionCode
) -> Float[np.ndarray, "n 3"]:
    """The three coordinates of every weight, matrix by matrix, row by row."""
    numbers = np.concatenate([_numbers(layer, shape) for layer, shape in enumerate(shapes)])
    match code:
        case PositionCode.COLMAX:
            return numbers / (numbers.max(axis=0) + _OFFSET) + _OFFSET
        case PositionCode.L2COL:
            # A column of zeros has nothing to be divided by.
            lengths = np.linalg.norm(numbers, axis=0)
            return numbers / np.where(lengths > 0, lengths, 1) + _OFFSET
        case PositionCode.PERLAYER:
            return _within_layers(shapes, numbers)
        case PositionCode.KERAS2019:
            return _within_layers(shapes, numbers)[:, [0, 2, 1]]
        case PositionCode.RAW:
            return numbers


def _numbers(layer: int, shape: tuple[int, int]) -> Float[np.ndarray, "k 3"]:
    cell, edge = np.indices(shape).reshape(2, -1).astype(float)
    return np.stack([np.full(cell.shape, float(layer)), cell, edge], axis=1)


def _within_layers(
    shapes: tuple[tuple[int, int], ...], numbers: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n 3"]:
    last = len(shapes) - 1
    largest = np.concatenate(
        [np.tile([last, rows - 1, columns - 1], (rows * columns, 1)) for rows, columns in shapes]
    )
    return numbers / np.where(largest > 1, largest, 1)
