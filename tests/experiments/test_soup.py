"""Soups: sizes, resumption, rows beside the published numbers."""

from pathlib import Path

import numpy as np
import pytest
import xarray

from limitset import InputProblem
from limitset.experiments import EXPERIMENTS, read_settings
from limitset.sweeps import SweepProgress

SOUP = EXPERIMENTS["soup"]
LITTLE = [
    *("seeds=1", "trials=1", "step=1", "shown=4", "shown_epochs=3", "shown_steps=1"),
    *("large=3", "large_epochs=2", "large_steps=1"),
]


@pytest.mark.slow
def test_it_goes_on_from_its_store(tmp_path: Path):
    seen = list[SweepProgress]()
    settings = read_settings(SOUP.settings, LITTLE)
    found = SOUP.compute(settings, tmp_path / "store", None)
    again = SOUP.compute(settings, tmp_path / "store", seen.append)
    assert [(one.found, one.total) for one in seen] == [(1, 1)]
    xarray.testing.assert_identical(found, again)
    assert found["places"].dims == ("seed", "time", "network", "axis")
    assert found["places"].shape == (1, 4, 4, 2)
    assert found["attacked_by"].shape == (1, 3, 4)
    assert np.allclose(found["counts"].sum("kind"), 1)
    assert len(SOUP.rows(found)) == 26


@pytest.mark.slow
def test_organism_soups_of_2019():
    """Replicators of ten after 50 and 100 trainings, and after lessons of as many."""
    words = ["seeds=1", "trials=10", "shown_epochs=2", "large=3", "large_epochs=1"]
    found = SOUP.compute(read_settings(SOUP.settings, words), None, None).isel(seed=0)
    assert np.abs(found["attacks"] - found["published_attacks"]).max() < 2
    assert np.abs(found["lessons"] - found["published_lessons"]).max() < 2


def example() -> xarray.Dataset:
    counts = np.zeros((2, 2, 3, 5))
    counts[..., 2] = 0.5
    return xarray.Dataset(
        {
            "attacks": (("seed", "trainings"), [[0.0, 1.0], [0.5, 3.0]]),
            "lessons": (("seed", "trainings"), [[0.0, 8.0], [0.0, 9.0]]),
            "published_attacks": ("trainings", [0, 0.7]),
            "published_lessons": ("trainings", [0, 5.2]),
            "counts": (("seed", "order", "large_time", "kind"), counts),
            "distance": (("seed", "order", "large_time", "part"), np.full((2, 2, 3, 2), 1e-3)),
        },
        coords={"trainings": [0, 20], "part": [0.5, 0.9]},
        attrs={"large": 1000, "large_epochs": 2, "orders": ["all at once", "one attack an epoch"]},
    )


def test_rows_say_what_was_published_and_what_was_found():
    rows = {row.quantity: row for row in SOUP.rows(example())}
    one = rows["soup of ten, attacks, 5 epochs, 20 trainings: replicators"]
    assert (one.theirs, one.ours) == ("0.7 (log)", "1.0 / 2.0 / 3.0")
    two = rows["soup of ten, 100 epochs, lessons of 20: replicators"]
    assert (two.theirs, two.ours) == ("5.2 (log)", "8.0 / 8.5 / 9.0")
    large = rows["soup of 1000, all at once, 2 epochs: part that replicates at the end"]
    assert (large.theirs, large.ours) == ("-", "50.0% / 50.0% / 50.0%")


@pytest.mark.parametrize("word", ["seeds=0", "trials=0", "shown=2", "shown_epochs=1", "large=1"])
def test_refuses_sizes(word: str):
    with pytest.raises(InputProblem, match="give a whole number from"):
        read_settings(SOUP.settings, [word])
