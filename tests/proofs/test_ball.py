"""Every operation on balls holds every exact result, and is not wider than it must be."""

import operator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitset._result import InputProblem
from limitset.proofs._ball import (
    Ball,
    ball_sum,
    frobenius_upper,
    gram,
    inf_norm_upper,
    one_norm_upper,
)
from proofs.nasty import U, nasty_ball

TINY = 2.0**-1015
BINARY = [operator.add, operator.sub, operator.mul, operator.truediv]

finite = st.floats(allow_nan=False, allow_infinity=False)
radius = st.one_of(st.just(0.0), st.floats(0.0, 1e308), st.floats(0.0, 1e-290))
unit = st.fractions(-1, 1)


def around(mid: object, rad: object) -> Ball:
    """A ball from nested lists."""
    return Ball(np.array(mid, dtype=float), np.array(rad, dtype=float))


def holds(ball: Ball, exact: list[Fraction]) -> bool:
    """Whether the exact numbers lie in the ball, entry by entry, in rational arithmetic."""
    return all(
        r == np.inf or abs(x - Fraction(m)) <= Fraction(r)
        for m, r, x in zip(ball.mid.ravel().tolist(), ball.rad.ravel().tolist(), exact, strict=True)
    )


def member(rng: np.random.Generator, ball: Ball) -> list[Fraction]:
    """A random member, with entries at the ends of the ball as often as inside."""
    place = rng.choice([-1.0, 1.0, 0.0, 0.25, -0.7], ball.size).tolist()
    mids, rads = ball.mid.ravel().tolist(), ball.rad.ravel().tolist()
    return [
        Fraction(m) + Fraction(r) * Fraction(t) for m, r, t in zip(mids, rads, place, strict=True)
    ]


@pytest.mark.parametrize("op", BINARY)
def test_binary_operations_hold_every_result(op):
    rng = np.random.default_rng(1)
    a, b = nasty_ball(rng, 4000), nasty_ball(rng, 4000)
    if op is operator.truediv:
        b = Ball(b.mid, np.where(np.abs(b.mid) > b.rad, b.rad, 0.0))
        a, b = a[b.mid != 0], b[b.mid != 0]
    xs, ys = member(rng, a), member(rng, b)
    assert holds(op(a, b), [op(x, y) for x, y in zip(xs, ys, strict=True)])


@given(finite, radius, unit, finite, radius, unit)
def test_binary_operations_on_single_numbers(m, r, s, n, q, t):
    a, b = Ball(np.array(m), np.array(r)), Ball(np.array(n), np.array(q))
    x, y = Fraction(m) + Fraction(r) * s, Fraction(n) + Fraction(q) * t
    for op in BINARY:
        if op is operator.truediv and not abs(n) > q:
            with pytest.raises(ZeroDivisionError, match="exclude 0"):
                op(a, b)
        else:
            assert holds(op(a, b), [op(x, y)])


@given(finite, radius, unit)
def test_unary_operations_on_single_numbers(m, r, t):
    ball = Ball(np.array(m), np.array(r))
    x = Fraction(m) + Fraction(r) * t
    assert holds(-ball, [-x])
    assert holds(abs(ball), [abs(x)])
    for exponent in (-1074, -600, -1, 0, 3, 900):
        assert holds(ball.ldexp(exponent), [x * Fraction(2) ** exponent])
    if ball.lower() >= 0 and x >= 0:
        root = ball.sqrt()
        lo = max(Fraction(0), Fraction(float(root.mid)) - Fraction(float(root.rad)))
        hi = Fraction(float(root.mid)) + Fraction(float(root.rad))
        assert lo**2 <= x <= hi**2
    lo, hi = float(ball.lower()), float(ball.upper())
    assert lo == -np.inf or Fraction(lo) <= Fraction(m) - Fraction(r)
    assert hi == np.inf or Fraction(hi) >= Fraction(m) + Fraction(r)
    size, least = float(ball.magnitude()), float(ball.mignitude())
    assert size == np.inf or Fraction(size) >= abs(Fraction(m)) + Fraction(r)
    assert least == 0 or Fraction(least) <= abs(Fraction(m)) - Fraction(r)


def test_square_roots_hold_every_result():
    rng = np.random.default_rng(2)
    ball = nasty_ball(rng, 3000)
    ball = abs(Ball(ball.mid, np.minimum(ball.rad, np.abs(ball.mid))))
    ball = ball[ball.lower() >= 0]
    root = ball.sqrt()
    for m, r, x in zip(root.mid.tolist(), root.rad.tolist(), member(rng, ball), strict=True):
        lo, hi = max(Fraction(0), Fraction(m) - Fraction(r)), Fraction(m) + Fraction(r)
        assert lo**2 <= x <= hi**2


def test_bounds_are_exact_where_sums_are():
    ball = Ball.from_bounds([0.0, -1.0, 0.25], [1.0, 3.0, 0.25])
    assert ball.lower().tolist() == [0.0, -1.0, 0.25]
    assert ball.upper().tolist() == [1.0, 3.0, 0.25]


@given(finite, finite)
def test_from_bounds_holds_both_bounds(p, q):
    lo, hi = min(p, q), max(p, q)
    ball = Ball.from_bounds(np.array(lo), np.array(hi))
    assert holds(ball, [Fraction(lo)]) and holds(ball, [Fraction(hi)])
    assert holds(Ball.exact(lo).hull(hi), [Fraction(p)])


def test_infinite_bounds_hold_everything():
    ball = Ball.from_bounds([-np.inf, 0.0], [2.0, np.inf])
    assert np.isinf(ball.rad).all()
    assert (ball.lower() == -np.inf).all() and (ball.upper() == np.inf).all()


def exact_product(rows: np.ndarray, columns: np.ndarray) -> list[Fraction]:
    return (rows @ columns).ravel().tolist()


@pytest.mark.parametrize("a_wide", [False, True])
@pytest.mark.parametrize("b_wide", [False, True])
def test_T15_matrix_products_hold_every_result(a_wide: bool, b_wide: bool):
    rng = np.random.default_rng(3)
    for _ in range(60):
        m, n, k = rng.integers(1, 7, 3).tolist()
        a, b = nasty_ball(rng, m * n).reshape(m, n), nasty_ball(rng, n * k).reshape(n, k)
        a = a if a_wide else Ball.exact(a.mid)
        b = b if b_wide else Ball.exact(b.mid)
        x = np.array(member(rng, a), dtype=object).reshape(m, n)
        y = np.array(member(rng, b), dtype=object).reshape(n, k)
        assert holds(a @ b, exact_product(x, y))
        assert holds(a[0] @ b, exact_product(x[0], y))
        assert holds(a @ b[:, 0], exact_product(x, y[:, 0]))
        assert holds(b.T @ a.T, exact_product(y.T, x.T))


def test_T15_large_products_hold_sampled_entries():
    rng = np.random.default_rng(4)
    A = np.ldexp(rng.standard_normal((200, 300)), rng.integers(-40, 40, (200, 1)))
    B = np.ldexp(rng.standard_normal((300, 150)), rng.integers(-3, 3, (300, 1)))
    a, b = Ball(A, np.abs(A) * 1e-12), Ball(B, np.abs(B) * 1e-12)
    for left, right in ((Ball.exact(A), Ball.exact(B)), (a, Ball.exact(B)), (a, b)):
        product = left @ right
        for i, j in zip(rng.integers(0, 200, 8), rng.integers(0, 150, 8), strict=True):
            x, y = member(rng, left[i]), member(rng, right[:, j])
            assert holds(
                product[i, j], [sum((p * q for p, q in zip(x, y, strict=True)), Fraction())]
            )


@pytest.mark.parametrize(
    "shape", [(1, 4000, 1), (300, 1, 300), (2, 3000, 3), (7, 64, 513), (128, 128, 128), (1, 1, 1)]
)
@pytest.mark.parametrize("spread", [1, 60, 300])
def test_T15_ill_scaled_products_of_all_shapes_hold_sampled_entries(
    shape: tuple[int, int, int], spread: int
):
    """Rows, columns and the terms within them differ by up to 2^600; some results cancel."""
    rng, (m, n, k) = np.random.default_rng(21), shape
    A = np.ldexp(rng.standard_normal((m, n)), rng.integers(-spread, spread, (m, 1)))
    B = np.ldexp(rng.standard_normal((n, k)), rng.integers(-spread, spread, (1, k)))
    inner = rng.integers(-spread, spread, n)
    A, B = np.ldexp(A, inner), np.ldexp(B, -inner[:, None])
    # The second half of each dot product nearly undoes the first.
    half = n // 2
    A[:, half : 2 * half] = A[:, :half]
    B[half : 2 * half] = -B[:half] * (1 + 1e-10 * rng.standard_normal((half, k)))
    product = Ball.exact(A) @ Ball.exact(B)
    bound = (n + 2) * U * (np.abs(A) @ np.abs(B)) * (1 + 1e-9) + TINY
    assert (product.rad <= bound).all()
    for i, j in zip(rng.integers(0, m, 6), rng.integers(0, k, 6), strict=True):
        terms = zip(A[i].tolist(), B[:, j].tolist(), strict=True)
        assert holds(
            product[i, j], [sum((Fraction(p) * Fraction(q) for p, q in terms), Fraction())]
        )


def test_underflow_beside_huge_factors_is_held():
    """2^-53 times a tiny entry vanishes in floats, and comes back through a huge factor."""
    a, b = Ball.exact([[2.0**1000, 2.0**1000]]), around([[2.0**-1072], [3e-324]], [[0.0], [5e-324]])
    assert holds(a @ b, [2**1000 * (Fraction(2.0**-1072) + 2 * Fraction(5e-324))])
    c = Ball.exact([[1e300, 1.0]]) @ around([[1e-300 / 3], [0.0]], [[0.0], [1e-20]])
    assert holds(c, [Fraction(1e300) * Fraction(1e-300 / 3) + Fraction(1e-20)])


def test_roundoff_of_subnormal_factors_is_held():
    """Their share `n u |b|` of the radius vanishes in floats, beside factors of 10^300."""
    rng = np.random.default_rng(20)
    huge = rng.standard_normal((20, 2)) * 1e300
    tiny = rng.standard_normal((2, 2)) * 1e-311
    # The second column makes the factor a ball; the first column is exact.
    b = Ball(tiny, np.array([[0.0, 1e-320], [0.0, 1e-320]]))
    exact = rational_product(huge, tiny[:, :1])
    for product in (Ball.exact(huge) @ b, (b.T @ Ball.exact(huge.T)).T):
        assert holds(product[:, :1], exact)
        assert not holds(Ball.exact(product.mid[:, :1]), exact)


def rational_product(A: np.ndarray, B: np.ndarray) -> list[Fraction]:
    rows, columns = (np.vectorize(Fraction, otypes=[object])(M) for M in (A, B))
    return exact_product(rows, columns)


def test_sums_hold_every_result():
    rng = np.random.default_rng(5)
    ball = nasty_ball(rng, 600).reshape(20, 30)
    x = np.array(member(rng, ball), dtype=object).reshape(20, 30)
    assert holds(ball_sum(ball), [x.sum()])
    assert holds(ball_sum(ball, axis=0), x.sum(axis=0).tolist())
    assert holds(ball_sum(ball, axis=1), x.sum(axis=1).tolist())


def test_radii_are_small():
    """Each operation on points costs a roundoff; the looser rules of wide balls do not apply."""
    rng = np.random.default_rng(6)
    a, b = Ball.exact(rng.standard_normal((40, 40))), Ball.exact(rng.standard_normal((40, 40)))
    for op in BINARY:
        c = op(a, b)
        assert (c.rad <= 1.01 * U * np.abs(c.mid) + TINY).all()
    c = a @ b
    assert (c.rad <= 1.001 * 42 * U * (np.abs(a.mid) @ np.abs(b.mid)) + TINY).all()
    wide = (a + Ball(np.zeros((40, 40)), np.full((40, 40), 1e-3))) @ b
    assert (wide.rad <= 1e-3 * np.abs(b.mid).sum(axis=0) * (1 + 1e-9)).all()


def test_without_radii_the_results_would_be_wrong():
    """Negative control: the midpoints alone are not the exact results."""
    rng = np.random.default_rng(7)
    a, b = Ball.exact(rng.standard_normal(50)), Ball.exact(rng.standard_normal(50))
    xs, ys = [Fraction(x) for x in a.mid.tolist()], [Fraction(y) for y in b.mid.tolist()]
    for op in BINARY:
        mid = op(a, b).mid
        assert not holds(Ball.exact(mid), [op(x, y) for x, y in zip(xs, ys, strict=True)])
    dot = sum((x * y for x, y in zip(xs, ys, strict=True)), Fraction())
    assert not holds(Ball.exact((a @ b).mid), [dot])
    assert not holds(Ball.exact(ball_sum(a).mid), [sum(xs, Fraction())])


def test_powers_of_two_are_exact_factors():
    a = Ball.exact([1 / 3, -7.0, 0.0])
    for factor in (2.0, 0.5, -0.25, 1.0, 2.0**30):
        assert (a * factor).is_point and (factor * a).is_point
        assert (a * factor).mid.tolist() == (a.mid * factor).tolist()
    assert not (Ball.exact(5e-324) * 0.5).is_point


def test_gram_bounds_the_error_of_its_product():
    rng = np.random.default_rng(8)
    for m, n in ((1, 1), (30, 12), (12, 30), (90, 60)):
        A = np.ldexp(rng.standard_normal((m, n)), rng.integers(-10, 10, (m, 1)))
        G, error = gram(A)
        assert np.array_equal(G, G.T)
        exact = (A.T.astype(np.longdouble) @ A.astype(np.longdouble)) - G
        assert np.linalg.norm(exact.astype(float), 2) <= error
        assert error <= 10 * (m + 2) * U * np.linalg.norm(np.abs(A), 2) ** 2
    assert gram(np.full((2, 2), 1e200))[1] == np.inf
    assert gram(np.zeros((3, 2)))[1] < 1e-300


def test_norms_are_upper_bounds_and_tight():
    rng = np.random.default_rng(9)
    for scale in (1.0, 1e200, 1e-200):
        A = rng.standard_normal((13, 7)) * scale
        for upper, order in ((one_norm_upper, 1), (inf_norm_upper, np.inf)):
            value = upper(Ball.exact(A))
            exact = max(
                sum(abs(Fraction(x)) for x in line) for line in (A.T if order == 1 else A).tolist()
            )
            assert exact <= Fraction(value) <= exact * (1 + Fraction(1, 10**13))
        squares = sum(Fraction(x) ** 2 for x in A.ravel().tolist())
        value = Fraction(frobenius_upper(Ball.exact(A)))
        assert squares <= value**2 <= squares * (1 + Fraction(1, 10**13))
    wide = Ball(np.zeros((2, 3)), np.ones((2, 3)))
    assert one_norm_upper(wide) >= 2 and inf_norm_upper(wide) >= 3
    assert frobenius_upper(wide) ** 2 >= 6 - 1e-12
    assert one_norm_upper(Ball.exact([3.0, -4.0])) >= 7
    assert inf_norm_upper(Ball.exact([3.0, -4.0])) == 4
    assert 5 <= frobenius_upper(Ball.exact([3.0, -4.0])) < 5 + 1e-12
    unbounded = around([[1.0]], [[np.inf]])
    assert one_norm_upper(unbounded) == inf_norm_upper(unbounded) == np.inf
    assert frobenius_upper(unbounded) == np.inf
    assert frobenius_upper(Ball.exact(np.zeros((2, 2)))) == 0


def test_overflow_and_nan_become_unknown():
    huge = Ball.exact([1.7e308, 1e200])
    for ball in (huge + huge, huge * huge, huge / 1e-300, (huge * 1e300)):
        assert np.isfinite(ball.mid).all() and ball.rad[0] == np.inf
    unknown = huge * huge
    for ball in (unknown - unknown, unknown * 0.0, 0.0 * unknown, unknown @ unknown, abs(unknown)):
        assert np.isinf(ball.rad).all()
    assert not unknown.certainly_less(1e308).any()
    assert not unknown.certainly_positive().any()
    product = Ball.exact([[1e308, -1e308]]) @ Ball.exact([[10.0], [10.0]])
    assert np.isinf(product.rad).all()


def test_comparisons_are_certain_or_false():
    a, b = around([1.0, 1.0, 1.0], [0.0, 0.5, 2.0]), Ball.exact([2.0, 1.5, 2.0])
    assert a.certainly_less(b).tolist() == [True, False, False]
    assert b.certainly_less(a).tolist() == [False, False, False]
    assert a.certainly_positive().tolist() == [True, True, False]
    assert not Ball.exact(1.0).certainly_less(1.0)
    assert not Ball.exact(0.0).certainly_positive()


UNUSABLE = [np.nan, np.inf, -np.inf, [1.0, np.nan], 1j, True, "1", None, np.float16(1), 10**30,
            2**53 + 1, -(2**53) - 1, np.uint64(2**63)]  # fmt: skip


@pytest.mark.parametrize("bad", UNUSABLE)
def test_unusable_numbers_are_refused(bad):
    for make in (Ball.exact, Ball.unverified):
        with pytest.raises(InputProblem) as problem:
            make(bad)
        assert "\n" not in str(problem.value)


def test_unusable_radii_and_bounds_are_refused():
    for rad in ([-1.0], [np.nan], [1.0, 1.0]):
        with pytest.raises(InputProblem):
            around([1.0], rad)
    for lo, hi in ((1.0, 0.0), (np.nan, 1.0), (0.0, np.nan)):
        with pytest.raises(InputProblem):
            Ball.from_bounds(lo, hi)
    with pytest.raises(InputProblem, match="negative"):
        around([1.0], [2.0]).sqrt()
    with pytest.raises(ZeroDivisionError):
        _ = 1.0 / around([1.0], [1.0])
    with pytest.raises(InputProblem, match="shapes"):
        _ = Ball.exact(np.eye(2)) @ Ball.exact(np.eye(3))
    with pytest.raises(InputProblem, match="NaN"):
        _ = Ball.exact(1.0) + np.nan


def test_other_dtypes_convert_exactly():
    assert Ball.exact(np.float32(0.1)).mid == float(np.float32(0.1))
    assert Ball.exact([1, 2, 3]).mid.dtype == np.float64
    assert Ball.exact(np.array([2**53])).mid.tolist() == [2.0**53]


def test_guarantee_is_lost_for_good():
    sound, guess = Ball.exact([1.0, 2.0]), Ball.unverified([1.0, 2.0])
    assert sound.guaranteed and not guess.guaranteed
    for op in [*BINARY, operator.matmul, Ball.hull]:
        assert op(sound, sound).guaranteed
        assert not op(sound, guess).guaranteed
        assert not op(guess, sound).guaranteed
    one_guess = Ball.unverified(2.0)
    derived = (-guess, abs(guess), guess.T, guess[0], guess.sqrt(), guess.reshape(2, 1),
               ball_sum(guess), guess * 2.0, sound * one_guess, guess.ldexp(1))  # fmt: skip
    assert not any(ball.guaranteed for ball in derived)


def test_balls_do_not_change():
    source = np.ones(3)
    ball = Ball.exact(source)
    source[0] = 5.0
    assert ball.mid.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        ball.mid[0] = 2.0
    with pytest.raises(ValueError, match="read-only"):
        ball[1:].rad[0] = 2.0
    with pytest.raises(AttributeError):
        ball.mid = source  # pyright: ignore[reportAttributeAccessIssue]


def test_arrays_on_the_left_make_balls():
    ball = Ball.exact(np.eye(2))
    A = np.array([[1.0, 2.0], [3.0, 4.0]])
    for result in (
        A + ball,
        A - ball,
        A * ball,
        A @ ball,
        A / (ball + 1.0),
        2 - ball,
        1 / (ball + 1),
    ):
        assert isinstance(result, Ball)
    assert (A @ ball).mid.tolist() == A.tolist()
    assert (A - ball).mid.tolist() == (A - np.eye(2)).tolist()
    assert ball.shape == (2, 2) and len(ball) == 2 and ball.ndim == 2 and ball.size == 4
    assert "guaranteed" not in repr(ball) and "guaranteed=False" in repr(Ball.unverified(1.0))


def test_broadcasting_keeps_shapes_equal():
    column, row = Ball(np.ones((3, 1)), np.full((3, 1), 0.1)), Ball(np.ones(4), np.full(4, 0.2))
    for op in BINARY:
        result = op(column, row)
        assert result.mid.shape == result.rad.shape == (3, 4)
