"""Organisms that tell digits apart: their course, where replicators sit, and what pruning does."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg

_BARS = {
    "accuracy": "all\nparticles",
    "without_replicators": "no\nreplicators",
    "without_activity": "|κ₄|\nrms(x)",
    "without_edge_weight": "|κ₄|",
    "without_parameters": "smallest\nparameters",
    "without_random": "random",
    "without_others": "replicators\nalone",
    "projected_accuracy": "all, after\nprojection",
}


def draw_mnist(mnist: xarray.Dataset) -> tuple[str, ...]:
    """First the course of training; then where replicators sit, why, and what dropping them does.

    **Arguments:** `mnist`, as `limitset.experiments.compute_mnist` returns it.

    **Returns:** SVG texts.
    """
    with matplotlib.rc_context(STYLE):
        course = Figure(figsize=(10.5, 3.4), layout="constrained")
        left, middle, right = course.subplots(1, 3)
        _draw_accuracy(left, mnist)
        _draw_counts(middle, mnist)
        _draw_losses(right, mnist)
        reasons = Figure(figsize=(10.5, 7.0), layout="constrained")
        (first, second), (third, fourth) = reasons.subplots(2, 2)
        _draw_places(first, mnist)
        _draw_slopes(second, mnist)
        _draw_deviations(third, mnist)
        _draw_bars(fourth, mnist)
        return as_svg(course), as_svg(reasons)


def _draw_accuracy(axes: Axes, found: xarray.Dataset) -> None:
    for k, seed in enumerate(found["seed"].values):
        label = "organism, a seed [sampled]" if k == 0 else None
        line = found["accuracy"].sel(seed=seed)
        axes.plot(found["epoch"], line, color=STABLE, lw=0.9, alpha=0.7, label=label)
    for rate, style in zip(found["twin_rate"].values, (":", "--", "-"), strict=False):
        twin = float(found["twin_accuracy"].sel(twin_rate=rate).mean())
        axes.axhline(twin, color=FREE, lw=0.9, ls=style, label=f"plain network, rate {rate:g}")
    axes.set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1))
    axes.set_title(found.attrs["task"], loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="lower right")


def _draw_counts(axes: Axes, found: xarray.Dataset) -> None:
    for k, seed in enumerate(found["seed"].values):
        label = "replicators, a seed [sampled]" if k == 0 else None
        line = found["replicators"].sel(seed=seed)
        axes.plot(found["epoch"], line, color=STABLE, lw=0.9, alpha=0.7, label=label)
    axes.set(xlabel="epoch", ylabel=f"replicators of {found.sizes['particle']}")
    axes.set_ylim(0, None)
    axes.set_title(f"error at most {found.attrs['tolerance']:g}", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="lower right")


def _draw_losses(axes: Axes, found: xarray.Dataset) -> None:
    for name, colour, words in (
        ("task_loss", FREE, "task: cross-entropy"),
        ("replication_loss", STABLE, "replication, summed"),
    ):
        low, middle, high = found[name].quantile([0, 0.5, 1], "seed").values
        axes.fill_between(found["epoch"], low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(found["epoch"], middle, color=colour, lw=1.3, label=f"{words} [sampled]")
    axes.set(xlabel="epoch", ylabel="loss, median and range over seeds", yscale="log")
    title = f"{found.attrs['self_steps']} steps of self-training a batch"
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")


def _draw_places(axes: Axes, found: xarray.Dataset) -> None:
    counts = found["place"].mean("seed")
    image = axes.imshow(counts, cmap="cividis", vmin=0)
    axes.figure.colorbar(image, ax=axes, shrink=0.85, label="replicators, mean over seeds")
    axes.set(xlabel="column", ylabel="row")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False)
    axes.set_title("replicators that hear a pixel", loc="left", fontsize=10)


def _draw_slopes(axes: Axes, found: xarray.Dataset) -> None:
    errors, slopes = found["error"].values.ravel(), found["slope"].values.ravel()
    # Edges that hear nothing have no slope at all: at the left border.
    floor = max(slopes[slopes > 0].min(initial=1.0), 1e-12)
    axes.plot(np.maximum(slopes, floor), errors, ".", ms=2, color=STABLE, alpha=0.35)
    axes.axhline(found.attrs["tolerance"], color=CERTIFIED, lw=0.8, ls=":", label="tolerance")
    axes.set(xscale="log", yscale="log")
    axes.set(
        xlabel="|dloss / dκ₄| of the particle; at the border 0",
        ylabel="replication error [sampled]",
    )
    axes.set_title("what keeps a particle from replicating", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="upper left")


def _draw_deviations(axes: Axes, found: xarray.Dataset) -> None:
    deviation, counts = found["deviation"].values.ravel(), found["place"].values.ravel()
    axes.plot(deviation, counts, ".", ms=4, color=STABLE, alpha=0.4)
    axes.set(xlabel="deviation of the pixel over training images")
    axes.set_ylabel("replicators that hear it")
    axes.set_title("replicators hear pixels that do not change", loc="left", fontsize=10)


def _draw_bars(axes: Axes, found: xarray.Dataset) -> None:
    for place, name in enumerate(_BARS):
        values = found[name]
        if "epoch" in values.dims:
            values = values.isel(epoch=-1)
        axes.plot(np.full(values.size, place), values, "o", ms=4, color=STABLE, alpha=0.7)
        axes.hlines(float(values.median()), place - 0.3, place + 0.3, color=CERTIFIED, lw=1.4)
    axes.set_xticks(range(len(_BARS)), list(_BARS.values()), fontsize=7)
    axes.set(ylabel="test accuracy [sampled]", ylim=(0, 1))
    axes.set_title("as many dropped as there are replicators, by", loc="left", fontsize=10)
