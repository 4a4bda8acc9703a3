"""Factorisations of stacked matrices, one matrix after the other on processors."""

import functools
import math
from collections.abc import Callable
from typing import TypeVar

import jax
from jaxtyping import Array, Float, PyTree

Answer = TypeVar("Answer", bound=PyTree)


def one_by_one(function: Callable[..., Answer], *stacks: Float[Array, "*p _ _"]) -> Answer:
    """`function` of the matrices of the stacks, over all leading axes.

    LAPACK calls on stacks can wait for ever: jaxlib splits a large stack among the threads that
    XLA computes on, and waits for them in one of those threads. As many such calls at once as
    there are threads, from one program or from several CPU devices, stop each other. Calls on
    single matrices do not wait.

    **Arguments:** `function` of matrices, a module's own function, for it is compiled once;
    `stacks`, of equal leading axes.
    """
    leading = stacks[0].shape[:-2]
    if not leading or jax.default_backend() != "cpu":
        return function(*stacks)
    rows = [stack.reshape(math.prod(leading), *stack.shape[-2:]) for stack in stacks]
    answers = _in_turn(function, *rows)
    return jax.tree.map(lambda a: a.reshape(*leading, *a.shape[1:]), answers)


@functools.partial(jax.jit, static_argnums=0)
def _in_turn(function: Callable[..., PyTree], *rows: Float[Array, "r _ _"]) -> PyTree:
    return jax.lax.map(lambda matrices: function(*matrices), rows)
