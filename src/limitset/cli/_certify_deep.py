"""`limitset certify` for blocks of deep networks, and for deep networks."""

import math
from pathlib import Path

from limitset.cli._answer import print_json
from limitset.contraction import (
    AbstractMetric,
    BlockCertificate,
    NetworkCertificate,
    Unknown,
    certify_block,
    certify_network,
)
from limitset.io import write_deep_certificate
from limitset.networks import AbstractBlock, DeepNetwork

Record = dict[str, object]


def run_certify_deep(
    folder: Path,
    system: AbstractBlock | DeepNetwork,
    metric: AbstractMetric | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Certify, write the certificate, print the answer; returns the exit code."""
    answer = _answer(system, metric)
    path = None
    if not isinstance(answer, Unknown):
        name = "block.json" if isinstance(answer, BlockCertificate) else "network.json"
        target = (folder / "certificates" if out is None else out) / name
        path = write_deep_certificate(answer, target, model=folder)
    if as_json:
        print_json(_record(answer) | {"certificate": None if path is None else str(path)})
    else:
        print("\n".join(_lines(answer)))
        if path is not None:
            print(f"certificate: {path}")
    return 1 if isinstance(answer, Unknown) else 0


def _answer(
    system: AbstractBlock | DeepNetwork, metric: AbstractMetric | None
) -> BlockCertificate | NetworkCertificate | Unknown:
    if isinstance(system, DeepNetwork):
        return certify_network(system)
    answer = certify_block(system, metric=metric)
    if isinstance(answer, Unknown) and metric is not None:
        # The stored metric is a proposal; a theorem may do better with one of its own.
        return certify_block(system)
    return answer


def _record(answer: BlockCertificate | NetworkCertificate | Unknown) -> Record:
    result: Record = {
        "verdict": "unknown",
        "evidence": None,
        "theorem": None,
        "time": "discrete",
        "factor": None,
        "margin": None,
        "claim": None,
        "euclidean_gain": None,
        "maximum_gain": None,
        "tried": [],
    }
    if isinstance(answer, Unknown):
        return result | {"reason": answer.reason}
    gains: Record = {
        "verdict": "certified",
        "evidence": answer.evidence.label,
        "euclidean_gain": _number(answer.euclidean_gain),
        "maximum_gain": _number(answer.maximum_gain),
    }
    if isinstance(answer, NetworkCertificate):
        stages = [_block_record(block) for block in answer.blocks]
        return result | gains | {"theorem": "chain", "claim": "lipschitz", "stages": stages}
    tried = [{"theorem": answer.theorem, "bound": answer.factor, "reason": answer.claim()}]
    return result | gains | _block_record(answer) | {"tried": tried}


def _block_record(block: BlockCertificate) -> Record:
    return {
        "theorem": block.theorem,
        "claim": "contracting" if block.factor < 1 else "nonexpansive",
        "factor": block.factor,
        "margin": 1 - block.factor,
        "step_limit": _number(block.step_limit),
        "conditions": list(block.conditions),
    }


def _lines(answer: BlockCertificate | NetworkCertificate | Unknown) -> list[str]:
    if isinstance(answer, Unknown):
        return [f"unknown: {answer.reason}"]
    if isinstance(answer, NetworkCertificate):
        lines = ["Lipschitz bounds from input to last state, for all inputs:", *_gain_lines(answer)]
        return lines + [f"  stage {k}: {block.claim()}" for k, block in enumerate(answer.blocks)]
    never = "" if answer.factor < 1 else "; in one norm, distances of states never grow"
    lines = [answer.claim() + never, "input gain at every depth:", *_gain_lines(answer)]
    if math.isfinite(answer.step_limit):
        lines.append(f"nonexpansive for steps up to {_below(answer.step_limit)}")
    return lines + ["conditions:"] + [f"  {condition}" for condition in answer.conditions]


def _gain_lines(answer: BlockCertificate | NetworkCertificate) -> list[str]:
    gains = ((answer.euclidean_gain, "2-norm"), (answer.maximum_gain, "maximum norm"))
    label = answer.evidence.label
    known = [(gain, norm) for gain, norm in gains if math.isfinite(gain)]
    lines = [f"  at most {_above(gain)} in the {norm} [{label}]" for gain, norm in known]
    return lines or ["  none is known"]


def _above(value: float) -> str:
    """Six digits, rounded so that it stays an upper bound."""
    text = f"{value:.6g}"
    return text if float(text) >= value else f"{value * (1 + 1e-5):.6g}"


def _below(value: float) -> str:
    text = f"{value:.6g}"
    return text if float(text) <= value else f"{value * (1 - 1e-5):.6g}"


def _number(value: float) -> float | None:
    """JSON has no infinity: a bound that says nothing is no bound."""
    return value if math.isfinite(value) else None
