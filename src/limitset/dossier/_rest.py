"""Where a network settles without input, and the eigenvalues there: measured, in float64."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.dynamics import linearise

System = AbstractFlow | AbstractMap

# Newton steps, each halved until the residual falls.
_STEPS, _HALVINGS = 50, 20
# A dense matrix of more states than this takes minutes and gigabytes.
MOST_STATES = 4096


@dataclass(frozen=True)
class Rest:
    """A fixed point without input, and the Jacobian's eigenvalues at it.

    **Arguments:** `state`; `residual`, by how much it is missed; `is_found`, whether that is
    rounding error only. If not, `state` is zero and the eigenvalues are those there.
    """

    state: Float[np.ndarray, " n"]
    residual: float
    is_found: bool
    eigenvalues: Complex[np.ndarray, " n"]


def find_rest(system: System) -> Rest:
    """The fixed point without input that damped Newton steps reach from the zero state.

    **Raises:** `InputProblem` for systems of more than 4096 states.
    """
    n = system.state_size
    if n > MOST_STATES:
        raise InputProblem(f"the system has {n} states; eigenvalues are for {MOST_STATES} at most")
    zero = jnp.zeros(n, jnp.float64)
    state, size = zero, float("inf")
    for _ in range(_STEPS):
        value, jacobian = _miss(system, state)
        size = float(jnp.linalg.norm(value))
        if not size > 1e-13 * (1 + float(jnp.linalg.norm(state))):
            break
        # A singular matrix gives what is not finite, and then no step comes nearer.
        move = jnp.linalg.solve(jacobian, value)
        following = _shorten(system, state, move, size)
        if following is None:
            break
        state = following
    found = bool(size <= 1e-9 * (1 + float(jnp.linalg.norm(state))))
    state = state if found else zero
    values = eigenvalues_at(system, np.asarray(state))
    return Rest(np.asarray(state), size, found, values)


def eigenvalues_at(system: System, state: Float[np.ndarray, " n"]) -> Complex[np.ndarray, " n"]:
    """Eigenvalues of the Jacobian at a state, without input; NaN if it is not finite."""
    jacobian = np.asarray(_jacobian(system, jnp.asarray(state)))
    if not np.isfinite(jacobian).all():
        return np.full(len(state), complex(np.nan))
    # Real if all of them are.
    return np.linalg.eigvals(jacobian).astype(complex)


def _shorten(
    system: System, state: Float[Array, " n"], move: Float[Array, " n"], size: float
) -> Float[Array, " n"] | None:
    """The first of ever shorter steps that comes nearer; `None` if none does."""
    for k in range(_HALVINGS):
        following = state - 0.5**k * move
        # NaN is not less than anything.
        if float(jnp.linalg.norm(_miss(system, following)[0])) < size:
            return following
    return None


@eqx.filter_jit
def _jacobian(system: System, x: Float[Array, " n"]) -> Float[Array, "n n"]:
    return linearise(system, 0, x, jnp.zeros(system.input_size))[1](jnp.eye(x.size))


@eqx.filter_jit
def _miss(system: System, x: Float[Array, " n"]) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    """What vanishes at a fixed point, and its Jacobian."""
    value, push = linearise(system, 0, x, jnp.zeros(system.input_size))
    jacobian = push(jnp.eye(x.size))
    if isinstance(system, AbstractMap):
        return value - x, jacobian - jnp.eye(x.size)
    return value, jacobian


def in_float64(system: System) -> System:
    """The same numbers in float64: stored weights are rational, so nothing is lost."""

    def widen(leaf: Array) -> Array:
        return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(widen, system)
