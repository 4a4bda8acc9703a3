"""Settings, and runs by name: words to values, no setting without an effect, scores as measured."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.contraction import Certificate, SkewFeedback, StableAssembly, certify
from limitset.dynamics import Scan
from limitset.training import (
    TASKS,
    SequenceClassifier,
    Settings,
    Trained,
    accuracy,
    build,
    count_parameters,
    parse_settings,
    train_task,
)
from tiny_training import CLASSES, OF_CORE, TINY, tiny_classifier, tiny_settings, tiny_split

# Another value for every field.
OTHER: dict[str, Any] = {
    "modules": 3,
    "units": 4,
    "start": "absolute_value",
    "activation": "relu",
    "form": "firing_rate",
    "margin": 0.5,
    "slowest": 2.0,
    "step": 0.5,
    "coupling_scheme": "cayley",
    "coupling_gain": 2.0,
    "readout_gain": 1.0,
    "epochs": 1,
    "batch_size": 5,
    "learning_rate": 0.1,
    "clip": 1e-4,
    "seed": 1,
    "chunk": 2,
    "held_out": 8,
    "patience": 1,
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "tiny", TINY)


def value_of(settings: Settings, name: str) -> object:
    """The setting of that name, of the core or of the run."""
    return getattr(settings.core if name in OF_CORE else settings, name)


def test_every_setting_has_another_value():
    of_run = {field.name for field in dataclasses.fields(Settings)} - {"core"}
    assert set(OTHER) == of_run | OF_CORE
    assert all(value_of(Settings(), name) != value for name, value in OTHER.items())


@pytest.mark.parametrize("name", list(OTHER))
def test_words_become_values(name: str):
    parsed = parse_settings([f"{name}={OTHER[name]}"], Settings(held_out=9))
    assert value_of(parsed, name) == OTHER[name]
    assert type(value_of(parsed, name)) is type(OTHER[name])
    others = [other for other in OTHER if other not in (name, "held_out")]
    assert all(value_of(parsed, other) == value_of(Settings(), other) for other in others)
    assert name == "held_out" or parsed.held_out == 9


def test_no_words_are_the_defaults_and_the_last_word_counts():
    assert parse_settings([]) == Settings()
    base = tiny_settings()
    assert parse_settings(["units=5", "units=6"], base) == tiny_settings(units=6)
    assert parse_settings(["patience=None"], Settings(patience=3)).patience is None
    assert parse_settings(["patience=none"]).patience is None


@pytest.mark.parametrize(
    "word, part",
    [
        ("unit=3", "modules, units, start"),
        ("core=perceptron", "assembly, sparse, gated, gated_stack, stack, lstm"),
        ("units", "key=value"),
        ("units=", "int"),
        ("units=1.5", "int"),
        ("units=None", "int"),
        ("step=fast", "float"),
        ("patience=soon", "int"),
        ("step=2", "step is 2"),
        ("form=leaky", "hopfield, firing_rate"),
        ("start=zero", "delay_line"),
        ("margin=1.5", "margin is 1.5"),
    ],
)
def test_words_that_are_no_settings(word: str, part: str):
    with pytest.raises(InputProblem) as caught:
        parse_settings([word])
    assert part in str(caught.value) and "\n" not in str(caught.value)


@jax.jit
def scores(model: SequenceClassifier, sequence: jax.Array) -> jax.Array:
    return model.explicit()(sequence)


def scores_of(settings: Settings) -> np.ndarray:
    """What the untrained classifier says about one sequence."""
    sequence = jnp.asarray(tiny_split().test.inputs[0])
    return np.asarray(scores(build(TINY, settings), sequence))


TRAINING = [
    "epochs", "batch_size", "learning_rate", "clip", "seed", "chunk", "held_out", "patience"
]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in OTHER if name not in TRAINING] + ["seed"])
def test_every_setting_of_the_network_changes_what_it_says(name: str):
    changed = scores_of(tiny_settings(**{name: OTHER[name]}))
    assert np.isfinite(changed).all()
    assert not np.array_equal(changed, scores_of(tiny_settings()))


def assert_other_weights(first: Trained, second: Trained) -> None:
    pairs = zip(jax.tree.leaves(first.fit.model), jax.tree.leaves(second.fit.model), strict=True)
    assert any(not np.array_equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def usual() -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "tiny", TINY)
        return train_task("tiny", tiny_settings())


@pytest.mark.parametrize(
    "name", [name for name in TRAINING if name not in ("seed", "chunk", "patience")]
)
def test_every_setting_of_the_training_changes_the_weights(usual: Trained, tiny: None, name: str):
    del tiny
    assert_other_weights(usual, train_task("tiny", tiny_settings(**{name: OTHER[name]})))


def test_chunks_change_the_memory_of_gradients_only(usual: Trained, tiny: None):
    del tiny
    chunked = train_task("tiny", tiny_settings(chunk=2))
    pairs = zip(jax.tree.leaves(usual.fit.model), jax.tree.leaves(chunked.fit.model), strict=True)
    assert all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in pairs)
    assert chunked.fit.model.method == Scan(chunk=2)
    with pytest.raises(InputProblem, match="chunk"):
        tiny_settings(chunk=0)


def test_the_seed_changes_the_order_of_the_samples(usual: Trained, tiny: None):
    del tiny
    settings = tiny_settings(seed=1)
    same_start = train_task("tiny", settings, model=tiny_classifier())
    assert_other_weights(usual, same_start)


def test_patience_stops_a_run_that_does_not_improve(tiny: None):
    del tiny
    settings = {"held_out": 8, "epochs": 6, "learning_rate": 1e-30}
    whole = train_task("tiny", tiny_settings(**settings))
    stopped = train_task("tiny", tiny_settings(**settings, patience=1))
    assert len(whole.fit.history) == 6 and not whole.fit.stopped_early
    # The first epoch is the best, the second does not beat it.
    assert len(stopped.fit.history) == 2 and stopped.fit.stopped_early


def test_a_run_by_name_reports_what_its_model_scores(usual: Trained):
    test = tiny_split().test
    assert usual.test_accuracy == accuracy(usual.fit.model.explicit(), test.inputs, test.labels)
    assert usual.parameters == count_parameters(usual.fit.model)
    assert usual.task is TINY and usual.settings == tiny_settings()
    assert len(usual.fit.history) == 3


def test_a_run_is_repeatable_and_resumes_from_its_checkpoint(
    usual: Trained, tiny: None, tmp_path: Path
):
    del tiny
    again = train_task("tiny", tiny_settings(), checkpoint=tmp_path / "checkpoint.npz")
    finished = train_task("tiny", tiny_settings(), checkpoint=tmp_path / "checkpoint.npz")
    for other in (again, finished):
        leaves = zip(
            jax.tree.leaves(usual.fit.model), jax.tree.leaves(other.fit.model), strict=True
        )
        assert all(np.array_equal(a, b) for a, b in leaves)
        assert other.fit.history == usual.fit.history
        assert other.test_accuracy == usual.test_accuracy


@pytest.mark.parametrize("start", ["delay_line", "absolute_value", "singular_value"])
@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_what_is_built_is_certified_before_any_training(start: str, form: str):
    model = tiny_classifier(start=start, form=form)
    system, metric = model.explicit().system, model.core.metric()
    answer = certify(system, metric=metric, theorems=(SkewFeedback(),))
    assert isinstance(answer, Certificate) and answer.factor is not None and answer.factor < 1


def test_one_module_of_one_unit_is_a_network():
    running = tiny_classifier(modules=1, units=1).explicit()
    assert running.system.state_size == 1
    assert running(jnp.asarray(tiny_split().test.inputs[0])).shape == (CLASSES,)


def test_time_constants_spread_from_one_to_the_slowest():
    for modules, expected in ((3, (1.0, 3.0, 5.0)), (1, (1.0,))):
        core = tiny_classifier(modules=modules, slowest=5.0).core
        assert isinstance(core, StableAssembly) and core.time_constants == expected


@pytest.mark.parametrize("name", ["tinier", "", "Digits"])
def test_unknown_tasks(name: str):
    with pytest.raises(InputProblem, match="psmnist"):
        train_task(name, tiny_settings())
