"""Figures of soups, one of which moves."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import xarray

from limitset.report import EXPERIMENT_DRAWINGS

SVG = "{http://www.w3.org/2000/svg}"


def example(lost: float = 0.3) -> xarray.Dataset:
    """Four networks, three epochs; the second is attacked by the first, the third is renewed."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(1, 4, 4, 2))
    places[0, 2, 3] = lost
    kinds = np.full((1, 4, 4), 2.0)
    kinds[0, 0] = 4
    by = np.full((1, 3, 4), -1.0)
    by[0, 1, 1] = 0
    taught = np.full((1, 3, 4), -1.0)
    taught[0, 0, 0], taught[0, 2, 2] = 3, 2
    renewed = np.zeros((1, 3, 4))
    renewed[0, 1, 2] = 1
    return xarray.Dataset(
        {
            "attacks": (("seed", "trainings"), [[0.0, 3.0]]),
            "lessons": (("seed", "trainings"), [[0.0, 8.0]]),
            "published_attacks": ("trainings", [0, 2]),
            "published_lessons": ("trainings", [0, 5]),
            "places": (("seed", "time", "network", "axis"), places),
            "variance": (("seed", "axis"), [[0.5, 0.25]]),
            "kinds": (("seed", "time", "network"), kinds),
            "attacked_by": (("seed", "epoch", "network"), by),
            "taught_by": (("seed", "epoch", "network"), taught),
            "renewed": (("seed", "epoch", "network"), renewed),
            "counts": (("seed", "order", "large_time", "kind"), np.full((1, 2, 3, 5), 0.2)),
            "distance": (("seed", "order", "large_time", "part"), np.full((1, 2, 3, 2), 0.1)),
        },
        coords={"seed": [0], "trainings": [0, 20], "part": [0.5, 0.9]},
        attrs={
            "kinds": ["divergent", "zero", "identity", "secondary", "other"],
            "orders": ["all at once", "one attack an epoch"],
            "trials": 10,
            "large": 1000,
        },
    )


def test_figures_say_what_they_show():
    figures = EXPERIMENT_DRAWINGS["soup"](example())
    tables, one, large, moving = (
        " ".join(ElementTree.fromstring(figure).itertext()) for figure in figures
    )
    assert tables.count("log of 2019") == 2 and "mean of 10 soups a seed [sampled]" in tables
    assert "50% of the variance" in one and "identity [sampled]" in one
    assert "zero, one attack an epoch [sampled]" in large
    assert "A soup of 4 networks, 3 epochs" in moving and "[sampled]" in moving


@pytest.mark.parametrize("lost", [0.3, np.nan])
def test_the_moving_soup_moves_without_scripts(lost: float):
    """Each network has its places, kinds and whether it is seen; lines are events of others."""
    moving = EXPERIMENT_DRAWINGS["soup"](example(lost))[-1]
    assert "script" not in moving and "nan" not in moving and "inf" not in moving.lower()
    root = ElementTree.fromstring(moving)
    networks = [one for one in root.iter(f"{SVG}circle") if len(one)]
    assert len(networks) == 4
    for network in networks:
        found = {part.get("attributeName"): part for part in network}
        assert set(found) == {"cx", "cy", "fill", "fill-opacity"}
        across = [float(v) for v in str(found["cx"].get("values")).split(";")]
        assert len(across) == 4 and all(0 <= v <= 640 for v in across)
        assert len(str(found["fill"].get("values")).split(";")) == 3
    hidden = [one for one in networks if '"0.9;0.9;0"' in ElementTree.tostring(one, "unicode")]
    assert len(hidden) == (0 if np.isfinite(lost) else 1)
    # The attack and one lesson; who teaches itself draws no line.
    assert len([one for one in root.iter(f"{SVG}line") if len(one)]) == 2
