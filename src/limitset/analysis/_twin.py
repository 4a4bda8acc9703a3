"""The largest exponent from two trajectories, without any derivative."""

import math
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem
from limitset._types import State
from limitset.analysis._course import Course, Inputs, Start, check_counts, lay_course, settle
from limitset.analysis._tangent_step import AbstractIntegrator, System

_BLOCKS = 20


@dataclass(frozen=True)
class TwinExponent:
    """An estimate of the largest exponent: `exponent`, its `standard_error`, and the `blocks`.

    Per unit of time for flows, per step for maps. `finite` is false where a trajectory left the
    finite numbers, or both became one in rounding; the numbers are NaN then.
    """

    exponent: float
    standard_error: float
    blocks: Float[np.ndarray, " b"]
    finite: bool


def twin_exponent(
    system: System,
    start: Start,
    *,
    steps: int,
    integrator: AbstractIntegrator | None = None,
    inputs: Inputs | None = None,
    transient: int = 1000,
    tangent_transient: int | None = None,
    interval: int = 5,
    separation: float = 1e-7,
    seed: int = 0,
) -> TwinExponent:
    """The largest exponent from how fast two trajectories part that start near to each other.

    Every `interval` steps the distance `d` is measured, `log(d / separation)` is added, and the
    second trajectory is pulled back along the line between them. It uses no Jacobian, so it checks
    `lyapunov_spectrum` and whatever tangents a system supplies.

    **Arguments:** as in `lyapunov_spectrum`, and `separation`, the distance that pairs start with,
    relative to `1 + |x|`. In float64 it is wrong by about `1e-16 / separation` from rounding and
    by about `separation` from curvature; in float32 there is little between the two.

    **Returns:** a `TwinExponent`; error bars from 20 blocks.

    **Raises:** `InputProblem` if sizes, dtypes or numbers do not fit.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.analysis import RungeKutta4
    >>> from limitset.networks import RateNetwork
    >>> network = RateNetwork(jnp.diag(jnp.array([0.5, -1.0])))
    >>> rule = RungeKutta4(0.1)
    >>> twin = twin_exponent(network, jnp.zeros(2), steps=200, transient=0, integrator=rule)
    >>> round(twin.exponent, 3)
    -0.5

    **Reference:** G. Benettin, L. Galgani and J. Strelcyn, Phys. Rev. A 14 (1976) 2338-2345.
    """
    check_counts(steps=steps, transient=transient, interval=interval)
    settling = steps // 10 if tangent_transient is None else tangent_transient
    check_counts(tangent_transient=settling)
    if not (isinstance(separation, float) and 0 < separation < 1):
        raise InputProblem(f"separation is {separation!r}; give a number between 0 and 1, as 1e-7")
    if isinstance(seed, bool) or not (isinstance(seed, int) and 0 <= seed < 2**32):
        raise InputProblem(f"seed is {seed!r}; give a whole number from 0 to 2**32 - 1")
    length = math.ceil(steps / (_BLOCKS * interval))
    early = math.ceil(settling / interval)
    total = transient + (early + _BLOCKS * length) * interval
    course, x = lay_course(system, start, integrator, inputs, total)
    x = settle(course, x, jnp.asarray(0), jnp.asarray(transient))
    apart = np.random.default_rng(seed).standard_normal(x.shape[0])
    pair = _Pair(course, interval, separation)
    difference = pair.scaled(x, jnp.asarray(apart, x.dtype))
    # Arrays: a whole number would be a constant, and every block another program.
    n, span = jnp.asarray(transient + early * interval), length * interval
    x, difference, _ = pair.stretch(x, difference, jnp.asarray(transient), jnp.asarray(early))
    rates = np.zeros(_BLOCKS)
    for block in range(_BLOCKS):
        x, difference, growth = pair.stretch(x, difference, n + block * span, jnp.asarray(length))
        rates[block] = float(growth) / (span * course.integrator.step)
    if not np.isfinite(rates).all():
        return TwinExponent(math.nan, math.nan, np.full(_BLOCKS, math.nan), False)
    error = float(rates.std(ddof=1)) / math.sqrt(_BLOCKS)
    return TwinExponent(float(rates.mean()), error, rates, True)


class _Pair(eqx.Module):
    """A trajectory and another one nearby, given by their difference."""

    course: Course
    interval: int = eqx.field(static=True)
    separation: float = eqx.field(static=True)

    def scaled(self, x: State, difference: State) -> State:
        """The difference at the distance that pairs start with."""
        distance = self.separation * (1 + jnp.linalg.norm(x))
        return difference * (distance / jnp.linalg.norm(difference))

    @eqx.filter_jit
    def stretch(
        self,
        x: State,
        difference: State,
        first: Int[Array, ""],
        intervals: Int[Array, ""],
    ) -> tuple[State, State, Float[Array, ""]]:
        """So many intervals from step `first`, and the summed growth of the difference."""

        def one(
            i: Int[Array, ""], carry: tuple[State, State, Float[Array, ""]]
        ) -> tuple[State, State, Float[Array, ""]]:
            x, difference, total = carry
            # What rounding leaves of the difference is what the twins really start with.
            twin = x + difference
            begun = jnp.linalg.norm(twin - x)
            n = first + i * self.interval
            x, twin = self._follow((x, twin), n)
            difference = twin - x
            growth = jnp.log((jnp.linalg.norm(difference) / begun).astype(jnp.float64))
            return x, self.scaled(x, difference), total + growth

        zero = jnp.zeros((), jnp.float64)
        return jax.lax.fori_loop(0, intervals, one, (x, difference, zero))

    def _follow(self, pair: tuple[State, State], first: Int[Array, ""]) -> tuple[State, State]:
        def one(n: Int[Array, ""], pair: tuple[State, State]) -> tuple[State, State]:
            rule, system, u = self.course.integrator, self.course.system, self.course.input(n)
            return rule.move(system, n, pair[0], u), rule.move(system, n, pair[1], u)

        return jax.lax.fori_loop(first, first + self.interval, one, pair)
