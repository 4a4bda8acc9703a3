"""Norms of convolutions against their matrices, at every padding and stride."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import Convolution, Padding, dense_matrix
from limitset.proofs import (
    Ball,
    convolution_matrix,
    convolution_norm_upper,
    convolution_row_sums,
    gershgorin_norm_upper,
)
from limitset.proofs._convolution_norm import symbol_norm_upper

pytestmark = pytest.mark.usefixtures("no_shape_checks")

SECOND_DIFFERENCE = np.array([-1.0, 2.0, -1.0]).reshape(1, 1, 1, 3)
# Taps (outputs, inputs, k, l) and image.
SHAPES = (((2, 3, 3, 3), (6, 7)), ((3, 2, 5, 3), (5, 4)), ((2, 2, 1, 3), (2, 9)))


def images(taps: np.ndarray, size: tuple[int, int], padding: Padding, stride: int) -> np.ndarray:
    """The matrix from the images of unit vectors."""
    return np.asarray(dense_matrix(Convolution(jnp.asarray(taps), *size, padding, stride)))


@pytest.mark.parametrize("padding", Padding)
@pytest.mark.parametrize("index", range(len(SHAPES)))
def test_nais_every_bound_holds_against_the_dense_operator(padding: Padding, index: int):
    """The matrix is that of the convolution; the sharp bound, 1 % smaller, is below the norm."""
    shape, size = SHAPES[index]
    taps = np.random.default_rng(index).standard_normal(shape)
    for stride in (1, 2, 3):
        dense = images(taps, size, padding, stride)
        matrix = convolution_matrix(taps, *size, padding, stride)
        assert np.abs(matrix.mid - dense).max() <= 1e-14
        truth = np.linalg.norm(dense, 2)
        sharp = convolution_norm_upper(taps, *size, padding, stride)
        assert 0.99 * sharp < truth <= sharp * (1 + 1e-13)
        for bound in (symbol_norm_upper, gershgorin_norm_upper):
            assert truth <= bound(taps, *size, padding, stride) * (1 + 1e-13)
        rows = np.abs(dense).sum(1).reshape(shape[0], -1).max(1)
        assert (rows <= convolution_row_sums(taps) * (1 + 1e-13)).all()


def test_nais_circular_norms_are_exact_and_zero_padded_ones_within_two_percent():
    rng = np.random.default_rng(3)
    taps = rng.standard_normal((2, 2, 3, 3))
    for size in ((8, 8), (9, 11)):
        circular = np.linalg.norm(images(taps, size, Padding.CIRCULAR, 1), 2)
        found = symbol_norm_upper(taps, *size, "circular")
        assert circular * (1 - 1e-12) <= found <= circular * (1 + 1e-9)
    # Smaller ones than that go through their matrix, and are exact.
    dense = images(taps, (20, 18), Padding.ZERO, 1)
    zero = float(np.linalg.norm(dense, 2))
    assert zero <= convolution_norm_upper(taps, 20, 18) <= 1.02 * zero


def test_nais_strided_circular_norms_are_exact_where_the_stride_divides():
    taps = np.random.default_rng(4).standard_normal((2, 3, 3, 3))
    for stride, size in ((2, (8, 6)), (3, (9, 6))):
        truth = np.linalg.norm(images(taps, size, Padding.CIRCULAR, stride), 2)
        found = symbol_norm_upper(taps, *size, "circular", stride)
        assert truth * (1 - 1e-12) <= found <= truth * (1 + 1e-9)


def test_nais_zero_padding_is_not_bounded_by_the_circular_norm_of_its_size():
    """The row (-1, 2, -1) on five pixels: 3.618, 3.732, 3.802 and 4."""
    circular = symbol_norm_upper(SECOND_DIFFERENCE, 1, 5, "circular")
    truth = np.linalg.norm(images(SECOND_DIFFERENCE, (1, 5), Padding.ZERO, 1), 2)
    zero = symbol_norm_upper(SECOND_DIFFERENCE, 1, 5)
    assert circular == pytest.approx(3.618, abs=5e-4) and truth == pytest.approx(3.732, abs=5e-4)
    assert zero == pytest.approx(3.802, abs=5e-4)
    assert circular < 0.99 * truth and truth < zero < 4.0
    # One percent below: no bound any more.
    assert 0.99 * convolution_norm_upper(SECOND_DIFFERENCE, 1, 5) < truth


def test_nais_pitfall_circular_grid_for_zero_padding():
    """The certified bound is never that of the image's own grid, at any size."""
    for length in (4, 5, 9):
        truth = np.linalg.norm(images(SECOND_DIFFERENCE, (1, length), Padding.ZERO, 1), 2)
        assert truth <= symbol_norm_upper(SECOND_DIFFERENCE, 1, length)
        if length % 2:
            assert symbol_norm_upper(SECOND_DIFFERENCE, 1, length, "circular") < truth


def test_nais_pitfall_power_iteration_is_below():
    """Where eigenvalues crowd, iterations stop far below the norm; the bound does not."""
    rng = np.random.default_rng(5)
    taps = rng.standard_normal((4, 4, 3, 3))
    dense = images(taps, (8, 8), Padding.ZERO, 1)
    truth, v = np.linalg.norm(dense, 2), rng.standard_normal(dense.shape[1])
    for _ in range(5):
        v = dense.T @ (dense @ v)
        v /= np.linalg.norm(v)
    estimate = np.linalg.norm(dense @ v)
    assert estimate < 0.99 * truth <= 0.99 * convolution_norm_upper(taps, 8, 8)


@pytest.mark.parametrize("padding", Padding)
def test_large_images_are_bounded_on_a_coarse_grid(padding: Padding):
    """The supremum over all frequencies, within 0.7 % by M. Riesz, whatever the size."""
    taps = np.random.default_rng(6).standard_normal((2, 2, 3, 3))
    fine = np.fft.fft2(taps, (512, 512)).transpose(2, 3, 0, 1)
    supremum = np.linalg.norm(fine, 2, (2, 3)).max()
    repeats = 1 if padding in (Padding.ZERO, Padding.CIRCULAR) else 2
    found = convolution_norm_upper(taps, 600, 500, padding)
    assert repeats * supremum <= found * (1 + 1e-4) and found <= 1.007 * repeats * supremum
    # Nothing grows with the image.
    assert convolution_norm_upper(taps, 6000, 5000, padding) == found


def test_coarse_grids_exceed_their_points_by_no_more_than_riesz_allows():
    """A polynomial with its peak between two points: the excess is needed."""
    peak = np.pi / 40
    real = np.array([np.cos(peak), 0.0, np.cos(peak)])
    imaginary = np.array([-np.sin(peak), 0.0, np.sin(peak)])
    taps = np.zeros((2, 2, 1, 3))
    # 2 cos(w - peak) as a matrix of real taps.
    taps[0, 0, 0], taps[1, 1, 0] = real, real
    taps[1, 0, 0], taps[0, 1, 0] = imaginary, -imaginary
    symbols = [
        sum(taps[..., 0, q] * np.exp(1j * w * q) for q in range(3))
        for w in 2 * np.pi * np.arange(40) / 40
    ]
    grid = max(np.linalg.norm(s, 2) for s in symbols)
    fine = [
        sum(taps[..., 0, q] * np.exp(1j * w * q) for q in range(3))
        for w in 2 * np.pi * np.arange(4000) / 4000
    ]
    truth = max(np.linalg.norm(s, 2) for s in fine)
    assert truth == pytest.approx(grid / np.cos(np.pi / 40), rel=1e-4)
    assert truth <= convolution_norm_upper(taps, 1, 1000) * (1 + 1e-6)


def test_bounds_hold_for_every_member_of_balls_of_taps():
    rng = np.random.default_rng(7)
    mid = rng.standard_normal((2, 2, 3, 3))
    ball = Ball(mid, np.full(mid.shape, 0.01))
    for size in ((4, 4), (20, 20)):
        found = convolution_norm_upper(ball, *size)
        assert found > convolution_norm_upper(mid, *size)
        for sign in (-1, 1, rng.choice([-1.0, 1.0], mid.shape)):
            member = mid + 0.0099 * sign
            dense = images(member, (4, 4), Padding.ZERO, 1)
            truth = np.linalg.norm(dense, 2)
            assert truth <= found * (1 + 1e-12)
    unbounded = Ball(mid, np.full(mid.shape, np.inf))
    assert convolution_norm_upper(unbounded, 20, 20) == np.inf


def test_extreme_taps_are_bounded_or_infinite():
    for scale in (1e-300, 1e-150, 0.0, 1e150, 1e300):
        taps = np.random.default_rng(8).standard_normal((2, 2, 3, 3)) * scale
        for size in ((4, 4), (20, 20)):
            found = convolution_norm_upper(taps, *size)
            with np.errstate(all="ignore"):
                truth = np.abs(taps).max() if scale else 0.0
            assert found >= truth and not np.isnan(found)


def test_unusable_taps_are_refused():
    cases = itertools.product(((1, 1, 2, 3), (1, 1, 3), (1, 0, 3, 3)), ("zero",), (1,))
    for shape, padding, stride in cases:
        with pytest.raises(InputProblem):
            convolution_norm_upper(np.zeros(shape), 8, 8, padding, stride)
    good = np.zeros((1, 1, 3, 3))
    for arguments in ((1, 8), (8, 8, "mirror"), (8, 8, "zero", 0)):
        with pytest.raises(InputProblem):
            convolution_norm_upper(good, *arguments)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputProblem, match="NaN"):
        convolution_norm_upper(good * np.nan, 8, 8)


def test_stacks_of_balls_multiply_like_matrices():
    rng = np.random.default_rng(9)
    A = Ball(rng.standard_normal((3, 2, 4)), np.full((3, 2, 4), 1e-3))
    B = Ball(rng.standard_normal((3, 4, 5)), np.full((3, 4, 5), 1e-4))
    stacked = A @ B
    for k in range(3):
        assert np.array_equal(stacked[k].mid, (A[k] @ B[k]).mid)
        assert np.allclose(stacked[k].rad, (A[k] @ B[k]).rad, rtol=1e-12)
    with pytest.raises(InputProblem):
        _ = A @ B[:2]


@pytest.mark.slow
def test_sixty_four_channels_take_seconds():
    taps = np.random.default_rng(10).standard_normal((64, 64, 3, 3)) / 64
    fine = np.fft.fft2(taps, (34, 34)).transpose(2, 3, 0, 1)
    grid = np.linalg.norm(fine, 2, (2, 3)).max()
    found = convolution_norm_upper(taps, 32, 32)
    assert grid * (1 - 1e-12) <= found <= grid * (1 + 1e-9)
