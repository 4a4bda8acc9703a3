"""GRU and LSTM cells: spectra over boundaries, phases of the reset gate, initialisations."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg
from limitset.report._panel_axes import make_room

_KINDS = ("GRU, reset before", "GRU, reset after", "LSTM")
# A mean square below this is silence.
_SILENT = 1e-4


def draw_cells(cells: xarray.Dataset) -> str:
    """Above, eigenvalues of three kinds of cells; below, phases and the edge of initialisation.

    **Arguments:** `cells`, as `limitset.panels.compute_cells` returns it.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 7.4), layout="constrained")
        above, below = figure.subplots(2, 3)
        first = cells.isel(seed=0)
        for kind, axes in enumerate(above):
            _draw_spectrum(axes, first.sel(kind=kind), _KINDS[kind])
        words = f"cells of {cells.attrs['units']} units [sampled]"
        handles = [
            Line2D([], [], marker=".", ls="", color=STABLE, ms=4, label=f"eigenvalues, {words}"),
            Line2D([], [], color=CERTIFIED, label="boundary, n to infinity [float64]"),
            Line2D([], [], color="#aaaaaa", ls="--", label="unit circle"),
        ]
        figure.legend(handles=handles, fontsize=8, loc="outside upper left", ncols=3)
        for kind in cells["phase_kind"].values:
            _draw_phases(below[kind], cells.sel(phase_kind=kind), _KINDS[kind])
        _draw_edges(below[2], cells)
        return as_svg(figure)


def _draw_spectrum(axes: Axes, one: xarray.Dataset, name: str) -> None:
    axes.plot(one["real"], one["imaginary"], ".", color=STABLE, ms=1.8, alpha=0.7, rasterized=True)
    for k in range(one.sizes["component"]):
        curve = one.isel(component=k)
        axes.plot(curve["boundary_real"], curve["boundary_imaginary"], color=CERTIFIED, lw=1.2)
    angle = np.linspace(0, 2 * np.pi, 181)
    axes.plot(np.cos(angle), np.sin(angle), color="#aaaaaa", ls="--", lw=0.8)
    axes.set_aspect("equal", adjustable="datalim")
    beyond = f"{float(one['outside']):.2%} outside a margin of {one.attrs['margin']:.0%}"
    axes.set_title(f"{name}\n{beyond}", loc="left", fontsize=9)
    axes.set(xlabel="real part")


def _draw_phases(axes: Axes, found: xarray.Dataset, name: str) -> None:
    axes.axhline(2, color=CERTIFIED, lw=1.2, label="zero state unstable above [float64]")
    axes.plot(
        found["reset_curve"],
        found["birth_gain"],
        color=FREE,
        ls="--",
        label="other fixed points above [float64]",
    )
    active = found["activity"].mean("seed").transpose("candidate_gain", "reset_gain") > _SILENT
    resets, candidates = np.meshgrid(found["reset_gain"], found["candidate_gain"])
    words = f"{found.attrs['units']} units"
    for state, fill, label in ((True, STABLE, "active"), (False, "none", "silent")):
        some = active.values == state
        axes.plot(
            resets[some],
            candidates[some],
            "o",
            ms=4,
            color=STABLE,
            mfc=fill,
            label=f"cells of {words}, {label} [sampled]",
        )
    axes.set(xlabel="reset gain", ylabel="gain of the candidate")
    make_room(axes, 0.55)
    axes.set_title(name, loc="left", fontsize=9)
    axes.legend(fontsize=7.5, loc="upper right")


def _draw_edges(axes: Axes, found: xarray.Dataset) -> None:
    axes.plot(
        found["forget_curve"],
        found["theory_edge"],
        color=CERTIFIED,
        label="zero state, n to infinity [float64]",
    )
    across = found["edge"].transpose("seed", "forget_bias").values
    biases = np.broadcast_to(found["forget_bias"], across.shape)
    label = f"cells of {found.attrs['units']} units [sampled]"
    axes.plot(biases.ravel(), across.ravel(), "o", ms=4, color=STABLE, label=label)
    axes.axhline(1, color="#aaaaaa", ls="--", lw=0.8)
    axes.set(xlabel="forget bias", ylabel="largest modulus")
    axes.set_title("LSTM, uniform weights", loc="left", fontsize=9)
    axes.legend(fontsize=8, loc="lower right")
