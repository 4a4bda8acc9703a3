"""Particles as functions: rows in, answers out; the short form for linear ones against the rows."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from limitset.networks import SIGMOID, TANH
from limitset.replication import (
    ParticleSpec,
    PositionCode,
    SelfApplication,
    apply_to,
    ask,
    draw_particles,
    flatten,
    kappa,
    matrices,
    questions,
)

WIDTHS = st.lists(st.integers(1, 5), min_size=1, max_size=3)


def one_by_one(spec, weights, victim):
    """Every weight of the victim asked for by itself, as the definition says."""
    parts = [np.asarray(m) for m in matrices(spec, weights)]
    answers = []
    for value, place in zip(np.asarray(victim), spec.positions, strict=True):
        state = np.concatenate([[value], place, np.zeros(spec.inputs - 4)])
        for weight in parts[:-1]:
            state = np.asarray(spec.activation(jnp.asarray(weight @ state)))
        answers.append((parts[-1] @ state)[0])
    return np.array(answers)


@hypothesis.given(st.integers(4, 7), WIDTHS, st.sampled_from(PositionCode), st.integers(0, 2**31))
@hypothesis.settings(max_examples=6)
def test_linear_particles_answer_as_their_rows_do(inputs, widths, code, seed):
    spec = ParticleSpec(inputs, tuple(widths), code)
    one, other = draw_particles(jax.random.key(seed), spec, 2)
    assert np.allclose(apply_to(spec, one, other), one_by_one(spec, one, other), atol=1e-12)
    rows = questions(spec, other)
    assert np.allclose(ask(spec, one, rows), rows @ kappa(spec, one), atol=1e-12)


@pytest.mark.parametrize("activation", [TANH, SIGMOID])
def test_nonlinear_particles_answer_row_by_row(activation):
    spec = ParticleSpec(5, (3, 2), activation=activation)
    one, other = draw_particles(jax.random.key(1), spec, 2)
    assert np.allclose(apply_to(spec, one, other), one_by_one(spec, one, other), atol=1e-13)


def test_matrices_and_vectors_are_one_thing():
    spec = ParticleSpec(5, (3, 2, 4))
    weights = draw_particles(jax.random.key(0), spec, 6)
    parts = matrices(spec, weights)
    assert [part.shape for part in parts] == [(6, *shape) for shape in spec.shapes]
    assert (flatten(parts) == weights).all()


def test_what_a_particle_is_asked():
    spec = ParticleSpec(6)
    rows = questions(spec, jnp.arange(18.0))
    assert (rows[:, 0] == jnp.arange(18.0)).all() and (rows[:, 4:] == 0).all()
    assert np.allclose(rows[:, 1:4], spec.positions)


def test_drawn_weights_fill_their_range():
    spec = ParticleSpec(5, (5, 5))
    first, second, third = matrices(spec, draw_particles(jax.random.key(0), spec, 2000))
    for part in (first, second, third):
        bound = (6 / sum(part.shape[1:])) ** 0.5
        assert 0.99 * bound < float(jnp.abs(part).max()) <= bound
        assert abs(float(part.mean())) < 0.02 * bound


def test_single_precision_stays_so():
    spec = ParticleSpec()
    weights = draw_particles(jax.random.key(0), spec, 1, dtype=jnp.float32)[0]
    assert weights.dtype == apply_to(spec, weights, weights).dtype == jnp.float32
    assert questions(spec, weights).dtype == jnp.float32


def test_organism_hand_made_replicator_is_fixed_exactly():
    spec = ParticleSpec()
    perfect = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)
    for code in PositionCode:
        map_ = SelfApplication(ParticleSpec(position=code))
        assert map_.state_size == 14 and map_.input_size == 0
        assert (map_.advance(0, perfect, jnp.zeros(0)) == perfect).all()
    assert (kappa(spec, perfect) == jnp.array([1.0, 0, 0, 0])).all()
