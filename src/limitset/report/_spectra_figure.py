"""Eigenvalues of networks at chaotic states, and the boundary of the bulk over them."""

import matplotlib
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from limitset.report._figures import CERTIFIED, STABLE, STYLE, as_svg


def draw_spectra(spectra: xarray.Dataset) -> str:
    """One picture for each pair of gate gains, of the first network.

    **Arguments:** `spectra`, as `limitset.panels.compute_spectra` returns it.

    **Returns:** SVG text.
    """
    first = spectra.isel(seed=0)
    rows, columns = first["update_gain"].values, first["output_gain"].values
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 7.0), layout="constrained")
        grid = figure.subplots(len(rows), len(columns), squeeze=False)
        for i, update_gain in enumerate(rows):
            for k, output_gain in enumerate(columns):
                axes = grid[i][k]
                _draw(axes, first.isel(update_gain=i, output_gain=k))
                gains = f"update gain {update_gain:g}, output gain {output_gain:g}"
                outside = float(first["outside"][i, k])
                beyond = f"{outside:.2%} outside a margin of {spectra.attrs['margin']:.0%}"
                axes.set_title(f"{gains}\n{beyond}", loc="left", fontsize=9)
                axes.set(xlabel="real part", ylabel="imaginary part")
                axes.label_outer()
        cloud = f"eigenvalues, one network of {spectra.attrs['units']} units [sampled]"
        curve = "boundary of the bulk at this state, n to infinity [float64]"
        lines = [
            Line2D([], [], marker=".", ls="", color=STABLE, ms=4, label=cloud),
            Line2D([], [], color=CERTIFIED, lw=1.2, label=curve),
        ]
        figure.legend(handles=lines, fontsize=8, loc="outside upper left", ncols=2)
        return as_svg(figure)


def _draw(axes: Axes, one: xarray.Dataset) -> None:
    axes.plot(one["real"], one["imaginary"], ".", color=STABLE, ms=1.6, alpha=0.7, rasterized=True)
    for k in range(one.sizes["component"]):
        curve = one.isel(component=k)
        axes.plot(curve["boundary_real"], curve["boundary_imaginary"], color=CERTIFIED, lw=1.2)
    axes.axvline(0, color="#999999", lw=0.6)
    axes.set_aspect("equal", adjustable="datalim")
