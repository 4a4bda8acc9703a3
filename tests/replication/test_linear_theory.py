"""The answers of linear particles and their gradient: against JAX, and as identities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from limitset import InputProblem
from limitset.networks import TANH
from limitset.replication import (
    ParticleSpec,
    SelfApplication,
    apply_to,
    deviation,
    kappa,
    kappa_gradient,
)
from linear_particles import SEEDS, SOME, SPECS, draw, draw_replicator, show


def rows(spec: ParticleSpec, weights: np.ndarray) -> np.ndarray:
    """`X`."""
    return np.column_stack([weights, spec.positions])


def answers(spec: ParticleSpec, weights: np.ndarray | jax.Array) -> np.ndarray:
    """`kappa_{0:3}`."""
    return deviation(spec, weights) + np.eye(4)[0]


def applied(spec: ParticleSpec, weights: np.ndarray) -> np.ndarray:
    """`T(theta) = X kappa_{0:3}`; that it is self-application is tested below."""
    return rows(spec, weights) @ answers(spec, weights)


@pytest.mark.parametrize("spec", SOME, ids=show)
def test_gradient_is_that_of_automatic_differentiation(spec: ParticleSpec):
    weights = draw(spec, 0, 3)
    slope = jax.jit(jax.vmap(jax.jacfwd(lambda w: kappa(spec, w)[:4])))
    expected = slope(jnp.asarray(weights))
    assert np.allclose(kappa_gradient(spec, weights), expected, rtol=0, atol=1e-14)
    for k in range(3):
        assert np.array_equal(kappa_gradient(spec, weights)[k], kappa_gradient(spec, weights[k]))


@pytest.mark.parametrize("spec", SOME[:4], ids=show)
def test_answers_are_those_of_the_particle(spec: ParticleSpec):
    weights = jnp.asarray(draw(spec, 1))
    assert np.allclose(answers(spec, weights), jax.jit(kappa, static_argnums=0)(spec, weights)[:4])
    own = jax.jit(lambda w: SelfApplication(spec).advance(0, w, jnp.zeros(0)))(weights)
    assert np.allclose(applied(spec, np.asarray(weights)), own, rtol=0, atol=1e-13)


@given(spec=SPECS, seed=SEEDS)
def test_kappa_is_homogeneous_of_its_depth(spec: ParticleSpec, seed: int):
    weights = draw(spec, seed)
    along = kappa_gradient(spec, weights) @ weights
    assert np.allclose(along, spec.depth * answers(spec, weights), rtol=0, atol=1e-12)


@given(spec=SPECS, seed=SEEDS)
def test_gradient_has_rank_four_where_later_matrices_are_not_zero(spec: ParticleSpec, seed: int):
    """`G G^T >= |u|^2 I`: the replicators are a manifold of dimension `n - 4` without exception."""
    weights = draw(spec, seed)
    gradient = kappa_gradient(spec, weights)
    first = gradient.reshape(4, -1)[:, : spec.shapes[0][0] * spec.inputs]
    later = first[0].reshape(-1, spec.inputs)[:, 0]
    least = np.linalg.eigvalsh(gradient @ gradient.T)[0]
    assert least >= (later**2).sum() * (1 - 1e-9)


@given(spec=SPECS, seed=SEEDS)
def test_error_of_replication_bounds_the_deviation(spec: ParticleSpec, seed: int):
    """`T(theta) - theta = X delta`."""
    weights = draw(spec, seed)
    error = applied(spec, weights) - weights
    delta = deviation(spec, weights)
    assert np.allclose(error, rows(spec, weights) @ delta, rtol=0, atol=1e-12)
    least = np.linalg.svd(rows(spec, weights), compute_uv=False)[-1]
    assert np.linalg.norm(delta) * least <= np.linalg.norm(error) + 1e-12


@given(spec=SPECS, seed=SEEDS)
def test_self_application_stays_in_four_dimensions(spec: ParticleSpec, seed: int):
    """Iterates are `c theta + Pi a`, whatever the number of weights is."""
    weights = draw(spec, seed) / 2
    coordinates = np.array([1.0, 0.0, 0.0, 0.0])
    course = weights
    for _ in range(3):
        kappa_now = answers(spec, course)
        coordinates = kappa_now[0] * coordinates + np.array([0.0, *kappa_now[1:]])
        course = applied(spec, course)
        size = 1 + np.abs(course).max()
        assert np.allclose(rows(spec, weights) @ coordinates, course, rtol=0, atol=1e-9 * size)
        if size > 1e3:
            break


@given(spec=SPECS, seed=SEEDS)
def test_odd_depths_are_odd_functions(spec: ParticleSpec, seed: int):
    weights = draw(spec, seed)
    sign = (-1.0) ** spec.depth
    assert np.allclose(answers(spec, -weights), sign * answers(spec, weights), rtol=0, atol=1e-15)


@pytest.mark.parametrize("spec", SOME[:4], ids=show)
def test_attack_by_a_replicator_changes_nobody(spec: ParticleSpec):
    """A replicator of class A copies whatever it is asked for, not only itself."""
    replicator = jnp.asarray(draw_replicator(spec, 0))
    for seed in range(3):
        victim = jnp.asarray(draw(spec, seed))
        after = jax.jit(apply_to, static_argnums=0)(spec, replicator, victim)
        assert np.allclose(after, victim, rtol=0, atol=1e-12)


def test_a_course_in_time_is_one_batch():
    spec = ParticleSpec()
    course = jnp.asarray(draw(spec, 0, 6).reshape(3, 2, 14), jnp.float32)
    found = deviation(spec, course)
    assert found.shape == (3, 2, 4) and found.dtype == np.float64


@pytest.mark.parametrize("verb", [deviation, kappa_gradient])
def test_unusable_weights(verb):
    spec = ParticleSpec()
    with pytest.raises(InputProblem, match="'tanh'; the exact theory is about linear"):
        verb(ParticleSpec(activation=TANH), np.zeros(14))
    with pytest.raises(InputProblem, match=r"shape \(13,\); give 14"):
        verb(spec, np.zeros(13))
    with pytest.raises(InputProblem, match="not all finite"):
        verb(spec, np.full(14, np.nan))
    with pytest.raises(InputProblem, match="1.0e\\+200.* overflow"):
        verb(spec, np.full(14, -1e200))
