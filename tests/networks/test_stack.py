"""Diagonal recurrences and stacks of layers: formulas, shapes, and what does not fit."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset import InputProblem
from limitset.networks import (
    DiagonalRecurrence,
    Elman,
    RateNetwork,
    Relay,
    Stack,
    layer_states,
    random_elman,
)


@pytest.fixture
def no_shape_checks() -> Iterator[None]:
    """Shape checks would catch wrong shapes before the library's own words do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def recurrence(key: jax.Array, units: int, inputs: int) -> DiagonalRecurrence:
    real, imaginary = jax.random.normal(key, (2, units))
    weight = jax.random.normal(jax.random.fold_in(key, 1), (2 * units, inputs))
    return DiagonalRecurrence(real, imaginary, weight, jnp.arange(2.0 * units))


def test_a_recurrence_is_complex_arithmetic(getkey: Callable[[], jax.Array]):
    system = recurrence(getkey(), 4, 3)
    x, u = jax.random.normal(getkey(), (8,)), jax.random.normal(getkey(), (3,))
    z = np.asarray(x[:4]) + 1j * np.asarray(x[4:])
    entering = np.asarray(system.input_weight @ u + system.bias)
    factor = np.asarray(system.real) + 1j * np.asarray(system.imaginary)
    following = factor * z + entering[:4] + 1j * entering[4:]
    found = np.asarray(system.advance(0, x, u))
    np.testing.assert_allclose(found, np.concatenate([following.real, following.imag]), rtol=1e-14)
    assert (system.state_size, system.input_size) == (8, 3)


def test_a_recurrence_alone_has_no_inputs():
    system = DiagonalRecurrence(jnp.array([0.5, 0.25]), jnp.zeros(2))
    assert system.input_size == 0
    assert system.advance(0, jnp.ones(4), jnp.zeros(0)).tolist() == [0.5, 0.25, 0.5, 0.25]


@pytest.mark.parametrize(
    "arguments",
    [
        (jnp.zeros(0), jnp.zeros(0)),
        (jnp.zeros((2, 2)), jnp.zeros((2, 2))),
        (jnp.zeros(2), jnp.zeros(3)),
        (jnp.zeros(2), jnp.zeros(2), jnp.zeros((2, 1))),
        (jnp.zeros(2), jnp.zeros(2), jnp.zeros((4, 1)), jnp.zeros(2)),
        (jnp.zeros(2), jnp.zeros(2, jnp.float32)),
        (jnp.zeros(2, int), jnp.zeros(2, int)),
    ],
)
@pytest.mark.usefixtures("no_shape_checks")
def test_recurrences_that_do_not_fit(arguments: tuple[jax.Array, ...]):
    with pytest.raises(InputProblem):
        DiagonalRecurrence(*arguments)


def test_a_stack_steps_from_the_lowest_layer_up(getkey: Callable[[], jax.Array]):
    """Layer k hears the new states of the layers below it, through all relays below it."""
    first, second = recurrence(getkey(), 2, 3), random_elman(getkey(), 5, 3)
    third = recurrence(getkey(), 1, 3)
    relays = [
        Relay(jax.random.normal(getkey(), (6, n)), jnp.ones(6), jnp.ones((3, 6)), name)
        for n, name in ((4, "tanh"), (5, "relu"))
    ]
    embedding, bias = jax.random.normal(getkey(), (3, 2)), jnp.array([1.0, 2.0, 3.0])
    second = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), second)
    stack = Stack((first, second, third), relays, embedding, bias)
    assert (stack.sizes, stack.state_size, stack.input_size) == ((4, 5, 2), 11, 2)
    x, u = jax.random.normal(getkey(), (11,)), jax.random.normal(getkey(), (2,))
    a, b, c = layer_states(stack, x)
    stream = embedding @ u + bias
    a = first.advance(0, a, stream)
    stream = stream + jnp.ones((3, 6)) @ jnp.tanh(relays[0].read @ a + 1)
    b = second.advance(0, b, stream)
    stream = stream + jnp.ones((3, 6)) @ jax.nn.relu(relays[1].read @ b + 1)
    c = third.advance(0, c, stream)
    expected = jnp.concatenate([a, b, c])
    np.testing.assert_allclose(stack.advance(0, x, u), expected, rtol=1e-13)
    found = jax.vmap(lambda x: stack.advance(0, x, u))(jnp.stack([x, x]))
    np.testing.assert_allclose(found[1], expected, rtol=1e-13)


RECURRENCE = DiagonalRecurrence(jnp.array([0.5]), jnp.zeros(1), jnp.ones((2, 3)))
RELAY = Relay(jnp.ones((4, 2)), jnp.zeros(4), jnp.ones((3, 4)))
SINGLE = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), RECURRENCE)
BAD_STACKS = {
    "no layer": ((), (), jnp.ones((3, 1))),
    "a flow": ((RateNetwork(jnp.zeros((2, 2)), jnp.ones((2, 3))),), (), jnp.ones((3, 1))),
    "no relay": ((RECURRENCE, RECURRENCE), (), jnp.ones((3, 1))),
    "a relay at the top": ((RECURRENCE,), (RELAY,), jnp.ones((3, 1))),
    "other width": ((RECURRENCE,), (), jnp.ones((2, 1))),
    "embedding": ((RECURRENCE,), (), jnp.ones(3)),
    "bias": ((RECURRENCE,), (), jnp.ones((3, 1)), jnp.zeros(2)),
    "dtypes": ((SINGLE,), (), jnp.ones((3, 1))),
    "relay of other states": (
        (RECURRENCE, RECURRENCE),
        (Relay(jnp.ones((4, 3)), jnp.zeros(4), jnp.ones((3, 4))),),
        jnp.ones((3, 1)),
    ),
    "relay of other width": (
        (RECURRENCE, RECURRENCE),
        (Relay(jnp.ones((4, 2)), jnp.zeros(4), jnp.ones((2, 4))),),
        jnp.ones((3, 1)),
    ),
}


@pytest.mark.parametrize("name", BAD_STACKS)
@pytest.mark.usefixtures("no_shape_checks")
def test_stacks_that_do_not_fit(name: str):
    with pytest.raises(InputProblem) as caught:
        Stack(*BAD_STACKS[name])
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_shape_checks")
def test_relays_that_do_not_fit():
    for shapes in (((4, 2), (3,), (3, 4)), ((4, 2), (4,), (3, 3)), ((4,), (4,), (3, 4))):
        with pytest.raises(InputProblem):
            read, bias, write = map(jnp.zeros, shapes)
            Relay(read, bias, write)
    with pytest.raises(InputProblem):
        Relay(jnp.ones((4, 2)), jnp.zeros(4), jnp.ones((3, 4)), "wiggle")  # pyright: ignore[reportArgumentType]


def test_a_layer_without_memory_is_a_deep_readout(getkey: Callable[[], jax.Array]):
    """An Elman cell with `weight_hh = 0` computes `phi(W z)` of the stream."""
    weight = jax.random.normal(getkey(), (5, 3))
    top = Elman(weight, jnp.zeros((5, 5)), jnp.zeros(5), jnp.zeros(5), activation="relu")
    stack = Stack((RECURRENCE, top), (RELAY,), jnp.ones((3, 1)))
    x = jnp.arange(7.0)
    after = stack.advance(0, x, jnp.ones(1))
    expected = jax.nn.relu(weight @ (jnp.ones(3) + RELAY(after[:2])))
    np.testing.assert_allclose(after[2:], expected, rtol=1e-13)
