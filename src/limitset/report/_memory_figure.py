"""What is left of kicks on frozen units, the law of the gates that freeze them, and a reset."""

import matplotlib
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg

_COLOURS = (STABLE, FREE, "#777777")


def draw_memory(memory: xarray.Dataset) -> str:
    """Left, the update gates; middle, kicks that are kept; right, memories through a reset.

    **Arguments:** `memory`, as `limitset.panels.compute_memory` returns it.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.0), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _draw_gates(left, memory)
        _draw_kicks(middle, memory)
        _draw_reset(right, memory)
        return as_svg(figure)


def _draw_gates(axes: Axes, found: xarray.Dataset) -> None:
    axes.plot(
        found["level"],
        found["theory_gates"],
        color=CERTIFIED,
        lw=1.4,
        label="fixed point, n to infinity [float64]",
    )
    for k, seed in enumerate(found["seed"].values):
        label = f"frozen network, {found.attrs['units']} units [sampled]" if k == 0 else None
        line = found["gates"].sel(seed=seed)
        axes.plot(found["level"], line, ".", ms=3, color=STABLE, label=label)
    axes.set(xlabel="level", ylabel="part of update gates below it", xscale="log", ylim=(0, 0.8))
    axes.set_xticks([1e-300, 1e-200, 1e-100, 1.0])
    axes.set_title("how shut gates are", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper left")


def _draw_kicks(axes: Axes, found: xarray.Dataset) -> None:
    for kick, colour in zip(found["kick"].values, _COLOURS, strict=False):
        one = found["overlap"].sel(kick=kick).mean("seed")
        label = f"kick {kick:g}, frozen units [sampled]"
        axes.plot(found["time"], one, color=colour, lw=1.3, label=label)
    axes.axhline(1, color="#999999", lw=0.8, ls=":")
    axes.set(xlabel="time after the kick", ylabel="what is left of it", ylim=(0, 1.5))
    axes.set_title("integrator", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")


def _draw_reset(axes: Axes, found: xarray.Dataset) -> None:
    one, times = found.mean("seed"), found["reset_time"]
    axes.axvspan(
        0, found.attrs["open_time"], color="#f2e3c9", alpha=0.6, lw=0, label="gates held open"
    )
    for name, colour, words in (
        ("resemblance", STABLE, "its own memory"),
        ("unrelated", FREE, "memories of other starts"),
    ):
        middle, spread = one[name], one[f"{name}_spread"]
        axes.fill_between(times, middle - spread, middle + spread, color=colour, alpha=0.15, lw=0)
        axes.plot(times, middle, color=colour, lw=1.3, label=f"{words} [sampled]")
    axes.axhline(0, color="#999999", lw=0.6)
    axes.set(xlabel="time after gates open", ylabel="correlation with h before", ylim=(-0.6, 1.45))
    axes.set_title(f"reset, {found.attrs['trials']} trials", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")
