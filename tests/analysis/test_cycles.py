"""Periodic orbits by simulation: found with their smallest period, and proved from there."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from limitset import InputProblem
from limitset.analysis import find_cycle, find_cycles
from limitset.networks import RateFamily, gain_family
from limitset.proofs import Cycle, Stability, prove_cycle
from oscillators import PLANAR, PLANAR_PERIOD, network, recipe


def proved(family: RateFamily, state: np.ndarray, period: float) -> Cycle:
    cycle = prove_cycle(family.at(1.0), state, period)
    assert isinstance(cycle, Cycle), cycle
    return cycle


@pytest.mark.parametrize("n", [2, 5])
def test_what_is_found_is_proved(n: int) -> None:
    W, b = recipe(n) if n > 2 else (PLANAR, np.zeros(2))
    family = gain_family(network(W, b))
    candidate = find_cycle(family, 1.0, np.linspace(0.5, 1.0, n))
    assert candidate is not None
    cycle = proved(family, candidate.state, candidate.period)
    assert abs(cycle.period.mid - candidate.period) < 1e-7
    # Newton's method of the proof keeps the plane of the first state only nearly.
    assert np.abs(cycle.states[0] - candidate.state).max() < 1e-6
    assert candidate.states.shape == (200, n)


def test_samples_are_on_the_orbit() -> None:
    found = find_cycle(gain_family(network(PLANAR)), 1.0, np.ones(2))
    assert found is not None and abs(found.period - PLANAR_PERIOD) < 1e-7
    # The orbit is odd: half a period later the state is opposite.
    assert np.allclose(found.states[100:], -found.states[:100], rtol=0, atol=1e-7)


def test_starts_that_meet_the_same_orbit_count_once() -> None:
    family = gain_family(network(PLANAR))
    found = find_cycles(family, 1.0, 2, starts=3)
    assert [round(cycle.period, 6) for cycle in found] == [6.837634]


def test_orbits_apart_are_both_found() -> None:
    """A bistable third unit at rest in one of two states, beside an oscillator."""
    W = np.zeros((3, 3))
    W[:2, :2], W[2, 2] = PLANAR, 2.0
    found = find_cycles(gain_family(network(W)), 1.0, 3, starts=3)
    assert len(found) == 2
    heights = sorted(cycle.state[2] for cycle in found)
    assert np.allclose(heights, [-1.9150080, 1.9150080], atol=1e-6)


def test_a_repelling_orbit_is_found_backwards() -> None:
    """Two orbits: `r' = -r (1 - r^2) (4 - r^2)` attracts at `r = 2` backwards, at 1 forwards."""

    def field(x: Array, a: Array) -> Array:
        square = x @ x
        return -x * (1 - square) * (4 - square) * (-1) + a * jnp.stack([-x[1], x[0]])

    inner = find_cycle(field, 2.0, np.array([0.5, 0.0]))
    outer = find_cycle(field, 2.0, np.array([1.5, 0.0]), backwards=True)
    assert inner is not None and outer is not None
    for cycle, radius in ((inner, 1.0), (outer, 2.0)):
        assert np.allclose(np.linalg.norm(cycle.states, axis=1), radius, atol=1e-7)
        assert abs(cycle.period - np.pi) < 1e-7
        # Either way, the states are in the order of time.
        (x, y), (p, q) = cycle.states[:2]
        assert x * q - y * p > 0


def test_without_transient_an_unstable_orbit_is_polished() -> None:
    W = np.zeros((3, 3))
    W[:2, :2], W[2, 2] = PLANAR, 1.25
    family = gain_family(network(W))
    on = find_cycle(family, 1.0, np.array([2.0, 0.5, 1e-3]), settle=30.0)
    assert on is not None and abs(on.states[:, 2]).max() > 0.5  # it left the unstable one
    start = np.append(on.state[:2], 0.0)
    found = find_cycle(family, 1.0, start, settle=0.0)
    assert found is not None and np.abs(found.states[:, 2]).max() < 1e-9
    cycle = proved(family, found.state, found.period)
    assert cycle.stability is Stability.UNSTABLE and cycle.outside == 1


def test_where_nothing_oscillates_nothing_is_found() -> None:
    assert find_cycles(gain_family(network(0.2 * PLANAR)), 1.0, 2, starts=2) == ()
    assert find_cycle(gain_family(network(PLANAR)), 1.0, np.zeros(2)) is None
    # One that runs away, and a period beyond the longest.
    assert find_cycle(lambda x, a: a * x**3, 1.0, np.ones(2)) is None
    assert find_cycle(gain_family(network(PLANAR)), 1.0, np.ones(2), longest=5.0) is None


def test_unusable_numbers_are_named() -> None:
    family = gain_family(network(PLANAR))
    with pytest.raises(InputProblem, match="positive"):
        find_cycles(family, 1.0, 0)
    with pytest.raises(InputProblem, match="settle is -1"):
        find_cycle(family, 1.0, np.ones(2), settle=-1.0)
    with pytest.raises(InputProblem, match="not finite"):
        find_cycle(family, 1.0, np.array([1.0, np.nan]))
