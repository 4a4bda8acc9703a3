"""Rigorous tanh, logistic, their slopes, and exp, from `+`, `*`, `/` and powers of two only.

Results are cut to the range of the function, up to the rounding of midpoint and radius.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from limitset._result import InputProblem
from limitset.proofs._ball import Ball

Reals = Float[np.ndarray, "..."]

# Beyond it 1 - tanh <= 2 exp(-40) < 9e-18 < 2^-53.
_TANH_SATURATES = 20.0
# sech^2 is below 4 exp(-700) < 4e-304 beyond it, and still a normal number at it.
_SLOPE_VANISHES = 350.0


def tanh(y: Ball) -> Ball:
    """Hyperbolic tangent of every member, entrywise.

    tanh increases, so the endpoints of the ball bound it.

    >>> y = tanh(Ball(np.array([0.5]), np.array([0.1])))
    >>> bool(y.lower()[0] <= 0.3799489622552249), bool(y.upper()[0] >= 0.5370495669980353)
    (True, True)
    """
    lo, hi = _at_endpoints(_tanh_at, y)
    return Ball.from_bounds(np.maximum(lo, -1.0), np.minimum(hi, 1.0), y.guaranteed)


def tanh_slope(y: Ball) -> Ball:
    """`1 - tanh(y)^2` of every member, entrywise.

    The slope is even and decreases in `|y|`, so the smallest and largest `|y|` bound it. Relative
    accuracy is kept in saturation, where `1 - tanh^2` would cancel.
    """
    hi = _sech_squared_at(y.mignitude()).upper()
    largest = y.magnitude()
    lo = np.where(largest <= _SLOPE_VANISHES, _sech_squared_at(largest).lower(), 0.0)
    return Ball.from_bounds(np.maximum(lo, 0.0), np.minimum(hi, 1.0), y.guaranteed)


def logistic(x: Ball) -> Ball:
    """`1 / (1 + exp(-x))` of every member, entrywise.

    `logistic(x) = (1 + tanh(x/2)) / 2` for `x >= 0`. For negative `x`,
    `logistic(x) = (sech(x/2)^2 / 4) / logistic(-x)` keeps the relative accuracy.
    """
    lo, hi = _at_endpoints(_logistic_at, x)
    vanished = x.lower() < -2 * _SLOPE_VANISHES
    lo = np.where(vanished, 0.0, np.maximum(lo, 0.0))
    return Ball.from_bounds(lo, np.minimum(hi, 1.0), x.guaranteed)


def logistic_slope(x: Ball) -> Ball:
    """`logistic(x) (1 - logistic(x)) = sech(x/2)^2 / 4` of every member."""
    return tanh_slope(x * 0.5) * 0.25


def exp(x: Ball) -> Ball:
    """Exponential of arguments that are certainly at most 0, entrywise.

    With `z = -x / 2^k <= 1/2`, the alternating series of `exp(-z)` is cut after `z^18/18!`, the
    error is at most the next term, and the result is squared `k` times.

    **Raises:** `InputProblem` where a member may be positive.

    >>> decay = exp(Ball.exact(-1.0))
    >>> bool(decay.lower() <= 0.36787944117144233), bool(decay.rad < 1e-14)
    (True, True)
    """
    if not (x.upper() <= 0).all():
        raise InputProblem("exp is proved for arguments at most 0 only; pass minus a rate times h.")
    lo, hi = _at_endpoints(lambda y: _exp_at(np.asarray(np.abs(y))), x)
    lo = np.where(x.lower() < -2 * _SLOPE_VANISHES, 0.0, np.maximum(lo, 0.0))
    return Ball.from_bounds(lo, np.minimum(hi, 1.0), x.guaranteed)


def _at_endpoints(increasing: Callable[[Reals], Ball], y: Ball) -> tuple[Reals, Reals]:
    """Lower bound at the lower end and upper bound at the upper end; one evaluation of a point."""
    at_lower = increasing(y.lower())
    at_upper = at_lower if y.is_point else increasing(y.upper())
    return at_lower.lower(), at_upper.upper()


def _halve(a: Reals) -> tuple[Reals, Int[np.ndarray, "..."]]:
    """`z = a / 2^k <= 1/2`, exactly, with the smallest `k >= 0` that the exponent shows."""
    k = np.maximum(np.frexp(a)[1] + 1, 0)
    return np.asarray(np.ldexp(a, -k)), np.asarray(k)


def _small_tanh(z: Reals) -> Reals:
    """tanh for `0 <= z <= 1/2`, relative error below 3 u.

    Lambert's fraction z/(1+z^2/(3+z^2/(5+...+z^2/19))) has relative truncation error below 1e-25.
    All its terms are positive. An error of the tail at level m enters with weight at most
    z^2 / (m (m+2)) <= 1/12, so the outer denominator errs by at most 1.3 u, the quotient by 2.3 u.
    """
    w = np.asarray(z * z)
    denominator = np.full_like(w, 19.0)
    for m in range(17, 0, -2):
        denominator = m + w / denominator
    return np.asarray(z / denominator)


def _tanh_at(y: Reals) -> Ball:
    """tanh at floats (infinite ones included), relative error below 32 u.

    Each doubling t <- 2t/(1+t^2) has condition number (1-t^2)/(1+t^2) <= 1 and adds 2.5 u, six of
    them at most: 2.3 u + 15 u + higher order terms.
    """
    with np.errstate(all="ignore"):
        z, k = _halve(np.asarray(np.minimum(np.abs(y), _TANH_SATURATES)))
        t = _small_tanh(z)
        for step in range(int(np.max(k, initial=0))):
            t = np.where(k > step, 2 * t / (1 + t * t), t)
    ball = Ball.within(np.asarray(np.copysign(t, y)), 32)
    saturated = np.asarray(np.abs(y) > _TANH_SATURATES)
    limit = np.asarray(np.copysign(1 - 2.0**-53, y))
    return _select(saturated, Ball(limit, np.full_like(limit, 2.0**-53)), ball)


def _sech_squared_at(a: Reals) -> Ball:
    """`sech(a)^2` at floats `a >= 0`, those above 350 replaced by 350.

    With s = sech^2, doubling the argument is s <- (s / (2 - s))^2. Ball arithmetic is as tight
    here as the condition of the step: s and 2 - s move in opposite directions.
    """
    z, k = _halve(np.asarray(np.minimum(a, _SLOPE_VANISHES)))
    t = Ball.within(_small_tanh(z), 4)
    s = 1.0 - t * t
    for step in range(int(np.max(k, initial=0))):
        ratio = s / (2.0 - s)
        s = _select(np.asarray(k > step), ratio * ratio, s)
    return s


def _logistic_at(x: Reals) -> Ball:
    """logistic at floats; arguments below -700 are replaced by -700."""
    half = Ball.exact(np.minimum(np.abs(x), 2 * _SLOPE_VANISHES)) * 0.5
    right = (tanh(half) + 1.0) * 0.5
    left = tanh_slope(half) * 0.25 / right
    return _select(np.asarray(x < 0), left, right)


def _exp_at(a: Reals) -> Ball:
    """`exp(-a)` at floats `a >= 0`, those above 700 replaced by 700."""
    halved, k = _halve(np.asarray(np.minimum(a, 2 * _SLOPE_VANISHES)))
    z = Ball.exact(halved)
    series = Ball.exact(np.ones_like(halved))
    for j in range(18, 0, -1):
        series = 1.0 - z * series / float(j)
    # z^19 / 19! <= 2^-19 / 19!, below 2^-75.
    result = series + Ball(np.zeros_like(halved), np.full_like(halved, 2.0**-75))
    for step in range(int(np.max(k, initial=0))):
        result = _select(np.asarray(k > step), result * result, result)
    return result


def _select(mask: Bool[np.ndarray, "..."], a: Ball, b: Ball) -> Ball:
    """The entries of `a` where the mask holds, else those of `b`."""
    mid, rad = np.where(mask, a.mid, b.mid), np.where(mask, a.rad, b.rad)
    return Ball(mid, rad, a.guaranteed and b.guaranteed)
