"""Batch normalisation inside residual blocks: batch statistics in training, weights at the end."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.dynamics import written_out
from limitset.networks import (
    AbstractOperator,
    Convolution,
    DenseOperator,
    ResidualBlock,
    Stage,
    UntiedBlock,
    block_at,
)

# Added to variances, so that channels that do not vary are not divided by 0.
_FLOOR = 1e-5


class BatchNorm(eqx.Module):
    """`gain (z - mean) / sqrt(variance + 1e-5) + shift` for each channel, before the activation.

    **Arguments:** `gain` and `shift`, shape (d, c): one row for all depths, or a row for each.
    """

    gain: Float[Array, "d c"]
    shift: Float[Array, "d c"]

    def __check_init__(self) -> None:
        if self.gain.ndim != 2 or self.shift.shape != self.gain.shape or 0 in self.gain.shape:
            raise InputProblem(
                f"gain {self.gain.shape} and shift {self.shift.shape} do not fit; give (1, "
                "channels) or (depth, channels) for both"
            )


class Statistics(eqx.Module):
    """Means and variances of the pre-activations, for each depth and channel, shape (k, c).

    Of one depth alone, shape (c,).
    """

    mean: Float[Array, "*k c"]
    variance: Float[Array, "*k c"]


def run_normalised(
    stage: Stage, norm: BatchNorm, inputs: Float[Array, "b m"]
) -> tuple[Float[Array, "b n"], Statistics]:
    """A batch through a stage whose pre-activations are normalised over the batch at each depth.

    **Arguments:** `stage`, of a `ResidualBlock` or an `UntiedBlock` of them; `norm`; `inputs`,
    shape (b, m).

    **Returns:** what leaves the stage, and the statistics of this batch.

    **Raises:** `InputProblem` for other blocks and for sizes that do not fit.
    """
    first = _layer(stage, 0)
    _check(stage, norm)
    shape = (inputs.shape[0], norm.gain.shape[1], -1)
    if stage.start is None:
        x = jnp.zeros((inputs.shape[0], first.state_size), inputs.dtype)
    else:
        x = jax.vmap(stage.start)(inputs)
    held = inputs if first.input_size else inputs[:, :0]
    # What the input adds is computed once where all depths share it.
    tied = None if isinstance(stage.block, UntiedBlock) else jax.vmap(first.enter)(held)

    def step(state: Array, n: Array) -> tuple[Array, Statistics]:
        layer = _layer(stage, n)
        entering = jax.vmap(layer.enter)(held) if tied is None else tied
        z = (jax.vmap(layer.state_operator)(state) + entering).reshape(shape)
        seen = Statistics(z.mean((0, 2)), z.var((0, 2)))
        slope, moved = _affine(norm, seen, n)
        z = (slope[:, None] * z + moved[:, None]).reshape(state.shape)
        return state + layer.step * layer.activation(z), seen

    unroll = written_out(stage.block, stage.depth)
    x, seen = jax.lax.scan(step, x, jnp.arange(stage.depth), unroll=unroll)
    return x if stage.exit is None else jax.vmap(stage.exit)(x), seen


def fold_batch_norm(stage: Stage, norm: BatchNorm, seen: Statistics) -> Stage:
    """The stage with explicit weights: row c of A, B and b times what normalisation makes of it.

    Depths have statistics of their own, so the block becomes an `UntiedBlock`. What holds for A
    need not hold for `G A`: a certificate has to be sought for the block that comes back.

    **Arguments:** as in `run_normalised`, with the statistics to use from now on.

    **Raises:** `InputProblem` for blocks without explicit rows.
    """
    _check(stage, norm)

    def fold(n: Array) -> ResidualBlock:
        layer = _layer(stage, n)
        at_depth = Statistics(seen.mean[n], seen.variance[n])
        slope, moved = _affine(norm, at_depth, n)
        size = layer.state_size
        spread_slope, spread_moved = (jnp.repeat(a, size // slope.size) for a in (slope, moved))
        bias = jnp.repeat(layer.bias, size // layer.bias.size)
        entering = layer.input_operator
        return ResidualBlock(
            _scale_rows(layer.state_operator, slope),
            None if entering is None else _scale_rows(entering, slope),
            spread_slope * bias + spread_moved,
            layer.step,
            layer.activation,
        )

    layers = jax.vmap(fold)(jnp.arange(stage.depth))
    return Stage(UntiedBlock(layers), stage.depth, stage.start, stage.exit)


def count_biases(stage: Stage) -> int:
    """How many biases a stage has, which normalisation takes away again."""
    depths = stage.block.depth if isinstance(stage.block, UntiedBlock) else 1
    return depths * _layer(stage, 0).bias.size


def _affine(
    norm: BatchNorm, seen: Statistics, n: Array
) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
    """Slope and offset that normalisation amounts to at one depth."""
    row = jnp.minimum(n, norm.gain.shape[0] - 1)
    slope = norm.gain[row] / jnp.sqrt(seen.variance + _FLOOR)
    return slope, norm.shift[row] - slope * seen.mean


def _scale_rows(operator: AbstractOperator, slope: Float[Array, " c"]) -> AbstractOperator:
    if isinstance(operator, DenseOperator):
        rows = jnp.repeat(slope, operator.output_size // slope.size)
        return DenseOperator(rows[:, None] * operator.matrix)
    if isinstance(operator, Convolution) and operator.output_channels == slope.size:
        return eqx.tree_at(lambda c: c.taps, operator, slope[:, None, None, None] * operator.taps)
    raise InputProblem(
        f"a {type(operator).__name__} has no rows to scale; batch norm folds into DenseOperator "
        "and Convolution alone"
    )


def _layer(stage: Stage, n: Array | int) -> ResidualBlock:
    layer = block_at(stage.block, n) if isinstance(stage.block, UntiedBlock) else stage.block
    if not isinstance(layer, ResidualBlock):
        raise InputProblem(
            f"a {type(layer).__name__} came; batch norm is for residual blocks, before their "
            "activation"
        )
    return layer


def _check(stage: Stage, norm: BatchNorm) -> None:
    rows, channels = norm.gain.shape
    size = _layer(stage, 0).state_size
    if rows not in (1, stage.depth) or size % channels:
        raise InputProblem(
            f"batch norm of {rows} depths and {channels} channels does not fit {stage.depth} "
            f"depths and a state of {size} numbers"
        )
