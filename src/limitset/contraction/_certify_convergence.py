"""The verb `certify_convergence`: for each held input a residual block settles, and how fast."""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import Evidence, InputProblem
from limitset.contraction._block_slopes import check_numbers, layers_of
from limitset.contraction._certificate import Unknown, frozen
from limitset.contraction._layer import whiten
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._operator_bounds import exact, operator_matrix
from limitset.contraction._polyhedral_metric import MaximumMetric
from limitset.contraction._symmetric_form import symmetric_form
from limitset.contraction._theorem import checked_scale
from limitset.networks import (
    RELU,
    TANH,
    AbstractBlock,
    AbstractOperator,
    Activation,
    Convolution,
    ResidualBlock,
)
from limitset.proofs import (
    Ball,
    convolution_norm_upper,
    inf_norm_upper,
    require_sound_arithmetic,
    two_norm_upper,
)

Vector = Float[np.ndarray, " n"]
Limit = Literal["affine", "depends_on_start"]


@dataclass(frozen=True)
class ConvergenceCertificate:
    """A proof that a residual block settles, for every input that is held and every first state.

    It says nothing of two inputs, and nothing of two states: a block may converge so and yet drive
    states apart on the way. `factor` bounds `q = |I + step A|` in `metric`, a weighted 2-norm or
    maximum norm.

    - `limit` `"affine"` (tanh, leaky ReLU): the limit is `-A^-1 (B u + b)`, the same from every
      first state, affine in the input. `|x - limit| <= reach |A x + B u + b|` at every state.
    - `"depends_on_start"` (ReLU): states only grow, to a point where `A x + B u + b <= 0`. With
      `r = relu(A x + B u + b)`, `|x - limit| <= reach |r|`, and steps shrink by `factor`:
      `|x(k+1) - limit| <= step_reach |x(k+1) - x(k)|`, `step_reach = q / (1 - q)`.

    All numbers are verified upper bounds; `step_reach` is `inf` for affine limits, where steps may
    be small far away.
    """

    block: ResidualBlock
    metric: AbstractMetric
    factor: float
    limit: Limit
    reach: float
    step_reach: float
    conditions: tuple[str, ...]
    evidence: Evidence = Evidence.VERIFIED


def certify_convergence(
    block: AbstractBlock, *, scale: Float[Array, " n"] | None = None
) -> ConvergenceCertificate | Unknown:
    """Prove that a residual block converges for every held input, from `|I + step A| < 1`.

    `V = sum_i s_i^2 int_0^(z_i) phi` with `z = A x + B u + b` decreases: slopes are at most 1, so
    `V+ - V <= (|(I + step A) phi(z)|_S^2 - |phi(z)|_S^2) / 2`. Hence `phi(z)` tends to 0. For ReLU
    `z+ <= (I + step A) relu(z)` in every entry, so the steps shrink by the factor in every norm of
    absolute values. A need not be symmetric; where it is not, no statement about two inputs or two
    states follows, and none is made.

    **Arguments:** `block`, a `ResidualBlock` with tanh, relu, leaky_relu or identity; `scale`,
    shape (n,), positive weights `s_i` to be tried in both norms beside equal ones.

    **Returns:** the certificate with the smallest factor, or `Unknown` with the reason.

    **Raises:** `InputProblem` for numbers that are NaN, infinite, traced, or of another dtype.

    **Reference:** arXiv 1804.07209.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator
    >>> A = DenseOperator(jnp.array([[-0.6, -0.3], [-0.3, -0.6]]))
    >>> answer = certify_convergence(ResidualBlock(A, A, jnp.zeros(2), jnp.array(1.0), "tanh"))
    >>> answer.limit, round(answer.factor, 9), round(answer.reach, 6)
    ('affine', 0.7, 3.333333)
    """
    if not isinstance(block, AbstractBlock):
        raise InputProblem(f"a {type(block).__name__} came; give a block, such as ResidualBlock")
    check_numbers((block, scale))
    require_sound_arithmetic()
    block, scale = frozen((block, scale))
    layers = layers_of(block)
    if isinstance(layers, str):
        return Unknown(layers)
    if len(layers) != 1 or not isinstance(block, ResidualBlock):
        return Unknown(
            "convergence is about residual blocks with weights shared across depth; certify_block "
            "speaks of others"
        )
    limit = _limit_of(block.activation)
    if limit is None:
        return Unknown(
            f"{block.activation.name} is not among those that are known to settle: tanh, relu, "
            "leaky_relu and identity, which are 0 at 0 and have slopes in [0, 1]"
        )
    if not float(block.step) > 0:
        return Unknown(f"the step is {float(block.step):g}; give a positive one")
    found = _factors(block, None if scale is None else checked_scale(scale, block.state_size))
    if not found:
        return Unknown("the state operator is too large to form and no convolution; no bound known")
    factor, metric = min(found, key=lambda pair: pair[0])
    if not factor < 1:
        return Unknown(
            f"|I + step A| is bounded by {factor:.6g}, not certainly below 1; shrink the step, or "
            "give weights in which rows or the 2-norm are smaller"
        )
    rest = 1 - Ball.exact(factor)
    reach = float((Ball.exact(float(block.step)) / rest).upper())
    shrinks = float((Ball.exact(factor) / rest).upper()) if limit != "affine" else float("inf")
    conditions = (
        f"{block.activation.name} entry by entry",
        "weights shared across depth, and the input held",
        "|I + step A| < 1 in the metric; no statement about two inputs or two states",
        "exact arithmetic on the stored weights",
    )
    return ConvergenceCertificate(block, metric, factor, limit, reach, shrinks, conditions)


def _limit_of(activation: Activation) -> Limit | None:
    """What a block with this activation settles to, if it is known."""
    if activation == RELU:
        return "depends_on_start"
    if activation == TANH:
        return "affine"
    slopes = activation.slope_interval
    if slopes is None or activation.at_zero != 0:
        return None
    # It increases through 0, so it is 0 nowhere else.
    return "affine" if 0 < slopes[0] <= slopes[1] <= 1 else None


def _factors(block: ResidualBlock, scale: Vector | None) -> list[tuple[float, AbstractMetric]]:
    """Bounds of `|I + step A|` in every norm that is tried."""
    size, found = block.state_size, []
    form = symmetric_form(block.state_operator)
    if not isinstance(form, str):
        step = Ball.exact(float(block.step))
        slow = float((1 - step * form.slowest).upper())
        fast = float((step * form.fastest - 1).upper()) if form.fastest < np.inf else np.inf
        scales = 1 / np.sqrt(form.rates)
        # Roots of rates are rounded, and another weight is another norm.
        if (scales * scales * form.rates == 1).all() and _is_dyadic(scales):
            found.append((max(slow, fast, 0.0), DiagonalMetric(jnp.asarray(scales))))
    for weights in (np.ones(size), *(() if scale is None else (scale,))):
        for bound in _weighted_factors(block.state_operator, float(block.step), weights):
            found.append(bound)
    return found


def _weighted_factors(
    operator: AbstractOperator, step: float, weights: Vector
) -> list[tuple[float, AbstractMetric]]:
    euclidean, maximum = DiagonalMetric(jnp.asarray(weights)), MaximumMetric(jnp.asarray(weights))
    matrix = operator_matrix(operator)
    if matrix is not None:
        whole = whiten(matrix * step + np.eye(len(weights)), weights)
        return [(two_norm_upper(whole), euclidean), (inf_norm_upper(whole), maximum)]
    if not isinstance(operator, Convolution) or operator.stride != 1:
        return []
    channels = operator.input_channels
    if channels != operator.output_channels:
        return []
    by_channel = weights.reshape(channels, -1)
    if (by_channel != by_channel[:, :1]).any():
        return []
    taps, own = exact(operator.taps) * step, np.arange(channels)
    centre = np.zeros(taps.shape)
    centre[own, own, taps.shape[2] // 2, taps.shape[3] // 2] = 1.0
    levels = Ball.exact(by_channel[:, 0])
    whole = (taps + centre) * levels.reshape(-1, 1, 1, 1) / levels.reshape(1, -1, 1, 1)
    size = (operator.height, operator.width)
    rows = whole.reshape(channels, whole.size // channels)
    return [
        (convolution_norm_upper(whole, *size, operator.padding), euclidean),
        (inf_norm_upper(rows), maximum),
    ]


def _is_dyadic(scales: Vector) -> bool:
    return bool((np.frexp(scales)[0] == 0.5).all())
