"""Certificate files of theorems on dynamics: equilibria and Hopf points."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from limitset._result import InputProblem
from limitset.io._atomic import write_whole
from limitset.io._certificate import canonical_text, network_entry, sealed, tensor
from limitset.networks import TANH, Form, RateFamily, RateNetwork, widened
from limitset.proofs import AllPureHopf, Ball, Equilibrium, HopfPoint, Stability

Input = Float[np.ndarray, " m"]
Record = Equilibrium | HopfPoint | AllPureHopf


def write_proof(
    record: Record,
    subject: RateNetwork | RateFamily,
    path: str | Path,
    *,
    input: Input | None = None,
    model: str | Path | None = None,
) -> Path:
    """Write a certificate of an equilibrium, a Hopf point, or of all Hopf points.

    The file carries the claim, the network and what leads to the claim; `limitset check` proves
    it again from the weights.

    **Arguments:**

    - `record`: of `prove_equilibrium`, `prove_hopf` or `prove_all_hopf`, with exact weights (an
      equilibrium may have a weight radius).
    - `subject`: what it is about: a `RateNetwork`, for a `HopfPoint` a `RateFamily`.
    - `path`: by custom in `MODEL/certificates/`.
    - `input`: the constant input of the equilibrium, zero if omitted.
    - `model`: the folder whose files the certificate is tied to by their digests.

    **Returns:** the path.

    **Raises:** `InputProblem` where record and subject do not fit together.

    **Example:**

    >>> import tempfile
    >>> import jax.numpy as jnp
    >>> from limitset.checker import check
    >>> from limitset.proofs import prove_equilibrium
    >>> network = RateNetwork(jnp.array([[2.0]]))
    >>> rest = prove_equilibrium(network, np.array([0.01]))
    >>> check(write_proof(rest, network, f"{tempfile.mkdtemp()}/rest.json")).accepted
    True
    """
    path = Path(path)
    document = proof_document(record, subject, input=input, model=model)
    write_whole(path, canonical_text(document).encode())
    return path


def proof_document(
    record: Record,
    subject: RateNetwork | RateFamily,
    *,
    input: Input | None = None,
    model: str | Path | None = None,
) -> dict[str, Any]:
    """The content of the file; `docs/certificate-format.md` explains every field."""
    if isinstance(record, HopfPoint):
        if not isinstance(subject, RateFamily):
            raise InputProblem(
                f"A Hopf point is about a RateFamily, not a {type(subject).__name__}; pass the "
                "family that it was proved for"
            )
        network, family = _split(subject)
        fields = {"statement": "hopf", "theorem": "hopf", "family": family}
        fields |= {"claim": _hopf_claim(record), "witness": _hopf_witness(record, subject)}
    else:
        if not isinstance(subject, RateNetwork):
            raise InputProblem(
                f"{type(record).__name__} is about a RateNetwork, not a {type(subject).__name__}; "
                "pass the network that it was proved for"
            )
        network = subject
        if isinstance(record, Equilibrium):
            fields = {"statement": "equilibrium", "theorem": "krawczyk"}
            fields |= {"claim": _equilibrium_claim(record, network, input)}
            fields |= {"witness": _equilibrium_witness(record)}
        else:
            fields = {"statement": "all_hopf", "theorem": "pure_class"}
            fields |= {"claim": _all_hopf_claim(record, network)}
    return sealed({**fields, "network": network_entry(network)}, model)


def _equilibrium_claim(
    record: Equilibrium, network: RateNetwork, input: Input | None
) -> dict[str, Any]:
    entering = np.zeros(network.input_size) if input is None else np.asarray(input, np.float64)
    if entering.shape != (network.input_size,):
        raise InputProblem(
            f"input has shape {entering.shape}; this network needs ({network.input_size},)"
        )
    return {
        "center": _exact(record.center),
        "radius": _exact(record.radius),
        "uniqueness_radius": float(record.uniqueness_radius).hex(),
        "weight_radius": float(record.weight_radius).hex(),
        "input": _exact(entering),
        "stability": record.stability.value,
        "index": record.index,
    }


def _equilibrium_witness(record: Equilibrium) -> dict[str, Any] | None:
    """The forms from which stability follows."""
    if record.stability is Stability.STABLE and record.lyapunov_form is not None:
        return {"form": _exact(record.lyapunov_form)}
    if record.stability is Stability.UNSTABLE and record.instability is not None:
        shown = record.instability
        return {
            "form": _exact(shown.form),
            "direction": _exact(shown.direction),
            "bound": float(shown.bound).hex(),
        }
    return None


def _split(family: RateFamily) -> tuple[RateNetwork, dict[str, Any]]:
    """The network of a model, and the family that starts at it.

    A family without weight of its own is the gain of its direction.
    """
    network, direction = family.network, np.asarray(family.direction)
    if np.array_equal(direction, np.eye(len(direction))):
        return network, {"kind": "shift", "direction": None}
    if not np.any(np.asarray(network.weight)):
        whole = eqx.tree_at(lambda n: n.weight, network, family.direction)
        return whole, {"kind": "gain", "direction": None}
    return network, {"kind": "direction", "direction": tensor(direction)}


def _hopf_claim(record: HopfPoint) -> dict[str, Any]:
    return {
        "parameter": _interval(record.parameter),
        "frequency": _interval(record.frequency),
        "center": _exact(record.state.mid),
        "radius": _exact(record.state.rad),
        "crossing": _interval(record.crossing),
        "lyapunov_coefficient": _interval(record.lyapunov_coefficient),
        "unstable": record.unstable,
        "cycles": "above" if record.cycles_above else "below",
        "stable": record.cycles_are_stable,
    }


def _hopf_witness(record: HopfPoint, family: RateFamily) -> dict[str, Any]:
    """A candidate of the augmented system, in floats; the checker encloses a zero beside it."""
    a, omega, x = float(record.parameter.mid), float(record.frequency.mid), record.state.mid
    field = widened(family)
    J = np.asarray(jax.jacfwd(lambda state: field(state, a))(jnp.asarray(x)))
    values, vectors = np.linalg.eig(J)
    v = vectors[:, np.argmin(np.abs(values - 1j * omega))]
    part = max(np.real(v), np.imag(v), key=np.linalg.norm)
    phi = part / np.linalg.norm(part)
    v = v * (1j / (phi @ v))
    candidate = np.concatenate([[a, omega], x, np.real(v), np.imag(v)])
    return {"candidate": _exact(candidate), "phi": _exact(phi)}


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
                "parameter": _interval(proved.parameter[k]),
                "frequency": _interval(proved.frequency[k]),
                "lyapunov_coefficient": _interval(proved.coefficient[k]),
                "unstable": int(proved.unstable[k]),
                "cycles": "above" if proved.supercritical[k] else "below",
                "stable": bool(proved.stable[k]),
            }
            for k in range(len(proved))
        ]
    }


def _interval(ball: Ball) -> list[str]:
    return [float(ball.lower()).hex(), float(ball.upper()).hex()]


def _exact(array: Shaped[np.ndarray, "..."]) -> dict[str, Any]:
    return tensor(np.asarray(array, np.float64))
