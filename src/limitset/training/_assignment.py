"""From the name of a task and a few settings to a trained classifier."""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from limitset._result import InputProblem
from limitset.dynamics import Scan
from limitset.networks import LinearReadout
from limitset.training._assembly_core import AssemblyCore
from limitset.training._baseline_cores import GRUCore, LipschitzCore, LSTMCore
from limitset.training._classifier import SequenceClassifier, count_parameters
from limitset.training._core import AbstractCore
from limitset.training._datasets import Split, hold_out
from limitset.training._fit import Epoch, Fit, Recipe, fit
from limitset.training._fit_seeds import fit_seeds
from limitset.training._gated_core import GatedCore, GatedStackCore
from limitset.training._loss import accuracy
from limitset.training._sparse_core import SparseCore
from limitset.training._stack_core import StackCore
from limitset.training._tasks import Task, find_task

CORES: dict[str, type[AbstractCore]] = {
    "assembly": AssemblyCore,
    "sparse": SparseCore,
    "gated": GatedCore,
    "gated_stack": GatedStackCore,
    "stack": StackCore,
    "lstm": LSTMCore,
    "gru": GRUCore,
    "lipschitz": LipschitzCore,
}


@dataclass(frozen=True)
class Settings:
    """Everything that decides a training run besides the task; stored with the model.

    `core` says what is trained. With a `chunk`, gradients keep only every `chunk`-th state: less
    memory, more time, the same result. `held_out` training sequences validate and, with `patience`,
    stop the run early.
    """

    core: AbstractCore = field(default_factory=AssemblyCore)
    readout_gain: float = 20.0
    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 2e-3
    clip: float = 1.0
    seed: int = 0
    chunk: int | None = None
    held_out: int = 0
    patience: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.readout_gain < math.inf:
            raise InputProblem(
                f"readout_gain is {self.readout_gain}; give a positive, finite number"
            )
        if not self.held_out >= 0:
            raise InputProblem(f"held_out is {self.held_out}; give at least 0")
        _recipe(self)
        Scan(chunk=self.chunk)

    def as_record(self) -> dict[str, Any]:
        """Names and numbers only, as they are stored with a model."""
        record = {**dataclasses.asdict(self), "core": self.core.name}
        return record | dataclasses.asdict(self.core)


@dataclass(frozen=True)
class Trained:
    """A finished run: parameters and log, the final accuracy on test data, the parameter count."""

    task: Task
    settings: Settings
    fit: Fit
    test_accuracy: float
    parameters: int


def parse_settings(pairs: list[str], defaults: Settings | None = None) -> Settings:
    """Settings from `key=value` words: of the run, and of the core that `core=...` names.

    **Raises:** `InputProblem` for an unknown key or a value of the wrong type.

    >>> parse_settings(["modules=2", "patience=5"]).patience
    5
    >>> parse_settings(["core=lstm", "units=8"]).core
    LSTMCore(units=8, remember=1.0)
    """
    settings = defaults or Settings()
    words = [pair.partition("=") for pair in pairs]
    named = [text for key, _, text in words if key == "core"]
    core = settings.core
    if named:
        if named[-1] not in CORES:
            raise InputProblem(f"core {named[-1]!r} is not known; use one of {', '.join(CORES)}")
        core = core if named[-1] == core.name else CORES[named[-1]]()
    of_run, of_core = (typing.get_type_hints(type(owner)) for owner in (settings, core))
    run_values: dict[str, Any] = {}
    core_values: dict[str, Any] = {}
    for key, equals, text in words:
        if not equals or not (key in of_run or key in of_core):
            keys = ", ".join([*of_run, *of_core])
            raise InputProblem(
                f"setting {key + equals + text!r} is not known; use key=value with a key of {keys}"
            )
        if key in of_core:
            core_values[key] = parse_value(key, text, of_core[key])
        elif key != "core":
            run_values[key] = parse_value(key, text, of_run[key])
    core = dataclasses.replace(core, **core_values)
    return dataclasses.replace(settings, **run_values, core=core)


def build(task: Task, settings: Settings) -> SequenceClassifier:
    """The untrained classifier that a task and settings determine."""
    core_key, readout_key = jax.random.split(jax.random.key(settings.seed))
    core = settings.core.build(core_key, task.features)
    size = core.explicit().state_size
    weight = jax.random.normal(readout_key, (task.classes, size), jnp.float32) / size**0.5
    readout = LinearReadout(weight, jnp.zeros(task.classes, jnp.float32))
    method = Scan(chunk=settings.chunk)
    return SequenceClassifier(core, readout, settings.core.scheme, settings.readout_gain, method)


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
    data = _data(task, settings, split)
    result = fit(
        model,
        data.train,
        _recipe(settings),
        validation=data.validation,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    return _scored(task, settings, result, data)


def train_seeds(
    name: str,
    settings: Settings,
    *,
    seeds: Sequence[int],
    split: Split | None = None,
    on_epoch: Callable[[tuple[Epoch, ...]], None] | None = None,
) -> tuple[Trained, ...]:
    """`train_task` with each of the seeds, in one program (`fit_seeds`).

    **Arguments:** as in `train_task` and `fit_seeds`; `seeds` take the place of that in `settings`,
    for weights and shuffles.

    **Returns:** one `Trained` for each seed.

    **Raises:** `InputProblem` for unknown tasks, settings that do not fit, or missing data.
    """
    task = find_task(name)
    each = [dataclasses.replace(settings, seed=seed) for seed in seeds]
    models = [build(task, one) for one in each]
    data = _data(task, settings, split)
    results = fit_seeds(
        models,
        data.train,
        _recipe(settings),
        seeds=seeds,
        validation=data.validation,
        on_epoch=on_epoch,
    )
    return tuple(_scored(task, *pair, data) for pair in zip(each, results, strict=True))


def _data(task: Task, settings: Settings, split: Split | None) -> Split:
    data = task.load() if split is None else split
    return hold_out(data, settings.held_out) if settings.held_out else data


def _scored(task: Task, settings: Settings, result: Fit, data: Split) -> Trained:
    score = accuracy(result.model.explicit(), data.test.inputs, data.test.labels)
    return Trained(task, settings, result, score, count_parameters(result.model))


def _recipe(settings: Settings) -> Recipe:
    shared = {f.name for f in dataclasses.fields(Recipe)}
    return Recipe(**{name: getattr(settings, name) for name in shared})


def parse_value(key: str, text: str, hint: type | types.UnionType) -> object:
    """The value that a word stands for, where one of that type is meant.

    **Raises:** `InputProblem` for a word that stands for none.

    >>> parse_value("epochs", "5", int), parse_value("clip", "none", float | None)
    (5, None)
    """
    options: tuple[Any, ...] = typing.get_args(hint) or (hint,)
    if text.lower() == "none" and type(None) in options:
        return None
    kind = next(option for option in options if option is not type(None))
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InputProblem(f"{key}={text} is no truth value; write true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise InputProblem(
            f"{key}={text} is not of type {kind.__name__}; give such a value"
        ) from None
