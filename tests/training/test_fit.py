"""The training loop: resumed runs, refused checkpoints, early stopping, divergence, devices."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.contraction import Certificate, SkewFeedback, certify
from limitset.dynamics import ExplicitEuler
from limitset.training import (
    Dataset,
    Diverged,
    Epoch,
    Fit,
    Recipe,
    SequenceClassifier,
    accuracy,
    certified_factor,
    fit,
    freed,
    hold_out,
)
from tiny_training import tiny_classifier, tiny_split

RECIPE = Recipe(epochs=4, batch_size=8, learning_rate=0.02)
TRAIN = tiny_split().train


class Killed(RuntimeError):
    """Stands for a power cut after an epoch."""


def kill_after(epochs: int) -> Callable[[Epoch], None]:
    def on_epoch(record: Epoch) -> None:
        if record.index + 1 == epochs:
            raise Killed

    return on_epoch


def assert_same_run(first: Fit, second: Fit) -> None:
    pairs = zip(jax.tree.leaves(first.model), jax.tree.leaves(second.model), strict=True)
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)
    assert first.history == second.history and first.stopped_early == second.stopped_early


@pytest.fixture(scope="module")
def unbroken() -> Fit:
    return fit(tiny_classifier(), TRAIN, RECIPE)


def test_training_learns_and_leaves_its_input_alone(unbroken: Fit):
    model = tiny_classifier()
    assert [record.index for record in unbroken.history] == [0, 1, 2, 3]
    losses = [record.loss for record in unbroken.history]
    assert losses[-1] < losses[0] and not unbroken.stopped_early
    assert all(record.validation_accuracy is None for record in unbroken.history)
    changed = jax.tree.map(lambda a, b: not jnp.array_equal(a, b), model, unbroken.model)
    assert all(jax.tree.leaves(changed.readout)) and changed.core.weights.theta
    fresh = jax.tree.map(jnp.array_equal, model, tiny_classifier())
    assert all(jax.tree.leaves(fresh))


def test_the_log_holds_the_verified_factor_of_every_epoch(unbroken: Fit):
    factors = [record.factor for record in unbroken.history]
    assert all(factor is not None and 0 < factor < 1 for factor in factors)
    answer = certify(
        unbroken.model.explicit().system,
        metric=unbroken.model.core.metric(),
        theorems=(SkewFeedback(),),
    )
    assert certified_factor(unbroken.model) == factors[-1]
    # Compiled and uncompiled, the explicit weights differ in their last bits.
    assert isinstance(answer, Certificate) and answer.factor == pytest.approx(factors[-1], rel=1e-5)


def test_free_weights_have_no_factor_by_construction():
    model = tiny_classifier(units=2)
    core = eqx.tree_at(lambda c: c.weights, freed(model.core), 3 * jnp.ones((2, 2, 2), jnp.float32))  # pyright: ignore[reportArgumentType]
    wild = SequenceClassifier(core, model.readout, ExplicitEuler(1.0), 1.0)
    assert certified_factor(wild) is None


@pytest.mark.parametrize("epochs", [1, 3, 4])
def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path, unbroken: Fit, epochs: int):
    place = tmp_path / "checkpoint.npz"
    with pytest.raises(Killed):
        fit(tiny_classifier(), TRAIN, RECIPE, checkpoint=place, on_epoch=kill_after(epochs))
    seen: list[Epoch] = []
    resumed = fit(tiny_classifier(), TRAIN, RECIPE, checkpoint=place, on_epoch=seen.append)
    assert_same_run(resumed, unbroken)
    assert seen == list(unbroken.history[epochs:])


def test_a_killed_run_with_early_stopping_goes_on_bit_for_bit(tmp_path: Path):
    split, recipe = hold_out(tiny_split(), 6), dataclasses.replace(RECIPE, epochs=6, patience=2)
    whole = fit(tiny_classifier(), split.train, recipe, validation=split.validation)
    place = tmp_path / "checkpoint.npz"
    for epochs in (1, 2):
        with pytest.raises(Killed):
            fit(
                tiny_classifier(),
                split.train,
                recipe,
                validation=split.validation,
                checkpoint=place,
                on_epoch=kill_after(epochs),
            )
    resumed = fit(
        tiny_classifier(), split.train, recipe, validation=split.validation, checkpoint=place
    )
    assert_same_run(resumed, whole)
    again = fit(
        tiny_classifier(), split.train, recipe, validation=split.validation, checkpoint=place
    )
    assert_same_run(again, whole)


def scored_epochs(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
    """Validation accuracies as if these had been measured."""
    remaining = iter(scores)
    monkeypatch.setattr("limitset.training._fit.accuracy", lambda *_: next(remaining))


def test_early_stopping_returns_the_best_parameters(monkeypatch: pytest.MonkeyPatch):
    split = hold_out(tiny_split(), 6)
    kept: list[SequenceClassifier] = []
    scored_epochs(monkeypatch, [0.2, 0.6, 0.5, 0.6, 0.9])
    recipe = dataclasses.replace(RECIPE, epochs=5, patience=2)
    monkeypatch.setattr(
        "limitset.training._fit.certified_factor", lambda model: kept.append(model) or 0.5
    )
    result = fit(tiny_classifier(), split.train, recipe, validation=split.validation)
    # 0.6 at epoch 1 is not beaten by the same number at epoch 3.
    assert result.stopped_early and len(result.history) == 4
    assert [record.validation_accuracy for record in result.history] == [0.2, 0.6, 0.5, 0.6]
    same = jax.tree.map(jnp.array_equal, result.model, kept[1])
    assert all(jax.tree.leaves(same))


def test_without_patience_the_last_parameters_are_returned():
    split = hold_out(tiny_split(), 6)
    assert split.validation is not None
    result = fit(tiny_classifier(), split.train, RECIPE, validation=split.validation)
    assert not result.stopped_early and len(result.history) == RECIPE.epochs
    score = accuracy(result.model.explicit(), split.validation.inputs, split.validation.labels)
    assert score == result.history[-1].validation_accuracy


def other_data() -> Dataset:
    inputs = TRAIN.inputs.copy()
    inputs[3, 2, 0] += 1e-6
    return dataclasses.replace(TRAIN, inputs=inputs)


OTHERS: dict[str, Callable[[], tuple[SequenceClassifier, Dataset, Recipe]]] = {
    "recipe": lambda: (tiny_classifier(), TRAIN, dataclasses.replace(RECIPE, clip=0.5)),
    "epochs": lambda: (tiny_classifier(), TRAIN, dataclasses.replace(RECIPE, epochs=5)),
    "seed": lambda: (tiny_classifier(), TRAIN, dataclasses.replace(RECIPE, seed=1)),
    "data": lambda: (tiny_classifier(), other_data(), RECIPE),
    "size": lambda: (tiny_classifier(units=4), TRAIN, RECIPE),
    "weights": lambda: (tiny_classifier(seed=1), TRAIN, RECIPE),
    "start": lambda: (tiny_classifier(start="absolute_value"), TRAIN, RECIPE),
    "theorem": lambda: (tiny_classifier(start="singular_value"), TRAIN, RECIPE),
    "step": lambda: (tiny_classifier(step=0.5), TRAIN, RECIPE),
    "margin": lambda: (tiny_classifier(margin=0.9), TRAIN, RECIPE),
    "slowest": lambda: (tiny_classifier(slowest=2.0), TRAIN, RECIPE),
    "gain": lambda: (tiny_classifier(readout_gain=3.0), TRAIN, RECIPE),
    "activation": lambda: (tiny_classifier(activation="relu"), TRAIN, RECIPE),
    "form": lambda: (tiny_classifier(form="firing_rate"), TRAIN, RECIPE),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a run that was killed after its first epoch."""
    place = tmp_path_factory.mktemp("run") / "checkpoint.npz"
    with pytest.raises(Killed):
        fit(tiny_classifier(), TRAIN, RECIPE, checkpoint=place, on_epoch=kill_after(1))
    return place


@pytest.mark.parametrize("what", OTHERS)
def test_the_checkpoint_of_another_run_is_refused(stored: Path, what: str):
    before = stored.read_bytes()
    with pytest.raises(InputProblem, match="belongs to another run"):
        fit(*OTHERS[what](), checkpoint=stored)
    assert stored.read_bytes() == before


def test_validation_data_belong_to_the_run(stored: Path):
    with pytest.raises(InputProblem, match="belongs to another run"):
        fit(tiny_classifier(), TRAIN, RECIPE, validation=tiny_split(1).test, checkpoint=stored)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "folder"])
def test_a_damaged_checkpoint_is_refused(stored: Path, tmp_path: Path, damage: str):
    place, whole = tmp_path / "checkpoint.npz", stored.read_bytes()
    if damage == "folder":
        place.mkdir()
    else:
        contents = {"truncated": whole[:-30], "garbage": b"garbage", "empty": b""}
        place.write_bytes(contents[damage])
    with pytest.raises(InputProblem, match="damaged") as caught:
        fit(tiny_classifier(), TRAIN, RECIPE, checkpoint=place)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputProblem, match="cannot be written"):
        fit(tiny_classifier(), TRAIN, RECIPE, checkpoint=tmp_path / "file" / "checkpoint.npz")


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path):
    inputs = TRAIN.inputs.copy()
    inputs[5, 1, 0] = np.nan
    place = tmp_path / "checkpoint.npz"
    with pytest.raises(Diverged, match="epoch 0.*nan"):
        fit(tiny_classifier(), dataclasses.replace(TRAIN, inputs=inputs), RECIPE, checkpoint=place)
    assert not place.exists()


def test_parameters_spoiled_by_the_last_update_stop_the_run():
    """The loss is taken before the update, so one batch of one epoch never shows it."""
    recipe = Recipe(epochs=1, batch_size=len(TRAIN.labels), learning_rate=1e39)
    with pytest.raises(Diverged, match="epoch 0"):
        fit(tiny_classifier(), TRAIN, recipe)


@pytest.mark.parametrize(
    "field, value",
    [
        ("epochs", 0),
        ("epochs", 10**12),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("clip", 0.0),
        ("clip", math.nan),
        ("seed", -1),
        ("seed", 2**32),
        ("patience", 0),
    ],
)
def test_recipes_that_are_none(field: str, value: float):
    with pytest.raises(InputProblem, match=f"{field} is ") as caught:
        dataclasses.replace(RECIPE, **{field: value})  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)


def test_patience_needs_validation_data():
    with pytest.raises(InputProblem, match="hold some out"):
        fit(tiny_classifier(), TRAIN, dataclasses.replace(RECIPE, patience=3))


def test_a_batch_larger_than_the_data_is_all_of_them():
    one = dataclasses.replace(RECIPE, epochs=1, batch_size=24)
    many = dataclasses.replace(one, batch_size=1000)
    assert_same_run(fit(tiny_classifier(), TRAIN, one), fit(tiny_classifier(), TRAIN, many))


TWO_DEVICES = """
import dataclasses, json, sys
import jax, numpy as np, optax
jax.config.update("jax_num_cpu_devices", 2)
import equinox as eqx
from limitset.dynamics import BackwardEuler
from limitset.training import _update
from tiny_training import tiny_classifier, tiny_split

assert jax.local_device_count() == 2
model, data = tiny_classifier(), tiny_split().train
assert [_update.device_count(batch, model) for batch in (8, 7, 1)] == [2, 1, 1]
implicit = dataclasses.replace(model, scheme=BackwardEuler(1.0))
assert _update.device_count(8, implicit) == 1
optimiser = optax.sgd(1.0)
state, results = optimiser.init(eqx.filter(model, eqx.is_array)), []
for devices in (1, 2):
    update = _update.make_update(optimiser, devices)
    changed, _, loss = update(model, state, data.inputs, data.labels)
    leaves = jax.tree.leaves(jax.tree.map(lambda a, b: a - b, changed, model))
    results.append((float(loss), np.concatenate([np.ravel(leaf) for leaf in leaves])))
(one, first), (two, second) = results
print(json.dumps({
    "loss": [one, two],
    "size": float(np.abs(first).max()),
    "error": float(np.abs(first - second).max()),
}))
"""


def test_two_devices_share_a_batch_and_make_the_same_update():
    tests = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(tests), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["loss"][0] == pytest.approx(found["loss"][1], rel=1e-6)
    assert found["size"] > 1e-3 and found["error"] < 1e-5 * found["size"] + 1e-6
