"""Autocorrelations against closed forms, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from limitset import AbstractFlow, InputProblem, RateNetwork
from limitset.analysis import EachStep, RungeKutta4, autocorrelation
from limitset.networks import Elman


class Turning(AbstractFlow):
    """Units that turn in pairs, each pair with its own phase."""

    speed: float = 0.7

    @property
    def state_size(self) -> int:
        return 2

    @property
    def input_size(self) -> int:
        return 0

    def velocity(self, t, x, u):
        del t, u
        return self.speed * jnp.array([-x[1], x[0]])


def test_turning_pair_has_a_cosine():
    found = autocorrelation(
        Turning(), jnp.array([2.0, 0.0]), integrator=RungeKutta4(0.05), time=400, longest_lag=8.0
    )
    # Both units together: (cos^2 + sin^2) / 2 at all times, so no average is needed.
    np.testing.assert_allclose(found.values, 2 * np.cos(0.7 * found.lags), atol=2e-5)
    assert found.variance == pytest.approx(2.0, abs=1e-5)
    assert (found.standard_errors < 1e-4).all()
    np.testing.assert_allclose(found.kurtosis, 1.5, rtol=1e-2)


def test_errors_cover_the_truth():
    """Independent signs, observed as they are made: C(0) = 1 exactly, C(k) = 0 within errors."""
    signs = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], 4000))

    def observe(x):
        return signs[jnp.clip(x.astype(int), 0, 3999)]

    one = jnp.ones((1, 1))
    counter = Elman(jnp.zeros((1, 0)), one, jnp.ones(1), jnp.zeros(1), "identity")
    found = autocorrelation(
        counter, jnp.zeros(1), integrator=EachStep(), time=4000, longest_lag=30, interval=1.0,
        transient=0, observe=observe,
    )  # fmt: skip
    assert found.variance == 1 and found.kurtosis == 1
    # Errors from 8 blocks: Student with 7 degrees of freedom, 30 lags.
    assert (np.abs(found.values[1:]) < 6 * found.standard_errors[1:]).all()


def test_transient_is_left_out():
    network = RateNetwork(jnp.zeros((2, 2)))
    ways = {"integrator": RungeKutta4(0.1), "time": 40.0, "longest_lag": 2.0}
    early = autocorrelation(network, jnp.ones(2), transient=0, **ways)
    late = autocorrelation(network, jnp.ones(2), transient=10.0, **ways)
    np.testing.assert_allclose(late.values, np.exp(-20) * early.values, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"time": 10.0}, "at least 8 times"),
        ({"time": float("nan")}, "positive, finite"),
        ({"interval": 0.25}, "multiple of 0.1"),
        ({"longest_lag": -1.0}, "positive, finite"),
        ({"transient": float("inf")}, "positive, finite"),
        ({"integrator": EachStep()}, "is for a map"),
    ],
)
def test_times_that_do_not_fit_are_refused(change, word):
    ways = {"integrator": RungeKutta4(0.1), "time": 40.0, "longest_lag": 2.0} | change
    with pytest.raises(InputProblem, match=word):
        autocorrelation(RateNetwork(jnp.zeros((2, 2))), jnp.ones(2), **ways)


def test_overflow_is_reported():
    blow_up = RateNetwork(100 * jnp.eye(1), activation="identity")
    with pytest.raises(InputProblem, match="overflowed"):
        autocorrelation(
            blow_up, jnp.ones(1), integrator=RungeKutta4(0.1), time=400.0, longest_lag=2.0
        )
