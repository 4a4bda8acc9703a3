"""The ensemble that a cell's statistics stand for, and what mean-field theory says of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import SupportsFloat

from limitset._system import AbstractFlow, AbstractMap
from limitset.dossier._gates import GateStatistics
from limitset.meanfield import (
    GRUEnsemble,
    LSTMEnsemble,
    ResetAfterGRUEnsemble,
    cell_fixed_points,
    cell_slow_fraction,
    fixed_points,
    slow_mode_fraction,
    zero_state_edge,
)
from limitset.networks import (
    GRU,
    LSTM,
    TANH,
    Elman,
    GatedNetwork,
    GatedParameters,
    RateNetwork,
    ResetBeforeGRU,
)


@dataclass(frozen=True)
class Theory:
    """What theory says of infinitely large cells with these gains and gates; in float64.

    Gates have their mean biases. A bias of the candidate or of the state is left out: with one,
    zero is no fixed point, and these numbers are those of the cell without it.

    **Arguments:**

    - `zero_edge`: at the zero state, the largest modulus of eigenvalues of a map, or real part of
      a flow; it is stable below 1, or below 0.
    - `floor`: what `zero_edge` would be without the candidate's (or the state's) recurrent weights;
      between the two it is linear in their gain.
    - `critical_gain`: at which the zero state loses stability; infinite if it never does.
    - `stability_number`: `K` of the fixed point of largest variance besides zero; `None` if there
      is none. Above 1 it is unstable, and the cell is chaotic in most cases.
    - `slow_fraction`: of modes slower than `width` per step or unit of time, there, or `None`.
    """

    zero_edge: float
    floor: float
    critical_gain: float
    stability_number: float | None = None
    slow_fraction: float | None = None


def theory_of(
    system: AbstractFlow | AbstractMap, gates: tuple[GateStatistics, ...], width: float
) -> Theory | None:
    """What theory says of random cells of these gains and biases.

    **Arguments:** `system`, for its kind and its constants; `gates`, as `gate_statistics` gives
    them; `width`, what counts as a slow mode.

    **Returns:** a `Theory`, or `None` where there is no formula: functions other than tanh.
    """
    by_name = {gate.name: gate for gate in gates}
    if isinstance(system, GRU | ResetBeforeGRU | LSTM):
        return _of_cell(system, by_name, width)
    if isinstance(system, GatedNetwork):
        return _of_flow(_parameters(system, by_name), width)
    if isinstance(system, Elman) and system.activation == TANH:
        return _of_elman(by_name["state"].gain)
    if isinstance(system, RateNetwork) and system.activation == TANH:
        return _of_rate(system, by_name["state"].gain)
    return None


def _of_cell(
    cell: GRU | ResetBeforeGRU | LSTM, gates: Mapping[str, GateStatistics], width: float
) -> Theory:
    gains = {f"{name}_gain": gate.gain for name, gate in gates.items()}
    biases = {f"{name}_bias": gate.bias for name, gate in gates.items() if name != "candidate"}
    if isinstance(cell, LSTM):
        ensemble = LSTMEnsemble(**gains, **biases)
    elif isinstance(cell, GRU):
        ensemble = ResetAfterGRUEnsemble(**gains, **biases)
    else:
        ensemble = GRUEnsemble(**gains, **biases)
    still = type(ensemble)(**(gains | {"candidate_gain": 0.0}), **biases)
    line = _line(ensemble.zero_edge(), still.zero_edge(), gates["candidate"].gain, limit=1.0)
    others = [point for point in cell_fixed_points(ensemble) if point.branch != "zero"]
    if not others:
        return Theory(*line)
    upper = others[-1]
    return Theory(*line, upper.stability_number, cell_slow_fraction(upper, width))


def _line(
    edge: SupportsFloat, floor: SupportsFloat, gain: float, limit: float
) -> tuple[float, float, float]:
    """Edge, floor, and the gain at which the line through both meets the limit."""
    edge, floor = float(edge), float(floor)
    rise, room = edge - floor, limit - floor
    return edge, floor, gain * room / rise if rise > 0 else math.inf


def _parameters(network: GatedNetwork, gates: Mapping[str, GateStatistics]) -> GatedParameters:
    """Those of the ensemble with entries of variance 1/n; the mean of constant inputs is a bias."""
    own = network.parameters
    update, output = gates.get("update"), gates.get("output")
    return GatedParameters(
        gain=gates["state"].gain,
        update_gain=0.0 if update is None else update.gain,
        output_gain=0.0 if output is None else output.gain,
        update_bias=0.0 if update is None else update.bias,
        output_bias=0.0 if output is None else output.bias,
        update_time=float(own.update_time),
        output_time=float(own.output_time),
        open_update=own.open_update,
        open_output=own.open_output,
        nonlinearity=own.nonlinearity,
    )


def _of_flow(parameters: GatedParameters, width: float) -> Theory:
    floor = -float(parameters.update_gate(0 * parameters.gain))
    line = _line(zero_state_edge(parameters), floor, float(parameters.gain), limit=0.0)
    others = [point for point in fixed_points(parameters) if point.branch != "zero"]
    if not others:
        return Theory(*line)
    upper = others[-1]
    return Theory(*line, upper.stability_number, slow_mode_fraction(upper, width))


def _of_elman(gain: float) -> Theory:
    return Theory(*_line(gain, 0.0, gain, limit=1.0), _number_without_gates(gain))


def _of_rate(network: RateNetwork, gain: float) -> Theory:
    leak, time_constant = float(network.leak), float(network.time_constant)
    line = _line((gain - leak) / time_constant, -leak / time_constant, gain, limit=0.0)
    # A leak divides what units say, in both forms: what counts is the gain over the leak.
    return Theory(*line, _number_without_gates(gain / leak) if leak > 0 else None)


def _number_without_gates(gain: float) -> float | None:
    """The stability number of the fixed point besides zero, where there is one."""
    if gain == 0:
        return None
    parameters = GatedParameters(gain=gain, open_update=True, open_output=True)
    others = [point for point in fixed_points(parameters) if point.branch != "zero"]
    return others[-1].stability_number if others else None
