"""Trajectories: loops, batches, ragged lengths, gradients, extreme sizes, refusals."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import (
    AbstractMap,
    ExplicitEuler,
    ExponentialEuler,
    SemiImplicit,
    Trajectory,
    discretise,
    simulate,
    simulate_batch,
)
from limitset.networks import (
    Assembly,
    RateNetwork,
    random_elman,
    random_gru,
    random_lstm,
    random_rate_network,
)

STEPS, INPUTS = 9, 2


class Clock(AbstractMap):
    """Adds the step index to its state, so that an index that is off by one shows."""

    @property
    def state_size(self) -> int:
        return 1

    @property
    def input_size(self) -> int:
        return 0

    def advance(self, n, x, u):  # noqa: ANN001, ANN201
        return x + n


def rate_map() -> AbstractMap:
    return discretise(random_rate_network(jax.random.key(1), 4, INPUTS), ExponentialEuler(0.2))


def assembly_map() -> AbstractMap:
    modules = [random_rate_network(jax.random.key(k), 2, INPUTS) for k in (2, 3)]
    skew = jnp.kron(jnp.array([[0.0, -1.0], [1.0, 0.0]]), jnp.ones((2, 2)))
    return discretise(Assembly(modules, skew), SemiImplicit(0.2))


SYSTEMS: dict[str, Callable[[], AbstractMap]] = {
    "rate": rate_map,
    "assembly": assembly_map,
    "elman": lambda: random_elman(jax.random.key(4), 4, INPUTS),
    "gru": lambda: random_gru(jax.random.key(5), 4, INPUTS),
    "lstm": lambda: random_lstm(jax.random.key(6), 4, INPUTS),
}
every_system = pytest.mark.parametrize("name", SYSTEMS)


@pytest.fixture
def untyped():
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputProblem) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def batch(system: AbstractMap, samples: int = 3) -> tuple[jax.Array, jax.Array]:
    one, two = jax.random.split(jax.random.key(11))
    initial = jax.random.normal(one, (samples, system.state_size))
    return initial, jax.random.normal(two, (samples, STEPS, INPUTS))


def close(one: Trajectory, two: Trajectory) -> None:
    np.testing.assert_allclose(one.states, two.states, rtol=0, atol=1e-14)
    np.testing.assert_allclose(one.final, two.final, rtol=0, atol=1e-14)


# --- Equal to the plain loop --------------------------------------------------------------------


@every_system
def test_scan_equals_a_loop(name: str):
    system = SYSTEMS[name]()
    (x, *_), (inputs, *_) = batch(system)
    trajectory = simulate(system, x, inputs)
    assert trajectory.states.shape == (STEPS, system.state_size)
    for n in range(STEPS):
        x = system.advance(n, x, inputs[n])
        np.testing.assert_allclose(trajectory.states[n], x, rtol=0, atol=1e-14)
    assert np.array_equal(trajectory.final, trajectory.states[-1])


def test_step_index_counts_from_zero():
    trajectory = simulate(Clock(), jnp.zeros(1), steps=5)
    assert trajectory.states[:, 0].tolist() == [0, 1, 3, 6, 10]


@every_system
def test_batch_equals_single_runs(name: str):
    system = SYSTEMS[name]()
    initial, inputs = batch(system)
    together = simulate_batch(system, initial, inputs)
    assert together.states.shape == (3, STEPS, system.state_size)
    for k in range(3):
        alone = simulate(system, initial[k], inputs[k])
        close(Trajectory(together.states[k], together.final[k]), alone)


@every_system
def test_compiled_equals_uncompiled(name: str):
    system = SYSTEMS[name]()
    initial, inputs = batch(system)
    close(
        eqx.filter_jit(simulate_batch)(system, initial, inputs),
        simulate_batch(system, initial, inputs),
    )


def test_a_trajectory_can_be_continued():
    system = rate_map()
    (x, *_), (inputs, *_) = batch(system)
    first = simulate(system, x, inputs[:4])
    second = simulate(system, first.final, inputs[4:])
    whole = simulate(system, x, inputs)
    close(Trajectory(jnp.concatenate([first.states, second.states]), second.final), whole)


# --- Unequal lengths ----------------------------------------------------------------------------


@every_system
def test_ragged_batch_equals_truncated_runs(name: str):
    system = SYSTEMS[name]()
    initial, inputs = batch(system, 4)
    lengths = [0, 1, 5, STEPS]
    ragged = simulate_batch(system, initial, inputs, lengths=jnp.array(lengths))
    for k, length in enumerate(lengths):
        cut = simulate(system, initial[k], inputs[k, :length])
        np.testing.assert_allclose(ragged.final[k], cut.final, rtol=0, atol=1e-14)
        np.testing.assert_allclose(ragged.states[k, :length], cut.states, rtol=0, atol=1e-14)
        # Afterwards the state stands still.
        assert np.array_equal(
            ragged.states[k, length:],
            np.broadcast_to(ragged.final[k], (STEPS - length, 4 if name != "lstm" else 8)),
        )


def test_what_lies_beyond_the_length_does_not_matter():
    """Not even NaN, which careless padding may hold."""
    system = rate_map()
    (x, *_), (inputs, *_) = batch(system)
    padded = inputs.at[5:].set(jnp.nan)
    close(simulate(system, x, padded, length=5), simulate(system, x, inputs, length=5))


@pytest.mark.parametrize("length", [0, 3, STEPS, STEPS + 10])
def test_length_may_be_a_number_or_an_array(length: int):
    system = rate_map()
    (x, *_), (inputs, *_) = batch(system)
    close(
        simulate(system, x, inputs, length=length),
        simulate(system, x, inputs, length=jnp.array(length)),
    )
    np.testing.assert_allclose(
        simulate(system, x, inputs, length=length).final,
        simulate(system, x, inputs[:length]).final,
        atol=1e-14,
    )


# --- Gradients ----------------------------------------------------------------------------------


@every_system
@pytest.mark.parametrize("length", [None, 5])
def test_gradient_agrees_with_finite_differences(name: str, length: int | None):
    """Along random directions in the weights, the initial state and the inputs, all at once."""
    system = SYSTEMS[name]()
    (x, *_), (inputs, *_) = batch(system)
    arrays, rest = eqx.partition(system, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten((arrays, x, inputs))
    generator = np.random.default_rng(8)
    direction = [jnp.asarray(generator.normal(size=leaf.shape)) for leaf in leaves]

    @jax.jit
    def loss(s: jax.Array) -> jax.Array:
        moved = [leaf + s * d for leaf, d in zip(leaves, direction, strict=True)]
        weights, start, given = jax.tree.unflatten(structure, moved)
        trajectory = simulate(eqx.combine(weights, rest), start, given, length=length)
        return jnp.sum(trajectory.states**2) + jnp.sum(trajectory.final)

    h = 1e-6
    difference = (loss(jnp.array(h)) - loss(jnp.array(-h))) / (2 * h)
    assert float(jax.grad(loss)(jnp.array(0.0))) == pytest.approx(float(difference), rel=1e-6)


# --- Extreme sizes ------------------------------------------------------------------------------


def test_one_unit():
    """`x[n] = keep^n x[0]`."""
    system = discretise(RateNetwork(jnp.zeros((1, 1))), ExplicitEuler(0.25))
    states = simulate(system, jnp.array([2.0]), steps=30).states[:, 0]
    np.testing.assert_allclose(states, 2 * 0.75 ** np.arange(1, 31), rtol=1e-13)


def test_two_thousand_units():
    system = discretise(random_rate_network(jax.random.key(0), 2000, 1), ExplicitEuler(0.1))
    x, inputs = jnp.zeros(2000), jnp.ones((3, 1))
    trajectory = simulate(system, x, inputs)
    for u in inputs:
        x = system.advance(0, x, u)
    np.testing.assert_allclose(trajectory.final, x, rtol=0, atol=1e-12)


@every_system
def test_no_steps(name: str):
    system = SYSTEMS[name]()
    x = jnp.ones(system.state_size)
    trajectory = simulate(system, x, jnp.zeros((0, INPUTS)))
    assert trajectory.states.shape == (0, system.state_size)
    assert np.array_equal(trajectory.final, x)


def test_no_steps_without_inputs():
    trajectory = simulate(Clock(), jnp.array([7.0]), steps=0)
    assert trajectory.states.shape == (0, 1) and trajectory.final.tolist() == [7.0]


def test_no_inputs():
    """`steps=k` and inputs of width 0 say the same."""
    system = discretise(random_rate_network(jax.random.key(0), 3), ExplicitEuler(0.1))
    x = jnp.ones(3)
    close(simulate(system, x, steps=6), simulate(system, x, jnp.zeros((6, 0))))
    together = simulate_batch(system, jnp.stack([x, 2 * x]), jnp.zeros((2, 6, 0)))
    np.testing.assert_allclose(together.final[0], simulate(system, x, steps=6).final, atol=1e-14)


def test_float32_stays_float32():
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), rate_map())
    trajectory = simulate(single, jnp.ones(4, jnp.float32), jnp.ones((STEPS, INPUTS), jnp.float32))
    assert trajectory.states.dtype == trajectory.final.dtype == jnp.float32


# --- Refusals -----------------------------------------------------------------------------------


def test_flows_must_be_discretised(untyped: None):
    flow = random_rate_network(jax.random.key(0), 4, INPUTS)
    message = refusal(lambda: simulate(flow, jnp.zeros(4), jnp.zeros((3, INPUTS))))  # pyright: ignore[reportArgumentType]
    assert "a flow" in message and "discretise" in message


def test_other_objects_are_named(untyped: None):
    message = refusal(lambda: simulate("gru", jnp.zeros(4), steps=3))  # pyright: ignore[reportArgumentType]
    assert "str" in message and "map" in message


def test_inputs_and_steps_exclude_each_other():
    message = refusal(lambda: simulate(rate_map(), jnp.zeros(4), jnp.zeros((3, INPUTS)), steps=3))
    assert "both inputs and steps" in message and "one of them" in message


def test_inputs_are_needed_where_the_system_has_some():
    message = refusal(lambda: simulate(rate_map(), jnp.zeros(4), steps=3))
    assert "2 inputs" in message and "(steps, 2)" in message


def test_a_number_of_steps_is_needed():
    assert "steps=..." in refusal(lambda: simulate(Clock(), jnp.zeros(1)))


@pytest.mark.parametrize(
    ("initial", "inputs"),
    [
        ((3,), (5, 2)),
        ((4, 1), (5, 2)),
        ((), (5, 2)),
        ((4,), (5, 3)),
        ((4,), (5,)),
        ((4,), (1, 5, 2)),
    ],
)
def test_sizes_must_fit(untyped: None, initial: tuple[int, ...], inputs: tuple[int, ...]):
    message = refusal(lambda: simulate(rate_map(), jnp.zeros(initial), jnp.zeros(inputs)))
    assert str(initial) in message and str(inputs) in message
    assert "(4,) and (steps, 2)" in message


def test_batches_must_have_one_size(untyped: None):
    message = refusal(lambda: simulate_batch(rate_map(), jnp.zeros((2, 4)), jnp.zeros((3, 5, 2))))
    assert "2 initial states" in message and "3 input sequences" in message


def test_sizes_within_a_batch_must_fit(untyped: None):
    message = refusal(lambda: simulate_batch(rate_map(), jnp.zeros((3, 5)), jnp.zeros((3, 5, 2))))
    assert "(5,)" in message and "(4,)" in message
