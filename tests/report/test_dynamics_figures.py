"""Figures of dynamics: claims with their evidence, and nothing where there is nothing."""

import xml.etree.ElementTree as ElementTree

import numpy as np

from limitset import Evidence
from limitset.report import draw_branch, draw_spectrum


def words(figure: str) -> str:
    return " ".join(ElementTree.fromstring(figure).itertext())


def test_branches_show_what_is_proved_and_what_is_not():
    a = np.linspace(0, 2, 9)
    states = np.column_stack([a, a])
    points = {"Hopf points": np.array([[1.0, 2**0.5]]), "folds": np.zeros((0, 2))}
    figure = draw_branch(a, states, a < 1, points, "gain <1>")
    text = words(figure)
    assert "Hopf points [verified]" in text and "gain <1>" in text
    assert "folds" not in text
    assert "stable [float64]" in text and "unstable [float64]" in text
    bare = words(draw_branch(a, states, a < 9, {}, "a"))
    assert "Hopf" not in bare and "unstable" not in bare
    proved = words(draw_branch(a, states, a < 1, {}, "a", Evidence.VERIFIED))
    assert "unstable [verified]" in proved and "float64" not in proved
    assert figure == draw_branch(a, states, a < 1, points, "gain <1>")


def test_spectra_show_all_eigenvalues():
    centres = np.array([1 + 1j, 1 - 1j, -2 + 0j])
    figure = draw_spectrum(centres, np.array([0.3, 0.3, 1e-9]), "W")
    assert "[verified]" in words(figure) and "imaginary part" in words(figure)
    assert figure != draw_spectrum(centres, np.array([0.1, 0.1, 1e-9]), "W")
