"""How long a network's units remember: second moments at two times, measured on a trajectory."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset._types import Input, State
from limitset.analysis._tangent_step import AbstractIntegrator, System

Observe = Callable[[State], Float[Array, " units"]]

# Blocks of one trajectory, whose scatter gives the error.
BLOCKS = 8


class Autocorrelation(eqx.Module):
    """`C(lag) = <o(t) o(t + lag)>` over units and times, with the scatter between blocks of time.

    The mean is not taken off: mean-field theory speaks of second moments. `kurtosis` is
    `<o^4> / <o^2>^2`, 3 for normal values. The errors know nothing of the scatter between networks
    of one ensemble, which is often larger.
    """

    lags: Float[np.ndarray, " lags"]
    values: Float[np.ndarray, " lags"]
    standard_errors: Float[np.ndarray, " lags"]
    kurtosis: float

    @property
    def variance(self) -> float:
        """`C(0)`."""
        return float(self.values[0])


def autocorrelation(
    system: System,
    state: State,
    *,
    integrator: AbstractIntegrator,
    time: float | int,
    longest_lag: float | int,
    transient: float | int = 100.0,
    interval: float = 0.5,
    observe: Observe | None = None,
) -> Autocorrelation:
    """The autocorrelation of what is observed of one autonomous trajectory.

    **Arguments:**

    - `system`: a flow or a map without inputs; of inputs, if it has any, 0 is given.
    - `state`: shape (n,), where it starts.
    - `integrator`: how it steps, such as `RungeKutta4(0.1)`.
    - `time`, after `transient`: how long it is observed, in units of time; at least 8 times
      `longest_lag`, for the errors.
    - `interval`: between observations, and between lags; a multiple of the step.
    - `observe`: what is looked at, from the state, shape (n,), to shape (units,); the state itself
      if omitted.

    **Returns:** lags from 0 to `longest_lag`, values and standard errors.

    **Raises:** `InputProblem` for times that do not fit, and for a trajectory that overflows.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.analysis import EachStep
    >>> from limitset.networks import Elman
    >>> turn = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    >>> cell = Elman(jnp.zeros((2, 0)), turn, jnp.zeros(2), jnp.zeros(2), "identity")
    >>> ways = {"integrator": EachStep(), "time": 64, "longest_lag": 4, "interval": 1.0}
    >>> found = autocorrelation(cell, jnp.array([1.0, 0.0]), transient=0, **ways)
    >>> (2 * found.values).tolist()
    [1.0, 0.0, -1.0, 0.0, 1.0]
    """
    require_arrays(state=state)
    if not isinstance(system, integrator.kind):
        raise InputProblem(
            f"{type(integrator).__name__} is for a {integrator.kind.__name__[8:].lower()}, and the "
            f"system is a {type(system).__name__}; choose another integrator"
        )
    every = _steps("interval", interval, integrator.step)
    lags = _steps("longest_lag", longest_lag, interval)
    samples = _steps("time", time, interval)
    waiting = 0 if transient == 0 else _steps("transient", transient, integrator.step)
    if samples < BLOCKS * lags:
        raise InputProblem(
            f"time is {time} and longest_lag {longest_lag}; observe at least {BLOCKS} times as long"
        )
    looked = _identity if observe is None else observe
    seen = np.asarray(_observe(system, state, integrator, looked, waiting, every, samples))
    if not np.isfinite(seen).all():
        raise InputProblem("the trajectory overflowed; take smaller steps or another start")
    return _correlate(seen, lags, interval)


def _identity(x: State) -> State:
    return x


def _steps(name: str, duration: float | int, unit: float) -> int:
    """How many units a duration has; it must be a multiple, up to rounding."""
    if not 0 < duration < math.inf:
        raise InputProblem(f"{name} is {duration}; give a positive, finite time")
    count = round(duration / unit)
    if count < 1 or not abs(count * unit - duration) <= 1e-6 * duration:
        raise InputProblem(f"{name} is {duration}; give a multiple of {unit}")
    return count


@eqx.filter_jit
def _observe(
    system: System,
    state: State,
    integrator: AbstractIntegrator,
    observe: Observe,
    waiting: int,
    every: int,
    samples: int,
) -> Float[Array, "samples units"]:
    u: Input = jnp.zeros(system.input_size, state.dtype)

    def steps(n: Array, x: State, count: int) -> State:
        return jax.lax.fori_loop(0, count, lambda k, y: integrator.move(system, n + k, y, u), x)

    def sample(x: State, k: Array) -> tuple[State, Float[Array, " units"]]:
        return steps(waiting + every * k, x, every), observe(x)

    start = steps(jnp.zeros((), jnp.int64), state, waiting)
    return jax.lax.scan(sample, start, jnp.arange(samples))[1]


def _correlate(
    seen: Float[np.ndarray, "samples units"], lags: int, interval: float
) -> Autocorrelation:
    """Every block is correlated with what follows it, so that all lags have as many terms."""
    starts = len(seen) - lags
    length = starts // BLOCKS
    blocks = np.array(
        [
            [
                np.mean(seen[b * length : (b + 1) * length] * seen[b * length + k :][:length])
                for k in range(lags + 1)
            ]
            for b in range(BLOCKS)
        ]
    )
    square = np.mean(seen**2)
    return Autocorrelation(
        interval * np.arange(lags + 1),
        blocks.mean(0),
        blocks.std(0, ddof=1) / BLOCKS**0.5,
        float(np.mean(seen**4) / square**2) if square > 0 else math.nan,
    )
