"""Convolutions as matrices and as products with patches, entry by entry and in balls."""

import numpy as np
from jaxtyping import Float, Int

from limitset._result import InputProblem
from limitset.networks import Padding
from limitset.proofs._ball import Ball

Taps = Float[np.ndarray, "o i k l"]

# Entries of the largest matrix that is made.
_MOST = 2**24


def convolution_sources(
    height: int, width: int, kernel: tuple[int, int], padding: Padding, stride: int
) -> Int[np.ndarray, "t p"]:
    """Which pixel each tap sees at each pixel that comes out; `height * width` where it sees 0.

    **Arguments:** the size of the image that goes in; `kernel`, the taps' odd height and width;
    `padding`; `stride`.

    **Returns:** shape (taps, pixels that come out).

    >>> convolution_sources(1, 3, (1, 3), Padding.EDGE, 1).tolist()
    [[0, 0, 1], [0, 1, 2], [1, 2, 2]]
    """
    rows = _line_sources(height, kernel[0], padding, stride)[:, None, :, None]
    columns = _line_sources(width, kernel[1], padding, stride)[None, :, None, :]
    seen = np.where((rows < 0) | (columns < 0), height * width, rows * width + columns)
    return seen.reshape(kernel[0] * kernel[1], -1)


def convolution_matrix(
    taps: Ball | Taps, height: int, width: int, padding: Padding, stride: int = 1
) -> Ball:
    """The matrix of a convolution of images, for small images: every member of the ball of taps.

    Where several taps see one pixel, as at edges that are repeated, their entries are added.

    **Returns:** shape (outputs * pixels out, inputs * pixels in), as `limitset.networks` orders
    images.

    **Raises:** `InputProblem` beyond 2**24 entries.
    """
    kernel = taps if isinstance(taps, Ball) else Ball.exact(taps)
    o, i, k, w = kernel.shape
    seen = convolution_sources(height, width, (k, w), padding, stride)
    pixels, out = height * width, seen.shape[1]
    if o * i * out * (pixels + 1) > _MOST:
        raise InputProblem(
            f"the matrix would have {o * i * out * pixels} entries; use convolution_norm_upper"
        )
    matrix = Ball.exact(np.zeros((o, out, i, pixels + 1)))
    places = np.arange(out)
    for tap in range(k * w):
        entries = kernel[:, :, tap // w, tap % w]
        added = _scattered(entries, (out, pixels + 1), places, seen[tap])
        # Adding 0 is exact, but widens balls by their share of a roundoff.
        matrix = added if tap == 0 else matrix + added
    return matrix[..., :pixels].reshape(o * out, i * pixels)


def _scattered(
    entries: Ball,
    shape: tuple[int, int],
    rows: Int[np.ndarray, " p"],
    columns: Int[np.ndarray, " p"],
) -> Ball:
    def scatter(values: Float[np.ndarray, "o i"]) -> Float[np.ndarray, "o p i q"]:
        whole = np.zeros((values.shape[0], shape[0], values.shape[1], shape[1]))
        whole[:, rows, :, columns] = values
        return whole

    return Ball.moved(scatter, entries)


def _line_sources(length: int, size: int, padding: Padding, stride: int) -> Int[np.ndarray, "t p"]:
    """The same along one axis; -1 where a tap sees 0."""
    reach = size // 2
    pixels = np.arange(length)
    if padding == Padding.ZERO:
        line = np.pad(pixels, reach, constant_values=-1)
    elif padding == Padding.CIRCULAR:
        line = np.pad(pixels, reach, mode="wrap")
    elif padding == Padding.EDGE:
        line = np.pad(pixels, reach, mode="edge")
    else:
        line = np.pad(pixels, reach, mode="reflect")
    starts = np.arange(0, length, stride)
    return line[starts[None, :] + np.arange(size)[:, None]]
