"""Residual and equilibrium blocks in a weighted maximum norm, by sums of rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset.contraction._block_certificate import BlockCertificate
from limitset.contraction._block_slopes import slope_condition, slopes_of
from limitset.contraction._certificate import Unknown
from limitset.contraction._layer import product_upper
from limitset.contraction._operator_bounds import (
    Rows,
    euclidean_norm,
    exact,
    operator_matrix,
    row_bounds,
)
from limitset.contraction._polyhedral_metric import MaximumMetric
from limitset.contraction._theorem import checked_scale
from limitset.networks import (
    AbstractBlock,
    AbstractOperator,
    Convolution,
    EquilibriumBlock,
    ResidualBlock,
)
from limitset.proofs import Ball, ball_sum

Vector = Float[np.ndarray, " n"]
Square = Float[np.ndarray, "n n"]
RowBlock = ResidualBlock | EquilibriumBlock


def certify_rows(
    block: AbstractBlock, layers: Sequence[RowBlock], metric: MaximumMetric | None
) -> BlockCertificate | Unknown:
    """Row sums of `J` in a weighted maximum norm, at both ends of the slope interval.

    A row of `S J S^-1` has the absolute sum `f(t) = |1 - t c| + t rho`: in a residual block
    `t = h d`, `c = -A_ii` and `rho = sum_(j != i) |A_ij| s_i / s_j`; in an equilibrium block
    `t = h`, `c = 1 - d W_ii` and `rho = d sum |W_ij| s_i / s_j`. It is convex in the slope d, so
    its largest value is at an end. Of an input `w`: `|e_i+| s_i <= f |e|_S + h d |B w|_i s_i`, and
    `d / (1 - f)` is quasiconvex in d, so `|e|_S <= max_i s_i |B w|_i h d / (1 - f_i)` of the worse
    end. One norm serves all depths, whether their weights differ or not.

    **Reference:** arXiv 1804.07209 (Algorithm 2); 2106.03194.
    """
    theorem = "row_sum" if isinstance(layers[0], ResidualBlock) else "equilibrium"
    slopes = slopes_of(layers[0].activation)
    if isinstance(slopes, str):
        return Unknown(f"{theorem}: {slopes}")
    kept = [_matrix_of(layer.state_operator) for layer in layers]
    if any(part is None for part in kept):
        return Unknown(
            f"{theorem}: the rows of so large a state operator are not formed; use a convolution "
            "with stride 1"
        )
    parts = [part for part in kept if part is not None]
    size = block.state_size
    if metric is not None:
        scales = [checked_scale(metric.scale, size)]
    else:
        proposed = _propose_scale(layers, parts, size)
        scales = [np.ones(size)] + ([] if proposed is None else [proposed])
    found = [_bounded(layers, parts, scale, slopes) for scale in scales]
    best = min(found, key=lambda bound: (bound.factor, bound.maximum_gain))
    if not best.factor <= 1:
        limit = max(bound.step_limit for bound in found)
        return Unknown(
            f"{theorem}: {_failure(theorem)}; the factor is bounded by {best.factor:.6g}, and the "
            f"largest step that is certain by {limit:.6g}"
        )
    return _certificate(block, layers, best, theorem)


@dataclass(frozen=True)
class _Lines:
    """For every row, or for the rows of every channel: the diagonal and the entries beside it.

    `others` has a bound of the sum of `|entry|` for each row and each group of columns that have
    one weight; `repeat` states have one row.
    """

    diagonal: Ball
    others: Square
    repeat: int


@dataclass(frozen=True)
class _Bounds:
    scale: Vector
    factor: float
    maximum_gain: float
    euclidean_gain: float
    step_limit: float


def _matrix_of(operator: AbstractOperator) -> _Lines | None:
    if isinstance(operator, Convolution):
        taps = exact(operator.taps)
        o, i, k, w = taps.shape
        if operator.stride == 1 and o == i:
            own = np.arange(o)
            centre = taps[own, own, k // 2, w // 2]
            rest = np.array(taps.mid)
            rest[own, own, k // 2, w // 2] = 0.0
            sums = ball_sum(Ball.exact(np.abs(rest)).reshape(o * i, k * w), axis=1).upper()
            return _Lines(centre, np.asarray(sums).reshape(o, i), operator.height * operator.width)
    matrix = operator_matrix(operator)
    if matrix is None:
        return None
    diagonal = Ball.moved(np.diagonal, matrix)
    others = np.array(matrix.magnitude())
    np.fill_diagonal(others, 0.0)
    return _Lines(diagonal, others, 1)


def _propose_scale(layers: Sequence[RowBlock], parts: Sequence[_Lines], size: int) -> Vector | None:
    """Weights `1 / y` with `C y = 1`, C the comparison matrix of all depths; in floats.

    Where C is an M-matrix, y is positive, and rows are dominant in these weights.
    """
    if len({part.repeat for part in parts}) != 1:
        return None
    shift = 0.0 if isinstance(layers[0], ResidualBlock) else 1.0
    diagonal = np.max([part.diagonal.upper() for part in parts], axis=0)
    comparison = -np.max([part.others for part in parts], axis=0)
    # What a channel's own other taps add stands on the diagonal too.
    comparison[np.diag_indices(len(diagonal))] += shift - diagonal
    try:
        y = np.linalg.solve(comparison, np.ones(len(diagonal)))
    except np.linalg.LinAlgError:
        return None
    if not (np.isfinite(y).all() and (y > 2.0**-100 * np.abs(y).max()).all()):
        return None
    return np.repeat(y.max() / y, size // len(y))


def _bounded(
    layers: Sequence[RowBlock],
    parts: Sequence[_Lines],
    scale: Vector,
    slopes: tuple[float, float],
) -> _Bounds:
    factor, limit, maximum, euclidean = 0.0, math.inf, 0.0, 0.0
    for layer, part in zip(layers, parts, strict=True):
        weights = _by_row(scale, part)
        if weights is None:
            return _Bounds(scale, math.inf, math.inf, math.inf, 0.0)
        weighted = Ball.exact(part.others) * Ball.exact(weights).reshape(-1, 1)
        others = ball_sum(weighted / Ball.exact(weights).reshape(1, -1), axis=1)
        ends = [_row(layer, part.diagonal, others, slope) for slope in slopes]
        if isinstance(layer, ResidualBlock) and slopes[0] == 0:
            ends[0] = _Row(Ball.exact(np.ones(len(weights))), ends[0].limit)
        positive = float(layer.step) > 0
        factor = max(factor, *(float(e.sum.upper().max()) if positive else math.inf for e in ends))
        limit = min(limit, *(float(end.limit.min()) for end in ends[1:]))
        if isinstance(layer, EquilibriumBlock):
            limit = min(limit, float(ends[0].limit.min()))
        for end, slope in zip(ends, slopes, strict=True):
            reached = _reached(layer, end.sum, scale, part.repeat, slope)
            maximum, euclidean = max(maximum, reached[0]), max(euclidean, reached[1])
    return _Bounds(scale, factor, maximum, euclidean, limit)


@dataclass(frozen=True)
class _Row:
    """`f` of each row, and the step up to which it is at most 1."""

    sum: Ball
    limit: Vector


def _row(layer: RowBlock, diagonal: Ball, others: Ball, slope: float) -> _Row:
    if isinstance(layer, ResidualBlock):
        c, rho, speed, within = -diagonal, others, slope, Ball.exact(float(layer.step)) * slope
    else:
        c, rho, speed = 1 - diagonal * slope, others * slope, 1.0
        within = Ball.exact(float(layer.step))
    total = abs(1 - within * c) + within * rho
    with np.errstate(all="ignore"):
        dominant = (c - rho).lower() >= 0
        whole = (c + rho).upper() * speed
        usable = dominant & (whole > 0)
        quotient = 2 / Ball.exact(np.where(usable, (c + rho).upper(), 1.0))
        slower = (quotient / max(speed, 2.0**-900)).lower()
    still = dominant & (whole <= 0)
    return _Row(total, np.where(usable, slower, np.where(still, np.inf, 0.0)))


def _reached(
    layer: RowBlock, sums: Ball, scale: Vector, repeat: int, slope: float
) -> tuple[float, float]:
    """Bounds of the state for an input of size 1: plain maximum norm, plain 2-norm."""
    if layer.input_operator is None or slope == 0:
        return 0.0, 0.0
    rest = (1 - sums).lower()
    if not (rest > 0).all():
        return math.inf, math.inf
    forgets = Ball.exact(np.repeat(rest, repeat))
    rows: Rows = row_bounds(layer.input_operator)
    if not np.isfinite(rows.absolute).all():
        return math.inf, math.inf
    share = Ball.exact(scale) * float(layer.step) * slope / forgets
    entering = (share * rows.absolute).upper().max(), (share * rows.euclidean).upper().max()
    least = Ball.exact(1.0) / float(scale.min())
    spread = _inverse_length(scale)
    return (
        float((Ball.exact(entering[0]) * least).upper()),
        product_upper(float(entering[1]), spread),
    )


def _by_row(scale: Vector, part: _Lines) -> Float[np.ndarray, " rows"] | None:
    """One weight for each row; `None` where the states of a channel differ."""
    grouped = scale.reshape(-1, part.repeat)
    return grouped[:, 0] if (grouped == grouped[:, :1]).all() else None


def _inverse_length(scale: Vector) -> float:
    """An upper bound of `|1 / scale|_2`."""
    inverse = Ball.exact(1.0) / Ball.exact(scale)
    return float(Ball.exact(ball_sum(inverse * inverse).upper()).sqrt().upper())


def _certificate(
    block: AbstractBlock, layers: Sequence[RowBlock], best: _Bounds, theorem: str
) -> BlockCertificate:
    highest = (layers[0].activation.slope_interval or (0.0, math.inf))[1]
    pushes = {"euclidean": 0.0, "maximum": 0.0}
    for layer in layers:
        if layer.input_operator is not None:
            speed = product_upper(float(layer.step), highest)
            rows = float(row_bounds(layer.input_operator).absolute.max())
            whole = euclidean_norm(layer.input_operator)
            pushes["maximum"] = max(pushes["maximum"], product_upper(speed, rows))
            pushes["euclidean"] = max(pushes["euclidean"], product_upper(speed, whole))
    scale = best.scale
    steepest = float((Ball.exact(float(scale.max())) / float(scale.min())).upper())
    residual = theorem == "row_sum"
    return BlockCertificate(
        block,
        "row_sum" if residual else "equilibrium",
        MaximumMetric(jnp.asarray(scale)),
        min(best.factor, 1.0),
        best.euclidean_gain,
        best.maximum_gain,
        best.step_limit,
        (
            slope_condition(layers[0].activation),
            "rows of A dominant in the weighted maximum norm, and step within its limit"
            if residual
            else "weighted row sums of W below 1, and step within its limit",
            "weights may differ from depth to depth: the norm is the same",
            "any of the four paddings, where an operator is a convolution",
            "a statement in the maximum norm; the 2-norm only by equivalence, sqrt(n) larger",
            "exact arithmetic on the stored weights",
        ),
        pushes["euclidean"],
        pushes["maximum"],
        product_upper(float(scale.max()), _inverse_length(scale)),
        steepest,
    )


def _failure(theorem: str) -> str:
    if theorem == "row_sum":
        return "rows of A are not certainly dominant, or the step is too large"
    return "weighted row sums of W are not certainly below 1, or the step is too large"
