"""The figure of adaptive depth."""

import numpy as np
import pytest
import xarray

from limitset._result import InputProblem
from limitset.report import draw_depth


def make(samples: int) -> xarray.Dataset:
    rng = np.random.default_rng(0)
    found = {
        "depth": ("sample", 5 + np.arange(samples)),
        "label": ("sample", np.arange(samples) % 3),
        "image": (("sample", "row", "column"), rng.random((samples, 4, 4))),
    }
    for kind in ("certified", "raw", "fixed"):
        found[f"{kind}_depth"] = (kind, np.array([2.0, 9.0, 40.0]))
        found[f"{kind}_accuracy"] = (kind, np.array([0.5, 0.8, 0.9]))
    return xarray.Dataset(found, attrs={"tolerance": 0.1, "data": "digits"})


def test_the_figure_names_curves_evidence_and_depths():
    text = draw_depth(make(30))
    for words in (
        "by a raw threshold",
        "[float64]",
        "error at most 0.1",
        "from depth 5, below up to 34",
    ):
        assert words in text
    assert text == draw_depth(make(30))


def test_too_few_samples_are_refused():
    with pytest.raises(InputProblem, match="shows 16 of them"):
        draw_depth(make(15))
