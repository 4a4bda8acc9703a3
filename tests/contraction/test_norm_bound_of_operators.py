"""Bounds of norms that training differentiates: from above, and how far above."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contraction.dense_blocks import PADDINGS, matrix_of
from limitset import InputProblem
from limitset.contraction import norm_bound
from limitset.networks import Convolution, DenseOperator, MeanPool, Padding

pytestmark = pytest.mark.usefixtures("no_shape_checks")

SECOND_DIFFERENCE = jnp.array([-1.0, 2.0, -1.0]).reshape(1, 1, 1, 3)


def test_nais_gram_iteration_comes_from_above():
    """The figures for Gaussian matrices of 256 x 256, after 1 to 6 iterations."""
    matrix = np.random.default_rng(0).standard_normal((256, 256))
    norm = np.linalg.norm(matrix, 2)
    bounds = [
        float(norm_bound(DenseOperator(jnp.asarray(matrix)), iterations=k)) / norm
        for k in range(1, 7)
    ]
    assert all(bound >= 1 for bound in bounds)
    # They depend on how near the largest singular values are to each other.
    assert bounds[:3] == pytest.approx([2.38, 1.40, 1.12], rel=0.02)
    assert bounds[3:] == pytest.approx([1.033, 1.0067, 1.0007], abs=0.01)


def test_nais_pitfall_power_iteration_comes_from_below():
    """After 1, 5 and 20 steps: 0.84, 0.94 and 0.99 of the truth. No bound is made of it."""
    matrix = np.random.default_rng(0).standard_normal((256, 256))
    norm, x = np.linalg.norm(matrix, 2), np.random.default_rng(1).standard_normal(256)
    found = []
    for _ in range(20):
        x = matrix.T @ (matrix @ x)
        x /= np.linalg.norm(x)
        found.append(np.linalg.norm(matrix @ x) / norm)
    assert 0.75 < found[0] < 0.9 < found[4] < 0.97 < found[19] < 1
    assert float(norm_bound(DenseOperator(jnp.asarray(matrix)))) >= norm


@settings(max_examples=30)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 1), (3, 7), (7, 3)]),
    st.sampled_from([1e-30, 1.0, 1e30]),
    st.sampled_from([1, 2, 7]),
)
def test_matrices_of_any_size_and_rank(seed: int, shape: tuple[int, int], size: float, rank: int):
    """In float32, from tiny to enormous; at most 2 % above where a dozen values could be equal."""
    rng = np.random.default_rng(seed)
    left, right = rng.standard_normal((shape[0], rank)), rng.standard_normal((rank, shape[1]))
    matrix = (size * left @ right).astype(np.float32)
    norm = np.linalg.norm(matrix.astype(np.float64), 2)
    assert norm <= float(norm_bound(DenseOperator(jnp.asarray(matrix)))) <= 1.02 * norm


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_nais_convolutions_are_bounded_at_every_padding(padding: str, size: int):
    """Against dense matrices; sharp where the padding is circular or there is one tap."""
    rng = np.random.default_rng(size)
    taps = rng.standard_normal((3, 2, size, size))
    operator = Convolution(jnp.asarray(taps), 4, 5, Padding(padding))
    norm = np.linalg.norm(matrix_of(operator), 2)
    bound = float(norm_bound(operator))
    assert bound >= norm
    if padding == "circular" or size == 1:
        assert bound == pytest.approx(norm, rel=1e-9) and 0.99 * bound < norm


def test_nais_pitfall_zero_padding_bounded_by_circular_frequencies():
    """(-1, 2, -1) on 5 pixels: norm 3.618 circular, 3.732 with zeros, whose bound is 3.802."""
    circular = float(norm_bound(Convolution(SECOND_DIFFERENCE, 1, 5, Padding("circular"))))
    zeros = Convolution(SECOND_DIFFERENCE, 1, 5)
    norm = np.linalg.norm(matrix_of(zeros), 2)
    assert circular == pytest.approx(3.618, abs=5e-4) and norm == pytest.approx(3.732, abs=5e-4)
    assert circular < norm < float(norm_bound(zeros)) == pytest.approx(3.802, abs=5e-4)


def test_nais_large_images_have_coarse_grids():
    """Their bound does not depend on the size, and exceeds all of their norms."""
    for padding in ("zero", "circular"):
        bounds = [
            float(norm_bound(Convolution(SECOND_DIFFERENCE, 1, n, Padding(padding))))
            for n in (60, 600)
        ]
        assert bounds[0] == bounds[1] and 4.0 <= bounds[0] < 4.013
    # At grid frequencies alone, waves between them would exceed it.
    shifted = jnp.asarray(np.cos(np.pi * np.arange(-1, 2) / 40 + 0.3)).reshape(1, 1, 1, 3)
    operator = Convolution(shifted, 1, 400)
    assert float(norm_bound(operator)) >= np.linalg.norm(matrix_of(operator), 2)


def test_the_slope_is_that_of_the_norm():
    """`u v^T` of the largest singular value, once it stands alone."""
    matrix = np.random.default_rng(2).standard_normal((4, 3)) + 3 * np.ones((4, 3))
    slope = jax.grad(lambda m: norm_bound(DenseOperator(m)))(jnp.asarray(matrix))
    u, _, v = np.linalg.svd(matrix)
    np.testing.assert_allclose(slope, np.outer(u[:, 0], v[0]), atol=1e-9)


def test_nais_pitfall_zero_operators():
    """The bound of zeros is 0, and its slope a number."""
    for operator in (DenseOperator(jnp.zeros((3, 2))), Convolution(jnp.zeros((2, 2, 3, 3)), 4, 4)):
        bound, slope = jax.value_and_grad(norm_bound)(operator)
        assert float(bound) == 0
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_other_operators_are_refused():
    with pytest.raises(InputProblem, match="MeanPool is not bounded here"):
        norm_bound(MeanPool(1, 2, 2, 2))
    with pytest.raises(InputProblem, match="iterations is 0"):
        norm_bound(DenseOperator(jnp.eye(2)), iterations=0)
