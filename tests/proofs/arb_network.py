"""Equilibria of rate networks in Arb at 200 bits, written without the product's code."""

from collections.abc import Iterator
from contextlib import contextmanager

import flint
import numpy as np
from flint import arb, arb_mat

PRECISION = 200


@contextmanager
def precision(bits: int = PRECISION) -> Iterator[None]:
    """Arb's working precision within the block."""
    before, flint.ctx.prec = flint.ctx.prec, bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def column(x: np.ndarray) -> arb_mat:
    return arb_mat([[arb(float(v))] for v in x])


def matrix(W: np.ndarray) -> arb_mat:
    return arb_mat([[arb(float(v)) for v in row] for row in W])


def equilibrium_in_arb(
    W: np.ndarray,
    b: np.ndarray,
    leak: float,
    firing_rate: bool,
    start: np.ndarray,
    logistic: bool = False,
) -> list[arb]:
    """The root that Newton's method reaches at 200 bits; quadratic, so far below 1e-40 off."""
    n = len(b)
    weight, bias, x = matrix(W), column(b), column(start)

    def value(v: arb) -> arb:
        return (1 + (v / 2).tanh()) / 2 if logistic else v.tanh()

    def slope(v: arb) -> arb:
        return value(v) * (1 - value(v)) if logistic else 1 - v.tanh() ** 2

    def entrywise(function, v: arb_mat) -> arb_mat:
        return arb_mat([[function(v[i, 0])] for i in range(n)])

    with precision():
        for _ in range(9):
            # Newton's method forgets its errors: balls are cut to their midpoints.
            x = x.mid() if hasattr(x, "mid") else arb_mat([[x[i, 0].mid()] for i in range(n)])
            y = weight * x + bias if firing_rate else x
            drive = entrywise(value, y) if firing_rate else weight * entrywise(value, y) + bias
            slopes = entrywise(slope, y)
            J = arb_mat(
                [
                    [
                        weight[i, j] * slopes[i if firing_rate else j, 0] - (leak if i == j else 0)
                        for j in range(n)
                    ]
                    for i in range(n)
                ]
            )
            x = x - J.solve(drive - x * arb(leak))
        return [x[i, 0] for i in range(n)]


def holds(center: np.ndarray, radius: np.ndarray, root: list[arb]) -> bool:
    """Whether the box certainly holds the root."""
    with precision():
        return all(
            abs(x - arb(float(c))) < arb(float(r))
            for c, r, x in zip(center, radius, root, strict=True)
        )
