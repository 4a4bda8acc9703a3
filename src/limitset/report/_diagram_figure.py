"""The phase diagram: curves of the theory over what finite networks do."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg

# Variable -> colour, line and words. The evidence of each stands in the words.
_CURVES = {
    "critical_gain": (CERTIFIED, "-", "zero state unstable above [float64]"),
    "birth_gain": (FREE, "--", "other fixed points above [float64]"),
    "chaos_gain": (STABLE, "-", "chaos above, instant output gate [float64]"),
    "marginal_gain": ("#777777", ":", "marginal below, steep update gates [float64]"),
}


def draw_diagram(diagram: xarray.Dataset) -> str:
    """Largest exponents of finite networks as colour, phase boundaries of the theory as lines.

    **Arguments:** `diagram`, as `limitset.panels.compute_diagram` returns it.

    **Returns:** SVG text.
    """
    x, y = diagram.attrs["x"], diagram.attrs["y"]
    exponents = diagram["exponent"].mean("seed").transpose(y, x)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.6), layout="constrained")
        axes = figure.subplots()
        axes.grid(visible=False)
        largest = float(np.nanmax(np.abs(exponents))) or 1.0
        colours = axes.pcolormesh(
            diagram[x],
            diagram[y],
            exponents,
            cmap="RdBu_r",
            norm=TwoSlopeNorm(0, -largest, largest),
            shading="nearest",
            rasterized=True,
        )
        count = diagram.sizes["seed"]
        networks = "network" if count == 1 else "networks, mean"
        figure.colorbar(
            colours,
            label=f"largest exponent, {count} {networks}, {diagram.attrs['units']} units [sampled]",
        )
        _draw_boundaries(axes, diagram, x, y)
        axes.set(xlabel=_words(x), ylabel=_words(y))
        axes.set_xlim(float(diagram[x][0]), float(diagram[x][-1]))
        axes.set_ylim(float(diagram[y][0]), float(diagram[y][-1]))
        if axes.get_legend_handles_labels()[0]:
            figure.legend(fontsize=8, loc="outside upper left", ncols=2)
        return as_svg(figure)


def _draw_boundaries(axes: Axes, diagram: xarray.Dataset, x: str, y: str) -> None:
    if "critical_gain" in diagram:
        for name, (colour, line, label) in _CURVES.items():
            if np.isfinite(diagram[name]).any():
                axes.plot(diagram["curve"], diagram[name], color=colour, ls=line, label=label)
        return
    # No formula for this plane: the theory is known at the grid's points only.
    first = diagram.isel(seed=0).transpose(y, x)
    edge, points = first["zero_edge"], first["points"]
    if np.nanmin(edge, initial=1) < 0 < np.nanmax(edge, initial=-1):
        axes.contour(diagram[x], diagram[y], edge, [0.0], colors=CERTIFIED)
        axes.plot([], color=CERTIFIED, label="zero state unstable beyond [float64]")
    if points.min() < 0.5 < points.max():
        axes.contour(diagram[x], diagram[y], points, [0.5], colors=FREE, linestyles="--")
        axes.plot([], color=FREE, ls="--", label="other fixed points beyond [float64]")


def _words(name: str) -> str:
    return name.replace("_", " ")
