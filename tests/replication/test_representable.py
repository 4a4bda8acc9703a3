"""Replicators in floats: copies are exact, bit for bit, however many there are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem
from limitset.dynamics import simulate
from limitset.networks import TANH
from limitset.replication import (
    ParticleSpec,
    PositionCode,
    SelfApplication,
    draw_particles,
    exact_kappa,
    is_exact_replicator,
    project_to_replicator,
    representable_replicator,
    self_application_spectrum,
)

SPECS = (
    ParticleSpec(),
    ParticleSpec(5, (3, 3), PositionCode.PERLAYER),
    ParticleSpec(6, (4,), PositionCode.RAW),
    ParticleSpec(5, (3, 2, 3), PositionCode.KERAS2019),
)


def moderate(spec: ParticleSpec, seed: int, dtype: jnp.dtype) -> jax.Array:
    """Projected draws without large weights, for which the mantissa of float32 is too short."""
    drawn = draw_particles(jax.random.key(seed), spec, 100, dtype)
    weights = project_to_replicator(spec, drawn).weights
    return weights[jnp.abs(weights).max(axis=1) < 1.5]


@pytest.mark.parametrize(
    "spec, dtype",
    [*zip(SPECS, [jnp.float32, jnp.float64, jnp.float64, jnp.float32], strict=True)],
)
def test_a_thousand_copies_are_the_same_bits(spec: ParticleSpec, dtype: jnp.dtype):
    start = moderate(spec, 0, dtype)[:4]
    copy = jax.jit(lambda w: simulate(SelfApplication(spec), w, steps=1000).final)
    for weights in start:
        found = representable_replicator(spec, weights)
        assert found.weights.dtype == dtype
        assert is_exact_replicator(spec, found.weights)
        assert np.array_equal(copy(found.weights), found.weights)


def test_without_the_grid_copies_are_lost():
    """The same particles, projected in floats only, are thrown out by rounding."""
    spec = ParticleSpec(5, (3, 3))
    start = project_to_replicator(spec, draw_particles(jax.random.key(0), spec, 20)).weights
    copy = jax.jit(jax.vmap(lambda w: simulate(SelfApplication(spec), w, steps=100).final))
    size = np.abs(np.asarray(copy(start))).max(axis=1)
    assert ((size < 1e-9) | ~(size < 1e9)).mean() > 0.8


def test_it_is_as_unstable_as_all_others():
    spec = ParticleSpec(5, (3, 3))
    drawn = draw_particles(jax.random.key(0), spec, 1)[0]
    found = representable_replicator(spec, drawn).weights
    assert self_application_spectrum(spec, found).radius > 4 - 1e-9
    touched = found.at[0].multiply(1 + 1e-12)
    assert not is_exact_replicator(spec, touched)
    end = simulate(SelfApplication(spec), touched, steps=60).final
    assert not jnp.abs(end - found).max() < 1


@pytest.mark.parametrize("dtype, most", [(jnp.float32, 0.7), (jnp.float64, 0.02)])
def test_distance_and_task(dtype: jnp.dtype, most: float):
    spec = ParticleSpec(5, (3, 3))
    start = moderate(spec, 1, dtype)[:20]
    for weights in start:
        found = representable_replicator(spec, weights)
        moved = np.linalg.norm(np.asarray(found.weights, float) - np.asarray(weights, float))
        assert np.isclose(found.distance, moved) and moved < most
        before, after = (float(exact_kappa(spec, w)[4]) for w in (weights, found.weights))
        assert abs(after - before) < 20 * jnp.finfo(dtype).eps


def test_unusable_weights():
    with pytest.raises(InputProblem, match="one unit; give two or more"):
        representable_replicator(ParticleSpec(widths=(1, 2)), np.ones(8))
    with pytest.raises(InputProblem, match="no grid near these weights"):
        representable_replicator(ParticleSpec(), np.zeros(14))
    with pytest.raises(InputProblem, match="no grid near these weights"):
        representable_replicator(ParticleSpec(), np.full(14, 1e20))
    with pytest.raises(InputProblem, match="linear"):
        representable_replicator(ParticleSpec(activation=TANH), np.ones(14))
    with pytest.raises(InputProblem, match="not all finite"):
        representable_replicator(ParticleSpec(), np.full(14, np.nan))
