"""Hysteresis of the gain, and the largest exponent under constant inputs."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg
from limitset.report._panel_axes import make_room


def draw_transition(transition: xarray.Dataset) -> str:
    """Left, activity as the gain rises and falls; right, exponents against the input variance.

    **Arguments:** `transition`, as `limitset.panels.compute_transition` returns it.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_loop(left, transition)
        _draw_inputs(right, transition)
        return as_svg(figure)


def _draw_loop(axes: Axes, found: xarray.Dataset) -> None:
    axes.axvspan(
        found.attrs["chaos_gain"],
        found.attrs["critical_gain"],
        color="#f2e3c9",
        alpha=0.6,
        lw=0,
        label="chaos beside a stable zero state [float64]",
    )
    axes.plot(
        found["curve"],
        found["chaos_variance"],
        color=CERTIFIED,
        lw=1.4,
        label="chaotic state, n to infinity [float64]",
    )
    words = f"network of {found.attrs['units']} units"
    for name, marker, colour, start in (
        ("falling", "v", STABLE, "gain falling, large start"),
        ("rising", "^", FREE, "gain rising, small start"),
    ):
        for k, seed in enumerate(found["seed"].values):
            label = f"{words}, {start} [sampled]" if k == 0 else None
            line = found[name].sel(seed=seed)
            axes.plot(found["gain"], line, marker, ls="-", lw=0.6, ms=4, color=colour, label=label)
    axes.set(xlabel="gain", ylabel="variance of h")
    make_room(axes, 0.5)
    axes.set_title(f"output gain {found.attrs['output_gain']:g}", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper left")


def _draw_inputs(axes: Axes, found: xarray.Dataset) -> None:
    for gain, colour in zip(found["output_gain"].values, (STABLE, FREE), strict=False):
        theory = found["theory"].sel(output_gain=gain)
        label = f"theory, output gain {gain:g} [float64]"
        axes.plot(found["input_curve"], theory, color=colour, lw=1.3, label=label)
        across = found["exponent"].sel(output_gain=gain).transpose("seed", "input_variance")
        inputs = np.broadcast_to(found["input_variance"], across.shape)
        label = f"networks of {found.attrs['units']} units, output gain {gain:g} [sampled]"
        axes.plot(inputs.ravel(), across.values.ravel(), "o", ms=4, color=colour, label=label)
    axes.axhline(0, color="#999999", lw=0.6)
    axes.set(xlabel="variance of a constant input", ylabel="largest exponent", xscale="log")
    make_room(axes, 0.45)
    axes.set_title(f"gain {found.attrs['input_gain']:g}", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper left")
