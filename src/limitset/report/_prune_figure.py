"""Accuracy against the share of particles that go, by every rule."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg

# Rule -> colour, line, words.
_LINES = {
    "replication_error": (FREE, "-", "replication error"),
    "activity": (STABLE, "-", "|κ₄| rms(x)"),
    "edge_weight": (STABLE, "--", "|κ₄|"),
    "saliency": (STABLE, ":", "|κ₄ dloss/dκ₄|"),
    "parameters": ("#777777", "--", "sum of |θ|"),
    "random": ("#777777", ":", "random"),
}
# The ranges of all would hide each other.
_SPREAD = ("replication_error", "activity")


def draw_prune(prune: xarray.Dataset) -> tuple[str, ...]:
    """A row for all pixels and one for those that change; left as dropped, right fine-tuned.

    **Arguments:** `prune`, as `limitset.experiments.compute_prune` returns it.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 7.2), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True, sharey=True)
        for row, least in zip(axes, prune["least_deviation"].values, strict=True):
            one = prune.sel(least_deviation=least)
            pixels = "all pixels" if least == 0 else f"pixels of deviation {least:g} or more"
            _draw_rules(row[0], one, "pruned", f"{pixels}, dropped")
            _draw_rules(row[1], one, "tuned", f"{pixels}, dropped and fine-tuned")
            row[0].set_ylabel("test accuracy, mean; some ranges")
        for last in axes[1]:
            last.set_xlabel("share of particles that go")
        handles, labels = axes[0, 1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
        return (as_svg(figure),)


def _draw_rules(axes: Axes, found: xarray.Dataset, name: str, title: str) -> None:
    whole, shares = found["accuracy"].values, np.concatenate([[0.0], found["share"].values])
    for k, rule in enumerate(found.attrs["rules"]):
        colour, style, words = _LINES[rule]
        values = found[name].isel(rule=k).transpose("share", "seed").values
        values = np.concatenate([whole[None], values])
        if rule in _SPREAD:
            low, high = values.min(axis=1), values.max(axis=1)
            axes.fill_between(shares, low, high, color=colour, alpha=0.12, lw=0)
        label = f"{words} [sampled]"
        axes.plot(shares, values.mean(axis=1), color=colour, ls=style, lw=1.3, label=label)
    if name == "tuned" and bool(found["rewound"].notnull().all()):
        mean = found["rewound"].mean("seed")
        label = "|κ₄|, trained anew [sampled]"
        axes.plot(found["share"], mean, "o-", ms=3, lw=1, color=CERTIFIED, label=label)
    part = float((found["replicators"] / found["particles"]).mean())
    axes.axvline(part, color=CERTIFIED, lw=0.8, ls=":", label="share that replicates")
    axes.set(ylim=(0, 1))
    axes.set_title(title, loc="left", fontsize=10)
