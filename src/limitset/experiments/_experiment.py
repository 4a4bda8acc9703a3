"""What an experiment is: settings, what computes it, and its numbers beside the published ones."""

import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import xarray

from limitset._result import InputProblem
from limitset.sweeps import SweepProgress

Report = Callable[[SweepProgress], None]


@dataclass(frozen=True)
class Row:
    """One number of the literature beside ours, as words: least, mean and most over seeds.

    **Arguments:** `quantity`, with its unit; `theirs`, "-" where nothing is published; `ours`.
    """

    quantity: str
    theirs: str
    ours: str


@dataclass(frozen=True)
class Experiment:
    """An experiment by name.

    **Arguments:** `name`; `title`, in one line; `settings`, a frozen dataclass of numbers, words
    and truth values with a default each, `seeds` among them, which refuses what does not fit;
    `compute`, called with settings, a store or `None`, and a report or `None`; `rows` of what it
    found.
    """

    name: str
    title: str
    settings: type
    compute: Callable[[Any, Path | None, Report | None], xarray.Dataset]
    rows: Callable[[xarray.Dataset], tuple[Row, ...]]


def read_settings(kind: type, words: Iterable[str]) -> Any:
    """Settings of this kind from `key=value` words; those that are not named keep their defaults.

    **Raises:** `InputProblem` for words without `=`, unknown or repeated keys, and values that are
    not of the key's type or do not fit.

    >>> @dataclass(frozen=True)
    ... class Plan:
    ...     seeds: int = 3
    ...     noise: float = 0.1
    >>> read_settings(Plan, ["seeds=5"])
    Plan(seeds=5, noise=0.1)
    """
    types_of = typing.get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    values: dict[str, object] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise InputProblem(f"setting {word!r} has no value; give key=value")
        if key not in known:
            raise InputProblem(f"setting {key!r} is not known; use one of {', '.join(known)}")
        if key in values:
            raise InputProblem(f"{key} is set twice; give it once")
        values[key] = _value(key, text, types_of[key])
    return kind(**values)


def _value(key: str, text: str, wanted: Any) -> object:
    if isinstance(wanted, types.UnionType):
        if text == "none" and type(None) in typing.get_args(wanted):
            return None
        wanted = next(kind for kind in typing.get_args(wanted) if kind is not type(None))
    if wanted is bool:
        if text not in ("true", "false"):
            raise InputProblem(f"{key} is {text!r}; give true or false")
        return text == "true"
    try:
        return wanted(text)
    except ValueError:
        name = {int: "a whole number", float: "a number"}.get(wanted, "one of its words")
        raise InputProblem(f"{key} is {text!r}; give {name}") from None
