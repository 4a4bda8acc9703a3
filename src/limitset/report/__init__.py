"""Stored results -> figures and one self-contained HTML page (plotting is imported only here)."""

from ._bifurcations_figure import draw_bifurcations as draw_bifurcations
from ._cells_figure import draw_cells as draw_cells
from ._certified_figure import draw_certified as draw_certified
from ._correlations_figure import draw_correlations as draw_correlations
from ._deep_figures import draw_depths as draw_depths
from ._depth_figure import draw_depth as draw_depth
from ._diagram_figure import draw_diagram as draw_diagram
from ._dynamics_figures import draw_branch as draw_branch
from ._dynamics_figures import draw_spectrum as draw_spectrum
from ._experiment_figures import EXPERIMENT_DRAWINGS as EXPERIMENT_DRAWINGS
from ._exponents_figure import draw_exponents as draw_exponents
from ._figures import draw_recovery as draw_recovery
from ._figures import draw_training as draw_training
from ._marginal_figure import draw_marginal as draw_marginal
from ._memory_figure import draw_memory as draw_memory
from ._page import Page as Page
from ._page import Section as Section
from ._page import Table as Table
from ._page import render_page as render_page
from ._panel_figures import DRAWINGS as DRAWINGS
from ._phase_portrait import Portrait as Portrait
from ._phase_portrait import draw_phase_portrait as draw_phase_portrait
from ._spectra_figure import draw_spectra as draw_spectra
from ._transition_figure import draw_transition as draw_transition
