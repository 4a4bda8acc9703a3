"""Averages over correlated pairs, against arcsines and two-dimensional quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.meanfield._two_point import pair_average
from limitset.networks import ERF_PROBIT, GatedParameters

RHO = jnp.array([-1.0, -0.999, -0.5, 0.0, 0.3, 0.9, 0.999, 1.0])


@pytest.mark.parametrize(
    ("gain", "error", "slope_error"), [(0.1, 1e-15, 1e-13), (3.0, 1e-12, 1e-10), (7.0, 1e-6, 1e-4)]
)
def test_erf_pairs_average_to_arcsines(gain: float, error: float, slope_error: float):
    """`(2 / pi) asin(A C / (1 + A C0))`, `A = pi g^2 / 2`, and its derivative by `C`."""
    p, variance = GatedParameters(gain=gain, nonlinearity=ERF_PROBIT), 0.7
    found = pair_average(p.phi, p.phi_slope, variance)
    factor = np.pi * gain**2 / 2
    share = factor / (1 + factor * variance)
    expected = 2 / np.pi * jnp.arcsin(share * variance * RHO)
    slope = 2 / np.pi * share / jnp.sqrt(1 - (share * variance * RHO) ** 2)
    assert jnp.abs(found(variance * RHO) - expected).max() < error
    assert jnp.abs(found.derivative(variance * RHO) / slope - 1).max() < slope_error


def test_probit_pairs_average_to_arcsines():
    p, variance = GatedParameters(output_gain=8.0, nonlinearity=ERF_PROBIT), 0.5
    found = pair_average(p.output_gate, p.output_gate_slope, variance)
    square = 64 * 2 * np.pi / 16
    rho = jnp.arcsin(square * variance * RHO / (1 + square * variance))
    assert jnp.abs(found(variance * RHO) - 1 / 4 - rho / (2 * np.pi)).max() < 1e-12


def test_variances_are_exact_for_steep_functions():
    """Values and slopes at the ends are right where the series itself is not."""
    for gain in (30.0, 300.0):
        p = GatedParameters(gain=gain, nonlinearity=ERF_PROBIT)
        found = pair_average(p.phi, p.phi_slope, 1.0)
        share = 1 / (1 + 2 / (np.pi * gain**2))
        ends = jnp.array([-1.0, 1.0])
        expected = 2 / np.pi * jnp.arcsin(share * ends)
        assert jnp.abs(found(ends) - expected).max() < 1e-11
        slopes = 2 / np.pi * share / jnp.sqrt(1 - share**2) * jnp.ones(2)
        assert jnp.abs(found.derivative(ends) / slopes - 1).max() < 1e-9
        between = jnp.abs(found(RHO) - 2 / np.pi * jnp.arcsin(share * RHO)).max()
        assert between < 0.02


def test_tanh_pairs_with_a_bias_against_quadrature():
    p, variance = GatedParameters(gain=2.5, state_bias=0.4), 0.6
    x = jnp.linspace(-8, 8, 641)
    weight = (x[1] - x[0]) * jnp.exp(-(x**2) / 2) / jnp.sqrt(2 * jnp.pi)
    for rho in (-0.7, 0.2, 0.95):
        second = rho * x[:, None] + np.sqrt(1 - rho**2) * x
        values = p.phi(np.sqrt(variance) * x)[:, None] * p.phi(np.sqrt(variance) * second)
        expected = weight @ values @ weight
        found = pair_average(p.phi, p.phi_slope, variance)(jnp.array([rho * variance]))[0]
        assert abs(found - expected) < 1e-11


def test_the_derivative_is_that_of_the_average():
    p = GatedParameters(output_gain=6.0, output_bias=-1.0)
    found = pair_average(p.output_gate, p.output_gate_slope, 0.4)
    for covariance in (-0.3, 0.1, 0.39):
        slope = jax.grad(lambda c: found(c[None])[0])(jnp.array(covariance))
        assert abs(found.derivative(jnp.array([covariance]))[0] - slope) < 1e-10


def test_no_variance_at_all():
    p = GatedParameters(gain=3.0)
    found = pair_average(p.phi, p.phi_slope, 0.0)
    zero = jnp.zeros(1)
    assert float(found(zero)[0]) == 0.0
    assert abs(float(found.derivative(zero)[0]) - 9.0) < 1e-6
