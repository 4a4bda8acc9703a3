"""Coordinates in which a metric is (nearly) a plain norm, and rigorous bounds in them.

A quadratic metric `M` gets a float matrix `T` near the inverse of its root. With `Z = T^T M` and
`G = Z T`, both in balls, `|T y|_M^2 = y^T G y`, so that the extreme eigenvalues of `G`, which lie
next to 1, bound every error of `T`. Diagonal metrics need no `T`: their entries scale one by one,
and a coupling that is skew in them stays so to the last digits, however large it is.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla
from jaxtyping import Float

from limitset.contraction._block_metric import BlockMaximumMetric, BlockMetric, places_of
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._metric import AbstractMetric, DiagonalMetric, QuadraticMetric
from limitset.contraction._polyhedral_metric import MaximumMetric, SumMetric
from limitset.proofs import (
    ArbArithmetic,
    Ball,
    frobenius_upper,
    inf_norm_upper,
    largest_eigenvalue_upper,
    one_norm_upper,
    smallest_eigenvalue_lower,
    two_norm_upper,
)

Block = Float[np.ndarray, "n m"]

# Products of larger matrices are too slow in Arb; balls lose digits to the condition number.
_LARGEST_EXACT = 256


@dataclass(frozen=True)
class Frame:
    """Coordinates `y` with `least |y|_p^2 <= |v|^2 <= most |y|_p^2` for `v = back y`, p = `order`.

    `into` and `back` hold one vector (a scale) or matrix for each place. For p = 2, `into` is
    `Z = T^T M` and `back` is `T`; without matrices they are a scale and its reciprocal, exactly.
    """

    order: float
    into: tuple[Ball, ...]
    back: tuple[Ball, ...]
    places: tuple[slice, ...]
    least: float
    most: float

    def rows(self, block: Ball) -> Ball:
        """`into @ block`."""
        return _joined(
            [
                factor.reshape(-1, 1) * block[place] if factor.ndim == 1 else factor @ block[place]
                for factor, place in zip(self.into, self.places, strict=True)
            ],
            axis=0,
        )

    def columns(self, block: Ball) -> Ball:
        """`block @ back`."""
        return _joined(
            [
                block[:, place] * factor.reshape(1, -1)
                if factor.ndim == 1
                else block[:, place] @ factor
                for factor, place in zip(self.back, self.places, strict=True)
            ],
            axis=1,
        )


@dataclass(frozen=True)
class Maximum:
    """The norm `max_i weights_i |v_i|_i` of parts that have frames, or maxima, of their own."""

    parts: "tuple[Frame | Maximum, ...]"
    places: tuple[slice, ...]
    weights: tuple[float, ...]


Ruler = Frame | Maximum


def ruler_of(metric: AbstractMetric, size: int) -> Ruler | str:
    """The frame of a metric, or the reason why there is none.

    A frame proves that the metric is positive definite.
    """
    if isinstance(metric, SumMetric | MaximumMetric):
        order = 1.0 if isinstance(metric, SumMetric) else math.inf
        return _diagonal(np.asarray(metric.scale, np.float64), size, order)
    if isinstance(metric, DiagonalMetric):
        return _diagonal(np.asarray(metric.scale, np.float64), size, 2.0)
    if isinstance(metric, QuadraticMetric):
        return _dense(np.asarray(metric.matrix, np.float64), size)
    if not isinstance(metric, BlockMetric | BlockMaximumMetric):
        return f"{type(metric).__name__} is not a metric that combines"
    weights = np.asarray(metric.weights, np.float64)
    if sum(metric.sizes) != size or not (np.isfinite(weights).all() and (weights > 0).all()):
        return f"the metric's sizes {metric.sizes} or its weights do not fit {size} states"
    rulers = []
    for part, own in zip(metric.parts, metric.sizes, strict=True):
        ruler = ruler_of(part, own)
        if isinstance(ruler, str):
            return ruler
        rulers.append(ruler)
    if isinstance(metric, BlockMaximumMetric):
        return Maximum(tuple(rulers), places_of(metric.sizes), tuple(weights.tolist()))
    frames = [ruler for ruler in rulers if isinstance(ruler, Frame) and ruler.order == 2]
    if len(frames) != len(rulers):
        return "a part of the metric does not come from a quadratic form"
    return joined_frame(frames, metric.sizes, weights)


def joined_frame(
    frames: list[Frame], sizes: tuple[int, ...], weights: Float[np.ndarray, " p"]
) -> Frame:
    """The frame of `blkdiag(weights_i M_i)`, for frames of quadratic metrics."""
    into, back, places = [], [], []
    for frame, around, weight in zip(frames, places_of(sizes), weights, strict=True):
        root = Ball.exact(float(weight)).sqrt()
        into += [factor * root for factor in frame.into]
        back += [factor / root for factor in frame.back]
        start = around.start
        places += [slice(start + p.start, start + p.stop) for p in frame.places]
    least, most = min(f.least for f in frames), max(f.most for f in frames)
    return Frame(2.0, tuple(into), tuple(back), tuple(places), least, most)


def gain_upper(to: Ruler, source: Ruler, block: Ball) -> float:
    """A float not below `sup |B v|_to / |v|_source`."""
    if isinstance(to, Maximum):
        rows = zip(to.parts, to.places, to.weights, strict=True)
        return max(product_upper(w, gain_upper(part, source, block[at])) for part, at, w in rows)
    if isinstance(source, Maximum):
        # |v_l|_l <= |v| / weight_l.
        columns = zip(source.parts, source.places, source.weights, strict=True)
        shares = [(gain_upper(to, part, block[:, at]), w) for part, at, w in columns]
        return sum_upper(*(_over(gain, weight) for gain, weight in shares))
    norm = _norm_upper(source.columns(to.rows(block)), source.order, to.order)
    # |B v|_to^2 <= |Z B v|^2 / least, and |y|^2 <= |v|^2 / least.
    return _over(norm, math.sqrt(to.least * source.least) * (1 - 2.0**-50))


def measure_upper(ruler: Ruler, block: Ball) -> float:
    """A float not below the measure of a square block: `sup` of the growth rate of `|v|`."""
    if not block.magnitude().any():
        return 0.0
    if isinstance(ruler, Maximum):
        return max(
            sum_upper(
                measure_upper(part, block[at, at]),
                *(
                    product_upper(w, _over(gain_upper(part, other, block[at, there]), v))
                    for other, there, v in zip(
                        ruler.parts, ruler.places, ruler.weights, strict=True
                    )
                    if there != at
                ),
            )
            for part, at, w in zip(ruler.parts, ruler.places, ruler.weights, strict=True)
        )
    X = ruler.columns(ruler.rows(block))
    if ruler.order == 2:
        largest = largest_eigenvalue_upper((X + X.T) * 0.5)
        return _over(largest, ruler.least if largest > 0 else ruler.most)
    magnitude = X.magnitude()
    np.fill_diagonal(magnitude, np.diagonal(X.upper()))
    sums = Ball.exact(magnitude) @ np.ones(len(X)) if ruler.order == math.inf else None
    sums = Ball.exact(magnitude.T) @ np.ones(len(X)) if sums is None else sums
    return float(sums.upper().max())


def _diagonal(scale: Float[np.ndarray, " n"], size: int, order: float) -> Frame | str:
    if scale.shape != (size,) or not (np.isfinite(scale).all() and (scale > 0).all()):
        return f"the metric is not a positive scale of each of {size} states"
    exact = Ball.exact(scale)
    return Frame(order, (exact,), (1.0 / exact,), (slice(0, size),), 1.0, 1.0)


def _dense(matrix: Float[np.ndarray, "n n"], size: int) -> Frame | str:
    if matrix.shape != (size, size) or not np.array_equal(matrix, matrix.T):
        return f"the metric is not a symmetric matrix of {size} states"
    try:
        upper = np.linalg.cholesky(matrix).T
        T = np.asarray(sla.solve_triangular(upper, np.eye(size)))
    except np.linalg.LinAlgError:
        return "the metric is not positive definite"
    if not np.isfinite(T).all():
        return "the metric is too ill-conditioned"
    Z = _product(T.T, matrix)
    G = Z @ T
    G = (G + G.T) * 0.5
    least, most = smallest_eigenvalue_lower(G), largest_eigenvalue_upper(G)
    if not (least > 0.5 and most < 2):
        return "the metric is too ill-conditioned"
    return Frame(2.0, (Z,), (Ball.exact(T),), (slice(0, size),), least, most)


def _product(a: Block, b: Block) -> Ball:
    """`a @ b`, each entry to its last digits though large terms cancel."""
    if max(*a.shape, *b.shape) > _LARGEST_EXACT:
        return Ball.exact(a) @ b
    arithmetic = ArbArithmetic(256)
    with arithmetic.session():
        return Ball.from_bounds(
            *arithmetic.bounds(arithmetic.matmul(arithmetic.admit(a), arithmetic.admit(b)))
        )


def _norm_upper(X: Ball, source: float, to: float) -> float:
    """A float not below the largest `|X v|_to` over `|v|_source <= 1`."""
    if source == to == 2:
        return two_norm_upper(X)
    if source == 1:
        return max(_vector_norm(X[:, j], to) for j in range(X.shape[1]))
    if to == math.inf:
        return max(_vector_norm(row, 2.0 if source == 2 else 1.0) for row in X)
    if source == math.inf and to == 1:
        return one_norm_upper(X.reshape(-1))
    # |X v|_1 <= sqrt(rows) |X v|_2, or the rows' norms; |v|_2 <= sqrt(columns) |v|_inf, or the
    # columns' norms. None of these depends on which root of a metric the coordinates stand for.
    root = float(Ball.exact(float(X.shape[0] if to == 1 else X.shape[1])).sqrt().upper())
    lines = [row for row in (X if to == 1 else X.T)]
    return min(
        product_upper(root, two_norm_upper(X)),
        sum_upper(*(_vector_norm(line, 2.0) for line in lines)),
    )


def _vector_norm(v: Ball, order: float) -> float:
    if order == 2:
        return frobenius_upper(v)
    return one_norm_upper(v) if order == 1 else inf_norm_upper(v)


def _over(number: float, divisor: float) -> float:
    """A float not below `number / divisor`, for a positive divisor."""
    if not (math.isfinite(number) and divisor > 0):
        return math.inf
    return float((Ball.exact(number) / Ball.exact(divisor)).upper())


def _joined(balls: list[Ball], axis: int) -> Ball:
    return Ball.moved(lambda *arrays: np.concatenate(arrays, axis), *balls)
