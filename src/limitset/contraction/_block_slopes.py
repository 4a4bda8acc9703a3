"""What every block theorem asks first: ordinary numbers, and slopes that are known."""

import jax
import numpy as np
from jax.core import Tracer

from limitset._result import InputProblem
from limitset.contraction._operator_bounds import unknown_operator
from limitset.networks import (
    AbstractBlock,
    Activation,
    EquilibriumBlock,
    GradientBlock,
    ResidualBlock,
    UntiedBlock,
    block_at,
)

SimpleBlock = ResidualBlock | GradientBlock | EquilibriumBlock
# The classes that the theorems speak of: exactly these, no subclass.
BLOCKS = (ResidualBlock, GradientBlock, EquilibriumBlock)


def check_numbers(tree: object) -> None:
    """Refuse numbers that no theorem speaks of: NaN, infinite, traced, or of another dtype."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path)
        if isinstance(leaf, Tracer):
            raise InputProblem(f"{name} is traced; certify outside jit, grad and vmap")
        values = np.asarray(leaf)
        if values.dtype not in (np.float32, np.float64):
            raise InputProblem(f"{name} has dtype {values.dtype}; give float32 or float64 weights")
        if not np.isfinite(values).all():
            raise InputProblem(f"{name} holds NaN or infinity; retrain or repair the block")


def layers_of(block: AbstractBlock) -> tuple[SimpleBlock, ...] | str:
    """The blocks that are applied, one for each depth at which weights differ, or why not."""
    given = [block]
    if type(block) is UntiedBlock:
        given = [block_at(block, k) for k in range(block.depth)]
    layers: list[SimpleBlock] = []
    for layer in given:
        if not isinstance(layer, BLOCKS) or type(layer) not in BLOCKS:
            kinds = "residual, gradient and equilibrium blocks, untied or not"
            return f"no theorem speaks about {type(layer).__name__}; those here cover {kinds}"
        operator = layer.operator if isinstance(layer, GradientBlock) else layer.state_operator
        for part in (operator, layer.input_operator):
            unknown = unknown_operator(part)
            if unknown is not None:
                return f"no norm is known of the operator {unknown}; use a DenseOperator of it"
        layers.append(layer)
    return tuple(layers)


def slopes_of(activation: Activation) -> tuple[float, float] | str:
    """The slope interval `[lo, hi]` with `0 <= lo <= hi`, `hi > 0`, or why there is none."""
    interval = activation.slope_interval
    if interval is None:
        return (
            f"the slopes of {activation.name!r} have no proved bound; use relu, tanh or leaky_relu"
        )
    if not 0 <= interval[0] <= interval[1] or not interval[1] > 0:
        return f"the slopes of {activation.name!r} are not in [0, hi]: it is not nondecreasing"
    return interval


def slope_condition(activation: Activation) -> str:
    """The hypothesis on the activation, in words."""
    lo, hi = activation.slope_interval or (0.0, 1.0)
    return f"{activation.name} entry by entry, whose slopes lie in [{lo:g}, {hi:g}]"
