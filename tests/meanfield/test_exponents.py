"""Largest exponents from theory: checked numbers, an exact mode, states that stand still."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import Evidence, InputProblem
from limitset.meanfield import (
    DynamicVerdict,
    Factorised,
    Fourier,
    critical_scaling,
    maximal_exponent,
    solve_correlations,
    stability_number,
    time_scale,
)
from limitset.meanfield._exponent import two_replicas
from limitset.networks import GatedParameters


def exponent(parameters: GatedParameters, input_variance: float = 0.0) -> float:
    found = maximal_exponent(parameters, method=Fourier(), input_variance=input_variance)
    assert found.verdict is DynamicVerdict.CONVERGED and found.evidence is Evidence.FLOAT64
    return float(found.value)


def vanilla(gain: float) -> GatedParameters:
    return GatedParameters(gain=gain, open_update=True, open_output=True)


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        pytest.param(1.1, 0.00372, marks=pytest.mark.slow),
        (1.5, 0.046746),
        (2.0, 0.112458),
        (3.0, 0.235460),
    ],
)
def test_gating_06_exponent_without_gates(gain: float, expected: float):
    assert abs(exponent(vanilla(gain)) - expected) < 2e-5


@pytest.mark.parametrize(
    ("gain", "output_gain", "output_time", "expected"),
    [
        pytest.param(3.0, 5.0, 1.0, 0.13217, marks=pytest.mark.slow),
        pytest.param(3.0, 10.0, 1.0, 0.18227, marks=pytest.mark.slow),
        (3.0, 10.0, 3.0, 0.14455),
        (1.9, 20.0, 1.0, 0.13822),
        (3.0, 20.0, 2.0, 0.19952),
    ],
)
def test_gating_07_exponent_with_an_output_gate(
    gain: float, output_gain: float, output_time: float, expected: float
):
    parameters = GatedParameters(gain=gain, output_gain=output_gain, output_time=output_time)
    assert abs(exponent(parameters) - expected) < 3e-5


def test_gating_pitfall_09_small_networks_lie_below_the_theory():
    """Networks of 500 units have 0.167 to 0.176, of 2,000 units 0.1795: theory is the limit."""
    value = exponent(GatedParameters(gain=3.0, output_gain=10.0))
    assert 1.03 * 0.176 < value < 1.1 * 0.167
    assert 0 < value / 0.1795 - 1 < 0.02


def test_gating_08_constant_gates_halve_the_exponent():
    assert abs(2 * exponent(GatedParameters()) - exponent(vanilla(1.5))) < 1e-6


def test_gating_09_time_shifts_are_a_zero_mode():
    """The derivative of the correlations by the lag solves the equation at exponent 0."""
    parameters = GatedParameters(gain=3.0, output_gain=10.0, output_time=2.0)
    found = solve_correlations(parameters, method=Fourier())
    equation = two_replicas(parameters, found)

    def around(values: jax.Array) -> np.ndarray:
        return np.concatenate([values, values[-2:0:-1]])

    state, gate = around(found.state), around(found.gate)
    w = 2 * np.pi * np.fft.fftfreq(state.size, float(found.times[1]))
    state_mode, gate_mode = (np.fft.ifft(1j * w * np.fft.fft(v)).real for v in (state, gate))
    slopes, direct = around(equation.slopes), around(equation.direct)
    through = around(equation.through_gate)
    gate_side = np.fft.ifft(np.fft.fft(slopes * state_mode) / (1 + 4 * w**2)).real
    drive = direct * state_mode + through * gate_side
    state_side = np.fft.ifft(np.fft.fft(drive) / (1 + 4 * w**2)).real
    assert np.abs(gate_side - gate_mode).max() < 1e-6 * np.abs(gate_mode).max()
    assert np.abs(state_side - state_mode).max() < 1e-6 * np.abs(state_mode).max()


def test_gating_18_critical_scaling():
    """Theory and leading order meet, monotonically, from 2.05 down to 2.001."""
    ratios = []
    for gain in (2.05, 2.02, 2.01, 2.001):
        parameters = GatedParameters(gain=gain, output_gain=2.0)
        near = critical_scaling(parameters)
        found = maximal_exponent(parameters, method=Fourier())
        half = 2 * np.arccosh(np.sqrt(2)) / near.rate
        ratios.append(
            (
                float(found.correlations.state[0]) / near.variance,
                float(found.value) / near.exponent,
                float(time_scale(found.correlations)) / half,
            )
        )
    distances = np.abs(np.array(ratios) - 1)
    assert (np.diff(distances, axis=0) < 0).all()
    assert (distances[2] < 0.04).all() and (distances[3] < 0.01).all()


def test_critical_scaling_gives_the_printed_numbers():
    found = [critical_scaling(GatedParameters(gain=g, output_gain=2.0)) for g in (2.01, 2.02, 2.05)]
    assert np.allclose([f.variance for f in found], [0.001861, 0.003694, 0.009035], atol=1e-6)
    assert np.allclose([f.exponent for f in found], [0.001566, 0.003141, 0.007910], atol=1e-6)


def test_an_output_gate_that_moves_changes_the_powers():
    still = [critical_scaling(vanilla(g)) for g in (1.01, 1.0001)]
    moving = [critical_scaling(GatedParameters(gain=g, output_gain=1.0)) for g in (2.02, 2.0002)]
    assert abs(np.log(still[0].exponent / still[1].exponent) / np.log(100) - 2) < 0.02
    assert abs(np.log(moving[0].exponent / moving[1].exponent) / np.log(100) - 1) < 0.02
    assert abs(still[1].exponent / (1e-4**2 / 2) - 1) < 0.01
    assert abs(exponent(vanilla(1.02)) / critical_scaling(vanilla(1.02)).exponent - 1) < 0.1


def test_critical_scaling_is_refused_where_there_is_none():
    with pytest.raises(InputProblem, match="stable"):
        critical_scaling(GatedParameters(gain=1.9, output_gain=2.0))
    with pytest.raises(InputProblem, match="jump"):
        critical_scaling(GatedParameters(gain=2.1, output_gain=4.0))
    with pytest.raises(InputProblem, match="state_bias"):
        critical_scaling(GatedParameters(gain=2.1, output_gain=2.0, state_bias=0.1))


def test_the_zero_state_relaxes_at_the_edge_of_its_disc():
    """`a (g s - 1)`, unless a gate's own relaxation is slower."""
    assert abs(exponent(vanilla(0.5)) + 0.5) < 1e-6
    assert abs(exponent(GatedParameters(gain=0.5)) + 0.375) < 1e-6
    slow = GatedParameters(gain=0.5, output_gain=3.0, output_time=8.0)
    assert abs(exponent(slow) + 1 / 8) < 1e-6


def test_inputs_bring_chaos_with_an_output_gate_and_end_it_without():
    gated = GatedParameters(gain=1.5, output_gain=30.0)
    assert exponent(gated) < 0 < exponent(gated, 0.03)
    assert exponent(gated, 3.0) < 0
    assert exponent(vanilla(1.5), 0.1) < 0 < exponent(vanilla(1.5), 0.01)


def test_fixed_points_are_stable_where_the_stability_number_says_so():
    """The exponent of a state that stands still has the sign of `K - 1`."""
    parameters = GatedParameters(gain=1.5, output_gain=30.0)
    found = maximal_exponent(parameters, method=Fourier(), input_variance=3.0)
    assert found.correlations.is_frozen and float(found.value) < 0
    assert float(stability_number(parameters, found.correlations.state[0])) < 1


@pytest.mark.slow
def test_map_over_parameters():
    def value(gain: jax.Array) -> jax.Array:
        return maximal_exponent(GatedParameters(gain=gain), method=Fourier()).value

    gains = jnp.array([1.0, 2.5, 3.0])
    mapped = jax.jit(jax.vmap(value))(gains)
    assert np.allclose(mapped, [value(g) for g in gains], rtol=0, atol=1e-8)


def test_other_methods_have_no_exponent():
    with pytest.raises(InputProblem, match=r"Fourier\(\) or Sampled\(key\)"):
        maximal_exponent(GatedParameters(), method=Factorised())
