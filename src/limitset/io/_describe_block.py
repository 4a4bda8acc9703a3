"""Blocks of deep networks: residual, gradient and equilibrium blocks, tied and untied."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from limitset._result import InputProblem
from limitset.io._describe_operator import (
    block_activation,
    block_activation_name,
    describe_operator,
    rebuild_operator,
    split_tensors,
)
from limitset.io._entries import Config, Tensors, check_keys, check_tensors
from limitset.networks import (
    AbstractBlock,
    Convolution,
    EquilibriumBlock,
    GradientBlock,
    NegativeGram,
    ResidualBlock,
    UntiedBlock,
    untie,
)

_LARGEST_DEPTH = 2**20


class _Kind(NamedTuple):
    """A class of blocks, its operator of states, and its numbers without axes."""

    block: type[AbstractBlock]
    operator: str
    numbers: tuple[str, ...]


_RESIDUAL = _Kind(ResidualBlock, "state_operator", ("step",))
_KINDS = {
    "nais_dense": _RESIDUAL,
    "nais_conv": _RESIDUAL,
    "gradient_block": _Kind(GradientBlock, "operator", ("step", "leak")),
    "equilibrium_block": _Kind(EquilibriumBlock, "state_operator", ("step",)),
}
BLOCK_KINDS = tuple(_KINDS)


def describe_block(system: AbstractBlock) -> tuple[Config, Tensors]:
    """Activation, operators, and how many blocks stand in depth, if they differ."""
    block: Any = system.layers if isinstance(system, UntiedBlock) else system
    layers = system.depth if isinstance(system, UntiedBlock) else None
    name = _kind_of(block)
    kind = _KINDS[name]
    own, tensors = describe_operator(getattr(block, kind.operator), kind.operator)
    config: Config = {
        "kind": name,
        "activation": block_activation_name(block.activation),
        "layers": layers,
        kind.operator: own,
        "input_operator": None,
    }
    if block.input_operator is not None:
        config["input_operator"], own = describe_operator(block.input_operator, "input_operator")
        tensors |= own
    tensors |= {n: np.asarray(getattr(block, n)) for n in ("bias", *kind.numbers)}
    require_finite(tensors)
    return config, tensors


def rebuild_block(config: Config, tensors: dict[str, Array]) -> AbstractBlock:
    """The block that a description determines."""
    kind = _KINDS[config["kind"]]
    keys = {"kind", "activation", "layers", kind.operator, "input_operator"}
    check_keys(config, keys, set())
    require_finite({name: np.asarray(array) for name, array in tensors.items()})
    layers = config["layers"]
    if layers is None:
        return _rebuild_one(config, kind, tensors)
    if type(layers) is not int or not 0 < layers <= _LARGEST_DEPTH:
        raise InputProblem(f"layers is {layers!r}; null or a positive whole number is needed")
    if any(array.shape[:1] != (layers,) for array in tensors.values()):
        raise InputProblem(f"a tensor of an untied block has no first axis of {layers} layers")
    rows = {name: np.asarray(array) for name, array in tensors.items()}
    each = [{name: jnp.asarray(a[k]) for name, a in rows.items()} for k in range(layers)]
    return untie([_rebuild_one(config, kind, one) for one in each])


def _rebuild_one(config: Config, kind: _Kind, tensors: dict[str, Array]) -> AbstractBlock:
    state, rest = split_tensors(tensors, kind.operator)
    entering, own = split_tensors(rest, "input_operator")
    check_tensors(own, {"bias", *kind.numbers}, set())
    given = config["input_operator"]
    if given is None and entering:
        raise InputProblem(
            f"tensors {sorted(entering)} belong to no input_operator; leave them out"
        )
    operator = None if given is None else rebuild_operator(given, entering)
    activation = block_activation(config["activation"])
    first = rebuild_operator(config[kind.operator], state)
    numbers = (own[name] for name in kind.numbers)
    block = kind.block(first, operator, own["bias"], *numbers, activation)  # pyright: ignore[reportCallIssue]
    if _kind_of(block) != config["kind"]:
        raise InputProblem(
            f"kind {config['kind']!r} does not fit a {config[kind.operator]['kind']} as "
            f"{kind.operator}; {_kind_of(block)!r} does"
        )
    return block


def _kind_of(block: AbstractBlock) -> str:
    # Exact types: a subclass may run something else than what would be stored.
    if type(block) is ResidualBlock:
        operator = block.state_operator
        inner = operator.inner if type(operator) is NegativeGram else operator
        return "nais_conv" if type(inner) is Convolution else "nais_dense"
    for name, kind in _KINDS.items():
        if type(block) is kind.block:
            return name
    raise InputProblem(
        f"block {type(block).__name__} has no place in the model format; save a ResidualBlock, "
        "GradientBlock or EquilibriumBlock, or those untied"
    )


def require_finite(tensors: Tensors) -> None:
    """Refuse NaN and infinity, of which nothing could be said later."""
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not math.prod(array.shape) == np.isfinite(array).sum():
            raise InputProblem(
                f"tensor {name} holds NaN or infinity; store finite numbers, as of an earlier epoch"
            )
