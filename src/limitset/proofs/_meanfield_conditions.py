"""The scalar conditions of mean-field theory as functions of one variable, enclosed.

The gain enters through `v = gain^2 D` alone, with `D` the variance of `h`. So for every `v > 0` the
gain of the one ensemble with a fixed point there is known, `gain^2 = v / Y(v)`, where

    Y(v) = P(v) + input_variance,  P(v) = Q(v) M(alpha^2 Q(v)),
    Q(v) = E u(sqrt(v) x + state_bias)^2,  M(w) = E gate(sqrt(w) x + output_bias)^2

and folds, stability and marginal gains are conditions on `v`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from flint import arb, ctx

from limitset._result import InputProblem
from limitset.networks import NONLINEARITIES, TANH_LOGISTIC, GatedParameters
from limitset.proofs._functions import arb_bounds, entries
from limitset.proofs._gaussian_average import GaussianAverages, Jet

Interval = tuple[float, float]
# A function of `v` with its slope and curvature on a ball; NaN where nothing is known.
Condition = Callable[[arb], Jet]

_LARGEST = 1e8
_SMALLEST_GAIN = 1e-8
# A gate that lets less than this by is as good as shut.
_SHUT = 2.0**-100


@dataclass(frozen=True)
class GateAtZero:
    """The output gate at input 0 with two derivatives, and `c` of `u(x) = x - c x^3 + ...`."""

    value: arb
    slope: arb
    curvature: arb
    cubic: arb


def gate_at_zero(pair: str, bias: float) -> GateAtZero:
    """From closed forms that keep relative accuracy however far the gate is shut."""
    b = arb(bias)
    if pair == TANH_LOGISTIC.name:
        value, shut = 1 / (1 + (-b).exp()), 1 / (1 + b.exp())
        slope = value * shut
        return GateAtZero(value, slope, slope * (shut - value), arb(1) / 3)
    value = (-arb.pi().sqrt() * b / 4).erfc() / 2
    slope = (-arb.pi() * b * b / 16).exp() / 4
    return GateAtZero(value, slope, -arb.pi() * b / 8 * slope, arb.pi() / 12)


@dataclass(frozen=True)
class Ensemble:
    """An ensemble without its gain: the functions above, for all `v` in a ball.

    Methods are called in `averages.session()`.
    """

    averages: GaussianAverages
    state_bias: float
    output_bias: float
    output_gain: float
    open_output: bool
    input_variance: float

    def with_bits(self, bits: int) -> "Ensemble":
        """The same to another accuracy, more where the gate is nearly shut and squares are tiny."""
        with ctx.workprec(64):
            gate = 1.0 if self.open_output else float(self.zero_gate().value)
        extra = math.ceil(-2 * math.log2(gate))
        return replace(self, averages=replace(self.averages, bits=bits + extra))

    @property
    def is_odd(self) -> bool:
        """Whether zero is a fixed point: no state bias and no input."""
        return self.state_bias == 0 and self.input_variance == 0

    def zero_gate(self) -> GateAtZero:
        """The output gate at 0."""
        gate = gate_at_zero(self.averages.pair, self.output_bias)
        if self.open_output:
            return GateAtZero(arb(1), arb(0), arb(0), gate.cubic)
        return gate

    def gate_variance(self, v: arb) -> Jet:
        """`Q`."""
        return self.averages.unit_square(arb(self.state_bias), v)

    def _output(self, w: arb) -> Jet:
        if self.open_output:
            return arb(1), arb(0), arb(0)
        return self.averages.gate_square(arb(self.output_bias), w)

    def _output_slope(self, w: arb) -> Jet:
        if self.open_output:
            return arb(0), arb(0), arb(0)
        return self.averages.gate_slope_square(arb(self.output_bias), w)

    def moments(self, v: arb) -> tuple[arb, arb, arb]:
        """`Q`, and `M` and `E gate'^2` at `alpha^2 Q`."""
        q = self.gate_variance(v)[0]
        w = arb(self.output_gain) * arb(self.output_gain) * q
        return q, self._output(w)[0], self._output_slope(w)[0]

    def product(self, v: arb) -> Jet:
        """`P` with two derivatives."""
        alpha2 = arb(self.output_gain) * arb(self.output_gain)
        q, q1, q2 = self.gate_variance(v)
        w = alpha2 * q
        m, m1, m2 = self._output(w)
        return (
            q * m,
            q1 * (m + w * m1),
            q2 * (m + w * m1) + alpha2 * q1 * q1 * (2 * m1 + w * m2),
        )

    def total(self, v: arb) -> arb:
        """`Y`."""
        return self.product(v)[0] + arb(self.input_variance)

    def stability(self, v: arb) -> tuple[arb, arb]:
        """`K / gain^2 = E u'^2 (M + w T)` and its slope, `T(w) = E gate'^2`, `w = alpha^2 Q`."""
        alpha2 = arb(self.output_gain) * arb(self.output_gain)
        q, q1, _ = self.gate_variance(v)
        w = alpha2 * q
        (m, m1, _), (t, t1, _) = self._output(w), self._output_slope(w)
        s, s1, _ = self.averages.slope_square(arb(self.state_bias), v)
        both = m + w * t
        return s * both, s1 * both + s * alpha2 * q1 * (m1 + t + w * t1)

    def ratio(self, v: arb) -> tuple[arb, arb]:
        """`G = P(v) / v` and its slope near 0, for ensembles that are odd."""
        alpha2 = arb(self.output_gain) * arb(self.output_gain)
        over, over1 = self.averages.unit_square_ratio(v)
        q1 = self.gate_variance(v)[1]
        m, m1, _ = self._output(alpha2 * v * over)
        return over * m, over1 * m + over * m1 * alpha2 * q1


def fixed_point_condition(ensemble: Ensemble, gain: float) -> Condition:
    """`Y(v) - v / gain^2`: zero at fixed points."""
    inverse = 1 / (arb(gain) * arb(gain))

    def condition(v: arb) -> Jet:
        p, p1, p2 = ensemble.product(v)
        return p + arb(ensemble.input_variance) - v * inverse, p1 - inverse, p2

    return condition


def turning_condition(ensemble: Ensemble) -> Condition:
    """`v Y'(v) - Y(v)`: zero where the gain turns round as a function of `v`; falling gains have
    positive values."""

    def condition(v: arb) -> Jet:
        p, p1, p2 = ensemble.product(v)
        return v * p1 - p - arb(ensemble.input_variance), v * p2, arb("nan")

    return condition


def marginal_condition(ensemble: Ensemble, number: arb) -> Condition:
    """`K - number` at the fixed point with `gain^2 = v / Y(v)`."""

    def condition(v: arb) -> Jet:
        p, p1, _ = ensemble.product(v)
        y = p + arb(ensemble.input_variance)
        n, n1 = ensemble.stability(v)
        return v * n / y - number, (n + v * n1 - v * n * p1 / y) / y, arb("nan")

    return condition


def read_ensemble(parameters: GatedParameters, input_variance: float) -> Ensemble:
    """The numbers of a record, exact; whatever is no such number is refused."""
    if type(parameters) is not GatedParameters:
        raise InputProblem(
            f"parameters are a {type(parameters).__name__}; give limitset.networks.GatedParameters"
        )
    pair = parameters.nonlinearity
    if NONLINEARITIES.get(pair.name) != pair:
        raise InputProblem(
            f"the nonlinearity {pair.name!r} has no enclosures; give one of "
            f"{', '.join(sorted(NONLINEARITIES))} from limitset.networks"
        )
    ensemble = Ensemble(
        GaussianAverages(pair.name, 1),
        read_number("state_bias", parameters.state_bias, least=-_LARGEST),
        read_number("output_bias", parameters.output_bias, least=-_LARGEST),
        read_number("output_gain", parameters.output_gain, least=-_LARGEST),
        bool(parameters.open_output),
        read_number("input_variance", input_variance),
    )
    with ctx.workprec(64):
        if not ensemble.zero_gate().value > _SHUT:
            raise InputProblem(
                f"output_bias is {ensemble.output_bias:g}, and the gate lets less than 2^-100 by; "
                "give a larger one"
            )
    return ensemble


def read_gain(parameters: GatedParameters) -> float:
    """The gain's size, which is what matters: `h` is as likely as `-h`."""
    gain = abs(read_number("gain", parameters.gain, least=-_LARGEST))
    if not gain >= _SMALLEST_GAIN:
        raise InputProblem(f"gain is {gain:g}; give one from {_SMALLEST_GAIN:g} to {_LARGEST:g}")
    return gain


def read_number(name: str, value: object, *, least: float = 0.0, most: float = _LARGEST) -> float:
    """One number, exactly; arrays, traced ones and NaN are refused."""
    try:
        array = np.asarray(value)
        number = float(array) if array.shape == () and array.dtype.kind in "iuf" else math.nan
        exact = bool(np.all(number == array))
    except (TypeError, ValueError):
        number, exact = math.nan, False
    if not (least <= number <= most and exact):
        shape = getattr(value, "shape", ())
        kind = f"an array of shape {shape}" if shape else f"a {type(value).__name__}"
        shown = f"{number:g}" if exact else kind
        raise InputProblem(f"{name} is {shown}; give one number from {least:g} to {most:g}")
    return number


def interval(number: arb) -> Interval:
    """Floats below and above all members."""
    lower, upper = arb_bounds(entries([number]))
    # Adding 0 turns -0 into 0.
    return float(lower[0]) + 0.0, float(upper[0]) + 0.0


def inside(low: arb, high: arb) -> Interval:
    """Floats between which there are no numbers but those between the two."""
    return interval(low)[1], interval(high)[0]


def hull(low: float | arb, high: float | arb) -> arb:
    """A ball that holds all numbers between two."""
    return arb(low).union(arb(high))
