"""Soups: how many networks replicate after attacks and lessons, and what a solved soup is."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Float, Int

from limitset.experiments._experiment import Experiment, Report, Row
from limitset.experiments._words import check_range, spread
from limitset.replication import (
    FixpointClass,
    FullBatch,
    ParticleSpec,
    PositionCode,
    SoupOrder,
    SoupRules,
    SoupRun,
    classify,
    draw_particles,
    evolve_soup,
    kappa,
)
from limitset.sweeps import sweep

_VERSION = "1"
# As in 2019: soups of ten, single precision, and its tolerance.
_SPEC = ParticleSpec(position=PositionCode.KERAS2019)
_SIZE = 10
_TOLERANCE = 1e-4
_ATTACK_EPOCHS = 5
_LESSON_EPOCHS = 100
_CHANCE = 0.1
_BIG = 5.0
_KINDS = tuple(kind.name.lower() for kind in FixpointClass)

# Replicators of ten after 0, 10, ..., 100 trainings an epoch, and after lessons of as many, from
# the logs of 2019.
_PUBLISHED_ATTACKS = (0, 0, 0.7, 1.9, 3.6, 4.3, 6.0, 6.1, 8.3, 7.7, 8.8)
_PUBLISHED_LESSONS = (0, 1.2, 5.2, 7.4, 8.1, 9.1, 9.6, 9.8, 10, 9.9, 9.9)


@dataclass(frozen=True)
class SoupSettings:
    """Sizes of the experiment.

    **Arguments:** `seeds`; `trials`, soups of ten for each number of `step`, `2 step`, ...
    trainings; `shown`, networks of the soup that is drawn, for `shown_epochs` of
    `shown_steps` trainings and as many in a lesson; `large`, networks
    of the soups whose members act all at once, or of which one attacks at a time, for
    `large_epochs` of `large_steps` training steps each.

    **Raises:** `InputProblem` for numbers that do not fit.
    """

    seeds: int = 5
    trials: int = 10
    step: int = 10
    shown: int = 20
    shown_epochs: int = 60
    shown_steps: int = 30
    large: int = 1000
    large_epochs: int = 60
    large_steps: int = 100

    def __post_init__(self) -> None:
        check_range("seeds", self.seeds, 1, 1000)
        check_range("trials", self.trials, 1, 1000)
        check_range("step", self.step, 1, 1000)
        check_range("shown", self.shown, 3, 200)
        check_range("shown_epochs", self.shown_epochs, 2, 500)
        check_range("shown_steps", self.shown_steps, 1, 1000)
        check_range("large", self.large, 2, 100_000)
        check_range("large_epochs", self.large_epochs, 1, 10_000)
        check_range("large_steps", self.large_steps, 1, 10_000)


def compute_soup(
    settings: SoupSettings, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Soups of attacks and of lessons as in 2019, one soup in full, and two large ones.

    **Arguments:** `settings`; `store`; `report`.

    **Returns:** a Dataset over `seed`, all of it [sampled], labels in float64 with tolerance 1e-4,
    with

    - over `trainings`: `attacks`, how many of ten networks replicate, zeros not among them, after 5
      epochs of attacks with chance 0.1 and so many trainings; `lessons`, after 100 epochs in which
      each learns with chance 0.1 from another for so many; `published_attacks`,
      `published_lessons`.
    - for the soup that is drawn, with attacks, lessons and trainings, divergent ones and zeros
      replaced: over `time` and `network`, `kinds`, `kappas` (over `component`), and `places`, over
      `axis`, in the plane of the principal components of the later half; over `epoch` and
      `network`, `attacked_by`, `taught_by` and `renewed`; `variance`, the part that each `axis`
      explains.
    - for large soups, over `order` (all at once, one attack an epoch), `large_time`: `counts`, over
      `kind`, parts of the soup; over `part` (0.5, 0.9), `distance`, of `kappa_{0:3}` from
      (1, 0, 0, 0).
    """
    sizes = {part.name: getattr(settings, part.name) for part in fields(settings)[1:]}
    found = sweep(
        _soup,
        {"seed": range(settings.seeds)},
        store=store,
        settings=sizes,
        purpose=f"soup {_VERSION}",
        report=report,
    )
    return found.assign(
        published_attacks=("trainings", np.array(_PUBLISHED_ATTACKS)),
        published_lessons=("trainings", np.array(_PUBLISHED_LESSONS)),
    ).assign_attrs(
        experiment="soup",
        kinds=list(_KINDS),
        orders=["all at once", "one attack an epoch"],
        **sizes,
    )


def _soup(
    seed: int,
    trials: int,
    step: int,
    shown: int,
    shown_epochs: int,
    shown_steps: int,
    large: int,
    large_epochs: int,
    large_steps: int,
) -> Mapping[str, object]:
    keys = jax.random.split(jax.random.key(seed), 4)
    trainings = step * np.arange(len(_PUBLISHED_ATTACKS))
    attacks = _replicators(keys[0], trainings, trials, lessons=False)
    lessons = _replicators(keys[1], trainings, trials, lessons=True)
    return {
        "attacks": ("trainings", attacks),
        "lessons": ("trainings", lessons),
        "trainings": ("trainings", trainings),
        **_shown(keys[2], shown, shown_epochs, shown_steps),
        **_large(keys[3], large, large_epochs, large_steps),
    }


def _replicators(
    key: jax.Array, trainings: Int[np.ndarray, " t"], trials: int, *, lessons: bool
) -> Float[np.ndarray, " t"]:
    """How many of ten replicate at the end, for each number of trainings, mean over trials."""

    def one(key: jax.Array, steps: Int[Array, ""]) -> Float[Array, "ten n"]:
        begin, course = jax.random.split(key)
        soup = draw_particles(begin, _SPEC, _SIZE, jnp.float32)
        if lessons:
            rules, epochs = SoupRules(0.0, _CHANCE, steps), _LESSON_EPOCHS
        else:
            rules, epochs = SoupRules(_CHANCE, training_steps=steps), _ATTACK_EPOCHS
        return evolve_soup(course, _SPEC, soup, rules=rules, epochs=epochs).weights

    keys = jax.random.split(key, trials * len(trainings))
    ends = jax.vmap(one)(keys, jnp.repeat(jnp.asarray(trainings), trials))
    classes = classify(_SPEC, ends, tolerance=_TOLERANCE).classes
    return (classes == FixpointClass.IDENTITY).sum(axis=1).reshape(-1, trials).mean(axis=1)


def _shown(key: jax.Array, count: int, epochs: int, steps: int) -> dict[str, object]:
    begin, course = jax.random.split(key)
    soup = draw_particles(begin, _SPEC, count, jnp.float32)
    rules = SoupRules(
        _CHANCE,
        _CHANCE,
        steps,
        steps,
        replace_divergent=True,
        replace_zero=True,
        tolerance=_TOLERANCE,
    )
    run = evolve_soup(course, _SPEC, soup, rules=rules, epochs=epochs)
    places, variance = _plane(np.asarray(run.path, np.float64))
    table = ("time", "network")
    return {
        "kinds": (table, classify(_SPEC, run.path, tolerance=_TOLERANCE).classes),
        "kappas": ((*table, "component"), np.asarray(kappa(_SPEC, run.path))),
        "places": ((*table, "axis"), places),
        "variance": ("axis", variance),
        "attacked_by": (("epoch", "network"), np.asarray(run.events.attacked_by)),
        "taught_by": (("epoch", "network"), np.asarray(run.events.taught_by)),
        "renewed": (("epoch", "network"), np.asarray(run.events.renewed)),
    }


def _plane(
    path: Float[np.ndarray, "times count n"],
) -> tuple[Float[np.ndarray, "times count 2"], Float[np.ndarray, " 2"]]:
    """Places in the plane in which the networks of the later half differ most."""
    later = path[len(path) // 2 :].reshape(-1, path.shape[-1])
    # What is about to diverge would be all that one sees.
    later = later[np.abs(later).max(axis=1) < _BIG]
    if len(later) < 3:
        later = path[0]
    centre = later.mean(axis=0)
    _, sizes, directions = np.linalg.svd(later - centre, full_matrices=False)
    # The sign of a direction is arbitrary: its largest entry is positive here.
    largest = np.abs(directions[:2]).argmax(axis=1)
    signs = np.sign(directions[[0, 1], largest])
    return (path - centre) @ (signs[:, None] * directions[:2]).T, (sizes**2 / (sizes**2).sum())[:2]


def _large(key: jax.Array, count: int, epochs: int, steps: int) -> dict[str, object]:
    counts, distances = [], []
    for one, order in zip(
        jax.random.split(key), (SoupOrder.SYNCHRONOUS, SoupOrder.ONE_ATTACK), strict=True
    ):
        begin, course = jax.random.split(one)
        soup = draw_particles(begin, _SPEC, count, jnp.float32)
        rules = SoupRules(
            _CHANCE,
            training_steps=steps,
            order=order,
            method=FullBatch(),
            replace_divergent=True,
            replace_zero=True,
            tolerance=_TOLERANCE,
        )
        run = evolve_soup(course, _SPEC, soup, rules=rules, epochs=epochs)
        counts.append(_parts_of_kinds(run))
        away = np.linalg.norm(np.asarray(kappa(_SPEC, run.path)) - np.eye(4)[0], axis=-1)
        distances.append(np.quantile(away, (0.5, 0.9), axis=1).T)
    return {
        "counts": (("order", "large_time", "kind"), np.array(counts)),
        "distance": (("order", "large_time", "part"), np.array(distances)),
        "part": ("part", np.array([0.5, 0.9])),
    }


def _parts_of_kinds(run: SoupRun) -> Float[np.ndarray, "times kinds"]:
    classes = classify(_SPEC, run.path, tolerance=_TOLERANCE).classes
    return np.stack([(classes == kind).mean(axis=1) for kind in FixpointClass], axis=1)


def rows_of_soup(found: xarray.Dataset) -> tuple[Row, ...]:
    """Replicators of ten for each number of trainings, and where large soups end."""
    rows = []
    for what, words in (
        ("attacks", f"soup of ten, attacks, {_ATTACK_EPOCHS} epochs, {{}} trainings: replicators"),
        ("lessons", f"soup of ten, {_LESSON_EPOCHS} epochs, lessons of {{}}: replicators"),
    ):
        for k, steps in enumerate(found["trainings"].values):
            theirs = float(found[f"published_{what}"][k])
            ours = spread(found[what].isel(trainings=k), ".1f")
            rows.append(Row(words.format(int(steps)), f"{theirs:g} (log)", ours))
    for k, order in enumerate(found.attrs["orders"]):
        one = found.isel(order=k, large_time=-1)
        name = f"soup of {found.attrs['large']}, {order}, {found.attrs['large_epochs']} epochs"
        share = one["counts"].isel(kind=int(FixpointClass.IDENTITY))
        rows.append(Row(f"{name}: part that replicates at the end", "-", spread(share, ".1%")))
        away = spread(one["distance"].isel(part=1), ".1e")
        rows.append(Row(f"{name}: distance of kappa from identity, 90 %", "-", away))
    return tuple(rows)


SOUP = Experiment(
    "soup",
    "Soups of networks that attack, teach and train",
    SoupSettings,
    compute_soup,
    rows_of_soup,
)
