"""The figure of noise: measured steps, the law, and clones beside those of the figure."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import xarray

from limitset.report import EXPERIMENT_DRAWINGS


def test_steps_law_and_clones_say_their_evidence():
    exponents = np.arange(10)
    found = xarray.Dataset(
        {
            "steps": (("seed", "precision", "exponent"), np.tile(1.66 * exponents + 4, (2, 2, 1))),
            "trained_steps": (("seed", "exponent"), np.tile(1.66 * exponents + 4, (2, 1))),
            "published_steps": ("exponent", 1.6 * exponents + 4),
            "clones": (("seed", "clone_exponent", "outcome"), np.full((2, 3, 3), 4.0)),
            "published_clones": (("clone_exponent", "outcome"), np.full((3, 3), 2.0)),
            "law": 1.661,
        },
        coords={"exponent": exponents, "clone_exponent": [1, 2, 3]},
        attrs={"precisions": ["float32", "float64"], "outcomes": ["nearer", "farther", "as far"]},
    )
    (figure,) = EXPERIMENT_DRAWINGS["robustness"](found)
    text = " ".join(ElementTree.fromstring(figure).itertext())
    assert "hand-made, float64 [sampled]" in text and "trained, float64 [sampled]" in text
    assert "log of 2019" in text and "1.66 a decade" in text
    assert "nearer [sampled]" in text and "read off a figure" in text
