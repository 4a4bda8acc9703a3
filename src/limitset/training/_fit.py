"""The training loop: optax updates, certified margin in the log, exact resume."""

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
from jaxtyping import Array, Int, PyTree
from threadpoolctl import threadpool_limits

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction import THEOREMS, Certificate, Sector, certify, project
from limitset.training._checkpoint import (
    Checkpoint,
    read_checkpoint,
    run_fingerprint,
    write_checkpoint,
)
from limitset.training._classifier import SequenceClassifier
from limitset.training._datasets import Dataset
from limitset.training._loss import accuracy
from limitset.training._processes import check_agreement, gather, my_share
from limitset.training._update import Update, device_count, make_update


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
class Run:
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
    watch: Callable[[int, AbstractFlow | AbstractMap], None] | None = None,
) -> Fit:
    """Train a classifier. By-construction certificates hold after every update.

    Batches are shared among all local devices, and among all processes that called
    `jax.distributed.initialize`: each of them calls `fit` with the same arguments, makes the same
    updates and returns the same. Each epoch's shuffle follows from the seed and the epoch alone, so
    a run that resumes from its checkpoint ends with the same weights, bit for bit, as one that was
    never interrupted.

    **Arguments:**

    - `model`: free parameters; explicit weights are computed once per update.
    - `train`: at least one batch of sequences.
    - `recipe`: see `Recipe`.
    - `validation`: held-out sequences, scored after every epoch.
    - `checkpoint`: a file, written after every epoch; if it exists, the run continues from it.
      Of several processes the first writes it and all read it.
    - `on_epoch`: called with every line of the log, for progress bars.
    - `watch`: called after every epoch with its index and the system that runs, weights and all;
      such as `limitset.dossier.PhaseMonitor()`.

    **Raises:** `InputProblem` for data, recipe or checkpoint that do not fit; `Diverged` if the
    loss stops being finite.
    """
    if recipe.patience is not None and validation is None:
        raise InputProblem("patience needs validation data; hold some out of the training data")
    batch = min(recipe.batch_size, len(train.labels))
    batches = len(train.labels) // batch
    share = my_share(batch)
    optimiser = make_optimiser(recipe, batches)
    state = optimiser.init(eqx.filter(model, eqx.is_array))
    run = Run(model, state, model, [])
    identity = run_fingerprint(
        recipe,
        [(d.name, d.inputs.shape, _digest(d.inputs, d.labels)) for d in (train, validation) if d],
        # Functions print their address, which differs from process to process.
        re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure(model))),
        _digest(*jax.tree.leaves(model)),
    )
    check_agreement(identity)
    if checkpoint is not None and checkpoint.exists():
        _resume(run, checkpoint, identity)
    # A process that cannot see the checkpoint would start again while the others go on.
    check_agreement(run_fingerprint(len(run.history)))
    update = make_update(optimiser, device_count(share.stop - share.start, model))
    stopped = has_stopped(run, recipe)
    # Each update factors small matrices. With several threads BLAS is no faster there, and its
    # threads then spin on the cores that the batch is shared among: the update takes twice as long.
    with threadpool_limits(1, "blas"):
        while len(run.history) < recipe.epochs and not stopped:
            record = _epoch(run, train, validation, update, recipe.seed, batch)
            if checkpoint is not None and jax.process_index() == 0:
                _store(run, checkpoint, identity)
            if on_epoch is not None:
                on_epoch(record)
            if watch is not None:
                watch(record.index, _explicit(run.model).system)
            stopped = has_stopped(run, recipe)
    final = run.best if recipe.patience is not None else run.model
    return Fit(final, tuple(run.history), stopped)


def certified_factor(model: SequenceClassifier) -> float | None:
    """The verified factor per step of the map that runs, or `None` if there is no certificate.

    A core that proposes no metric claims nothing, and is not searched for one after every epoch.
    Multipliers for a better factor in its metric take a second to find: they are left to
    `certify`, unless there is no certificate without them.
    """
    metric = model.core.metric()
    if metric is None:
        return None
    system = _explicit(model).system
    answer = certify(system, metric=metric, input_bound=None, theorems=_DIRECT)
    if not isinstance(answer, Certificate):
        answer = certify(system, metric=metric, input_bound=None)
    return answer.factor if isinstance(answer, Certificate) else None


_DIRECT = tuple(theorem for theorem in THEOREMS if not isinstance(theorem, Sector))
_explicit = jax.jit(SequenceClassifier.explicit)


def make_optimiser(recipe: Recipe, batches: int) -> optax.GradientTransformation:
    """Clipping, then Adam with the recipe's schedule."""
    schedule = optax.cosine_decay_schedule(recipe.learning_rate, recipe.epochs * batches)
    return optax.chain(optax.clip_by_global_norm(recipe.clip), optax.adam(schedule))


def shuffled(seed: int, epoch: int, samples: int) -> Int[np.ndarray, " n"]:
    """The order of the data in one epoch, which follows from the seed and the epoch alone."""
    return np.random.default_rng([seed, epoch]).permutation(samples)


def _epoch(
    run: Run,
    train: Dataset,
    validation: Dataset | None,
    update: Update,
    seed: int,
    batch: int,
) -> Epoch:
    order, share = shuffled(seed, len(run.history), len(train.labels)), my_share(batch)
    losses = []
    for start in range(0, len(order) - batch + 1, batch):
        chosen = order[start : start + batch][share]
        run.model, run.optimiser_state, loss = update(
            run.model, run.optimiser_state, train.inputs[chosen], train.labels[chosen]
        )
        losses.append(loss)
    return close_epoch(run, float(jnp.stack(losses).mean()), validation)


def close_epoch(run: Run, loss: float, validation: Dataset | None) -> Epoch:
    """Score the present parameters and write the line of the log.

    **Raises:** `Diverged` if the loss or a parameter is not finite.
    """
    index = len(run.history)
    # The last update can spoil the parameters after a finite loss.
    finite = all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(run.model))
    if not (finite and math.isfinite(loss)):
        raise Diverged(
            f"training diverged in epoch {index} (loss {loss}); lower the learning rate or the "
            "clip, then start again"
        )
    score = None
    if validation is not None:
        score = accuracy(_explicit(run.model), validation.inputs, validation.labels)
        if jax.process_count() > 1:
            # Processors may round differently, and all processes have to stop at the same epoch.
            score = float(gather(np.float64(score))[0])
    record = Epoch(index, loss, score, certified_factor(run.model))
    run.history.append(record)
    run.since_best += 1
    if score is not None and score > run.best_accuracy:
        run.best, run.best_accuracy, run.since_best = run.model, score, 0
    return record


def has_stopped(run: Run, recipe: Recipe) -> bool:
    """Whether the patience is used up."""
    return recipe.patience is not None and run.since_best >= recipe.patience


def _digest(*arrays: Array | np.ndarray) -> str:
    return run_fingerprint(*[np.asarray(array).tobytes() for array in arrays])


def _store(run: Run, path: Path, identity: str) -> None:
    facts = {
        "history": [asdict(record) for record in run.history],
        "best_accuracy": run.best_accuracy,
        "since_best": run.since_best,
    }
    write_checkpoint(path, Checkpoint((run.model, run.optimiser_state, run.best), facts), identity)


def _resume(run: Run, path: Path, identity: str) -> None:
    stored = read_checkpoint(path, (run.model, run.optimiser_state, run.best), identity)
    model, state, best = jax.tree.map(jnp.asarray, stored.arrays)
    # What a run stored is inside its set, and comes back bit for bit.
    run.model, run.optimiser_state, run.best = project(model), state, project(best)
    run.history = [Epoch(**record) for record in stored.facts["history"]]
    run.best_accuracy = stored.facts["best_accuracy"]
    run.since_best = stored.facts["since_best"]
