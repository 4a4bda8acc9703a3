"""The organism that adds: its acceptance figures, resumption, rows."""

from pathlib import Path

import numpy as np
import pytest
import xarray

from limitset._result import InputProblem
from limitset.experiments import EXPERIMENTS, read_settings
from limitset.sweeps import SweepProgress

ADDITION = EXPERIMENTS["addition"]


@pytest.fixture(scope="module")
def found() -> xarray.Dataset:
    return ADDITION.compute(read_settings(ADDITION.settings, ["seeds=2"]), None, None)


def test_organism_addition(found: xarray.Dataset):
    """All 18 particles replicate by epoch 25, and sums are right to 5e-7 at epoch 60."""
    assert found.attrs["particles"] == 18
    assert (found["all_from"] <= 25).all()
    assert (found["replicators"].sel(epoch=slice(25, None)) == 18).all()
    assert (found["error"].sel(epoch=60) < 5e-7).all()
    assert (found["expanded_error"] < 5e-7).all() and (found["plain_error"] < 5e-7).all()


def test_projection_leaves_the_sums_alone(found: xarray.Dataset):
    assert (found["projected_replicators"] == 18).all()
    assert np.array_equal(found["projected_error"], found["plain_error"])
    assert (found["projection_distance"] < 1e-4).all()


def test_rows_say_what_was_published_and_what_was_found(found: xarray.Dataset):
    rows = ADDITION.rows(found)
    assert rows[0].theirs.startswith("epoch about 18") and rows[0].ours.startswith("2 of 2 seeds")
    assert rows[1].ours == "18 / 18 / 18"
    never = found.assign(all_from=found["all_from"].where(found["seed"] > 0))
    assert ADDITION.rows(never)[0].ours.startswith("1 of 2 seeds")


def test_it_goes_on_from_its_store(tmp_path: Path):
    settings = read_settings(
        ADDITION.settings, ["seeds=2", "epochs=2", "samples=20", "batch=10", "self_steps=1"]
    )
    seen = list[SweepProgress]()
    first = ADDITION.compute(settings, tmp_path / "store", None)
    again = ADDITION.compute(settings, tmp_path / "store", seen.append)
    assert seen and all(progress.found == progress.total == 2 for progress in seen)
    xarray.testing.assert_identical(first, again)
    assert np.isnan(first["all_from"]).all()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seeds=0", "seeds is 0"),
        ("epochs=0", "epochs is 0"),
        ("batch=2000", "batches of 2000"),
        ("hidden=0", "hidden is 0"),
        ("dtype=float16", "dtype is 'float16'; use one of float32, float64"),
        ("tolerance=nan", "tolerance is nan"),
        ("rate=inf", "rate is inf"),
        ("self_steps=-1", "self_steps is -1"),
    ],
)
def test_unusable_settings(word: str, message: str):
    with pytest.raises(InputProblem, match=message):
        read_settings(ADDITION.settings, [word])
