"""Operators and activations of blocks, as configurations and tensors."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Array

from limitset._result import InputProblem
from limitset.io._entries import Config, Tensors, check_tensors
from limitset.networks import (
    AbstractOperator,
    Activation,
    Convolution,
    DenseOperator,
    MeanPool,
    NegativeGram,
    Padding,
    find_activation,
)

_LARGEST_SIDE, _LARGEST_STATE = 2**16, 2**26
_IMAGE = ("height", "width", "stride")
_POOL = ("channels", "height", "width", "window")


def block_activation_name(activation: Activation) -> str:
    """The name of an activation of a block, leaky ReLU included."""
    # A name alone would let another function be stored, and certified, under a known one's name.
    try:
        known = find_activation(activation.name)
    except InputProblem:
        known = None
    if known != activation:
        raise InputProblem(
            f"activation {activation.name!r} has no name in the model format, or its name stands "
            "for another function there; use one of ACTIVATIONS or leaky_relu(slope)"
        )
    return activation.name


def block_activation(name: Any) -> Activation:
    """The activation of that name, which has one spelling."""
    activation = find_activation(name) if isinstance(name, str) else None
    if activation is None or activation.name != name:
        raise InputProblem(
            f"activation {name!r} is not known; use a name of ACTIVATIONS or leaky_relu:0.125"
        )
    return activation


def describe_operator(operator: AbstractOperator, name: str) -> tuple[Config, Tensors]:
    """Its configuration, and its tensors under `name.`."""
    if type(operator) is DenseOperator:
        return {"kind": "dense"}, {f"{name}.matrix": np.asarray(operator.matrix)}
    if type(operator) is Convolution:
        config: Config = {key: getattr(operator, key) for key in _IMAGE}
        config |= {"kind": "convolution", "padding": str(Padding(operator.padding).value)}
        return config, {f"{name}.taps": np.asarray(operator.taps)}
    if type(operator) is MeanPool:
        return {"kind": "mean_pool", **{key: getattr(operator, key) for key in _POOL}}, {}
    if type(operator) is NegativeGram and type(operator.inner) is not NegativeGram:
        inner, tensors = describe_operator(operator.inner, f"{name}.inner")
        numbers = {"scale": operator.scale, "shift": operator.shift}
        if operator.rates is not None:
            numbers["rates"] = operator.rates
        config = {"kind": "negative_gram", "inner": inner, "rates": operator.rates is not None}
        return config, tensors | {f"{name}.{k}": np.asarray(v) for k, v in numbers.items()}
    raise InputProblem(
        f"operator {type(operator).__name__} has no place in the model format; use DenseOperator, "
        "Convolution, MeanPool, or NegativeGram of one of them"
    )


def rebuild_operator(config: Any, tensors: dict[str, Array]) -> AbstractOperator:
    """The operator that a description determines; its tensors come without prefix."""
    kind = config.get("kind") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in _REBUILD:
        raise InputProblem(
            f"operator {config!r:.80} is not known; give an object whose kind is one of "
            f"{', '.join(_REBUILD)}"
        )
    operator = _REBUILD[kind](config, tensors)
    if not max(operator.input_size, operator.output_size) <= _LARGEST_STATE:
        raise InputProblem(
            f"operator {kind!r} leads from {operator.input_size} to {operator.output_size} "
            f"numbers; at most {_LARGEST_STATE} are possible"
        )
    return operator


def _dense(config: Config, tensors: dict[str, Array]) -> DenseOperator:
    _check_operator(config, (), tensors, {"matrix"})
    return DenseOperator(tensors["matrix"])


def _convolution(config: Config, tensors: dict[str, Array]) -> Convolution:
    _check_operator(config, (*_IMAGE, "padding"), tensors, {"taps"})
    height, width, stride = (_whole(config, key) for key in _IMAGE)
    if config["padding"] not in [word.value for word in Padding]:
        raise InputProblem(
            f"padding {config['padding']!r} is not known; use one of {', '.join(Padding)}"
        )
    return Convolution(tensors["taps"], height, width, Padding(config["padding"]), stride)


def _mean_pool(config: Config, tensors: dict[str, Array]) -> MeanPool:
    _check_operator(config, _POOL, tensors, set())
    return MeanPool(**{key: _whole(config, key) for key in _POOL})


def _negative_gram(config: Config, tensors: dict[str, Array]) -> NegativeGram:
    inner, own = split_tensors(tensors, "inner")
    rates = {"rates"} if config.get("rates") is True else set()
    _check_operator(config, ("inner", "rates"), own, {"scale", "shift"} | rates)
    if not isinstance(config["rates"], bool):
        raise InputProblem(f"rates is {config['rates']!r}; true or false is needed")
    # No Gram of Grams: configurations stay shallow, however they are forged.
    if isinstance(config["inner"], dict) and config["inner"].get("kind") == "negative_gram":
        raise InputProblem("a negative_gram stands within another; give its inner operator")
    operator = rebuild_operator(config["inner"], inner)
    for name in ("scale", "shift"):
        if own[name].shape or not own[name] >= 0:
            raise InputProblem(f"tensor {name} is not one number, 0 or positive; store one")
    if rates and (own["rates"].shape != (operator.input_size,) or not (own["rates"] > 0).all()):
        raise InputProblem(
            f"tensor rates is not {operator.input_size} positive numbers; store one for each unit"
        )
    return NegativeGram(operator, own["scale"], own["shift"], own.get("rates"))


_REBUILD: dict[str, Callable[[Config, dict[str, Array]], AbstractOperator]] = {
    "dense": _dense,
    "convolution": _convolution,
    "mean_pool": _mean_pool,
    "negative_gram": _negative_gram,
}


def split_tensors(
    tensors: dict[str, Array], prefix: str
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Those under `prefix.`, without it, and the others."""
    start = f"{prefix}."
    inside = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
    return inside, {n: t for n, t in tensors.items() if not n.startswith(start)}


def _check_operator(
    config: Config, keys: tuple[str, ...], tensors: dict[str, Array], names: set[str]
) -> None:
    missing, unknown = {"kind", *keys} - set(config), set(config) - {"kind", *keys}
    if missing or unknown:
        problem = f"misses {sorted(missing)}" if missing else f"has unknown keys {sorted(unknown)}"
        raise InputProblem(f"operator {config['kind']!r} {problem}; see docs/model-format.md")
    check_tensors(tensors, names, set())


def _whole(config: Config, key: str) -> int:
    # In JSON true is no number, but in Python it is one.
    value = config[key]
    if type(value) is not int or not 0 < value <= _LARGEST_SIDE:
        raise InputProblem(f"{key} is {value!r}; a whole number of 1 to {_LARGEST_SIDE} is needed")
    return value
