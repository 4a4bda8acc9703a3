"""Certificate files: the claim, the network and the helpers that the checker needs."""

import base64
import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from limitset._result import InputProblem
from limitset.contraction import Certificate, DiagonalMetric, QuadraticMetric
from limitset.dynamics import AbstractFlow, AbstractMap
from limitset.io._atomic import write_whole
from limitset.io._describe import describe

FORMAT = "limitset-certificate/1"


def write_certificate(
    certificate: Certificate, path: str | Path, *, model: str | Path | None = None
) -> Path:
    """Write a certificate file that `limitset check` can prove again from scratch.

    **Arguments:** `path`, by custom `MODEL/certificates/contraction.json`; `model`, the folder
    whose files the certificate is tied to by their digests.

    **Returns:** the path.
    """
    path = Path(path)
    text = canonical_text(certificate_document(certificate, model=model))
    write_whole(path, text.encode())
    return path


def certificate_document(
    certificate: Certificate, *, model: str | Path | None = None
) -> dict[str, Any]:
    """The content of a certificate file; `docs/certificate-format.md` explains every field."""
    if certificate.rate is not None:
        claim = {"time": "continuous", "rate": certificate.rate.hex()}
    else:
        claim = {"time": "discrete", "factor": float(certificate.factor or 0.0).hex()}
    gap = certificate.float32
    document: dict[str, Any] = {
        "statement": "contraction",
        "region": "all states and inputs",
        "theorem": certificate.theorem,
        "claim": claim,
        "network": network_entry(certificate.system),
        "metric": _metric(certificate),
        "witness": _witness(certificate),
        "float32": None if gap is None else {k: float(v).hex() for k, v in vars(gap).items()},
    }
    return sealed(document, model)


def sealed(document: dict[str, Any], model: str | Path | None) -> dict[str, Any]:
    """The document with what all certificates have: format, model, prover and digest."""
    document = {
        **document,
        "format": FORMAT,
        "model": None if model is None else _fingerprint(Path(model)),
        "prover": {
            "library": f"limitset {version('limitset')}",
            "python": platform.python_version(),
            "numpy": np.__version__,
            "blas": _blas(),
        },
    }
    digest = hashlib.sha256(canonical_text(document).encode()).hexdigest()
    return {**document, "digest": f"sha256:{digest}"}


def network_entry(system: AbstractFlow | AbstractMap) -> dict[str, Any]:
    """Configuration and tensors, as in the model format."""
    config, tensors = describe(system)
    return {"config": config, "tensors": {name: tensor(array) for name, array in tensors.items()}}


def canonical_text(document: dict[str, Any]) -> str:
    """The one way to write a certificate, over which its digest is taken."""
    return json.dumps(document, sort_keys=True, indent=1, allow_nan=False) + "\n"


def tensor(array: np.ndarray) -> dict[str, Any]:
    """The exact numbers, row by row."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return {
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "data": base64.b64encode(little.tobytes()).decode(),
    }


def _witness(certificate: Certificate) -> dict[str, Any]:
    """The numbers from which the claim follows."""
    if certificate.theorem == "sector":
        return {"multipliers": tensor(np.asarray(certificate.multipliers, np.float64))}
    modules = zip(certificate.module_theorems, certificate.module_bounds, strict=True)
    return {
        "modules": [{"theorem": t, "bound": float(b).hex()} for t, b in modules],
        "coupling": [float(b).hex() for b in certificate.coupling_bounds],
    }


def _metric(certificate: Certificate) -> dict[str, Any]:
    metric = certificate.metric
    if isinstance(metric, DiagonalMetric):
        return {"kind": "diagonal", "scale": tensor(np.asarray(metric.scale, np.float64))}
    if isinstance(metric, QuadraticMetric):
        return {"kind": "quadratic", "matrix": tensor(np.asarray(metric.matrix, np.float64))}
    raise InputProblem(f"metric {type(metric).__name__} has no place in the certificate format")


def _fingerprint(folder: Path) -> dict[str, str]:
    names = {"config_sha256": "config.json", "weights_sha256": "model.safetensors"}
    try:
        return {k: hashlib.sha256((folder / n).read_bytes()).hexdigest() for k, n in names.items()}
    except OSError as error:
        raise InputProblem(
            f"{folder} is not a model folder ({error.strerror}); save it first"
        ) from None


def _blas() -> str:
    build = np.show_config(mode="dicts")
    blas = build.get("Build Dependencies", {}).get("blas", {}) if isinstance(build, dict) else {}
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
