"""Particles with two goals: counts, rows, resumption, and settings that do not fit."""

from pathlib import Path

import numpy as np
import pytest
import xarray

from limitset._result import InputProblem
from limitset.experiments import EXPERIMENTS, read_settings
from limitset.sweeps import SweepProgress

GOALS = EXPERIMENTS["goals"]
SMALL = ["seeds=1", "networks=20", "steps=600"]


@pytest.fixture(scope="module")
def found() -> xarray.Dataset:
    return GOALS.compute(read_settings(GOALS.settings, SMALL), None, None)


@pytest.mark.slow
def test_most_particles_reach_both_goals(found: xarray.Dataset):
    """At first none, after 600 steps more than half; nobody reaches both without the first."""
    assert (found["both"].isel(step=0) == 0).all()
    assert (found["both"].isel(step=-1) > 0.5).all()
    assert (found["both"] <= found["replicate"]).all()
    assert (found["replicate"].diff("step") >= -0.1).all()


@pytest.mark.slow
def test_the_second_goal_hastens_the_first(found: xarray.Dataset):
    """As published, and by a margin that chance does not give 80 particles."""
    last = found.isel(step=-1)
    assert float((last["replicate"] - last["alone"]).mean()) > 0.1


@pytest.mark.slow
def test_rows_name_every_width(found: xarray.Dataset):
    rows = GOALS.rows(found)
    assert [row.quantity[:7] for row in rows[::2]] == [f"width {w}" for w in (3, 5, 7, 9)]
    assert rows[0].theirs == "0 0 .1 .35 .5 .8 (figure)"


def test_it_goes_on_from_its_store(tmp_path: Path):
    settings = read_settings(GOALS.settings, ["seeds=1", "networks=2", "steps=6", "batch=2"])
    seen = list[SweepProgress]()
    first = GOALS.compute(settings, tmp_path / "store", None)
    again = GOALS.compute(settings, tmp_path / "store", seen.append)
    assert [(p.found, p.complete) for p in seen] == [(4, 4)]
    assert np.array_equal(first["both"], again["both"])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seeds=0", "seeds is 0"),
        ("steps=5", "steps is 5"),
        ("rate=0", "rate is 0.0"),
        ("rate=nan", "rate is nan"),
        ("momentum=1", "momentum is 1.0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(word: str, message: str):
    with pytest.raises(InputProblem, match=message) as caught:
        read_settings(GOALS.settings, [word])
    assert "\n" not in str(caught.value)
