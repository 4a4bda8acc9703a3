"""Memory capacity against closed forms, and how often its interval holds them."""

from collections.abc import Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.analysis import memory_capacity


def line(inputs: np.ndarray, units: int) -> np.ndarray:
    return np.stack([np.roll(inputs, k) for k in range(units)], axis=1)


def test_a_delay_line_has_a_capacity_of_its_length():
    inputs = np.random.default_rng(0).uniform(size=3000)
    found = memory_capacity(1e-6 * line(inputs, 4), inputs, delays=8)
    assert np.allclose(found.capacities[:4], 1, atol=1e-9)
    assert np.abs(found.capacities[4:]).max() < 5 * found.standard_errors[4:].max() < 0.05
    assert found.low < 4 < found.high


def test_one_linear_unit_has_capacity_one():
    """`x+ = a x + u` has r_k^2 = (1 - a^2) a^2k, which sums to 1 (Jaeger 2001)."""
    a, inputs = 0.7, np.random.default_rng(1).uniform(-1, 1, 20_000)
    states, x = [], 0.0
    for u in inputs:
        x = a * x + u
        states.append([x])
    found = memory_capacity(np.array(states[100:]), inputs[100:], delays=12)
    expected = (1 - a**2) * a ** (2 * np.arange(12))
    assert np.abs(found.capacities - expected).max() < 5 * found.standard_errors.max() < 0.05
    assert found.low < expected.sum() < found.high


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Taps under noise of variance v: each has r^2 = 1 / (1 + v / var(u))."""
    held, repeats = 0, 100
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        inputs = rng.normal(size=1500)
        states = line(inputs, 3) + 0.5 * rng.normal(size=(1500, 3))
        found = memory_capacity(states, inputs, delays=5, confidence=0.9)
        held += found.low <= 3 / 1.25 <= found.high
    assert held >= 83


def test_noise_has_no_capacity():
    totals = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        found = memory_capacity(rng.normal(size=(600, 5)), rng.normal(size=600), delays=10)
        totals.append(found.total)
    assert abs(np.mean(totals)) < 3 * np.std(totals) / 60**0.5 < 0.1


def test_states_that_stand_still_have_none():
    inputs = np.random.default_rng(0).uniform(size=400)
    found = memory_capacity(np.ones((400, 2)), inputs, delays=3)
    assert found.total == 0 and found.low == found.high == 0


@pytest.fixture
def untyped() -> Iterator[None]:
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_numbers_that_do_not_fit(untyped: None):
    del untyped
    states, inputs = np.zeros((400, 2)), np.arange(400.0)
    spoilt = states.copy()
    spoilt[3, 1] = np.nan
    for words, change in (
        ("do not fit", {"inputs": inputs[1:]}),
        ("NaN", {"states": spoilt}),
        ("do not vary", {"inputs": np.ones(400)}),
        ("delays were asked", {"delays": 0}),
        ("delays were asked", {"delays": 300}),
        ("confidence", {"confidence": 1.0}),
    ):
        arguments: dict[str, Any] = {"states": states, "inputs": inputs, "delays": 3} | change
        with pytest.raises(InputProblem, match=words):
            memory_capacity(**arguments)
