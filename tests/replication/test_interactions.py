import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.replication import (
    FullBatch,
    ParticleSpec,
    add_noise,
    apply_to,
    attack,
    classify,
    draw_particles,
    imitate,
    imitation_gradient,
    kappa,
    melt,
    secondary_training_step,
)

SPEC = ParticleSpec()


def test_attack_is_application(getkey):
    nets = draw_particles(getkey(), SPEC, 6)
    changed = attack(SPEC, nets[:3], nets[3:])
    for one, attacker, victim in zip(changed, nets[:3], nets[3:], strict=True):
        assert jnp.allclose(one, apply_to(SPEC, attacker, victim), atol=1e-14)


def test_imitation_learns_the_teachers_answers_not_its_weights(getkey):
    """The pupil becomes an identity function on the teacher, and stays another network."""
    spec = ParticleSpec(inputs=5, widths=(3, 3))
    pupil, teacher = draw_particles(getkey(), spec, 8).reshape(2, 4, 27)
    wiser = imitate(getkey(), spec, pupil, teacher, steps=6000, method=FullBatch(0.01))
    assert jnp.abs(attack(spec, wiser, teacher) - teacher).max() < 1e-3
    assert jnp.allclose(kappa(spec, wiser)[:, :4], jnp.eye(4)[0], atol=1e-2)
    assert jnp.abs(wiser - teacher).max(axis=1).min() > 0.1


def test_organism_pitfall_each_imitation_is_a_new_optimiser(getkey):
    """Two calls of one step differ from one of two: momentum does not survive between them."""
    pupil, teacher = draw_particles(getkey(), SPEC, 2)[:, None]
    two = imitate(getkey(), SPEC, pupil, teacher, steps=2)
    first = imitate(getkey(), SPEC, pupil, teacher, steps=1)
    again = imitate(getkey(), SPEC, first, teacher, steps=1)
    assert jnp.allclose(again, first - 0.004 * imitation_gradient(SPEC, first, teacher))
    assert jnp.abs(two - again).max() > 1e-6


def test_melt_takes_half_of_the_weights_from_the_first(getkey):
    first, second = jnp.ones((200, 15)), jnp.zeros((200, 15))
    child = np.asarray(melt(getkey(), first, second))
    assert (child.sum(axis=1) == 7).all()
    assert (np.abs(child.mean(axis=0) - 7 / 15) < 0.15).all()


@pytest.mark.usefixtures("untyped")
def test_parents_of_two_sizes_do_not_melt(getkey):
    with pytest.raises(InputProblem, match="parents of one shape"):
        melt(getkey(), jnp.ones(15), jnp.ones(14))


def test_organism_pitfall_noise_is_uniform_with_a_random_sign(getkey):
    noise = np.asarray(add_noise(getkey(), jnp.zeros(20000), 0.5))
    assert np.abs(noise).max() <= 0.5
    assert abs(np.abs(noise).mean() - 0.25) < 0.01 and abs(noise.mean()) < 0.01
    # Fourth over squared second moment: 9/5 for uniform numbers, 3 for Gaussian ones.
    assert abs((noise**4).mean() / (noise**2).mean() ** 2 - 1.8) < 0.05


def test_noise_below_half_an_ulp_is_lost_in_float32(getkey):
    ones = jnp.ones(14, jnp.float32)
    assert (add_noise(getkey(), ones, 1e-8) == ones).all()
    assert (add_noise(getkey(), ones.astype(jnp.float64), 1e-8) != 1).all()


def test_secondary_training_leads_to_minus_one(getkey):
    """It finds the surface on which the public test of two turns is empty."""
    w = 0.5 * draw_particles(getkey(), SPEC, 6)

    @jax.jit
    def train(w: jax.Array) -> jax.Array:
        def step(n: jax.Array, state: tuple[jax.Array, jax.Array]):
            return secondary_training_step(SPEC, *state, rate=0.01, momentum=0.9)

        return jax.lax.fori_loop(0, 6000, step, (w, jnp.zeros_like(w)))[0]

    end = train(w)
    row = kappa(SPEC, end)
    good = jnp.abs(row - jnp.array([-1.0, 0, 0, 0])).max(axis=1) < 1e-4
    assert good.sum() >= 4
    found = classify(SPEC, end[good], tolerance=1e-3)
    assert (found.double_output < 1e-3).all() and (found.period2 > 0.1).all()


def test_secondary_gradient_holds_targets_but_not_second_questions(getkey):
    w = draw_particles(getkey(), SPEC, 1)[0]
    places = jnp.asarray(SPEC.positions)

    def loss(v: jax.Array) -> jax.Array:
        row = kappa(SPEC, v)
        first = row[0] * w + places @ row[1:]
        second = row[0] * first + places @ row[1:]
        return jnp.mean((second - w) ** 2) + jnp.mean((first + w) ** 2)

    after, velocity = secondary_training_step(SPEC, w, jnp.zeros(14), rate=0.1)
    assert jnp.allclose(velocity, jax.grad(loss)(w), atol=1e-12)
    assert jnp.allclose(after, w - 0.1 * velocity, atol=1e-14)
