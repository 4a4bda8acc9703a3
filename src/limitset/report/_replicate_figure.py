"""How networks come to replicate: counts by kind, turns of both ways, and courses of training."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg

# By kind, in the order of the classes: divergent, zero, identity, secondary, other.
KIND_COLOURS = ("#8c2d2d", "#bbbbbb", STABLE, "#7a5ea8", FREE)


def draw_replicate(replicate: xarray.Dataset) -> tuple[str, ...]:
    """Three figures: counts of networks by kind, fixpoints after turns, and errors in training.

    **Arguments:** `replicate`, as `limitset.experiments` computes it.

    **Returns:** SVG texts.
    """
    return _counts(replicate), _turns(replicate), _courses(replicate)


def _counts(found: xarray.Dataset) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, what, title in (
            (left, "applied", "after 100 self-applications"),
            (right, "trained", f"after {found.attrs['epochs']} epochs of self-training"),
        ):
            _draw_kinds(axes, found, what)
            axes.set_title(title, loc="left", fontsize=10)
        left.set_ylabel("part of the networks")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
        return as_svg(figure)


def _draw_kinds(axes: Axes, found: xarray.Dataset, what: str) -> None:
    """Stacked bars, ours to the left and what is published, pale, to the right of it."""
    names = found.attrs["reductions"]
    ours = found[what].mean("seed").values
    theirs = found[f"published_{what}"].values
    for values, shift, alpha in ((ours, -0.19, 1.0), (theirs, 0.19, 0.45)):
        parts = values / values.sum(axis=1, keepdims=True)
        base = np.zeros(len(names))
        for k, kind in enumerate(found.attrs["kinds"]):
            label = f"{kind} [sampled]" if shift < 0 else None
            axes.bar(
                np.arange(len(names)) + shift,
                parts[:, k],
                0.34,
                base,
                color=KIND_COLOURS[k],
                alpha=alpha,
                label=label,
            )
            base += parts[:, k]
    axes.set_xticks(np.arange(len(names)), [f"{name}\nhere | 2019" for name in names])
    axes.grid(visible=False, axis="x")


def _turns(found: xarray.Dataset) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.subplots()
        for k, (name, colour) in enumerate(
            zip(found.attrs["reductions"], (STABLE, FREE, "#777777"), strict=True)
        ):
            one = found["mixed"].isel(reduction=k)
            axes.fill_between(
                found["trainings"],
                one.min("seed"),
                one.max("seed"),
                color=colour,
                alpha=0.18,
                lw=0,
            )
            axes.plot(
                found["trainings"],
                one.mean("seed"),
                color=colour,
                lw=1.4,
                label=f"{name} [sampled]",
            )
        axes.plot(
            found["trainings"],
            found["published_mixed"],
            "o",
            ms=4,
            color=CERTIFIED,
            label="weightwise, 20 networks, log of 2019",
        )
        axes.set(
            xlabel="trainings after each of 4 self-applications",
            ylabel="part that is a fixpoint",
            ylim=(-0.03, 1.05),
        )
        axes.set_title("self-application and self-training in turns", loc="left", fontsize=10)
        axes.legend(fontsize=8, loc="center right")
        return as_svg(figure)


def _courses(found: xarray.Dataset) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        low, middle, high = (found["error"].isel(part=k).mean("seed") for k in range(3))
        times = found["time"]
        left.fill_between(times, low, high, color=STABLE, alpha=0.2, lw=0, label="10 to 90 %")
        left.plot(times, middle, color=STABLE, lw=1.4, label="median, float32 [sampled]")
        left.axhline(1e-5, color=CERTIFIED, lw=0.8, ls=":", label="tolerance of the labels")
        left.set(xlabel="step", ylabel="largest error of an own weight", yscale="log")
        left.set_title("self-training, 4-2-2-1, colmax", loc="left", fontsize=10)
        left.legend(fontsize=8)
        one = found["rows"].isel(seed=0)
        for j, colour in enumerate((STABLE, FREE, "#7a5ea8", "#777777")):
            lines = right.plot(times, one.isel(component=j), color=colour, lw=0.8, alpha=0.8)
            lines[0].set_label(f"kappa_{j}")
        right.set(xlabel="step", ylabel="kappa of single networks [sampled]")
        right.set_title("they become the function (1, 0, 0, 0)", loc="left", fontsize=10)
        right.legend(fontsize=8)
        return as_svg(figure)
