"""Random networks: variances, the order of gates, zero-state spectra, refusals."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from scipy.special import expit

from limitset._result import InputProblem
from limitset.dynamics import tangent
from limitset.networks import (
    GatedParameters,
    ResetBeforeGRU,
    gaussian_gru,
    gaussian_lstm,
    gaussian_reset_before_gru,
    random_gated_network,
    random_reset_before_gru,
)

KEY = jax.random.key(11)
SIZE = 200


def variance(block: jax.Array) -> float:
    return float(jnp.mean(block**2))


def test_entries_of_gated_networks_have_variance_one_over_n():
    given = random_gated_network(KEY, SIZE, GatedParameters(), input_size=50, input_variance=0.3)
    weights = (given.state_weight, given.update_weight, given.output_weight)
    for weight in weights:
        assert SIZE * variance(weight) == pytest.approx(1, rel=0.03)
    assert abs(float(jnp.mean(weights[0] * weights[1]))) < 3 / SIZE**2
    assert variance(given.state_input) == pytest.approx(0.3, rel=0.4)
    assert not given.update_input.any() and not given.output_input.any()
    assert 50 * variance(given.input_weight[:SIZE]) == pytest.approx(1, rel=0.05)
    assert not given.input_weight[SIZE:].any()


def test_each_gate_has_its_gain_and_bias():
    named = {"gain": 3.0, "update_gain": 2.0, "reset_gain": 1.0}
    levels = {"bias": 0.3, "update_bias": 0.2, "reset_bias": 0.1}
    gru = gaussian_gru(KEY, SIZE, **named, **levels, input_size=4)
    before = gaussian_reset_before_gru(KEY, SIZE, **named, **levels, input_size=4)
    for weight in (gru.weight_hh, before.weight_hh):
        found = [SIZE * variance(block) for block in jnp.split(weight, 3)]
        np.testing.assert_allclose(found, [1, 4, 9], rtol=0.03)
    expected = np.repeat([0.1, 0.2, 0.3], SIZE)
    np.testing.assert_array_equal(gru.bias_hh, expected)
    np.testing.assert_array_equal(before.bias, expected)
    lstm = gaussian_lstm(
        KEY,
        SIZE,
        input_gain=1.0,
        forget_gain=2.0,
        cell_gain=3.0,
        output_gain=4.0,
        input_bias=0.1,
        forget_bias=0.2,
        cell_bias=0.3,
        output_bias=0.4,
    )
    found = [SIZE * variance(block) for block in jnp.split(lstm.weight_hh, 4)]
    np.testing.assert_allclose(found, [1, 4, 9, 16], rtol=0.03)
    np.testing.assert_array_equal(lstm.bias_hh, np.repeat([0.1, 0.2, 0.3, 0.4], SIZE))
    assert not lstm.bias_ih.any() and lstm.input_size == 0


def test_the_reset_gate_acts_before_the_product():
    cell = random_reset_before_gru(KEY, 3, 2)
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=3), rng.normal(size=2)
    w, v, b = (np.asarray(a) for a in (cell.weight_ih, cell.weight_hh, cell.bias))
    reset = expit(w[:3] @ u + v[:3] @ x + b[:3])
    keep = expit(w[3:6] @ u + v[3:6] @ x + b[3:6])
    new = np.tanh(w[6:] @ u + v[6:] @ (reset * x) + b[6:])
    expected = (1 - keep) * new + keep * x
    np.testing.assert_allclose(cell.advance(0, jnp.asarray(x), jnp.asarray(u)), expected)


def test_gating_pitfall_03_reset_conventions():
    """Equal only while all reset gates are equal."""
    x = jax.random.normal(KEY, (5,))
    for reset_gain, same in ((0.0, True), (5.0, False)):
        makes = (gaussian_gru, gaussian_reset_before_gru)
        after, before = (
            make(KEY, 5, gain=2.0, reset_gain=reset_gain).advance(0, x, jnp.zeros(0))
            for make in makes
        )
        assert bool(jnp.allclose(after, before, rtol=1e-12)) is same


@pytest.mark.parametrize("make", [gaussian_gru, gaussian_reset_before_gru])
def test_zero_state_edge_of_grus(make: Callable[..., Any]):
    """The disc with centre `z0` and radius `(1 - z0) a s`, whatever the gates' gains."""
    cell = make(KEY, 300, gain=2.5, update_gain=4.0, reset_gain=3.0, update_bias=0.5)
    jacobian = jax.jacfwd(lambda x: cell.advance(0, x, jnp.zeros(0)))(jnp.zeros(300))
    keep = expit(0.5)
    reached = np.abs(np.linalg.eigvals(jacobian) - keep).max()
    assert reached == pytest.approx((1 - keep) * 2.5 / 2, rel=3 / 300**0.5)


def test_ensembles_are_drawn_and_pushed_as_one_batch():
    """Over keys and gains at once, by vmap."""
    keys, gains = jax.random.split(KEY, 3), jnp.array([0.5, 1.0, 2.0])

    @jax.jit
    @jax.vmap
    def pushed(key: jax.Array, gain: jax.Array) -> tuple[jax.Array, jax.Array]:
        given = random_gated_network(key, 4, GatedParameters(gain=gain), input_variance=gain)
        cell = gaussian_gru(key, 4, gain=gain, update_bias=gain)
        flow = tangent(given, 0.0, jnp.ones(12), jnp.zeros(0), jnp.ones((12, 2)))[1]
        return flow, tangent(cell, 0, jnp.ones(4), jnp.zeros(0), jnp.ones((4, 2)))[1]

    many = pushed(keys, gains)
    one = pushed(keys[1:2], gains[1:2])
    for whole, part in zip(many, one, strict=True):
        np.testing.assert_allclose(whole[1], part[0], rtol=1e-12)


def test_keys_alone_decide():
    first, again = (random_gated_network(KEY, 4, GatedParameters()) for _ in range(2))
    np.testing.assert_array_equal(first.state_weight, again.state_weight)


@pytest.mark.parametrize(
    "make",
    [
        lambda: random_gated_network(KEY, 0, GatedParameters()),
        lambda: random_gated_network(KEY, 3, GatedParameters(), input_size=-1),
        lambda: random_gated_network(KEY, 3, GatedParameters(), input_variance=-1.0),
        lambda: random_gated_network(KEY, 3, GatedParameters(), input_variance=float("nan")),
        lambda: gaussian_gru(KEY, 0, gain=1.0),
        lambda: gaussian_gru(KEY, 3, gain=float("nan")),
        lambda: gaussian_reset_before_gru(KEY, 3, gain=1.0, bias=float("inf")),
        lambda: gaussian_lstm(KEY, 3, cell_gain=float("inf")),
        lambda: random_reset_before_gru(KEY, 3, 0),
        lambda: ResetBeforeGRU(jnp.zeros((6, 1)), jnp.zeros((6, 2)), jnp.zeros(4)),
        lambda: ResetBeforeGRU(jnp.zeros((5, 1)), jnp.zeros((5, 2)), jnp.zeros(5)),
    ],
)
def test_what_makes_no_network_is_refused(make: Callable[[], Any]):
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(InputProblem) as caught:
            make()
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert "\n" not in str(caught.value)
