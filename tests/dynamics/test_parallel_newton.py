"""Newton along time: the trajectory of the scan, its gradients, and honesty where it fails."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import (
    AbstractMap,
    ExplicitEuler,
    ExponentialEuler,
    ParallelNewton,
    Scan,
    SemiImplicit,
    discretise,
    simulate,
    simulate_batch,
)
from limitset.networks import Assembly, RateNetwork, random_elman, random_gru, random_rate_network

STEPS, INPUTS = 60, 2


def rate_map() -> AbstractMap:
    network = random_rate_network(jax.random.key(1), 5, INPUTS, gain=0.7)
    return discretise(network, ExponentialEuler(0.3))


def assembly_map() -> AbstractMap:
    modules = [random_rate_network(jax.random.key(k), 2, INPUTS, gain=0.5) for k in (2, 3)]
    skew = jnp.kron(jnp.array([[0.0, -1.0], [1.0, 0.0]]), jnp.ones((2, 2)))
    return discretise(Assembly(modules, skew), SemiImplicit(0.2))


SYSTEMS = {
    "rate": rate_map,
    "assembly": assembly_map,
    "elman": lambda: random_elman(jax.random.key(4), 4, INPUTS),
    "gru": lambda: random_gru(jax.random.key(5), 4, INPUTS),
}


def draw(system: AbstractMap, dtype: Any = jnp.float64) -> tuple[jax.Array, jax.Array]:
    one, two = jax.random.split(jax.random.key(7))
    inputs = jax.random.normal(two, (STEPS, INPUTS), dtype)
    return jax.random.normal(one, (system.state_size,), dtype), inputs


def score(system: AbstractMap, initial: jax.Array, inputs: jax.Array, method: object) -> jax.Array:
    trajectory = simulate(system, initial, inputs, method=method)  # pyright: ignore[reportArgumentType]
    return jnp.sin(trajectory.states).sum() + trajectory.final @ trajectory.final


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_finds_the_trajectory_of_the_scan(name: str):
    system = SYSTEMS[name]()
    found = simulate(system, *draw(system), method=ParallelNewton())
    plain = simulate(system, *draw(system))
    np.testing.assert_allclose(found.states, plain.states, rtol=0, atol=1e-12)
    assert np.array_equal(found.final, found.states[-1])
    assert found.convergence is not None and bool(found.convergence.converged)
    assert 1 <= int(found.convergence.iterations) <= 12
    assert float(found.convergence.residual) < 1e-12


def test_single_precision():
    system = jax.tree.map(lambda a: a.astype(jnp.float32), rate_map())
    found = simulate(system, *draw(system, jnp.float32), method=ParallelNewton())
    assert found.states.dtype == jnp.float32 and found.convergence is not None
    plain = simulate(system, *draw(system, jnp.float32))
    np.testing.assert_allclose(found.states, plain.states, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["assembly", "gru"])
def test_gradients_are_those_of_the_scan(name: str):
    system = SYSTEMS[name]()
    slope = jax.jit(jax.grad(score, (0, 1, 2)))
    plain = slope(system, *draw(system), Scan())
    found = slope(system, *draw(system), ParallelNewton())
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_second_derivatives_and_forward_mode():
    system = rate_map()
    initial, inputs = draw(system)
    for derivative in (jax.hessian, jax.jacfwd):
        plain, found = (
            jax.jit(derivative(lambda x, m=m: score(system, x, inputs[:9], m)))(initial)
            for m in (Scan(), ParallelNewton())
        )
        np.testing.assert_allclose(plain, found, rtol=0, atol=1e-9)


def test_ragged_batches():
    system, lengths = rate_map(), jnp.array([0, 1, 17, STEPS])
    inputs = jax.random.normal(jax.random.key(8), (4, STEPS, INPUTS))
    initial = jax.random.normal(jax.random.key(9), (4, 5))
    found, plain = (
        simulate_batch(system, initial, inputs, lengths=lengths, method=m)
        for m in (ParallelNewton(), Scan())
    )
    np.testing.assert_allclose(found.states, plain.states, rtol=0, atol=1e-12)
    assert found.convergence is not None and found.convergence.converged.all()


def test_linear_maps_take_one_iteration():
    network = random_rate_network(jax.random.key(1), 5, INPUTS, gain=0.7, activation="identity")
    system = discretise(network, ExplicitEuler(0.3))
    found = simulate(system, *draw(system), method=ParallelNewton())
    assert found.convergence is not None and int(found.convergence.iterations) == 1


def test_no_steps():
    system = discretise(random_rate_network(jax.random.key(1), 3), ExplicitEuler(0.3))
    found = simulate(system, jnp.ones(3), steps=0, method=ParallelNewton())
    assert found.states.shape == (0, 3) and np.array_equal(found.final, jnp.ones(3))


def test_iterations_do_not_grow_with_the_sequence():
    system = rate_map()
    inputs = jax.random.normal(jax.random.key(8), (4000, INPUTS))
    run = jax.jit(lambda u: simulate(system, jnp.zeros(5), u, method=ParallelNewton()).convergence)
    assert int(run(inputs).iterations) <= int(run(inputs[:100]).iterations) + 1


# --- Diagonals only -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["assembly", "gru"])
def test_diagonals_find_the_trajectory_of_the_scan(name: str):
    system = SYSTEMS[name]()
    found = simulate(system, *draw(system), method=ParallelNewton(jacobian="diagonal"))
    plain = simulate(system, *draw(system))
    np.testing.assert_allclose(found.states, plain.states, rtol=0, atol=1e-11)
    assert found.convergence is not None and bool(found.convergence.converged)
    assert 1 <= int(found.convergence.iterations) < STEPS


def test_gradients_by_diagonals_are_those_of_the_scan():
    system = assembly_map()
    slope = jax.jit(jax.grad(score, (0, 1, 2)))
    plain = slope(system, *draw(system), Scan())
    found = slope(system, *draw(system), ParallelNewton(jacobian="diagonal"))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_diagonal_maps_take_the_iterations_of_the_full_jacobian():
    network = random_rate_network(jax.random.key(1), 5, INPUTS, gain=0.7)
    alone = eqx.tree_at(lambda n: n.weight, network, jnp.diag(jnp.diag(network.weight)))
    system = discretise(alone, ExplicitEuler(0.3))
    counts = [
        simulate(system, *draw(system), method=ParallelNewton(jacobian=kind)).convergence
        for kind in ("full", "diagonal")
    ]
    assert all(count is not None and bool(count.converged) for count in counts)
    first, second = (int(count.iterations) for count in counts if count is not None)
    assert first == second


def test_a_shift_takes_diagonals_as_many_iterations_as_its_length():
    """The diagonals of a delay line are 0: what enters moves on by one unit an iteration."""
    weight = jnp.eye(8, k=-1)
    network = RateNetwork(weight, jnp.eye(8)[:, :1], activation="identity")
    system = discretise(network, ExplicitEuler(1.0))
    initial, inputs = jnp.zeros(8), jnp.ones((20, 1))
    found = simulate(system, initial, inputs, method=ParallelNewton(jacobian="diagonal"))
    plain = simulate(system, initial, inputs)
    np.testing.assert_allclose(found.states, plain.states, rtol=0, atol=1e-12)
    assert found.convergence is not None and int(found.convergence.iterations) == 8


def test_diagonals_that_do_not_arrive_leave_no_states():
    system = rate_map()
    method = ParallelNewton(iterations=2, jacobian="diagonal")
    found = simulate(system, *draw(system), method=method)
    assert found.convergence is not None and not bool(found.convergence.converged)
    assert jnp.isnan(found.states).all()


def test_diagonals_keep_no_matrices():
    """No array of the compiled program has a matrix a step."""
    system = assembly_map()
    steps, size = STEPS, system.state_size

    def text(kind: str) -> str:
        run = lambda x, u: score(system, x, u, ParallelNewton(jacobian=kind))  # noqa: E731
        return jax.jit(jax.grad(run)).lower(*draw(system)).as_text()

    matrices = (f"tensor<{steps}x{size}x{size}x", f"tensor<{size}x{steps}x{size}x")
    assert any(words in text("full") for words in matrices)
    assert not any(words in text("diagonal") for words in matrices)


# --- Where it fails, it says so -------------------------------------------------------------------


def test_too_few_iterations_leave_no_states():
    system = rate_map()
    found = simulate(system, *draw(system), method=ParallelNewton(iterations=1))
    assert found.convergence is not None and not bool(found.convergence.converged)
    assert float(found.convergence.residual) > 1e-6
    assert jnp.isnan(found.states).all() and jnp.isnan(found.final).all()


def test_a_wider_tolerance_takes_what_there_is():
    system = rate_map()
    rough = ParallelNewton(iterations=1, tolerance=10.0)
    found = simulate(system, *draw(system), method=rough)
    assert found.convergence is not None and bool(found.convergence.converged)
    assert jnp.isfinite(found.states).all()


def test_a_tolerance_below_rounding_ends_and_says_so():
    system = rate_map()
    found = simulate(system, *draw(system), method=ParallelNewton(tolerance=0.0))
    assert found.convergence is not None
    exact = float(found.convergence.residual) == 0.0
    assert bool(found.convergence.converged) == exact
    assert bool(jnp.isnan(found.states).all()) != exact


def test_inputs_that_are_no_numbers_end_it():
    system = rate_map()
    initial, inputs = draw(system)
    found = simulate(system, initial, inputs.at[30].set(jnp.nan), method=ParallelNewton())
    assert found.convergence is not None and not bool(found.convergence.converged)
    assert jnp.isnan(found.states).all()


def test_a_chaotic_map_is_right_or_refused():
    system = discretise(random_rate_network(jax.random.key(3), 20, gain=6.0), ExplicitEuler(0.5))
    initial = jax.random.normal(jax.random.key(4), (20,))
    found = simulate(system, initial, steps=STEPS, method=ParallelNewton())
    plain = simulate(system, initial, steps=STEPS)
    assert found.convergence is not None
    if bool(found.convergence.converged):
        following = jax.vmap(lambda x: system.advance(0, x, jnp.zeros(0)))(found.states[:-1])
        np.testing.assert_allclose(found.states[1:], following, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.states[:5], plain.states[:5], rtol=0, atol=1e-9)
    else:
        assert jnp.isnan(found.states).all()


@pytest.mark.parametrize("settings", [{"iterations": 0}, {"tolerance": -1.0}, {"jacobian": "some"}])
def test_settings_that_are_none(settings: dict[str, object]):
    with pytest.raises(InputProblem, match="is ") as caught:
        ParallelNewton(**settings)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
