"""Blocks with one equilibrium: the measure of their weights, densely, whatever the parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contraction.dense_blocks import (
    ONE,
    PADDINGS,
    explicit,
    gain,
    matrix_of,
    worst_gain,
)
from limitset import InputProblem
from limitset.contraction import StableEquilibrium
from limitset.dynamics import unroll
from limitset.networks import Convolution, DenseOperator, Padding

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def dense(matrix: np.ndarray, log_scale: np.ndarray | None = None, **more) -> StableEquilibrium:
    """Without input."""
    scale = None if log_scale is None else jnp.asarray(log_scale)
    bias = jnp.asarray(np.linspace(-1, 1, len(matrix)))
    return StableEquilibrium(DenseOperator(jnp.asarray(matrix)), None, bias, scale, **more)


def convolution(taps: np.ndarray, padding: str, log_scale=None, **more) -> StableEquilibrium:
    """Without input, on images of 4 x 3."""
    operator = Convolution(jnp.asarray(taps), 4, 3, Padding(padding))
    scale = None if log_scale is None else jnp.asarray(log_scale)
    return StableEquilibrium(operator, None, jnp.ones(len(taps)), scale, **more)


def measure(core: StableEquilibrium) -> float:
    """`max_i (W_ii + sum_(j != i) |W_ij| s_i / s_j)`, densely."""
    W = matrix_of(explicit(core).state_operator)
    scale = np.asarray(core.metric().scale, np.float64)
    turned = scale[:, None] * W / scale
    own = np.diag(np.diag(turned))
    return float((np.diag(turned) + np.abs(turned - own).sum(1)).max())


@settings(max_examples=20)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.3, 1e3, 1e15]),
    st.sampled_from([-0.5, 0.0, 0.9]),
    st.sampled_from(["float32", "float64"]),
)
def test_nais_equilibria_have_a_bounded_measure(seed: int, size: float, gamma: float, dtype: str):
    """The measure is at most gamma, and steps contract by `1 - step (1 - max(gamma, 0))`."""
    rng = np.random.default_rng(seed)
    matrix = (size * rng.standard_normal((4, 4))).astype(dtype)
    core = dense(matrix, rng.standard_normal(4).astype(dtype), gamma=gamma)
    W = np.abs(matrix_of(explicit(core).state_operator)).max()
    # In float64, where these sums are formed again.
    rounding = 1e-13 * max(W, 1)
    assert measure(core) <= gamma + rounding
    step = float(explicit(core).step)
    assert worst_gain(core, seed) <= 1 - step * (1 - max(gamma, 0)) + rounding * step + 1e-12


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_nais_equilibria_of_convolutions(padding: str, kernel: int):
    """At every padding, where repeated pixels change the diagonal at the edge."""
    rng = np.random.default_rng(kernel)
    taps = 0.5 * rng.standard_normal((3, 3, kernel, kernel))
    core = convolution(taps, padding, rng.standard_normal(3), gamma=0.3)
    assert measure(core) <= 0.3
    step = float(explicit(core).step)
    assert worst_gain(core) <= 1 - 0.7 * step + 1e-12


def test_nais_equilibria_are_tight():
    """Positive weights meet the measure; sums 1 % smaller, or steps 1 % longer, break the bound."""
    core = dense(np.array([[0.5, 2.0], [1.0, 0.3]]), gamma=0.3)
    assert measure(core) == pytest.approx(0.3, rel=1e-9)
    block = explicit(core)
    W = np.asarray(block.state_operator.matrix)
    moved = W + np.diag([0.01 * 2.5, 0.01 * 1.3])
    assert (np.diag(moved) + np.abs(moved - np.diag(np.diag(moved))).sum(1)).max() > 0.31
    assert gain(core, block, np.ones(2)) == pytest.approx(1 - float(block.step) * 0.7)
    assert float(block.step) == pytest.approx(1 / (1 - W.diagonal().min()))
    longer = eqx.tree_at(lambda b: b.step, block, 1.01 * block.step)
    assert gain(core, longer, np.ones(2)) > 1 - 0.7 * float(longer.step) + 0.005


def test_nais_pitfall_largest_tap_times_channels():
    """As once released, without the kernel's area: the measure is 3.2 where 0 is needed."""
    taps = np.full((4, 4, 3, 3), 0.1)
    operator = Convolution(jnp.asarray(taps), 9, 9)
    wrong = np.array(taps)
    channels = np.arange(4)
    wrong[channels, channels, 1, 1] -= np.abs(taps).max() * 4
    W = matrix_of(eqx.tree_at(lambda o: o.taps, operator, jnp.asarray(wrong)))
    sums = np.diag(W) + np.abs(W - np.diag(np.diag(W))).sum(1)
    assert sums.max() == pytest.approx(3.2)
    assert measure(convolution(taps, "zero")) <= 0


def test_nais_equilibria_are_unique():
    """From far apart to one point, at the promised rate."""
    core = dense(3 * np.random.default_rng(0).standard_normal((5, 5)), activation="relu")
    block = explicit(core)
    rate = worst_gain(core)
    depth = int(np.ceil(np.log(1e-13) / np.log(rate)))
    ends = [
        unroll(block, jnp.zeros(0), depth, initial=jnp.full(5, start)) for start in (-10.0, 10.0)
    ]
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-11)
    z = np.asarray(ends[0])
    W = np.asarray(block.state_operator.matrix)
    np.testing.assert_allclose(z, np.maximum(W @ z + np.asarray(core.bias), 0), atol=1e-11)


def test_nais_pitfall_zero_weights_of_equilibria():
    """Zeros give a constant map, and slopes that are numbers."""

    def loss(core):
        return sum((leaf**2).sum() for leaf in jax.tree.leaves(core.explicit()))

    for core in (dense(np.zeros((3, 3))), convolution(np.zeros((2, 2, 3, 3)), "edge")):
        slope = jax.jit(jax.grad(loss))(core)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
        assert worst_gain(core) <= ONE


def test_settings_that_do_not_fit_are_refused():
    for gamma in (1.0, -1.0, float("nan"), 2.0):
        with pytest.raises(InputProblem, match="gamma is"):
            dense(np.eye(2), gamma=gamma)
    with pytest.raises(InputProblem, match="slopes"):
        dense(np.eye(2), activation="silu")
    with pytest.raises(InputProblem, match="log_scale has shape"):
        dense(np.eye(2), np.zeros(3))
    with pytest.raises(InputProblem, match="taps have shape"):
        dense(np.ones((2, 3)))
    with pytest.raises(InputProblem, match="from states to states"):
        strided = Convolution(jnp.ones((1, 1, 3, 3)), 4, 4, Padding("zero"), 2)
        StableEquilibrium(strided, None, jnp.zeros(1))
