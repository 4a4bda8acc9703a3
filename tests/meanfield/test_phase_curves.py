"""Thresholds in closed form, and the curves at which phases change."""

import math
import time

import numpy as np
import pytest

from limitset import InputProblem
from limitset.meanfield import (
    fixed_points,
    marginal_gain,
    output_gain_thresholds,
    phase_curves,
    phase_plane,
)
from limitset.networks import ERF_PROBIT, TANH_LOGISTIC, GatedParameters, Nonlinearity

# Output gain; gain at birth, variance of h there, marginal gain. Without an output bias.
TABLE = np.array(
    [
        [2, 2, 0, 4.2854],
        [3, 1.99871, 0.002727, 3.6442],
        [4, 1.96383, 0.012908, 3.2222],
        [5, 1.91714, 0.017815, 2.9166],
        [6, 1.87385, 0.020294, 2.6823],
        [8, 1.80456, 0.022050, 2.3460],
        [10, 1.75398, 0.022073, 2.1206],
        [15, 1.67421, 0.020288, 1.8140],
        [20, 1.62783, 0.018279, 1.6811],
        [30, 1.57552, 0.015163, 1.5811],
        [50, 1.52727, 0.011491, math.nan],
        [100, 1.48417, 0.007571, math.nan],
    ]
)


def first_subcritical_gain(nonlinearity: Nonlinearity, bias: float = 0.0) -> float:
    """By bisection of what the solver finds, without the closed form."""
    low, high = 2.0, 8.0
    for _ in range(12):
        middle = (low + high) / 2
        found = phase_curves(middle, output_bias=bias, nonlinearity=nonlinearity)
        low, high = (low, middle) if found.has_wedge else (middle, high)
    return high


def test_gating_03_fixed_points_appear_subcritically_above_root_eight():
    found = output_gain_thresholds()
    assert math.isclose(found.fixed_points, math.sqrt(8), rel_tol=1e-14)
    assert math.isclose(first_subcritical_gain(TANH_LOGISTIC), math.sqrt(8), abs_tol=2e-3)
    biased = output_gain_thresholds(0.5).fixed_points
    assert math.isclose(first_subcritical_gain(TANH_LOGISTIC, 0.5), biased, abs_tol=5e-3)


def test_gating_04_chaos_appears_discontinuously_above_root_twelve():
    assert math.isclose(output_gain_thresholds().chaos, math.sqrt(12), rel_tol=1e-14)


def test_gating_04_an_energy_changes_sign_at_root_twelve():
    """With slaved gates chaos needs `int_0^C0 (C_phi C_sr - C) dC = 0`: to second order in C0.

    Closed forms of the erf network give the integrand; its gain at onset must be flat in `C0` at
    the root of 3 pi.
    """

    def slope(output_gain: float) -> float:
        return gain_of(output_gain, 4e-4) - gain_of(output_gain, 2e-4)

    low, high = 2.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    expected = output_gain_thresholds(nonlinearity=ERF_PROBIT).chaos
    assert math.isclose(expected, math.sqrt(3 * math.pi), rel_tol=1e-14)
    assert math.isclose(high, expected, abs_tol=1e-2)


def gain_of(output_gain: float, seen: float) -> float:
    """The gain at which the energy vanishes, where `gain^2 C0` is `seen`."""
    share = (np.arange(400) + 0.5) / 400

    def energy(gain: float) -> float:
        c0 = seen / gain**2
        c, a, k = share * c0, math.pi * gain**2 / 2, math.pi * output_gain**2 / 8
        said = 2 / math.pi * np.arcsin(a * c / (1 + a * c0))
        most = 2 / math.pi * math.asin(a * c0 / (1 + a * c0))
        gate = 1 / 4 + np.arcsin(k * said / (1 + k * most)) / (2 * math.pi)
        return float((said * gate - c).sum())

    low, high = 1.5, 2.5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if energy(middle) < 0 else (low, middle)
    return high


@pytest.mark.parametrize(
    ("bias", "expected"),
    [(-1.0, (1.5142, 1.6974, 1.1924)), (0.5, (6.3201, 27.962, 3.2224))],
)
def test_thresholds_with_biases(bias: float, expected: tuple[float, float, float]):
    found = output_gain_thresholds(bias)
    values = (found.fixed_points, found.chaos, found.input_instability)
    assert np.allclose(values, expected, rtol=1e-4)
    s = 1 / (1 + math.exp(-bias))
    closed = (2 / (2 - 3 * s), 6 / (5 - 8 * s), 2 / (3 - 4 * s))
    assert np.allclose(np.square(values), np.array(closed) / (1 - s), rtol=1e-12)


def test_open_gates_never_turn_the_transition_round():
    for bias, never in ((math.log(2), "fixed_points"), (math.log(5 / 3), "chaos"), (1.1, None)):
        found = output_gain_thresholds(bias)
        if never:
            assert math.isinf(getattr(found, never))
    assert math.isinf(found.input_instability)
    assert math.isfinite(output_gain_thresholds(math.log(2) - 1e-6).fixed_points)


def test_thresholds_of_the_closed_form_twin():
    found = output_gain_thresholds(nonlinearity=ERF_PROBIT)
    values = (found.fixed_points, found.chaos, found.input_instability)
    assert np.allclose(values, np.sqrt([2 * np.pi, 3 * np.pi, np.pi]), rtol=1e-13)
    assert math.isclose(first_subcritical_gain(ERF_PROBIT), math.sqrt(2 * math.pi), abs_tol=2e-3)


def test_gating_05_curves():
    found = phase_curves(TABLE[:, 0])
    assert np.allclose(found.critical_gain, 2, rtol=1e-14)
    assert np.allclose(found.birth_gain, TABLE[:, 1], rtol=0, atol=1e-5)
    assert np.allclose(found.birth_variance, TABLE[:, 2], rtol=0, atol=1e-6)
    assert np.allclose(found.marginal_gain, TABLE[:, 3], rtol=0, atol=1e-4, equal_nan=True)
    assert found.has_wedge.tolist() == (TABLE[:, 0] > math.sqrt(8)).tolist()
    # At a birth K > 1: the pair is unstable from the start.
    assert (found.birth_stability[1:] > 1).all()


def test_gating_05_limits():
    """The gain at birth tends to the root of 2; the marginal window closes at 39.01."""
    births = phase_curves(np.array([1e2, 1e3, 1e4, 1e5])).birth_gain - math.sqrt(2)
    assert (births > 0).all() and (births[1:] / births[:-1] < 0.4).all()
    assert births[-1] < 1e-3
    assert math.isclose(float(phase_curves(11.4841).marginal_gain), 2.0, abs_tol=1e-5)
    last = phase_curves(np.array([39.0, 39.02]))
    assert np.isnan(last.marginal_gain).tolist() == [False, True]


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0.5, 3.27318), (0.9, 1.4288), (0.75, 1.9378), (0.6, 2.6191), (0.4, 4.2361), (0.25, 7.0844)],
)
def test_gating_05_marginal_gain_with_an_open_output(fraction: float, expected: float):
    found = marginal_gain(GatedParameters(open_output=True), open_fraction=fraction)
    assert math.isclose(found, expected, abs_tol=1e-4)


def test_windows_with_output_biases():
    births = phase_curves(np.array([20.0, 8.0, 12.0, 27.0]), output_bias=0.5).birth_gain
    assert np.allclose(births, [1.5358, 1.6000, 1.5738, 1.5156], rtol=0, atol=1e-4)
    births = phase_curves(np.array([5.0, 8.0]), output_bias=0.25).birth_gain
    assert np.allclose(births, [1.7651, 1.7058], rtol=0, atol=1e-4)


def test_a_plane_agrees_with_the_solver_point_by_point():
    gains, outputs = np.array([1.6, 1.754, 1.9, 2.0, 3.0]), np.array([0.0, 10.0, 20.0])
    plane = phase_plane(gains, outputs)
    for i, output in enumerate(outputs):
        for k, gain in enumerate(gains):
            zero, *others = fixed_points(GatedParameters(gain=gain, output_gain=output))
            assert math.isclose(plane.zero_stability[i, k], zero.stability_number, rel_tol=1e-12)
            if gain == 2.0:  # where the lower branch ends
                continue
            assert plane.count[i, k] == len(others)
            if others:
                assert math.isclose(plane.variance[i, k], others[-1].state_variance, rel_tol=1e-9)
                assert math.isclose(
                    plane.stability[i, k], others[-1].stability_number, rel_tol=1e-9
                )
            else:
                assert np.isnan(plane.variance[i, k])


def test_a_plane_with_inputs_has_a_point_everywhere():
    gains, outputs = np.array([1.5, 1.6, 1.7, 1.8, 1.9]), np.array([10.0, 20.0, 30.0])
    plane = phase_plane(gains, outputs, input_variance=0.03)
    assert (plane.count >= 1).all()
    alone = fixed_points(GatedParameters(gain=1.5, output_gain=30.0), 0.03)
    assert plane.count[2, 0] == len(alone)
    assert math.isclose(plane.stability[2, 0], alone[-1].stability_number, rel_tol=1e-9)


@pytest.mark.slow
def test_curves_over_a_plane_take_less_than_a_minute():
    # Processor time: what else the machine does is not counted.
    start = time.process_time()
    found = phase_curves(np.linspace(0, 30, 40)[:, None], output_bias=np.linspace(-1, 1, 40))
    assert found.birth_gain.shape == (40, 40)
    assert time.process_time() - start < 60


def test_unusable_numbers():
    for bad in (-1.0, math.nan, math.inf, np.array([])):
        with pytest.raises(InputProblem, match="output_gain"):
            phase_curves(bad)
    with pytest.raises(InputProblem, match="open_fraction"):
        phase_curves(1.0, open_fraction=2.0)
    with pytest.raises(InputProblem, match="two vectors"):
        phase_plane(np.ones((2, 2)), np.ones(2))
    with pytest.raises(InputProblem, match="constant"):
        output_gain_thresholds(1e6)
    with pytest.raises(InputProblem, match="output_bias"):
        output_gain_thresholds(math.nan)
