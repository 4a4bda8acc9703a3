"""Copying, adding and flip-flops: what is asked follows from the inputs, at a distance."""

from collections.abc import Iterator

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import ExplicitEuler, discretise
from limitset.networks import LinearReadout, RateNetwork
from limitset.training import (
    Dataset,
    RunningClassifier,
    accuracy,
    find_task,
    make_adding_task,
    make_copy_task,
    make_flip_flop_task,
    training_loss,
)


@pytest.fixture
def untyped() -> Iterator[None]:
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_copying_asks_for_the_first_symbols_at_the_end():
    train = make_copy_task(blanks=7, samples=30, seed=4).train
    kinds = train.inputs.argmax(-1)
    assert np.array_equal(train.inputs.sum(-1), np.ones((30, 27)))
    assert np.array_equal(train.labels[:, -10:], kinds[:, :10])
    assert (train.labels[:, :-10] == -1).all()
    assert (kinds[:, 10:16] == 8).all() and (kinds[:, 16] == 9).all() and (kinds[:, 17:] == 8).all()
    assert set(np.unique(kinds[:, :10])) == set(range(8))


def test_adding_asks_for_the_sum_of_the_marked_numbers():
    train = make_adding_task(steps=11, samples=40, seed=4).train
    numbers, marks = train.inputs[..., 0], train.inputs[..., 1]
    assert np.array_equal(marks[:, :5].sum(1), np.ones(40))
    assert np.array_equal(marks[:, 5:].sum(1), np.ones(40))
    assert np.allclose((numbers * marks).sum(1), train.labels)


def test_copying_of_fewer_symbols():
    train = make_copy_task(blanks=4, samples=20, symbols=3).train
    assert train.inputs.shape == (20, 10, 10)
    assert np.array_equal(train.labels[:, -3:], train.inputs.argmax(-1)[:, :3])
    assert (train.labels[:, :-3] == -1).all() and train.inputs[:, 6, 9].all()


def test_flip_flops_ask_for_the_last_pulse():
    train = make_flip_flop_task(steps=12, interval=6.0, samples=3000, seed=2).train
    pulses = train.inputs[..., 0]
    last = [row[np.flatnonzero(row)[-1]] for row in pulses]
    assert np.array_equal(train.labels, last)
    alone = 1 - (1 - 1 / 6) ** 12
    assert (pulses != 0).mean() == pytest.approx(1 / 6 + (1 - alone) / 12, abs=0.01)
    assert np.mean(train.labels**2) == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("make", [make_copy_task, make_adding_task, make_flip_flop_task])
def test_tasks_are_repeatable_and_their_parts_differ(make):
    first, again, other = make(samples=20), make(samples=20), make(samples=20, seed=1)
    assert np.array_equal(first.train.inputs, again.train.inputs)
    assert not np.array_equal(first.train.inputs, other.train.inputs)
    assert len(first.test.labels) == 2
    assert not np.array_equal(first.test.inputs, first.train.inputs[:2])


@pytest.mark.parametrize(
    "call",
    [
        lambda: make_copy_task(blanks=0),
        lambda: make_copy_task(samples=9),
        lambda: make_adding_task(steps=1),
        lambda: make_adding_task(seed=-1),
        lambda: make_copy_task(symbols=0),
        lambda: make_flip_flop_task(steps=1),
    ],
)
def test_numbers_that_make_no_task(call):
    with pytest.raises(InputProblem, match="give at least"):
        call()
    with pytest.raises(InputProblem, match="1 or more"):
        make_flip_flop_task(interval=float("nan"))


@pytest.mark.parametrize("name", ["copy", "adding"])
def test_named_tasks_are_what_they_say(name: str):
    task = find_task(name)
    split = task.load()
    assert split.train.inputs.shape[1:] == (task.steps, task.features)


def running(features: int, outputs: int) -> RunningClassifier:
    """A tiny network that reads one of many features."""
    rng = np.random.default_rng(0)
    shapes = (outputs, 3), (3, 3), (3, features)
    weight, recurrent, entering = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in shapes)
    system = discretise(RateNetwork(recurrent, entering), ExplicitEuler(0.5))
    return RunningClassifier(system, LinearReadout(weight, jnp.zeros(outputs, jnp.float32)))


def test_labelled_steps_are_scored_where_something_is_asked():
    classifier, data = running(10, 8), make_copy_task(blanks=3, samples=40).train
    inputs, labels = jnp.asarray(data.inputs), jnp.asarray(data.labels)
    scores = np.asarray(classifier.all_scores(inputs), np.float64)
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    rows, steps = np.nonzero(data.labels >= 0)
    expected = -logs[rows, steps, data.labels[rows, steps]].mean()
    assert float(training_loss(classifier, inputs, labels)) == pytest.approx(expected, rel=1e-4)
    hits = scores.argmax(-1)[rows, steps] == data.labels[rows, steps]
    assert accuracy(classifier, data.inputs, data.labels) == pytest.approx(hits.mean(), abs=1e-12)
    # The last scores are those that a classifier of whole sequences gives.
    assert np.allclose(scores[:, -1], classifier.last_scores(inputs), atol=1e-5)


def test_numbers_are_right_if_they_are_near():
    classifier, data = running(2, 1), make_adding_task(steps=6, samples=40).train
    answers = np.asarray(classifier.last_scores(jnp.asarray(data.inputs)))[:, 0]
    loss = training_loss(classifier, jnp.asarray(data.inputs), jnp.asarray(data.labels))
    assert float(loss) == pytest.approx(np.square(answers - data.labels).mean(), rel=1e-4)
    shifted = (answers + np.where(np.arange(40) < 10, 0.03, 0.05)).astype(np.float32)
    assert accuracy(classifier, data.inputs, shifted) == 0.25


def test_labels_of_a_data_set_fit_what_is_asked(untyped: None):
    del untyped
    inputs = np.zeros((2, 3, 1), np.float32)
    for labels in (np.zeros(2, np.int32), np.full((2, 3), -1, np.int32), np.ones(2, np.float32)):
        assert Dataset(inputs, labels, "any", "train").labels is labels
    for labels, part in (
        (np.full(2, np.nan, np.float32), "NaN"),
        (np.full((2, 3), -2, np.int32), "-2"),
        (np.full(2, -1, np.int32), "-1"),
        (np.zeros((2, 4), np.int32), "shapes"),
    ):
        with pytest.raises(InputProblem, match=part):
            Dataset(inputs, labels, "any", "train")
