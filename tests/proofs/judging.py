"""What tests of bifurcation proofs share: how answers are judged, and a published network."""

from typing import TypeVar

import numpy as np
from flint import arb

from limitset.proofs import Ball, Reason, Refusal

Answer = TypeVar("Answer")

# The four neurons of arXiv 2202.05073, as printed there.
_R1 = np.array(
    [
        [0.0820, 1.9805, -1.0459, -0.9195],
        [0.6341, 0.7433, -0.9086, 0.1274],
        [-0.4147, -1.6477, 2.0508, 0.7477],
        [0.7523, -0.6576, -1.0741, -1.4106],
    ]
)
_R2 = np.array(
    [
        [0.0929, 0.0645, -0.0047, 0.0236],
        [-0.0529, -0.0672, 0.0852, 0.0022],
        [0.1457, -0.0213, 0.0325, -0.0131],
        [-0.2527, -0.0332, 0.0977, 0.0373],
    ]
)
FOUR_NEURONS = _R1 - _R1.T + _R2


def holds(ball: Ball, value: arb) -> bool:
    """Whether every number in the Arb ball is certainly in the ball."""
    return bool(arb(float(ball.lower())) <= value) and bool(value <= arb(float(ball.upper())))


def contains(ball: Ball, value: float, slack: float = 0.0) -> bool:
    """`slack`: half a unit in the last digit that is known of the value."""
    return bool(ball.lower() - slack <= value <= ball.upper() + slack)


def proved(answer: Answer | Refusal) -> Answer:
    """The record, where there is one."""
    assert not isinstance(answer, Refusal), answer
    return answer


def refused(answer: object) -> Reason:
    """The reason, where there is a refusal."""
    assert isinstance(answer, Refusal), answer
    return answer.reason
