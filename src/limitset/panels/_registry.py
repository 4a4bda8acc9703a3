"""The figures by name: what the command line offers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray

from limitset.panels._bifurcations import compute_bifurcations
from limitset.panels._cells import compute_cells
from limitset.panels._correlations import compute_correlations
from limitset.panels._diagram import Plane, compute_diagram
from limitset.panels._exponents import compute_exponents
from limitset.panels._marginal import compute_marginal
from limitset.panels._memory import compute_memory
from limitset.panels._panel import Effort, Report
from limitset.panels._proof import compute_proof
from limitset.panels._spectra import compute_spectra
from limitset.panels._transition import compute_transition


@dataclass(frozen=True)
class Panel:
    """A figure by name: its title, how much is simulated by default, and what computes it.

    **Arguments:** `name`; `title`, in one line; `effort`, the default; `compute`, called with an
    effort, a store or `None`, and a report or `None`, returns the Dataset that is drawn.
    """

    name: str
    title: str
    effort: Effort
    compute: Callable[[Effort, Path | None, Report | None], xarray.Dataset]


def _standard_diagram(effort: Effort, store: Path | None, report: Report | None) -> xarray.Dataset:
    outputs, gains = np.linspace(0.0, 30.0, 21), np.linspace(1.2, 4.4, 21)
    plane = Plane("output_gain", tuple(outputs.tolist()), "gain", tuple(gains.tolist()))
    return compute_diagram(plane, effort, store=store, report=report)


_ALL = (
    Panel("diagram", "Phases of a gated network", Effort(200, 1, 150.0), _standard_diagram),
    Panel("spectra", "Eigenvalues at chaotic states", Effort(500, 1, 100.0), compute_spectra),
    Panel("correlations", "How long units remember", Effort(1000, 3, 200.0), compute_correlations),
    Panel("exponents", "Lyapunov spectra", Effort(100, 1, 150.0), compute_exponents),
    Panel("bifurcations", "Fixed points and chaos", Effort(1000, 1, 150.0), compute_bifurcations),
    Panel("transition", "Hysteresis and inputs", Effort(400, 1, 100.0), compute_transition),
    Panel("marginal", "Steep update gates", Effort(600, 2, 500.0), compute_marginal),
    Panel("cells", "GRU and LSTM cells", Effort(300, 1, 300.0), compute_cells),
    Panel("memory", "An integrator and its reset", Effort(400, 1, 200.0), compute_memory),
    Panel(
        "proof", "One network: theory, exponents and theorems", Effort(20, 1, 300.0), compute_proof
    ),
)

PANELS: dict[str, Panel] = {panel.name: panel for panel in _ALL}
