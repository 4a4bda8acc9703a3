"""Blocks of deep networks, and chains of them, read strictly.

`nais_dense`, `nais_conv`: `x+ = x + step phi(A x + B u + b)`. `equilibrium_block`: `x+ = (1 - step)
x + step phi(A x + B u + b)`. `gradient_block`: `x+ = (1 - step leak) x - step R^T phi(R x + B u +
b)`. Untied, the weights differ from depth to depth; beyond the last block, that is repeated.
"""

import math
import struct
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._document import require, take, take_list, take_tensor
from limitset.checker._network import ACTIVATIONS, Network
from limitset.checker._operators import Operator, Tensors, Vector, read_operator

_RESIDUAL = ("state_operator", ("step",))
_KINDS = {
    "nais_dense": _RESIDUAL,
    "nais_conv": _RESIDUAL,
    "equilibrium_block": _RESIDUAL,
    "gradient_block": ("operator", ("step", "leak")),
}
BLOCK_KINDS = tuple(_KINDS)
_MOST_DEPTH, _MOST_STAGES = 4096, 256


class Layer(NamedTuple):
    """The weights of one step. `operator` is A or R; `bias` has one number for each entry."""

    operator: Operator
    entering: Operator | None
    bias: Vector
    step: arb
    leak: arb

    @property
    def states(self) -> int:
        """Length of the state."""
        return self.operator.inputs


class Block(NamedTuple):
    """One layer, or one for each depth; what is applied has slopes in `[low, high]`."""

    kind: str
    layers: list[Layer]
    activation: str
    low: float
    high: float

    @property
    def states(self) -> int:
        """Length of the state."""
        return self.layers[0].states

    @property
    def inputs(self) -> int:
        """Length of the input, 0 where there is none."""
        entering = self.layers[0].entering
        return 0 if entering is None else entering.inputs


class Stage(NamedTuple):
    """A block, its depth, and the operators before and behind it."""

    block: Block
    depth: int
    start: Operator | None
    exit: Operator | None


def read_block(value: Any) -> Network:
    """The block of a certificate, if its tensors are those that its configuration calls for."""
    config, entries = take(value, "config tensors")
    tensors = _take_tensors(entries)
    block = _read(config, dict(tensors))
    return Network("map", [], tensors, (), (), "block", block.activation, (block,))


def read_deep(value: Any) -> Network:
    """The deep network of a certificate; `parts` are its stages, the readout and its bias."""
    config, entries = take(value, "config tensors")
    _, stages, readout = take(config, "kind stages readout")
    tensors = _take_tensors(entries)
    rest, parts = dict(tensors), []
    require(0 < len(take_list(stages)) <= _MOST_STAGES, "the network has no stages, or too many")
    for index, entry in enumerate(stages):
        parts.append(_read_stage(entry, _group(rest, f"stage_{index}")))
    own = _group(rest, "readout")
    require(set(own) == {"weight", "bias"} and not rest, "the tensors are not those of the network")
    outputs = len(own["bias"].values)
    fits = take(readout, "outputs")[0] == outputs > 0
    fits = fits and own["bias"].shape == (outputs,)
    fits = fits and own["weight"].shape == (outputs, _leaving(parts[-1]))
    for before, after in zip(parts, parts[1:], strict=False):
        fits = fits and _leaving(before) == _entering(after)
    require(fits, "the stages and the readout do not fit")
    weight = arb_mat(outputs, _leaving(parts[-1]), own["weight"].values)
    bias = list(map(arb, own["bias"].values))
    return Network("map", [], tensors, (), (), "deep", "", (tuple(parts), weight, bias))


def _read_stage(entry: Any, tensors: Tensors) -> Stage:
    config, depth, *operators = take(entry, "block depth start exit")
    require(type(depth) is int and 0 < depth <= _MOST_DEPTH, "a depth is no whole number")
    block = _read(config, _group(tensors, "block"))
    start, leaving = (
        None if operator is None else read_operator(operator, tensors, name)
        for operator, name in zip(operators, ("start", "exit"), strict=True)
    )
    stage, n = Stage(block, depth, start, leaving), block.states
    fits = not tensors and (block.inputs > 0 or start is not None)
    fits = fits and (start is None or start.outputs == n)
    fits = fits and (start is None or block.inputs in (0, start.inputs))
    fits = fits and (leaving is None or leaving.inputs == n)
    require(fits, "the parts of a stage do not fit")
    return stage


def _entering(stage: Stage) -> int:
    return stage.block.inputs if stage.start is None else stage.start.inputs


def _leaving(stage: Stage) -> int:
    return stage.block.states if stage.exit is None else stage.exit.outputs


def _read(config: Any, tensors: Tensors) -> Block:
    kind = config.get("kind") if isinstance(config, dict) else None
    require(isinstance(kind, str) and kind in _KINDS, "a block's kind is unknown")
    name, numbers = _KINDS[str(kind)]
    _, activation, count, *_ = take(config, f"kind activation layers {name} input_operator")
    low, high = _slopes(activation)
    layers = []
    for own in _per_layer(tensors, count):
        operator = read_operator(config[name], own, name)
        given = config["input_operator"]
        entering = None if given is None else read_operator(given, own, "input_operator")
        layers.append(_read_layer(operator, entering, own, numbers))
        require(kind == "gradient_block" or _is_square(operator), "an operator is not square")
    return Block(str(kind), layers, str(activation), low, high)


def _read_layer(
    operator: Operator, entering: Operator | None, own: Tensors, numbers: tuple[str, ...]
) -> Layer:
    require(set(own) == {"bias", *numbers}, "the tensors are not those that the block needs")
    bias, n = own.pop("bias"), operator.outputs
    fits = len(bias.shape) == 1 and bias.shape[0] > 0 and n % bias.shape[0] == 0
    fits = fits and all(tensor.shape == () for tensor in own.values())
    fits = fits and (entering is None or entering.outputs == n)
    require(fits, "bias, step and operators of a block do not fit")
    spread = [arb(b) for b in bias.values for _ in range(n // len(bias.values))]
    step, leak = (arb(own[key].values[0]) if key in own else arb(0) for key in ("step", "leak"))
    require(bool(step > 0 and leak >= 0), "the step is not positive, or the leak negative")
    return Layer(operator, entering, spread, step, leak)


def _is_square(operator: Operator) -> bool:
    return operator.inputs == operator.outputs


def _slopes(activation: Any) -> tuple[float, float]:
    """The slopes of an activation, leaky ReLU included, whose smaller one is in its name."""
    name, _, text = activation.partition(":") if isinstance(activation, str) else ("", "", "")
    if name == "leaky_relu":
        slope = float(text)
        require(0 < slope <= 1 and repr(slope) == text, "the slope of leaky ReLU is malformed")
        # In float32 the slope that runs is the nearest one.
        return min(slope, struct.unpack("<f", struct.pack("<f", slope))[0]), 1.0
    require(activation in tuple(ACTIVATIONS), "an activation is unknown")
    return ACTIVATIONS[str(activation)][:2]


def _per_layer(tensors: Tensors, count: Any) -> list[Tensors]:
    """The tensors of each layer: all, where the block is tied; else rows of their first axis."""
    if count is None:
        return [tensors]
    require(type(count) is int and 0 < count <= _MOST_DEPTH, "the number of layers is malformed")
    fits = all(tensor.shape[:1] == (count,) for tensor in tensors.values())
    require(fits, "a tensor of an untied block has no axis of layers")
    layers: list[Tensors] = [{} for _ in range(count)]
    for name, tensor in tensors.items():
        shape = tensor.shape[1:]
        size = math.prod(shape)
        for k, own in enumerate(layers):
            values = tensor.values[k * size : (k + 1) * size]
            own[name] = tensor._replace(shape=shape, raw=b"", values=values)
    return layers


def _take_tensors(entries: Any) -> Tensors:
    require(isinstance(entries, dict), "the tensors are missing")
    tensors = {name: take_tensor(entry, 5) for name, entry in entries.items()}
    require(len({tensor.dtype for tensor in tensors.values()}) == 1, "the tensors differ in dtype")
    return tensors


def _group(tensors: Tensors, prefix: str) -> Tensors:
    """Those under `prefix.`, without it; they are taken out of the others."""
    start = f"{prefix}."
    names = [name for name in tensors if name.startswith(start)]
    return {name.removeprefix(start): tensors.pop(name) for name in names}
