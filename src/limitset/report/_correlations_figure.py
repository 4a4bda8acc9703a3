"""Autocorrelations of theory and networks, and how their time scale depends on the output gate."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg
from limitset.report._panel_axes import make_room

_COLOURS = ("#777777", STABLE, CERTIFIED, FREE)


def draw_correlations(correlations: xarray.Dataset) -> str:
    """Left, `C_h` of theory through the measured points; right, the lag at which it is halved.

    **Arguments:** `correlations`, as `limitset.panels.compute_correlations` returns it.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_curves(left, correlations)
        _draw_times(right, correlations)
        return as_svg(figure)


def _draw_curves(axes: Axes, found: xarray.Dataset) -> None:
    for case, colour in zip(found["case"].values, _COLOURS, strict=False):
        one = found.sel(case=case)
        sampled = bool((one["theory_error"] > 0).any())
        gates = f"update {float(one['update_gain']):g}, output {float(one['output_gain']):g}"
        label = f"theory, gains of gates: {gates} [{'sampled' if sampled else 'float64'}]"
        axes.plot(one["lag"], one["theory"], color=colour, lw=1.3, label=label)
        if sampled:
            band = one["theory"] - one["theory_error"], one["theory"] + one["theory_error"]
            axes.fill_between(one["lag"], *band, color=colour, alpha=0.2, lw=0)
        axes.errorbar(
            one["lag"][::2],
            one["measured"].mean("seed")[::2],
            yerr=_standard_error(one)[::2],
            fmt=".",
            ms=4,
            lw=0.8,
            color=colour,
        )
    count = found.sizes["seed"]
    networks = "network" if count == 1 else "networks"
    axes.errorbar(
        [],
        [],
        yerr=[],
        fmt=".",
        color=CERTIFIED,
        ms=4,
        label=f"{count} {networks} of {found.attrs['units']} units [sampled]",
    )
    axes.set(xlabel="lag", ylabel="autocorrelation of h")
    make_room(axes, 0.65)
    axes.set_title(f"gain {found.attrs['gain']:g}", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")


def _standard_error(one: xarray.Dataset) -> xarray.DataArray:
    """Of the mean over networks, from between them or within each, whichever is larger."""
    count = one.sizes["seed"]
    within = ((one["measured_error"] ** 2).mean("seed") / count) ** 0.5
    if count == 1:
        return within
    between = one["measured"].std("seed", ddof=1) / count**0.5
    return between.where(between > within, within)


def _draw_times(axes: Axes, found: xarray.Dataset) -> None:
    gains = found["time_gain"].values
    for gain, colour in zip(gains, ("#9a9a9a", STABLE, "#4f4f4f", CERTIFIED), strict=False):
        line = found["half_time"].sel(time_gain=gain)
        label = f"gain {gain:g} [float64]"
        axes.plot(found["curve_output_gain"], line, color=colour, lw=1.3, label=label)
    near = found["near_onset"].sel(time_gain=gains[0])
    axes.plot(
        found["curve_output_gain"],
        near,
        color="#9a9a9a",
        lw=1,
        ls="--",
        label=f"gain {gains[0]:g}, closed form near onset [float64]",
    )
    constant = found.where(found["update_gain"] == 0, drop=True)
    times = constant["measured_half_time"]
    axes.plot(
        np.broadcast_to(constant["output_gain"], times.shape).ravel(),
        times.values.ravel(),
        ".",
        color=FREE,
        label=f"networks, gain {found.attrs['gain']:g} [sampled]",
    )
    axes.set(xlabel="output gain", ylabel="lag at which it is halved", yscale="log")
    make_room(axes, 0.4)
    axes.set_title("update gain 0", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")
