"""Lyapunov spectra for several gates, dimensions, and largest exponents beside theory."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg

_COLOURS = ("#9a9a9a", STABLE, CERTIFIED, FREE)
_MARKERS = ("o", "s", "^")


def draw_exponents(exponents: xarray.Dataset) -> str:
    """Above, a spectrum for each update gain and output gain; below, dimensions and largest ones.

    **Arguments:** `exponents`, as `limitset.panels.compute_exponents` returns it.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 6.6), layout="constrained")
        # Three pictures above two: places 0 to 2, and the rest.
        places = figure.subplot_mosaic([[0, 0, 1, 1, 2, 2], [3, 3, 3, 4, 4, 4]])
        for k, update_gain in enumerate(exponents["update_gain"].values):
            _draw_spectra(places[k], exponents.sel(update_gain=update_gain))
            places[k].set_title(f"update gain {update_gain:g}", loc="left", fontsize=10)
        places[0].set_ylabel("exponent i")
        handles, labels = places[0].get_legend_handles_labels()
        words = f"spectra of networks of {exponents.attrs['units']} units [sampled]"
        style = {"fontsize": 8, "title": words, "title_fontsize": 8, "alignment": "left"}
        figure.legend(handles, labels, loc="outside upper left", ncols=4, **style)
        _draw_dimensions(places[3], exponents)
        _draw_largest(places[4], exponents)
        return as_svg(figure)


def _draw_spectra(axes: Axes, found: xarray.Dataset) -> None:
    mean = found["exponent"].mean("seed")
    for gain, colour in zip(found["output_gain"].values, _COLOURS, strict=False):
        one = mean.sel(output_gain=gain)
        axes.plot(found["place"], one, color=colour, lw=1.3, label=f"output gain {gain:g}")
    axes.axhline(0, color="#999999", lw=0.6)
    axes.set_xlabel("i / n")
    # What is far below only says how fast the fastest directions contract.
    axes.set_ylim(-0.9, 0.3)


def _draw_dimensions(axes: Axes, found: xarray.Dataset) -> None:
    mean = found.mean("seed")
    for k, update_gain in enumerate(found["update_gain"].values):
        one = mean.sel(update_gain=update_gain)
        colour, marker = _COLOURS[1 + k], _MARKERS[k]
        style = {"color": colour, "marker": marker, "ms": 4, "lw": 1}
        axes.plot(
            found["output_gain"],
            one["dimension"],
            ls="-",
            label=f"Kaplan-Yorke dimension, update gain {update_gain:g} [sampled]",
            **style,
        )
        axes.plot(found["output_gain"], one["near_zero"], ls=":", mfc="none", **style)
    axes.plot([], [], ls=":", color=CERTIFIED, label="exponents within 0.02 of zero [sampled]")
    axes.set(xlabel="output gain", ylabel="per unit", ylim=(-0.02, 1.0))
    axes.legend(fontsize=7.5, loc="upper left")


def _draw_largest(axes: Axes, found: xarray.Dataset) -> None:
    axes.plot(
        found["curve"],
        found["theory"],
        color=CERTIFIED,
        lw=1.4,
        label="theory, n to infinity [float64]",
    )
    small = found["exponent"].sel(update_gain=0.0).isel(place=0)
    pairs = (
        (found["large_exponent"], "s", STABLE, found.attrs["large_units"]),
        (small, "o", FREE, found.attrs["units"]),
    )
    for values, marker, colour, units in pairs:
        across = values.transpose("seed", "output_gain").values
        gains = np.broadcast_to(found["output_gain"], across.shape)
        label = f"networks of {units} units [sampled]"
        axes.plot(gains.ravel(), across.ravel(), marker, ms=4, color=colour, label=label)
    axes.axhline(0, color="#999999", lw=0.6)
    axes.set(xlabel="output gain", ylabel="largest exponent, update gain 0")
    axes.legend(fontsize=8, loc="lower right")
