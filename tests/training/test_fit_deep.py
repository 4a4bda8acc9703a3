"""Deep networks in training: projection after every update, exact resume, settings, refusals."""

import dataclasses
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deep_training import SHAPE, TINY_IMAGES, tiny_deep, tiny_images
from limitset._result import InputProblem
from limitset.contraction import NetworkCertificate, Unknown, certify_network, project
from limitset.training import (
    DeepClassifier,
    DeepRecipe,
    Diverged,
    NormalisedClassifier,
    Standardisation,
    build_deep,
    build_network,
    count_deep_parameters,
    decay_mask,
    evaluate_depths,
    find_image_task,
    fit_deep,
    parse_deep_settings,
    recipe_of,
    train_deep,
    twin_of,
)


def same(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def largest_root(model: Any) -> float:
    root = np.asarray(model.core.stages[0].core.root, np.float64)
    return float(np.linalg.norm(root.T @ root))


def test_nais_projection_holds_after_every_epoch_and_of_the_average(tmp_path: Path):
    """With a rate that throws the weights out of their set at once."""
    settings = tiny_deep(learning_rate=20.0, average=0.9, clip=None, epochs=2)
    model = build_deep(TINY_IMAGES, settings)
    found = fit_deep(model, tiny_images().train, recipe_of(settings))
    assert largest_root(found.model) <= 1 - 2 * settings.epsilon
    answer = certify_network(found.model.finished(np.zeros((1, 16), np.float32)))
    assert isinstance(answer, NetworkCertificate)
    # 1 % beyond the bound of the projection there is something left to project.
    wide = eqx.tree_at(
        lambda m: m.core.stages[0].core.root, found.model, replace_fn=lambda r: 9 * r
    )
    assert largest_root(wide) > 1.01 * (1 - 2 * settings.epsilon) and not same(wide, project(wide))


def test_nais_pitfall_unprojected_training_leaves_the_set():
    settings = tiny_deep(stable=False, epochs=6, learning_rate=0.5)
    trained = train_deep(TINY_IMAGES, settings, split=tiny_images())
    assert isinstance(certify_network(trained.network), Unknown)


def test_what_lies_outside_is_projected_before_the_first_update():
    model = build_deep(TINY_IMAGES, tiny_deep())
    wild = eqx.tree_at(lambda m: m.core.stages[0].core.root, model, replace_fn=lambda r: 9 * r)
    recipe = dataclasses.replace(recipe_of(tiny_deep()), learning_rate=1e-30, epochs=1)
    found = fit_deep(wild, tiny_images().train, recipe).model
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(project(wild)), strict=True)
    assert all(np.allclose(a, b, rtol=0, atol=1e-20) for a, b in pairs)


class Stop(Exception):
    """Ends a run from outside."""


@pytest.mark.parametrize("augment", ["shift", pytest.param("none", marks=pytest.mark.slow)])
def test_resuming_ends_bit_for_bit_as_without_a_break(tmp_path: Path, augment: str):
    settings, split = tiny_deep(augment=augment, average=0.5), tiny_images()
    whole = train_deep(TINY_IMAGES, settings, split=split)

    def stop(epoch: Any) -> None:
        if epoch.index == 1:
            raise Stop

    place = tmp_path / "run.npz"
    with pytest.raises(Stop):
        train_deep(TINY_IMAGES, settings, split=split, checkpoint=place, on_epoch=stop)
    seen = []
    broken = train_deep(
        TINY_IMAGES,
        settings,
        split=split,
        checkpoint=place,
        on_epoch=lambda e: seen.append(e.index),
    )
    assert seen == [2] and same(whole.fit.model, broken.fit.model)
    assert whole.fit.history == broken.fit.history
    other = dataclasses.replace(settings, weight_decay=0.5)
    with pytest.raises(InputProblem, match="belongs to another run"):
        train_deep(TINY_IMAGES, other, split=split, checkpoint=place)


def test_what_diverges_is_said():
    settings = tiny_deep(stable=False, learning_rate=1e30, clip=None)
    with pytest.raises(Diverged, match="epoch 0"):
        train_deep(TINY_IMAGES, settings, split=tiny_images())


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"batch_norm": True}, marks=SLOW),
        {"block": "convolution", "pool": 2, "augment": "flip_shift"},
        pytest.param({"non_autonomous": False}, marks=SLOW),
        pytest.param({"stable": False}, marks=SLOW),
        pytest.param({"shared": False, "stable": False}, marks=SLOW),
        pytest.param({"kind": "gradient"}, marks=SLOW),
        pytest.param({"block": "convolution", "groups": 2, "non_autonomous": False}, marks=SLOW),
        pytest.param(
            {"block": "convolution", "kind": "symmetric", "optimiser": "adam"}, marks=SLOW
        ),
        pytest.param({"block": "convolution", "batch_norm": True, "shared": False}, marks=SLOW),
        pytest.param({"held_out": 4, "schedule": "step"}, marks=SLOW),
    ],
    ids=str,
)
def test_every_switch_trains(changes: dict[str, Any]):
    settings = tiny_deep(**{"epochs": 1, **changes})
    trained = train_deep(TINY_IMAGES, settings, split=tiny_images())
    assert trained.fit.history[0].loss > 0 and 0 <= trained.test_accuracy <= 1
    assert trained.gap == trained.train_accuracy - trained.test_accuracy
    assert (trained.fit.history[0].validation_accuracy is not None) == ("held_out" in changes)


def test_twins_have_as_many_parameters_and_start_from_the_same_weights():
    stable = build_deep(TINY_IMAGES, tiny_deep())
    twin = build_deep(TINY_IMAGES, twin_of(tiny_deep()))
    free = build_deep(TINY_IMAGES, tiny_deep(stable=False))
    counts = [count_deep_parameters(model) for model in (stable, twin, free)]
    assert len(set(counts)) == 1
    images = jnp.asarray(tiny_images().train.inputs[:, 0])
    assert np.allclose(stable.scores(images), free.scores(images), atol=1e-6)


def test_nais_pitfall_untied_dense_blocks_are_refused():
    with pytest.raises(InputProblem, match="norm of its own"):
        build_deep(TINY_IMAGES, tiny_deep(shared=False))


def test_nais_pitfall_weight_decay_spares_what_sets_the_speed():
    def mask(**changes: Any) -> Any:
        return decay_mask(build_deep(TINY_IMAGES, tiny_deep(**changes)))

    core = mask().core.stages[0].core
    assert (core.root, core.input_operator.matrix, core.bias) == (False, True, False)
    filters = mask(block="convolution").core.stages[0].core
    assert (filters.taps, filters.shifts, filters.input_operator.taps) == (False, False, True)
    assert mask().core.readout.weight and not mask().core.readout.bias
    free = mask(stable=False, non_autonomous=False).core.stages[0]
    assert (free.core.block.state_operator.matrix, free.start.matrix) == (True, True)
    layers = mask(shared=False, block="convolution").core.stages[0].core.layers
    assert [layer.taps for layer in layers] == [False] * 4
    assert not mask(batch_norm=True).norms[0].gain
    # What decays: a matrix without a gradient shrinks, the root of a stable block does not.
    settings = tiny_deep(weight_decay=0.1, epochs=1, clip=None, momentum=0.0)
    model = project(build_deep(TINY_IMAGES, settings))
    still = fit_deep(
        model, tiny_images().train, recipe_of(settings), loss=lambda m, x, y: 0 * m.scores(x).sum()
    ).model
    assert isinstance(model, DeepClassifier) and isinstance(still, DeepClassifier)
    assert (
        jnp.abs(still.core.readout.weight).sum() < 0.99 * jnp.abs(model.core.readout.weight).sum()
    )
    assert largest_root(still) == largest_root(model)


def test_the_loss_is_an_argument():
    def shrink(model: Any, images: Any, labels: Any) -> Any:
        del images, labels
        return jnp.square(model.core.readout.weight).sum()

    settings = tiny_deep(clip=None, weight_decay=0.0)
    model = build_deep(TINY_IMAGES, settings)
    found = fit_deep(model, tiny_images().train, recipe_of(settings), loss=shrink)
    assert found.history[-1].loss < 0.5 * found.history[0].loss


def test_step_schedule_divides_by_ten_at_three_ninths():
    from limitset.training._fit_deep import make_deep_optimiser

    recipe = DeepRecipe(epochs=9, schedule="step", momentum=0.0, learning_rate=1.0)
    optimiser = make_deep_optimiser(recipe, 1)
    state, sizes = optimiser.init(jnp.zeros(1)), []
    for _ in range(9):
        step, state = optimiser.update(jnp.ones(1), state, jnp.zeros(1))
        sizes.append(-float(np.asarray(step)[0]))
    assert np.allclose(sizes, [1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"block": "round"}, "block 'round' is not known"),
        ({"kind": "symmetric"}, "kind 'symmetric' is not known"),
        ({"augment": "mixup"}, "augment 'mixup' is not known"),
        ({"width": 0}, "width is 0"),
        ({"depth": 10**6}, "depth is 1000000"),
        ({"epsilon": 0.6}, "epsilon is 0.6"),
        ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"step": 2.5}, "step is 2.5"),
        ({"activation": "gelu"}, "slopes"),
        ({"activation": "sine"}, "is not known"),
        ({"pool": 2}, "for block=convolution"),
        ({"size": 2}, "odd"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
        ({"average": 1.0}, "average is 1.0"),
        ({"optimiser": "lion"}, "optimiser 'lion' is not known"),
        ({"schedule": "cyclic"}, "schedule 'cyclic' is not known"),
        ({"batch_norm": True, "kind": "gradient"}, "batch_norm does not fit"),
        ({"block": "convolution", "groups": 4}, "do not divide by 8"),
        ({"held_out": -1}, "held_out is -1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused_in_one_line(changes: dict[str, Any], said: str):
    with pytest.raises(InputProblem, match=said) as caught:
        build_network(tiny_deep(**changes), SHAPE, 2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["depths=3"], "'depths=3' is not known"),
        (["depth"], "'depth' is not known"),
        (["depth=three"], "is not of type int"),
        (["stable=maybe"], "no truth value"),
    ],
)
def test_words_that_do_not_fit_are_refused(words: list[str], said: str):
    with pytest.raises(InputProblem, match=said):
        parse_deep_settings(words, tiny_deep())
    with pytest.raises(InputProblem, match="use one of"):
        find_image_task("nais_imagenet")


def test_settings_are_stored_as_names_and_numbers():
    settings = parse_deep_settings(["stable=False", "clip=none", "depth=7"], tiny_deep())
    record = settings.as_record()
    assert (record["stable"], record["clip"], record["depth"]) == (False, None, 7)
    assert dataclasses.replace(tiny_deep(), **record) == settings


@pytest.mark.parametrize(
    "changes",
    [{}, pytest.param({"block": "convolution", "groups": 2, "batch_norm": True}, marks=SLOW)],
    ids=str,
)
def test_depth_curve_agrees_with_the_network_at_its_own_depth(changes: dict[str, Any]):
    split = tiny_images()
    trained = train_deep(TINY_IMAGES, tiny_deep(epochs=1, **changes), split=split)
    curve = evaluate_depths(trained.network, split.test, (1, 4, 9))
    assert curve.depths == (1, 4, 9)
    assert curve.accuracy[1] == trained.test_accuracy
    assert curve.loss[1] == pytest.approx(trained.test_loss, rel=1e-5)


def test_nais_stays_ten_times_deeper_where_a_free_twin_leaves():
    """Increments tell, not boundedness: an unstable direction without an input grows for ever."""
    split = tiny_images()
    settings = tiny_deep(epochs=1)
    stable = train_deep(TINY_IMAGES, settings, split=split).network
    bad = eqx.tree_at(
        lambda n: n.stages[0].block.state_operator.matrix,
        stable,
        replace_fn=lambda a: -1.01 * a,
    )
    stays = evaluate_depths(stable, split.test, (40, 4000))
    leaves = evaluate_depths(bad, split.test, (40, 4000))
    assert stays.loss[1] == pytest.approx(stays.loss[0], abs=0.05)
    assert not leaves.loss[1] < 10 * stays.loss[1]
    with pytest.raises(InputProblem, match="increasing whole numbers"):
        evaluate_depths(stable, split.test, (4, 3))


def test_standardisation_that_is_none_is_refused():
    for means, deviations in (((0.0,), (0.0,)), ((np.nan,), (1.0,)), ((0.0, 1.0), (1.0,))):
        with pytest.raises(InputProblem, match="positive deviation"):
            Standardisation(means, deviations)


def test_norms_are_one_for_each_stage():
    model = build_deep(TINY_IMAGES, tiny_deep(batch_norm=True))
    assert isinstance(model, NormalisedClassifier)
    with pytest.raises(InputProblem, match="one for each|one for"):
        NormalisedClassifier(model.core, ())
    with pytest.raises(InputProblem, match="no image"):
        model.finished(np.zeros((0, 16), np.float32))
