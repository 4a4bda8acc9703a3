"""Enclosures of any function that JAX can trace, by interpreting its jaxpr."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

# Imported for JAX's float64 mode.
import limitset._types as _types  # noqa: F401
from limitset._result import InputProblem
from limitset.proofs._arithmetic import AbstractArithmetic, BallArithmetic
from limitset.proofs._moves import MOVES
from limitset.proofs._primitives import RULES
from limitset.proofs._value import (
    Machine,
    Params,
    Rule,
    Truth,
    Undecided,
    UnsupportedPrimitive,
    is_known,
    lift,
    move,
    widen,
)

# Calls whose body is interpreted in place, and the parameter that holds the body.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}


@dataclass(frozen=True, eq=False)
class Step:
    """One primitive applied to numbered slots."""

    name: str
    rule: Rule
    params: Params
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def run(self, machine: Machine, slots: dict[int, Any]) -> None:
        """Compute the outputs from the inputs."""
        try:
            result = self.rule(machine, self.params, *(slots[i] for i in self.inputs))
        except Undecided as problem:
            raise Undecided(_named(self.name, problem)) from None
        except UnsupportedPrimitive as problem:
            raise UnsupportedPrimitive(_named(self.name, problem)) from None
        except (InputProblem, ZeroDivisionError) as problem:
            raise Undecided(_named(self.name, problem)) from None
        results = result if isinstance(result, list) else [result]
        slots.update(zip(self.outputs, results, strict=True))


def _named(name: str, problem: Exception) -> str:
    text = str(problem)
    return text if text.startswith("Primitive ") else f"Primitive '{name}': {text}"


@dataclass(frozen=True, eq=False)
class Program:
    """A straight line of steps; whatever depends on constants only has been computed."""

    constants: dict[int, Any]
    inputs: tuple[int, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def run(self, machine: Machine, values: Sequence[Any]) -> list[Any]:
        """The outputs for the given inputs."""
        slots = dict(self.constants)
        slots.update(zip(self.inputs, values, strict=True))
        for step in self.steps:
            step.run(machine, slots)
        return [slots[i] for i in self.outputs]


def enclose(
    f: Callable[..., Any], arithmetic: AbstractArithmetic[Any] | None = None
) -> Callable[..., Any]:
    """A function that encloses `f` over balls.

    The result holds `f(x)`, in real arithmetic, with the stored constants exact, for all `x` in the
    balls. It is a statement about the real function that the program denotes, not about its float
    evaluation. Programs are traced once per structure and shapes of the arguments.

    **Arguments:**

    - `f`: takes and returns pytrees of float64 arrays; anything that `jax.make_jaxpr` traces
      into the primitives of `RULES`, with calls, custom derivatives and `scan` opened.
    - `arithmetic`: `BallArithmetic()` if omitted, or `ArbArithmetic(precision)`.

    **Returns:** a function of the same arguments, in which leaves are balls, or floats taken as
    exact; with `ArbArithmetic` also arrays of `flint.arb`. It returns enclosures where `f` returns
    floats.

    **Raises:** `UnsupportedPrimitive` for a program that has no rule (unknown primitive, floats
    narrower than float64, complex numbers, loops of unknown length); `Undecided` where smaller
    balls may pass (uncertain branch, division by a ball around 0); `InputProblem` for NaN,
    infinities or wrong types in the arguments.

    **Example:**

    >>> from limitset.proofs._ball import Ball
    >>> y = enclose(lambda x: jnp.tanh(2.0 * x))(Ball(np.array([0.5]), np.array([0.1])))
    >>> bool(y.lower()[0] <= 0.6640367702678491), bool(y.upper()[0] >= 0.8336546070121553)
    (True, True)
    """
    machine: Machine = BallArithmetic() if arithmetic is None else arithmetic
    programs: dict[Hashable, tuple[Program, Any]] = {}

    def enclosed(*arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        with machine.session():
            values = [machine.admit(leaf) for leaf in leaves]
            shapes = tuple(tuple(v.shape) for v in values)
            # The text too: static fields 1 and 1.0 are equal, and may mean different programs.
            key = (structure, str(structure), shapes)
            if key not in programs:
                programs[key] = _trace(f, structure, shapes, machine)
            program, out_structure = programs[key]
            results = [_answer(machine, v) for v in program.run(machine, values)]
        return jax.tree.unflatten(out_structure, results)

    return enclosed


def _answer(machine: Machine, value: Any) -> Any:
    """Floats become enclosures also where they are constants; integers and truths stay."""
    if isinstance(value, Truth):
        raise Undecided("A truth value that is returned is not certain; use smaller balls.")
    return lift(machine, value) if is_known(value) and value.dtype.kind == "f" else value


def _trace(
    f: Callable[..., Any], structure: Any, shapes: tuple[tuple[int, ...], ...], machine: Machine
) -> tuple[Program, Any]:
    zeros = [jax.ShapeDtypeStruct(shape, jnp.float64) for shape in shapes]
    arguments = jax.tree.unflatten(structure, zeros)
    # A function of its own: JAX keeps programs of one function, also for equal static fields.
    closed, out_shapes = jax.make_jaxpr(lambda *a: f(*a), return_shape=True)(*arguments)
    return _compile(closed, machine), jax.tree.structure(out_shapes)


def _compile(closed: ClosedJaxpr, machine: Machine) -> Program:
    builder = _Builder(machine)
    inputs = [builder.slot() for _ in closed.jaxpr.invars]
    outputs = builder.inline(closed.jaxpr, closed.consts, inputs)
    return builder.program(inputs, outputs)


class _Builder:
    """Opens calls, merges equal steps, and computes at once what depends on constants only."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.constants: dict[int, Any] = {}
        self.steps: list[Step] = []
        self.count = 0
        self.known_steps: dict[Hashable, tuple[int, ...]] = {}
        self.literals: dict[Hashable, int] = {}

    def slot(self) -> int:
        self.count += 1
        return self.count

    def constant(self, value: Any) -> int:
        array = widen(value)
        # Scalars are shared, so that equal steps have equal inputs.
        key = (array.dtype.str, array.tobytes()) if array.ndim == 0 else self.count + 1
        if key not in self.literals:
            self.literals[key] = self.slot()
            self.constants[self.literals[key]] = array
        return self.literals[key]

    def inline(self, jaxpr: Jaxpr, constants: Sequence[Any], inputs: Sequence[int]) -> list[int]:
        """Add the equations of a jaxpr; returns the slots of its outputs."""
        place: dict[Any, int] = dict(zip(jaxpr.invars, inputs, strict=True))
        place.update((v, self.constant(c)) for v, c in zip(jaxpr.constvars, constants, strict=True))

        def read(atom: Any) -> int:
            return self.constant(atom.val) if isinstance(atom, Literal) else place[atom]

        needed = needed_variables(jaxpr)
        for equation in jaxpr.eqns:
            if needed.isdisjoint(equation.outvars):
                continue
            slots = self.equation(equation, [read(v) for v in equation.invars])
            place.update(zip(equation.outvars, slots, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def equation(self, equation: JaxprEqn, inputs: list[int]) -> Sequence[int]:
        name = equation.primitive.name
        if name in CALLS:
            body = equation.params[CALLS[name]]
            constants = body.consts if isinstance(body, ClosedJaxpr) else ()
            inner = body.jaxpr if isinstance(body, ClosedJaxpr) else body
            return self.inline(inner, constants, inputs)
        if name == "scan":
            params = {
                **equation.params,
                "program": _compile(equation.params["jaxpr"], self.machine),
            }
            params["stacked"] = [v.aval for v in equation.outvars[params["num_carry"] :]]
            return self.add("scan", _scan, params, inputs, len(equation.outvars))
        if name not in RULES:
            raise UnsupportedPrimitive(
                f"Primitive '{name}' is not supported; write the function with supported ones "
                f"(scan, calls, {', '.join(sorted(RULES))}), or take '{name}' out of it."
            )
        _check_precision(equation)
        key = (name, tuple(inputs), repr(equation.params))
        if key not in self.known_steps:
            slots = self.add(name, RULES[name], equation.params, inputs, len(equation.outvars))
            self.known_steps[key] = slots
        return self.known_steps[key]

    def add(
        self, name: str, rule: Rule, params: Params, inputs: Sequence[int], results: int
    ) -> tuple[int, ...]:
        step = Step(name, rule, params, tuple(inputs), tuple(self.slot() for _ in range(results)))
        if all(i in self.constants for i in inputs):
            step.run(self.machine, self.constants)
        else:
            self.steps.append(step)
        return step.outputs

    def program(self, inputs: Sequence[int], outputs: Sequence[int]) -> Program:
        """What the outputs need, and nothing else."""
        needed, steps = set(outputs), []
        for step in reversed(self.steps):
            if not needed.isdisjoint(step.outputs):
                needed.update(step.inputs)
                steps.append(step)
        constants = {
            slot: self._lifted(value) for slot, value in self.constants.items() if slot in needed
        }
        return Program(constants, tuple(inputs), tuple(reversed(steps)), tuple(outputs))

    def _lifted(self, value: Any) -> Any:
        """Finite floats as enclosures, once; infinite ones serve comparisons as they are."""
        is_number = is_known(value) and value.dtype == np.float64 and np.isfinite(value).all()
        return self.machine.admit(value) if is_number else value


def needed_variables(jaxpr: Jaxpr) -> set[Any]:
    """Variables that the outputs depend on."""
    needed = {v for v in jaxpr.outvars if not isinstance(v, Literal)}
    for equation in reversed(jaxpr.eqns):
        if not needed.isdisjoint(equation.outvars):
            needed.update(v for v in equation.invars if not isinstance(v, Literal))
    return needed


def _check_precision(equation: JaxprEqn) -> None:
    """Floats narrower than float64 may be stored, moved and widened, not computed."""
    name = equation.primitive.name
    widest = max((_bits(_dtype(v)) for v in equation.invars), default=0)
    for result in equation.outvars:
        dtype = _dtype(result)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            raise UnsupportedPrimitive(
                f"Primitive '{name}' returns {dtype}; write real and imaginary parts separately."
            )
        exact = name in MOVES or (name == "convert_element_type" and 0 < widest <= _bits(dtype))
        if 0 < _bits(dtype) < 64 and not exact:
            raise UnsupportedPrimitive(
                f"Primitive '{name}' computes in {dtype}; proofs are about float64 programs: "
                "convert the weights to float64 first."
            )


def _dtype(variable: Any) -> np.dtype:
    return variable.aval.dtype


def _bits(dtype: Any) -> int:
    """Width of a float; 0 for other types."""
    return jnp.finfo(dtype).bits if jnp.issubdtype(dtype, jnp.floating) else 0


def _scan(machine: Machine, params: Params, *values: Any) -> list[Any]:
    """A loop of fixed length, unrolled; stacked results keep the order of the inputs."""
    program: Program = params["program"]
    first, carried = params["num_consts"], params["num_carry"]
    constants, carry = values[:first], list(values[first : first + carried])
    sequences, stacked = values[first + carried :], {}
    order = range(params["length"])
    for i in reversed(order) if params["reverse"] else order:
        entries = [move(machine, lambda x, i=i: x[i], s) for s in sequences]
        results = program.run(machine, [*constants, *carry, *entries])
        carry, stacked[i] = results[:carried], results[carried:]
    columns = zip(*(stacked[i] for i in order), strict=True) if stacked else ()
    outputs = [move(machine, lambda *parts: np.stack(parts), *column) for column in columns]
    if not stacked:
        outputs = [np.zeros(aval.shape, aval.dtype) for aval in params["stacked"]]
    return [*carry, *outputs]
