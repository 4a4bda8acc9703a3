"""Maps under an input that does not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import HeldMap, simulate, solve_equilibrium
from limitset.networks import (
    GRU,
    DenseOperator,
    GradientBlock,
    ResidualBlock,
)
from limitset.proofs import MapFixedPoint, Stability, prove_map_fixed_point

pytestmark = pytest.mark.usefixtures("untyped")


def draw(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def gru() -> GRU:
    return GRU(draw(0, 12, 2), draw(1, 12, 4), draw(2, 12), draw(3, 12))


def proved(map_: HeldMap, near: np.ndarray) -> MapFixedPoint:
    answer = prove_map_fixed_point(map_, near)
    assert isinstance(answer, MapFixedPoint), answer
    return answer


def test_the_trajectory_is_that_of_the_input_repeated():
    u = draw(4, 2)
    held = HeldMap(gru(), u)
    ours = simulate(held, jnp.zeros(4), steps=7)
    theirs = simulate(gru(), jnp.zeros(4), inputs=jnp.tile(u, (7, 1)))
    np.testing.assert_array_equal(ours.states, theirs.states)


def test_the_fixed_point_of_a_gru_under_an_input_is_proved():
    held = HeldMap(gru(), draw(4, 2))
    x = simulate(held, jnp.zeros(4), steps=1000).states[-1]
    point = proved(held, np.asarray(x))
    assert point.stability is Stability.STABLE and point.radius.max() < 1e-12
    assert bool((np.abs(np.asarray(x) - point.center) <= point.radius + 1e-12).all())


def test_the_rest_of_a_tanh_block_is_where_its_layer_is_zero():
    """`A x + B u + b = 0`, whatever the step."""
    root = draw(5, 3, 3)
    A, B, b, u = -(root.T @ root) / 4 - 0.3 * jnp.eye(3), draw(6, 3, 2), draw(7, 3), draw(8, 2)
    block = ResidualBlock(DenseOperator(A), DenseOperator(B), b, jnp.array(0.2), "tanh")
    rest = -np.linalg.solve(np.asarray(A), np.asarray(B @ u + b))
    point = proved(HeldMap(block, u), rest)
    np.testing.assert_allclose(point.center, rest, rtol=1e-10)
    assert point.stability is Stability.STABLE and point.basin_radius > 0


def test_the_rest_of_a_gradient_block_that_the_solver_finds_is_proved():
    reading, entering = DenseOperator(draw(9, 5, 4) / 3), DenseOperator(draw(10, 5, 2))
    block = GradientBlock(
        reading, entering, draw(11, 5), jnp.array(0.5), jnp.array(0.4), "softplus"
    )
    u = draw(12, 2)
    rest = solve_equilibrium(block, u, tolerance=1e-12)
    point = proved(HeldMap(block, u), np.asarray(rest.state))
    assert float(jnp.abs(rest.state - point.center).max()) < 1e-9
    assert point.stability is Stability.STABLE


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (jnp.zeros(3), "shape (3,); the map needs (2,)"),
        (jnp.array([0.0, jnp.nan]), "not finite"),
        ([0.0, 0.0], "held is a list"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(held: object, message: str):
    with pytest.raises(InputProblem) as problem:
        HeldMap(gru(), held)  # pyright: ignore[reportArgumentType]
    assert message in str(problem.value)
