"""Phase portraits: what is proved is told apart from what is simulated."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.report import Portrait, draw_phase_portrait


def words(figure: str) -> str:
    return " ".join(ElementTree.fromstring(figure).itertext())


def circle(n: int, size: float = 1.0) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    states = np.zeros((40, n))
    states[:, 0], states[:, 1] = size * np.cos(angles), size * np.sin(angles)
    return states


@pytest.mark.parametrize("n", [2, 3, 7])
def test_every_kind_of_object_has_its_evidence(n: int):
    equilibria = np.eye(n)[:2].repeat(2, 0)[:3]
    portrait = Portrait(
        circle(n, 1.5)[None],
        equilibria,
        ("stable", "unstable", "undecided"),
        [circle(n), circle(n, 2.0)],
        [1e-12, 3.41e-9],
    )
    figure = draw_phase_portrait(portrait)
    text = words(figure)
    for phrase in (
        "trajectories [float64]",
        "cycle [verified], radius of the tube 3.5e-9",
        "unstable equilibrium [verified]",
        "equilibrium [verified], stability undecided",
    ):
        assert phrase in text
    assert figure == draw_phase_portrait(portrait)


def test_two_states_are_shown_as_they_are_and_more_are_projected():
    flat = Portrait(circle(2)[None], np.zeros((0, 2)))
    text = words(draw_phase_portrait(flat))
    assert "state 1" in text and "state 2" in text and "projection" not in text
    assert "equilibrium" not in text and "cycle" not in text
    tilted = circle(5) @ np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    assert "projection" in words(draw_phase_portrait(Portrait(tilted[None], np.zeros((0, 5)))))


def test_one_unit_has_no_plane():
    with pytest.raises(InputProblem, match="needs 2 or more"):
        draw_phase_portrait(Portrait(np.zeros((1, 4, 1)), np.zeros((1, 1)), ("stable",)))
