"""Certificate files of theorems on dynamics: equilibria and Hopf points."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from limitset.io._atomic import write_whole
from limitset.io._certificate import canonical_text, sealed
from limitset.io._equilibrium_certificate import equilibrium_fields
from limitset.io._hopf_certificate import all_hopf_fields, hopf_fields
from limitset.io._proof_entries import fitting
from limitset.networks import RateFamily, RateNetwork
from limitset.proofs import AllPureHopf, Equilibrium, HopfPoint

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
        fields = hopf_fields(record, fitting(record, subject, RateFamily))
    elif isinstance(record, AllPureHopf):
        fields = all_hopf_fields(record, fitting(record, subject, RateNetwork))
    else:
        fields = equilibrium_fields(record, fitting(record, subject, RateNetwork), input)
    return sealed(fields, model)
