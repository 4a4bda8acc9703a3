"""Whole sequences at once: the same states as step by step, and the same gradients."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset import InputProblem
from limitset.dynamics import (
    ExplicitEuler,
    discretise,
    run_recurrence,
    run_stack,
    run_stack_batch,
    simulate,
    simulate_batch,
)
from limitset.networks import (
    DiagonalRecurrence,
    Relay,
    Stack,
    random_elman,
    random_rate_network,
)

Keys = Callable[[], jax.Array]


@pytest.fixture
def no_shape_checks() -> Iterator[None]:
    """Shape checks would catch wrong shapes before the library's own words do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def recurrence(key: jax.Array, units: int, inputs: int, dtype: type = float) -> DiagonalRecurrence:
    keys = jax.random.split(key, 4)
    angle = jax.random.uniform(keys[0], (units,), maxval=np.pi)
    modulus = jax.random.uniform(keys[1], (units,), minval=0.5, maxval=0.999)
    weight, bias = (
        jax.random.normal(k, (2 * units, m)) for k, m in zip(keys[2:], (inputs, 1), strict=True)
    )
    arrays = (modulus * jnp.cos(angle), modulus * jnp.sin(angle), weight, bias[:, 0])
    return DiagonalRecurrence(*(a.astype(dtype) for a in arrays))


def stack(key: jax.Array) -> Stack:
    """Layers of every kind that is run in its own way, with a stack within the stack."""
    k = iter(jax.random.split(key, 20))
    rate = random_rate_network(next(k), 3, 4)
    inner = Stack((random_elman(next(k), 2, 3),), (), jax.random.normal(next(k), (3, 4)))
    cell = discretise(rate, ExplicitEuler(0.3))
    layers = [recurrence(next(k), 3, 4), cell, inner]
    relays = [
        Relay(
            jax.random.normal(next(k), (6, layer.state_size)) / 3,
            jnp.full(6, 0.1),
            jax.random.normal(next(k), (4, 6)) / 3,
            "tanh",
        )
        for layer in layers[:-1]
    ]
    whole = Stack(layers, relays, jax.random.normal(next(k), (4, 2)), jnp.ones(4))
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), whole)


@pytest.mark.parametrize("steps", [0, 1, 2, 13])
def test_a_recurrence_runs_as_step_by_step(steps: int, getkey: Keys):
    system = recurrence(getkey(), 4, 3)
    x, u = jax.random.normal(getkey(), (8,)), jax.random.normal(getkey(), (steps, 3))
    expected, found = (jax.jit(run)(system, x, u) for run in (simulate, run_recurrence))
    np.testing.assert_allclose(found.states, expected.states, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.final, expected.final, rtol=1e-12, atol=1e-12)


def test_both_modes_of_differentiation_agree_with_step_by_step(getkey: Keys):
    system = recurrence(getkey(), 3, 2)
    x, u = jax.random.normal(getkey(), (6,)), jax.random.normal(getkey(), (13, 2))
    weights = jax.random.normal(getkey(), (13, 6))

    def loss(run: Callable, *arguments: object) -> jax.Array:
        return jnp.sum(weights * run(*arguments).states ** 2)

    def gradients(run: Callable) -> list[jax.Array]:
        return jax.tree.leaves(jax.jit(jax.grad(partial(loss, run), (0, 1, 2)))(system, x, u))

    for one, other in zip(gradients(simulate), gradients(run_recurrence), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    forward = jax.jit(jax.jacfwd(lambda u: run_recurrence(system, x, u).final))(u)
    backward = jax.jit(jax.jacrev(lambda u: simulate(system, x, u).final))(u)
    np.testing.assert_allclose(forward, backward, rtol=1e-10, atol=1e-12)

    def bend(run: Callable, real: jax.Array) -> jax.Array:
        return loss(run, _with_real(system, real), x, u)

    twice = [
        jax.jit(jax.jacfwd(jax.grad(partial(bend, run))))(system.real)
        for run in (simulate, run_recurrence)
    ]
    np.testing.assert_allclose(*twice, rtol=1e-9)


def _with_real(system: DiagonalRecurrence, real: jax.Array) -> DiagonalRecurrence:
    return DiagonalRecurrence(real, system.imaginary, system.input_weight, system.bias)


def test_a_stack_runs_as_step_by_step(getkey: Keys):
    system = stack(getkey())
    x, u = jax.random.normal(getkey(), (system.state_size,)), jax.random.normal(getkey(), (6, 2))
    expected, found = (jax.jit(run)(system, x, u) for run in (simulate, run_stack))
    np.testing.assert_allclose(found.states, expected.states, rtol=1e-11, atol=1e-12)
    assert (found.final == found.states[-1]).all()
    none = run_stack(system, x, u[:0])
    assert none.states.shape == (0, system.state_size) and (none.final == x).all()


@pytest.mark.usefixtures("no_shape_checks")
def test_a_batch_runs_as_its_members(getkey: Keys):
    system = stack(getkey())
    x = jax.random.normal(getkey(), (3, system.state_size))
    u = jax.random.normal(getkey(), (3, 9, 2))
    expected = jax.jit(simulate_batch)(system, x, u)
    for run in (run_stack_batch, jax.vmap(run_stack, (None, 0, 0))):
        found = jax.jit(run)(system, x, u)
        np.testing.assert_allclose(found.states, expected.states, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(found.final, expected.final, rtol=1e-11, atol=1e-12)

    def loss(run: Callable, system: Stack) -> jax.Array:
        return jnp.sum(run(system, x, u).final ** 2)

    runs = (simulate_batch, run_stack_batch)
    one, other = (jax.jit(jax.grad(partial(loss, run)))(system) for run in runs)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_float32_stays_float32_and_close_over_a_thousand_steps(getkey: Keys):
    """Powers of lambda by repeated squaring lose nothing that matters."""
    system = recurrence(getkey(), 16, 2, np.float32)
    u = jax.random.normal(getkey(), (1024, 2), jnp.float32)
    found = jax.jit(run_recurrence)(system, jnp.zeros(32, jnp.float32), u).states
    assert found.dtype == jnp.float32
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), system)
    exact = jax.jit(simulate)(wide, jnp.zeros(32), u.astype(jnp.float64)).states
    error = np.abs(found - exact).max(0) / np.abs(exact).max(0)
    assert error.max() < 1e-4


@pytest.mark.usefixtures("no_shape_checks")
def test_what_does_not_fit_is_refused(getkey: Keys):
    system = recurrence(getkey(), 2, 3)
    whole = Stack((system,), (), jnp.ones((3, 1)))
    x, u = jnp.zeros(4), jnp.zeros((5, 3))
    with pytest.raises(InputProblem, match="shape|fit"):
        run_recurrence(system, x[:3], u)
    with pytest.raises(InputProblem, match="fit"):
        run_recurrence(system, x, u[:, :2])
    with pytest.raises(InputProblem, match="convert initial"):
        run_recurrence(system, x.astype(jnp.float32), u)
    with pytest.raises(InputProblem, match="fit"):
        run_stack(whole, x, u)
    with pytest.raises(InputProblem, match="one of each"):
        run_stack_batch(whole, jnp.zeros((2, 4)), jnp.zeros((3, 5, 1)))


def test_a_recurrence_without_inputs_runs():
    system = DiagonalRecurrence(jnp.array([0.5]), jnp.zeros(1))
    states = run_recurrence(system, jnp.array([8.0, 4.0]), jnp.zeros((3, 0))).states
    assert states.tolist() == [[4.0, 2.0], [2.0, 1.0], [1.0, 0.5]]


@pytest.mark.usefixtures("no_shape_checks")
def test_other_maps_are_left_to_simulate(getkey: Keys):
    cell: Any = random_elman(getkey(), 2, 3)
    for run in (run_recurrence, run_stack):
        with pytest.raises(InputProblem, match="simulate"):
            run(cell, jnp.zeros(2, jnp.float32), jnp.zeros((5, 3), jnp.float32))
