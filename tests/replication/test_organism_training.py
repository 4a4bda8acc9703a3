from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import GELU, TANH
from limitset.replication import (
    AdditionTask,
    Alternation,
    Organism,
    OrganismTraining,
    ParticleSpec,
    classify,
    draw_organism,
    drop,
    forward_expanded,
    replication_gradient,
    start_training,
    task_loss,
    train_organism,
)

SPEC = ParticleSpec(inputs=5, widths=(2, 2))
TASK = AdditionTask(samples=12, batch=4)
# One schedule for most tests: each one is compiled.
TURNS = Alternation(self_steps=3, rate=0.02)
slope_of = eqx.filter_jit(replication_gradient)


def small(key: jax.Array, spec: ParticleSpec = SPEC, dtype=jnp.float64) -> Organism:
    return draw_organism(key, (2, 2, 1), spec=spec, activation=GELU, dtype=dtype)


@eqx.filter_jit
def task_slope(start: Organism, weights: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    def loss(now: jax.Array) -> jax.Array:
        return task_loss(forward_expanded(eqx.tree_at(lambda o: o.particles, start, now), x), y)

    return jax.grad(loss)(weights)


def plainly(start: Organism, alternation: Alternation, key: jax.Array, epochs: int) -> jax.Array:
    """The schedule as one writes it down: loops, and every particle asked on its own."""
    weights, task_velocity = start.particles, jnp.zeros_like(start.particles)
    self_velocity = jnp.zeros_like(weights)
    for epoch in range(epochs):
        drawing, _ = jax.random.split(jax.random.fold_in(key, epoch))
        for x, y in zip(*TASK.draw_epoch(drawing), strict=True):
            if not alternation.keeps_velocity:
                self_velocity = jnp.zeros_like(weights)
            for _ in range(alternation.self_steps):
                slope = slope_of(start.spec, weights)
                self_velocity = alternation.momentum * self_velocity + slope
                weights = weights - alternation.rate * self_velocity

            task_velocity = alternation.momentum * task_velocity + task_slope(start, weights, x, y)
            weights = weights - alternation.rate * task_velocity
    return weights


@pytest.mark.parametrize(
    ("keeps", "activation"), [(False, "identity"), (True, "identity"), (False, "tanh")]
)
def test_training_is_the_schedule_written_down(keeps: bool, activation: str, getkey):
    linear = activation == "identity"
    spec = SPEC if linear else ParticleSpec(inputs=5, widths=(2, 2), activation=TANH)
    start, key = small(getkey(), spec), getkey()
    alternation = replace(TURNS, keeps_velocity=keeps)
    after, epochs = train_organism(start_training(start), TASK, alternation, epochs=2, key=key)
    expected = plainly(start, alternation, key, 2)
    assert np.allclose(after.organism.particles, expected, atol=1e-12)
    found = classify(spec, expected)
    assert np.allclose(epochs.errors[-1], found.replication, atol=1e-11)
    assert np.isfinite(epochs.edge_weights).all() == linear


def test_organism_pitfall_velocities_of_self_training_start_anew(getkey):
    start, key = start_training(small(getkey())), getkey()
    ends = [
        train_organism(start, TASK, replace(TURNS, keeps_velocity=keeps), epochs=1, key=key)[0]
        for keeps in (False, True)
    ]
    assert not np.allclose(ends[0].organism.particles, ends[1].organism.particles, atol=1e-6)


def test_organism_pitfall_rate_does_not_depend_on_the_number_of_particles(getkey):
    """The loss is a sum of means: dropped, a particle trains as if it were alone."""
    one = small(getkey())
    lonely = drop(one, np.ones(len(one.particles), bool))
    after, _ = train_organism(start_training(lonely), TASK, TURNS, epochs=1, key=getkey())
    weights = one.particles[2]
    for _ in range(3):
        velocity = jnp.zeros_like(weights)
        for _ in range(3):
            velocity = 0.9 * velocity + slope_of(SPEC, weights)
            weights = weights - 0.02 * velocity
    assert np.allclose(after.organism.particles[2], weights, atol=1e-13)


def test_organism_pitfall_labels_are_those_after_the_task_step(getkey):
    """After self-training they would be better: the task step comes last."""
    start, key = start_training(small(getkey())), getkey()
    after, epochs = train_organism(start, TASK, TURNS, epochs=30, key=key)
    found = classify(SPEC, after.organism.particles)
    assert np.allclose(epochs.errors[-1], found.replication, rtol=1e-9)
    assert np.allclose(epochs.largest[-1], found.size)


def test_going_on_is_never_having_stopped(getkey):
    start, key = start_training(small(getkey())), getkey()
    whole, epochs = train_organism(start, TASK, TURNS, epochs=4, key=key)
    half, first = train_organism(start, TASK, TURNS, epochs=1, key=key)
    rest, second = train_organism(half, TASK, TURNS, epochs=3, key=key)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(rest), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    joined = jnp.concatenate([first.errors, second.errors])
    assert np.array_equal(joined, epochs.errors)
    assert int(rest.epoch) == 4


def test_dropped_particles_train_themselves_only(getkey):
    one = small(getkey())
    less = drop(one, np.arange(len(one.particles)) == 1)
    after, _ = train_organism(start_training(less), TASK, TURNS, epochs=5, key=getkey())
    assert isinstance(after, OrganismTraining) and not bool(after.organism.kept[1])
    assert float(jnp.abs(after.task_velocity[1]).max()) == 0
    assert float(jnp.abs(after.task_velocity[0]).max()) > 0


def test_precision_stays(getkey):
    for dtype in (jnp.float32, jnp.float64):
        start = start_training(small(getkey(), dtype=dtype))
        after, epochs = train_organism(start, TASK, TURNS, epochs=1, key=getkey())
        assert after.organism.particles.dtype == after.task_velocity.dtype == dtype
        assert epochs.errors.dtype == jnp.float64


def test_unusable_settings(getkey):
    start = start_training(small(getkey()))
    for call, message in (
        (lambda: Alternation(-1), "self_steps is -1"),
        (lambda: Alternation(rate=float("nan")), "rate is nan"),
        (lambda: Alternation(momentum=1.0), "momentum is 1.0"),
        (
            lambda: train_organism(start, TASK, Alternation(), epochs=0, key=getkey()),
            "epochs is 0",
        ),
    ):
        with pytest.raises(InputProblem, match=message):
            call()
