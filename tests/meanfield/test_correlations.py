"""Stationary correlations: closed forms, checked numbers, exact identities, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import Evidence, InputProblem
from limitset.meanfield import (
    Correlations,
    DynamicVerdict,
    Fourier,
    Sampled,
    chaos_gain,
    fixed_points,
    solve_correlations,
    time_scale,
)
from limitset.networks import GatedParameters

# Gain, output gain, output time; variances of h and r; correlation of h at lags 1, 2, 4, 8.
TABLE = [
    ((3.0, 0.0, 1.0), 0.083076, 0.33937, (0.08277, 0.08187, 0.07843, 0.06697)),
    ((3.0, 5.0, 1.0), 0.142275, 0.41749, (0.13864, 0.12863, 0.09835, 0.04325)),
    ((3.0, 10.0, 1.0), 0.159021, 0.43116, (0.15373, 0.13974, 0.10088, 0.03934)),
    ((3.0, 10.0, 3.0), 0.167600, 0.35859, (0.16308, 0.15072, 0.11378, 0.04775)),
    ((1.9, 20.0, 1.0), 0.049125, 0.12820, (0.04782, 0.04426, 0.03363, 0.01441)),
]
LAGS = jnp.array([1.0, 2.0, 4.0, 8.0])


def vanilla(gain: float) -> GatedParameters:
    return GatedParameters(gain=gain, open_update=True, open_output=True)


def solved(parameters: GatedParameters, input_variance: float = 0.0) -> Correlations:
    found = solve_correlations(parameters, method=Fourier(), input_variance=input_variance)
    assert found.verdict is DynamicVerdict.CONVERGED
    return found


@pytest.mark.parametrize(("gain", "variance"), [(1.5, 0.332305), (2.0, 0.481201), (3.0, 0.605147)])
def test_gating_06_without_gates(gain: float, variance: float):
    assert abs(float(solved(vanilla(gain)).state[0]) - variance) < 2e-6


@pytest.mark.parametrize(("numbers", "variance", "gate_variance", "at_lags"), TABLE)
def test_gating_07_with_an_output_gate(
    numbers: tuple, variance: float, gate_variance: float, at_lags: tuple
):
    gain, output_gain, output_time = numbers
    found = solved(GatedParameters(gain=gain, output_gain=output_gain, output_time=output_time))
    assert abs(float(found.state[0]) - variance) < 2e-6
    assert abs(float(found.gate[0]) - gate_variance) < 2e-5
    assert np.allclose(found.at(LAGS).state, at_lags, rtol=0, atol=2e-5)


def test_gating_08_constant_gates_only_slow_the_vanilla_network():
    """Gates at 1/2: the gain of 3 acts as 1.5, and time runs half as fast."""
    plain, gated = solved(vanilla(1.5)), solved(GatedParameters())
    assert abs(gated.state[0] * 4 - plain.state[0]) < 1e-6
    assert np.allclose(gated.at(2 * LAGS).state * 4, plain.at(LAGS).state, rtol=0, atol=1e-6)


def test_gating_pitfall_06_fourier_refuses_an_update_gate_that_moves():
    with pytest.raises(InputProblem, match=r"Sampled\(key\)"):
        solve_correlations(GatedParameters(update_gain=0.1), method=Fourier())


def test_coexistence_and_its_end():
    """Chaos beside a stable zero state, down to a gain that delays of the gate move little."""
    assert abs(float(chaos_gain(20.0).gain) - 1.764) < 1e-3
    alive = solved(GatedParameters(gain=1.7625, output_gain=20.0))
    gone = solved(GatedParameters(gain=1.755, output_gain=20.0))
    assert float(alive.state[0]) > 0.005 and not alive.is_frozen
    assert float(gone.state[0]) == 0.0 and gone.is_frozen and np.isinf(float(time_scale(gone)))


def test_a_stable_fixed_point_is_that_of_the_static_theory():
    frozen = solved(GatedParameters(gain=1.5, output_gain=30.0), 3.0)
    assert frozen.is_frozen
    points = fixed_points(GatedParameters(gain=1.5, output_gain=30.0), 3.0)
    assert abs(float(frozen.state[0]) - points[-1].state_variance) < 1e-7


def test_inputs_and_biases_leave_a_correlation_at_infinite_lag():
    pushed = solved(GatedParameters(gain=1.5, output_gain=30.0), 0.03)
    assert 0.05 < float(pushed.state[-1]) < float(pushed.state[0]) - 0.02
    biased = solved(GatedParameters(gain=3.0, output_gain=5.0, state_bias=0.3))
    assert 0 < float(biased.state[-1]) < float(biased.state[0])


def test_map_over_parameters():
    def variance(gain: jax.Array) -> jax.Array:
        p = GatedParameters(gain=gain, output_gain=10.0)
        return solve_correlations(p, method=Fourier()).state[0]

    gains = jnp.array([1.5, 1.9, 2.2, 3.0])
    mapped = jax.jit(jax.vmap(variance))(gains)
    assert np.allclose(mapped, [variance(g) for g in gains], rtol=0, atol=1e-8)
    assert float(mapped[0]) == 0.0


@pytest.mark.slow
def test_too_few_lags_and_too_short_a_ring_are_no_solutions():
    steep = GatedParameters(gain=50.0, open_output=True)
    coarse = solve_correlations(steep, method=Fourier(lags=129))
    assert coarse.verdict is DynamicVerdict.LAGS_TOO_COARSE
    short = solve_correlations(GatedParameters(gain=2.05), method=Fourier(duration=40.0))
    assert short.verdict is not DynamicVerdict.CONVERGED
    hasty = solve_correlations(GatedParameters(output_gain=10.0), method=Fourier(iterations=1))
    assert hasty.verdict is DynamicVerdict.CONVERGED or not hasty.has_converged


def test_records_say_what_they_are():
    found = solved(GatedParameters(output_gain=10.0))
    assert found.evidence is Evidence.FLOAT64 and float(found.kurtosis) == 3.0
    assert float(found.state_error.max()) == 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e200])
def test_unusable_numbers(value: float):
    with pytest.raises(InputProblem, match="gain"):
        solve_correlations(GatedParameters(gain=value), method=Fourier())
    with pytest.raises(InputProblem, match="output_time"):
        solve_correlations(GatedParameters(output_time=value), method=Fourier())
    with pytest.raises(InputProblem, match="input_variance"):
        solve_correlations(GatedParameters(), method=Fourier(), input_variance=value)
    with pytest.raises(InputProblem, match="duration"):
        Fourier(duration=value)
    with pytest.raises(InputProblem, match="step"):
        Sampled(jax.random.key(0), step=value)


def test_unusable_methods():
    with pytest.raises(InputProblem, match="lags"):
        Fourier(lags=3)
    with pytest.raises(InputProblem, match="paths"):
        Sampled(jax.random.key(0), paths=1)
    with pytest.raises(InputProblem, match="memory"):
        Sampled(jax.random.key(0), paths=10**6)
