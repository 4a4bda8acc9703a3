"""Linear recurrences at once: equal to the loop, with all derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.dynamics import affine_scan

STEPS, SIZE = 13, 3


@jax.jit
def loop(matrices: jax.Array, offsets: jax.Array) -> jax.Array:
    def step(x: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x = now[0] @ x + now[1]
        return x, x

    return jax.lax.scan(step, jnp.zeros(SIZE), (matrices, offsets))[1]


def draw(seed: int, steps: int = STEPS) -> tuple[jax.Array, jax.Array]:
    one, two = jax.random.split(jax.random.key(seed))
    matrices = 0.5 * jax.random.normal(one, (steps, SIZE, SIZE))
    return matrices, jax.random.normal(two, (steps, SIZE))


@pytest.mark.parametrize("steps", [1, 2, 7, 8])
def test_it_equals_the_loop(steps: int):
    system = draw(steps, steps)
    np.testing.assert_allclose(affine_scan(*system), loop(*system), rtol=0, atol=1e-13)


def test_the_first_matrix_does_not_count():
    matrices, offsets = draw(0)
    other = affine_scan(matrices.at[0].set(7.0), offsets)
    np.testing.assert_allclose(other, loop(matrices, offsets), rtol=0, atol=1e-13)


def test_derivatives_in_both_modes_and_of_second_order():
    def score(run):  # noqa: ANN001, ANN202
        return lambda matrices, offsets: jnp.sin(run(matrices, offsets)).sum()

    system = draw(1, 5)
    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        ours, plain = (
            jax.jit(derivative(score(run), (0, 1)))(*system) for run in (affine_scan, loop)
        )
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_batches_of_offsets_share_the_matrices():
    matrices, offsets = draw(2)
    batch = jnp.stack([offsets, 2 * offsets])
    both = jax.vmap(affine_scan, (None, 0))(matrices, batch)
    np.testing.assert_allclose(both[1], 2 * both[0], rtol=1e-12)
    slope = jax.grad(lambda b: jax.vmap(affine_scan, (None, 0))(matrices, b).sum())(batch)
    np.testing.assert_allclose(slope[0], slope[1], rtol=1e-12)
