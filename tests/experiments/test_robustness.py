"""Noise on replicators: the law of the steps, what single precision hides, and clones."""

import numpy as np
import pytest
import xarray

from limitset import InputProblem
from limitset.experiments import EXPERIMENTS, read_settings
from limitset.sweeps import SweepProgress

ROBUSTNESS = EXPERIMENTS["robustness"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> xarray.Dataset:
    settings = read_settings(ROBUSTNESS.settings, ["seeds=1", "trials=100", "parents=2"])
    store, seen = tmp_path_factory.mktemp("robustness") / "store", list[SweepProgress]()
    first = ROBUSTNESS.compute(settings, store, None)
    again = ROBUSTNESS.compute(settings, store, seen.append)
    assert [(one.found, one.total) for one in seen] == [(1, 1)]
    xarray.testing.assert_identical(first, again)
    return first


def test_organism_noise_law(found: xarray.Dataset):
    """Steps per decade of noise: 1 / log10(4) = 1.66 in float64."""
    assert float(found["law"]) == pytest.approx(1.661, abs=1e-3)
    assert float(found["slope"].isel(precision=1)[0]) == pytest.approx(1.66, abs=0.15)
    trained = np.polyfit(np.arange(3, 10), found["trained_steps"][0, 3:], 1)[0]
    assert trained == pytest.approx(1.66, abs=0.15)


def test_organism_pitfall_float32_hides_small_noise(found: xarray.Dataset):
    """The jump beyond 10^-7 that was published is rounding: in float64 there is none."""
    single, double = found["steps"].isel(seed=0).values
    assert single[8] - single[7] > 5 and abs(double[8] - double[7] - 1.66) < 0.8
    assert np.allclose(single[1:8], found["published_steps"][1:8], atol=0.6)
    assert np.allclose(single[8:], found["published_steps"][8:], rtol=0.15)


def test_organism_pitfall_runs_are_capped(found: xarray.Dataset):
    assert float(found["steps"].max()) <= 100 and bool((found["held"] <= found["steps"]).all())


def test_clones_come_back_to_replicators(found: xarray.Dataset):
    """Large noise is trained away; tiny noise is lost in single precision."""
    total = found["clones"].isel(seed=0).sum("outcome")
    assert bool((total == 20).all())
    assert float(found["clones"].sel(clone_exponent=2).isel(seed=0, outcome=0)) >= 18
    assert float(found["clones"].sel(clone_exponent=10).isel(seed=0, outcome=0)) <= 4
    assert bool((found["clones_replicate"] > 0.9).all())


def test_rows_have_theirs_and_ours(found: xarray.Dataset):
    rows = {row.quantity: row for row in ROBUSTNESS.rows(found)}
    assert len(rows) == 33
    one = rows["noise 10^-8, float32: steps of self-application until it ends"]
    assert one.theirs == "21.95; replicates for 11.91 (log, float32)" and " / " in one.ours
    slope = rows["steps per decade, 10^-1 to 10^-7, float32; 1.66 in theory"]
    assert slope.theirs == "1.60 (fit of the log)"
    clones = rows["clones with noise up to 10^-6, after training"]
    assert clones.theirs == "30/20/0 of 50 (figure)" and "of 20" in clones.ours


@pytest.mark.parametrize("word", ["seeds=0", "trials=0", "parents=-1"])
def test_refuses_sizes(word: str):
    with pytest.raises(InputProblem, match="give a whole number from 1"):
        read_settings(ROBUSTNESS.settings, [word])
