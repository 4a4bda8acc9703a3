"""Candidates of periodic orbits, by simulation and Newton's method; float64, nothing is proved."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.integrate import solve_ivp

from limitset._result import InputProblem
from limitset.dynamics import Field

Vector = Float[np.ndarray, " n"]

_SAMPLES = 200
# A trajectory that comes back this near to its start, relative to its extent, may close.
_NEAR = 0.05
_NEWTON_STEPS = 12
# Orbits smaller than this, relative to the states, are equilibria as far as one can tell.
_SMALLEST = 1e-6


@dataclass(frozen=True)
class CycleCandidate:
    """What seems to be a periodic orbit: its period, and states (k, n) at equal times."""

    period: float
    states: Float[np.ndarray, "k n"]

    @property
    def state(self) -> Vector:
        """The state to start from."""
        return self.states[0]


def find_cycles(
    field: Field,
    parameter: float,
    size: int,
    *,
    starts: int = 8,
    spread: float = 2.0,
    settle: float = 200.0,
    longest: float = 100.0,
    backwards: bool = False,
    seed: int = 0,
) -> tuple[CycleCandidate, ...]:
    """Periodic orbits that random starts lead to, without repeats, sorted by period.

    **Arguments:**

    - `field`: `f(x, a)`, in JAX; `parameter`: `a`; `size`: the number of units `n`.
    - `starts`: how many, normal with deviation `spread`, from `seed`.
    - `settle`, `longest`, `backwards`: as in `find_cycle`.

    **Returns:** the candidates, each with a state and a period for `prove_cycle`.

    **Raises:** `InputProblem` for numbers that are not positive.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork, gain_family
    >>> family = gain_family(RateNetwork(jnp.array([[2.0, -2.0], [2.0, 2.0]])))
    >>> [round(cycle.period, 6) for cycle in find_cycles(family, 1.0, 2, starts=2)]
    [6.837634]
    """
    if size < 1 or starts < 1:
        raise InputProblem(f"size is {size} and starts is {starts}; give positive numbers")
    flow = _flow(field, parameter, settle, longest, backwards)
    guesses = spread * np.random.default_rng(seed).standard_normal((starts, size))
    found: list[CycleCandidate] = []
    for guess in guesses:
        candidate = _search(flow, guess, settle, longest)
        if candidate is not None and not any(_same(candidate, other) for other in found):
            found.append(candidate)
    return tuple(sorted(found, key=lambda candidate: candidate.period))


def find_cycle(
    field: Field,
    parameter: float,
    start: Vector,
    *,
    settle: float = 200.0,
    longest: float = 100.0,
    backwards: bool = False,
) -> CycleCandidate | None:
    """The periodic orbit that a start leads to, or `None`.

    After a transient, the trajectory is followed until it crosses the plane through its state,
    across its velocity, nearby and in the same direction. Newton's method for `flow_T(x) = x` in
    that plane polishes state and period; the smallest period is kept.

    **Arguments:**

    - `field`: `f(x, a)`, in JAX; `parameter`: `a`; `start`: a state, shape (n,).
    - `settle`: the length of the transient, in units of time; with 0 the start itself is polished,
      be the orbit stable or not.
    - `longest`: the longest period to be found.
    - `backwards`: run time backwards, towards orbits that repel.

    **Raises:** `InputProblem` for times that are not positive, or a start that is not finite.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork, gain_family
    >>> family = gain_family(RateNetwork(jnp.array([[2.0, -2.0], [2.0, 2.0]])))
    >>> cycle = find_cycle(family, 1.0, np.ones(2))
    >>> round(cycle.period, 6)
    6.837634
    """
    if not np.isfinite(start).all():
        raise InputProblem("the start is not finite; give finite numbers")
    flow = _flow(field, parameter, settle, longest, backwards)
    return _search(flow, np.asarray(start, np.float64), settle, longest)


@dataclass(frozen=True)
class _Flow:
    """The velocity, that of `(x, V)` with the derivative `V` by the start, and -1 if backwards."""

    velocity: Callable[[float, Vector], Vector]
    varied: Callable[[float, Vector], Vector]
    direction: int


def _flow(field: Field, parameter: float, settle: float, longest: float, backwards: bool) -> _Flow:
    if not (settle >= 0 and longest > 0 and np.isfinite(settle + longest)):
        raise InputProblem(
            f"settle is {settle} and longest is {longest}; give finite positive times"
        )
    direction = -1 if backwards else 1

    @jax.jit
    def velocity(x: Float[Array, " n"]) -> Float[Array, " n"]:
        return direction * field(x, jnp.asarray(parameter))

    @jax.jit
    def varied(x: Float[Array, " n"], V: Float[Array, "n n"]) -> Float[Array, " k"]:
        speed, along = jax.vmap(lambda v: jax.jvp(velocity, (x,), (v,)), out_axes=(None, 1))(V.T)
        return jnp.concatenate([speed, along.ravel()])

    def run_varied(_: float, z: Vector) -> Vector:
        n = (np.sqrt(1 + 4 * len(z)) - 1) / 2
        x, V = np.split(z, [round(n)])
        return np.asarray(varied(x, V.reshape(len(x), len(x))))

    return _Flow(lambda _, x: np.asarray(velocity(x)), run_varied, direction)


def _search(flow: _Flow, start: Vector, settle: float, longest: float) -> CycleCandidate | None:
    with np.errstate(all="ignore"):
        state = start
        if settle > 0:
            ended = solve_ivp(flow.velocity, (0, settle), start, "DOP853", rtol=1e-7, atol=1e-9)
            if not ended.success:
                return None
            state = ended.y[:, -1]
        for period in _returns(flow, state, longest):
            polished = _polished(flow, state, period)
            if polished is not None:
                return polished
    return None


def _returns(flow: _Flow, state: Vector, longest: float) -> list[float]:
    """Times at which the trajectory comes back near to its state."""
    normal = flow.velocity(0.0, state)
    if not np.abs(normal).max() * longest > _SMALLEST * (1 + np.abs(state).max()):
        return []

    def section(_: float, x: Vector) -> float:
        return float(normal @ (x - state))

    section.direction = 1.0  # type: ignore[attr-defined]
    run = solve_ivp(
        flow.velocity, (0, longest), state, "DOP853", rtol=1e-8, atol=1e-10, events=section
    )
    if not run.success or run.t_events is None or run.y_events is None:
        return []
    extent = np.abs(run.y - state[:, None]).max(0)
    found = []
    for t, x in zip(run.t_events[0], run.y_events[0], strict=True):
        size = extent[run.t <= t].max()
        # The start itself may count as a crossing.
        if t > 0 and size > 0 and np.abs(x - state).max() < _NEAR * size and t > run.t[1]:
            found.append(float(t))
    return found


def _polished(flow: _Flow, state: Vector, period: float) -> CycleCandidate | None:
    """Newton's method for `flow_T(x) = x` and `f(state) . (x - state) = 0`."""
    n, x, T = len(state), state, period
    normal = flow.velocity(0.0, state)
    for _ in range(_NEWTON_STEPS):
        begin = np.concatenate([x, np.eye(n).ravel()])
        run = solve_ivp(flow.varied, (0, T), begin, "DOP853", rtol=1e-10, atol=1e-12)
        if not run.success:
            return None
        end, V = run.y[:n, -1], run.y[n:, -1].reshape(n, n)
        matrix = np.block([[V - np.eye(n), flow.velocity(0.0, end)[:, None]], [normal, 0.0]])
        try:
            change = np.linalg.solve(matrix, np.append(end - x, normal @ (x - state)))
        except np.linalg.LinAlgError:
            return None
        x, T = x - change[:-1], T - float(change[-1])
        scale = 1 + np.abs(x).max()
        if not (np.abs(change[:-1]).max() < scale and 0.5 * period < T < 2 * period):
            return None
        if np.abs(change).max() < 1e-9 * scale:
            return _sampled(flow, x, T)
    return None


def _sampled(flow: _Flow, state: Vector, period: float) -> CycleCandidate | None:
    """States at equal times over the smallest period; `None` where nothing moves or closes."""
    run = solve_ivp(
        flow.velocity, (0, period), state, "DOP853", dense_output=True, rtol=1e-10, atol=1e-12
    )
    if not run.success or run.sol is None:
        return None
    scale = 1 + np.abs(state).max()
    extent = np.abs(run.y - state[:, None]).max()
    # What closes must be far smaller than the orbit itself.
    if not extent > _SMALLEST * scale or np.abs(run.y[:, -1] - state).max() > 1e-3 * extent:
        return None
    for k in (2, 3, 5, 7):
        while np.abs(run.sol(period / k) - state).max() < 1e-4 * extent:
            period /= k
    order = flow.direction * np.arange(_SAMPLES) % _SAMPLES
    return CycleCandidate(period, run.sol(order * period / _SAMPLES).T)


def _same(one: CycleCandidate, other: CycleCandidate) -> bool:
    """By the period, and whether a state of one is on the other."""
    gap = np.abs(np.diff(other.states, axis=0, append=other.states[:1])).max()
    distance = np.abs(other.states - one.state).max(1).min()
    return abs(one.period - other.period) < 1e-6 * other.period and bool(distance <= gap)
