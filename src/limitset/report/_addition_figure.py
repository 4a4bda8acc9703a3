"""How fast the particles of an adding organism replicate, and how well it adds."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg


def draw_addition(addition: xarray.Dataset) -> tuple[str, ...]:
    """Left, replicators by epoch; middle, losses; right, errors of three ways to answer.

    **Arguments:** `addition`, as `limitset.experiments.compute_addition` returns it.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 3.6), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _draw_counts(left, addition)
        _draw_losses(middle, addition)
        _draw_answers(right, addition)
        return (as_svg(figure),)


def _draw_counts(axes: Axes, found: xarray.Dataset) -> None:
    for k, seed in enumerate(found["seed"].values):
        label = "a seed [sampled]" if k == 0 else None
        line = found["replicators"].sel(seed=seed)
        axes.plot(found["epoch"], line, color=STABLE, lw=0.8, alpha=0.6, label=label)
    axes.axhline(found.attrs["particles"], color=CERTIFIED, lw=0.8, ls=":", label="all particles")
    axes.set(xlabel="epoch", ylabel="replicators", ylim=(0, 1.1 * found.attrs["particles"]))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    title = f"{found.attrs['self_steps']} steps of self-training a batch"
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="lower right")


def _draw_losses(axes: Axes, found: xarray.Dataset) -> None:
    for name, colour, words in (
        ("task_loss", FREE, "task: squared error"),
        ("replication_loss", STABLE, "replication, summed"),
    ):
        low, middle, high = found[name].quantile([0, 0.5, 1], "seed").values
        axes.fill_between(found["epoch"], low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(found["epoch"], middle, color=colour, lw=1.3, label=f"{words} [sampled]")
    axes.set(xlabel="epoch", ylabel="loss, median and range over seeds", yscale="log")
    axes.set_title("both goals at once", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")


def _draw_answers(axes: Axes, found: xarray.Dataset) -> None:
    names = ("expanded_error", "plain_error", "path_difference", "projected_error")
    words = ("particles\none by one", "edge\nweights", "difference", "after\nprojection")
    for place, name in enumerate(names):
        values = found[name].values
        axes.plot(np.full(values.size, place), values, "o", ms=3.5, color=STABLE, alpha=0.7)
    axes.set_xticks(range(len(names)), words, fontsize=8)
    axes.set(ylabel="mean absolute error [sampled]", yscale="log", xlim=(-0.5, len(names) - 0.5))
    axes.set_title("after the last epoch: rounding", loc="left", fontsize=10)
