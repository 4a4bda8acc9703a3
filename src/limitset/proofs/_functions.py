"""Elementary functions on all of their domain: vectorised exp, and others through Arb."""

from collections.abc import Callable
from dataclasses import dataclass

import flint
import numpy as np
from jaxtyping import Float, Shaped

from limitset._result import InputProblem
from limitset.proofs import _elementary
from limitset.proofs._ball import Ball, float_above

Reals = Float[np.ndarray, "..."]
ArbEntries = Shaped[np.ndarray, "..."]  # of dtype object, holding flint.arb

# A few bits more than float64 has: bounds are rounded to floats once more.
_WORKING_BITS = 80
# exp leaves the range in which `_elementary.exp` keeps its relative accuracy.
_EXP_LARGE = 700.0

_to_arb = np.frompyfunc(flint.arb, 1, 1)


def exp(x: Ball) -> Ball:
    """Exponential of every member, entrywise: `exp(min(x, 0)) / exp(-max(x, 0))` at both ends.

    >>> e = exp(Ball.exact(1.0))
    >>> bool(e.lower() <= 2.718281828459045), bool(e.upper() >= 2.7182818284590455)
    (True, True)
    """
    lower, upper = x.lower(), x.upper()
    # Cutting an end inward loosens the bound only.
    lo = _exp_at(np.asarray(np.clip(lower, -2 * _EXP_LARGE, _EXP_LARGE))).lower()
    hi = _exp_at(np.asarray(np.clip(upper, -_EXP_LARGE, _EXP_LARGE))).upper()
    return Ball.from_bounds(
        np.maximum(lo, 0.0), np.where(upper > _EXP_LARGE, np.inf, hi), x.guaranteed
    )


def _exp_at(x: Reals) -> Ball:
    rising = _elementary.exp(Ball.exact(-np.maximum(x, 0.0)))
    falling = _elementary.exp(Ball.exact(np.minimum(x, 0.0)))
    return falling / rising


@dataclass(frozen=True)
class Monotone:
    """An increasing function that Arb encloses, with the open domain and the range."""

    at: Callable[[flint.arb], flint.arb]
    above: float = -np.inf
    range: tuple[float, float] = (-np.inf, np.inf)

    def __call__(self, x: Ball) -> Ball:
        """The function of every member: bounds from the two ends of each entry."""
        lower, upper = x.lower(), x.upper()
        if self.above > -np.inf and not (lower > self.above).all():
            raise InputProblem(f"its argument must be certainly above {self.above}; tighten it.")
        with flint.ctx.workprec(_WORKING_BITS):
            lo, hi = self._bound(lower, 0), self._bound(upper, 1)
        lo, hi = np.maximum(lo, self.range[0]), np.minimum(hi, self.range[1])
        return Ball.from_bounds(lo, hi, x.guaranteed)

    def _bound(self, end: Reals, side: int) -> Reals:
        # An infinite end says nothing; what Arb says of infinities is not needed.
        finite = np.isfinite(end)
        start = self.above + 1.0 if self.above > -np.inf else 0.0
        values = np.frompyfunc(self.at, 1, 1)(as_arb(np.where(finite, end, start)))
        return np.where(finite, arb_bounds(entries(values))[side], (-np.inf, np.inf)[side])


def _wave(at: Callable[[flint.arb], flint.arb]) -> Callable[[Ball], Ball]:
    def enclose(x: Ball) -> Ball:
        with flint.ctx.workprec(_WORKING_BITS):
            lo, hi = arb_bounds(entries(np.frompyfunc(at, 1, 1)(ball_to_arb(x))))
        return Ball.from_bounds(np.maximum(lo, -1.0), np.minimum(hi, 1.0), x.guaranteed)

    return enclose


_MIRRORED_ERFC = Monotone(lambda v: (-v).erfc(), range=(0.0, 2.0))
FUNCTIONS: dict[str, Callable[[Ball], Ball]] = {
    "exp": exp,
    "tanh": _elementary.tanh,
    "tanh_slope": _elementary.tanh_slope,
    "logistic": _elementary.logistic,
    "sqrt": Ball.sqrt,
    "expm1": Monotone(lambda v: v.expm1(), range=(-1.0, np.inf)),
    "log": Monotone(lambda v: v.log(), above=0.0),
    "log1p": Monotone(lambda v: v.log1p(), above=-1.0),
    "erf": Monotone(lambda v: v.erf(), range=(-1.0, 1.0)),
    "erfc": lambda x: _MIRRORED_ERFC(-x),
    "sin": _wave(lambda v: v.sin()),
    "cos": _wave(lambda v: v.cos()),
}


def entries(values: object) -> ArbEntries:
    """An array of objects, also where NumPy has returned the entry of a 0-d array."""
    return np.asarray(values, dtype=object)


def as_arb(array: Reals) -> ArbEntries:
    """Floats as exact Arb numbers."""
    return entries(_to_arb(np.asarray(array)))


def ball_to_arb(ball: Ball) -> ArbEntries:
    """Arb balls that hold the entries."""
    return entries(np.frompyfunc(flint.arb, 2, 1)(ball.mid, ball.rad))


def arb_bounds(array: ArbEntries) -> tuple[Reals, Reals]:
    """Floats below and above all members, entrywise; infinite where nothing is known."""
    lower = np.frompyfunc(lambda v: _float_below(v.lower()), 1, 1)(array)
    upper = np.frompyfunc(lambda v: -_float_below(-v.upper()), 1, 1)(array)
    return np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)


def _float_below(number: flint.arb) -> float:
    nearest = float(number)
    if not np.isfinite(nearest):
        # Overflow upward leaves the largest float below; anything else leaves nothing.
        return float(np.finfo(np.float64).max) if nearest > 0 and number.is_finite() else -np.inf
    while not flint.arb(nearest) <= number:
        nearest = -float(float_above(np.float64(-nearest)))
    return nearest
