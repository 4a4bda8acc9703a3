"""The flow of tanh rate networks in Arb at 200 bits, written without the product's code.

Plain Taylor steps whose truncation is far below 1e-30; balls are cut to their midpoints, so what
comes out is a reference value, not an enclosure.
"""

from collections.abc import Sequence

import numpy as np
from flint import arb

from proofs.arb_network import precision

_ORDER = 36
_LONGEST = 0.04


def velocity_in_arb(
    W: np.ndarray, b: np.ndarray, leak: float, firing_rate: bool, x: Sequence[arb]
) -> list[arb]:
    """The right hand side at a state."""
    weight = [[arb(float(w)) for w in row] for row in W]

    def through(v: Sequence[arb]) -> list[arb]:
        return [sum((w * c for w, c in zip(row, v, strict=True)), arb(0)) for row in weight]

    bias = [arb(float(v)) for v in b]
    if firing_rate:
        drive = [(p + q).tanh() for p, q in zip(through(x), bias, strict=True)]
    else:
        drive = [p + q for p, q in zip(through([v.tanh() for v in x]), bias, strict=True)]
    return [d - arb(leak) * v for d, v in zip(drive, x, strict=True)]


def flow_in_arb(
    W: np.ndarray,
    b: np.ndarray,
    leak: float,
    firing_rate: bool,
    start: Sequence[float] | Sequence[arb],
    time: float | arb,
) -> list[arb]:
    """The state after `time`."""
    with precision():
        x = [arb(v) for v in start]
        total = arb(time)
        steps = max(1, int(np.ceil(float(total.mid()) / _LONGEST)))
        h = total / steps
        for _ in range(steps):
            coefficients = _coefficients(W, b, leak, firing_rate, x)
            state = coefficients[-1]
            for earlier in reversed(coefficients[:-1]):
                state = [p + h * q for p, q in zip(earlier, state, strict=True)]
            x = [v.mid() for v in state]
        return x


def _coefficients(
    W: np.ndarray, b: np.ndarray, leak: float, firing_rate: bool, start: list[arb]
) -> list[list[arb]]:
    """Taylor coefficients by the polynomial system `x' = -leak x + ..., z' = (1 - z^2) y'`."""
    n = len(b)
    weight = [[arb(float(w)) for w in row] for row in W]
    bias = [arb(float(v)) for v in b]

    def through(v: list[arb]) -> list[arb]:
        return [sum((weight[i][j] * v[j] for j in range(n)), arb(0)) for i in range(n)]

    x = [start]
    y = [[p + q for p, q in zip(through(start), bias, strict=True)] if firing_rate else start]
    z = [[v.tanh() for v in y[0]]]
    square: list[list[arb]] = []
    for k in range(_ORDER):
        square.append(
            [sum((z[j][i] * z[k - j][i] for j in range(k + 1)), arb(0)) for i in range(n)]
        )
        drive = z[k] if firing_rate else through(z[k])
        if k == 0 and not firing_rate:
            drive = [p + q for p, q in zip(drive, bias, strict=True)]
        x.append([((d - arb(leak) * v) / (k + 1)) for d, v in zip(drive, x[k], strict=True)])
        y.append(through(x[-1]) if firing_rate else x[-1])
        rate = [
            (k + 1) * y[k + 1][i]
            - sum((square[k - j][i] * (j + 1) * y[j + 1][i] for j in range(k + 1)), arb(0))
            for i in range(n)
        ]
        z.append([v / (k + 1) for v in rate])
    return x
