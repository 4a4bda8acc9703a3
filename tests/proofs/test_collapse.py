"""The ball that self-application takes to zero: certain inside, refused outside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from limitset._result import InputProblem
from limitset.networks import RELU, TANH, Activation
from limitset.proofs import CollapseBall, Reason, Refusal, prove_collapse_ball
from limitset.proofs._ball import Ball
from limitset.proofs._particle_forms import ParticleShape, kappa
from limitset.replication import ParticleSpec, PositionCode, apply_to, collapse_radius
from linear_particles import SEEDS, SPECS, show

pytestmark = pytest.mark.usefixtures("no_shape_checks")
# Radii from the bound |kappa_0| r + |Pi| |kappa_{1:3}| of both terms apart, which is coarser.
COARSE = {
    ParticleSpec(position=PositionCode.PERLAYER): 1.108,
    ParticleSpec(): 1.151,
    ParticleSpec(5, (3, 3)): 1.036,
    ParticleSpec(5, (5, 5)): 0.866,
}


def prove(spec: ParticleSpec, radius: float | None = None, linear: bool = True) -> CollapseBall:
    answer = prove_collapse_ball(spec.positions, spec.shapes, radius, linear=linear)
    assert isinstance(answer, CollapseBall), answer
    return answer


@pytest.mark.parametrize("spec", COARSE, ids=show)
def test_organism_collapse_ball(spec: ParticleSpec):
    ball = prove(spec)
    assert ball.radius > COARSE[spec] and ball.factor < 1
    assert prove(spec, COARSE[spec]).factor < 0.95
    assert ball.radius == pytest.approx(collapse_radius(spec), rel=1e-12)


@settings(max_examples=12, deadline=None)
@given(SPECS, SEEDS)
def test_one_step_shrinks_as_proved(spec: ParticleSpec, seed: int):
    if np.isnan(spec.positions).any():
        return
    ball = prove(spec)
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(spec.weight_count)
    theta *= ball.radius / np.linalg.norm(theta) * rng.uniform(0.1, 1)
    shape = ParticleShape(spec.positions, spec.shapes)
    row = kappa(shape, Ball.exact(theta)).mid
    image = np.column_stack([theta, spec.positions]) @ row
    assert np.linalg.norm(image) <= ball.factor * np.linalg.norm(theta) * (1 + 1e-12)


@pytest.mark.parametrize("activation", [TANH, RELU])
def test_activations_that_shrink(activation: Activation):
    spec = ParticleSpec(5, (3, 3), activation=activation)
    ball = prove(spec, linear=False)
    assert ball.radius < prove(spec).radius
    theta = np.random.default_rng(0).standard_normal((200, spec.weight_count))
    theta *= ball.radius / np.linalg.norm(theta, axis=1, keepdims=True)
    step = jax.jit(jax.vmap(lambda w: apply_to(spec, w, w)))
    image = jnp.asarray(theta)
    for _ in range(8):
        before, image = image, step(image)
        shrunk = jnp.linalg.norm(image, axis=1) <= ball.factor * jnp.linalg.norm(before, axis=1)
        assert bool(shrunk.all())
    assert float(jnp.abs(image).max()) < 1e-30


def test_a_radius_beyond_is_refused():
    spec = ParticleSpec()
    largest = prove(spec).radius
    answer = prove_collapse_ball(spec.positions, spec.shapes, largest * (1 + 1e-12))
    assert isinstance(answer, Refusal) and answer.reason is Reason.NOT_CONTRACTING
    assert answer.numbers["factor"] >= 1
    assert isinstance(prove_collapse_ball(spec.positions, spec.shapes, 1e300), Refusal)


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), float("inf")])
def test_radii_that_are_none_are_refused(radius: float):
    spec = ParticleSpec()
    with pytest.raises(InputProblem, match="radius is"):
        prove_collapse_ball(spec.positions, spec.shapes, radius)
