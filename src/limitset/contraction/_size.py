"""Bounds of vectors, entry by entry and in the norm of a metric, and what float32 adds to them."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.contraction._layer import Vector, product_upper, sum_upper, whiten
from limitset.contraction._metric import DiagonalMetric, QuadraticMetric
from limitset.contraction._polyhedral_metric import MaximumMetric, SumMetric
from limitset.networks import IDENTITY, RELU, Activation
from limitset.proofs import Ball, NotVerified, verified_inverse

Square = Float[np.ndarray, "n n"]
Metric = DiagonalMetric | QuadraticMetric | SumMetric | MaximumMetric

_UNIT = 2.0**-24
# Stored numbers that are not 0 lie between these, or nothing is said: whatever is flushed to 0 is
# below the least, so a product with a stored number loses less than UNDERFLOW by it.
LEAST, MOST = 2.0**-126, 2.0**26
# Any product, sum or activation that underflows errs by less than this, flushed or not.
UNDERFLOW = LEAST * MOST
# Beyond this, a sum may be infinite in float32.
LARGEST = 2.0**126
# No entry of a state that a solver returns is larger, or nothing is said of the run: an infinite
# sum that an activation hides would not show in the residual.
FARTHEST = 2.0**32
# Steps towards the vector that bounds a norm, and the share by which another arithmetic may miss
# the same bound: the checker takes the same steps.
_POWER_STEPS = 8
_SLACK = 1 + 1e-9


@dataclass(frozen=True)
class Size:
    """Bounds of a vector: of its entries, and of its norm in the metric.

    The norm is at most `slope r + offset` if the part of the state that it depends on has the norm
    `r`; so the parts of a state, which share one ball, are not all counted as large as the ball.
    """

    entries: Ball
    slope: float
    offset: float


@dataclass(frozen=True)
class Inputs:
    """Bounds of inputs, as they are and as they should be, and of how far these are apart."""

    entries: Ball
    error: Ball


@dataclass(frozen=True)
class Reach:
    """Norms for one step from a ball: of its rounding error, and of the exact next state.

    `pushed` is the norm of what inputs make of the state 0. Where the step solves an equation,
    `residual` is the largest entry that it may leave, for the other numbers to hold.
    """

    rounding: float
    reached: float
    pushed: float
    residual: float | None = None


def exact_inputs(count: int, bound: float) -> Inputs:
    """Inputs within the bound, as they were given."""
    return Inputs(Ball.exact(np.full(count, bound)), Ball.exact(np.zeros(count)))


def error_of(activation: Activation, error: float) -> float:
    """The relative error of an activation: none for those that float32 computes exactly."""
    return 0.0 if activation in (RELU, IDENTITY) else error


def steepest_of(activation: Activation) -> float:
    """The largest slope in absolute value; infinite if it is not known."""
    lowest, highest = activation.slope_interval or (np.inf, np.inf)
    return max(abs(lowest), abs(highest))


def check_at_zero(activation: Activation) -> None:
    """Refuse an activation that is larger at 0 than it says."""
    still, told = abs(float(activation(jnp.zeros(())))), activation.at_zero
    if still > told * (1 + 1e-9):
        raise InputProblem(
            f"activation {activation.name!r} is {still:g} at 0, above its at_zero {told:g}; "
            "give it an at_zero that bounds |phi(0)|, or certify with input_bound=None"
        )


def norm_of(size: Size, metric: Metric, radius: float) -> float:
    """An upper bound of the norm of a vector of this size."""
    by_norm = sum_upper(product_upper(size.slope, radius), size.offset)
    return min(by_norm, entries_norm(size.entries, metric))


def entries_norm(entries: Ball, metric: Metric) -> float:
    """An upper bound of `|v|_M` for all `v` with entries below those given."""
    if isinstance(metric, DiagonalMetric):
        return length(Ball.exact(np.asarray(metric.scale, np.float64)) * entries)
    if isinstance(metric, SumMetric | MaximumMetric):
        scale = Ball.exact(np.asarray(metric.scale, np.float64))
        if isinstance(metric, SumMetric):
            return float((scale @ entries).upper())
        return float((scale * entries).upper().max())
    form = Ball.exact(np.abs(np.asarray(metric.matrix, np.float64)))
    return root(entries @ (form @ entries))


def reach_of(metric: Metric) -> Ball | None:
    """Bounds of `|x_i|` where `|x|_M <= 1`: `1 / scale_i`, or the root of `(M^-1)_ii`."""
    if not isinstance(metric, QuadraticMetric):
        return 1.0 / Ball.exact(np.asarray(metric.scale, np.float64))
    try:
        inverse = verified_inverse(Ball.exact(np.asarray(metric.matrix, np.float64)))
    except NotVerified:
        return None
    return Ball.exact(np.diagonal(inverse.upper()).copy()).sqrt()


def length(vector: Ball) -> float:
    """An upper bound of the Euclidean norm."""
    return root(vector @ vector)


def root(square: Ball) -> float:
    """An upper bound of the root of a number that is not negative."""
    # From the upper end: the ball of a tiny square may reach below zero.
    upper = float(square.upper())
    return float(Ball.exact(upper).sqrt().upper()) if np.isfinite(upper) else float("inf")


def roots(squares: Ball) -> Ball:
    """Upper bounds of the roots of numbers that are not negative."""
    upper = squares.upper()
    finite = np.isfinite(upper)
    found = Ball.exact(np.where(finite, np.maximum(upper, 0.0), 0.0)).sqrt().upper()
    return limits(np.where(finite, found, np.inf))


def limits(upper: np.ndarray) -> Ball:
    """Numbers as bounds; some may be infinite."""
    finite = np.isfinite(upper)
    return Ball(np.where(finite, upper, 0.0), np.where(finite, 0.0, np.inf))


def scale_of(metric: Metric, place: slice | None = None) -> Vector | None:
    """The metric's scale at these units; `None` if it is not diagonal, where entries must do."""
    if not isinstance(metric, DiagonalMetric):
        return None
    scale = np.asarray(metric.scale, np.float64)
    return scale if place is None else scale[place]


def spread_of(magnitude: Square, scale: Vector | None) -> float:
    """An upper bound of `|S X S^-1|_2` for all matrices of these magnitudes.

    `|X|_2^2 <= max_i (X^T X v)_i / v_i` for every positive `v` (Collatz and Wielandt).
    """
    if scale is None:
        return float("inf")
    V = whiten(Ball.exact(magnitude), scale)
    upper = V.upper()
    v = np.ones(len(magnitude))
    if not (np.isfinite(upper).all() and upper.max(initial=0.0) > 0):
        return 0.0 if not upper.any() else float("inf")
    with np.errstate(all="ignore"):
        for _ in range(_POWER_STEPS):
            image = upper.T @ (upper @ v)
            v = np.maximum(image / image.max(), 1e-3)
    if not np.isfinite(v).all():
        return float("inf")
    ratios = (V.T @ (V @ v)) / Ball.exact(v)
    return product_upper(root(Ball.exact(ratios.upper().max())), _SLACK)


def values_of(activation: Activation, argument: Size, scale: Vector | None) -> Size:
    """`|phi|` where the argument is at most this large."""
    steepest, at_zero = steepest_of(activation), activation.at_zero
    reached = (argument.entries * steepest + at_zero).upper()
    entries = limits(np.minimum(reached, activation.supremum))
    still = fixed(Ball.exact(np.full(len(entries), at_zero)), scale)
    offset = sum_upper(product_upper(argument.offset, steepest), still.offset)
    return Size(entries, product_upper(argument.slope, steepest), offset)


def fixed(entries: Ball, scale: Vector | None) -> Size:
    """A vector that does not depend on the state."""
    offset = float("inf") if scale is None else length(Ball.exact(scale) * entries)
    return Size(entries, 0.0, offset)


def settled(size: Size, scale: Vector | None, radius: float) -> Size:
    """The norm from the entries, where that is less than the norm by products.

    `radius` is the part's share of the ball: equal parts have the root of their number less.
    """
    alone = fixed(size.entries, scale)
    by_norm = sum_upper(product_upper(size.slope, radius), size.offset)
    return alone if alone.offset < by_norm else size


def plus(*sizes: Size) -> Size:
    """A sum."""
    entries = sizes[0].entries
    for size in sizes[1:]:
        entries = entries + size.entries
    slope, offset = (sum_upper(*(getattr(s, name) for s in sizes)) for name in ("slope", "offset"))
    return Size(entries, slope, offset)


def times(size: Size, number: float) -> Size:
    """A multiple."""
    slope, offset = (product_upper(part, number) for part in (size.slope, size.offset))
    return Size(size.entries * number, slope, offset)


def weigh(weights: Vector, size: Size) -> Size:
    """`weights * v`, entry by entry."""
    largest = float(weights.max())
    slope, offset = (product_upper(part, largest) for part in (size.slope, size.offset))
    return Size(size.entries * weights, slope, offset)


def apply(matrix: tuple[Ball, float], size: Size) -> Size:
    """`|A| v`, for a matrix of these magnitudes and this norm."""
    magnitude, spread = matrix
    slope, offset = (product_upper(part, spread) for part in (size.slope, size.offset))
    return Size(magnitude @ size.entries, slope, offset)


def relative(size: Size, error: float, scale: Vector | None) -> Size:
    """The error of an activation with values of this size."""
    flushed = fixed(Ball.exact(np.full(len(size.entries), UNDERFLOW)), scale)
    return plus(times(size, error), flushed)


def share_lost(terms: int) -> float:
    """What a sum of so many products loses of its magnitude, at most."""
    if not terms * _UNIT < 1:
        return float("inf")
    return float((Ball.exact(terms * _UNIT) / (1 - Ball.exact(terms * _UNIT))).upper())


def rounded(carried: Size, result: Size, terms: int, scale: Vector | None) -> Size:
    """An error carried into a sum of so many products, and that of adding them up.

    Unbounded where the sum may overflow.
    """
    gamma = share_lost(terms)
    largest = (result.entries + carried.entries).upper().max(initial=0.0)
    if not (largest < LARGEST and np.isfinite(gamma)):
        nothing = np.zeros(len(result.entries))
        return Size(Ball(nothing, np.full_like(nothing, np.inf)), 0.0, float("inf"))
    lost = fixed(Ball.exact(np.full(len(result.entries), terms * UNDERFLOW)), scale)
    return plus(carried, times(result, gamma), lost)
