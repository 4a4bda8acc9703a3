"""Ways to run a map: the same values and gradients, less memory where that is promised."""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import (
    AbstractMap,
    ExponentialEuler,
    Scan,
    SemiImplicit,
    discretise,
    simulate,
    simulate_batch,
)
from limitset.networks import Assembly, random_gru, random_lstm, random_rate_network

STEPS, INPUTS = 23, 2


def rate_map() -> AbstractMap:
    return discretise(random_rate_network(jax.random.key(1), 4, INPUTS), ExponentialEuler(0.2))


def assembly() -> Assembly:
    modules = [random_rate_network(jax.random.key(k), 2, INPUTS) for k in (2, 3)]
    return Assembly(modules, jnp.kron(jnp.array([[0.0, -1.0], [1.0, 0.0]]), jnp.ones((2, 2))))


SYSTEMS: dict[str, Callable[[], AbstractMap]] = {
    "rate": rate_map,
    "assembly": lambda: discretise(assembly(), SemiImplicit(0.2)),
    "gru": lambda: random_gru(jax.random.key(5), 4, INPUTS),
    "lstm": lambda: random_lstm(jax.random.key(6), 4, INPUTS),
}
METHODS = {
    "everything": Scan("everything"),
    "chunks": Scan(chunk=5),
    "chunks of one": Scan(chunk=1),
    "chunks of everything": Scan("everything", chunk=8),
    "one chunk": Scan(chunk=STEPS),
}
every_system = pytest.mark.parametrize("name", SYSTEMS)
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def draw(system: AbstractMap) -> tuple[jax.Array, jax.Array]:
    one, two = jax.random.split(jax.random.key(7))
    return (
        jax.random.normal(one, (system.state_size,)),
        jax.random.normal(two, (STEPS, INPUTS)),
    )


def score(system: AbstractMap, initial: jax.Array, inputs: jax.Array, method: Scan) -> jax.Array:
    trajectory = simulate(system, initial, inputs, method=method)
    return jnp.sin(trajectory.states).sum() + trajectory.final @ trajectory.final


@every_method
@every_system
def test_values_are_the_same_bit_for_bit(name: str, method: Scan):
    system = SYSTEMS[name]()
    plain = simulate(system, *draw(system))
    other = simulate(system, *draw(system), method=method)
    assert np.array_equal(plain.states, other.states) and np.array_equal(plain.final, other.final)
    assert other.convergence is None


@pytest.mark.parametrize("name", ["assembly", "lstm"])
def test_gradients_are_the_same(name: str):
    system = SYSTEMS[name]()
    slope = jax.jit(jax.grad(score, (0, 1, 2)))
    plain = jax.tree.leaves(slope(system, *draw(system), Scan()))
    for method in METHODS.values():
        other = jax.tree.leaves(slope(system, *draw(system), method))
        for a, b in zip(plain, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("method", [Scan("everything"), Scan(chunk=5)])
def test_single_precision_and_ragged_batches(method: Scan):
    system = jax.tree.map(lambda a: a.astype(jnp.float32), rate_map())
    inputs = jax.random.normal(jax.random.key(8), (3, STEPS, INPUTS), jnp.float32)
    lengths = jnp.array([0, 7, STEPS])

    def final(method: Scan, inputs: jax.Array) -> jax.Array:
        initial = jnp.ones((3, 4), jnp.float32)
        return simulate_batch(system, initial, inputs, lengths=lengths, method=method).final

    assert np.array_equal(final(method, inputs), final(Scan(), inputs))
    # Padding that is no number spoils no gradient.
    inputs = inputs.at[1, 7:].set(jnp.nan)
    slopes = [jax.grad(lambda u, m=m: final(m, u).sum())(inputs) for m in (method, Scan())]
    assert jnp.isfinite(slopes[0]).all()
    np.testing.assert_allclose(*slopes, rtol=0, atol=1e-6)


def temporary_bytes(method: Scan, steps: int) -> int:
    """What a gradient of the last state needs besides arguments and results."""
    system = random_lstm(jax.random.key(6), 16, INPUTS)

    def loss(system: AbstractMap, inputs: jax.Array) -> jax.Array:
        initial = jnp.zeros((8, system.state_size))
        return simulate_batch(system, initial, inputs, method=method).final.sum()

    inputs = jnp.zeros((8, steps, INPUTS))
    analysis = jax.jit(jax.grad(loss)).lower(system, inputs).compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes


def test_chunks_need_the_memory_of_their_ends():
    steps = 1024
    everything = temporary_bytes(Scan("everything"), steps)
    states, chunks = temporary_bytes(Scan(), steps), temporary_bytes(Scan(chunk=32), steps)
    assert states < everything / 2
    # 32 ends, then 32 states within a chunk, instead of 1024 states; the inputs stay.
    assert chunks < states / 4 and chunks < everything / 10


def called_from_loops(program: str) -> str:
    """The text of all computations of an HLO module that some loop runs."""
    bodies = dict(re.findall(r"^%?([\w.\-]+) \([^\n]*\{\n(.*?)^\}", program, re.M | re.S))
    reached: list[str] = []
    waiting = re.findall(r"(?:body|condition)=%?([\w.\-]+)", program)
    while waiting:
        name = waiting.pop()
        if name not in reached and name in bodies:
            reached.append(name)
            waiting += re.findall(r"%([\w.\-]+)", bodies[name])
    return "\n".join(bodies[name] for name in reached)


def test_matrices_are_prepared_once_outside_the_loop():
    def run(flow: Assembly, inputs: jax.Array) -> jax.Array:
        return simulate(discretise(flow, SemiImplicit(0.2)), jnp.zeros(4), inputs).final.sum()

    def badly(flow: Assembly, inputs: jax.Array) -> jax.Array:
        def one(u: jax.Array) -> jax.Array:
            return run(Assembly(flow.modules, u.sum() * flow.coupling), u[None])

        return jax.lax.map(one, inputs).sum()

    inputs = jax.random.normal(jax.random.key(9), (STEPS, INPUTS))
    good, bad = (
        str(jax.jit(jax.grad(f)).lower(assembly(), inputs).compile().as_text())
        for f in (run, badly)
    )
    # The factorisation of I - step L, by its name in LAPACK.
    assert "getrf" in good and "dot" in called_from_loops(good)
    assert "getrf" not in called_from_loops(good)
    assert "getrf" in called_from_loops(bad)


@pytest.mark.parametrize("settings", [{"remember": "nothing"}, {"chunk": 0}, {"chunk": -3}])
def test_settings_that_are_none(settings: dict[str, object]):
    with pytest.raises(InputProblem, match="is ") as caught:
        Scan(**settings)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
