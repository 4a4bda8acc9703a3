"""One Taylor step of a tanh rate network from many states at once, with its derivative.

Time is scaled to `[0, 1]`: `x' = h f(x)`, `V' = h J(x) V`. The polynomials `P` and `Q` have float
coefficients, and what counts is their defect, `P' - h f(P)` and `Q' - h J(P) Q`. Its coefficients
below the order are enclosed by recurrences (`s = tanh y`, `s' = (1 - s^2) y'`), those from it on by
Cauchy's estimate on a complex disc. As tanh has slope at most 1, `f` has a Lipschitz constant `L`
on the whole space, solutions exist for all times, and Gronwall's lemma turns a defect into an error
without an enclosure of the trajectory: `|x - P| <= (|x(0) - P(0)| + max |defect|) exp(h L)`.
All norms are sup-norms, and row sums for matrices.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from limitset._result import InputProblem
from limitset.networks import Form
from limitset.proofs._ball import Ball, ball_sum, inf_norm_upper
from limitset.proofs._elementary import exp
from limitset.proofs._rate_field import RateField
from limitset.proofs._taylor_series import (
    Balls,
    SlopeSeries,
    StateSeries,
    bound_of,
    expand_slope,
    expand_state,
    known,
    largest_of,
    row_norms,
    sum_from_smallest,
)

States = Float[np.ndarray, "n m"]
PerStep = Float[np.ndarray, " m"]

ORDER = 24
# Arguments of tanh leave their value at the start by at most this much on the disc. Its tangent
# is below 1, so that 1 + tanh(y) tanh(z) keeps away from 0 even where tanh(y) is near 1.
_EXCURSION = 0.7
_RATIOS = np.geomspace(1.05, 64.0, 80)
# |tanh''| <= 4 / (3 sqrt 3) < 0.77.
_CURVATURE = 0.77


@dataclass(frozen=True, eq=False)
class TaylorStep:
    """The flow and its derivative after time `h` from `m` states, for all fields in the ball.

    **Arguments:** `end` encloses `P(1)` of shape `(n, m)`; `slope` encloses `Q(1)`, of shape
    `(n, m, n)`: row, step, column; `velocity` encloses `f(P(1))`; `defect` and `slope_defect`
    bound the defects of `P` and `Q`, and `slope_size` bounds `|Q|` on `[0, 1]`, of shape `(m,)`;
    `lipschitz` bounds `|J|`, `bend` the Lipschitz constant of `J`, and `growth` is at least
    `exp(h L)`. Infinite bounds mean that the step is too long.
    """

    h: float
    end: Ball
    slope: Ball
    velocity: Ball
    defect: PerStep
    slope_defect: PerStep
    slope_size: PerStep
    lipschitz: float
    bend: float
    growth: float

    @property
    def _growth(self) -> Ball:
        return known(np.array(self.growth))

    def flow(self) -> Ball:
        """The states after time `h`, of shape `(n, m)`."""
        error = np.broadcast_to(self.deviation(np.zeros_like(self.defect)), self.end.shape)
        return self.end + Ball(np.zeros(self.end.shape), error.copy())

    def deviation(self, radius: PerStep) -> PerStep:
        """Bounds of `|x - P|` on `[0, 1]` for starts within `radius` of those of `P`."""
        return ((Ball.exact(radius) + known(self.defect)) * self._growth).upper()

    def derivative_errors(self, radius: PerStep, time_radius: float) -> tuple[PerStep, PerStep]:
        """How far derivatives of the flow may be from `slope` and `velocity`.

        For starts within `radius` and times within `time_radius` of `h`: `E = V - Q` obeys
        `E' = h J(x) E + h (J(x) - J(P)) Q - defect`, and a change of time by `e` changes `V` by at
        most `e L exp(L e) |V|` and `x` by at most `e exp(L e) |f(x)|`.

        **Returns:** bounds of the row sums of `V - Q(1)`, and of `|f(x) - f(P(1))|`.
        """
        off = known(self.deviation(radius))
        L, late = Ball.exact(self.lipschitz), Ball.exact(time_radius)
        extra = late * exponential(L * late)
        bent = off * (Ball.exact(self.h) * self.bend) * known(self.slope_size)
        slope_error = (bent + known(self.slope_defect)) * self._growth + extra * L * self._growth
        speed = largest_of(bound_of(self.velocity)) + off * L
        return slope_error.upper(), ((off + speed * extra) * L).upper()


def taylor_step(field: RateField, starts: States, h: float, order: int = ORDER) -> TaylorStep:
    """The flow of a tanh network over time `h`, and its derivative, from the columns of `starts`.

    **Arguments:** `starts` of shape `(n, m)`, exact; `h > 0` in units of the time constant.

    **Raises:** `InputProblem` for another activation, a state of another size, or a step that is
    not positive.

    >>> field = RateField(Ball.exact([[0.0]]), Ball.exact([0.0]), 1.0, Form.HOPFIELD, True)
    >>> flow = taylor_step(field, np.array([[1.0]]), 0.125).flow()
    >>> bool(abs(flow.mid[0, 0] - 0.8824969025845955) <= flow.rad[0, 0] + 1e-16)
    True

    **Source:** R. E. Moore, Interval Analysis, 1966, for the recurrences; the defect form avoids
    the a-priori enclosure.
    """
    _require_usable(field, starts, h)
    state = expand_state(field, starts, Ball.exact(h), order)
    slope = expand_slope(field, state, Ball.exact(h))
    size = Ball.exact(inf_norm_upper(field.weight))
    lipschitz = float((size + field.leak).upper())
    curvature = size * _CURVATURE
    bend = curvature if field.form is Form.HOPFIELD else curvature * size
    end = sum_from_smallest(state.x)
    disc = _disc(state)
    return TaylorStep(
        float(h),
        end,
        sum_from_smallest(slope.q),
        replace(field, bias=field.bias.reshape(-1, 1)).value(end),
        _state_defect(field, state, disc, h),
        _slope_defect(field, slope, disc, h),
        ball_sum(row_norms(slope.q), axis=0).upper(),
        lipschitz,
        float(bend.upper()),
        float(exponential(Ball.exact(lipschitz) * float(h)).upper()),
    )


def exponential(z: Ball) -> Ball:
    """Upper bounds of the exponential of nonnegative numbers; infinite for large ones."""
    largest = z.upper()
    if not (largest < 300.0).all():
        return known(np.full(z.shape, math.inf))
    return known((1.0 / exp(-Ball.exact(largest))).upper())


def flow_defect(field: RateField, starts: States, h: float, order: int = ORDER) -> PerStep:
    """The `defect` of `taylor_step` alone, at a small part of the cost."""
    _require_usable(field, starts, h)
    state = expand_state(field, starts, Ball.exact(h), order)
    return _state_defect(field, state, _disc(state), h)


@dataclass(frozen=True, eq=False)
class _Disc:
    """Bounds on a complex disc of radius `r > 1` around time 0, where `usable`.

    Let arguments of tanh differ on it by at most `e` from those at 0, and `z = tan e`. With `t`
    and `t'` the values of tanh and its slope at 0, the addition theorem and `|tanh v| <= tan |v|`
    give `|tanh - t| <= t' z / (1 - |t| z)` and `|slope| <= t' (1 + z^2) / (1 - |t| z)^2`: `value`
    and `slope`, of shape `(n, m)`. `powers` are those of `r`; coefficient `k` of a function is at
    most its bound on the disc over `r^k`, and `tail` the sum of `r^-k` from the order on.
    """

    value: Ball
    slope: Ball
    powers: Ball
    tail: Ball
    usable: Bool[np.ndarray, " m"]


def _disc(state: StateSeries) -> _Disc:
    order = len(state.x) - 1
    arguments = bound_of(state.y)[1:]
    r, usable = _disc_radius(arguments.mid)
    powers = _powers(r, order)
    excursion = np.where(
        usable, ball_sum(arguments * powers[1:].reshape(order, 1, -1), axis=0).upper(), 0.0
    )
    usable = usable & (excursion <= 0.75).all(axis=0)
    z = _tangent(np.minimum(excursion, 0.75))
    initial = Ball.exact(np.minimum(state.s[0].magnitude(), 1.0))
    room, flat = 1.0 - initial * z, Ball.exact(state.w[0].magnitude())
    tail = 1.0 / powers[order] / (1.0 - 1.0 / Ball.exact(r))
    return _Disc(flat * z / room, flat * (1.0 + z * z) / (room * room), powers, tail, usable)


def _state_defect(field: RateField, state: StateSeries, disc: _Disc, h: float) -> PerStep:
    """Bounds of the defect of `P` on `[0, 1]`, infinite where the disc is not usable."""
    hopfield = field.form is Form.HOPFIELD
    value = Ball.exact(field.weight.magnitude()) @ disc.value if hopfield else disc.value
    # The leak acts on P itself, whose coefficients are known and end at the order.
    last = Ball.exact(np.abs(state.x[-1])) * field.leak * h
    bound = largest_of(value) * disc.tail * h + largest_of(last + known(state.defect))
    return np.where(disc.usable, bound.upper(), math.inf)


def _slope_defect(field: RateField, slope: SlopeSeries, disc: _Disc, h: float) -> PerStep:
    """Bounds of the row sums of the defect of `Q` on `[0, 1]`, infinite likewise."""
    W = Ball.exact(field.weight.magnitude())
    if field.form is Form.HOPFIELD:
        rows = W @ disc.slope
    else:
        rows = disc.slope * ball_sum(W, axis=1).reshape(-1, 1)
    size = ball_sum(row_norms(slope.q) * disc.powers, axis=0)
    bound = (largest_of(rows) + field.leak) * size * disc.tail * h + known(slope.defect)
    return np.where(disc.usable, bound.upper(), math.inf)


def _disc_radius(
    arguments: Float[np.ndarray, "order n m"],
) -> tuple[PerStep, Bool[np.ndarray, " m"]]:
    """For every step a large radius that keeps the excursion small; any radius would do."""
    orders = np.arange(1.0, len(arguments) + 1)
    largest = arguments.max(axis=1)
    with np.errstate(all="ignore"):
        reached = (_RATIOS[:, None] ** orders) @ largest
    fits = reached <= _EXCURSION
    return _RATIOS[np.maximum(fits.sum(axis=0) - 1, 0)], fits.any(axis=0)


def _tangent(e: States) -> Ball:
    """Upper bounds of the tangent on `[0, 0.75]`, as exact balls.

    `tan e = e / (1 - e^2 / (3 - e^2 / (5 - e^2 / t)))` with a tail `t` of the continued fraction
    that is at least 6 for `e^2 <= 2`; a smaller tail raises the result.
    """
    square = Ball.exact(e) * e
    fraction = e / (1.0 - square / (3.0 - square / (5.0 - square / 6.0)))
    return Ball.exact(fraction.upper())


def _powers(r: PerStep, order: int) -> Ball:
    """`r^k` for `k = 0 .. order`."""
    result, power = Balls(order + 1, r.shape), Ball.exact(np.ones_like(r))
    for k in range(order + 1):
        result.set(k, power)
        power = power * r
    return result[:]


def _require_usable(field: RateField, starts: States, h: float) -> None:
    if not field.is_tanh:
        raise InputProblem("The flow is expanded for tanh only; this network has another function.")
    if not (field.weight.guaranteed and field.bias.guaranteed):
        raise InputProblem("The field has unverified weights; a proof needs guaranteed ones.")
    if starts.ndim != 2 or len(starts) != field.size:
        raise InputProblem(f"States of shape {starts.shape}; this field needs ({field.size}, m).")
    if not (math.isfinite(h) and h > 0):
        raise InputProblem(f"The step is {h}; give a positive number.")
