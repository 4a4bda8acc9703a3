"""Numbers whose products leave float64: a clean answer, and no NumPy warnings, which fail here."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from limitset.contraction import Certificate, DiagonalMetric, Unknown, certify, explain
from limitset.contraction._block_metric import BlockMetric
from limitset.contraction._search import acts_mutually, mutual_scale
from limitset.contraction._weakness import find_weakness
from limitset.dynamics import CompositeMap, ExplicitEuler, discretise
from limitset.networks import Assembly, Composite, RateNetwork

QUIET = RateNetwork(jnp.array([[0.5]]))


def skew(size: float) -> jnp.ndarray:
    return jnp.array([[0.0, -size], [size, 0.0]])


SLOWLY = [pytest.param(size, marks=pytest.mark.slow) for size in (1e-320, 1e160, 4e307)]


@pytest.mark.parametrize("size", [1e-200, 1e200, *SLOWLY])
def test_couplings_of_any_size(size: float):
    for whole in (Assembly([QUIET, QUIET], skew(size)), Composite((QUIET, QUIET), skew(size))):
        answer = certify(whole)
        assert isinstance(answer, Certificate | Unknown) and "NaN" not in explain(answer)
        if size < 1:
            assert isinstance(answer, Certificate) and answer.rate == pytest.approx(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e160, 4e307])
def test_maps_and_lopsided_couplings(size: float):
    step = discretise(QUIET, ExplicitEuler(0.5))
    lopsided = jnp.array([[0.0, -size], [1 / size, 0.0]])
    for coupling in (skew(size), lopsided):
        assert "NaN" not in explain(certify(CompositeMap((step, step), coupling)))
        euler = discretise(Assembly([QUIET, QUIET], coupling), ExplicitEuler(0.5))
        assert "NaN" not in explain(certify(euler))


@pytest.mark.parametrize("size", [1e160, 4e307])
def test_weights_of_any_size(size: float):
    weight = jnp.array([[-1.0, size], [0.0, -1.0]])
    answer = certify(RateNetwork(weight))
    assert isinstance(answer, Certificate | Unknown) and "NaN" not in explain(answer)


def test_units_that_act_on_each_other_weakly_are_seen():
    """Their product is 0 in float64, but they fix the ratio of the metric."""
    matrix = np.array([[0.0, -1e-200], [4e-200, 0.0]])
    assert acts_mutually(matrix) and not acts_mutually(np.tril(matrix))
    scale = mutual_scale(matrix)
    assert scale[0] / scale[1] == pytest.approx(2.0)
    wide = mutual_scale(np.array([[0.0, -1e200], [1e-200, 0.0]]))
    assert np.isfinite(wide).all() and wide[1] > wide[0]


def test_metrics_too_wide_for_a_condition_number():
    wide = DiagonalMetric(jnp.array([1e-100, 1e100]))
    assert wide.condition() == math.inf
    assert BlockMetric((wide,), (2,)).condition() == math.inf


def test_a_diagnosis_of_numbers_that_overflow_is_none():
    """LAPACK would not return from them."""
    wide = DiagonalMetric(jnp.array([1e200, 1e-200]))
    network = RateNetwork(jnp.array([[0.0, 1e200], [1e200, 0.0]]))
    assert find_weakness("singular_value", network, wide) is None
