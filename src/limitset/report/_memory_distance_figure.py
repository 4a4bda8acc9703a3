"""How well each position is recalled by networks of each size, and the border that theory draws."""

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from limitset.report._figures import FREE, STYLE, as_svg

# The mean absolute error of a constant answer.
_NOTHING = 0.25


def draw_memory_distance(memory: xarray.Dataset) -> tuple[str, ...]:
    """A map of cells and positions for each number of layers, the best of all seeds.

    **Arguments:** `memory`, as the experiment of that name computes it.

    **Returns:** one figure, SVG text.
    """
    layers = memory["layers"].values
    width = 1.6 + (0.42 * memory.sizes["position"] + 0.8) * len(layers)
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(width, 1.5 + 0.42 * memory.sizes["cells"]), layout="constrained")
        panels = figure.subplots(1, len(layers), squeeze=False)[0]
        images = []
        for axes, count in zip(panels, layers, strict=True):
            images.append(_draw_map(axes, memory.sel(layers=count), memory.attrs["cell"]))
            axes.set_title(_title(int(count), memory), loc="left", fontsize=10)
        bar = figure.colorbar(images[0], ax=list(panels), shrink=0.9)
        bar.set_label("mean absolute error")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", fontsize=8)
        return (as_svg(figure),)


def _title(layers: int, memory: xarray.Dataset) -> str:
    seeds = memory.sizes["seed"]
    best = f"best of {seeds} seeds" if seeds > 1 else "one seed"
    return f"{layers} layer{'s' * (layers > 1)}, {best} [sampled]"


def _draw_map(axes: Axes, one: xarray.Dataset, cell: str) -> QuadMesh:
    positions, cells = one["position"].values, one["cells"].values
    best = one["error"].min("seed").transpose("cells", "position").values
    image = axes.pcolormesh(positions, cells, best, cmap="Blues_r", vmin=0, vmax=_NOTHING)
    for row, count in zip(best, cells, strict=True):
        for error, position in zip(row, positions, strict=True):
            colour = "#ffffff" if error < _NOTHING / 2 else "#111111"
            words = f"{error:.2f}"[1:]
            axes.text(position, count, words, ha="center", va="center", fontsize=7, color=colour)
    # A step in the middle between the last position recalled and the next.
    edges = np.append(cells - 0.5, cells[-1] + 0.5)
    border = np.minimum(one["border"].values, positions[-1]) + 0.5
    least = "the most that linear units can recall" if cell == "tanh" else "that of tanh units"
    axes.stairs(
        border, edges, orientation="horizontal", baseline=None, color=FREE, lw=2.2,
        label=f"l(c - 1) + 1 positions, {least}",
    )  # fmt: skip
    axes.set(xlabel="position from the end", ylabel=f"{cell} units in a layer")
    axes.set_xticks(positions)
    axes.set_yticks(cells)
    return image
