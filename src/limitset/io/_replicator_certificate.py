"""The fields of certificates about particles: replicators, fixed points, collapse, lists."""

from typing import Any

import numpy as np

from limitset._result import InputProblem
from limitset.io._certificate import network_entry
from limitset.io._proof_entries import exact, interval
from limitset.proofs import (
    AllPositionalReplicators,
    CollapseBall,
    MapFixedPoint,
    PositionalReplicator,
    Replicator,
    Stability,
    TrainingModes,
)
from limitset.replication import Particle

Entry = dict[str, Any]
ParticleRecord = Replicator | MapFixedPoint | CollapseBall | AllPositionalReplicators


def particle_fields(record: ParticleRecord, particle: Particle) -> Entry:
    """Statement, theorem, network and claim, and what helps to prove it.

    **Raises:** `InputProblem` if the record is not about this particle, or may be incomplete.
    """
    network = {"network": network_entry(particle)}
    if isinstance(record, Replicator):
        own = np.asarray(particle.weights, np.float64)
        if not (particle.spec.is_linear and np.array_equal(own, record.weights)):
            raise InputProblem(
                "the replicator was proved near other weights; pass the particle that it is about"
            )
        return {"statement": "replicator", "theorem": "constraint", **network} | {
            "claim": _replicator(record)
        }
    if isinstance(record, MapFixedPoint):
        if record.center.shape != (particle.state_size,) or not record.excludes_zero:
            raise InputProblem(
                "the fixed point has another size, or may be 0; pass a nonzero one of this shape"
            )
        return {"statement": "fixed_point", "theorem": "krawczyk", **network} | _fixed_point(record)
    if isinstance(record, CollapseBall):
        if record.is_linear != particle.spec.is_linear:
            raise InputProblem("the ball is about other activations; prove it for this particle")
        claim = {name: float(getattr(record, name)).hex() for name in ("radius", "factor")}
        return {"statement": "collapse", "theorem": "norm", **network, "claim": claim}
    return {
        "statement": "positional_replicators",
        "theorem": "directions",
        **network,
    } | _positional(record)


def _replicator(record: Replicator) -> Entry:
    return {
        "frame": exact(record.frame),
        "center": exact(record.center),
        "radius": exact(record.radius),
        "uniqueness_radius": float(record.uniqueness_radius).hex(),
        "distance": float(record.distance).hex(),
        "eigenvalue": 1 + record.depth,
        "unit_eigenvalues": record.unit_eigenvalues,
        "unstable": record.unstable,
        "training": None if record.training is None else _modes(record.training),
    }


def _modes(modes: TrainingModes) -> Entry:
    return {name: float(getattr(modes, name)).hex() for name in ("slowest", "fastest")}


def _fixed_point(record: MapFixedPoint) -> Entry:
    claim = {
        "center": exact(record.center),
        "radius": exact(record.radius),
        "uniqueness_radius": float(record.uniqueness_radius).hex(),
        "stability": record.stability.value,
        "cube": float(record.cube if record.basin_radius > 0 else 0.0).hex(),
        "basin_radius": float(record.basin_radius).hex(),
    }
    return {"claim": claim, "witness": _witness(record)}


def _witness(record: MapFixedPoint) -> Entry | None:
    """The forms from which stability follows."""
    if record.stability is Stability.STABLE and record.form is not None:
        return {"form": exact(record.form)}
    if record.stability is Stability.UNSTABLE and record.instability is not None:
        shown = record.instability
        return {
            "form": exact(shown.form),
            "direction": exact(shown.direction),
            "bound": float(shown.bound).hex(),
        }
    return None


def _positional(record: AllPositionalReplicators) -> Entry:
    if not record.complete or not np.isfinite(record.reach):
        raise InputProblem(
            f"the list may be incomplete ({record.refusal}) or has no finite reach; only a "
            "complete one of finite reach can be written"
        )
    claim = {
        "reach": float(record.reach).hex(),
        "fixed_points": [_positional_point(point) for point in record.fixed_points],
    }
    directions = [
        {"chart": chart, "u": float(u).hex(), "v": float(v).hex()}
        for chart, u, v in record.directions
    ]
    return {"claim": claim, "witness": {"directions": directions}}


def _positional_point(point: PositionalReplicator) -> Entry:
    return {
        "center": exact(point.center),
        "radius": exact(point.radius),
        "kappa_0": interval(point.kappa_0),
        "expansion": float(point.expansion).hex(),
    }
