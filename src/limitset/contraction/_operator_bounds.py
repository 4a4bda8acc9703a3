"""Verified norms, rows and matrices of the linear operators that blocks are made of."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset.contraction._layer import product_upper, sum_upper
from limitset.networks import AbstractOperator, Convolution, DenseOperator, MeanPool, NegativeGram
from limitset.proofs import (
    Ball,
    ball_sum,
    convolution_matrix,
    convolution_norm_upper,
    convolution_row_sums,
    inf_norm_upper,
    two_norm_upper,
)

Vector = Float[np.ndarray, " n"]

# The classes that the bounds speak of: exactly these, no subclass.
OPERATORS = (DenseOperator, Convolution, MeanPool, NegativeGram)
# Entries of a matrix that is made of an operator that is none.
_MOST = 2**20


@dataclass(frozen=True)
class Rows:
    """Upper bounds for every row of an operator: of its sum of `|entry|`, and of its 2-norm."""

    absolute: Vector
    euclidean: Vector


def exact(array: object) -> Ball:
    """Stored floats as exact numbers."""
    return Ball.exact(np.asarray(array, np.float64))


def unknown_operator(operator: AbstractOperator | None) -> str | None:
    """The name of a class whose norms are not known; `None` if all are."""
    if operator is None:
        return None
    if type(operator) not in OPERATORS:
        return type(operator).__name__
    return unknown_operator(operator.inner) if isinstance(operator, NegativeGram) else None


def operator_matrix(operator: AbstractOperator) -> Ball | None:
    """The matrix, enclosed; `None` where it would be large, or overflows."""
    matrix = _formed(operator)
    return matrix if matrix is not None and np.isfinite(matrix.rad).all() else None


def _formed(operator: AbstractOperator) -> Ball | None:
    if isinstance(operator, DenseOperator):
        return exact(operator.matrix)
    if operator.input_size * operator.output_size > _MOST:
        return None
    if isinstance(operator, Convolution):
        size = (operator.height, operator.width)
        return convolution_matrix(exact(operator.taps), *size, operator.padding, operator.stride)
    if isinstance(operator, NegativeGram):
        bracket = bracket_matrix(operator)
        if bracket is None or operator.rates is None:
            return None if bracket is None else -bracket
        return -(bracket * exact(operator.rates).reshape(-1, 1))
    if isinstance(operator, MeanPool):
        return _pool_matrix(operator)
    return None


def bracket_matrix(gram: NegativeGram) -> Ball | None:
    """`scale inner^T inner + shift`, symmetric; `None` where it would be large."""
    size = gram.input_size
    inner = operator_matrix(gram.inner) if size * size <= _MOST else None
    if inner is None:
        return None
    product = inner.T @ inner * exact(gram.scale)
    return (product + product.T) * 0.5 + exact(gram.shift) * np.eye(size)


def euclidean_norm(operator: AbstractOperator) -> float:
    """An upper bound of the 2-norm."""
    if isinstance(operator, DenseOperator):
        return two_norm_upper(exact(operator.matrix))
    if isinstance(operator, Convolution):
        size = (operator.height, operator.width)
        return convolution_norm_upper(
            exact(operator.taps), *size, operator.padding, operator.stride
        )
    if isinstance(operator, MeanPool):
        return float((Ball.exact(1.0) / operator.window).upper())
    if isinstance(operator, NegativeGram):
        inner = euclidean_norm(operator.inner)
        scale, shift = abs(float(operator.scale)), abs(float(operator.shift))
        fastest = 1.0 if operator.rates is None else float(np.abs(operator.rates).max())
        return product_upper(fastest, sum_upper(shift, product_upper(scale, inner, inner)))
    return float("inf")


def maximum_norm(operator: AbstractOperator) -> float:
    """An upper bound of the norm from the maximum norm into the maximum norm."""
    if isinstance(operator, MeanPool):
        return 1.0
    return float(row_bounds(operator).absolute.max())


def row_bounds(operator: AbstractOperator) -> Rows:
    """Bounds for each of the `output_size` rows."""
    if isinstance(operator, Convolution):
        return _convolution_rows(operator)
    if isinstance(operator, MeanPool):
        ones = np.ones(operator.output_size)
        return Rows(ones, ones * float((Ball.exact(1.0) / operator.window).upper()))
    matrix = operator_matrix(operator)
    if matrix is None:
        nothing = np.full(operator.output_size, np.inf)
        return Rows(nothing, nothing)
    return _rows_of(matrix)


def _rows_of(matrix: Ball) -> Rows:
    entries = Ball.exact(matrix.magnitude())
    absolute = ball_sum(entries, axis=1).upper()
    # Squares of tiny entries may vanish: the scale is that of the largest one.
    largest = np.maximum(entries.mid.max(axis=1, initial=0.0), 2.0**-900)
    shares = entries / Ball.exact(largest).reshape(-1, 1)
    roots = Ball.exact(ball_sum(shares * shares, axis=1).upper()).sqrt() * largest
    return Rows(absolute, np.minimum(absolute, roots.upper()))


def weighted_maximum_norm(operator: AbstractOperator, weights: Vector) -> float:
    """An upper bound of `max_i weights_i sum_j |K_ij|`."""
    return float((Ball.exact(row_bounds(operator).absolute) * weights).upper().max())


def difference_norm(row: Vector, other: Vector, *, dual_of_maximum: bool) -> float:
    """An upper bound of `|row - other|`, in the 2-norm or the sum norm."""
    gap = Ball.exact(row) - Ball.exact(other)
    return inf_norm_upper(gap.reshape(1, -1)) if dual_of_maximum else two_norm_upper(gap)


def _convolution_rows(operator: Convolution) -> Rows:
    taps = exact(operator.taps)
    sums = convolution_row_sums(taps)
    pixels = operator.output_height * operator.output_width
    roots = sums
    # Zeros leave taps out, and a large circle keeps them apart; elsewhere they may add up.
    apart = operator.padding == "zero" or (
        operator.padding == "circular"
        and operator.height >= taps.shape[2]
        and operator.width >= taps.shape[3]
    )
    if apart:
        flat = taps.reshape(len(sums), taps.size // len(sums))
        roots = _rows_of(flat).euclidean
    return Rows(np.repeat(sums, pixels), np.repeat(roots, pixels))


def _pool_matrix(pool: MeanPool) -> Ball:
    share = Ball.exact(1.0) / float(pool.window**2)
    places = np.arange(pool.input_size).reshape(
        pool.channels, pool.height // pool.window, pool.window, pool.width // pool.window, -1
    )
    squares = places.transpose(0, 1, 3, 2, 4).reshape(pool.output_size, -1)
    chosen = np.zeros((pool.output_size, pool.input_size))
    np.put_along_axis(chosen, squares, 1.0, axis=1)
    return Ball.exact(chosen) * share
