"""One rule per JAX primitive: from enclosures of its operands to an enclosure of its result."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from limitset.proofs._ball import Ball
from limitset.proofs._convolution_rule import CONVOLUTIONS
from limitset.proofs._functions import FUNCTIONS
from limitset.proofs._moves import MOVES
from limitset.proofs._value import (
    Machine,
    Params,
    Rule,
    Truth,
    Undecided,
    UnsupportedPrimitive,
    as_truth,
    certain,
    decided,
    is_known,
    lift,
    move,
    registrar,
)

Entries = Shaped[np.ndarray, "..."]

RULES: dict[str, Rule] = MOVES | CONVOLUTIONS
_rule = registrar(RULES)


# --- Arithmetic ---


def _arithmetic(on_integers: Callable[..., Any], on_values: Callable[..., Any]) -> Rule:
    def rule(machine: Machine, params: Params, *values: Any) -> Any:
        if all(is_known(v) and v.dtype.kind in "iu" for v in values):
            # Integers wrap around, as in JAX.
            with np.errstate(over="ignore"):
                return np.asarray(on_integers(*values))
        return on_values(machine, *(lift(machine, v) for v in values))

    return rule


def _smaller(machine: Machine, a: Any, b: Any) -> Any:
    return machine.negate(machine.larger(machine.negate(a), machine.negate(b)))


_rule("add", "add_any")(_arithmetic(np.add, lambda m, a, b: m.add(a, b)))
_rule("sub")(_arithmetic(np.subtract, lambda m, a, b: m.add(a, m.negate(b))))
_rule("mul")(_arithmetic(np.multiply, lambda m, a, b: m.multiply(a, b)))
_rule("neg")(_arithmetic(np.negative, lambda m, a: m.negate(a)))
_rule("square")(_arithmetic(np.square, lambda m, a: m.power(a, 2)))
_rule("abs")(_arithmetic(np.abs, lambda m, a: m.absolute(a)))


@_rule("div")
def _div(machine: Machine, params: Params, a: Any, b: Any) -> Any:
    return machine.divide(lift(machine, a), lift(machine, b))


@_rule("rsqrt")
def _rsqrt(machine: Machine, params: Params, a: Any) -> Any:
    root = machine.apply("sqrt", lift(machine, a))
    return machine.divide(machine.admit(np.asarray(1.0)), root)


@_rule("integer_pow")
def _integer_pow(machine: Machine, params: Params, a: Any) -> Any:
    exponent, a = int(params["y"]), lift(machine, a)
    if exponent == 0:
        return machine.admit(np.ones(a.shape))
    power = machine.power(a, abs(exponent))
    return power if exponent > 0 else machine.divide(machine.admit(np.asarray(1.0)), power)


def _maximum(on_integers: Callable[..., Any], sign: float, on_values: Callable[..., Any]) -> Rule:
    exact = _arithmetic(on_integers, on_values)

    def rule(machine: Machine, params: Params, a: Any, b: Any) -> Any:
        # Reductions start from minus infinity, which no enclosure holds.
        for constant, other in ((a, b), (b, a)):
            if is_known(constant) and constant.size and (constant == -sign * np.inf).all():
                shape = np.broadcast_shapes(constant.shape, other.shape)
                return move(machine, lambda x, shape=shape: np.broadcast_to(x, shape), other)
        return exact(machine, params, a, b)

    return rule


_rule("max")(_maximum(np.maximum, 1.0, lambda m, a, b: m.larger(a, b)))
_rule("min")(_maximum(np.minimum, -1.0, _smaller))


@_rule("clamp")
def _clamp(machine: Machine, params: Params, low: Any, x: Any, high: Any) -> Any:
    return RULES["min"](machine, params, RULES["max"](machine, params, x, low), high)


@_rule("requires")
def _requires(machine: Machine, params: Params, value: Any, required: Any) -> Any:
    """The value; `required` has been enclosed before, or has been refused."""
    return value


def _elementary(name: str) -> Rule:
    return lambda machine, params, a: machine.apply(name, lift(machine, a))


for _name in FUNCTIONS:
    _rule(_name)(_elementary(_name))


# --- Sums and products ---


def _last(axes: tuple[int, ...]) -> Callable[[Entries], Entries]:
    """The given axes flattened into a last one."""

    def rearrange(x: Entries) -> Entries:
        kept = [k for k in range(x.ndim) if k not in axes]
        length = int(np.prod([x.shape[k] for k in axes], dtype=int))
        return x.transpose(*kept, *axes).reshape([*(x.shape[k] for k in kept), length])

    return rearrange


def _reduction(on_integers: Callable[..., Any], on_values: Callable[..., Any]) -> Rule:
    def rule(machine: Machine, params: Params, a: Any) -> Any:
        axes = tuple(int(k) for k in params["axes"])
        if is_known(a) and a.dtype.kind in "iu":
            return np.asarray(on_integers(a, axis=axes))
        return on_values(machine, machine.move(_last(axes), lift(machine, a)))

    return rule


def _total(machine: Machine, a: Any) -> Any:
    if a.shape[-1] == 0:
        return machine.admit(np.zeros(a.shape[:-1]))
    return machine.total(a)


def _largest(machine: Machine, a: Any) -> Any:
    if a.shape[-1] == 0:
        raise UnsupportedPrimitive("The maximum of no entries has no value; give it entries.")
    result = a[..., 0]
    for k in range(1, a.shape[-1]):
        result = machine.larger(_array(machine, result), _array(machine, a[..., k]))
    return _array(machine, result)


def _array(machine: Machine, value: Any) -> Any:
    # NumPy hands out the entry itself of a 0-d array of objects.
    return machine.move(np.asarray, value)


def _sum_as_stored(a: Any, axis: Any) -> Any:
    # Integers wrap around as they do in JAX.
    return np.sum(a, axis=axis, dtype=a.dtype)


_rule("reduce_sum")(_reduction(_sum_as_stored, _total))
_rule("reduce_max")(_reduction(np.max, _largest))
_rule("reduce_min")(
    _reduction(np.min, lambda m, a: m.negate(_largest(m, m.negate(a)))),
)


@_rule("cumsum")
def _cumsum(machine: Machine, params: Params, a: Any) -> Any:
    axis, reverse = params["axis"], params["reverse"]
    a = machine.move(lambda x: np.moveaxis(x, axis, -1), lift(machine, a))
    shape, length = a.shape, a.shape[-1]
    if 0 in shape:
        return machine.admit(np.zeros(np.moveaxis(np.empty(shape), -1, axis).shape))
    ones = np.tril(np.ones((length, length))) if reverse else np.triu(np.ones((length, length)))
    sums = machine.matmul(machine.move(lambda x: x.reshape(-1, length), a), machine.admit(ones))
    return machine.move(lambda x: np.moveaxis(x.reshape(shape), -1, axis), sums)


@_rule("dot_general")
def _dot_general(machine: Machine, params: Params, a: Any, b: Any) -> Any:
    (a_sum, b_sum), (a_batch, b_batch) = params["dimension_numbers"]
    a, b = lift(machine, a), lift(machine, b)
    a_free = [k for k in range(len(a.shape)) if k not in (*a_sum, *a_batch)]
    b_free = [k for k in range(len(b.shape)) if k not in (*b_sum, *b_batch)]
    sizes = [
        [int(x.shape[k]) for k in axes]
        for x, axes in ((a, a_batch), (a, a_free), (b, b_free), (a, a_sum))
    ]
    batch, m, n, k = (int(np.prod(size, dtype=int)) for size in sizes)
    shape = [*sizes[0], *sizes[1], *sizes[2]]
    if 0 in (batch, m, n, k):
        return machine.admit(np.zeros(shape))
    a = machine.move(lambda x: x.transpose(*a_batch, *a_free, *a_sum).reshape(batch, m, k), a)
    b = machine.move(lambda x: x.transpose(*b_batch, *b_sum, *b_free).reshape(batch, k, n), b)
    return machine.move(lambda x: x.reshape(shape), _batched_matmul(machine, a, b))


def _batched_matmul(machine: Machine, a: Any, b: Any) -> Any:
    if a.shape[1] == b.shape[2] == 1 < len(a):
        return machine.total(machine.multiply(a[:, 0], machine.move(lambda x: x[:, :, 0], b)))
    products = [machine.matmul(a[i], b[i]) for i in range(len(a))]
    return machine.move(lambda *parts: np.stack(parts), *products)


@_rule("iota")
def _iota(machine: Machine, params: Params) -> Any:
    shape, axis = params["shape"], params["dimension"]
    inner = [n if k == axis else 1 for k, n in enumerate(shape)]
    return np.broadcast_to(np.arange(shape[axis], dtype=params["dtype"]).reshape(inner), shape)


@_rule("convert_element_type")
def _convert_element_type(machine: Machine, params: Params, a: Any) -> Any:
    new = np.dtype(params["new_dtype"])
    if isinstance(a, Truth):
        if new.kind == "b":
            return a
        raise Undecided("convert_element_type of an uncertain truth value; use smaller balls.")
    if is_known(a) and a.dtype.kind in "iub":
        if new.kind == "f" and a.dtype.kind in "iu" and np.any(np.abs(a.astype(object)) > 2**53):
            raise UnsupportedPrimitive("convert_element_type of an integer above 2^53 rounds.")
        return a.astype(new)
    if new.kind in "iub":
        raise UnsupportedPrimitive(
            f"convert_element_type of float64 to {new} rounds; compare with a threshold instead."
        )
    return a


# --- Comparisons and branches ---


def _ends(machine: Machine, value: Any) -> tuple[Entries, Entries]:
    """Lower and upper ends; infinite constants are their own ends."""
    if isinstance(value, Truth):
        raise Undecided("a truth value is not certain for all members; use smaller balls.")
    if is_known(value):
        if value.dtype.kind == "f" and np.isnan(value).any():
            raise UnsupportedPrimitive("A comparison with NaN; remove NaN from the constants.")
        return value, value
    if isinstance(value, Ball) and not value.guaranteed:
        raise UnsupportedPrimitive("a branch depends on a ball without guarantee; verify it first.")
    return machine.bounds(value)


Ends = tuple[Entries, Entries]


def _below(a: Ends, b: Ends) -> Truth:
    return Truth(np.asarray(a[1] < b[0]), np.asarray(a[0] >= b[1]))


def _equal(a: Ends, b: Ends) -> Truth:
    same = (a[0] == a[1]) & (b[0] == b[1]) & (a[0] == b[0])
    return Truth(np.asarray(same), np.asarray((a[1] < b[0]) | (b[1] < a[0])))


def _negation(truth: Truth) -> Truth:
    return Truth(truth.no, truth.yes)


def _comparison(compare: Callable[[Ends, Ends], Truth], of_itself: bool) -> Rule:
    def rule(machine: Machine, params: Params, a: Any, b: Any) -> Any:
        if a is b and not is_known(a):
            # Real numbers equal themselves: this is how programs look for NaN.
            return np.full(a.shape, of_itself)
        return decided(compare(_ends(machine, a), _ends(machine, b)))

    return rule


_rule("lt")(_comparison(_below, False))
_rule("ge")(_comparison(lambda a, b: _negation(_below(a, b)), True))
_rule("gt")(_comparison(lambda a, b: _below(b, a), False))
_rule("le")(_comparison(lambda a, b: _negation(_below(b, a)), True))
_rule("eq")(_comparison(_equal, True))
_rule("ne")(_comparison(lambda a, b: _negation(_equal(a, b)), False))


def _booleans(*values: Any) -> list[Truth]:
    if not all(isinstance(v, Truth) or v.dtype == bool for v in values):
        raise UnsupportedPrimitive("Bitwise operations on integers are not supported; avoid them.")
    return [as_truth(v) for v in values]


@_rule("not")
def _not(machine: Machine, params: Params, a: Any) -> Any:
    return decided(_negation(_booleans(a)[0]))


@_rule("and")
def _and(machine: Machine, params: Params, a: Any, b: Any) -> Any:
    p, q = _booleans(a, b)
    return decided(Truth(p.yes & q.yes, p.no | q.no))


@_rule("or")
def _or(machine: Machine, params: Params, a: Any, b: Any) -> Any:
    p, q = _booleans(a, b)
    return decided(Truth(p.yes | q.yes, p.no & q.no))


@_rule("is_finite")
def _is_finite(machine: Machine, params: Params, a: Any) -> Any:
    """Real numbers are finite."""
    return np.isfinite(a) if is_known(a) else np.ones(a.shape, bool)


@_rule("select_n")
def _select_n(machine: Machine, params: Params, which: Any, *cases: Any) -> Any:
    if isinstance(which, Truth):
        undecided = int(np.count_nonzero(~(which.yes | which.no)))
        raise Undecided(f"its branch is not certain in {undecided} entries; use smaller balls.")
    index = np.asarray(certain(which, "its branch"), dtype=np.int64)
    # One case throughout: the other one need not even be a number (a guard against 0/0 is NaN).
    if index.size and (index == index.flat[0]).all():
        return cases[int(index.flat[0])]
    return move(machine, lambda *parts: _pick(index, parts), *cases)


def _pick(index: Entries, parts: tuple[Entries, ...]) -> Entries:
    result = parts[0]
    for k, part in enumerate(parts[1:], 1):
        result = np.where(index == k, part, result)
    return result


@_rule("sign")
def _sign(machine: Machine, params: Params, a: Any) -> Any:
    if is_known(a) and a.dtype.kind in "iu":
        return np.sign(a)
    return _signs(*_ends(machine, a), zero_allowed=True)


@_rule("side")
def _side(machine: Machine, params: Params, a: Any) -> Any:
    return _signs(*_ends(machine, a), zero_allowed=False)


def _signs(lo: Entries, hi: Entries, zero_allowed: bool) -> Float[np.ndarray, "..."]:
    zero = (lo == 0) & (hi == 0) & zero_allowed
    if not ((lo > 0) | (hi < 0) | zero).all():
        raise Undecided("the sign of its argument is not certain; use smaller balls, off the kink.")
    return np.where(lo > 0, 1.0, np.where(hi < 0, -1.0, 0.0))
