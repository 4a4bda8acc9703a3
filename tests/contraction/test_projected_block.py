"""The two published projections: the sets that they reach, and the ways to get them wrong."""

import math
from fractions import Fraction
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contraction.dense_blocks import ONE, PADDINGS, explicit, matrix_of, worst_gain
from limitset import InputProblem
from limitset.contraction import (
    DiagonalMetric,
    MaximumMetric,
    ProjectedConvolution,
    ProjectedDense,
    average,
    project,
    random_convolution_block,
    random_dense_block,
)
from limitset.networks import LinearReadout, Padding
from limitset.training._classifier import SequenceClassifier
from limitset.training._update import change

pytestmark = pytest.mark.usefixtures("no_shape_checks")

seeds = st.integers(0, 2**32 - 1)
sizes = st.sampled_from([1, 3, 5])
_project = jax.jit(project)


def dense(root: np.ndarray, epsilon: float = 0.01, dtype: str = "float64") -> ProjectedDense:
    """Parameters without input."""
    return ProjectedDense(
        jnp.asarray(root, dtype), None, jnp.zeros(root.shape[1], dtype), epsilon=epsilon
    )


def convolution(
    taps: np.ndarray, shifts: np.ndarray, padding: str = "zero", dtype: str = "float64"
) -> ProjectedConvolution:
    """Parameters without input, on small images."""
    channels = len(shifts)
    return ProjectedConvolution(
        jnp.asarray(taps, dtype),
        jnp.asarray(shifts, dtype),
        None,
        jnp.zeros(channels, dtype),
        4,
        5,
        Padding(padding),
        epsilon=0.05,
        eta=0.1,
    )


def state_matrix(core: ProjectedDense | ProjectedConvolution) -> np.ndarray:
    """A of the explicit weights."""
    return matrix_of(explicit(core).state_operator)


@settings(max_examples=30)
@given(seeds, st.sampled_from([(1, 4), (4, 4), (7, 3)]), st.sampled_from([1e-3, 1.0, 1e3, 1e150]))
def test_nais_algorithm_one_bounds_the_spectrum(seed: int, shape: tuple[int, int], size: float):
    """Eigenvalues of A lie in [epsilon - 1, -epsilon], and A is symmetric as rounded."""
    root = size * np.random.default_rng(seed).standard_normal(shape)
    A = state_matrix(_project(dense(root, 0.1)))
    assert (A == A.T).all()
    values = np.linalg.eigvalsh(A)
    assert values[0] >= -0.9 and values[-1] <= -0.1 + 1e-14


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nais_algorithm_one_is_tight(dtype: str):
    """Of rank one the bound is met, and a bound 1 % higher is exceeded."""
    root = np.array([[3.0, 4.0]])
    core = dense(root, 0.1, dtype).projected()
    assert np.linalg.eigvalsh(state_matrix(core))[0] == pytest.approx(-0.9, rel=1e-5)
    moved = eqx.tree_at(lambda c: c.root, core, core.root * 1.01**0.5)
    assert np.linalg.eigvalsh(state_matrix(moved))[0] < -0.9 - 0.005
    assert worst_gain(core) <= ONE


def test_nais_step_beyond_two_over_the_largest_eigenvalue():
    """Norm 1 up to there, above it 1 % beyond; steps that no epsilon allows are refused."""
    A = state_matrix(dense(np.array([[3.0, 4.0]]), 0.1).projected())
    P = -A
    root = np.linalg.cholesky(P).T

    def norm(step: float) -> float:
        return float(np.linalg.norm(root @ (np.eye(2) - step * P) @ np.linalg.inv(root), 2))

    limit = 2 / np.linalg.eigvalsh(P)[-1]
    assert norm(limit) <= 1 + 1e-12 and norm(1.01 * limit) > 1.009
    with pytest.raises(InputProblem, match="at most 2"):
        ProjectedDense(jnp.ones((1, 1)), None, jnp.zeros(1), step=2.02)


def test_what_is_inside_stays_bit_for_bit():
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        inside = dense(0.1 * rng.standard_normal((6, 6)) / 6, 0.1, dtype)
        assert (_project(inside).root == inside.root).all()
        small = convolution(0.01 * rng.standard_normal((2, 2, 3, 3)), 0.1 * rng.random(2))
        assert (state_matrix(_project(small)) == state_matrix(small)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_projecting_twice_changes_nothing(dtype: str):
    """So that a checkpoint that is loaded and projected resumes bit for bit."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        once = _project(dense(10 * rng.standard_normal((12, 12)), 0.01, dtype))
        assert (_project(once).root == once.root).all()
        taps, shifts = 10 * rng.standard_normal((3, 3, 3, 3)), 3 * rng.standard_normal(3)
        once = _project(convolution(taps, shifts, "zero", dtype))
        twice = _project(once)
        assert (twice.taps == once.taps).all() and (twice.shifts == once.shifts).all()


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_nais_algorithm_two_bounds_row_sums(padding: str, size: int):
    """`|I + A|_inf <= 1 - epsilon`, densely, and no slope pattern increases distances."""
    rng = np.random.default_rng(size)
    for factor in (0.1, 10.0):
        taps = factor * rng.standard_normal((3, 3, size, size))
        core = _project(convolution(taps, 2 * rng.standard_normal(3), padding))
        A = state_matrix(core)
        assert np.abs(np.eye(len(A)) + A).sum(1).max() <= 0.95
        assert worst_gain(core) <= ONE


def test_nais_algorithm_two_is_tight():
    """Off-centre taps 1 % larger, or a step 1 % beyond its limit, break the bound."""
    taps = np.ones((1, 1, 3, 3))
    for shift in (-0.5, 0.0, 0.5):
        core = convolution(taps, np.array([shift])).projected()
        A = state_matrix(core)
        assert np.abs(np.eye(20) + A).sum(1).max() == pytest.approx(0.95, rel=1e-9)
        off = A - np.diag(np.diag(A))
        assert np.abs(np.eye(20) + A + 0.01 * off).sum(1).max() > 0.95 + 0.004
        # The largest step, 2 / (2 + shift - |shift| - epsilon), where rows add up to 1.
        step = 2 / (2 + shift - abs(shift) - 0.05)
        assert np.abs(np.eye(20) + step * A).sum(1).max() == pytest.approx(1, rel=1e-9)
        assert np.abs(np.eye(20) + 1.01 * step * A).sum(1).max() > 1.005
    with pytest.raises(InputProblem, match="at most 1"):
        ProjectedConvolution(core.taps, core.shifts, None, core.bias, 4, 5, step=1.01)


def test_nais_pitfall_gram_scaled_by_a_square_root():
    """Scaling R'R, not R, by sqrt(delta / |R'R|_F), as once published, leaves it too large."""
    rng, epsilon = np.random.default_rng(0), 0.01
    found, ours = [], []
    for size in (1 / 8, 0.35, 1.22):
        root = size * rng.standard_normal((64, 64))
        gram = root.T @ root
        wrong = gram * np.sqrt((1 - 2 * epsilon) / np.linalg.norm(gram)) + epsilon * np.eye(64)
        found.append(np.linalg.eigvalsh(wrong)[-1])
        ours.append(-np.linalg.eigvalsh(state_matrix(_project(dense(root))))[0])
    np.testing.assert_allclose(found, (1.2, 3.3, 11.5), rtol=0.08)
    assert found[-1] - 1 > 9.5  # The spectral radius of I - P at step 1.
    assert max(ours) <= 1 - epsilon


def _spatial_only(taps: np.ndarray) -> np.ndarray:
    """Each pair of channels by itself."""
    sums = np.abs(off_centre(taps)).sum((2, 3), keepdims=True)
    return off_centre(taps) / np.maximum(sums / 0.95, 1)


def _every_centre_left_out(taps: np.ndarray) -> np.ndarray:
    """The centre taps of all input channels do not count."""
    centres = np.zeros(taps.shape, bool)
    centres[:, :, taps.shape[2] // 2, taps.shape[3] // 2] = True
    sums = np.abs(np.where(centres, 0, taps)).sum((1, 2, 3), keepdims=True)
    scaled = np.where(centres, taps, taps / np.maximum(sums / 0.95, 1))
    return off_centre(scaled)


def _largest_times_channels(taps: np.ndarray) -> np.ndarray:
    """The largest tap times the channels, in place of the sum."""
    sums = np.abs(off_centre(taps)).max((1, 2, 3), keepdims=True) * len(taps)
    return off_centre(taps) / np.maximum(sums / 0.95, 1)


def _other_axis(taps: np.ndarray) -> np.ndarray:
    """Sums over the outputs of each input channel: the axes confused."""
    sums = np.abs(off_centre(taps)).sum((0, 2, 3), keepdims=True)
    return off_centre(taps) / np.maximum(sums / 0.95, 1)


def off_centre(taps: np.ndarray) -> np.ndarray:
    """Without each channel's own centre tap."""
    own = np.zeros(taps.shape, bool)
    channels = np.arange(len(taps))
    own[channels, channels, taps.shape[2] // 2, taps.shape[3] // 2] = True
    return np.where(own, 0, taps)


@pytest.mark.parametrize(
    "wrong", [_spatial_only, _every_centre_left_out, _largest_times_channels, _other_axis]
)
def test_nais_pitfall_sums_over_the_wrong_taps(wrong):
    """Each wrong rule leaves row sums above 1, which the right one does not."""
    rng = np.random.default_rng(3)
    taps = rng.standard_normal((4, 4, 3, 3)) * np.array([3.0, 1, 0.3, 0.1])[:, None, None, None]
    bad = convolution(wrong(taps), np.zeros(4))
    steps = [np.eye(80) + state_matrix(core) for core in (bad, bad.projected())]
    excess = [np.abs(step).sum(1).max() for step in steps]
    assert excess[0] > 1.02 and excess[1] <= 0.95


def test_nais_pitfall_every_centre_tap_left_out():
    """With four channels that rule lets the spectral radius grow to 2.9."""
    taps = np.full((4, 4, 1, 1), 2.9 / 3)
    bad = convolution(_every_centre_left_out(taps), np.zeros(4))
    radius = np.abs(np.linalg.eigvals(np.eye(80) + state_matrix(bad))).max()
    assert radius == pytest.approx(2.9)
    assert np.abs(np.linalg.eigvals(np.eye(80) + state_matrix(bad.projected()))).max() <= 0.95


def test_nais_pitfall_row_sums_bound_no_two_norm():
    """Sixteen channels that read one: 0.95 in the maximum norm, 3.68 in the 2-norm."""
    taps = np.zeros((16, 16, 1, 1))
    taps[1:, 0] = 5.0
    core = convolution(taps, np.zeros(16)).projected()
    step = np.eye(320) + state_matrix(core)
    assert np.abs(step).sum(1).max() == pytest.approx(0.95)
    assert np.linalg.norm(step, 2) == pytest.approx(3.68, abs=0.005)
    assert isinstance(core.metric(), MaximumMetric)
    assert not isinstance(core.metric(), DiagonalMetric)


def test_nais_pitfall_float32_rounding():
    """Exact sums and norms of projected float32 weights never exceed their bounds."""
    rng = np.random.default_rng(5)
    rows, norms = [], []
    for _ in range(100):
        taps = rng.standard_normal((3, 3, 3, 3))
        core = _project(convolution(taps, 2 * rng.standard_normal(3), "zero", "float32"))
        A = off_centre(np.asarray(core.taps, np.float64))
        shifts = np.abs(np.asarray(core.shifts, np.float64))
        for row, shift in zip(A, shifts, strict=True):
            total = sum(Fraction(abs(tap)) for tap in row.ravel()) + Fraction(shift)
            rows.append(float(total - (1 - Fraction(0.05))))
        root = np.asarray(_project(dense(rng.standard_normal((16, 16)), 0.01, "float32")).root)
        norms.append(np.linalg.norm(root.T.astype(np.float64) @ root) / 0.98 - 1)
    assert max(rows) <= 0 and max(norms) <= 0
    # Not by much: the slack is a few parts in a million.
    assert max(rows) > -1e-5 and max(norms) > -2e-5


def test_nais_pitfall_float32_drowns_epsilon():
    """Where 1 - 2 epsilon rounds to 1, or rounding moves eigenvalues as much."""
    for epsilon in (1e-8, 1e-6):
        with pytest.raises(InputProblem, match="drowns in the rounding"):
            dense(np.ones((8, 8)), epsilon, "float32")
    with pytest.raises(InputProblem, match="drowns in the rounding"):
        dense(np.ones((8, 8)), 0.01, "bfloat16")


def test_nais_pitfall_zero_weights():
    """Nothing is divided by 0: projections of zeros are zeros, slopes through them are numbers."""
    core = dense(np.zeros((3, 3)), 0.1, "float32")
    assert not np.asarray(_project(core).root).any()
    conv = convolution(np.zeros((2, 2, 3, 3)), np.zeros(2), "zero", "float32")
    assert not np.asarray(_project(conv).taps).any()

    def loss(core):
        return sum((leaf**2).sum() for leaf in jax.tree.leaves(project(core).explicit()))

    for zeros in (core, conv):
        slope = jax.jit(jax.grad(loss))(zeros)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_enormous_and_broken_weights():
    """Weights near the largest float are projected; NaN stays NaN, for training to stop at."""
    big = dense(np.full((3, 3), 1e30), 0.1, "float32").projected()
    assert np.linalg.norm(np.asarray(big.root.T @ big.root)) == pytest.approx(0.8, rel=1e-5)
    for size in (1e36, 1e38):
        wild = convolution(np.full((2, 2, 3, 3), size), np.full(2, size), "zero", "float32")
        A = state_matrix(wild.projected())
        assert np.abs(np.eye(40) + A).sum(1).max() <= 0.95 and A[0, 0] == pytest.approx(-1.9)
    broken = dense(np.full((3, 3), np.nan), 0.1).projected()
    assert np.isnan(np.asarray(broken.root)).all()


def classifier(core: ProjectedDense) -> SequenceClassifier:
    """With a readout, as training has it."""
    return SequenceClassifier(core, LinearReadout(jnp.ones((1, 2)), jnp.zeros(1)), None, 1.0)


def test_nais_pitfall_projecting_before_the_update():
    """Clipping and decay act before the projection, which comes last."""
    core: Any = random_dense_block(jax.random.key(0), units=2, inputs=1, epsilon=0.1)
    model = classifier(core)
    slope = jax.tree.map(lambda a: -100 * jnp.ones_like(a), model)
    optimiser = optax.chain(
        optax.clip_by_global_norm(5.0), optax.add_decayed_weights(0.5), optax.sgd(1.0)
    )
    state = optimiser.init(eqx.filter(model, eqx.is_array))
    after, _ = jax.jit(lambda m, s, g: change(optimiser, m, s, g))(model, state, slope)
    clipped = 5.0 / math.sqrt(sum(a.size for a in jax.tree.leaves(model)))
    free = eqx.tree_at(lambda c: c.root, core, 0.5 * core.root + clipped)
    np.testing.assert_allclose(after.core.root, free.projected().root, rtol=1e-5)
    # Outside before, inside after; an update that is not projected does not stay inside.
    assert worst_gain(after.core) <= ONE < worst_gain(free)
    assert np.linalg.eigvalsh(state_matrix(after.core))[0] >= -0.9


def test_nais_pitfall_averages_and_checkpoints_unprojected():
    """An exponential average of projected weights stays inside; of raw ones only by `project`."""
    core = random_convolution_block(
        jax.random.key(1), channels=2, inputs=1, height=4, width=5, epsilon=0.1, eta=0.2
    )
    wild = jax.tree.map(lambda a: 100 * jnp.ones_like(a), core)
    # The copy as it would be if the updates that it follows were not projected.
    copy = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, core, wild)
    assert worst_gain(copy) > 10
    assert worst_gain(project(copy)) <= ONE and worst_gain(average(core, wild, 0.1)) <= ONE
    with pytest.raises(InputProblem, match="weight is 1.5"):
        average(core, core, 1.5)
    counted = average((core, jnp.array(3)), (core, jnp.array(4)), 0.5)
    assert int(counted[1]) == 4


@given(seeds, st.floats(0, 1))
def test_nais_sets_are_convex_in_the_parameters(seed: int, weight: float):
    """`|R'R|_F` is the square of a norm of R (Schatten's, of order 4): means need no rescue."""
    rng = np.random.default_rng(seed)
    ends = [_project(dense(10 * rng.standard_normal((4, 3)), 0.1)) for _ in range(2)]
    mean = (1 - weight) * np.asarray(ends[0].root) + weight * np.asarray(ends[1].root)
    assert np.linalg.norm(mean.T @ mean) <= 0.8
    ends = [
        _project(convolution(5 * rng.standard_normal((2, 2, 3, 3)), rng.standard_normal(2)))
        for _ in range(2)
    ]
    mean = jax.tree.map(lambda a, b: (1 - weight) * a + weight * b, *ends)
    A = state_matrix(mean)
    assert np.abs(np.eye(len(A)) + A).sum(1).max() <= 0.95 + 1e-15


def test_nais_pitfall_weight_decay_pulls_to_the_slowest():
    """Decay on R leaves -epsilon I: a time scale of 1 / epsilon, and so a gain of that size."""
    core: Any = random_dense_block(jax.random.key(0), units=4, inputs=1, epsilon=0.02)
    decayed = jax.tree.map(lambda a: 0.0 * a, core)
    np.testing.assert_allclose(state_matrix(decayed), -0.02 * np.eye(4), rtol=1e-6)


def test_nais_pitfall_epsilon_near_a_half_freezes_the_spectrum():
    core: Any = random_dense_block(jax.random.key(0), units=4, inputs=1, epsilon=0.499)
    np.testing.assert_allclose(np.linalg.eigvalsh(state_matrix(core)), -0.5, atol=2e-3)


def test_settings_that_do_not_fit_are_refused():
    root, bias = jnp.ones((2, 2)), jnp.zeros(2)
    for wrong in (0.0, 0.5, -1.0, math.nan):
        with pytest.raises(InputProblem, match="epsilon is"):
            ProjectedDense(root, None, bias, epsilon=wrong)
    for step in (0.0, math.nan, math.inf, -1.0):
        with pytest.raises(InputProblem, match="step is"):
            ProjectedDense(root, None, bias, step=step)
    with pytest.raises(InputProblem, match=r"slopes in \[0, 1\]"):
        ProjectedDense(root, None, bias, activation="gelu")
    with pytest.raises(InputProblem, match="root has shape"):
        ProjectedDense(bias, None, bias)
    with pytest.raises(InputProblem, match="bias has shape"):
        ProjectedDense(root, None, jnp.zeros(3))
    taps, shifts = jnp.ones((2, 2, 3, 3)), jnp.zeros(2)
    with pytest.raises(InputProblem, match="eta is"):
        ProjectedConvolution(taps, shifts, None, shifts, 4, 4, epsilon=0.1, eta=0.1)
    with pytest.raises(InputProblem, match="eta is"):
        ProjectedConvolution(taps, shifts, None, shifts, 4, 4, eta=1.0)
    with pytest.raises(InputProblem, match="has no centre"):
        ProjectedConvolution(jnp.ones((2, 2, 2, 2)), shifts, None, shifts, 4, 4)
    with pytest.raises(InputProblem, match="shifts has shape"):
        ProjectedConvolution(taps, jnp.zeros(3), None, shifts, 4, 4)
    with pytest.raises(InputProblem, match="kind 'best' is not known"):
        random_dense_block(jax.random.key(0), kind="best", units=2, inputs=1)
    with pytest.raises(InputProblem, match="leak"):
        random_dense_block(jax.random.key(0), units=2, inputs=1, leak=0.1)
    with pytest.raises(InputProblem, match="give at least 1"):
        random_convolution_block(jax.random.key(0), channels=0, inputs=1, height=4, width=4)
