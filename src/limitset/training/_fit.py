"""The training loop: optax updates, certified margin in the log, exact resume."""

import functools
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, PyTree
from threadpoolctl import threadpool_limits

from limitset._result import InputProblem
from limitset.contraction import Certificate, certify
from limitset.training._checkpoint import (
    Checkpoint,
    read_checkpoint,
    run_fingerprint,
    write_checkpoint,
)
from limitset.training._classifier import SequenceClassifier
from limitset.training._datasets import Dataset
from limitset.training._loss import accuracy, cross_entropy


@dataclass(frozen=True)
class Epoch:
    """One line of the log. `factor` is the verified factor per step, `None` if not certified."""

    index: int
    loss: float
    validation_accuracy: float | None
    factor: float | None


@dataclass(frozen=True)
class Fit:
    """What training gives: the final parameters and the log.

    With early stopping the parameters are those of the best validation epoch, else the last.
    """

    model: SequenceClassifier
    history: tuple[Epoch, ...]
    stopped_early: bool


class Diverged(ArithmeticError):
    """The loss or a parameter became NaN or infinite."""


# More than anybody waits for; larger numbers do not fit the step counter of the schedule.
_MOST = 10**6


@dataclass(frozen=True)
class Recipe:
    """How to train: `epochs`, `batch_size`, peak `learning_rate` (cosine decay to 0), `clip` (the
    global gradient norm), `seed` of the shuffles, `patience` in epochs without a better validation
    accuracy before stopping (`None`: never)."""

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 2e-3
    clip: float = 1.0
    seed: int = 0
    patience: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= _MOST:
                raise InputProblem(f"{name} is {value}; give a whole number from 1 to {_MOST}")
        for name in ("learning_rate", "clip"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputProblem(f"{name} is {value}; give a positive, finite number")
        if not 0 <= self.seed < 2**32:
            raise InputProblem(f"seed is {self.seed}; give a whole number from 0 to 2**32 - 1")


@dataclass
class _Run:
    """Where a run stands; everything here goes into a checkpoint."""

    model: SequenceClassifier
    optimiser_state: PyTree
    best: SequenceClassifier
    history: list[Epoch]
    best_accuracy: float = -1.0
    since_best: int = 0


def fit(
    model: SequenceClassifier,
    train: Dataset,
    recipe: Recipe,
    *,
    validation: Dataset | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Fit:
    """Train a classifier. By-construction certificates hold after every update.

    Batches are shared among all local devices. Each epoch's shuffle follows from the seed and the
    epoch alone, so a run that resumes from its checkpoint ends with the same weights, bit for bit,
    as one that was never interrupted.

    **Arguments:**

    - `model`: free parameters; explicit weights are computed once per update.
    - `train`: at least one batch of sequences.
    - `recipe`: see `Recipe`.
    - `validation`: held-out sequences, scored after every epoch.
    - `checkpoint`: a file, written after every epoch; if it exists, the run continues from it.
    - `on_epoch`: called with every line of the log, for progress bars.

    **Raises:** `InputProblem` for data, recipe or checkpoint that do not fit; `Diverged` if the
    loss stops being finite.
    """
    if recipe.patience is not None and validation is None:
        raise InputProblem("patience needs validation data; hold some out of the training data")
    batch = min(recipe.batch_size, len(train.labels))
    batches = len(train.labels) // batch
    optimiser = optax.chain(
        optax.clip_by_global_norm(recipe.clip),
        optax.adam(optax.cosine_decay_schedule(recipe.learning_rate, recipe.epochs * batches)),
    )
    state = optimiser.init(eqx.filter(model, eqx.is_array))
    run = _Run(model, state, model, [])
    identity = run_fingerprint(
        recipe,
        [(d.name, d.inputs.shape, _digest(d.inputs, d.labels)) for d in (train, validation) if d],
        # Functions print their address, which differs from process to process.
        re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure(model))),
        _digest(*jax.tree.leaves(model)),
    )
    if checkpoint is not None and checkpoint.exists():
        _resume(run, checkpoint, identity)
    update = _make_update(optimiser, _device_count(batch))
    stopped = _has_stopped(run, recipe)
    # Each update factors small matrices. With several threads BLAS is no faster there, and its
    # threads then spin on the cores that the batch is shared among: the update takes twice as long.
    with threadpool_limits(1, "blas"):
        while len(run.history) < recipe.epochs and not stopped:
            record = _epoch(run, train, validation, update, recipe.seed, batch)
            if checkpoint is not None:
                _store(run, checkpoint, identity)
            if on_epoch is not None:
                on_epoch(record)
            stopped = _has_stopped(run, recipe)
    final = run.best if recipe.patience is not None else run.model
    return Fit(final, tuple(run.history), stopped)


def certified_factor(model: SequenceClassifier) -> float | None:
    """The verified factor per step of the map that runs, or `None` if there is no certificate.

    A core that proposes no metric claims nothing, and is not searched for one after every epoch.
    """
    metric = model.core.metric()
    if metric is None:
        return None
    answer = certify(_explicit(model).system, metric=metric, input_bound=None)
    return answer.factor if isinstance(answer, Certificate) else None


_explicit = jax.jit(SequenceClassifier.explicit)

_Update = Callable[..., tuple[SequenceClassifier, PyTree, Float[Array, ""]]]


def _make_update(optimiser: optax.GradientTransformation, devices: int) -> _Update:
    """One step: each device differentiates its part of the batch, the first one updates.

    The parts are averaged by moving them to the first device, not by a collective: in-process
    collectives of CPU devices wait inside the threads that the other devices need, and can wait
    for ever.
    """
    mesh = Mesh(np.array(jax.local_devices()[:devices]), ("batch",))
    whole, shared = PartitionSpec(), PartitionSpec("batch")

    def objective(
        model: SequenceClassifier, inputs: Float[Array, "b t m"], labels: Int[Array, " b"]
    ) -> Float[Array, ""]:
        return cross_entropy(model.explicit(), inputs, labels)

    @jax.jit
    @functools.partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(whole, shared, shared),
        out_specs=shared,
        check_vma=False,
    )
    def differentiate(
        model: SequenceClassifier, inputs: Float[Array, "b t m"], labels: Int[Array, " b"]
    ) -> PyTree:
        parts = jax.value_and_grad(objective)(model, inputs, labels)
        return jax.tree.map(lambda a: a[None], parts)

    @jax.jit
    def apply(
        model: SequenceClassifier, state: PyTree, parts: PyTree
    ) -> tuple[SequenceClassifier, PyTree, Float[Array, ""]]:
        loss, slope = jax.tree.map(lambda a: a.mean(0), parts)
        change, state = optimiser.update(slope, state)
        return optax.apply_updates(model, change), state, loss  # pyright: ignore[reportArgumentType, reportReturnType]

    def update(
        model: SequenceClassifier, state: PyTree, inputs: np.ndarray, labels: np.ndarray
    ) -> tuple[SequenceClassifier, PyTree, Float[Array, ""]]:
        place = NamedSharding(mesh, shared)
        everywhere = jax.device_put(model, NamedSharding(mesh, whole))
        parts = differentiate(
            everywhere, jax.device_put(inputs, place), jax.device_put(labels, place)
        )
        return apply(model, state, jax.device_put(parts, mesh.devices[0]))

    return update


def _epoch(
    run: _Run,
    train: Dataset,
    validation: Dataset | None,
    update: _Update,
    seed: int,
    batch: int,
) -> Epoch:
    index = len(run.history)
    order = np.random.default_rng([seed, index]).permutation(len(train.labels))
    losses = []
    for start in range(0, len(order) - batch + 1, batch):
        chosen = order[start : start + batch]
        run.model, run.optimiser_state, loss = update(
            run.model, run.optimiser_state, train.inputs[chosen], train.labels[chosen]
        )
        losses.append(loss)
    mean = float(jnp.stack(losses).mean())
    # The last update can spoil the parameters after a finite loss.
    finite = all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(run.model))
    if not (finite and math.isfinite(mean)):
        raise Diverged(
            f"training diverged in epoch {index} (loss {mean}); lower the learning rate or the "
            "clip, then start again"
        )
    score = None
    if validation is not None:
        score = accuracy(_explicit(run.model), validation.inputs, validation.labels)
    record = Epoch(index, mean, score, certified_factor(run.model))
    run.history.append(record)
    run.since_best += 1
    if score is not None and score > run.best_accuracy:
        run.best, run.best_accuracy, run.since_best = run.model, score, 0
    return record


def _has_stopped(run: _Run, recipe: Recipe) -> bool:
    return recipe.patience is not None and run.since_best >= recipe.patience


def _device_count(batch: int) -> int:
    """The largest number of local devices that share a batch evenly."""
    return max(k for k in range(1, jax.local_device_count() + 1) if batch % k == 0)


def _digest(*arrays: Array | np.ndarray) -> str:
    return run_fingerprint(*[np.asarray(array).tobytes() for array in arrays])


def _store(run: _Run, path: Path, identity: str) -> None:
    facts = {
        "history": [asdict(record) for record in run.history],
        "best_accuracy": run.best_accuracy,
        "since_best": run.since_best,
    }
    write_checkpoint(path, Checkpoint((run.model, run.optimiser_state, run.best), facts), identity)


def _resume(run: _Run, path: Path, identity: str) -> None:
    stored = read_checkpoint(path, (run.model, run.optimiser_state, run.best), identity)
    model, state, best = jax.tree.map(jnp.asarray, stored.arrays)
    run.model, run.optimiser_state, run.best = model, state, best
    run.history = [Epoch(**record) for record in stored.facts["history"]]
    run.best_accuracy = stored.facts["best_accuracy"]
    run.since_best = stored.facts["since_best"]
