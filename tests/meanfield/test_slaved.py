"""The limit of an output gate without delay: onset of chaos, over all amplitudes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.meanfield import chaos_gain, slaved_energy, slaved_gain, slaved_state
from limitset.networks import ERF_PROBIT, GatedParameters, Nonlinearity

# Each compiles much.
pytestmark = pytest.mark.slow

ONSETS = {
    2.0: 2.0,
    3.0: 2.0,
    4.0: 1.9949,
    5.0: 1.9718,
    6.0: 1.9447,
    8.0: 1.8965,
    10.0: 1.8593,
    15.0: 1.7990,
    20.0: 1.7640,
    30.0: 1.7252,
    50.0: 1.6912,
    100.0: 1.6636,
}


def test_gating_05_gain_where_chaos_sets_in():
    onsets = jax.jit(jax.vmap(chaos_gain))(jnp.array([*ONSETS, 1000.0]))
    assert np.allclose(onsets.gain[:-1], [*ONSETS.values()], rtol=0, atol=2e-4)
    assert (onsets.is_continuous[:2]).all() and not onsets.is_continuous[2:].any()
    assert (onsets.variance[2:] > 0).all()
    # sqrt(8/3) for infinite gain.
    assert 0 < onsets.gain[-1] - math.sqrt(8 / 3) < 4e-3


def _bend(output_gain: float, nonlinearity: Nonlinearity) -> float:
    """Change of the gain from a tiny amplitude to a small one."""
    gains = [float(slaved_gain(v, output_gain, nonlinearity=nonlinearity)) for v in (1e-6, 1e-4)]
    return gains[1] - gains[0]


def test_gating_04_chaos_is_subcritical_beyond_the_root_of_twelve():
    assert _bend(math.sqrt(12) - 0.01, GatedParameters().nonlinearity) > 0
    assert _bend(math.sqrt(12) + 0.01, GatedParameters().nonlinearity) < 0


def test_threshold_of_the_closed_form_twin():
    assert _bend(math.sqrt(3 * math.pi) - 0.01, ERF_PROBIT) > 0
    assert _bend(math.sqrt(3 * math.pi) + 0.01, ERF_PROBIT) < 0


def test_biases_can_hide_a_jump_from_the_local_criterion():
    """At this bias small amplitudes do not turn subcritical below 27.96, larger ones do."""
    onset = chaos_gain(27.0, output_bias=0.5)
    assert not onset.is_continuous
    assert abs(float(onset.gain) - 1.6039) < 2e-4
    assert chaos_gain(12.0, output_bias=0.5).is_continuous


@pytest.mark.parametrize(("gain", "variance"), [(1.5, 0.332305), (2.0, 0.481201), (3.0, 0.605147)])
def test_without_gates_the_variance_is_exact(gain: float, variance: float):
    vanilla = GatedParameters(gain=gain, open_update=True, open_output=True)
    found = slaved_state(vanilla)
    assert found.is_chaotic and abs(float(found.variance) - variance) < 1e-6
    assert float(found.final) == 0.0
    assert float(slaved_energy(vanilla, variance * 0.99)) > 0
    assert float(slaved_energy(vanilla, variance * 1.01)) < 0


def test_strong_inputs_leave_a_fixed_point():
    vanilla = GatedParameters(gain=1.5, open_update=True, open_output=True)
    found = slaved_state(vanilla, 1.0)
    assert not found.is_chaotic
    assert slaved_state(vanilla, 0.01).is_chaotic


def test_below_the_onset_there_is_none():
    found = slaved_state(GatedParameters(gain=1.7, output_gain=20.0))
    assert not found.is_chaotic and float(found.energy) < 0
