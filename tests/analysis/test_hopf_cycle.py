"""Cycles beside Hopf points: their amplitude and period to second order, and proofs of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem
from limitset.analysis import (
    HopfCandidate,
    cycle_near_hopf,
    find_cycle,
    find_hopf_points,
)
from limitset.analysis._hopf_cycle import _normal_form
from limitset.networks import RateFamily, RateNetwork, gain_family, shift_family
from limitset.proofs import Cycle, HopfPoint, prove_cycle, prove_hopf


def biased() -> RateFamily:
    """Five leaky units: at the second Hopf point the terms of second order decide the sign."""
    rng = np.random.default_rng(32)
    weight, bias = rng.standard_normal((5, 5)) / np.sqrt(5), 0.8 * rng.standard_normal(5)
    network = RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate")
    return gain_family(network)


def points_of(family: RateFamily) -> tuple[HopfCandidate, ...]:
    rest = np.tanh(np.asarray(family.network.bias))
    return find_hopf_points(family, [rest], (0.0, 4.0), step=0.1)


def proved(family: RateFamily, point: HopfCandidate) -> HopfPoint:
    answer = prove_hopf(family, point.parameter, point.frequency, point.state, point.vector)
    assert isinstance(answer, HopfPoint), answer
    return answer


@pytest.fixture(scope="module")
def family() -> RateFamily:
    return biased()


@pytest.fixture(scope="module")
def points(family: RateFamily) -> tuple[HopfCandidate, ...]:
    return points_of(family)


def test_the_cubic_term_is_that_of_the_proof(
    family: RateFamily, points: tuple[HopfCandidate, ...]
) -> None:
    signs = set()
    for point in points:
        truth, form = proved(family, point), _normal_form(family, point)
        l1 = form.cubic.real / point.frequency
        assert abs(l1 - truth.lyapunov_coefficient.mid) < 1e-8
        assert abs(form.speed.real - truth.crossing.mid) < 1e-9
        signs.add(bool(l1 > 0))
    assert signs == {True, False}


@pytest.mark.parametrize("index", [0, 1])
def test_a_cycle_is_proved_on_the_side_of_the_cycles_only(
    index: int, family: RateFamily, points: tuple[HopfCandidate, ...]
) -> None:
    point = points[index]
    truth = proved(family, point)
    side = 1.0 if truth.cycles_above else -1.0
    parameter = point.parameter + 1e-3 * side
    start = cycle_near_hopf(family, point, parameter)
    cycle = prove_cycle(family.at(parameter), start.state, start.period)
    assert isinstance(cycle, Cycle), cycle
    # Stability of the small cycle: one more unstable multiplier where l1 is positive.
    assert cycle.outside == truth.unstable + (not truth.is_supercritical)
    assert abs(cycle.period.mid - start.period) < 1e-3
    name = "above" if side > 0 else "below"
    with pytest.raises(InputProblem, match=f"give one {name}"):
        cycle_near_hopf(family, point, point.parameter - 1e-3 * side)


@pytest.mark.parametrize("index", [0, 1])
def test_errors_fall_with_the_distance(
    index: int, family: RateFamily, points: tuple[HopfCandidate, ...]
) -> None:
    """Of extents with its power 3/2; of the mean state and the period with its square."""
    point = points[index]
    side = 1.0 if proved(family, point).cycles_above else -1.0
    extents, means, periods = [], [], []
    for distance in (4e-3, 1e-3):
        parameter = point.parameter + side * distance
        start = cycle_near_hopf(family, point, parameter)
        true = find_cycle(family, parameter, start.state, settle=0.0)
        assert true is not None
        middle = start.states.mean(0), true.states.mean(0)
        extent = [
            np.sqrt(((s - m) ** 2).sum(1).mean())
            for s, m in zip((start.states, true.states), middle, strict=True)
        ]
        assert 0.01 < extent[1] and abs(extent[0] - extent[1]) < 0.05 * extent[1]
        extents.append(abs(extent[0] - extent[1]))
        means.append(np.linalg.norm(middle[0] - middle[1]))
        periods.append(abs(start.period - true.period))
    assert 7 < extents[0] / extents[1] < 9
    assert 14 < means[0] / means[1] < 18
    assert 14 < periods[0] / periods[1] < 18


def test_a_rotation_has_its_known_radius() -> None:
    """`W = [[a, -2], [2, a]]`: radius squared `4 (a - 1)` and frequency `2 - 2 (a - 1)`."""
    family = shift_family(RateNetwork(jnp.array([[0.0, -2.0], [2.0, 0.0]])))
    point = HopfCandidate(1.0, 2.0, np.zeros(2), np.array([3.0, -3.0j]))
    start = cycle_near_hopf(family, point, 1.01)
    assert np.allclose(np.linalg.norm(start.states, axis=1), 0.2, rtol=1e-12)
    assert abs(2 * np.pi / start.period - 1.98) < 1e-12
    cycle = prove_cycle(family.at(1.01), start.state, start.period)
    assert isinstance(cycle, Cycle), cycle
    assert abs(np.linalg.norm(cycle.states, axis=1).max() - 0.2) < 2e-3


def test_unusable_points_are_named() -> None:
    skew = shift_family(RateNetwork(jnp.array([[0.0, -1.0], [1.0, 0.0]]), form="firing_rate"))
    linear = HopfCandidate(0.0, 1.0, np.zeros(2), np.array([1.0, -1.0j]))
    with pytest.raises(InputProblem, match="vanish"):
        cycle_near_hopf(lambda x, a: a * x + jnp.stack([-x[1], x[0]]), linear, 0.1)
    point = HopfCandidate(1.0, 1.0, np.zeros(2), np.array([1.0, -1.0j]))
    with pytest.raises(InputProblem, match="give one above"):
        cycle_near_hopf(skew, point, 1.0)
