"""Where a block comes to rest, with gradients by the implicit function theorem."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Bool, Float, Int

from limitset._result import InputProblem
from limitset._types import Input, State
from limitset.dynamics._depth import begin_depth
from limitset.dynamics._settle import check_depths
from limitset.networks import (
    IDENTITY,
    AbstractBlock,
    DenseOperator,
    EquilibriumBlock,
    GradientBlock,
    NegativeGram,
    ResidualBlock,
    vanishes_at_zero_alone,
)

Linear = Callable[[State], State]


class NotConverged(ArithmeticError):
    """An iteration did not reach its tolerance. The message is one line."""


class Rest(eqx.Module):
    """A state at which a block rests, and how the iteration that found it ended.

    `residual` is the largest entry of `|advance(x) - x|`, and `converged` says that it is at most
    `tolerance (1 + max |x|)`. Where it is false, `state` is NaN.
    """

    state: Float[Array, "*b n"]
    iterations: Int[Array, "*b"]
    residual: Float[Array, "*b"]
    converged: Bool[Array, "*b"]


def solve_equilibrium(
    block: AbstractBlock, u: Input, *, tolerance: float = 1e-6, cap: int = 1000
) -> Rest:
    """The state at which a block rests while its input is held, and its gradient.

    The block's own averaged step is iterated. Gradients are those of the exact equilibrium,
    `dx = (I - J)^-1 (df/dtheta) dtheta`: the adjoint equation `w = v + J^T w` is iterated too, and
    contracts by the same factor, in the dual norm. A gradient whose iteration does not converge is
    NaN. Memory does not grow with the number of iterations.

    A residual block whose activation is 0 at 0 alone, such as tanh, rests at `-A^-1 (B u + b)`,
    which is solved for. The limit of a ReLU block depends on its first state and its step, so that
    no equation at the limit gives its gradient: such blocks are refused.

    **Arguments:** `block`, an `EquilibriumBlock`, a `GradientBlock`, or a `ResidualBlock` with
    tanh or leaky ReLU; `u`, shape (m,); `tolerance` of the residual, relative to `1 + max |x|`, and
    of gradients, relative to the cotangent; `cap`, the most iterations of each.

    **Returns:** a `Rest`; for batches, use `jax.vmap`. The equilibrium is unique if the block is
    certified with a factor below 1.

    **Raises:** `NotConverged`, unless under a transformation: look at `converged` there.
    `InputProblem` for other blocks, and sizes that do not fit.

    **Reference:** arXiv 2006.08591, 2106.03194.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator, EquilibriumBlock
    >>> weak, one = DenseOperator(jnp.array([[0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = EquilibriumBlock(weak, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> round(float(solve_equilibrium(block, jnp.ones(1)).state[0]), 5)
    2.0
    >>> slope = jax.grad(lambda u: solve_equilibrium(block, u).state[0])
    >>> round(float(slope(jnp.ones(1))[0]), 5)
    2.0
    """
    _check(block, tolerance, cap)
    start, entering = begin_depth(block, u, cap, None)
    found = _rest(block, entering, start, tolerance, cap)
    if not isinstance(found.converged, Tracer) and not bool(found.converged):
        raise NotConverged(
            f"the residual is {float(found.residual):.3g} after {int(found.iterations)} iterations "
            f"at a tolerance of {tolerance:g}; certify the block, raise cap or tolerance, or use "
            "float64"
        )
    return found


def _rest(block: AbstractBlock, entering: Array, start: State, tolerance: float, cap: int) -> Rest:
    solved, taken = start, jnp.asarray(0)
    if isinstance(block, ResidualBlock):
        operator = block.state_operator
        if isinstance(operator, DenseOperator | NegativeGram):
            solved = _solve_affine(operator, entering, tolerance, cap)
        else:
            # With slopes 1 it rests at the same state.
            linear = dataclasses.replace(block, activation=IDENTITY)
            solved, taken = _iterate(linear, entering, start, tolerance, cap)
    else:
        solved, taken = _iterate(block, entering, start, tolerance, cap)
    residual = jnp.abs(block.respond(0, solved, entering) - solved).max()
    converged = residual <= tolerance * (1 + jnp.abs(solved).max())
    # As a factor, NaN reaches the gradient too.
    valid = jnp.where(converged, 1.0, jnp.nan).astype(solved.dtype)
    return Rest(solved * valid, taken, jax.lax.stop_gradient(residual), converged)


def _iterate(
    block: AbstractBlock, entering: Array, start: State, tolerance: float, cap: int
) -> tuple[State, Int[Array, ""]]:
    """The block's own steps until they are short; gradients of their exact limit."""

    def move(x: State) -> State:
        return block.respond(0, x, entering) - x

    def solve(function: Linear, guess: State) -> tuple[State, Float[Array, ""]]:
        def goes_on(now: tuple[State, State, Int[Array, ""]]) -> Bool[Array, ""]:
            x, step, count = now
            far = jnp.abs(step).max() > tolerance * (1 + jnp.abs(x).max())
            return far & (count < cap)

        def advance(
            now: tuple[State, State, Int[Array, ""]],
        ) -> tuple[State, State, Int[Array, ""]]:
            x = now[0] + now[1]
            return x, function(x), now[2] + 1

        first = (guess, function(guess), jnp.asarray(0))
        x, _, count = jax.lax.while_loop(goes_on, advance, first)
        # What is returned beside a root must have a tangent, which integers have not.
        return x, count.astype(x.dtype)

    def solve_tangent(linear: Linear, right: State) -> State:
        def neumann(apply: Linear, side: State) -> State:
            return _neumann(apply, side, tolerance, cap)

        return jax.lax.custom_linear_solve(linear, right, solve=neumann, transpose_solve=neumann)

    x, count = jax.lax.custom_root(move, start, solve, solve_tangent, has_aux=True)
    return x, jax.lax.stop_gradient(count).astype(int)


def _neumann(linear: Linear, right: State, tolerance: float, cap: int) -> State:
    """The solution of `(J - I) v = right` by `v <- J v - right`; NaN if it is not reached."""
    goal = tolerance * jnp.abs(right).max()

    def goes_on(now: tuple[State, State, Int[Array, ""]]) -> Bool[Array, ""]:
        return (jnp.abs(now[1]).max() > goal) & (now[2] < cap)

    def advance(now: tuple[State, State, Int[Array, ""]]) -> tuple[State, State, Int[Array, ""]]:
        v = now[0] + now[1]
        return v, linear(v) - right, now[2] + 1

    first = (jnp.zeros_like(right), -right, jnp.asarray(0))
    v, left, _ = jax.lax.while_loop(goes_on, advance, first)
    return jnp.where(jnp.abs(left).max() <= goal, v, jnp.nan)


def _solve_affine(
    operator: DenseOperator | NegativeGram, entering: State, tolerance: float, cap: int
) -> State:
    """`-A^-1 entering`."""
    if isinstance(operator, DenseOperator):
        return -jnp.linalg.solve(operator.matrix, entering)
    right = entering if operator.rates is None else entering / operator.rates
    bracket = dataclasses.replace(operator, rates=None)
    return cg(lambda x: -bracket(x), right, tol=tolerance, maxiter=cap)[0]


def _check(block: AbstractBlock, tolerance: float, cap: int) -> None:
    check_depths(cap, 1)
    if not 0 < tolerance < 1:
        raise InputProblem(f"the tolerance is {tolerance}; give a number between 0 and 1")
    if isinstance(block, EquilibriumBlock | GradientBlock):
        return
    if not isinstance(block, ResidualBlock):
        raise InputProblem(
            f"a {type(block).__name__} need not rest; give an EquilibriumBlock, a GradientBlock, "
            "or a ResidualBlock with tanh"
        )
    if not vanishes_at_zero_alone(block.activation):
        raise InputProblem(
            f"the limit of a residual block with {block.activation.name} depends on its first "
            "state and its step, and implicit gradients of it would be wrong; use settle, whose "
            "gradients are those of its steps"
        )
