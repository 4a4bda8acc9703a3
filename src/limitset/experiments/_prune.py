"""Is a replicator the particle to prune? Every rule at the same counts, several seeds, paired."""

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import xarray
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.experiments._experiment import Experiment, Report, Row
from limitset.experiments._image_organism import (
    GrownOrganism,
    ImageOrganismSettings,
    accuracy_of,
    grow_organism,
    load_images,
)
from limitset.experiments._words import check_range, spread
from limitset.replication import (
    ArrayTask,
    Organism,
    PruningRule,
    drop,
    drop_lowest,
    find_replicators,
    rank_particles,
    start_training,
    train_organism,
)
from limitset.sweeps import sweep

_VERSION = "1"
RULES = tuple(PruningRule)


@dataclass(frozen=True)
class PruneSettings:
    """Organisms as in the experiment `mnist`, from which more and more particles are dropped.

    **Arguments:** `levels`: shares `1/(levels+1), ..., levels/(levels+1)` of the particles go;
    `tuning_epochs` of fine-tuning after dropping; `rewind`, whether to train anew for each level;
    `least_deviation`: all of it is done with all pixels, and with those whose deviation over the
    training images is at least this; the others as in `ImageOrganismSettings`.

    **Raises:** `InputProblem` for numbers and words that do not fit.
    """

    task: str = "digits"
    seeds: int = 6
    epochs: int = 200
    levels: int = 4
    tuning_epochs: int = 10
    rewind: bool = True
    least_deviation: float = 0.02
    self_steps: int = 10
    activation: str = "gelu"
    batch: int | None = None
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        check_range("levels", self.levels, 1, 99)
        check_range("tuning_epochs", self.tuning_epochs, 1, 100_000)
        if not self.least_deviation > 0:
            raise InputProblem(
                f"least_deviation is {self.least_deviation}; give a positive number, as 0.02"
            )
        self.organism(self.least_deviation)

    def organism(self, least_deviation: float) -> ImageOrganismSettings:
        """The organism that hears pixels of at least this deviation."""
        return ImageOrganismSettings(
            task=self.task,
            seeds=self.seeds,
            epochs=self.epochs,
            self_steps=self.self_steps,
            activation=self.activation,
            batch=self.batch,
            least_deviation=least_deviation,
            tolerance=self.tolerance,
        )


def compute_prune(
    settings: PruneSettings, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Accuracy against the share of particles that go, by every rule.

    What rules look at is training data, ties are broken at random, and accuracies are on the test
    part.

    **Arguments:** `settings`; `store`; `report`.

    **Returns:** a Dataset over `least_deviation`, 0 for all pixels, and `seed`, with

    - `accuracy` of the whole organism; `replicators` and `particles`, how many there are [sampled].
    - over `rule`, in the order of `PruningRule`, and `share`: `pruned` and, after fine-tuning of
      both goals, `tuned`; over `rule`, `at_replicators`, where as many go as there are replicators
      [sampled].
    - `without_replicators`, where exactly they go [sampled].
    - over `share`: `rewound`, iterative pruning by `|kappa_4|` where those that stay are trained
      anew from their start for each level; NaN without `rewind` [sampled].
    """
    chosen = asdict(settings)
    del chosen["seeds"], chosen["least_deviation"]
    found = sweep(
        _prune,
        {"least_deviation": [0.0, settings.least_deviation], "seed": range(settings.seeds)},
        store=store,
        settings=chosen,
        purpose=f"prune {_VERSION}",
        report=report,
    )
    return found.assign_attrs(
        experiment="prune", task=settings.task, rules=[rule.value for rule in RULES]
    )


def _prune(least_deviation: float, seed: int, **chosen: Any) -> Mapping[str, object]:
    settings = PruneSettings(**chosen)
    described = settings.organism(least_deviation)
    images = load_images(described)
    grown, task = grow_organism(described, images, seed), images.task
    replicate = find_replicators(grown.training.organism, settings.tolerance)
    shares = np.arange(1, settings.levels + 1) / (settings.levels + 1)
    pruned, tuned, matched = [], [], []
    for rule in RULES:
        ranks = _ranks(grown, task, rule)
        matched.append(_accuracy(_dropped(grown, ranks, int(replicate.sum())), task))
        less = [_dropped(grown, ranks, round(share * ranks.size)) for share in shares]
        pruned.append([_accuracy(one, task) for one in less])
        tuned.append([_accuracy(_tune(settings, grown, one, task), task) for one in less])
    return {
        "accuracy": _accuracy(grown.training.organism, task),
        "replicators": int(replicate.sum()),
        "particles": replicate.size,
        "without_replicators": _accuracy(drop(grown.training.organism, replicate), task),
        "at_replicators": ("rule", np.array(matched)),
        "pruned": (("rule", "share"), np.array(pruned)),
        "tuned": (("rule", "share"), np.array(tuned)),
        "rewound": ("share", _rewound(settings, grown, task, shares)),
        "rule": ("rule", np.arange(len(RULES))),
        "share": ("share", shares),
    }


def _accuracy(organism: Organism, task: ArrayTask) -> float:
    return float(accuracy_of(organism, task))


def _ranks(grown: GrownOrganism, task: ArrayTask, rule: PruningRule) -> Float[np.ndarray, " N"]:
    return rank_particles(
        grown.training.organism,
        rule,
        inputs=task.inputs,
        targets=task.targets,
        key=grown.later_key,
    )


def _dropped(grown: GrownOrganism, ranks: Float[np.ndarray, " N"], count: int) -> Organism:
    breaking = jax.random.fold_in(grown.later_key, 1)
    return drop_lowest(grown.training.organism, ranks, count, breaking)


def _tune(
    settings: PruneSettings, grown: GrownOrganism, organism: Organism, task: ArrayTask
) -> Organism:
    """Both goals go on, with a new velocity and new batches."""
    after, _ = train_organism(
        start_training(organism),
        task,
        settings.organism(0.0).alternation,
        epochs=settings.tuning_epochs,
        key=jax.random.fold_in(grown.training_key, 1),
    )
    return after.organism


def _rewound(
    settings: PruneSettings, grown: GrownOrganism, task: ArrayTask, shares: Float[np.ndarray, " s"]
) -> Float[np.ndarray, " s"]:
    if not settings.rewind:
        return np.full(shares.size, np.nan)
    found, training, described = [], grown.training, settings.organism(0.0)
    for share in shares:
        once = GrownOrganism(
            grown.start, training, grown.epochs, grown.training_key, grown.later_key
        )
        # Those dropped before have the edge weight 0, and go first again.
        ranks = _ranks(once, task, PruningRule.EDGE_WEIGHT)
        less = _dropped(once, ranks, round(share * ranks.size))
        start = eqx.tree_at(lambda one: one.kept, grown.start, less.kept)
        training, _ = train_organism(
            start_training(start),
            task,
            described.alternation,
            epochs=settings.epochs,
            key=grown.training_key,
        )
        found.append(_accuracy(training.organism, task))
    return np.array(found)


def paired_p_value(differences: Float[np.ndarray, " seeds"]) -> float:
    """How often random signs give a mean at least as far from 0: an exact two-sided test.

    With `s` seeds the least that it can say is `2^(1-s)`. More than 16 seeds are too many to try
    all signs of: the first 16 count.

    >>> paired_p_value(np.array([1.0, 2.0, 3.0]))
    0.25
    """
    values = differences[:16]
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=values.size)))
    means = np.abs(signs @ values)
    return float((means >= abs(values.sum()) * (1 - 1e-12)).mean())


def rows_of_prune(found: xarray.Dataset) -> tuple[Row, ...]:
    """At the replicators' count every rule; then, at each share, against replication error."""
    rows = []
    for least in found["least_deviation"].values:
        one = found.sel(least_deviation=least)
        data = "all pixels" if least == 0 else f"pixels of deviation {least:g} or more"
        rows += _rows_of_data(one, data, found.attrs["rules"])
    return tuple(rows)


def _rows_of_data(one: xarray.Dataset, data: str, rules: list[str]) -> list[Row]:
    count = one["replicators"] / one["particles"]
    rows = [
        Row(f"{data}: accuracy", "-", spread(one["accuracy"], ".3f")),
        Row(f"{data}: share that replicates", "-", spread(count, ".3f")),
        Row(
            f"{data}: accuracy without replicators", "-", spread(one["without_replicators"], ".3f")
        ),
    ]
    for k, rule in enumerate(rules):
        values = one["at_replicators"].isel(rule=k)
        rows.append(Row(f"{data}: as many by {rule}", "-", spread(values, ".3f")))
    base = one.isel(rule=rules.index(PruningRule.REPLICATION_ERROR.value))
    for name, words in (("pruned", "dropped"), ("tuned", "dropped and fine-tuned")):
        for rule in (PruningRule.EDGE_WEIGHT.value, PruningRule.ACTIVITY.value):
            other = one[name].isel(rule=rules.index(rule))
            rows.append(
                Row(
                    f"{data}: {words}, accuracy by {rule} less that by replication error",
                    "-",
                    _differences(other - base[name]),
                )
            )
    return rows


def _differences(values: xarray.DataArray) -> str:
    parts = []
    for share in values["share"].values:
        at = values.sel(share=share)
        p = paired_p_value(at.values)
        parts.append(f"{float(at.mean()):+.3f} at {share:.0%} (p {p:.2g})")
    return ", ".join(parts)


PRUNE = Experiment(
    "prune",
    "is a replicator the particle to prune",
    PruneSettings,
    compute_prune,
    rows_of_prune,
)
