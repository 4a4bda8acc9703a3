"""All real roots of `t^L - k_i t - k_0`, whose reciprocals are the sizes along one direction."""

import numpy as np

from limitset.proofs._ball import Ball

_NARROWEST = 1e-14
_MOST, _LARGEST = 20_000, 1e150
_CUT = 0.4871


def trinomial_roots(depth: int, lead: Ball, constant: Ball, least: float) -> list[Ball] | None:
    """All real roots of `t^depth - lead t - constant` with `|t| >= least`, each enclosed.

    For every member of the balls `lead` and `constant` there is exactly one root in each result,
    simple, and no other. Intervals are bisected until the polynomial has no zero or is monotone.

    **Arguments:** scalar balls; `least` nonnegative; with 0, every root but 0 itself is meant,
    so 0 must not be a root.

    **Returns:** the roots, or None where that stays undecided.

    >>> roots = trinomial_roots(3, Ball.exact(1.0), Ball.exact(0.0), 0.5)
    >>> sorted(round(float(r.mid), 6) for r in roots)
    [-1.0, 1.0]
    """
    # Farther out t^L outweighs the rest.
    sizes = [float(ball.magnitude()) for ball in (lead, constant)]
    if not max(sizes) < _LARGEST:
        return None
    bound = float((1.0 + Ball.exact(sizes[0]) + sizes[1]).upper())
    found: list[Ball] = []
    stack = [(-bound, bound)]
    for _ in range(_MOST):
        if not stack:
            return found
        low, high = stack.pop()
        t = Ball.from_bounds(np.asarray(low), np.asarray(high))
        if t.magnitude() < least or _value(depth, lead, constant, t).mignitude() > 0:
            continue
        slope = _power(t, depth - 1) * float(depth) - lead
        if slope.mignitude() > 0:
            ends = [_sign(depth, lead, constant, end) for end in (low, high)]
            if 0 not in ends:
                if ends[0] != ends[1]:
                    root = _shrunk(depth, lead, constant, (low, high), ends)
                    if root.mignitude() >= least:
                        found.append(root)
                    elif not root.magnitude() < least:
                        return None
                continue
        if high - low <= _NARROWEST * bound:
            return None
        cut = low + _CUT * (high - low)
        stack += [(low, cut), (cut, high)]
    return None


def _power(t: Ball, exponent: int) -> Ball:
    result = Ball.exact(1.0)
    for _ in range(exponent):
        result = result * t
    return result


def _value(depth: int, lead: Ball, constant: Ball, t: Ball) -> Ball:
    return _power(t, depth) - lead * t - constant


def _sign(depth: int, lead: Ball, constant: Ball, t: float) -> int:
    """The certain sign at a float; 0 where it is not certain."""
    value = _value(depth, lead, constant, Ball.exact(t))
    return int(value.lower() > 0) - int(value.upper() < 0)


def _shrunk(
    depth: int, lead: Ball, constant: Ball, ends: tuple[float, float], signs: list[int]
) -> Ball:
    """A narrower interval with the only root, by bisection while signs are certain."""
    low, high = ends
    for _ in range(80):
        cut = low + _CUT * (high - low)
        sign = _sign(depth, lead, constant, cut)
        if not low < cut < high or sign == 0:
            break
        low, high = (cut, high) if sign == signs[0] else (low, cut)
    return Ball.from_bounds(np.asarray(low), np.asarray(high))
