"""The implicit map of backward Euler, and the Newton iteration that runs it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.dynamics._scheme import BackwardEuler

# States beyond this are not judged: the proof of the float32 statement excludes overflow up to it.
_FARTHEST = 2.0**32
# Newton steps of one step; a handful are taken.
_MOST_STEPS = 200
# Shares of a Newton step that are tried at once. Full steps alone may cycle where slopes jump.
_SHARES = tuple(0.5**k for k in range(16))


class ImplicitMap(AbstractMap):
    """`x+` with `x+ = x + step * velocity((n + 1) step, x+, u)`: backward Euler for any flow.

    `step` is an array of the flow's dtype: a certificate is about the number that runs.

    What runs is Newton's method with a line search, which stops as soon as the residual no longer
    falls, with the slopes at the state and, while the residual is large, with those at the states
    that were tried: where slopes jump, one of these leads on. Gradients are those of the exact
    solution, by the implicit function theorem. For a flow that contracts at the rate `lam`, the
    equation has exactly one solution, and a run is off by at most `|residual| / (1 + step lam)` in
    the flow's metric: see `implicit_residual`.

    **Reference:** E. Hairer and G. Wanner, Solving Ordinary Differential Equations II (1996),
    section IV.12, on the contractivity of implicit methods.
    """

    flow: AbstractFlow
    step: Float[Array, ""]
    scheme: BackwardEuler

    @property
    def state_size(self) -> int:
        """Number of state variables of the flow."""
        return self.flow.state_size

    @property
    def input_size(self) -> int:
        """Number of inputs of the flow."""
        return self.flow.input_size

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state, to the precision that the dtype allows."""

        def residual(following: State) -> State:
            return implicit_residual(self, n, x, following, u)

        return jax.lax.custom_root(residual, x, _newton, _solve_linear)


def implicit_residual(
    system: ImplicitMap, n: StepIndex, x: State, following: State, u: Input
) -> State:
    """`x+ - step * velocity((n + 1) step, x+, u) - x`: by how much a step misses its equation.

    If the flow contracts at the rate `lam`, the exact next state is within
    `|residual|_M / (1 + step lam)` of `following`: distances grow at least by `1 + step lam` under
    `v -> v - step * velocity(v)`.

    **Arguments:** `n`, `x`, `u` as in `advance`; `following`, shape (n,), the state to be judged.

    **Returns:** shape (n,).

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork
    >>> from limitset.dynamics import discretise
    >>> halving = discretise(RateNetwork(jnp.zeros((1, 1))), BackwardEuler(1.0))
    >>> x, none = jnp.ones(1), jnp.zeros(0)
    >>> following = halving.advance(0, x, none)
    >>> float(following[0]), float(implicit_residual(halving, 0, x, following, none)[0])
    (0.5, 0.0)
    """
    step = system.step
    return following - step * system.flow.velocity((n + 1) * step, following, u) - x


def largest_residual(
    system: ImplicitMap,
    initial: State,
    states: Float[Array, "t n"],
    inputs: Float[Array, "t m"] | None = None,
) -> Float[Array, ""]:
    """The largest `|implicit_residual|` of all entries and steps of a run.

    The float32 statement of a certificate is about runs for which it is at most
    `certificate.float32.residual`.

    **Arguments:** `initial` and `inputs` as given to `simulate`, `states` as it returned them.

    **Returns:** one number of the states' dtype; infinite if a residual is NaN, or if a state has
    an entry above `2**32`, so far out that an infinite sum might not show in the residual.

    **Raises:** `InputProblem` if the system is no implicit map, or sizes do not fit.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork
    >>> from limitset.dynamics import discretise, simulate
    >>> system = discretise(RateNetwork(jnp.array([[-2.0]])), BackwardEuler(0.5))
    >>> run = simulate(system, jnp.ones(1), steps=20)
    >>> float(largest_residual(system, jnp.ones(1), run.states)) < 1e-15
    True
    >>> float(largest_residual(system, jnp.ones(1), run.states.at[3].add(0.25))) > 0.25
    True
    """
    inputs = jnp.zeros((len(states), 0), states.dtype) if inputs is None else inputs
    _check_run(system, initial, states, inputs)
    before = jnp.concatenate([initial[None], states])[:-1]

    def judge(n: StepIndex, x: State, following: State, u: Input) -> State:
        return implicit_residual(system, n, x, following, u)

    # As runs are computed: see `simulate`.
    with jax.default_matmul_precision("highest"):
        left = jax.vmap(judge)(jnp.arange(len(states)), before, states, inputs)
    # Not `abs(left) >= 0`, which compilers take to hold of NaN too.
    known = jnp.isfinite(left) & jnp.isfinite(states) & (jnp.abs(states) <= _FARTHEST)
    return jnp.where(known, jnp.abs(left), jnp.inf).max(initial=0.0)


def _check_run(
    system: ImplicitMap,
    initial: State,
    states: Float[Array, "t n"],
    inputs: Float[Array, "t m"],
) -> None:
    if not isinstance(system, ImplicitMap):
        raise InputProblem(
            f"{type(system).__name__} came; only maps of backward Euler leave a residual: give "
            "discretise(flow, BackwardEuler(step))"
        )
    n, m, count = system.state_size, system.input_size, len(states)
    if initial.shape != (n,) or states.shape[1:] != (n,) or inputs.shape != (count, m):
        raise InputProblem(
            f"initial {initial.shape}, states {states.shape} and inputs {inputs.shape} do not fit; "
            f"the system needs ({n},), (steps, {n}) and (steps, {m})"
        )


class _Progress(NamedTuple):
    """Of Newton's method: where it is, and how often in a row no trial was better.

    `last` is the step that was tried when that began.
    """

    x: State
    residual: Float[Array, ""]
    taken: Int[Array, ""]
    stalled: Int[Array, ""]
    last: State


def _newton(function: Callable[[State], State], guess: State) -> State:
    """The zero of `function`, as near as the residual falls."""
    shares = jnp.asarray(_SHARES, guess.dtype)

    def size(x: State) -> Float[Array, ""]:
        return jnp.linalg.norm(function(x))

    first = size(guess)
    small = jnp.finfo(guess.dtype).eps ** 0.5

    def goes_on(now: _Progress) -> Bool[Array, ""]:
        # Far from a zero, a step fails only where slopes jump: those beyond the jump are tried.
        far = now.residual > small * (jnp.linalg.norm(guess) + jnp.linalg.norm(now.x) + first)
        falls = (now.stalled == 0) | (far & (now.stalled <= len(_SHARES)))
        return falls & (now.taken < _MOST_STEPS) & (now.residual > 0)

    def improve(now: _Progress) -> _Progress:
        stalled, x = now.stalled, now.x
        share = jnp.where(stalled > 0, shares[jnp.maximum(stalled - 1, 0)], 0)
        slopes = jax.jacfwd(function)(x - share * now.last)
        move = jnp.linalg.solve(slopes, function(x))
        trials = x - shares[:, None] * move
        sizes = jax.vmap(size)(trials)
        # A trial that overflowed is NaN, and counts as the worst.
        best = jnp.argmin(jnp.where(jnp.isnan(sizes), jnp.inf, sizes))
        falls = sizes[best] < now.residual
        return _Progress(
            jnp.where(falls, trials[best], x),
            jnp.where(falls, sizes[best], now.residual),
            now.taken + 1,
            jnp.where(falls, 0, stalled + 1),
            jnp.where(stalled > 0, now.last, move),
        )

    start = _Progress(guess, first, jnp.asarray(0), jnp.asarray(0), jnp.zeros_like(guess))
    return jax.lax.while_loop(goes_on, improve, start).x


def _solve_linear(linear: Callable[[State], State], right: State) -> State:
    """The solution of `linear(v) = right`, from the matrix of the linear function."""
    return jnp.linalg.solve(jax.jacfwd(linear)(right), right)
