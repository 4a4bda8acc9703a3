"""Rounding in deep stacks: every layer in a ball of its own, and errors that only move upward.

Layer k of two float32 runs obeys `d_k <- f_k d_k + beta_k sum_(j<k) r_j d_j + 2 e_k`, with the
factors and gains of the theorem `Cascade` and the layer's own rounding error `e_k`, to which the
rounding of the stream below belongs.
"""

from dataclasses import dataclass

import numpy as np

from limitset.contraction._block_metric import BlockMaximumMetric
from limitset.contraction._certificate import Certificate, Float32Gap
from limitset.contraction._float32_step import local_step, smallest_ball
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._rounding_gated import entered
from limitset.contraction._size import (
    LARGEST,
    UNDERFLOW,
    Inputs,
    Metric,
    check_at_zero,
    error_of,
    exact_inputs,
    length,
    limits,
    reach_of,
    roots,
    share_lost,
    steepest_of,
)
from limitset.networks import DiagonalRecurrence, Relay, Stack
from limitset.proofs import Ball

# Fast units get a ball of at least this share of the slowest's, for starts away from 0.
_LEAST_SHARE = 0.1
_LEAST = 1e-2


@dataclass(frozen=True)
class _Bounds:
    """Of one layer in float32.

    `radii` of its ball, or of the discs of its complex units; `entries` and `norm` of its state;
    `rounding` of a step; `gap`, what two runs keep apart by rounding alone; `response`, what they
    keep apart for each unit by which their inputs differ.
    """

    radii: tuple[float, ...]
    entries: Ball
    norm: float
    rounding: float
    gap: float
    response: float


def layered_gap(certificate: Certificate, input_bound: float, error: float) -> Float32Gap | None:
    """The float32 statement of a stack, or of a diagonal recurrence alone."""
    system = certificate.system
    if isinstance(system, DiagonalRecurrence):
        bounds = _bounds(certificate, exact_inputs(system.input_size, input_bound), error, 1.0)
        if bounds is None:
            return None
        return _statement(certificate, (input_bound, error), [bounds], [1.0], [bounds.rounding])
    if not isinstance(system, Stack) or not isinstance(certificate.metric, BlockMaximumMetric):
        return None
    stream = _embedded(system, exact_inputs(system.input_size, input_bound))
    if stream is None:
        return None
    weights = np.asarray(certificate.metric.weights, np.float64).tolist()
    norms = certificate.coupling_bounds
    layers: list[_Bounds] = []
    for k, part in enumerate(certificate.parts):
        entry = product_upper(*norms[4 * k - 2 : 4 * k]) if k else 1.0
        bounds = _bounds(part, stream, error, entry)
        if bounds is None:
            return None
        layers.append(bounds)
        if k < len(system.relays):
            read = norms[4 * k + 1]
            relayed = _relayed(system.relays[k], part.metric, bounds, stream, read, error)
            if relayed is None:
                return None
            stream = relayed
    errors = _accumulated(certificate, [b.rounding for b in layers], None)
    return _statement(certificate, (input_bound, error), layers, weights, errors)


def _statement(
    certificate: Certificate,
    assumed: tuple[float, float],
    layers: list[_Bounds],
    weights: list[float],
    errors: list[float],
) -> Float32Gap | None:
    gaps = _accumulated(certificate, [b.gap for b in layers], [b.response for b in layers])
    rounding, apart = (
        max(product_upper(w, x) for w, x in zip(weights, found, strict=True))
        for found in (errors, gaps)
    )
    if not (np.isfinite(rounding) and np.isfinite(apart)):
        return None
    by_factor = Ball.exact(2 * rounding) / (1 - Ball.exact(certificate.factor or 0.0))
    start = min(
        float((Ball.exact(w) * _least(part, b)).lower())
        for w, part, b in zip(weights, certificate.parts or (certificate,), layers, strict=True)
    )
    gap = min(apart, float(by_factor.upper()))
    if not (np.isfinite(gap) and start > 0):
        return None
    return Float32Gap(*assumed, start, rounding, gap, tuple(b.radii for b in layers))


def _least(part: Certificate, bounds: _Bounds) -> float:
    """The radius of a ball in the layer's metric that lies within its discs."""
    if not (
        isinstance(part.system, DiagonalRecurrence) and isinstance(part.metric, DiagonalMetric)
    ):
        return bounds.radii[0]
    scale = np.asarray(part.metric.scale, np.float64)[: len(bounds.radii)]
    return float((Ball.exact(scale) * np.array(bounds.radii)).lower().min())


def _accumulated(
    certificate: Certificate, own: list[float], responses: list[float] | None
) -> list[float]:
    """`own_k + response_k sum_(j<k) r_j (what layer j has)`, from the lowest layer up.

    Responses are those of one step, `beta_k`, if none are given.
    """
    norms, stack = certificate.coupling_bounds, certificate.system
    found, passed = [], 0.0
    for k, rounding in enumerate(own):
        if k and isinstance(stack, Stack):
            write, read = norms[4 * k - 4], norms[4 * k - 3]
            steepest = steepest_of(stack.relays[k - 1].activation)
            passed = sum_upper(passed, product_upper(write, steepest, read, found[-1]))
            one = responses[k] if responses else product_upper(*norms[4 * k - 2 : 4 * k])
            rounding = sum_upper(rounding, product_upper(one, passed))
        found.append(rounding)
    return found


def _bounds(part: Certificate, inputs: Inputs, error: float, entry: float) -> _Bounds | None:
    if isinstance(part.system, DiagonalRecurrence) and isinstance(part.metric, DiagonalMetric):
        return _unit_bounds(part.system, part.metric, inputs)
    step = local_step(part, inputs, error)
    found = None if step is None else smallest_ball(step)
    reach = reach_of(part.metric) if isinstance(part.metric, Metric) else None
    if found is None or reach is None:
        return None
    radius, moved = found
    forgetting = 1 - Ball.exact(part.factor or 0.0)
    gap, response = (
        float((Ball.exact(x) / forgetting).upper()) for x in (2 * moved.rounding, entry)
    )
    return _Bounds((radius,), reach * radius, radius, moved.rounding, gap, response)


def _unit_bounds(
    system: DiagonalRecurrence, metric: DiagonalMetric, inputs: Inputs
) -> _Bounds | None:
    """Discs `|z_i| <= rho_i` that the units do not leave, each with the error of its own size."""
    n, terms = len(system.real), inputs.entries.size + 6
    scale = np.asarray(metric.scale, np.float64)
    real, imaginary = (np.asarray(a, np.float64) for a in (system.real, system.imaginary))
    weight = np.asarray(system.input_weight, np.float64)
    both = Ball.exact(np.abs(real)) + np.abs(imaginary)
    modulus = roots(Ball.exact(real) * real + Ball.exact(imaginary) * imaginary)
    pushed, carried = entered(system.input_weight, system.bias, inputs)
    lost = share_lost(terms)
    # Factors that are flushed leave out the other ones; a factor of 64 to spare.
    flushed = UNDERFLOW * float(terms + 4 + np.abs(weight).sum() + inputs.entries.upper().sum())

    def erred(radii: np.ndarray) -> Ball:
        turned = Ball.moved(_twice, both * radii)
        return _moduli(carried + flushed + (turned + pushed) * lost)

    room = (1.0 - modulus - both * (1.5 * lost)).lower()
    if not ((scale[:n] == scale[n:]).all() and (room > 0).all()):
        return None
    still = (_moduli(pushed) + erred(np.zeros(n))) * (1 + 1e-9)
    radii = (still / Ball.exact(room)).upper()
    radii = np.maximum(radii, max(_LEAST_SHARE * radii.max(), _LEAST))
    reached = (modulus * radii + _moduli(pushed) + erred(radii)).upper()
    if not ((reached <= radii).all() and radii.max() < 2.0**100):
        return None
    rest = 1.0 - modulus
    rows = (Ball.exact(weight) * weight) @ np.ones(weight.shape[1])
    answers = roots(rows[:n] + rows[n:]) / rest
    norm, rounding, gap, response = (
        length(part * scale[:n])
        for part in (Ball.exact(radii), erred(radii), erred(radii) * 2.0 / rest, answers)
    )
    entries = Ball.exact(_twice(radii))
    return _Bounds(tuple(radii.tolist()), entries, norm, rounding, gap, response)


def _moduli(parts: Ball) -> Ball:
    """Of complex numbers, from bounds of their parts."""
    n = parts.size // 2
    return roots(parts[:n] * parts[:n] + parts[n:] * parts[n:])


def _twice(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, values])


def _embedded(stack: Stack, inputs: Inputs) -> Inputs | None:
    """The stream below the first layer; `None` if it may overflow."""
    embedding = np.abs(np.asarray(stack.embedding, np.float64))
    bias = np.abs(np.asarray(stack.embedding_bias, np.float64))
    size, terms = Ball.exact(embedding) @ inputs.entries + bias, inputs.entries.size + 2
    lost = size * share_lost(terms) + terms * UNDERFLOW
    largest = (size + lost).upper().max(initial=0.0)
    return Inputs(size + lost, lost) if largest < LARGEST else None


def _relayed(
    relay: Relay,
    metric: AbstractMetric,
    below: _Bounds,
    stream: Inputs,
    read_norm: float,
    error: float,
) -> Inputs | None:
    """The stream above a relay, whose layer's state is in its ball; `None` if it may overflow."""
    check_at_zero(relay.activation)
    read, write, bias = (
        np.abs(np.asarray(w, np.float64)) for w in (relay.read, relay.write, relay.bias)
    )
    hidden, states = read.shape
    steepest, still = steepest_of(relay.activation), relay.activation.at_zero
    argument = _entering(read, below, metric) + bias
    slip = argument * share_lost(states + 2) + (states + 2) * UNDERFLOW
    # Of values at the argument as it is, which is off by its error.
    value = ((argument + slip) * steepest + still).upper()
    value = limits(np.minimum(value, relay.activation.supremum))
    wrong = slip * steepest + value * error_of(relay.activation, error) + UNDERFLOW
    # All of them together: what is read has a norm.
    whole = sum_upper(product_upper(read_norm, below.norm), length(Ball.exact(bias)))
    whole = sum_upper(product_upper(whole, steepest), length(Ball.exact(np.full(hidden, still))))
    rows = roots(Ball.exact(write) * write @ np.ones(hidden)) * min(whole, length(value))
    added = np.minimum((Ball.exact(write) @ value).upper(), rows.upper())
    carried = stream.error + Ball.exact(write) @ wrong
    size = stream.entries + added + carried
    lost = carried + size * share_lost(hidden + 3) + (hidden + 3) * UNDERFLOW
    largest = max(part.upper().max(initial=0.0) for part in (argument + slip, size + lost))
    return Inputs(size + lost, lost) if largest < LARGEST else None


def _entering(read: np.ndarray, below: _Bounds, metric: AbstractMetric) -> Ball:
    """`|read| |x|` in the ball: row by row from entries, or from the norm."""
    by_entries = (Ball.exact(read) @ below.entries).upper()
    if not isinstance(metric, DiagonalMetric):
        return limits(by_entries)
    scaled = Ball.exact(read) / Ball.exact(np.asarray(metric.scale, np.float64)).reshape(1, -1)
    rows = roots(scaled * scaled @ np.ones(read.shape[1])) * below.norm
    return limits(np.minimum(by_entries, rows.upper()))
