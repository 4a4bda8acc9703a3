"""Soups: replicators for each number of trainings, courses in a plane, and a moving picture."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg
from limitset.report._moving_soup import draw_moving_soup, view_of
from limitset.report._replicate_figure import KIND_COLOURS


def draw_soup(soup: xarray.Dataset) -> tuple[str, ...]:
    """Four figures: both soups of 2019, one soup in full, large soups, and a moving picture.

    **Arguments:** `soup`, as `limitset.experiments` computes it.

    **Returns:** SVG texts; the last one moves, by itself and without scripts.
    """
    return _tables(soup), _one_soup(soup), _large_soups(soup), draw_moving_soup(soup)


def _tables(found: xarray.Dataset) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 3.2), layout="constrained")
        for axes, what, title, words in zip(
            figure.subplots(1, 2, sharey=True),
            ("attacks", "lessons"),
            ("attacks, 5 epochs", "lessons from each other, 100 epochs"),
            ("trainings of each network per epoch", "trainings per lesson"),
            strict=True,
        ):
            one, steps = found[what], found["trainings"]
            axes.fill_between(
                steps, one.min("seed"), one.max("seed"), color=STABLE, alpha=0.2, lw=0
            )
            label = f"mean of {found.attrs['trials']} soups a seed [sampled]"
            axes.plot(steps, one.mean("seed"), color=STABLE, lw=1.4, label=label)
            theirs = found[f"published_{what}"]
            axes.plot(steps, theirs, "o", ms=4, color=CERTIFIED, label="log of 2019")
            axes.set(xlabel=words, ylim=(-0.3, 10.3))
            axes.set_title(title, loc="left", fontsize=10)
            axes.legend(fontsize=8, loc="lower right")
        figure.axes[0].set_ylabel("replicators of ten")
        return as_svg(figure)


def _one_soup(found: xarray.Dataset) -> str:
    one = found.isel(seed=0)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_courses(left, one)
        _draw_kinds(right, one)
        return as_svg(figure)


def _draw_courses(axes: Axes, one: xarray.Dataset) -> None:
    places, kinds = one["places"].values, one["kinds"].values.astype(int)
    lowest, highest = view_of(places)
    # A network that was replaced does not move to where the new one began.
    renewed = np.concatenate([np.zeros((1, kinds.shape[1]), bool), one["renewed"].values > 0])
    for k in range(kinds.shape[1]):
        broken = np.where(renewed[:, k, None], np.nan, places[:, k])
        axes.plot(*broken.T, color="#9a9a9a", lw=0.6, alpha=0.7, zorder=1)
        colour = KIND_COLOURS[kinds[-1, k]]
        axes.plot(*places[0, k], "o", ms=3, mfc="white", mec="#777777", mew=0.7)
        axes.plot(*places[-1, k], "o", ms=5, color=colour, zorder=3)
    first, second = one["variance"].values
    room = 0.15 * (highest - lowest)
    axes.set(
        xlim=(lowest[0] - room[0], highest[0] + room[0]),
        ylim=(lowest[1] - room[1], highest[1] + room[1]),
        xlabel=f"first principal component, {first:.0%} of the variance",
        ylabel=f"second, {second:.0%}",
    )
    axes.set_title("courses of a soup's weights, from open to full", loc="left", fontsize=10)


def _draw_kinds(axes: Axes, one: xarray.Dataset) -> None:
    kinds = one["kinds"].values
    parts = [(kinds == k).sum(axis=1) for k in range(len(one.attrs["kinds"]))]
    labels = [f"{name} [sampled]" for name in one.attrs["kinds"]]
    axes.stackplot(np.arange(len(kinds)), parts, colors=KIND_COLOURS, labels=labels, alpha=0.85)
    axes.set(xlabel="epoch", ylabel="networks", xlim=(0, len(kinds) - 1), ylim=(0, kinds.shape[1]))
    axes.set_title("its networks by kind", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="lower right", frameon=True, framealpha=0.9, edgecolor="none")


def _large_soups(found: xarray.Dataset) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for k, (order, dashes) in enumerate(zip(found.attrs["orders"], ("-", "--"), strict=True)):
            counts = found["counts"].isel(order=k).mean("seed")
            for j, kind in enumerate(found.attrs["kinds"]):
                if float(counts.isel(kind=j).max()) > 0:
                    label = f"{kind}, {order} [sampled]"
                    line = counts.isel(kind=j)
                    left.plot(line, dashes, color=KIND_COLOURS[j], lw=1.3, label=label)
            for j, colour in enumerate((STABLE, FREE)):
                part = float(found["part"][j])
                label = f"{part:.0%} are nearer, {order} [sampled]"
                away = found["distance"].isel(order=k, part=j).median("seed")
                right.plot(away, dashes, color=colour, lw=1.3, label=label)
        left.set(xlabel="epoch", ylabel=f"part of {found.attrs['large']} networks")
        left.set_title("large soups by kind", loc="left", fontsize=10)
        left.legend(fontsize=7)
        right.set(xlabel="epoch", ylabel="|kappa - (1, 0, 0, 0)|", yscale="log")
        right.set_title("how near they are to identity functions", loc="left", fontsize=10)
        right.legend(fontsize=7)
        return as_svg(figure)
