"""The random memorisation task: what is asked, of how many numbers, and that the end is unknown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import simulate_batch
from limitset.networks import random_gru
from limitset.training import draw_recall, memory_border


def test_what_is_asked_is_counted_from_each_end():
    drawn = draw_recall(jax.random.key(0), 4000, position=3, shortest=5, longest=9)
    numbers, lengths = np.asarray(drawn.inputs[..., 0]), np.asarray(drawn.lengths)
    assert np.array_equal(drawn.targets, numbers[np.arange(4000), lengths - 3])
    assert np.array_equal(np.unique(lengths), np.arange(5, 10))
    assert np.bincount(lengths)[5:].min() > 700
    assert numbers.min() >= 0 and numbers.max() <= 1 and abs(numbers.mean() - 0.5) < 0.01
    assert abs(np.abs(numbers - 0.5).mean() - 0.25) < 0.01


def test_organism_pitfall_zero_inputs_are_no_rest():
    """To end early is to start late from rest; zeros in front are not, since biases move states."""
    cell = random_gru(jax.random.key(1), 3, 1)
    drawn = draw_recall(jax.random.key(0), 20, position=1, shortest=2, longest=6)
    inputs = drawn.inputs.astype(float)
    early = simulate_batch(cell, jnp.zeros((20, 3)), inputs, lengths=drawn.lengths).final
    starts = 6 - drawn.lengths
    late = jax.vmap(jnp.roll, (0, 0, None))(inputs, starts, 0)

    def held(x: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        n, u = now
        moved = jax.vmap(lambda one, v: cell.advance(0, one, v))(x, u)
        return jnp.where((n < starts)[:, None], 0.0, moved), None

    final = jax.lax.scan(held, jnp.zeros((20, 3)), (jnp.arange(6), late.swapaxes(0, 1)))[0]
    assert np.allclose(early, final, atol=1e-14)
    padded = jnp.where((jnp.arange(6) < starts[:, None])[..., None], 0.0, late)
    zeros = simulate_batch(cell, jnp.zeros((20, 3)), padded).final
    assert np.abs(zeros - early)[np.asarray(starts) > 0].max(1).min() > 1e-3


def test_border_of_published_sizes():
    """The last positions recalled in the heat map of arXiv 2212.11085."""
    published = {(1, 2): 2, (1, 8): 8, (2, 2): 3, (2, 5): 9, (3, 5): 13, (5, 2): 6, (4, 1): 1}
    assert {size: memory_border(*size) for size in published} == published


@pytest.mark.parametrize("position,shortest,longest", [(0, 1, 5), (3, 2, 5), (1, 6, 5)])
def test_counts_that_make_no_task(position: int, shortest: int, longest: int):
    with pytest.raises(InputProblem, match="position <= shortest"):
        draw_recall(jax.random.key(0), 5, position=position, shortest=shortest, longest=longest)
    with pytest.raises(InputProblem, match="at least 1"):
        memory_border(position - 1 if position else 0, 3 - position)
