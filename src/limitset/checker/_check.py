"""A file in, a verdict out: reading, the model beside it, and the proof."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flint import ctx

from limitset.checker import _document
from limitset.checker._all_equilibria import prove_all_equilibria
from limitset.checker._all_hopf import prove_all_hopf
from limitset.checker._bifurcation import prove_bifurcation
from limitset.checker._branch import prove_branch
from limitset.checker._claim import describe
from limitset.checker._cycle import prove_cycle
from limitset.checker._deep import prove_block, prove_network, prove_radius
from limitset.checker._equilibrium import prove_equilibrium
from limitset.checker._float32 import prove_float32
from limitset.checker._hopf import prove_hopf
from limitset.checker._model import compare_model, find_model
from limitset.checker._network import Network
from limitset.checker._positional import prove_positional
from limitset.checker._replicator import prove_collapse, prove_fixed_point, prove_replicator
from limitset.checker._systems import prove_theorem, read_system


def _prove_contraction(document: dict[str, Any], network: Network) -> None:
    prove_theorem(document, network)
    if document["float32"] is not None:
        prove_float32(document, network)


_PROOFS = {
    "contraction": _prove_contraction,
    "equilibrium": prove_equilibrium,
    "hopf": prove_hopf,
    "all_hopf": prove_all_hopf,
    "cycle": prove_cycle,
    "fold": prove_bifurcation,
    "pitchfork": prove_bifurcation,
    "flip": prove_bifurcation,
    "neimark_sacker": prove_bifurcation,
    "all_equilibria": prove_all_equilibria,
    "branch": prove_branch,
    "replicator": prove_replicator,
    "collapse": prove_collapse,
    "fixed_point": prove_fixed_point,
    "positional_replicators": prove_positional,
    "block": prove_block,
    "network": prove_network,
    "radius": prove_radius,
}


@dataclass(frozen=True)
class Verdict:
    """Whether the claim was proved again, the claim in words, and why, or why not."""

    accepted: bool
    claim: str
    reason: str


def check(
    path: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    *,
    precision: int = 128,
) -> Verdict:
    """Prove the claim of a certificate file again, from its weights and nothing else.

    **Arguments:**

    - `path`: a certificate. Where it lies in `MODEL/certificates/`, the model must agree with it.
    - `model`: the model's folder, if it lies elsewhere.
    - `precision`: of Arb, in bits. What stays undecided is tried again with twice as many.

    **Returns:** a `Verdict`, accepted only if every inequality is certain in ball arithmetic.

    **Raises:** `Unusable`, a `ValueError` of one line, if the file is no certificate at all.

    **Example:**

    >>> try:
    ...     check("absent.json")
    ... except ValueError as error:
    ...     print(error)
    'absent.json' cannot be read (No such file or directory); give the path of a file
    """
    raw, claim = _document.read_bytes(path), ""
    document = _document.read_object(raw, ascii(os.fspath(path)), _document.FORMAT)
    try:
        _document.check_form(raw, document)
        network = read_system(document["network"])
        claim = describe(document, network, "not proved")
        folder = find_model(path) if model is None else Path(model)
        if folder is not None:
            compare_model(folder, document, network)
        try:
            _prove(document, network, precision)
        except _document.NotProved:
            _prove(document, network, 2 * precision)
    except (ArithmeticError, MemoryError, RecursionError, ValueError) as error:
        return Verdict(False, claim, " ".join(str(error).split()) or type(error).__name__)
    source = "the model's weights" if folder else "weights in the certificate; no model compared"
    reason = f"every inequality of {document['theorem']} was decided"
    return Verdict(True, f"{describe(document, network, 'checked')}; {source}", reason)


def _prove(document: dict[str, Any], network: Network, precision: int) -> None:
    with ctx.workprec(precision):
        _PROOFS[document["statement"]](document, network)
