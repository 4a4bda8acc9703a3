"""What a run of a map gives, and how an iteration that computed it ended."""

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int


class Convergence(eqx.Module):
    """How an iteration for all states at once ended.

    `residual` is the largest `|advance(n, x[n], u[n]) - x[n+1]|` over the steps. Where `converged`
    is false the states are NaN.
    """

    iterations: Int[Array, "*b"]
    residual: Float[Array, "*b"]
    converged: Bool[Array, "*b"]


class Trajectory(eqx.Module):
    """States after each step, shape (steps, n), and the last one, shape (n,).

    With a leading batch axis if it came from `simulate_batch`. `convergence` is `None` for methods
    that do not iterate.
    """

    states: Float[Array, "*b t n"]
    final: Float[Array, "*b n"]
    convergence: Convergence | None = None
