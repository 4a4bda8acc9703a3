"""How many particles reach two goals, by steps of training, beside those with one goal."""

import matplotlib
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import FREE, STABLE, STYLE, as_svg


def draw_goals(goals: xarray.Dataset) -> tuple[str, ...]:
    """A picture for each width: parts that reach both goals, or replicate without the task.

    **Arguments:** `goals`, as `limitset.experiments.compute_goals` returns it.

    **Returns:** SVG text.
    """
    widths = goals["width"].values
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.7 * len(widths), 3.0), layout="constrained")
        places = figure.subplots(1, len(widths), sharey=True, squeeze=False)[0]
        for axes, width in zip(places, widths, strict=True):
            _draw_width(axes, goals.sel(width=width))
            axes.set_title(f"width {int(width)}", loc="left", fontsize=10)
        places[0].set_ylabel("part of the particles")
        places[0].legend(fontsize=7.5, loc="upper left")
        return (as_svg(figure),)


def _draw_width(axes: Axes, found: xarray.Dataset) -> None:
    steps = found["step"].values
    for name, colour, words in (
        ("both", STABLE, "both goals [sampled]"),
        ("alone", FREE, "replication alone [sampled]"),
    ):
        low, high = found[name].min("seed"), found[name].max("seed")
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(steps, found[name].mean("seed"), color=colour, lw=1.3, label=words)
    axes.set(xlabel="steps", ylim=(-0.03, 1.03))
