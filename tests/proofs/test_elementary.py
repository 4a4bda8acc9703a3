"""Elementary functions hold the 200-bit values, are tight, and treat wide balls by monotonicity."""

from collections.abc import Callable
from dataclasses import dataclass

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitset._result import InputProblem
from limitset.proofs._ball import Ball
from limitset.proofs._elementary import exp, logistic, logistic_slope, tanh, tanh_slope


@dataclass(frozen=True)
class Function:
    """A function on balls, its Arb counterpart and the bounds of its range."""

    enclose: Callable[[Ball], Ball]
    reference: Callable[[flint.arb], flint.arb]
    range: tuple[float, float]


def arb_logistic(x: flint.arb) -> flint.arb:
    e = (-abs(x)).exp()
    return (1 if x >= 0 else e) / (1 + e)


def arb_sech_squared(x: flint.arb) -> flint.arb:
    e = (-2 * abs(x)).exp()
    return 4 * e / (1 + e) ** 2


FUNCTIONS = {
    "tanh": Function(tanh, lambda x: x.tanh(), (-1.0, 1.0)),
    "tanh_slope": Function(tanh_slope, arb_sech_squared, (0.0, 1.0)),
    "logistic": Function(logistic, arb_logistic, (0.0, 1.0)),
    "logistic_slope": Function(logistic_slope, lambda x: arb_sech_squared(x / 2) / 4, (0.0, 0.25)),
}
EDGES = [0.0, 5e-324, 1e-310, 2.0**-1022, 1e-160, 1e-8, 0.25, 0.5, 1.0, 2.0, 16.0, 19.0, 20.0, 22.0,
         40.0, 350.0, 400.0, 700.0, 745.0, 800.0, 1e5, 1e308]  # fmt: skip


@pytest.fixture(autouse=True)
def high_precision():
    before, flint.ctx.prec = flint.ctx.prec, 200
    yield
    flint.ctx.prec = before


def points() -> np.ndarray:
    """20 000 arguments: grids, random sizes, and both neighbours of every edge of the code."""
    rng = np.random.default_rng(1)
    edges = np.array([*EDGES, *(2.0**k for k in range(-60, 12))])
    neighbours = [edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)]
    spread = np.ldexp(rng.standard_normal(4000), rng.integers(-80, 12, 4000))
    grids = [np.linspace(-25, 25, 8001), np.linspace(-1, 1, 6001), spread, *neighbours]
    x = np.concatenate([*grids, *(-part for part in neighbours)])
    return np.concatenate([x, rng.uniform(-800, 800, 20_000 - x.size)])


def is_held(m: float, r: float, v: flint.arb) -> bool:
    """Whether the ball holds the 200-bit value.

    200 bits do not always tell a value from an end of the function's range; there it may not lie
    outside for certain.
    """
    lo, hi = flint.arb(m) - flint.arb(r), flint.arb(m) + flint.arb(r)
    above = lo <= v or (lo in (-1, 0) and not v < lo)
    below = v <= hi or (hi in (0.25, 1) and not v > hi)
    return above and below


def not_held(ball: Ball, values: list[flint.arb]) -> list[int]:
    """Indices where the ball may miss the 200-bit value."""
    triples = zip(ball.mid.tolist(), ball.rad.tolist(), values, strict=True)
    return [i for i, (m, r, v) in enumerate(triples) if not is_held(m, r, v)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_points_hold_the_value(name: str):
    function, x = FUNCTIONS[name], points()
    values = [function.reference(flint.arb(v)) for v in x.tolist()]
    ball = function.enclose(Ball.exact(x))
    assert not_held(ball, values) == []
    lo, hi = function.range
    # A midpoint and a radius meet the ends of the range to within a roundoff.
    assert (ball.lower() >= lo - 2.0**-52).all() and (ball.upper() <= hi + 2.0**-52).all()
    # Negative control: the midpoints are not the values.
    assert len(not_held(Ball.exact(ball.mid), values)) > 10_000


@pytest.mark.parametrize("name", FUNCTIONS)
def test_points_are_tight(name: str):
    """Relative accuracy everywhere but in the tails that are cut off."""
    ball = FUNCTIONS[name].enclose(Ball.exact(np.linspace(-300, 300, 4001)))
    slack = 1e-14 if name == "tanh" else 2e-11
    assert (ball.rad <= slack * np.abs(ball.mid) + 1e-300).all()
    near = FUNCTIONS[name].enclose(Ball.exact(np.linspace(-5, 5, 1001)))
    assert (near.rad <= 1e-13 * np.abs(near.mid) + 1e-300).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_wide_balls_hold_all_members(name: str):
    rng = np.random.default_rng(2)
    function = FUNCTIONS[name]
    mid = np.ldexp(rng.standard_normal(1500), rng.integers(-12, 9, 1500))
    rad = np.abs(np.ldexp(rng.standard_normal(1500), rng.integers(-14, 9, 1500)))
    ball = function.enclose(Ball(mid, rad))
    for place in (-1.0, -0.9, -0.3, 0.0, 0.5, 1.0):
        members = [flint.arb(m) + place * flint.arb(r) for m, r in zip(mid, rad, strict=True)]
        assert not_held(ball, [function.reference(x) for x in members]) == []
    if name.endswith("slope"):
        # The maximum is inside, not at an end.
        inside = np.abs(mid) < rad
        assert inside.sum() > 100 and (ball.upper()[inside] >= function.range[1]).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_wide_balls_are_tight(name: str):
    """A monotone branch is bounded by its end values, to within rounding."""
    function = FUNCTIONS[name]
    for lo, hi in ((0.5, 1.5), (-3.0, -1.0), (2.0, 30.0)):
        ball = function.enclose(Ball.from_bounds(np.array(lo), np.array(hi)))
        ends = sorted(float(function.reference(flint.arb(x)).mid()) for x in (lo, hi))
        assert ball.lower() == pytest.approx(ends[0], rel=1e-11, abs=1e-15)
        assert ball.upper() == pytest.approx(ends[1], rel=1e-11, abs=1e-15)


@given(st.floats(-900, 900), st.floats(0, 900), st.floats(-1, 1))
def test_single_balls_hold_a_member(mid: float, rad: float, place: float):
    member = flint.arb(mid) + flint.arb(rad) * flint.arb(place)
    for function in FUNCTIONS.values():
        ball = function.enclose(Ball(np.array([mid]), np.array([rad])))
        assert not_held(ball, [function.reference(member)]) == []


def test_unbounded_balls_give_the_whole_range():
    everything = Ball(np.zeros(1), np.full(1, np.inf))
    for function in FUNCTIONS.values():
        ball = function.enclose(everything)
        assert ball.lower() <= function.range[0] + 1e-15
        assert ball.upper() >= function.range[1] - 1e-15


def test_guarantee_passes_through():
    guess = Ball.unverified(np.array([-0.5]))
    for enclose in (exp, *(f.enclose for f in FUNCTIONS.values())):
        assert not enclose(guess).guaranteed
        assert enclose(Ball.exact(guess.mid)).guaranteed


def test_saturation_keeps_the_sign_of_the_slope():
    assert (tanh_slope(Ball.exact(np.array([20.0, -300.0]))).lower() > 0).all()
    assert (logistic(Ball.exact(np.array([-40.0, -600.0]))).lower() > 0).all()
    assert tanh_slope(Ball.exact(np.array(400.0))).upper() < 1e-300


def test_exp_holds_the_value():
    rng = np.random.default_rng(3)
    x = -np.concatenate([np.abs(points()[:6000]), rng.uniform(0, 50, 3000)])
    ball = exp(Ball.exact(x))
    assert not_held(ball, [flint.arb(v).exp() for v in x.tolist()]) == []
    assert (ball.lower() >= -1e-300).all() and (ball.upper() <= 1 + 2.0**-52).all()
    small = exp(Ball.exact(np.linspace(-5, 0, 101)))
    assert (small.rad <= 1e-13 * small.mid).all()
    wide = exp(Ball(np.array([-1.0]), np.array([0.5])))
    assert not_held(wide, [flint.arb(-1.5).exp()]) == []
    assert not_held(wide, [flint.arb(-0.5).exp()]) == []


def test_exp_refuses_arguments_that_may_be_positive():
    for bad in (
        Ball.exact(1e-9),
        Ball(np.array(-1.0), np.array(1.5)),
        Ball(np.zeros(1), np.full(1, np.inf)),
    ):
        with pytest.raises(InputProblem, match="at most 0"):
            exp(bad)
