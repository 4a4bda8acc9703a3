"""How fast two trajectories approach, measured: the companion of what is certified."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._system import AbstractMap
from limitset.contraction._metric import AbstractMetric
from limitset.dynamics import simulate

Starts = Float[Array, "b n"]
Inputs = Float[Array, "b t m"]


def measure_distances(
    system: AbstractMap,
    metric: AbstractMetric,
    first: tuple[Starts, Inputs],
    second: tuple[Starts, Inputs],
) -> Float[Array, "b t+1"]:
    """`|x_n - y_n|_M` along pairs of trajectories, from before the first step to after the last.

    Sampled evidence: it can contradict a certificate, never replace one. States run in the
    system's own dtype, distances are taken in float64.

    **Arguments:** `system`; `metric`; `first` and `second`, each the states before the first step,
    shape (b, n), and the inputs, shape (b, steps, m).

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.contraction import DiagonalMetric
    >>> from limitset.dynamics import ExplicitEuler, discretise
    >>> from limitset.networks import RateNetwork
    >>> halving = discretise(RateNetwork(jnp.zeros((1, 1))), ExplicitEuler(0.5))
    >>> quiet = jnp.zeros((1, 2, 0))
    >>> first, second = (jnp.ones((1, 1)), quiet), (jnp.zeros((1, 1)), quiet)
    >>> measure_distances(halving, DiagonalMetric(jnp.ones(1)), first, second)[0].tolist()
    [1.0, 0.5, 0.25]
    """

    def distances(x: Array, u: Array, y: Array, v: Array) -> Array:
        ahead, behind = simulate(system, x, u).states, simulate(system, y, v).states
        before = (x - y)[None]
        difference = jnp.concatenate([before, ahead - behind]).astype(jnp.float64)
        return jax.vmap(metric.norm)(difference)

    return jax.jit(jax.vmap(distances))(*first, *second)
