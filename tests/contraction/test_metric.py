"""Metrics: norm, gain and measure fit together, and the two kinds agree where both apply."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitset.contraction import AbstractMetric, DiagonalMetric, QuadraticMetric

seeds = st.integers(0, 2**32 - 1)


def draw(seed: int) -> tuple[np.random.Generator, AbstractMetric, jax.Array]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    root = rng.standard_normal((n, n)) + 2 * np.eye(n)
    diagonal = DiagonalMetric(jnp.asarray(np.exp(rng.standard_normal(n))))
    metric = diagonal if rng.random() < 0.5 else QuadraticMetric(jnp.asarray(root @ root.T))
    return rng, metric, jnp.asarray(rng.standard_normal((n, n)))


@given(seeds)
def test_norms_are_norms(seed: int):
    rng, metric, J = draw(seed)
    v, w = (jnp.asarray(rng.standard_normal(len(J))) for _ in range(2))
    assert metric.norm(v + w) <= metric.norm(v) + metric.norm(w) + 1e-12
    assert metric.norm(-2.5 * v) == pytest.approx(2.5 * float(metric.norm(v)))
    assert metric.norm(jnp.zeros(len(J))) == 0


@given(seeds)
def test_gain_is_the_largest_growth(seed: int):
    """No vector grows more, and matrices in a row grow no more than the product of their gains."""
    rng, metric, J = draw(seed)
    gain = float(metric.gain(J))
    directions = jnp.asarray(rng.standard_normal((50, len(J))))
    growth = jax.vmap(lambda v: metric.norm(J @ v) / metric.norm(v))(directions)
    assert growth.max() <= gain * (1 + 1e-9)
    assert metric.gain(J @ J) <= gain**2 * (1 + 1e-9)
    assert metric.gain(jnp.eye(len(J))) == pytest.approx(1)


@given(seeds)
def test_measure_lies_below_gain_and_above_the_spectral_abscissa(seed: int):
    _, metric, J = draw(seed)
    measure, gain = float(metric.measure(J)), float(metric.gain(J))
    assert -gain - 1e-9 <= measure <= gain + 1e-9
    assert np.linalg.eigvals(np.asarray(J)).real.max() <= measure + 1e-8


@given(seeds, st.floats(-100, 100))
def test_measure_moves_with_multiples_of_the_identity(seed: int, c: float):
    _, metric, J = draw(seed)
    moved = float(metric.measure(J + c * jnp.eye(len(J))))
    assert moved == pytest.approx(float(metric.measure(J)) + c, abs=1e-8)


@given(seeds)
def test_measure_is_the_derivative_of_gain(seed: int):
    """`(gain(I + h J) - 1) / h` falls to the measure as h falls to 0."""
    _, metric, J = draw(seed)
    measure = float(metric.measure(J))
    slopes = [(float(metric.gain(jnp.eye(len(J)) + h * J)) - 1) / h for h in (1e-2, 1e-3, 1e-4)]
    assert slopes == sorted(slopes, reverse=True) or max(slopes) - min(slopes) < 1e-9
    bound = 1e-4 * float(metric.gain(J)) ** 2 + 1e-9
    assert measure - 1e-9 <= slopes[-1] <= measure + bound


@given(seeds)
def test_flows_decay_at_the_measure(seed: int):
    """`|exp(t J) v|_M <= exp(t measure) |v|_M`."""
    rng, metric, J = draw(seed)
    measure = float(metric.measure(J))
    v = jnp.asarray(rng.standard_normal(len(J)))
    for t in (0.1, 1.0):
        flowed = jax.scipy.linalg.expm(t * J) @ v
        with np.errstate(over="ignore"):
            bound = np.exp(t * measure) * metric.norm(v)
        assert metric.norm(flowed) <= bound * (1 + 1e-9)


@given(seeds)
def test_diagonal_metrics_are_quadratic_metrics(seed: int):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    scale = jnp.asarray(np.exp(rng.standard_normal(n)))
    diagonal, quadratic = DiagonalMetric(scale), QuadraticMetric(jnp.diag(scale**2))
    J, v = jnp.asarray(rng.standard_normal((n, n))), jnp.asarray(rng.standard_normal(n))
    for a, b in (
        (diagonal.norm(v), quadratic.norm(v)),
        (diagonal.gain(J), quadratic.gain(J)),
        (diagonal.measure(J), quadratic.measure(J)),
        (diagonal.condition(), quadratic.condition()),
    ):
        assert float(a) == pytest.approx(float(b), rel=1e-8, abs=1e-9)


def test_closed_forms():
    """A rotation by 90 degrees stretched by the metric: gain 3, measure (3 - 1/3)/2."""
    J = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    metric = DiagonalMetric(jnp.array([1.0, 3.0]))
    assert metric.gain(J) == pytest.approx(3)
    assert metric.measure(J) == pytest.approx((3 - 1 / 3) / 2)
    assert metric.condition() == pytest.approx(9)
    # The matrix is the metric, not its inverse: the long axis weighs more.
    assert QuadraticMetric(jnp.diag(jnp.array([1.0, 9.0]))).norm(jnp.array([0.0, 1.0])) == 3


@given(seeds)
def test_condition_bounds_the_transient(seed: int):
    """`|v|` and `|v|_M` differ by factors within `sqrt(condition)` of each other."""
    rng, metric, J = draw(seed)
    vectors = rng.standard_normal((50, len(J)))
    ratios = np.array([float(metric.norm(jnp.asarray(v))) / np.linalg.norm(v) for v in vectors])
    assert ratios.max() / ratios.min() <= np.sqrt(metric.condition()) * (1 + 1e-9)
