"""How networks come to replicate: by applying themselves, by training, and by both in turns."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Bool, Float, Int

from limitset.experiments._experiment import Experiment, Report, Row
from limitset.experiments._words import check_range, spread
from limitset.replication import (
    AbstractReduction,
    Aggregating,
    FixpointClass,
    FullBatch,
    ParticleSpec,
    PositionCode,
    Recurrent,
    RowByRow,
    Weightwise,
    attack,
    classify,
    draw_particles,
    kappa,
    replication_error,
    self_train,
)
from limitset.sweeps import sweep

_VERSION = "1"
# As in 2019: single precision, and its tolerance.
_TOLERANCE = 1e-4
_APPLICATIONS = 100
_ROUNDS = 4
_SAMPLES = 100
_TRACED = 12

_REDUCTIONS: tuple[tuple[str, AbstractReduction], ...] = (
    ("weightwise", Weightwise(ParticleSpec(position=PositionCode.KERAS2019))),
    ("aggregating", Aggregating()),
    ("recurrent", Recurrent()),
)
_KINDS = tuple(kind.name.lower() for kind in FixpointClass)

# Counts of 50 networks by kind, in the order of FixpointClass, from the logs of 2019. The recurrent
# ones that did not diverge in training were 12, listed as other.
_PUBLISHED_APPLIED = ((23, 27, 0, 0, 0), (4, 46, 0, 0, 0), (46, 4, 0, 0, 0))
_PUBLISHED_TRAINED = ((0, 0, 50, 0, 0), (0, 0, 0, 0, 50), (38, 0, 0, 0, 12))
# Part of 20 weightwise networks that are fixpoints after 4 rounds, from the log of 2019.
_PUBLISHED_MIXED = (0.2, 0.3, 0.15, 0.55, 0.7, 0.85, 0.8, 0.95, 0.9, 1.0, 1.0)
_MIXED_WORDS = (" ".join(f"{part:g}" for part in _PUBLISHED_MIXED), "0.8 to 1", "0 to 0.1")

# Shapes, position codes and rates of training with all rows at once.
_VARIANTS: tuple[tuple[str, ParticleSpec, float], ...] = (
    *((f"4-2-2-1 {code.value}", ParticleSpec(position=code), 0.004) for code in PositionCode),
    *((f"5-{h}-{h}-1 colmax", ParticleSpec(5, (h, h)), 0.004) for h in (2, 3, 5)),
    ("4-2-2-1 raw, rate 0.04", ParticleSpec(position=PositionCode.RAW), 0.04),
)


@dataclass(frozen=True)
class ReplicateSettings:
    """Sizes of the experiment.

    **Arguments:** `seeds`; `networks` of each kind that apply themselves or train row by row for
    `epochs`; `mixed_networks` for each number of `mixed_step`, `2 mixed_step`, ... trainings
    between self-applications; `large`, networks of each shape that train with all rows at once for
    `steps`.

    **Raises:** `InputProblem` for numbers that do not fit.
    """

    seeds: int = 5
    networks: int = 50
    epochs: int = 1000
    mixed_networks: int = 20
    mixed_step: int = 50
    large: int = 400
    steps: int = 5000

    def __post_init__(self) -> None:
        check_range("seeds", self.seeds, 1, 1000)
        check_range("networks", self.networks, 1, 100_000)
        check_range("epochs", self.epochs, 1, 100_000)
        check_range("mixed_networks", self.mixed_networks, 1, 10_000)
        check_range("mixed_step", self.mixed_step, 1, 1000)
        check_range("large", self.large, _TRACED, 100_000)
        check_range("steps", self.steps, _SAMPLES, 1_000_000)


def compute_replicate(
    settings: ReplicateSettings, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Networks of three kinds that apply themselves, train, or do both in turns.

    **Arguments:** `settings`; `store`; `report`.

    **Returns:** a Dataset over `seed`, all of it [sampled], labels in float64, with

    - over `reduction` and `kind`: `applied` and `trained`, how many networks ended so after 100
      self-applications and after training row by row, in float32 with tolerance 1e-4; and
      `published_applied` and `published_trained`.
    - over `reduction` and `trainings`: `mixed`, the part that are fixpoints, zeros among them,
      after up to 4 rounds of a self-application and so many trainings; and `published_mixed`.
    - over `variant`, shapes, position codes and rates: `collapsed` and `exploded`, parts of the
      networks that applied themselves; `replicating` and `divergent`, parts of those that trained
      with all rows at once with momentum 0.9, tolerance 1e-5; over `part` (0.1, 0.5, 0.9), `steps`
      that so many of those that replicate needed; `floor`, the median error at the end in float32,
      and `floor64` in float64.
    - over `time`, for the code `colmax`: `error`, over `part`, and `rows`, over `network` and
      `component`, `kappa` of some networks.
    """
    sizes = {part.name: getattr(settings, part.name) for part in fields(settings)[1:]}
    found = sweep(
        _replicate,
        {"seed": range(settings.seeds)},
        store=store,
        settings=sizes,
        purpose=f"replicate {_VERSION}",
        report=report,
    )
    return found.assign(
        published_applied=(("reduction", "kind"), np.array(_PUBLISHED_APPLIED, float)),
        published_trained=(("reduction", "kind"), np.array(_PUBLISHED_TRAINED, float)),
        published_mixed=("trainings", np.array(_PUBLISHED_MIXED)),
    ).assign_attrs(
        experiment="replicate",
        reductions=[name for name, _ in _REDUCTIONS],
        kinds=list(_KINDS),
        variants=[name for name, _, _ in _VARIANTS],
        **sizes,
    )


def _replicate(
    seed: int,
    networks: int,
    epochs: int,
    mixed_networks: int,
    mixed_step: int,
    large: int,
    steps: int,
) -> Mapping[str, object]:
    keys = jax.random.split(jax.random.key(seed), 3)
    applied, trained, mixed = [], [], []
    trainings = mixed_step * np.arange(len(_PUBLISHED_MIXED))
    for one, (_, net) in zip(jax.random.split(keys[0], len(_REDUCTIONS)), _REDUCTIONS, strict=True):
        begin, turns = jax.random.split(one)
        start = net.draw(begin, networks, jnp.float32)
        applied.append(_counts(net, _apply(net, start)))
        run = self_train(net, start, steps=epochs, method=RowByRow(), tolerance=_TOLERANCE)
        trained.append(_counts(net, run.weights))
        mixed.append(_fixpoints_of_turns(turns, net, trainings, mixed_networks))
    return {
        "applied": (("reduction", "kind"), np.array(applied)),
        "trained": (("reduction", "kind"), np.array(trained)),
        "mixed": (("reduction", "trainings"), np.array(mixed)),
        "trainings": ("trainings", trainings),
        **_shapes(keys[1], large, steps),
        **_courses(keys[2], large, steps),
    }


@eqx.filter_jit
def _apply(net: AbstractReduction, weights: Float[Array, "count n"]) -> Float[Array, "count n"]:
    return jax.lax.fori_loop(0, _APPLICATIONS, lambda _, w: attack(net, w, w), weights)


def _counts(net: AbstractReduction, weights: Float[Array, "count n"]) -> list[int]:
    found = classify(net, weights, tolerance=_TOLERANCE)
    return [found.count(kind) for kind in FixpointClass]


def _fixpoints_of_turns(
    key: jax.Array, net: AbstractReduction, trainings: Int[np.ndarray, " t"], count: int
) -> Float[np.ndarray, " t"]:
    """The part of networks that are zero or replicate, for each number of trainings."""
    begin, course = jax.random.split(key)
    start = net.draw(begin, count * len(trainings), jnp.float32)
    end = _take_turns(course, net, start, jnp.repeat(jnp.asarray(trainings), count))
    classes = classify(net, end, tolerance=_TOLERANCE).classes.reshape(-1, count)
    return np.isin(classes, (FixpointClass.ZERO, FixpointClass.IDENTITY)).mean(axis=1)


@eqx.filter_jit
def _take_turns(
    key: jax.Array,
    net: AbstractReduction,
    weights: Float[Array, "count n"],
    trainings: Int[Array, " count"],
) -> Float[Array, "count n"]:
    """Rounds of a self-application and trainings, until a network replicates or diverges."""
    method = RowByRow()

    def turn(k: Array, state: tuple[Array, Bool[Array, " count"]]) -> tuple[Array, Array]:
        before, done = state

        def train(n: Array, w: Float[Array, "count n"]) -> Float[Array, "count n"]:
            one = jax.random.fold_in(jax.random.fold_in(key, k), n)
            after, _ = method.step(one, net, w, jnp.zeros_like(w), w)
            return jnp.where((n < trainings)[:, None], after, w)

        after = jax.lax.fori_loop(0, trainings.max(), train, attack(net, before, before))
        after = jnp.where(done[:, None], before, after)
        settled = replication_error(net, after) <= _TOLERANCE
        return after, done | settled | ~jnp.isfinite(after).all(axis=1)

    never = jnp.zeros(weights.shape[0], bool)
    return jax.lax.fori_loop(0, _ROUNDS, turn, (weights, never))[0]


def _shapes(key: jax.Array, count: int, steps: int) -> dict[str, object]:
    """What becomes of each shape and code, by self-application and by training on all rows."""
    names = ("collapsed", "exploded", "replicating", "divergent", "floor", "floor64", "steps")
    found: dict[str, list[object]] = {name: [] for name in names}
    for k, (_, spec, rate) in enumerate(_VARIANTS):
        start = draw_particles(jax.random.fold_in(key, k), spec, count, jnp.float32)
        applied = classify(spec, _apply(Weightwise(spec), start)).classes
        method = FullBatch(rate)
        run = self_train(spec, start, steps=steps, method=method)
        labels = classify(spec, run.weights)
        good = labels.classes == FixpointClass.IDENTITY
        precise = self_train(spec, start[:100].astype(jnp.float64), steps=steps, method=method)
        first = np.asarray(run.replicates_at)
        values = (
            np.mean(applied == FixpointClass.ZERO),
            np.mean(applied == FixpointClass.DIVERGENT),
            good.mean(),
            np.mean(labels.classes == FixpointClass.DIVERGENT),
            np.median(labels.replication[good]) if good.any() else np.nan,
            np.nanmedian(np.asarray(precise.errors[-1])),
            _parts(first[first >= 0]),
        )
        for name, value in zip(names, values, strict=True):
            found[name].append(value)
    table = {name: ("variant", np.array(found[name])) for name in names[:-1]}
    return {**table, "steps": (("variant", "part"), np.array(found["steps"]))}


def _parts(numbers: np.ndarray) -> Float[np.ndarray, " 3"]:
    return np.quantile(numbers, (0.1, 0.5, 0.9)) if numbers.size else np.full(3, np.nan)


def _courses(key: jax.Array, count: int, steps: int) -> dict[str, object]:
    spec = ParticleSpec()
    start = draw_particles(key, spec, count, jnp.float32)
    between = steps // _SAMPLES
    run = self_train(spec, start, steps=between * _SAMPLES, every=between)
    errors = np.asarray(run.errors, np.float64)
    return {
        "error": (("time", "part"), np.quantile(errors, (0.1, 0.5, 0.9), axis=1).T),
        "rows": (("time", "network", "component"), np.asarray(kappa(spec, run.path[:, :_TRACED]))),
        "time": ("time", np.asarray(run.steps)),
        "part": ("part", np.array([0.1, 0.5, 0.9])),
    }


def rows_of_replicate(found: xarray.Dataset) -> tuple[Row, ...]:
    """Counts of the three kinds of network, turns, and what each shape and code leads to."""
    rows = []
    names, total = found.attrs["reductions"], found.attrs["networks"]
    for what, words in (
        ("applied", f"{_APPLICATIONS} self-applications"),
        ("trained", f"{found.attrs['epochs']} epochs of self-training row by row"),
    ):
        for k, name in enumerate(names):
            for j, kind in enumerate(found.attrs["kinds"]):
                theirs = int(found[f"published_{what}"][k, j])
                ours = found[what].isel(reduction=k, kind=j)
                if theirs or ours.any():
                    rows.append(
                        Row(
                            f"{name}, {words}: {kind}",
                            f"{theirs} of 50 (log)",
                            f"{spread(ours, '.3g')} of {total}",
                        )
                    )
    for k, name in enumerate(names):
        at = found["mixed"].isel(reduction=k)
        lists = [
            " ".join(f"{float(v):.2g}" for v in part)
            for part in (at.min("seed"), at.mean("seed"), at.max("seed"))
        ]
        steps = ", ".join(str(int(v)) for v in found["trainings"].values)
        what = f"{name}, fixpoints after {_ROUNDS} rounds of an application and {steps} trainings"
        rows.append(Row(what, f"{_MIXED_WORDS[k]} (log)", " / ".join(lists)))
    return (*rows, *_rows_of_shapes(found))


def _rows_of_shapes(found: xarray.Dataset) -> list[Row]:
    rows = []
    for k, name in enumerate(found.attrs["variants"]):
        one = found.isel(variant=k)
        rows.append(Row(f"{name}, applied to itself: zero", "-", spread(one["collapsed"], ".1%")))
        share, lost = spread(one["replicating"], ".1%"), spread(one["divergent"], ".1%")
        words = f"{share} replicate, {lost} diverge"
        rows.append(Row(f"{name}, trained on all rows, 1e-5", "-", words))
        few, half, most = (one["steps"].isel(part=j) for j in range(3))
        words = f"median {spread(half, '.0f')}; 10 and 90 %: {few.mean():.0f} and {most.mean():.0f}"
        rows.append(Row(f"{name}, steps to 1e-5", "-", words))
    rows.append(Row("error left in float32, all shapes", "-", spread(found["floor"], ".1e")))
    return [*rows, Row("error left in float64, all shapes", "-", spread(found["floor64"], ".1e"))]


REPLICATE = Experiment(
    "replicate",
    "Networks that come to replicate: by self-application, self-training, and both in turns",
    ReplicateSettings,
    compute_replicate,
    rows_of_replicate,
)
