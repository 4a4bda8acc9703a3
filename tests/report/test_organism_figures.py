"""Figures of organisms: numbers, words, and what they are worth."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import xarray

from limitset.report import EXPERIMENT_DRAWINGS

SEEDS = {"seed": [0, 1], "epoch": [1, 2, 3]}
BY_EPOCH = ("seed", "epoch")


def words(figure: str) -> str:
    return " ".join(ElementTree.fromstring(figure).itertext())


def course(*names: str) -> dict[str, object]:
    values = np.geomspace(0.9, 1e-3, 6).reshape(2, 3)
    return {name: (BY_EPOCH, values) for name in names}


def test_addition_says_losses_counts_and_errors():
    errors = ("expanded_error", "plain_error", "path_difference", "projected_error")
    found = xarray.Dataset(
        {
            **course("task_loss", "replication_loss", "error"),
            "replicators": (BY_EPOCH, [[0, 4, 18], [1, 3, 18]]),
            **{name: ("seed", [1e-7, 2e-7]) for name in errors},
        },
        coords=SEEDS,
        attrs={"particles": 18, "self_steps": 10, "tolerance": 1e-5},
    )
    (figure,) = EXPERIMENT_DRAWINGS["addition"](found)
    text = words(figure)
    assert "10 steps of self-training a batch" in text and "all particles" in text
    assert text.count("[sampled]") == 4


def digits(seen: bool) -> xarray.Dataset:
    """Two seeds; with `seen` false the first column of pixels was left out."""
    place = np.tile(np.arange(9.0).reshape(3, 3) % 4, (2, 1, 1))
    place[:, :, 0] = place[:, :, 0] if seen else np.nan
    bars = ("replicators", "others", "parameters", "edge_weight", "activity", "random")
    return xarray.Dataset(
        {
            **course("accuracy", "task_loss", "replication_loss"),
            "replicators": (BY_EPOCH, [[0, 4, 18], [1, 3, 18]]),
            **{f"without_{name}": ("seed", [0.5, 0.6]) for name in bars},
            "projected_accuracy": ("seed", [0.5, 0.6]),
            "place": (("seed", "row", "column"), place),
            "deviation": (("seed", "row", "column"), np.ones((2, 3, 3))),
            "error": (("seed", "particle"), np.full((2, 4), 1e-4)),
            "slope": (("seed", "particle"), [[0.0, 1e-3, 1e-2, 0.1]] * 2),
            "twin_accuracy": (("seed", "twin_rate"), np.full((2, 3), 0.7)),
        },
        coords={**SEEDS, "twin_rate": [0.004, 0.04, 0.4]},
        attrs={"task": "digits", "self_steps": 10, "tolerance": 1e-5},
    )


def test_digits_say_course_places_and_reasons():
    for seen in (True, False):
        first, second = (words(figure) for figure in EXPERIMENT_DRAWINGS["mnist"](digits(seen)))
        assert "plain network, rate 0.04" in first and "replicators of 4" in first
        assert first.count("[sampled]") == 4
        assert "replicators that hear a pixel" in second and "projection" in second
        assert second.count("[sampled]") == 2


def test_pruning_says_every_rule():
    rules = ["replication_error", "parameters", "edge_weight", "activity", "saliency", "random"]
    dims = ("least_deviation", "seed", "rule", "share")
    values = np.linspace(0.1, 0.9, 2 * 2 * 6 * 2).reshape(2, 2, 6, 2)
    found = xarray.Dataset(
        {
            "pruned": (dims, values),
            "tuned": (dims, values),
            "rewound": (("least_deviation", "seed", "share"), np.full((2, 2, 2), 0.8)),
            "accuracy": (("least_deviation", "seed"), np.full((2, 2), 0.9)),
            "replicators": (("least_deviation", "seed"), np.full((2, 2), 5)),
            "particles": (("least_deviation", "seed"), np.full((2, 2), 20)),
        },
        coords={"least_deviation": [0.0, 0.02], "seed": [0, 1], "share": [0.3, 0.6]},
        attrs={"rules": rules},
    )
    (figure,) = EXPERIMENT_DRAWINGS["prune"](found)
    text = words(figure)
    assert "pixels of deviation 0.02 or more" in text and "all pixels" in text
    assert text.count("[sampled]") == 7 and "trained anew" in text
    (without,) = EXPERIMENT_DRAWINGS["prune"](found.assign(rewound=found["rewound"] * np.nan))
    assert "trained anew" not in words(without)


def test_goals_has_a_picture_for_each_width():
    shape = ("seed", "width", "step")
    values = np.linspace(0, 1, 12).reshape(2, 2, 3)
    found = xarray.Dataset(
        {"both": (shape, values), "replicate": (shape, values), "alone": (shape, values / 2)},
        coords={"seed": [0, 1], "width": [3, 5], "step": [10, 20, 30]},
    )
    (figure,) = EXPERIMENT_DRAWINGS["goals"](found)
    text = words(figure)
    assert "width 3" in text and "width 5" in text and text.count("[sampled]") == 2
