import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import GELU, TANH
from limitset.replication import (
    Organism,
    ParticleSpec,
    PruningRule,
    draw_organism,
    drop,
    drop_lowest,
    edge_weights,
    find_replicators,
    forward,
    kappa,
    project_to_replicator,
    rank_particles,
    task_loss,
    zero_smallest_parameters,
)

KEY = jax.random.key(3)
SPEC = ParticleSpec(inputs=5, widths=(3, 3))
ONE = draw_organism(KEY, (4, 3, 2), activation=GELU, spec=SPEC, dtype=jnp.float64)
X = jax.random.normal(jax.random.key(4), (50, 4)).at[:, 2].set(0)
Y = jnp.arange(50) % 2


def ranks(rule: PruningRule, one: Organism = ONE) -> np.ndarray:
    return rank_particles(one, rule, inputs=X, targets=Y, key=KEY)


def test_edges_that_hear_nothing_go_first():
    """An input that is always 0 has neither activity nor saliency, whatever its weights."""
    deaf = np.arange(18) % 4 == 2
    deaf[12:] = False
    for rule in (PruningRule.ACTIVITY, PruningRule.SALIENCY):
        assert (ranks(rule)[deaf] == 0).all() and (ranks(rule)[~deaf] > 0).all()
    assert (ranks(PruningRule.EDGE_WEIGHT)[deaf] > 0).all()
    less = drop_lowest(ONE, ranks(PruningRule.ACTIVITY), 3, KEY)
    assert np.allclose(forward(less, X), forward(ONE, X), atol=1e-14)


def test_ranks_by_hand():
    slopes = np.abs(kappa(SPEC, ONE.particles)[:, 4])
    assert np.allclose(ranks(PruningRule.EDGE_WEIGHT), slopes)
    activity = ranks(PruningRule.ACTIVITY)
    expected = slopes[:12].reshape(3, 4) * np.sqrt(np.mean(X**2, axis=0))
    assert np.allclose(activity[:12].reshape(3, 4), expected)
    assert np.allclose(ranks(PruningRule.PARAMETERS), np.abs(ONE.particles).sum(1))
    assert sorted(ranks(PruningRule.RANDOM)) == list(range(18))


def test_saliency_is_what_the_loss_loses_to_first_order():
    number, share = 7, 1e-6
    saliency = ranks(PruningRule.SALIENCY)[number]
    # The third matrix scales the edge weight: kappa is linear in it.
    smaller = ONE.particles.at[number, -3:].multiply(1 - share)
    changed = Organism(smaller, ONE.sizes, ONE.activations, SPEC)
    difference = task_loss(forward(changed, X), Y) - task_loss(forward(ONE, X), Y)
    assert np.isclose(abs(float(difference)) / share, saliency, rtol=1e-3)


def test_replicators_are_found_and_go_first_by_their_error():
    moved = ONE.particles.at[:5].set(project_to_replicator(SPEC, ONE.particles[:5]).weights)
    one = Organism(moved, ONE.sizes, ONE.activations, SPEC)
    assert np.flatnonzero(find_replicators(one)).tolist() == [0, 1, 2, 3, 4]
    less = drop_lowest(one, ranks(PruningRule.REPLICATION_ERROR, one), 5, KEY)
    assert np.array_equal(less.kept, drop(one, find_replicators(one)).kept)


def test_zeros_are_no_replicators():
    one = Organism(ONE.particles.at[0].set(0), ONE.sizes, ONE.activations, SPEC)
    assert not find_replicators(one)[0]


def test_dropped_particles_have_no_weight_and_go_first():
    less = drop(ONE, np.arange(18) == 11)
    assert float(edge_weights(less)[11]) == 0
    again = drop_lowest(less, ranks(PruningRule.EDGE_WEIGHT, less), 1, KEY)
    assert np.array_equal(again.kept, less.kept)


def test_equals_go_in_an_order_of_the_key():
    equal = np.zeros(18)
    orders = {tuple(np.asarray(drop_lowest(ONE, equal, 9, k).kept)) for k in jax.random.split(KEY)}
    assert len(orders) == 2


def test_zeroing_parameters_takes_the_smallest():
    less = zero_smallest_parameters(ONE, 0.3)
    values, before = np.abs(less.particles), np.abs(np.asarray(ONE.particles))
    assert (values == 0).sum() == round(0.3 * before.size)
    assert before[values == 0].max() <= before[values != 0].min()
    assert np.array_equal(zero_smallest_parameters(ONE, 0.0).particles, ONE.particles)


def test_unusable_input():
    nonlinear = draw_organism(
        KEY, (4, 3, 2), spec=ParticleSpec(inputs=5, widths=(3, 3), activation=TANH)
    )
    for call, message in (
        (lambda: drop_lowest(ONE, np.zeros(18), 19, KEY), "count is 19"),
        (lambda: drop_lowest(ONE, np.full(18, np.nan), 1, KEY), "ranks hold NaN"),
        (lambda: zero_smallest_parameters(ONE, 1.5), "share is 1.5"),
        (lambda: ranks(PruningRule.ACTIVITY, nonlinear), "no edge weight"),
    ):
        with pytest.raises(InputProblem, match=message):
            call()
