"""Figures of how networks come to replicate: what they show and what it is worth."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import xarray

from limitset.report import EXPERIMENT_DRAWINGS

KINDS = ["divergent", "zero", "identity", "secondary", "other"]


def example() -> xarray.Dataset:
    counts = np.arange(1.0, 31).reshape(2, 3, 5)
    return xarray.Dataset(
        {
            "applied": (("seed", "reduction", "kind"), counts),
            "trained": (("seed", "reduction", "kind"), counts),
            "published_applied": (("reduction", "kind"), counts[0]),
            "published_trained": (("reduction", "kind"), counts[1]),
            "mixed": (("seed", "reduction", "trainings"), np.linspace(0, 1, 12).reshape(2, 3, 2)),
            "published_mixed": ("trainings", [0.2, 0.4]),
            "error": (("seed", "time", "part"), np.full((2, 4, 3), 1e-3)),
            "rows": (("seed", "time", "network", "component"), np.ones((2, 4, 5, 4))),
        },
        coords={"seed": [0, 1], "trainings": [0, 50], "time": [0, 1, 2, 3]},
        attrs={
            "reductions": ["weightwise", "aggregating", "recurrent"],
            "kinds": KINDS,
            "epochs": 1000,
        },
    )


def test_counts_turns_and_courses_say_their_evidence():
    figures = EXPERIMENT_DRAWINGS["replicate"](example())
    counts, turns, courses = (
        " ".join(ElementTree.fromstring(figure).itertext()) for figure in figures
    )
    assert all(f"{kind} [sampled]" in counts for kind in KINDS)
    assert "after 1000 epochs of self-training" in counts and counts.count("2019") == 6
    assert "aggregating [sampled]" in turns and "log of 2019" in turns
    assert "median, float32 [sampled]" in courses and "kappa_3" in courses
