"""Images as vectors: pixels of all channels at once, their statistics, and shifted copies."""

import functools
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset.training._datasets import Dataset, Split

ImageShape = tuple[int, int, int]


def as_images(split: Split) -> Split:
    """Pixel sequences as sequences of one step, which holds the whole image.

    Pixels are in the order of images here: (channels, height, width), row by row. So networks for
    images take `inputs[:, 0]`, and everything that takes a `Split` takes these.

    >>> from limitset.training import load_digits_sequences
    >>> as_images(load_digits_sequences()).train.inputs.shape
    (1437, 1, 64)
    """

    def turn(part: Dataset) -> Dataset:
        images = np.ascontiguousarray(part.inputs.transpose(0, 2, 1))
        return replace(part, inputs=images.reshape(len(images), 1, -1))

    held = None if split.validation is None else turn(split.validation)
    return Split(turn(split.train), turn(split.test), held)


def images_of(data: Dataset) -> Float[np.ndarray, "b m"]:
    """The images of a data set, one in a row.

    **Raises:** `InputProblem` if sequences have more than one step.
    """
    if data.inputs.shape[1] != 1:
        raise InputProblem(
            f"{data.name} has sequences of {data.inputs.shape[1]} steps; make images of them with "
            "as_images"
        )
    return data.inputs[:, 0]


@dataclass(frozen=True)
class Augmentation:
    """Random copies of images: some mirrored, all shifted by up to `margin` pixels, 0 beyond edges.

    **Arguments:** `shape`, (channels, height, width); `margin`, 0 or more; `flip`: whether half of
    the images are mirrored, left to right.

    **Raises:** `InputProblem` for sizes that are none.

    >>> import jax
    >>> shift = Augmentation((1, 2, 2), margin=1, flip=False)
    >>> shift(jax.random.key(0), jnp.ones((1, 4))).shape
    (1, 4)
    """

    shape: ImageShape
    margin: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or not min(self.shape) >= 1 or not self.margin >= 0:
            raise InputProblem(
                f"images of {self.shape} and a margin of {self.margin}; give (channels, height, "
                "width), each at least 1, and a margin of 0 or more"
            )

    def __call__(self, key: Key[Array, ""], images: Float[Array, "b m"]) -> Float[Array, "b m"]:
        """A copy of each image, which follows from the key and its place alone."""
        keys = jax.random.split(key, images.shape[0])
        return jax.vmap(functools.partial(_copy, self))(keys, images)


def _copy(how: Augmentation, key: Key[Array, ""], pixels: Float[Array, " m"]) -> Float[Array, " m"]:
    flip_key, shift_key = jax.random.split(key)
    image = pixels.reshape(how.shape)
    if how.flip:
        image = jnp.where(jax.random.bernoulli(flip_key), image[:, :, ::-1], image)
    margin = how.margin
    corner = jax.random.randint(shift_key, (2,), 0, 2 * margin + 1)
    padded = jnp.pad(image, ((0, 0), (margin, margin), (margin, margin)))
    return jax.lax.dynamic_slice(padded, (0, corner[0], corner[1]), how.shape).ravel()
