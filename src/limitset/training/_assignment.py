"""From the name of a task and a few settings to a trained classifier."""

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from limitset._result import InputProblem
from limitset.contraction import delay_line_assembly, random_stable_assembly
from limitset.dynamics import SemiImplicit
from limitset.networks import Form, LinearReadout
from limitset.training._classifier import SequenceClassifier, count_parameters
from limitset.training._datasets import Split, hold_out
from limitset.training._fit import Epoch, Fit, Recipe, fit
from limitset.training._loss import accuracy
from limitset.training._tasks import Task, find_task


@dataclass(frozen=True)
class Settings:
    """Everything that decides a training run besides the task; stored with the model.

    `start` is `"delay_line"`, `"absolute_value"` or `"singular_value"`: how weights are
    parametrised and begin. `slowest` is the largest of the modules' time constants, which spread
    evenly from 1; `step` is the time step, `margin` the certified bound of each module relative to
    the edge. `held_out` training sequences validate and, with `patience`, stop the run early.
    """

    modules: int = 4
    units: int = 32
    start: str = "delay_line"
    activation: str = "tanh"
    form: str = "hopfield"
    margin: float = 0.97
    slowest: float = 3.0
    step: float = 1.0
    readout_gain: float = 20.0
    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 2e-3
    clip: float = 1.0
    seed: int = 0
    held_out: int = 0
    patience: int | None = None

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Trained:
    """A finished run: parameters and log, the final accuracy on test data, the parameter count."""

    task: Task
    settings: Settings
    fit: Fit
    test_accuracy: float
    parameters: int


def parse_settings(pairs: list[str], defaults: Settings | None = None) -> Settings:
    """Settings from `key=value` words.

    **Raises:** `InputProblem` for an unknown key or a value of the wrong type.

    >>> parse_settings(["modules=2", "patience=5"]).patience
    5
    """
    hints = typing.get_type_hints(Settings)
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or key not in hints:
            raise InputProblem(
                f"setting {pair!r} is not known; use key=value with a key of {', '.join(hints)}"
            )
        values[key] = _parse(key, text, hints[key])
    return dataclasses.replace(defaults or Settings(), **values)


def build(task: Task, settings: Settings) -> SequenceClassifier:
    """The untrained classifier that a task and settings determine."""
    core_key, readout_key = jax.random.split(jax.random.key(settings.seed))
    spread = settings.slowest - 1
    constants = tuple(
        1.0 + spread * i / max(settings.modules - 1, 1) for i in range(settings.modules)
    )
    sizes = {"modules": settings.modules, "units": settings.units, "inputs": task.features}
    kinds = {"activation": settings.activation, "form": settings.form, "margin": settings.margin}
    if settings.start == "delay_line":
        core = delay_line_assembly(core_key, **sizes, **kinds, time_constants=constants)
    else:
        core = random_stable_assembly(
            core_key, **sizes, **kinds, theorem=settings.start, time_constants=constants
        )
    size = settings.modules * settings.units
    weight = jax.random.normal(readout_key, (task.classes, size), jnp.float32) / size**0.5
    readout = LinearReadout(weight, jnp.zeros(task.classes, jnp.float32))
    return SequenceClassifier(core, readout, SemiImplicit(settings.step), settings.readout_gain)


def train_task(
    name: str,
    settings: Settings,
    *,
    split: Split | None = None,
    model: SequenceClassifier | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train on a named task and score the final parameters on its test data.

    **Arguments:** `split` instead of the task's own data; `model` instead of `build(...)`; the rest
    as in `fit`.

    **Raises:** `InputProblem` for unknown tasks, settings that do not fit, or missing data.
    """
    task = find_task(name)
    model = build(task, settings) if model is None else model
    data = task.load() if split is None else split
    if settings.held_out:
        data = hold_out(data, settings.held_out)
    result = fit(
        model,
        data.train,
        _recipe(settings),
        validation=data.validation,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    score = accuracy(result.model.explicit(), data.test.inputs, data.test.labels)
    return Trained(task, settings, result, score, count_parameters(result.model))


def _recipe(settings: Settings) -> Recipe:
    shared = {f.name for f in dataclasses.fields(Recipe)}
    return Recipe(**{k: v for k, v in dataclasses.asdict(settings).items() if k in shared})


_STARTS = ("delay_line", "absolute_value", "singular_value")
# What the checker takes.
_MOST_UNITS = 4096


def _check(settings: Settings) -> None:
    least = {"modules": 1, "units": 1, "held_out": 0, "slowest": 1.0}
    for key, bound in least.items():
        if not getattr(settings, key) >= bound:
            raise InputProblem(f"{key} is {getattr(settings, key)}; give at least {bound}")
    if settings.start not in _STARTS:
        raise InputProblem(f"start {settings.start!r} is not known; use {', '.join(_STARTS)}")
    if settings.form not in tuple(Form):
        raise InputProblem(f"form {settings.form!r} is not known; use {', '.join(Form)}")
    for key in ("slowest", "readout_gain"):
        if not 0 < getattr(settings, key) < math.inf:
            raise InputProblem(f"{key} is {getattr(settings, key)}; give a positive, finite number")
    if not 0 < settings.step <= 1:
        raise InputProblem(
            f"step is {settings.step}; the semi-implicit map contracts for steps in (0, 1]"
        )
    if settings.modules * settings.units > _MOST_UNITS:
        raise InputProblem(
            f"{settings.modules} modules of {settings.units} units are more than {_MOST_UNITS} "
            "units; choose fewer"
        )
    if not 0 < settings.margin < 1:
        raise InputProblem(f"margin is {settings.margin}; give a number between 0 and 1")
    # Scales of a line span margin^units, and single precision has to hold their ratios' squares.
    if settings.start == "delay_line" and not settings.margin**settings.units > 1e-15:
        raise InputProblem(
            f"a delay line of {settings.units} units with margin {settings.margin} needs scales "
            "beyond single precision; choose fewer units, or a margin nearer to 1"
        )
    _recipe(settings)


def _parse(key: str, text: str, hint: type | types.UnionType) -> object:
    options: tuple[Any, ...] = typing.get_args(hint) or (hint,)
    if text.lower() == "none" and type(None) in options:
        return None
    kind = next(option for option in options if option is not type(None))
    try:
        return kind(text)
    except ValueError:
        raise InputProblem(
            f"{key}={text} is not of type {kind.__name__}; give such a value"
        ) from None
