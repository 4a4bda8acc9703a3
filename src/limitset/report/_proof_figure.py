"""One network: exponents, proved Hopf points and the theory of its ensemble along the gain."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg


def draw_proof(found: xarray.Dataset) -> str:
    """Theory, samples and theorems along one axis, each labelled as what it is.

    **Arguments:** `found`, as the panel `proof` of `limitset.panels` computes it.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        units = found.attrs["units"]
        gain = found["gain"].values
        axes.axhline(0, color="#999999", lw=0.8)
        axes.errorbar(
            gain,
            found["exponent"],
            2 * found["standard_error"],
            color=STABLE,
            marker="o",
            ms=3,
            lw=1,
            label=f"largest exponent, this network of {units} units [sampled]",
        )
        below = found.attrs["decays_below"]
        axes.axvspan(
            0, below, color=STABLE, alpha=0.15, lw=0, label="every trajectory decays [verified]"
        )
        _draw_hopf_points(axes, found)
        for name, line, words in (
            ("critical_gain", "-", "zero state unstable above, n -> infinity [float64]"),
            ("birth_gain", "--", "other fixed points above, n -> infinity [float64]"),
        ):
            axes.axvline(found.attrs[name], color=FREE, ls=line, label=words)
        axes.set(xlabel="gain", ylabel="largest exponent", xlim=(0, gain.max()))
        figure.legend(fontsize=8, loc="outside upper left", ncols=1)
        return as_svg(figure)


def _draw_hopf_points(axes: Axes, found: xarray.Dataset) -> None:
    stable = found["cycles_are_stable"].values.astype(bool)
    for mask, face, words in ((stable, CERTIFIED, "stable"), (~stable, "white", "unstable")):
        places = found["hopf_gain"].values[mask]
        if len(places):
            label = f"Hopf point of the zero state, {words} cycles [verified]"
            heights = np.zeros(len(places))
            axes.plot(places, heights, "D", ms=6, mfc=face, mec=CERTIFIED, label=label, zorder=5)
