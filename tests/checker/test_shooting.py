"""The checker's inverse of the shooting equations, against a dense one."""

import numpy as np
import pytest
from flint import arb, arb_mat, ctx

from limitset.checker._document import NotProved
from limitset.checker._krawczyk import column
from limitset.checker._shooting import Chain, _solve, product
from limitset.checker._taylor import Segment

N, M = 3, 5
RNG = np.random.default_rng(6)
SLOPES, SPEEDS = RNG.normal(size=(M, N, N)), RNG.normal(size=(M, N))
PHASE = RNG.normal(size=N)


def box(spread: float = 0.0) -> Chain:
    segments = [
        Segment([], [], arb_mat(N, N, [arb(v, spread) for v in slope.ravel().tolist()]))
        for slope in SLOPES
    ]
    velocities = [[arb(v, spread) for v in speed] for speed in SPEEDS.tolist()]
    return Chain([], arb(1), segments, velocities)


def dense() -> np.ndarray:
    matrix = np.zeros((N * M + 1, N * M + 1))
    for i in range(M):
        rows, following = slice(i * N, (i + 1) * N), (i + 1) % M
        matrix[rows, rows] = SLOPES[i]
        matrix[rows, following * N : (following + 1) * N] -= np.eye(N)
        matrix[rows, -1] = SPEEDS[i]
    matrix[-1, :N] = PHASE
    return matrix


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_the_elimination_is_the_inverse_of_the_midpoint(spread: float) -> None:
    right = RNG.normal(size=(M, N))
    expected = -np.linalg.solve(dense(), np.append(right.ravel(), 0.25))
    with ctx.workprec(128):
        phase, errors = list(map(arb, PHASE.tolist())), [column(list(map(arb, e))) for e in right]
        states, time = _solve(box(spread), phase, errors, arb(0.25))
    found = [float(v) for state in states for v in state] + [float(time)]
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_balls_are_no_wider_than_the_absolute_inverse_makes_them() -> None:
    radius = np.abs(RNG.normal(size=(M, N)))
    expected = np.abs(np.linalg.inv(dense())) @ np.append(radius.ravel(), 0.5)
    with ctx.workprec(128):
        phase = list(map(arb, PHASE.tolist()))
        errors = [column([arb(0, r) for r in row]) for row in radius.tolist()]
        states, time = _solve(box(), phase, errors, arb(0, 0.5))
    found = [float(v.rad()) for state in states for v in state] + [float(time.rad())]
    assert np.allclose(found, expected, rtol=1e-6)


def test_a_singular_system_is_refused() -> None:
    errors = [arb_mat(N, 1)] * M
    with ctx.workprec(128), pytest.raises(NotProved, match="regular"):
        _solve(box(), [arb(0)] * N, errors, arb(0))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_products_have_the_last_factor_on_the_left(count: int) -> None:
    factors = RNG.integers(-3, 4, size=(count, 2, 2))
    expected = np.eye(2)
    for factor in factors:
        expected = factor @ expected
    with ctx.workprec(128):
        found = product([arb_mat(f.tolist()) for f in factors])
    assert np.array_equal([float(v) for v in found.entries()], expected.ravel())
