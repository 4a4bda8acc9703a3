"""Equilibria and their implicit gradients, against long unrolling and closed forms."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import NotConverged, solve_equilibrium, unroll
from limitset.networks import (
    AbstractBlock,
    Convolution,
    DenseOperator,
    EquilibriumBlock,
    GradientBlock,
    NegativeGram,
    ResidualBlock,
    untie,
)

SIZE, INPUTS = 4, 3


def _draw(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def equilibrium(activation: str = "relu") -> EquilibriumBlock:
    W = _draw(SIZE, SIZE)
    W = 0.6 * W / jnp.abs(W).sum(1).max()
    entering = DenseOperator(_draw(SIZE, INPUTS, seed=1))
    return EquilibriumBlock(
        DenseOperator(W), entering, _draw(SIZE, seed=2), jnp.array(0.8), activation
    )


def gradient(activation: str = "relu") -> GradientBlock:
    R = DenseOperator(_draw(SIZE, SIZE) / 4)
    entering = DenseOperator(_draw(SIZE, INPUTS, seed=1))
    bias = _draw(SIZE, seed=2)
    return GradientBlock(R, entering, bias, jnp.array(0.5), jnp.array(0.5), activation)


def gram(activation: str = "tanh") -> ResidualBlock:
    inner = DenseOperator(_draw(SIZE, SIZE) / 3)
    rates = jnp.linspace(0.5, 1.0, SIZE)
    A = NegativeGram(inner, jnp.array(0.5), jnp.array(0.3), rates)
    entering = DenseOperator(_draw(SIZE, INPUTS, seed=1))
    return ResidualBlock(A, entering, _draw(SIZE, seed=2), jnp.array(1.0), activation)


def dense_tanh() -> ResidualBlock:
    R = _draw(SIZE, SIZE) / 3
    A = DenseOperator(-R.T @ R - 0.3 * jnp.eye(SIZE))
    return dataclasses.replace(gram(), state_operator=A)


def convolution() -> ResidualBlock:
    taps = (_draw(2, 2, 3, 3, seed=3) / 60).at[jnp.arange(2), jnp.arange(2), 1, 1].set(-0.9)
    entering = Convolution(_draw(2, 1, 3, 3, seed=4), 2, 3)
    return ResidualBlock(
        Convolution(taps, 2, 3), entering, _draw(2), jnp.array(1.0), "leaky_relu:0.5"
    )


BLOCKS = {
    "equilibrium relu": equilibrium(),
    "equilibrium tanh": equilibrium("tanh"),
    "gradient relu": gradient(),
    "gram tanh": gram(),
    "dense tanh": dense_tanh(),
    "convolution": convolution(),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_states_and_gradients_equal_those_of_long_unrolling(name: str):
    block = BLOCKS[name]
    u, weights = _draw(block.input_size, seed=5), _draw(block.state_size, seed=6)

    def implicit(given: tuple[AbstractBlock, jax.Array]) -> jax.Array:
        rest = solve_equilibrium(*given, tolerance=1e-13, cap=4000)
        return weights @ jnp.tanh(rest.state)

    def unrolled(given: tuple[AbstractBlock, jax.Array]) -> jax.Array:
        return weights @ jnp.tanh(unroll(*given, 1500))

    found, slope = jax.jit(jax.value_and_grad(implicit))((block, u))
    expected, exact = jax.jit(jax.value_and_grad(unrolled))((block, u))
    np.testing.assert_allclose(float(found), float(expected), rtol=1e-9)
    for one, other in zip(jax.tree.leaves(slope), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-7, atol=1e-9)


def test_nais_converged_tanh_is_the_closed_form():
    block, u = dense_tanh(), _draw(INPUTS, seed=5)
    A, B = (np.asarray(o.matrix) for o in (block.state_operator, block.input_operator))  # type: ignore[union-attr]
    exact = -np.linalg.solve(A, B @ np.asarray(u) + np.asarray(block.bias))
    np.testing.assert_allclose(np.asarray(solve_equilibrium(block, u).state), exact, rtol=1e-10)
    slope = jax.jacrev(lambda v: solve_equilibrium(block, v).state)(u)
    np.testing.assert_allclose(np.asarray(slope), -np.linalg.solve(A, B), rtol=1e-10)


def test_the_adjoint_takes_as_many_steps_as_the_state():
    """J and its transpose contract alike: a cap that suffices for one suffices for the other."""
    block, u = equilibrium("tanh"), _draw(INPUTS, seed=5)
    taken = int(solve_equilibrium(block, u, tolerance=1e-8).iterations)
    assert 5 < taken < 60

    def loss(v: jax.Array) -> jax.Array:
        return solve_equilibrium(block, v, tolerance=1e-8, cap=2 * taken).state.sum()

    assert np.isfinite(np.asarray(jax.grad(loss)(u))).all()


def test_what_does_not_converge_says_so():
    block, u = equilibrium("tanh"), _draw(INPUTS, seed=5)
    with pytest.raises(NotConverged) as told:
        solve_equilibrium(block, u, tolerance=1e-12, cap=3)
    assert "\n" not in str(told.value) and "after 3 iterations" in str(told.value)
    inside = jax.jit(lambda v: solve_equilibrium(block, v, tolerance=1e-12, cap=3))(u)
    assert not bool(inside.converged) and np.isnan(np.asarray(inside.state)).all()
    slope = jax.jit(
        jax.grad(lambda v: solve_equilibrium(block, v, tolerance=1e-12, cap=3).state.sum())
    )(u)
    assert np.isnan(np.asarray(slope)).all()
    growing = DenseOperator(3 * jnp.eye(SIZE))
    far = dataclasses.replace(equilibrium(), state_operator=growing, bias=jnp.full(SIZE, 9.0))
    with pytest.raises(NotConverged):
        solve_equilibrium(far, jnp.ones(INPUTS))


def test_batches_by_vmap():
    block, inputs = gradient(), _draw(5, INPUTS, seed=7)
    rests = jax.vmap(lambda u: solve_equilibrium(block, u, tolerance=1e-10))(inputs)
    assert np.asarray(rests.converged).all()
    one = solve_equilibrium(block, inputs[3], tolerance=1e-10)
    np.testing.assert_allclose(np.asarray(rests.state[3]), np.asarray(one.state), rtol=1e-8)


def test_nais_pitfall_implicit_gradients_of_relu_limits_are_refused():
    block = dataclasses.replace(dense_tanh(), activation="relu")
    with pytest.raises(InputProblem, match="residual block with relu depends on its first state"):
        solve_equilibrium(block, _draw(INPUTS))


@pytest.mark.usefixtures("untyped")
def test_unusable_arguments_are_refused():
    block, u = equilibrium(), _draw(INPUTS)
    calls: list[Any] = [
        lambda: solve_equilibrium(untie([block]), u),
        lambda: solve_equilibrium(block, u, tolerance=0.0),
        lambda: solve_equilibrium(block, u, tolerance=float("nan")),
        lambda: solve_equilibrium(block, u, cap=0),
        lambda: solve_equilibrium(block, _draw(9)),
    ]
    for call in calls:
        with pytest.raises(InputProblem) as refused:
            call()
        assert "\n" not in str(refused.value)
