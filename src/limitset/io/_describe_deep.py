"""Deep networks: the descriptions of their stages, and the readout that belongs to them."""

from typing import Any

import numpy as np
from jaxtyping import Array

from limitset._result import InputProblem
from limitset.io._describe_block import (
    BLOCK_KINDS,
    describe_block,
    rebuild_block,
    require_finite,
)
from limitset.io._describe_operator import describe_operator, rebuild_operator, split_tensors
from limitset.io._entries import Config, Tensors, check_keys, check_tensors
from limitset.networks import DeepNetwork, LinearReadout, Stage

_LARGEST_DEPTH, _MOST_STAGES = 2**20, 1024
_OPERATORS = ("start", "exit")


def describe_deep(network: DeepNetwork) -> tuple[Config, Tensors]:
    """Stages one by one, their tensors under `stage_i.`, and the readout."""
    stages, tensors = [], {}
    for index, stage in enumerate(network.stages):
        place = f"stage_{index}"
        block, own = describe_block(stage.block)
        entry: Config = {"block": block, "depth": stage.depth}
        tensors |= {f"{place}.block.{name}": array for name, array in own.items()}
        for name in _OPERATORS:
            operator = getattr(stage, name)
            entry[name] = None
            if operator is not None:
                entry[name], own = describe_operator(operator, f"{place}.{name}")
                tensors |= own
        stages.append(entry)
    tensors["readout.weight"] = np.asarray(network.readout.weight)
    tensors["readout.bias"] = np.asarray(network.readout.bias)
    require_finite(tensors)
    outputs = {"outputs": network.output_size}
    return {"kind": "deep", "stages": stages, "readout": outputs}, tensors


def rebuild_deep(config: Config, tensors: dict[str, Array]) -> DeepNetwork:
    """The network that a description determines."""
    check_keys(config, {"kind", "stages", "readout"}, set())
    entries = config["stages"]
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST_STAGES:
        raise InputProblem(f"stages is no list of 1 to {_MOST_STAGES} objects; give one each")
    require_finite({name: np.asarray(array) for name, array in tensors.items()})
    stages, rest = [], tensors
    for index, entry in enumerate(entries):
        own, rest = split_tensors(rest, f"stage_{index}")
        stages.append(_rebuild_stage(entry, own))
    own, rest = split_tensors(rest, "readout")
    check_tensors(rest, set(), set())
    check_tensors(own, {"weight", "bias"}, set())
    readout = LinearReadout(own["weight"], own["bias"])
    if config["readout"] != {"outputs": readout.bias.shape[0]}:
        raise InputProblem(
            f"readout is {config['readout']!r}; {{'outputs': {readout.bias.shape[0]}}} fits the "
            "tensors"
        )
    return DeepNetwork(tuple(stages), readout)


def _rebuild_stage(entry: Any, tensors: dict[str, Array]) -> Stage:
    keys = {"block", "depth", *_OPERATORS}
    if not isinstance(entry, dict) or set(entry) != keys:
        raise InputProblem(f"a stage needs exactly the keys {', '.join(sorted(keys))}")
    depth, config = entry["depth"], entry["block"]
    if type(depth) is not int or not 0 < depth <= _LARGEST_DEPTH:
        raise InputProblem(f"depth is {depth!r}; a whole number of 1 to {_LARGEST_DEPTH} is needed")
    kind = config.get("kind") if isinstance(config, dict) else None
    if kind not in BLOCK_KINDS:
        raise InputProblem(f"block {kind!r} is not known; use one of {', '.join(BLOCK_KINDS)}")
    own, rest = split_tensors(tensors, "block")
    block, operators = rebuild_block(config, own), {}
    for name in _OPERATORS:
        own, rest = split_tensors(rest, name)
        if entry[name] is None and own:
            raise InputProblem(f"tensors {sorted(own)} belong to no {name}; leave them out")
        operators[name] = None if entry[name] is None else rebuild_operator(entry[name], own)
    check_tensors(rest, set(), set())
    return Stage(block, depth, **operators)
