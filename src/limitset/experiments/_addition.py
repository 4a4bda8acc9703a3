"""Eighteen particles learn to add two numbers, and to replicate."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray

from limitset._result import InputProblem
from limitset.experiments._experiment import Experiment, Report, Row
from limitset.experiments._words import check_range, check_word, spread
from limitset.replication import (
    AdditionTask,
    Alternation,
    Organism,
    OrganismEpoch,
    ParticleSpec,
    draw_organism,
    find_replicators,
    forward,
    forward_expanded,
    project_to_replicator,
    start_training,
    train_organism,
)
from limitset.sweeps import sweep

_VERSION = "1"
# For errors of the trained organism: many samples, since errors are near rounding.
_SAMPLES = 10_000


@dataclass(frozen=True)
class AdditionSettings:
    """An organism 2 -> `hidden` -> `hidden` -> 1 of linear particles that adds two numbers.

    **Arguments:** `self_steps` of self-training for each batch, then one of the task; `hidden`
    cells in each of two layers; `particle_width` `h` of particles 5 -> h -> h -> 1; `rate` and
    `momentum` of both; `dtype`, float32 or float64; `tolerance` of replication.

    **Raises:** `InputProblem` for numbers that do not fit.
    """

    seeds: int = 10
    epochs: int = 60
    self_steps: int = 10
    samples: int = 1000
    batch: int = 50
    hidden: int = 3
    particle_width: int = 3
    rate: float = 0.004
    momentum: float = 0.9
    dtype: str = "float32"
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        check_range("seeds", self.seeds, 1, 1000)
        check_range("epochs", self.epochs, 1, 100_000)
        check_range("hidden", self.hidden, 1, 1000)
        check_range("particle_width", self.particle_width, 1, 100)
        check_word("dtype", self.dtype, ("float32", "float64"))
        if not 0 < self.tolerance < float("inf"):
            raise InputProblem(f"tolerance is {self.tolerance}; give a positive number, as 1e-5")
        AdditionTask(self.samples, self.batch)
        Alternation(self.self_steps, self.rate, self.momentum)


def compute_addition(
    settings: AdditionSettings, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """An organism for each seed, trained to add and to replicate in turn.

    **Arguments:** `settings`; `store`; `report`.

    **Returns:** a Dataset over `seed` with

    - over `epoch`, which counts those done: `replicators`, `error`, the mean absolute error of the
      sum, `task_loss` and `replication_loss` as in `OrganismEpoch` [sampled].
    - `all_from`: the first epoch from which on all particles replicate; NaN if there is none.
    - mean absolute errors on 10,000 fresh samples, in the dtype of training: `expanded_error`,
      every particle asked on its own, `plain_error` of the plain network of edge weights, and
      `path_difference` of the two [sampled].
    - after projection: `projected_replicators`, `projected_error` of the plain network,
      `projection_distance`, the most that a particle was moved [sampled].
    """
    chosen = asdict(settings)
    del chosen["seeds"]
    found = sweep(
        _add,
        {"seed": range(settings.seeds)},
        store=store,
        settings=chosen,
        purpose=f"addition {_VERSION}",
        report=report,
    )
    return found.assign_attrs(
        experiment="addition",
        particles=settings.hidden * (settings.hidden + 3),
        self_steps=settings.self_steps,
        tolerance=settings.tolerance,
    )


def _add(seed: int, **chosen: Any) -> Mapping[str, object]:
    settings = AdditionSettings(**chosen)
    drawn, trained, tested = jax.random.split(jax.random.key(seed), 3)
    width, hidden = settings.particle_width, settings.hidden
    start = draw_organism(
        drawn,
        (2, hidden, hidden, 1),
        spec=ParticleSpec(inputs=5, widths=(width, width)),
        dtype=jnp.dtype(settings.dtype),
    )
    after, epochs = train_organism(
        start_training(start),
        AdditionTask(settings.samples, settings.batch),
        Alternation(settings.self_steps, settings.rate, settings.momentum),
        epochs=settings.epochs,
        key=trained,
    )
    return {
        **_course(epochs, settings.tolerance),
        **_answers(after.organism, tested),
        **_projected(after.organism, tested, settings.tolerance),
    }


def _course(epochs: OrganismEpoch, tolerance: float) -> dict[str, object]:
    replicate = np.asarray((epochs.errors <= tolerance) & (epochs.largest > tolerance))
    count = replicate.shape[0]
    lacking = np.flatnonzero(~replicate.all(1))
    first = lacking[-1] + 2 if lacking.size else 1
    return {
        "replicators": ("epoch", replicate.sum(1)),
        "error": ("epoch", np.asarray(epochs.score)),
        "task_loss": ("epoch", np.asarray(epochs.task_loss)),
        "replication_loss": ("epoch", np.asarray(epochs.replication_loss)),
        "all_from": float(first) if first <= count else float("nan"),
        "epoch": ("epoch", np.arange(1, count + 1)),
    }


def _samples(organism: Organism, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    x = jax.random.normal(key, (_SAMPLES, 2), organism.particles.dtype)
    return x, x.sum(1, keepdims=True)


def _answers(organism: Organism, key: jax.Array) -> dict[str, object]:
    x, total = _samples(organism, key)
    expanded, plain = eqx.filter_jit(forward_expanded)(organism, x), forward(organism, x)
    return {
        "expanded_error": float(jnp.abs(expanded - total).mean()),
        "plain_error": float(jnp.abs(plain - total).mean()),
        "path_difference": float(jnp.abs(plain - expanded).mean()),
    }


def _projected(organism: Organism, key: jax.Array, tolerance: float) -> dict[str, object]:
    x, total = _samples(organism, key)
    moved = project_to_replicator(organism.spec, organism.particles)
    after = eqx.tree_at(lambda one: one.particles, organism, moved.weights)
    return {
        "projected_replicators": int(find_replicators(after, tolerance).sum()),
        "projected_error": float(jnp.abs(forward(after, x) - total).mean()),
        "projection_distance": float(moved.distance.max()),
    }


def rows_of_addition(found: xarray.Dataset) -> tuple[Row, ...]:
    """When all replicate, how well the organism adds, and what the edge weights alone do."""
    last, count = found.isel(epoch=-1), found.attrs["particles"]
    steps, total = found.attrs["self_steps"], found.sizes["seed"]
    never = int(np.isnan(found["all_from"]).sum())
    reached = f"{total - never} of {total} seeds; epoch {spread(found['all_from'], '.0f')}"
    final = f"after {int(found['epoch'][-1])} epochs"
    times = 1e7
    return (
        Row(
            f"all {count} particles replicate from, {steps} steps of self-training a batch",
            "epoch about 18 (figure; 10 steps in the code, 25 in the text)",
            reached,
        ),
        Row(f"replicators {final}", "18", spread(last["replicators"], ".0f")),
        Row(f"mean absolute error {final}", "1e-7 (figure)", spread(last["error"], ".1e")),
        Row(f"task loss {final}", "3e-14 (figure)", spread(last["task_loss"], ".1e")),
        Row(
            f"replication loss {final}, summed",
            "1.5e-10 (figure)",
            spread(last["replication_loss"], ".1e"),
        ),
        Row(
            "mean absolute error x 1e7, particles asked one by one",
            "0.90-1.13 (figure)",
            spread(times * found["expanded_error"], ".2f"),
        ),
        Row(
            "mean absolute error x 1e7, plain network of edge weights",
            "0.61-1.74 (figure)",
            spread(times * found["plain_error"], ".2f"),
        ),
        Row(
            "difference of these two errors x 1e7",
            "0.1-0.78 (figure)",
            spread(times * abs(found["expanded_error"] - found["plain_error"]), ".2f"),
        ),
        Row(
            "mean absolute difference of their answers x 1e7",
            "-",
            spread(times * found["path_difference"], ".2f"),
        ),
        Row("replicators after projection", "-", spread(found["projected_replicators"], ".0f")),
        Row(
            "mean absolute error after projection",
            "-",
            spread(found["projected_error"], ".1e"),
        ),
    )


ADDITION = Experiment(
    "addition",
    "an organism of particles that adds two numbers",
    AdditionSettings,
    compute_addition,
    rows_of_addition,
)
