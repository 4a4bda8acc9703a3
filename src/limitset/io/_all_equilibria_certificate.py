"""The fields of certificates of all equilibria."""

from typing import Any

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.io._certificate import network_entry
from limitset.io._proof_entries import exact
from limitset.networks import RateNetwork
from limitset.proofs import AllEquilibria

Entry = dict[str, Any]
Corners = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]


def all_equilibria_fields(
    record: AllEquilibria,
    network: RateNetwork,
    box: Corners | None = None,
    input: Float[np.ndarray, " m"] | None = None,
) -> Entry:
    """Statement, network, the complete list, and the factors of a low-rank weight.

    **Arguments:** `network`, `box` and `input` of `prove_all_equilibria`, from which the record
    came; the equilibria know the radius of their weights.

    **Raises:** `InputProblem` if the record is not complete, or the arguments do not fit.
    """
    if not record.complete:
        raise InputProblem(
            f"the list may be incomplete ({record.refusal}); only a complete one can be written"
        )
    size, inputs = network.state_size, network.input_size
    entering = np.zeros(inputs) if input is None else np.asarray(input, np.float64)
    corners = [] if box is None else [np.asarray(corner, np.float64) for corner in box]
    shapes = [entering.shape, *(corner.shape for corner in corners)]
    if shapes != [(inputs,), *[(size,)] * len(corners)]:
        raise InputProblem(
            f"input and corners have shapes {shapes}; this network needs ({inputs},), and ({size},)"
        )
    spreads = [e.weight_radius for e in record.equilibria]
    return {
        "statement": "all_equilibria",
        "theorem": "search",
        "network": network_entry(network),
        "claim": {
            "region": {"low": exact(corners[0]), "high": exact(corners[1])} if corners else None,
            "weight_radius": float(max(spreads, default=0.0)).hex(),
            "input": exact(entering),
            "equilibria": [
                {
                    "center": exact(e.center),
                    "radius": exact(e.radius),
                    "stability": e.stability.value,
                    "index": e.index,
                }
                for e in record.equilibria
            ],
        },
        "witness": _factors(network, record.dimension),
    }


def _factors(network: RateNetwork, rank: int) -> Entry | None:
    """Float factors of the weight, where the search was in the space of its range."""
    if rank == network.state_size:
        return None
    left, values, right = np.linalg.svd(np.asarray(network.weight, np.float64))
    # Equal shares keep both factors at moderate sizes.
    share = np.sqrt(values[:rank])
    return {"left": exact(left[:, :rank] * share), "right": exact(share[:, None] * right[:rank])}
