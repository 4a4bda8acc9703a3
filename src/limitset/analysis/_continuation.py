"""Branches of equilibria in a parameter, by pseudo-arclength; float64, nothing is proved."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from limitset._result import InputProblem
from limitset.dynamics import Field

Point = Float[np.ndarray, " k"]
"""State and parameter together."""


@dataclass(frozen=True)
class Branch:
    """A branch of equilibria: parameters (k,), states (k, n), eigenvalues of the Jacobians (k, n).

    `ended` says why the branch stops: it left the range, its step became too small, or it has as
    many points as were asked for.
    """

    parameters: Float[np.ndarray, " k"]
    states: Float[np.ndarray, "k n"]
    eigenvalues: Complex[np.ndarray, "k n"]
    ended: str


def continue_equilibria(
    field: Field,
    state: Float[np.ndarray, " n"],
    interval: tuple[float, float],
    *,
    start: float | None = None,
    step: float = 0.05,
    points: int = 2000,
) -> Branch:
    """Follow a branch of equilibria through a parameter interval, around folds if need be.

    Solves `f(x, a) = 0` with the condition that `(x, a)` lies in the plane through the predicted
    point across the tangent. Steps grow after quick corrections and halve after failed ones.

    **Arguments:**

    - `field`: `f(x, a)`, differentiable, in JAX.
    - `state`: a guess of an equilibrium at the start, shape (n,).
    - `interval`: parameters `(low, high)` at which the branch ends.
    - `start`: the parameter to start at, `low` if omitted; the branch sets out towards `high`.
    - `step`: the largest step, in the length of `(x, a)`.
    - `points`: the largest number of points.

    **Returns:** a `Branch`. **Raises:** `InputProblem` if no equilibrium is found at the start.

    **Example:**

    >>> import numpy as np
    >>> branch = continue_equilibria(lambda x, a: a - x, np.zeros(1), (0.0, 1.0), step=0.5)
    >>> bool(abs(branch.states[-1, 0] - branch.parameters[-1]) < 1e-9)
    True

    **Reference:** Kuznetsov, Elements of Applied Bifurcation Theory, section 10.2.
    """
    low, high = interval
    if not low < high:
        raise InputProblem(f"the interval is {interval}; give two finite numbers, low < high")
    begin = low if start is None else start
    point = np.append(np.asarray(state, np.float64), begin)
    # At fixed parameter first: the plane across the parameter's axis.
    axis = np.zeros_like(point)
    axis[-1] = 1.0
    found = _correct(field, point, point, axis)
    if found is None:
        raise InputProblem(
            f"Newton's method finds no equilibrium at parameter {begin:g} from the given state; "
            "give a state nearer to one"
        )
    point, jacobian = found
    tangent = _tangent(jacobian, axis)
    points_found, jacobians, length, ended = [point], [jacobian], step, "all points were used"
    while len(points_found) < points:
        predicted = point + length * tangent
        found = _correct(field, predicted, predicted, tangent)
        if found is None or np.linalg.norm(found[0] - point) > 2 * length:
            length /= 2
            if length < 1e-8 * step:
                ended = "the step became too small"
                break
            continue
        point, jacobian = found
        tangent = _tangent(jacobian, tangent)
        length = min(1.3 * length, step)
        points_found.append(point)
        jacobians.append(jacobian)
        if not low <= point[-1] <= high:
            ended = "the branch left the interval"
            break
    z = np.array(points_found)
    eigenvalues = np.linalg.eigvals(np.array(jacobians)[:, :, :-1])
    return Branch(z[:, -1], z[:, :-1], eigenvalues.astype(complex), ended)


@eqx.filter_jit
def _linearise(field: Any, point: Float[Array, " k"]) -> tuple[Array, Array]:
    def value(z: Float[Array, " k"]) -> Float[Array, " n"]:
        return field(z[:-1], z[-1])

    return value(point), jax.jacfwd(value)(point)


def _correct(
    field: Field, guess: Point, anchor: Point, across: Point
) -> tuple[Point, Float[np.ndarray, "n k"]] | None:
    """Newton's method for `f = 0` in the plane through `anchor` across a direction."""
    point = guess
    for _ in range(8):
        value, jacobian = (np.asarray(part) for part in _linearise(field, jnp.asarray(point)))
        residual = np.append(value, across @ (point - anchor))
        try:
            change = np.linalg.solve(np.vstack([jacobian, across]), residual)
        except np.linalg.LinAlgError:
            return None
        point = point - change
        size = np.linalg.norm(change)
        if not np.isfinite(size):
            return None
        if size <= 1e-11 * (1 + np.linalg.norm(point)):
            return point, np.asarray(_linearise(field, jnp.asarray(point))[1])
    return None


def _tangent(jacobian: Float[np.ndarray, "n k"], before: Point) -> Point:
    """The unit kernel vector of `[J f_a]` that goes on in the direction of the last one."""
    kernel = np.linalg.svd(jacobian)[2][-1]
    return kernel if kernel @ before > 0 or (kernel @ before == 0) else -kernel
