"""Spectra computed in other ways: other rules and dtypes, with inputs, with gradients."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import RateNetwork
from limitset.analysis import (
    AdamsBashforth4,
    CholeskyQR,
    EachStep,
    Householder,
    RungeKutta4,
    finite_time_exponents,
    lyapunov_spectrum,
)
from limitset.dynamics import ExplicitEuler, discretise
from limitset.networks import random_elman, random_rate_network

CHAOTIC = random_rate_network(jax.random.key(3), 30, gain=3.0)
RUN: dict[str, Any] = {"steps": 400, "transient": 500, "tangent_transient": 200}


def test_other_ways_give_the_same_spectrum():
    """Other vectors' steps, their dtype, Cholesky factors: on the same trajectory."""
    numbers: dict[str, Any] = {"count": 5, **RUN}
    usual = lyapunov_spectrum(CHAOTIC, jnp.ones(30), integrator=RungeKutta4(0.1), **numbers)
    light = lyapunov_spectrum(
        CHAOTIC, jnp.ones(30), integrator=RungeKutta4(0.1), vectors="float32", **numbers
    )
    assert 0 < np.abs(light.exponents - usual.exponents).max() < 2e-6
    cholesky = lyapunov_spectrum(
        CHAOTIC, jnp.ones(30), integrator=RungeKutta4(0.1), method=CholeskyQR(), **numbers
    )
    assert np.allclose(cholesky.exponents, usual.exponents, rtol=0, atol=1e-10)
    adams = lyapunov_spectrum(CHAOTIC, jnp.ones(30), integrator=AdamsBashforth4(0.1), **numbers)
    assert 0 < np.abs(adams.exponents - usual.exponents).max() < 2e-3


def test_float32_throughout():
    network = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), CHAOTIC)
    found = lyapunov_spectrum(
        network, jnp.ones(30, jnp.float32), count=2, integrator=RungeKutta4(0.1), **RUN
    )
    assert found.final_state.dtype == np.float32 and found.exponents.dtype == np.float64
    usual = lyapunov_spectrum(CHAOTIC, jnp.ones(30), count=2, integrator=RungeKutta4(0.1), **RUN)
    # Rounding makes it another trajectory of the same attractor.
    bar = np.hypot(found.standard_errors, usual.standard_errors)
    assert (np.abs(found.exponents - usual.exponents) < 5 * bar).all()


def test_response_of_a_driven_contracting_network():
    """Response exponents of a network that contracts at a rate are at most minus that rate."""
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((6, 6))
    weight *= 0.6 / np.linalg.norm(weight, 2)
    network = RateNetwork(jnp.asarray(weight), jnp.asarray(rng.standard_normal((6, 2))))
    inputs = jnp.asarray(3 * rng.standard_normal((1000, 2)))
    numbers: dict[str, Any] = {"steps": 600, "transient": 200, "tangent_transient": 200}
    driven = lyapunov_spectrum(
        network, jnp.zeros(6), inputs=inputs, integrator=RungeKutta4(0.1), **numbers
    )
    assert driven.exponents.max() < -0.4
    held = lyapunov_spectrum(
        network, jnp.zeros(6), inputs=jnp.zeros(2), integrator=RungeKutta4(0.1), **numbers
    )
    # Inputs flatten tanh, so they bring all exponents nearer to that of the leak.
    assert np.ptp(driven.exponents) < 0.8 * np.ptp(held.exponents)


def test_finite_time_exponents_are_those_of_the_product():
    cell, x, inputs = random_elman(jax.random.key(0), 5, 2), jnp.ones(5), jnp.ones((6, 2))
    found = finite_time_exponents(cell, x, steps=6, count=5, inputs=inputs, interval=2)
    product, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))
    for n in range(6):
        product = np.asarray(jax.jacfwd(lambda x, n=n: cell.advance(n, x, inputs[n]))(x)) @ product
        x = cell.advance(n, x, inputs[n])
    exact = np.log(np.abs(np.diagonal(np.linalg.qr(product)[1]))) / 6
    assert np.allclose(found, exact, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(Householder(), id="householder"),
        pytest.param(CholeskyQR(), id="cholesky", marks=pytest.mark.slow),
    ],
)
def test_gradient_against_differences(method):
    network = random_rate_network(jax.random.key(4), 6, gain=1.5)
    direction = jax.random.normal(jax.random.key(5), (6, 6))

    @jax.jit
    def exponents(shift):
        moved = eqx.tree_at(lambda net: net.weight, network, network.weight + shift * direction)
        return finite_time_exponents(
            discretise(moved, ExplicitEuler(0.2)), jnp.ones(6), steps=20, count=3, interval=2,
            method=method,
        )  # fmt: skip

    slope = jax.jacrev(exponents)(0.0)
    differences = (exponents(1e-5) - exponents(-1e-5)) / 2e-5
    assert np.allclose(slope, differences, rtol=1e-6, atol=1e-8)
    assert np.abs(slope).max() > 1e-3


@pytest.mark.slow
def test_flossing_brings_exponents_to_zero():
    network = random_rate_network(jax.random.key(4), 8, gain=0.5)

    @jax.jit
    def loss(weight):
        moved = eqx.tree_at(lambda net: net.weight, network, weight)
        euler = discretise(moved, ExplicitEuler(0.2))
        found = finite_time_exponents(
            euler, jnp.ones(8), steps=20, count=3, integrator=EachStep(0.2), interval=2
        )
        return jnp.mean(found**2)

    weight, slope = network.weight, jax.jit(jax.grad(loss))
    before = float(loss(weight))
    for _ in range(30):
        weight = weight - 0.5 * slope(weight)
    assert float(loss(weight)) < 0.1 * before
