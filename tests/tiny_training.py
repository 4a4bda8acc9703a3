"""A task small enough to train in a test: which third of a short sequence is the loudest."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from limitset.training import (
    AssemblyCore,
    Dataset,
    SequenceClassifier,
    Settings,
    Split,
    Task,
    build,
)

STEPS, CLASSES = 6, 3
SMALL = {"modules": 2, "units": 3, "epochs": 3, "batch_size": 8, "learning_rate": 0.02}
OF_CORE = {field.name for field in dataclasses.fields(AssemblyCore)}


def tiny_split(seed: int = 0, samples: int = 24) -> Split:
    """Two labelled parts, of `samples` sequences each."""
    generator = np.random.default_rng(seed)

    def part(name: str) -> Dataset:
        inputs = generator.random((samples, STEPS, 1)).astype(np.float32)
        labels = np.arange(samples, dtype=np.int32) % CLASSES
        for sequence, label in zip(inputs, labels, strict=True):
            sequence[2 * label : 2 * label + 2] += 2
        return Dataset(inputs, labels, "tiny", name)

    return Split(part("train"), part("test"))


TINY = Task("tiny", tiny_split, CLASSES, STEPS, "for tests")


def tiny_settings(**changes: object) -> Settings:
    """Settings of a run of a second or two."""
    values: dict[str, Any] = {**SMALL, **changes}
    core = AssemblyCore(**{k: v for k, v in values.items() if k in OF_CORE})
    return Settings(core, **{k: v for k, v in values.items() if k not in OF_CORE})


def tiny_classifier(**changes: object) -> SequenceClassifier:
    """The untrained classifier of such a run."""
    return build(TINY, tiny_settings(**changes))


@contextmanager
def compiled_once(folder: Path) -> Iterator[None]:
    """Keeps what XLA compiles in a folder: every run makes its own functions, all alike."""
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    _set(settings)
    yield
    _set(before)


def _set(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX looks once whether there is a folder, and keeps the answer: programs of later tests would
    # be written too, and writing some of them ends the process.
    compilation_cache.reset_cache()
