"""Organisms that tell digits apart: accuracy, replicators, and what dropping them does."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Bool, Float, Int
from scipy.stats import rankdata

from limitset.experiments._experiment import Experiment, Report, Row
from limitset.experiments._image_organism import (
    GrownOrganism,
    ImageOrganismSettings,
    ImageTask,
    accuracy_of,
    grow_organism,
    load_images,
)
from limitset.experiments._words import spread
from limitset.replication import (
    ArrayTask,
    Organism,
    PlainNetwork,
    PruningRule,
    draw_plain,
    drop,
    drop_lowest,
    edge_places,
    find_replicators,
    forward_plain,
    plain_network,
    project_to_replicator,
    rank_particles,
    task_loss,
    task_score,
    train_plain,
    zero_smallest_parameters,
)
from limitset.sweeps import sweep

_VERSION = "1"
# Plain twins learn at the organism's rate times these: a particle's weight is a product, and moves
# faster than a number.
_TWIN_RATES = (1.0, 10.0, 100.0)
# Deviations of pixels between 0 and 1: of those that hardly change, and of those that do.
_STILL, _LIVELY = 0.02, 0.1
_RULES = {
    "edge_weight": PruningRule.EDGE_WEIGHT,
    "activity": PruningRule.ACTIVITY,
    "random": PruningRule.RANDOM,
}


def compute_mnist(
    settings: ImageOrganismSettings, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """An organism for each seed, trained to tell digits apart and to replicate in turn.

    **Arguments:** `settings`; `store`; `report`.

    **Returns:** a Dataset over `seed`, where accuracies are on the test part, with

    - over `epoch`, which counts those done: `accuracy`, `replicators`, `task_loss` and
      `replication_loss` as in `OrganismEpoch` [sampled].
    - `without_replicators` and `without_others`, accuracies; at as many dropped as there are
      replicators, accuracies by rule: `without_edge_weight`, `without_activity`, `without_random`;
      `without_parameters`, with the same share of all particles' weights zeroed [sampled].
    - `projected_replicators`, `projected_accuracy`, `projection_distance`, the median and the most
      that a particle was moved [sampled].
    - over `particle`: its final replication `error`, and `slope`, the size of the derivative of the
      training loss in its edge weight; over `layer`, `layer_replicators` [sampled].
    - over `row` and `column`: `place`, the replicators that hear a pixel, NaN for pixels left out.
    - over `twin_rate`: `twin_accuracy` of a plain network of the same sizes, its final training
      loss, `twin_loss`, and `twin_pruned` without as many of its smallest weights [sampled].
    """
    chosen = asdict(settings)
    del chosen["seeds"]
    found = sweep(
        _grow,
        {"seed": range(settings.seeds)},
        store=store,
        settings=chosen,
        purpose=f"mnist {_VERSION}",
        report=report,
    )
    return found.assign_attrs(
        experiment="mnist",
        task=settings.task,
        self_steps=settings.self_steps,
        tolerance=settings.tolerance,
    )


def _grow(seed: int, **chosen: Any) -> Mapping[str, object]:
    settings = ImageOrganismSettings(**chosen)
    images = load_images(settings)
    grown = grow_organism(settings, images, seed)
    replicate = find_replicators(grown.training.organism, settings.tolerance)
    return {
        **_course(grown, settings.tolerance),
        **_pruned(grown, images.task, replicate),
        **_projected(grown.training.organism, images.task, settings.tolerance),
        **_where(grown.training.organism, images, replicate),
        **_twins(settings, images, grown, int(replicate.sum())),
    }


def _course(grown: GrownOrganism, tolerance: float) -> dict[str, object]:
    epochs = grown.epochs
    replicate = (epochs.errors <= tolerance) & (epochs.largest > tolerance)
    return {
        "accuracy": ("epoch", np.asarray(epochs.score)),
        "replicators": ("epoch", np.asarray(replicate.sum(1))),
        "task_loss": ("epoch", np.asarray(epochs.task_loss)),
        "replication_loss": ("epoch", np.asarray(epochs.replication_loss)),
        "epoch": ("epoch", np.arange(1, len(epochs.score) + 1)),
    }


def _accuracy(organism: Organism, task: ArrayTask) -> float:
    return float(accuracy_of(organism, task))


def _pruned(
    grown: GrownOrganism, task: ArrayTask, replicate: Bool[np.ndarray, " N"]
) -> dict[str, object]:
    organism, count = grown.training.organism, int(replicate.sum())
    ranking, breaking = jax.random.split(grown.later_key)
    found: dict[str, object] = {
        "without_replicators": _accuracy(drop(organism, replicate), task),
        "without_others": _accuracy(drop(organism, ~replicate), task),
        "without_parameters": _accuracy(
            zero_smallest_parameters(organism, count / len(replicate)), task
        ),
    }
    for name, rule in _RULES.items():
        ranks = rank_particles(
            organism, rule, inputs=task.inputs, targets=task.targets, key=ranking
        )
        found[f"without_{name}"] = _accuracy(drop_lowest(organism, ranks, count, breaking), task)
    return found


def _projected(organism: Organism, task: ArrayTask, tolerance: float) -> dict[str, object]:
    moved = project_to_replicator(organism.spec, organism.particles)
    after = eqx.tree_at(lambda one: one.particles, organism, moved.weights)
    return {
        "projected_replicators": int(find_replicators(after, tolerance).sum()),
        "projected_accuracy": _accuracy(after, task),
        "projection_distance": (
            "quantile",
            np.array([np.median(moved.distance), moved.distance.max()]),
        ),
        "quantile": ("quantile", np.array([0.5, 1.0])),
    }


def _where(
    organism: Organism, images: ImageTask, replicate: Bool[np.ndarray, " N"]
) -> dict[str, object]:
    places = edge_places(organism.sizes)
    layers = len(organism.sizes) - 1
    pixel = np.full(images.seen.size, np.nan)
    first = replicate[places[:, 0] == 0].reshape(organism.sizes[1], -1)
    pixel[images.seen] = first.sum(0)
    side = int(np.sqrt(images.seen.size))
    errors = np.asarray(
        rank_particles(
            organism,
            PruningRule.REPLICATION_ERROR,
            inputs=images.task.inputs,
            targets=images.task.targets,
            key=jax.random.key(0),
        )
    )
    return {
        "error": ("particle", errors),
        "slope": ("particle", _slopes(organism, images.task)),
        "deviation": (("row", "column"), images.deviation.reshape(side, side)),
        "place": (("row", "column"), pixel.reshape(side, side)),
        "layer_replicators": (
            "layer",
            np.array([replicate[places[:, 0] == k].sum() for k in range(layers)]),
        ),
        "layer_particles": (
            "layer",
            np.array([(places[:, 0] == k).sum() for k in range(layers)]),
        ),
    }


@eqx.filter_jit
def _slope(organism: Organism, task: ArrayTask) -> PlainNetwork:
    network = plain_network(organism)
    x = task.inputs.astype(network.weights[0].dtype)
    return jax.grad(lambda one: task_loss(forward_plain(one, x), task.targets))(network)


def _slopes(organism: Organism, task: ArrayTask) -> Float[np.ndarray, " N"]:
    return np.concatenate([np.abs(part).reshape(-1) for part in _slope(organism, task).weights])


def _twins(
    settings: ImageOrganismSettings, images: ImageTask, grown: GrownOrganism, count: int
) -> dict[str, object]:
    sizes, activations = grown.start.sizes, grown.start.activations
    drawn = jax.random.fold_in(grown.later_key, 1)
    start = draw_plain(drawn, sizes, activations, jnp.dtype(settings.dtype))
    accuracy, loss, pruned = [], [], []
    for factor in _TWIN_RATES:
        run = train_plain(
            start,
            images.task,
            rate=factor * settings.rate,
            momentum=settings.momentum,
            epochs=settings.epochs,
            key=grown.training_key,
        )
        accuracy.append(float(run.score[-1]))
        loss.append(float(run.task_loss[-1]))
        pruned.append(float(_prune_twin(run.network, jnp.asarray(count), images.task)))
    return {
        "twin_accuracy": ("twin_rate", np.array(accuracy)),
        "twin_loss": ("twin_rate", np.array(loss)),
        "twin_pruned": ("twin_rate", np.array(pruned)),
        "twin_rate": ("twin_rate", settings.rate * np.array(_TWIN_RATES)),
    }


@eqx.filter_jit
def _prune_twin(network: PlainNetwork, count: Int[Array, ""], task: ArrayTask) -> Float[Array, ""]:
    """Accuracy without so many of the smallest weights."""
    sizes = jnp.sort(jnp.concatenate([jnp.abs(w).reshape(-1) for w in network.weights]))
    least = jnp.append(sizes, jnp.inf)[count]
    kept = jax.tree.map(lambda weight: jnp.where(jnp.abs(weight) < least, 0, weight), network)
    x = task.test_inputs.astype(network.weights[0].dtype)
    return task_score(forward_plain(kept, x), task.test_targets)


# What arXiv 2212.10078 shows of MNIST, 1,200 particles, read off its figures.
_PUBLISHED = {
    "accuracy": "median .823, box .821-.843 (figure)",
    "without_replicators": "median .817, box .815-.832 (figure)",
    "without_others": ".098-.10 (figure)",
    "without_parameters": "l1, tensor not said: median .690, box .685-.745 (figure)",
    "without_edge_weight": "l1, tensor not said: median .690, box .685-.745 (figure)",
    "early": "about 315 at epoch 9 (figure)",
    "replicators": "about 350 of 1,200, band 300-395 (figure)",
    "replication_loss": "1.6e-4 (figure)",
    "task_loss": "about .6 (figure)",
    "last_layer": "8 (figure)",
}


def rows_of_mnist(found: xarray.Dataset) -> tuple[Row, ...]:
    """Accuracies, counts, what pruning does, projection, and plain twins."""
    theirs = _PUBLISHED if found.attrs["task"] == "mnist" else dict.fromkeys(_PUBLISHED, "-")
    last, particles = found.isel(epoch=-1), found.sizes["particle"]
    final, same = f"after {int(found['epoch'][-1])} epochs", "as many dropped"
    rows = [
        Row(f"test accuracy {final}", theirs["accuracy"], _with_median(last["accuracy"])),
        Row(
            f"replicators of {particles} {final}",
            theirs["replicators"],
            spread(last["replicators"], ".0f"),
        ),
    ]
    if found.sizes["epoch"] >= 9:
        early = found["replicators"].sel(epoch=9)
        rows.append(Row("replicators after 9 epochs", theirs["early"], spread(early, ".0f")))
    for name, words, form in (
        ("task_loss", f"training loss {final}", ".3f"),
        ("replication_loss", f"replication loss {final}, summed", ".1e"),
    ):
        rows.append(Row(words, theirs[name], spread(last[name], form)))
    for name, words in (
        ("without_replicators", "accuracy without the replicators"),
        ("without_others", "accuracy without all others"),
        ("without_parameters", "accuracy, the same share of particles' smallest weights zeroed"),
        ("without_edge_weight", f"accuracy, {same} by |kappa_4|"),
        ("without_activity", f"accuracy, {same} by |kappa_4| rms(x)"),
        ("without_random", f"accuracy, {same} at random"),
    ):
        rows.append(Row(words, theirs.get(name, "-"), _with_median(found[name])))
    at_last = found.isel(layer=-1)
    total = int(at_last["layer_particles"].isel(seed=0))
    return (
        *rows,
        Row(
            f"replicators of {total} in the last layer",
            theirs["last_layer"],
            spread(at_last["layer_replicators"], ".0f"),
        ),
        *_place_rows(found),
        *_projection_rows(found, particles),
        *_twin_rows(found),
    )


def _with_median(values: xarray.DataArray) -> str:
    """What is published of accuracies are medians."""
    return f"{spread(values, '.4f')}, median {float(values.median()):.4f}"


def _place_rows(found: xarray.Dataset) -> tuple[Row, ...]:
    """Where replicators are: by what a pixel does, and by what the task asks of a particle."""
    cells = float(found["layer_particles"].isel(seed=0, layer=0)) / found["place"][0].count()
    rows = []
    for words, chosen in (
        (f"below {_STILL}", found["deviation"] < _STILL),
        (f"above {_LIVELY}", found["deviation"] > _LIVELY),
    ):
        share = (found["place"] / cells).where(chosen).mean(("row", "column"))
        words = f"part that replicates behind pixels of a deviation {words}"
        rows.append(Row(words, "-", spread(share, ".3f")))
    ranks = [
        np.corrcoef(rankdata(one["error"]), rankdata(one["slope"]))[0, 1]
        for one in (found.isel(seed=k) for k in range(found.sizes["seed"]))
    ]
    words = "rank correlation of replication error and |dloss/dkappa_4|"
    return *rows, Row(words, "-", spread(xarray.DataArray(ranks, dims="seed"), ".2f"))


def _projection_rows(found: xarray.Dataset, particles: int) -> tuple[Row, ...]:
    changed = abs(found["projected_accuracy"] - found["accuracy"].isel(epoch=-1))
    moved = found["projection_distance"]
    return (
        Row(
            f"replicators of {particles} after projection",
            "-",
            spread(found["projected_replicators"], ".0f"),
        ),
        Row("change of accuracy by projection", "-", spread(changed, ".1e")),
        Row("projection moves a particle by, median", "-", spread(moved.sel(quantile=0.5), ".1e")),
        Row("projection moves a particle by, most", "-", spread(moved.sel(quantile=1.0), ".1e")),
    )


def _twin_rows(found: xarray.Dataset) -> tuple[Row, ...]:
    return tuple(
        Row(
            f"plain network at rate {rate:g}: accuracy; without as many smallest weights",
            "-",
            "; ".join(
                spread(found[name].sel(twin_rate=rate), ".4f")
                for name in ("twin_accuracy", "twin_pruned")
            ),
        )
        for rate in found["twin_rate"].values
    )


MNIST = Experiment(
    "mnist",
    "organisms that tell digits apart",
    ImageOrganismSettings,
    compute_mnist,
    rows_of_mnist,
)
