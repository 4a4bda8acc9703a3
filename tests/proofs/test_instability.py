"""Proofs of instability: never of a stable matrix, and each witness checked in exact arithmetic."""

from fractions import Fraction
from typing import Any

import flint
import numpy as np

from limitset.proofs._ball import Ball
from limitset.proofs._instability import (
    InstabilityWitness,
    _witness,
    is_hurwitz_refuted,
    is_schur_refuted,
)


def rational(A: np.ndarray) -> Any:
    """The same array in exact rational arithmetic."""
    return np.vectorize(Fraction, otypes=[object])(A)


def leading_minors_positive(A: np.ndarray) -> bool:
    """Sylvester's criterion in exact arithmetic."""
    entries = [flint.fmpq(x.numerator, x.denominator) for x in A.ravel().tolist()]
    whole = np.array(entries, dtype=object).reshape(A.shape)
    minors = [whole[:k, :k].ravel().tolist() for k in range(1, len(A) + 1)]
    return all(flint.fmpq_mat(k, k, minor).det() > 0 for k, minor in enumerate(minors, 1))


def proves_instability(J: np.ndarray, witness: InstabilityWitness, discrete: bool) -> bool:
    """The witness checked in exact rational arithmetic, from the definition."""
    P, v, K = rational(witness.form), rational(witness.direction), rational(J)
    if discrete:
        K = K / Fraction(witness.bound)
        decrease = P - K.T @ P @ K
    else:
        K = K - Fraction(witness.bound) * rational(np.eye(len(J)))
        decrease = -(P @ K + K.T @ P)
    return bool((P == P.T).all() and v @ P @ v < 0 and leading_minors_positive(decrease))


def stable_flow(rng: np.random.Generator, n: int) -> np.ndarray:
    A = rng.standard_normal((n, n))
    return A - (np.linalg.eigvals(A).real.max() + 10.0 ** rng.uniform(-6, 0)) * np.eye(n)


def test_stable_matrices_are_never_refuted():
    rng = np.random.default_rng(12)
    for _ in range(200):
        n = int(rng.integers(1, 9))
        J = stable_flow(rng, n)
        assert is_hurwitz_refuted(Ball.exact(J)) is None
        K = rng.standard_normal((n, n))
        K *= (1 - 10.0 ** rng.uniform(-6, 0)) / np.abs(np.linalg.eigvals(K)).max()
        assert is_schur_refuted(Ball.exact(K)) is None


def test_stable_non_normal_matrices_are_never_refuted():
    """Pseudospectra reach far into the unstable region; eigenvalues do not."""
    for n in (5, 10, 20):
        J = -0.01 * np.eye(n) + 10 * np.eye(n, k=1)
        assert is_hurwitz_refuted(Ball.exact(J)) is None
        assert is_schur_refuted(Ball.exact(0.99 * np.eye(n) + 10 * np.eye(n, k=1))) is None


def test_marginal_matrices_are_not_refuted():
    """Eigenvalues on the boundary have a witness neither way."""
    skew = np.array([[0.0, 3.0], [-3.0, 0.0]])
    for J in (skew, np.zeros((2, 2)), np.diag([0.0, -1.0])):
        assert is_hurwitz_refuted(Ball.exact(J)) is None
    for K in (np.array([[0.0, 1.0], [-1.0, 0.0]]), np.eye(2)):
        assert is_schur_refuted(Ball.exact(K)) is None


def test_unstable_matrices_are_refuted_and_the_witness_is_exact():
    rng = np.random.default_rng(13)
    for _ in range(60):
        n = int(rng.integers(1, 7))
        J = stable_flow(rng, n)
        J += (0.01 - np.linalg.eigvals(J).real.max() + rng.random()) * np.eye(n)
        abscissa = np.linalg.eigvals(J).real.max()
        witness = is_hurwitz_refuted(Ball.exact(J))
        assert witness is not None and 0 <= witness.bound <= abscissa
        assert proves_instability(J, witness, discrete=False)
        K = J * (1.01 + rng.random()) / np.abs(np.linalg.eigvals(J)).max()
        witness = is_schur_refuted(Ball.exact(K))
        assert witness is not None and 1 <= witness.bound <= np.abs(np.linalg.eigvals(K)).max()
        # The quotient K / bound is rounded inside the proof; in rationals it is exact.
        assert proves_instability(K, witness, discrete=True)


def test_eigenvalues_that_cancel_do_not_hide_instability():
    assert is_hurwitz_refuted(Ball.exact(np.diag([1.0, -1.0]))) is not None
    assert is_hurwitz_refuted(Ball.exact([[0.0, 1.0], [1.0, 0.0]])) is not None
    assert is_schur_refuted(Ball.exact(np.diag([2.0, 0.5]))) is not None
    assert is_schur_refuted(Ball.exact([[0.0, 4.0], [0.25, 0.0]]) * 1.5) is not None


def test_balls_with_a_stable_member_are_not_refuted():
    J = np.diag([0.1, -1.0])
    assert is_hurwitz_refuted(Ball(J, np.full((2, 2), 0.01))) is not None
    assert is_hurwitz_refuted(Ball(J, np.full((2, 2), 0.11))) is None
    K = np.diag([1.1, 0.3])
    assert is_schur_refuted(Ball(K, np.full((2, 2), 0.01))) is not None
    assert is_schur_refuted(Ball(K, np.full((2, 2), 0.11))) is None


def test_a_wrong_witness_is_found_out():
    """Negative control of the exact check above."""
    J = np.diag([1.0, -3.0])
    witness = is_hurwitz_refuted(Ball.exact(J))
    assert witness is not None and proves_instability(J, witness, discrete=False)
    assert not proves_instability(-np.eye(2), witness, discrete=False)
    wrong = InstabilityWitness(-witness.form, witness.direction, witness.bound)
    assert not proves_instability(J, wrong, discrete=False)
    late = InstabilityWitness(witness.form, witness.direction, 1.5)
    assert not proves_instability(J, late, discrete=False)


def test_a_positive_form_is_no_witness():
    assert _witness(np.eye(2), Ball.exact(np.eye(2)), 0.0) is None
    assert _witness(np.diag([1.0, -1.0]), Ball.exact(np.eye(2)), 0.0) is not None
    assert _witness(np.diag([1.0, -1.0]), Ball.exact(np.diag([1.0, 0.0])), 0.0) is None
