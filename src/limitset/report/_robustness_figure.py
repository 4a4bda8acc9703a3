"""Noise: how long replicators last when they apply themselves, and where noisy clones go."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg


def draw_robustness(robustness: xarray.Dataset) -> tuple[str, ...]:
    """One figure: steps until noisy replicators end, and noisy clones that train again.

    **Arguments:** `robustness`, as `limitset.experiments` computes it.

    **Returns:** SVG texts.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_steps(left, robustness)
        _draw_clones(right, robustness)
        return (as_svg(figure),)


def _draw_steps(axes: Axes, found: xarray.Dataset) -> None:
    exponents = found["exponent"].values
    for k, (name, colour) in enumerate(zip(found.attrs["precisions"], (FREE, STABLE), strict=True)):
        one = found["steps"].isel(precision=k)
        axes.fill_between(
            exponents, one.min("seed"), one.max("seed"), color=colour, alpha=0.25, lw=0
        )
        label = f"hand-made, {name} [sampled]"
        axes.plot(exponents, one.mean("seed"), color=colour, lw=1.4, label=label)
    trained = found["trained_steps"].mean("seed")
    axes.plot(exponents, trained, color="#777777", lw=1.2, label="trained, float64 [sampled]")
    theirs = found["published_steps"]
    axes.plot(exponents, theirs, "o", ms=4, color=CERTIFIED, label="hand-made, log of 2019")
    middle = float(found["steps"].isel(precision=1).sel(exponent=4).mean())
    law = middle + float(found["law"]) * (exponents - 4)
    label = f"{float(found['law']):.2f} a decade, kappa_0 -> kappa_0^4"
    axes.plot(exponents, law, ":", color=CERTIFIED, lw=1.0, label=label)
    axes.set(xlabel="noise, 10^-d: d", ylabel="self-applications until it ends", ylim=(0, None))
    axes.set_title("no replicator is stable under self-application", loc="left", fontsize=10)
    axes.legend(fontsize=8)


def _draw_clones(axes: Axes, found: xarray.Dataset) -> None:
    exponents = found["clone_exponent"].values
    ours = found["clones"].mean("seed") / found["clones"].mean("seed").sum("outcome")
    theirs = found["published_clones"] / found["published_clones"].sum("outcome")
    for values, shift, alpha in ((ours, -0.2, 1.0), (theirs, 0.2, 0.45)):
        base = np.zeros(len(exponents))
        for k, colour in enumerate((STABLE, FREE, "#bbbbbb")):
            part = values.isel(outcome=k).values
            label = f"{found.attrs['outcomes'][k]} [sampled]" if shift < 0 else None
            axes.bar(exponents + shift, part, 0.36, base, color=colour, alpha=alpha, label=label)
            base += part
    axes.set_xticks(exponents)
    axes.set(xlabel="noise, up to 10^-d: d", ylabel="part of the clones", ylim=(0, 1.22))
    axes.set_yticks([0, 0.5, 1])
    axes.set_title(
        "clones after training: here | read off a figure (pale)", loc="left", fontsize=10
    )
    axes.grid(visible=False, axis="x")
    axes.legend(fontsize=7, ncols=3, loc="upper center", columnspacing=1.0)
