"""Deep networks beyond the depth that they were trained for."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg

_COLOURS = (STABLE, FREE, "#777777", "#5a9e6f", "#9467a8", "#c2a000")
# What overflowed leaves the axis at its upper end.
_HIGHEST = 1e3

Curves = Mapping[str, Mapping[str, Sequence[Sequence[float]] | Sequence[float]]]


def draw_depths(curves: Curves) -> str:
    """Left, the cross-entropy at each depth, right, the accuracy; a band from lowest to highest.

    **Arguments:** for each network its `depths`; `accuracy` and `loss` of every seed at these
    depths; and `trained`, the depth that it was trained for, alone in a list.

    **Returns:** SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for (name, curve), colour in zip(curves.items(), _colours(len(curves)), strict=True):
            depths, loss = np.asarray(curve["depths"]), np.asarray(curve["loss"], float)
            bounded = np.clip(np.nan_to_num(loss, nan=_HIGHEST, posinf=_HIGHEST), 1e-4, _HIGHEST)
            _band(left, depths, bounded, colour, f"{name} [sampled]")
            _band(right, depths, np.asarray(curve["accuracy"], float), colour, name)
        trained = sorted({float(np.ravel(curve["trained"])[0]) for curve in curves.values()})
        for axes in (left, right):
            axes.set(xscale="log", xlabel="steps of the last block")
            for depth in trained:
                axes.axvline(depth, color=CERTIFIED, lw=0.8, ls=":")
        left.set(yscale="log", ylabel="cross-entropy, test data")
        left.set_title("loss beyond the trained depth (dotted)", loc="left", fontsize=10)
        right.set(ylabel="accuracy, test data", ylim=(0, 1.02))
        right.set_title("accuracy", loc="left", fontsize=10)
        left.legend(fontsize=8, loc="upper left")
        return as_svg(figure)


def _band(axes: Axes, depths: np.ndarray, values: np.ndarray, colour: str, label: str) -> None:
    low, middle, high = values.min(0), np.median(values, 0), values.max(0)
    axes.fill_between(depths, low, high, color=colour, alpha=0.2, lw=0)
    axes.plot(depths, middle, color=colour, lw=1.4, label=label)


def _colours(count: int) -> list[str]:
    return [_COLOURS[k % len(_COLOURS)] for k in range(count)]
