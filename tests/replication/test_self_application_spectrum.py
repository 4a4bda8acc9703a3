"""The spectrum of self-application from small matrices, and what it says of replicators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitset.replication import (
    ParticleSpec,
    PositionCode,
    SelfApplication,
    deviation,
    draw_particles,
    find_positional_replicators,
    kappa_gradient,
    project_to_replicator,
    self_application_spectrum,
)
from linear_particles import SEEDS, SOME, SPECS, draw, draw_replicator, show


def dense(spec: ParticleSpec, weights: np.ndarray) -> np.ndarray:
    """`DT = kappa_0 I + X G`, whole."""
    rows = np.column_stack([weights, spec.positions])
    own = deviation(spec, weights)[0] + 1
    return own * np.eye(len(weights)) + rows @ kappa_gradient(spec, weights)


@pytest.mark.parametrize("spec", SOME[1:4:2], ids=show)
def test_dense_jacobian_is_that_of_the_map(spec: ParticleSpec):
    weights = draw(spec, 0)
    once = SelfApplication(spec).advance
    expected = jax.jit(jax.jacfwd(lambda w: once(0, w, jnp.zeros(0))))(jnp.asarray(weights))
    assert np.allclose(dense(spec, weights), expected, rtol=0, atol=1e-12)


@given(spec=SPECS, seed=SEEDS)
def test_spectrum_is_that_of_the_dense_jacobian(spec: ParticleSpec, seed: int):
    """Compared by the characteristic polynomial at points off the spectrum."""
    weights = draw(spec, seed)
    found = self_application_spectrum(spec, weights)
    whole = dense(spec, weights)
    for point in (3 + 2j, -2.5 + 1j, 6.0):
        shifted = np.linalg.slogdet(point * np.eye(len(weights)) - whole)
        sizes = found.multiplicity * np.log(abs(point - found.repeated))
        assert np.isclose(sizes + np.log(abs(point - found.others)).sum(), shifted[1], atol=1e-8)
    assert found.multiplicity == spec.weight_count - 4


@pytest.mark.parametrize("spec", SOME, ids=show)
def test_a_batch_is_each_of_its_particles(spec: ParticleSpec):
    weights = draw(spec, 3, 5)
    found = self_application_spectrum(spec, weights)
    assert found.radius.shape == (5,) and found.others.shape == (5, 4)
    for k in range(5):
        one = self_application_spectrum(spec, weights[k])
        assert np.isclose(found.radius[k], one.radius, rtol=1e-12)


@pytest.mark.parametrize("widths", [(2,), (2, 2), (2, 2, 2)])
@pytest.mark.parametrize("position", [code for code in PositionCode if code.value != "raw"])
def test_organism_spectral_radius_is_one_more_than_the_depth(
    widths: tuple[int, ...], position: PositionCode
):
    """4 for three matrices, beside `n - 4` ones, of the particle that passes values on.

    Numbers that are no coordinates between 0 and 1 make another eigenvalue as large, or larger.
    """
    spec = ParticleSpec(inputs=5, widths=widths, position=position)
    perfect = np.zeros(spec.weight_count)
    perfect[np.cumsum([0] + [rows * columns for rows, columns in spec.shapes[:-1]])] = 1.0
    found = self_application_spectrum(spec, perfect)
    assert abs(found.radius - (spec.depth + 1)) < 1e-9
    values = np.linalg.eigvals(dense(spec, perfect))
    assert (np.abs(values - 1) < 1e-6).sum() >= found.multiplicity == spec.weight_count - 4
    assert abs(np.abs(values).max() - (spec.depth + 1)) < 1e-9


@pytest.mark.parametrize("inputs, widths", [(4, (2, 2)), (5, (3, 3)), (5, (5, 5)), (5, (3,))])
def test_spectral_radius_of_most_drawn_replicators(inputs: int, widths: tuple[int, ...]):
    """`L + 1` is an eigenvalue of all; of a few another one is larger."""
    spec = ParticleSpec(inputs=inputs, widths=widths)
    drawn = draw_particles(jax.random.key(0), spec, 500)
    found = self_application_spectrum(spec, project_to_replicator(spec, drawn).weights)
    target = spec.depth + 1
    assert np.abs(found.others - target).min(axis=1).max() < 1e-9
    usual = found.radius < target + 1e-9
    assert 0.85 < usual.mean() < 1
    assert np.abs(found.radius[usual] - target).max() < 1e-9


@given(spec=SPECS, seed=SEEDS)
def test_a_replicator_is_an_eigenvector(spec: ParticleSpec, seed: int):
    """With the eigenvalue `L + 1`; the directions that do not move its answers are neutral."""
    weights = draw_replicator(spec, seed)
    whole, size = dense(spec, weights), 1 + np.abs(weights).max() ** spec.depth
    assert np.allclose(whole @ weights, (spec.depth + 1) * weights, rtol=0, atol=1e-9 * size)
    gradient = kappa_gradient(spec, weights)
    neutral = np.linalg.svd(gradient)[2][4:]
    assert np.allclose(whole @ neutral.T, neutral.T, rtol=0, atol=1e-9 * size)


def test_other_eigenvalues_may_be_larger():
    """`L + 1` is always an eigenvalue, not always the largest one: smaller first weights and larger
    later ones answer the same, and let places weigh more."""
    spec = ParticleSpec(inputs=5, widths=(3, 3))
    weights = draw_replicator(spec, 0).copy()
    weights[:15] /= 30
    weights[15:24] *= 30
    assert np.abs(deviation(spec, weights)).max() < 1e-12
    assert self_application_spectrum(spec, weights).radius > 10


@pytest.mark.parametrize("spec", SOME, ids=show)
def test_no_positional_replicator_is_stable(spec: ParticleSpec):
    """`L + kappa_0`, and `kappa_0` at least `n - 3` times: not both within the unit disc."""
    found = find_positional_replicators(spec, starts=300)
    spectrum = self_application_spectrum(spec, found.weights)
    assert len(found.weights) > 0
    expected = spec.depth + found.kappa_0
    size = 1 + np.abs(spectrum.others).max(axis=1)
    assert (np.abs(spectrum.others - expected[:, None]).min(axis=1) < 1e-8 * size).all()
    assert (np.abs(spectrum.others - found.kappa_0[:, None]).min(axis=1) < 1e-8 * size).all()
    assert (spectrum.radius > 1).all()
    for weights, own in zip(found.weights, found.kappa_0, strict=True):
        whole = dense(spec, weights)
        assert np.allclose(whole @ weights, (spec.depth + own) * weights, rtol=1e-7, atol=1e-7)


@given(kappa_0=st.floats(-50, 50), depth=st.integers(3, 6))
def test_two_eigenvalues_never_fit_into_the_unit_disc(kappa_0: float, depth: int):
    assert max(abs(kappa_0), abs(kappa_0 + depth)) >= depth / 2 > 1


def test_two_matrices_leave_one_case_that_the_ray_decides():
    """`L = 2`, `kappa_0 = -1`: eigenvalues -1 and 1, and along the ray `s -> 2 s^2 - s^3`, which
    leaves 1 downwards for ever."""
    scale = 1 - 1e-3
    for _ in range(3000):
        scale = 2 * scale**2 - scale**3
    assert scale < 1e-100


def test_zero_is_super_attracting():
    spec = ParticleSpec()
    found = self_application_spectrum(spec, np.zeros(14))
    assert found.radius == 0.0 and not np.any(dense(spec, np.zeros(14)))
