"""Onsets of fixed points and of chaos, and the number of fixed points, beside networks."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg
from limitset.report._panel_axes import make_room


def draw_bifurcations(bifurcations: xarray.Dataset) -> str:
    """Left, onsets against the output gain; middle, complexities; right, networks beside them.

    **Arguments:** `bifurcations`, as `limitset.panels.compute_bifurcations` returns it.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.2), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _draw_onsets(left, bifurcations)
        _draw_complexities(middle, bifurcations)
        _draw_decoupling(right, bifurcations)
        return as_svg(figure)


def _draw_onsets(axes: Axes, found: xarray.Dataset) -> None:
    lines = (
        ("critical_gain", CERTIFIED, "-", "zero state unstable above [float64]"),
        ("birth_gain", FREE, "--", "other fixed points above [float64]"),
        ("chaos_gain", STABLE, "-", "chaos above [float64]"),
    )
    for name, colour, style, label in lines:
        axes.plot(found["curve"], found[name], color=colour, ls=style, label=label)
    for name, words, side in (
        ("fixed_point_threshold", "√8 ", "right"),
        ("chaos_threshold", " √12", "left"),
    ):
        axes.axvline(found.attrs[name], color="#999999", lw=0.8, ls=":")
        axes.text(found.attrs[name], 1.66, words, fontsize=8, color="#555555", ha=side)
    axes.set(xlabel="output gain", ylabel="gain", ylim=(1.65, 2.25))
    axes.set_title("what comes first", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")


def _draw_complexities(axes: Axes, found: xarray.Dataset) -> None:
    colours = ("#9a9a9a", STABLE, CERTIFIED)
    for gain, colour in zip(found["output_gain"].values, colours, strict=False):
        line = found["complexity"].sel(output_gain=gain)
        label = f"output gain {gain:g} [float64]"
        axes.plot(found["gain"], line, color=colour, lw=1.3, label=label)
    axes.axvline(2, color="#999999", lw=0.8, ls=":")
    axes.set(xlabel="gain", ylabel="complexity per unit")
    axes.set_title("how many fixed points", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper left")


def _draw_decoupling(axes: Axes, found: xarray.Dataset) -> None:
    axes.plot(
        found["biased_gain"],
        found["biased_complexity"],
        color=FREE,
        ls="--",
        label="complexity per unit [float64]",
    )
    axes.plot(
        found["biased_gain"],
        found["biased_variance"],
        color=STABLE,
        label="variance of h in chaos [float64]",
    )
    across = found["activity"].transpose("seed", "measured_gain").values
    gains = np.broadcast_to(found["measured_gain"], across.shape)
    axes.plot(
        gains.ravel(),
        across.ravel(),
        "o",
        ms=4,
        color=STABLE,
        label=f"variance of h, {found.attrs['units']} units [sampled]",
    )
    axes.set(xlabel="gain")
    make_room(axes, 0.4)
    axes.set_title("output gain 20, output bias 0.5", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper left")
