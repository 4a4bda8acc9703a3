"""Averages of a gated network's functions over normal variables, enclosed in Arb.

Wanted is `A(v) = E f(m + sqrt(v) x)`, `x` standard normal, with its first three derivatives in `v`,
for `f` the square of the unit or the gate or of their slopes. With `u` the unit, the gate is
`(1 + u(x/2)) / 2` in both pairs, so `f` is made of constants, an error function (whose average is
known in closed form), and three functions that decay like `exp(-2|x|)`:
`1 - u^2`, `u'^2` and `u - erf(sqrt(pi) x / 2)`. Their averages come from the trapezoid rule:

1. By parts, `d^k/dv^k E l(m + sqrt(v) x) = (2v)^-k E l(m + sqrt(v) x) He_2k(x)`.
2. If `g` is analytic for `|Im| <= a` and `N` bounds the integrals of `|g|` along all lines of that
   strip, the rule with step `h` over all its nodes is off by at most `2 N / (exp(2 pi a/h) - 1)`.
3. Nodes left out are bounded by the tails of the normal density or by the decay of `l`.

Quadrature by subdivision (`acb.integral`) would do as well, but repeats the evaluations of `l` for
each `v`; here they are kept, and one average costs some hundred multiplications. All three bounds
are computed in Arb and added to the radius: step and range are guesses that no claim rests on.

**Source:** L. N. Trefethen, J. A. C. Weideman, SIAM Review 56, 2014, theorem 5.1.
"""

import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import flint
from flint import arb, arb_mat

from limitset.networks import ERF_PROBIT, TANH_LOGISTIC

# Value, first and second derivative.
Jet = tuple[arb, arb, arb]
Triple = tuple[arb, arb, arb]

# Variances up to here go through the power series at 0, of as many terms.
_SMALL = 2.0**-10
_TERMS = 12
# Bits beyond the wanted ones: sums of some thousand terms, and division by powers of v >= _SMALL.
_GUARD_BITS = 40
_ORDERS = 4
# A&S 22.14.17: |He_n(x)| exp(-x^2/4) < 1.0865 sqrt(n!).
_CRAMER = 1.0865
# Beyond 4 all He_n with n <= 6 are positive, below x^n, and x^n exp(-x^2/2) decreases.
_BEYOND_ZEROS = 4.0
# Beyond 3, all three functions are below 16 exp(-2|x|); everywhere they are below 1.
_DECAY_FROM = 3.0
_STRIPS = (0.25, 0.5, 0.75, 1.0, 1.2, 1.4)


@dataclass(frozen=True)
class _Pair:
    """A unit `u` with what the bounds need of it.

    - `localized`: `1 - u^2`, `u'^2` and `u - erf(sqrt(pi) x / 2)` at a real point.
    - `series`: Taylor coefficients of `u` at a point.
    - `unit_bound`, `slope_bound`: upper bounds of `|u|` and `|u'|^2` where `|Im| <= a`.
    - `strip`: a good `a` for wide variances.
    """

    localized: Callable[[arb], Triple]
    series: Callable[[arb, int], list[arb]]
    unit_bound: Callable[[arb], arb]
    slope_bound: Callable[[arb], arb]
    strip: float


def _tanh_localized(x: arb) -> Triple:
    sech_squared = x.sech() * x.sech()
    return sech_squared, sech_squared * sech_squared, x.tanh() - _reference(x)


def _reference(x: arb) -> arb:
    return (arb.pi().sqrt() * x / 2).erf()


def _tanh_series(m: arb, terms: int) -> list[arb]:
    """From `u' = 1 - u^2`."""
    u = [m.tanh()]
    for k in range(terms - 1):
        u.append(((1 if k == 0 else 0) - _square(u)[k]) / (k + 1))
    return u


def _erf_localized(x: arb) -> Triple:
    y = arb.pi().sqrt() * x / 2
    # Around 0 erfc of the absolute value is as good, and far out it does not cancel.
    return abs(y).erfc() * (1 + abs(y).erf()), (-2 * y * y).exp(), arb(0)


def _erf_series(m: arb, terms: int) -> list[arb]:
    """From `u' = e`, `e' = -(pi/2) x e` with `e = exp(-pi x^2 / 4)`."""
    e = [(-arb.pi() * m * m / 4).exp()]
    for k in range(terms - 2):
        before = e[k - 1] if k else arb(0)
        e.append(-arb.pi() / 2 * (m * e[k] + before) / (k + 1))
    return [(arb.pi().sqrt() * m / 2).erf(), *(c / (k + 1) for k, c in enumerate(e))]


def _erf_bound(a: arb) -> arb:
    """`|erf(x + iy)| <= |erf x| + 2/sqrt(pi) y exp(y^2)` at `y = sqrt(pi) a / 2`."""
    return 1 + a * (arb.pi() * a * a / 4).exp()


def _square(a: list[arb]) -> list[arb]:
    """The square of a truncated series; `arb_series` would cut it at FLINT's global cap."""
    return [sum((a[i] * a[k - i] for i in range(k + 1)), start=arb(0)) for k in range(len(a))]


_PAIRS = {
    # |tanh|^2 = (sinh^2 x + sin^2 y) / (sinh^2 x + cos^2 y), and |cosh|^2 >= cos^2 y.
    TANH_LOGISTIC.name: _Pair(
        _tanh_localized,
        _tanh_series,
        lambda a: 1 / a.cos(),
        lambda a: 1 / (a.cos() * a.cos() * a.cos() * a.cos()),
        1.4,
    ),
    ERF_PROBIT.name: _Pair(
        _erf_localized, _erf_series, _erf_bound, lambda a: (arb.pi() * a * a / 2).exp(), 2.0
    ),
}


@dataclass(frozen=True)
class GaussianAverages:
    """Enclosures of `E f(m + sqrt(v) x)` and two derivatives in `v`, for all `v` in a ball.

    **Arguments:** `pair`, the name of a nonlinearity of `limitset.networks`; `bits`, the absolute
    accuracy that is aimed at for a variance without width, `2^-bits`. What comes out is rigorous
    whatever was aimed at. Methods are called in `session()`; `mean` is exact, and the ball of
    variances holds at least one that is not negative: nothing is said of others.

    >>> averages = GaussianAverages("erf_probit", 60)
    >>> with averages.session():
    ...     value = averages.unit_square(arb(0), arb(1))[0]
    ...     closed = 2 / arb.pi() * (arb.pi() / 2 / (1 + arb.pi() / 2)).asin()
    >>> bool(abs(value - closed) < 1e-17)
    True
    """

    pair: str
    bits: int

    def session(self) -> AbstractContextManager[object]:
        """FLINT's precision for the other methods, restored afterwards."""
        return flint.ctx.workprec(self.bits + 2 * _GUARD_BITS)

    def unit_square(self, mean: arb, variance: arb) -> Jet:
        """Of `u^2`."""
        return self._jet("unit_square", mean, variance)

    def slope_square(self, mean: arb, variance: arb) -> Jet:
        """Of `u'^2`."""
        return self._jet("slope_square", mean, variance)

    def gate_square(self, mean: arb, variance: arb) -> Jet:
        """Of the square of the gate, `(1 + u(x/2))^2 / 4`."""
        return _rescaled(self._jet("gate_square", mean / 2, variance / 4), arb(1))

    def gate_slope_square(self, mean: arb, variance: arb) -> Jet:
        """Of the square of the gate's slope, `u'(x/2)^2 / 16`."""
        return _rescaled(self._jet("slope_square", mean / 2, variance / 4), arb(1) / 16)

    def unit_square_ratio(self, variance: arb) -> tuple[arb, arb]:
        """`E u(sqrt(v) x)^2 / v` and its derivative, also where the ball of variances holds 0."""
        coefficients, bound = _series_at_zero(self.pair, "unit_square", arb(0))
        # The rest over v is an average of the derivative of the rest, and so are its derivatives.
        return _evaluate(coefficients[1:], bound, variance, 0), _evaluate(
            coefficients[1:], bound, variance, 1
        )

    def _jet(self, function: str, mean: arb, variance: arb) -> Jet:
        if variance.upper() <= _SMALL or not variance.lower() > 0:
            coefficients, bound = _series_at_zero(self.pair, function, mean)
            value, first, second = (
                _evaluate(coefficients, bound, variance, order) for order in range(3)
            )
            return value, first, second
        center = variance.mid()
        a = _at(self.pair, function, mean, center, self.bits)
        d = variance - center
        rest = _symmetric(_fourth_derivative(self.pair, function, variance.lower()))
        return (
            a[0] + d * (a[1] + d * (a[2] / 2 + d * (a[3] / 6 + d * rest / 24))),
            a[1] + d * (a[2] + d * (a[3] / 2 + d * rest / 6)),
            a[2] + d * (a[3] + d * rest / 2),
        )


def _rescaled(jet: Jet, factor: arb) -> Jet:
    return jet[0] * factor, jet[1] * factor / 4, jet[2] * factor / 16


def _symmetric(bound: arb) -> arb:
    """The ball of all numbers up to the bound in absolute value."""
    return arb(0, bound.abs_upper())


# --- Power series at 0 -----------------------------------------------------------------------


def _evaluate(coefficients: list[arb], bound: arb, v: arb, order: int) -> arb:
    """A derivative of `sum_k c_k v^k + R(v)`, where `bound` is one of the first derivative of `R`
    that has no term."""
    terms = len(coefficients)
    total = arb(0)
    for k in reversed(range(order, terms)):
        total = total * v + coefficients[k] * (math.factorial(k) // math.factorial(k - order))
    power = abs(v) ** (terms - order) / math.factorial(terms - order)
    return total + _symmetric(bound * power)


def _series_at_zero(pair: str, function: str, mean: arb) -> tuple[list[arb], arb]:
    """`_TERMS` coefficients of `A(v)`, and a bound of the derivative of order `_TERMS`."""
    return _cached_series(pair, function, _key(mean), flint.ctx.prec)


@functools.lru_cache(maxsize=256)
def _cached_series(
    pair: str, function: str, mean: tuple[int, int], precision: int
) -> tuple[list[arb], arb]:
    u = _PAIRS[pair].series(_from_key(mean), 2 * _TERMS)
    if function == "gate_square":
        composed = [c / 4 for c in _square([1 + u[0], *u[1:]])]
    elif function == "slope_square":
        composed = _square([k * c for k, c in enumerate(u)][1:])
    else:
        composed = _square(u)
    # f^(2k)(m) / (2^k k!), where f^(2k)(m) is (2k)! times the coefficient.
    scaled = [
        composed[2 * k] * math.factorial(2 * k) / (2**k * math.factorial(k)) for k in range(_TERMS)
    ]
    return scaled, _supremum(pair, function, 2 * _TERMS) / 2**_TERMS


def _supremum(pair: str, function: str, order: int) -> arb:
    """A bound of `|f^(order)|` on the real line, by Cauchy's estimate in strips."""
    best = arb("inf")
    for a in _STRIPS:
        u, slope = _PAIRS[pair].unit_bound(arb(a)), _PAIRS[pair].slope_bound(arb(a))
        largest = {
            "unit_square": u * u,
            "slope_square": slope,
            "gate_square": (1 + u) * (1 + u) / 4,
        }[function]
        best = best.min((math.factorial(order) * largest / arb(a) ** order).upper())
    return best


@functools.lru_cache(maxsize=256)
def _suprema(pair: str, function: str, precision: int) -> tuple[arb, ...]:
    """Bounds of `|f - c|, |f''|, ..., |f^(8)|`; a constant changes no derivative, and all `f`
    are between 0 and 1."""
    return (arb(1) / 2, *(_supremum(pair, function, 2 * j) for j in range(1, _ORDERS + 1)))


def _fourth_derivative(pair: str, function: str, least: arb) -> arb:
    """A bound of `|A''''(v)|` for `v >= least`: `j` derivatives on `f`, the others on the density.

    `E |He_2i| <= sqrt((2i)!)`.
    """
    best = arb("inf")
    for j, supremum in enumerate(_suprema(pair, function, flint.ctx.prec)):
        i = _ORDERS - j
        bound = supremum * arb(math.factorial(2 * i)).sqrt() / (2**_ORDERS * least**i)
        best = best.min(bound.upper())
    return best


# --- The trapezoid rule -----------------------------------------------------------------------


def _at(pair: str, function: str, mean: arb, variance: arb, bits: int) -> list[arb]:
    """`A(v)` and three derivatives at an exact `v`."""
    square, slope, difference = _cached_localized(
        pair, _key(mean), _key(variance), bits, flint.ctx.prec
    )
    if function == "slope_square":
        return list(slope)
    if function == "unit_square":
        return [(1 if k == 0 else 0) - square[k] for k in range(_ORDERS)]
    # (1 + u)^2 / 4 = (2 + 2 u - (1 - u^2)) / 4
    reference = _reference_average(mean, variance)
    odd = [reference[k] + difference[k] for k in range(_ORDERS)]
    return [((2 if k == 0 else 0) + 2 * odd[k] - square[k]) / 4 for k in range(_ORDERS)]


def _reference_average(mean: arb, variance: arb) -> list[arb]:
    """`E erf(sqrt(pi) (m + sqrt(v) x) / 2) = erf(sqrt(q / s))`, and three derivatives.

    With `q = pi m^2 / 4` and `s = 1 + pi v / 2`; the first is `-pi m / 4 s^(-3/2) exp(-q/s)`.
    """
    s, q = 1 + arb.pi() * variance / 2, arb.pi() * mean * mean / 4
    value = (arb.pi().sqrt() / 2 * mean / s.sqrt()).erf()
    first = -arb.pi() * mean / 4 * (-q / s).exp() / (s * s.sqrt())
    second = first * (q / s - arb(3) / 2) / s
    third = first * (arb(15) / 4 - 5 * q / s + q * q / (s * s)) / (s * s)
    rate = arb.pi() / 2
    return [value, first, rate * second, rate * rate * third]


@functools.lru_cache(maxsize=512)
def _cached_localized(
    pair: str, mean: tuple[int, int], variance: tuple[int, int], bits: int, precision: int
) -> tuple[list[arb], list[arb], list[arb]]:
    """Averages of the three localized functions, with three derivatives."""
    rule = _Rule(pair, _from_key(mean), _from_key(variance), bits)
    weights, values = rule.weights(), rule.values()
    raw = (weights * values).entries() if rule.nodes else [arb(0)] * (3 * _ORDERS)
    errors = [_symmetric(rule.error(k)) for k in range(_ORDERS)]
    averages = []
    for which in range(3):
        m0, m2, m4, m6 = raw[which::3]
        hermite = (m0, m2 - m0, m4 - 6 * m2 + 3 * m0, m6 - 15 * m4 + 45 * m2 - 15 * m0)
        averages.append(
            [(value + errors[k]) / (2 * rule.variance) ** k for k, value in enumerate(hermite)]
        )
    return averages[0], averages[1], averages[2]


class _Rule:
    """A trapezoid rule `h sum_k l(k h) density(k h - m)`, and what it leaves out."""

    def __init__(self, pair: str, mean: arb, variance: arb, bits: int) -> None:
        self.pair, self.mean, self.variance = pair, mean, variance
        self.deviation = variance.sqrt()
        wanted = bits * math.log(2.0) + 8.0
        v, center = float(variance), float(mean)
        # Nothing is claimed of these floats but that the strip is narrower than the poles allow.
        strip = min(_PAIRS[pair].strip, math.sqrt(2 * v * wanted))
        self.strip = arb(strip)
        step = 2 * math.pi * strip / (wanted + strip**2 / (2 * v) + 22.0)
        self.exponent = math.floor(math.log2(step))
        self.step = arb(2) ** self.exponent
        reach = math.sqrt(v) * (math.sqrt(2 * wanted) + 2.0)
        far = max(wanted / 2 + 4.0, 2 * _DECAY_FROM)
        h = 2.0**self.exponent
        self.first = math.ceil(max((center - reach) / h, -far / h))
        self.last = max(math.floor(min((center + reach) / h, far / h)), self.first - 1)

    @property
    def nodes(self) -> int:
        return self.last - self.first + 1

    def values(self) -> arb_mat:
        table = _table(self.pair, self.exponent, flint.ctx.prec)
        rows = [entry for k in range(self.first, self.last + 1) for entry in table(k)]
        return arb_mat(self.nodes, 3, rows)

    def weights(self) -> arb_mat:
        """Rows `h density z^(2j)`, with `z = (k h - m) / sqrt(v)`."""
        scale = self.step / (2 * arb.pi()).sqrt() / self.deviation
        rows: list[list[arb]] = [[] for _ in range(_ORDERS)]
        for k in range(self.first, self.last + 1):
            distance = k * self.step - self.mean
            z_squared = distance * distance / self.variance
            weight = (z_squared / -2).exp() * scale
            for row in rows:
                row.append(weight)
                weight = weight * z_squared
        return arb_mat(_ORDERS, self.nodes, [entry for row in rows for entry in row])

    def error(self, k: int) -> arb:
        """A bound for the sum with `He_2k`: of the rule, and of the nodes left out."""
        return self._of_the_rule(2 * k) + self._beyond(2 * k, 1) + self._beyond(2 * k, -1)

    def _of_the_rule(self, n: int) -> arb:
        """`|He_n(x + iy)| <= sum_j C(n, j) |y|^j |He_(n-j)(x)|`, as `He_n' = n He_(n-1)`."""
        pair, y = _PAIRS[self.pair], self.strip / self.deviation
        u = pair.unit_bound(self.strip)
        largest = (1 + u * u).max(pair.slope_bound(self.strip)).max(u + _erf_bound(self.strip))
        hermite = sum(
            (math.comb(n, j) * y**j * arb(math.factorial(n - j)).sqrt() for j in range(n + 1)),
            start=arb(0),
        )
        line = largest * (y * y / 2).exp() * hermite
        return 2 * line / ((2 * arb.pi() * self.strip / self.step).exp() - 1)

    def _beyond(self, n: int, side: int) -> arb:
        """Nodes beyond the last one, or the first: each is below an integral over one step."""
        edge = side * (self.last if side > 0 else self.first) * self.step
        bound = arb("inf")
        z = (edge - side * self.mean) / self.deviation
        if z > _BEYOND_ZEROS:
            density = (z * z / -2).exp() / (2 * arb.pi()).sqrt()
            bound = bound.min(density * z ** (n - 1) / (1 - max(n - 1, 0) / (z * z)))
        if edge > _DECAY_FROM:
            peak = arb(_CRAMER) * arb(math.factorial(n)).sqrt() / (2 * arb.pi()).sqrt()
            bound = bound.min(8 * (-2 * edge).exp() * peak / self.deviation)
        return bound


@functools.lru_cache(maxsize=32)
def _table(pair: str, exponent: int, precision: int) -> Callable[[int], Triple]:
    """The three functions at `k 2^exponent`, kept."""
    step = arb(2) ** exponent

    @functools.cache
    def at(k: int) -> Triple:
        return _PAIRS[pair].localized(k * step)

    return at


def _key(number: arb) -> tuple[int, int]:
    """An exact number as a pair that can be compared."""
    mantissa, exponent = number.man_exp()
    return int(mantissa), int(exponent)


def _from_key(key: tuple[int, int]) -> arb:
    return arb(key[0]) * arb(2) ** key[1]
