"""One Taylor step of a tanh rate network in Arb: the orbit, its derivative, and what is left out.

Time is scaled to `[0, 1]`: `x' = h f(x)` and `V' = h J(x) V` with `V(0) = I`. Recurrences give the
coefficients of the true solutions, for all starts, times and weights in their balls. What is left
out is bounded on a complex disc of radius `theta > 1`: where the arguments of tanh keep within a
distance `d < pi/2` of those at the start, which are real, `|tanh| <= tan d` for `d >= pi/4`, and
`|tanh'| <= 1 / cos(d)^2`, so that `|x_i'| <= M_i` and `|J| <= L`. As `x' - P'` vanishes to the
order `q` of `P`, Schwarz' lemma gives `|x' - P'|_i <= (M_i + |P_i'|) (|t| / theta)^q`. If that
keeps the arguments within `d`, the solution exists on the disc, by continuation. Gronwall's lemma
gives `|V| <= exp(h L theta)` there, and Cauchy's estimate what `V` leaves out.
"""

from functools import reduce
from operator import mul
from typing import NamedTuple

from flint import arb, arb_mat

from limitset.checker._document import NotProved
from limitset.checker._field import Field, Vector, times

_ORDER = 40
_RADII = (24.0, 16.0, 12.0, 8.0, 6.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.5)
_DISTANCE = 1.0


class Flow(NamedTuple):
    """A field of unit time constant, with bounds of the row sums of `|W|`."""

    field: Field
    reach: list[arb]

    def lipschitz(self, steepest: arb | int = 1) -> arb:
        """A bound of the derivative in the sup-norm, where tanh has slopes up to this."""
        return reduce(arb.max, self.reach) * steepest + self.field.leak

    @property
    def is_firing(self) -> bool:
        """Whether the activation comes after the weights."""
        return self.field.form == "firing_rate"


class Segment(NamedTuple):
    """`P` and `Q` with their errors: the orbit from a start, and the derivative at its end.

    `curve[i][k]` is coefficient `k` of unit `i`, and `rest[i]` bounds what its sum leaves out on
    `[0, 1]`; `slope` encloses `V(1)`.
    """

    curve: list[Vector]
    rest: Vector
    slope: arb_mat

    def at(self, t: arb) -> Vector:
        """The state at a time in `[0, 1]`."""
        return [_sum(c, t) + arb(0, r) for c, r in zip(self.curve, self.rest, strict=True)]


class _Series(NamedTuple):
    """Coefficients by unit: the state, the argument of tanh, and the slope of tanh."""

    state: list[Vector]
    argument: list[Vector]
    slope: list[Vector]


def flow_of(field: Field) -> Flow:
    """The field with its bounds."""
    return Flow(field, [sum(map(abs, row), arb(0)).upper() for row in field.weight.tolist()])


def follow(flow: Flow, start: Vector, h: arb) -> Segment:
    """The orbit from all starts in a box over a time, and its derivative by the start."""
    series = _expand(flow, start, h)
    theta, rest = _disc(flow, series, h)
    L, n = flow.lipschitz(1 / arb(_DISTANCE).cos() ** 2), len(start)
    missing = (h * L * theta).exp() / (theta**_ORDER * (theta - 1))
    errors = arb_mat(n, n, [arb(0, missing.upper())] * n**2)
    return Segment(series.state, rest, _slope(flow, series, h) + errors)


def end_of(flow: Flow, start: Vector, h: arb) -> Vector:
    """The state after a time, without the derivative."""
    series = _expand(flow, start, h)
    return Segment(series.state, _disc(flow, series, h)[1], arb_mat(0, 0)).at(arb(1))


def _expand(flow: Flow, start: Vector, h: arb) -> _Series:
    """With `s = tanh y` and `w = 1 - s^2`, `k s_k` is the sum of `j y_j w_(k-j)`."""
    W, bias, leak = flow.field.weight, flow.field.bias, flow.field.leak
    first = start
    if flow.is_firing:
        first = [y + b for y, b in zip(times(W, start), bias, strict=True)]
    x, y = [[v] for v in start], [[v] for v in first]
    s = [[v.tanh()] for v in first]
    w = [[1 - v[0] * v[0]] for v in s]
    scaled: list[Vector] = [[] for _ in y]  # j y_j
    for k in range(_ORDER):
        drive = [v[k] for v in s]
        if not flow.is_firing:
            drive = times(W, drive)
            drive = [d + b for d, b in zip(drive, bias, strict=True)] if k == 0 else drive
        following = [(d - leak * v[k]) * h / (k + 1) for d, v in zip(drive, x, strict=True)]
        arguments = times(W, following) if flow.is_firing else following
        for i, (new, argument) in enumerate(zip(following, arguments, strict=True)):
            x[i].append(new)
            y[i].append(argument)
            scaled[i].append((k + 1) * argument)
            s[i].append(_convolved(scaled[i], w[i]) / (k + 1))
            w[i].append(-_convolved(s[i], s[i]))
    return _Series(x, y, w)


def _slope(flow: Flow, series: _Series, h: arb) -> arb_mat:
    """`Q(1)`: `(k + 1) Q_(k+1)` is the sum of `h J_(k-j) Q_j`."""
    W, n = flow.field.weight, len(series.slope)
    jacobians = []
    for k in range(_ORDER):
        scale = arb_mat(n, n)
        for i in range(n):
            scale[i, i] = series.slope[i][k] * h
        jacobians.append(scale * W if flow.is_firing else W * scale)
    terms = [arb_mat(n, n, [float(i == j) for i in range(n) for j in range(n)])]
    jacobians[0] = jacobians[0] - terms[0] * (flow.field.leak * h)
    for k in range(_ORDER):
        pairs = map(mul, reversed(jacobians[: k + 1]), terms)
        terms.append(sum(pairs, arb_mat(n, n)) * (arb(1) / (k + 1)))
    return sum(reversed(terms), arb_mat(n, n))


def _disc(flow: Flow, series: _Series, h: arb) -> tuple[arb, Vector]:
    """A large `theta`, and what `P` leaves out on `[0, 1]`."""
    states, arguments = (
        [[abs(c).upper() for c in coefficients] for coefficients in each]
        for each in (series.state, series.argument)
    )
    field, d, tall = flow.field, arb(_DISTANCE), arb(_DISTANCE).tan()
    gains = [arb(1)] * len(states) if flow.is_firing else flow.reach
    offsets = [arb(0)] * len(states) if flow.is_firing else list(map(abs, field.bias))
    fastest = [
        h * (gain * tall + b + field.leak * (c[0] + d))
        for gain, b, c in zip(gains, offsets, states, strict=True)
    ]
    for radius in _RADII:
        theta = arb(radius)
        speeds = [_sum([k * v for k, v in enumerate(c)][1:], theta) for c in states]
        rest = [(m + p) / (_ORDER + 1) for m, p in zip(fastest, speeds, strict=True)]
        missing = [theta * r for r in rest]
        carried = missing
        if flow.is_firing:
            carried = [g * reduce(arb.max, missing) for g in flow.reach]
        sizes = [*zip(states, missing, strict=True), *zip(arguments, carried, strict=True)]
        if all(theta * _sum(c[1:], theta) + error < d for c, error in sizes):
            return theta, [(r / theta**_ORDER).upper() for r in rest]
    raise NotProved("a segment is too long")


def _convolved(one: Vector, other: Vector) -> arb:
    return sum(map(mul, one, reversed(other)), arb(0))


def _sum(coefficients: Vector, t: arb) -> arb:
    total = arb(0)
    for coefficient in reversed(coefficients):
        total = total * t + coefficient
    return total
