"""What the proofs of bifurcations share: counting beside a curve, and critical vectors."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from limitset.networks import RateNetwork, shift_family
from limitset.proofs import Ball, HopfPoint, NotVerified, Reason, Refusal, prove_hopf
from limitset.proofs._complex import ComplexBall
from limitset.proofs._critical import (
    _beyond_discs,
    complex_inner,
    complex_pair,
    count_unstable,
    fixed_phase,
    inner,
    real_pair,
    refusing,
    unit_vector,
)
from limitset.proofs._value import Undecided, UnsupportedPrimitive

TURN = np.array([[0.0, -1.0], [1.0, 0.0]])


def count(matrix: np.ndarray, critical: int, *, discrete: bool = False) -> int | Reason:
    answer = count_unstable(Ball.exact(matrix), critical, discrete=discrete)
    return answer.reason if isinstance(answer, Refusal) else answer


@pytest.mark.parametrize(("rates", "expected"), [((-1.0, -2.0), 0), ((3.0, -1e-12), 1)])
def test_counts_right_of_the_axis(rates: tuple[float, float], expected: int):
    assert count(np.diag([0.0, *rates]), 1) == expected
    assert count(np.diag([0.0, 0.0, *rates]), 1) == Reason.SPECTRUM_NOT_SEPARATED


def test_counts_outside_the_circle():
    assert count(np.diag([-1.0, 1.001, -0.999]), 1, discrete=True) == 1
    assert count(np.diag([-1.0, 1e5, -3.0]), 1, discrete=True) == 2
    # Squares overflow.
    assert isinstance(count(np.diag([-1.0, 1e200]), 1, discrete=True), Reason)
    pair = np.block([[TURN, np.zeros((2, 2))], [np.zeros((2, 2)), 1.5 * TURN]])
    assert count(pair, 2, discrete=True) == 2
    assert count(pair, 4, discrete=True) == Reason.SPECTRUM_NOT_SEPARATED


def test_eigenvalues_that_may_be_two_are_not_one():
    assert count(np.diag([0.0, 0.0, -1.0]), 1) == Reason.SPECTRUM_NOT_SEPARATED
    # A Jordan block, whose discs meet.
    assert isinstance(count(np.array([[0.0, 1.0], [0.0, 0.0]]), 2), Reason)
    wide = Ball(np.diag([0.0, -0.1]), np.full((2, 2), 0.2))
    assert isinstance(count_unstable(wide, 1), Refusal)
    unknown = Ball(np.diag([0.0, -1.0]), np.full((2, 2), np.inf))
    assert isinstance(count_unstable(unknown, 1), Refusal)


def beside_a_jordan_block(distance: float) -> np.ndarray:
    """A pair on the axis, and a block without usable eigenvectors at a distance from it."""
    block = -distance * np.eye(30) + 0.5 * np.diag(np.ones(29), 1)
    return np.block([[TURN, np.zeros((2, 30))], [np.zeros((30, 2)), block]])


def test_inertia_counts_where_discs_are_too_large():
    matrix = beside_a_jordan_block(1.0)
    assert isinstance(_beyond_discs(Ball.exact(matrix), 2, discrete=False), Refusal)
    assert count(matrix, 2) == 0
    assert count(-matrix, 2) == 30
    # Four eigenvalues, or none, are not the two that were announced.
    twice = np.block([[TURN, np.zeros((2, 32))], [np.zeros((32, 2)), matrix]])
    assert isinstance(count(twice, 2), Reason)
    assert isinstance(count(matrix, 1), Reason)
    wide = Ball(matrix, np.full(matrix.shape, 0.3))
    assert isinstance(count_unstable(wide, 2), Refusal)


def test_real_pairs_are_normalised():
    """`J = 3 + right left^T` in exact floats, with eigenvalue 3 along the orthogonal complement."""
    J = np.array([[2.0, 1.0], [0.0, 3.0]])
    pair = real_pair(Ball.exact(J), 3.0, Ball.exact([5.0, 5.0]))
    # q = (1, 1) / sqrt 2 and p = (0, sqrt 2).
    for ball, value in ((pair.q, np.full(2, 0.5**0.5)), (pair.left, np.array([0.0, 2**0.5]))):
        assert (ball.lower() <= value + 1e-16).all() and (value - 1e-16 <= ball.upper()).all()
        assert ball.rad.max() < 1e-14
    product = inner(pair.left, pair.q)
    assert product.lower() <= 1 <= product.upper()


def test_complex_pairs_are_normalised():
    J = np.array([[0.0, -4.0], [1.0, 0.0]])
    v = ComplexBall.exact(np.array([2.0, -1.0j]))
    pair = complex_pair(Ball.exact(J), ComplexBall.exact(2.0j), v)
    product = complex_inner(pair.left, pair.q)
    assert product.re.lower() <= 1 <= product.re.upper() and abs(product.im.mid) < 1e-15
    # p^H = (1, 2 i) sqrt 5 / 4.
    expected = np.array([1.0, 2.0j]) * 5**0.5 / 4
    assert_array_equal(np.abs(pair.left.re.mid - expected.real) < 1e-15, True)
    assert_array_equal(np.abs(pair.left.im.mid - expected.imag) < 1e-15, True)


def test_pairs_of_double_eigenvalues_are_refused():
    with pytest.raises(NotVerified):
        real_pair(Ball.exact(np.zeros((2, 2))), 0.0, Ball.exact([1.0, 0.0]))
    with pytest.raises(NotVerified):
        real_pair(Ball.exact([[0.0, 1.0], [0.0, 0.0]]), 0.0, Ball.exact([1.0, 0.0]))
    with pytest.raises(NotVerified, match="away from 0"):
        real_pair(Ball.exact(np.diag([0.0, 1.0])), 0.0, Ball(np.ones(2), np.full(2, 1.5)))


def test_candidate_vectors_are_scaled():
    for vector in (np.array([3.0, -4.0]), np.array([1e-150, 0.0])):
        unit = unit_vector(vector)
        assert isinstance(unit, np.ndarray) and abs(np.linalg.norm(unit) - 1) < 1e-15
    assert isinstance(unit_vector(np.zeros(3)), Refusal)
    fixed = fixed_phase(np.array([0.0, 1e-9 + 5.0j]))
    assert not isinstance(fixed, Refusal)
    phi, v = fixed
    assert abs(phi @ v - 1j) < 1e-15


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (NotVerified("no", 2.0), Reason.JACOBIAN_SINGULAR),
        (Undecided("kink"), Reason.BRANCH_UNDECIDED),
        (UnsupportedPrimitive("sort"), Reason.UNSUPPORTED_PRIMITIVE),
    ],
)
def test_what_has_no_enclosure_is_refused(failure: Exception, reason: Reason):
    def prove() -> int:
        raise failure

    answer = refusing(prove)()
    assert isinstance(answer, Refusal) and answer.reason == reason


def test_a_hopf_point_beside_a_chain_is_proved():
    """Feedforward chains have Jacobians without usable eigenvectors; `l1 = -1 / (2 omega)`."""
    weight = np.zeros((32, 32))
    weight[:2, :2] = [[1.0, -1.7], [1.7, 1.0]]
    weight[2:, 2:] = 0.5 * np.diag(np.ones(29), 1)
    family = shift_family(RateNetwork(jnp.asarray(weight)))
    vector = np.zeros(32, complex)
    vector[:2] = [1.0, -1.0j]
    point = prove_hopf(family, 0.001, 1.69, np.zeros(32), vector)
    assert isinstance(point, HopfPoint) and point.cycles_are_stable
    low, high = point.lyapunov_coefficient.lower(), point.lyapunov_coefficient.upper()
    assert low <= -1 / 3.4 <= high
