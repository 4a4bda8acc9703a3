"""The box that a gated network does not leave, against runs and against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.analysis import absorbing_box
from limitset.dynamics import ExponentialEuler, discretise, simulate
from limitset.networks import (
    TANH_LOGISTIC,
    GatedNetwork,
    GatedParameters,
    Nonlinearity,
    random_gated_network,
)

SIZE = 8


def network(seed: int) -> GatedNetwork:
    """Gains and biases over wide ranges, with constant and time-dependent inputs."""
    rng = np.random.default_rng(seed)
    own = GatedParameters(
        gain=rng.uniform(0.1, 50),
        update_gain=rng.uniform(-50, 50),
        output_gain=rng.uniform(-50, 50),
        state_bias=rng.normal(),
        update_bias=rng.normal(),
        output_bias=rng.normal(),
        update_time=rng.uniform(0.05, 5),
        output_time=rng.uniform(0.05, 5),
    )
    return random_gated_network(
        jax.random.key(seed), SIZE, own, input_size=2, input_variance=rng.uniform(0, 4)
    )


@jax.jit
def run(given: GatedNetwork, start: jax.Array, inputs: jax.Array) -> jax.Array:
    return simulate(discretise(given, ExponentialEuler(0.1)), start, inputs).states


@pytest.mark.parametrize("seed", range(8))
def test_runs_stay_in_the_box(seed: int):
    given, rng = network(seed), np.random.default_rng(100 + seed)
    box = np.asarray(absorbing_box(given, input_bound=1.0))
    inputs = jnp.asarray(rng.choice([-1.0, 1.0], (400, 2)))
    inside = run(given, jnp.asarray(box * rng.uniform(-1, 1, 3 * SIZE)), inputs)
    assert (np.abs(inside) <= box * (1 + 1e-12)).all()
    # From outside no variable grows, up to the box.
    outside = np.abs(run(given, jnp.asarray(10 * box * rng.choice([-1, 1], 3 * SIZE)), inputs))
    assert (np.diff(np.maximum(outside, box), axis=0) <= 1e-12 * box).all()


def test_the_box_is_approached_at_the_speed_of_the_gates():
    given = network(0)
    far = run(given, 100 * jnp.ones(3 * SIZE), jnp.zeros((4000, 2)))[-1]
    assert (np.abs(far[SIZE:]) <= np.asarray(absorbing_box(given))[SIZE:] * (1 + 1e-9)).all()


def test_the_box_is_reached_by_saturated_units():
    """One unit with open gates, a large gain and positive feedback rests at the edge."""
    zero = jnp.zeros((1, 1))
    own = GatedParameters(gain=100.0, open_update=True, open_output=True)
    given = GatedNetwork(jnp.array([[3.0]]), zero, zero, own, state_input=jnp.array([0.5]))
    assert absorbing_box(given).tolist() == [3.5, 0.0, 0.0]
    reached = run(given, jnp.ones(3), jnp.zeros((300, 0)))[-1, 0]
    assert float(reached) == pytest.approx(3.5, rel=1e-9)


def test_what_has_no_bound_is_refused():
    linear = Nonlinearity(
        "linear",
        lambda x: x,
        jnp.ones_like,
        jnp.zeros_like,
        TANH_LOGISTIC.gate,
        TANH_LOGISTIC.gate_slope,
    )
    unbounded = random_gated_network(jax.random.key(0), 2, GatedParameters(nonlinearity=linear))
    with pytest.raises(InputProblem, match="no bound of the units of 'linear' is known"):
        absorbing_box(unbounded)
    for bound in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputProblem, match="input_bound is"):
            absorbing_box(network(0), input_bound=bound)
