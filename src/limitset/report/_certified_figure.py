"""Certified accuracy against the radius, and the attack's upper bound beside it."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import STYLE, as_svg

_COLOURS = ("#1b6ca8", "#c9622b", "#2f7d4f", "#7a4fa3", "#80662f", "#111111")
_AXIS = {"euclidean": "radius in the 2-norm", "maximum": "radius in the maximum norm"}


def draw_certified(found: xarray.Dataset) -> str:
    """One panel for each norm: curves of certified accuracy, crosses where an attack stopped.

    **Arguments:** `found`, over `network` and `norm`: `radius_quantile` over `quantile`, equally
    spaced quantiles from 0 to 1 of the certified radii of all images, 0 or negative where the class
    is wrong or unsure; `point` over `place` and `what`: radius, certified and attacked accuracy,
    NaN where there is none; the coordinate `norm` holds `"euclidean"` or `"maximum"`.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        norms = [str(norm) for norm in found["norm"].values]
        figure = Figure(figsize=(4.6 * len(norms), 3.8), layout="constrained")
        panels = figure.subplots(1, len(norms), squeeze=False)[0]
        for axes, norm in zip(panels, norms, strict=True):
            _draw_norm(axes, found.sel(norm=norm))
            axes.set(xlabel=_AXIS[norm], ylabel="share of test images", ylim=(0, 1.02))
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", fontsize=8, ncols=2)
        return as_svg(figure)


def _draw_norm(axes: Axes, one: xarray.Dataset) -> None:
    quantiles = np.linspace(0, 1, one.sizes["quantile"])
    for index, name in enumerate(one["network"].values):
        colour = _COLOURS[index % len(_COLOURS)]
        network = one.sel(network=name)
        radii, points = network["radius_quantile"].values, network["point"].values
        # Images without a radius are below the curve's first point.
        shown = np.where(radii > 0, radii, np.nan)
        axes.plot(shown, 1 - quantiles, color=colour, lw=1.4, label=f"{name} [verified]")
        axes.plot(
            points[:, 0], points[:, 2], "x", color=colour, ms=5, label=f"{name}, attack [sampled]"
        )
    largest = float(np.nanmax(one["point"].values[..., 0]))
    axes.set_xlim(-0.02 * largest, 1.1 * largest)
