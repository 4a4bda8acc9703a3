"""Collapse to zero and escape from replicators: radii, directions and numbers of steps."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitset import InputProblem
from limitset.networks import TANH
from limitset.replication import (
    ParticleSpec,
    PositionCode,
    collapse_radius,
    deviation,
    draw_particles,
    escape_amplitude,
    escape_steps,
    project_to_replicator,
    self_application_spectrum,
)
from linear_particles import SEEDS, SPECS, draw, draw_replicator


def apply(spec: ParticleSpec, weights: np.ndarray) -> np.ndarray:
    """Self-application of a batch, in the dtype of the weights."""
    answers = deviation(spec, weights) + np.eye(4)[0]
    return answers[..., :1] * weights + answers[..., 1:] @ spec.positions.T


@given(spec=SPECS, seed=SEEDS, share=st.floats(0.01, 0.999))
def test_within_the_radius_everything_shrinks(spec: ParticleSpec, seed: int, share: float):
    weights = draw(spec, seed, 20)
    weights *= share * collapse_radius(spec) / np.linalg.norm(weights, axis=1, keepdims=True)
    after = apply(spec, weights)
    assert (np.linalg.norm(after, axis=1) < np.linalg.norm(weights, axis=1)).all()
    for _ in range(60):
        after = apply(spec, after)
    assert not after.any()


@given(spec=SPECS, seed=SEEDS)
def test_bound_of_the_radius_holds_everywhere(spec: ParticleSpec, seed: int):
    """`|T(theta)|^2 <= (|theta|^2 / L)^L (|theta|^2 + |Pi|^2)`."""
    weights = draw(spec, seed, 50)
    squared = (weights**2).sum(axis=1)
    places = np.linalg.norm(spec.positions, 2)
    bound = (squared / spec.depth) ** spec.depth * (squared + places**2)
    assert ((apply(spec, weights) ** 2).sum(axis=1) <= bound * (1 + 1e-12)).all()


@given(spec=SPECS)
def test_radius_solves_its_equation(spec: ParticleSpec):
    radius, places = collapse_radius(spec), np.linalg.norm(spec.positions, 2)
    depth = spec.depth
    assert np.isclose(radius ** (2 * depth - 2) * (radius**2 + places**2), depth**depth, rtol=1e-9)


@pytest.mark.parametrize(
    "inputs, widths, position, radius",
    [
        (4, (2, 2), PositionCode.PERLAYER, 1.2437),
        (4, (2, 2), PositionCode.COLMAX, 1.3023),
        (5, (3, 3), PositionCode.COLMAX, 1.1435),
        (5, (5, 5), PositionCode.COLMAX, 0.9208),
    ],
)
def test_radii_of_the_usual_particles(inputs, widths, position, radius):
    spec = ParticleSpec(inputs, widths, position)
    assert radius <= collapse_radius(spec) < radius + 1e-4


@given(spec=SPECS, seed=SEEDS, scale=st.floats(0.5, 1.5))
def test_rays_through_replicators_are_kept(spec: ParticleSpec, seed: int, scale: float):
    """`T(s theta) = s^(L+1) theta`: below `s = 1` zero attracts, above it nothing does."""
    weights = draw_replicator(spec, seed)
    expected = scale ** (spec.depth + 1) * weights
    size = 1 + np.abs(weights).max() ** (spec.depth + 1)
    assert np.allclose(apply(spec, scale * weights), expected, rtol=0, atol=1e-9 * size)


def test_organism_noise_law():
    """Ten times less noise lasts `1 / log10(L + 1)` steps longer: 1.66 for three matrices."""
    perfect = np.zeros(14)
    perfect[[0, 8, 12]] = 1.0
    rng = np.random.default_rng(0)
    means = []
    for decade in range(2, 9):
        noise = rng.uniform(size=(400, 14)) * rng.choice([-1, 1], (400, 14))
        means.append(np.mean(vergence(ParticleSpec(), perfect + 10.0**-decade * noise)))
    slopes = np.diff(means)
    assert abs(np.polyfit(range(2, 9), means, 1)[0] - 1.66) < 0.15
    assert (np.abs(slopes - 1.66) < 0.25).all()


@pytest.mark.parametrize("widths", [(3,), (3, 3), (3, 3, 3)])
def test_noise_law_of_other_depths_and_its_direction(widths: tuple[int, ...]):
    """Number of steps and fate, predicted for each draw of noise."""
    spec = ParticleSpec(inputs=5, widths=widths)
    drawn = project_to_replicator(spec, draw_particles(jax.random.key(1), spec, 60)).weights
    others = np.sort(np.abs(self_application_spectrum(spec, drawn).others), axis=1)
    calm = np.asarray(drawn)[others[:, -2] < 0.6 * (spec.depth + 1)][:10]
    assert len(calm) == 10
    rng = np.random.default_rng(0)
    for replicator in calm:
        noise = 1e-9 * rng.standard_normal((10, spec.weight_count))
        amplitude = escape_amplitude(spec, replicator, noise)
        clear = np.abs(amplitude) > 2e-10
        ratio = np.abs(replicator).max() / 1e-5
        steps = vergence(spec, (replicator + noise)[clear])
        predicted = escape_steps(spec.depth, amplitude[clear], ratio)
        # Whole steps: the first one not below the prediction, but for terms of second order.
        assert (steps - predicted).min() > -0.25 and (steps - predicted).max() < 1.25
        after = replicator + noise[clear]
        for _ in range(int(steps.max()) + 3):
            after = np.where(np.abs(after) < 1e6, apply(spec, after), after)
        collapsed = np.abs(after).max(axis=1) < 1
        assert np.array_equal(collapsed, amplitude[clear] < 0)


def vergence(spec: ParticleSpec, weights: np.ndarray) -> np.ndarray:
    """Steps until each is below 1e-5 or above 1e5."""
    steps = np.zeros(len(weights), int)
    for _ in range(100):
        size = np.abs(weights).max(axis=1)
        moving = (size > 1e-5) & (size < 1e5)
        if not moving.any():
            return steps
        weights = np.where(moving[:, None], apply(spec, weights), weights)
        steps += moving
    raise AssertionError("some neither collapsed nor diverged")


@given(depth=st.integers(2, 6), decade=st.integers(2, 12))
def test_steps_are_those_of_the_scale(depth: int, decade: int):
    """The law itself, for noise along the replicator, in exact powers."""
    amplitude = -(10.0**-decade)
    steps = float(escape_steps(depth, np.array(amplitude), 1e5))
    logarithm = (depth + 1) ** np.array([np.floor(steps), np.ceil(steps)]) * np.log1p(amplitude)
    assert logarithm[0] >= -np.log(1e5) * (1 + 1e-9) and logarithm[1] <= -np.log(1e5) * (1 - 1e-9)


def test_no_noise_lasts_for_ever():
    assert escape_steps(3, np.zeros(2)).tolist() == [np.inf, np.inf]


def test_unusable_input():
    spec = ParticleSpec()
    with pytest.raises(InputProblem, match="give a replicator, as from project_to_replicator"):
        escape_amplitude(spec, np.ones(14), np.zeros(14))
    with pytest.raises(InputProblem, match="linear"):
        collapse_radius(ParticleSpec(activation=TANH))
    for depth, amplitude in [(1, 0.1), (3, -1.0), (3, np.nan)]:
        with pytest.raises(InputProblem, match="amplitudes above -1"):
            escape_steps(depth, np.array(amplitude))
    with pytest.raises(InputProblem, match="ratio is 1.0"):
        escape_steps(3, np.array(0.1), 1.0)
