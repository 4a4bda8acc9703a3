"""The sector theorem in a metric that is given: only the multipliers are sought."""

import warnings

import cvxpy as cp
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.test_sector import FORMS, network, random, systems
from limitset.checker import check
from limitset.contraction import (
    AbsoluteValue,
    AbstractMetric,
    Certificate,
    DiagonalMetric,
    QuadraticMetric,
    Sector,
    SingularValue,
    SkewFeedback,
    Unknown,
)
from limitset.contraction._lure import Lure, lure_of
from limitset.dynamics import AbstractFlow, AbstractMap, ExplicitEuler, SemiImplicit, discretise
from limitset.io import write_certificate
from limitset.networks import Assembly

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def sector(
    system: AbstractFlow | AbstractMap, metric: np.ndarray | AbstractMetric
) -> Certificate | Unknown:
    given = QuadraticMetric(jnp.asarray(metric)) if isinstance(metric, np.ndarray) else metric
    return Sector().apply(system, given)


def margin(system: AbstractFlow | AbstractMap, metric: np.ndarray | AbstractMetric) -> float:
    answer = sector(system, metric)
    assert isinstance(answer, Certificate), answer
    return answer.margin


def definite(seed: int, n: int) -> np.ndarray:
    half = random(seed, n)
    return half @ half.T + 0.05 * np.eye(n)


@pytest.mark.parametrize("n", [2, 5, 16, 64])
def test_symmetric_weights_from_a_definite_matrix(n: int):
    """`W = T - T^2 / (4 a)`: rate `1 - a` in `T^2` for firing rates, in `T^-2` for Hopfield."""
    T, a = definite(n, n), 0.7
    weight, inverse = T - T @ T / (4 * a), np.linalg.inv(T)
    assert margin(network(weight, "firing_rate"), T @ T) > 1 - a - 1e-6
    assert margin(network(weight), inverse @ inverse) > 1 - a - 1e-6


@pytest.mark.parametrize("n", [5, 16])
def test_the_metric_of_the_other_form_is_refused(n: int):
    T, a = definite(n, n), 0.7
    weight, inverse = T - T @ T / (4 * a), np.linalg.inv(T)
    for form, metric in (("firing_rate", inverse @ inverse), ("hopfield", T @ T)):
        answer = sector(network(weight, form), metric)
        assert isinstance(answer, Unknown) and "rate" in answer.reason
        # Distances do grow in it, at a corner of the slopes.
        worst, rng = -np.inf, np.random.default_rng(n)
        for slopes in (rng.random((2000, n)) < 0.5).astype(float):
            driven = weight * (slopes if form == "hopfield" else slopes[:, None])
            J = jnp.asarray(driven - np.eye(n))
            worst = max(worst, float(QuadraticMetric(jnp.asarray(metric)).measure(J)))
        assert worst > 0


@pytest.mark.parametrize("n", [2, 5, 16, 64])
def test_products_of_diagonals_and_a_definite_matrix(n: int):
    """`W = -P1 Q P2` has rate 1 in `(P1 Q P1)^-1`, or in `P2 Q P2` for firing rates."""
    left, right = np.random.default_rng(n).uniform(0.3, 3, (2, n))
    Q = definite(n, n)
    weight = -left[:, None] * Q * right
    assert margin(network(weight), np.linalg.inv(left[:, None] * Q * left)) > 1 - 1e-6
    assert margin(network(weight, "firing_rate"), right[:, None] * Q * right) > 1 - 1e-6


@pytest.mark.parametrize("n", [2, 5, 16, 48])
def test_the_exact_parametrisation_of_the_inequality(n: int):
    """`W = 2 sqrt(1 - c) E S F - E^2 F^T F` with `|S| <= 1`: rate c in `F^T F`."""
    rng, c = np.random.default_rng(n), 0.2
    left, values, right = np.linalg.svd(rng.standard_normal((n, n)))
    S = (left * (values / np.sqrt(1 + values**2))) @ right
    F, e = rng.standard_normal((n, n)) + np.eye(n), np.exp(rng.standard_normal(n) / 2)
    weight = 2 * np.sqrt(1 - c) * e[:, None] * (S @ F) - (e**2)[:, None] * (F.T @ F)
    assert margin(network(weight, "firing_rate"), F.T @ F) > c - 1e-6
    inverse = np.linalg.inv(F.T @ F)
    assert margin(network(weight.T), inverse / 2 + inverse.T / 2) > c - 1e-6


def best_value(lure: Lure, P: np.ndarray, continuous: bool) -> float:
    """The best rate, or factor squared, by an independent solver."""
    A, B, C, n = lure.A.mid, lure.B.mid, lure.C.mid, len(P)
    q, t = cp.Variable(len(lure.span)), cp.Variable()
    if continuous:
        corner, rest = P @ A + A.T @ P + 2 * t * P, 0.0
        across = P @ B
    else:
        corner, rest = A.T @ P @ A - t * P, B.T @ P @ B
        across = A.T @ P @ B
    across = across + C.T @ cp.diag(cp.multiply(lure.span, q))
    whole = cp.bmat([[corner, across], [across.T, rest - 2 * cp.diag(q)]])
    goal = cp.Maximize(t) if continuous else cp.Minimize(t)
    problem = cp.Problem(goal, [(whole + whole.T) / 2 << 0, q >= 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem.solve(solver=cp.CLARABEL)
    assert t.value is not None and n == len(A)
    return float(t.value)


@pytest.mark.parametrize("index", range(9))
def test_the_optimum_of_an_independent_solver(index: int, tmp_path):
    """Every kind of system, in a random metric; what is certified is accepted by the checker."""
    system = systems()[index]
    lure, continuous = lure_of(system), isinstance(system, AbstractFlow)
    assert isinstance(lure, Lure)
    own = Sector().apply(system, None)
    assert isinstance(own, Certificate)
    rng = np.random.default_rng(index)
    P = np.asarray(own.metric.matrix)  # pyright: ignore[reportAttributeAccessIssue]
    tilt = np.eye(len(P)) + 0.1 * rng.standard_normal(P.shape)
    for metric in (P, tilt @ P @ tilt.T):
        metric = (metric + metric.T) / 2
        answer, best = sector(system, metric), best_value(lure, metric, continuous)
        best = best if continuous else 1 - np.sqrt(max(best, 0.0))
        if isinstance(answer, Unknown):
            assert best < 1e-6
            continue
        assert answer.margin == pytest.approx(best, abs=2e-5)
        assert isinstance(answer.metric, QuadraticMetric)
        assert check(write_certificate(answer, tmp_path / "c.json")).accepted
    # Its own metric, given back, serves at least as well as its own multipliers.
    assert margin(system, P) > own.margin - 1e-6


@pytest.mark.parametrize("form", FORMS)
def test_diagonal_metrics_stay_diagonal_and_are_used_better(form: str, tmp_path):
    """No theorem for diagonal metrics is better in the same metric."""
    for seed in range(8):
        flow = network(random(seed, 6, 0.35), form, activation=("tanh", "sigmoid")[seed % 2])
        metric = DiagonalMetric(jnp.asarray(np.random.default_rng(seed).uniform(0.8, 1.25, 6)))
        for system in (flow, discretise(flow, ExplicitEuler(0.3))):
            for theorem in (AbsoluteValue(), SingularValue()):
                other = theorem.apply(system, metric)
                if isinstance(other, Certificate):
                    assert margin(system, metric) > other.margin - 1e-6
            answer = sector(system, metric)
            if isinstance(answer, Certificate):
                assert isinstance(answer.metric, DiagonalMetric)
                assert check(write_certificate(answer, tmp_path / "c.json")).accepted


def test_skew_feedback_is_found_again():
    """Any coupling that is skew in the metric, however large, costs nothing."""
    rng = np.random.default_rng(4)
    modules = [network(random(seed, 3, 0.4), FORMS[seed % 2]) for seed in (0, 1)]
    scale = rng.uniform(0.5, 2, 6)
    lower = np.zeros((6, 6))
    lower[3:, :3] = 1e4 * rng.standard_normal((3, 3))
    coupling = lower - lower.T * scale**2 / scale[:, None] ** 2
    assembly, metric = Assembly(modules, jnp.asarray(coupling)), DiagonalMetric(jnp.asarray(scale))
    for system in (assembly, discretise(assembly, SemiImplicit(0.2))):
        other = SkewFeedback().apply(system, metric)
        assert isinstance(other, Certificate)
        assert margin(system, metric) > 0.999 * other.margin


def test_degenerate_systems():
    """Slopes that reach nothing, slopes that nothing reaches, and none at all."""
    column, row = np.zeros((3, 3)), np.zeros((3, 3))
    column[:, 0], row[0] = [0.3, 0.2, -0.4], [0.3, 0.2, -0.4]
    for weight in (np.zeros((3, 3)), column, row):
        for form in FORMS:
            flow = network(weight, form)
            assert margin(flow, np.eye(3)) > 0.5
            assert margin(discretise(flow, ExplicitEuler(0.1)), np.eye(3)) > 0.05
    linear = network(np.diag([0.5, -1.0, 0.0]), activation="identity")
    assert margin(linear, np.eye(3)) == pytest.approx(0.5, abs=1e-6)
    for weight in (np.full((3, 3), 1e300), np.diag([1.5, 0.0, 0.0])):
        assert isinstance(sector(network(weight), np.eye(3)), Unknown)
    nearly = np.diag([1.0, 1e-200, 1e200])
    assert isinstance(sector(network(column), nearly), Certificate | Unknown)


@pytest.mark.slow
def test_128_units_take_seconds():
    import time

    T, a = definite(1, 128), 0.7
    start = time.process_time()
    assert margin(network(T - T @ T / (4 * a), "firing_rate"), T @ T) > 1 - a - 1e-6
    assert time.process_time() - start < 20
