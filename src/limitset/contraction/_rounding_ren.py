"""The rounding error of one float32 step of a recurrent equilibrium network."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from limitset.contraction._certificate import Certificate
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._metric import DiagonalMetric, QuadraticMetric
from limitset.contraction._size import (
    LARGEST,
    UNDERFLOW,
    Inputs,
    Reach,
    check_at_zero,
    entries_norm,
    error_of,
    length,
    limits,
    reach_of,
    share_lost,
    steepest_of,
)
from limitset.networks import REN
from limitset.proofs import Ball, is_positive_definite

Bounds = tuple[Ball, Ball]
Multipliers = Float[np.ndarray, " k"]

# How much larger than in exact numbers values may be in float32; and where they are all 0.
_ROOM, _FLOOR = 1.1, 2.0**-80
_TRIED = 40


def ren_step(
    certificate: Certificate, inputs: Inputs, error: float
) -> Callable[[float], Reach] | None:
    """The analysis of `A x + B1 w + B2 u + bx`, `w = phi(C1 x + D11 w + D12 u + bv)`."""
    system, metric = certificate.system, certificate.metric
    if not isinstance(system, REN) or not isinstance(metric, DiagonalMetric | QuadraticMetric):
        return None
    check_at_zero(system.activation)
    states = reach_of(metric)
    if states is None:
        return None
    multipliers, factor = np.array(certificate.multipliers), certificate.factor or 0.0
    if multipliers.shape != (system.unit_count,) or not _least(system, multipliers) > 0:
        return None
    units, resting = _Units(system, multipliers), Ball.exact(np.zeros(system.state_size))
    pushed = entries_norm(_step(units, resting, inputs, 0.0)[0], metric)

    def reach(radius: float) -> Reach:
        value, wrong = _step(units, states * radius, inputs, error)
        largest = (value + wrong).upper().max()
        rounding = entries_norm(wrong, metric) if largest < LARGEST else float("inf")
        return Reach(rounding, sum_upper(product_upper(factor, radius), pushed), pushed)

    return reach


def _step(units: "_Units", states: Ball, inputs: Inputs, error: float) -> Bounds:
    """The next state and its error, entry by entry."""
    system = units.system
    A, B1, B2, bx = (_sizes(x) for x in (system.A, system.B1, system.B2, system.bx))
    response, wrong = units.respond(states, inputs, error)
    terms = sum(B1.shape) + inputs.entries.size + 4
    value = A @ states + B2 @ inputs.entries + bx + B1 @ response
    carried = B1 @ wrong + B2 @ inputs.error
    flushed = _flushed(terms, A, B1, B2, states, inputs.entries, response, wrong)
    return value, carried + (value + carried) * share_lost(terms) + flushed


class _Units:
    """The triangular layer, and how far its values move when its arguments do.

    With multipliers Q and incremental slopes in [0, g], `dw = phi(v + dv) - phi(v)` and
    `dv = D11 dw + moved` obey `dw^T H dw / 2 <= g dw^T Q moved`, `H = 2 Q - g (Q D11 + D11^T Q)`.
    So `|dw|_Q <= (2 g / least) |moved|_Q`, where `H >= least Q`.
    """

    def __init__(self, system: REN, multipliers: Multipliers) -> None:
        self.system, self.root = system, Ball.exact(multipliers).sqrt()
        least = _least(system, multipliers)
        self.steepness = float((Ball.exact(2 * steepest_of(system.activation)) / least).upper())

    def moved(self, arguments: Ball) -> Ball:
        """Entry by entry, how far the values move at most."""
        if arguments.size == 0:
            return arguments
        norm = product_upper(self.steepness, length(self.root * arguments))
        return norm / self.root if np.isfinite(norm) else _unbounded(arguments.size)

    def respond(self, states: Ball, inputs: Inputs, error: float) -> Bounds:
        """The units' values and their errors.

        A bound of the values that float32 computes is assumed, and follows from itself: every unit
        hears those before it only.
        """
        system = self.system
        C1, D11, D12, bv = (_sizes(x) for x in (system.C1, system.D11, system.D12, system.bv))
        count, terms = system.unit_count, sum(C1.shape) + inputs.entries.size + 4
        still, supremum = system.activation.at_zero, system.activation.supremum
        alpha = error_of(system.activation, error)
        entering = C1 @ states + D12 @ inputs.entries + bv
        # Away from all values `phi(0)`, which solve the layer for other arguments.
        resting = entering + D11 @ np.full(count, still)
        assumed = (self.moved(resting) * _ROOM + (still + _FLOOR)).upper()
        assumed = limits(np.minimum(assumed, supremum))
        wrong = assumed * alpha + UNDERFLOW
        argument = entering + D11 @ (assumed + wrong)
        flushed = _flushed(terms, C1, D11, D12, states, inputs.entries, assumed, wrong)
        slip = D12 @ inputs.error + argument * share_lost(terms) + flushed
        slip = slip + D11 @ wrong
        reached = np.minimum((self.moved(resting + slip) + still).upper(), supremum)
        largest = (argument + slip).upper().max(initial=0.0)
        if not ((reached <= assumed.upper()).all() and largest < LARGEST):
            return _unbounded(count), _unbounded(count)
        return assumed + wrong, self.moved(slip) + wrong


def _least(system: REN, multipliers: Multipliers) -> float:
    """A large number with `H >= least Q`; 0 if none is found."""
    D11, gain = np.tril(np.asarray(system.D11, np.float64), -1), steepest_of(system.activation)
    if not multipliers.size:
        return 1.0
    product = Ball.exact(multipliers).reshape(-1, 1) * D11 * gain
    for power in range(_TRIED):
        for least in (2.0**-power * 2, 2.0**-power * 1.5):
            own = Ball.exact(np.diag(multipliers)) * (2 - least)
            if is_positive_definite(own - product - product.T):
                return least
    return 0.0


def _flushed(terms: int, *factors: Ball) -> Ball:
    """What underflow costs a sum: factors that are flushed leave out the other ones."""
    total = UNDERFLOW * (terms + 4 + sum(float(f.upper().sum()) for f in factors))
    return limits(np.array(total))


def _unbounded(count: int) -> Ball:
    return limits(np.full(count, np.inf))


def _sizes(array: object) -> Ball:
    return Ball.exact(np.abs(np.asarray(array, np.float64)))
