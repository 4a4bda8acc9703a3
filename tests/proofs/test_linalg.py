"""Verified linear algebra: never a false claim, and claims that are tight where they are made."""

import itertools
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitset._result import InputProblem
from limitset.proofs._ball import Ball
from limitset.proofs._instability import is_hurwitz_refuted, is_schur_refuted
from limitset.proofs._linalg import (
    NotVerified,
    _shifted_lower,
    is_positive_definite,
    largest_eigenvalue_upper,
    smallest_eigenvalue_lower,
    two_norm_upper,
    verified_inverse,
    verified_solve,
)
from limitset.proofs._nonnegative import (
    nonnegative_symmetric_eigenvalue_upper,
    nonnegative_two_norm_upper,
)

seeds = st.integers(0, 2**32 - 1)


def rational(A: np.ndarray) -> Any:
    """The same matrix in exact rational arithmetic."""
    return np.vectorize(Fraction, otypes=[object])(A)


def to_flint(A: np.ndarray) -> flint.fmpq_mat:
    """A matrix of floats or fractions as an exact FLINT matrix."""
    entries = [Fraction(x) for x in A.ravel().tolist()]
    rows, columns = A.shape
    return flint.fmpq_mat(rows, columns, [flint.fmpq(x.numerator, x.denominator) for x in entries])


def orthogonal(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def with_spectrum(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """A symmetric float matrix; its spectrum is the given one only up to rounding."""
    Q = orthogonal(rng, len(values))
    S = (Q * values) @ Q.T
    return 0.5 * (S + S.T)


def exactly_with_eigenvalue(e: Fraction) -> np.ndarray:
    """A 50 x 50 float matrix with an exact eigenvalue `e`, the rest of the spectrum in [1, 2].

    Congruent blocks [[a, b], [b, a]] have the eigenvalues a - b and a + b.
    """
    S = np.diag(np.linspace(1, 2, 50))
    low, high = float(Fraction(1, 2) * (e + Fraction(3, 2))), float((Fraction(3, 2) - e) / 2)
    assert Fraction(low) - Fraction(high) == e
    S[:2, :2] = [[low, high], [high, low]]
    order = np.random.default_rng(1).permutation(50)
    return S[np.ix_(order, order)]


def test_T21_ladder_towards_a_singular_matrix():
    """1e-14 is still true of the matrix, and beyond what float64 factors show."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        for e in (1e-2, 1e-6, 1e-10, 1e-12, 1e-13):
            S = with_spectrum(rng, np.append(np.linspace(1, 2, 49), e))
            assert is_positive_definite(Ball.exact(S))
        for e in (1e-14, 0.0, -1e-15, -1e-13):
            S = with_spectrum(rng, np.append(np.linspace(1, 2, 49), e))
            assert not is_positive_definite(Ball.exact(S))


@pytest.mark.parametrize("exponent", [-30, -40, -45, -49, -52])
def test_T21_ladder_with_exact_eigenvalues(exponent: int):
    """Accepted well above rounding; 0 and every negative value never."""
    e = Fraction(2) ** exponent
    if exponent >= -45:
        assert is_positive_definite(Ball.exact(exactly_with_eigenvalue(e)))
        assert 0 < smallest_eigenvalue_lower(Ball.exact(exactly_with_eigenvalue(e))) <= e
    for wrong in (-e, Fraction(0)):
        S = Ball.exact(exactly_with_eigenvalue(wrong))
        assert not is_positive_definite(S)
        assert smallest_eigenvalue_lower(S) <= wrong
        assert largest_eigenvalue_upper(-S) >= -wrong


def test_T21_singular_and_indefinite_matrices_are_never_accepted():
    rng = np.random.default_rng(3)
    for n in (1, 2, 3, 8, 20):
        for _ in range(20):
            B = rng.integers(-9, 9, (n, n - 1)).astype(float)
            singular = B @ B.T
            assert not is_positive_definite(Ball.exact(singular))
            assert smallest_eigenvalue_lower(Ball.exact(singular)) <= 0
            assert not is_positive_definite(Ball.exact(singular - 1e-15 * np.eye(n)))
    assert not is_positive_definite(Ball.exact([[1.0, 2.0], [2.0, 1.0]]))
    assert not is_positive_definite(Ball.exact([[0.0]]))
    assert not is_positive_definite(Ball.exact([[-1e-300]]))
    assert is_positive_definite(Ball.exact([[1e-300]]))


def test_rounding_in_the_factorisation_is_paid_for():
    """Float factors of exactly singular matrices often exist; they prove nothing."""
    rng = np.random.default_rng(14)
    factored = 0
    for _ in range(60):
        B = rng.integers(-99, 99, (8, 7)).astype(float)
        bound = _shifted_lower(B @ B.T, 1e-18)
        assert bound <= 0
        factored += bound > -np.inf
    assert factored > 10
    # Here the float product of the factor gives the singular matrix back exactly.
    for k, m, n in itertools.product(range(2, 20), range(1, 8), range(1, 8)):
        singular = k * np.array([[m * m, m * n], [m * n, n * n]], dtype=float)
        assert _shifted_lower(singular, 1e-18) <= 0


@pytest.mark.parametrize("wrong", [0.9, 1.1, 0.0, np.nan, np.inf])
def test_nothing_is_assumed_of_the_factor(monkeypatch: pytest.MonkeyPatch, wrong: float):
    indefinite, definite = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[2.0, 1.0], [1.0, 2.0]])
    right = np.linalg.cholesky
    monkeypatch.setattr(np.linalg, "cholesky", lambda C: wrong * right(definite))
    assert not is_positive_definite(Ball.exact(indefinite))
    assert smallest_eigenvalue_lower(Ball.exact(indefinite)) <= -1
    assert smallest_eigenvalue_lower(Ball.exact(definite)) <= 1
    assert two_norm_upper(Ball.exact(definite)) >= 3


def test_balls_that_hold_a_singular_matrix_are_never_accepted():
    rng = np.random.default_rng(4)
    for n in (2, 5, 12):
        S = with_spectrum(rng, np.linspace(0.1, 2, n))
        v = np.linalg.eigh(S)[1][:, 0]
        rad = 0.1 * np.abs(np.outer(v, v)) * (1 + 1e-9)
        assert not is_positive_definite(Ball(S, rad))
        assert is_positive_definite(Ball(S, 0.5 * rad))
        assert smallest_eigenvalue_lower(Ball(S, rad)) <= 0


def test_unbounded_entries_are_never_accepted():
    rad = np.zeros((3, 3))
    rad[0, 1] = rad[1, 0] = np.inf
    ball = Ball(np.eye(3), rad)
    assert not is_positive_definite(ball)
    assert smallest_eigenvalue_lower(ball) == -np.inf
    assert largest_eigenvalue_upper(ball) == np.inf
    assert two_norm_upper(ball) == np.inf
    assert nonnegative_two_norm_upper(ball) == np.inf
    assert nonnegative_symmetric_eigenvalue_upper(ball) == np.inf
    everywhere = Ball(np.eye(3), np.full((3, 3), np.inf))
    assert not is_positive_definite(everywhere)
    assert is_hurwitz_refuted(everywhere) is None and is_schur_refuted(everywhere) is None
    with pytest.raises(NotVerified):
        verified_inverse(everywhere)


def test_extreme_eigenvalues_of_a_known_spectrum():
    """The second difference matrix has the eigenvalues 2 - 2 cos(k pi / (n + 1))."""
    for n in (2, 10, 200):
        S = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
        exact = 2 - 2 * (flint.arb.pi() / (n + 1)).cos()
        lower = smallest_eigenvalue_lower(Ball.exact(S))
        upper = largest_eigenvalue_upper(Ball.exact(-S))
        assert flint.arb(lower) <= exact
        assert exact - lower < 1e-12 and upper == -lower


def rayleigh(A: np.ndarray, v: np.ndarray) -> Fraction:
    """An exact number between the extreme eigenvalues of the symmetric matrix."""
    x = rational(v)
    return Fraction((x @ rational(A) @ x) / (x @ x))


@given(seeds, st.integers(1, 9))
def test_eigenvalue_bounds_enclose_rayleigh_quotients(seed: int, n: int):
    rng = np.random.default_rng(seed)
    S = with_spectrum(rng, rng.standard_normal(n) * 10.0 ** rng.integers(-9, 9))
    vectors = np.linalg.eigh(S)[1]
    low, high = smallest_eigenvalue_lower(Ball.exact(S)), largest_eigenvalue_upper(Ball.exact(S))
    assert Fraction(low) <= rayleigh(S, vectors[:, 0])
    assert Fraction(high) >= rayleigh(S, vectors[:, -1])
    size = np.abs(S).max()
    values = np.linalg.eigvalsh(S)
    assert values[0] - low < 1e-12 * size and high - values[-1] < 1e-12 * size


def test_eigenvalue_bounds_hold_for_members_of_a_ball():
    rng = np.random.default_rng(5)
    for n in (3, 10, 40):
        S = with_spectrum(rng, np.linspace(-1, 2, n))
        rad = 1e-3 * np.abs(with_spectrum(rng, np.ones(n) + rng.random(n)))
        ball = Ball(S, rad)
        low, high = smallest_eigenvalue_lower(ball), largest_eigenvalue_upper(ball)
        for _ in range(20):
            signs = np.sign(rng.standard_normal((n, n)))
            member = S + rad * np.triu(signs) + rad * np.triu(signs, 1).T
            values = np.linalg.eigvalsh(0.5 * (member + member.T))
            assert low <= values[0] and values[-1] <= high


def test_symmetric_part_stands_for_a_matrix_that_is_not_symmetric():
    assert is_positive_definite(Ball.exact([[1.0, 5.0], [-5.0, 1.0]]))
    assert not is_positive_definite(Ball.exact([[1.0, 5.0], [0.0, 1.0]]))


def test_definiteness_does_not_depend_on_units():
    rng = np.random.default_rng(6)
    S = with_spectrum(rng, np.linspace(1, 3, 12))
    scale = 10.0 ** np.linspace(-100, 100, 12)
    assert is_positive_definite(Ball.exact(S * np.outer(scale, scale)))
    S[0, 0] = 0.0
    assert not is_positive_definite(Ball.exact(S * np.outer(scale, scale)))


def test_two_norm_is_an_upper_bound_and_tight():
    rng = np.random.default_rng(7)
    shapes = [(1, 1), (2, 3), (3, 2), (7, 7), (40, 90), (90, 40), (300, 300)]
    for m, n in shapes:
        for scale in (1.0, 1e-250, 1e250):
            A = rng.standard_normal((m, n)) * scale
            bound = two_norm_upper(Ball.exact(A))
            U, s, Vt = np.linalg.svd(A / scale)
            assert s[0] * (1 - 1e-13) <= bound / scale <= s[0] * (1 + 1e-11)
            if scale == 1.0 and m * n < 100:
                x = rational(Vt[0])
                y = rational(A) @ x
                assert (y @ y) <= Fraction(bound) ** 2 * (x @ x)


def test_two_norm_of_special_matrices():
    n = 60
    cases = {
        "zero": (np.zeros((n, n)), 0.0),
        "identity": (np.eye(n), 1.0),
        "rank one": (np.ones((n, n)), float(n)),
        "one entry": (np.eye(n, k=5) * (np.arange(n) == 7)[:, None], 1.0),
        "equal values": (orthogonal(np.random.default_rng(8), n), 1.0),
        "tiny": (np.full((n, n), 1e-310), n * 1e-310),
        "vector": (np.array([3.0, 4.0]), 5.0),
    }
    for name, (A, exact) in cases.items():
        bound = two_norm_upper(Ball.exact(A))
        assert exact * (1 - 1e-13) <= bound <= exact * (1 + 1e-10) + 1e-300, name


def test_two_norm_of_a_ball_holds_its_members():
    rng = np.random.default_rng(9)
    for size in (1e-12, 1e-3, 10.0):
        A, rad = rng.standard_normal((20, 15)), size * rng.random((20, 15))
        bound = two_norm_upper(Ball(A, rad))
        for _ in range(20):
            member = A + rad * np.sign(rng.standard_normal((20, 15)))
            assert np.linalg.norm(member, 2) <= bound
        assert bound <= (np.linalg.norm(A, 2) + np.linalg.norm(rad, 2)) * (1 + 1e-9)


@pytest.mark.parametrize("n", [2, 5, 40, 150])
def test_nonnegative_bounds_are_tight(n: int):
    rng = np.random.default_rng(10)
    path = np.eye(n, k=1) + np.eye(n, k=-1)
    blocks = np.zeros((2 * n, 2 * n))
    blocks[:n, :n], blocks[n:, n:] = rng.random((n, n)), 0.9 * rng.random((n, n))
    dense = rng.random((n, n))
    star = np.zeros((102, 102))
    star[0, 0], star[1, 2:], star[2:, 1] = 1.0, 0.05, 0.05
    cases = {
        "dense": dense,
        "path graph": path,
        "bipartite": np.block([[np.zeros((n, n)), dense], [dense.T, np.zeros((n, n))]]),
        "two blocks": blocks + blocks.T,
        "zero rows": np.pad(dense, (0, 3)),
        "sparse": dense * (rng.random((n, n)) < 2 / n),
        "weak star": star,
        "huge": dense * 1e250,
        "diagonal": np.diag(np.linspace(0, 1, n)),
        "zero": np.zeros((n, n)),
    }
    for name, U in cases.items():
        size = max(np.abs(U).max(), 1e-300)
        exact = np.linalg.norm(U / size, 2)
        bound = nonnegative_two_norm_upper(Ball.exact(U)) / size
        assert exact * (1 - 1e-13) <= bound <= exact * (1 + 1e-9), name
        S = np.maximum(U, U.T)
        exact = np.linalg.norm(S / size, 2)
        bound = nonnegative_symmetric_eigenvalue_upper(Ball.exact(S)) / size
        assert exact * (1 - 1e-13) <= bound <= exact * (1 + 1e-9), name


def test_nonnegative_bounds_take_the_upper_ends():
    ball = Ball(np.zeros((3, 3)), np.ones((3, 3)))
    assert 3 <= nonnegative_two_norm_upper(ball) < 3 + 1e-9
    assert 3 <= nonnegative_symmetric_eigenvalue_upper(ball) < 3 + 1e-9
    jordan = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert np.linalg.norm(jordan, 2) <= nonnegative_two_norm_upper(Ball.exact(jordan))
    assert nonnegative_two_norm_upper(Ball.exact(np.ones((2, 5)))) >= np.sqrt(10) * (1 - 1e-15)


def test_rectangles_are_refused_where_squares_are_needed():
    ball = Ball.exact(np.ones((2, 3)))
    for verb in (is_positive_definite, smallest_eigenvalue_lower, largest_eigenvalue_upper,
                 nonnegative_symmetric_eigenvalue_upper, verified_inverse, is_hurwitz_refuted,
                 is_schur_refuted):  # fmt: skip
        with pytest.raises(InputProblem):
            verb(ball)
    with pytest.raises(InputProblem):
        verified_solve(Ball.exact(np.eye(2)), Ball.exact(np.ones(3)))
    with pytest.raises(InputProblem):
        nonnegative_two_norm_upper(Ball.exact(np.ones(3)))
    with pytest.raises(InputProblem):
        two_norm_upper(Ball.exact(np.ones((1, 1, 1))))


def exact_entries(matrix: flint.fmpq_mat) -> list[Fraction]:
    return [Fraction(int(x.p), int(x.q)) for x in matrix.entries()]


def holds(ball: Ball, exact: list[Fraction]) -> bool:
    pairs = zip(ball.mid.ravel().tolist(), ball.rad.ravel().tolist(), exact, strict=True)
    return all(abs(x - Fraction(m)) <= Fraction(r) for m, r, x in pairs)


@given(seeds, st.integers(1, 8))
def test_solutions_hold_the_exact_ones(seed: int, n: int):
    rng = np.random.default_rng(seed)
    A = np.ldexp(rng.standard_normal((n, n)), rng.integers(-6, 6, (n, n))) + 3 * np.eye(n)
    b = rng.standard_normal((n, 2))
    try:
        x = verified_solve(Ball.exact(A), Ball.exact(b))
    except NotVerified as refusal:
        assert refusal.number >= 1 and np.linalg.cond(A) > 1e9
        return
    assert holds(x, exact_entries(to_flint(A).solve(to_flint(b))))
    first = verified_solve(Ball.exact(A), Ball.exact(b[:, 0]))
    assert first.shape == (n,)
    assert holds(verified_inverse(Ball.exact(A)), exact_entries(to_flint(A).inv()))


def test_solutions_hold_for_members_of_balls():
    rng = np.random.default_rng(11)
    A, b = rng.standard_normal((6, 6)) + 4 * np.eye(6), rng.standard_normal(6)
    a_rad, b_rad = np.full((6, 6), 1e-3), np.full(6, 1e-2)
    x = verified_solve(Ball(A, a_rad), Ball(b, b_rad))
    assert x.rad.max() < 0.1
    for _ in range(20):
        signs, more = np.sign(rng.standard_normal((6, 6))), np.sign(rng.standard_normal(6))
        member, side = rational(A) + rational(a_rad * signs), rational(b) + rational(b_rad * more)
        exact = to_flint(member).solve(to_flint(side[:, None]))
        assert holds(x, exact_entries(exact))


def test_inverses_hold_for_far_members():
    """The second order term of the bound counts: |I - X A| is 0.6 here."""
    inverse = verified_inverse(Ball(np.eye(2), np.full((2, 2), 0.3)))
    for signs in ([-1, 1, 1, -1], [1, 1, 1, 1], [-1, -1, -1, -1], [-1, 1, -1, -1]):
        member = rational(np.eye(2)) + Fraction(0.3) * np.array(signs, dtype=object).reshape(2, 2)
        assert holds(inverse, exact_entries(to_flint(member).inv()))


def test_singular_systems_are_refused_with_the_number():
    hilbert = 1.0 / (1 + np.arange(16)[:, None] + np.arange(16)[None, :])
    for A in (np.ones((3, 3)), np.zeros((2, 2)), np.diag([1.0, 0.0]), hilbert):
        with pytest.raises(NotVerified) as refusal:
            verified_inverse(Ball.exact(A))
        assert refusal.value.number >= 1 and "\n" not in str(refusal.value)
    with pytest.raises(NotVerified):
        verified_inverse(Ball(np.eye(2), np.full((2, 2), 0.5)))
    assert verified_inverse(Ball(np.eye(2), np.full((2, 2), 0.49))).rad.max() < 60


def test_huge_and_tiny_matrices_give_no_false_claim():
    for scale in (1e300, 1e-300):
        J = Ball.exact(scale * np.array([[-1.0, 0.5], [0.0, -1.0]]))
        assert is_hurwitz_refuted(J) is None
        definite = Ball.exact(scale * np.array([[2.0, 1.0], [1.0, 2.0]]))
        assert is_positive_definite(definite)
        assert smallest_eigenvalue_lower(definite) <= scale
        assert 3 * scale * (1 - 1e-13) <= two_norm_upper(definite) <= 3 * scale * (1 + 1e-10)
        assert not is_positive_definite(Ball.exact(scale * np.array([[1.0, 2.0], [2.0, 1.0]])))


def test_entries_at_the_end_of_the_range_give_no_claim_and_no_warning():
    """Where float64 overflows the answer is that nothing is known."""
    for big in (1.7e308, 5e-324):
        A = Ball.exact([[big, big], [big, -big]])
        assert not is_positive_definite(A)
        assert smallest_eigenvalue_lower(A) < 0 < largest_eigenvalue_upper(A)
        exact = float(np.sqrt(2)) * (1 - 1e-15)
        assert two_norm_upper(A) / big >= exact and nonnegative_two_norm_upper(A) / big >= exact
        assert is_hurwitz_refuted(A) is None or big == 1.7e308
        is_schur_refuted(A)
        try:
            assert verified_inverse(A).rad.min() >= 0
        except NotVerified as refusal:
            assert not refusal.number < 1
    assert not is_positive_definite(Ball.exact([[1e308, 1e308], [1e308, 1e308]]))
