import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.replication import AdditionTask, ArrayTask, task_loss, task_score


def test_addition_is_fresh_and_right(getkey):
    task = AdditionTask(samples=30, batch=7)
    x, y = task.draw_epoch(getkey())
    assert x.shape == (4, 7, 2) and np.allclose(x.sum(-1, keepdims=True), y)
    assert not np.array_equal(x, task.draw_epoch(getkey())[0])
    assert task.draw_test(getkey())[0].shape == (30, 2)


def test_an_epoch_shows_every_sample_at_most_once(getkey):
    """What batches leave over is left out of this epoch, not of all."""
    x = np.arange(10.0)[:, None]
    task = ArrayTask(x, np.arange(10), x, np.arange(10), batch=3)
    shown, labels = task.draw_epoch(getkey())
    assert shown.shape == (3, 3, 1) and len(set(labels.ravel().tolist())) == 9
    assert np.array_equal(shown[..., 0], labels)
    left = {
        (set(range(10)) - set(task.draw_epoch(getkey())[1].ravel().tolist())).pop()
        for _ in range(20)
    }
    assert len(left) > 1


def test_noise_is_of_its_size_and_new_in_every_epoch(getkey):
    x = np.zeros((4000, 1), np.float32)
    task = ArrayTask(x, np.zeros(4000, int), x, np.zeros(4000, int), batch=4000, noise=1e-4)
    first, second = (task.draw_epoch(getkey())[0] for _ in range(2))
    assert np.isclose(float(first.std()), 1e-4, rtol=0.1) and not np.array_equal(first, second)
    assert (task.draw_test(getkey())[0] == 0).all() and first.dtype == jnp.float32


def test_losses_and_scores_by_hand():
    answers = jnp.array([[2.0, 0.0], [0.0, 1.0]])
    classes = jnp.array([0, 0])
    expected = np.mean([np.log1p(np.exp(-2.0)), np.log1p(np.exp(1.0))])
    assert np.isclose(task_loss(answers, classes), expected)
    assert float(task_score(answers, classes)) == 0.5
    numbers = jnp.array([[1.0, 0.0], [0.0, 0.0]])
    assert float(task_loss(answers, numbers)) == 0.5
    assert float(task_score(answers, numbers)) == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": np.array([[np.nan]] * 4)}, "NaN"),
        ({"targets": np.zeros(3, int)}, "inputs have shape"),
        ({"test_targets": np.zeros((4, 1), int)}, "test_inputs have shape"),
        ({"batch": 5}, "batches of 5"),
        ({"batch": 0}, "batches of 0"),
        ({"noise": -1.0}, "noise is -1"),
        ({"noise": float("inf")}, "noise is inf"),
        ({"inputs": np.zeros((0, 1)), "targets": np.zeros(0, int)}, "inputs are empty"),
    ],
)
def test_unusable_samples(changes, message):
    given = {
        "inputs": np.zeros((4, 1)),
        "targets": np.zeros(4, int),
        "test_inputs": np.zeros((4, 1)),
        "test_targets": np.zeros(4, int),
        "batch": 2,
    }
    with pytest.raises(InputProblem, match=message):
        ArrayTask(**(given | changes))


def test_unusable_sizes():
    with pytest.raises(InputProblem, match="batches of 60"):
        AdditionTask(samples=50, batch=60)
    assert AdditionTask().draw_epoch(jax.random.key(0))[0].shape == (20, 50, 2)
