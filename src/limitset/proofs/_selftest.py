"""Tests of the machine's arithmetic: what `_ball.py` assumes, checked before the first proof.

Passing is necessary, not sufficient: a sample cannot show that every product obeys its bound.
"""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float

from limitset.proofs._ball import float_above

Operation = Callable[..., Any]

_U = Fraction(1, 2**53)
_SMALLEST_NORMAL = 2.0**-1022
_SMALLEST = 2.0**-1074


class UnsoundArithmetic(RuntimeError):
    """The machine's arithmetic breaks an assumption of the proofs; nothing may be proved on it."""


@dataclass(frozen=True)
class Arithmetic:
    """The operations that proofs rely on; a test replaces one to see it found out."""

    add: Operation = np.add
    subtract: Operation = np.subtract
    multiply: Operation = np.multiply
    divide: Operation = np.divide
    sqrt: Operation = np.sqrt
    matmul: Operation = np.matmul
    total: Operation = np.sum
    less: Operation = np.less
    less_equal: Operation = np.less_equal
    is_finite: Operation = np.isfinite
    next_above: Operation = float_above
    scale: Operation = np.ldexp


@dataclass(frozen=True)
class Check:
    """One assumption: its wording, and a test that a sound arithmetic passes."""

    assumption: str
    holds: Callable[[Arithmetic], bool]


def require_sound_arithmetic() -> None:
    """Return if the assumptions hold on this machine.

    All checks run once per process. The two modes that another library may switch for the calling
    thread at any time, rounding direction and subnormal inputs, are looked at in every call.

    **Raises:** `UnsoundArithmetic`, naming the first assumption that fails.
    """
    _require_all_once()
    _require(MODE_CHECKS, Arithmetic())


@functools.cache
def _require_all_once() -> None:
    _require(CHECKS, Arithmetic())


def _require(checks: tuple[Check, ...], arithmetic: Arithmetic) -> None:
    failed = failed_assumptions(arithmetic, checks)
    if failed:
        raise UnsoundArithmetic(f"This machine's arithmetic is not sound for proofs: {failed[0]}.")


def failed_assumptions(
    arithmetic: Arithmetic, checks: tuple[Check, ...] | None = None
) -> list[str]:
    """The assumptions that the arithmetic breaks, in the order of the registry."""
    with np.errstate(all="ignore"):
        chosen = CHECKS if checks is None else checks
        return [check.assumption for check in chosen if not check.holds(arithmetic)]


def _equal(computed: object, expected: list) -> bool:
    return np.asarray(computed).tolist() == expected


def _rounds_to_nearest(a: Arithmetic) -> bool:
    u = 2.0**-53
    # The last pair is just above a tie: extended precision would round it twice, to 1.
    left = np.array([1.0, -1.0, 1.0, 1.0 + 2 * u, 1.0])
    right = np.array([u, -u, 1.5 * u, u, u + u * 2.0**-25])
    return _equal(a.add(left, right), [1.0, -1.0, 1.0 + 2 * u, 1.0 + 4 * u, 1.0 + 2 * u])


def _reads_subnormals(a: Arithmetic) -> bool:
    """Results may be flushed to 0 (the bounds allow it); inputs may not."""
    small = np.full(5, _SMALLEST)
    return (
        _equal(a.multiply(small, np.full(5, 2.0**1000)), [2.0**-74] * 5)
        and _equal(a.less(np.zeros(5), small), [True] * 5)
        and _equal(a.add(small, np.full(5, _SMALLEST_NORMAL)), [_SMALLEST_NORMAL + _SMALLEST] * 5)
        and _equal(a.matmul(small[None, :1], np.full((1, 1), 2.0**1000)), [[2.0**-74]])
    )


def _underflow_is_small(a: Arithmetic) -> bool:
    products = np.asarray(a.multiply(np.full(5, 2.0**-600), np.full(5, 2.0**-430)))
    quotients = np.asarray(a.divide(np.full(5, 2.0**-600), np.full(5, 2.0**430)))
    dots = np.asarray(a.matmul(np.full((2, 9), 2.0**-600), np.full((9, 2), 2.0**-430)))
    return bool(
        (np.abs(products) <= _SMALLEST_NORMAL).all()
        and (np.abs(quotients) <= _SMALLEST_NORMAL).all()
        and (np.abs(dots) <= 18 * _SMALLEST_NORMAL).all()
    )


def _samples(count: int, spread: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two arrays of random floats over `2 * spread` binary orders of magnitude, near and far."""
    rng = np.random.default_rng(20120601)
    x = np.ldexp(rng.standard_normal(count), rng.integers(-spread, spread, count))
    y = np.ldexp(rng.standard_normal(count), rng.integers(-spread, spread, count))
    yield x, y
    yield x, x * (1 + 1e-13 * rng.standard_normal(count))


def _rounds_correctly(operation: Operation, exact: Callable[..., Fraction], spread: int) -> bool:
    for x, y in _samples(67, spread):
        computed = np.asarray(operation(x, y)).tolist()
        # The conversion of a fraction to float is correctly rounded.
        wanted = [float(exact(Fraction(p), Fraction(q))) for p, q in zip(x, y, strict=True)]
        if computed != wanted:
            return False
    return True


def _adds(a: Arithmetic) -> bool:
    return _rounds_correctly(a.add, lambda p, q: p + q, 30) and _rounds_correctly(
        a.subtract, lambda p, q: p - q, 30
    )


def _multiplies(a: Arithmetic) -> bool:
    return _rounds_correctly(a.multiply, lambda p, q: p * q, 200)


def _divides(a: Arithmetic) -> bool:
    return _rounds_correctly(a.divide, lambda p, q: p / q, 200)


def _takes_roots(a: Arithmetic) -> bool:
    x = np.abs(next(_samples(67, 200))[0])
    roots = np.asarray(a.sqrt(x)).tolist()
    squares = np.arange(40.0) ** 2
    if not _equal(a.sqrt(squares), np.arange(40.0).tolist()):
        return False
    for value, root in zip(x.tolist(), roots, strict=True):
        half_gap = Fraction(math.ulp(root)) / 2
        below, above = Fraction(root) - half_gap, Fraction(root) + half_gap
        if not below**2 <= Fraction(value) <= above**2:
            return False
    return True


def _nan_compares_false(a: Arithmetic) -> bool:
    nan, one = np.full(3, math.nan), np.ones(3)
    results = [test(*pair) for test in (a.less, a.less_equal) for pair in ((nan, one), (one, nan))]
    return not np.any(results) and not np.any(a.is_finite(nan))


def _overflow_is_visible(a: Arithmetic) -> bool:
    huge = np.full(3, 1e308)
    results = [a.add(huge, huge), a.multiply(huge, huge), a.divide(huge, np.full(3, 1e-10))]
    return not np.any([a.is_finite(r) for r in results])


def _neighbours_and_scaling(a: Arithmetic) -> bool:
    x = np.array([1.0, -1.0, 0.0, 3.0])
    up = [1.0 + 2.0**-52, -1.0 + 2.0**-53, _SMALLEST, 3.0 + 2.0**-51]
    return _equal(a.next_above(x), up) and _equal(
        a.scale(x, np.array([5, -5, 2, 900])), [32.0, -(2.0**-5), 0.0, 3 * 2.0**900]
    )


def _integer_products_are_exact(a: Arithmetic) -> bool:
    """Sums below 2^53 admit no rounding: reduced precision shows in every entry."""
    rng = np.random.default_rng(7)
    for m, n, k in ((3, 3, 3), (64, 64, 64), (5, 300, 17), (33, 7, 41)):
        left = rng.integers(-(2**21), 2**21, (m, n))
        right = rng.integers(-(2**21), 2**21, (n, k))
        product = np.asarray(a.matmul(left.astype(np.float64), right.astype(np.float64)))
        if not np.array_equal(product, left @ right):
            return False
    return True


def _graded(rng: np.random.Generator, shape: tuple[int, int]) -> Float[np.ndarray, "m n"]:
    """Rows and columns of very different sizes: bounds in norm only would not pass."""
    rows = rng.integers(-40, 40, shape[0])[:, None]
    return np.ldexp(rng.standard_normal(shape), rows + rng.integers(-3, 3, shape[1]))


def _products(a: Arithmetic) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Factors and products over odd shapes, transposed and strided views, and vectors."""
    rng = np.random.default_rng(11)
    for m, n, k in ((3, 3, 3), (64, 64, 64), (300, 300, 300), (17, 129, 5), (1, 1000, 2)):
        left, right = _graded(rng, (m, n)), _graded(rng, (k, n)).T
        yield left, right, np.asarray(a.matmul(left, right))
    wide = _graded(rng, (62, 46))
    yield wide[::2], wide[::2].T, np.asarray(a.matmul(wide[::2], wide[::2].T))
    yield wide.T, wide, np.asarray(a.matmul(wide.T, wide))
    strided = wide[::-2, ::3]
    right = _graded(rng, (16, 9))
    yield strided, right, np.asarray(a.matmul(strided, right))
    column = _graded(rng, (46, 1))
    yield wide, column, np.asarray(a.matmul(wide, column))


def _dot_errs_little(row: np.ndarray, column: np.ndarray, computed: float) -> bool:
    """`|computed - exact| <= (n + 2) u |row|.|column|`, in integers of 2^-200."""
    p = [int(math.ldexp(x, 200)) for x in row.tolist()]
    q = [int(math.ldexp(x, 200)) for x in column.tolist()]
    exact = sum(x * y for x, y in zip(p, q, strict=True))
    size = sum(abs(x * y) for x, y in zip(p, q, strict=True))
    if not math.isfinite(computed):
        return False
    return abs(Fraction(computed) * 2**400 - exact) <= (len(p) + 2) * _U * size


def _products_err_little(a: Arithmetic) -> bool:
    rng = np.random.default_rng(13)
    for left, right, product in _products(a):
        for _ in range(6):
            i, j = rng.integers(left.shape[0]), rng.integers(right.shape[1])
            if not _dot_errs_little(left[i], right[:, j], float(product[i, j])):
                return False
    return True


def _sums_err_little(a: Arithmetic) -> bool:
    x = _graded(np.random.default_rng(17), (40, 37))
    by_column = np.asarray(a.total(x, axis=0)).tolist()
    return all(
        _dot_errs_little(column, np.ones_like(column), value)
        for column, value in zip(x.T, by_column, strict=True)
    )


MODE_CHECKS = (
    Check("additions round to nearest, once, in float64", _rounds_to_nearest),
    Check("subnormal inputs are read as they are", _reads_subnormals),
)
CHECKS = (
    *MODE_CHECKS,
    Check("underflow errs by at most 2^-1022", _underflow_is_small),
    Check("sums and differences are correctly rounded", _adds),
    Check("products are correctly rounded", _multiplies),
    Check("quotients are correctly rounded", _divides),
    Check("square roots are correctly rounded", _takes_roots),
    Check("comparisons with NaN are false", _nan_compares_false),
    Check("overflow gives infinity or NaN", _overflow_is_visible),
    Check("neighbouring floats and powers of two are exact", _neighbours_and_scaling),
    Check("matrix products of small integers are exact", _integer_products_are_exact),
    Check("matrix products obey the componentwise dot product bound", _products_err_little),
    Check("sums over an axis obey the dot product bound", _sums_err_little),
)
