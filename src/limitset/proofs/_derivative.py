"""Derivatives of JAX functions in a form that `enclose` can turn into theorems.

`jax.jvp` alone is no basis for a proof: custom rules are promises, `stop_gradient` hides terms,
kinks and jumps get some slope, and some rules hold rounded constants. Here a function is first
rewritten: calls and custom rules are opened, `stop_gradient` is dropped, a branch leaves a `side`
which has no enclosure at 0, and primitives with inexact rules are refused. A derivative is
enclosed only together with the function, so that the function is defined and smooth on the balls.
The slope of tanh becomes a primitive, which has a tight and relatively accurate enclosure.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray, Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from limitset.proofs._enclose import CALLS, needed_variables
from limitset.proofs._moves import MOVES
from limitset.proofs._value import UnsupportedPrimitive

Reals = Float[Array | np.ndarray, "..."]
Function = Callable[..., Any]


def _primitive(name: str, function: Callable[..., Reals]) -> Primitive:
    """A primitive whose result has the shape of its first operand."""
    primitive = Primitive(name)
    primitive.def_impl(function)
    primitive.def_abstract_eval(lambda x, *others: ShapedArray(x.shape, x.dtype))
    batching.primitive_batchers[primitive] = lambda args, axes: (primitive.bind(*args), axes[0])
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
    return primitive


def _tanh_slope(x: Reals) -> Reals:
    e = jnp.exp(-2 * jnp.abs(x))
    return 4 * e / (1 + e) ** 2


# `1 - tanh(x)^2`; the sign of `x`, which is not enclosed at x = 0; and a value, which is enclosed
# only where another one is.
_TANH_SLOPE = _primitive("tanh_slope", _tanh_slope)
_SIDE = _primitive("side", jnp.sign)
_REQUIRES = _primitive("requires", lambda value, required: value)
ad.defjvp(_TANH_SLOPE, lambda g, x: -2.0 * g * _tanh(x) * _TANH_SLOPE.bind(x))
ad.defjvp(_SIDE, None)


@jax.custom_jvp
def _tanh(x: Reals) -> Reals:
    return jnp.tanh(x)


@_tanh.defjvp
def _tanh_jvp(primals: tuple[Reals], tangents: tuple[Reals]) -> tuple[Reals, Reals]:
    return _tanh(*primals), _TANH_SLOPE.bind(*primals) * tangents[0]


@jax.custom_jvp
def _logistic(x: Reals) -> Reals:
    return jax.lax.logistic(x)


@_logistic.defjvp
def _logistic_jvp(primals: tuple[Reals], tangents: tuple[Reals]) -> tuple[Reals, Reals]:
    return _logistic(*primals), 0.25 * _TANH_SLOPE.bind(0.5 * primals[0]) * tangents[0]


def _larger(x: Reals, y: Reals) -> Reals:
    return jnp.where(_SIDE.bind(x - y) > 0, x, y)


def _smaller(x: Reals, y: Reals) -> Reals:
    return jnp.where(_SIDE.bind(x - y) > 0, y, x)


@jax.custom_jvp
def _logaddexp(x: Reals, y: Reals) -> Reals:
    return jnp.logaddexp(x, y)


@_logaddexp.defjvp
def _logaddexp_jvp(
    primals: tuple[Reals, Reals], tangents: tuple[Reals, Reals]
) -> tuple[Reals, Reals]:
    (x, y), (dx, dy) = primals, tangents
    return _logaddexp(x, y), _logistic(x - y) * dx + _logistic(y - x) * dy


_REPLACED: dict[str, Function] = {
    "tanh": _tanh,
    "logistic": _logistic,
    "abs": lambda x: _SIDE.bind(x) * x,
    "sign": _SIDE.bind,
    "max": _larger,
    "min": _smaller,
    "clamp": lambda low, x, high: _smaller(_larger(x, low), high),
    "stop_gradient": lambda x: x,
}
# Strictly between branches: at equality the derivative need not exist.
_COMPARED: dict[str, Function] = {
    "lt": lambda x, y: _SIDE.bind(x - y) < 0,
    "le": lambda x, y: _SIDE.bind(x - y) < 0,
    "gt": lambda x, y: _SIDE.bind(x - y) > 0,
    "ge": lambda x, y: _SIDE.bind(x - y) > 0,
}
# Primitives whose derivative in JAX is exact in real arithmetic. Not among them: erf (a rounded
# 2/sqrt(pi)), reduce_max and the like (ties).
_EXACT = MOVES.keys() | {
    *("add", "add_any", "sub", "mul", "div", "neg", "integer_pow", "square", "sqrt", "rsqrt"),
    *("exp", "expm1", "log", "log1p", "sin", "cos", "tanh_slope"),
    *(
        "dot_general",
        "conv_general_dilated",
        "reduce_sum",
        "cumsum",
        "select_n",
        "convert_element_type",
        "is_finite",
    ),
    *("side", "requires"),
}


@jax.custom_jvp
def _requiring(value: Reals, required: Reals, arguments: Any) -> Reals:
    return _REQUIRES.bind(value, required)


@_requiring.defjvp
def _requiring_jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Reals, Reals]:
    # A custom rule receives zeros as arrays: also the derivative of a step function gets here,
    # since the arguments have tangents.
    return _requiring(*primals), _requiring(tangents[0], *primals[1:])


def _as_written(f: Function) -> Function:
    """The same real function, with derivatives that are derivatives wherever they are enclosed."""

    def rewritten(*arguments: Any) -> Any:
        closed, shapes = jax.make_jaxpr(lambda *a: f(*a), return_shape=True)(*arguments)
        leaves = [(leaf, True) for leaf in jax.tree.leaves(arguments)]
        results = _evaluate(closed.jaxpr, _tracked(closed.consts), leaves)
        values = [_requiring(v, v, arguments) if _is_float(v) else v for v, _ in results]
        return jax.tree.unflatten(jax.tree.structure(shapes), values)

    return rewritten


def _is_float(value: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.floating)


# A value, and whether it may depend on the arguments.
Tracked = tuple[Any, bool]


def _tracked(constants: Sequence[Any]) -> list[Tracked]:
    """A variable of a surrounding derivative looks like a constant from inside."""
    return [(constant, isinstance(constant, Tracer)) for constant in constants]


def _evaluate(
    jaxpr: Jaxpr, constants: Sequence[Tracked], arguments: Sequence[Tracked]
) -> list[Tracked]:
    place: dict[Any, Tracked] = dict(zip(jaxpr.invars, arguments, strict=True))
    place.update(zip(jaxpr.constvars, constants, strict=True))

    def read(atom: Any) -> Tracked:
        return (jnp.asarray(atom.val), False) if isinstance(atom, Literal) else place[atom]

    needed = needed_variables(jaxpr)
    for equation in jaxpr.eqns:
        if needed.isdisjoint(equation.outvars):
            continue
        results = _equation(equation, [read(v) for v in equation.invars])
        place.update(zip(equation.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _equation(equation: JaxprEqn, inputs: list[Tracked]) -> list[Tracked]:
    name, params = equation.primitive.name, equation.params
    values, depends = [v for v, _ in inputs], any(d for _, d in inputs)
    if name == "custom_jvp_call" and _is_requirement(params["call_jaxpr"]):
        # A derivative of a derivative: opened, the requirement has no rule.
        return [(_requiring(values[0], values[1], values[2:]), depends)]
    if name == "custom_jvp_call" and _is_logaddexp(params["call_jaxpr"]):
        return [(_logaddexp(*values), depends)]
    if name in CALLS:
        body = params[CALLS[name]]
        closed = isinstance(body, ClosedJaxpr)
        constants = _tracked(body.consts) if closed else []
        return _evaluate(body.jaxpr if closed else body, constants, inputs)
    if name == "scan":
        return [(value, depends) for value in _scan(equation, values)]
    if depends and any(_is_float(v) for v in values):
        if name in _REPLACED or name in _COMPARED:
            return [((_REPLACED | _COMPARED)[name](*values), depends)]
        if not (name in _EXACT or _is_settled(name, equation, values)):
            raise UnsupportedPrimitive(
                f"Primitive '{name}' has no exact derivative here; supported are "
                f"{', '.join(sorted(_EXACT | _REPLACED.keys() | _COMPARED.keys()))}: use those."
            )
    result = equation.primitive.bind(*values, **params)
    return [(r, depends) for r in (result if equation.primitive.multiple_results else [result])]


def _is_settled(name: str, equation: JaxprEqn, values: list[Any]) -> bool:
    """Tests for NaN and infinity: constant on the reals."""
    if name not in ("eq", "ne"):
        return False
    x, y = equation.invars
    return x is y or any(
        isinstance(v, Literal) and not np.isfinite(np.asarray(v.val)).any() for v in (x, y)
    )


def _is_requirement(body: ClosedJaxpr) -> bool:
    return any(equation.primitive is _REQUIRES for equation in body.jaxpr.eqns)


def _is_logaddexp(body: ClosedJaxpr) -> bool:
    """Opened, logaddexp has kinks that it does not have as a whole."""
    if len(body.jaxpr.invars) != 2:
        return False
    source, text = _logaddexp_of(*(variable.aval.shape for variable in body.jaxpr.invars))
    return body.jaxpr.debug_info.func_src_info == source and str(body.jaxpr) == text


@functools.cache
def _logaddexp_of(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[str, str]:
    """File and line, as JAX records them, and the program; a wrapper may borrow the first."""
    shapes = (jax.ShapeDtypeStruct(shape, jnp.float64) for shape in (first, second))
    equations = jax.make_jaxpr(jnp.logaddexp)(*shapes).jaxpr.eqns
    while equations[0].primitive.name != "custom_jvp_call":
        equations = equations[0].params["jaxpr"].jaxpr.eqns
    body = equations[0].params["call_jaxpr"].jaxpr
    return body.debug_info.func_src_info, str(body)


def _scan(equation: JaxprEqn, values: list[Any]) -> list[Any]:
    """The loop again, around the rewritten body."""
    params = equation.params
    first, carried = params["num_consts"], params["num_carry"]
    body = params["jaxpr"]

    def step(carry: tuple[Any, ...], entries: tuple[Any, ...]) -> tuple[tuple, tuple]:
        inputs = [(v, True) for v in (*values[:first], *carry, *entries)]
        results = _evaluate(body.jaxpr, _tracked(body.consts), inputs)
        outputs = tuple(value for value, _ in results)
        return outputs[:carried], outputs[carried:]

    carry, stacked = jax.lax.scan(
        step,
        tuple(values[first : first + carried]),
        tuple(values[first + carried :]),
        length=params["length"],
        reverse=params["reverse"],
    )
    return [*carry, *stacked]


def jacobian(f: Function) -> Function:
    """`jacobian(f)(x, ...)[i, j] = d f_i / d x_j`, as a JAX function to be enclosed.

    **Arguments:** `f` takes `x` of shape (n,), and others that are passed on, and returns shape
    (m,).

    **Returns:** a function of the same arguments, with values of shape (m, n). Where `f` has a kink
    it has no enclosure.

    **Raises:** `UnsupportedPrimitive`, when traced, for primitives without an exact derivative.

    **Example:**

    >>> import numpy as np
    >>> from limitset.proofs._ball import Ball
    >>> from limitset.proofs._enclose import enclose
    >>> slope = enclose(jacobian(jnp.tanh))(Ball(np.array([0.0]), np.array([0.1])))
    >>> bool(slope.lower()[0, 0] >= 0.990066), bool(slope.upper()[0, 0] <= 1.0 + 1e-15)
    (True, True)
    """

    def derivative(x: Reals, *others: Any) -> Reals:
        return jax.jacfwd(lambda z: _as_written(f)(z, *others))(x)

    return derivative


def directional(f: Function) -> Function:
    """`directional(f)(x, u, ...) = Df(x) u`; arguments after `u` are passed on to `f`.

    >>> float(directional(lambda x: x**3)(2.0, 1.0))
    12.0
    """
    return lambda x, u, *others: _along(_as_written(f), (u,), others)(x)


def second_directional(f: Function) -> Function:
    """`second_directional(f)(x, u, v, ...) = D2f(x)(u, v)`; further arguments go to `f`.

    >>> float(second_directional(lambda x: x**3)(2.0, 1.0, 1.0))
    12.0
    """
    return lambda x, u, v, *others: _along(_as_written(f), (u, v), others)(x)


def third_directional(f: Function) -> Function:
    """`third_directional(f)(x, u, v, w, ...) = D3f(x)(u, v, w)`; further arguments go to `f`.

    >>> float(third_directional(lambda x: x**3)(2.0, 1.0, 1.0, 1.0))
    6.0
    """
    return lambda x, u, v, w, *others: _along(_as_written(f), (u, v, w), others)(x)


def _along(f: Function, directions: tuple[Any, ...], others: tuple[Any, ...]) -> Function:
    """Nested tangents: `x -> D^k f(x)(u_1, ..., u_k)`."""

    def last(x: Any) -> Any:
        return f(x, *others)

    for direction in directions:
        last = _tangent(last, direction)
    return last


def _tangent(f: Function, direction: Any) -> Function:
    return lambda x: jax.jvp(f, (x,), (direction,))[1]
