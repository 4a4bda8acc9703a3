"""Replicators of class B: only true ones, with their multiples, and some for odd depths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limitset import Evidence, InputProblem
from limitset.networks import TANH
from limitset.replication import (
    ParticleSpec,
    PositionCode,
    deviation,
    find_positional_replicators,
)
from linear_particles import SOME, show


def apply(spec: ParticleSpec, weights: np.ndarray) -> np.ndarray:
    answers = deviation(spec, weights) + np.eye(4)[0]
    return answers[..., :1] * weights + answers[..., 1:] @ spec.positions.T


@pytest.mark.parametrize("spec", SOME, ids=show)
def test_all_of_them_replicate(spec: ParticleSpec):
    found = find_positional_replicators(spec, starts=400)
    assert len(found.weights) >= 1 and found.evidence is Evidence.FLOAT64
    assert np.array_equal(found.weights, found.coefficients @ spec.positions.T)
    size = 1 + np.abs(found.weights).max(axis=1)
    assert (np.abs(apply(spec, found.weights) - found.weights).max(axis=1) < 1e-9 * size).all()
    assert (found.residuals < 1e-9 * size).all()
    assert np.allclose(deviation(spec, found.weights)[:, 0] + 1, found.kappa_0, atol=1e-12)
    assert (np.abs(found.coefficients).max(axis=1) > 1e-3).all()
    assert (np.diff(np.linalg.norm(found.coefficients, axis=1)) >= 0).all()
    for k, one in enumerate(found.coefficients):
        others = np.delete(found.coefficients, k, axis=0)
        assert not len(others) or np.abs(others - one).max(axis=1).min() > 1e-6


@pytest.mark.parametrize(
    "inputs, widths, position, count",
    [
        (4, (2, 2), PositionCode.PERLAYER, 5),
        (4, (2, 2), PositionCode.COLMAX, 6),
        (4, (2, 2), PositionCode.RAW, 6),
        (5, (3, 3), PositionCode.COLMAX, 6),
        (5, (5, 5), PositionCode.COLMAX, 5),
    ],
)
def test_organism_counts_of_class_b(inputs, widths, position, count):
    """As many as 2,000 starts find; nothing says that these are all."""
    found = find_positional_replicators(ParticleSpec(inputs, widths, position))
    assert len(found.weights) == count


@pytest.mark.parametrize("spec", SOME, ids=show)
def test_rays_through_them_are_kept(spec: ParticleSpec):
    """`T(s theta) = (kappa_0 s^(L+1) + (1 - kappa_0) s^L) theta`."""
    found = find_positional_replicators(spec, starts=200)
    own = found.kappa_0[:, None]
    for s in (-1.5, 0.3, 0.9, 1.2):
        expected = (own * s ** (spec.depth + 1) + (1 - own) * s**spec.depth) * found.weights
        size = 1 + np.abs(expected).max(axis=1, keepdims=True) + np.abs(own)
        assert (np.abs(apply(spec, s * found.weights) - expected) < 1e-8 * size).all()


def test_three_on_one_ray():
    """For three matrices, `kappa_0 s^2 + s + 1 = 0` has real roots if `kappa_0 <= 1/4`."""
    for spec in (ParticleSpec(), ParticleSpec(inputs=5, widths=(3, 3))):
        found = find_positional_replicators(spec)
        directions = found.coefficients / np.linalg.norm(found.coefficients, axis=1)[:, None]
        together = (np.abs(directions @ directions.T) > 1 - 1e-9).sum(axis=1)
        assert set(together[found.kappa_0 < 0.25]) == {3}
        assert set(together[found.kappa_0 > 0.25]) <= {1}


@settings(max_examples=12)
@given(
    widths=st.sampled_from([(2, 2), (2, 4), (3, 2), (4, 3), (2, 2, 2, 2), (3, 2, 2, 3)]),
    position=st.sampled_from(PositionCode),
)
def test_odd_depths_have_some(widths, position):
    """A projective plane cannot be mapped into itself without a fixed point."""
    found = find_positional_replicators(ParticleSpec(widths=widths, position=position), starts=300)
    assert len(found.weights) >= 1


def test_starts_decide_nothing_but_what_is_found():
    first = find_positional_replicators(ParticleSpec(), starts=1000, seed=1)
    second = find_positional_replicators(ParticleSpec(), starts=1000, seed=2)
    assert np.allclose(first.coefficients, second.coefficients, rtol=0, atol=1e-9)


def test_unusable_input():
    with pytest.raises(InputProblem, match="do not span three dimensions; give wider"):
        find_positional_replicators(ParticleSpec(widths=(1,), position=PositionCode.RAW))
    with pytest.raises(InputProblem, match="linear"):
        find_positional_replicators(ParticleSpec(activation=TANH))
    for starts, spread in [(0, 1.0), (5, 0.0), (5, np.nan)]:
        with pytest.raises(InputProblem, match="give positive numbers"):
            find_positional_replicators(ParticleSpec(), starts=starts, spread=spread)
