"""Deep networks run in ball arithmetic: one input, all depths."""

from flint import arb, arb_mat

from limitset.checker._blocks import Block, Layer, Stage
from limitset.checker._operators import Vector, adjoint, apply
from limitset.checker._particle import SMOOTH


def run(stages: tuple[Stage, ...], weight: arb_mat, bias: Vector, u: Vector) -> Vector:
    """The scores of one input."""
    for stage in stages:
        x = [arb(0)] * stage.block.states if stage.start is None else apply(stage.start, u)
        last = len(stage.block.layers) - 1
        drives = [_drive(layer, u) for layer in stage.block.layers]
        for k in range(stage.depth):
            x = _step(stage.block, stage.block.layers[min(k, last)], x, drives[min(k, last)])
        u = x if stage.exit is None else apply(stage.exit, x)
    image = (weight * arb_mat(len(u), 1, u)).entries()
    return [y + b for y, b in zip(image, bias, strict=True)]


def _drive(layer: Layer, u: Vector) -> Vector:
    if layer.entering is None:
        return layer.bias
    return [y + b for y, b in zip(apply(layer.entering, u), layer.bias, strict=True)]


def _step(block: Block, layer: Layer, x: Vector, drive: Vector) -> Vector:
    z = [a + b for a, b in zip(apply(layer.operator, x), drive, strict=True)]
    y = [_activate(block, value) for value in z]
    if block.kind == "gradient_block":
        y = [-value for value in adjoint(layer.operator, y)]
        keep = 1 - layer.step * layer.leak
    else:
        keep = 1 - layer.step if block.kind == "equilibrium_block" else arb(1)
    return [keep * a + layer.step * b for a, b in zip(x, y, strict=True)]


def _activate(block: Block, z: arb) -> arb:
    if block.activation == "relu":
        return z.max(arb(0))
    if block.activation.startswith("leaky_relu:"):
        return z.max(z * float(block.activation.partition(":")[2]))
    return SMOOTH[block.activation](z)[0]
