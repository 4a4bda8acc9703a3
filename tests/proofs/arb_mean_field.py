"""Mean-field averages by Arb's own integration at 200 bits, written without the product's code."""

from collections.abc import Callable

from flint import acb, arb

Complex = Callable[[acb], acb]

# The normal tail beyond is below 1e-87; integrals are wrong by that much at most.
REACH = 20
TAIL = arb("1e-80")


def _probit_argument(x: acb) -> acb:
    return acb.pi().sqrt() * x / 2


# Units and their slopes. Meromorphic, so FLINT needs no hint about where they are analytic.
UNITS: dict[str, tuple[Complex, Complex]] = {
    "tanh_logistic": (lambda x: x.tanh(), lambda x: x.sech() ** 2),
    "erf_probit": (
        lambda x: _probit_argument(x).erf(),
        lambda x: (-acb.pi() * x * x / 4).exp(),
    ),
}


def average(function: Complex, mean: float, variance: arb) -> arb:
    """`E f(mean + sqrt(variance) x)`, for `|f| <= 1`, up to `TAIL`."""
    deviation = acb(variance).sqrt()

    def integrand(x: acb, _: bool) -> acb:
        return function(mean + deviation * x) * (-x * x / 2).exp()

    total = acb.integral(integrand, -REACH, REACH, eval_limit=10**6)
    return (total / (2 * acb.pi()).sqrt()).real + arb(0, TAIL)


def moments(
    pair: str,
    variance: arb,
    *,
    gain: float = 1.0,
    output_gain: float = 0.0,
    state_bias: float = 0.0,
    output_bias: float = 0.0,
) -> tuple[arb, arb, arb, arb]:
    """`E phi^2`, `E phi'^2`, `E sigma_r^2` and `E sigma_r'^2` at a variance of `h`."""
    unit, slope = UNITS[pair]
    v = arb(gain) ** 2 * variance
    q = average(lambda x: unit(x) ** 2, state_bias, v)
    w = arb(output_gain) ** 2 * q.mid()
    # The gate is (1 + unit(x/2)) / 2 in both pairs.
    return (
        q,
        arb(gain) ** 2 * average(lambda x: slope(x) ** 2, state_bias, v),
        average(lambda x: (1 + unit(x / 2)) ** 2 / 4, output_bias, w),
        arb(output_gain) ** 2 * average(lambda x: slope(x / 2) ** 2 / 16, output_bias, w),
    )


def excess(pair: str, variance: arb, **parameters: float) -> arb:
    """`F(D) - D` without an input."""
    q, _, m, _ = moments(pair, variance, **parameters)
    return q * m - variance


def stability(pair: str, variance: arb, **parameters: float) -> arb:
    """`K`."""
    q, slope, m, t = moments(pair, variance, **parameters)
    return slope * (m + q * t)
