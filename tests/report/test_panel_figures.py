"""Figures of the panels: each draws what its Dataset holds, and says what it is worth."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import xarray

from limitset.report import DRAWINGS

# Axes and variables of each panel, as limitset.panels documents them.
AXES: dict[str, dict[str, Sequence[float] | np.ndarray]] = {
    "diagram": {"seed": [0], "output_gain": [0, 10, 20], "gain": [1, 2, 3], "curve": [0, 10, 20]},
    "spectra": {
        "seed": [0],
        "update_gain": [0, 10],
        "output_gain": [0, 10],
        "eigenvalue": range(12),
        "component": range(3),
        "place": range(9),
    },
    "correlations": {
        "seed": [0, 1],
        "case": range(4),
        "lag": range(5),
        "time_gain": [2.05, 2.2, 2.5, 3],
        "curve_output_gain": [0, 1, 2],
    },
    "exponents": {
        "seed": [0],
        "update_gain": [0, 5, 20],
        "output_gain": [0, 10, 20, 30],
        "place": np.arange(1, 31) / 10,
        "curve": [0, 15, 30],
    },
    "bifurcations": {
        "seed": [0],
        "measured_gain": [1.5, 1.7],
        "curve": [0, 5, 10],
        "output_gain": [0, 3.2, 10],
        "gain": [1.6, 2, 3],
        "biased_gain": [1.5, 1.6, 1.7],
    },
    "transition": {
        "seed": [0],
        "gain": [1.6, 2, 2.2],
        "curve": [1.7, 2, 2.5],
        "output_gain": [0, 30],
        "input_variance": [1e-3, 1e-2, 1],
        "input_curve": [1e-3, 1],
    },
    "marginal": {
        "seed": [0],
        "update_gain": [1, 10, 100],
        "curve": [1, 10, 100],
        "gain": [2, 3, 5],
        "gain_curve": [1.5, 3, 5],
    },
    "cells": {
        "seed": [0],
        "kind": [0, 1, 2],
        "eigenvalue": range(12),
        "component": range(2),
        "curve_place": range(9),
        "phase_kind": [0, 1],
        "reset_gain": [0, 10],
        "candidate_gain": [1.5, 2.4],
        "reset_curve": [0, 10, 20],
        "forget_bias": [0, 1],
        "forget_curve": [0, 1],
    },
    "memory": {
        "seed": [0],
        "level": [1e-300, 1e-100, 0.9],
        "kick": [0.01, 0.1, 0.5],
        "time": [0, 100, 200],
        "reset_time": [0, 50, 250],
    },
}
VARIABLES: dict[str, dict[str, str]] = {
    "diagram": {
        "exponent": "seed gain output_gain",
        "critical_gain": "curve",
        "birth_gain": "curve",
        "chaos_gain": "curve",
        "marginal_gain": "curve",
    },
    "spectra": {
        "real": "seed update_gain output_gain eigenvalue",
        "imaginary": "seed update_gain output_gain eigenvalue",
        "boundary_real": "seed update_gain output_gain component place",
        "boundary_imaginary": "seed update_gain output_gain component place",
        "outside": "seed update_gain output_gain",
    },
    "correlations": {
        "theory": "case lag",
        "theory_error": "case lag",
        "measured": "seed case lag",
        "measured_error": "seed case lag",
        "half_time": "time_gain curve_output_gain",
        "near_onset": "time_gain curve_output_gain",
        "measured_half_time": "seed case",
        "update_gain": "case",
        "output_gain": "case",
    },
    "exponents": {
        "exponent": "seed update_gain output_gain place",
        "dimension": "seed update_gain output_gain",
        "near_zero": "seed update_gain output_gain",
        "large_exponent": "seed output_gain",
        "theory": "curve",
    },
    "bifurcations": {
        "critical_gain": "curve",
        "birth_gain": "curve",
        "chaos_gain": "curve",
        "complexity": "output_gain gain",
        "biased_complexity": "biased_gain",
        "biased_variance": "biased_gain",
        "activity": "seed measured_gain",
    },
    "transition": {
        "rising": "seed gain",
        "falling": "seed gain",
        "chaos_variance": "curve",
        "exponent": "seed output_gain input_variance",
        "theory": "output_gain input_curve",
    },
    "marginal": {
        "edge": "seed update_gain",
        "slow": "seed update_gain",
        "theory_edge": "curve",
        "theory_slow": "curve",
        "open_number": "seed gain",
        "speed": "seed gain",
        "theory_number": "gain_curve",
    },
    "cells": {
        "real": "seed kind eigenvalue",
        "imaginary": "seed kind eigenvalue",
        "boundary_real": "seed kind component curve_place",
        "boundary_imaginary": "seed kind component curve_place",
        "outside": "seed kind",
        "activity": "seed phase_kind reset_gain candidate_gain",
        "birth_gain": "phase_kind reset_curve",
        "edge": "seed forget_bias",
        "theory_edge": "forget_curve",
    },
    "memory": {
        "gates": "seed level",
        "theory_gates": "level",
        "overlap": "seed kick time",
        "resemblance": "seed reset_time",
        "resemblance_spread": "seed reset_time",
        "unrelated": "seed reset_time",
        "unrelated_spread": "seed reset_time",
    },
}
ATTRIBUTES: Mapping[str, object] = {
    "units": 20,
    "large_units": 100,
    "x": "output_gain",
    "y": "gain",
    "gain": 3.0,
    "margin": 0.06,
    "width": 0.05,
    "update_gain": 1000.0,
    "output_gain": 20.0,
    "input_gain": 1.5,
    "chaos_gain": 1.76,
    "critical_gain": 2.0,
    "fixed_point_threshold": 8**0.5,
    "chaos_threshold": 12**0.5,
    "open_time": 50.0,
    "trials": 8,
}


def example(name: str) -> xarray.Dataset:
    """A Dataset of the right form, with numbers between 0 and 1."""
    axes, draw = AXES[name], np.random.default_rng(0)
    variables = {}
    for variable, text in VARIABLES[name].items():
        dims = tuple(text.split())
        variables[variable] = (dims, draw.uniform(size=tuple(len(axes[d]) for d in dims)))
    coords = {axis: list(values) for axis, values in axes.items()}
    return xarray.Dataset(variables, coords=coords, attrs=dict(ATTRIBUTES))


def words(figure: str) -> str:
    return " ".join(ElementTree.fromstring(figure).itertext())


@pytest.mark.parametrize("name", sorted(AXES))
def test_figures_say_what_is_theory_and_what_was_measured(name: str):
    text = words(DRAWINGS[name](example(name)))
    assert "[float64]" in text and "[sampled]" in text


def test_the_same_numbers_give_the_same_bytes():
    draw = DRAWINGS["spectra"]
    assert draw(example("spectra")) == draw(example("spectra"))


def test_sampled_theory_is_called_so():
    """The correlations of a moving update gate are sampled in theory, too."""
    found = example("correlations")
    found["theory_error"][:3] = 0.0
    text = words(DRAWINGS["correlations"](found))
    assert text.count("[sampled]") == 3 and "update 0, output 0" not in text


@pytest.mark.parametrize(
    ("name", "unsolved"),
    [
        ("correlations", ["half_time", "near_onset"]),
        ("exponents", ["theory"]),
        ("transition", ["theory", "chaos_variance"]),
    ],
)
def test_theory_that_was_not_solved_is_left_out(name: str, unsolved: list[str]):
    found = example(name)
    for variable in unsolved:
        found[variable][:] = np.nan
    assert words(DRAWINGS[name](found))
