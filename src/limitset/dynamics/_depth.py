"""Blocks run in depth: to a fixed number of steps, with what their input adds computed once."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._types import Input, State
from limitset.networks import AbstractBlock, Convolution, DeepNetwork


def unroll(
    block: AbstractBlock,
    u: Input,
    depth: int,
    *,
    initial: State | None = None,
    remember: bool = False,
) -> State:
    """The state after `depth` steps with the input held.

    **Arguments:** `block`; `u`, shape (m,); `depth`, 0 or more; `initial`, shape (n,), 0 if
    omitted; `remember`: keep the states alone for the backward pass and compute what lies between
    them again.

    **Returns:** shape (n,). For batches, use `jax.vmap`.

    **Raises:** `InputProblem` for sizes that do not fit.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator, ResidualBlock
    >>> minus, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(minus, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> float(unroll(block, jnp.ones(1), 3)[0])
    1.75
    """
    x, entering = begin_depth(block, u, depth, initial)

    def step(state: State, n: Array) -> tuple[State, None]:
        return block.respond(n, state, entering), None

    body = jax.checkpoint(step) if remember else step
    return jax.lax.scan(body, x, jnp.arange(depth), unroll=written_out(block, depth))[0]


# Longer programs take too long to compile.
_LONGEST = 32


def written_out(block: AbstractBlock, depth: int) -> bool:
    """Whether a loop over depth is better written out step by step, as `jax.lax.scan`'s `unroll`.

    Inside loops XLA's convolutions on processors are up to 40 times as slow: 880 ms instead of 23
    for the gradient of two steps of 16 channels of 16 x 16 pixels, 128 images, one core.
    """
    nodes = jax.tree.leaves(block, is_leaf=lambda node: isinstance(node, Convolution))
    return 1 <= depth <= _LONGEST and any(isinstance(node, Convolution) for node in nodes)


def unroll_path(
    block: AbstractBlock, u: Input, depth: int, *, initial: State | None = None
) -> Float[Array, "k n"]:
    """The states after 1, 2, ... `depth` steps with the input held, shape (depth, n).

    **Arguments:** as for `unroll`.

    **Raises:** `InputProblem` for sizes that do not fit.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator, ResidualBlock
    >>> minus, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(minus, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> unroll_path(block, jnp.ones(1), 3)[:, 0].tolist()
    [1.0, 1.5, 1.75]
    """
    x, entering = begin_depth(block, u, depth, initial)

    def step(state: State, n: Array) -> tuple[State, State]:
        following = block.respond(n, state, entering)
        return following, following

    return jax.lax.scan(step, x, jnp.arange(depth))[1]


def run_network(network: DeepNetwork, u: Input) -> Float[Array, " k"]:
    """The scores of a deep network for one input, every stage at its own depth.

    **Arguments:** `network`; `u`, shape (m,). For batches, use `jax.vmap`.

    **Returns:** shape (k,).

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator, LinearReadout, ResidualBlock, Stage
    >>> minus, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(minus, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> network = DeepNetwork((Stage(block, 2),), LinearReadout(jnp.ones((1, 1)), jnp.zeros(1)))
    >>> run_network(network, jnp.ones(1)).tolist()
    [1.5]
    """
    for stage in network.stages:
        start = None if stage.start is None else stage.start(u)
        held = u if stage.block.input_size else jnp.zeros(0, u.dtype)
        u = unroll(stage.block, held, stage.depth, initial=start)
        u = u if stage.exit is None else stage.exit(u)
    return network.readout(u)


def begin_depth(
    block: AbstractBlock, u: Input, depth: int, initial: State | None
) -> tuple[State, Array]:
    """The first state, and what the input adds to each step; sizes that do not fit are refused."""
    size = block.state_size
    if u.shape != (block.input_size,) or (initial is not None and initial.shape != (size,)):
        came = None if initial is None else initial.shape
        raise InputProblem(
            f"input {u.shape} and first state {came} do not fit; the block needs "
            f"({block.input_size},) and ({size},)"
        )
    if not depth >= 0:
        raise InputProblem(f"depth is {depth}; give a whole number, 0 or more")
    entering = block.enter(u)
    dtype = jnp.result_type(*jax.tree.leaves(entering))
    return jnp.zeros(size, dtype) if initial is None else initial, entering
