"""Gradient steps with leak: contraction in the plain 2-norm, whatever the parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contraction.dense_blocks import (
    PADDINGS,
    explicit,
    jacobian,
    matrix_of,
    slope_patterns,
    worst_gain,
)
from limitset import InputProblem
from limitset.contraction import StableGradient, UntiedParametrisation
from limitset.networks import Convolution, DenseOperator, MeanPool, Padding, block_at

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def dense(matrix: np.ndarray, **settings) -> StableGradient:
    """Without input."""
    return StableGradient(
        DenseOperator(jnp.asarray(matrix)), None, jnp.zeros(len(matrix)), **settings
    )


@settings(max_examples=20)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1e-3, 1.0, 1e3, 1e100]),
    st.sampled_from([(0.0, 1.0), (0.2, 0.5), (0.2, 4.0), (1.0, 0.99)]),
)
def test_nais_gradient_contracts(seed: int, size: float, numbers: tuple[float, float]):
    """`|J|_2 <= 1 - step leak` at every slope pattern; leak 0 gives Lipschitz constant 1."""
    leak, step = numbers
    matrix = size * np.random.default_rng(seed).standard_normal((3, 4))
    assert worst_gain(dense(matrix, leak=leak, step=step), seed) <= (1 - step * leak) + 1e-12


def test_nais_gradient_is_tight():
    """The bound is met from below as well, so that weights or a step 1 % larger break it."""
    block = explicit(dense(np.diag([30.0, 1.0]), leak=0.2, step=0.5))
    assert np.linalg.norm(jacobian(block, np.ones(2)), 2) == pytest.approx(0.9, rel=1e-9)
    R = matrix_of(block.operator)
    assert 0.5 <= 2 / (np.linalg.norm(R, 2) ** 2 + 0.4) <= 0.5 * (1 + 1e-9)
    for moved in (
        eqx.tree_at(lambda b: b.operator.matrix, block, 1.01 * block.operator.matrix),
        eqx.tree_at(lambda b: b.step, block, 1.01 * block.step),
    ):
        factor = 1 - float(moved.step) * float(moved.leak)
        assert np.linalg.norm(jacobian(moved, np.ones(2)), 2) > factor + 0.005


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_nais_gradient_of_convolutions(padding: str, kernel: int):
    """Densely, at every padding."""
    taps = 5 * np.random.default_rng(kernel).standard_normal((3, 2, kernel, kernel))
    operator = Convolution(jnp.asarray(taps), 4, 3, Padding(padding))
    core = StableGradient(operator, None, jnp.zeros(3), leak=0.1, activation="relu")
    assert worst_gain(core) <= 0.9 + 1e-12


def test_float32_weights_keep_the_bound():
    """Of the numbers that run, read as real numbers: no rounding leads beyond the bound."""
    rng = np.random.default_rng(0)
    for leak, step in ((0.1, 1.0), (0.0, 0.7)):
        for _ in range(20):
            matrix = rng.standard_normal((4, 4)).astype(np.float32)
            block = explicit(dense(matrix, leak=leak, step=step))
            square = np.linalg.norm(matrix_of(block.operator), 2) ** 2
            step_limit = 2 / (square + 2 * float(block.leak))
            assert float(block.step) <= step_limit <= float(block.step) * 1.05


def test_nais_untied_gradients_share_their_norm():
    """Different weights at every depth: any product of their Jacobians contracts in the 2-norm."""
    rng = np.random.default_rng(1)
    layers = tuple(dense(9 * rng.standard_normal((3, 3)), leak=0.1) for _ in range(6))
    block = UntiedParametrisation(layers).explicit()
    product = np.eye(3)
    for k in range(6):
        layer = block_at(block, k)
        product = jacobian(layer, slope_patterns(layer, k)[2]) @ product
    assert np.linalg.norm(product, 2) <= 0.9**6 + 1e-12


def test_nais_pitfall_zero_weights_of_gradients():
    """Zeros give stable blocks, and slopes that are numbers."""

    def loss(core):
        return sum((leaf**2).sum() for leaf in jax.tree.leaves(core.explicit()))

    for core in (
        dense(np.zeros((3, 3))),
        StableGradient(Convolution(jnp.zeros((1, 1, 3, 3)), 3, 3), None, jnp.zeros(1)),
    ):
        slope = jax.jit(jax.grad(loss))(core)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_settings_that_do_not_fit_are_refused():
    for leak, step in ((-0.1, 1.0), (1.0, 1.0), (0.1, 0.0), (float("nan"), 1.0), (0.1, np.inf)):
        with pytest.raises(InputProblem, match="leak"):
            dense(np.eye(2), leak=leak, step=step)
    with pytest.raises(InputProblem, match="slopes"):
        dense(np.eye(2), activation="gelu")
    with pytest.raises(InputProblem, match="MeanPool came"):
        StableGradient(MeanPool(1, 2, 2, 2), None, jnp.zeros(1))
    with pytest.raises(InputProblem, match="bias has shape"):
        StableGradient(DenseOperator(jnp.eye(2)), None, jnp.zeros(3))
