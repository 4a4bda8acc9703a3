"""Figures, as SVG text. Every line that is claimed says its evidence in the legend."""

import io
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colours that differ in lightness too, for print and for colour-blind readers.
STABLE, FREE, CERTIFIED = "#1b6ca8", "#c9622b", "#111111"

STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "font.size": 9,
    "legend.frameon": False,
    # Text stays text: searchable in the page, and no embedded fonts.
    "svg.fonttype": "none",
    "svg.hashsalt": "limitset",
}


def draw_recovery(
    stable: Float[np.ndarray, "b t"],
    free: Float[np.ndarray, "b t"],
    factor: float,
    floor: float,
    title: str,
    start: int = 0,
) -> str:
    """Distances to the clean trajectory, relative to step `start`, on a logarithmic axis.

    **Arguments:** distances per run and step of the certified and of the unconstrained network;
    the certified factor per step; `floor`, the certified float32 gap over the smallest starting
    distance.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.subplots()
        _spread(axes, free, start, FREE, "unconstrained network, measured")
        _spread(axes, stable, start, STABLE, "certified network, measured")
        steps = np.arange(stable.shape[1] - start)
        axes.plot(
            steps + start,
            factor**steps,
            color=CERTIFIED,
            lw=1.6,
            label=f"bound {factor:.4f}^n [verified]",
        )
        if 0 < floor < 1:
            axes.axhline(floor, color=CERTIFIED, lw=0.8, ls=":", label="float32 gap [verified]")
        if start:
            axes.axvspan(0, start, color="#f2e3c9", alpha=0.6, lw=0)
            axes.text(start / 2, 2e-7, "sensor fault", ha="center", color="#80662f")
        axes.set_yscale("log")
        axes.set_ylim(1e-7, 1e2)
        axes.set_xlabel("step")
        axes.set_ylabel("distance to the clean run (relative)")
        axes.set_title(title, loc="left", fontsize=10, parse_math=False)
        axes.legend(loc="upper right", fontsize=8)
        return as_svg(figure)


def draw_training(
    losses: Float[np.ndarray, " t"],
    factors: Float[np.ndarray, " t"],
    free_losses: Float[np.ndarray, " t"],
) -> str:
    """Loss and verified factor per step against the epoch."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 2.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(free_losses, color=FREE, lw=1, label="unconstrained")
        left.plot(losses, color=STABLE, lw=1, label="certified")
        left.set_yscale("log")
        left.set_xlabel("epoch")
        left.set_title("training loss", loc="left", fontsize=10)
        left.legend(fontsize=8)
        right.plot(factors, color=STABLE, lw=1.2)
        right.axhline(1, color=CERTIFIED, lw=0.8, ls=":")
        right.set_xlabel("epoch")
        right.set_title("factor per step [verified]", loc="left", fontsize=10)
        return as_svg(figure)


def _spread(
    axes: Axes, distances: Float[np.ndarray, "b t"], start: int, color: str, label: str
) -> None:
    with np.errstate(all="ignore"):
        relative = distances / distances[:, start : start + 1]
    steps = np.arange(distances.shape[1])
    # Zero distance (equal floats) has no place on a logarithmic axis; what blew up leaves it.
    bounded = np.clip(np.nan_to_num(relative, nan=1e12, posinf=1e12), 1e-12, 1e12)
    low, middle, high = np.quantile(bounded, (0.0, 0.5, 1.0), axis=0)
    axes.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
    axes.plot(steps, middle, color=color, lw=1.4, label=label)


def as_svg(figure: Figure) -> str:
    buffer = io.StringIO()
    # Without metadata, which hold the date and addresses.
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
