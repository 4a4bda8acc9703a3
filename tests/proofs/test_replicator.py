"""Exact self-replicators near weights: contained, counted, and refused where there is none."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from limitset._result import InputProblem
from limitset.proofs import (
    Reason,
    Refusal,
    Replicator,
    TrainingModes,
    bound_replicator_distances,
    prove_map_fixed_point,
    prove_replicator,
)
from limitset.proofs._ball import Ball
from limitset.proofs._particle_forms import ParticleShape, kappa, kappa_forms, kappa_gradient
from limitset.replication import (
    ParticleSpec,
    PositionCode,
    SelfApplication,
    exact_kappa,
    project_exactly,
    self_training_step,
)
from linear_particles import SEEDS, SOME, SPECS, draw, draw_replicator, show

SPEC = ParticleSpec(inputs=5, widths=(3, 3))


def perfect() -> np.ndarray:
    weights = np.zeros(14)
    weights[[0, 8, 12]] = 1.0
    return weights


def prove(spec: ParticleSpec, weights: np.ndarray, **options: float) -> Replicator:
    answer = prove_replicator(weights, spec.positions, spec.shapes, **options)
    assert isinstance(answer, Replicator), answer
    return answer


@settings(max_examples=15, deadline=None)
@given(SPECS, SEEDS)
def test_kappa_and_its_gradient_are_enclosed(spec: ParticleSpec, seed: int):
    weights, shape = draw(spec, seed), ParticleShape(spec.positions, spec.shapes)
    ball = kappa(shape, Ball(weights, np.full_like(weights, 1e-3)))
    true = [float(entry) for entry in exact_kappa(spec, weights)[:4]]
    assert ((ball.lower() <= true) & (true <= ball.upper())).all()
    # Euler: kappa is homogeneous of degree L.
    slope = kappa_gradient(shape, Ball.exact(weights)) @ weights
    scale = 1 + np.abs(true)
    assert (np.abs(slope.mid - shape.depth * np.array(true)) < 1e-12 * scale).all()


def test_forms_are_exact_in_rationals():
    spec = ParticleSpec(widths=(2, 3))
    forms = kappa_forms(ParticleShape(spec.positions, spec.shapes))
    a = (Fraction(3, 8), Fraction(-5, 4), Fraction(7, 2))
    places = [[Fraction(float(x)) for x in row] for row in spec.positions]
    weights = [sum(x * y for x, y in zip(row, a, strict=True)) for row in places]
    for form, true in zip(forms, exact_kappa(spec, weights), strict=True):
        value = sum(
            Fraction(int(c.p), int(c.q)) * a[0] ** i * a[1] ** j * a[2] ** k
            for (i, j, k), c in form.items()
        )
        assert value == true


@settings(max_examples=15, deadline=None)
@given(SPECS, SEEDS)
def test_projected_particles_are_proved(spec: ParticleSpec, seed: int):
    if spec.weight_count < 8 or spec.widths.count(1):
        return
    weights = draw_replicator(spec, seed)
    if np.abs(weights).max() > 30 or np.isnan(spec.positions).any():
        return
    answer = prove(spec, weights)
    assert answer.distance < 1e-9 and answer.radius.max() < 1e-10


@pytest.mark.parametrize("spec", SOME, ids=show)
def test_the_proved_box_holds_an_exact_rational_replicator(spec: ParticleSpec):
    """An exact replicator, built in rationals along the same slice by Newton's method."""
    weights = draw_replicator(spec, 3) + 1e-7 * draw(spec, 4)
    answer = prove(spec, weights)
    frame = [[Fraction(float(q)) for q in row] for row in answer.frame]
    y = [Fraction(float(c)) for c in answer.center]
    start = [Fraction(float(w)) for w in weights]
    along = [
        s + sum(q * v for q, v in zip(row, y, strict=True))
        for s, row in zip(start, frame, strict=True)
    ]
    missed = [float(k - e) for k, e in zip(exact_kappa(spec, along)[:4], (1, 0, 0, 0), strict=True)]
    # The middle of the box is this near to kappa = (1, 0, 0, 0), exactly.
    assert max(map(abs, missed)) < 1e-13
    assert answer.distance < 1e-5


@pytest.mark.parametrize("spec", SOME, ids=show)
def test_organism_eigenvalues_of_a_replicator(spec: ParticleSpec):
    """The exact number of ones, `1 + L`, and the other three, against NumPy."""
    weights = draw_replicator(spec, 11)
    answer = prove(spec, weights)
    n, places = spec.weight_count, spec.positions
    shape = ParticleShape(places, spec.shapes)
    G = kappa_gradient(shape, Ball.exact(weights)).mid
    X = np.column_stack([weights, places])
    values = np.linalg.eigvals(np.eye(n) + X @ G)
    assert np.abs(values - (1 + spec.depth)).min() < 1e-6
    assert answer.unit_eigenvalues == n - 4
    assert answer.spectrum is not None and answer.unstable is not None
    for centre, radius in zip(answer.spectrum.centres, answer.spectrum.radii, strict=True):
        assert np.abs(values - centre).min() < 1e-6 + radius
    outside = 1 + int((np.abs(answer.spectrum.centres) > 1).sum())
    assert answer.unstable == outside >= 1


@pytest.mark.parametrize("spec", SOME, ids=show)
def test_training_modes_bound_the_eigenvalues_across_the_manifold(spec: ParticleSpec):
    weights = draw_replicator(spec, 12)
    modes = prove(spec, weights).training
    assert modes is not None
    shape = ParticleShape(spec.positions, spec.shapes)
    G = kappa_gradient(shape, Ball.exact(weights)).mid
    X = np.column_stack([weights, spec.positions])
    mu = np.linalg.eigvals(2 / len(weights) * G @ G.T @ X.T @ X).real
    assert modes.slowest <= mu.min() * (1 + 1e-9) and mu.max() * (1 - 1e-9) <= modes.fastest
    assert modes.slowest > 0.9 * mu.min() and modes.fastest < 1.1 * mu.max()


def test_self_training_contracts_as_proved():
    weights = draw_replicator(SPEC, 5)
    modes = prove(SPEC, weights).training
    assert modes is not None
    step = 1.0 / modes.fastest
    bound = modes.factor(step)
    assert bound is not None and bound < 1
    now, still = jnp.asarray(weights + 1e-5 * draw(SPEC, 6)), jnp.zeros(len(weights))
    shape = ParticleShape(SPEC.positions, SPEC.shapes)
    goal, errors = np.eye(4)[0], []
    for _ in range(60):
        now, _ = self_training_step(SPEC, now, still, rate=step)
        errors.append(np.linalg.norm(kappa(shape, Ball.exact(np.asarray(now))).mid - goal))
    assert errors[-1] / errors[-2] <= bound + 1e-3
    assert TrainingModes(0.5, 3.0).factor(0.7) is None
    assert modes.factor(2.01 / modes.fastest) is None


def test_the_hand_made_replicator_has_no_distance():
    spec = ParticleSpec()
    assert prove(spec, perfect()).distance < 1e-14


def test_what_is_no_replicator_is_refused():
    shapes, places = SPEC.shapes, SPEC.positions
    far = prove_replicator(draw(SPEC, 0), places, shapes)
    assert isinstance(far, Refusal) and far.reason in (Reason.NOT_NEAR, Reason.NEWTON_FAILED)
    zero = prove_replicator(np.zeros(27), places, shapes)
    assert isinstance(zero, Refusal) and zero.reason is Reason.JACOBIAN_SINGULAR
    huge = prove_replicator(np.full(27, 1e200), places, shapes)
    assert isinstance(huge, Refusal)
    near = prove_replicator(np.full(27, 1e-200), places, shapes)
    assert isinstance(near, Refusal)


def test_the_distance_that_is_allowed_decides():
    weights = draw_replicator(SPEC, 1) + 1e-4 * draw(SPEC, 2)
    answer = prove(SPEC, weights)
    inside = prove(SPEC, weights, within=answer.distance)
    assert inside.distance == answer.distance
    outside = prove_replicator(
        weights, SPEC.positions, SPEC.shapes, within=np.nextafter(answer.distance, 0)
    )
    assert isinstance(outside, Refusal) and outside.reason is Reason.NOT_NEAR


def test_wrong_sizes_find_no_replicator(no_shape_checks: None):
    """Weights of two hidden layers, cut as if there were three."""
    spec = ParticleSpec(widths=(2, 2))
    other = ParticleSpec(widths=(1, 3, 2))
    assert other.weight_count != spec.weight_count
    weights = draw_replicator(spec, 1)
    with pytest.raises(InputProblem, match="weights has shape"):
        prove_replicator(weights, other.positions, other.shapes)
    with pytest.raises(InputProblem, match="positions has shape"):
        prove_replicator(weights, other.positions, spec.shapes)
    with pytest.raises(InputProblem, match="matrices that chain"):
        prove_replicator(weights, spec.positions, ((2, 4), (2, 3), (1, 2)))
    with pytest.raises(InputProblem, match="within is"):
        prove_replicator(weights, spec.positions, spec.shapes, within=float("nan"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float):
    weights = perfect()
    weights[3] = value
    spec = ParticleSpec()
    with pytest.raises(InputProblem, match="NaN or infinity"):
        prove_replicator(weights, spec.positions, spec.shapes)
    with pytest.raises(InputProblem, match="NaN or infinity"):
        bound_replicator_distances(weights[None], spec.positions, spec.shapes)
    places = spec.positions.copy()
    places[0, 0] = value
    with pytest.raises(InputProblem, match="NaN or infinity"):
        prove_replicator(perfect(), places, spec.shapes)


def test_organism_pitfall_full_space_is_refused():
    """The derivative of `T - id` is singular all over the manifold of replicators."""
    answer = prove_map_fixed_point(SelfApplication(ParticleSpec()), perfect())
    assert isinstance(answer, Refusal)
    answer = prove_map_fixed_point(SelfApplication(ParticleSpec()), perfect(), radius=1e-6)
    assert isinstance(answer, Refusal)
    answer = prove_map_fixed_point(SelfApplication(SPEC), draw_replicator(SPEC, 3), radius=1e-9)
    assert isinstance(answer, Refusal)


def test_near_a_singular_product_boxes_stay_small():
    """With `W_3 W_2` tiny, the exact replicator may be far: never nearer than |delta| / |u|."""
    weights = perfect()
    weights[[8, 12]] = 1e-4
    weights[0] = 1e8
    spec = ParticleSpec()
    answer = prove(spec, weights)
    assert answer.distance < 1e-9
    weights[0] = 0.9e8
    answer = prove_replicator(weights, spec.positions, spec.shapes)
    assert isinstance(answer, Refusal) or answer.distance > 1e-6


def test_a_batch_agrees_with_single_proofs(no_shape_checks: None):
    weights = np.stack([draw_replicator(SPEC, k) + 1e-6 * draw(SPEC, k) for k in range(12)])
    weights[3] = 0.0
    weights[4] = 1e150
    bounds = bound_replicator_distances(weights, SPEC.positions, SPEC.shapes)
    assert bounds.shape == (12,) and np.isinf(bounds[[3, 4]]).all()
    for k in (0, 1, 2, 5, 6, 7):
        single = prove(SPEC, weights[k]).distance
        assert bounds[k] == pytest.approx(single, rel=1e-6)
    assert bound_replicator_distances(weights[:0], SPEC.positions, SPEC.shapes).shape == (0,)
    with pytest.raises(InputProblem, match="give \\(N, 27\\)"):
        bound_replicator_distances(weights[0], SPEC.positions, SPEC.shapes)


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_no_distance_below_the_true_one(seed: int):
    """A bound below `|delta| / sup |G|` along the way would be a lie."""
    spec = ParticleSpec(position=PositionCode.RAW)
    weights = draw_replicator(spec, seed) + 1e-3 * draw(spec, seed + 1)
    bound = float(bound_replicator_distances(weights[None], spec.positions, spec.shapes)[0])
    if not bound < 0.1:
        return
    shape = ParticleShape(spec.positions, spec.shapes)
    box = Ball(weights, np.full_like(weights, bound))
    steepest = np.linalg.norm(kappa_gradient(shape, box).magnitude())
    missed = kappa(shape, Ball.exact(weights)).mid - np.eye(4)[0]
    assert bound * steepest >= np.linalg.norm(missed) * (1 - 1e-12)


def test_exactly_projected_weights_are_near_their_float_ones():
    spec = ParticleSpec()
    weights = draw_replicator(spec, 2)
    exact = project_exactly(spec, weights)
    pairs = zip(exact, weights, strict=True)
    away = [float(e - Fraction(float(w))) for e, w in pairs]
    answer = prove(spec, weights)
    # Another replicator, but as near as rounding: both distances are of this size.
    assert np.linalg.norm(away) < 1e-14 and answer.distance < 1e-13
