"""Enclosures, arrays and families, as certificate files of dynamics spell them."""

from typing import Any, TypeVar

import equinox as eqx
import numpy as np
from jaxtyping import Shaped

from limitset._result import InputProblem
from limitset.dynamics import BiasFamily, RateMap
from limitset.io._certificate import tensor
from limitset.networks import Elman, RateFamily, RateNetwork
from limitset.proofs import Ball

Subject = TypeVar("Subject")


def interval(ball: Ball) -> list[str]:
    """The ends of a scalar ball, as hexadecimal floats."""
    return [float(ball.lower()).hex(), float(ball.upper()).hex()]


def roomier(ball: Ball, weight_radius: float) -> Ball:
    """For a ball of networks a scalar half as wide again, but with no other sign than it has.

    The checker encloses the same numbers in another way, and overestimates them in another way.
    """
    if weight_radius == 0:
        return ball
    to_zero = np.maximum((ball.rad + np.abs(ball.mid)) / 2, ball.rad)
    return Ball(ball.mid.copy(), np.minimum(1.5 * ball.rad, to_zero))


def exact(array: Shaped[np.ndarray, "..."]) -> dict[str, Any]:
    """An array in float64, entry by entry as it is."""
    return tensor(np.asarray(array, np.float64))


def split_family(family: RateFamily) -> tuple[RateNetwork, dict[str, Any]]:
    """The network of a model, and the family that starts at it.

    A family without weight of its own is the gain of its direction.
    """
    network, direction = family.network, np.asarray(family.direction)
    if np.array_equal(direction, np.eye(len(direction))):
        return network, {"kind": "shift", "direction": None}
    if not np.any(np.asarray(network.weight)):
        whole = eqx.tree_at(lambda n: n.weight, network, family.direction)
        return whole, {"kind": "gain", "direction": None}
    return network, {"kind": "direction", "direction": tensor(direction)}


def split_bias(family: BiasFamily) -> tuple[RateNetwork | RateMap | Elman, dict[str, Any]]:
    """The system of a model, and how its bias depends on the parameter."""
    return family.system, {"kind": "bias", "direction": tensor(np.asarray(family.direction))}


def fitting(record: object, subject: object, expected: type[Subject]) -> Subject:
    """The subject, if it is what records of this type are about; raises `InputProblem` if not."""
    if not isinstance(subject, expected):
        raise InputProblem(
            f"{type(record).__name__} is about a {expected.__name__}, not a "
            f"{type(subject).__name__}; pass the one that it was proved for"
        )
    return subject
