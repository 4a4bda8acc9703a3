"""What steep update gates do: a slow edge, many slow modes, and states that stand still."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg

# Slower than this in units of h per unit of time, a network counts as standing still.
_STILL = 1e-4


def draw_marginal(marginal: xarray.Dataset) -> str:
    """Left, the edge of the spectrum; middle, the part of slow modes; right, `K f1`.

    **Arguments:** `marginal`, as `limitset.panels.compute_marginal` returns it.

    **Returns:** SVG text.
    """
    units = marginal.attrs["units"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.0), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        networks = f"fixed points of networks of {units} units [sampled]"
        _draw_pair(left, marginal, "edge", networks)
        left.set(ylabel="largest real part", yscale="log", ylim=(1e-4, 0.5))
        _draw_pair(middle, marginal, "slow", networks)
        width = marginal.attrs["width"]
        middle.set(ylabel=f"part of eigenvalues below {width:g}", ylim=(-0.02, 0.55))
        for axes in (left, middle):
            axes.set_title(f"gain {marginal.attrs['gain']:g}", loc="left", fontsize=10)
        _draw_numbers(right, marginal)
        handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, fontsize=8, loc="outside upper left", ncols=2)
        return as_svg(figure)


def _draw_pair(axes: Axes, found: xarray.Dataset, name: str, networks: str) -> None:
    axes.plot(
        found["curve"],
        found[f"theory_{name}"],
        color=CERTIFIED,
        lw=1.4,
        label="theory, n to infinity [float64]",
    )
    across = found[name].transpose("seed", "update_gain").values
    gains = np.broadcast_to(found["update_gain"], across.shape)
    axes.plot(gains.ravel(), across.ravel(), "o", ms=4, color=STABLE, label=networks)
    axes.set(xlabel="update gain", xscale="log")


def _draw_numbers(axes: Axes, found: xarray.Dataset) -> None:
    axes.plot(
        found["gain_curve"],
        found["theory_number"],
        color=CERTIFIED,
        lw=1.4,
    )
    across = found["open_number"].transpose("seed", "gain").values
    still = found["speed"].transpose("seed", "gain").values < _STILL
    gains = np.broadcast_to(found["gain"], across.shape)
    for some, marker, colour, words in (
        (still, "o", STABLE, "stands still"),
        (~still, "x", FREE, "moves on"),
    ):
        label = f"end of a free run, {words} [sampled]"
        axes.plot(gains[some], across[some], marker, ms=5, color=colour, label=label)
    axes.axhline(1, color="#999999", lw=0.8, ls=":")
    axes.set(xlabel="gain", ylabel="K f1")
    title = f"update gain {found.attrs['update_gain']:g}"
    axes.set_title(title, loc="left", fontsize=10)
