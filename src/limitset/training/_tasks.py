"""Named tasks: images that are read one pixel per step, and tests of long memory."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jaxtyping import Int

from limitset._result import InputProblem
from limitset.training._cifar import load_cifar10
from limitset.training._datasets import (
    Split,
    halve_images,
    load_digits_sequences,
    load_fashion_mnist,
    load_mnist,
    permute_steps,
)
from limitset.training._memory_tasks import make_adding_task, make_copy_task


@dataclass(frozen=True)
class Task:
    """A question about sequences, by name.

    **Arguments:**

    - `name`: the word for it on the command line.
    - `load`: reads the data, each time it is called.
    - `classes`: number of classes; 1 where a number is asked for.
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
    """The one permutation of `steps` positions that permuted tasks use; 64, 196 and 784 are stored.

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
            f"no fixed permutation of {steps} steps is stored, only of {', '.join(stored)}; "
            "give `permute_steps` one of your own"
        )
    return np.array(stored[str(steps)])


def _load_permuted(load: Callable[[], Split], steps: int) -> Split:
    return permute_steps(load(), fixed_permutation(steps))


def _permuted(name: str, task: Task) -> Task:
    load = functools.partial(_load_permuted, task.load, task.steps)
    description = f"{task.description}, in one fixed shuffled order"
    return Task(name, load, task.classes, task.steps, description)


def _load_halved(load: Callable[[], Split]) -> Split:
    return halve_images(load())


def _halved(name: str, task: Task) -> Task:
    load = functools.partial(_load_halved, task.load)
    description = f"{task.description}, at half the width and height"
    return Task(name, load, task.classes, task.steps // 4, description)


_DIGITS = Task(
    "digits", load_digits_sequences, 10, 64, "handwritten digits of 8 x 8 pixels, pixel by pixel"
)
_MNIST = Task("smnist", load_mnist, 10, 784, "MNIST, pixel by pixel")
_FASHION = Task("sfashion", load_fashion_mnist, 10, 784, "Fashion-MNIST, pixel by pixel")
_MNIST14, _FASHION14 = _halved("smnist14", _MNIST), _halved("sfashion14", _FASHION)
_CIFAR = Task("scifar10", load_cifar10, 10, 1024, "CIFAR-10, three colours per step", features=3)
_COPY = Task("copy", make_copy_task, 8, 120, "say ten symbols again after 100 blanks", features=10)
_ADDING = Task("adding", make_adding_task, 1, 200, "add the two marked numbers", features=2)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _DIGITS,
        _permuted("pdigits", _DIGITS),
        _MNIST,
        _permuted("psmnist", _MNIST),
        _FASHION,
        _permuted("psfashion", _FASHION),
        _MNIST14,
        _permuted("psmnist14", _MNIST14),
        _FASHION14,
        _permuted("psfashion14", _FASHION14),
        _CIFAR,
        _COPY,
        _ADDING,
    )
}


def find_task(name: str) -> Task:
    """The task of that name.

    **Raises:** `InputProblem` for a name that is not in `TASKS`.

    >>> find_task("psmnist").steps
    784
    """
    if name not in TASKS:
        raise InputProblem(
            f"task {name!r} is not known; use one of {', '.join(TASKS)}, or an image task for deep "
            "networks, as nais_mnist"
        )
    return TASKS[name]
