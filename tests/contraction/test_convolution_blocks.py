"""Smooth parametrisations of convolutional blocks, against dense matrices at every padding."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.dense_blocks import ONE, PADDINGS, explicit, matrix_of, worst_gain
from limitset import InputProblem
from limitset.contraction import ProjectedConvolution, RowSumConvolution, SymmetricConvolution
from limitset.networks import Convolution, Padding

pytestmark = pytest.mark.usefixtures("no_shape_checks")

KERNELS = (1, 3, 5)


def symmetric(taps: np.ndarray, padding: str, epsilon: float = 0.1) -> SymmetricConvolution:
    """Without input, on images of 4 x 3."""
    operator = Convolution(jnp.asarray(taps), 4, 3, Padding(padding))
    return SymmetricConvolution(operator, None, jnp.zeros(taps.shape[1]), epsilon=epsilon)


def row_sum(taps: np.ndarray, padding: str, seed: int = 0, spread: float = 1.0, **more):
    """Without input, on images of 4 x 3, in a metric that is not flat."""
    rng = np.random.default_rng(seed)
    shifts, log_scale = rng.standard_normal((2, len(taps)))
    return RowSumConvolution(
        jnp.asarray(taps),
        jnp.asarray(shifts),
        None,
        jnp.zeros(len(taps)),
        4,
        3,
        Padding(padding),
        jnp.asarray(spread * log_scale),
        epsilon=0.1,
        eta=0.2,
        **more,
    )


def row_sums(core: RowSumConvolution) -> np.ndarray:
    """Of `|S (I + A) S^-1|`, densely."""
    A = matrix_of(explicit(core).state_operator)
    scale = np.asarray(core.metric().scale)
    return np.abs(scale[:, None] * (np.eye(len(A)) + A) / scale).sum(1)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_nais_symmetric_convolutions_bound_the_spectrum(padding: str, kernel: int):
    """`A = -K^T K - epsilon I` by the exact transpose: eigenvalues in [epsilon - 1, -epsilon]."""
    rng = np.random.default_rng(kernel)
    taps = rng.standard_normal((3, 2, kernel, kernel))
    block = explicit(symmetric(taps, padding))
    K = matrix_of(block.state_operator.inner)
    if kernel == 3:
        images = jax.jit(jax.vmap(block.state_operator, out_axes=1))(jnp.eye(24))
        np.testing.assert_allclose(images, -K.T @ K - 0.1 * np.eye(24), atol=1e-14)
    values = np.linalg.eigvalsh(matrix_of(block.state_operator))
    assert values[0] >= -0.9 and values[-1] <= -0.1 + 1e-15
    assert worst_gain(symmetric(taps, padding)) <= ONE


@pytest.mark.parametrize("padding", ["circular", "zero"])
def test_nais_symmetric_convolutions_are_tight(padding: str):
    """With one tap the bound is met, and norms 1 % larger exceed it."""
    core = symmetric(np.full((1, 1, 1, 1), 9.0), padding)
    operator = explicit(core).state_operator
    assert np.linalg.eigvalsh(matrix_of(operator))[0] == pytest.approx(-0.9, rel=1e-12)
    moved = eqx.tree_at(lambda o: o.inner.taps, operator, operator.inner.taps * 1.01)
    assert np.linalg.eigvalsh(matrix_of(moved))[0] < -0.915


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_nais_row_sums_in_a_learned_metric(padding: str, kernel: int):
    """`|S (I + A) S^-1|_inf <= 1 - epsilon`, densely; no slope pattern parts states."""
    taps = np.random.default_rng(kernel).standard_normal((3, 3, kernel, kernel))
    for size in (1e-2, 10.0):
        core = row_sum(size * taps, padding)
        assert row_sums(core).max() <= 0.9
        assert worst_gain(core) <= ONE


def test_nais_row_sums_are_tight():
    """The largest row meets the bound; taps 1 % larger exceed it, as does another metric."""
    core = row_sum(np.ones((2, 2, 3, 3)), "zero")
    assert row_sums(core).max() == pytest.approx(0.9, rel=1e-9)
    A = matrix_of(explicit(core).state_operator)
    scale = np.asarray(core.metric().scale)
    moved = A + 0.01 * (A - np.diag(np.diag(A)))
    assert np.abs(scale[:, None] * (np.eye(24) + moved) / scale).sum(1).max() > 0.902
    assert np.abs(np.eye(24) + A).sum(1).max() > 0.95


def test_row_sums_reach_what_projections_reach():
    """Every member of Algorithm 2's set has parameters, exactly."""
    rng = np.random.default_rng(0)
    taps, shifts = rng.standard_normal((2, 2, 3, 3)), 0.3 * rng.standard_normal(2)
    projected = ProjectedConvolution(
        jnp.asarray(taps), jnp.asarray(shifts), None, jnp.zeros(2), 4, 3, epsilon=0.1, eta=0.2
    ).projected()
    goal = explicit(projected).state_operator.taps
    room = 0.9 - jnp.abs(projected.shifts)
    free = projected.taps / room[:, None, None, None]
    smooth = RowSumConvolution(
        free,
        jnp.arctanh(projected.shifts / 0.8),
        None,
        jnp.zeros(2),
        4,
        3,
        epsilon=0.1,
        eta=0.2,
    )
    np.testing.assert_allclose(explicit(smooth).state_operator.taps, goal, atol=1e-12)


def test_enormous_parameters_stay_inside():
    """Almost as large as float32 holds, and metrics of any spread."""
    for size, spread in ((1e36, 1.0), (1.0, 1e3), (1e30, 1e30)):
        taps = (size * np.random.default_rng(0).choice([-1, 1], (2, 2, 3, 3))).astype(np.float32)
        core = jax.tree.map(lambda a: a.astype(jnp.float32), row_sum(taps, "zero", 0, spread))
        assert row_sums(core).max() <= 0.9 + 1e-7
        norm = np.linalg.norm(matrix_of(explicit(symmetric(taps, "zero")).state_operator), 2)
        assert norm <= 0.9


def test_nais_pitfall_zero_taps():
    """Zeros give stable blocks, and slopes that are numbers."""

    def loss(core):
        return sum((leaf**2).sum() for leaf in jax.tree.leaves(core.explicit()))

    for core in (
        symmetric(np.zeros((2, 2, 3, 3)), "zero"),
        row_sum(np.zeros((2, 2, 3, 3)), "zero"),
    ):
        slope = jax.jit(jax.grad(loss))(core)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
        assert worst_gain(core) <= ONE


def test_settings_that_do_not_fit_are_refused():
    operator, bias = Convolution(jnp.ones((2, 2, 3, 3)), 4, 4), jnp.zeros(2)
    with pytest.raises(InputProblem, match="epsilon is 0.5"):
        SymmetricConvolution(operator, None, bias, epsilon=0.5)
    with pytest.raises(InputProblem, match="step is 2.1"):
        SymmetricConvolution(operator, None, bias, step=2.1)
    with pytest.raises(InputProblem, match="bias has shape"):
        SymmetricConvolution(operator, None, jnp.zeros(3))
    with pytest.raises(InputProblem, match="step is 1.01"):
        row_sum(np.ones((2, 2, 3, 3)), "zero", step=1.01)
    with pytest.raises(InputProblem, match="slopes"):
        row_sum(np.ones((2, 2, 3, 3)), "zero", activation="silu")
    with pytest.raises(InputProblem, match="log_scale has shape"):
        RowSumConvolution(
            operator.taps, bias, None, bias, 4, 4, log_scale=jnp.zeros(3), epsilon=0.1, eta=0.2
        )
