"""How ensembles and axes are written on the command line."""

import math
from collections.abc import Iterable

import numpy as np

from limitset._result import InputProblem
from limitset.networks import GatedParameters
from limitset.panels import VARIABLES, varied

_FLAGS = ("open_update", "open_output")
_MOST_VALUES = 1001


def parse_axis(option: str, word: str) -> tuple[str, tuple[float, ...]]:
    """`NAME=LOW:HIGH:COUNT` as a name and equally spaced values.

    >>> parse_axis("--x", "gain=1:2:3")
    ('gain', (1.0, 1.5, 2.0))
    """
    name, _, rest = word.partition("=")
    parts = rest.split(":")
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        raise InputProblem(f"{option} is {word!r}; give NAME=LOW:HIGH:COUNT") from None
    if len(parts) != 3 or not -math.inf < low < high < math.inf:
        raise InputProblem(f"{option} is {word!r}; give NAME=LOW:HIGH:COUNT with LOW < HIGH")
    if not 2 <= count <= _MOST_VALUES:
        raise InputProblem(f"{option} has {count} values; give from 2 to {_MOST_VALUES}")
    # Rounded, so that a grid does not differ from itself in the last digit.
    return name, tuple(float(v) for v in np.linspace(low, high, count).round(12))


def parse_settings(words: Iterable[str], axes: tuple[str, str]) -> tuple[GatedParameters, float]:
    """`key=value` words as parameters and an input variance; axes are set by themselves.

    >>> parameters, inputs = parse_settings(["update_gain=5", "open_output=true"], ("gain", "x"))
    >>> float(parameters.update_gain), parameters.open_output, inputs
    (5.0, True, 0.0)
    """
    values: dict[str, float] = {}
    flags: dict[str, bool] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key in axes:
            raise InputProblem(f"{key} is an axis and a setting; leave --set {key} out")
        if key in values or key in flags:
            raise InputProblem(f"{key} is set twice; give it once")
        if key in _FLAGS:
            if value not in ("true", "false"):
                raise InputProblem(f"{key} is {value!r}; give true or false")
            flags[key] = value == "true"
            continue
        if key not in VARIABLES:
            known = ", ".join((*VARIABLES, *_FLAGS))
            raise InputProblem(f"setting {key!r} is not known; use one of {known}")
        values[key] = _number(key, value)
    gates = [flags.get(name, False) for name in _FLAGS]
    parameters = GatedParameters(open_update=gates[0], open_output=gates[1])
    return varied(parameters, 0.0, values)


def _number(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not abs(number) < math.inf:
        raise InputProblem(f"{key} is {value!r}; give a finite number")
    return number
