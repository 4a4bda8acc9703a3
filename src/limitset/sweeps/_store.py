"""A zarr group in which each point of a sweep is written once, and known to be complete."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray
import zarr
from zarr.storage import MemoryStore

from limitset._result import InputProblem

Axes = Mapping[str, np.ndarray]
Index = tuple[int, ...]

_FORMAT = "limitset-sweep/1"
# Which points are complete: written last, so that an interrupted point is computed again.
_COMPLETE = "complete"
_VARIABLES = "variables"


class SweepStore:
    """The results of a sweep, point by point.

    A point is a chunk of its own: what is complete stays so, whatever happens to the next.

    **Arguments:** `path`, a folder (in memory if `None`); `axes`; `purpose`, all that the results
    depend on: a store that was written for another purpose is refused.
    """

    def __init__(self, path: Path | None, axes: Axes, purpose: Mapping[str, object]) -> None:
        self.axes = axes
        self._path = path
        self._shape = tuple(len(values) for values in axes.values())
        written = {name: values.tolist() for name, values in axes.items()}
        said = {"format": _FORMAT, "axes": written, "purpose": dict(purpose)}
        self._purpose = json.dumps(said, sort_keys=True)
        self._group = self._open(path)

    def _open(self, path: Path | None) -> zarr.Group:
        if path is None:
            group = zarr.open_group(MemoryStore(), mode="w")
        elif path.is_dir() and os.listdir(path):
            with _undamaged(path):
                group = _existing(path)
            if group.attrs.get("sweep") != self._purpose:
                raise InputProblem(
                    f"{path} holds another sweep ({_difference(group, self._purpose)}); choose "
                    "another folder, or remove it"
                )
            return group
        else:
            group = zarr.open_group(str(path), mode="w")
        group.attrs["sweep"] = self._purpose
        self._create(group, _COMPLETE, (), (), np.dtype(bool))
        for name, values in self.axes.items():
            self._create_coordinate(group, name, values)
        return group

    def is_complete(self, index: Index) -> bool:
        """Whether that point has been written wholly."""
        with _undamaged(self._path):
            return bool(np.asarray(_array(self._group, _COMPLETE)[index]))

    def write(self, index: Index, result: xarray.Dataset) -> None:
        """Write all variables of a point, then mark it as complete."""
        for name, variable in result.variables.items():
            values, known = _numbers(str(name), variable.values), str(name) in self._group
            if name in result.coords:
                if not known:
                    self._create_coordinate(self._group, str(name), values)
                continue
            if name in self.axes or name == _COMPLETE:
                raise InputProblem(f"a swept function returns {name}; choose another name")
            if not known:
                inner = tuple(str(dimension) for dimension in variable.dims)
                self._create(self._group, str(name), inner, values.shape, values.dtype)
            array = _array(self._group, str(name))
            if array.shape[len(self._shape) :] != values.shape:
                raise InputProblem(
                    f"{name} has shape {values.shape} here and "
                    f"{array.shape[len(self._shape) :]} elsewhere; return one shape everywhere"
                )
            array[index] = values
        _array(self._group, _COMPLETE)[index] = True

    def read(self) -> xarray.Dataset:
        """All that has been written; points that are not complete are NaN or false."""
        with _undamaged(self._path):
            for name in self._known():
                _array(self._group, name)
            found = xarray.open_zarr(self._group.store, consolidated=False).load()
        # What the caller asked for, whatever has become of the stored axes.
        return found.assign_coords({name: values for name, values in self.axes.items()})

    def _known(self) -> list[str]:
        """The variables that points have."""
        return list(json.loads(str(self._group.attrs.get(_VARIABLES, "[]"))))

    def _create(
        self,
        group: zarr.Group,
        name: str,
        inner: tuple[str, ...],
        shape: tuple[int, ...],
        dtype: np.dtype,
    ) -> None:
        group.create_array(
            name,
            shape=self._shape + shape,
            chunks=(1,) * len(self._shape) + tuple(max(1, n) for n in shape),
            dtype=dtype,
            fill_value=np.nan if dtype.kind == "f" else 0,
            dimension_names=(*self.axes, *inner),
        )
        if name != _COMPLETE:
            group.attrs[_VARIABLES] = json.dumps([*self._known(), name])

    def _create_coordinate(self, group: zarr.Group, name: str, values: np.ndarray) -> None:
        made = group.create_array(
            name, shape=values.shape, dtype=values.dtype, dimension_names=(name,)
        )
        made[...] = values


def _numbers(name: str, values: object) -> np.ndarray:
    """Truth values as they are, all other numbers in float64, so that points agree."""
    array = np.asarray(values)
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind not in "fiu":
        raise InputProblem(
            f"{name} is {array.dtype}; a swept function returns real numbers and truth values"
        )
    return array.astype(np.float64)


def _array(group: zarr.Group, name: str) -> zarr.Array:
    found = group[name]
    if not isinstance(found, zarr.Array):
        raise InputProblem(f"{name} in the store is no array; remove the store, and start anew")
    return found


@contextmanager
def _undamaged(path: Path | None) -> Iterator[None]:
    """Errors that a truncated or removed file gives, whatever their kind, in one line."""
    try:
        yield
    except InputProblem:
        raise
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise InputProblem(
            f"{path} is damaged ({' '.join(str(error).split())}); remove it, and start anew"
        ) from error


def _existing(path: Path) -> zarr.Group:
    """The group of a folder that is not empty."""
    try:
        group = zarr.open_group(str(path), mode="r+")
    except (ValueError, OSError) as error:
        raise InputProblem(
            f"{path} holds files that are no sweep; choose an empty or a new folder"
        ) from error
    if "sweep" not in group.attrs or _COMPLETE not in group:
        raise InputProblem(f"{path} holds a store without a sweep; choose another folder")
    return group


def _difference(group: zarr.Group, wanted: str) -> str:
    """Which entry of the purpose differs first."""
    theirs, ours = json.loads(str(group.attrs["sweep"])), json.loads(wanted)
    for part in ("axes", "purpose"):
        for name in sorted({*theirs.get(part, {}), *ours[part]}):
            if theirs.get(part, {}).get(name) != ours[part].get(name):
                return f"{name} differs"
    return "its format differs"
