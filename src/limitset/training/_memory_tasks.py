"""Synthetic sequences that cannot be understood without a memory: copy, add, flip-flop."""

import numpy as np

from limitset._result import InputProblem
from limitset.training._datasets import Dataset, Split

_SYMBOLS = 8


def make_copy_task(
    blanks: int = 100, samples: int = 10_000, seed: int = 0, symbols: int = 10
) -> Split:
    """Ten symbols, a silence, a signal; then the ten symbols have to be said again, in order.

    One-hot inputs of ten kinds: eight symbols, the blank, the signal. Sequences have
    `blanks + 20` steps. Only the last ten steps are labelled (`-1` elsewhere), so whoever remembers
    nothing is right in one of eight.

    **Arguments:** `blanks`, steps of silence, at least 1; `samples` for training, a tenth as many
    for the test; `seed`; `symbols`, other than ten of them, at least 1.

    **Raises:** `InputProblem` for numbers that make no task.

    **Reference:** Hochreiter and Schmidhuber, Neural Computation 9 (1997); arXiv 1511.06464.

    >>> make_copy_task(blanks=5, samples=20).train.inputs.shape
    (20, 25, 10)
    """
    _check(blanks, 1, samples, seed)
    if not symbols >= 1:
        raise InputProblem(f"{symbols} symbols came; give at least 1")
    steps = blanks + 2 * symbols

    def part(name: str, count: int, stream: int) -> Dataset:
        rng = np.random.default_rng([seed, stream])
        shown = rng.integers(0, _SYMBOLS, (count, symbols))
        kinds = np.full((count, steps), _SYMBOLS)
        kinds[:, :symbols] = shown
        kinds[:, -symbols - 1] = _SYMBOLS + 1
        labels = np.full((count, steps), -1, np.int32)
        labels[:, -symbols:] = shown
        inputs = np.eye(_SYMBOLS + 2, dtype=np.float32)[kinds]
        return Dataset(inputs, labels, "copy", name)

    return Split(part("train", samples, 0), part("test", samples // 10, 1))


def make_adding_task(steps: int = 200, samples: int = 20_000, seed: int = 0) -> Split:
    """Numbers in [0, 1], two of them marked: what is their sum?

    Two inputs: the number and the mark. One mark lies in each half of the sequence. Answering 1
    always has a mean squared error of 1/6.

    **Arguments:** `steps`, at least 2; `samples` for training, a tenth as many for the test;
    `seed`.

    **Raises:** `InputProblem` for numbers that make no task.

    **Reference:** Hochreiter and Schmidhuber, Neural Computation 9 (1997).

    >>> adding = make_adding_task(steps=6, samples=10).train
    >>> adding.inputs.shape, adding.labels.dtype.name
    ((10, 6, 2), 'float32')
    """
    _check(steps, 2, samples, seed)

    def part(name: str, count: int, stream: int) -> Dataset:
        rng = np.random.default_rng([seed, stream])
        numbers = rng.random((count, steps), np.float32)
        marks = np.zeros((count, steps), np.float32)
        half = steps // 2
        rows = np.arange(count)
        first, second = rng.integers(0, half, count), rng.integers(half, steps, count)
        marks[rows, first] = marks[rows, second] = 1
        return Dataset(np.stack([numbers, marks], -1), (numbers * marks).sum(1), "adding", name)

    return Split(part("train", samples, 0), part("test", samples // 10, 1))


def make_flip_flop_task(
    steps: int = 200, interval: float = 20.0, samples: int = 20_000, seed: int = 0
) -> Split:
    """Rare pulses of either sign and any height in silence: how high was the last one?

    One input: 0, or at random steps, once in `interval` steps on average, a pulse uniform in
    [-1, 1]. There is at least one. A latch has to hold it, and to let go of it at the next pulse.
    Answering 0 always has a mean squared error of 1/3.

    **Arguments:** `steps`, at least 2; `interval`, at least 1; `samples` for training, a tenth as
    many for the test; `seed`.

    **Raises:** `InputProblem` for numbers that make no task.

    **Reference:** Sussillo and Barak, Neural Computation 25 (2013), with pulses of any height.

    >>> make_flip_flop_task(steps=6, samples=10).train.inputs.shape
    (10, 6, 1)
    """
    _check(steps, 2, samples, seed)
    if not 1 <= interval < np.inf:
        raise InputProblem(f"interval is {interval}; give a number of steps, 1 or more")

    def part(name: str, count: int, stream: int) -> Dataset:
        rng = np.random.default_rng([seed, stream])
        heights = rng.uniform(-1, 1, (count, steps)).astype(np.float32)
        is_pulse = rng.random((count, steps)) < 1 / interval
        is_pulse[np.arange(count), rng.integers(0, steps, count)] |= ~is_pulse.any(1)
        last = steps - 1 - is_pulse[:, ::-1].argmax(1)
        inputs = np.where(is_pulse, heights, 0)[..., None]
        return Dataset(inputs, heights[np.arange(count), last], "flip_flop", name)

    return Split(part("train", samples, 0), part("test", samples // 10, 1))


def _check(length: int, least: int, samples: int, seed: int) -> None:
    if not (length >= least and samples >= 10 and seed >= 0):
        raise InputProblem(
            f"a length of {length}, {samples} samples and seed {seed} came; give at least "
            f"{least}, 10 and 0"
        )
