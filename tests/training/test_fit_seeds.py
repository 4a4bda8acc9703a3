"""Several seeds in one program give what single runs give."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from limitset._result import InputProblem
from limitset.training import (
    Diverged,
    Epoch,
    Fit,
    Recipe,
    SequenceClassifier,
    fit,
    fit_seeds,
    hold_out,
)
from limitset.training._update import make_seeds_update
from tiny_training import tiny_classifier, tiny_split

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.02)
TRAIN = tiny_split().train
SEEDS = (4, 0, 7)


def models() -> list[SequenceClassifier]:
    return [tiny_classifier(seed=seed) for seed in SEEDS]


def assert_close(first: Fit, second: Fit) -> None:
    pairs = zip(jax.tree.leaves(first.model), jax.tree.leaves(second.model), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)
    assert len(first.history) == len(second.history)
    for mine, single in zip(first.history, second.history, strict=True):
        assert mine.loss == pytest.approx(single.loss, rel=1e-5)
        assert mine.factor == pytest.approx(single.factor, rel=1e-5)
        assert mine.validation_accuracy == single.validation_accuracy
    assert first.stopped_early == second.stopped_early


@pytest.mark.slow
def test_each_model_ends_as_in_a_run_of_its_own():
    lines: list[tuple[Epoch, ...]] = []
    together = fit_seeds(models(), TRAIN, RECIPE, seeds=SEEDS, on_epoch=lines.append)
    for found, model, seed in zip(together, models(), SEEDS, strict=True):
        assert_close(found, fit(model, TRAIN, dataclasses.replace(RECIPE, seed=seed)))
    assert [len(line) for line in lines] == [3] * RECIPE.epochs
    assert all(
        f.history[k] is line[i] for k, line in enumerate(lines) for i, f in enumerate(together)
    )


@pytest.mark.parametrize("start", ["delay_line", "singular_value"])
def test_no_factorisation_is_batched(start: str):
    """On processors batches of factorisations can wait for one another for ever."""
    kinds = [tiny_classifier(seed=seed, start=start) for seed in SEEDS]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *kinds)
    optimiser = optax.sgd(1.0)
    state = jax.vmap(lambda model: optimiser.init(eqx.filter(model, eqx.is_array)))(together)
    batches = [np.stack([part] * len(SEEDS)) for part in (TRAIN.inputs, TRAIN.labels)]
    lowered = make_seeds_update(optimiser, 1).lower(together, state, *batches)  # pyright: ignore[reportFunctionMemberAccess]
    calls = [line for line in lowered.as_text().splitlines() if "@lapack" in line]
    assert calls
    for call in calls:
        assert not re.search(r"tensor<\d+x\d+x\d+x", call.rpartition(" : ")[2]), call


TWO_DEVICES = """
import json
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_num_cpu_devices", 2)
import equinox as eqx, optax
from limitset.training._update import make_seeds_update
from tiny_training import tiny_classifier, tiny_split

models, data = [tiny_classifier(seed=seed) for seed in (4, 0)], tiny_split().train
together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
optimiser = optax.sgd(1.0)
state = jax.vmap(lambda model: optimiser.init(eqx.filter(model, eqx.is_array)))(together)
batches = [np.stack([part] * 2) for part in (data.inputs, data.labels)]
answers = []
for devices in (1, 2):
    changed, _, losses = make_seeds_update(optimiser, devices)(together, state, *batches)
    leaves = [np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(changed)]
    answers.append([*np.asarray(losses).tolist(), *np.concatenate(leaves).tolist()])
print(json.dumps(answers))
"""


@pytest.mark.slow
def test_two_devices_share_the_models():
    tests = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(tests), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout)
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-6 * max(map(abs, one)))


def test_the_order_of_the_data_is_that_of_single_runs(monkeypatch: pytest.MonkeyPatch):
    seen: dict[str, list[tuple[float, ...]]] = {"single": [], "together": []}

    def record(kind: str):  # noqa: ANN202
        def update(model, state, inputs, labels):  # noqa: ANN001, ANN202
            rows = inputs if kind == "together" else inputs[None]
            seen[kind].append(tuple(float(r) for r in rows.sum((2, 3)).ravel()))
            return model, state, np.zeros(len(rows)) if kind == "together" else np.zeros(())

        return lambda *_: update

    monkeypatch.setattr("limitset.training._fit.make_update", record("single"))
    monkeypatch.setattr("limitset.training._fit_seeds.make_seeds_update", record("together"))
    fit_seeds(models()[:1], TRAIN, RECIPE, seeds=SEEDS[:1])
    fit(models()[0], TRAIN, dataclasses.replace(RECIPE, seed=SEEDS[0]))
    assert seen["single"] == seen["together"] and len(set(seen["single"])) == 9


def test_each_model_stops_by_itself(monkeypatch: pytest.MonkeyPatch):
    split = hold_out(tiny_split(), 6)
    scores = iter([0.5, 0.2, 0.4, 0.3, 0.4, 0.1])
    monkeypatch.setattr("limitset.training._fit.accuracy", lambda *_: next(scores))
    recipe = dataclasses.replace(RECIPE, epochs=4, patience=1)
    found = fit_seeds(
        models()[:2], split.train, recipe, seeds=SEEDS[:2], validation=split.validation
    )
    assert [[e.validation_accuracy for e in f.history] for f in found] == [
        [0.5, 0.4],
        [0.2, 0.3, 0.4, 0.1],
    ]
    assert all(f.stopped_early for f in found)


def test_one_model_that_diverges_stops_all():
    recipe = Recipe(epochs=1, batch_size=len(TRAIN.labels), learning_rate=1e39)
    with pytest.raises(Diverged, match="epoch 0"):
        fit_seeds(models(), TRAIN, recipe, seeds=SEEDS)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputProblem, match="3 models came with 2 seeds"):
        fit_seeds(models(), TRAIN, RECIPE, seeds=SEEDS[:2])
    with pytest.raises(InputProblem, match="0 models"):
        fit_seeds([], TRAIN, RECIPE, seeds=[])
    with pytest.raises(InputProblem, match="one kind and size"):
        fit_seeds([models()[0], tiny_classifier(units=4)], TRAIN, RECIPE, seeds=SEEDS[:2])
    with pytest.raises(InputProblem, match="hold some out"):
        fit_seeds(models(), TRAIN, dataclasses.replace(RECIPE, patience=3), seeds=SEEDS)
    with pytest.raises(InputProblem, match="seed is -1"):
        fit_seeds(models(), TRAIN, RECIPE, seeds=(-1, 0, 1))
