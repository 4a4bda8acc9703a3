"""Balls of all sizes, for tests that look for a number that an enclosure misses."""

import numpy as np

from limitset.proofs import Ball

U = 2.0**-53
SPECIAL = [0.0, 1.0, -1.0, 0.5, 5e-324, -5e-324, 2.2250738585072014e-308, 1e-310, 1e-160, 1e154,
           1.7e308, -1.7e308, 3.0, 1 / 3, 1 + 2 * U, 1 - U]  # fmt: skip


def nasty(rng: np.random.Generator, count: int) -> np.ndarray:
    """Floats of all sizes: ordinary, nearly equal, huge, tiny, subnormal, zero."""
    x = rng.standard_normal(count)
    kind = rng.integers(0, 6, count)
    any_size = np.ldexp(x, rng.integers(-1074, 1020, count))
    moderate = np.ldexp(x, rng.integers(-30, 30, count))
    choices = [any_size, 1 + x * 1e-15, rng.choice(SPECIAL, count), moderate]
    return np.select([kind == k for k in range(4)], choices, x)


def nasty_ball(rng: np.random.Generator, count: int) -> Ball:
    """Points, narrow balls, and balls of any width."""
    mid = nasty(rng, count)
    size = np.abs(nasty(rng, count))
    kind = rng.integers(0, 4, count)
    with np.errstate(over="ignore", under="ignore"):
        rad = np.select([kind == 0, kind == 1, kind == 2], [0.0, np.abs(mid) * 1e-15, size], 1e-3)
    return Ball(mid, rad)
