"""Linear operators applied to many vectors at once, in balls: states are columns."""

import numpy as np
from jaxtyping import Float, Int

from limitset.contraction._operator_bounds import exact
from limitset.networks import AbstractOperator, Convolution, DenseOperator, MeanPool, NegativeGram
from limitset.proofs import Ball, ball_sum, convolution_sources

Entries = Float[np.ndarray, "..."]


def apply_operator(operator: AbstractOperator, x: Ball) -> Ball:
    """The images of the columns of `x`, shape (outputs, columns), of all members."""
    if isinstance(operator, DenseOperator):
        return exact(operator.matrix) @ x
    if isinstance(operator, Convolution):
        return _convolve(operator, x)
    if isinstance(operator, MeanPool):
        return _pool(operator, x)
    if isinstance(operator, NegativeGram):
        inner = apply_adjoint(operator.inner, apply_operator(operator.inner, x))
        image = -(inner * float(operator.scale) + x * float(operator.shift))
        if operator.rates is None:
            return image
        return image * exact(operator.rates).reshape(-1, 1)
    raise TypeError(f"no enclosure of a {type(operator).__name__}")


def apply_adjoint(operator: AbstractOperator, y: Ball) -> Ball:
    """The images under the transpose."""
    if isinstance(operator, DenseOperator):
        return exact(operator.matrix).T @ y
    if isinstance(operator, Convolution):
        return _convolve_back(operator, y)
    if isinstance(operator, MeanPool):
        return _spread(operator, y)
    if isinstance(operator, NegativeGram):
        rated = y if operator.rates is None else y * exact(operator.rates).reshape(-1, 1)
        return apply_operator(NegativeGram(operator.inner, operator.scale, operator.shift), rated)
    raise TypeError(f"no enclosure of a {type(operator).__name__}")


def widest(operator: AbstractOperator | None) -> int:
    """Numbers that one column needs at most while the operator is applied."""
    if operator is None:
        return 1
    if isinstance(operator, NegativeGram):
        return widest(operator.inner)
    if isinstance(operator, Convolution):
        area = operator.taps.shape[2] * operator.taps.shape[3]
        out = operator.output_height * operator.output_width
        entering = operator.input_channels * max(out, operator.height * operator.width)
        return area * max(entering, operator.output_channels * out)
    return max(operator.input_size, operator.output_size)


def _sources(operator: Convolution) -> Int[np.ndarray, "t p"]:
    size = (operator.height, operator.width)
    kernel = (operator.taps.shape[2], operator.taps.shape[3])
    return convolution_sources(*size, kernel, operator.padding, operator.stride)


def _convolve(operator: Convolution, x: Ball) -> Ball:
    seen = _sources(operator)
    channels, columns = operator.input_channels, x.shape[1]
    taps = exact(operator.taps)

    def gather(values: Entries) -> Entries:
        image = values.reshape(channels, -1, columns)
        padded = np.concatenate([image, np.zeros((channels, 1, columns))], 1)
        return padded[:, seen].reshape(channels * len(seen), -1)

    image = taps.reshape(len(taps), -1) @ Ball.moved(gather, x)
    return image.reshape(operator.output_size, columns)


def _convolve_back(operator: Convolution, y: Ball) -> Ball:
    seen, columns = _sources(operator), y.shape[1]
    places = _contributions(seen, operator.height * operator.width)
    taps = exact(operator.taps)
    o, i, k, w = taps.shape
    weights = Ball.moved(lambda a: a.transpose(1, 2, 3, 0).reshape(i * k * w, o), taps)
    spread = weights @ y.reshape(o, seen.shape[1] * columns)

    def gather(values: Entries) -> Entries:
        parts = values.reshape(i, seen.size, columns)
        padded = np.concatenate([parts, np.zeros((i, 1, columns))], 1)
        return padded[:, places]

    total = ball_sum(Ball.moved(gather, spread), axis=1)
    return total.reshape(operator.input_size, columns)


def _contributions(seen: Int[np.ndarray, "t p"], pixels: int) -> Int[np.ndarray, "c q"]:
    """For each pixel that goes in, the pairs (tap, pixel out) that see it; `seen.size` for none."""
    flat = seen.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[flat[order] < pixels]
    targets = flat[order]
    rank = np.arange(len(targets)) - np.searchsorted(targets, targets)
    places = np.full((int(rank.max()) + 1, pixels), seen.size)
    places[rank, targets] = order
    return places


def _pool(pool: MeanPool, x: Ball) -> Ball:
    rows, columns = pool.height // pool.window, pool.width // pool.window
    shape = (pool.channels, rows, pool.window, columns, pool.window, x.shape[1])

    def squares(values: Entries) -> Entries:
        parts = values.reshape(shape).transpose(2, 4, 0, 1, 3, 5)
        return parts.reshape(pool.window**2, pool.output_size, x.shape[1])

    return ball_sum(Ball.moved(squares, x), axis=0) / float(pool.window**2)


def _spread(pool: MeanPool, y: Ball) -> Ball:
    rows, columns = pool.height // pool.window, pool.width // pool.window
    inner = (pool.channels, rows, 1, columns, 1, y.shape[1])
    shape = (pool.channels, rows, pool.window, columns, pool.window, y.shape[1])

    def broadcast(values: Entries) -> Entries:
        return np.broadcast_to(values.reshape(inner), shape).reshape(pool.input_size, y.shape[1])

    return Ball.moved(broadcast, y) / float(pool.window**2)
