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
from limitset.contraction import Certificate, Float32Gap
from limitset.dynamics import EulerAssemblyMap, RateMap
from limitset.io._atomic import write_whole
from limitset.io._describe import Stored, describe
from limitset.io._describe_metric import metric_entry

FORMAT = "limitset-certificate/1"


def write_certificate(
    certificate: Certificate, path: str | Path, *, model: str | Path | None = None
) -> Path:
    """Write a certificate file that `limitset check` can prove again from scratch.

    **Arguments:** `path`, by custom `MODEL/certificates/contraction.json`; `model`, the folder
    whose files the certificate is tied to by their digests.

    **Returns:** the path.

    **Raises:** `InputProblem` for blocks of deep networks, which `write_deep_certificate` is for.
    """
    path = Path(path)
    text = canonical_text(certificate_document(certificate, model=model))
    write_whole(path, text.encode())
    return path


def certificate_document(
    certificate: Certificate, *, model: str | Path | None = None
) -> dict[str, Any]:
    """The content of a certificate file; `docs/certificate-format.md` explains every field."""
    if certificate.theorem == "deep_block":
        raise InputProblem(
            "certify's answer for a block says less than its own certificate; write that of "
            "certify_block, with write_deep_certificate"
        )
    gap = certificate.float32
    document: dict[str, Any] = {
        "statement": "contraction",
        "region": "all states and inputs",
        "theorem": certificate.theorem,
        "claim": _claim(certificate),
        "network": network_entry(certificate.system),
        "metric": metric_entry(certificate.metric, tensor),
        "witness": _witness(certificate),
        "float32": None if gap is None else _float32(gap),
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


def network_entry(system: Stored) -> dict[str, Any]:
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


def _float32(gap: Float32Gap) -> dict[str, Any]:
    """Its five numbers, the residual of implicit maps, and the radii of recurrences and stacks."""
    given = {k: v for k, v in vars(gap).items() if k != "radii" and v is not None}
    numbers = {k: float(v).hex() for k, v in given.items()}
    radii = [[float(radius).hex() for radius in group] for group in gap.radii]
    return {**numbers, "radii": radii} if radii else numbers


def _claim(certificate: Certificate) -> dict[str, str]:
    if certificate.rate is not None:
        return {"time": "continuous", "rate": certificate.rate.hex()}
    return {"time": "discrete", "factor": float(certificate.factor or 0.0).hex()}


def _witness(certificate: Certificate) -> dict[str, Any]:
    """The numbers from which the claim follows."""
    if certificate.theorem in ("sector", "ren"):
        return {"multipliers": tensor(np.asarray(certificate.multipliers, np.float64))}
    if certificate.theorem in ("backward_euler", "euler_step"):
        (flow,) = certificate.parts
        inner = {"theorem": flow.theorem, "claim": _claim(flow), "witness": _witness(flow)}
        return {"flow": inner, **_euler_norms(certificate)}
    if certificate.theorem == "cascade":
        parts = [_part(part) for part in certificate.parts]
        return {"parts": parts, "joints": _joints(certificate)}
    if certificate.theorem in ("composition", "small_gain"):
        return {"parts": [_part(part) for part in certificate.parts]}
    modules = zip(certificate.module_theorems, certificate.module_bounds, strict=True)
    return {
        "modules": [{"theorem": t, "bound": float(b).hex()} for t, b in modules],
        "coupling": [float(b).hex() for b in certificate.coupling_bounds],
    }


def _part(part: Certificate) -> dict[str, Any]:
    """The certificate of a part, but its metric, which is a part of the metric of the whole."""
    return {"theorem": part.theorem, "claim": _claim(part), "witness": _witness(part)}


def _joints(certificate: Certificate) -> list[dict[str, str]]:
    """What the theorem `cascade` adds to the certificates of the layers: four norms per relay."""
    bounds = [float(bound).hex() for bound in certificate.coupling_bounds]
    names = ("write", "read", "response", "drive")
    groups = [bounds[k : k + 4] for k in range(0, len(bounds), 4)]
    return [dict(zip(names, group, strict=True)) for group in groups]


def _euler_norms(certificate: Certificate) -> dict[str, Any]:
    """What the theorem `euler_step` adds to the certificate of the flow."""
    if not isinstance(certificate.system, RateMap | EulerAssemblyMap):
        return {}
    return {
        "step": float(certificate.system.scheme.step).hex(),
        "norms": [float(bound).hex() for bound in certificate.coupling_bounds],
        "weights": tensor(np.asarray(certificate.multipliers, np.float64)),
    }


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
