"""Complex balls hold every product, quotient and modulus of their members."""

import flint
import numpy as np
import pytest
from flint import acb, acb_mat, arb

from limitset._result import InputProblem
from limitset.proofs._ball import Ball
from limitset.proofs._complex import (
    ComplexBall,
    complex_inverse,
    complex_solve,
    complex_sum,
    modulus_upper,
)
from limitset.proofs._linalg import NotVerified


@pytest.fixture(autouse=True)
def high_precision():
    """Arb at 200 bits, restored afterwards."""
    before = flint.ctx.prec
    flint.ctx.prec = 200
    yield
    flint.ctx.prec = before


def random_ball(rng: np.random.Generator, *shape: int, width: float) -> ComplexBall:
    def part() -> Ball:
        size = 10.0 ** rng.uniform(-3, 3, shape)
        return Ball(size * rng.standard_normal(shape), width * size * rng.random(shape))

    return ComplexBall(part(), part())


def member(rng: np.random.Generator, ball: ComplexBall) -> np.ndarray:
    """Exact complex members, as often as not on the border."""

    def part(b: Ball) -> list:
        t = np.clip(rng.uniform(-2, 2, b.shape), -1, 1)
        entries = zip(b.mid.ravel(), b.rad.ravel(), t.ravel(), strict=True)
        return [arb(float(m)) + arb(float(r)) * arb(float(s)) for m, r, s in entries]

    pairs = zip(part(ball.re), part(ball.im), strict=True)
    return np.array([acb(x, y) for x, y in pairs], dtype=object).reshape(ball.shape)


def holds(ball: ComplexBall, values: np.ndarray) -> bool:
    def part(b: Ball, exact: list) -> bool:
        entries = zip(b.mid.ravel(), b.rad.ravel(), exact, strict=True)
        return all(abs(x - arb(float(m))) <= arb(float(r)) for m, r, x in entries)

    flat = values.ravel().tolist()
    return part(ball.re, [z.real for z in flat]) and part(ball.im, [z.imag for z in flat])


@pytest.mark.parametrize("width", [0.0, 1e-12, 0.3])
def test_operations_hold_their_members(width: float):
    rng = np.random.default_rng(5)
    for _ in range(20):
        a, b = random_ball(rng, 4, 5, width=width), random_ball(rng, 4, 5, width=width)
        x, y = member(rng, a), member(rng, b)
        assert holds(a + b, x + y)
        assert holds(a - b, x - y)
        assert holds(a * b, x * y)
        assert holds(a @ b.T, x @ y.T)
        assert holds(a.conj().times_i(), np.vectorize(lambda z: acb(0, 1) * z.conjugate())(x))
        assert holds(complex_sum(a, axis=0), x.sum(axis=0))
        sizes = np.vectorize(abs, otypes=[object])(x)
        assert all(s <= arb(float(m)) for s, m in zip(sizes.flat, a.magnitude().flat, strict=True))
        assert all(s >= arb(float(m)) for s, m in zip(sizes.flat, a.mignitude().flat, strict=True))


def test_real_factors_on_both_sides():
    rng = np.random.default_rng(6)
    a = random_ball(rng, 3, 3, width=1e-9)
    x, M = member(rng, a), rng.standard_normal((3, 3))
    exact = np.vectorize(lambda v: acb(float(v)), otypes=[object])(M)
    assert holds(M * a, exact * x) and holds(M @ a, exact @ x) and holds(a @ M, x @ exact)
    assert holds(2.0 - a, 2 - x) and holds(a + M, x + exact)


def test_solutions_hold_those_of_members():
    rng = np.random.default_rng(7)
    for width in (0.0, 1e-10, 1e-5):
        A = ComplexBall.exact(rng.standard_normal((6, 6)) + 1j * rng.standard_normal((6, 6)))
        b = random_ball(rng, 6, width=width)
        A = A + ComplexBall(Ball(np.zeros((6, 6)), np.full((6, 6), width)), A.im * 0.0)
        M, v = member(rng, A), member(rng, b)
        exact = acb_mat(6, 6, M.ravel().tolist()).solve(acb_mat(6, 1, v.ravel().tolist()))
        solution = np.array(exact.entries(), dtype=object)
        assert holds(complex_solve(A, b), solution)
        inverse = np.array(acb_mat(6, 6, M.ravel().tolist()).inv().entries(), dtype=object)
        assert holds(complex_inverse(A), inverse.reshape(6, 6))


def test_a_matrix_that_may_be_singular_is_not_solved():
    singular = ComplexBall.exact(np.array([[1.0, 1j], [1j, -1.0]]))
    with pytest.raises(NotVerified):
        complex_inverse(singular)


def test_moduli_of_extreme_numbers():
    bound = modulus_upper(
        np.array([1e308, np.inf, 0.0, 3.0, 1e-300]), np.array([1e308, 0, 0, 4, 0])
    )
    assert np.isinf(bound[:2]).all() and bound[3] >= 5 and bound[4] >= 1e-300
    assert bound[3] < 5 + 1e-14
    wide = ComplexBall(Ball(np.array([1.0]), np.array([np.inf])), Ball.exact([0.0]))
    assert np.isinf(wide.magnitude()[0]) and wide.mignitude()[0] == 0.0


def test_unusable_parts_are_refused():
    with pytest.raises(InputProblem, match="make them one"):
        ComplexBall(Ball.exact([1.0]), Ball.exact([1.0, 2.0]))
    with pytest.raises(InputProblem, match="NaN"):
        ComplexBall.exact(np.array([complex(np.nan, 0.0)]))
    assert not ComplexBall(Ball.exact(1.0), Ball.unverified(1.0)).guaranteed
