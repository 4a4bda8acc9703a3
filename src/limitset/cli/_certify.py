"""`limitset certify`."""

import math
from pathlib import Path

from limitset._result import Evidence
from limitset._system import AbstractFlow, AbstractMap
from limitset.cli._answer import print_json
from limitset.cli._certify_deep import run_certify_deep
from limitset.contraction import Answer, Certificate, Refuted, certify, explain
from limitset.io import load, write_certificate
from limitset.networks import AbstractBlock, DeepNetwork


def run_certify(folder: Path, out: Path | None, input_bound: float, as_json: bool) -> int:
    """Certify a model folder, write the certificate, print the answer; returns the exit code."""
    model = load(folder)
    system = model.system
    if isinstance(system, AbstractBlock | DeepNetwork):
        return run_certify_deep(folder, system, model.metric, out, as_json)
    answer = certify(system, metric=model.metric, input_bound=input_bound)
    if not isinstance(answer, Certificate) and model.metric is not None:
        # The stored metric is a proposal; a theorem may do better with one of its own.
        answer = certify(system, input_bound=input_bound)
    path = None
    if isinstance(answer, Certificate):
        target = (folder / "certificates" if out is None else out) / "contraction.json"
        path = write_certificate(answer, target, model=folder)
    if as_json:
        print_json(_as_json(system, answer, path))
    else:
        print(explain(answer))
        if path is not None:
            print(f"certificate: {path}")
    return 0 if isinstance(answer, Certificate) else 1


def _as_json(
    system: AbstractFlow | AbstractMap, answer: Answer, path: Path | None
) -> dict[str, object]:
    word = "rate" if isinstance(system, AbstractFlow) else "factor"
    result: dict[str, object] = {
        "verdict": "unknown",
        "evidence": None,
        "theorem": None,
        "time": "continuous" if word == "rate" else "discrete",
        word: None,
        "margin": None,
        "certificate": None,
        "tried": [
            {"theorem": a.theorem, "bound": _number(a.bound), "reason": a.reason}
            for a in answer.tried
        ],
    }
    if isinstance(answer, Certificate):
        gap = None if answer.float32 is None else answer.float32.gap
        return result | {
            "verdict": "certified",
            "evidence": answer.evidence.label,
            "theorem": answer.theorem,
            word: answer.rate if answer.factor is None else answer.factor,
            "margin": answer.margin,
            "condition": _number(answer.condition),
            "float32_gap": _number(gap),
            "certificate": str(path),
        }
    result["reason"] = answer.reason
    if isinstance(answer, Refuted):
        result |= {"verdict": "refuted", "evidence": Evidence.VERIFIED.label}
        result["witness"] = answer.state.tolist()
    return result


def _number(value: float | None) -> float | None:
    """JSON has no infinity: a bound that says nothing is no bound."""
    return None if value is None or not math.isfinite(value) else value
