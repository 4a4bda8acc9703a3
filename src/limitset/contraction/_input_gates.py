"""Gated units: speeds that the input sets do not harm contraction, couplings outside them neither.

Everything is about units without weights between them, so that in a diagonal metric the units'
part of the Jacobian is diagonal, whatever the gates do.
"""

import jax.numpy as jnp
import numpy as np

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._layer import Vector, product_upper, whiten, whitened_norm
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._search import mutual_scale
from limitset.contraction._theorem import AbstractTheorem, diagonal_scale
from limitset.dynamics import GatedMap
from limitset.networks import GatedAssembly, GatedRate
from limitset.proofs import Ball, largest_eigenvalue_upper

_Gated = GatedRate | GatedAssembly | GatedMap


class InputGates(AbstractTheorem):
    """Contraction of units whose speeds depend on the input, in a diagonal metric `M = S^2`.

    Hypotheses, for `x_i' = nu_i(u) (-x_i + w_i phi(x_i) + B u + b) + (L x)_i` with gates `nu_i` in
    `[slowest_i, fastest_i]`:

    1. The slopes of `phi` lie in a known interval `[lo, hi]`.
    2. The ends of all gates are positive.
    3. `r_i = min(slowest_i, fastest_i) (1 - max(lo w_i, hi w_i))` is positive for every unit.
    4. `lambda_max(sym(S L S^-1) - diag(r)) < 0`. Its negative is the rate: without a coupling, or
       with one that is skew in the metric, `min_i r_i`.

    For the map `x+ = C (x + h nu(u) * (-x + w phi(x) + B u + b))`, unit i's own step has slopes
    `1 - h nu (1 - w_i s)`, which is extreme at the ends of nu and s. The largest of all in absolute
    value, times `|S C S^-1|_2`, is the factor.

    The gates depend on inputs alone, so both trajectories have the same at every time; that is all
    that is used of them.

    **Reference:** arXiv 2106.08928 for the coupling; the rest is elementary.
    """

    @property
    def name(self) -> str:
        """`"input_gates"`."""
        return "input_gates"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Gated units, alone and coupled, and their maps."""
        return isinstance(system, _Gated)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, or in the metric that the coupling itself suggests."""
        if not isinstance(system, _Gated):
            return Unknown("input_gates speaks of gated units only")
        units = system if isinstance(system, GatedRate) else system.units
        if units.activation.slope_interval is None:
            return Unknown(f"the slopes of {units.activation.name!r} have no proved bound")
        speeds = np.asarray([units.slowest, units.fastest], np.float64)
        if not (speeds > 0).all():
            return Unknown("a gate has an end that is not positive: its unit may stand still")
        scale = _suggested(system) if metric is None else diagonal_scale(metric, system.state_size)
        if scale is None:
            return Unknown("input_gates needs a diagonal metric")
        if isinstance(system, GatedMap):
            return _certify_map(system, scale)
        return _certify_flow(system, units, scale)


def _certify_flow(
    system: GatedRate | GatedAssembly, units: GatedRate, scale: Vector
) -> Certificate | Unknown:
    rates = unit_rates(units)
    slowest = float(rates.min())
    if not slowest > 0:
        return Unknown(f"unit {int(np.argmin(rates))} does not contract: its rate is {slowest:.6g}")
    rate = slowest
    if isinstance(system, GatedAssembly):
        coupling = whiten(Ball.exact(np.asarray(system.coupling, np.float64)), scale)
        symmetric = (coupling + coupling.T) * 0.5
        rate = -largest_eigenvalue_upper(symmetric - np.diag(rates))
    if not rate > 0:
        return Unknown(
            f"the coupling is not skew in this metric: it costs {slowest - rate:.6g}, and the "
            f"slowest unit has the rate {slowest:.6g}"
        )
    used = DiagonalMetric(jnp.asarray(scale))
    return Certificate(system, "input_gates", used, rate, None, ("input_gates",), (slowest,))


def _certify_map(system: GatedMap, scale: Vector) -> Certificate | Unknown:
    local = float(unit_factors(system).max())
    coupling: tuple[float, ...] = ()
    if system.propagator is not None:
        coupling = (whitened_norm(np.asarray(system.propagator, np.float64), scale),)
    factor = product_upper(local, *coupling)
    if not factor < 1:
        told = f", and of the propagator by {coupling[0]:.9g}" if coupling else ""
        return Unknown(f"the factor of the units' steps is bounded by {local:.9g}{told}")
    used = DiagonalMetric(jnp.asarray(scale))
    return Certificate(
        system, "input_gates", used, None, factor, ("input_gates",), (local,), coupling
    )


def unit_rates(units: GatedRate) -> Vector:
    """Every unit's slowest decay, rounded down: the worse end of its gate, the worse slope."""
    lowest, highest = units.activation.slope_interval or (-np.inf, np.inf)
    weight = np.asarray(units.self_weight, np.float64)
    kept = [1.0 - Ball.exact(weight) * slope for slope in (lowest, highest)]
    ends = (np.asarray(speed, np.float64) for speed in (units.slowest, units.fastest))
    return np.min([(k * end).lower() for end in ends for k in kept], axis=0)


def unit_factors(system: GatedMap) -> Vector:
    """Every unit's largest slope in absolute value over one step, rounded up."""
    units = system.units
    lowest, highest = units.activation.slope_interval or (-np.inf, np.inf)
    weight, step = Ball.exact(np.asarray(units.self_weight, np.float64)), float(system.step)
    found = []
    for speed in (units.slowest, units.fastest):
        moved = Ball.exact(np.asarray(speed, np.float64)) * step
        for slope in (lowest, highest):
            found.append((1.0 - moved * (1.0 - weight * slope)).magnitude())
    return np.max(found, axis=0)


def _suggested(system: _Gated) -> Vector:
    """A metric in which the coupling is skew if there is one, else the round one."""
    size = system.state_size
    round_ = np.ones(size)
    if isinstance(system, GatedAssembly):
        return mutual_scale(np.asarray(system.coupling, np.float64))
    if not isinstance(system, GatedMap) or system.propagator is None:
        return round_
    propagator = np.asarray(system.propagator, np.float64)
    try:
        inverse = np.linalg.inv(propagator)
    except np.linalg.LinAlgError:
        return round_
    # One of them is skew in the metric: for implicit steps, or for rotations.
    candidates = [round_]
    candidates += [mutual_scale(m - inverse) for m in (np.eye(size), propagator)]
    norms = [_norm(propagator * s[:, None] / s) for s in candidates]
    return candidates[int(np.argmin(norms))]


def _norm(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix, 2)) if np.isfinite(matrix).all() else float("inf")
