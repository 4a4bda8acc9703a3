"""The weights of a class that are nearest to given weights, by descent in floats.

All problems are for one module whose bound is 1. For a fixed metric each class is convex in the
weights, and projected gradients with momentum find the nearest one. The metric then moves along the
gradient of the distance, which needs no second search: at the nearest weights, the derivative with
respect to them vanishes along the class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize as so
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.contraction._absolute_weights import (
    AbsoluteValueWeight,
    SelfDampedWeight,
    TriangularWeight,
)
from limitset.contraction._layer import Layer, Vector
from limitset.contraction._lure import lure_of
from limitset.contraction._recover_weights import (
    recover_absolute_value,
    recover_self_damped,
    recover_triangular,
)
from limitset.contraction._search import mutual_scale, singular_metric
from limitset.contraction._sector_search import find_sector_candidates
from limitset.networks import Form, RateNetwork

Square = Float[np.ndarray, "n n"]
_Absolute = TypeVar("_Absolute", AbsoluteValueWeight, SelfDampedWeight)

_INNER, _OUTER, _POLISH = 150, 40, 400
# Scales are kept within this factor of each other: beyond, float32 couplings lose their digits.
_WIDEST = 1e3
# A spectral radius of 1 itself has no positive test vectors where the pattern is reducible.
INSIDE = 1 - 1e-6
_SHRINKS = (1.0, 0.8, 0.6, 0.4, 0.2)


@dataclass(frozen=True)
class SectorPoint:
    """`2 E Z F - E^2 F^T F`: Z of norm at most 1, an invertible F, and the diagonal of E."""

    core: Square
    factor: Square
    gain: Vector

    def weight(self) -> Square:
        """The weight, of the firing-rate form."""
        E = self.gain[:, None]
        return E * (2 * self.core @ self.factor - E * (self.factor.T @ self.factor))


def nearest_in_norm(weight: Square) -> tuple[Square, Vector]:
    """The nearest weight with `|S W S^-1|_2 <= 1`, and the scale S, which is sought too."""
    layer = Layer(weight, -1.0, 1.0)
    absolute = nearest_absolute(weight)
    own = np.exp(np.asarray(absolute.log_scale))
    starts = [np.ones(len(weight)), singular_metric(layer), mutual_scale(weight), own]
    logs = [np.clip(np.log(s), -np.log(_WIDEST) / 2, np.log(_WIDEST) / 2) for s in starts]
    best = min(logs, key=lambda log: _distance_in_metric(log, weight)[0])
    bounds = [(-np.log(_WIDEST) / 2, np.log(_WIDEST) / 2)] * len(weight)
    found = so.minimize(
        _distance_in_metric, best, (weight,), "L-BFGS-B", True, bounds=bounds,
        options={"maxiter": _OUTER},
    )  # fmt: skip
    scale = np.exp(min((best, found.x), key=lambda log: _distance_in_metric(log, weight)[0]))
    nearest = project_in_metric(weight, scale)
    # Very wide scales defeat the descent, not the closed form of absolute values.
    other = np.asarray(absolute.explicit(1.0).weight)
    if np.linalg.norm(other - weight) < np.linalg.norm(nearest - weight):
        return other, own
    return nearest, scale


def nearest_absolute(weight: Square) -> AbsoluteValueWeight:
    """A near weight with the spectral radius of `|W|` below 1: scaled, then polished."""
    free = recover_absolute_value(weight)
    if free is not None:
        return free
    radius = float(np.abs(np.linalg.eigvals(np.abs(weight))).max())
    free = recover_absolute_value(weight * (INSIDE / max(radius, 1.0)))
    if free is None:
        raise _too_wide()
    return polished(free, weight)


def nearest_self_damped(weight: Square) -> SelfDampedWeight:
    """The same where negative self-weights do not count; they are not scaled either."""
    free = recover_self_damped(weight)
    if free is not None:
        return free
    own = np.diag(weight)
    counting = np.abs(weight)
    np.fill_diagonal(counting, np.maximum(own, 0.0))
    shrunk = weight * (INSIDE / max(float(np.abs(np.linalg.eigvals(counting)).max()), 1.0))
    np.fill_diagonal(shrunk, np.where(own < 0, own, np.diag(shrunk)))
    free = recover_self_damped(shrunk)
    if free is None:
        raise _too_wide()
    return polished(free, weight)


def nearest_triangular(weight: Square) -> TriangularWeight:
    """The nearest lower triangular weight with self-weights below 1: exact, in closed form."""
    nearest = np.tril(weight)
    own = np.diag(weight)
    # Beside 1 the metric of a triangle grows without bound.
    np.fill_diagonal(nearest, np.where(own < 1, own, 1 - 1e-3))
    free = recover_triangular(nearest)
    if free is None:
        raise _too_wide()
    return free


def _too_wide() -> InputProblem:
    return InputProblem(
        "the metric of these weights is too wide for float64; use singular_value or sector"
    )


def project_in_metric(weight: Square, scale: Vector) -> Square:
    """The nearest weight with `|S W S^-1|_2 <= 1` for a given scale, in the Frobenius norm."""
    ratio = scale / scale[:, None]
    target = weight / ratio
    if np.linalg.norm(target, 2) <= 1:
        return weight
    core = _descend(
        lambda V: ratio**2 * (V - target), clipped, clipped(target), float(ratio.max()) ** 2
    )
    return core * ratio


def clipped(matrix: Square) -> Square:
    """The nearest matrix of 2-norm at most 1."""
    left, values, right = np.linalg.svd(matrix)
    return (left * np.minimum(values, 1.0)) @ right


def nearest_symmetric(weight: Square) -> Square:
    """The nearest symmetric weight without eigenvalue above 1: exact, in closed form."""
    values, vectors = np.linalg.eigh((weight + weight.T) / 2)
    nearest = (vectors * np.minimum(values, 1.0)) @ vectors.T
    return (nearest + nearest.T) / 2


def nearest_sector(weight: Square) -> SectorPoint:
    """A near weight of the sector class, firing-rate form."""
    points = [_projected(weight, point) for point in _sector_starts(weight)]
    best = min(points, key=lambda p: _distance(p, weight))
    size = len(weight)

    def distance(free: Vector) -> tuple[float, Vector]:
        factor, gain = free[size:].reshape(size, size), np.exp(free[:size])
        point = _projected(weight, SectorPoint(core[0], factor, gain))
        core[0] = point.core
        E, F = point.gain[:, None], point.factor
        excess = point.weight() - weight
        damped = E**2 * excess
        by_gain = (excess * 2 * E * (point.core @ F - E * (F.T @ F))).sum(1)
        by_factor = 2 * (E * point.core).T @ excess - F @ (damped + damped.T)
        return float((excess**2).sum() / 2), np.concatenate([by_gain, by_factor.ravel()])

    core = [best.core]
    start = np.concatenate([np.log(best.gain), best.factor.ravel()])
    found = so.minimize(distance, start, method="L-BFGS-B", jac=True, options={"maxiter": _OUTER}).x
    moved = SectorPoint(core[0], found[size:].reshape(size, size), np.exp(found[:size]))
    if np.linalg.cond(moved.factor) < _WIDEST:
        best = min(best, _projected(weight, moved), key=lambda p: _distance(p, weight))
    return best


def nearest_sector_in(weight: Square, scale: Vector) -> SectorPoint:
    """The same in the metric and with the multipliers of the singular-value theorem."""
    return _projected(weight, SectorPoint(np.zeros_like(weight), np.diag(scale), 1 / scale))


def polished(free: _Absolute, weight: Square) -> _Absolute:
    """Free parameters that bring `explicit(1)` nearer to `weight`, from those that came.

    Signs and zeros stay, so that magnitudes move as logarithms and nothing has a kink.
    """
    signs = jnp.sign(free.theta)
    logs = jnp.log(jnp.where(signs != 0, jnp.abs(free.theta), 1.0))
    start, restore = ravel_pytree(eqx.tree_at(lambda f: f.theta, free, logs))

    def rebuilt(vector: Float[Array, " k"]) -> _Absolute:
        logged = restore(vector)
        return eqx.tree_at(lambda f: f.theta, logged, signs * jnp.exp(logged.theta))

    @jax.jit
    @jax.value_and_grad
    def distance(vector: Float[Array, " k"]) -> Float[Array, ""]:
        return ((rebuilt(vector).explicit(1.0).weight - weight) ** 2).sum()

    def evaluate(vector: Vector) -> tuple[float, Vector]:
        value, slope = distance(jnp.asarray(vector))
        return float(value), np.asarray(slope)

    before = evaluate(np.asarray(start))[0]
    found = so.minimize(
        evaluate, np.asarray(start), method="L-BFGS-B", jac=True, options={"maxiter": _POLISH}
    )
    return rebuilt(jnp.asarray(found.x)) if found.fun < before else free


def _distance_in_metric(log_scale: Vector, weight: Square) -> tuple[float, Vector]:
    """Half the squared distance to the class of one metric, and its slope in the log-scale."""
    nearest = project_in_metric(weight, np.exp(log_scale))
    excess = nearest - weight
    moved = excess * nearest
    return float((excess**2).sum() / 2), moved.sum(0) - moved.sum(1)


def _sector_starts(weight: Square) -> list[SectorPoint]:
    """From the metric of the norm, and from the sector search on shrunk weights."""
    nearest, scale = nearest_in_norm(weight)
    whitened = nearest * scale[:, None] / scale
    starts = [SectorPoint((whitened + np.eye(len(weight))) / 2, np.diag(scale), 1 / scale)]
    for shrink in _SHRINKS:
        network = RateNetwork(
            jnp.asarray(shrink * weight), activation="relu", form=Form.FIRING_RATE
        )
        lure = lure_of(network)
        if isinstance(lure, str):
            break
        for candidate in find_sector_candidates(lure, True):
            point = _sector_point(shrink * weight, candidate.metric, candidate.multipliers)
            if point is not None:
                starts.append(point)
    return starts


def _sector_point(weight: Square, metric: Square, multipliers: Vector) -> SectorPoint | None:
    """The point whose metric and multipliers these are."""
    if len(multipliers) != len(weight) or not (multipliers > 0).all():
        return None
    try:
        factor = np.linalg.cholesky(metric).T
        gain = multipliers**-0.5
        core = np.linalg.solve(factor.T, (weight / gain[:, None] + gain[:, None] * metric).T).T / 2
    except np.linalg.LinAlgError:
        return None
    if not np.linalg.cond(factor) < _WIDEST:
        return None
    return SectorPoint(core, factor, gain)


def _projected(weight: Square, point: SectorPoint) -> SectorPoint:
    """The nearest weight with the same metric and multipliers."""
    E, F = point.gain[:, None], point.factor
    exact = np.linalg.solve(F.T, (weight / E + E * (F.T @ F)).T).T / 2
    if np.linalg.norm(exact, 2) <= 1:
        return SectorPoint(exact, F, point.gain)
    offset = E**2 * (F.T @ F) + weight
    steepest = 4 * float(np.max(E)) ** 2 * float(np.linalg.norm(F, 2)) ** 2
    core = _descend(
        lambda Z: 2 * (E * (2 * E * (Z @ F) - offset)) @ F.T, clipped, clipped(exact), steepest
    )
    return SectorPoint(core, F, point.gain)


def _distance(point: SectorPoint, weight: Square) -> float:
    return float(np.linalg.norm(point.weight() - weight))


def _descend(
    slope: Callable[[Square], Square],
    project: Callable[[Square], Square],
    start: Square,
    steepest: float,
) -> Square:
    """Projected gradients with momentum, which starts anew where it points uphill."""
    point, ahead, momentum = start, start, 1.0
    for _ in range(_INNER):
        down = slope(ahead)
        following = project(ahead - down / steepest)
        if np.sum(down * (following - point)) > 0:
            momentum = 1.0
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / faster * (following - point)
        moved = np.linalg.norm(following - point)
        point, momentum = following, faster
        if moved <= 1e-10 * (1 + np.linalg.norm(point)):
            break
    return point
