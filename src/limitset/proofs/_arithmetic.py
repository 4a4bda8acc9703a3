"""Two arithmetics behind one interface: float64 balls, and Arb of any precision."""

import abc
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import flint
import numpy as np
from jaxtyping import Float, Shaped

from limitset._result import InputProblem
from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._functions import FUNCTIONS, arb_bounds, as_arb, ball_to_arb, entries
from limitset.proofs._selftest import require_sound_arithmetic

Reals = Float[np.ndarray, "..."]
Entries = Shaped[np.ndarray, "..."]
ArbArray = Shaped[np.ndarray, "..."]  # of dtype object, holding flint.arb
Enclosure = TypeVar("Enclosure")


class AbstractArithmetic(abc.ABC, Generic[Enclosure]):
    """Operations on arrays of enclosures: results hold the results of all members.

    Whatever is not defined for all members raises `InputProblem` or `ZeroDivisionError`.
    """

    @abc.abstractmethod
    def session(self) -> AbstractContextManager[object]:
        """A context in which the other methods are called."""

    @abc.abstractmethod
    def admit(self, value: Any) -> Enclosure:
        """An enclosure from a ball, from floats (exact), or from an enclosure."""

    @abc.abstractmethod
    def move(self, rearrange: Callable[..., Entries], *values: Enclosure) -> Enclosure:
        """Entries moved, repeated or dropped by a NumPy function; exact."""

    @abc.abstractmethod
    def bounds(self, a: Enclosure) -> tuple[Reals, Reals]:
        """Floats below and above all members, entrywise; possibly infinite."""

    @abc.abstractmethod
    def add(self, a: Enclosure, b: Enclosure) -> Enclosure:
        """`a + b`."""

    @abc.abstractmethod
    def negate(self, a: Enclosure) -> Enclosure:
        """`-a`."""

    @abc.abstractmethod
    def multiply(self, a: Enclosure, b: Enclosure) -> Enclosure:
        """`a b`, entrywise."""

    @abc.abstractmethod
    def divide(self, a: Enclosure, b: Enclosure) -> Enclosure:
        """`a / b`, entrywise."""

    @abc.abstractmethod
    def power(self, a: Enclosure, exponent: int) -> Enclosure:
        """`a^exponent` for an exponent of at least 1."""

    @abc.abstractmethod
    def absolute(self, a: Enclosure) -> Enclosure:
        """`|a|`."""

    @abc.abstractmethod
    def larger(self, a: Enclosure, b: Enclosure) -> Enclosure:
        """`max(a, b)`, entrywise."""

    @abc.abstractmethod
    def matmul(self, a: Enclosure, b: Enclosure) -> Enclosure:
        """Product of two matrices with a common dimension of at least 1."""

    @abc.abstractmethod
    def total(self, a: Enclosure) -> Enclosure:
        """Sum over the last axis, of length at least 1."""

    @abc.abstractmethod
    def apply(self, function: str, a: Enclosure) -> Enclosure:
        """An elementary function by its name in `FUNCTIONS`."""


@dataclass(frozen=True)
class BallArithmetic(AbstractArithmetic[Ball]):
    """Midpoint-radius float64: fast, for arrays of any size."""

    def session(self) -> AbstractContextManager[object]:
        """Nothing to set up; refused where the machine's arithmetic is not sound."""
        require_sound_arithmetic()
        return nullcontext()

    def admit(self, value: Any) -> Ball:
        """Balls as they are; floats and integers as exact points.

        A new object each time: one that comes twice stands for two variables.
        """
        if isinstance(value, Ball):
            return Ball(value.mid, value.rad, value.guaranteed)
        return Ball.exact(np.asarray(value))

    def move(self, rearrange: Callable[..., Entries], *values: Ball) -> Ball:
        """Midpoints and radii move alike."""
        return Ball.moved(rearrange, *values)

    def bounds(self, a: Ball) -> tuple[Reals, Reals]:
        """Lower and upper ends."""
        return a.lower(), a.upper()

    def add(self, a: Ball, b: Ball) -> Ball:
        """`a + b`."""
        return a + b

    def negate(self, a: Ball) -> Ball:
        """`-a`."""
        return -a

    def multiply(self, a: Ball, b: Ball) -> Ball:
        """`a b`, entrywise."""
        return a * b

    def divide(self, a: Ball, b: Ball) -> Ball:
        """`a / b`; the denominator must exclude 0."""
        return a / b

    def power(self, a: Ball, exponent: int) -> Ball:
        """From the ends: odd powers increase, even ones increase in `|a|`."""
        if a.is_point or exponent == 1:
            return _repeated(a, exponent)
        even = exponent % 2 == 0
        lower = _power_bounds(a.mignitude() if even else a.lower(), exponent)[0]
        upper = _power_bounds(a.magnitude() if even else a.upper(), exponent)[1]
        lower = np.maximum(lower, 0.0) if even else lower
        return Ball.from_bounds(lower, upper, a.guaranteed)

    def absolute(self, a: Ball) -> Ball:
        """`|a|`, without negative members where `a` may be 0."""
        around = Ball.from_bounds(np.zeros(a.shape), a.magnitude(), a.guaranteed)
        return self.move(_choice(a.mignitude() > 0), around, abs(a))

    def larger(self, a: Ball, b: Ball) -> Ball:
        """The larger ball where one is certainly larger, else a ball around both maxima."""
        (a_lo, a_hi), (b_lo, b_hi) = self.bounds(a), self.bounds(b)
        hull = Ball.from_bounds(np.maximum(a_lo, b_lo), np.maximum(a_hi, b_hi))
        without_a = self.move(_choice(np.asarray(b_lo >= a_hi)), hull, b)
        return self.move(_choice(np.asarray(a_lo >= b_hi)), without_a, a)

    def matmul(self, a: Ball, b: Ball) -> Ball:
        """Through BLAS, with the a-priori bound of a dot product."""
        return a @ b

    def total(self, a: Ball) -> Ball:
        """Sum over the last axis."""
        return ball_sum(a, axis=-1)

    def apply(self, function: str, a: Ball) -> Ball:
        """From `+ * /` where the library has such a proof, else entry by entry through Arb."""
        return FUNCTIONS[function](a)


def _choice(where: Entries) -> Callable[[Entries, Entries], Entries]:
    return lambda otherwise, chosen: np.where(where, chosen, otherwise)


def _repeated(a: Ball, exponent: int) -> Ball:
    """Binary powering: exact powers of two and few roundings, wide balls overestimated."""
    result = None
    while exponent:
        if exponent % 2:
            result = a if result is None else result * a
        exponent //= 2
        a = a * a if exponent else a
    return Ball.exact(np.ones(a.shape)) if result is None else result


def _power_bounds(end: Reals, exponent: int) -> tuple[Reals, Reals]:
    finite = np.isfinite(end)
    power = _repeated(Ball.exact(np.where(finite, end, 0.0)), exponent)
    return np.where(finite, power.lower(), -np.inf), np.where(finite, power.upper(), np.inf)


@dataclass(frozen=True)
class ArbArithmetic(AbstractArithmetic[ArbArray]):
    """Arrays of `flint.arb`: any precision, entry by entry, for small systems and refinements.

    **Arguments:** `precision` in bits; FLINT's global precision is set inside and restored.
    """

    precision: int = 200

    def __post_init__(self) -> None:
        if not 2 <= self.precision <= 10**6:
            raise InputProblem(f"precision is {self.precision}; give 2 to 1000000 bits, say 200")

    def session(self) -> AbstractContextManager[object]:
        """FLINT's precision, restored afterwards."""
        return flint.ctx.workprec(self.precision)

    def admit(self, value: Any) -> ArbArray:
        """Arrays of `arb` as they are; balls and floats converted exactly or outward."""
        if isinstance(value, Ball):
            if not value.guaranteed:
                raise InputProblem("a ball without guarantee came; Arb arrays cannot carry that")
            return _known(ball_to_arb(value))
        array = np.asarray(value)
        if array.dtype == object:
            if not all(isinstance(v, flint.arb) for v in array.flat):
                raise InputProblem("an array of objects came; its entries must be flint.arb")
            # A view: an object that comes twice stands for two variables.
            return _known(array.view())
        return as_arb(Ball.exact(array).mid)

    def move(self, rearrange: Callable[..., Entries], *values: ArbArray) -> ArbArray:
        """The function of the object arrays."""
        return entries(rearrange(*values))

    def bounds(self, a: ArbArray) -> tuple[Reals, Reals]:
        """Floats, rounded outward."""
        return arb_bounds(a)

    def add(self, a: ArbArray, b: ArbArray) -> ArbArray:
        """`a + b`."""
        return entries(a + b)

    def negate(self, a: ArbArray) -> ArbArray:
        """`-a`."""
        return entries(-a)

    def multiply(self, a: ArbArray, b: ArbArray) -> ArbArray:
        """`a b`, entrywise."""
        return entries(a * b)

    def divide(self, a: ArbArray, b: ArbArray) -> ArbArray:
        """`a / b`; the denominator must exclude 0."""
        return _known(entries(a / b))

    def power(self, a: ArbArray, exponent: int) -> ArbArray:
        """Arb's own powers, which are NaN for balls around 0; there products."""
        return entries(np.frompyfunc(lambda v: _arb_power(v, exponent), 1, 1)(a))

    def absolute(self, a: ArbArray) -> ArbArray:
        """`|a|`."""
        return entries(np.abs(a))

    def larger(self, a: ArbArray, b: ArbArray) -> ArbArray:
        """Arb's own maximum."""
        return entries(np.frompyfunc(lambda v, w: v.max(w), 2, 1)(a, b))

    def matmul(self, a: ArbArray, b: ArbArray) -> ArbArray:
        """Through `arb_mat`, ten times faster than products of object arrays."""
        shape = (a.shape[0], b.shape[1])
        product = _matrix(a) * _matrix(b)
        return np.array(product.entries(), dtype=object).reshape(shape)

    def total(self, a: ArbArray) -> ArbArray:
        """Sum over the last axis."""
        return entries(a.sum(axis=-1))

    def apply(self, function: str, a: ArbArray) -> ArbArray:
        """Arb's own functions; refused where the value is not finite."""
        return _known(entries(np.frompyfunc(_ARB_FUNCTIONS[function], 1, 1)(a)))


def _arb_power(v: flint.arb, exponent: int) -> flint.arb:
    return math.prod([v] * exponent, start=flint.arb(1)) if v.mid() == 0 else v**exponent


def _matrix(a: ArbArray) -> flint.arb_mat:
    rows, columns = a.shape
    return flint.arb_mat(rows, columns, a.ravel().tolist())


def _known(array: ArbArray) -> ArbArray:
    if not all(v.is_finite() for v in array.flat):
        raise InputProblem("an entry is NaN or infinite, or its argument reaches a pole")
    return array


def _finite_or(value: flint.arb, otherwise: Callable[[], flint.arb]) -> flint.arb:
    return value if value.is_finite() else otherwise()


# The first form keeps relative accuracy, the second one holds for wide arguments.
_ARB_FUNCTIONS: dict[str, Callable[[flint.arb], flint.arb]] = {
    "exp": lambda v: v.exp(),
    "tanh": lambda v: v.tanh(),
    "tanh_slope": lambda v: _finite_or(v.sech() ** 2, lambda: 1 - v.tanh() ** 2),
    "logistic": lambda v: _finite_or(1 / (1 + (-v).exp()), lambda: (1 + (v / 2).tanh()) / 2),
    "sqrt": lambda v: v.sqrt(),
    "expm1": lambda v: v.expm1(),
    "log": lambda v: v.log(),
    "log1p": lambda v: v.log1p(),
    "erf": lambda v: v.erf(),
    "erfc": lambda v: v.erfc(),
    "sin": lambda v: v.sin(),
    "cos": lambda v: v.cos(),
}
