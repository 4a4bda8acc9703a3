"""Batch norm inside blocks, and the explicit weights that it becomes."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deep_training import SHAPE, tiny_deep
from limitset._result import InputProblem
from limitset.contraction import NetworkCertificate, Unknown, certify_network
from limitset.dynamics import run_network, unroll
from limitset.networks import (
    DeepNetwork,
    DenseOperator,
    GradientBlock,
    LinearReadout,
    MeanPool,
    ResidualBlock,
    Stage,
    UntiedBlock,
)
from limitset.training import (
    BatchNorm,
    NormalisedClassifier,
    Standardisation,
    Statistics,
    build_network,
    fold_batch_norm,
    run_normalised,
)

SLOW = pytest.mark.slow


def stage_and_norm(depth: int = 3, **changes: Any) -> tuple[Stage, BatchNorm]:
    settings = tiny_deep(batch_norm=True, depth=depth, **changes)
    model = build_network(settings, SHAPE, 2, Standardisation((0.4,), (0.3,)))
    assert isinstance(model, NormalisedClassifier)
    stage, norm = model._network().stages[0], model.norms[0]
    gain, shift = jax.random.normal(jax.random.key(7), (2, *norm.gain.shape))
    return stage, BatchNorm(gain.astype(jnp.float32), shift.astype(jnp.float32))


def layers_of(stage: Stage) -> ResidualBlock:
    assert isinstance(stage.block, UntiedBlock) and isinstance(stage.block.layers, ResidualBlock)
    return stage.block.layers


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"block": "convolution", "pool": 2},
        pytest.param({"non_autonomous": False}, marks=SLOW),
        pytest.param({"shared": False, "stable": False}, marks=SLOW),
        pytest.param({"block": "convolution", "shared": False}, marks=SLOW),
        pytest.param(
            {"block": "convolution", "non_autonomous": False, "stable": False}, marks=SLOW
        ),
    ],
    ids=str,
)
def test_folding_gives_the_network_that_normalises(changes: dict[str, Any]):
    stage, norm = stage_and_norm(**changes)
    images = jax.random.uniform(jax.random.key(3), (6, 16), jnp.float32)
    expected, seen = run_normalised(stage, norm, images)
    folded = fold_batch_norm(stage, norm, seen)

    def run(image: Any) -> Any:
        start = None if folded.start is None else folded.start(image)
        held = image if folded.block.input_size else image[:0]
        x = unroll(folded.block, held, folded.depth, initial=start)
        return x if folded.exit is None else folded.exit(x)

    found = jax.vmap(run)(images)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(jnp.abs(expected).max()))
    # The fold has to matter: a gain of 1 % more is seen.
    moved = fold_batch_norm(stage, dataclasses.replace(norm, gain=1.01 * norm.gain), seen)
    assert not np.allclose(layers_of(moved).bias, layers_of(folded).bias, rtol=1e-4)


@pytest.mark.parametrize(("gain", "stable"), [(1.0, True), (3.0, False), (-0.5, False)])
def test_nais_pitfall_batch_norm_inside_the_recursion(gain: float, stable: bool):
    """G A is what runs: a gain of 3 or -0.5 loses what held for A, and the certificate says so."""
    weight = DenseOperator(jnp.array([[-0.9]]))
    block = ResidualBlock(weight, weight, jnp.zeros(1), jnp.array(1.0), "relu")
    stage = Stage(block, 2)
    unit = Statistics(jnp.zeros((2, 1)), jnp.full((2, 1), 1 - 1e-5))
    norm = BatchNorm(jnp.full((1, 1), gain), jnp.zeros((1, 1)))
    folded = fold_batch_norm(stage, norm, unit)
    operator = layers_of(folded).state_operator
    assert isinstance(operator, DenseOperator)
    matrix = operator.matrix[0, 0, 0]
    assert (abs(1 + float(matrix)) < 1) == stable
    network = DeepNetwork((folded,), LinearReadout(jnp.ones((2, 1)), jnp.zeros(2)))
    assert isinstance(certify_network(network), NetworkCertificate if stable else Unknown)


def test_what_is_deployed_no_longer_depends_on_the_batch():
    model = build_network(tiny_deep(batch_norm=True), SHAPE, 2)
    images = jax.random.uniform(jax.random.key(3), (6, 16), jnp.float32)
    network = model.finished(images)
    together = jax.vmap(lambda u: run_network(network, u))(images)
    alone = run_network(network, images[0])
    assert np.allclose(together[0], alone, atol=1e-5)
    assert not np.allclose(model.scores(images)[0], model.scores(images[:3])[0], atol=1e-3)
    assert np.allclose(together, model.scores(images), atol=1e-3)


def test_other_blocks_and_sizes_are_refused():
    one, zero = DenseOperator(jnp.eye(2)), jnp.zeros(2)
    number = jnp.array(0.1)
    norm = BatchNorm(jnp.ones((1, 2)), jnp.zeros((1, 2)))
    gradient = Stage(GradientBlock(one, one, zero, number, number), 2)
    with pytest.raises(InputProblem, match="residual blocks"):
        run_normalised(gradient, norm, jnp.ones((3, 2)))
    residual = Stage(ResidualBlock(one, one, zero, number), 2)
    wide = BatchNorm(jnp.ones((1, 3)), jnp.zeros((1, 3)))
    deep = BatchNorm(jnp.ones((3, 2)), jnp.zeros((3, 2)))
    for wrong in (wide, deep):
        with pytest.raises(InputProblem, match="does not fit"):
            run_normalised(residual, wrong, jnp.ones((3, 2)))
    with pytest.raises(InputProblem, match="do not fit"):
        BatchNorm(jnp.ones((0, 3)), jnp.zeros((0, 3)))
    pooled = Stage(ResidualBlock(one, MeanPool(1, 2, 4, 2), zero, number), 2)
    _, seen = run_normalised(pooled, norm, jnp.ones((3, 8)))
    with pytest.raises(InputProblem, match="has no rows"):
        fold_batch_norm(pooled, norm, seen)
