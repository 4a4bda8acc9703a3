"""Discs hold and count the eigenvalues; counts right of a line are never wrong."""

import flint
import numpy as np
import pytest
import scipy.linalg
from flint import acb_mat, arb, arb_mat

from limitset._result import InputProblem
from limitset.proofs._ball import Ball
from limitset.proofs._inertia import (
    count_right,
    count_right_by_inertia,
    positive_eigenvalues,
)
from limitset.proofs._linalg import NotVerified
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._spectrum import (
    Diagonalisation,
    Spectrum,
    column_sums,
    deviations,
    diagonalise,
    enclose_spectrum,
    unit_discs,
)


@pytest.fixture(autouse=True)
def high_precision():
    """Arb at 200 bits, restored afterwards."""
    before = flint.ctx.prec
    flint.ctx.prec = 200
    yield
    flint.ctx.prec = before


def eigenvalues(A: np.ndarray) -> list:
    """All eigenvalues by Arb, clusters included."""
    return acb_mat(arb_mat(A.tolist())).eig(multiple=True)


def assert_clusters_count(spectrum: Spectrum, exact: list) -> None:
    """Each cluster of discs meets as many of the exact eigenvalues as it has discs."""
    for label in np.unique(spectrum.clusters):
        mine = np.flatnonzero(spectrum.clusters == label)
        discs = [(flint.acb(complex(spectrum.centres[k])), float(spectrum.radii[k])) for k in mine]
        inside = [z for z in exact if any(not abs(z - c) > arb(r) for c, r in discs)]
        assert len(inside) == len(mine)


def count_is_right(exact: list, line: float, count: int | None) -> bool:
    return count is None or count == sum(1 for z in exact if z.real > line)


def jordan_like(coupling: float) -> np.ndarray:
    """A pair +-i, and a block of size 38 with eigenvalue -1."""
    J = -np.eye(40) + coupling * np.diag(np.ones(39), 1)
    J[:2, :2] = [[0.0, -1.0], [1.0, 0.0]]
    return J


def member_of(rng: np.random.Generator, A: np.ndarray, width: float) -> np.ndarray:
    """A matrix in the ball, most entries at the border; the factor keeps rounded sums inside."""
    return A + 0.999999 * width * np.clip(rng.uniform(-9, 9, A.shape), -1, 1)


def in_eigenbasis(diagonal: Diagonalisation, A: np.ndarray) -> acb_mat:
    """`V^-1 A V` in Arb with the complex eigenvectors: real ones, upper ones, conjugates."""
    real, pairs = diagonal.real, len(diagonal.mu) - diagonal.real
    a, b = diagonal.basis[:, real : real + pairs], diagonal.basis[:, real + pairs :]
    V = acb_mat(np.hstack([diagonal.basis[:, :real], a + 1j * b, a - 1j * b]).tolist())
    return V.inv() * acb_mat(arb_mat(A.tolist())) * V


def near_defective(rng: np.random.Generator, exponent: int) -> np.ndarray:
    """A pair of real eigenvectors at an angle of some `10^-exponent`, and a complex pair."""
    A = np.array([[1.0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, -2], [0, 0, 2, 0]])
    A[:2, :2] += 10.0 ** (-2 * exponent) * np.array([[0.0, 0.0], [1.0, 0.0]])
    S = rng.standard_normal((4, 4))
    return S @ A @ np.linalg.inv(S)


@pytest.mark.parametrize("width", [0.0, 1e-6, 1e-3])
@pytest.mark.parametrize("n", [2, 4, 5, 8])
def test_coupling_bounds_the_defect_of_members(n: int, width: float):
    rng = np.random.default_rng(n)
    for _ in range(4):
        A = rng.standard_normal((n, n))
        assert_coupling_holds(Ball(A, np.full((n, n), width)), member_of(rng, A, width))


def test_coupling_holds_for_nearly_parallel_eigenvectors():
    rng = np.random.default_rng(40)
    defects = []
    for exponent in range(1, 9):
        for _ in range(3):
            A = near_defective(rng, exponent)
            try:
                assert_coupling_holds(Ball.exact(A), A)
            except NotVerified as failure:
                defects.append(failure.number)
    assert len(defects) < 12


def assert_coupling_holds(ball: Ball, A: np.ndarray) -> None:
    diagonal = diagonalise(ball)
    M = in_eigenbasis(diagonal, A)
    units = np.arange(len(diagonal.mu))
    units = np.concatenate([units, units[diagonal.real :]])
    centres = diagonal.mu + 1j * diagonal.w
    centres = np.concatenate([centres, centres[diagonal.real :].conj()])
    for i, unit in enumerate(units):
        for j, other in enumerate(units):
            centre = flint.acb(complex(centres[i])) if i == j else 0
            assert abs(M[i, j] - centre) <= arb(float(diagonal.coupling[unit, other]))
    inverse = arb_mat(diagonal.basis.tolist()).inv()
    for i in range(len(units)):
        for j in range(len(units)):
            error = abs(inverse[i, j] - arb(float(diagonal.inverse.mid[i, j])))
            assert error <= arb(float(diagonal.inverse.rad[i, j]))


@pytest.mark.parametrize("width", [1e-9, 1e-4, 3e-3])
def test_deviations_bound_the_eigenvectors_of_members(width: float):
    rng = np.random.default_rng(41)
    tested = 0
    for n in (2, 3, 4, 5, 6):
        A = rng.standard_normal((n, n))
        diagonal = diagonalise(Ball(A, np.full((n, n), width)))
        discs = unit_discs(diagonal)
        G, near, total = diagonal.coupling, discs.nearest, discs.total
        right, right_closed = deviations(G, discs.radii, near, total)
        left, left_closed = deviations(G.T, column_sums(diagonal), near, total)
        M = in_eigenbasis(diagonal, member_of(rng, A, width))
        values, L, R = M.eig(left=True, right=True)
        for k in np.flatnonzero(discs.isolated & right_closed & left_closed):
            centre = flint.acb(complex(diagonal.mu[k], diagonal.w[k]))
            v = min(range(n), key=lambda j: float(abs(values[j] - centre).mid()))
            y = [R[j, v] / R[k, v] for j in range(n)]
            z = [L[v, j] / L[v, k] for j in range(n)]
            for entries, bound in ((y, right), (z, left)):
                sizes = [abs(x) for x in entries]
                sizes[k] = arb(0)
                for j in range(len(diagonal.mu)):
                    conjugate = j + len(diagonal.mu) - diagonal.real
                    both = sizes[j] + (sizes[conjugate] if j >= diagonal.real else 0)
                    assert both <= arb(float(bound[j, k]))
            tested += 1
    assert tested >= 8


@pytest.mark.parametrize("n", [1, 2, 3, 7, 20])
def test_discs_hold_and_count(n: int):
    rng = np.random.default_rng(n)
    for _ in range(6):
        A = rng.standard_normal((n, n))
        spectrum = enclose_spectrum(Ball.exact(A))
        assert isinstance(spectrum, Spectrum)
        assert spectrum.isolated.all() and spectrum.radii.max() < 1e-10
        assert_clusters_count(spectrum, eigenvalues(A))


def test_discs_of_an_interval_matrix_hold_those_of_members():
    rng = np.random.default_rng(31)
    for width in (1e-9, 1e-4, 1e-2):
        A = rng.standard_normal((6, 6))
        spectrum = enclose_spectrum(Ball(A, np.full((6, 6), width)))
        assert isinstance(spectrum, Spectrum)
        for _ in range(10):
            assert_clusters_count(spectrum, eigenvalues(member_of(rng, A, width)))


def test_isolated_discs_hold_shifts_of_the_second_order():
    """Members [[0, w], [w, 1]]: no defect on the diagonal, yet the eigenvalues move by w^2."""
    w = 0.2
    ball = Ball(np.diag([0.0, 1.0]), np.array([[0.0, w], [w, 0.0]]))
    spectrum = enclose_spectrum(ball)
    assert isinstance(spectrum, Spectrum) and spectrum.isolated.all()
    assert_clusters_count(spectrum, eigenvalues(np.array([[0.0, w], [w, 1.0]])))
    assert spectrum.radii.max() < 0.07 < w


def test_deviations_hold_indirect_ones():
    """The first entry of the eigenvector (1, w^2/2, -w/2) comes through the second only."""
    w = 0.25
    rad = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, w], [w, 0.0, 0.0]])
    diagonal = diagonalise(Ball(np.diag([0.0, 1.0, 2.0]), rad))
    discs = unit_discs(diagonal)
    y, closed = deviations(diagonal.coupling, discs.radii, discs.nearest, discs.total)
    assert discs.isolated[0] and closed[0]
    assert y[1, 0] >= w**2 / 2 and y[2, 0] >= w / 2


def test_close_eigenvalues_form_a_cluster():
    """Two eigenvalues 1e-15 apart: counted together, never separately."""
    Q = np.array([[1.0, 2.0, 0.5], [-1.0, 1.0, 0.3], [0.2, 0.4, 1.0]])
    A = Q @ np.diag([1.0, 1.0 + 1e-15, -2.0]) @ np.linalg.inv(Q)
    spectrum = enclose_spectrum(Ball.exact(A))
    assert isinstance(spectrum, Spectrum)
    assert len(np.unique(spectrum.clusters)) == 2 and spectrum.isolated.sum() == 1
    assert_clusters_count(spectrum, eigenvalues(A))
    assert spectrum.count_right(0.0) == 2


def test_discs_that_merely_overlap_are_not_isolated():
    """Centres 1 apart, radii 0.6: the member below has a nonreal pair."""
    spectrum = enclose_spectrum(Ball(np.diag([0.0, 1.0]), np.full((2, 2), 0.3)))
    assert isinstance(spectrum, Spectrum)
    assert not spectrum.isolated.any() and len(np.unique(spectrum.clusters)) == 1
    assert all(z.imag != 0 for z in eigenvalues(np.array([[0.25, 0.25], [-0.28, 0.75]])))


def test_a_pair_at_the_real_axis_is_not_isolated():
    spectrum = enclose_spectrum(Ball(np.array([[0.0, -1.0], [1.0, 0.0]]), np.full((2, 2), 0.9)))
    assert isinstance(spectrum, Spectrum)
    assert not spectrum.isolated.any() and len(np.unique(spectrum.clusters)) == 1


def test_defective_matrices_are_clusters_or_refused():
    small = enclose_spectrum(Ball.exact([[1.0, 1.0], [0.0, 1.0]]))
    assert isinstance(small, Spectrum)
    assert not small.isolated.any() and small.clusters[0] == small.clusters[1]
    refusal = enclose_spectrum(Ball.exact(jordan_like(0.5)))
    assert isinstance(refusal, Refusal) and refusal.reason == Reason.SPECTRUM_NOT_SEPARATED


def test_counts_on_the_line_are_not_claimed():
    J = np.array([[0.0, -1.0], [1.0, 0.0]])
    assert count_right(Ball.exact(J), 0.0) is None
    spectrum = enclose_spectrum(Ball.exact(J))
    assert isinstance(spectrum, Spectrum)
    assert spectrum.count_right(0.0) is None and spectrum.count_right(-1e-9) == 2
    assert spectrum.count_outside(1.0) is None
    assert spectrum.count_outside(1.1) == 0 and spectrum.count_outside(0.9) == 2


def test_T22_two_shifts_beside_a_jordan_block():
    J = Ball.exact(jordan_like(0.5))
    assert [count_right(J, line) for line in (0.5, -0.5)] == [0, 2]
    assert count_right(Ball.exact(jordan_like(1.0)), -0.5) is None


def test_T22_counts_of_random_matrices_are_right():
    rng = np.random.default_rng(22)
    decided = 0
    for _ in range(40):
        n = int(rng.integers(1, 9))
        J = rng.standard_normal((n, n)) + np.triu(rng.standard_normal((n, n)), 1) * 3
        line = float(rng.uniform(-2, 2))
        by_discs = count_right(Ball.exact(J), line)
        by_inertia = count_right_by_inertia(Ball.exact(J), line)
        exact = eigenvalues(J)
        assert count_is_right(exact, line, by_discs) and count_is_right(exact, line, by_inertia)
        decided += by_inertia is not None
    assert decided >= 36


def test_T22_an_interval_matrix_whose_members_disagree_is_undecided():
    J = np.diag([0.5, -1.0])
    narrow, wide = np.full((2, 2), 0.1), np.full((2, 2), 0.6)
    for count in (count_right, count_right_by_inertia):
        assert count(Ball(J, narrow), 0.0) == 1
        assert count(Ball(J, wide), 0.0) is None


def test_T22_tiny_distances_are_counted_or_left():
    """Eigenvalues 1e-13 beside the line and beyond: the true side, or none."""
    rng = np.random.default_rng(23)
    Q = scipy.linalg.orth(rng.standard_normal((5, 5)))
    for exponent in range(2, 18):
        for sign in (1.0, -1.0):
            J = Q @ np.diag([sign * 10.0**-exponent, 1.0, 2.0, -1.5, -3.0]) @ Q.T
            exact = eigenvalues(J)
            for count in (count_right, count_right_by_inertia):
                assert count_is_right(exact, 0.0, count(Ball.exact(J), 0.0))


def test_inertia_of_graded_forms():
    rng = np.random.default_rng(24)
    for _ in range(20):
        n = int(rng.integers(2, 9))
        signs = rng.choice([-1.0, 1.0], n)
        A = rng.standard_normal((n, n))
        P = (A * (signs * 10.0 ** rng.uniform(-4, 4, n))) @ A.T
        P = 0.5 * (P + P.T)
        exact = sum(1 for z in eigenvalues(P) if z.real > 0)
        assert positive_eigenvalues(P) in (exact, None)
    assert positive_eigenvalues(np.zeros((2, 2))) is None
    assert positive_eigenvalues(np.ones((2, 2))) is None
    assert positive_eigenvalues(np.diag([1e200, -1e-200, 3.0])) == 2
    with pytest.raises(InputProblem):
        positive_eigenvalues(np.array([[1.0, 2.0], [0.0, 1.0]]))


def test_extreme_entries_give_no_claim():
    assert isinstance(enclose_spectrum(Ball.exact([[1e308, -1e308], [1e308, 1e308]])), Refusal)
    huge = enclose_spectrum(Ball.exact([[1e200]]))
    assert isinstance(huge, Spectrum)
    assert huge.count_outside(1.0) is None and huge.count_right(1.0) == 1
    unbounded = Ball(np.eye(2), np.full((2, 2), np.inf))
    assert isinstance(enclose_spectrum(unbounded), Refusal)
    assert count_right(unbounded, 0.0) is None


@pytest.mark.parametrize("function", [enclose_spectrum, lambda J: count_right(J, 0.0)])
def test_unusable_input_is_refused(function):
    for bad in (Ball.exact(np.zeros((2, 3))), Ball.exact(np.zeros((0, 0))), Ball.exact([1.0])):
        with pytest.raises(InputProblem, match="square"):
            function(bad)
    with pytest.raises(InputProblem, match="guaranteed"):
        function(Ball.unverified(np.eye(2)))
