"""Projection onto the replicators: where it ends, how far it goes, and what it leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from limitset import InputProblem
from limitset.networks import TANH
from limitset.replication import (
    ParticleSpec,
    PositionCode,
    SelfApplication,
    deviation,
    draw_particles,
    kappa,
    project_to_replicator,
)
from linear_particles import SEEDS, SPECS, draw


def later(spec: ParticleSpec, weights: np.ndarray) -> np.ndarray:
    """`u = W_L ... W_2`, by plain products."""
    product, start = np.eye(spec.widths[0]), spec.widths[0] * spec.inputs
    for rows, columns in spec.shapes[1:]:
        product = weights[start : start + rows * columns].reshape(rows, columns) @ product
        start += rows * columns
    return product[0]


@given(spec=SPECS, seed=SEEDS)
def test_result_replicates_and_lies_where_the_formula_says(spec: ParticleSpec, seed: int):
    weights = draw(spec, seed)
    found = project_to_replicator(spec, weights)
    size = 1 + np.abs(np.asarray(found.weights)).max()
    assert np.abs(found.deviation).max() < 1e-13 * size**2
    expected = np.linalg.norm(deviation(spec, weights)) / np.linalg.norm(later(spec, weights))
    assert np.isclose(found.distance, expected, rtol=1e-9)


@given(spec=SPECS, seed=SEEDS)
def test_only_four_columns_move(spec: ParticleSpec, seed: int):
    weights = draw(spec, seed)
    moved = np.asarray(project_to_replicator(spec, weights).weights)
    cut = spec.widths[0] * spec.inputs
    assert np.array_equal(moved[cut:], weights[cut:])
    shape = (spec.widths[0], spec.inputs)
    assert np.array_equal(moved[:cut].reshape(shape)[:, 4:], weights[:cut].reshape(shape)[:, 4:])


@given(spec=SPECS, seed=SEEDS)
def test_no_other_change_of_these_columns_is_shorter(spec: ParticleSpec, seed: int):
    """The move is along `u` in every column; what is across `u` does not change the answers."""
    weights = draw(spec, seed)
    moved = np.asarray(project_to_replicator(spec, weights).weights)
    cut, along = spec.widths[0] * spec.inputs, later(spec, weights)
    change = (moved - weights)[:cut].reshape(spec.widths[0], spec.inputs)
    parallel = np.outer(along, along @ change) / (along @ along)
    assert np.allclose(change, parallel, rtol=0, atol=1e-9 * (1 + np.abs(change).max()))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_organism_projection_leaves_the_task_alone(dtype: jnp.dtype):
    """`kappa_4` is what a particle of an organism answers to the task."""
    spec = ParticleSpec(inputs=5, widths=(5, 5))
    weights = draw_particles(jax.random.key(0), spec, 1200, dtype)
    found = project_to_replicator(spec, weights)
    assert found.weights.dtype == dtype
    before, after = kappa(spec, weights)[:, 4], kappa(spec, found.weights)[:, 4]
    assert jnp.abs(after - before).max() <= 4 * jnp.finfo(dtype).eps * jnp.abs(before).max()


def test_organism_projection_of_float32_draws():
    """All pass the usual tolerance at once; rounding alone is left."""
    spec = ParticleSpec(inputs=5, widths=(3, 3))
    weights = draw_particles(jax.random.key(0), spec, 4000, jnp.float32)
    found = project_to_replicator(spec, weights)
    after = jax.vmap(lambda w: SelfApplication(spec).advance(0, w, jnp.zeros(0)))(found.weights)
    error = jnp.abs(after - found.weights).max(axis=1)
    assert error.dtype == jnp.float32
    assert error.max() < 1e-4 and (error < 1e-5).mean() > 0.999
    assert jnp.median(error) < 1.5e-7
    assert 1.2 < np.median(found.distance) < 1.7


def test_a_replicator_stays_where_it_is():
    perfect = np.zeros(14)
    perfect[[0, 8, 12]] = 1.0
    found = project_to_replicator(ParticleSpec(), perfect)
    assert np.array_equal(found.weights, perfect) and found.distance == 0.0


@pytest.mark.parametrize("position", PositionCode)
def test_places_do_not_matter(position: PositionCode):
    weights = draw(ParticleSpec(), 0)
    found = project_to_replicator(ParticleSpec(position=position), weights)
    assert np.array_equal(found.weights, project_to_replicator(ParticleSpec(), weights).weights)


def test_particles_that_answer_zero_whatever_their_first_matrix_is():
    """No first matrix makes a replicator of them, so none is invented."""
    spec = ParticleSpec()
    weights = draw(spec, 0, 3)
    weights[1, 12:] = 0.0
    with pytest.raises(InputProblem, match="1 of 3 particles have later matrices whose product"):
        project_to_replicator(spec, weights)
    weights[1, 12:] = 1e-120
    with pytest.raises(InputProblem, match="1 of 3 particles have later matrices whose product"):
        project_to_replicator(spec, weights)
    weights[1, 12:] = 1e-70
    with pytest.raises(InputProblem, match=r"would reach .*e\+(69|70|71)"):
        project_to_replicator(spec, weights)


def test_unusable_weights():
    with pytest.raises(InputProblem, match="linear"):
        project_to_replicator(ParticleSpec(activation=TANH), np.zeros(14))
    with pytest.raises(InputProblem, match="not all finite"):
        project_to_replicator(ParticleSpec(), np.full(14, np.inf))
    with pytest.raises(InputProblem, match="14 for each particle"):
        project_to_replicator(ParticleSpec(), np.zeros((3, 15)))
