"""Certificate files of theorems on dynamics."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from limitset.dynamics import BiasFamily, MapFamily
from limitset.io._all_equilibria_certificate import all_equilibria_fields
from limitset.io._atomic import write_whole
from limitset.io._bifurcation_certificate import bifurcation_fields
from limitset.io._branch_certificate import branch_fields
from limitset.io._certificate import canonical_text, sealed
from limitset.io._cycle_certificate import cycle_fields
from limitset.io._equilibrium_certificate import equilibrium_fields
from limitset.io._hopf_certificate import all_hopf_fields, hopf_fields
from limitset.io._proof_entries import fitting
from limitset.io._replicator_certificate import ParticleRecord, particle_fields
from limitset.networks import RateFamily, RateNetwork
from limitset.proofs import (
    AllEquilibria,
    AllPositionalReplicators,
    AllPureHopf,
    CollapseBall,
    Cycle,
    Equilibrium,
    Flip,
    Fold,
    HopfPoint,
    MapFixedPoint,
    NeimarkSacker,
    Pitchfork,
    ProvedBranch,
    Replicator,
)
from limitset.replication import Particle

Input = Float[np.ndarray, " m"]
Corner = Float[np.ndarray, " n"]
Bifurcation = Fold | Pitchfork | Flip | NeimarkSacker
Record = (
    Equilibrium
    | AllEquilibria
    | Cycle
    | HopfPoint
    | AllPureHopf
    | Bifurcation
    | ProvedBranch
    | ParticleRecord
)
Family = RateFamily | MapFamily | BiasFamily


def write_proof(
    record: Record,
    subject: RateNetwork | Family | Particle,
    path: str | Path,
    *,
    input: Input | None = None,
    box: tuple[Corner, Corner] | None = None,
    model: str | Path | None = None,
) -> Path:
    """Write a certificate of what was proved: a record of `limitset.proofs`.

    The file carries the claim, the network and what leads to the claim; `limitset check` proves
    it again from the weights.

    **Arguments:**

    - `record`: what a `prove_` function returned.
    - `subject`: what it was proved for: a `RateNetwork` for equilibria, cycles and `AllPureHopf`,
      a `Particle` for replicators and fixed points of self-application, otherwise a family:
      `RateFamily`, `BiasFamily`, or `MapFamily` for maps.
    - `path`: by custom in `MODEL/certificates/`.
    - `input`: the constant input of equilibria and cycles, zero if omitted.
    - `box`: the box in which all equilibria were sought, the whole space if omitted.
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
    document = proof_document(record, subject, input=input, box=box, model=model)
    write_whole(path, canonical_text(document).encode())
    return path


def proof_document(
    record: Record,
    subject: RateNetwork | Family | Particle,
    *,
    input: Input | None = None,
    box: tuple[Corner, Corner] | None = None,
    model: str | Path | None = None,
) -> dict[str, Any]:
    """The content of the file; `docs/certificate-format.md` explains every field."""
    if isinstance(record, HopfPoint):
        fields = hopf_fields(record, subject)
    elif isinstance(record, Bifurcation):
        fields = bifurcation_fields(record, _family(record, subject))
    elif isinstance(record, Replicator | MapFixedPoint | CollapseBall | AllPositionalReplicators):
        fields = particle_fields(record, fitting(record, subject, Particle))
    elif isinstance(record, ProvedBranch):
        fields = branch_fields(record, _family(record, subject))
    else:
        network = fitting(record, subject, RateNetwork)
        if isinstance(record, AllPureHopf):
            fields = all_hopf_fields(record, network)
        elif isinstance(record, AllEquilibria):
            fields = all_equilibria_fields(record, network, box, input)
        elif isinstance(record, Cycle):
            fields = cycle_fields(record, network, input)
        else:
            fields = equilibrium_fields(record, network, input)
    return sealed(fields, model)


def _family(record: Record, subject: RateNetwork | Family | Particle) -> Family:
    """The subject, if it is a family of any kind."""
    if isinstance(subject, RateNetwork | Particle):
        return fitting(record, subject, RateFamily)
    return subject
