"""The checker's operators beside dense matrices, and its norm tests from both sides."""

import itertools
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb, ctx

from limitset.checker._document import NotProved, TooMuchWork, take_tensor
from limitset.checker._operator_norms import (
    matrix_of,
    norm_at_most,
    row_sums,
    symbol_at_most,
)
from limitset.checker._operators import adjoint, apply, read_operator
from limitset.io import describe
from limitset.io._certificate import tensor
from limitset.networks import (
    AbstractOperator,
    Convolution,
    DenseOperator,
    GradientBlock,
    MeanPool,
    NegativeGram,
    Padding,
    dense_matrix,
)

KERNELS = [(3, 3), (1, 5)]
IMAGES = [(3, 3), (4, 6)]
PADDINGS = [padding.value for padding in Padding]


@pytest.fixture(autouse=True)
def precision() -> Iterator[None]:
    with ctx.workprec(128):
        yield


def read(operator: AbstractOperator) -> Any:
    """The operator as the checker reads it from a model."""
    one = jnp.array(1.0)
    block = GradientBlock(operator, None, jnp.zeros(operator.output_size), one, one)
    config, arrays = describe(block)
    tensors = {name: take_tensor(tensor(array), 4) for name, array in arrays.items()}
    return read_operator(config["operator"], tensors, "operator")


def convolution(
    kernel: tuple[int, int],
    image: tuple[int, int],
    padding: str,
    stride: int = 1,
    channels: tuple[int, int] = (1, 1),
) -> Convolution:
    rng = np.random.default_rng(hash((kernel, image, stride, channels)) % 2**32)
    taps = jnp.asarray(rng.standard_normal((*channels, *kernel)))
    return Convolution(taps, *image, Padding(padding), stride)


def floats(values: Any) -> np.ndarray:
    return np.array([[float(x) for x in row] for row in values])


@pytest.mark.parametrize("padding", PADDINGS)
def test_nais_convolutions_are_the_dense_operators(padding: str):
    rng = np.random.default_rng(0)
    for kernel, image, stride in itertools.product(KERNELS, IMAGES, (1, 2)):
        operator = convolution(kernel, image, padding, stride, (2, 1))
        A, own = np.asarray(dense_matrix(operator)), read(operator)
        assert np.allclose(floats(matrix_of(own).tolist()), A, rtol=1e-14)
        x, y = rng.standard_normal(A.shape[1]), rng.standard_normal(A.shape[0])
        assert np.allclose([float(v) for v in apply(own, list(map(arb, x)))], A @ x)
        assert np.allclose([float(v) for v in adjoint(own, list(map(arb, y)))], y @ A)


@pytest.mark.parametrize("padding", PADDINGS)
def test_nais_convolution_norms_are_proved_above_and_refused_below(padding: str):
    """The constant is the 2-norm of the dense matrix; 1 % less must never be accepted."""
    for kernel, image, stride in itertools.product(KERNELS, IMAGES, (1, 2)):
        for channels in ((2, 1), (1, 2)):
            operator = convolution(kernel, image, padding, stride, channels)
            norm, own = float(np.linalg.norm(np.asarray(dense_matrix(operator)), 2)), read(operator)
            assert norm_at_most(own, arb(norm * (1 + 1e-9)))
            assert not norm_at_most(own, arb(norm * 0.99))
            assert not norm_at_most(own, arb(norm * (1 - 1e-9)))
            assert not symbol_at_most(own, arb(norm * 0.99))
            # Sharp for circles; near edges a pixel counts as often as it is repeated.
            loose = 1 + 1e-9 if padding == "circular" and stride == 1 else 9.0
            assert symbol_at_most(own, arb(norm * loose))


def test_nais_pitfall_zero_padding_is_not_bounded_by_the_circular_norm():
    """Of (-1, 2, -1) on 5 pixels: circular 3.618, zero padding 3.732."""
    second = Convolution(jnp.array([-1.0, 2.0, -1.0]).reshape(1, 1, 1, 3), 1, 5)
    zero = read(second)
    circular = read(Convolution(second.taps, 1, 5, Padding.CIRCULAR))
    assert norm_at_most(circular, arb(3.61804)) and not norm_at_most(circular, arb(3.618))
    assert not norm_at_most(zero, arb(3.61804)) and not norm_at_most(zero, arb(3.732))
    assert norm_at_most(zero, arb(3.73206))
    assert symbol_at_most(zero, arb(3.803)) and not symbol_at_most(zero, arb(3.801))


@pytest.mark.parametrize("padding", PADDINGS)
def test_nais_row_sums_are_those_of_the_dense_operator(padding: str):
    rng = np.random.default_rng(1)
    for kernel, image, stride in itertools.product(KERNELS, IMAGES, (1, 2)):
        operator = convolution(kernel, image, padding, stride, (2, 2))
        A, own = np.abs(np.asarray(dense_matrix(operator))), read(operator)
        pixels = [size // 2 for size in A.shape]
        weights = [np.repeat(rng.uniform(1, 2, 2), size) for size in pixels]
        for left, right in (weights, [rng.uniform(1, 2, size) for size in A.shape]):
            sums = row_sums(own, list(map(arb, left)), list(map(arb, right)))
            largest = max(float(value) for value in sums)
            assert largest == pytest.approx((left[:, None] * A * right).sum(1).max(), rel=1e-12)


def test_means_and_gram_operators():
    rng = np.random.default_rng(2)
    inner = convolution((3, 3), (4, 4), "reflect", 2, (2, 2))
    rates = jnp.asarray(rng.uniform(0.5, 1.0, 32))
    gram = NegativeGram(inner, jnp.array(0.5), jnp.array(0.25), rates)
    for operator in (MeanPool(2, 6, 4, 2), MeanPool(1, 9, 9, 3), gram):
        A, own = np.asarray(dense_matrix(operator)), read(operator)
        assert np.allclose(floats(matrix_of(own).tolist()), A, rtol=1e-12)
        x, y = rng.standard_normal(A.shape[1]), rng.standard_normal(A.shape[0])
        assert np.allclose([float(v) for v in apply(own, list(map(arb, x)))], A @ x)
        assert np.allclose([float(v) for v in adjoint(own, list(map(arb, y)))], y @ A)
        norm = float(np.linalg.norm(A, 2))
        assert norm_at_most(own, arb(norm * (1 + 1e-9)))
        assert not norm_at_most(own, arb(norm * 0.99))


def test_dense_matrices_of_both_shapes():
    rng = np.random.default_rng(3)
    for shape in ((1, 7), (7, 1), (20, 50), (50, 20)):
        A = rng.standard_normal(shape)
        own, norm = read(DenseOperator(jnp.asarray(A))), float(np.linalg.norm(A, 2))
        assert norm_at_most(own, arb(norm * (1 + 1e-12)))
        assert not norm_at_most(own, arb(norm * (1 - 1e-12)))
    zero = read(DenseOperator(jnp.zeros((2, 3))))
    assert norm_at_most(zero, arb(0)) and not norm_at_most(zero, arb(-1))
    assert not norm_at_most(zero, arb("nan"))


@pytest.mark.parametrize(
    "change",
    [
        {"padding": "polar"},
        {"padding": None},
        {"height": 1},
        {"height": 0},
        {"height": True},
        {"height": 4.0},
        {"height": 2**40},
        {"stride": 0},
        {"kind": "dense"},
        {"kind": "pool"},
        {"extra": 1},
    ],
)
def test_malformed_operators_are_refused(change: dict[str, Any]):
    taps = tensor(np.ones((1, 1, 5, 3)))
    config = {"kind": "convolution", "height": 4, "width": 4, "stride": 1, "padding": "zero"}
    good = read_operator(config, {"a.taps": take_tensor(taps, 4)}, "a")
    assert good.inputs == 16
    with pytest.raises(NotProved):
        read_operator(config | change, {"a.taps": take_tensor(taps, 4)}, "a")


def test_matrices_of_large_operators_are_not_made():
    taps = take_tensor(tensor(np.ones((1, 1, 5, 3))), 4)
    config = {"kind": "convolution", "height": 4, "width": 2**16, "stride": 1, "padding": "zero"}
    wide = read_operator(config, {"a.taps": taps}, "a")
    with pytest.raises(TooMuchWork):
        matrix_of(wide)
