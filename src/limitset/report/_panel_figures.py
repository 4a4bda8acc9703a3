"""The figures by name, as `limitset.panels` computes them -> how each is drawn."""

from collections.abc import Callable

import xarray

from limitset.report._bifurcations_figure import draw_bifurcations
from limitset.report._cells_figure import draw_cells
from limitset.report._correlations_figure import draw_correlations
from limitset.report._diagram_figure import draw_diagram
from limitset.report._exponents_figure import draw_exponents
from limitset.report._marginal_figure import draw_marginal
from limitset.report._memory_figure import draw_memory
from limitset.report._proof_figure import draw_proof
from limitset.report._spectra_figure import draw_spectra
from limitset.report._transition_figure import draw_transition

DRAWINGS: dict[str, Callable[[xarray.Dataset], str]] = {
    "diagram": draw_diagram,
    "spectra": draw_spectra,
    "correlations": draw_correlations,
    "exponents": draw_exponents,
    "bifurcations": draw_bifurcations,
    "transition": draw_transition,
    "marginal": draw_marginal,
    "cells": draw_cells,
    "memory": draw_memory,
    "proof": draw_proof,
}
