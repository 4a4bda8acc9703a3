"""The training loop of deep networks: projection after every update, averages, exact resume."""

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
import optax.contrib
from jaxtyping import Array, Float, Int, Key, PyTree
from threadpoolctl import threadpool_limits

from limitset._result import InputProblem
from limitset.contraction import average, project
from limitset.training._checkpoint import (
    Checkpoint,
    read_checkpoint,
    run_fingerprint,
    write_checkpoint,
)
from limitset.training._datasets import Dataset
from limitset.training._deep_classifier import (
    AbstractDeepClassifier,
    classification_loss,
    score_network,
)
from limitset.training._fit import Diverged, shuffled
from limitset.training._images import Augmentation, images_of
from limitset.training._weight_decay import decay_mask

OPTIMISERS = ("sgd", "adam", "muon")
SCHEDULES = ("constant", "step", "cosine")
# Where the learning rate is divided by 10: epochs 150, 250 and 350 of 450.
_STEPS = (3 / 9, 5 / 9, 7 / 9)
_MOST = 10**6
# Images whose batch statistics a validation score uses.
_STATISTICS = 5000

Loss = Callable[[AbstractDeepClassifier, Float[Array, "b m"], Int[Array, " b"]], Float[Array, ""]]


@dataclass(frozen=True)
class DeepRecipe:
    """How to train a deep network.

    `optimiser`: "sgd" with `momentum`, "adam", or "muon", whose updates of matrices are orthogonal
    (all else by adam): by far the fastest for certified radii. `schedule` of the learning rate:
    "constant", "step" (a tenth after 3, 5 and 7 ninths of the epochs) or "cosine" (to 0).
    `weight_decay` acts where `decay_mask` says, on the gradient for sgd and beside it for the
    others. `clip`: the largest global norm of a gradient, or `None`. `average`: decay per update of
    the exponential average of weights that is returned, in (0, 1), or `None`: the last weights.
    `seed` of shuffles and augmentation.
    """

    epochs: int = 30
    batch_size: int = 128
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    schedule: str = "constant"
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float | None = None
    average: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not 1 <= value <= _MOST:
                raise InputProblem(f"{name} is {value}; give a whole number from 1 to {_MOST}")
        for name, known in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES)):
            value = getattr(self, name)
            if value not in known:
                raise InputProblem(f"{name} {value!r} is not known; use {', '.join(known)}")
        for name in ("learning_rate", "clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputProblem(f"{name} is {value}; give a positive, finite number")
        if not 0 <= self.weight_decay < math.inf:
            raise InputProblem(f"weight_decay is {self.weight_decay}; give 0 or more")
        if not 0 <= self.momentum < 1:
            raise InputProblem(f"momentum is {self.momentum}; give a number from 0 to below 1")
        if self.average is not None and not 0 < self.average < 1:
            raise InputProblem(f"average is {self.average}; give a number between 0 and 1")
        if not 0 <= self.seed < 2**32:
            raise InputProblem(f"seed is {self.seed}; give a whole number from 0 to 2**32 - 1")


@dataclass(frozen=True)
class DeepEpoch:
    """One line of the log: mean loss of the epoch's batches, validation accuracy if asked for."""

    index: int
    loss: float
    validation_accuracy: float | None


@dataclass(frozen=True)
class DeepFit:
    """The final parameters (their average, if the recipe asks for one) and the log."""

    model: AbstractDeepClassifier
    history: tuple[DeepEpoch, ...]


class _Weights(eqx.Module):
    """What an update changes."""

    model: AbstractDeepClassifier
    optimiser_state: PyTree
    mean: AbstractDeepClassifier


@dataclass
class _Run:
    """Where a run stands; everything here goes into a checkpoint."""

    weights: _Weights
    history: list[DeepEpoch]


def fit_deep(
    model: AbstractDeepClassifier,
    train: Dataset,
    recipe: DeepRecipe,
    *,
    loss: Loss = classification_loss,
    augmentation: Augmentation | None = None,
    validation: Dataset | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[DeepEpoch], None] | None = None,
) -> DeepFit:
    """Train a deep classifier; what `project` keeps holds after every update.

    The projection comes after the optimiser's step, and again after weights were averaged or a
    checkpoint was read. Shuffles and augmentation follow from seed and epoch alone, so a run that
    resumes ends with the same weights, bit for bit.

    **Arguments:**

    - `model`: free parameters; what lies outside its stable set is projected first.
    - `train`: images in one step (`as_images`) with one class each, at least one.
    - `recipe`: see `DeepRecipe`.
    - `loss`: of the model, a batch of images and their labels.
    - `augmentation`: changes every batch, differently in each epoch.
    - `validation`: scored after every epoch.
    - `checkpoint`: a file, written after every epoch; if it exists, the run continues from it.
    - `on_epoch`: called with every line of the log.

    **Raises:** `InputProblem` for data, recipe or checkpoint that do not fit; `Diverged` if the
    loss or a parameter stops being finite.
    """
    images, labels = images_of(train), train.labels
    if labels.ndim != 1 or labels.dtype != np.int32:
        raise InputProblem(f"labels of {train.name} are not classes; give one class to each image")
    batch = min(recipe.batch_size, len(labels))
    optimiser = make_deep_optimiser(recipe, len(labels) // batch)
    model = project(model)
    state = optimiser.init(_arrays(model))  # pyright: ignore[reportArgumentType]
    run = _Run(_Weights(model, state, model), [])
    identity = _identity(model, recipe, augmentation, loss, (train, validation))
    if checkpoint is not None and checkpoint.exists():
        _resume(run, checkpoint, identity)
    update = _make_update(optimiser, recipe, loss, augmentation)
    # Each update may factor small matrices, which one thread does as fast.
    with threadpool_limits(1, "blas"):
        while len(run.history) < recipe.epochs:
            epoch = len(run.history)
            order, losses = shuffled(recipe.seed, epoch, len(labels)), []
            key = jax.random.fold_in(jax.random.key(recipe.seed), epoch)
            for start in range(0, len(order) - batch + 1, batch):
                chosen = order[start : start + batch]
                run.weights, found = update(
                    run.weights, images[chosen], labels[chosen], jax.random.fold_in(key, start)
                )
                losses.append(found)
            record = _close(run, float(jnp.stack(losses).mean()), images, validation)
            if checkpoint is not None:
                facts = {"history": [asdict(line) for line in run.history]}
                write_checkpoint(checkpoint, Checkpoint(run.weights, facts), identity)
            if on_epoch is not None:
                on_epoch(record)
    return DeepFit(_result(run.weights, recipe), tuple(run.history))


def make_deep_optimiser(recipe: DeepRecipe, batches: int) -> optax.GradientTransformation:
    """Clipping, weight decay and the optimiser with the recipe's schedule."""
    updates = recipe.epochs * batches
    schedule = {
        "constant": lambda: optax.constant_schedule(recipe.learning_rate),
        "step": lambda: optax.piecewise_constant_schedule(
            recipe.learning_rate, {round(part * updates): 0.1 for part in _STEPS}
        ),
        "cosine": lambda: optax.cosine_decay_schedule(recipe.learning_rate, updates),
    }[recipe.schedule]()
    decay = optax.add_decayed_weights(recipe.weight_decay, mask=decay_mask)
    clip = [] if recipe.clip is None else [optax.clip_by_global_norm(recipe.clip)]
    if recipe.optimiser == "adam":
        body = [optax.scale_by_adam(), decay]
    elif recipe.optimiser == "muon":
        # It descends by itself; turned around for the learning rate, which comes last.
        body = [optax.contrib.muon(1.0, ns_steps=4), optax.scale(-1.0), decay]
    else:
        body = [decay, optax.trace(recipe.momentum)]
    return optax.chain(*clip, *body, optax.scale_by_learning_rate(schedule))


def _make_update(
    optimiser: optax.GradientTransformation,
    recipe: DeepRecipe,
    loss: Loss,
    augmentation: Augmentation | None,
) -> Callable[..., tuple[_Weights, Float[Array, ""]]]:
    @jax.jit
    def update(
        weights: _Weights,
        images: Float[Array, "b m"],
        labels: Int[Array, " b"],
        key: Key[Array, ""],
    ) -> tuple[_Weights, Float[Array, ""]]:
        seen = images if augmentation is None else augmentation(key, images)
        found, slope = jax.value_and_grad(loss)(weights.model, seen, labels)
        step, state = optimiser.update(slope, weights.optimiser_state, weights.model)  # pyright: ignore[reportArgumentType]
        model = project(optax.apply_updates(weights.model, step))  # pyright: ignore[reportArgumentType]
        mean = model
        if recipe.average is not None:
            mean = average(weights.mean, model, 1 - recipe.average)
        return _Weights(model, state, mean), found  # pyright: ignore[reportArgumentType]

    return update


def _close(
    run: _Run,
    loss: float,
    images: Float[np.ndarray, "b m"],
    validation: Dataset | None,
) -> DeepEpoch:
    """Write the line of the log, or refuse to go on."""
    index = len(run.history)
    # The last update can spoil the parameters after a finite loss.
    finite = all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(run.weights.model))
    if not (finite and math.isfinite(loss)):
        raise Diverged(
            f"training diverged in epoch {index} (loss {loss}); lower the learning rate or set a "
            "clip, then start again"
        )
    score = None
    if validation is not None:
        network = run.weights.mean.finished(images[:_STATISTICS])
        score = score_network(network, images_of(validation), validation.labels)[0]
    record = DeepEpoch(index, loss, score)
    run.history.append(record)
    return record


def _result(weights: _Weights, recipe: DeepRecipe) -> AbstractDeepClassifier:
    return weights.model if recipe.average is None else weights.mean


def _arrays(model: AbstractDeepClassifier) -> AbstractDeepClassifier:
    return eqx.filter(model, eqx.is_array)


def _identity(
    model: AbstractDeepClassifier,
    recipe: DeepRecipe,
    augmentation: Augmentation | None,
    loss: Loss,
    parts: tuple[Dataset | None, ...],
) -> str:
    """What determines a run."""
    return run_fingerprint(
        recipe,
        augmentation,
        getattr(loss, "__qualname__", repr(loss)),
        [(d.name, d.inputs.shape, _digest(d.inputs, d.labels)) for d in parts if d is not None],
        # Functions print their address, which differs from process to process.
        re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure(model))),
        _digest(*jax.tree.leaves(model)),
    )


def _digest(*arrays: Array | np.ndarray) -> str:
    return run_fingerprint(*[np.asarray(array).tobytes() for array in arrays])


def _resume(run: _Run, path: Path, identity: str) -> None:
    stored = read_checkpoint(path, run.weights, identity)
    weights = jax.tree.map(jnp.asarray, stored.arrays)
    # What training left lies inside already, and comes back bit for bit.
    run.weights = _Weights(project(weights.model), weights.optimiser_state, project(weights.mean))
    run.history = [DeepEpoch(**line) for line in stored.facts["history"]]
