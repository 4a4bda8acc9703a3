"""What ensemble a network looks drawn from: the gain and the bias of each of its gates."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.networks import (
    GRU,
    LSTM,
    Elman,
    GatedNetwork,
    RateNetwork,
    ResetBeforeGRU,
)

# Rows of the stacked weights, in PyTorch's order.
_ORDERS: dict[type[AbstractMap], tuple[str, ...]] = {
    Elman: ("state",),
    GRU: ("reset", "update", "candidate"),
    ResetBeforeGRU: ("reset", "update", "candidate"),
    LSTM: ("input", "forget", "candidate", "output"),
}


@dataclass(frozen=True)
class GateStatistics:
    """One matrix of recurrent weights, as mean-field theory sees it.

    **Arguments:** `name`; `gain`, the root of `n <w^2>`, so that entries of variance `gain^2 / n`
    have it; `bias` and `bias_deviation`, mean and standard deviation over units of all biases that
    are added; `radius`, of the matrix's largest eigenvalue, near `gain` for independent entries.
    """

    name: str
    gain: float
    bias: float
    bias_deviation: float
    radius: float


def gate_statistics(system: AbstractFlow | AbstractMap) -> tuple[GateStatistics, ...]:
    """Gain, bias and spectral radius of every recurrent matrix of a cell.

    A gated network has its gains inside its functions, so that `gain` is that of the weights times
    that of the function, and biases include constant inputs times it.

    **Arguments:** an `Elman`, `GRU`, `ResetBeforeGRU`, `LSTM`, `GatedNetwork` or `RateNetwork`.

    **Raises:** `InputProblem` for other systems.

    >>> import jax
    >>> from limitset.networks import gaussian_lstm
    >>> found = gate_statistics(gaussian_lstm(jax.random.key(0), 200, cell_gain=2.5, forget_bias=1))
    >>> [(g.name, round(g.gain, 1), g.bias) for g in found][1:3]
    [('forget', 0.0, 1.0), ('candidate', 2.5, 0.0)]
    """
    if type(system) in _ORDERS:
        return _of_cell(system)  # pyright: ignore[reportArgumentType]
    if isinstance(system, GatedNetwork):
        return _of_gated_network(system)
    if isinstance(system, RateNetwork):
        return (_describe("state", np.asarray(system.weight), np.asarray(system.bias)),)
    raise InputProblem(
        f"no ensemble is known for a {type(system).__name__}; give an Elman cell, a GRU, an LSTM, "
        "a rate network or a gated network"
    )


def units_of(system: AbstractFlow | AbstractMap) -> int:
    """Hidden units: an LSTM has two states for each, a gated network three."""
    states = {LSTM: 2, GatedNetwork: 3}
    return system.state_size // states.get(type(system), 1)


def _of_cell(cell: Elman | GRU | ResetBeforeGRU | LSTM) -> tuple[GateStatistics, ...]:
    names = _ORDERS[type(cell)]
    weights = np.split(np.asarray(cell.weight_hh, float), len(names))
    biases = np.split(_biases(cell), len(names))
    return tuple(map(_describe, names, weights, biases))


def _biases(cell: Elman | GRU | ResetBeforeGRU | LSTM) -> Float[np.ndarray, " gates"]:
    if isinstance(cell, ResetBeforeGRU):
        return np.asarray(cell.bias, float)
    return np.asarray(cell.bias_ih, float) + np.asarray(cell.bias_hh, float)


def _of_gated_network(network: GatedNetwork) -> tuple[GateStatistics, ...]:
    own = network.parameters
    parts = [("state", network.state_weight, network.state_input, own.gain, own.state_bias)]
    if not own.open_update:
        parts.append(
            ("update", network.update_weight, network.update_input, own.update_gain,
             own.update_bias)
        )  # fmt: skip
    if not own.open_output:
        parts.append(
            ("output", network.output_weight, network.output_input, own.output_gain,
             own.output_bias)
        )  # fmt: skip
    return tuple(
        _describe(name, float(g) * np.asarray(w, float), float(g) * np.asarray(i, float) + float(b))
        for name, w, i, g, b in parts
    )


def _describe(
    name: str, weight: Float[np.ndarray, "n n"], bias: Float[np.ndarray, " n"]
) -> GateStatistics:
    n = len(weight)
    return GateStatistics(
        name,
        float(np.sqrt(n * np.mean(weight**2))),
        float(np.mean(bias)),
        float(np.std(bias)),
        float(np.abs(np.linalg.eigvals(weight)).max()),
    )
