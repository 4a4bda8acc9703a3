"""Single particles that replicate and add two numbers: does the second goal hinder the first?"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Bool, Float

from limitset._result import InputProblem
from limitset.experiments._experiment import Experiment, Report, Row
from limitset.experiments._words import check_range, spread
from limitset.replication import (
    FixpointClass,
    ParticleSpec,
    classify,
    draw_particles,
    kappa,
    self_training_step,
)
from limitset.sweeps import sweep

_VERSION = "1"
_INPUTS, _QUESTION = 6, 4
_WIDTHS = (3, 5, 7, 9)
_LOOKS = 6
# Rates of particles that reach both goals, at 100, 200, ... steps, read off a figure.
_PUBLISHED = {
    3: "0 0 .1 .35 .5 .8",
    5: "0 0 .4 .75 .95 .95",
    7: "0 .05 .6 .8 1 1",
    9: "0 .1 .95 .95 1 1",
}


@dataclass(frozen=True)
class GoalSettings:
    """Particles 6 -> h -> h -> 1 with two goals: their own weights, and the sum of two inputs.

    **Arguments:** `networks` of each width and seed; `steps`, of which each is one of
    self-training and one of the task, on `batch` pairs with a standard `deviation`; `rate` and
    `momentum` of both; `tolerance` of replication, and of the sum's two coefficients.

    **Raises:** `InputProblem` for numbers that do not fit.
    """

    seeds: int = 5
    networks: int = 60
    steps: int = 600
    batch: int = 50
    deviation: float = 0.5
    rate: float = 0.004
    momentum: float = 0.9
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        for name, most in (("seeds", 1000), ("networks", 10_000), ("batch", 100_000)):
            check_range(name, getattr(self, name), 1, most)
        check_range("steps", self.steps, _LOOKS, 1_000_000)
        for name in ("deviation", "rate", "tolerance"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise InputProblem(f"{name} is {value}; give a positive finite number")
        if not 0 <= self.momentum < 1:
            raise InputProblem(f"momentum is {self.momentum}; give a number from 0 to below 1")


def compute_goals(
    settings: GoalSettings, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Particles of four widths, trained for both goals in turn, and beside them without the task.

    **Arguments:** `settings`; `store`; `report`.

    **Returns:** a Dataset over `seed`, `width` and `step` with the parts of the particles that
    `replicate`, that reach `both` goals, and that replicate when trained for that `alone`
    [sampled].
    """
    chosen = asdict(settings)
    del chosen["seeds"]
    found = sweep(
        _train,
        {"seed": range(settings.seeds), "width": _WIDTHS},
        store=store,
        settings=chosen,
        purpose=f"goals {_VERSION}",
        report=report,
    )
    return found.assign_attrs(experiment="goals", networks=settings.networks)


def _train(seed: int, width: int, **chosen: Any) -> Mapping[str, object]:
    settings = GoalSettings(**chosen)
    spec = ParticleSpec(inputs=_INPUTS, widths=(int(width), int(width)))
    drawn, trained = jax.random.split(jax.random.fold_in(jax.random.key(seed), int(width)))
    start = draw_particles(drawn, spec, settings.networks, jnp.float32)
    looks = np.arange(1, _LOOKS + 1) * (settings.steps // _LOOKS)
    both, alone = (
        _course(spec, settings, start, trained, with_task) for with_task in (True, False)
    )
    reached = [_reached(spec, both[k], settings.tolerance) for k in range(_LOOKS)]
    without = [_reached(spec, alone[k], settings.tolerance)[0] for k in range(_LOOKS)]
    return {
        "replicate": ("step", np.array([first.mean() for first, _ in reached])),
        "both": ("step", np.array([(first & second).mean() for first, second in reached])),
        "alone": ("step", np.array([first.mean() for first in without])),
        "step": ("step", looks),
    }


@eqx.filter_jit
def _course(
    spec: ParticleSpec,
    settings: GoalSettings,
    start: Float[Array, "N n"],
    key: jax.Array,
    with_task: bool,
) -> Float[Array, "looks N n"]:
    """The particles after every sixth of the steps."""
    rate, momentum = settings.rate, settings.momentum

    def one(
        now: tuple[Float[Array, "N n"], ...], key: jax.Array
    ) -> tuple[tuple[Float[Array, "N n"], ...], None]:
        weights, own, task = now
        weights, own = self_training_step(spec, weights, own, rate=rate, momentum=momentum)
        if with_task:
            shape = (settings.networks, settings.batch, _INPUTS - _QUESTION)
            pairs = settings.deviation * jax.random.normal(key, shape, weights.dtype)
            slopes = jax.vmap(jax.grad(lambda w, ab: _loss(spec, w, ab)))(weights, pairs)
            task = momentum * task + slopes
            weights = weights - rate * task
        return (weights, own, task), None

    def part(
        now: tuple[Float[Array, "N n"], ...], keys: jax.Array
    ) -> tuple[tuple[Float[Array, "N n"], ...], Float[Array, "N n"]]:
        now = jax.lax.scan(one, now, keys)[0]
        return now, now[0]

    keys = jax.random.split(key, (_LOOKS, settings.steps // _LOOKS))
    still = jnp.zeros_like(start)
    return jax.lax.scan(part, (start, still, still), keys)[1]


def _loss(
    spec: ParticleSpec, weights: Float[Array, " n"], pairs: Float[Array, "b 2"]
) -> Float[Array, ""]:
    return jnp.mean((pairs @ kappa(spec, weights)[_QUESTION:] - pairs.sum(1)) ** 2)


def _reached(
    spec: ParticleSpec, weights: Float[Array, "N n"], tolerance: float
) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    exact = weights.astype(jnp.float64)
    replicates = classify(spec, exact, tolerance=tolerance).classes == FixpointClass.IDENTITY
    missed = np.abs(np.asarray(kappa(spec, exact))[:, _QUESTION:] - 1).max(1)
    return replicates, missed <= tolerance


def rows_of_goals(found: xarray.Dataset) -> tuple[Row, ...]:
    """The parts that reach both goals, and that replicate with and without the second one."""
    at = f"after {', '.join(str(int(step)) for step in found['step'].values)}"
    rows = []
    for width in found["width"].values:
        one = found.sel(width=width)
        for name, words, theirs in (
            ("both", "reach both goals", f"{_PUBLISHED[int(width)]} (figure)"),
            ("alone", "replicate, trained for that alone", "-"),
        ):
            means = " ".join(f"{value:.2f}" for value in one[name].mean("seed").values)
            ends = spread(one[name].isel(step=-1), ".2f")
            ours = f"means {means}; last {ends}"
            rows.append(Row(f"width {int(width)}, {at} steps: {words}", theirs, ours))
    return tuple(rows)


GOALS = Experiment(
    "goals",
    "particles that replicate and add",
    GoalSettings,
    compute_goals,
    rows_of_goals,
)
