"""Fuzz: no operation on balls, no function and no enclosed program misses a 200-bit value.

Inputs are random, huge, tiny, subnormal, zero, wide and unbounded. Members are exact: ends of the
balls, midpoints and points between.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb

from limitset import InputProblem
from limitset.proofs import (
    Ball,
    ComplexBall,
    ball_sum,
    directional,
    enclose,
    logistic_slope,
    second_directional,
    third_directional,
)
from limitset.proofs import exp as decay
from limitset.proofs._arithmetic import BallArithmetic
from limitset.proofs._complex import complex_sum
from limitset.proofs._functions import FUNCTIONS
from proofs.nasty import nasty_ball

# Checks of each operation; only those against a bounded ball are counted.
FAST, SLOW = 2_000, 20_000
ENTRIES = 240

Balls = tuple[Ball, ...]


@dataclass(frozen=True)
class Operation:
    """An operation on balls, and the same on arrays of `arb`, entry by entry."""

    enclose: Callable[..., Ball]
    exact: Callable[..., Any]
    arity: int = 1
    # Restricts balls to what the operation takes.
    domain: Callable[..., Balls] = lambda *balls: balls


def each(function: Callable[..., Any]) -> Callable[..., Any]:
    return np.frompyfunc(function, function.__code__.co_argcount, 1)


def clipped(limit: float) -> Callable[[Ball], Balls]:
    return lambda x: (Ball(np.clip(x.mid, -limit, limit), np.minimum(x.rad, limit)),)


def positive(x: Ball) -> Balls:
    x = abs(x)
    return (x[x.lower() > 0],)


def not_positive(x: Ball) -> Balls:
    x = -abs(x)
    return (x[x.upper() <= 0],)


def divisible(a: Ball, b: Ball) -> Balls:
    allowed = np.abs(b.mid) > b.rad
    return a[allowed], b[allowed]


def sech_squared(x: arb) -> arb:
    e = (-2 * abs(x)).exp()
    return 4 * e / ((1 + e) * (1 + e))


def logistic(x: arb) -> arb:
    e = (-abs(x)).exp()
    return (1 if x >= 0 else e) / (1 + e)


def softplus(x: arb) -> arb:
    return x.max(arb(0)) + (1 + (-abs(x)).exp()).log()


def rows(a: Any) -> Any:
    return a.reshape(-1, 6)


def columns(a: Any) -> Any:
    return a.reshape(6, -1)


def product(a: Any, b: Any) -> Any:
    return (rows(a) @ columns(b)).reshape(-1)


def complex_product(a: Ball, b: Ball, c: Ball, d: Ball) -> ComplexBall:
    return ComplexBall(a, b) * ComplexBall(c, d)


def complex_matmul(a: Ball, b: Ball, c: Ball, d: Ball) -> ComplexBall:
    return ComplexBall(rows(a), rows(b)) @ ComplexBall(columns(c), columns(d))


BALLS: dict[str, Operation] = {
    "a + b": Operation(operator.add, operator.add, 2),
    "a - b": Operation(operator.sub, operator.sub, 2),
    "a * b": Operation(operator.mul, operator.mul, 2),
    "a / b": Operation(operator.truediv, operator.truediv, 2, divisible),
    "0.1 - a": Operation(lambda a: 0.1 - a, lambda a: arb(0.1) - a),
    "3 / a": Operation(lambda a: 3.0 / a, lambda a: 3 / a, 1, lambda a: divisible(a, a)[:1]),
    "-a": Operation(lambda a: -a, operator.neg),
    "|a|": Operation(lambda a: abs(a), np.abs),
    "a 2^-600": Operation(lambda a: a.ldexp(-600), lambda a: a * arb(2) ** -600),
    "a 2^33": Operation(lambda a: a.ldexp(33), lambda a: a * 2**33),
    "hull, first": Operation(lambda a, b: a.hull(b), lambda a, b: a, 2),
    "hull, second": Operation(lambda a, b: a.hull(b), lambda a, b: b, 2),
    "larger": Operation(BallArithmetic().larger, each(lambda a, b: a.max(b)), 2),
    "absolute": Operation(BallArithmetic().absolute, np.abs),
    **{
        f"a^{k}": Operation(
            lambda a, k=k: BallArithmetic().power(a, k), lambda a, k=k: np.prod([a] * k, axis=0)
        )
        for k in (2, 3, 6, 7)
    },
    "sum": Operation(lambda a: ball_sum(rows(a), 1), lambda a: rows(a).sum(1)),
    "A B": Operation(product, product, 2),
    "A B, A exact": Operation(product, product, 2, lambda a, b: (Ball.exact(a.mid), b)),
    "A B, B exact": Operation(product, product, 2, lambda a, b: (a, Ball.exact(b.mid))),
}
# Plain floats, which carry no guarantee.
BOUNDS: dict[str, Operation] = {
    "ends": Operation(lambda a: Ball.from_bounds(a.lower(), a.upper()), lambda a: a),
    "size": Operation(lambda a: Ball.from_bounds(a.mignitude(), a.magnitude()), np.abs),
    "|z|": Operation(
        lambda a, b: Ball.from_bounds(ComplexBall(a, b).mignitude(), ComplexBall(a, b).magnitude()),
        each(lambda a, b: (a * a + b * b).sqrt()),
        2,
    ),
}
COMPLEX: dict[str, Operation] = {
    "re z w": Operation(lambda *p: complex_product(*p).re, lambda a, b, c, d: a * c - b * d, 4),
    "im z w": Operation(lambda *p: complex_product(*p).im, lambda a, b, c, d: a * d + b * c, 4),
    "re (z - w)": Operation(
        lambda a, b, c, d: (ComplexBall(a, b) - ComplexBall(c, d)).re, lambda a, b, c, d: a - c, 4
    ),
    "|z|^2": Operation(
        lambda a, b: ComplexBall(a, b).squared_modulus(), lambda a, b: a * a + b * b, 2
    ),
    "im i z": Operation(lambda a, b: ComplexBall(a, b).conj().times_i().im, lambda a, b: a, 2),
    "re Z W": Operation(
        lambda *p: complex_matmul(*p).re.reshape(-1),
        lambda a, b, c, d: product(a, c) - product(b, d),
        4,
    ),
    "im Z W": Operation(
        lambda *p: complex_matmul(*p).im.reshape(-1),
        lambda a, b, c, d: product(a, d) + product(b, c),
        4,
    ),
    "im sum": Operation(
        lambda a, b: complex_sum(ComplexBall(rows(a), rows(b)), 1).im,
        lambda a, b: rows(b).sum(1),
        2,
    ),
}
ELEMENTARY: dict[str, Operation] = {
    "exp": Operation(FUNCTIONS["exp"], each(lambda x: x.exp()), 1, clipped(1e6)),
    "expm1": Operation(FUNCTIONS["expm1"], each(lambda x: x.expm1()), 1, clipped(1e6)),
    "tanh": Operation(FUNCTIONS["tanh"], each(lambda x: x.tanh())),
    "tanh_slope": Operation(FUNCTIONS["tanh_slope"], each(lambda x: sech_squared(x))),
    "logistic": Operation(FUNCTIONS["logistic"], each(lambda x: logistic(x))),
    "sqrt": Operation(FUNCTIONS["sqrt"], each(lambda x: x.sqrt()), 1, positive),
    "log": Operation(FUNCTIONS["log"], each(lambda x: x.log()), 1, positive),
    "log1p": Operation(FUNCTIONS["log1p"], each(lambda x: x.log1p()), 1, positive),
    "erf": Operation(FUNCTIONS["erf"], each(lambda x: x.erf())),
    "erfc": Operation(FUNCTIONS["erfc"], each(lambda x: x.erfc())),
    "sin": Operation(FUNCTIONS["sin"], each(lambda x: x.sin())),
    "cos": Operation(FUNCTIONS["cos"], each(lambda x: x.cos())),
    "logistic_slope": Operation(logistic_slope, each(lambda x: sech_squared(x / 2) / 4)),
    "exp, x <= 0": Operation(decay, each(lambda x: x.exp()), 1, not_positive),
}
WEIGHT = np.random.default_rng(11).standard_normal((6, 6))


def gated(x: jax.Array) -> jax.Array:
    return (jnp.tanh(rows(x) @ WEIGHT) * jax.nn.sigmoid(rows(x))).reshape(-1)


def exact_gated(x: Any) -> Any:
    weight = each(lambda v: arb(float(v)))(WEIGHT)
    gate = each(lambda v: logistic(v))(rows(x))
    return (each(lambda v: v.tanh())(rows(x) @ weight) * gate).reshape(-1)


def rational(x: jax.Array) -> jax.Array:
    return (x**3 - 2.0 * x) / (1.0 + x**2)


def ones(derivative: Callable[..., Any], order: int) -> Callable[[jax.Array], Any]:
    """The derivative of that order of a function that works entry by entry."""
    return lambda x: derivative(x, *[jnp.ones_like(x)] * order)


def tanh_bend(x: arb) -> arb:
    return -2 * x.tanh() * sech_squared(x)


def tanh_third(x: arb) -> arb:
    s, t = sech_squared(x), x.tanh()
    return 2 * s * (2 * t * t - s)


ENCLOSED: dict[str, Operation] = {
    "gated layer": Operation(enclose(gated), exact_gated, 1, clipped(1e6)),
    "softplus": Operation(enclose(jax.nn.softplus), each(lambda x: softplus(x)), 1, clipped(1e6)),
    "rational": Operation(
        enclose(rational), lambda x: (x * x * x - 2 * x) / (1 + x * x), 1, clipped(1e6)
    ),
    "tanh'": Operation(
        enclose(ones(directional(jnp.tanh), 1)), each(lambda x: sech_squared(x))
    ),
    "tanh''": Operation(
        enclose(ones(second_directional(jnp.tanh), 2)), each(lambda x: tanh_bend(x))
    ),
    "tanh'''": Operation(
        enclose(ones(third_directional(jnp.tanh), 3)), each(lambda x: tanh_third(x))
    ),
    "logistic'": Operation(
        enclose(ones(directional(jax.nn.sigmoid), 1)), each(lambda x: sech_squared(x / 2) / 4)
    ),
    "sin' exp": Operation(
        enclose(lambda x: jnp.exp(-(x**2)) * ones(directional(jnp.sin), 1)(x)),
        each(lambda x: (-x * x).exp() * x.cos()),
        1,
        clipped(1e6),
    ),
}  # fmt: skip
OPERATIONS = BALLS | BOUNDS | COMPLEX | ELEMENTARY | ENCLOSED


@pytest.fixture(autouse=True)
def high_precision() -> Iterator[None]:
    with flint.ctx.workprec(200):
        yield


def inputs(rng: np.random.Generator, operation: Operation) -> Balls:
    """Balls of all sizes, one in fifty unbounded, as far as the operation takes them."""
    balls = []
    for _ in range(operation.arity):
        ball = nasty_ball(rng, ENTRIES)
        unbounded = rng.random(ENTRIES) < 0.02
        balls.append(Ball(ball.mid, np.where(unbounded, np.inf, ball.rad)))
    restricted = operation.domain(*balls)
    # Matrices need complete rows.
    whole = len(restricted[0]) // 36 * 36
    return tuple(ball[:whole] for ball in restricted)


def member(rng: np.random.Generator, ball: Ball) -> Any:
    """An exact member, with entries at the ends of the ball as often as inside."""
    place = rng.choice([-1.0, 1.0, 0.0, 0.25, -0.7], ball.shape)
    rad = np.where(np.isfinite(ball.rad), ball.rad, 1e9)
    with flint.ctx.workprec(4000):
        return each(lambda m, r, t: arb(m) + arb(r) * arb(t))(ball.mid, rad, place)


def judged(enclosure: Ball, values: Any) -> tuple[int, int]:
    """How many bounded entries there are, and how many of these certainly miss the value."""
    bounded = missed = 0
    for m, r, value in zip(enclosure.mid.tolist(), enclosure.rad.tolist(), values, strict=True):
        assert value.is_finite()
        if r < np.inf:
            bounded += 1
            missed += bool(abs(value - arb(m)) > arb(r))
    return bounded, missed


def assert_nothing_is_missed(operation: Operation, checks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    done = rounds = 0
    while done < checks:
        balls = inputs(rng, operation)
        enclosure = operation.enclose(*balls)
        assert enclosure.guaranteed and np.isfinite(enclosure.mid).all()
        for _ in range(2):
            members = [member(rng, ball) for ball in balls]
            bounded, missed = judged(enclosure, operation.exact(*members))
            assert missed == 0, (balls, enclosure)
            done += bounded
        rounds += 1
        assert rounds < checks, "hardly any enclosure is bounded"


@pytest.mark.parametrize("name", OPERATIONS)
def test_T14_one_hundred_thousand_values_are_held(name: str):
    assert len(OPERATIONS) * FAST >= 10**5
    assert_nothing_is_missed(OPERATIONS[name], FAST, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_T14_one_million_values_are_held(name: str):
    assert len(OPERATIONS) * SLOW >= 10**6
    assert_nothing_is_missed(OPERATIONS[name], SLOW, seed=2)


EXACT = {"-a", "|a|", "ends", "size", "im i z", "hull, first", "hull, second", "larger",
         "absolute", "a 2^33"}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in EXACT])
def test_T14_the_judge_sees_what_a_radius_covers(name: str):
    """Negative control: midpoints alone are not the values."""
    rng, operation = np.random.default_rng(3), OPERATIONS[name]
    points = tuple(Ball.exact(ball.mid) for ball in inputs(rng, operation))
    enclosure = operation.enclose(*points)
    midpoints = Ball(enclosure.mid, np.where(np.isinf(enclosure.rad), np.inf, 0.0))
    values = operation.exact(*(member(rng, point) for point in points))
    assert judged(midpoints, values)[1] > 0


def test_T14_nan_is_refused():
    nan, one = np.full(36, np.nan), Ball.exact(np.ones(36))
    for make in (
        Ball.exact,
        Ball.unverified,
        lambda x: Ball(x, one.mid),
        lambda x: Ball(one.mid, x),
    ):
        with pytest.raises(InputProblem):
            make(nan)
    for name in ("a + b", "a - b", "a * b", "a / b"):
        for operands in ((one, nan), (nan, one)):
            with pytest.raises(InputProblem):
                BALLS[name].enclose(*operands)
    for enclosed in ENCLOSED.values():
        with pytest.raises(InputProblem):
            enclosed.enclose(nan)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in BOUNDS])
def test_T14_unverified_numbers_stay_so(name: str):
    operation = OPERATIONS[name]
    balls = inputs(np.random.default_rng(4), operation)
    assert operation.enclose(*balls).guaranteed
    doubtful = (Ball(ball.mid, ball.rad, False) for ball in balls)
    assert not operation.enclose(*doubtful).guaranteed
