"""Candidates for the weights of parts in a common metric. Floats: the theorem verifies them.

Every positive multiple of a part's metric serves the part as well. On a tree, one multiple per part
turns feedback of any gain per edge into a skew coupling; in a hierarchy, small multiples for parts
downstream make what they receive as weak as needed.
"""

from collections.abc import Iterator

import numpy as np
import scipy.optimize as so
import scipy.sparse.csgraph as graphs
from jaxtyping import Float

from limitset.contraction._search import mutual_scale

Square = Float[np.ndarray, "n n"]
Gains = Float[np.ndarray, "p p"]
Vector = Float[np.ndarray, " p"]

# Shares of the slowest rate that a hierarchy may cost; a smaller share needs a wider metric.
_LOSSES = (1e-3, 1e-2, 1e-1, 0.5)
# A condition number ten times as large must gain this share of the margin: in a hierarchy, whose
# weights may be as far apart as one likes, and elsewhere.
_HIERARCHY_PRICE, _PRICE = 1e-3, 1e-8
_LARGEST, _MOST_REFINED = 600, 8
_SEARCH_STEPS = 200


def find_weights(
    matrix: Square, places: tuple[slice, ...], bounds: Vector, continuous: bool
) -> list[Vector]:
    """Weights of the parts, the most promising first.

    **Arguments:** `matrix`, coupling or mixing in coordinates in which all parts' metrics are the
    identity; `bounds`, rates or factors of the parts.
    """
    with np.errstate(all="ignore"):
        price = _PRICE
        found = list(_candidates(matrix, places, bounds, continuous))
        judged = _judged(matrix, places, bounds, continuous, found)
        good = 0.99 * (bounds.min() if continuous else 1 - bounds.max())
        if not any(margin >= good for margin, _ in judged) and 1 < len(places):
            found = list(_hierarchies(matrix, places, bounds, continuous))
            if found:
                judged += _judged(matrix, places, bounds, continuous, found)
                price = _HIERARCHY_PRICE
        ranked = sorted(judged, key=lambda pair: _worth(*pair, price), reverse=True)
        if not ranked:
            return []
        small = 1 < len(places) <= _MOST_REFINED and len(matrix) <= 256
        if small and not ranked[0][0] >= good:
            start = ranked[0][1]
            ranked.insert(0, (0.0, _refined(matrix, places, bounds, start, continuous, price)))
    return [weights for _, weights in ranked]


def _judged(
    matrix: Square,
    places: tuple[slice, ...],
    bounds: Vector,
    continuous: bool,
    found: list[Vector],
) -> list[tuple[float, Vector]]:
    pairs = [(judge(matrix, places, bounds, w, continuous), w) for w in found]
    return [(margin, w) for margin, w in pairs if np.isfinite(margin) and np.isfinite(w).all()]


def judge(
    matrix: Square, places: tuple[slice, ...], bounds: Vector, weights: Vector, continuous: bool
) -> float:
    """The rate, or 1 minus the factor, that these weights give, in floats."""
    sizes = [place.stop - place.start for place in places]
    root, own = np.repeat(np.sqrt(weights), sizes), np.repeat(bounds, sizes)
    scaled = matrix * root[:, None] / root
    if not np.isfinite(scaled).all():
        return -np.inf
    try:
        if not continuous:
            return float(1 - np.linalg.norm(scaled * own, 2))
        symmetric = (scaled + scaled.T) / 2 - np.diag(own)
        if len(matrix) > _LARGEST:
            diagonal = np.diagonal(symmetric)
            return float(-(np.abs(symmetric).sum(1) - np.abs(diagonal) + diagonal).max())
        return float(-np.linalg.eigvalsh(symmetric)[-1])
    except np.linalg.LinAlgError:
        return -np.inf


def _worth(margin: float, weights: Vector, price: float) -> float:
    spread = float(np.log10(weights.max() / weights.min()))
    return margin * (1 - price * spread) if margin > 0 else margin


def _candidates(
    matrix: Square, places: tuple[slice, ...], bounds: Vector, continuous: bool
) -> Iterator[Vector]:
    count = len(places)
    yield np.ones(count)
    if count == 1:
        return
    # What a propagator leaves of a skew coupling: in its inverse, or in its skew part.
    for shape in [matrix] if continuous else [matrix, *_unmixed(matrix)]:
        yield _normed(2 * np.log(mutual_scale(gains_between(shape, places))))
    yield _normed(_balanced(gains_between(matrix, places)))


def _hierarchies(
    matrix: Square, places: tuple[slice, ...], bounds: Vector, continuous: bool
) -> Iterator[Vector]:
    gains = gains_between(matrix, places)
    count, label = graphs.connected_components(gains > 0, connection="strong")
    if count == 1:
        return
    base = 2 * np.log(mutual_scale(gains))
    room = bounds.min() if continuous else max(1 - bounds.max(), 1e-3)
    for loss in _LOSSES:
        yield _normed(_levelled(gains, label, base, loss * room))


def gains_between(matrix: Square, places: tuple[slice, ...]) -> Gains:
    """Frobenius norms of the blocks off the diagonal."""
    gains = np.array([[np.linalg.norm(matrix[i, j]) for j in places] for i in places])
    np.fill_diagonal(gains, 0.0)
    # Dust of inverses is no edge.
    gains[gains < 1e-13 * gains.max(initial=0.0)] = 0.0
    return gains


def _unmixed(matrix: Square) -> list[Square]:
    try:
        inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return []
    return [s for s in (inverse, matrix - inverse) if np.isfinite(s).all()]


def _balanced(gains: Gains) -> Vector:
    """Logarithms of weights for which each part gives as much as it takes (Osborne)."""
    square, log_weight = gains**2, np.zeros(len(gains))
    for _ in range(100):
        before = log_weight.copy()
        for i in range(len(gains)):
            takes = (square[i] * np.exp(log_weight[i] - log_weight)).sum()
            gives = (square[:, i] * np.exp(log_weight - log_weight[i])).sum()
            if takes > 0 and gives > 0:
                log_weight[i] += np.clip(np.log(gives / takes) / 2, -50, 50)
        if np.abs(log_weight - before).max() < 1e-13:
            break
    return log_weight


def _levelled(gains: Gains, label: np.ndarray, base: Vector, allowed: float) -> Vector:
    """Logarithms of weights that make each edge between components at most `allowed / p`."""
    count = int(label.max()) + 1
    edges = [
        (label[j], label[i], np.log(gains[i, j]) + (base[i] - base[j]) / 2)
        for i, j in np.argwhere(gains > 0)
        if label[i] != label[j]
    ]
    level, target = np.zeros(count), np.log(allowed / len(gains))
    # A condensation has no cycles, so that relaxing all edges this often settles every level.
    for _ in range(count):
        for source, to, size in edges:
            level[to] = min(level[to], level[source] + 2 * (target - size))
    return base + level[label]


def _refined(
    matrix: Square,
    places: tuple[slice, ...],
    bounds: Vector,
    start: Vector,
    continuous: bool,
    price: float,
) -> Vector:
    """Weights near the given ones that gain more."""

    def loss(free: Vector) -> float:
        weights = np.exp(np.append(free, 0.0))
        margin = judge(matrix, places, bounds, weights, continuous)
        return -_worth(margin, weights, price) if np.isfinite(margin) else 1e300

    free = np.log(start[:-1] / start[-1])
    options = {"maxfev": _SEARCH_STEPS, "xatol": 1e-6, "fatol": 1e-12}
    answer = so.minimize(loss, free, method="Nelder-Mead", options=options)
    return _normed(np.append(np.asarray(answer.x), 0.0))


def _normed(log_weight: Vector) -> Vector:
    """The weights, around 1, within the range in which their products are floats."""
    return np.exp(np.clip(log_weight - log_weight.mean(), -300, 300))
