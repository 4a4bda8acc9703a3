"""The checker's particles: the same coordinates, bit for bit, and the same self-application."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb

from limitset.checker._particle import (
    Particle,
    apply_itself,
    coordinates,
    kappa,
    kappa_gradient,
)
from limitset.networks import IDENTITY, SIGMOID, SOFTPLUS, TANH, Activation
from limitset.proofs._ball import Ball
from limitset.proofs._particle_forms import ParticleShape
from limitset.proofs._particle_forms import kappa_gradient as prover_gradient
from limitset.replication import ParticleSpec, PositionCode, apply_to
from linear_particles import draw


def test_coordinates_are_those_of_the_library_bit_for_bit():
    sizes = [w for depth in (1, 2, 3) for w in itertools.product((1, 2, 3, 7), repeat=depth)]
    for inputs, widths, code in itertools.product((4, 5, 9), sizes, PositionCode):
        with np.errstate(all="ignore"):
            spec = ParticleSpec(inputs, widths, code)
            expected = spec.positions
        found = np.array(coordinates(list(spec.shapes), code.value))
        assert np.array_equal(found, expected, equal_nan=True), (inputs, widths, code)


def _particle(spec: ParticleSpec, weights: np.ndarray) -> Particle:
    places = coordinates(list(spec.shapes), spec.position.value)
    return Particle(list(spec.shapes), list(map(arb, weights)), places, spec.activation.name)


@pytest.mark.parametrize("activation", [IDENTITY, TANH, SIGMOID, SOFTPLUS])
def test_self_application_and_its_derivative(activation: Activation):
    spec = ParticleSpec(5, (3, 2), PositionCode.PERLAYER, activation)
    weights = draw(spec, 0)
    values, slope = apply_itself(_particle(spec, weights), list(map(arb, weights)))
    theta = jnp.asarray(weights)
    assert np.allclose([float(v.mid()) for v in values], apply_to(spec, theta, theta), atol=1e-13)
    expected = jax.jacfwd(lambda w: apply_to(spec, w, w))(theta)
    found = np.array([[float(e.mid()) for e in row] for row in slope.tolist()])
    assert np.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("activation", [TANH, SIGMOID, SOFTPLUS])
def test_wide_boxes_hold_samples(activation: Activation):
    spec = ParticleSpec(4, (2, 2), activation=activation)
    weights, rng = 2 * draw(spec, 1), np.random.default_rng(2)
    particle = _particle(spec, weights)
    values, slope = apply_itself(particle, [arb(w, 0.1) for w in weights])
    step = jax.jit(lambda w: apply_to(spec, w, w))
    slopes = jax.jit(jax.jacfwd(lambda w: apply_to(spec, w, w)))
    for _ in range(20):
        theta = jnp.asarray(weights + rng.uniform(-0.1, 0.1, len(weights)))
        for ball, value in zip(values, np.asarray(step(theta)), strict=True):
            assert float(ball.lower()) - 1e-12 <= value <= float(ball.upper()) + 1e-12
        for ball, value in zip(slope.entries(), np.asarray(slopes(theta)).ravel(), strict=True):
            assert float(ball.lower()) - 1e-12 <= value <= float(ball.upper()) + 1e-12


def test_kappa_agrees_with_the_prover():
    spec = ParticleSpec(6, (3, 2, 2))
    weights = draw(spec, 3)
    particle = _particle(spec, weights)
    gradient = np.array(
        [[float(e.mid()) for e in r] for r in kappa_gradient(particle, particle.weights).tolist()]
    )
    shape = ParticleShape(spec.positions, spec.shapes)
    assert np.allclose(gradient, prover_gradient(shape, Ball.exact(weights)).mid, atol=1e-13)
    row = [float(k.mid()) for k in kappa(particle, particle.weights)]
    assert np.allclose(gradient @ weights, spec.depth * np.array(row), atol=1e-12)
