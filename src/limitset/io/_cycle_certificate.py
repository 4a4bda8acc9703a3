"""The fields of a certificate of one periodic orbit."""

from typing import Any

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.io._certificate import network_entry
from limitset.io._proof_entries import exact, interval
from limitset.networks import RateNetwork
from limitset.proofs import Cycle

Input = Float[np.ndarray, " m"]


def cycle_fields(record: Cycle, network: RateNetwork, input: Input | None) -> dict[str, Any]:
    """Statement, network and claim; the checker needs no other help than the states."""
    entering = np.zeros(network.input_size) if input is None else np.asarray(input, np.float64)
    if entering.shape != (network.input_size,):
        raise InputProblem(
            f"input has shape {entering.shape}; this network needs ({network.input_size},)"
        )
    return {
        "statement": "cycle",
        "theorem": "shooting",
        "network": network_entry(network),
        "claim": {
            "states": exact(record.states),
            "phase": exact(record.phase),
            "step": float(record.step).hex(),
            "state_radius": float(record.state_radius).hex(),
            "step_radius": float(record.step_radius).hex(),
            "period": interval(record.period),
            "minimal": record.is_minimal,
            "weight_radius": float(record.weight_radius).hex(),
            "input": exact(entering),
            "multipliers": _multipliers(record),
            "outside": record.outside,
            "stability": record.stability.value,
        },
    }


def _multipliers(record: Cycle) -> dict[str, Any] | None:
    """One disc for each multiplier but the trivial one."""
    if record.multipliers is None or record.multiplier_radii is None:
        return None
    return {
        "real": exact(np.real(record.multipliers)),
        "imaginary": exact(np.imag(record.multipliers)),
        "radius": exact(record.multiplier_radii),
    }
