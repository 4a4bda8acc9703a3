"""Averages over normal variables: closed forms, Arb's integration, mpmath, and hostile input."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from flint import arb, ctx

from limitset import InputProblem
from limitset.networks import ERF_PROBIT, TANH_LOGISTIC, GatedParameters, Nonlinearity
from limitset.proofs import enclose_moments, enclose_stability_number
from limitset.proofs._gaussian_average import GaussianAverages
from proofs.arb_mean_field import UNITS, average

pytestmark = pytest.mark.usefixtures("high_precision", "no_shape_checks")

PAIRS = ("tanh_logistic", "erf_probit")
KINDS = ("unit_square", "slope_square", "gate_square", "gate_slope_square")


def enclosed(pair: str, kind: str, mean: float, variance: arb, bits: int = 60):
    averages = GaussianAverages(pair, bits)
    with averages.session():
        return getattr(averages, kind)(arb(mean), variance)


def reference(pair: str, kind: str, mean: float, variance: arb) -> arb:
    unit, slope = UNITS[pair]
    functions = {
        "unit_square": lambda x: unit(x) ** 2,
        "slope_square": lambda x: slope(x) ** 2,
        "gate_square": lambda x: (1 + unit(x / 2)) ** 2 / 4,
        "gate_slope_square": lambda x: slope(x / 2) ** 2 / 16,
    }
    return average(functions[kind], mean, variance)


@pytest.mark.parametrize("v", [1e-12, 2.0**-10, 0.004, 0.7, 30.0, 1e4, 1e12])
def test_closed_forms_of_the_error_function(v: float):
    """`E erf^2` and `E Phi^2` are arcsines, and both slopes are normal densities."""
    pi, v_exact = arb.pi(), arb(v)
    A = pi / 2
    square = enclosed("erf_probit", "unit_square", 0.0, v_exact)
    s = 1 + A * v_exact
    assert square[0].overlaps(2 / pi * (A * v_exact / s).asin())
    # d/dv asin(A v / s) = A / (s^2 sqrt(1 - (A v / s)^2)) = A / (s sqrt(1 + 2 A v)).
    root = 1 + 2 * A * v_exact
    assert square[1].overlaps(2 / pi * A / (s * root.sqrt()))
    assert square[2].overlaps(-2 / pi * A * A * (1 / s + 1 / root) / (s * root.sqrt()))
    slope = enclosed("erf_probit", "slope_square", 0.0, v_exact)
    assert slope[0].overlaps(root.rsqrt()) and slope[1].overlaps(-A * root.rsqrt() / root)
    kappa = pi / 8
    gate = enclosed("erf_probit", "gate_square", 0.0, v_exact)
    w = kappa * v_exact
    assert gate[0].overlaps(arb(1) / 4 + (w / (1 + w)).asin() / (2 * pi))
    gate_slope = enclosed("erf_probit", "gate_slope_square", 0.0, v_exact)
    assert gate_slope[0].overlaps((1 + 2 * w).rsqrt() / 16)
    for value in (*square, *slope, *gate, *gate_slope):
        assert value.rad() < 1e-15 * max(1.0, abs(float(value)))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("mean", [0.0, 0.7, -4.0])
@pytest.mark.parametrize("v", [5e-4, 0.05, 1.5, 40.0])
def test_values_against_integrals_of_another_kind(pair: str, mean: float, v: float):
    for kind in KINDS:
        value = enclosed(pair, kind, mean, arb(v))[0]
        expected = reference(pair, kind, mean, arb(v))
        assert expected.rad() < 1e-40 and value.contains(expected)
        assert value.rad() < 1e-17


def test_sixty_digits_from_mpmath():
    with mpmath.workdps(60):
        points = [-30, -8, -4, -2, -1, 0, 1, 2, 4, 8, 30]
        value = mpmath.quad(
            lambda x: mpmath.tanh(mpmath.sqrt(2.5) * x) ** 2 * mpmath.npdf(x), points
        )
        expected = arb(mpmath.nstr(value, 58))
    square = enclosed("tanh_logistic", "unit_square", 0.0, arb(2.5), bits=170)[0]
    assert abs(square - expected) < arb("1e-50") and square.rad() < 1e-50


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("mean", [0.0, 0.7])
@pytest.mark.parametrize("v", [5e-4, 0.05, 1.5, 40.0])
def test_derivatives_against_differences(pair: str, mean: float, v: float):
    step = arb(v) * arb(2) ** -20
    for kind in KINDS:
        _, first, second = enclosed(pair, kind, mean, arb(v), bits=150)
        low, middle, high = (
            enclosed(pair, kind, mean, arb(v) + k * step, bits=150)[0] for k in (-1, 0, 1)
        )
        scale = abs(first) + abs(second) * v + 1e-3
        assert abs((high - low) / (2 * step) - first) < arb("1e-10") * scale
        assert abs((high - 2 * middle + low) / step**2 - second) < arb("1e-8") * scale / v


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("mean", [0.0, -1.3])
def test_balls_hold_all_their_members(pair: str, mean: float):
    for low, high in ((0.0, 1e-4), (0.0, 0.01), (1e-4, 0.002), (0.3, 0.4), (2.0, 3.0), (50, 90)):
        ball = arb(low).union(arb(high))
        for kind in KINDS:
            wide = enclosed(pair, kind, mean, ball)
            for inside in (high, (low + high) / 2, 0.9 * low + 0.1 * high):
                narrow = enclosed(pair, kind, mean, arb(inside))
                assert all(w.contains(n.mid()) for w, n in zip(wide, narrow, strict=True))
            assert wide[0].rad() < 0.3


def test_coarse_rules_know_how_coarse_they_are():
    """At few bits the rule is visibly off, and its bound covers that."""
    fine = enclosed("tanh_logistic", "unit_square", 0.3, arb(1.7), bits=100)
    for bits in range(1, 30, 4):
        coarse = enclosed("tanh_logistic", "unit_square", 0.3, arb(1.7), bits=bits)
        assert all(c.contains(f) for c, f in zip(coarse, fine, strict=True))


def test_global_cap_of_series_is_not_relied_on():
    before, ctx.cap = ctx.cap, 3
    try:
        value = enclosed("tanh_logistic", "unit_square", 0.25, arb(9e-4), bits=61)[0]
    finally:
        ctx.cap = before
    assert value.contains(reference("tanh_logistic", "unit_square", 0.25, arb(9e-4)))


@pytest.mark.parametrize("pair", [TANH_LOGISTIC, ERF_PROBIT])
def test_moments_of_a_record(pair: Nonlinearity):
    parameters = GatedParameters(
        gain=3.0, output_gain=10.0, state_bias=0.25, output_bias=-0.5, nonlinearity=pair
    )
    found = enclose_moments(parameters, 0.2)
    unit, slope = UNITS[pair.name]
    v = 9 * arb(0.2)
    q = average(lambda x: unit(x) ** 2, 0.25, v)
    wanted = (
        q,
        9 * average(lambda x: slope(x) ** 2, 0.25, v),
        average(lambda x: (1 + unit(x / 2)) ** 2 / 4, -0.5, 100 * q.mid()),
        100 * average(lambda x: slope(x / 2) ** 2 / 16, -0.5, 100 * q.mid()),
    )
    enclosures = (found.gate_variance, found.slope, found.output, found.output_slope)
    for (low, high), value in zip(enclosures, wanted, strict=True):
        assert arb(low) <= value <= arb(high) and high - low <= 4e-15 * high


def test_open_gates_and_intervals():
    found = enclose_moments(GatedParameters(gain=3.0, open_output=True), (0.1, 0.2))
    assert found.output == (1.0, 1.0) and found.output_slope == (0.0, 0.0)
    inner = enclose_moments(GatedParameters(gain=3.0, open_output=True), 0.15)
    assert found.gate_variance[0] < inner.gate_variance[0]
    assert inner.gate_variance[1] < found.gate_variance[1] < 1
    steep = enclose_moments(GatedParameters(gain=1e8, output_gain=1e8), 1e-12)
    assert steep.gate_variance[1] - steep.gate_variance[0] < 1e-15
    assert abs(steep.output[0] - 0.5) < 1e-7


def test_float32_numbers_are_exact_ones():
    gain, output_gain = jnp.asarray(1.1, jnp.float32), jnp.asarray(10.1, jnp.float32)
    single = GatedParameters(gain=gain, output_gain=output_gain)
    assert single.gain.dtype == jnp.float32
    double = GatedParameters(gain=float(gain), output_gain=float(output_gain))
    assert enclose_moments(single, 0.3) == enclose_moments(double, 0.3)


@pytest.mark.parametrize(
    "variance",
    [math.nan, math.inf, -1e-12, 1e9, "0.1", None, np.ones(2), (0.2, 0.1), (0.1,), True, 1j],
)
def test_unusable_variances(variance: object):
    for enclose in (enclose_moments, enclose_stability_number):
        with pytest.raises(InputProblem) as problem:
            enclose(GatedParameters(), variance)  # pyright: ignore[reportArgumentType]
        assert "\n" not in str(problem.value)


def test_unusable_parameters():
    import equinox as eqx

    fine = GatedParameters()
    bad = [
        eqx.tree_at(lambda p: p.gain, fine, jnp.asarray(math.nan)),
        eqx.tree_at(lambda p: p.output_gain, fine, jnp.ones(3)),
        GatedParameters(gain=0.0),
        GatedParameters(gain=1e12),
        GatedParameters(output_bias=-1e4),
        GatedParameters(nonlinearity=Nonlinearity("mine", *[jnp.tanh] * 5)),
        # A name alone does not make the function.
        GatedParameters(nonlinearity=Nonlinearity("tanh_logistic", *[jnp.sin] * 5)),
        "parameters",
    ]
    for parameters in bad:
        with pytest.raises(InputProblem) as problem:
            enclose_moments(parameters, 0.1)  # pyright: ignore[reportArgumentType]
        assert "\n" not in str(problem.value)


def test_traced_numbers_are_refused():
    def inside(gain: jax.Array) -> jax.Array:
        enclose_moments(GatedParameters(gain=gain), 0.1)
        return gain

    with pytest.raises(InputProblem, match="is a .*Tracer"):
        jax.jit(inside)(jnp.asarray(2.0))
