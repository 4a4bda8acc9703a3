"""`limitset prove replicator`: what is proved of a stored particle, or of all of an organism."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from limitset._result import Evidence, InputProblem
from limitset.cli._answer import print_json
from limitset.cli._prove_subject import bounds, certificates_folder
from limitset.io import load, require_writable, write_proof
from limitset.proofs import (
    AllPositionalReplicators,
    CollapseBall,
    MapFixedPoint,
    Refusal,
    Replicator,
    bound_replicator_distances,
    prove_all_positional_replicators,
    prove_collapse_ball,
    prove_map_fixed_point,
    prove_replicator,
)
from limitset.replication import Organism, Particle, SelfApplication

_LABEL = Evidence.VERIFIED.label
# Activations a with |a(x)| <= |x| that certificates know.
_SHRINKING = ("identity", "tanh")


def run_prove_replicator(folder: Path, within: float, out: Path | None, as_json: bool) -> int:
    """Prove that a replicator lies near the stored weights; exit code 1 if it is not proved."""
    _require_positive("--within", within)
    system = load(folder).system
    if isinstance(system, Organism):
        return _prove_organism(folder, system, within, out, as_json)
    particle = _particle(folder, system)
    target = certificates_folder(folder, out)
    answer = _near(particle, within)
    if isinstance(answer, Refusal):
        return _report_refusal(answer, as_json)
    path = write_proof(answer, particle, target / "replicator.json", model=folder)
    is_linear = isinstance(answer, Replicator)
    record = _linear_record(answer) if is_linear else _fixed_point_record(answer, particle)
    sentence = _linear_sentence(answer) if is_linear else _fixed_point_sentence(record)
    return _report(record, sentence, path, as_json)


def run_prove_positional(folder: Path, reach: float, out: Path | None, as_json: bool) -> int:
    """Prove all positional replicators of the stored particle's shape up to a size."""
    _require_positive("--reach", reach)
    particle = _particle(folder, load(folder).system)
    _require_linear(folder, particle)
    target = certificates_folder(folder, out)
    spec = particle.spec
    found = prove_all_positional_replicators(spec.positions, spec.shapes, reach=reach)
    path = None
    if found.complete:
        path = write_proof(found, particle, target / "positional_replicators.json", model=folder)
    if as_json:
        print_json(_positional_record(found) | {"certificate": None if path is None else str(path)})
        return 0 if found.complete else 1
    count = len(found.fixed_points)
    if path is None:
        print(f"at least {count} positional replicators [{_LABEL}]; {found.refusal}")
        return 1
    print(f"exactly {count} positional replicators Pi a, max |a_i| <= {reach:g} [{_LABEL}]")
    for point in found.fixed_points:
        place = " ".join(f"{value:.6g}" for value in point.center)
        print(f"  a near ({place}), kappa_0 near {float(point.kappa_0.mid):.6g}, unstable")
    print(f"certificate: {path}")
    return 0


def run_prove_collapse(folder: Path, out: Path | None, as_json: bool) -> int:
    """Prove from how large a ball of weights self-application goes to 0."""
    particle = _particle(folder, load(folder).system)
    name = particle.spec.activation.name
    if name not in _SHRINKING:
        raise InputProblem(
            f"{folder} has the activation {name!r}; this proof is for {' and '.join(_SHRINKING)}"
        )
    target = certificates_folder(folder, out)
    spec = particle.spec
    answer = prove_collapse_ball(spec.positions, spec.shapes, linear=spec.is_linear)
    if isinstance(answer, Refusal):
        return _report_refusal(answer, as_json)
    path = write_proof(answer, particle, target / "collapse.json", model=folder)
    return _report(_collapse_record(answer, particle), _collapse_sentence(answer), path, as_json)


def _particle(folder: Path, system: object) -> Particle:
    if not isinstance(system, Particle):
        raise InputProblem(
            f"{folder} holds {type(system).__name__}; this proof is for the kind 'particle'"
        )
    return system


def _require_linear(folder: Path, particle: Particle) -> None:
    if not particle.spec.is_linear:
        raise InputProblem(
            f"{folder} has the activation {particle.spec.activation.name!r}; this proof is for "
            "linear particles"
        )


def _require_positive(option: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InputProblem(f"{option} is {value:g}; give a positive number")


def _near(particle: Particle, within: float) -> Replicator | MapFixedPoint | Refusal:
    """A replicator at most `within` from the stored weights."""
    weights, spec = np.asarray(particle.weights, np.float64), particle.spec
    if spec.is_linear:
        return prove_replicator(weights, spec.positions, spec.shapes, within=within)
    return prove_map_fixed_point(SelfApplication(spec), weights, within=within)


def _report_refusal(refusal: Refusal, as_json: bool) -> int:
    if as_json:
        print_json({"proved": None, "reason": str(refusal)})
    else:
        print(f"not proved: {refusal}")
    return 1


def _report(record: dict[str, Any], sentence: str, path: Path, as_json: bool) -> int:
    if as_json:
        proved = record | {"certificate": str(path), "evidence": _LABEL}
        print_json({"proved": proved, "reason": None})
    else:
        print(sentence)
        print(f"certificate: {path}")
    return 0


def _linear_record(answer: Replicator) -> dict[str, Any]:
    training = answer.training
    return {
        "distance": answer.distance,
        "uniqueness_radius": answer.uniqueness_radius,
        "stable": False,
        "eigenvalue": 1 + answer.depth,
        "unit_eigenvalues": answer.unit_eigenvalues,
        "unstable": answer.unstable,
        "training_modes": None if training is None else [training.slowest, training.fastest],
    }


def _linear_sentence(answer: Replicator) -> str:
    text = (
        f"an exact self-replicator lies within {answer.distance:.3g} of the weights [{_LABEL}]: "
        f"unstable under self-application, eigenvalue {1 + answer.depth}"
    )
    if answer.training is not None:
        text += f"; gradient steps below {2 / answer.training.fastest:.4g} attract to replicators"
    return text


def _fixed_point_record(answer: MapFixedPoint, particle: Particle) -> dict[str, Any]:
    away = answer.center - np.asarray(particle.weights, np.float64)
    return {
        "moved": float(np.abs(away).max()),
        "radius": float(answer.radius.max()),
        "uniqueness_radius": answer.uniqueness_radius,
        "stable": {"stable": True, "unstable": False}.get(answer.stability),
        "basin_radius": answer.basin_radius,
    }


def _fixed_point_sentence(record: dict[str, Any]) -> str:
    words = {True: "stable", False: "unstable", None: "of undecided stability"}[record["stable"]]
    text = (
        f"exactly one self-replicator within {record['radius']:.1e} of the stored center "
        f"[{_LABEL}]: {words} under self-application"
    )
    if record["basin_radius"] > 0:
        text += f", attracts all weights within {record['basin_radius']:.3g}"
    return text


def _positional_record(found: AllPositionalReplicators) -> dict[str, Any]:
    return {
        "complete": found.complete,
        "count": len(found.fixed_points),
        "reach": found.reach,
        "evidence": _LABEL,
        "replicators": [
            {
                "center": point.center.tolist(),
                "radius": float(point.radius.max()),
                "kappa_0": bounds(point.kappa_0),
                "stable": False,
            }
            for point in found.fixed_points
        ],
        "reason": None if found.refusal is None else str(found.refusal),
    }


def _collapse_record(answer: CollapseBall, particle: Particle) -> dict[str, Any]:
    size = float(np.linalg.norm(np.asarray(particle.weights, np.float64)))
    return {"radius": answer.radius, "factor": answer.factor, "weights_norm": size}


def _collapse_sentence(answer: CollapseBall) -> str:
    return (
        f"self-application takes all weights of Euclidean norm at most {answer.radius:.6g} to 0 "
        f"[{_LABEL}]"
    )


def _prove_organism(
    folder: Path, organism: Organism, within: float, out: Path | None, as_json: bool
) -> int:
    """Distances of all particles in one step; with --out a certificate of each near one."""
    if not organism.spec.is_linear:
        raise InputProblem(f"{folder} has particles that are not linear; this proof is for those")
    spec, weights = organism.spec, np.asarray(organism.particles, np.float64)
    distances = bound_replicator_distances(weights, spec.positions, spec.shapes)
    near = np.flatnonzero(distances <= within)
    written = 0
    if out is not None:
        require_writable(out)
        for k in near:
            answer = prove_replicator(weights[k], spec.positions, spec.shapes, within=within)
            if isinstance(answer, Replicator):
                particle = Particle(spec, organism.particles[k])
                write_proof(answer, particle, out / f"replicator_{k}.json")
                written += 1
    largest = float(distances[near].max()) if len(near) else None
    if as_json:
        print_json(
            {
                "particles": len(distances),
                "proved": len(near),
                "within": within,
                "largest_distance": largest,
                "evidence": _LABEL,
                "certificates": written,
            }
        )
    else:
        text = "" if largest is None else f", at most {largest:.3g} away"
        print(
            f"{len(near)} of {len(distances)} particles have an exact self-replicator within "
            f"{within:g} [{_LABEL}]{text}"
        )
        if out is not None:
            print(f"certificates: {written} in {out}")
    return 0 if len(near) == len(distances) else 1
