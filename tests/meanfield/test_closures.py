"""Correlations of the closed-form twin, and of the closure that is an approximation."""

import jax.numpy as jnp
import numpy as np
import pytest

from limitset.meanfield import DynamicVerdict, Factorised, Fourier, solve_correlations
from limitset.networks import ERF_PROBIT, GatedParameters


@pytest.mark.slow
def test_the_closed_form_twin_solves_its_own_equation():
    """Back through arcsines: the operator `1 - d^2 / a^2` of the solution is its drive."""
    found = solve_correlations(
        GatedParameters(gain=3.5, output_gain=6.0, nonlinearity=ERF_PROBIT), method=Fourier()
    )
    assert found.verdict is DynamicVerdict.CONVERGED
    steepness, square = np.pi * 3.5**2 / 2, 36 * np.pi / 8
    output = 2 / np.pi * np.arcsin(steepness * found.state / (1 + steepness * found.state[0]))
    factor = np.arcsin(square * found.gate / (1 + square * found.gate[0])) / (2 * np.pi) + 1 / 4
    mirrored = np.concatenate([found.state, found.state[-2:0:-1]])
    w = 2 * np.pi * np.fft.fftfreq(mirrored.size, float(found.times[1]))
    drive = np.fft.ifft((1 + 4 * w**2) * np.fft.fft(mirrored)).real[: found.state.size]
    assert np.allclose(found.output, output, rtol=0, atol=1e-8)
    assert np.allclose(drive, output * factor, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_gating_11_the_factorised_closure_loses_the_slow_tail():
    """Simulations and sampling have 0.065 at lag 16; at lag 0 the closure is not far off."""
    parameters = GatedParameters(update_gain=5.0, output_gain=10.0)
    found = solve_correlations(parameters, method=Factorised())
    assert found.verdict is DynamicVerdict.CONVERGED
    assert abs(float(found.state[0]) - 0.16397) < 2e-5
    assert abs(float(found.at(jnp.array([16.0])).state[0]) - 0.0030) < 1e-4


def test_the_factorised_closure_is_exact_for_a_constant_update_gate():
    parameters = GatedParameters(output_gain=10.0)
    approximate = solve_correlations(parameters, method=Factorised())
    at_lags = approximate.at(jnp.array([0.0, 1.0, 2.0, 4.0, 8.0])).state
    expected = (0.159021, 0.15373, 0.13974, 0.10088, 0.03934)
    assert np.allclose(at_lags, expected, rtol=0, atol=2e-5)
