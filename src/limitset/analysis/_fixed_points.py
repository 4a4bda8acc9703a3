"""Equilibria by Newton's method from many starts; in float64; nothing is proved."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.dynamics import Field


def find_equilibria(
    field: Field,
    parameter: float,
    size: int,
    *,
    starts: int = 64,
    spread: float = 2.0,
    seed: int = 0,
) -> Float[np.ndarray, "k n"]:
    """Equilibria `f(x, a) = 0` that Newton's method reaches from random starts, without repeats.

    Steps are damped to length 1, so that saturated units do not throw the iteration far away.

    **Arguments:**

    - `field`: `f(x, a)`, in JAX; `parameter`: `a`; `size`: the number of units `n`.
    - `starts`: how many starts, the first one 0, the others normal with deviation `spread`.
    - `seed`: of the starts.

    **Returns:** the equilibria, sorted by their first entry. There may be others; see
    `limitset.proofs.prove_all_equilibria` for a complete list with a proof.

    **Raises:** `InputProblem` for numbers of units or starts that are not positive.

    **Example:**

    >>> find_equilibria(lambda x, a: a * x - x**3, 4.0, 1).round(6).tolist()
    [[-2.0], [0.0], [2.0]]
    """
    if size < 1 or starts < 1:
        raise InputProblem(f"size is {size} and starts is {starts}; give positive numbers")
    guesses = spread * np.random.default_rng(seed).standard_normal((starts, size))
    guesses[0] = 0.0
    ends, residuals, steps = (
        np.asarray(part) for part in _iterate(field, jnp.asarray(guesses), jnp.asarray(parameter))
    )
    found: list[Float[np.ndarray, " n"]] = []
    scale = 1 + np.abs(ends).max(1)
    for x in ends[(residuals < 1e-9 * scale) & (steps < 1e-9 * scale)]:
        if not any(np.abs(x - other).max() < 1e-6 * (1 + np.abs(x).max()) for other in found):
            found.append(x)
    return np.array(sorted(found, key=lambda x: x[0])).reshape(-1, size)


@eqx.filter_jit
def _iterate(
    field: Any, starts: Float[Array, "s n"], parameter: Float[Array, ""]
) -> tuple[Array, Array, Array]:
    """Where 60 damped steps end, how far from 0 the velocity is there, and the last step."""

    def one(x: Float[Array, " n"]) -> tuple[Array, Array, Array]:
        def value(y: Float[Array, " n"]) -> Float[Array, " n"]:
            return field(y, parameter)

        def step(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
            y = carry[0]
            change = jnp.linalg.solve(jax.jacfwd(value)(y), value(y))
            length = jnp.abs(change).max()
            return (y - change / jnp.maximum(1.0, length), length), None

        end, length = jax.lax.scan(step, (x, jnp.array(jnp.inf)), None, length=60)[0]
        return end, jnp.abs(value(end)).max(), length

    return jax.vmap(one)(starts)
