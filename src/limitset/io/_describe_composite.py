"""Composites and their maps: the descriptions of the parts, and the matrix between them."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Array

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.dynamics import CompositeMap
from limitset.io._entries import Config, Tensors, check_keys, check_word
from limitset.networks import Composite

System = AbstractFlow | AbstractMap
Describe = Callable[[System], tuple[Config, Tensors]]
# It may give what is no system, and then no part.
Rebuild = Callable[[Config, dict[str, Any]], object]

_Kind = TypeVar("_Kind")
_LARGEST_DEPTH = 16
_TENSORS = {"continuous": ("coupling", "speeds"), "discrete": ("mixing",)}


def describe_composite(
    system: Composite | CompositeMap, describe: Describe
) -> tuple[Config, Tensors]:
    """The parts, one by one, their tensors under `part_i.`; then the matrix."""
    _check_depth(system)
    time = "continuous" if isinstance(system, Composite) else "discrete"
    tensors = {name: np.asarray(getattr(system, name)) for name in _TENSORS[time]}
    configs = []
    for index, part in enumerate(system.parts):
        config, own = describe(part)
        configs.append(config)
        tensors |= {f"part_{index}.{name}": array for name, array in own.items()}
    return {"kind": "composite", "time": time, "parts": configs, "discretisation": None}, tensors


def rebuild_composite(config: Config, tensors: dict[str, Array], rebuild: Rebuild) -> System:
    """The system that a description determines."""
    check_keys(config, {"kind", "time", "parts"}, {"discretisation"})
    check_word(config, "time", list(_TENSORS))
    configs = config["parts"]
    if not isinstance(configs, list) or not all(isinstance(part, dict) for part in configs):
        raise InputProblem("parts is not a list of objects; give one configuration each")
    if _config_depth(config) > _LARGEST_DEPTH:
        raise InputProblem(f"composites are nested more than {_LARGEST_DEPTH} deep; flatten some")
    if config.get("discretisation") is not None:
        raise InputProblem("a composite has no discretisation; its map has the time 'discrete'")
    own: list[Tensors] = [{} for _ in configs]
    rest = {}
    for name, array in tensors.items():
        head, _, tail = name.partition(".")
        index = head.removeprefix("part_")
        known = head.startswith("part_") and index.isdecimal() and str(int(index)) == index
        if known and tail and int(index) < len(own):
            own[int(index)][tail] = np.asarray(array)
        else:
            rest[name] = array
    names = _TENSORS[config["time"]]
    if set(rest) != set(names):
        raise InputProblem(f"tensors {sorted(rest)} came beside the parts'; {names} are needed")
    parts = [rebuild(c, t) for c, t in zip(configs, own, strict=True)]
    if config["time"] == "discrete":
        return CompositeMap(_all(parts, AbstractMap), rest["mixing"])
    return Composite(_all(parts, AbstractFlow), rest["coupling"], rest["speeds"])


def _all(parts: list[Any], kind: type[_Kind]) -> tuple[_Kind, ...]:
    for index, part in enumerate(parts):
        if not isinstance(part, kind):
            raise InputProblem(f"part {index} is a {type(part).__name__}, no {kind.__name__}")
    return tuple(parts)


def _check_depth(system: System, depth: int = 1) -> None:
    if depth > _LARGEST_DEPTH:
        raise InputProblem(f"composites are nested more than {_LARGEST_DEPTH} deep; flatten some")
    for part in system.parts if isinstance(system, Composite | CompositeMap) else ():
        _check_depth(part, depth + 1)


def _config_depth(config: Config) -> int:
    """How many composites stand within one another; found without recursion."""
    depth, level = 0, [config]
    while level:
        depth += 1
        parts = [c.get("parts") for c in level if isinstance(c, dict)]
        level = [part for some in parts if isinstance(some, list) for part in some]
    return depth
