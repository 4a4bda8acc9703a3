"""Smooth parametrisations of fully connected blocks: their spectra, and what they reach."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contraction.dense_blocks import ONE, blown_up, draw, explicit, matrix_of, worst_gain
from limitset import InputProblem
from limitset.contraction import FreeSpectrumDense, ProjectedDense, SpectralDense

pytestmark = pytest.mark.usefixtures("no_shape_checks")

seeds = st.integers(0, 2**32 - 1)
factors = st.sampled_from([0.0, 1e-3, 1.0, 1e3, 1e15])


def spectrum(core: SpectralDense | FreeSpectrumDense | ProjectedDense) -> np.ndarray:
    """Eigenvalues of -A, which is exactly symmetric."""
    A = matrix_of(explicit(core).state_operator)
    assert (A == A.T).all()
    return np.linalg.eigvalsh(-A)


def test_nais_spectral_against_frobenius():
    """Of a Gaussian root of 256 units, at one certificate: a spectrum six times as wide."""
    root = jnp.asarray(np.random.default_rng(0).standard_normal((256, 256)))
    projected = spectrum(ProjectedDense(root, None, jnp.zeros(256)).projected()) - 0.01
    spectral = spectrum(SpectralDense(root, None, jnp.zeros(256))) - 0.01
    assert projected[-1] == pytest.approx(0.171, abs=0.003)
    assert projected.mean() == pytest.approx(0.043, abs=0.001)
    assert spectral[-1] == pytest.approx(0.98, rel=0.01) and spectral[-1] <= 0.98
    assert spectral.mean() == pytest.approx(0.249, abs=0.003)


@settings(max_examples=20)
@given(seeds, factors)
def test_nais_spectral_bounds_the_spectrum(seed: int, factor: float):
    core = blown_up(draw("dense", "spectral", seed, epsilon=0.1), factor)
    values = spectrum(core)
    assert values[0] >= 0.1 - 1e-6 and values[-1] <= 0.9
    assert worst_gain(core) <= ONE


def test_nais_spectral_is_tight():
    """The bound is met within a part in a million, so that 1 % more exceeds it."""
    core = SpectralDense(jnp.diag(jnp.array([3.0, 1.0])), None, jnp.zeros(2), epsilon=0.1)
    largest = spectrum(core)[-1]
    assert 0.9 - 1e-6 < largest <= 0.9 < 0.1 + 1.01 * (largest - 0.1)


def test_spectral_leaves_what_is_inside():
    """Every matrix of the class is reached, by its own root."""
    root = jnp.array([[0.3, 0.2], [0.0, 0.5]])
    A = matrix_of(SpectralDense(root, None, jnp.zeros(2)).explicit().state_operator)
    np.testing.assert_allclose(A, -root.T @ root - 0.01 * np.eye(2), atol=1e-15)


@settings(max_examples=20)
@given(seeds, factors, st.sampled_from(["float32", "float64"]))
def test_nais_free_spectrum_stays_between_its_bounds(seed: int, factor: float, dtype: str):
    """In float32 too, for reflectors of any size, parallel ones, and none."""
    rng = np.random.default_rng(seed)
    n = 6
    reflectors = factor * rng.standard_normal((n, n))
    if seed % 2:
        reflectors = np.repeat(reflectors[:, :1], n, 1)
    free = jnp.asarray(factor * rng.standard_normal(n), dtype)
    core = FreeSpectrumDense(
        jnp.asarray(reflectors, dtype), free, None, jnp.zeros(n, dtype), epsilon=0.1, largest=2.0
    )
    values = spectrum(core)
    # The float eigenvalues themselves err by a few units in the last place.
    assert values[0] >= 0.1 - 1e-14 and values[-1] <= 2.0 + 1e-14
    if dtype == "float64":
        expected = 0.1 + 1.9 * np.asarray(jax.nn.sigmoid(free))
        np.testing.assert_allclose(values, np.sort(expected), atol=1e-12)
    assert worst_gain(core) <= ONE


def test_nais_free_spectrum_is_tight():
    """Saturated, the largest eigenvalue is 2 / step; 1 % more parts states, and is refused."""

    def core(largest: float) -> FreeSpectrumDense:
        return FreeSpectrumDense(
            jnp.eye(2), jnp.full(2, 50.0), None, jnp.zeros(2), largest=largest, step=0.5
        )

    largest = spectrum(core(4.0))[-1]
    assert largest == pytest.approx(4, rel=1e-9)
    assert abs(1 - 0.5 * 1.01 * largest) > 1.009
    with pytest.raises(InputProblem, match="step is 0.5"):
        core(4.04)
    with pytest.raises(InputProblem, match="between 0 and 0.01"):
        core(0.01)
    with pytest.raises(InputProblem, match="do not fit"):
        FreeSpectrumDense(jnp.eye(3), jnp.zeros(2), None, jnp.zeros(2))


@given(seeds)
def test_free_spectrum_reaches_every_matrix(seed: int):
    """Eigenvectors of any symmetric matrix are products of reflections, from their QR."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    values = rng.uniform(0.02, 0.98, 4)
    goal = (turned * values) @ turned.T
    # Householder's own vectors, one column after the other.
    rest, reflectors = turned.copy(), np.zeros((4, 4))
    for k in range(3):
        x = rest[k:, k].copy()
        x[0] += np.copysign(np.linalg.norm(x), x[0])
        reflectors[k:, k] = x
        rest[k:] -= 2 * np.outer(x, x @ rest[k:]) / (x @ x)
    ratio = (values - 0.01) / (0.99 - 0.01)
    core = FreeSpectrumDense(
        jnp.asarray(reflectors), jnp.asarray(np.log(ratio / (1 - ratio))), None, jnp.zeros(4)
    )
    np.testing.assert_allclose(matrix_of(core.explicit().state_operator), -goal, atol=1e-12)


@pytest.mark.parametrize("kind", ["spectral", "free_spectrum"])
def test_nais_pitfall_zero_parameters(kind: str):
    """Zeros give stable blocks, and slopes that are numbers."""
    core = blown_up(draw("dense", kind), 0.0)

    def loss(core):
        return sum((leaf**2).sum() for leaf in jax.tree.leaves(core.explicit()))

    slope = jax.jit(jax.grad(loss))(core)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    assert worst_gain(core) <= ONE


def test_stacked_parameters_are_explicit_one_by_one():
    """Several seeds in one program: vmapped parameters give each its own matrix."""
    cores = [draw("dense", "free_spectrum", seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *cores)
    together = jax.vmap(explicit)(stacked).state_operator.matrix
    for one, core in zip(together, cores, strict=True):
        np.testing.assert_allclose(one, core.explicit().state_operator.matrix, atol=1e-6)
