"""All roots of a function of a logarithm that is cheap on a grid."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq, minimize_scalar

_NAMES = {1: ("upper",), 2: ("lower", "upper"), 3: ("lower", "middle", "upper")}

Excess = Callable[[float], float]


def all_roots(
    excess: Excess, grid: Float[np.ndarray, " points"], values: Float[np.ndarray, " points"]
) -> list[float]:
    """Exponentials of the roots of a smooth function of a logarithm, in order.

    **Arguments:** `excess`, the function; `grid`, in order, and the `values` on it. Between two
    points at most two roots are found, and two only around an extremum.
    """
    points = list(zip(grid, values, strict=True))
    size = np.abs(values)
    for k in range(1, len(grid) - 1):
        # An extremum on the near side of 0: two roots may hide between two points.
        if size[k] <= min(size[k - 1], size[k + 1]) and np.ptp(np.sign(values[k - 1 : k + 2])) == 0:
            sign = float(np.sign(values[k]))
            at, value = least_between(lambda x, sign=sign: sign * excess(x), *grid[[k - 1, k + 1]])
            points.append((at, sign * value))
    points.sort()
    pairs = zip(points, points[1:], strict=False)
    return [
        float(np.exp(bracketed_root(excess, a, b)))
        for (a, u), (b, v) in pairs
        if (u > 0) != (v > 0)
    ]


def named(roots: list[float]) -> list[tuple[float, str]]:
    """Roots with the names of their branches."""
    names = _NAMES.get(len(roots), tuple(str(k + 1) for k in range(len(roots))))
    return list(zip(roots, names, strict=True))


def bracketed_root(function: Excess, low: float, high: float) -> float:
    """The root between two points where the function has opposite signs, by Brent's method."""
    return float(brentq(function, low, high, xtol=1e-15))  # pyright: ignore[reportArgumentType]


def least_between(function: Excess, low: float, high: float) -> tuple[float, float]:
    """Where a function with one minimum has it, and the value."""
    found: Any = minimize_scalar(
        function, bounds=(low, high), method="bounded", options={"xatol": 1e-10}
    )
    return float(found.x), float(found.fun)
