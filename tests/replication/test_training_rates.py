"""The linearised law of self-training: against the Jacobian of its map, and against its course."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from limitset import InputProblem
from limitset.networks import TANH
from limitset.replication import (
    FullBatch,
    ParticleSpec,
    SelfTraining,
    deviation,
    draw_particles,
    imitation_gradient,
    kappa_gradient,
    project_to_replicator,
    self_train,
    self_training_rates,
    self_training_step,
)
from linear_particles import SEEDS, SOME, SPECS, draw, draw_replicator, show


def modes(spec: ParticleSpec, weights: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """The eigenvalues of `(2/n) G G^T X^T X`, from the whole matrices."""
    gradient = kappa_gradient(spec, weights)
    rows = np.column_stack([subject, spec.positions])
    product = 2 / spec.weight_count * gradient @ gradient.T @ rows.T @ rows
    return np.sort(np.linalg.eigvals(product).real)


@given(spec=SPECS, seed=SEEDS)
def test_eigenvalues_are_those_of_the_product(spec: ParticleSpec, seed: int):
    weights, subject = draw_replicator(spec, seed), draw(spec, seed)
    for shown in (weights, subject):
        expected = modes(spec, weights, shown)
        found = self_training_rates(spec, weights, rate=0.01, subject=shown).eigenvalues
        assert np.allclose(found, expected, rtol=1e-6, atol=1e-9 * expected[-1])
        assert (found >= 0).all()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("spec", SOME[1:4], ids=show)
def test_factors_are_eigenvalues_of_the_map(spec: ParticleSpec, momentum: float):
    """At a replicator, where `n - 4` directions and their momenta are neutral."""
    weights, size = draw_replicator(spec, 1), spec.weight_count
    rates = self_training_rates(spec, weights, rate=0.004, momentum=momentum)
    step = SelfTraining(spec, 0.004, momentum).advance
    state = jnp.concatenate([jnp.asarray(weights), jnp.zeros(size)])
    jacobian = jax.jit(jax.jacfwd(lambda x: step(0, x, jnp.zeros(0))))(state)
    sizes = np.sort(np.abs(np.linalg.eigvals(np.asarray(jacobian))))[::-1]
    assert (np.abs(sizes - 1) < 1e-6).sum() >= size - 4
    for factor in rates.factors:
        assert np.abs(sizes - factor).min() < 1e-5
    assert (np.abs(sizes - 1) > 1e-6).sum() == 2 * size - (size - 4)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_measured_decay_is_the_predicted_one(momentum: float):
    """The deviation shrinks by the slowest factor, step by step, once the others are gone."""
    spec = ParticleSpec(inputs=5, widths=(3, 3))
    rate = 0.1 * (1 - momentum)
    near = project_to_replicator(spec, draw_particles(jax.random.key(3), spec, 60)).weights
    predicted = self_training_rates(spec, near, rate=rate, momentum=momentum).slowest
    usual = (predicted < 0.995) & (predicted > momentum**0.5 + 0.003)
    near, predicted = near[usual], predicted[usual]
    start = near + 1e-4 * jax.random.normal(jax.random.key(4), near.shape)

    @jax.jit
    def after(state: tuple[jax.Array, jax.Array], count: int) -> tuple[jax.Array, jax.Array]:
        def one(_, pair):
            return self_training_step(spec, *pair, rate=rate, momentum=momentum)

        return jax.lax.fori_loop(0, count, one, state)

    early = after((start, jnp.zeros_like(start)), 400)
    late = after(early, 100)
    sizes = [np.linalg.norm(deviation(spec, state[0]), axis=1) for state in (early, late)]
    seen = (sizes[0] > 1e-10) & (sizes[1] > 1e-13)
    measured = (sizes[1] / sizes[0])[seen] ** 0.01
    assert seen.sum() >= 8
    # Where two modes are about as slow, a hundred steps do not tell them apart.
    missed = np.abs(measured - predicted[seen])
    assert missed.max() < 0.02 and np.median(missed) < 2e-4


def test_organism_slowest_rates_of_the_usual_particle():
    """Eigenvalues of some tenths: at 0.04, or 0.004 with momentum 0.9, 1 to 2 % a step."""
    spec = ParticleSpec(inputs=5, widths=(3, 3))
    drawn = draw_particles(jax.random.key(0), spec, 400)
    near = project_to_replicator(spec, drawn).weights
    plain = self_training_rates(spec, near, rate=0.04)
    heavy = self_training_rates(spec, near, rate=0.004, momentum=0.9)
    assert 0.1 < np.median(plain.eigenvalues[:, 0]) < 0.6
    assert 0.975 < np.median(plain.slowest) < 0.996
    usual = (plain.slowest > 0.98) & (plain.slowest < 1)
    assert usual.sum() > 200
    assert np.abs(heavy.slowest - plain.slowest)[usual].max() < 0.02
    assert (heavy.slowest >= 0.9**0.5).all()


@pytest.mark.parametrize("rate, momentum", [(0.05, 0.0), (0.005, 0.9)])
def test_self_training_ends_at_the_nearest_replicator(rate: float, momentum: float):
    """To first order in the noise of clones: all steps are across the replicators, none along."""
    spec, scale = ParticleSpec(), 1e-4
    parent = draw_replicator(spec, 5)
    noise = scale * np.random.default_rng(0).standard_normal((400, 14))
    clones = self_train(
        spec, jnp.asarray(parent + noise), steps=3000, method=FullBatch(rate, momentum)
    ).weights
    assert np.abs(deviation(spec, clones)).max() < 1e-9
    gradient = kappa_gradient(spec, parent)
    across = gradient.T @ np.linalg.solve(gradient @ gradient.T, gradient)
    assert np.abs(clones - (parent + noise - noise @ across)).max() < 0.01 * scale
    # Of isotropic noise, (n - 4) / n of the square is left.
    left = ((np.asarray(clones) - parent) ** 2).sum() / (noise**2).sum()
    assert abs(left - 10 / 14) < 0.03


@given(spec=SPECS, seed=SEEDS)
def test_imitation_stops_at_the_same_replicators(spec: ParticleSpec, seed: int):
    """A replicator has nothing to learn from anybody: the limit is not the other's weights."""
    learner, subject = draw_replicator(spec, seed), draw(spec, seed + 1)
    rows = np.column_stack([subject, spec.positions])
    missed = rows @ (deviation(spec, learner) + np.eye(4)[0]) - subject
    assert np.abs(missed).max() < 1e-9 * (1 + np.abs(learner).max() ** spec.depth)


def test_imitation_ends_at_copying_not_at_the_copied():
    spec = ParticleSpec()
    learner, subject = jnp.asarray(draw_replicator(spec, 0)), jnp.asarray(draw(spec, 9))
    start = learner + 0.01
    factor = self_training_rates(spec, learner, rate=0.05, subject=np.asarray(subject)).slowest

    @jax.jit
    def learn(weights: jax.Array) -> jax.Array:
        def one(_, w):
            return w - 0.05 * imitation_gradient(spec, w, subject)

        return jax.lax.fori_loop(0, 5000, one, weights)

    end = learn(start)
    assert factor < 1
    assert np.abs(deviation(spec, end)).max() < 1e-9
    assert jnp.abs(end - subject).max() > 0.1 > jnp.abs(end - learner).max()


@given(spec=SPECS, seed=SEEDS)
def test_too_long_steps_do_not_attract(spec: ParticleSpec, seed: int):
    """Up to `2 / k` without momentum, `2 (1 + m) / k` with it."""
    weights = draw_replicator(spec, seed)
    largest = self_training_rates(spec, weights, rate=1.0).eigenvalues[-1]
    for momentum in (0.0, 0.5):
        limit = 2 * (1 + momentum) / largest
        below = self_training_rates(spec, weights, rate=0.99 * limit, momentum=momentum)
        above = self_training_rates(spec, weights, rate=1.01 * limit, momentum=momentum)
        assert below.slowest <= 1 < above.slowest


def test_unusable_input():
    perfect = np.zeros(14)
    for rate, momentum in [(0.0, 0.0), (np.inf, 0.0), (0.1, 1.0), (0.1, -0.1)]:
        with pytest.raises(InputProblem, match="momentum is|rate is"):
            self_training_rates(ParticleSpec(), perfect, rate=rate, momentum=momentum)
    with pytest.raises(InputProblem, match="linear"):
        self_training_rates(ParticleSpec(activation=TANH), perfect, rate=0.1)
