"""The theorem `vertices` decides a given metric exactly, for small networks."""

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from contraction.families import CERTIFIABLE
from limitset.contraction import (
    Certificate,
    DiagonalMetric,
    QuadraticMetric,
    Unknown,
    Vertices,
    certify,
)
from limitset.networks import RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def corner_rate(network: RateNetwork, M: np.ndarray) -> float:
    """`-max lambda_max` of the pencil `sym(M J) v = lambda M v` over the corners."""
    ends = network.activation.slope_interval or (np.nan, np.nan)
    W, worst = np.asarray(network.weight), -np.inf
    root = np.linalg.inv(np.linalg.cholesky(M))
    for slopes in itertools.product(set(ends), repeat=len(M)):
        D = np.diag(slopes)
        driven = W @ D if network.form == "hopfield" else D @ W
        J = (driven - float(network.leak) * np.eye(len(M))) / float(network.time_constant)
        worst = max(worst, np.linalg.eigvalsh(root @ (M @ J + J.T @ M) @ root.T / 2)[-1])
    return -worst


def network_and_metric(seed: int) -> tuple[RateNetwork, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    options: dict[str, Any] = {
        "activation": CERTIFIABLE[seed % len(CERTIFIABLE)],
        "form": ("hopfield", "firing_rate")[seed % 2],
        "leak": rng.uniform(0.3, 2),
        "time_constant": rng.uniform(0.3, 2),
    }
    weight = 0.5 * rng.standard_normal((n, n)) - 0.3 * np.eye(n)
    root = np.eye(n) + 0.3 * rng.standard_normal((n, n))
    return RateNetwork(jnp.asarray(weight), **options), root @ root.T


@pytest.mark.parametrize("seed", range(30))
def test_agrees_with_the_corners(seed: int):
    """The rate is the corners' rate to eight digits, never above, and unknown where it is not."""
    network, M = network_and_metric(seed)
    M = (M + M.T) / 2
    expected = corner_rate(network, M)
    answer = Vertices().apply(network, QuadraticMetric(jnp.asarray(M)))
    assert isinstance(answer, Certificate) == (expected > 1e-7)
    if isinstance(answer, Certificate):
        assert answer.rate is not None
        assert expected - 1e-7 * (1 + expected) <= answer.rate <= expected
        assert isinstance(answer.metric, QuadraticMetric)
        np.testing.assert_array_equal(answer.metric.matrix, M)
    else:
        assert "corner" in answer.reason


def test_slopes_between_the_corners_are_no_worse():
    """The measure is convex in the slopes: random inner slopes never beat the corners."""
    rng = np.random.default_rng(0)
    for seed in range(10):
        network, M = network_and_metric(seed)
        metric = QuadraticMetric(jnp.asarray((M + M.T) / 2))
        expected = corner_rate(network, np.asarray(metric.matrix))
        low, high = network.activation.slope_interval or (np.nan, np.nan)
        for _ in range(20):
            slopes = rng.uniform(low, high, network.state_size)
            W = network.weight
            driven = W * slopes if network.form == "hopfield" else W * slopes[:, None]
            J = (driven - network.leak * jnp.eye(len(W))) / network.time_constant
            assert -float(metric.measure(J)) >= expected - 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_diagonal_metrics_are_accepted_too(seed: int):
    network, _ = network_and_metric(seed)
    scale = np.exp(0.3 * np.random.default_rng(seed).standard_normal(network.state_size))
    diagonal = Vertices().apply(network, DiagonalMetric(jnp.asarray(scale)))
    quadratic = Vertices().apply(network, QuadraticMetric(jnp.diag(jnp.asarray(scale) ** 2)))
    assert type(diagonal) is type(quadratic)
    if isinstance(diagonal, Certificate) and isinstance(quadratic, Certificate):
        assert diagonal.rate == quadratic.rate


def test_forms_are_dual():
    """`M` certifies Hopfield `W` if and only if `M^-1` certifies firing-rate `W^T`, at one rate."""
    rng = np.random.default_rng(2)
    U = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    F = np.diag([1.0, 2.0, 3.0]) @ U
    # The general form 2 sqrt(1-c) E S F - E^2 F^T F with E = I, c = 0.2, metric F^T F.
    W = 2 * np.sqrt(0.8) * 0.9 * U @ F - F.T @ F
    M = F.T @ F
    M, inverse = (M + M.T) / 2, np.linalg.inv(M)
    inverse = (inverse + inverse.T) / 2
    firing = RateNetwork(jnp.asarray(W), form="firing_rate")
    hopfield = RateNetwork(jnp.asarray(W.T), form="hopfield")
    first = certify(firing, metric=QuadraticMetric(jnp.asarray(M)))
    second = certify(hopfield, metric=QuadraticMetric(jnp.asarray(inverse)))
    assert isinstance(first, Certificate) and isinstance(second, Certificate)
    assert first.rate == pytest.approx(second.rate, rel=1e-6)
    assert first.rate is not None and first.rate >= 0.2 - 1e-6
    assert not isinstance(certify(hopfield, metric=QuadraticMetric(jnp.asarray(M))), Certificate)


def test_what_it_does_not_speak_about():
    small, large = RateNetwork(jnp.zeros((10, 10))), RateNetwork(jnp.zeros((11, 11)))
    assert Vertices().applies_to(small) and not Vertices().applies_to(large)
    assert isinstance(Vertices().apply(large, DiagonalMetric(jnp.ones(11))), Unknown)
    answer = Vertices().apply(small, None)
    assert isinstance(answer, Unknown) and "metric" in answer.reason


def test_ten_units_are_still_quick():
    answer = Vertices().apply(RateNetwork(0.2 * jnp.eye(10)), DiagonalMetric(jnp.ones(10)))
    assert isinstance(answer, Certificate)
    assert answer.rate == pytest.approx(0.8, rel=1e-6)
