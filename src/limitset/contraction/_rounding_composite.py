"""The rounding error of one float32 step of parts of any kind, mixed after their own steps."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from limitset.contraction._block_metric import BlockMaximumMetric, BlockMetric, places_of
from limitset.contraction._certificate import Certificate
from limitset.contraction._frame import gain_upper, ruler_of
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._size import (
    LARGEST,
    UNDERFLOW,
    Inputs,
    Metric,
    Reach,
    entries_norm,
    length,
    reach_of,
    roots,
    share_lost,
)
from limitset.contraction._wiring import wiring_of
from limitset.dynamics import CompositeMap, SemiImplicitMap
from limitset.proofs import Ball

Analysis = Callable[[float], Reach]
_Block = BlockMetric | BlockMaximumMetric
# The checker bounds norms in another way, which may come out larger by this share.
_ROOM = 1 + 2.0**-30


def composite_step(
    certificate: Certificate,
    inputs: Inputs,
    error: float,
    analyse: Callable[[Certificate, Inputs, float], Analysis | None],
) -> Analysis | None:
    """The analysis of `C concat(f_i(x_i, u))`; `analyse` knows the parts."""
    system, metric = certificate.system, certificate.metric
    if not isinstance(system, CompositeMap | SemiImplicitMap) or not isinstance(metric, _Block):
        return None
    wiring = wiring_of(system)
    if isinstance(wiring, str):
        return None
    steps = [analyse(part, inputs, error) for part in certificate.parts]
    known = [step for step in steps if step is not None]
    mixed = _mixing(wiring.matrix, metric)
    if mixed is None or len(known) < len(steps):
        return None
    weights = np.asarray(metric.weights, np.float64)
    # What one part holds at most of a ball of radius 1 of the whole.
    shares = 1.0 / (Ball.exact(weights) if isinstance(metric, BlockMaximumMetric)
                    else Ball.exact(weights).sqrt())  # fmt: skip
    terms, factor = system.state_size + 1, certificate.factor or 0.0

    def reach(radius: float) -> Reach:
        own = (shares * radius).upper().tolist()
        found = [step(part) for part, step in zip(own, known, strict=True)]
        if not all(np.isfinite([r.rounding, r.reached, r.pushed]).all() for r in found):
            return Reach(float("inf"), float("inf"), float("inf"))
        sizes = np.array([sum_upper(r.reached, r.rounding) for r in found])
        magnitude = mixed.rows @ sizes
        added = entries_norm_of(magnitude * share_lost(terms) + terms * UNDERFLOW, metric)
        rounding = sum_upper(mixed.bound([r.rounding for r in found]), added)
        pushed = mixed.bound([r.pushed for r in found])
        reached = sum_upper(product_upper(factor, radius), pushed)
        finite = magnitude.upper().max() < LARGEST
        return Reach(rounding if finite else float("inf"), reached, pushed)

    return reach


class _Mixing:
    """Norms of a mixing: of rows, from each part's norm, and of what it makes of all parts."""

    def __init__(self, metric: _Block, rows: Ball, gains: np.ndarray) -> None:
        self.metric, self.rows, self.gains = metric, rows, gains

    def bound(self, norms: list[float]) -> float:
        """The norm of `C v` for parts of `v` with these norms."""
        weights = Ball.exact(np.asarray(self.metric.weights, np.float64))
        exact = Ball.exact(np.array(norms))
        if isinstance(self.metric, BlockMaximumMetric):
            return float((weights * (Ball.exact(self.gains) @ exact)).upper().max())
        return product_upper(float(self.gains), length(weights.sqrt() * exact))


def _mixing(matrix: Float[np.ndarray, "n n"], metric: _Block) -> _Mixing | None:
    """`None` where a metric has no frame."""
    places = places_of(metric.sizes)
    rows = []
    for part, place in zip(metric.parts, places, strict=True):
        states = reach_of_any(part)
        if states is None:
            return None
        row = Ball.exact(np.abs(matrix[:, place])) * states.reshape(1, -1)
        diagonal = _is_diagonal(part)
        rows.append((row * row).T if diagonal else row.T)
        total = np.ones(row.shape[1]) @ rows[-1]
        rows[-1] = roots(total) if diagonal else total
    norms = Ball.moved(lambda *parts: np.stack(parts, axis=1), *rows)
    if isinstance(metric, BlockMetric):
        whole = ruler_of(metric, len(matrix))
        if isinstance(whole, str):
            return None
        bound = gain_upper(whole, whole, Ball.exact(matrix)) * _ROOM
        return _Mixing(metric, norms, np.array(bound)) if np.isfinite(bound) else None
    pairs = zip(metric.parts, metric.sizes, strict=True)
    rulers = [ruler_of(part, size) for part, size in pairs]
    gains = np.zeros((len(rulers),) * 2)
    for i, to in enumerate(rulers):
        for j, source in enumerate(rulers):
            if isinstance(to, str) or isinstance(source, str):
                return None
            block = Ball.exact(matrix[places[i], places[j]])
            gains[i, j] = gain_upper(to, source, block) * _ROOM if block.mid.any() else 0.0
    return _Mixing(metric, norms, gains) if np.isfinite(gains).all() else None


def _is_diagonal(metric: AbstractMetric) -> bool:
    """Whether the norm is the root of a weighted sum of squares of entries."""
    if isinstance(metric, BlockMetric):
        return all(map(_is_diagonal, metric.parts))
    return isinstance(metric, DiagonalMetric)


def reach_of_any(metric: AbstractMetric) -> Ball | None:
    """Bounds of `|x_i|` where `|x|_M <= 1`, for blocks too."""
    if isinstance(metric, Metric):
        return reach_of(metric)
    if not isinstance(metric, _Block):
        return None
    weights = Ball.exact(np.asarray(metric.weights, np.float64))
    shares = 1.0 / (weights if isinstance(metric, BlockMaximumMetric) else weights.sqrt())
    parts = [reach_of_any(part) for part in metric.parts]
    known = [part * shares[i] for i, part in enumerate(parts) if part is not None]
    if len(known) < len(parts):
        return None
    return Ball.moved(lambda *balls: np.concatenate(balls), *known)


def entries_norm_of(entries: Ball, metric: AbstractMetric) -> float:
    """An upper bound of `|v|_M` for all `v` with entries below those given, for blocks too."""
    if isinstance(metric, Metric):
        return entries_norm(entries, metric)
    if not isinstance(metric, _Block):
        return float("inf")
    places = places_of(metric.sizes)
    norms = [
        entries_norm_of(entries[place], part)
        for part, place in zip(metric.parts, places, strict=True)
    ]
    if not np.isfinite(norms).all():
        return float("inf")
    weights = Ball.exact(np.asarray(metric.weights, np.float64))
    if isinstance(metric, BlockMaximumMetric):
        return float((weights * np.array(norms)).upper().max())
    return length(weights.sqrt() * np.array(norms))
