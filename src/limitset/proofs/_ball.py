"""Midpoint-radius arrays: the only file that reasons about rounding.

Every bound is a priori and assumes round to nearest in float64; rounding modes are never touched.
With `u = 2^-53`, an operation returns `c` with `|exact - c| <= u |c| + 2^-1022`; the second term
covers gradual underflow and flushing of results to zero. A dot product of `n` terms, in any order
and with or without fused operations, errs by at most `n u |a|.|b|` (Jeannerod and Rump, SIAM J.
Matrix Anal. Appl. 34, 2013) and `2 n 2^-1022`. Radii are float sums of nonnegative terms, so
their own rounding is a relative loss, undone by one factor above 1. `_selftest.py` checks the
assumptions on the machine at hand.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from limitset._result import InputProblem

Reals = Float[np.ndarray, "..."]
Exact = Shaped[np.ndarray, "..."] | np.generic | float | int

_FLOAT64 = np.dtype(np.float64)
_U = 2.0**-53
# At most 8 underflows enter one elementwise radius, and at most 16 roundings.
_UNDERFLOW = 2.0**-1019
_SLACK = 1.0 + 2.0**-48
# Sums of floats that are 0 or at least this large are multiples of 2^-1013: their error terms
# cannot underflow.
_SAFE = 2.0**-960


def _upward(radius: Reals | np.float64) -> Reals | np.float64:
    """An upper bound of the exact value of a nonnegative expression computed in floats."""
    return (radius + _UNDERFLOW) * _SLACK


def _dot_underflow(n: int) -> float:
    """Underflow of three products of inner dimension `n`: 2 n each, and the final scalings."""
    return (8 * n + 32) * 2.0**-1022


def _dot_slack(n: int) -> float:
    """Undoes the rounding of a nonnegative matrix product and of the few sums around it."""
    return 1.0 + (2 * n + 20) * _U


def _all(mask: Bool[np.ndarray, "..."] | np.bool_) -> bool:
    """`mask.all()`, at a third of its price for small arrays."""
    return bool(np.count_nonzero(mask) == mask.size)


def float_above(x: Reals | np.float64) -> Reals | np.float64:
    """The next float, entrywise."""
    return np.nextafter(x, np.inf)


def _add_up(a: Reals | np.float64, b: Reals | np.float64) -> Reals:
    """Floats that are at least `a + b`, equal to it where the sum is exact."""
    with np.errstate(all="ignore"):
        s = np.asarray(a + b)
        # Knuth's TwoSum: s + error = a + b exactly, unless something overflows or underflows.
        b_part = s - a
        error = (a - (s - b_part)) + (b - b_part)
        above = float_above(s)
        small = ((np.abs(a) < _SAFE) & (a != 0)) | ((np.abs(b) < _SAFE) & (b != 0))
        result = np.where(error <= 0, s, above)
        return np.where(small, float_above(above + _UNDERFLOW), result)


def _as_float64(array: object, name: str) -> Reals:
    """The array as float64, unchanged in value; anything else is refused."""
    given = np.asarray(array)
    if given.dtype == _FLOAT64:
        return given.copy(order="K")
    if given.dtype != np.float32 and given.dtype.kind not in "iu":
        raise InputProblem(
            f"{name} has dtype {given.dtype}; a ball needs float64, float32 or integers: convert."
        )
    # Compared as integers: 2^53 + 1 has already been rounded once it is a float.
    if given.dtype.kind in "iu" and np.any((given > 2**53) | (given < -(2**53))):
        raise InputProblem(f"{name} holds an integer above 2^53, which float64 may not represent.")
    return given.astype(np.float64)


def _finite(array: object, name: str) -> Reals:
    converted = _as_float64(array, name)
    if not _all(np.isfinite(converted)):
        raise InputProblem(f"{name} holds NaN or infinity; a ball needs finite numbers.")
    return converted


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ball:
    """Every real array `x` with `|x - mid| <= rad` entrywise.

    Operations return a ball that holds the result for all members of the operands (operands are
    treated as independent). An infinite radius means that nothing is known of the entry.
    `guaranteed` is cleared by unverified input and stays cleared in all balls that follow from it;
    comparisons and norms return plain numbers, so whoever states a theorem looks at the flag.

    **Arguments:** `mid` finite float64; `rad` of the same shape, nonnegative, possibly infinite.

    **Raises:** `InputProblem` for NaN, an infinite `mid`, a negative radius, unequal shapes or a
    dtype that does not convert exactly.

    **Example:**

    >>> third = Ball.exact(1.0) / 3.0
    >>> bool(third.certainly_less(0.3333333333333334)), bool(third.certainly_less(0.3333333333333))
    (True, False)

    **Source:** S. M. Rump, Fast interval matrix multiplication, Numer. Algorithms 61, 2012.
    """

    mid: Reals
    rad: Reals
    guaranteed: bool = True

    # NumPy arrays on the left hand side defer to the reflected operators below.
    __array_ufunc__ = None

    def __post_init__(self) -> None:
        mid, rad = _finite(self.mid, "`mid`"), _as_float64(self.rad, "`rad`")
        if mid.shape != rad.shape:
            raise InputProblem(f"`mid` has shape {mid.shape} and `rad` {rad.shape}; make them one.")
        if not _all(rad >= 0):
            raise InputProblem("`rad` holds a negative number or NaN; radii are nonnegative.")
        _fill(self, mid, rad, self.guaranteed)

    @staticmethod
    def exact(array: object) -> "Ball":
        """The ball of radius 0 around floats or integers, taken as exact real numbers."""
        mid = _finite(array, "The array")
        return _enclose(mid, np.zeros_like(mid), True)

    @staticmethod
    def unverified(array: object) -> "Ball":
        """Numbers of unknown accuracy: radius 0, and no guarantee for what follows from them."""
        mid = _finite(array, "The array")
        return _enclose(mid, np.zeros_like(mid), False)

    @staticmethod
    def from_bounds(lo: object, hi: object, guaranteed: bool = True) -> "Ball":
        """A ball that holds `[lo, hi]` entrywise; bounds may be infinite."""
        lower, upper = _as_float64(lo, "`lo`"), _as_float64(hi, "`hi`")
        if not _all(lower <= upper):
            raise InputProblem("A lower bound exceeds its upper bound, or one of them is NaN.")
        with np.errstate(all="ignore"):
            mid = np.where(lower == upper, lower, 0.5 * lower + 0.5 * upper)
            rad = np.maximum(_add_up(upper, -mid), _add_up(mid, -lower))
        return _enclose(mid, np.where(lower == upper, 0.0, rad), guaranteed)

    @staticmethod
    def moved(rearrange: Callable[..., Exact], *balls: "Ball") -> "Ball":
        """Entries moved, repeated or dropped by a NumPy function, midpoints and radii alike."""
        mid = rearrange(*(ball.mid for ball in balls))
        rad = rearrange(*(ball.rad for ball in balls))
        return _enclose(mid, rad, all(ball.guaranteed for ball in balls))

    @staticmethod
    def within(computed: Reals, units: int) -> "Ball":
        """Numbers known to within `units` roundoffs: `|x - c| <= units 2^-53 |c| + 2^-1020`."""
        mid = _finite(computed, "The array")
        return _enclose(mid, _upward(np.abs(mid) * (units * _U)), True)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `mid` and `rad`."""
        return self.mid.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.mid.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.mid.size

    @property
    def is_point(self) -> bool:
        """Whether all radii are 0."""
        return not np.count_nonzero(self.rad)

    @property
    def T(self) -> "Ball":
        """The transpose (exact)."""
        return _enclose(self.mid.T, self.rad.T, self.guaranteed)

    def __len__(self) -> int:
        return len(self.mid)

    def __getitem__(self, key: Any) -> "Ball":
        return _enclose(self.mid[key], self.rad[key], self.guaranteed)

    def __repr__(self) -> str:
        note = "" if self.guaranteed else ", guaranteed=False"
        return f"Ball(mid={self.mid!r}, rad={self.rad!r}{note})"

    def reshape(self, *shape: int) -> "Ball":
        """The same entries in another shape (exact)."""
        return _enclose(self.mid.reshape(shape), self.rad.reshape(shape), self.guaranteed)

    def lower(self) -> Reals:
        """Floats below or at every member, entrywise."""
        return self.mid if self.is_point else np.asarray(-_add_up(-self.mid, self.rad))

    def upper(self) -> Reals:
        """Floats above or at every member, entrywise."""
        return self.mid if self.is_point else _add_up(self.mid, self.rad)

    def magnitude(self) -> Reals:
        """Floats that are at least `|x|` for every member."""
        absolute = np.asarray(np.abs(self.mid))
        return absolute if self.is_point else _add_up(absolute, self.rad)

    def mignitude(self) -> Reals:
        """Nonnegative floats that are at most `|x|` for every member."""
        return np.asarray(np.maximum(-_add_up(self.rad, -np.abs(self.mid)), 0.0))

    def __neg__(self) -> "Ball":
        return _enclose(-self.mid, self.rad, self.guaranteed)

    def __abs__(self) -> "Ball":
        # ||x| - |m|| <= |x - m|.
        return _enclose(np.abs(self.mid), self.rad, self.guaranteed)

    def __add__(self, other: "Ball | Exact") -> "Ball":
        other = as_ball(other)
        with np.errstate(all="ignore"):
            mid = self.mid + other.mid
            rad = _upward(np.abs(mid) * _U + (self.rad + other.rad))
        return _enclose(mid, rad, self.guaranteed and other.guaranteed)

    __radd__ = __add__

    def __sub__(self, other: "Ball | Exact") -> "Ball":
        return self + (-as_ball(other))

    def __rsub__(self, other: Exact) -> "Ball":
        return (-self) + other

    def __mul__(self, other: "Ball | Exact") -> "Ball":
        other = as_ball(other)
        for a, b in ((self, other), (other, self)):
            if b.ndim == 0 and not b.rad and math.frexp(abs(float(b.mid)))[0] == 0.5:
                scaled = (-a if b.mid < 0 else a).ldexp(math.frexp(float(b.mid))[1] - 1)
                guaranteed = a.guaranteed and b.guaranteed
                return _enclose(scaled.mid, scaled.rad, guaranteed)
        with np.errstate(all="ignore"):
            mid = self.mid * other.mid
            rad = np.abs(mid) * _U
            # |ab - am bm| <= |am| br + ar (|bm| + br).
            if not other.is_point:
                rad = rad + np.abs(self.mid) * other.rad
            if not self.is_point:
                rad = rad + self.rad * (np.abs(other.mid) + other.rad)
            rad = _upward(rad)
        return _enclose(mid, rad, self.guaranteed and other.guaranteed)

    __rmul__ = __mul__

    def __truediv__(self, other: "Ball | Exact") -> "Ball":
        other = as_ball(other)
        with np.errstate(all="ignore"):
            # The float difference is positive exactly when |bm| > br.
            distance = np.abs(other.mid) - other.rad
            if not _all(distance > 0):
                raise ZeroDivisionError("The denominator ball does not exclude 0; tighten it.")
            mid = self.mid / other.mid
            # |a/b - am/bm| <= (ar + |am/bm| br) / (|bm| - br).
            spread = self.rad
            if not other.is_point:
                spread = spread + (np.abs(mid) + _UNDERFLOW) * other.rad + _UNDERFLOW
            rad = _upward(np.abs(mid) * _U + spread / distance)
        return _enclose(mid, rad, self.guaranteed and other.guaranteed)

    def __rtruediv__(self, other: Exact) -> "Ball":
        return as_ball(other) / self

    def __matmul__(self, other: "Ball | Exact") -> "Ball":
        other = as_ball(other)
        return _enclose(*_product(self, other), self.guaranteed and other.guaranteed)

    def __rmatmul__(self, other: Exact) -> "Ball":
        return as_ball(other) @ self

    def ldexp(self, exponent: Shaped[np.ndarray, "..."] | int) -> "Ball":
        """The members times `2^exponent`; exact but where the result underflows."""
        with np.errstate(all="ignore"):
            mid, rad = np.ldexp(self.mid, exponent), np.ldexp(self.rad, exponent)
            lost_mid = (np.abs(mid) < 2.0**-1021) & (self.mid != 0)
            lost_rad = (rad < 2.0**-1021) & (self.rad != 0)
            rad = np.where(lost_mid | lost_rad, _upward(rad), rad)
        return _enclose(mid, rad, self.guaranteed)

    def sqrt(self) -> "Ball":
        """Square roots; refused where a member may be negative."""
        if not _all(self.lower() >= 0):
            raise InputProblem("The square root of a ball that may be negative; tighten it.")
        with np.errstate(all="ignore"):
            mid = np.sqrt(self.mid)
            # |sqrt x - sqrt m| = |x - m| / (sqrt x + sqrt m), largest at x = m - r.
            total = mid + np.sqrt(np.maximum(self.mid - self.rad, 0.0))
            spread = np.where(self.rad > 0, self.rad / total, 0.0)
            rad = _upward(mid * _U + spread)
        return _enclose(mid, rad, self.guaranteed)

    def hull(self, other: "Ball | Exact") -> "Ball":
        """A ball that holds both, entrywise."""
        other = as_ball(other)
        lo = np.minimum(self.lower(), other.lower())
        hi = np.maximum(self.upper(), other.upper())
        return Ball.from_bounds(lo, hi, self.guaranteed and other.guaranteed)

    def certainly_less(self, other: "Ball | Exact") -> Bool[np.ndarray, "..."]:
        """Entrywise: every member is below every member of `other`. False proves nothing."""
        return np.asarray(self.upper() < as_ball(other).lower())

    def certainly_positive(self) -> Bool[np.ndarray, "..."]:
        """Entrywise: every member is above 0. False proves nothing."""
        return np.asarray(self.lower() > 0)


def _fill(ball: Ball, mid: Reals, rad: Reals, guaranteed: bool) -> None:
    # Balls never change, and neither may the arrays in them.
    mid.flags.writeable = False
    rad.flags.writeable = False
    object.__setattr__(ball, "mid", mid)
    object.__setattr__(ball, "rad", rad)
    object.__setattr__(ball, "guaranteed", guaranteed)


def _enclose(mid: object, rad: object, guaranteed: bool) -> Ball:
    """A ball from computed numbers: what overflowed or became NaN is replaced by all reals."""
    mid, rad = np.asarray(mid), np.asarray(rad)
    known = np.isfinite(mid) & (rad >= 0)
    if not _all(known):
        mid, rad = np.where(known, mid, 0.0), np.where(known, rad, np.inf)
    ball = object.__new__(Ball)
    _fill(ball, mid, rad, guaranteed)
    return ball


def as_ball(value: "Ball | Exact") -> Ball:
    """The value itself if it is a ball, else the exact point."""
    return value if isinstance(value, Ball) else Ball.exact(value)


def _product(A: Ball, B: Ball) -> tuple[object, object]:
    """Midpoint and radius of the matrix product, or of each in two stacks of matrices.

    `|AB - fl(Am Bm)| <= |Am| (Br + (n+2) u |Bm|) + Ar (|Bm| + Br)`, with one product saved
    wherever a factor is a point.
    """
    few = A.ndim in (1, 2) and B.ndim in (1, 2)
    stacked = A.ndim == B.ndim == 3 and len(A) == len(B)
    if not (few or stacked) or A.shape[-1] != B.shape[-2 if stacked else 0]:
        raise InputProblem(
            f"Matrix product of shapes {A.shape} and {B.shape}; both need 1 or 2 axes that match, "
            "or 3 with as many matrices."
        )
    n = A.shape[-1]
    gamma = (n + 2) * _U
    with np.errstate(all="ignore"):
        mid = A.mid @ B.mid
        abs_a, abs_b = np.abs(A.mid), np.abs(B.mid)
        if A.is_point and B.is_point:
            rad = gamma * (abs_a @ abs_b)
        # The underflow is added before the product: gamma |Bm| may vanish beside a large |Am|.
        elif A.is_point:
            rad = abs_a @ _upward(B.rad + gamma * abs_b)
        elif B.is_point:
            rad = _upward(A.rad + gamma * abs_a) @ abs_b
        else:
            rad = abs_a @ _upward(B.rad + gamma * abs_b) + A.rad @ _upward(abs_b + B.rad)
        return mid, (rad + _dot_underflow(n)) * _dot_slack(n)


def gram(A: Float[np.ndarray, "m n"]) -> tuple[Float[np.ndarray, "n n"], float]:
    """A symmetric `G` and a bound of `|G - A^T A|_2`, with one matrix product only.

    The entrywise error is at most `R = (m+2) u |A|^T |A|` plus underflow, and
    `|R|_2 <= max_i (R x)_i / x_i` for every positive `x` (Collatz and Wielandt), which takes
    products with vectors only. The bound is infinite where the product overflows.
    """
    m, n = A.shape
    with np.errstate(all="ignore"):
        product = A.T @ A
    if not np.isfinite(product).all():
        return np.zeros((n, n)), math.inf
    # Adding zeros is exact; each entry of the lower triangle obeys the dot product bound.
    G = np.tril(product) + np.tril(product, -1).T
    absolute = Ball.exact(np.abs(A))
    x = np.ones(n)
    with np.errstate(all="ignore"):
        for _ in range(3):
            x = absolute.mid.T @ (absolute.mid @ x)
            x = x / max(x.max(), 2.0**-900) + 2.0**-20
    if not np.isfinite(x).all():
        return G, math.inf
    y = absolute.T @ (absolute @ x)
    row_sums = y * ((m + 2) * _U) + ball_sum(Ball.exact(x)) * _dot_underflow(m)
    return G, float((row_sums / x).upper().max())


def ball_sum(ball: Ball, axis: int | None = None) -> Ball:
    """Sum over one axis, or over all entries: `|fl - exact| <= (n+4) u sum |m|` in any order."""
    n = ball.size if axis is None else ball.shape[axis]
    with np.errstate(all="ignore"):
        mid = ball.mid.sum(axis=axis)
        rad = ball.rad.sum(axis=axis) + (n + 4) * _U * np.abs(ball.mid).sum(axis=axis)
        rad = (rad + _dot_underflow(n)) * _dot_slack(n)
    return _enclose(mid, rad, ball.guaranteed)


def one_norm_upper(A: Ball) -> float:
    """Upper bound of the largest column sum of `|A|`; of the sum of `|v|` for a vector."""
    sums = ball_sum(_magnitude_ball(A), axis=0).upper()
    return float(np.max(sums, initial=0.0))


def inf_norm_upper(A: Ball) -> float:
    """Upper bound of the largest row sum of `|A|`; of the largest `|v_i|` for a vector."""
    if A.ndim == 1:
        return float(np.max(A.magnitude(), initial=0.0))
    return one_norm_upper(A.T)


def frobenius_upper(A: Ball) -> float:
    """Upper bound of the root of the sum of squares; the Euclidean norm of a vector."""
    bound = _magnitude_ball(A)
    largest = float(np.max(bound.mid + bound.rad, initial=0.0))
    if not 0.0 < largest < math.inf:
        return largest
    # Squares of huge or tiny entries would leave the range of float64.
    exponent = math.frexp(largest)[1]
    scaled = bound.ldexp(-exponent)
    squares = ball_sum(scaled * scaled).upper()
    root = Ball.exact(squares).sqrt().upper()
    return float(Ball.exact(root).ldexp(exponent).upper())


def _magnitude_ball(A: Ball) -> Ball:
    """The entrywise bound of `|A|` as an exact ball; infinite bounds become infinite radii."""
    bound = A.magnitude()
    return _enclose(bound, np.zeros_like(bound), A.guaranteed)
