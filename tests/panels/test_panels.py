"""Panels: each computes what it documents, goes on from its store, and can be drawn."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import xarray

from limitset.panels import PANELS, Effort
from limitset.report import DRAWINGS
from limitset.sweeps import SweepProgress

LITTLE = Effort(units=20, seeds=1, time=5.0)
# The others solve for whole curves of the theory, or compile much.
QUICK = ("spectra",)
LONG = tuple(name for name in PANELS if name not in QUICK)


def test_every_panel_can_be_drawn():
    assert sorted(PANELS) == sorted(DRAWINGS)
    for name, panel in PANELS.items():
        assert panel.name == name and panel.title and "\n" not in panel.title


def numbers(found: xarray.Dataset) -> xarray.Dataset:
    return found.drop_attrs()


def check(name: str, store: Path) -> None:
    """Computed once, then read: nothing is simulated a second time."""
    panel, seen = PANELS[name], list[SweepProgress]()
    found = panel.compute(LITTLE, store, None)
    again = panel.compute(LITTLE, store, seen.append)
    assert seen and all(progress.found == progress.total for progress in seen)
    xarray.testing.assert_identical(numbers(found), numbers(again))
    assert bool(found["complete"].all()) and found.attrs["units"] == LITTLE.units
    text = " ".join(ElementTree.fromstring(DRAWINGS[name](found)).itertext())
    assert "[float64]" in text and "[sampled]" in text


@pytest.mark.parametrize("name", QUICK)
def test_panels_go_on_from_their_store(name: str, tmp_path: Path):
    check(name, tmp_path / "store")


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_long_panels_go_on_from_their_store(name: str, tmp_path: Path):
    check(name, tmp_path / "store")


def test_spectra_have_an_eigenvalue_for_each_variable():
    found = PANELS["spectra"].compute(LITTLE, None, None)
    assert found.sizes["eigenvalue"] == 3 * LITTLE.units
    assert (found["outside"] <= 1).all() and (found["outside"] >= 0).all()
    assert np.isfinite(found["boundary_real"].isel(component=0)).all()
