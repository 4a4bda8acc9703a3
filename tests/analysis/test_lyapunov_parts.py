"""The parts of a spectrum: orthonormalisation, the record, twins, hysteresis."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem, RateNetwork
from limitset.analysis import (
    CholeskyQR,
    Householder,
    LyapunovSpectrum,
    RungeKutta4,
    SpectrumVerdict,
    activity,
    finite_time_exponents,
    hysteresis_sweep,
    lyapunov_spectrum,
    twin_exponent,
)
from limitset.networks import random_rate_network

METHODS = [Householder(), CholeskyQR(), CholeskyQR(rounds=3)]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_split_is_the_unique_one(method):
    frame = np.random.default_rng(0).standard_normal((30, 8)) * 10.0 ** np.arange(-4, 4)
    Q, R = (np.asarray(part) for part in method.split(jnp.asarray(frame)))
    assert np.allclose(Q.T @ Q, np.eye(8), rtol=0, atol=1e-13)
    assert np.allclose(R, np.triu(R)) and (np.diagonal(R) > 0).all()
    assert np.allclose(Q @ R, frame, rtol=1e-12, atol=0)
    reference = np.abs(np.diagonal(np.linalg.qr(frame)[1]))
    assert np.allclose(np.diagonal(R), reference, rtol=1e-12, atol=0)


def test_cholesky_falls_back_where_columns_are_nearly_parallel():
    rng = np.random.default_rng(0)
    frame = np.ones((20, 4)) + 1e-11 * rng.standard_normal((20, 4))
    Q, R = CholeskyQR().split(jnp.asarray(frame))
    assert np.allclose(np.asarray(Q.T @ Q), np.eye(4), rtol=0, atol=1e-12)
    assert np.allclose(np.asarray(Q @ R), frame, rtol=0, atol=1e-12)


def test_batches_are_split_one_by_one():
    frames = jnp.asarray(np.random.default_rng(0).standard_normal((3, 10, 4)))
    for part, other in zip(
        jax.vmap(CholeskyQR().split)(frames), jax.vmap(Householder().split)(frames), strict=True
    ):
        assert np.allclose(part, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rounds", [1, 0, 9])
def test_rounds_without_a_check_are_refused(rounds):
    with pytest.raises(InputProblem, match="rounds is"):
        CholeskyQR(rounds)


def spectrum_of(exponents: list[float], size: int, spread: float = 0.0) -> LyapunovSpectrum:
    """A record with these exponents; blocks spread evenly about them."""
    values = np.array(exponents)
    blocks = values + spread * np.linspace(-1, 1, 10)[:, None]
    return LyapunovSpectrum(
        values, np.zeros_like(values), blocks, size, 10, 10.0, 1.0, np.zeros(size),
        SpectrumVerdict.CONVERGED,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("exponents", "size", "dimension", "entropy"),
    [
        ([0.9056, 0.0, -14.5723], 3, 2 + 0.9056 / 14.5723, 0.9056),
        ([0.41922, -1.62319], 2, 1 + 0.41922 / 1.62319, 0.41922),
        ([-0.1, -0.2], 2, 0.0, 0.0),
        ([0.0, -0.2], 2, 1.0, 0.0),
        ([0.3, 0.2], 2, 2.0, 0.5),
        ([0.3, 0.2], 5, None, None),
        ([0.3, -0.2], 5, None, 0.3),
        ([0.3, -math.inf], 2, 1.0, 0.3),
        ([math.nan, math.nan], 2, None, None),
    ],
)
def test_dimension_and_entropy(exponents, size, dimension, entropy):
    found = spectrum_of(exponents, size)
    assert found.kaplan_yorke_dimension == pytest.approx(dimension)
    assert found.entropy_rate == pytest.approx(entropy)


def test_error_of_the_dimension_by_the_jackknife():
    # The dimension 1 + a/2 is linear in a, so its error is half that of a.
    found = spectrum_of([1.0, -2.0], 2)
    blocks = np.stack([1 + 0.1 * np.linspace(-1, 1, 10), np.full(10, -2.0)], axis=1)
    found = LyapunovSpectrum(**{**vars(found), "blocks": blocks})
    error = blocks[:, 0].std(ddof=1) / math.sqrt(10)
    assert found.kaplan_yorke_standard_error == pytest.approx(error / 2)
    assert found.entropy_rate_standard_error == pytest.approx(error)
    # Here leaving out a block changes the sign of the last partial sum.
    assert spectrum_of([0.1, 0.05], 5, 1.0).kaplan_yorke_standard_error is None


def test_near_zero_count_and_intervals_want_sensible_numbers():
    found = spectrum_of([0.5, 0.01, -0.01, -1.0], 4)
    assert found.near_zero_count(0.02) == 2
    with pytest.raises(InputProblem, match="width is 0"):
        found.near_zero_count(0.0)
    with pytest.raises(InputProblem, match="level is 1"):
        found.confidence_interval(1.0)


CHAOTIC = random_rate_network(jax.random.key(3), 30, gain=3.0)
RUN: dict[str, Any] = {"steps": 400, "transient": 500, "tangent_transient": 200}


def test_twins_part_as_the_first_vector_grows():
    rule = RungeKutta4(0.1)
    first = lyapunov_spectrum(CHAOTIC, jnp.ones(30), count=1, integrator=rule, **RUN)
    twin = twin_exponent(CHAOTIC, jnp.ones(30), integrator=rule, **RUN)
    assert twin.finite and abs(twin.exponent - first.exponents[0]) < 1e-4
    assert np.isclose(twin.standard_error, first.standard_errors[0], rtol=0.1)


def biased(bias: float) -> RateNetwork:
    """One bistable unit with a bias."""
    return RateNetwork(jnp.array([[2.0]]), bias=jnp.array([bias]))


def test_hysteresis_of_a_bistable_unit():
    # Folds at bias +-0.5328: x = 2 tanh x + b with 2 sech^2 x = 1.
    values = np.linspace(-0.7, 0.7, 15)
    sweep = hysteresis_sweep(
        biased, list(values), small=jnp.array([-1e-3]), large=jnp.ones(1), steps=5,
        transient=400, integrator=RungeKutta4(0.2), observable=lambda x: x[0],
    )  # fmt: skip
    fold = 2 * math.tanh(math.acosh(math.sqrt(2))) - math.acosh(math.sqrt(2))
    assert ((sweep.rising > 0) == (values > fold)).all()
    assert ((sweep.falling > 0) == (values > -fold)).all()
    assert (sweep.coexistence(0.0) == (np.abs(values) < fold)).all()


def test_activity_depends_on_the_start_only_where_it_may():
    numbers: dict[str, Any] = {"steps": 5, "transient": 400, "integrator": RungeKutta4(0.2)}
    up, down = (activity(biased(0.2), jnp.array([s]), **numbers) for s in (1.0, -1.0))
    assert up > down + 0.5
    up, down = (activity(biased(1.0), jnp.array([s]), **numbers) for s in (1.0, -1.0))
    assert np.isclose(up, down)


def test_unusable_numbers_of_twins_and_sweeps():
    rule = RungeKutta4(0.1)
    with pytest.raises(InputProblem, match="separation is 0"):
        twin_exponent(CHAOTIC, jnp.ones(30), steps=10, integrator=rule, separation=0.0)
    with pytest.raises(InputProblem, match="seed is -1"):
        twin_exponent(CHAOTIC, jnp.ones(30), steps=10, integrator=rule, seed=-1)
    numbers: dict[str, Any] = {
        "small": jnp.zeros(1),
        "large": jnp.ones(1),
        "steps": 5,
        "transient": 5,
    }
    with pytest.raises(InputProblem, match="values do not rise"):
        hysteresis_sweep(biased, [1.0, 0.0], integrator=rule, **numbers)
    with pytest.raises(InputProblem, match="values do not rise"):
        hysteresis_sweep(biased, [], integrator=rule, **numbers)
    with pytest.raises(InputProblem, match="no multiple of interval"):
        finite_time_exponents(CHAOTIC, jnp.ones(30), steps=5, count=2, interval=2, integrator=rule)
