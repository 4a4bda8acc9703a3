"""The implicit map of backward Euler, and the Newton iteration that runs it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from limitset._system import AbstractFlow, AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.dynamics._scheme import BackwardEuler

# Newton steps of one step; a handful are taken.
_MOST_STEPS = 50
# Shares of a Newton step that are tried at once. Full steps alone may cycle where slopes jump.
_SHARES = tuple(0.5**k for k in range(8))


class ImplicitMap(AbstractMap):
    """`x+` with `x+ = x + step * velocity((n + 1) step, x+, u)`: backward Euler for any flow.

    `step` is an array of the flow's dtype: a certificate is about the number that runs.

    What runs is Newton's method with a line search, which stops as soon as the residual no longer
    falls. Gradients are those of the exact solution, by the implicit function theorem. For a flow
    that contracts at the rate `lam`, the equation has exactly one solution, and a run is off by at
    most `|residual| / (1 + step lam)` in the flow's metric: see `implicit_residual`.

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


_Progress = tuple[State, Float[Array, ""], Int[Array, ""], Bool[Array, ""]]


def _newton(function: Callable[[State], State], guess: State) -> State:
    """The zero of `function`, as near as the residual falls."""
    shares = jnp.asarray(_SHARES, guess.dtype)

    def size(x: State) -> Float[Array, ""]:
        return jnp.linalg.norm(function(x))

    def goes_on(progress: _Progress) -> Bool[Array, ""]:
        _, residual, count, falls = progress
        return falls & (count < _MOST_STEPS) & (residual > 0)

    def improve(progress: _Progress) -> _Progress:
        x, residual, count, _ = progress
        move = jnp.linalg.solve(jax.jacfwd(function)(x), function(x))
        trials = x - shares[:, None] * move
        sizes = jax.vmap(size)(trials)
        # A trial that overflowed is NaN, and counts as the worst.
        best = jnp.argmin(jnp.where(jnp.isnan(sizes), jnp.inf, sizes))
        falls = sizes[best] < residual
        following = jnp.where(falls, trials[best], x)
        return following, jnp.where(falls, sizes[best], residual), count + 1, falls

    start = (guess, size(guess), jnp.asarray(0), jnp.asarray(True))
    return jax.lax.while_loop(goes_on, improve, start)[0]


def _solve_linear(linear: Callable[[State], State], right: State) -> State:
    """The solution of `linear(v) = right`, from the matrix of the linear function."""
    return jnp.linalg.solve(jax.jacfwd(linear)(right), right)
