"""Depth that each sample chooses: what it buys, which classes take it, and which images."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset._result import InputProblem
from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg

_CURVES = (
    ("certified", CERTIFIED, "o-", "each at its depth, by a certified bound"),
    ("raw", FREE, "s--", "each at its depth, by a raw threshold"),
    ("fixed", STABLE, "^:", "all at one depth"),
)
_EXAMPLES = 8


def draw_depth(found: xarray.Dataset) -> str:
    """Left, accuracy against mean depth; middle, depths by class; right, shallow and deep images.

    **Arguments:** `found`, with `depth` and `label` over `sample`; `image` over `sample`, `row` and
    `column`; for each of `certified`, `raw` and `fixed` a depth and an accuracy, as `raw_depth` and
    `raw_accuracy`, over a dimension of their own; the attributes `tolerance` and `data`.

    **Returns:** SVG text.

    **Raises:** `InputProblem` for fewer than 16 samples.
    """
    if found.sizes["sample"] < 2 * _EXAMPLES:
        raise InputProblem(
            f"{found.sizes['sample']} samples came; the figure shows {2 * _EXAMPLES} of them"
        )
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 3.6), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 0.9))
        _draw_curves(left, found)
        _draw_classes(middle, found)
        _draw_images(right, found)
        return as_svg(figure)


def _draw_curves(axes: Axes, found: xarray.Dataset) -> None:
    for name, colour, style, label in _CURVES:
        axes.plot(
            found[f"{name}_depth"],
            found[f"{name}_accuracy"],
            style,
            color=colour,
            ms=4,
            lw=1.2,
            label=f"{label} [float64]",
        )
    axes.set(xscale="log", xlabel="mean depth", ylabel="test accuracy")
    axes.set_title(found.attrs["data"], loc="left", fontsize=10)
    axes.legend(fontsize=8)


def _draw_classes(axes: Axes, found: xarray.Dataset) -> None:
    classes = np.unique(found["label"].values)
    depths = [found["depth"].values[found["label"].values == c] for c in classes]
    axes.boxplot(
        depths,
        tick_labels=[str(c) for c in classes],
        flierprops={"markersize": 2, "markeredgecolor": STABLE},
        medianprops={"color": CERTIFIED},
    )
    axes.set(xlabel="class", ylabel="depth")
    axes.set_title(f"error at most {found.attrs['tolerance']:g}", loc="left", fontsize=10)


def _draw_images(axes: Axes, found: xarray.Dataset) -> None:
    """The shallowest samples above, the deepest below."""
    order = np.argsort(found["depth"].values, kind="stable")
    images = found["image"].values
    rows = [np.hstack(list(images[picked])) for picked in (order[:4], order[4:8])]
    deep = order[::-1]
    rows += [np.hstack(list(images[picked])) for picked in (deep[:4], deep[4:8])]
    gap = np.full((max(2, images.shape[1] // 5), rows[0].shape[1]), images.min())
    axes.imshow(np.vstack([*rows[:2], gap, *rows[2:]]), cmap="gray_r", interpolation="nearest")
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[])
    shallow, deepest = found["depth"].values[order[0]], found["depth"].values[order[-1]]
    axes.set_title(f"above from depth {shallow}, below up to {deepest}", loc="left", fontsize=10)
