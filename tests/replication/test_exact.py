"""Replicators in rational numbers: equations, not tolerances."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from limitset import InputProblem
from limitset.networks import TANH
from limitset.replication import (
    ParticleSpec,
    PositionCode,
    draw_particles,
    exact_kappa,
    is_exact_replicator,
    kappa,
    project_exactly,
    project_to_replicator,
)
from linear_particles import SEEDS, SPECS, draw

PERFECT = [1.0 if k in (0, 8, 12) else 0.0 for k in range(14)]


@given(spec=SPECS, seed=SEEDS)
def test_projection_copies_itself_exactly(spec: ParticleSpec, seed: int):
    weights = draw(spec, seed)
    exact = project_exactly(spec, weights)
    assert exact_kappa(spec, exact)[:4] == (1, 0, 0, 0)
    assert exact_kappa(spec, exact)[4:] == exact_kappa(spec, weights)[4:]
    assert is_exact_replicator(spec, exact)


@given(spec=SPECS, seed=SEEDS)
def test_floats_approximate_it(spec: ParticleSpec, seed: int):
    weights = draw(spec, seed)
    exact = np.array([float(weight) for weight in project_exactly(spec, weights)])
    floats = np.asarray(project_to_replicator(spec, weights).weights)
    assert np.allclose(floats, exact, rtol=1e-9, atol=1e-12 * (1 + np.abs(exact).max()))


@given(spec=SPECS, seed=SEEDS)
def test_projecting_twice_changes_nothing(spec: ParticleSpec, seed: int):
    once = project_exactly(spec, draw(spec, seed))
    assert project_exactly(spec, once) == once


def test_float32_counts_as_the_numbers_it_holds():
    spec = ParticleSpec(inputs=5, widths=(3, 3))
    weights = draw_particles(jax.random.key(0), spec, 1, jnp.float32)[0]
    assert project_exactly(spec, weights) == project_exactly(spec, weights.astype(jnp.float64))
    found = np.array([float(entry) for entry in exact_kappa(spec, weights)])
    assert np.allclose(found, kappa(spec, weights.astype(jnp.float64)), rtol=0, atol=1e-14)


def test_rounded_replicators_are_no_replicators():
    """One unit in the last place is enough, and no tolerance hides it."""
    spec = ParticleSpec()
    assert is_exact_replicator(spec, PERFECT)
    assert not is_exact_replicator(spec, [np.nextafter(1.0, 2.0), *PERFECT[1:]])
    rounded = project_to_replicator(spec, draw(spec, 0)).weights
    assert not is_exact_replicator(spec, rounded)
    assert is_exact_replicator(spec, project_exactly(spec, rounded))


def test_replicators_that_know_their_weights_by_their_places():
    """Class B with `kappa_0 = 0`: every weight is its place times `(1/3, 0, 1)`."""
    spec = ParticleSpec(widths=(1,), position=PositionCode.RAW)
    weights = [Fraction(0), Fraction(1), Fraction(2), Fraction(3), Fraction(1, 3)]
    assert exact_kappa(spec, weights) == (0, Fraction(1, 3), Fraction(2, 3), 1)
    assert is_exact_replicator(spec, weights)
    assert not is_exact_replicator(spec, [float(weight) for weight in weights])


def test_zero_and_tampered_weights_are_no_replicators():
    spec = ParticleSpec()
    assert not is_exact_replicator(spec, [0.0] * 14)
    tampered = [*PERFECT]
    tampered[3] = 1e-300
    assert not is_exact_replicator(spec, tampered)


def test_unusable_weights():
    spec = ParticleSpec()
    with pytest.raises(InputProblem, match="later matrices have the product 0"):
        project_exactly(spec, [*PERFECT[:12], 0.0, 0.0])
    with pytest.raises(InputProblem, match="give a sequence of 14 numbers"):
        exact_kappa(spec, [1.0])
    with pytest.raises(InputProblem, match="give a sequence of 14 numbers"):
        exact_kappa(spec, np.zeros((2, 14)))
    with pytest.raises(InputProblem, match="not all finite"):
        is_exact_replicator(spec, [*PERFECT[:13], float("nan")])
    with pytest.raises(InputProblem, match="only linear particles"):
        project_exactly(ParticleSpec(activation=TANH), PERFECT)


def test_fractions_need_no_floats():
    exact = [Fraction(weight) for weight in PERFECT]
    exact[0], exact[8] = Fraction(3), Fraction(1, 3)
    assert is_exact_replicator(ParticleSpec(), exact)
    assert not is_exact_replicator(ParticleSpec(), [float(weight) for weight in exact])
