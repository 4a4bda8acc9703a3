"""All states of a trajectory at once: Newton's method along time."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from limitset._result import InputProblem
from limitset._types import State
from limitset.dynamics._affine_scan import affine_scan
from limitset.dynamics._diagonal_newton import diagonal_change, solve_by_diagonals
from limitset.dynamics._execution import AbstractExecution, Indexed, Step
from limitset.dynamics._trajectory import Convergence, Trajectory

States = Float[Array, "t n"]
_Iterate = tuple[States, Float[Array, ""], Float[Array, ""], Int[Array, ""], Bool[Array, ""]]

# Shares of a Newton step below this do not change a state in any float format.
_SMALLEST_SHARE = 2.0**-60


class ParallelNewton(AbstractExecution):
    """Solves `x[n+1] = advance(n, x[n], u[n])` for all `n` at once, for maps that contract.

    Each iteration linearises every step at the present states and solves the linear recurrence by
    `affine_scan`, `O(log steps)` rounds of products; the change is halved until the residual falls.
    Worth it where products of `steps` matrices are cheap and steps in a row are not: on
    accelerators, for long sequences and up to about 64 states. It takes `O(steps n^2)` memory.

    If the map contracts by the factor `q` in `|.|_M`, and its Jacobian has the Lipschitz constant
    `L` there, then for `norm` = `|.|_M`, in exact arithmetic:

    - states with the residuals `r[k]` are within `sum_k q^(n-k) |r[k]|_M <= max |r|_M / (1 - q)` of
      the trajectory (`limitset.contraction.trajectory_error`);
    - with `h = L max |r|_M / (2 (1 - q)^2)`, an iteration makes `h` at most `h^2` where `h <= 1/2`
      and at most `h - 1/8` elsewhere, so that the number of iterations does not depend on the
      number of steps (`limitset.contraction.newton_iterations`).

    Gradients, of any order, are those of the solution: they solve one linear recurrence
    backwards.

    With `jacobian="diagonal"` an iteration keeps the diagonals of the Jacobians only: products of
    `O(n)` numbers a step and `O(steps n)` memory, for gradients too. The diagonals take n
    derivatives of every step, one after the other. It ends at the same trajectory, for
    after k iterations k states are right whatever the matrices are; how much sooner, nothing here
    bounds. Neither the number of iterations above nor the halving of changes is true of it, and
    `newton_iterations` does not speak of it. Couplings that matter take many iterations:
    then use `"full"`.

    **Arguments:**

    - `iterations`: at most so many, `None` for as many as there are steps.
    - `tolerance`: of the residual, relative to the largest state; `None` for 100 units of rounding.
      A trajectory that misses it is NaN, and its `convergence` says so.
    - `norm`: of a state, such as a certificate's `metric.norm`; `None` for the largest entry.
    - `jacobian`: `"full"`, or `"diagonal"`.

    **Reference:** arXiv 2309.12252, arXiv 2508.16817; diagonals: arXiv 2407.19115.
    """

    iterations: int | None = eqx.field(static=True, default=None)
    tolerance: float | None = eqx.field(static=True, default=None)
    norm: Callable[[State], Float[Array, ""]] | None = None
    jacobian: str = eqx.field(static=True, default="full")

    def __check_init__(self) -> None:
        if self.iterations is not None and not self.iterations >= 1:
            raise InputProblem(f"iterations is {self.iterations}; give a whole number from 1")
        if self.tolerance is not None and not self.tolerance >= 0:
            raise InputProblem(f"tolerance is {self.tolerance}; give 0 or a positive number")
        if self.jacobian not in ("full", "diagonal"):
            raise InputProblem(f'jacobian is {self.jacobian!r}; give "full" or "diagonal"')

    def run(self, step: Step, initial: State, indexed: Indexed) -> Trajectory:
        """All states, up to the tolerance, or NaN."""

        def defect(states: States) -> States:
            before = jnp.concatenate([initial[None], states[:-1]])
            return states - jax.vmap(step)(before, indexed)

        total = indexed[0].shape[0]
        if total == 0:
            nothing = Convergence(jnp.array(0), jnp.zeros((), initial.dtype), jnp.array(True))
            return Trajectory(jnp.zeros((0, *initial.shape), initial.dtype), initial, nothing)
        guess = jnp.broadcast_to(initial, (total, *initial.shape))

        def solve(_: object, start: States) -> tuple[States, Float[Array, " 3"]]:
            return self._solve(defect, start, initial)

        linear_solve = _solve_linear if self.jacobian == "full" else solve_by_diagonals
        states, ending = jax.lax.custom_root(defect, guess, solve, linear_solve, has_aux=True)
        count, residual, bound = jax.lax.stop_gradient(ending)
        convergence = Convergence(count.astype(int), residual, residual <= bound)
        states = jnp.where(convergence.converged, states, jnp.nan)
        return Trajectory(states, states[-1], convergence)

    def _solve(
        self, defect: Callable[[States], States], start: States, initial: State
    ) -> tuple[States, Float[Array, " 3"]]:
        """The states; the number of iterations, the residual and its bound, which must be floats,
        since derivatives pass through them."""
        tolerance = 100 * jnp.finfo(start.dtype).eps if self.tolerance is None else self.tolerance
        most = len(start) if self.iterations is None else self.iterations

        def largest(rows: States) -> Float[Array, ""]:
            sizes = jnp.abs(rows) if self.norm is None else jax.vmap(self.norm)(rows)
            return sizes.max().astype(rows.dtype)

        def measure(states: States) -> tuple[Float[Array, ""], Float[Array, ""]]:
            scale = jnp.maximum(largest(states), largest(initial[None]))
            return largest(defect(states)), tolerance * scale

        def unfinished(now: _Iterate) -> Bool[Array, ""]:
            _, residual, bound, count, stuck = now
            return (residual > bound) & (count < most) & ~stuck

        def iterate(now: _Iterate) -> _Iterate:
            states, residual, _, count, _ = now
            value, linear = jax.linearize(defect, states)
            if self.jacobian == "diagonal":
                # Whole changes: the residual may rise before it falls.
                following = states - diagonal_change(linear, value)
                return following, *measure(following), count + 1, jnp.array(False)
            change = _solve_linear(linear, value)

            def refused(share: Float[Array, ""]) -> Bool[Array, ""]:
                reached, _ = measure(states - share * change)
                return ~(reached <= (1 - share / 2) * residual) & (share > _SMALLEST_SHARE)

            share = jax.lax.while_loop(refused, lambda s: s / 2, jnp.ones((), states.dtype))
            following = states - share * change
            return following, *measure(following), count + 1, share <= _SMALLEST_SHARE

        begin = (start, *measure(start), jnp.array(0), jnp.array(False))
        states, residual, bound, count, _ = jax.lax.while_loop(unfinished, iterate, begin)
        return states, jnp.stack([count.astype(states.dtype), residual, bound])


def _solve_linear(linear: Callable[[States], States], right: States) -> States:
    """The solution of `linear(v) = right` for a linear map `v -> v_k - A_k v_{k-1}`."""
    steps, size = right.shape
    identity = jnp.eye(size, dtype=right.dtype)
    probes = jnp.broadcast_to(identity[:, None, :], (size, steps, size))
    images = jax.vmap(linear)(probes)
    return affine_scan(identity - images.transpose(1, 2, 0), right)
