"""Factorisations in turn give what batched ones give, and are never batched."""

import re

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
import pytest
from jaxtyping import Array, Float

from limitset.contraction._one_by_one import one_by_one

STACK = jax.random.normal(jax.random.key(0), (2, 3, 4, 4)) + 4 * jnp.eye(4)


def norm(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    return jnp.linalg.svd(matrix, compute_uv=False)[0]


@pytest.mark.parametrize(
    "function", [jnp.linalg.inv, jnp.linalg.qr, norm], ids=["inverse", "qr", "norm"]
)
def test_every_matrix_gets_its_own_answer(function):  # noqa: ANN001
    together = one_by_one(function, STACK)
    for i in range(2):
        for j in range(3):
            single = function(STACK[i, j])
            for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(single), strict=True):
                assert np.array_equal(a[i, j], b)


def test_slopes_are_those_of_a_batch():
    def score(solve, a: Array) -> Array:  # noqa: ANN001
        return jnp.sin(solve(a, jnp.broadcast_to(jnp.eye(4), a.shape))).sum()

    in_turn = jax.grad(lambda a: score(lambda *m: one_by_one(jsl.solve_triangular, *m), a))
    batched = jax.grad(lambda a: score(jsl.solve_triangular, a))
    np.testing.assert_allclose(in_turn(STACK), batched(STACK), rtol=1e-12, atol=1e-14)


def test_single_matrices_pass_through_and_calls_are_single():
    assert np.array_equal(one_by_one(jnp.linalg.inv, STACK[0, 0]), jnp.linalg.inv(STACK[0, 0]))
    text = jax.jit(lambda a: one_by_one(jnp.linalg.inv, a)).lower(STACK).as_text()
    calls = [line for line in text.splitlines() if "@lapack" in line]
    assert calls and not any(
        re.search(r"tensor<\d+x\d+x\d+x", c.rpartition(" : ")[2]) for c in calls
    )
