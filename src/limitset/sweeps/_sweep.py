"""A function at all points of a grid, each point stored as soon as it is known."""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from limitset._result import InputProblem
from limitset.sweeps._store import SweepStore

# More points than this would be a mistake of an axis: a chunk each, a file each.
MOST_POINTS = 1_000_000


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is: points known before it began, points known now, points in all."""

    found: int
    complete: int
    total: int


def sweep(
    function: Callable[..., Mapping[str, Any] | xarray.Dataset],
    axes: Mapping[str, Any],
    *,
    store: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    purpose: str = "",
    report: Callable[[SweepProgress], None] | None = None,
) -> xarray.Dataset:
    """`function` at every point of the grid that `axes` span, as one labelled Dataset.

    With a `store`, each point is written as soon as it is known: a sweep that was interrupted goes
    on where it stopped, and a finished one is read. The first axis varies slowest.

    **Arguments:**

    - `function`: takes one number for each axis and all `settings`, by name, and returns what
      `xarray.Dataset` takes: numbers, or `(dimension, values)`, of the same shapes everywhere.
      Numbers are stored in float64.
    - `axes`: name of each axis and its values, finite and without repeats.
    - `store`: a folder for the zarr store; in memory if omitted.
    - `settings`: further arguments, the same everywhere: numbers, words, truth values.
    - `purpose`: what else tells this sweep from others, such as a version of `function`.
    - `report`: called with the progress, first before any point is computed.

    **Returns:** a Dataset with the axes as coordinates, and the variable `complete`.

    **Raises:** `InputProblem` for axes without values, NaN or repeats, for results of changing
    shape, and for a store of other axes, settings or purpose.

    **Example:**

    >>> squares = sweep(lambda a, b: {"value": a**2 + b}, {"a": [1, 2, 3], "b": [0, 1]})
    >>> squares["value"].sel(a=3, b=1).item(), squares["value"].dims
    (10.0, ('a', 'b'))
    """
    grid = _checked(axes)
    fixed = dict(settings or {})
    for name in fixed:
        if name in grid:
            raise InputProblem(f"{name} is an axis and a setting; give it once")
    known = SweepStore(store, grid, fixed | {"purpose": purpose})
    indices = list(itertools.product(*(range(len(values)) for values in grid.values())))
    missing = [index for index in indices if not known.is_complete(index)]
    found = len(indices) - len(missing)
    for k, index in enumerate([None, *missing]):
        if index is not None:
            point = {name: grid[name][i].item() for name, i in zip(grid, index, strict=True)}
            known.write(index, xarray.Dataset(function(**point, **fixed)))
        if report is not None:
            report(SweepProgress(found, found + k, len(indices)))
    return known.read()


def _checked(axes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The axes as arrays: integers stay integers, all others are float64."""
    if not axes:
        raise InputProblem("a sweep has no axes; give at least one name with its values")
    grid = {}
    for name, values in axes.items():
        array = np.asarray(values)
        if array.dtype.kind not in "iuf" or array.ndim != 1 or array.size == 0:
            raise InputProblem(f"axis {name} is no list of numbers; give one or more numbers")
        if not np.isfinite(array).all():
            raise InputProblem(f"axis {name} holds NaN or an infinity; give finite numbers")
        if len(np.unique(array)) < array.size:
            raise InputProblem(f"axis {name} holds a number twice; give each once")
        grid[name] = array.astype(np.int64 if array.dtype.kind in "iu" else np.float64)
    if math.prod(len(values) for values in grid.values()) > MOST_POINTS:
        raise InputProblem(f"a sweep has more than {MOST_POINTS} points; take shorter axes")
    return grid
