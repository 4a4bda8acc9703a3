"""Periodic orbits: proved with their multipliers, and refused where the claim is false."""

import time

import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb
from scipy.integrate import solve_ivp

from limitset._result import InputProblem
from limitset.networks import RateNetwork
from limitset.proofs._cycle import Cycle, _count_outside, _trivial, prove_cycle
from limitset.proofs._equilibrium import Stability
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic
from limitset.proofs._spectrum import Spectrum
from proofs.arb_flow import flow_in_arb
from proofs.arb_network import precision

pytestmark = pytest.mark.usefixtures("no_shape_checks")

PLANAR = np.array([[2.0, -2.0], [2.0, 2.0]])
PLANAR_PERIOD = 6.83763354805


def recipe(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Random networks that oscillate."""
    rng = np.random.default_rng(n + 10)
    A = rng.standard_normal((n, n))
    W = 2.2 * (A - A.T) / np.sqrt(2 * n) + 1.6 * np.eye(n) + 0.1 * rng.standard_normal((n, n))
    return W, 0.1 * rng.standard_normal(n)


def guess(
    W: np.ndarray, b: np.ndarray, leak: float = 1.0, settle: float = 400.0
) -> tuple[np.ndarray, float]:
    """A state near the attracting cycle of a Hopfield network, and its first return."""

    def velocity(_: float, x: np.ndarray) -> np.ndarray:
        return W @ np.tanh(x) + b - leak * x

    start = np.linspace(0.5, 1.0, len(b))
    x = solve_ivp(velocity, (0, settle), start, rtol=1e-9, atol=1e-11).y[:, -1]
    normal = velocity(0, x)

    def section(_: float, v: np.ndarray) -> float:
        return normal @ (v - x)

    later = solve_ivp(velocity, (0, 60), x, rtol=1e-9, atol=1e-11, events=section)
    assert later.t_events is not None and later.y_events is not None
    returns = zip(later.t_events[0], later.y_events[0], strict=True)
    return x, min(t for t, v in returns if t > 0.1 and np.linalg.norm(v - x) < 1e-3)


def network(W: np.ndarray, b: np.ndarray | None = None, **options) -> RateNetwork:
    bias = None if b is None else jnp.asarray(b)
    return RateNetwork(jnp.asarray(W), bias=bias, **options)


def proved(result: Cycle | Refusal) -> Cycle:
    assert isinstance(result, Cycle), result
    return result


def refused(result: Cycle | Refusal) -> Reason:
    assert isinstance(result, Refusal), result
    return result.reason


def overlap(a: Cycle, b: Cycle, scale: float = 1.0) -> bool:
    """Whether the periods may agree."""
    distance = abs(float(a.period.mid) * scale - float(b.period.mid))
    return distance <= scale * float(a.period.rad) + float(b.period.rad) + 1e-14


@pytest.fixture(scope="module")
def planar() -> Cycle:
    return proved(prove_cycle(network(PLANAR), np.array([2.0, 0.0]), 6.8))


def test_T20_planar_cycle(planar: Cycle) -> None:
    assert abs(planar.period.mid - PLANAR_PERIOD) < 1e-11
    assert planar.period.rad < 2e-13
    assert planar.stability is Stability.STABLE and planar.outside == 0 and planar.is_minimal
    assert planar.multipliers is not None and planar.multiplier_radii is not None
    assert planar.multipliers.shape == (1,)
    assert abs(planar.multipliers[0] - 0.00619598) < 1e-8
    assert planar.multiplier_radii[0] < 1e-9
    assert planar.states.shape == (len(planar.states), 2) and planar.state_radius < 1e-12


@pytest.mark.parametrize(
    ("n", "period", "multipliers"),
    [(3, 3.786677476998, (0.0932351, 0.134532)), (5, None, None)],
)
def test_T20_recipe(n: int, period: float | None, multipliers: tuple[float, ...] | None) -> None:
    W, b = recipe(n)
    cycle = proved(prove_cycle(network(W, b), *guess(W, b)))
    assert cycle.stability is Stability.STABLE and cycle.is_minimal
    assert cycle.period.rad < 1e-12
    if period is not None:
        # The reference value has errors of some 1e-10.
        assert abs(cycle.period.mid - period) < 1e-9
    if multipliers is not None:
        assert cycle.multipliers is not None
        assert np.allclose(np.sort(np.real(cycle.multipliers)), multipliers, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3, 5])
def test_T20_small_networks_take_less_than_two_seconds(n: int) -> None:
    W, b = recipe(n) if n > 2 else (PLANAR, np.zeros(2))
    x, period = guess(W, b, settle=200.0)
    require_sound_arithmetic()
    seconds = []
    for _ in range(2):
        before = time.process_time()
        proved(prove_cycle(network(W, b), x, period))
        seconds.append(time.process_time() - before)
    assert min(seconds) < 2.0, seconds


def test_T20_ten_neurons() -> None:
    W, b = recipe(10)
    cycle = proved(prove_cycle(network(W, b), *guess(W, b)))
    assert cycle.outside == 0 and cycle.is_minimal and cycle.period.rad < 1e-11
    assert cycle.multipliers is not None and cycle.multipliers.shape == (9,)


@pytest.mark.slow
def test_T20_twenty_neurons() -> None:
    W, b = recipe(20)
    cycle = proved(prove_cycle(network(W, b), *guess(W, b)))
    assert cycle.outside == 0 and cycle.period.rad < 1e-11


def test_T20_a_wrong_period_is_refused(planar: Cycle) -> None:
    x, period = planar.states[0], float(planar.period.mid)
    wrong = prove_cycle(network(PLANAR), x, period + 1e-3, radius=1e-6)
    assert refused(wrong) is Reason.KRAWCZYK_NOT_CONTAINED
    moved = prove_cycle(network(PLANAR), x * 1.001, period, radius=1e-6)
    assert refused(moved) is Reason.KRAWCZYK_NOT_CONTAINED
    held = proved(prove_cycle(network(PLANAR), x, period + 1e-7, radius=1e-5))
    assert overlap(held, planar) and held.period.rad <= 1.001e-5
    assert refused(prove_cycle(network(PLANAR), x, period, radius=1e-14))


@pytest.mark.parametrize("offset", [0.0, 1e-9, 1e-3])
def test_T20_an_equilibrium_is_no_cycle(offset: float) -> None:
    at = np.array([offset, -offset])
    assert refused(prove_cycle(network(PLANAR), at, PLANAR_PERIOD))
    for radius in (1e-9, 1e-2):
        assert refused(prove_cycle(network(PLANAR), at, PLANAR_PERIOD, radius=radius))
    # A stable one, too.
    assert refused(prove_cycle(network(0.2 * PLANAR), at, PLANAR_PERIOD))


def test_the_orbit_closes_in_high_precision(planar: Cycle) -> None:
    """Newton's method with the true flow at 200 bits stays within the radii."""
    with precision():
        x = [arb(float(v)) for v in planar.states[0]]
        period = arb(float(planar.period.mid))
        V = monodromy(planar)
        end = np.array(PLANAR @ np.tanh(planar.states[0]) - planar.states[0])
        bordered = np.block(
            [[V - np.eye(2), end[:, None]], [planar.phase[None, :], np.zeros((1, 1))]]
        )
        inverse = np.linalg.inv(bordered)
        change = [arb(1)]
        for _ in range(2):
            after = flow_in_arb(PLANAR, np.zeros(2), 1.0, False, x, period)
            residual = [p - q for p, q in zip(after, x, strict=True)] + [arb(0)]
            change = [
                sum((arb(float(a)) * r for a, r in zip(row, residual, strict=True)), arb(0))
                for row in inverse
            ]
            x, period = [p - c for p, c in zip(x, change, strict=False)], period - change[2]
        assert max(abs(c) for c in change) < arb(10) ** -20
        assert abs(period - arb(float(planar.period.mid))) < arb(float(planar.period.rad))
        node = x
        for i in range(0, len(planar.states), 29):
            for value, center in zip(node, planar.states[i], strict=True):
                assert abs(value - arb(float(center))) < arb(planar.state_radius)
            node = flow_in_arb(
                PLANAR, np.zeros(2), 1.0, False, node, 29 * period / len(planar.states)
            )


def monodromy(cycle: Cycle) -> np.ndarray:
    """The derivative of the planar flow over a period, in floats."""

    def velocity(_: float, v: np.ndarray) -> np.ndarray:
        x, V = v[:2], v[2:].reshape(2, 2)
        J = PLANAR * (1 - np.tanh(x) ** 2) - np.eye(2)
        return np.concatenate([PLANAR @ np.tanh(x) - x, (J @ V).ravel()])

    start = np.concatenate([cycle.states[0], np.eye(2).ravel()])
    solution = solve_ivp(velocity, (0, float(cycle.period.mid)), start, rtol=1e-12, atol=1e-13)
    return solution.y[2:, -1].reshape(2, 2)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_an_uncoupled_neuron_adds_a_known_multiplier(gain: float, planar: Cycle) -> None:
    """At rest its multiplier is `exp((gain - 1) T)`."""
    W = np.zeros((3, 3))
    W[:2, :2], W[2, 2] = PLANAR, gain
    cycle = proved(prove_cycle(network(W), np.append(planar.states[0], 0.0), PLANAR_PERIOD))
    assert overlap(cycle, planar)
    assert cycle.outside == (1 if gain > 1 else 0)
    assert cycle.stability is (Stability.UNSTABLE if gain > 1 else Stability.STABLE)
    assert cycle.multipliers is not None and cycle.multiplier_radii is not None
    exact = np.exp((gain - 1.0) * PLANAR_PERIOD)
    distances = np.abs(cycle.multipliers - exact)
    assert (distances < cycle.multiplier_radii + 1e-9 * exact).sum() == 1


def test_a_second_multiplier_at_1_is_refused(planar: Cycle) -> None:
    """The third neuron at gain 1 has a multiplier 1, so no orbit is isolated to first order."""
    W = np.zeros((3, 3))
    W[:2, :2], W[2, 2] = PLANAR, 1.0
    start = np.append(planar.states[0], 0.0)
    for radius in (None, 1e-3):
        assert refused(prove_cycle(network(W), start, PLANAR_PERIOD, radius=radius))


def test_the_trivial_multiplier_must_stand_alone() -> None:
    def discs(centres: list[complex], radii: list[float], isolated: list[bool]) -> Spectrum:
        count = np.arange(len(radii))
        alone = np.array(isolated)
        return Spectrum(np.array(centres, dtype=complex), np.array(radii), count, alone)

    assert _trivial(discs([0.2, 1.0], [0.1, 0.1], [True, True])) == 1
    assert _trivial(discs([0.85, 1.0], [0.1, 0.1], [False, False])) is None
    assert _trivial(discs([0.95, 1.05], [0.1, 0.1], [False, False])) is None
    assert _trivial(discs([0.2, 1.2], [0.1, 0.1], [True, True])) is None
    assert _count_outside(np.array([0.5j, -1.5]), np.array([0.4, 0.4])) == 1
    assert _count_outside(np.array([0.5j, -1.5]), np.array([0.5, 0.4])) is None
    assert _count_outside(np.array([0.5j, -1.5]), np.array([0.4, np.inf])) is None


def test_orbits_in_a_continuum_are_refused() -> None:
    """A skew matrix without leak: every orbit closes, none is isolated."""
    skew = network(np.array([[0.0, -1.0], [1.0, 0.0]]), form="firing_rate", leak=0.0)
    start = np.array([0.5, 0.0])
    rest = solve_ivp(
        lambda _, x: np.tanh([-x[1], x[0]]), (0, 10), start, rtol=1e-10, atol=1e-12, max_step=0.01
    )
    angle = np.unwrap(np.arctan2(rest.y[1], rest.y[0]))
    period = float(np.interp(2 * np.pi, angle, rest.t))
    for radius in (None, 1e-9, 1e-2):
        assert refused(prove_cycle(skew, start, period, radius=radius))


def test_an_unstable_cycle_is_counted() -> None:
    """Below a subcritical Hopf point at 0 lies a cycle that repels."""
    a, d = -0.02, 0.3
    W = np.array([[a + d, -1.0], [2.0, a - d]])
    unstable = network(W, form="firing_rate", leak=0.0)

    def backwards(_: float, x: np.ndarray) -> np.ndarray:
        return -np.tanh(W @ x)

    x = solve_ivp(backwards, (0, 1500), [0.1, 0.0], rtol=1e-9, atol=1e-11).y[:, -1]
    result = prove_cycle(unstable, x, 2 * np.pi / 1.38)
    cycle = proved(result)
    assert cycle.outside == 1 and cycle.stability is Stability.UNSTABLE


def test_segments_that_are_too_long_are_refused(planar: Cycle) -> None:
    for segments in (16, 40):
        assert refused(
            prove_cycle(network(PLANAR), planar.states[0], PLANAR_PERIOD, segments=segments)
        )
    coarse = proved(prove_cycle(network(PLANAR), planar.states[0], PLANAR_PERIOD, segments=64))
    assert overlap(coarse, planar) and coarse.period.rad > planar.period.rad


def test_a_multiple_of_the_period_is_not_called_minimal(planar: Cycle) -> None:
    double = proved(prove_cycle(network(PLANAR), planar.states[0], 2 * PLANAR_PERIOD))
    assert overlap(planar, double, 2.0) and not double.is_minimal
    assert double.multipliers is not None and planar.multipliers is not None
    assert abs(double.multipliers[0] - planar.multipliers[0] ** 2) < 1e-9


def test_a_ball_of_weights_holds_its_members(planar: Cycle) -> None:
    radius = 1e-6
    robust = proved(prove_cycle(network(PLANAR), planar.states[0], 6.8, weight_radius=radius))
    assert robust.stability is Stability.STABLE and robust.weight_radius == radius
    assert overlap(robust, planar) and robust.period.rad < 1e-4
    rng = np.random.default_rng(4)
    for _ in range(3):
        W = PLANAR + radius * rng.choice([-1.0, 1.0], (2, 2))
        b = radius * rng.choice([-1.0, 1.0], 2)
        member = proved(prove_cycle(network(W, b), planar.states[0], 6.8))
        gap = abs(float(member.period.mid - robust.period.mid))
        assert gap + float(member.period.rad) <= float(robust.period.rad)
    wide = prove_cycle(network(PLANAR), planar.states[0], 6.8, weight_radius=0.1)
    assert refused(wide)


def test_both_forms_have_the_same_cycle() -> None:
    """`x = W v + b` turns the firing-rate form into the Hopfield form."""
    W, b = recipe(3)
    x, period = guess(W, b)
    hopfield = proved(prove_cycle(network(W, b), x, period))
    rates = np.linalg.solve(W, x - b)
    firing = proved(prove_cycle(network(W, b, form="firing_rate"), rates, period))
    assert overlap(hopfield, firing)
    assert hopfield.multipliers is not None and firing.multipliers is not None
    assert np.allclose(np.sort(hopfield.multipliers), np.sort(firing.multipliers), atol=1e-8)


def test_time_constant_leak_and_input(planar: Cycle) -> None:
    slow = network(PLANAR, time_constant=2.5)
    cycle = proved(prove_cycle(slow, planar.states[0], 2.5 * PLANAR_PERIOD))
    assert overlap(planar, cycle, 2.5)
    leaky = proved(prove_cycle(network(PLANAR, leak=0.5), *guess(PLANAR, np.zeros(2), leak=0.5)))
    assert leaky.stability is Stability.STABLE and not overlap(leaky, planar)
    shift = np.array([0.125, -0.25])
    driven = RateNetwork(jnp.asarray(PLANAR), jnp.eye(2), form="hopfield")
    x, period = guess(PLANAR, shift)
    by_input = proved(prove_cycle(driven, x, period, shift))
    by_bias = proved(prove_cycle(network(PLANAR, shift), x, period))
    assert overlap(by_input, by_bias)


def test_unusable_input_is_named(planar: Cycle) -> None:
    x = planar.states[0]
    for state, period, match in (
        (x * np.nan, 6.8, "NaN"),
        (np.zeros(3), 6.8, "shape"),
        (x, np.nan, "guess_period"),
        (x, -1.0, "guess_period"),
        (x, np.inf, "guess_period"),
    ):
        with pytest.raises(InputProblem, match=match):
            prove_cycle(network(PLANAR), state, period)
    for radius in (np.nan, 0.0, -1.0):
        with pytest.raises(InputProblem, match="radius"):
            prove_cycle(network(PLANAR), x, 6.8, radius=radius)
    with pytest.raises(InputProblem, match="segments"):
        prove_cycle(network(PLANAR), x, 6.8, segments=1)
    with pytest.raises(InputProblem, match="tanh"):
        prove_cycle(network(PLANAR, activation="sigmoid"), x, 6.8)
    assert refused(prove_cycle(network(PLANAR), x, 1e9)) is Reason.SEARCH_NOT_FINISHED
    assert refused(prove_cycle(network(PLANAR), x, 1e-3)) is Reason.NEWTON_FAILED
