"""Candidates of folds; float64, nothing is proved."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset.analysis._continuation import Branch, continue_equilibria
from limitset.analysis._newton import newton, state_jacobian
from limitset.dynamics import Field

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class FoldCandidate:
    """Where a branch seems to turn back: `J vector = 0` at `state`."""

    parameter: float
    state: Vector
    vector: Vector


def find_folds(
    field: Field,
    guesses: list[Vector],
    interval: tuple[float, float],
    *,
    step: float = 0.05,
) -> tuple[FoldCandidate, ...]:
    """Candidates of folds on the branches through the given guesses, sorted by parameter.

    Every branch is followed through the interval. Where its parameter turns back, Newton's method
    on `(phi.v - 1, f, J v)` polishes the point.

    **Arguments:** `field`, `step` as in `continue_equilibria`; `guesses`: states near equilibria at
    the low end of the interval.

    **Example:** `x' = b - x + 2 tanh x`.

    >>> import numpy as np
    >>> found = find_folds(lambda x, b: b - x + 2 * jnp.tanh(x), [np.array([-3.0])], (-1.0, 1.0))
    >>> [round(candidate.parameter, 6) for candidate in found]
    [-0.53284, 0.53284]

    **Reference:** Y. A. Kuznetsov, Elements of Applied Bifurcation Theory, section 10.2.
    """
    found: list[FoldCandidate] = []
    for guess in guesses:
        branch = continue_equilibria(field, guess, interval, step=step)
        for candidate in folds_of(field, branch):
            inside = interval[0] <= candidate.parameter <= interval[1]
            if inside and not any(_same(candidate, other) for other in found):
                found.append(candidate)
    return tuple(sorted(found, key=lambda c: c.parameter))


def folds_of(field: Field, branch: Branch) -> tuple[FoldCandidate, ...]:
    """Candidates on one branch, one for every change of the direction of its parameter."""
    turns = np.sign(np.diff(branch.parameters))
    found: list[FoldCandidate] = []
    for k in np.flatnonzero(turns[1:] * turns[:-1] < 0) + 1:
        # The point at the turn, and its neighbours: the fold may lie on either side.
        for index in (k, k - 1, k + 1):
            candidate = _polished(field, branch, int(index))
            if candidate is not None and not any(_same(candidate, c) for c in found):
                found.append(candidate)
                break
    return tuple(found)


def polish_fold(field: Field, candidate: FoldCandidate) -> FoldCandidate | None:
    """Newton's method on the augmented system, or `None` where it does not converge."""
    phi = candidate.vector / np.linalg.norm(candidate.vector)
    unknown = np.concatenate([[candidate.parameter], candidate.state, phi])
    fixing = jnp.asarray(phi)
    found = newton(lambda z: _augmented(field, fixing, z), unknown)
    if found is None:
        return None
    state, vector = np.split(found[1:], 2)
    return FoldCandidate(float(found[0]), state, vector)


@eqx.filter_jit
def _augmented(
    field: Any, phi: Float[Array, " n"], unknown: Float[Array, " k"]
) -> tuple[Array, Array]:
    def value(z: Float[Array, " k"]) -> Float[Array, " k"]:
        a, (x, v) = z[0], jnp.split(z[1:], 2)
        rest, critical = jax.jvp(lambda y: field(y, a), (x,), (v,))
        return jnp.concatenate([jnp.stack([phi @ v - 1]), rest, critical])

    return value(unknown), jax.jacfwd(value)(unknown)


def _polished(field: Field, branch: Branch, index: int) -> FoldCandidate | None:
    state, parameter = branch.states[index], float(branch.parameters[index])
    jacobian = np.asarray(state_jacobian(field, jnp.asarray(state), jnp.asarray(parameter)))
    guess = FoldCandidate(parameter, state, np.linalg.svd(jacobian)[2][-1])
    polished = polish_fold(field, guess)
    if polished is None:
        return None
    # Newton's method may run far away: a fold of this turn lies between its neighbours.
    near = slice(max(index - 2, 0), index + 3)
    points = np.column_stack([branch.states[near], branch.parameters[near]])
    reach = np.ptp(points, axis=0).max() if len(points) > 1 else 0.0
    moved = max(np.abs(polished.state - state).max(), abs(polished.parameter - parameter))
    return polished if moved <= reach else None


def _same(one: FoldCandidate, other: FoldCandidate) -> bool:
    gap = max(abs(one.parameter - other.parameter), float(np.abs(one.state - other.state).max()))
    return gap < 1e-7 * (1 + abs(one.parameter))
