from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.replication import (
    FullBatch,
    ParticleSpec,
    SoupOrder,
    SoupRules,
    attack,
    draw_particles,
    evolve_soup,
    imitate,
    kappa,
    self_train,
)

SPEC = ParticleSpec()
PERFECT = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)


@pytest.mark.parametrize("order", list(SoupOrder))
def test_nothing_happens_without_chances(order, getkey):
    w = draw_particles(getkey(), SPEC, 4).at[0].set(0.0).at[1].set(jnp.nan)
    rules = SoupRules(0.0, order=order, method=FullBatch())
    run = evolve_soup(getkey(), SPEC, w, rules=rules, epochs=3)
    assert jnp.array_equal(run.path, jnp.tile(w, (4, 1, 1)), equal_nan=True)
    assert (run.events.attacked_by == -1).all() and (run.events.taught_by == -1).all()
    assert not run.events.renewed.any()


def test_sequential_attack_by_hand(getkey):
    """Two networks: the second uses what the first made of it."""
    w = 0.5 * draw_particles(getkey(), SPEC, 2)
    seen = set()
    for key in jax.random.split(getkey(), 12):
        run = evolve_soup(key, SPEC, w, rules=SoupRules(1.0, method=FullBatch()), epochs=1)
        results = {}
        for first in (0, 1):
            mid = w.at[first].set(attack(SPEC, w[0], w[first]))
            for second in (0, 1):
                results[first, second] = mid.at[second].set(attack(SPEC, mid[1], mid[second]))
        fits = [k for k, v in results.items() if jnp.allclose(v, run.weights, atol=1e-13)]
        assert len(fits) == 1
        first, second = fits[0]
        told = {first: 0} | {second: 1}
        assert run.events.attacked_by[0].tolist() == [told.get(0, -1), told.get(1, -1)]
        seen.add(fits[0])
    assert len(seen) > 1 and any(first == 0 for first, _ in seen)  # itself among the victims


def test_one_attack_at_most_and_never_on_itself(getkey):
    rules = SoupRules(1.0, order=SoupOrder.ONE_ATTACK, method=FullBatch())
    run = evolve_soup(getkey(), SPEC, draw_particles(getkey(), SPEC, 6), rules=rules, epochs=40)
    attackers = np.asarray(run.events.attacked_by)
    assert ((attackers >= 0).sum(axis=1) == 1).all()
    epochs, victims = np.nonzero(attackers >= 0)
    assert (attackers[epochs, victims] != victims).all()
    before, after = run.path[epochs, victims], run.path[epochs + 1, victims]
    by = run.path[epochs, attackers[epochs, victims]]
    assert jnp.allclose(after, attack(SPEC, by, before), equal_nan=True, rtol=1e-9)


def test_synchronous_attacks_use_the_old_weights(getkey):
    rules = SoupRules(0.7, order=SoupOrder.SYNCHRONOUS, method=FullBatch())
    run = evolve_soup(getkey(), SPEC, draw_particles(getkey(), SPEC, 2000), rules=rules, epochs=1)
    by = np.asarray(run.events.attacked_by[0])
    hit = by >= 0
    # A victim is missed by 2000 attackers of chance 0.7 with probability exp(-0.7).
    assert abs(hit.mean() - (1 - np.exp(-0.7))) < 0.05
    old, new = np.asarray(run.path)
    assert (new[~hit] == old[~hit]).all()
    assert np.allclose(new[hit], attack(SPEC, jnp.asarray(old[by[hit]]), jnp.asarray(old[hit])))


def test_training_in_a_soup_is_self_training(getkey):
    """Three epochs of two steps: each epoch a new optimiser."""
    method = FullBatch(0.01, 0.9)
    w = draw_particles(getkey(), SPEC, 4)
    for order in (SoupOrder.SEQUENTIAL, SoupOrder.SYNCHRONOUS):
        rules = SoupRules(0.0, training_steps=2, order=order, method=method)
        run = evolve_soup(getkey(), SPEC, w, rules=rules, epochs=3)
        expected = w
        for _ in range(3):
            expected = self_train(SPEC, expected, steps=2, method=method).weights
        assert jnp.allclose(run.weights, expected, atol=1e-12)


def test_imitation_is_told_and_done(getkey):
    method = FullBatch(0.01, 0.9)
    w = draw_particles(getkey(), SPEC, 5)
    rules = SoupRules(0.0, 1.0, 3, order=SoupOrder.SYNCHRONOUS, method=method)
    run = evolve_soup(getkey(), SPEC, w, rules=rules, epochs=1)
    teachers = run.events.taught_by[0]
    expected = imitate(getkey(), SPEC, w, w[teachers], steps=3, method=method)
    assert jnp.allclose(run.weights, expected, atol=1e-12)


@pytest.mark.parametrize("order", list(SoupOrder))
def test_the_dead_are_replaced(order, getkey):
    w = jnp.stack([jnp.zeros(14), PERFECT, jnp.full(14, jnp.nan)])
    rules = SoupRules(
        0.0, order=order, method=FullBatch(), replace_divergent=True, replace_zero=True
    )
    run = evolve_soup(getkey(), SPEC, w, rules=rules, epochs=2)
    assert run.events.renewed.tolist() == [[True, False, True], [False, False, False]]
    assert (run.weights[1] == PERFECT).all()
    assert jnp.isfinite(run.weights).all() and jnp.abs(run.weights).max(axis=1).min() > 0.1


def test_organism_pitfall_replicators_do_nothing_to_each_other(getkey):
    """Attacks by identity functions change nobody: a solved soup stands still."""
    first = jnp.stack([PERFECT, PERFECT.at[1].set(0.0).at[7].set(0.3)])
    assert jnp.allclose(kappa(SPEC, first), jnp.eye(4)[0])
    run = evolve_soup(getkey(), SPEC, first, rules=SoupRules(1.0, method=FullBatch()), epochs=20)
    assert jnp.allclose(run.path, first)


@pytest.mark.slow
def test_soups_run_as_a_batch(getkey):
    """Over keys, weights and numbers of the rules, as if each ran alone."""
    w = 0.3 * draw_particles(getkey(), SPEC, 6).reshape(2, 3, 14)
    keys, steps = jax.random.split(getkey(), 2), jnp.array([1, 4])

    def one(key: jax.Array, soup: jax.Array, k: jax.Array) -> jax.Array:
        rules = SoupRules(0.5, 0.5, 2, k, order=SoupOrder.SYNCHRONOUS, method=FullBatch())
        return evolve_soup(key, SPEC, soup, rules=rules, epochs=2).weights

    together = jax.vmap(one)(keys, w, steps)
    for k in range(2):
        assert jnp.allclose(together[k], one(keys[k], w[k], steps[k]), atol=1e-12)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("rules", "match"),
    [
        ({"attack_chance": 1.1}, "attack_chance is 1.1"),
        ({"imitation_chance": float("nan")}, "imitation_chance is nan"),
        ({"training_steps": -1}, "training_steps is -1"),
        ({"imitation_steps": 1.5}, "imitation_steps is 1.5"),
        ({"imitation_chance": 0.1, "order": SoupOrder.ONE_ATTACK}, "nobody imitates"),
    ],
)
def test_refuses_rules(rules: dict[str, Any], match: str):
    with pytest.raises(InputProblem, match=match):
        SoupRules(**rules)


def test_refuses_soups(getkey):
    with pytest.raises(InputProblem, match="two or more networks"):
        evolve_soup(getkey(), SPEC, jnp.zeros((1, 14)), rules=SoupRules(), epochs=1)
    with pytest.raises(InputProblem, match="epochs is 0"):
        evolve_soup(getkey(), SPEC, jnp.zeros((2, 14)), rules=SoupRules(), epochs=0)
