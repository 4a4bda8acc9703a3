"""Image tasks small enough to train in a test."""

import dataclasses
from typing import Any

import numpy as np

from limitset.training import Dataset, DeepSettings, ImageTask, Split

SHAPE, CLASSES = (1, 4, 4), 2


def tiny_images(seed: int = 0, samples: int = 24) -> Split:
    """Noise whose upper or lower half is brighter."""
    generator = np.random.default_rng(seed)

    def part(name: str) -> Dataset:
        images = generator.random((samples, 1, 16)).astype(np.float32)
        labels = np.arange(samples, dtype=np.int32) % CLASSES
        for image, label in zip(images, labels, strict=True):
            image[0, 8 * label : 8 * label + 8] += 1
        return Dataset(images, labels, "tiny", name)

    return Split(part("train"), part("test"))


def tiny_deep(**changes: Any) -> DeepSettings:
    """Settings of a run of a second or two."""
    small = DeepSettings(
        width=3,
        depth=4,
        epochs=3,
        batch_size=8,
        optimiser="sgd",
        learning_rate=0.1,
        epsilon=0.05,
        eta=0.1,
    )
    return dataclasses.replace(small, **changes)


# `train_deep` is given the images themselves.
TINY_IMAGES = ImageTask("tiny", tiny_images, CLASSES, SHAPE, "for tests", tiny_deep())
