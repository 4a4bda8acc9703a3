"""Small gain: certified parts in norms of any kind, under couplings that are weak or one-way."""

import math
from collections.abc import Iterator
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._result import Evidence
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._block_metric import BlockMaximumMetric
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._composition import Composition
from limitset.contraction._frame import Ruler, gain_upper, measure_upper, ruler_of
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._theorem import AbstractTheorem
from limitset.contraction._wiring import (
    Wiring,
    best_join,
    certified_parts,
    part_bounds,
    wiring_of,
)
from limitset.dynamics import CompositeMap
from limitset.networks import Composite
from limitset.proofs import Ball

Gains = Float[np.ndarray, "p p"]
Vector = Float[np.ndarray, " p"]

# Shares of the rate given up for weights that are positive, and closer to one another.
_SLACKS = (0.0, 1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 0.5)
# A condition number ten times as large must gain this share of the margin.
_PRICE = 1e-3
# The checker bounds gains in another way, which may come out larger by this share.
_ROOM = 2.0**-30


class SmallGain(AbstractTheorem):
    """Contraction of certified parts whose gains on one another are small, in any norms.

    Hypotheses, for `x_i' = speeds_i f_i(x_i, u) + sum_j L_ij x_j`:

    1. Part i contracts at the rate `rate_i` in a norm `|.|_i`: quadratic, sum or maximum.
    2. With `N_ij >= |L_ij|` from `|.|_j` to `|.|_i` off the diagonal, and
       `N_ii >= measure_i(L_ii) - speeds_i rate_i`, some positive `w` has `N w <= -rate w`.

    Such a `w` exists if and only if N is Hurwitz; the rate comes as near to the negative of its
    spectral abscissa as wanted. For `x+ = C concat(f_i(x_i, u))`, `N_ij >= |C_ij| factor_j` and
    `N w <= factor w`.

    The metric is `max_i |x_i|_i / w_i`. In a hierarchy, where L is block triangular, gains of any
    size leave the least of the rates. Strong feedback needs `Composition`.

    **Reference:** arXiv 2106.08928 for hierarchies; Dashkovskiy, Rueffer and Wirth, Math. Control
    Signals Syst. 19 (2007), for small gains in networks.
    """

    theorems: tuple[AbstractTheorem, ...]

    @property
    def name(self) -> str:
        """`"small_gain"`."""
        return "small_gain"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Composites and their maps."""
        return isinstance(system, Composite | CompositeMap)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Certify the parts, by `theorems`, then join them."""
        wiring = wiring_of(system)
        if isinstance(wiring, str):
            return Unknown(wiring)
        weights = None
        if isinstance(metric, BlockMaximumMetric):
            weights = np.asarray(metric.weights, np.float64)
        inner = (*self.theorems, Composition(self.theorems), self)
        found = certified_parts(wiring, metric, inner)
        return best_join(wiring, found, lambda w, parts: join_by_gains(w, parts, weights))


def join_by_gains(
    wiring: Wiring, parts: tuple[Certificate, ...], weights: Vector | None = None
) -> Certificate | Unknown:
    """The certificate of the whole from those of its parts, which are taken as data.

    **Arguments:** `weights` of the parts' norms; sought if they are omitted.
    """
    bounds = part_bounds(wiring, parts)
    if isinstance(bounds, Unknown):
        return bounds
    rulers: list[Ruler] = []
    for index, (part, size) in enumerate(zip(parts, wiring.sizes, strict=True)):
        ruler = ruler_of(part.metric, size)
        if isinstance(ruler, str):
            return Unknown(f"the metric of part {index} does not combine: {ruler}")
        rulers.append(ruler)
    gains = _gains(wiring, rulers)
    if not np.isfinite(gains).all():
        return Unknown("the coupling is too large for the metrics of the parts")
    limits = np.array(bounds)
    matrix = gains - np.diag(limits) if wiring.continuous else gains * limits
    options = [weights] if weights is not None else list(_weights(matrix, wiring.continuous))
    best: tuple[float, float, Vector] | None = None
    for option in options:
        bound = _bound(gains, limits, option, wiring.continuous)
        margin = bound if wiring.continuous else 1 - bound
        if not (margin > 0 and bound >= 0):
            continue
        worth = margin * (1 - _PRICE * float(np.log10(option.max() / option.min())))
        if best is None or worth > best[0]:
            best = (worth, bound, option)
    if best is None:
        return _refusal(matrix, wiring.continuous)
    return _certificate(wiring, parts, limits, gains, best[1], best[2])


def _gains(wiring: Wiring, rulers: list[Ruler]) -> Gains:
    """Bounds of the blocks between the norms; measures of couplings within a part."""
    gains = np.zeros((len(rulers), len(rulers)))
    pairs = list(zip(rulers, wiring.places, strict=True))
    for i, (to, at) in enumerate(pairs):
        for j, (source, there) in enumerate(pairs):
            block = wiring.matrix[at, there]
            if not block.any():
                continue
            exact = Ball.exact(block)
            if i == j and wiring.continuous:
                bound = measure_upper(to, exact)
            else:
                bound = gain_upper(to, source, exact)
            gains[i, j] = bound + abs(bound) * _ROOM
    return gains


def _bound(gains: Gains, limits: Vector, weights: Vector, continuous: bool) -> float:
    """The verified rate or factor in `max_i weights_i |x_i|_i`; NaN where there is none."""
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        return math.nan
    exact, w = Ball.exact(gains), 1.0 / Ball.exact(weights)
    if continuous:
        sums = (exact @ w) / w
        rate = float((Ball.exact(limits) - sums).lower().min())
        return float((Ball.exact(rate) * (1 - 2.0**-44)).lower()) if rate > 0 else math.nan
    sums = (exact @ (w * limits)) / w
    return float((Ball.exact(float(sums.upper().max())) * (1 + 2.0**-44)).upper())


def _weights(matrix: Gains, continuous: bool) -> Iterator[Vector]:
    """Candidates from `(s - N) w = 1` for s above the spectral abscissa, and the Perron vector."""
    size = len(matrix)
    yield np.ones(size)
    with np.errstate(all="ignore"):
        abscissa = float(np.real(np.linalg.eigvals(matrix)).max())
        room = -abscissa if continuous else 1 - abscissa
        for slack in _SLACKS:
            shift = abscissa + max(slack, 1e-13) * abs(room)
            try:
                w = np.linalg.solve(shift * np.eye(size) - matrix, np.ones(size))
            except np.linalg.LinAlgError:
                continue
            if np.isfinite(w).all() and (w > 0).all():
                log = np.log(w)
                yield np.exp(np.clip(log.mean() - log, -300, 300))


def _refusal(matrix: Gains, continuous: bool) -> Unknown:
    """The loop of gains that is too large, by its Perron vector."""
    eigenvalues, vectors = np.linalg.eig(matrix)
    values = np.real(eigenvalues)
    top = int(np.argmax(values))
    share = np.abs(vectors[:, top])
    off = matrix * share[:, None] * share
    np.fill_diagonal(off, -np.inf if len(matrix) > 1 else 0.0)
    first, second = sorted(divmod(int(np.argmax(off)), len(matrix)))
    word, edge = ("spectral abscissa", 0) if continuous else ("spectral radius", 1)
    return Unknown(
        f"the gains are too large, most of all between parts {first} and {second}: their matrix "
        f"has the {word} {values[top]:.6g}, not below {edge}",
        pair=(first, second),
    )


def _certificate(
    wiring: Wiring,
    parts: tuple[Certificate, ...],
    limits: Vector,
    gains: Gains,
    bound: float,
    weights: Vector,
) -> Certificate:
    metrics = tuple(part.metric for part in parts)
    return Certificate(
        wiring.system,
        "small_gain",
        BlockMaximumMetric(metrics, wiring.sizes, jnp.asarray(weights)),
        bound if wiring.continuous else None,
        None if wiring.continuous else bound,
        tuple(part.theorem for part in parts),
        tuple(limits.tolist()),
        tuple(gains.ravel().tolist()),
        parts=tuple(replace(part, tried=(), float32=None) for part in parts),
        evidence=min(Evidence.VERIFIED, *(part.evidence for part in parts)),
    )
