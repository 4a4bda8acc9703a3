"""Composites against their parts, run one by one; the assemblies they are; what they refuse."""

from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limitset._result import InputProblem
from limitset.dynamics import (
    BackwardEuler,
    Cayley,
    CompositeMap,
    EulerMap,
    ExplicitEuler,
    ExponentialEuler,
    Rotation,
    SemiImplicit,
    discretise,
    propagator,
)
from limitset.networks import Assembly, Composite, RateNetwork, flatten, scaled_speed

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture
def untyped():
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def module(rng: np.random.Generator, size: int, form: str = "hopfield") -> RateNetwork:
    arrays = (rng.standard_normal(s) for s in ((size, size), (size, 2), (size,)))
    leak, time_constant = rng.uniform(0.5, 2.0, 2)
    return RateNetwork(*map(jnp.asarray, arrays), form=form, leak=leak, time_constant=time_constant)


def between(rng: np.random.Generator, sizes: list[int]) -> jax.Array:
    """A coupling without blocks on the diagonal."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    coupling = rng.standard_normal((sum(sizes),) * 2) * (owner[:, None] != owner)
    return jnp.asarray(coupling)


def same(a: jax.Array, b: jax.Array, tolerance: float = 1e-12) -> bool:
    return bool(jnp.allclose(a, b, rtol=tolerance, atol=tolerance))


def draw(seed: int) -> tuple[Composite, jax.Array, jax.Array]:
    """A module beside a composite of a module and an assembly, at speeds of their own."""
    rng = np.random.default_rng(seed)
    pair = Assembly([module(rng, 2), module(rng, 2, "firing_rate")], between(rng, [2, 2]))
    speeds = [jnp.asarray(np.exp(rng.standard_normal(2))) for _ in range(2)]
    inner = Composite((module(rng, 1), pair), between(rng, [1, 4]), speeds[0])
    whole = Composite((module(rng, 2), inner), between(rng, [2, 5]), speeds[1])
    return whole, jnp.asarray(rng.standard_normal(7)), jnp.asarray(rng.standard_normal(2))


@settings(max_examples=4)
@given(seeds)
def test_velocities_are_those_of_the_parts_and_of_the_flattened_assembly(seed: int):
    whole, x, u = draw(seed)
    own = [part.velocity(0.3, p, u) for part, p in zip(whole.parts, (x[:2], x[2:]), strict=True)]
    expected = jnp.concatenate([s * v for s, v in zip(whole.speeds, own, strict=True)])
    velocity = whole.velocity(0.3, x, u)
    assert same(velocity, expected + whole.coupling @ x)
    flat = flatten(whole)
    assert isinstance(flat, Assembly) and flat.sizes == (2, 1, 2, 2)
    assert same(flat.velocity(0.0, x, u), velocity)


@settings(max_examples=4)
@given(seeds, st.sampled_from([SemiImplicit, Cayley, Rotation]))
def test_maps_step_the_parts_then_mix(seed: int, scheme: type):
    """The parts' own maps, of their sped up flows, then the propagator; of first order."""
    whole, x, u = draw(seed)
    running = discretise(whole, scheme(0.25))
    assert isinstance(running, CompositeMap) and running.sizes == (2, 5)
    assert isinstance(running.parts[1], CompositeMap)
    first = discretise(scaled_speed(whole.parts[0], whole.speeds[0]), ExplicitEuler(0.25))
    inner = discretise(scaled_speed(whole.parts[1], whole.speeds[1]), scheme(0.25))
    stepped = jnp.concatenate([first.advance(0, x[:2], u), inner.advance(0, x[2:], u)])
    expected = propagator(whole.coupling, scheme(0.25)) @ stepped
    assert same(running.advance(0, x, u), expected)
    errors = []
    for h in (1e-3, 5e-4):
        moved = discretise(whole, scheme(h)).advance(0, x, u)
        errors.append(float(jnp.abs((moved - x) / h - whole.velocity(0.0, x, u)).max()))
    assert errors[1] < 0.6 * errors[0]


def test_other_schemes_step_the_whole_or_are_refused():
    whole, x, u = draw(0)
    euler = discretise(whole, ExplicitEuler(0.1))
    assert isinstance(euler, EulerMap)
    implicit = discretise(whole, BackwardEuler(0.1)).advance(0, x, u)
    assert same(implicit, x + 0.1 * whole.velocity(0.0, implicit, u), 1e-9)
    with pytest.raises(InputProblem, match="flatten"):
        discretise(whole, ExponentialEuler(0.1))


def test_a_training_loop_may_learn_speeds_and_couplings():
    whole, x, u = draw(1)

    @jax.jit
    def loss(coupling: jax.Array, speeds: jax.Array) -> jax.Array:
        system = Composite(whole.parts, coupling, speeds)
        running = discretise(system, Cayley(0.1))
        return jnp.sum(running.advance(0, x, u)) + jnp.sum(system.velocity(0.0, x, u))

    gradients = jax.grad(loss, (0, 1))(whole.coupling, whole.speeds)
    assert all(bool(jnp.isfinite(g).all() and (g != 0).any()) for g in gradients)


def test_diagonal_blocks_damp_parts_but_are_no_assembly():
    rng = np.random.default_rng(2)
    part = module(rng, 2)
    damped = Composite((part,), -3.0 * jnp.eye(2))
    x, u = jnp.ones(2), jnp.zeros(2)
    assert same(damped.velocity(0.0, x, u), part.velocity(0.0, x, u) - 3.0)
    with pytest.raises(InputProblem, match="within|between units of one module"):
        flatten(damped)


@pytest.mark.usefixtures("untyped")
def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(3)
    one, two = module(rng, 1), module(rng, 2)
    other = RateNetwork(jnp.zeros((1, 1)))
    single = RateNetwork(jnp.zeros((1, 1), jnp.float32), jnp.zeros((1, 2), jnp.float32))
    zero = jnp.zeros((3, 3))
    cell = discretise(one, ExplicitEuler(0.1))
    cases: tuple[tuple[Any, ...], ...] = (
        ((), jnp.zeros((0, 0)), None, "nothing"),
        ((one, cell), zero, None, "RateMap"),
        ((one, two), jnp.zeros((2, 2)), None, r"\(3, 3\)"),
        ((two, other), zero, None, "inputs"),
        ((two, single), zero, None, "dtypes"),
        ((one, two), zero, jnp.ones(3), "2 parts"),
        ((one, two), zero, jnp.ones(2, jnp.float32), "dtype"),
        ((one, two), zero, jnp.array([1.0, 0.0]), "positive"),
        ((one, two), zero, jnp.array([1.0, jnp.nan]), "positive"),
    )
    for parts, coupling, speeds, words in cases:
        with pytest.raises(InputProblem, match=words):
            Composite(parts, coupling, speeds)
    with pytest.raises(InputProblem, match="map"):
        CompositeMap((one,), jnp.zeros((1, 1)))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputProblem, match="mixing"):
        CompositeMap((cell,), zero)
