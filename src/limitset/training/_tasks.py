"""Named tasks: classify images that are read one pixel per step."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jaxtyping import Int

from limitset._result import InputProblem
from limitset.training._datasets import (
    Split,
    load_digits_sequences,
    load_fashion_mnist,
    load_mnist,
    permute_steps,
)


@dataclass(frozen=True)
class Task:
    """A classification of sequences, by name.

    **Arguments:**

    - `name`: the word for it on the command line.
    - `load`: reads the data, each time it is called.
    - `classes`: number of classes; chance is `1 / classes`.
    - `steps`: length of every sequence.
    - `description`: one line.
    - `features`: number of inputs per step.
    """

    name: str
    load: Callable[[], Split]
    classes: int
    steps: int
    description: str
    features: int = 1


def fixed_permutation(steps: int) -> Int[np.ndarray, " t"]:
    """The one permutation of `steps` positions that permuted tasks use; 64 and 784 are stored.

    It is data (`permutations.json`, which says how it was made) and never drawn at run time:
    results on a permuted task compare only if all use the same one.

    **Raises:** `InputProblem` for a length that is not stored.

    >>> fixed_permutation(64)[:5].tolist()
    [45, 29, 43, 61, 34]
    """
    source = files("limitset.training").joinpath("permutations.json")
    stored = json.loads(source.read_text(encoding="utf-8"))["permutations"]
    if str(steps) not in stored:
        raise InputProblem(
            f"no fixed permutation of {steps} steps is stored, only of {' and '.join(stored)}; "
            "give `permute_steps` one of your own"
        )
    return np.array(stored[str(steps)])


def _load_permuted(load: Callable[[], Split], steps: int) -> Split:
    return permute_steps(load(), fixed_permutation(steps))


def _permuted(name: str, task: Task) -> Task:
    load = functools.partial(_load_permuted, task.load, task.steps)
    description = f"{task.description}, in one fixed shuffled order"
    return Task(name, load, task.classes, task.steps, description)


_DIGITS = Task(
    "digits", load_digits_sequences, 10, 64, "handwritten digits of 8 x 8 pixels, pixel by pixel"
)
_MNIST = Task("smnist", load_mnist, 10, 784, "MNIST, pixel by pixel")
_FASHION = Task("sfashion", load_fashion_mnist, 10, 784, "Fashion-MNIST, pixel by pixel")

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _DIGITS,
        _permuted("pdigits", _DIGITS),
        _MNIST,
        _permuted("psmnist", _MNIST),
        _FASHION,
        _permuted("psfashion", _FASHION),
    )
}


def find_task(name: str) -> Task:
    """The task of that name.

    **Raises:** `InputProblem` for a name that is not in `TASKS`.

    >>> find_task("psmnist").steps
    784
    """
    if name not in TASKS:
        raise InputProblem(f"task {name!r} is not known; use one of {', '.join(TASKS)}")
    return TASKS[name]
