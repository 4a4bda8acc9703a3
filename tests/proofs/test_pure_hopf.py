"""All Hopf points of the pure class: closed forms, Arb, degenerate controls, sizes up to 1600."""

import time

import numpy as np
import pytest
import scipy.linalg
from flint import acb, acb_mat, arb, arb_mat

from limitset._result import InputProblem
from limitset.proofs._ball import Ball
from limitset.proofs._pure_hopf import (
    AllPureHopf,
    PureHopfPoints,
    _left_vectors,
    _right_vectors,
    prove_all_hopf,
)
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._spectrum import column_sums, deviations, diagonalise, unit_discs
from proofs.judging import FOUR_NEURONS

Point = tuple[arb, arb, arb, int, arb]

pytestmark = pytest.mark.usefixtures("high_precision")


def proved(weights: Ball | np.ndarray) -> AllPureHopf:
    result = prove_all_hopf(weights)
    assert isinstance(result, AllPureHopf)
    return result


def recipe(n: int, seed: int = 80, size: float = 0.1) -> np.ndarray:
    """A skew random matrix and a smaller random one: the float result is the network."""
    rng = np.random.default_rng(seed)
    A, B = rng.standard_normal((n, n)), size * rng.standard_normal((n, n))
    return (A - A.T) + B


def planar(d: float, c1: float, c2: float) -> np.ndarray:
    return np.array([[d, -c1], [c2, -d]])


def blocks(*parts: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.linalg.block_diag(*parts))


def by_arb(W: np.ndarray) -> list[Point]:
    """Parameter, frequency, l1, unstable count and gap of all points, from Arb's eigenvectors.

    Written from the definition: C(q, q, conj q) with Wq = i w q, and the sesquilinear product.
    """
    n = len(W)
    values, left, right = acb_mat(arb_mat(W.tolist())).eig(left=True, right=True)
    points = []
    for k, value in enumerate(values):
        if not value.imag > 0:
            continue
        w = value.imag
        q = [right[i, k] for i in range(n)]
        p_conj = [left[k, i] for i in range(n)]
        size = sum((abs(x) ** 2 for x in q), arb(0)).sqrt()
        q = [x / size for x in q]
        product = sum((x * y for x, y in zip(p_conj, q, strict=True)), acb(0))
        p_conj = [x / product for x in p_conj]
        u = [acb(0, 1) * w * x for x in q]
        C = [-2 * x * x * x.conjugate() for x in u]
        projected = sum((x * y for x, y in zip(p_conj, C, strict=True)), acb(0))
        others = [z for z in values if not (z.overlaps(value) or z.overlaps(value.conjugate()))]
        unstable = sum(1 for z in others if z.real > value.real)
        gap = min((abs(z.real - value.real) for z in others), key=float, default=arb("inf"))
        points.append((-value.real, w, projected.real / (2 * w), unstable, gap))
    return sorted(points, key=lambda point: float(point[0].mid()))


def contains(ball: Ball, k: int, exact: arb) -> bool:
    return bool(abs(arb(float(ball.mid[k])) - exact) <= arb(float(ball.rad[k])))


def assert_contained(points: PureHopfPoints, exact: list[Point]) -> None:
    """Every proved point is one of the exact ones, with all its numbers."""
    for k in range(len(points)):
        distance = [abs(float(a.mid()) - points.parameter.mid[k]) for a, *_ in exact]
        a, w, l1, unstable, gap = exact[int(np.argmin(distance))]
        assert contains(points.parameter, k, a) and contains(points.frequency, k, w)
        assert contains(points.coefficient, k, l1) and points.unstable[k] == unstable
        assert arb(float(points.gap[k])) <= gap


def assert_overlap(a: Ball, b: Ball) -> None:
    assert ((a.lower() <= b.upper()) & (b.lower() <= a.upper())).all()


def reasons(result: AllPureHopf) -> list[Reason]:
    return [entry.refusal.reason for entry in result.undecided]


@pytest.mark.parametrize(("c1", "c2"), [(1.0, 2.0), (2.0, 1.0), (0.2, 1.5)])
def test_T1_planar_closed_form(c1: float, c2: float):
    result = proved(planar(0.3, c1, c2))
    d, e, f = arb(0.3), arb(c1), arb(c2)
    w = (e * f - d * d).sqrt()
    assert result.complete and result.pairs == 1
    points = result.proved
    assert contains(points.parameter, 0, arb(0)) and contains(points.frequency, 0, w)
    assert contains(points.coefficient, 0, w * d * (f - e) / (2 * (e + f)))
    assert points.coefficient.rad[0] < 1e-14 and points.unstable[0] == 0
    assert points.supercritical[0] == (c2 < c1) == points.stable[0]
    side = "above it; they are stable." if c2 < c1 else "below it; they have 1 unstable multiplier."
    assert points.describe(0).endswith(side)


def test_T1_published_numbers():
    points = proved(planar(0.3, 1.0, 2.0)).proved
    assert abs(points.frequency.mid[0] - 1.38202749610853) < 1e-13
    assert abs(points.coefficient.mid[0] - 0.0691013748054263) < 1e-13


def circulant(n: int) -> np.ndarray:
    """Integer entries: exactly normal, with pairs of distinct real parts."""
    return scipy.linalg.circulant(np.random.default_rng(n).integers(-9, 10, n)).astype(float)


def skew(n: int) -> np.ndarray:
    A = np.random.default_rng(n).standard_normal((n, n))
    return A - A.T


@pytest.mark.parametrize(
    "W",
    [planar(0.0, 1.0, 2.0), planar(0.3, 1.0, 1.0), skew(2), skew(3), skew(4), skew(7)]
    + [circulant(3), circulant(5), circulant(8)],
)
def test_T2_degenerate_coefficients_are_never_signed(W: np.ndarray):
    result = proved(W)
    assert len(result.proved) == 0 and not result.complete
    assert result.undecided
    assert set(reasons(result)) <= {Reason.LYAPUNOV_SIGN_UNDECIDED, Reason.SPECTRUM_NOT_SEPARATED}


@pytest.mark.parametrize(("d", "decided"), [(1e-10, True), (1e-13, True), (1e-17, False)])
def test_T2_nearly_degenerate_signs_are_true_or_undecided(d: float, decided: bool):
    result = proved(planar(d, 1.0, 2.0))
    if len(result.proved):
        assert not result.proved.supercritical[0]
    if d == 1e-10 or not decided:
        assert bool(len(result.proved)) == decided


@pytest.mark.parametrize("n", [6, 20, 30])
def test_T6_batch_holds_what_arb_computes(n: int):
    result = proved(recipe(n))
    exact = by_arb(recipe(n))
    assert result.complete and len(result.proved) == len(exact) == n // 2
    assert (result.proved.coefficient.rad < 1e-10).all()
    assert_contained(result.proved, exact)


def test_T7_explicit_four_neuron_matrices():
    result = proved(FOUR_NEURONS)
    expected = [
        (-0.032675841204022, 0.606599913555230, 0.00105096310925, 0),
        (-0.015074158795978, 2.970195737781701, -0.0072799113171, 2),
    ]
    points = result.proved
    assert result.complete and len(points) == 2
    for k, (a, w, l1, unstable) in enumerate(expected):
        assert abs(points.parameter.mid[k] - a) < 1e-13
        assert abs(points.frequency.mid[k] - w) < 1e-13
        assert abs(points.coefficient.mid[k] - l1) < 1e-13
        assert points.unstable[k] == unstable
    assert points.stable.tolist() == [False, False]
    assert points.unstable_multipliers.tolist() == [1, 2]


def test_T8_small_sizes():
    six = proved(recipe(6)).proved
    numbers = [
        (-0.05820951104754, 5.04431640195054, 0.018940291632, 0),
        (-0.03536871867536, 1.37502737903249, -0.0049563533507, 2),
        (0.04503434225613, 3.71688036256256, -0.069646581933, 4),
    ]
    found = zip(
        six.parameter.mid, six.frequency.mid, six.coefficient.mid, six.unstable, strict=True
    )
    np.testing.assert_allclose(np.array(list(found)), np.array(numbers), rtol=0, atol=1e-12)
    four = proved(recipe(4))
    assert four.complete and len(four.proved) == 1 and four.steady.size == 2
    assert abs(four.proved.coefficient.mid[0] + 0.0281253338673) < 1e-12
    assert four.proved.unstable[0] == 1 and not four.proved.stable[0]
    ten = proved(recipe(10)).proved
    smallest = int(np.argmin(np.abs(ten.coefficient.mid)))
    assert len(ten) == 5 and abs(ten.parameter.mid[smallest] + 0.15070825911058) < 1e-13
    assert abs(abs(ten.coefficient.mid[smallest]) - 1.127527727e-4) < 1e-12


def test_T8_four_hundred_neurons():
    W = recipe(400)
    prove_all_hopf(np.eye(2))
    start = time.perf_counter()
    result = proved(W)
    seconds = time.perf_counter() - start
    points = result.proved
    assert result.complete and len(points) == 200 and not result.undecided
    assert int(points.supercritical.sum()) == 97
    assert abs(points.parameter.mid[0] + 0.242639263) < 1e-9
    assert abs(points.parameter.mid[-1] - 0.258221758) < 1e-9
    assert (np.diff(points.unstable) == 2).all() and points.unstable[0] == 0
    assert points.parameter.rad.max() < 1e-9 and points.coefficient.rad.max() < 1e-6
    # Two seconds on an idle core; room for a machine that does something else.
    assert seconds < 8.0


@pytest.mark.slow
@pytest.mark.parametrize(("n", "count", "limit"), [(800, 399, 15.0), (1600, 799, 120.0)])
def test_T8_large_sizes(n: int, count: int, limit: float):
    start = time.perf_counter()
    result = proved(recipe(n))
    assert time.perf_counter() - start < limit
    assert result.complete and len(result.proved) == count and result.steady.size == 2


def test_T9_nearly_skew_float32_network_has_true_signs():
    rng = np.random.default_rng(9)
    A = rng.standard_normal((10, 10))
    for size in (1e-4, 1e-6, 1e-9, 1e-12):
        W = (A - A.T + size * rng.standard_normal((10, 10))).astype(np.float32)
        result = proved(W)
        exact = by_arb(W.astype(np.float64))
        assert_contained(result.proved, exact)
        assert len(result.proved) + len(result.undecided) == len(exact) == 5


def test_T10_two_pairs_on_the_axis_are_refused():
    two = blocks(planar(0.3, 1.0, 2.0), planar(0.25, 1.5, 0.7))
    for W in (two, blocks(planar(0.3, 1.0, 2.0), planar(0.3, 1.0, 2.0)), skew(4)):
        result = proved(W)
        assert len(result.proved) == 0 and len(result.undecided) == 2
        assert set(reasons(result)) == {Reason.SPECTRUM_NOT_SEPARATED}


def test_T10_a_real_eigenvalue_below_the_pair_is_refused():
    """Fold-Hopf: a real eigenvalue with the real part of the pair."""
    result = proved(blocks(planar(0.3, 1.0, 2.0), np.zeros((1, 1))))
    assert len(result.proved) == 0 and reasons(result) == [Reason.SPECTRUM_NOT_SEPARATED]
    apart = proved(blocks(planar(0.3, 1.0, 2.0), np.full((1, 1), 1e-9)))
    assert apart.complete and apart.proved.unstable[0] == 1
    assert 0.99e-9 < apart.proved.gap[0] <= 1e-9


def test_T11_real_crossings_are_steady_and_degenerate():
    W = np.diag([0.3, -0.2, 0.1])
    W[0, 1] = 0.5
    result = proved(W)
    assert len(result.proved) == 0 and result.pairs == 0 and result.complete
    assert not result.undecided and result.steady.size == 3
    for value in (0.3, -0.2, 0.1):
        exact = -arb(value)
        assert sum(contains(result.steady, k, exact) for k in range(3)) == 1


@pytest.mark.parametrize("n", [5, 12])
def test_T29_relabelling_and_signs_leave_the_points(n: int):
    rng = np.random.default_rng(n)
    W = recipe(n, seed=n)
    order, signs = rng.permutation(n), rng.choice([-1.0, 1.0], n)
    moved = (signs[:, None] * W * signs)[np.ix_(order, order)]
    one, other = proved(W).proved, proved(moved).proved
    assert len(one) == len(other) == n // 2
    assert_overlap(one.parameter, other.parameter)
    assert_overlap(one.frequency, other.frequency)
    assert_overlap(one.coefficient, other.coefficient)
    assert one.unstable.tolist() == other.unstable.tolist()


@pytest.mark.parametrize(("n", "width"), [(4, 1e-4), (6, 1e-6), (10, 1e-6), (20, 1e-9)])
def test_T23_a_ball_of_weights_holds_the_points_of_its_members(n: int, width: float):
    W = recipe(n)
    result = proved(Ball(W, np.full((n, n), width)))
    assert result.complete and len(result.proved) > 0
    rng = np.random.default_rng(n)
    for _ in range(8):
        # Most entries on the border; the factor keeps the rounded sum inside.
        t = 0.999999 * np.clip(rng.uniform(-9, 9, (n, n)), -1, 1)
        assert_contained(result.proved, by_arb(W + width * t))


def test_T23_eigenvectors_of_members_are_enclosed():
    """Both vectors, scaled as in the proof: the component along the own eigenvector is 1."""
    rng = np.random.default_rng(50)
    for n in (2, 4, 5, 7):
        W, width = recipe(n), 1e-5
        diagonal = diagonalise(Ball(W, np.full((n, n), width)))
        discs = unit_discs(diagonal)
        units = np.arange(diagonal.real, len(diagonal.mu))
        near, total = discs.nearest[:, units], discs.total[:, units]
        G = diagonal.coupling
        y = deviations(G[:, units], discs.radii, near, total)[0]
        z = deviations(G[units].T, column_sums(diagonal), near, total)[0]
        q, p_conj = _right_vectors(diagonal, units, y), _left_vectors(diagonal, units, z)
        member = W + 0.999999 * width * np.clip(rng.uniform(-9, 9, (n, n)), -1, 1)
        values, L, R = acb_mat(arb_mat(member.tolist())).eig(left=True, right=True)
        basis = arb_mat(diagonal.basis.tolist())
        for k, unit in enumerate(units):
            centre = acb(complex(diagonal.mu[unit], diagonal.w[unit]))
            v = min(range(n), key=lambda j: float(abs(values[j] - centre).mid()))
            a, b = int(unit), int(unit) + len(units)
            right = [R[i, v] for i in range(n)]
            row = [(basis.inv()[a, i] - acb(0, 1) * basis.inv()[b, i]) / 2 for i in range(n)]
            scale = sum((x * c for x, c in zip(row, right, strict=True)), acb(0))
            left = [L[v, i] for i in range(n)]
            column = [basis[i, a] + acb(0, 1) * basis[i, b] for i in range(n)]
            size = sum((x * c for x, c in zip(left, column, strict=True)), acb(0))
            for i in range(n):
                for ball, exact in ((q, right[i] / scale), (p_conj, left[i] / size)):
                    assert contains(ball.re[:, k], i, exact.real)
                    assert contains(ball.im[:, k], i, exact.imag)


def test_T23_a_wide_ball_is_undecided():
    result = prove_all_hopf(Ball(recipe(6), np.full((6, 6), 0.1)))
    if isinstance(result, AllPureHopf):
        assert len(result.proved) == 0 and result.undecided


def test_random_small_networks_agree_with_arb():
    rng = np.random.default_rng(1)
    total = 0
    for _ in range(60):
        n = int(rng.integers(2, 8))
        W = rng.standard_normal((n, n)) * 10.0 ** rng.uniform(-3, 3)
        W[np.abs(W) < 0.3 * np.abs(W).max() * rng.random()] = 0.0
        result = prove_all_hopf(W)
        if isinstance(result, Refusal) or not len(result.proved):
            continue
        assert_contained(result.proved, by_arb(W))
        total += len(result.proved)
    assert total > 50


@pytest.mark.parametrize("distance", [1e-6, 1e-10, 1e-13, 1e-15, 0.0])
def test_nearly_equal_real_parts_are_separated_truly_or_refused(distance: float):
    """Coupled blocks whose real parts differ by little: the order of the two must be true."""
    rng = np.random.default_rng(3)
    B = blocks(planar(0.3, 1.0, 2.0), planar(0.4, 3.0, 2.0) + distance * np.eye(2))
    S = np.eye(4) + 0.3 * rng.standard_normal((4, 4))
    W = S @ B @ np.linalg.inv(S)
    result = proved(W)
    assert_contained(result.proved, by_arb(W))
    assert len(result.proved) + len(result.undecided) == 2
    if distance >= 1e-10:
        assert len(result.proved) == 2
    if distance == 0.0:
        assert len(result.proved) == 0


def test_jordan_like_blocks_are_never_proved_wrongly():
    rng = np.random.default_rng(4)
    block = blocks(planar(0.3, 1.0, 2.0), planar(0.3, 1.0, 2.0))
    block[:2, 2:] = np.eye(2)
    for size in (0.0, 1e-14, 1e-10, 1e-6, 1e-3):
        W = block + size * rng.standard_normal((4, 4))
        result = prove_all_hopf(W)
        if isinstance(result, Refusal):
            assert result.reason == Reason.SPECTRUM_NOT_SEPARATED
        elif len(result.proved):
            assert size > 0.0
            assert_contained(result.proved, by_arb(W))


def test_a_pair_that_may_be_real_is_undecided():
    wide = proved(Ball(np.array([[1.0, -1e-3], [1e-3, 1.0]]), np.full((2, 2), 1e-3)))
    assert wide.pairs is None and not wide.complete and len(wide.proved) == 0
    assert reasons(wide) == [Reason.OMEGA_CONTAINS_ZERO]
    double = proved(np.eye(3))
    assert double.pairs is None and len(double.undecided) == 3 and double.steady.size == 0


def test_one_neuron_has_no_hopf_point():
    result = proved(np.array([[0.7]]))
    assert result.complete and result.pairs == 0 and len(result.proved) == 0
    assert contains(result.steady, 0, -arb(0.7))


def test_huge_and_tiny_weights_are_proved_or_left():
    for scale in (2.0**300, 2.0**-300):
        points = proved(planar(0.3, 1.0, 2.0) * scale).proved
        assert len(points) == 1 and points.coefficient.lower()[0] > 0
    for scale in (2.0**1000, 2.0**-1000):
        result = prove_all_hopf(planar(0.3, 1.0, 2.0) * scale)
        assert isinstance(result, Refusal) or len(result.proved) == 0
    unbounded = Ball(planar(0.3, 1.0, 2.0), np.array([[0.0, np.inf], [0.0, 0.0]]))
    assert isinstance(prove_all_hopf(unbounded), Refusal)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_unusable(bad: float):
    W = recipe(4)
    W[1, 2] = bad
    with pytest.raises(InputProblem, match="NaN or infinity"):
        prove_all_hopf(W)


def test_unusable_shapes_and_unverified_weights():
    for bad in (np.zeros((2, 3)), np.zeros((0, 0)), np.zeros(3)):
        with pytest.raises(InputProblem, match="square"):
            prove_all_hopf(bad)
    with pytest.raises(InputProblem, match="guaranteed"):
        prove_all_hopf(Ball.unverified(recipe(4)))
