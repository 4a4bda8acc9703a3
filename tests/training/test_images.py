"""Images as vectors, their standardisation, and augmentation."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deep_training import SHAPE, tiny_deep, tiny_images
from limitset._result import InputProblem
from limitset.dynamics import run_network
from limitset.networks import (
    DeepNetwork,
    DenseOperator,
    LinearReadout,
    MeanPool,
    ResidualBlock,
    Stage,
)
from limitset.training import (
    Augmentation,
    Dataset,
    DeepClassifier,
    Split,
    Standardisation,
    as_images,
    build_network,
    images_of,
    load_digits_sequences,
    measure_standardisation,
    standardise,
)


def coloured(samples: int = 5) -> Split:
    inputs = np.random.default_rng(0).random((samples, 16, 3)).astype(np.float32)
    inputs[:, :, 1] += 2
    part = Dataset(inputs, np.zeros(samples, np.int32), "coloured", "train")
    return Split(part, dataclasses.replace(part, part="test"))


def test_channels_come_first():
    split = coloured()
    images = images_of(as_images(split).train).reshape(5, 3, 4, 4)
    assert np.array_equal(images[2, 1], split.train.inputs[2, :, 1].reshape(4, 4))
    with pytest.raises(InputProblem, match="as_images"):
        images_of(load_digits_sequences().train)


def test_statistics_are_those_of_each_channel():
    data = as_images(coloured()).train
    found = measure_standardisation(data, 3)
    planes = images_of(data).reshape(5, 3, 16).astype(np.float64)
    assert np.allclose(found.means, planes.mean((0, 2)))
    assert np.allclose(found.deviations, planes.std((0, 2)), rtol=1e-6)
    flat = dataclasses.replace(data, inputs=np.zeros_like(data.inputs))
    with pytest.raises(InputProblem, match="positive deviation"):
        measure_standardisation(flat, 3)
    with pytest.raises(InputProblem, match="do not have 5 channels"):
        measure_standardisation(data, 5)


def plain_network(shape: Any, **changes: Any) -> DeepNetwork:
    model = build_network(tiny_deep(**changes), shape, 2)
    assert isinstance(model, DeepClassifier)
    return model.explicit()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kind": "gradient"},
        {"block": "convolution", "reduce": 2},
        pytest.param({"shared": False, "stable": False}, marks=pytest.mark.slow),
        pytest.param({"block": "convolution"}, marks=pytest.mark.slow),
        pytest.param(
            {"block": "convolution", "kind": "gradient", "shared": False}, marks=pytest.mark.slow
        ),
        pytest.param({"block": "convolution", "kind": "equilibrium"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_standardised_networks_take_raw_pixels(changes: dict[str, Any]):
    shape = (3, 4, 4)
    by = Standardisation((0.5, 2.0, -1.0), (0.5, 0.25, 2.0))
    plain = plain_network(shape, **changes)
    raw = jax.random.uniform(jax.random.key(1), (48,), jnp.float32)
    means, deviations = (np.repeat(v, 16).astype(np.float32) for v in (by.means, by.deviations))
    found = run_network(standardise(plain, by), raw)
    assert np.allclose(found, run_network(plain, (raw - means) / deviations), atol=1e-4)


def test_starts_are_scaled_and_not_centred():
    by = Standardisation((0.5,), (0.25,))
    plain = plain_network(SHAPE, non_autonomous=False)
    raw = jnp.linspace(0, 1, 16, dtype=jnp.float32)
    assert np.allclose(run_network(standardise(plain, by), raw), run_network(plain, raw / 0.25))


def test_operators_that_cannot_take_it_in_are_refused():
    pool, zero = MeanPool(1, 2, 4, 2), jnp.zeros(2)
    block = ResidualBlock(DenseOperator(jnp.eye(2)), pool, zero, jnp.array(0.1))
    network = DeepNetwork((Stage(block, 1),), LinearReadout(jnp.ones((1, 2)), jnp.zeros(1)))
    with pytest.raises(InputProblem, match="MeanPool"):
        standardise(network, Standardisation((0.0,), (1.0,)))
    with pytest.raises(InputProblem, match="3 channels"):
        standardise(network, Standardisation((0.0,) * 3, (1.0,) * 3))


def test_copies_follow_from_the_key_and_are_shifts_and_mirror_images():
    images = np.random.default_rng(0).random((200, 1 * 6 * 5)).astype(np.float32) + 1
    how = Augmentation((1, 6, 5), margin=2)
    once, again = (np.asarray(how(jax.random.key(4), jnp.asarray(images))) for _ in range(2))
    assert np.array_equal(once, again)
    other = np.asarray(how(jax.random.key(5), jnp.asarray(images)))
    assert not np.array_equal(once, other)
    padded = np.pad(images.reshape(200, 6, 5), ((0, 0), (2, 2), (2, 2)))
    kinds = set()
    for copy, image in zip(once.reshape(200, 6, 5), padded, strict=True):
        # A mirrored image is shifted after it was mirrored.
        fits = [
            (flip, i, j)
            for flip, source in ((False, image), (True, image[:, ::-1]))
            for i in range(5)
            for j in range(5)
            if np.array_equal(source[i : i + 6, j : j + 5], copy)
        ]
        assert len(fits) == 1
        kinds.add(fits[0])
    assert len(kinds) > 45
    still = Augmentation((1, 6, 5), margin=0, flip=False)
    assert np.array_equal(still(jax.random.key(0), jnp.asarray(images)), images)


def test_each_epoch_sees_other_copies():
    """Which follows from the keys that training hands out: folded by epoch and place."""
    images = jnp.asarray(images_of(tiny_images().train))
    how, key = Augmentation(SHAPE, margin=1), jax.random.key(0)
    first, second = (how(jax.random.fold_in(jax.random.fold_in(key, e), 0), images) for e in (0, 1))
    assert not np.array_equal(first, second)


def test_sizes_that_are_none_are_refused():
    for shape, margin in (((0, 4, 4), 1), ((1, 4, 4), -1)):
        with pytest.raises(InputProblem, match="give \\(channels"):
            Augmentation(shape, margin)
