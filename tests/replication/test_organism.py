from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import simulate
from limitset.networks import GELU, IDENTITY, TANH, Activation
from limitset.replication import (
    FixpointClass,
    Organism,
    ParticleSpec,
    classify,
    draw_organism,
    drop,
    edge_count,
    edge_places,
    edge_weights,
    forward,
    forward_expanded,
    kappa,
    plain_network,
)

SIZES = (4, 3, 2, 3)
answer, answer_expanded = eqx.filter_jit(forward), eqx.filter_jit(forward_expanded)


def organism(
    key: jax.Array,
    activation: Activation = GELU,
    spec: ParticleSpec | None = None,
    dtype: Any = jnp.float64,
) -> Organism:
    chosen = spec or ParticleSpec(inputs=5, widths=(5, 5))
    return draw_organism(key, SIZES, activation=activation, spec=chosen, dtype=dtype)


def by_hand(one: Organism, x: np.ndarray) -> np.ndarray:
    """Loops over cells and edges, each particle asked with the row (0, 0, 0, 0, x)."""
    numbers = iter(range(len(one.particles)))
    for sources, cells, activation in zip(one.sizes, one.sizes[1:], one.activations, strict=False):
        assert len(x) == sources
        said = [
            sum(answer_by_hand(one, next(numbers), float(value)) for value in x)
            for _ in range(cells)
        ]
        x = np.asarray(activation(jnp.array(said)))
    return x


def answer_by_hand(one: Organism, number: int, heard: float) -> float:
    particle = np.asarray(one.particles[number])
    state, start = np.array([0, 0, 0, 0, heard]), 0
    for layer, (rows, columns) in enumerate(one.spec.shapes):
        state = particle[start : start + rows * columns].reshape(rows, columns) @ state
        if one.spec.activation == TANH and layer + 1 < one.spec.depth:
            state = np.tanh(state)
        start += rows * columns
    return float(state[0]) if bool(one.kept[number]) else 0.0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("activation", [GELU, IDENTITY])
def test_organism_collapsed_equals_expanded(dtype, activation: Activation, getkey):
    one = organism(getkey(), activation, dtype=dtype)
    x = jax.random.normal(getkey(), (4, 4), dtype)
    collapsed, expanded = answer(one, x), answer_expanded(one, x)
    assert collapsed.dtype == expanded.dtype == dtype
    tolerance = 1e-5 if dtype == jnp.float32 else 1e-12
    assert float(jnp.abs(collapsed - expanded).max()) < tolerance


@pytest.mark.parametrize("particle", [IDENTITY, TANH])
def test_expanded_is_every_particle_asked_alone(particle: Activation, getkey):
    one = organism(getkey(), spec=ParticleSpec(inputs=5, widths=(2, 3), activation=particle))
    one = drop(one, np.arange(edge_count(SIZES)) % 7 == 0)
    x = np.asarray(jax.random.normal(getkey(), (4,)))
    assert np.allclose(answer_expanded(one, jnp.asarray(x)[None])[0], by_hand(one, x), atol=1e-13)
    assert np.allclose(answer(one, jnp.asarray(x)[None])[0], by_hand(one, x), atol=1e-12)


def test_organism_linear_is_a_linear_classifier(getkey):
    """Without activations between layers the whole is one matrix, of the narrowest layer's rank."""
    one = organism(getkey(), IDENTITY)
    matrix = answer(one, jnp.eye(4)).T
    weights = plain_network(one).weights
    assert np.allclose(matrix, weights[2] @ weights[1] @ weights[0], atol=1e-12)


def test_organism_dropout_of_all_is_zero(getkey):
    one = organism(getkey())
    none = drop(one, np.ones(edge_count(SIZES), bool))
    x = jax.random.normal(getkey(), (4, 4))
    assert (answer(none, x) == 0).all() and (answer_expanded(none, x) == 0).all()


def test_organism_pitfall_dropping_changes_no_label(getkey):
    """To zero all parameters would turn a particle into a zero, and change the counts."""
    one = organism(getkey())
    dropped = drop(one, np.arange(edge_count(SIZES)) < 10)
    before, after = (classify(o.spec, o.particles).classes for o in (one, dropped))
    assert (before == after).all()
    emptied = one.particles.at[:10].set(0)
    assert classify(one.spec, emptied).count(FixpointClass.ZERO) == 10
    silent = Organism(emptied, one.sizes, one.activations, one.spec)
    x = jax.random.normal(getkey(), (4, 4))
    assert np.allclose(answer(dropped, x), answer(silent, x), atol=1e-14)


def test_drops_add_up(getkey):
    one = organism(getkey())
    count = edge_count(SIZES)
    twice = drop(drop(one, np.arange(count) < 3), np.arange(count) == 5)
    assert np.flatnonzero(~twice.kept).tolist() == [0, 1, 2, 5]


def test_order_is_layer_then_cell_then_edge(getkey):
    one = organism(getkey())
    places, slopes = edge_places(SIZES), kappa(one.spec, one.particles)[:, 4]
    weights = plain_network(one).weights
    for (layer, cell, edge), slope in zip(places, slopes, strict=True):
        assert np.isclose(weights[layer][cell, edge], slope, rtol=1e-12)
    assert np.allclose(edge_weights(one), slopes, rtol=1e-12)


def test_organism_pitfall_task_rows_hold_no_position(getkey):
    """A particle that listens to its place only answers nothing in a task."""
    one = organism(getkey())
    first = one.particles[:, :25].reshape(-1, 5, 5).at[:, :, 4].set(0).reshape(-1, 25)
    deaf = Organism(one.particles.at[:, :25].set(first), one.sizes, one.activations, one.spec)
    assert (answer_expanded(deaf, jnp.ones((4, 4))) == 0).all()


def test_activations_are_where_they_are_said_to_be(getkey):
    one = organism(getkey())
    assert one.activations == (GELU, GELU, IDENTITY)
    after = Organism(one.particles, one.sizes, (GELU, GELU, GELU), one.spec)
    x = jax.random.normal(getkey(), (4, 4))
    assert np.allclose(answer(after, x), GELU(answer(one, x)), atol=1e-14)


def test_as_a_map_it_forgets(getkey):
    one = organism(getkey())
    inputs = jax.random.normal(getkey(), (5, 4))
    run = simulate(one, jnp.ones(3), inputs)
    assert np.allclose(run.states, forward(one, inputs), atol=1e-14)


def test_nonlinear_particles_have_no_edge_weight(getkey):
    one = organism(getkey(), spec=ParticleSpec(inputs=5, activation=TANH))
    with pytest.raises(InputProblem, match="particles with activation 'tanh' have no edge weight"):
        plain_network(one)


def test_what_does_not_fit_is_refused(getkey):
    one = organism(getkey())
    spec, acts = one.spec, one.activations
    for call, message in (
        (lambda: Organism(one.particles[1:], SIZES, acts, spec), "particles have shape"),
        (lambda: Organism(one.particles, SIZES, acts[1:], spec), "2 activations came for 3 layers"),
        (lambda: Organism(one.particles, SIZES, acts, ParticleSpec()), "spec has 4 inputs"),
        (lambda: Organism(one.particles, SIZES, acts, spec, np.ones(3, bool)), "kept has shape"),
        (lambda: draw_organism(getkey(), (3,)), "sizes is"),
        (lambda: edge_count((3, 0)), "sizes is"),
        (lambda: drop(one, np.ones(4, bool)), "dropped has shape"),
    ):
        # Wrong shapes of arrays are refused by the checks of shapes, where tests run with them.
        with pytest.raises((InputProblem, jaxtyping.TypeCheckError), match=f"{message}|Parameter"):
            call()
