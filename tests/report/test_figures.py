"""Figures: the same bytes for the same numbers, claims with their evidence, odd numbers survive."""

import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest

from limitset.report import draw_recovery, draw_training

STEPS = np.arange(40)
DISTANCES = np.outer([1.0, 0.5, 2.0], 0.9**STEPS)


def recovery(**changes: object) -> str:
    arguments = {
        "stable": DISTANCES,
        "free": np.ones_like(DISTANCES),
        "factor": 0.95,
        "floor": 1e-4,
        "title": "recovery",
        "start": 0,
    }
    return draw_recovery(**{**arguments, **changes})  # pyright: ignore[reportArgumentType]


def words(figure: str) -> str:
    """All text of a figure; text stays text, so that it can be searched."""
    return " ".join(ElementTree.fromstring(figure).itertext())


def test_the_same_numbers_give_the_same_bytes():
    assert recovery() == recovery()
    losses = np.linspace(2, 1, 6)
    assert draw_training(losses, losses / 3, losses) == draw_training(losses, losses / 3, losses)
    assert recovery() != recovery(factor=0.94)


def test_settings_of_the_user_do_not_matter_and_stay():
    before = recovery()
    with matplotlib.rc_context({"svg.hashsalt": "mine", "font.size": 20, "svg.fonttype": "path"}):
        assert recovery() == before
        assert matplotlib.rcParams["font.size"] == 20


def test_claims_carry_their_evidence():
    text = words(recovery(start=8))
    assert "0.9500^n [verified]" in text and "float32 gap [verified]" in text
    assert "measured" in text and "sensor fault" in text and "recovery" in text
    assert "[verified]" in words(draw_training(np.ones(3), np.ones(3), np.ones(3)))


@pytest.mark.parametrize("floor", [0.0, 1.0, 5.0, np.inf, np.nan])
def test_a_gap_that_says_nothing_is_not_drawn(floor: float):
    assert "float32 gap" not in words(recovery(floor=floor))


def test_no_fault_no_shading():
    assert "sensor fault" not in words(recovery())


@pytest.mark.parametrize("odd", [0.0, np.nan, np.inf, 1e300, 5e-324])
def test_odd_distances_are_drawn_without_complaint(odd: float):
    """Distances of exactly zero, and runs that blew up, are ordinary."""
    free = np.ones_like(DISTANCES)
    free[1, 5:] = odd
    free[2, 0] = odd
    assert words(recovery(free=free))


@pytest.mark.parametrize("factor", [0.0, 1e-3, 0.999999])
def test_factors_at_both_ends(factor: float):
    assert words(recovery(factor=factor))


@pytest.mark.parametrize(
    "losses",
    [np.ones(1), np.array([np.nan, np.nan]), np.array([1.0, np.inf]), np.array([0.0, 1.0])],
)
def test_odd_losses_are_drawn_without_complaint(losses: np.ndarray):
    assert words(draw_training(losses, losses, losses))


@pytest.mark.parametrize("title", ["a < b & c", "5 $ and 6 $", "x_1^2 \\frac"])
def test_titles_are_text(title: str):
    assert title in words(recovery(title=title))
