"""Diagonal recurrences, and stacks of layers of any kind."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Array

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset.io._entries import (
    Config,
    Tensors,
    activation_name,
    check_keys,
    check_tensors,
    check_word,
)
from limitset.networks import ACTIVATIONS, DiagonalRecurrence, Relay, Stack

_UNITS = ("real", "imaginary", "input_weight", "bias")
_RELAY = ("read", "bias", "write")
_STREAM = ("embedding", "embedding_bias")


def describe_recurrence(system: DiagonalRecurrence) -> tuple[Config, Tensors]:
    """Four tensors."""
    tensors = {name: np.asarray(getattr(system, name)) for name in _UNITS}
    return {"kind": "diagonal_recurrence"}, tensors


def rebuild_recurrence(config: Config, tensors: dict[str, Array]) -> DiagonalRecurrence:
    """The recurrence that a description determines."""
    check_keys(config, {"kind"}, set())
    check_tensors(tensors, {"real", "imaginary"}, {"input_weight", "bias"})
    return DiagonalRecurrence(**tensors)


def describe_stack(
    system: Stack, describe: Callable[[AbstractMap], tuple[Config, Tensors]]
) -> tuple[Config, Tensors]:
    """The stream, and every layer and relay with a prefix; `describe` knows the layers."""
    tensors: Tensors = {name: np.asarray(getattr(system, name)) for name in _STREAM}
    layers, relays = [], []
    for index, layer in enumerate(system.layers):
        config, own = describe(layer)
        layers.append(config)
        tensors |= {f"layer_{index}.{name}": array for name, array in own.items()}
    for index, relay in enumerate(system.relays):
        if type(relay) is not Relay:
            raise InputProblem(
                f"relay {index} is a {type(relay).__name__}, which may run something else than "
                "what would be stored; use a Relay"
            )
        relays.append({"activation": activation_name(relay.activation)})
        tensors |= {f"relay_{index}.{name}": np.asarray(getattr(relay, name)) for name in _RELAY}
    return {"kind": "stack", "layers": layers, "relays": relays}, tensors


def rebuild_stack(
    config: Config,
    tensors: dict[str, Array],
    rebuild: Callable[[Config, dict[str, Any]], object],
) -> Stack:
    """The stack that a description determines; `rebuild` knows the layers."""
    check_keys(config, {"kind", "layers", "relays"}, set())
    layers, relays = config["layers"], config["relays"]
    for name, entries in (("layers", layers), ("relays", relays)):
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputProblem(f"{name} is not a list of objects; give one configuration each")
    groups: dict[str, dict[str, Array]] = {}
    for name, array in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group if rest else "", {})[rest or group] = array
    places = [f"layer_{i}" for i in range(len(layers))], [f"relay_{i}" for i in range(len(relays))]
    unknown = set(groups) - {"", *places[0], *places[1]}
    if unknown:
        raise InputProblem(f"the tensors have unknown prefixes {sorted(unknown)}; see the layers")
    check_tensors(groups.get("", {}), set(_STREAM), set())
    maps = []
    for place, layer in zip(places[0], layers, strict=True):
        system = rebuild(layer, groups.get(place, {}))
        if not isinstance(system, AbstractMap):
            raise InputProblem(f"{place} is a {type(system).__name__}; a stack needs maps")
        maps.append(system)
    built = []
    for place, relay in zip(places[1], relays, strict=True):
        check_keys({"kind": "relay", **relay}, {"kind", "activation"}, set())
        check_word(relay, "activation", list(ACTIVATIONS))
        own = groups.get(place, {})
        check_tensors(own, set(_RELAY), set())
        built.append(Relay(**own, activation=relay["activation"]))
    return Stack(maps, built, **groups[""])
