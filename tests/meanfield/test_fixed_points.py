"""Roots of the fixed-point equations: all of them, against closed forms and checked numbers."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from limitset import InputProblem
from limitset.meanfield import (
    Stability,
    critical_gain,
    fixed_points,
    leading_edge,
    slow_mode_fraction,
    stability_number,
    update_gain_for_slow_fraction,
    zero_state_edge,
)
from limitset.networks import ERF_PROBIT, GatedParameters

# Gain, output gain, and (variance of h, variance of r, K) of every point but zero.
TABLE = [
    (2.2, 0.0, [(0.023295, 0.093182, 1.01019)]),
    (2.5, 0.0, [(0.052234, 0.208937, 1.04819)]),
    (3.0, 0.0, [(0.088150, 0.352602, 1.13932)]),
    (3.0, 5.0, [(0.200083, 0.501287, 2.05145)]),
    (3.0, 10.0, [(0.237655, 0.531803, 2.82905)]),
    (1.9, 10.0, [(0.001762, 0.006282, 1.1107), (0.079458, 0.191239, 1.7456)]),
    (1.9, 20.0, [(0.000388, 0.001397, 1.1015), (0.107629, 0.234239, 2.5355)]),
]


@pytest.mark.parametrize(("gain", "output_gain", "expected"), TABLE)
def test_gating_02_fixed_point_roots(gain: float, output_gain: float, expected: list):
    zero, *others = fixed_points(GatedParameters(gain=gain, output_gain=output_gain))
    assert (zero.branch, zero.state_variance, zero.gate_variance) == ("zero", 0.0, 0.0)
    assert math.isclose(zero.stability_number, (gain / 2) ** 2, rel_tol=1e-12)
    found = [(p.state_variance, p.gate_variance, p.stability_number) for p in others]
    assert np.allclose(found, expected, rtol=0, atol=[1e-6, 1e-6, 1e-4])
    assert all(p.residual < 1e-13 for p in others)
    assert [p.branch for p in others] == (["lower", "upper"] if len(found) == 2 else ["upper"])


def test_gating_01_zero_state_threshold():
    """The critical gain is 1 / sigma(b), whatever the gates' gains and time constants are."""
    for bias in (-1.0, 0.0, 0.5):
        p = GatedParameters(output_gain=7.0, update_gain=3.0, output_time=4.0, output_bias=bias)
        critical = critical_gain(p)
        assert math.isclose(critical, 1 + math.exp(-bias), rel_tol=1e-14)
        below, above = (
            zero_state_edge(eqx.tree_at(lambda q: q.gain, p, jnp.asarray(critical * factor)))
            for factor in (0.99, 1.01)
        )
        assert below < 0 < above
        at = eqx.tree_at(lambda q: q.gain, p, jnp.asarray(critical))
        assert math.isclose(float(stability_number(at, 0.0)), 1.0, rel_tol=1e-13)


def test_gating_pitfall_04_critical_gain_is_two():
    assert critical_gain(GatedParameters()) == 2.0
    assert critical_gain(GatedParameters(open_output=True)) == 1.0
    # Below the critical gain of an ungated network, and below that of a gated one.
    assert zero_state_edge(GatedParameters(gain=1.5)) < 0
    assert zero_state_edge(GatedParameters(gain=1.5, open_output=True)) > 0


@pytest.mark.parametrize(("gain", "output_gain"), [(2.3, 0.0), (3.0, 8.0), (1.9, 20.0)])
def test_closed_form_twin(gain: float, output_gain: float):
    """The same solver on functions whose averages are known in closed form."""
    p = GatedParameters(gain=gain, output_gain=output_gain, nonlinearity=ERF_PROBIT)
    found = fixed_points(p)[1:]
    exact = closed_variances(gain, output_gain)
    assert len(found) == len(exact) == (2 if gain < 2 else 1)
    for point, variance in zip(found, exact, strict=True):
        assert math.isclose(point.state_variance, variance, rel_tol=1e-10)
        number = closed_stability(gain, output_gain, variance)
        assert math.isclose(point.stability_number, number, rel_tol=1e-10)


def erf_moment(gain: float, variance: float) -> float:
    a = math.pi * gain**2 / 2 * variance
    return 2 / math.pi * math.asin(a / (1 + a))


def probit_moment(gain: float, variance: float) -> float:
    k = math.pi * gain**2 / 8 * variance
    return 1 / 4 + math.asin(k / (1 + k)) / (2 * math.pi)


def closed_stability(gain: float, output_gain: float, variance: float) -> float:
    q = erf_moment(gain, variance)
    slope = gain**2 / math.sqrt(1 + math.pi * gain**2 * variance)
    fed_back = output_gain**2 / 16 / math.sqrt(1 + math.pi * output_gain**2 * q / 4)
    return slope * (probit_moment(output_gain, q) + q * fed_back)


def closed_variances(gain: float, output_gain: float) -> list[float]:
    """By bisection between the points of a fine grid."""

    def excess(x: float) -> float:
        q = erf_moment(gain, math.exp(x))
        return q * probit_moment(output_gain, q) / math.exp(x) - 1

    roots, grid = [], np.linspace(math.log(1e-9), 0.0, 2001)
    for low, high in zip(grid, grid[1:], strict=False):
        if excess(low) * excess(high) < 0:
            sign = excess(low)
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (middle, high) if excess(middle) * sign > 0 else (low, middle)
            roots.append(math.exp(low))
    return roots


def test_gating_pitfall_07_both_branches_near_zero_and_near_the_fold():
    """The lower branch runs into zero at the critical gain, and into the upper one at birth."""
    near_zero = fixed_points(GatedParameters(gain=2 - 1e-6, output_gain=10.0))
    assert [p.branch for p in near_zero] == ["zero", "lower", "upper"]
    assert near_zero[1].state_variance < 1e-7
    # At 1.7539836 a pair is born; 1e-8 above it is closer together than a grid's points.
    birth = 1.7539836
    low, high = birth - 1e-4, birth + 1e-4
    for _ in range(20):
        middle = (low + high) / 2
        born = len(fixed_points(GatedParameters(gain=middle, output_gain=10.0))) > 1
        low, high = (low, middle) if born else (middle, high)
    assert math.isclose(high, birth, abs_tol=1e-6)
    pair = fixed_points(GatedParameters(gain=high, output_gain=10.0))[1:]
    assert len(pair) == 2
    assert math.isclose(pair[0].state_variance, pair[1].state_variance, rel_tol=1e-2)


def test_biases_inputs_and_open_gates():
    biased = fixed_points(GatedParameters(gain=1.5, state_bias=0.3))
    assert [p.branch for p in biased] == ["upper"]
    driven = fixed_points(GatedParameters(gain=1.5, output_gain=10.0), input_variance=1e-12)
    assert driven[0].branch != "zero" and math.isclose(
        driven[0].state_variance, 1e-12 / (1 - 0.75**2), rel_tol=1e-6
    )
    vanilla = fixed_points(GatedParameters(gain=3.0, open_output=True))[-1]
    assert math.isclose(vanilla.state_variance, 0.700599, abs_tol=1e-6)
    # Without a gain the output gate is a factor of the gain.
    half = fixed_points(GatedParameters(gain=6.0))[-1]
    assert math.isclose(half.gate_variance, vanilla.state_variance, rel_tol=1e-12)
    # A weak input raises K where the gate is steep, and lowers it where it is flat.
    for output_gain, rises in ((30.0, True), (0.0, False)):
        numbers = [
            fixed_points(GatedParameters(gain=1.5, output_gain=output_gain), v)[0].stability_number
            for v in (0.0, 0.01)
        ]
        assert (numbers[1] > numbers[0]) == rises
    assert math.isclose(
        fixed_points(GatedParameters(gain=1.5, output_gain=30.0), 0.01)[0].stability_number,
        2.03,
        abs_tol=0.01,
    )


def test_gating_pitfall_05_feedback_through_the_gate_counts():
    """Without it K of this point would be less than half as large."""
    p = fixed_points(GatedParameters(gain=3.0, output_gain=10.0))[-1]
    flat = eqx.tree_at(lambda q: q.output_gain, p.parameters, jnp.asarray(0.0))
    without = stability_number(flat, p.state_variance)
    assert p.stability_number > 2 * float(without)


# Update gain, and leading edge at gain 3 with the output gate open.
EDGES = [(0.0, 0.18188), (2.0, 0.13917), (10.0, 0.05121), (50.0, 0.004311)]


def point_of(update_gain: float, gain: float = 3.0):
    p = GatedParameters(gain=gain, update_gain=update_gain, open_output=True)
    return fixed_points(p)[-1]


@pytest.mark.parametrize(("update_gain", "expected"), EDGES)
def test_gating_13_leading_edge(update_gain: float, expected: float):
    assert math.isclose(leading_edge(point_of(update_gain)).rate, expected, rel_tol=5e-4)


def test_gating_13_leading_edge_of_steep_gates():
    """The closed form for switches gives the exponent; the exact edge is far below rounding."""
    edges = [leading_edge(point_of(gain)) for gain in (500.0, 1000.0)]
    exact, leading = (np.log([getattr(e, name) for e in edges]) for name in EDGE_FIELDS)
    assert math.isclose(exact[1] - exact[0], leading[1] - leading[0], rel_tol=1e-3)
    assert edges[0].rate < 1e-9
    # Beyond the marginal gain a part of the spectrum stays away from zero.
    far = leading_edge(point_of(2000.0, gain=5.0))
    assert far.stability is Stability.UNSTABLE
    assert math.isclose(far.rate, far.asymptotic_rate, rel_tol=0.01)


EDGE_FIELDS = ("rate", "asymptotic_rate")


def test_gating_pitfall_08_marginal_points_are_told_by_open_gates():
    marginal, unstable = leading_edge(point_of(500.0)), leading_edge(point_of(500.0, gain=4.0))
    assert marginal.stability is Stability.MARGINAL and marginal.open_stability_number < 1
    assert unstable.stability is Stability.UNSTABLE and unstable.open_stability_number > 1
    assert point_of(500.0).stability_number > 1 > marginal.open_stability_number
    zero = fixed_points(GatedParameters(gain=1.5, update_gain=500.0))[0]
    assert leading_edge(zero).stability is Stability.STABLE


@pytest.mark.parametrize(("update_gain", "expected"), [(2.0, 0.039), (10.0, 0.363), (50.0, 0.472)])
def test_gating_13_slow_modes_and_the_rule_that_inverts_them(update_gain: float, expected: float):
    point = point_of(update_gain)
    fraction = slow_mode_fraction(point, 0.05)
    assert math.isclose(fraction, expected, abs_tol=1e-3)
    back = update_gain_for_slow_fraction(point, width=0.05, fraction=fraction)
    assert math.isclose(back, update_gain, rel_tol=1e-9)


def test_slow_modes_with_biases():
    p = GatedParameters(gain=3.0, update_gain=10.0, update_bias=-4.0, open_output=True)
    point = fixed_points(p)[-1]
    assert slow_mode_fraction(point, 0.05) > 0.5
    gain = update_gain_for_slow_fraction(point, width=0.05, fraction=0.6)
    assert gain > 0
    with pytest.raises(InputProblem, match="above 1/2 only"):
        update_gain_for_slow_fraction(point, width=0.05, fraction=0.4)
    with pytest.raises(InputProblem, match="below 1/2 only"):
        update_gain_for_slow_fraction(point_of(1.0), width=0.05, fraction=0.5)
    with pytest.raises(InputProblem, match="hears nothing"):
        zero = fixed_points(GatedParameters())[0]
        update_gain_for_slow_fraction(zero, width=0.05, fraction=0.1)


def test_stability_number_maps_compiles_and_differentiates():
    def number(gain: jax.Array) -> jax.Array:
        return stability_number(GatedParameters(gain=gain, output_gain=5.0), 0.1)

    # Compiled, all of them: operation by operation it takes much longer.
    compiled, slope = jax.jit(number), jax.jit(jax.grad(number))
    gains = jnp.array([1.0, 2.0, 3.0])
    one_by_one = [float(compiled(g)) for g in gains]
    assert np.allclose(jax.jit(jax.vmap(number))(gains), one_by_one, rtol=1e-13)
    difference = (compiled(jnp.asarray(2 + 1e-5)) - compiled(jnp.asarray(2 - 1e-5))) / 2e-5
    assert math.isclose(float(slope(gains[1])), float(difference), rel_tol=1e-8)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), 1e12])
def test_unusable_inputs(bad: float):
    with pytest.raises(InputProblem, match="input_variance is"):
        fixed_points(GatedParameters(), bad)


@pytest.mark.parametrize("bad", [jnp.ones(2), "much", None])
def test_unusable_kinds_of_inputs(bad: object):
    with pytest.raises((InputProblem, TypeCheckError)):
        fixed_points(GatedParameters(), bad)  # pyright: ignore[reportArgumentType]


def test_unusable_parameters():
    with pytest.raises((InputProblem, TypeCheckError)):
        fixed_points({"gain": 3.0})  # pyright: ignore[reportArgumentType]
    for gain in (0.0, -2.0, 1e12):
        with pytest.raises(InputProblem, match="gain is"):
            fixed_points(GatedParameters(gain=gain))
    with pytest.raises(InputProblem, match="zero is no fixed point"):
        critical_gain(GatedParameters(state_bias=0.1))
    for variance in (-1.0, math.nan):
        with pytest.raises(InputProblem, match="state_variance"):
            stability_number(GatedParameters(), variance)
    for width in (0.0, 1.0, 2.0):
        with pytest.raises(InputProblem, match="width"):
            slow_mode_fraction(point_of(2.0), width)
