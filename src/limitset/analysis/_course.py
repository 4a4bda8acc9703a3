"""What every run along a trajectory needs: its start, its inputs, its rule; and plain runs."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Key

from limitset._result import InputProblem, require_arrays
from limitset._types import State, StepIndex
from limitset.analysis._tangent_step import AbstractIntegrator, EachStep, System
from limitset.dynamics import AbstractFlow, AbstractMap

Inputs = Float[Array, " m"] | Float[Array, "t m"]
Start = State | Key[Array, ""]


class Course(eqx.Module):
    """A system, the rule that advances it, and its inputs: constant (m,), or one a step (t, m)."""

    system: System
    integrator: AbstractIntegrator
    inputs: Inputs

    def input(self, n: StepIndex) -> Float[Array, " m"]:
        """The input during step `n`."""
        return self.inputs if self.inputs.ndim == 1 else self.inputs[n]


def lay_course(
    system: System,
    start: Start,
    integrator: AbstractIntegrator | None,
    inputs: Inputs | None,
    total: int,
) -> tuple[Course, State]:
    """The course and its first state, after a look at everything that can be wrong with them.

    **Arguments:** `total`: the number of steps that inputs must last for.
    """
    if not isinstance(system, AbstractFlow | AbstractMap):
        raise InputProblem(f"system is a {type(system).__name__}; give a flow or a map")
    rule = _find_integrator(system, integrator)
    x = _find_start(system, start)
    given = jnp.zeros(system.input_size, x.dtype) if inputs is None else inputs
    require_arrays(inputs=given)
    _check_inputs(system, given, inputs is None, total)
    if given.ndim == 2 and not rule.takes_changing_inputs:
        raise InputProblem(
            f"{type(rule).__name__} looks back over steps, and inputs change between them; use "
            "RungeKutta4(step), or one input of shape (m,)"
        )
    widest = jnp.result_type(x, given, *jax.tree.leaves(eqx.filter(system, eqx.is_inexact_array)))
    if widest != x.dtype:
        raise InputProblem(
            f"start is {x.dtype}, system and inputs compute in {widest}; convert start to {widest}"
        )
    return Course(system, rule, given), x


def check_counts(**counts: object) -> None:
    """Refuse numbers of steps that are no whole numbers, or negative; by their names."""
    for name, count in counts.items():
        least = 0 if name.endswith("transient") else 1
        if isinstance(count, bool) or not (isinstance(count, int) and least <= count < 2**62):
            raise InputProblem(f"{name} is {count!r}; give a whole number, {least} or more")


@eqx.filter_jit
def settle(course: Course, x: State, first: Int[Array, ""], steps: Int[Array, ""]) -> State:
    """The state `steps` steps after step `first`."""

    def one(n: Int[Array, ""], x: State) -> State:
        return course.integrator.move(course.system, n, x, course.input(n))

    return jax.lax.fori_loop(first, first + steps, one, x)


def _find_integrator(system: System, given: AbstractIntegrator | None) -> AbstractIntegrator:
    if given is None and isinstance(system, AbstractMap):
        return EachStep()
    if not isinstance(given, AbstractIntegrator):
        raise InputProblem(
            f"integrator is {given!r} for {type(system).__name__}; give a rule with its step, as "
            "RungeKutta4(0.05) for a flow"
        )
    if not isinstance(system, given.kind):
        fit = "RungeKutta4(step)" if isinstance(system, AbstractFlow) else "EachStep()"
        raise InputProblem(
            f"{type(given).__name__} does not advance {type(system).__name__}; use {fit}"
        )
    return given


def _find_start(system: System, start: Start) -> State:
    require_arrays(start=start)
    if jnp.issubdtype(start.dtype, jax.dtypes.prng_key):
        numbers = jax.tree.leaves(eqx.filter(system, eqx.is_inexact_array))
        dtype = jnp.result_type(*numbers) if numbers else jnp.float64
        return jax.random.normal(start, (system.state_size,), dtype)
    x = jnp.asarray(start)
    if x.shape != (system.state_size,) or not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputProblem(
            f"start is {x.dtype}{list(x.shape)}; the system needs {system.state_size} "
            "floating-point numbers, or a key to draw them"
        )
    if not isinstance(x, Tracer) and not bool(jnp.isfinite(x).all()):
        raise InputProblem("start has entries that are NaN or infinite; give finite numbers")
    return x


def _check_inputs(system: System, inputs: Inputs, omitted: bool, total: int) -> None:
    needed = system.input_size
    if omitted and needed:
        raise InputProblem(
            f"no inputs came for a system with {needed}; give a constant input of shape "
            f"({needed},), or one a step, shape (steps, {needed})"
        )
    if inputs.ndim not in (1, 2) or inputs.shape[-1] != needed:
        raise InputProblem(
            f"inputs have shape {inputs.shape}; the system needs ({needed},) or (steps, {needed})"
        )
    if inputs.ndim == 2 and inputs.shape[0] < total:
        raise InputProblem(
            f"inputs last {inputs.shape[0]} steps; transients and steps together need {total}"
        )
    if not isinstance(inputs, Tracer) and not bool(jnp.isfinite(inputs).all()):
        raise InputProblem("inputs have entries that are NaN or infinite; give finite numbers")
