"""Parts and the matrix between them: what theorems about wholes see of a system."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._best import best_certificate
from limitset.contraction._block_metric import BlockMaximumMetric, BlockMetric, places_of
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._search import acts_mutually, mutual_scale
from limitset.contraction._theorem import AbstractTheorem
from limitset.dynamics import CompositeMap, ExplicitEuler, RateMap, SemiImplicitMap
from limitset.networks import Assembly, Composite
from limitset.proofs import Ball

System = AbstractFlow | AbstractMap
Square = Float[np.ndarray, "n n"]
# A wiring that costs a smaller share of the slowest part's margin needs no second try.
_CHEAP = 1e-2

WIRED = Composite | CompositeMap | Assembly | SemiImplicitMap


@dataclass(frozen=True)
class Wiring:
    """`x_i' = speeds_i f_i(x_i, u) + (matrix x)_i`, or `x+ = matrix concat(f_i(x_i, u))`."""

    system: System
    parts: tuple[System, ...]
    matrix: Square
    speeds: Float[np.ndarray, " p"]

    @property
    def continuous(self) -> bool:
        """Whether it is a flow."""
        return isinstance(self.system, AbstractFlow)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of state variables of each part."""
        return tuple(part.state_size for part in self.parts)

    @property
    def places(self) -> tuple[slice, ...]:
        """Where the parts stand in the state."""
        return places_of(self.sizes)


def wiring_of(system: System) -> Wiring | str:
    """Parts and matrix of a composite or an assembly, or of a map of one; or why there are none."""
    if isinstance(system, Composite):
        return Wiring(system, system.parts, _exact(system.coupling), _exact(system.speeds))
    if isinstance(system, CompositeMap):
        return Wiring(system, system.parts, _exact(system.mixing), np.ones(len(system.parts)))
    if isinstance(system, Assembly):
        return Wiring(system, system.modules, _exact(system.coupling), np.ones(len(system.modules)))
    if not isinstance(system, SemiImplicitMap):
        return f"{type(system).__name__} is not wired from parts"
    parts = []
    for module, place in zip(
        system.assembly.modules, places_of(system.assembly.sizes), strict=True
    ):
        keep, gain = system.keep[place], system.gain[place]
        if not (jnp.all(keep == keep[0]) and jnp.all(gain == gain[0])):
            return "the units of a module keep different shares of their state"
        parts.append(RateMap(module, keep[0], gain[0], ExplicitEuler(system.scheme.step)))
    return Wiring(system, tuple(parts), _exact(system.propagator), np.ones(len(parts)))


def certified_parts(
    wiring: Wiring, metric: AbstractMetric | None, theorems: tuple[AbstractTheorem, ...]
) -> Iterator[tuple[Certificate, ...] | Unknown]:
    """Certificates of all parts: in the given metric's parts, or in metrics of their own choice.

    Where the parts may choose, there can be two answers: the best ones, and those in the diagonal
    metric in which units that act on one another across parts do so equally.
    """
    if metric is None:
        yield _certify_each(wiring, (None,) * len(wiring.parts), theorems)
        suggested = _suggested(wiring)
        if suggested is not None:
            yield _certify_each(wiring, suggested, theorems)
        return
    metrics = part_metrics(metric, wiring.sizes)
    if metrics is None:
        yield Unknown(
            f"the metric does not consist of metrics of {len(wiring.parts)} parts of sizes "
            f"{wiring.sizes}; give a BlockMetric"
        )
    else:
        yield _certify_each(wiring, metrics, theorems)


def best_join(
    wiring: Wiring,
    found: Iterator[tuple[Certificate, ...] | Unknown],
    join: Callable[[Wiring, tuple[Certificate, ...]], Certificate | Unknown],
) -> Certificate | Unknown:
    """The best whole; the first one if the wiring costs next to nothing there."""
    best: Certificate | None = None
    refusals: list[Unknown] = []
    for parts in found:
        answer = parts if isinstance(parts, Unknown) else join(wiring, parts)
        if isinstance(answer, Unknown):
            refusals.append(answer)
            continue
        if best is None or answer.margin > best.margin:
            best = answer
        slowest = min(1 - b if answer.rate is None else b for b in answer.module_bounds)
        if best.margin > (1 - _CHEAP) * slowest:
            break
    return best or refusals[0]


def part_metrics(
    metric: AbstractMetric, sizes: tuple[int, ...]
) -> tuple[AbstractMetric, ...] | None:
    """The metrics of the parts, where the metric of the whole consists of such."""
    if isinstance(metric, BlockMetric | BlockMaximumMetric):
        return metric.parts if metric.sizes == sizes else None
    if isinstance(metric, DiagonalMetric) and metric.scale.shape == (sum(sizes),):
        return tuple(DiagonalMetric(metric.scale[place]) for place in places_of(sizes))
    return None


def part_bounds(wiring: Wiring, parts: tuple[Certificate, ...]) -> list[float] | Unknown:
    """`speeds_i rate_i`, rounded down, or the factors; checked, for parts are taken as data."""
    bounds = []
    for index, (part, speed) in enumerate(zip(parts, wiring.speeds, strict=True)):
        if wiring.continuous:
            rate = part.rate
            # A part that runs backwards may expand by more than it contracts.
            if part.factor is not None or rate is None or not 0 < rate < math.inf:
                return Unknown(f"part {index} has no rate above 0")
            if not 0 < speed < math.inf:
                return Unknown(f"part {index} has the speed {speed}; it must be above 0")
            bounds.append(float((Ball.exact(rate) * Ball.exact(float(speed))).lower()))
        else:
            factor = part.factor
            if part.rate is not None or factor is None or not 0 <= factor < 1:
                return Unknown(f"part {index} has no factor below 1")
            bounds.append(factor)
    return bounds


def _certify_each(
    wiring: Wiring,
    metrics: tuple[AbstractMetric | None, ...],
    theorems: tuple[AbstractTheorem, ...],
) -> tuple[Certificate, ...] | Unknown:
    found = []
    for index, (part, metric) in enumerate(zip(wiring.parts, metrics, strict=True)):
        best, tried = best_certificate(part, theorems, metric)
        if best is None:
            reasons = "; ".join(f"{a.theorem}: {a.reason}" for a in tried)
            kind = type(part).__name__
            return Unknown(f"part {index}: {reasons or f'no theorem speaks about {kind}'}")
        found.append(best)
    return tuple(found)


def _suggested(wiring: Wiring) -> tuple[AbstractMetric, ...] | None:
    """Diagonal metrics of the parts, from pairs of units that act on one another across parts."""
    matrix = wiring.matrix.copy()
    if not wiring.continuous:
        # For a propagator of a skew coupling, this is as skew as the coupling.
        try:
            matrix = matrix - np.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            return None
    for place in wiring.places:
        matrix[place, place] = 0.0
    # Assemblies have a theorem of their own in this metric.
    if not (acts_mutually(matrix) and isinstance(wiring.system, Composite | CompositeMap)):
        return None
    if not np.isfinite(matrix).all():
        return None
    scale = mutual_scale(matrix)
    return tuple(DiagonalMetric(jnp.asarray(scale[place])) for place in wiring.places)


def _exact(array: object) -> np.ndarray:
    return np.asarray(array, np.float64)
