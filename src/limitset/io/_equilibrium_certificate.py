"""The fields of a certificate of one equilibrium."""

from typing import Any

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.io._certificate import network_entry
from limitset.io._proof_entries import exact
from limitset.networks import RateNetwork
from limitset.proofs import Equilibrium, Stability

Input = Float[np.ndarray, " m"]


def equilibrium_fields(
    record: Equilibrium, network: RateNetwork, input: Input | None
) -> dict[str, Any]:
    """Statement, network, claim, and the forms from which stability follows."""
    return {
        "statement": "equilibrium",
        "theorem": "krawczyk",
        "network": network_entry(network),
        "claim": _claim(record, network, input),
        "witness": _witness(record),
    }


def _claim(record: Equilibrium, network: RateNetwork, input: Input | None) -> dict[str, Any]:
    entering = np.zeros(network.input_size) if input is None else np.asarray(input, np.float64)
    if entering.shape != (network.input_size,):
        raise InputProblem(
            f"input has shape {entering.shape}; this network needs ({network.input_size},)"
        )
    return {
        "center": exact(record.center),
        "radius": exact(record.radius),
        "uniqueness_radius": float(record.uniqueness_radius).hex(),
        "weight_radius": float(record.weight_radius).hex(),
        "input": exact(entering),
        "stability": record.stability.value,
        "index": record.index,
    }


def _witness(record: Equilibrium) -> dict[str, Any] | None:
    """The forms from which stability follows."""
    if record.stability is Stability.STABLE and record.lyapunov_form is not None:
        return {"form": exact(record.lyapunov_form)}
    if record.stability is Stability.UNSTABLE and record.instability is not None:
        shown = record.instability
        return {
            "form": exact(shown.form),
            "direction": exact(shown.direction),
            "bound": float(shown.bound).hex(),
        }
    return None
