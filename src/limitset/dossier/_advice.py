"""Which bias, or which gain, gives a random network a wanted memory."""

import math
from dataclasses import dataclass

from limitset._result import InputProblem
from limitset.dossier._phase_point import PhasePoint


@dataclass(frozen=True)
class Advice:
    """One number of the initialisation to change, and to what.

    For the zero state of an infinitely large random cell without input: closed form, asymptotic.

    **Arguments:** `memory_time`, that was asked for, in steps or units of time; `edge`, that it
    needs; `change`, the name of the number; `value`, `None` where no value of it will do; `reason`,
    in one sentence.
    """

    memory_time: float
    edge: float
    change: str
    value: float | None
    reason: str


def advise(point: PhasePoint, memory_time: float) -> Advice:
    """The bias of the gate that keeps (or, without one, the gain) for a wanted memory time.

    A map forgets by `edge` per step, `edge = exp(-1/T)`, a flow by `exp(edge t)`, `edge = -1/T`:

    - GRU: `z + (1 - z) r gain = edge` for the update bias
    - LSTM: `f + i o gain = edge` for the forget bias
    - gated network: `-s (1 - gain r) = edge` for the update bias
    - Elman cell, rate network: the gain

    All other gains and biases stay. It is a rule for the start of training, and says nothing of
    trained networks.

    **Arguments:** `point`, of a network near its initialisation; `memory_time`, positive.

    **Raises:** `InputProblem` for a time that is not positive, and where there is no theory.

    >>> import jax
    >>> from limitset.dossier import phase_point
    >>> from limitset.networks import gaussian_lstm
    >>> point = phase_point(gaussian_lstm(jax.random.key(0), 60, cell_gain=0.5))
    >>> round(advise(point, 100.0).value, 1)
    1.9
    """
    if not 0 < memory_time < math.inf:
        raise InputProblem(f"memory is {memory_time}; give a positive, finite time")
    if point.theory is None:
        raise InputProblem(f"theory has no formula for this {point.kind}; leave --memory out")
    edge = edge_for(memory_time, is_discrete=point.is_discrete)
    theory = point.theory
    rise = theory.zero_edge - theory.floor
    if point.kind == "LSTM":
        return _by_gate("forget bias", memory_time, edge, edge - rise)
    if point.kind in ("GRU", "ResetBeforeGRU"):
        fed_back = rise / (1 - theory.floor)
        share = (edge - fed_back) / (1 - fed_back) if fed_back < 1 else math.nan
        return _by_gate("update bias", memory_time, edge, share)
    if any(gate.name == "update" for gate in point.gates):
        # The edge is proportional to the speed, which is minus the floor.
        share = -theory.floor * edge / theory.zero_edge if theory.zero_edge < 0 else math.nan
        return _by_gate("update bias", memory_time, edge, share)
    gain = (
        theory.critical_gain
        * (edge - theory.floor)
        / ((1 if point.is_discrete else 0) - theory.floor)
    )
    return _by_gain(memory_time, edge, gain)


def edge_for(memory_time: float, *, is_discrete: bool) -> float:
    """The edge of eigenvalues that falls to 1/e in this time.

    >>> edge_for(10.0, is_discrete=False)
    -0.1
    """
    return math.exp(-1 / memory_time) if is_discrete else -1 / memory_time


def _by_gate(change: str, memory_time: float, edge: float, share: float) -> Advice:
    """The bias at which a gate is open by this share."""
    # NaN is between no two numbers.
    if not 0 < share < 1:
        reason = f"no {change} does: the gains alone hold the edge elsewhere; change them first"
        return Advice(memory_time, edge, change, None, reason)
    value = math.log(share / (1 - share))
    return Advice(memory_time, edge, change, value, _reason(edge))


def _by_gain(memory_time: float, edge: float, gain: float) -> Advice:
    if not 0 < gain < math.inf:
        reason = "no gain does: without recurrent weights the network is slower, or faster"
        return Advice(memory_time, edge, "gain", None, reason)
    return Advice(memory_time, edge, "gain", gain, _reason(edge))


def _reason(edge: float) -> str:
    return f"puts the edge of the zero state at {edge:.6g}"
