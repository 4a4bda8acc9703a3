"""Systems whose regular zeros are bifurcation points: an equilibrium and its critical vector."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._types import State

Field = Callable[[State, Float[Array, ""]], State]
"""`field(x, a)`: the velocity at state `x` of shape (n,) and parameter `a`."""


def hopf_system(
    field: Field, phi: Float[Array, " n"], unknown: Float[Array, " k"]
) -> Float[Array, " k"]:
    """Zero where `x` is an equilibrium at `a` whose Jacobian has the eigenvalue `i omega`.

    `(phi.v1, phi.v2 - 1, f(x, a), J v1 + omega v2, J v2 - omega v1)`, that is `J v = i omega v` for
    `v = v1 + i v2`, with `phi.v = i`.

    **Arguments:**

    - `field`: any differentiable `f(x, a)`.
    - `phi`: shape (n,), fixes scale and phase of `v`; not orthogonal to it.
    - `unknown`: `(a, omega, x, v1, v2)`, shape (3n + 2,).

    **Reference:** arXiv 2202.05073.
    """
    a, omega = unknown[0], unknown[1]
    x, v1, v2 = jnp.split(unknown[2:], 3)

    def along(v: State) -> tuple[State, State]:
        return jax.jvp(lambda y: field(y, a), (x,), (v,))

    (velocity, first), (_, second) = along(v1), along(v2)
    scale = jnp.stack([phi @ v1, phi @ v2 - 1])
    return jnp.concatenate([scale, velocity, first + omega * v2, second - omega * v1])
