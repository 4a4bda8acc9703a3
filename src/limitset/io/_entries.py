"""What the descriptions of all kinds share: checks of words, numbers, names and shapes."""

import math
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.networks import ACTIVATIONS, Activation

Config = dict[str, Any]
Tensors = dict[str, np.ndarray]


def require_one_dtype(tensors: Tensors) -> None:
    """Refuse tensors that are not all float32 or all float64."""
    dtypes = {t.dtype for t in tensors.values()}
    if not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)} or len(dtypes) > 1:
        names = sorted(str(d) for d in dtypes)
        raise InputProblem(
            f"tensors have dtypes {', '.join(names)}; give all of them as float32 or all as float64"
        )


def activation_name(activation: Activation) -> str:
    """The name of an activation in the model format."""
    # A name alone would let another function be stored, and certified, under a known one's name.
    if ACTIVATIONS.get(activation.name) != activation:
        raise InputProblem(
            f"activation {activation.name!r} has no name in the model format, or its name stands "
            f"for another function there; use one of {', '.join(ACTIVATIONS)}"
        )
    return activation.name


def stored_number(config: Config, key: str, dtype: np.dtype) -> float:
    """A number that the weights' dtype holds, so that the network runs with the one written."""
    value = finite(config[key])
    if value is None:
        raise InputProblem(f"{key} is {config[key]!r}; give a finite number")
    with np.errstate(over="ignore", under="ignore"):
        held = float(np.asarray(value).astype(dtype))
    if held != value:
        raise InputProblem(
            f"{key} is {value!r}, but the {dtype} weights run with {held!r}; write that number, or "
            "store the weights as float64"
        )
    return value


def finite(value: object) -> float | None:
    """The value as a float; `None` if it is no number, not finite, or too large for a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def shaped(tensors: dict[str, Array], name: str, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """The tensor of that name, refused if its shape is another."""
    if tensors[name].shape != shape:
        raise InputProblem(f"tensor {name} has shape {tensors[name].shape}; {shape} is needed")
    return tensors[name]


def check_word(config: Config, key: str, known: list[str]) -> None:
    """Refuse a word that is not among those known."""
    if config[key] not in known:
        raise InputProblem(f"{key} {config[key]!r} is not known; use one of {', '.join(known)}")


def check_keys(config: Config, required: set[str], optional: set[str]) -> None:
    """Refuse a configuration with keys missing or unknown."""
    missing, unknown = required - set(config), set(config) - required - optional
    if missing or unknown:
        problem = f"misses {sorted(missing)}" if missing else f"has unknown keys {sorted(unknown)}"
        raise InputProblem(
            f"configuration of kind {config.get('kind')!r} {problem}; see docs/model-format.md"
        )


def check_tensors(tensors: dict[str, Array], required: set[str], optional: set[str]) -> None:
    """Refuse tensors with names missing or unknown."""
    missing, unknown = required - set(tensors), set(tensors) - required - optional
    if missing or unknown:
        problem = f"miss {sorted(missing)}" if missing else f"have unknown names {sorted(unknown)}"
        raise InputProblem(f"the tensors {problem}; see docs/model-format.md")
