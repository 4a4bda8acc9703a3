"""Square images at another size, by the rule that organism networks were trained with."""

import math

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem


def resize_bilinear(images: Float[np.ndarray, "b pixels"], side: int) -> Float[np.ndarray, "b p"]:
    """Square images, row by row, at `side` times `side` pixels, by bilinear interpolation.

    Pixel `i` looks at `(i + 1/2) old / side - 1/2` and mixes the two pixels beside that place. This
    is what PyTorch computes for tensors (`interpolate(mode="bilinear", align_corners=False)`);
    Pillow, which averages all pixels that a smaller one covers, gives smoother images.

    **Raises:** `InputProblem` for images that are not square, and sides that are not positive.

    >>> resize_bilinear(np.arange(16.0)[None], 2)
    array([[ 2.5,  4.5, 10.5, 12.5]])
    """
    old = math.isqrt(images.shape[1])
    if old * old != images.shape[1]:
        raise InputProblem(f"images have {images.shape[1]} pixels; give square ones, row by row")
    if not (isinstance(side, int) and side > 0):
        raise InputProblem(f"side is {side!r}; give a positive whole number of pixels")
    mix = _mixing(old, side).astype(images.dtype)
    square = images.reshape(-1, old, old)
    return np.einsum("ij,bjk,lk->bil", mix, square, mix, optimize=True).reshape(len(images), -1)


def _mixing(old: int, new: int) -> Float[np.ndarray, "new old"]:
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    below = np.minimum(place.astype(int), max(old - 2, 0))
    share = place - below
    matrix = np.zeros((new, old))
    matrix[np.arange(new), below] = 1 - share
    if old > 1:
        matrix[np.arange(new), below + 1] = share
    return matrix
