"""Training to recall stops at the border where lengths are random, and only there."""

import jax
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.training import Diverged, RecallRecipe, draw_recall, train_recall


def best(recipe: RecallRecipe, positions: tuple[int, ...], seeds: int) -> np.ndarray:
    """The least error of each position over seeds."""
    runs = [train_recall(recipe, positions, jax.random.key(seed)) for seed in range(seeds)]
    return np.min([run.errors for run in runs], axis=0)


def test_one_unit_recalls_one_number():
    """Any linear unit leaves r^2 <= 1/4 of the number before: a^2 (1 - a^2) is largest there."""
    run = train_recall(
        RecallRecipe(cells=1, longest=8, updates=1000, learning_rate=1e-2),
        (1, 2),
        jax.random.key(0),
    )
    assert run.errors[0] < 0.02 and run.squared_correlations[0] > 0.99
    assert 0.18 < run.errors[1] < 0.24 and run.squared_correlations[1] < 0.3


def test_each_position_has_a_network_of_its_own():
    """Scores are those of the networks that come with them; equal keys give equal runs."""
    recipe = RecallRecipe(layers=2, cells=2, longest=6, updates=3)
    first, again = (train_recall(recipe, (1, 4), jax.random.key(5)) for _ in range(2))
    other = train_recall(recipe, (3, 4), jax.random.key(5))
    assert np.array_equal(first.errors, again.errors)
    assert first.errors[1] == other.errors[1] and first.errors[0] != other.errors[0]
    network = jax.tree.map(lambda a: a[1], first.networks)
    asked = draw_recall(jax.random.key(9), 4000, position=4, shortest=4, longest=6)
    error = np.abs(network.answers(asked) - asked.targets).mean()
    assert error == pytest.approx(first.errors[1], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("cells", [1, 2])
def test_organism_recall_stops_at_the_border(cells: int):
    at, beyond = best(RecallRecipe(cells=cells), (cells, cells + 1), seeds=4)
    assert at < 0.02
    # One unit has nowhere to hold the number before the last; two hold a little of a third.
    assert 0.16 < beyond < 0.22


@pytest.mark.slow
def test_organism_pitfall_fixed_lengths_break_the_border():
    """Steps counted from the start tell which number to keep."""
    fixed = best(RecallRecipe(cells=2, longest=10, shortest=10), (4,), seeds=3)
    random = best(RecallRecipe(cells=2, longest=10), (4,), seeds=3)
    assert fixed[0] < 0.15 and random[0] > 0.17


def test_recipes_that_do_not_fit():
    for words, settings in (
        ("not known", {"cell": "elman"}),
        ("layers is 0", {"layers": 0}),
        ("in order", {"shortest": 30}),
        ("learning_rate", {"learning_rate": float("nan")}),
    ):
        with pytest.raises(InputProblem, match=words):
            RecallRecipe(**settings)  # pyright: ignore[reportArgumentType]
    for positions in ((), (0,), (21,)):
        with pytest.raises(InputProblem, match="positions are"):
            train_recall(RecallRecipe(), positions, jax.random.key(0))


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_cells_with_gates_recall_within_the_border_too(cell: str):
    (found,) = best(RecallRecipe(cells=2, cell=cell), (2,), seeds=2)
    assert found < 0.06


@pytest.mark.slow
def test_errors_that_are_not_finite_are_no_result():
    with pytest.raises(Diverged, match="lower the learning rate"):
        train_recall(
            RecallRecipe(cells=1, longest=2, updates=4, learning_rate=1e38), (1,), jax.random.key(0)
        )
