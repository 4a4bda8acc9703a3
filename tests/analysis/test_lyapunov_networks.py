"""Spectra of gated networks: identities, and what the source reports of them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.analysis import (
    AdamsBashforth4,
    LyapunovSpectrum,
    RungeKutta4,
    activity,
    hysteresis_sweep,
    lyapunov_spectrum,
    twin_exponent,
)
from limitset.dynamics import gated_jacobian
from limitset.networks import GatedNetwork, GatedParameters, random_gated_network


def mean_trace(network: GatedNetwork, x: np.ndarray, step: float, steps: int) -> float:
    """The trace of the Jacobian averaged along a trajectory, by the trapezoidal rule."""
    rule = RungeKutta4(step)

    def one(x, n):
        now = jnp.trace(gated_jacobian(network, x, jnp.zeros(0)))
        following = rule.move(network, n, x, jnp.zeros(0))
        return following, now

    final, traces = jax.lax.scan(one, jnp.asarray(x), jnp.arange(steps))
    last = jnp.trace(gated_jacobian(network, final, jnp.zeros(0)))
    return float((traces.sum() + (last - traces[0]) / 2) / steps)


def states_near(size: int, amplitude: float = 1.0) -> jax.Array:
    """Small `h` or large, `z` and `r` at 0."""
    h = amplitude * jax.random.normal(jax.random.key(9), (size,))
    return jnp.concatenate([h, jnp.zeros(2 * size)])


def test_gating_20_sum_of_exponents_is_the_mean_divergence():
    parameters = GatedParameters(gain=3.0, update_gain=5.0, output_gain=10.0)
    network = random_gated_network(jax.random.key(0), 6, parameters)
    # Without transients both averages are over exactly the same steps; a sum of all exponents
    # does not depend on the first vectors.
    found = lyapunov_spectrum(
        network, states_near(6), steps=400, transient=0, tangent_transient=0,
        integrator=RungeKutta4(0.05),
    )  # fmt: skip
    expected = mean_trace(network, np.asarray(states_near(6)), 0.05, 400)
    assert abs(found.exponents.sum() - expected) < 1e-4


def test_gating_20_twin_trajectory():
    parameters = GatedParameters(gain=3.0, output_gain=10.0)
    network = random_gated_network(jax.random.key(1), 60, parameters)
    numbers: dict[str, Any] = {
        "steps": 400, "transient": 1000, "tangent_transient": 200, "integrator": RungeKutta4(0.1)
    }  # fmt: skip
    first = lyapunov_spectrum(network, states_near(60), count=1, **numbers)
    twin = twin_exponent(network, states_near(60), **numbers)
    assert first.exponents[0] > 0.01
    assert abs(twin.exponent / first.exponents[0] - 1) < 0.01


@pytest.mark.slow
def test_gating_20_sum_rule_of_the_ensemble():
    """`sum / n = -<sigma_z> - 1/tau_z - 1/tau_r + O(n^-1/2)`, which is -1.5 without biases."""
    parameters = GatedParameters(
        gain=3.0, update_gain=5.0, output_gain=10.0, update_time=2.0, output_time=2.0
    )
    network = random_gated_network(jax.random.key(2), 100, parameters)
    found = lyapunov_spectrum(
        network, states_near(100), steps=500, transient=500, integrator=RungeKutta4(0.1)
    )
    assert abs(found.exponents.sum() / 100 + 1.5) < 0.1


@pytest.mark.slow
def test_gating_19_exponent_against_mean_field_theory():
    """At gain 3, output gain 10 theory says 0.1823 for n to infinity; finite n lies below."""
    parameters = GatedParameters(gain=3.0, output_gain=10.0)
    network = random_gated_network(jax.random.key(3), 1000, parameters)
    found = lyapunov_spectrum(
        network, states_near(1000), steps=2000, count=3, transient=1000, tangent_transient=500,
        integrator=AdamsBashforth4(0.1),
    )  # fmt: skip
    assert abs(found.exponents[0] / 0.1823 - 1) < 0.1


PANELS = [
    (0.0, 0.0), (5.0, 0.0), (20.0, 0.0), (0.0, 10.0), (0.0, 20.0),
    (5.0, 10.0), (20.0, 10.0), (20.0, 20.0), (20.0, 30.0),
]  # fmt: skip


@pytest.mark.slow
def test_gating_21_panels():
    """An update gain flattens the spectrum onto zero, an output gain raises its first part."""
    near, largest, dimension = {}, {}, {}
    for update_gain, output_gain in PANELS:
        found = panel(update_gain, output_gain)
        dimension[update_gain, output_gain] = (found.kaplan_yorke_dimension or 0.0) / 100
        near[update_gain, output_gain] = found.near_zero_count(0.02) / 100
        largest[update_gain, output_gain] = found.exponents[0]
    assert near[0, 0] <= 0.02 < near[5, 0] < near[20, 0] and near[20, 0] > 0.25
    assert near[0, 20] < 0.06 < near[20, 20]
    assert largest[0, 0] < 0 < 0.08 < largest[0, 10] and largest[0, 20] > 0.1
    assert largest[20, 30] > 0.08
    assert dimension[0, 0] == 0 and 0.09 < dimension[0, 10] < 0.2
    assert dimension[20, 10] > 2 * dimension[0, 10] and dimension[20, 30] > 0.4


def panel(update_gain: float, output_gain: float) -> LyapunovSpectrum:
    """The first 100 exponents of 100 units."""
    parameters = GatedParameters(
        gain=3.0, update_gain=update_gain, output_gain=output_gain, update_time=2.0, output_time=2.0
    )
    network = random_gated_network(jax.random.key(4), 100, parameters)
    return lyapunov_spectrum(
        network, states_near(100), steps=1500, count=100, transient=1000, tangent_transient=500,
        interval=10, integrator=RungeKutta4(0.1),
    )  # fmt: skip


@pytest.mark.slow
def test_gating_15_coexistence():
    """At gain 1.9, output gain 20 small starts go to rest, large ones stay active."""
    network = random_gated_network(jax.random.key(5), 600, COEXISTING)
    numbers: dict[str, Any] = {"steps": 300, "transient": 1000, "integrator": RungeKutta4(0.1)}
    small, large = (
        activity(network, states_near(600, a), observable=variance, **numbers) for a in (0.03, 1.0)
    )
    assert small < 1e-3
    # The source's theory says 0.049 for n to infinity; near the jump finite n lies below.
    assert 0.03 < large < 0.06


@pytest.mark.slow
def test_gating_15_hysteresis():
    """The active branch outlives the gain at which rest loses its stability."""
    base = random_gated_network(jax.random.key(5), 600, COEXISTING)
    gains = [1.5, 1.9, 3.0]

    def family(gain: float) -> GatedNetwork:
        return GatedNetwork(
            base.state_weight, base.update_weight, base.output_weight,
            GatedParameters(gain=gain, output_gain=20.0),
        )  # fmt: skip

    sweep = hysteresis_sweep(
        family, gains, small=states_near(600, 1e-3), large=states_near(600),
        steps=300, transient=800, integrator=RungeKutta4(0.1), observable=variance,
    )  # fmt: skip
    assert sweep.coexistence(0.01).tolist() == [False, True, False]


COEXISTING = GatedParameters(gain=1.9, output_gain=20.0)


def variance(x: jax.Array) -> jax.Array:
    """The mean square of `h`."""
    return jnp.mean(x[: x.shape[0] // 3] ** 2)
