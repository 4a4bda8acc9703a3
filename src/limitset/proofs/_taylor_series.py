"""Taylor coefficients of the flow of a tanh rate network and of its derivative, by recurrences.

Time is scaled to `[0, 1]`: `x' = h f(x)`, `V' = h J(x) V`. The coefficients of the polynomials `P`
and `Q` are floats, chosen near the true ones; enclosed is by how much they miss the differential
equations below the order. Arrays run over order, neuron, step (and column, for `Q`).
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset.networks import Form
from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._elementary import tanh, tanh_slope
from limitset.proofs._rate_field import RateField

States = Float[np.ndarray, "n m"]
PerStep = Float[np.ndarray, " m"]


@dataclass(frozen=True, eq=False)
class StateSeries:
    """Coefficients of `P` (floats), of its argument of tanh and slope of tanh, and the defect."""

    x: Float[np.ndarray, "order n m"]
    y: Ball
    s: Ball
    w: Ball
    defect: States


@dataclass(frozen=True, eq=False)
class SlopeSeries:
    """Coefficients of `Q` (floats), and the sum of the bounds of its defect below the order."""

    q: Float[np.ndarray, "order n m n"]
    defect: PerStep


class Balls:
    """Coefficients that a recurrence fills in: the first axis counts them. All guaranteed."""

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        self.mid = np.zeros((count, *shape))
        self.rad = np.zeros((count, *shape))

    def set(self, k: int, value: Ball) -> None:
        self.mid[k], self.rad[k] = value.mid, value.rad

    def __getitem__(self, key: slice) -> Ball:
        return Ball(self.mid[key], self.rad[key])


def expand_state(field: RateField, starts: States, h: Ball, order: int) -> StateSeries:
    """`P`: with `s = tanh y` and `w = 1 - s^2`, `k s_k` is the sum of `j y_j w_(k-j)`."""
    hopfield = field.form is Form.HOPFIELD
    W, shape = field.weight, starts.shape
    x = np.zeros((order + 1, *shape))
    x[0] = starts
    y, s, w = (Balls(order + 1, shape) for _ in range(3))
    start = Ball.exact(starts)
    y.set(0, start if hopfield else W @ start + field.bias.reshape(-1, 1))
    s.set(0, tanh(y[0:1])[0])
    w.set(0, tanh_slope(y[0:1])[0])
    defect = Ball.exact(np.zeros(shape))
    for k in range(order):
        drive = s[k : k + 1][0]
        if hopfield:
            drive = W @ drive
            drive = drive + field.bias.reshape(-1, 1) if k == 0 else drive
        rate = (drive - Ball.exact(x[k]) * field.leak) * h
        x[k + 1] = rate.mid / (k + 1)
        following = Ball.exact(x[k + 1])
        defect = defect + bound_of(following * (k + 1) - rate)
        y.set(k + 1, following if hopfield else W @ following)
        steps = np.arange(1.0, k + 2)[:, None, None]
        s.set(k + 1, ball_sum(y[1 : k + 2] * steps * w[: k + 1][::-1], axis=0) / (k + 1))
        w.set(k + 1, -ball_sum(s[: k + 2] * s[: k + 2][::-1], axis=0))
    return StateSeries(x, y[:], s[:], w[:], defect.upper())


def expand_slope(field: RateField, state: StateSeries, h: Ball) -> SlopeSeries:
    """`Q`: products of the series `w` with those of `Q`, or of `W Q` in firing-rate form."""
    hopfield = field.form is Form.HOPFIELD
    order, n, m = len(state.x) - 1, *state.x.shape[1:]
    W = field.weight

    def through_weights(V: Ball) -> Ball:
        return (W @ V.reshape(n, m * n)).reshape(n, m, n)

    q = np.zeros((order + 1, n, m, n))
    q[0] = np.eye(n)[:, None, :]
    # What the slopes of tanh multiply: V itself, or W V.
    inner = Balls(order, (n, m, n))
    slopes = state.w.reshape(order + 1, n, m, 1)
    defect = Ball.exact(np.zeros((n, m, n)))
    for k in range(order):
        now = Ball.exact(q[k])
        inner.set(k, now if hopfield else through_weights(now))
        product = ball_sum(inner[: k + 1] * slopes[: k + 1][::-1], axis=0)
        drive = through_weights(product) if hopfield else product
        rate = (drive - now * field.leak) * h
        q[k + 1] = rate.mid / (k + 1)
        defect = defect + bound_of(Ball.exact(q[k + 1]) * (k + 1) - rate)
    return SlopeSeries(q, ball_sum(defect, axis=2).upper().max(axis=0))


def sum_from_smallest(coefficients: Float[np.ndarray, "order ..."]) -> Ball:
    """The polynomial at 1; the large low orders come last, so the rounding is that of one sum."""
    total = Ball.exact(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total + coefficient
    return total


def row_norms(q: Float[np.ndarray, "order n m n"]) -> Ball:
    """The row sum norms of the coefficients of `Q`, of shape `(order, m)`, rounded up."""
    return Ball.exact(ball_sum(Ball.exact(np.abs(q)), axis=3).upper().max(axis=1))


def largest_of(bound: Ball) -> Ball:
    """The largest over the first axis, rounded up."""
    return known(bound.upper().max(axis=0))


def known(bound: Float[np.ndarray, "..."]) -> Ball:
    """Bounds as a ball: infinite ones become infinite radii."""
    finite = np.isfinite(bound)
    return Ball(np.where(finite, bound, 0.0), np.where(finite, 0.0, math.inf))


def bound_of(ball: Ball) -> Ball:
    """The bound of the absolute values."""
    return known(ball.magnitude())
