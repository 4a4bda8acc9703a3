"""Stored results -> figures and one self-contained HTML page (plotting is imported only here)."""

from ._dynamics_figures import draw_branch as draw_branch
from ._dynamics_figures import draw_spectrum as draw_spectrum
from ._figures import draw_recovery as draw_recovery
from ._figures import draw_training as draw_training
from ._page import Page as Page
from ._page import Section as Section
from ._page import Table as Table
from ._page import render_page as render_page
from ._phase_portrait import Portrait as Portrait
from ._phase_portrait import draw_phase_portrait as draw_phase_portrait
