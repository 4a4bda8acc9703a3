import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.replication import (
    FullBatch,
    ParticleSpec,
    draw_particles,
    kappa,
    replication_error,
    self_train,
    self_training_step,
)

SPEC = ParticleSpec()
PERFECT = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)


def test_run_is_its_steps(getkey):
    w = draw_particles(getkey(), SPEC, 3)
    run = self_train(SPEC, w, steps=6, every=2)
    state, path = (w, jnp.zeros_like(w)), [w]
    for k in range(6):
        state = self_training_step(SPEC, *state, rate=0.004, momentum=0.9)
        if k % 2:
            path.append(state[0])
    assert jnp.allclose(run.path, jnp.stack(path), atol=1e-14)
    assert run.steps.tolist() == [0, 2, 4, 6]
    assert jnp.allclose(run.velocity, state[1], atol=1e-13)
    assert jnp.allclose(run.errors, replication_error(SPEC, run.path), atol=1e-14)


def test_organism_pitfall_a_new_call_is_a_new_optimiser(getkey):
    """Momentum survives only if it is handed over."""
    w = draw_particles(getkey(), SPEC, 3)
    whole = self_train(SPEC, w, steps=10)
    half = self_train(SPEC, w, steps=5)
    carried = self_train(SPEC, half.weights, steps=5, velocity=half.velocity)
    fresh = self_train(SPEC, half.weights, steps=5)
    assert jnp.allclose(carried.weights, whole.weights, atol=1e-14)
    assert jnp.abs(fresh.weights - whole.weights).max() > 1e-5


def test_organism_pitfall_momentum_is_inert_when_each_step_is_a_call(getkey):
    w = draw_particles(getkey(), SPEC, 2)
    one_by_one = w
    for _ in range(3):
        one_by_one = self_train(SPEC, one_by_one, steps=1).weights
    without = self_train(SPEC, w, steps=3, method=FullBatch(0.004, 0.0)).weights
    assert jnp.allclose(one_by_one, without, atol=1e-14)


def test_first_step_of_replication(getkey):
    start = jnp.concatenate([PERFECT[None], draw_particles(getkey(), SPEC, 9)])
    run = self_train(SPEC, start, steps=4000, every=1)
    errors, first = np.asarray(run.errors), np.asarray(run.replicates_at)
    assert first[0] == 0 and (first >= 0).all()
    for k in range(10):
        assert (errors[: first[k], k] > 1e-5).all() and errors[first[k], k] <= 1e-5
    assert jnp.allclose(kappa(SPEC, run.weights), jnp.eye(4)[0], atol=1e-3)
    never = self_train(SPEC, start, steps=2)
    assert never.replicates_at[1:].max() == -1


def test_divergence_stays_in_the_run():
    run = self_train(SPEC, 30 * jnp.ones((1, 14)), steps=50)
    assert not jnp.isfinite(run.weights).any() and run.replicates_at[0] == -1


def test_step_does_not_depend_on_the_batch(getkey):
    w = draw_particles(getkey(), SPEC, 20)
    both = [self_train(SPEC, part, steps=200).weights[:2] for part in (w, w[:2])]
    assert jnp.allclose(*both, atol=1e-12)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2.0}, "steps is 2.0"),
        ({"every": 3}, "divides steps, 10"),
        ({"every": 0}, "divides steps, 10"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
        ({"velocity": jnp.zeros((1, 14))}, "velocity"),
    ],
)
def test_refusals(changed, match):
    with pytest.raises(InputProblem, match=match):
        self_train(SPEC, jnp.ones((2, 14)), **{"steps": 10, **changed})


def test_refuses_weights_of_another_size():
    with pytest.raises(InputProblem, match="one network of 14 weights a row"):
        self_train(SPEC, jnp.ones((2, 27)), steps=1)


@pytest.mark.slow
def test_organism_steps_to_replicate_in_float32():
    """10, 50 and 90 % of a thousand networks need about 500, 1020 and 1841 steps; a few need more
    than 5000."""
    start = draw_particles(jax.random.key(7), SPEC, 1000, jnp.float32)
    run = self_train(SPEC, start, steps=5000)
    first = np.asarray(run.replicates_at)
    assert (first > 0).mean() > 0.995
    assert np.allclose(np.percentile(first[first > 0], [10, 50, 90]), [500, 1020, 1841], rtol=0.12)
    # The floor of float32, a tenth of the tolerance.
    assert 3e-7 < np.median(np.asarray(run.errors[-1])) < 3e-6
