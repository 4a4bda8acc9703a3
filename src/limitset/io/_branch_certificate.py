"""The fields of certificates of branches of equilibria, with the number of events on them."""

from typing import Any

import numpy as np

from limitset._result import InputProblem
from limitset.dynamics import BiasFamily, MapFamily
from limitset.io._certificate import network_entry
from limitset.io._proof_entries import exact, interval, split_bias, split_family
from limitset.networks import RateFamily, RateNetwork
from limitset.proofs import Ball, BranchEvent, EventKind, ProvedBranch

Family = RateFamily | MapFamily | BiasFamily


def branch_fields(record: ProvedBranch, family: Family) -> dict[str, Any]:
    """Statement, network, family, claim, and the points of the curve with their planes.

    **Arguments:** `family`, the one that the record was proved for: a `RateFamily`, or a
    `BiasFamily` of a `RateNetwork`.

    **Raises:** `InputProblem` for a record that is not complete, or holds for a ball of weights.
    """
    if record.undecided or record.weight_radius > 0:
        what = "has undecided pieces" if record.undecided else "is about a ball of weights"
        raise InputProblem(
            f"the branch {what}; only complete branches of exact weights can be written, prove it "
            "on an interval without such pieces and with weight_radius 0"
        )
    network, kind = _split(family)
    joints = [record.segments[0].first, *(segment.last for segment in record.segments)]
    if joints[0].point.shape != (network.state_size + 1,):
        raise InputProblem(
            f"the branch has {len(joints[0].point) - 1} units and the network "
            f"{network.state_size}; pass the family that it was proved for"
        )
    start = joints[0]
    claim = {
        "interval": [end.hex() for end in record.interval],
        "exit": record.exit.hex(),
        "at_origin": record.at_origin,
        "center": exact(start.point[:-1]),
        "radius": exact(start.radius[:-1]),
        "hopf": record.count(EventKind.HOPF),
        "folds": record.count(EventKind.FOLD),
        "pitchforks": record.count(EventKind.PITCHFORK),
        "events": [_event(event) for event in record.events],
    }
    return {
        "statement": "branch",
        "theorem": "uniform_krawczyk",
        "network": network_entry(network),
        "family": kind,
        "claim": claim,
        "witness": {
            "points": exact(np.array([joint.point for joint in joints])),
            "normals": exact(np.array([joint.normal for joint in joints])),
        },
    }


def _split(family: Family) -> tuple[RateNetwork, dict[str, Any]]:
    if isinstance(family, RateFamily):
        return split_family(family)
    if isinstance(family, BiasFamily) and isinstance(family.system, RateNetwork):
        return family.system, split_bias(family)[1]
    raise InputProblem(
        "a certificate of a branch needs a RateFamily or a BiasFamily of a RateNetwork, not this "
        f"{type(family).__name__}; prove it for one of them"
    )


def _event(event: BranchEvent) -> dict[str, Any]:
    return {
        "kind": event.kind.value,
        "parameter": interval(_wider(event.parameter)),
        "frequency": interval(_wider(event.frequency)),
        "unstable": list(event.unstable),
    }


def _wider(ball: Ball) -> Ball:
    """Twice as wide: the checker encloses the same piece of the curve in another way."""
    return Ball(ball.mid.copy(), 2.0 * ball.rad)
