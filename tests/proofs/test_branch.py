"""Branches of equilibria: exact counts, closed forms, degenerate curves, attempts to lie."""

import dataclasses
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flint import arb

from limitset import InputProblem
from limitset.networks import RateFamily, RateNetwork, gain_family, shift_family
from limitset.proofs import HopfPoint, Reason, Refusal, prove_hopf
from limitset.proofs._branch import EventKind, ProvedBranch, prove_branch
from limitset.proofs._branch_events import Crossing, examine
from limitset.proofs._parametric import ParametricField
from proofs.judging import FOUR_NEURONS, contains, holds, proved, refused

Field = Callable[[jax.Array, jax.Array], jax.Array]
HOPF, FOLD, PITCHFORK = EventKind.HOPF, EventKind.FOLD, EventKind.PITCHFORK
ORIGIN = np.zeros(1)


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Hundreds of steps are proved here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def pure(weight: Any) -> RateFamily:
    return shift_family(RateNetwork(jnp.asarray(weight), form="firing_rate", leak=0.0))


def seeded(size: int, seed: int = 80) -> RateFamily:
    rng = np.random.default_rng(seed)
    R = rng.standard_normal((size, size))
    return pure((R - R.T) + 0.1 * rng.standard_normal((size, size)))


def biased(seed: int, size: int) -> tuple[RateFamily, np.ndarray]:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((size, size)) / np.sqrt(size)
    bias = 0.8 * rng.standard_normal(size)
    network = RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate")
    return gain_family(network), np.tanh(bias)


def unit(x: jax.Array, b: jax.Array) -> jax.Array:
    return b - x + 2 * jnp.tanh(x)


def rotations(*pairs: Callable[[jax.Array], jax.Array]) -> Field:
    """Pairs `real(a) +- i k`, `k = 1, 2, ...` at the equilibrium 0, coupled one way."""

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        z = x.reshape(len(pairs), 2)
        turned = jnp.stack([-z[:, 1], z[:, 0]], 1) * jnp.arange(1, len(pairs) + 1)[:, None]
        real = jnp.stack([pair(a) for pair in pairs])[:, None]
        return (
            real * z + turned + 0.25 * jnp.roll(z, 1, 0) * jnp.arange(len(pairs))[:, None]
        ).ravel()

    return field


def branch(field: Field, state: Any, interval: tuple[float, float], **options: Any) -> ProvedBranch:
    return proved(prove_branch(field, np.asarray(state, np.float64), interval, **options))


def parameters(found: ProvedBranch, kind: EventKind) -> list[float]:
    return [float(event.parameter.mid) for event in found.events if event.kind is kind]


def test_T28_four_neurons():
    known = [-0.032675841204022, -0.015074158795978]
    found = branch(pure(FOUR_NEURONS), np.zeros(4), (-0.1, 0.05))
    assert found.complete and found.at_origin and found.exit == 0.05
    assert found.count(HOPF) == 2 and found.count(FOLD) == found.count(PITCHFORK) == 0
    for event, value in zip(found.events, known, strict=True):
        assert contains(event.parameter, value, 1e-15) and event.parameter.rad < 1e-9
    assert contains(found.events[0].frequency, 0.606599913555230, 1e-15)
    assert [event.unstable for event in found.events] == [(0, 2), (2, 4)]
    assert branch(pure(FOUR_NEURONS), np.zeros(4), (-0.1, -0.02)).count(HOPF) == 1
    assert branch(pure(FOUR_NEURONS), np.zeros(4), (-0.1, -0.04)).count(HOPF) == 0


def test_T28_six_neurons():
    known = [-0.05820951104754, -0.03536871867536, 0.04503434225613]
    found = branch(seeded(6), np.zeros(6), (-0.1, 0.1))
    assert found.complete and parameters(found, HOPF) == pytest.approx(known, abs=1e-13)
    for low, high, count in ((-0.05, 0.04, 1), (0.05, 0.3, 0)):
        assert branch(seeded(6), np.zeros(6), (low, high)).count(HOPF) == count


@pytest.mark.parametrize("size", [12, 20, 50])
def test_T28_larger_networks(size: int):
    """All pairs cross in the interval, and no real eigenvalue does."""
    family = seeded(size)
    values = np.linalg.eigvals(np.asarray(family.network.weight))
    real = values[np.imag(values) == 0].real
    low, high = -0.04, 0.04
    while ((low <= -real) & (-real <= high)).any():
        high -= 0.005
    crossings = np.sort(-np.real(values[np.imag(values) > 0]))
    inside = crossings[(low < crossings) & (crossings < high)]
    found = branch(family, np.zeros(size), (low, high))
    assert found.complete and parameters(found, HOPF) == pytest.approx(inside, abs=1e-11)


def test_T28_biased_network():
    """The equilibrium moves; each point is proved to be one by `prove_hopf`, from the event."""
    known = [(1.7862389481475, -1.0142361), (2.7862936699465, 0.6282256)]
    family, start = biased(32, 5)
    found = branch(family, start, (1.0, 3.0))
    assert found.complete and not found.at_origin and found.count(FOLD) == 0
    assert parameters(found, HOPF) == pytest.approx([a for a, _ in known], abs=1e-10)
    for event, (parameter, coefficient) in zip(found.events, known, strict=True):
        point = prove_hopf(
            family,
            float(event.parameter.mid),
            float(event.frequency.mid),
            event.state.mid,
            event.vector,
        )
        assert isinstance(point, HopfPoint) and contains(event.parameter, parameter, 1e-13)
        assert contains(point.lyapunov_coefficient, coefficient, 5e-8)
        assert abs(point.parameter.mid - event.parameter.mid) <= event.parameter.rad
        assert (abs(point.state.mid - event.state.mid) <= event.state.rad).all()
        assert abs(point.frequency.mid - event.frequency.mid) <= event.frequency.rad
        assert point.unstable == min(event.unstable)


@pytest.mark.slow
def test_T28_biased_network_on_a_long_interval():
    family, start = biased(32, 5)
    found = branch(family, start, (0.0, 8.0))
    known = [1.7862389481475, 2.7862936699465, 5.6598323550040]
    assert found.complete and parameters(found, HOPF) == pytest.approx(known, abs=1e-9)
    family, start = biased(13, 12)
    found = branch(family, start, (0.0, 3.0))
    assert found.complete and parameters(found, HOPF) == pytest.approx([2.0213891487176])


def test_T28_ends_on_a_hopf_point_are_undecided():
    turn = pure([[0.0, -2.0], [2.0, 0.0]])
    for interval in ((0.0, 1.0), (-1.0, 0.0)):
        found = branch(turn, np.zeros(2), interval)
        assert found.count(HOPF) is None and not found.events
        (piece,) = found.undecided
        assert piece.refusal.reason is Reason.TRANSVERSALITY_UNDECIDED
        assert contains(piece.parameter, 0.0) and piece.parameter.rad < 1e-5
    assert branch(turn, np.zeros(2), (-1.0, 1.0)).count(HOPF) == 1
    # The nearest float is as good as exact in this arithmetic, a little beside is not.
    four = pure(FOUR_NEURONS)
    point = parameters(branch(four, np.zeros(4), (-0.1, -0.02)), HOPF)[0]
    tight = prove_hopf(four, point, 0.6066, np.zeros(4), _critical(FOUR_NEURONS, point))
    assert isinstance(tight, HopfPoint)
    end = float(tight.parameter.mid)
    for shift, count in ((0.0, None), (1e-9, 1), (-1e-9, 0)):
        assert branch(four, np.zeros(4), (-0.1, end + shift)).count(HOPF) == count


def _critical(weight: np.ndarray, parameter: float) -> np.ndarray:
    values, vectors = np.linalg.eig(weight + parameter * np.eye(len(weight)))
    return vectors[:, np.argmin(np.abs(values - 0.6066j))]


@pytest.fixture(scope="module")
def curve(no_shape_checks: None) -> ProvedBranch:
    return branch(unit, [-3.0], (-1.0, 1.0))


def test_T28_folds_of_the_curve_of_one_unit(curve: ProvedBranch, high_precision: None):
    found = curve
    assert found.complete and found.count(FOLD) == 2 and found.count(HOPF) == 0
    x = (1 + arb(2).sqrt()).log()
    b = x - 2 * x.tanh()
    for event, sign in zip(found.events, (-1, 1), strict=True):
        assert holds(event.parameter, sign * b) and holds(event.state[0], sign * x)
        assert event.parameter.rad < 1e-12 and event.state.rad[0] < 1e-8
    assert [event.unstable for event in found.events] == [(0, 1), (1, 0)]
    assert found.exit == 1.0


def test_the_tubes_hold_the_curve(curve: ProvedBranch):
    """`b = x - 2 tanh x`, with the slope of the curve in that of the velocities."""
    for segment in curve.segments:
        # Both ends are in the tube, as x is monotone there, so are all x between.
        low, high = segment.first.point[0], segment.last.point[0]
        for x in np.linspace(low, high, 7):
            b, slope = x - 2 * np.tanh(x), 2 * np.tanh(x) ** 2 - 1
            assert contains(segment.tube[0], x) and contains(segment.tube[1], b, 1e-14)
            speed = segment.velocity
            assert contains(speed[1] - speed[0] * slope, 0.0, 1e-15)
            assert abs(slope) < 1e-6 or (segment.middle.mid[0, 0] < 0) == (slope > 0)
    for before, after in pairwise(curve.segments):
        assert before.last is after.first


@pytest.mark.parametrize(("e", "folds"), [(0.1, 2), (1e-7, 2), (-1e-7, 0)])
def test_close_folds(e: float, folds: int):
    """`b = x^3 - e x`: folds at `x = +-sqrt(e / 3)`."""
    found = branch(lambda x, b: b - x**3 + e * x, [-0.8], (-0.5, 0.5))
    assert found.count(FOLD) == folds
    assert [abs(event.state.mid[0]) for event in found.events] == pytest.approx(
        [(e / 3) ** 0.5] * folds if folds else [], rel=1e-3
    )


@pytest.mark.parametrize("d", [0.1, 1e-5])
def test_close_hopf_points(d: float):
    found = branch(rotations(lambda a: a * a - d * d), np.zeros(2), (-0.51, 0.5))
    assert found.count(HOPF) == 2 and parameters(found, HOPF) == pytest.approx([-d, d], abs=1e-8)
    assert [event.unstable for event in found.events] == [(2, 0), (0, 2)]


@pytest.mark.slow
def test_two_pairs_that_cross_one_after_the_other():
    found = branch(
        rotations(lambda a: a, lambda a: a - 1e-6, lambda a: 1e-6 - a), np.zeros(6), (-0.5, 0.7)
    )
    # The second and the third pair cross at one parameter.
    assert found.count(HOPF) is None and len(found.events) == 1
    found = branch(rotations(lambda a: a, lambda a: a - 1e-5), np.zeros(4), (-0.5, 0.7))
    assert parameters(found, HOPF) == pytest.approx([0, 1e-5], abs=1e-8)


@pytest.mark.parametrize(
    ("field", "size"),
    [
        (rotations(lambda a: a * a), 2),
        (rotations(lambda a: a**3), 2),
        (rotations(lambda a: a, lambda a: a), 4),
        (rotations(lambda a: a, lambda a: -2 * a), 4),
        (lambda x, b: b - x**3, 1),
        (
            lambda x, b: jnp.concatenate(
                [b - x[:1] ** 3 + x[:1], rotations(lambda a: 0 * a)(x[1:], b)]
            ),
            3,
        ),
    ],
    ids=["touching", "flat", "hopf-hopf", "crossed", "cusp", "centre"],
)
def test_degenerate_crossings_are_undecided(field: Field, size: int):
    found = prove_branch(
        field, np.full(size, -0.1) * (np.arange(size) < 1), (-0.5, 0.51), segments=150
    )
    if isinstance(found, ProvedBranch):
        assert found.undecided and not found.complete
        assert found.count(HOPF) is None and found.count(FOLD) is None


def test_what_only_comes_near_the_axis_is_decided():
    found = branch(rotations(lambda a: a * a + 1e-5), np.zeros(2), (-0.5, 0.51))
    assert found.count(HOPF) == 0 and not found.undecided


def test_pitchforks_are_called_nothing_else():
    """`x' = -x + tanh(a W x)` with the eigenvalues 1 and 0.25 +- i of W."""
    weight = np.array([[1.0, 0.0, 0.0], [0.5, 0.25, -1.0], [0.0, 1.0, 0.25]])
    family = gain_family(RateNetwork(jnp.asarray(weight)))
    found = branch(family, np.zeros(3), (0.5, 5.0))
    assert found.complete and found.at_origin
    assert (found.count(PITCHFORK), found.count(HOPF), found.count(FOLD)) == (1, 1, 0)
    fork, turn = found.events
    assert contains(fork.parameter, 1.0) and contains(turn.parameter, 4.0)
    assert contains(turn.frequency, 4.0, 1e-7)
    # From one of the pair the branch is regular, and has its own Hopf points, if any.
    x = np.array([0.9, 0.3, 0.1])
    for _ in range(400):
        x = x + 0.1 * np.asarray(family(jnp.asarray(x), 2.0))
    assert not branch(family, x, (2.0, 2.1)).at_origin


def test_lines_of_equilibria_are_no_pitchforks():
    """Pure class: where a real eigenvalue passes 0, all of a line is at rest."""
    found = branch(pure([[0.3, 0.5], [0.0, -0.2]]), np.zeros(2), (-1.0, 1.0))
    assert len(found.undecided) == 2 and not found.events and found.count(PITCHFORK) is None
    for piece, value in zip(found.undecided, (-0.3, 0.2), strict=True):
        assert contains(piece.parameter, value)


@pytest.mark.parametrize(
    ("field", "start"),
    [
        (lambda x, a: a * x - x**2, 0.0),
        (lambda x, a: a * x - x**3, 0.0),
        (lambda x, a: a**2 - x**2 + 0.0 * x, -1.0),
        (lambda x, a: jnp.abs(x - 0.1) - x + a, 0.0),
        (lambda x, a: 1 + x**2 + 0 * a, 1.0),
    ],
    ids=["transcritical", "pitchfork", "cross", "kink", "no equilibrium"],
)
def test_curves_that_cross_or_end_are_refused(field: Field, start: float):
    answer = prove_branch(field, np.array([start]), (-1.0, 1.0), segments=2000)
    assert isinstance(answer, Refusal), answer


def test_a_loop_leaves_where_it_came_in():
    found = branch(lambda x, b: 1 - x**2 - b**2, [0.9], (-0.5, 2.0))
    assert found.exit == -0.5 and found.count(FOLD) == 1
    assert contains(found.events[0].parameter, 1.0)
    assert found.segments[-1].last.point[0] == pytest.approx(-(0.75**0.5))


@pytest.mark.slow
def test_a_fold_beside_the_end():
    """The curve leaves the interval by a hair, or turns back before it does."""
    fold = 0.532839975353552
    outside = branch(unit, [-3.0], (-1.0, fold - 1e-4))
    assert outside.count(FOLD) == 0 and outside.exit == fold - 1e-4
    inside = prove_branch(unit, np.array([-3.0]), (-1.0, fold + 1e-6))
    assert isinstance(inside, Refusal) or inside.count(FOLD) in (2, None)


def test_wrong_counts_are_not_believed():
    found = branch(pure([[0.0, -2.0], [2.0, 0.0]]), np.zeros(2), (-1.0, 0.9))
    system = ParametricField(pure([[0.0, -2.0], [2.0, 0.0]]))
    for segment in found.segments:
        answer = examine(system, segment)
        if isinstance(answer, Crossing):
            for wrong in (1, 2, 4, None):
                first = dataclasses.replace(segment.first, unstable=wrong)
                lie = examine(system, dataclasses.replace(segment, first=first))
                assert not isinstance(lie, Crossing)
                assert isinstance(lie, Refusal) or wrong == segment.last.unstable
            return
    raise AssertionError("no segment has the crossing")


@pytest.mark.slow
def test_T23_balls_of_weights():
    """One count for every network in the ball; the enclosures hold those of its members."""
    radius = 1e-7
    family, start = biased(32, 5)
    whole = branch(family, start, (1.0, 2.0), weight_radius=radius)
    assert whole.count(HOPF) == 1 and whole.weight_radius == radius
    rng = np.random.default_rng(1)
    shaken = [
        part + radius * rng.uniform(-1, 1, part.shape)
        for part in (family.direction, family.network.bias)
    ]
    network = RateNetwork(jnp.asarray(shaken[0]), bias=jnp.asarray(shaken[1]), form="firing_rate")
    member = branch(gain_family(network), start, (1.0, 2.0))
    (outer,), (inner,) = whole.events, member.events
    for name in ("parameter", "frequency", "state"):
        large, small = getattr(outer, name), getattr(inner, name)
        assert (abs(large.mid - small.mid) <= large.rad + small.rad).all()
    pair = branch(pure(FOUR_NEURONS), np.zeros(4), (-0.1, 0.05), weight_radius=1e-8)
    assert pair.count(HOPF) == 2
    answer = prove_branch(family, start, (1.0, 1.2), weight_radius=0.3)
    assert isinstance(answer, Refusal) or not answer.complete


def test_unusable_input():
    for state, interval in (
        ([np.nan], (0.0, 1.0)),
        ([0.0], (np.nan, 1.0)),
        ([0.0], (1.0, 1.0)),
        ([0.0], (0.0, np.inf)),
        ([], (0.0, 1.0)),
        ([[0.0]], (0.0, 1.0)),
    ):
        with pytest.raises(InputProblem, match="give a finite vector"):
            prove_branch(unit, np.array(state), interval)
    for step, segments in ((0.0, 10), (np.nan, 10), (0.1, 0)):
        with pytest.raises(InputProblem, match="positive"):
            prove_branch(unit, ORIGIN, (0.0, 1.0), step=step, segments=segments)
    with pytest.raises(InputProblem, match="NaN"):
        prove_branch(pure([[np.nan]]), ORIGIN, (0.0, 1.0))
    assert refused(prove_branch(unit, ORIGIN, (-0.9, 0.9), segments=3)) in Reason
    sort = prove_branch(lambda x, a: jnp.sort(x) - a, ORIGIN, (0.0, 1.0))
    assert refused(sort) == Reason.UNSUPPORTED_PRIMITIVE
