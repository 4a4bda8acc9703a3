"""Certificate files about blocks of deep networks, chains of them, and single inputs."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.contraction import (
    BlockCertificate,
    MaximumMetric,
    NetworkCertificate,
    certified_radii,
    enclose_scores,
)
from limitset.io._atomic import write_whole
from limitset.io._certificate import canonical_text, network_entry, sealed, tensor
from limitset.io._describe_metric import metric_entry
from limitset.networks import AbstractOperator, Convolution, DenseOperator, MeanPool, NegativeGram
from limitset.proofs import Ball, convolution_norm_upper, two_norm_upper

Entry = dict[str, Any]
DeepCertificate = BlockCertificate | NetworkCertificate


def write_deep_certificate(
    certificate: DeepCertificate, path: str | Path, *, model: str | Path | None = None
) -> Path:
    """Write what `certify_block` or `certify_network` proved, for `limitset check` to prove again.

    **Arguments:** `certificate`; `path`, by custom in `MODEL/certificates/`; `model`, the folder
    whose files the certificate is tied to by their digests.

    **Returns:** the path.

    >>> import tempfile
    >>> import jax.numpy as jnp
    >>> from limitset.checker import check
    >>> from limitset.contraction import certify_block
    >>> from limitset.networks import DenseOperator, ResidualBlock
    >>> half = DenseOperator(jnp.array([[-0.5]]))
    >>> proved = certify_block(ResidualBlock(half, half, jnp.zeros(1), jnp.array(1.0), "relu"))
    >>> check(write_deep_certificate(proved, f"{tempfile.mkdtemp()}/block.json")).accepted
    True
    """
    path = Path(path)
    document = deep_document(certificate, model=model)
    write_whole(path, canonical_text(document).encode())
    return path


def deep_document(certificate: DeepCertificate, *, model: str | Path | None = None) -> Entry:
    """The content of the file; `docs/certificate-format.md` explains every field."""
    if isinstance(certificate, BlockCertificate):
        network = network_entry(certificate.block)
        return sealed({"statement": "block", "network": network, **_block(certificate)}, model)
    document: Entry = {
        "statement": "network",
        "theorem": "chain",
        "claim": _gains(certificate),
        "witness": {"stages": _stages(certificate)},
        "network": network_entry(certificate.network),
    }
    return sealed(document, model)


def write_radius(
    certificate: NetworkCertificate,
    input: Float[np.ndarray, " m"],
    path: str | Path,
    *,
    model: str | Path | None = None,
) -> Path:
    """Write the class of one input, and how far it may move before that could change.

    **Arguments:** `certificate`, from `certify_network`; `input`, shape (m,); the others as for
    `write_deep_certificate`. The file holds the network, the input, its enclosed scores, and the
    radii in the 2-norm and in the maximum norm.

    **Returns:** the path.

    **Raises:** `InputProblem` where no radius above 0 is certified in either norm.
    """
    path = Path(path)
    document = sealed(_radius(certificate, np.asarray(input)), model)
    write_whole(path, canonical_text(document).encode())
    return path


def _radius(certificate: NetworkCertificate, u: Float[np.ndarray, " m"]) -> Entry:
    if u.shape != (certificate.network.input_size,):
        raise InputProblem(
            f"the input has shape {u.shape}; ({certificate.network.input_size},) is needed"
        )
    scores = enclose_scores(certificate, u[None])[0]
    found = {name: certified_radii(certificate, u[None], name) for name in ("euclidean", "maximum")}
    radii = {name: float(answer.radii[0]) for name, answer in found.items()}
    if not max(radii.values()) > 0:
        raise InputProblem(
            "no radius above 0 is certified for this input: two scores may be equal, or no bound "
            "of the network is known"
        )
    claim = {name: radius.hex() for name, radius in radii.items()} | {
        "input": tensor(u),
        "class": int(found["euclidean"].classes[0]),
        "low": tensor(np.asarray(scores.lower(), np.float64)),
        "high": tensor(np.asarray(scores.upper(), np.float64)),
    }
    return {
        "statement": "radius",
        "theorem": "margin",
        "claim": claim,
        "witness": {"gains": _gains(certificate), "stages": _stages(certificate)},
        "network": network_entry(certificate.network),
    }


def _block(certificate: BlockCertificate) -> Entry:
    """Theorem, claim, metric and witness of one block."""
    norms = {
        norm: {
            name: _bound(getattr(certificate, f"{norm}_{name}"))
            for name in ("gain", "push", "transient")
        }
        for norm in ("euclidean", "maximum")
    }
    claim = norms | {
        "factor": float(certificate.factor).hex(),
        "step_limit": _bound(certificate.step_limit),
        "root_push": _bound(certificate.root_push),
    }
    by_rows = isinstance(certificate.metric, MaximumMetric)
    spectra = [[float(end).hex() for end in pair] for pair in certificate.spectra]
    return {
        "theorem": certificate.theorem,
        "claim": claim,
        "metric": metric_entry(certificate.metric, tensor) if by_rows else None,
        "witness": None if by_rows else {"spectra": spectra},
    }


def _gains(certificate: NetworkCertificate) -> Entry:
    return {
        "euclidean": _bound(certificate.euclidean_gain),
        "maximum": _bound(certificate.maximum_gain),
    }


def _stages(certificate: NetworkCertificate) -> list[Entry]:
    """The proof of each stage: that of its block, and norms of what stands around it."""
    pairs = zip(certificate.network.stages, certificate.blocks, strict=True)
    return [
        {"block": _block(block), "start": _norm(stage.start), "exit": _norm(stage.exit)}
        for stage, block in pairs
    ]


def _bound(value: float) -> str | None:
    """Nothing is claimed by an infinite bound."""
    return float(value).hex() if math.isfinite(value) else None


def _norm(operator: AbstractOperator | None) -> str | None:
    return None if operator is None else float(_euclidean(operator)).hex()


def _euclidean(operator: AbstractOperator) -> float:
    """An upper bound of the 2-norm, which the checker proves."""
    if isinstance(operator, DenseOperator):
        return two_norm_upper(Ball.exact(np.asarray(operator.matrix, np.float64)))
    if isinstance(operator, Convolution):
        taps = Ball.exact(np.asarray(operator.taps, np.float64))
        size = (operator.height, operator.width)
        return convolution_norm_upper(taps, *size, operator.padding, operator.stride)
    if isinstance(operator, MeanPool):
        return float((Ball.exact(1.0) / float(operator.window)).upper())
    if isinstance(operator, NegativeGram):
        inner = Ball.exact(_euclidean(operator.inner))
        whole = inner * inner * float(operator.scale) + float(operator.shift)
        fastest = 1.0 if operator.rates is None else float(np.max(np.asarray(operator.rates)))
        return float((whole * fastest).upper())
    raise InputProblem(f"{type(operator).__name__} has no place in the certificate format")
