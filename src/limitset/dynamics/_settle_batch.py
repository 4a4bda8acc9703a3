"""Depth that each sample chooses, for many samples: those that have stopped make room."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from limitset._result import InputProblem
from limitset.dynamics._depth import written_out
from limitset.dynamics._settle import Exit, Settled, begin_settling, check_depths, deepen
from limitset.dynamics._stopping import AbstractStoppingRule
from limitset.networks import AbstractBlock

# Steps between two looks at who has stopped; half of them are lost on each sample, on average.
_STRIDE = 8


def settle_batch(
    block: AbstractBlock,
    inputs: Float[Array, "b m"],
    rule: AbstractStoppingRule,
    cap: int,
    *,
    every: int = 1,
    initial: Float[Array, "b n"] | None = None,
    tile: int = 256,
) -> Settled:
    """`settle` for many inputs, without steps for those that have stopped.

    `tile` samples run side by side in one compiled program; whoever stops hands its place to one
    that waits. A sample's sums depend neither on its neighbours nor on its place, so that a batch
    gives bit for bit what each of its samples gives as a batch of one. `settle` itself compiles to
    other sums, and may differ from it in the last bits.

    **Arguments:** as for `settle`, with a leading batch axis; `tile`, from 2 on: more are faster
    for small blocks. Not under `jit`, and without gradients: to train, use `jax.vmap` of `settle`.

    **Returns:** a `Settled` with a leading batch axis.

    **Raises:** `InputProblem` for sizes that do not fit.

    >>> import jax.numpy as jnp
    >>> from limitset.dynamics import ShrinkingSteps
    >>> from limitset.networks import DenseOperator, ResidualBlock
    >>> minus, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(minus, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> inputs = jnp.array([[-1.0], [1.0], [4.0]])
    >>> settle_batch(block, inputs, ShrinkingSteps(0.3, 0.5), 50).depth.tolist()
    [1, 3, 5]
    """
    check_depths(cap, every)
    _check(block, inputs, initial, tile)
    begin = eqx.Partial(_begin, block)
    # Copies in NumPy, which rows can be written to.
    everyone, entering = jax.tree.map(np.array, map_tiles(begin, (inputs, initial), tile))
    waiting = np.arange(len(inputs))
    while len(waiting):
        seated, waiting = waiting[:tile], waiting[tile:]
        rows = np.resize(seated, tile)
        now, held = jax.tree.map(lambda a: a[rows], (everyone, entering))  # noqa: B023
        after = _advance(block, rule, held, now, cap, every)
        for whole, part in zip(jax.tree.leaves(everyone), jax.tree.leaves(after), strict=True):
            whole[seated] = np.asarray(part)[: len(seated)]
        goes_on = (everyone.reason == int(Exit.CAP)) & (everyone.depth < cap)
        waiting = np.concatenate([seated[goes_on[seated]], waiting])
    return jax.tree.map(jnp.asarray, everyone)


def map_tiles(function: Callable[[Any], Any], given: PyTree, tile: int) -> PyTree:
    """A function of one sample for many, in tiles of one size.

    `function` is a pytree, as an `eqx.Partial` is: another one of the same kind is not compiled
    again.
    """
    batch = jax.tree.map(np.asarray, given)
    count = len(jax.tree.leaves(batch)[0])
    parts = []
    for first in range(0, count, tile):
        seated = np.arange(first, min(first + tile, count))
        rows = np.resize(seated, tile)
        image = _mapped(function, jax.tree.map(lambda a: a[rows], batch))  # noqa: B023
        parts.append(jax.tree.map(lambda a: np.asarray(a)[: len(seated)], image))  # noqa: B023
    return jax.tree.map(lambda *arrays: jnp.asarray(np.concatenate(arrays)), *parts)


@eqx.filter_jit
def _mapped(function: Callable[[Any], Any], batch: PyTree) -> PyTree:
    return jax.vmap(function)(batch)


def _begin(block: AbstractBlock, given: tuple[Any, Any]) -> tuple[Settled, PyTree]:
    return begin_settling(block, given[0], given[1])


@eqx.filter_jit
def _advance(
    block: AbstractBlock,
    rule: AbstractStoppingRule,
    entering: PyTree,
    now: Settled,
    cap: int,
    every: int,
) -> Settled:
    """A few steps of a tile."""

    def one(held: PyTree, state: Settled) -> Settled:
        return deepen(block, rule, held, state, cap, every)

    def step(state: Settled, _: None) -> tuple[Settled, None]:
        return jax.vmap(one)(entering, state), None

    looks = max(1, _STRIDE // every)
    return jax.lax.scan(step, now, None, length=looks, unroll=written_out(block, looks))[0]


def _check(
    block: AbstractBlock,
    inputs: Float[Array, "b m"],
    initial: Float[Array, "b n"] | None,
    tile: int,
) -> None:
    if not (isinstance(tile, int) and tile >= 2):
        raise InputProblem(f"the tile is {tile!r}; give a whole number of samples, from 2 on")
    starts = (len(inputs), block.state_size)
    if inputs.ndim != 2 or not len(inputs) or (initial is not None and initial.shape != starts):
        came = None if initial is None else initial.shape
        raise InputProblem(
            f"inputs {inputs.shape} and first states {came} do not fit; give at least one input, "
            f"as (samples, {block.input_size}), and (samples, {block.state_size})"
        )
