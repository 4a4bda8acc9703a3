"""Where networks are in the phase diagram: statistics, theory, rest, exponents, advice."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import LSTM, Elman, InputProblem, RateNetwork
from limitset.dossier import advise, find_rest, gate_statistics, phase_point, theory_of
from limitset.networks import (
    GatedParameters,
    GatedRate,
    gaussian_gru,
    gaussian_lstm,
    gaussian_reset_before_gru,
    random_gated_network,
    random_gru,
    random_lstm,
)

KEY = jax.random.key(3)


def test_statistics_are_those_of_the_stored_weights():
    weight = np.array([[1.0, -1.0], [1.0, 1.0]])
    stacked = np.concatenate([k * weight for k in (1, 2, 3, 4)])
    bias = np.repeat([0.5, 1.0, -1.0, 0.0], 2)
    cell = LSTM(jnp.zeros((8, 1)), jnp.asarray(stacked), jnp.asarray(bias), jnp.asarray(bias))
    found = gate_statistics(cell)
    assert [g.name for g in found] == ["input", "forget", "candidate", "output"]
    np.testing.assert_allclose([g.gain for g in found], np.sqrt(2) * np.arange(1, 5))
    np.testing.assert_allclose([g.radius for g in found], np.sqrt(2) * np.arange(1, 5))
    np.testing.assert_allclose([g.bias for g in found], [1, 2, -2, 0])


def test_gains_of_weights_and_functions_multiply():
    parameters = GatedParameters(gain=2.0, output_gain=5.0, output_bias=-1.0, open_update=True)
    network = random_gated_network(KEY, 40, parameters)
    doubled = dataclasses.replace(network, state_weight=2 * network.state_weight)
    one, other = gate_statistics(network), gate_statistics(doubled)
    assert [g.name for g in one] == ["state", "output"]
    assert other[0].gain == pytest.approx(2 * one[0].gain)
    assert one[1].gain == pytest.approx(5.0, rel=0.1) and one[1].bias == -1.0


@pytest.mark.parametrize(
    ("draw", "edge"), [(random_gru, 0.6443375672974064), (random_lstm, 0.6443375672974064)]
)
def test_gating_22_default_initialisation_has_the_edge_of_theory(draw, edge):
    """Entries uniform in +-1/sqrt(n) have the gain 1/sqrt(3)."""
    point = phase_point(draw(KEY, 96, 1))
    assert point.theory is not None
    assert point.theory.zero_edge == pytest.approx(edge, rel=0.03)
    # The spectrum's edge of one cell of n units varies by about 1/sqrt(n).
    assert point.edge == pytest.approx(edge, abs=1 / np.sqrt(96))
    assert point.rest.is_found and point.regime == "quiet"


@pytest.mark.slow
@pytest.mark.parametrize("draw", [random_gru, random_lstm])
def test_gating_22_default_cells_of_512_units(draw):
    found = find_rest(draw(KEY, 512, 1))
    assert np.abs(found.eigenvalues).max() == pytest.approx(0.64434, abs=0.5 / np.sqrt(512))


def test_chaos_is_called_chaos():
    point = phase_point(gaussian_gru(KEY, 80, gain=6.0, reset_gain=2.0, update_gain=0.0))
    assert point.regime == "chaotic" and point.memory_time == np.inf
    assert point.theory is not None and point.theory.stability_number is not None
    assert point.theory.stability_number > 1 and point.theory.zero_edge > 1


@pytest.mark.parametrize(
    "system",
    [
        gaussian_gru(KEY, 30, gain=1.0, reset_bias=0.3, update_bias=-0.2),
        gaussian_reset_before_gru(KEY, 30, gain=1.0, reset_bias=0.3, update_bias=-0.2),
        pytest.param(
            gaussian_lstm(KEY, 30, cell_gain=0.8, input_bias=0.1, output_bias=0.4),
            marks=pytest.mark.slow,
        ),
        Elman(jnp.zeros((30, 1)), 0.2 * jax.random.normal(KEY, (30, 30)), *jnp.zeros((2, 30))),
        RateNetwork(0.1 * jax.random.normal(KEY, (30, 30)), leak=2.0, time_constant=3.0),
        pytest.param(
            random_gated_network(KEY, 30, GatedParameters(gain=1.5, update_gain=2.0)),
            marks=pytest.mark.slow,
        ),
        random_gated_network(KEY, 30, GatedParameters(gain=0.7, open_update=True)),
    ],
    ids=lambda system: type(system).__name__,
)
def test_the_zero_edge_is_measured_too_and_grows_in_line_with_the_gain(system):
    point = phase_point(system)
    assert point.theory is not None
    # A disc's radius, 30 units: eigenvalues stay within a third of it.
    radius = point.theory.zero_edge - point.theory.floor
    assert point.edge == pytest.approx(point.theory.zero_edge, abs=radius / 3)
    limit = 1 if point.is_discrete else 0
    gain = next(g.gain for g in point.gates if g.name in ("candidate", "state"))
    share = radius / (limit - point.theory.floor)
    assert share == pytest.approx(gain / point.theory.critical_gain)


def drawn(kind: str, value: float):
    """A cell whose number that `advise` speaks of has this value."""
    if kind == "gru":
        return gaussian_gru(KEY, 20, gain=0.5, update_bias=value)
    if kind == "lstm":
        return gaussian_lstm(KEY, 20, cell_gain=0.5, forget_bias=value)
    if kind == "gated":
        return random_gated_network(KEY, 20, GatedParameters(gain=0.6, update_bias=value))
    weight = gaussian_gru(KEY, 20, gain=1.0).weight_hh[40:]
    weight = weight * value / float(jnp.sqrt(20 * jnp.mean(weight**2)))
    return Elman(jnp.zeros((20, 1)), weight, jnp.zeros(20), jnp.zeros(20))


@pytest.mark.parametrize(
    "kind", ["gru", pytest.param("lstm", marks=pytest.mark.slow), "gated", "elman"]
)
def test_advice_is_followed_by_theory(kind):
    """Cells that take the advice have the edge that was asked for."""
    point = phase_point(drawn(kind, 0.5))
    for memory in (5.0, 100.0, 3000.0):
        advice = advise(point, memory)
        assert advice.value is not None
        advised = drawn(kind, advice.value)
        theory = theory_of(advised, gate_statistics(advised), 0.05)
        assert theory is not None and theory.zero_edge == pytest.approx(advice.edge, abs=1e-9)


def test_impossible_advice_says_so():
    advice = advise(phase_point(gaussian_gru(KEY, 20, gain=4.0)), 10.0)
    assert advice.value is None and "gains alone" in advice.reason


def test_memories_that_are_none_are_refused():
    point = phase_point(gaussian_gru(KEY, 20, gain=4.0))
    for memory in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputProblem, match="positive"):
            advise(point, memory)


def test_networks_without_a_formula_keep_what_is_measured():
    point = phase_point(RateNetwork(0.5 * jnp.eye(3), activation="relu"))
    assert point.theory is None and point.regime == "quiet"
    assert point.edge == pytest.approx(-1.0) or point.edge == pytest.approx(-0.5)
    with pytest.raises(InputProblem, match="no formula"):
        advise(point, 3.0)


def test_rest_of_a_biased_network_is_a_fixed_point():
    network = RateNetwork(0.4 * jax.random.normal(KEY, (12, 12)) / 12**0.5, bias=jnp.ones(12))
    found = find_rest(network)
    velocity = network.velocity(0.0, jnp.asarray(found.state), jnp.zeros(0))
    assert found.is_found and float(jnp.abs(velocity).max()) < 1e-12
    assert np.abs(found.state).max() > 0.5


def test_what_has_no_fixed_point_says_so():
    """`x+ = x + 1`: eigenvalues are those at zero."""
    counter = Elman(jnp.zeros((1, 1)), jnp.ones((1, 1)), jnp.ones(1), jnp.zeros(1), "identity")
    found = find_rest(counter)
    assert not found.is_found and found.state.tolist() == [0.0]
    np.testing.assert_allclose(found.eigenvalues, 1.0)


def test_other_systems_are_refused():
    half = jnp.full(3, 0.5)
    recurrence = GatedRate(half, slowest=0.1, fastest=0.2)
    with pytest.raises(InputProblem, match="no ensemble"):
        gate_statistics(recurrence)
