"""Steps suit the network: none becomes unstable, or chaotic, because its own times are short."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import RateNetwork
from limitset.analysis import AdamsBashforth4, EachStep, lyapunov_spectrum, stepping
from limitset.networks import GatedParameters, random_gated_network, random_gru

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    "changes",
    [
        {"output_time": 0.01},
        {"update_time": 0.02, "output_gain": 5.0},
        {"output_gain": 200.0},
        {"update_gain": 1.0},
    ],
    ids=str,
)
def test_quiet_gated_networks_stay_quiet(changes):
    """The zero state attracts at `s (1 - gain radius / 2)`, whatever the gates' speeds."""
    network = random_gated_network(KEY, 20, GatedParameters(gain=1.0, **changes))
    system, integrator = stepping(network)
    found = lyapunov_spectrum(
        system, KEY, count=1, steps=2000, transient=500, integrator=integrator
    )
    radius = np.real(np.linalg.eigvals(np.asarray(network.state_weight))).max()
    assert found.exponents[0] == pytest.approx(-0.5 * (1 - radius / 2), abs=0.02)


@pytest.mark.parametrize(("leak", "time_constant"), [(50.0, 1.0), (1.0, 0.01), (0.5, 20.0)])
def test_rate_networks_are_stepped_in_their_own_time(leak, time_constant):
    network = RateNetwork(jnp.zeros((2, 2)), leak=leak, time_constant=time_constant)
    system, integrator = stepping(network)
    found = lyapunov_spectrum(system, jnp.ones(2), steps=400, transient=0, integrator=integrator)
    assert system is network
    assert found.exponents == pytest.approx(-leak / time_constant, rel=1e-3)


def test_maps_are_stepped_as_they_are():
    cell = random_gru(KEY, 3, 1)
    system, integrator = stepping(cell)
    assert system is cell and integrator == EachStep()


def test_moderate_gates_take_explicit_steps():
    network = random_gated_network(KEY, 4, GatedParameters(update_gain=20.0))
    system, integrator = stepping(network, 0.05)
    assert system is network and integrator == AdamsBashforth4(0.05)
