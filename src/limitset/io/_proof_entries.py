"""Enclosures, arrays and families, as certificate files of dynamics spell them."""

from typing import Any, TypeVar

import equinox as eqx
import numpy as np
from jaxtyping import Shaped

from limitset._result import InputProblem
from limitset.io._certificate import tensor
from limitset.networks import RateFamily, RateNetwork
from limitset.proofs import Ball

Subject = TypeVar("Subject")


def interval(ball: Ball) -> list[str]:
    """The ends of a scalar ball, as hexadecimal floats."""
    return [float(ball.lower()).hex(), float(ball.upper()).hex()]


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


def fitting(record: object, subject: object, expected: type[Subject]) -> Subject:
    """The subject, if it is what records of this type are about; raises `InputProblem` if not."""
    if not isinstance(subject, expected):
        raise InputProblem(
            f"{type(record).__name__} is about a {expected.__name__}, not a "
            f"{type(subject).__name__}; pass the one that it was proved for"
        )
    return subject
