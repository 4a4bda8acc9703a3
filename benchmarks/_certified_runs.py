"""One run of the certified-accuracy benchmark: trained, certified, attacked, kept in a folder."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import numpy as np

from limitset.analysis import ProjectedGradient, attack
from limitset.contraction import Unknown, certified_radii, certify_network
from limitset.dynamics import run_network
from limitset.networks import DeepNetwork
from limitset.training import (
    CertifiedClassifier,
    DeepRecipe,
    RadiusLoss,
    Split,
    certified_classifier,
    fit_deep,
    images_of,
)

Run = dict[str, Any]
Norm = Literal["euclidean", "maximum"]
# The usual radii: of the 2-norm after arXiv 1906.00554 and 2208.03160, of the maximum norm.
RADII: dict[Norm, tuple[float, ...]] = {
    "euclidean": (0.0, 36 / 255, 72 / 255, 108 / 255, 1.0, 1.58),
    "maximum": (0.0, 0.01, 0.03, 0.1),
}


@dataclass(frozen=True)
class Plan:
    """What is trained, and how hard it is attacked."""

    norm: Norm = "euclidean"
    units: int = 256
    layers: int = 4
    offset: float = 1.0
    temperature: float = 0.25
    epochs: int = 8
    batch_size: int = 512
    optimiser: str = "muon"
    learning_rate: float = 0.03
    attacked: int = 1000
    steps: int = 100
    starts: int = 3


def run(name: str, plan: Plan, split: Split, seed: int, folder: Path) -> Run:
    """The figures of one seed; read from the folder where they are there already."""
    record = folder / f"{name}_{seed}.json"
    if record.exists():
        found = json.loads(record.read_text())
        if found["plan"] != asdict(plan):
            raise SystemExit(f"{record} is of another plan; name another folder for --runs")
        return found
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    model = _trained(name, plan, split, seed, folder)
    found: Run = {"plan": asdict(plan), "seed": seed, "training_s": time.perf_counter() - begun}
    found |= examine(model.explicit(), plan, split)
    record.write_text(json.dumps(found, indent=1))
    return found


def _trained(name: str, plan: Plan, split: Split, seed: int, folder: Path) -> CertifiedClassifier:
    images = images_of(split.train)
    model = certified_classifier(
        jax.random.key(seed), pixels=images.shape[1], classes=int(split.train.labels.max()) + 1,
        norm=plan.norm, units=plan.units, layers=plan.layers,
    )  # fmt: skip
    weights = folder / f"{name}_{seed}.eqx"
    if weights.exists():
        return eqx.tree_deserialise_leaves(weights, model)
    recipe = DeepRecipe(
        epochs=plan.epochs, batch_size=plan.batch_size, optimiser=plan.optimiser,
        learning_rate=plan.learning_rate, schedule="cosine", seed=seed,
    )  # fmt: skip
    fitted = fit_deep(
        model,
        split.train,
        recipe,
        loss=RadiusLoss(plan.offset, plan.temperature),
        checkpoint=folder / f"{name}_{seed}.checkpoint",
        on_epoch=lambda line: print(
            f"{name} {seed}: epoch {line.index} {line.loss:.4f}", flush=True
        ),
    ).model
    assert isinstance(fitted, CertifiedClassifier)
    eqx.tree_serialise_leaves(weights, fitted)
    return fitted


def examine(network: DeepNetwork, plan: Plan, split: Split) -> Run:
    """Certificates on all test images; the attack, in the norm of training, on the first of them.

    They must never cross.
    """
    images, labels = images_of(split.test), split.test.labels
    begun = time.perf_counter()
    certificate = certify_network(network)
    if isinstance(certificate, Unknown):
        raise SystemExit(f"the network has no certificate: {certificate.reason}")
    radii = {}
    for norm in RADII:
        found = certified_radii(certificate, images, norm)
        radii[norm] = np.where(found.classes == labels, found.radii, -1.0)
    taken = time.perf_counter() - begun
    gains = {"euclidean": certificate.euclidean_gain, "maximum": certificate.maximum_gain}
    curves = {norm: _at_radii(network, norm, plan, images, labels, radii[norm]) for norm in RADII}
    # Quantiles rather than the 10,000 radii: enough for the curve in a figure.
    shown = {n: np.quantile(r, np.linspace(0, 1, 201)).round(6).tolist() for n, r in radii.items()}
    return {
        "gains": gains,
        "certificate_s": taken,
        "images": len(images),
        "accuracy": curves,
        "radius_quantiles": shown,
    }


def _at_radii(
    network: DeepNetwork,
    norm: Norm,
    plan: Plan,
    images: np.ndarray,
    labels: np.ndarray,
    radii: np.ndarray,
) -> list[Run]:
    scores, some = jax.tree_util.Partial(run_network, network), slice(0, plan.attacked)
    method = ProjectedGradient(steps=plan.steps, starts=plan.starts)
    rows = []
    for radius in RADII[norm]:
        begun = time.perf_counter()
        # Radii are of open balls; the class at the centre is certain if its radius is positive.
        certified = radii > radius
        row = {"radius": radius, "certified": float(certified.mean())}
        row["certified_of_attacked"] = float(certified[some].mean())
        if norm == plan.norm:
            found = attack(
                scores, images[some], labels[some], radius, key=jax.random.key(0), norm=norm,
                method=method,
            )  # fmt: skip
            crossed = found.succeeded & certified[some]
            if crossed.any():
                raise SystemExit(f"the attack broke certified inputs {np.flatnonzero(crossed)}")
            row |= {"attacked": found.accuracy, "attack_s": time.perf_counter() - begun}
        rows.append(row)
        print(f"{norm}: {row}", flush=True)
    return rows
