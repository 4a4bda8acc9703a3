"""The marginally stable phase: networks with update gates that are nearly switches, simulated."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.dynamics import ExponentialEuler, discretise, simulate
from limitset.meanfield import SampledSpectrum, marginal_gain, outside_fraction
from limitset.networks import GatedParameters, random_gated_network

UNITS = 500


@functools.cache
def settled(gain: float) -> tuple[SampledSpectrum, np.ndarray, float]:
    """A state after 250 units of time, the eigenvalues there, and the largest velocity."""
    p = GatedParameters(gain=gain, update_gain=1000.0, update_time=2.0, open_output=True)
    network = random_gated_network(jax.random.key(0), UNITS, p)
    start = jax.random.normal(jax.random.key(1), (3 * UNITS,))
    system = discretise(network, ExponentialEuler(0.1))
    x = simulate(system, start, steps=2500).final
    h, z, r = jnp.split(x, 3)
    drive = network.state_weight @ p.phi(h)

    def velocity(y: jax.Array) -> jax.Array:
        return network.velocity(jnp.asarray(0.0), y, jnp.zeros(0))

    eigenvalues = np.linalg.eigvals(np.asarray(jax.jacfwd(velocity)(x)))
    law = SampledSpectrum(p, h=h, z=z, r=r, drive=drive)
    return law, eigenvalues, float(jnp.abs(velocity(x))[:UNITS].max())


def open_stability_number(law: SampledSpectrum) -> float:
    """`K f1` of the state: what the units with open gates contribute."""
    p = law.parameters
    is_open = p.update_gate(law.z) > 0.5
    return float((p.phi_slope(law.h) ** 2 * is_open).mean())


@pytest.mark.slow
def test_gating_14_below_the_marginal_gain_networks_freeze():
    assert marginal_gain(GatedParameters(open_output=True)) > 2.5
    law, eigenvalues, fastest = settled(2.5)
    assert fastest < 1e-5
    slow = (np.abs(eigenvalues) < 1e-3).sum() / UNITS
    assert abs(slow - 0.5) < 0.03
    assert open_stability_number(law) < 1
    # Frozen units do not satisfy h = R: only those with open gates do.
    gates = np.asarray(law.parameters.update_gate(law.z))
    error = np.abs(np.asarray(law.drive - law.h))
    assert error[gates > 0.99].max() < 1e-3 < 0.1 < np.median(error[gates < 0.01])
    assert outside_fraction(law, eigenvalues, margin=0.06) <= 0.02


@pytest.mark.slow
def test_gating_14_above_it_they_stay_chaotic():
    assert marginal_gain(GatedParameters(open_output=True)) < 5.0
    law, eigenvalues, fastest = settled(5.0)
    assert fastest > 0.1
    assert open_stability_number(law) > 1
    assert np.real(eigenvalues).max() > 0.1
