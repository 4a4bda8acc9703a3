"""What a system does after a while, from small and from large starts, as a parameter changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from limitset._result import InputProblem
from limitset._types import State
from limitset.analysis._course import Course, check_counts, lay_course, settle
from limitset.analysis._tangent_step import AbstractIntegrator, System

Observable = Callable[[State], Float[Array, ""]]


@dataclass(frozen=True)
class HysteresisSweep:
    """Activity along rising and along falling values of a parameter.

    - `values`: the parameter, rising, shape (p,).
    - `rising`, `falling`: the activity at each value, in the order of `values`, shape (p,): what
      the sweep that began at the first value with the small start found, and the one that began
      at the last value with the large start. NaN from where a state left the finite numbers.
    """

    values: Float[np.ndarray, " p"]
    rising: Float[np.ndarray, " p"]
    falling: Float[np.ndarray, " p"]

    def coexistence(self, threshold: float) -> Bool[np.ndarray, " p"]:
        """Where the falling sweep is active and the rising one is not, by a threshold."""
        return (self.falling > threshold) & (self.rising <= threshold)


def mean_square(x: State) -> Float[Array, ""]:
    """The mean of the squares of all state variables."""
    return jnp.mean(x**2)


def activity(
    system: System,
    start: State,
    *,
    steps: int,
    transient: int,
    integrator: AbstractIntegrator | None = None,
    observable: Observable = mean_square,
) -> float:
    """The time average of an observable after a transient.

    **Arguments:**

    - `system`: a flow or a map, without inputs; `start`: its first state, shape (n,).
    - `transient`, `steps`: steps to skip, and steps to average over.
    - `integrator`: as in `lyapunov_spectrum`.
    - `observable`: what to average, a function of the state in JAX.

    **Returns:** the average; NaN where the state left the finite numbers.

    **Raises:** `InputProblem` if sizes, dtypes or numbers do not fit.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.analysis import RungeKutta4
    >>> from limitset.networks import RateNetwork
    >>> bistable = RateNetwork(jnp.array([[2.0]]))
    >>> rule = RungeKutta4(0.1)
    >>> round(activity(bistable, jnp.ones(1), steps=10, transient=500, integrator=rule), 4)
    3.6673
    """
    check_counts(steps=steps, transient=transient)
    course, x = lay_course(system, start, integrator, None, steps + transient)
    return float(_average(course, x, jnp.asarray(transient), steps, observable)[0])


def hysteresis_sweep(
    family: Callable[[float], System],
    values: Sequence[float],
    *,
    small: State,
    large: State,
    steps: int,
    transient: int,
    integrator: AbstractIntegrator | None = None,
    observable: Observable = mean_square,
) -> HysteresisSweep:
    """Activity along a parameter, upwards from a small start and downwards from a large one.

    At each value the sweep goes on from the state that it had at the value before, plus the small
    start: without that kick an unstable rest state would be left only after a very long time.

    **Arguments:**

    - `family`: the system at a value of the parameter; the same kind and size for all.
    - `values`: the parameter, rising.
    - `small`, `large`: the first states of the two sweeps, shape (n,); `small` is also the kick.
    - `transient`, `steps`: at each value, steps to skip and steps to average over.
    - `integrator`, `observable`: as in `activity`.

    **Returns:** a `HysteresisSweep`.

    **Raises:** `InputProblem` if sizes, dtypes or numbers do not fit.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.analysis import RungeKutta4
    >>> from limitset.networks import RateNetwork
    >>> def biased(b):
    ...     return RateNetwork(jnp.array([[2.0]]), bias=jnp.array([b]))
    >>> sweep = hysteresis_sweep(
    ...     biased, [-0.8, 0.0, 0.8], small=jnp.array([-1e-3]), large=jnp.ones(1),
    ...     steps=10, transient=500, integrator=RungeKutta4(0.1), observable=lambda x: x[0],
    ... )
    >>> sweep.rising.round(1).tolist(), sweep.falling.round(1).tolist()
    ([-2.8, -1.9, 2.8], [-2.8, 1.9, 2.8])
    """
    check_counts(steps=steps, transient=transient)
    grid = np.asarray(values, np.float64)
    if grid.ndim != 1 or not len(grid) or not np.isfinite(grid).all() or (np.diff(grid) <= 0).any():
        raise InputProblem("values do not rise, or are not finite; sort them, drop repeats")
    results = {}
    for name, order, start in (("rising", grid, small), ("falling", grid[::-1], large)):
        x, found = start, []
        for value in order:
            course, _ = lay_course(family(float(value)), start, integrator, None, steps)
            mean, x = _average(course, x, jnp.asarray(transient), steps, observable)
            x = x + small
            found.append(float(mean))
        results[name] = np.array(found)
    return HysteresisSweep(grid, results["rising"], results["falling"][::-1])


@eqx.filter_jit
def _average(
    course: Course, x: State, transient: Int[Array, ""], steps: int, observable: Observable
) -> tuple[Float[Array, ""], State]:
    x = settle(course, x, jnp.asarray(0), transient)

    def one(carry: tuple[State, Float[Array, ""]], n: Array) -> tuple[tuple[State, Array], None]:
        x, total = carry
        x = course.integrator.move(course.system, n, x, course.input(n))
        return (x, total + observable(x).astype(jnp.float64)), None

    zero = jnp.zeros((), jnp.float64)
    (x, total), _ = jax.lax.scan(one, (x, zero), transient + jnp.arange(steps))
    return total / steps, x
