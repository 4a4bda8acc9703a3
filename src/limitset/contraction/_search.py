"""Candidates for diagonal metrics. Floating point throughout: theorems verify what comes out."""

import warnings

import numpy as np
import scipy.linalg as sla
import scipy.sparse.linalg as ssl
from jaxtyping import Float

from limitset.contraction._layer import Layer, Vector

Square = Float[np.ndarray, "n n"]

_DENSE_LIMIT = 200
# A metric wider than this, as a ratio of scales, is no use: reducible weights have metrics as wide
# as one likes, each a little better than the last.
_WIDEST = 1e30
# How far above the abscissa the metric is taken, in units of the largest entry.
_NEAR = 10.0**-3.5
# Choices of columns hardly ever change more than twice.
_POLICIES = 10
# Centring costs about 2 n^3 a step: to convergence up to the first size, three steps up to the
# second (benchmarks/certify_speed.py).
_CENTRE_FULLY = 256
_CENTRE_BRIEFLY = 1024


def absolute_metric(layer: Layer) -> Vector:
    """The best scale for the absolute-value theorem; its bound is the spectral abscissa of `A`.

    `A` is the slope-weighted majorant, a matrix with nonnegative off-diagonal entries. For `t`
    above its abscissa, `d = (tI - A)^-1 1` and `l = (tI - A)^-T 1` are positive, and in the metric
    `diag(l / d)` the symmetric part of `A` is below `t`. Letting `t` fall to the abscissa gives the
    best rate of any diagonal metric. Staying a thousandth of the gap above it keeps the metric
    finite where `A` is reducible and no best metric exists.
    """
    weight = _of_moderate_size(layer.weight)
    majorant = layer.steepest * np.abs(weight)
    diagonal = np.diag(weight)
    np.fill_diagonal(majorant, np.maximum(layer.lowest * diagonal, layer.highest * diagonal))
    abscissa = _abscissa(majorant)
    spread = max(abs(abscissa), np.abs(majorant).max(), 1e-290)
    even = np.ones(len(majorant))
    nearest = _resolvent_metric(majorant, abscissa + _NEAR * spread, even)
    if nearest is not None:
        return nearest
    # From far above the abscissa down to it: each scale makes the next matrix nearly dominant, so
    # that long chains, whose scales span many orders of magnitude, are solved accurately.
    scale = even
    for fraction in 10.0 ** np.arange(2, np.log10(_NEAR), -0.5):
        following = _resolvent_metric(majorant, abscissa + fraction * spread, scale)
        if following is None:
            break
        scale = following
    return scale


def _resolvent_metric(majorant: Square, level: float, scale: Vector) -> Vector | None:
    """The scale `sqrt(l / d)` at one level, of geometric mean 1; `None` if it does not hold there.

    `A d <= t d` and `A^T l <= t l` with positive vectors bound the symmetric part of `S A S^-1` by
    t; rounding can break them where the matrix is nearly singular. Solved after balancing with
    `scale`.
    """
    with np.errstate(all="ignore"):
        balanced = majorant * scale[:, None] / scale
    size = len(balanced)
    getrf, getrs = sla.get_lapack_funcs(("getrf", "getrs"), (balanced,))
    # The plain routines: SciPy's wrappers warn of a singular matrix, which is no news here.
    factor, pivots, singular = getrf(level * np.eye(size) - balanced)
    if singular:
        return None
    right, left = (getrs(factor, pivots, np.ones(size), trans=t)[0] for t in (0, 1))
    if not ((right > 0).all() and (left > 0).all() and np.isfinite([right, left]).all()):
        return None
    slack = level + 1e-3 * abs(level)
    if not ((balanced @ right <= slack * right).all() and (left @ balanced <= slack * left).all()):
        return None
    # Square roots first: entries of long chains, and of zero weights, may reach 1e300.
    following = scale * (np.sqrt(left) / np.sqrt(right))
    if not following.max() < _WIDEST * following.min():
        return None
    return following / np.exp(np.log(following).mean())


def column_scale(majorants: tuple[Square, ...], unit: float) -> Vector:
    """Weights s for which the largest `(s^T M)_j / s_j` is small, the worst M for each column.

    Off the diagonal the matrices are nonnegative. The best value is the largest spectral abscissa
    of the matrices that take each column from one of them. Such a matrix is improved column by
    column; its weights are `(tI - M)^-T 1` with t a little above its abscissa, safe where it is
    reducible, and above all diagonals, below which no weights lead. `unit` is a rate or factor of
    which a thousandth does not matter.
    """
    largest = max(float(np.abs(M).max()) for M in majorants)
    matrices = [M / largest if largest > 0 else M for M in majorants]
    floor = max(float(np.diag(M).max()) for M in matrices)
    best, worth, choice = np.ones(len(matrices[0])), np.inf, None
    mixed = matrices[-1]
    for _ in range(_POLICIES):
        scale = _resolvent_scale(mixed, floor, unit / largest if largest > 0 else 1.0)
        with np.errstate(all="ignore"):
            values = np.stack([scale @ M for M in matrices]) / scale
        if values.max() < worth:
            best, worth = scale, values.max()
        former, choice = choice, np.argmax(values, axis=0)
        if len(matrices) == 1 or (former is not None and (choice == former).all()):
            break
        mixed = np.choose(choice, matrices)
    return best


@np.errstate(all="ignore")
def _resolvent_scale(majorant: Square, floor: float, unit: float) -> Vector:
    """`(tI - M)^-T 1`, with t very near the abscissa if that leaves it as even as before.

    On the way down each scale makes the next matrix nearly dominant, so that long chains, whose
    weights span many orders of magnitude, are solved accurately.
    """
    level = max(_abscissa(majorant), floor)
    scale, spread = np.ones(len(majorant)), float(np.abs(majorant).max())
    above = 10 * max(abs(level), spread, 1e-290)
    while above >= 1e-3 * max(abs(level), spread, unit):
        found = _resolvent(majorant, level + above, scale)
        if found is None:
            return scale
        scale, above = found, above / 10
        if (scale @ majorant / scale).max() <= floor:
            return scale
        spread = float((np.abs(majorant) * scale[:, None] / scale).max())
    nearer = _resolvent(majorant, level + 1e-4 * above, scale)
    even = nearer is not None and np.ptp(np.log(nearer)) < np.ptp(np.log(scale)) + 2
    return nearer if nearer is not None and even else scale


def _resolvent(majorant: Square, level: float, scale: Vector) -> Vector | None:
    """The weights at one level, of geometric mean 1; `None` if they are not all positive."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of singular matrices: then the weights are not positive
        matrix = level * np.eye(len(majorant)) - majorant * scale[:, None] / scale
        factor = sla.lu_factor(matrix, check_finite=False)
        found = scale * sla.lu_solve(factor, np.ones(len(majorant)), trans=1)
    if not ((found > 0).all() and found.max() < 1e150 * found.min()):
        return None
    return found / np.exp(np.log(found).mean())


def _of_moderate_size(weight: Square) -> Square:
    """The weights over the largest of them: metrics do not see it, and no square overflows."""
    largest = float(np.abs(weight).max())
    return weight / largest if largest > 0 else weight


def _abscissa(majorant: Square) -> float:
    if len(majorant) <= _DENSE_LIMIT:
        return float(np.linalg.eigvals(majorant).real.max())
    # A shift makes the matrix nonnegative, so its largest real part is its largest modulus.
    shift = max(0.0, -float(np.diag(majorant).min()))
    operator = ssl.aslinearoperator(majorant + shift * np.eye(len(majorant)))
    try:
        start, tolerance = np.ones(len(majorant)), 1e-9
        values = ssl.eigs(operator, k=1, which="LM", v0=start, tol=tolerance)[0]  # pyright: ignore[reportArgumentType]
    except ssl.ArpackError:
        return float(np.linalg.eigvals(majorant).real.max())
    return float(np.real(values).max() - shift)


@np.errstate(all="ignore")
def singular_metric(layer: Layer) -> Vector:
    """A scale that (nearly) minimises `|S W S^-1|_2` over positive diagonal S.

    The best of the identity, the balanced scale and the absolute-value scale, then refined by the
    method of centres: with `q = log S^2` and `V = S W S^-1`, `-log det(t I - V^T V)` is convex in q
    (by interpolation, every unitarily invariant norm of `V` is log-convex in q), and its minimiser
    tends to the best scale as t falls to the smallest attainable `|V|^2`.
    """
    weight = _of_moderate_size(layer.weight)
    candidates = [np.ones(len(weight)), _balanced(weight), absolute_metric(layer)]
    norms = [_norm(_scaled(weight, s)) for s in candidates]
    best = candidates[int(np.argmin(norms))]
    size = len(weight)
    if size == 1 or not min(norms) > 0 or size > _CENTRE_BRIEFLY:
        return best
    return _centre(weight, best, rounds=60 if size <= _CENTRE_FULLY else 1)


def acts_mutually(matrix: Square) -> bool:
    """Whether two units act on each other; products of their entries could overflow."""
    return bool(((matrix != 0) & (matrix.T != 0)).any())


def mutual_scale(matrix: Square) -> Vector:
    """The scale S for which `S X S^-1` is symmetric or skew, if there is one.

    `|m_i x_ij| = |m_j x_ji|` for `M = S^2`: each pair of units that act on each other fixes a
    ratio, and a sum of logarithms along a spanning tree of the strongest pairs fixes the metric.
    """
    mutual = np.sqrt(np.abs(matrix)) * np.sqrt(np.abs(matrix.T))
    size = len(matrix)
    log_metric, placed = np.zeros(size), np.zeros(size, bool)
    strength = np.where(mutual[0] > 0, mutual[0], 0.0)
    parent = np.zeros(size, int)
    placed[0] = True
    for _ in range(size - 1):
        candidate = int(np.argmax(np.where(placed, -1.0, strength)))
        if strength[candidate] > 0:
            source = parent[candidate]
            there, back = np.log(np.abs((matrix[source, candidate], matrix[candidate, source])))
            log_metric[candidate] = log_metric[source] + there - back
        placed[candidate] = True
        stronger = ~placed & (mutual[candidate] > strength)
        strength, parent = (
            np.where(stronger, mutual[candidate], strength),
            np.where(stronger, candidate, parent),
        )
    return np.exp(np.clip(log_metric - log_metric.mean(), -600, 600) / 2)


def _scaled(weight: Square, scale: Vector) -> Square:
    return weight * scale[:, None] / scale


def _norm(matrix: Square) -> float:
    # LAPACK may not return from infinite numbers.
    if not np.isfinite(matrix).all():
        return np.inf
    return float(np.linalg.norm(matrix, 2)) if len(matrix) <= _DENSE_LIMIT else _lanczos(matrix)


def _lanczos(matrix: Square) -> float:
    start = np.ones(len(matrix))
    _, values, _ = ssl.svds(matrix, k=1, tol=1e-4, v0=start)  # pyright: ignore[reportArgumentType]
    return float(np.asarray(values)[0])


def _balanced(weight: Square) -> Vector:
    """Osborne's scale: it equalises row and column norms and minimises the Frobenius norm."""
    log_scale = np.zeros(len(weight))
    squared = weight**2
    np.fill_diagonal(squared, 0.0)
    for _ in range(20):
        scaled = squared * np.exp(2 * (log_scale[:, None] - log_scale))
        rows, columns = scaled.sum(1), scaled.sum(0)
        busy = (rows > 0) & (columns > 0)
        # Half steps: all units move at once, and full steps oscillate on bipartite patterns.
        move = np.where(busy, np.log(np.where(busy, columns / np.where(busy, rows, 1), 1)) / 8, 0)
        log_scale = np.clip(log_scale + move, -300, 300)
        if np.abs(move).max() < 1e-6:
            break
    return np.exp(log_scale - log_scale.mean())


def _centre(weight: Square, scale: Vector, rounds: int) -> Vector:
    log_scale = 2 * np.log(scale)
    current = _norm(_scaled(weight, scale))
    level = 1.1 * current**2
    for _ in range(rounds):
        for _ in range(8):
            log_scale, decrement = _newton_step(weight, log_scale, level)
            if not decrement > 1e-2:
                break
        norm = _norm(_scaled(weight, np.exp(log_scale / 2)))
        gap = level - norm**2
        if not gap > 1e-5 * norm**2:
            break
        level = norm**2 + 0.3 * gap
    return np.exp((log_scale - log_scale.mean()) / 2)


def _newton_step(weight: Square, log_scale: Vector, level: float) -> tuple[Vector, float]:
    """One damped Newton step on `-log det(level I - V^T V)`; returns the squared decrement too."""
    size = len(weight)
    v = _scaled(weight, np.exp(log_scale / 2))
    y = np.linalg.inv(level * np.eye(size) - v.T @ v)
    z = v @ y
    middle = z @ v.T
    gradient = np.diag(middle) - level * np.diag(y)
    cross = level * z**2
    hessian = level**2 * y**2 - cross - cross.T + middle**2 + np.diag(gradient)
    # The objective ignores a common factor; the constant part makes the Hessian regular.
    hessian += np.full((size, size), np.trace(hessian) / size**2) + 1e-12 * np.eye(size)
    gradient = gradient + 1
    try:
        move = -np.linalg.solve(hessian, gradient)
    except np.linalg.LinAlgError:
        return log_scale, 0.0
    decrement = float(-gradient @ move)
    start = _barrier(weight, log_scale, level)
    length = 1.0 if decrement < 0.25 else 1 / (1 + np.sqrt(max(decrement, 0.0)))
    for _ in range(20):
        trial = log_scale + length * move
        if _barrier(weight, trial, level) < start:
            return trial - trial.mean(), decrement
        length /= 2
    return log_scale, 0.0


def _barrier(weight: Square, log_scale: Vector, level: float) -> float:
    v = _scaled(weight, np.exp(np.clip(log_scale, -600, 600) / 2))
    try:
        factor = np.linalg.cholesky(level * np.eye(len(v)) - v.T @ v)
    except np.linalg.LinAlgError:
        return float("inf")
    return -2 * float(np.log(np.diag(factor)).sum())
