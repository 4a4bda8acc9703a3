"""How far a computed step of a block may be from the exact one, before any state is known."""

import jax
import jax.numpy as jnp
import numpy as np

from limitset._result import InputProblem
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._size import error_of
from limitset.dynamics import Roundoff, StateNorm
from limitset.networks import (
    AbstractOperator,
    Convolution,
    DenseOperator,
    EquilibriumBlock,
    GradientBlock,
    NegativeGram,
    ResidualBlock,
)
from limitset.proofs import (
    Ball,
    convolution_norm_upper,
    convolution_row_sums,
    inf_norm_upper,
    nonnegative_two_norm_upper,
)

# For the products of a few roundings with each other, and dot products of up to a hundredth of
# 1 / u terms.
_SLACK = 1.05
# An activation's relative error in units of its dtype's roundoff, as it is assumed of the runtime.
_ACTIVATION_UNITS = 32
_FEW = 12


def block_roundoff(
    block: ResidualBlock | GradientBlock | EquilibriumBlock, norm: StateNorm
) -> Roundoff:
    """Rounding of one step in the dtype of the weights, in that norm, with `enter(u)` held.

    Every sum of n products errs by at most `n u / (1 - n u)` times the sum of their sizes, in any
    order; norms of operators with the absolute values of their entries bound what that can be.

    **Raises:** `InputProblem` for sums too long for the dtype.
    """
    dtype = jnp.result_type(*jax.tree.leaves(block))
    unit = float(jnp.finfo(dtype).eps) / 2
    operator = block.operator if isinstance(block, GradientBlock) else block.state_operator
    size, terms = _absolute(operator, norm)
    if not terms * unit < 0.01:
        raise InputProblem(
            f"sums of {terms} products are too long for a bound in {dtype}; give float32 or float64"
        )
    spread = _SLACK * unit * (terms + _FEW + _ACTIVATION_UNITS * error_of(block.activation, 1.0))
    least = _least(block, norm, size, terms, float(jnp.finfo(dtype).tiny))
    drive = product_upper(_SLACK * unit * (terms + _FEW), max(size, 1.0))
    kept = 6 * unit
    step = float(block.step)
    if isinstance(block, GradientBlock):
        # R^T phi(R x + c): both products err, and |phi(z)| <= |z|.
        pushed = product_upper(step, size, 2 * spread)
    else:
        pushed = product_upper(step, spread)
    return Roundoff(sum_upper(kept, product_upper(pushed, size)), pushed, drive, least)


def _least(
    block: ResidualBlock | GradientBlock | EquilibriumBlock,
    norm: StateNorm,
    size: float,
    terms: int,
    tiny: float,
) -> float:
    """What underflow may add: each operation less than the least normal number."""
    entries = max(block.state_size, terms)
    weight = max(1.0, float(jnp.max(norm.scale)))
    return product_upper(4.0 * entries * (terms + _FEW), weight, sum_upper(1.0, size), tiny)


def _absolute(operator: AbstractOperator, norm: StateNorm) -> tuple[float, int]:
    """The norm of the operator with its entries' absolute values, and terms of its longest sum."""
    scale = np.asarray(norm.scale, np.float64)
    if isinstance(operator, NegativeGram):
        size, terms = _absolute_gram(operator, norm)
    elif isinstance(operator, Convolution):
        size, terms = _absolute_convolution(operator, norm.maximum), operator.taps[0].size
    elif isinstance(operator, DenseOperator):
        entries = Ball.exact(np.abs(np.asarray(operator.matrix, np.float64)))
        size = inf_norm_upper(entries) if norm.maximum else nonnegative_two_norm_upper(entries)
        terms = max(operator.matrix.shape)
        if norm.maximum and scale.ndim:
            weighed = entries * Ball.exact(scale).reshape(-1, 1) / Ball.exact(scale).reshape(1, -1)
            return inf_norm_upper(weighed), terms
    else:
        raise InputProblem(
            f"rounding of a {type(operator).__name__} is not bounded; use a DenseOperator of it"
        )
    return product_upper(size, _SLACK * float(scale.max() / scale.min())), terms


def _absolute_gram(gram: NegativeGram, norm: StateNorm) -> tuple[float, int]:
    inner, terms = _absolute(gram.inner, StateNorm(1.0))
    rates = 1.0 if gram.rates is None else float(np.asarray(gram.rates).max())
    square = product_upper(inner, inner)
    if norm.maximum:
        # |M|_max <= sqrt(n) |M|_2.
        square = product_upper(square, _SLACK * float(np.sqrt(gram.input_size)))
    bracket = sum_upper(float(gram.shift), product_upper(float(gram.scale), square))
    return product_upper(rates, bracket), 2 * terms + 4


def _absolute_convolution(operator: Convolution, maximum: bool) -> float:
    taps = Ball.exact(np.abs(np.asarray(operator.taps, np.float64)))
    if maximum:
        return float(convolution_row_sums(taps).max())
    size = (operator.height, operator.width)
    return convolution_norm_upper(taps, *size, operator.padding, operator.stride)
