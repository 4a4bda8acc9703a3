"""The fields of certificates of one Hopf point, and of all of the pure class."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from limitset._result import InputProblem
from limitset.dynamics import BiasFamily
from limitset.io._certificate import network_entry
from limitset.io._proof_entries import (
    exact,
    fitting,
    interval,
    roomier,
    split_bias,
    split_family,
)
from limitset.networks import TANH, Form, RateFamily, RateNetwork
from limitset.proofs import AllPureHopf, HopfPoint


def hopf_fields(record: HopfPoint, subject: object) -> dict[str, Any]:
    """Statement, network, family, claim, and a candidate of the augmented system.

    **Arguments:** `subject`, what the record was proved for: a `RateFamily`, or a `BiasFamily` of a
    `RateNetwork`.

    **Raises:** `InputProblem` for another one.
    """
    if isinstance(subject, BiasFamily) and isinstance(subject.system, RateNetwork):
        family, (network, kind) = subject, split_bias(subject)
    else:
        family = fitting(record, subject, RateFamily)
        network, kind = split_family(family)
    return {
        "statement": "hopf",
        "theorem": "hopf",
        "network": network_entry(network),
        "family": kind,
        "claim": _hopf_claim(record),
        "witness": _hopf_witness(record, family),
    }


def all_hopf_fields(record: AllPureHopf, network: RateNetwork) -> dict[str, Any]:
    """Statement, network and the complete list."""
    return {
        "statement": "all_hopf",
        "theorem": "pure_class",
        "network": network_entry(network),
        "claim": _all_hopf_claim(record, network),
    }


def _hopf_claim(record: HopfPoint) -> dict[str, Any]:
    return {
        "parameter": interval(record.parameter),
        "frequency": interval(record.frequency),
        "center": exact(record.state.mid),
        "radius": exact(record.state.rad),
        "crossing": interval(roomier(record.crossing, record.weight_radius)),
        "lyapunov_coefficient": interval(
            roomier(record.lyapunov_coefficient, record.weight_radius)
        ),
        "unstable": record.unstable,
        "cycles": "above" if record.cycles_above else "below",
        "stable": record.cycles_are_stable,
        "weight_radius": float(record.weight_radius).hex(),
    }


def _hopf_witness(record: HopfPoint, family: RateFamily | BiasFamily) -> dict[str, Any]:
    """A candidate of the augmented system, in floats; the checker encloses a zero beside it."""
    a, omega, x = float(record.parameter.mid), float(record.frequency.mid), record.state.mid
    field = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), family)
    J = np.asarray(jax.jacfwd(lambda state: field(state, a))(jnp.asarray(x)))
    values, vectors = np.linalg.eig(J)
    v = vectors[:, np.argmin(np.abs(values - 1j * omega))]
    part = max(np.real(v), np.imag(v), key=np.linalg.norm)
    phi = part / np.linalg.norm(part)
    v = v * (1j / (phi @ v))
    candidate = np.concatenate([[a, omega], x, np.real(v), np.imag(v)])
    return {"candidate": exact(candidate), "phi": exact(phi)}


def _all_hopf_claim(record: AllPureHopf, network: RateNetwork) -> dict[str, Any]:
    pure = network.form is Form.FIRING_RATE and network.activation == TANH
    pure = pure and float(network.leak) == 0 and float(network.time_constant) == 1
    if not (pure and record.complete):
        what = "the record is not complete" if pure else "the network has another form"
        raise InputProblem(
            f"{what}; only a complete list of the firing-rate form with tanh, leak 0 and time "
            "constant 1 can be written, prove other points one by one"
        )
    proved = record.proved
    return {
        "points": [
            {
                "parameter": interval(proved.parameter[k]),
                "frequency": interval(proved.frequency[k]),
                "lyapunov_coefficient": interval(proved.coefficient[k]),
                "unstable": int(proved.unstable[k]),
                "cycles": "above" if proved.supercritical[k] else "below",
                "stable": bool(proved.stable[k]),
            }
            for k in range(len(proved))
        ]
    }
