"""How many fixed points there are: both readings, against checked numbers and Newton's method."""

import math

import pytest

from limitset.meanfield import (
    ComplexityVerdict,
    annealed_complexity,
    critical_gain,
    fixed_points,
    mean_field_complexity,
    output_gain_thresholds,
)
from limitset.networks import GatedParameters

# Gain; mean-field value, annealed value and variance, of networks without gates.
# Each compiles much.
pytestmark = pytest.mark.slow

VANILLA = [
    (1.2, 0.000237, 0.000881, 0.1218),
    (1.5, 0.002795, 0.007143, 0.2542),
    (2.0, 0.010683, 0.024825, 0.3849),
    (3.0, 0.025196, 0.061379, 0.5044),
    (5.0, 0.039082, 0.111417, 0.5870),
]
# Gain, output gain; mean-field and annealed value on the upper branch.
GATED = [
    (3.0, 10.0, 0.0557, 0.1112),
    (1.9, 10.0, 0.0269, 0.0346),
    (1.8, 10.0, 0.0206, 0.0244),
    (2.2, 3.2, 0.0081, 0.0111),
]


@pytest.mark.parametrize(("gain", "typical", "annealed", "variance"), VANILLA)
def test_vanilla_complexity(gain: float, typical: float, annealed: float, variance: float):
    point = fixed_points(GatedParameters(gain=gain, open_output=True))[-1]
    found = annealed_complexity(point)
    assert math.isclose(mean_field_complexity(point).value, typical, abs_tol=1e-6)
    assert math.isclose(found.value, annealed, abs_tol=1e-6)
    assert math.isclose(found.state_variance, variance, abs_tol=1e-4)
    assert found.verdict is ComplexityVerdict.SOLVED and found.residual < 1e-9
    # The points that dominate lie below the mean-field fixed point.
    assert found.state_variance < point.state_variance


@pytest.mark.parametrize(("gain", "output_gain", "typical", "annealed"), GATED)
def test_gated_complexity(gain: float, output_gain: float, typical: float, annealed: float):
    point = fixed_points(GatedParameters(gain=gain, output_gain=output_gain))[-1]
    assert math.isclose(mean_field_complexity(point).value, typical, abs_tol=6e-5)
    assert math.isclose(annealed_complexity(point).value, annealed, abs_tol=6e-5)


def test_a_constant_gate_is_a_factor_of_the_gain():
    gated = fixed_points(GatedParameters(gain=3.0))[-1]
    vanilla = fixed_points(GatedParameters(gain=1.5, open_output=True))[-1]
    for complexity in (mean_field_complexity, annealed_complexity):
        assert math.isclose(complexity(gated).value, complexity(vanilla).value, rel_tol=1e-9)


def test_gating_17_fixed_points_multiply_where_the_zero_state_attracts_all():
    """The zero state is stable, and chaos appears continuously at the critical gain only."""
    p = GatedParameters(gain=1.55, output_gain=20.0, output_bias=0.5)
    zero, lower, upper = fixed_points(p)
    assert zero.is_stable and float(p.gain) < critical_gain(p)
    assert output_gain_thresholds(0.5).chaos > 20.0 > output_gain_thresholds(0.5).fixed_points
    assert math.isclose(lower.state_variance, 0.00361, abs_tol=1e-5)
    assert math.isclose(upper.state_variance, 0.02165, abs_tol=1e-5)
    values = [mean_field_complexity(q).value for q in (zero, lower, upper)]
    assert values[0] == 0
    assert math.isclose(values[1], 0.0063, abs_tol=5e-5)
    assert math.isclose(values[2], 0.0213, abs_tol=5e-5)
    assert math.isclose(annealed_complexity(upper).value, 0.0289, abs_tol=5e-5)


def test_what_is_not_solved_is_said():
    stable = fixed_points(GatedParameters(gain=1.5, output_gain=5.0))[0]
    found = mean_field_complexity(stable)
    assert (found.value, found.verdict) == (0.0, ComplexityVerdict.TRIVIAL)
    assert annealed_complexity(stable).verdict is ComplexityVerdict.TRIVIAL
    newborn = fixed_points(GatedParameters(gain=1.998, output_gain=3.2))[-1]
    assert math.isclose(mean_field_complexity(newborn).value, 0.001065, abs_tol=1e-6)
    found = annealed_complexity(newborn)
    assert found.verdict is ComplexityVerdict.NOT_FOUND and math.isnan(found.value)
