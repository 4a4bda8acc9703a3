"""A file in, a verdict out: reading, the model beside it, the proof, and the claim in words."""

import os
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from pathlib import Path
from typing import Any

from flint import ctx

from limitset.checker import _document
from limitset.checker._contraction import prove_contraction
from limitset.checker._float32 import prove_float32
from limitset.checker._model import compare_model, find_model
from limitset.checker._network import Network, read_network


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
        network = read_network(document["network"])
        claim = _describe(document, network, "not proved")
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
    return Verdict(True, f"{_describe(document, network, 'checked')}; {source}", reason)


def _prove(document: dict[str, Any], network: Network, precision: int) -> None:
    with ctx.workprec(precision):
        prove_contraction(document, network)
        if document["float32"] is not None:
            prove_float32(document, network)


def _describe(document: dict[str, Any], network: Network, evidence: str) -> str:
    """The claim in words, its numbers rounded to the side on which the words stay true."""

    def show(text: Any, rounding: str) -> str:
        exact = _document.take_real(text)
        decimal = Context(prec=9, rounding=rounding).create_decimal_from_float(exact)
        if decimal == 1 != exact:  # a factor below 1 has to look like one
            decimal = Context(prec=17, rounding=rounding).create_decimal_from_float(exact)
        return f"{decimal.normalize():g}"

    if network.rule == "flow":
        rate = show(_document.take(document["claim"], "time rate")[1], ROUND_FLOOR)
        claim = f"contracting: rate >= {rate} per unit time, all states and inputs [{evidence}]"
    else:
        factor = show(_document.take(document["claim"], "time factor")[1], ROUND_CEILING)
        claim = f"contracting: factor <= {factor} per step, all states and inputs [{evidence}]"
    if document["float32"] is None:
        return claim
    keys = "gap input_bound state_radius activation_error rounding"
    gap, *limits, _ = _document.take(document["float32"], keys)
    u, x, error = (show(limit, ROUND_FLOOR) for limit in limits)
    where = f"in the metric, if |u| <= {u}, |x_0| <= {x}, activation error <= {error}"
    return f"{claim}; float32 runs of one input end within {show(gap, ROUND_CEILING)} ({where})"
