"""Hopf points of general fields: known values, degenerate ones, and attempts to make it lie."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem
from limitset.analysis import HopfCandidate, find_hopf_points
from limitset.networks import RateFamily, RateNetwork, gain_family, shift_family
from limitset.proofs import Reason, Refusal
from limitset.proofs._hopf import HopfPoint, prove_hopf
from proofs.judging import FOUR_NEURONS, contains

Field = Callable[[jax.Array, jax.Array], jax.Array]


def pure(weight: np.ndarray, **changes: object) -> RateFamily:
    """`x' = tanh((W + a I) x)`, or with a leak."""
    constants = {"form": "firing_rate", "leak": 0.0, **changes}
    return shift_family(RateNetwork(jnp.asarray(weight), **constants))  # pyright: ignore[reportArgumentType]


def candidates(weight: np.ndarray) -> list[HopfCandidate]:
    """Of the pure class: the eigenvalues of the upper half plane."""
    values, vectors = np.linalg.eig(weight)
    rest = np.zeros(len(weight))
    found = [
        HopfCandidate(-float(v.real), float(v.imag), rest, vectors[:, k].astype(complex))
        for k, v in enumerate(values)
        if v.imag > 0
    ]
    return sorted(found, key=lambda c: c.parameter)


def prove(field: Field, c: HopfCandidate, **options: float) -> HopfPoint | Refusal:
    return prove_hopf(field, c.parameter, c.frequency, c.state, c.vector, **options)


def proved(field: Field, c: HopfCandidate, **options: float) -> HopfPoint:
    point = prove(field, c, **options)
    assert isinstance(point, HopfPoint), point
    return point


def two(d: float, c1: float, c2: float) -> np.ndarray:
    return np.array([[d, -c1], [c2, -d]])


@pytest.mark.parametrize(("c1", "c2"), [(1.0, 2.0), (2.0, 1.0)])
def test_T1_two_neurons_in_closed_form(c1: float, c2: float):
    d, weight = 0.3, two(0.3, c1, c2)
    point = proved(pure(weight), candidates(weight)[0])
    omega = np.sqrt(c1 * c2 - d * d)
    assert contains(point.parameter, 0.0) and contains(point.frequency, omega, 1e-15)
    assert contains(point.crossing, 1.0)
    assert contains(point.lyapunov_coefficient, omega * d * (c2 - c1) / (2 * (c1 + c2)), 1e-15)
    assert point.is_supercritical == (c1 > c2) and point.unstable == 0
    assert point.cycles_are_stable == (c1 > c2)
    # l1 > 0 and a pair that crosses to the right: the cycles are below.
    assert point.cycles_above == (c1 > c2)


@pytest.mark.parametrize(
    "weight",
    [two(0.0, 1.0, 2.0), two(0.3, 1.5, 1.5), np.array([[0, 1.0, 2], [-1, 0, 3], [-2, -3, 0]])],
    ids=["d=0", "c1=c2", "skew"],
)
def test_T2_degenerate_points_have_no_sign(weight: np.ndarray):
    family = pure(weight)
    for candidate in candidates(weight):
        answer = prove(family, candidate)
        assert isinstance(answer, Refusal)
        assert answer.reason in (Reason.LYAPUNOV_SIGN_UNDECIDED, Reason.KRAWCZYK_NOT_CONTAINED)


@pytest.mark.parametrize(
    ("form", "expected"), [("hopfield", -1 / 3.4), ("firing_rate", -(1 + 1.7**2) / 3.4)]
)
def test_T3_rotations_with_leak(form: str, expected: float):
    family = pure(np.array([[0.0, -1.7], [1.7, 0.0]]), form=form, leak=1.0)
    point = proved(family, HopfCandidate(1.001, 1.69, np.zeros(2), np.array([1.0, -1.0j])))
    assert contains(point.parameter, 1.0) and contains(point.frequency, 1.7)
    assert contains(point.lyapunov_coefficient, expected, 1e-15)
    assert point.cycles_are_stable and point.cycles_above


@pytest.mark.parametrize("k", [0.7, -0.7])
def test_T4_resolvent_terms_decide(k: float):
    """The planar formula gives 0 here: all of the coefficient comes from the quadratic terms."""
    w = 1.3

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        x, y, z = x
        return jnp.stack([a * x - w * y + x * z, w * x + a * y + y * z, -z + k * (x**2 + y**2)])

    start = HopfCandidate(0.01, 1.31, np.zeros(3), np.array([1.0, -1.0j, 0.0]))
    point = proved(field, start)
    assert contains(point.lyapunov_coefficient, 2 * k / w, 1e-15)
    assert point.is_supercritical == (k < 0)


def biased(seed: int, size: int) -> RateFamily:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((size, size)) / np.sqrt(size)
    bias = 0.8 * rng.standard_normal(size)
    return gain_family(RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate"))


KNOWN = {
    (13, 12): [(2.0213891487176, -0.5676146)],
    (32, 5): [
        (1.7862389481475, -1.0142361),
        (2.7862936699465, 0.6282256),
        (5.6598323550040, -1.5892567),
    ],
}


@pytest.mark.parametrize(("seed", "size"), KNOWN)
def test_T5_biased_leaky_networks(seed: int, size: int):
    """The planar formula has the wrong sign at two of these points."""
    family = biased(seed, size)
    rest = np.tanh(np.asarray(family.network.bias))
    found = find_hopf_points(family, [rest], (0.0, 8.0), step=0.1)
    points = [proved(family, candidate) for candidate in found]
    for point, (parameter, coefficient) in zip(points, KNOWN[seed, size], strict=True):
        assert contains(point.parameter, parameter, 1e-13)
        assert contains(point.lyapunov_coefficient, coefficient, 1e-7)
    if seed == 13:
        assert contains(points[0].frequency, 0.5409817879476, 1e-13)
        assert contains(points[0].crossing, 1.45795, 1e-5) and points[0].unstable == 0
    else:
        # The second pair crosses back to the left, where a positive l1 means cycles above.
        assert [bool(point.crossing.lower() > 0) for point in points] == [True, False, True]
        assert all(point.cycles_above for point in points)
        assert [point.cycles_are_stable for point in points] == [True, False, True]


def test_T7_four_neurons():
    weight = FOUR_NEURONS
    known = [
        (-0.032675841204022, 0.606599913555230, 0.00105096310925, 0),
        (-0.015074158795978, 2.970195737781701, -0.0072799113171, 2),
    ]
    for candidate, (a, omega, l1, unstable) in zip(candidates(weight), known, strict=True):
        point = proved(pure(weight), candidate)
        assert contains(point.parameter, a, 1e-15) and contains(point.frequency, omega, 1e-15)
        assert contains(point.lyapunov_coefficient, l1, 1e-13) and point.unstable == unstable
        # l1 < 0 alone makes no stable cycle.
        assert not point.cycles_are_stable


def test_T10_two_pairs_on_the_axis_are_refused():
    weight = np.kron(np.eye(2), two(0.3, 1.0, 2.0))
    weight[2:, 2:] = two(0.3, 2.0, 1.0) * 1.25
    for candidate in candidates(weight):
        answer = prove(pure(weight), candidate)
        assert isinstance(answer, Refusal) and answer.reason == Reason.SPECTRUM_NOT_SEPARATED


def test_T11_real_crossings_are_refused():
    weight = np.diag([0.3, -0.2, 0.1])
    weight[0, 1] = 0.5
    start = HopfCandidate(-0.3, 0.0, np.zeros(3), np.array([1.0, 1e-3j, 0.0]))
    answer = prove(pure(weight), start)
    assert isinstance(answer, Refusal)
    assert answer.reason in (
        Reason.OMEGA_CONTAINS_ZERO, Reason.JACOBIAN_SINGULAR, Reason.NEWTON_FAILED,
        Reason.KRAWCZYK_NOT_CONTAINED,
    )  # fmt: skip


def test_T13_tiny_coefficients_are_decided_or_left():
    """`l1 = sqrt(2) d / 6` to first order: never a wrong sign, and the larger ones are decided."""
    for d in (1e-8, 1e-10, 1e-13, 1e-15):
        for sign in (1.0, -1.0):
            weight = two(sign * d, 1.0, 2.0)
            answer = prove(pure(weight), candidates(weight)[0])
            if isinstance(answer, HopfPoint):
                assert contains(answer.lyapunov_coefficient, sign * 2**0.5 * d / 6, 1e-9 * d)
            else:
                assert answer.reason == Reason.LYAPUNOV_SIGN_UNDECIDED and d < 1e-9


@pytest.mark.parametrize("radius", [1e-7])
def test_T23_balls_of_weights_hold_their_members(radius: float):
    rng = np.random.default_rng(3)
    weight = FOUR_NEURONS
    start = candidates(weight)[1]
    whole = proved(pure(weight), start, weight_radius=radius)
    for _ in range(4):
        near = weight + radius * rng.uniform(-1, 1, weight.shape)
        member = proved(pure(near), start)
        assert member.unstable == whole.unstable
        pairs = (
            (member.parameter, whole.parameter),
            (member.frequency, whole.frequency),
            (member.lyapunov_coefficient, whole.lyapunov_coefficient),
        )
        for inner, outer in pairs:
            assert outer.lower() <= inner.lower() and inner.upper() <= outer.upper()


def test_T23_large_balls_are_refused():
    weight = FOUR_NEURONS
    assert isinstance(prove(pure(weight), candidates(weight)[0], weight_radius=0.1), Refusal)


def test_T29_symmetries():
    """Relabelled units, flipped signs, and the conjugate pair give overlapping answers."""
    family = biased(32, 5)
    rest = np.tanh(np.asarray(family.network.bias))
    start = find_hopf_points(family, [rest], (0.0, 8.0), step=0.1)[1]
    point = proved(family, start)
    order, flip = np.array([3, 1, 4, 0, 2]), np.array([1.0, -1, -1, 1, -1])
    network = family.network
    direction = family.direction
    turned = RateNetwork(
        network.weight, bias=(network.bias * flip)[order], form="firing_rate", leak=network.leak
    )
    other = RateFamily(turned, (direction * flip[:, None] * flip)[order][:, order])
    for mirrored in (
        proved(other, HopfCandidate(
            start.parameter, start.frequency,
            (start.state * flip)[order], (start.vector * flip)[order],
        )),
        proved(family, HopfCandidate(
            start.parameter, start.frequency, start.state, start.vector * np.exp(0.7j)
        )),
    ):  # fmt: skip
        for name in ("parameter", "frequency", "crossing", "lyapunov_coefficient"):
            one, two = getattr(point, name), getattr(mirrored, name)
            assert one.lower() <= two.upper() and two.lower() <= one.upper()


def test_gated_networks_are_fields_like_others():
    """A multiplicative gate, which no rate network has."""

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        turn = jnp.array([[1.0, -2.0], [2.0, 1.0]])
        gate = jax.nn.sigmoid(3.0 + x[::-1])
        return -x + gate * jnp.tanh(a * turn @ x)

    found = find_hopf_points(field, [np.zeros(2)], (0.2, 3.0), step=0.1)
    assert len(found) == 1
    point = proved(field, found[0])
    # At rest J = -I + s a (turn): the pair crosses at a = 1 / s, with frequency 2.
    gate = 1 / (1 + np.exp(-3.0))
    assert contains(point.parameter, 1 / gate, 1e-14) and contains(point.frequency, 2.0)


class Bent(eqx.Module):
    """`-x + tanh((W + a I) x) + c |x|^2 x`, where `c` decides on the side of the cycles."""

    weight: jax.Array
    bend: Any = eqx.field(static=True)

    def __call__(self, x: jax.Array, a: jax.Array) -> jax.Array:
        bend = 10.0 if isinstance(self.bend, float) else 0.0
        return -x + jnp.tanh(self.weight @ x + a * x) + bend * (x @ x) * x


def test_fields_that_are_equal_or_change_are_traced_anew():
    start = HopfCandidate(1.01, 1.98, np.zeros(2), np.array([1.0, -1.0j]))
    weight = jnp.array([[0.0, -2.0], [2.0, 0.0]])
    # Static fields 1 and 1.0 are equal, and the programs are not.
    assert proved(Bent(weight, 1), start).is_supercritical
    assert not proved(Bent(weight, 1.0), start).is_supercritical
    bend = [0.0]

    def changing(x: jax.Array, a: jax.Array) -> jax.Array:
        return -x + jnp.tanh(weight @ x + a * x) + bend[0] * (x @ x) * x

    assert proved(changing, start).is_supercritical
    bend[0] = 10.0
    assert not proved(changing, start).is_supercritical


def test_a_weight_radius_that_changes_nothing_is_refused():
    class Shifted(eqx.Module):
        shift: jax.Array

        def __call__(self, x: jax.Array, a: jax.Array) -> jax.Array:
            turn = jnp.array([[0.0, -2.0], [2.0, 0.0]])
            return jnp.tanh(turn @ x + (a + self.shift) * x) - x

    start = HopfCandidate(1.01, 1.98, np.zeros(2), np.array([1.0, -1.0j]))
    with pytest.raises(InputProblem, match="no array with an axis"):
        prove(Shifted(jnp.array(0.0)), start, weight_radius=0.01)


def test_kinks_and_unknown_programs_are_refused():
    """A slope is taken on one side of a kink by JAX; a proof may not do that."""
    turn = jnp.array([[0.0, -1.0], [1.0, 0.0]])

    def kinked(x: jax.Array, a: jax.Array) -> jax.Array:
        return turn @ x + a * x - jnp.maximum(x, 0.0) ** 3

    def kinked_strongly(x: jax.Array, a: jax.Array) -> jax.Array:
        return turn @ x + a * x - x**3 - 0.1 * jax.nn.relu(x)

    def sorted_first(x: jax.Array, a: jax.Array) -> jax.Array:
        return turn @ x + a * x - jnp.sort(x) ** 3

    start = HopfCandidate(0.0, 1.0, np.zeros(2), np.array([1.0, -1.0j]))
    for field in (kinked, kinked_strongly):
        answer = prove(field, start)
        assert isinstance(answer, Refusal) and answer.reason == Reason.BRANCH_UNDECIDED, answer
    answer = prove(sorted_first, start)
    assert isinstance(answer, Refusal) and answer.reason == Reason.UNSUPPORTED_PRIMITIVE
    assert "sort" in answer.message


def test_unusable_candidates():
    family = pure(two(0.3, 1.0, 2.0))
    good = candidates(two(0.3, 1.0, 2.0))[0]
    with pytest.raises(InputProblem, match="no candidate"):
        prove(family, HopfCandidate(np.nan, 1.0, good.state, good.vector))
    with pytest.raises(InputProblem, match="weight_radius"):
        prove(family, good, weight_radius=-1.0)
    with pytest.raises(InputProblem, match="no array with an axis"):
        prove(lambda x, a: a * x, good, weight_radius=1e-9)
    with pytest.raises(InputProblem, match="NaN"):
        prove(pure(np.array([[np.nan, 1.0], [1.0, 0.0]])), good)
    nowhere = prove(family, HopfCandidate(0.0, 1.0, good.state, np.zeros(2, complex)))
    assert isinstance(nowhere, Refusal) and nowhere.reason == Reason.NEWTON_FAILED
