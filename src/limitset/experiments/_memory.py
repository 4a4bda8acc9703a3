"""How far back small networks can be trained to look: the random memorisation task."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray

from limitset._result import InputProblem
from limitset.experiments._experiment import Experiment, Report, Row
from limitset.sweeps import sweep
from limitset.training import RecallRecipe, memory_border, train_recall

# A position is recalled where the mean error is below a quarter of that of a constant answer.
RECALLED = 0.0625
_VERSION = "1"

# Mean absolute errors at the border and one position beyond, by (layers, cells), tanh cells: read
# off the heat map of arXiv 2212.11085.
_PUBLISHED = {
    (1, 2): ("0.019", "0.178"),
    (1, 3): ("0.014", "0.161"),
    (1, 4): ("0.013", "0.150"),
    (1, 8): ("0.016", "0.111"),
    (1, 10): ("0.017", "0.114"),
    (1, 15): ("0.035", "0.094"),
    (2, 2): ("0.016", "0.145"),
    (2, 3): ("0.016", "0.125"),
    (2, 4): ("0.018", "0.111"),
    (2, 5): ("0.020", "0.103"),
    (3, 2): ("0.017", "0.135"),
    (3, 3): ("0.04", "0.11"),
    (3, 4): ("0.024", "0.094"),
    (3, 5): ("0.027", "0.102"),
    (5, 2): ("0.024", "0.102"),
    (5, 3): ("0.047", "0.097"),
}
# One cell, whatever the number of layers.
_PUBLISHED_ONE = ("0.020 to 0.048", "about 0.2")


@dataclass(frozen=True)
class MemorySettings:
    """Sizes of the memory-distance study: all stacks of 1 to `layers` layers of 1 to `cells` cells.

    **Arguments:** `layers`, `cells`, `positions`: up to so many; `seeds`; the others as in
    `RecallRecipe`.

    **Raises:** `InputProblem` for numbers that do not fit.
    """

    layers: int = 2
    cells: int = 4
    positions: int = 10
    seeds: int = 4
    cell: str = "tanh"
    longest: int = 20
    shortest: int = 1
    updates: int = 6000
    batch_size: int = 100
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        for name in ("layers", "cells", "positions", "seeds"):
            if not 1 <= getattr(self, name) <= 100:
                raise InputProblem(f"{name} is {getattr(self, name)}; give 1 to 100")
        if self.positions > self.longest:
            raise InputProblem(
                f"positions is {self.positions} and longest {self.longest}; no sequence is so long"
            )
        RecallRecipe(**self.recipe)

    @property
    def recipe(self) -> dict[str, Any]:
        """What networks of all sizes share, as `RecallRecipe` calls it."""
        names = ("cell", "longest", "shortest", "updates", "batch_size", "learning_rate")
        return {name: getattr(self, name) for name in names}


def compute_memory(
    settings: MemorySettings, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """A network for each size, seed and position, trained to recall that position and no other.

    **Arguments:** `settings`; `store`; `report`.

    **Returns:** a Dataset over `layers`, `cells`, `seed` and `position`, counted back from the end,
    with

    - `error`: mean absolute errors of the final weights, 1/4 for a constant answer [sampled].
    - `squared_correlation` of answers and numbers [sampled].
    - `border`, over `layers` and `cells`: the last position that theory expects to be recalled.
    """
    sizes = range(1, settings.layers + 1), range(1, settings.cells + 1)
    found = sweep(
        _recall,
        {"layers": sizes[0], "cells": sizes[1], "seed": range(settings.seeds)},
        store=store,
        settings={"positions": settings.positions, **settings.recipe},
        purpose=f"memory distance {_VERSION}",
        report=report,
    )
    border = [[memory_border(layers, cells) for cells in sizes[1]] for layers in sizes[0]]
    return found.assign(border=(("layers", "cells"), border)).assign_attrs(
        experiment="memory", cell=settings.cell
    )


def _recall(
    layers: int, cells: int, seed: int, positions: int, **recipe: Any
) -> Mapping[str, object]:
    asked = range(1, positions + 1)
    run = train_recall(RecallRecipe(layers, cells, **recipe), asked, jax.random.key(seed))
    return {
        "error": ("position", run.errors),
        "squared_correlation": ("position", run.squared_correlations),
        "position": ("position", np.array(asked)),
    }


def rows_of_memory(found: xarray.Dataset) -> tuple[Row, ...]:
    """The border, the errors on both sides of it, and the capacity, for each size of network."""
    rows = []
    for layers in found["layers"].values:
        for cells in found["cells"].values:
            one = found.sel(layers=layers, cells=cells)
            units = f"{cells} {found.attrs['cell']} unit{'s' * bool(cells > 1)}"
            name = f"{layers} layer{'s' * bool(layers > 1)} of {units}"
            published = _published(int(layers), int(cells), found.attrs["cell"])
            rows += _rows_of_size(name, one, int(one["border"]), published)
    return tuple(rows)


def _published(layers: int, cells: int, cell: str) -> tuple[str, str] | None:
    if cell != "tanh":
        return None
    return _PUBLISHED_ONE if cells == 1 else _PUBLISHED.get((layers, cells))


def _recalled(errors: xarray.DataArray) -> xarray.DataArray:
    """The last position up to which all are recalled, 0 if the first is not."""
    return (errors < RECALLED).cumprod("position").sum("position")


def _rows_of_size(
    name: str, one: xarray.Dataset, border: int, published: tuple[str, str] | None
) -> list[Row]:
    best = int(_recalled(one["error"].min("seed")))
    reach = _range(_recalled(one["error"]), ".3g")
    last = int(one["position"].max())
    theirs = "-" if published is None else f"{border} (heat map)"
    rows = [
        Row(
            f"{name}, last position recalled, {border} expected",
            theirs,
            f"{best} by the best of each position; {reach} over seeds",
        )
    ]
    for k, where in enumerate(("at the border", "one beyond")):
        if border + k <= last:
            at = one["error"].sel(position=border + k)
            rows.append(
                Row(
                    f"{name}, mean absolute error {where}",
                    "-" if published is None else f"{published[k]} (heat map)",
                    f"best {float(at.min()):.3f}; {_range(at, '.3f')}",
                )
            )
    total = one["squared_correlation"].sum("position")
    limit = "-" if published is None else f"at most {border}, for one network"
    what = f"{name}, sum of r^2 over positions 1 to {last}, networks trained apart"
    return [*rows, Row(what, limit, _range(total, ".2f"))]


def _range(values: xarray.DataArray, form: str) -> str:
    ends = (float(values.min()), float(values.mean()), float(values.max()))
    return " / ".join(format(value, form) for value in ends)


MEMORY = Experiment(
    "memory",
    "how far back small networks can be trained to look",
    MemorySettings,
    compute_memory,
    rows_of_memory,
)
