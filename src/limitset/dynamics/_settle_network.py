"""Deep networks whose stages run until their rules are met, each at the sample's own depth."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem
from limitset._types import Input, State
from limitset.dynamics._settle import Settled, settle
from limitset.dynamics._settle_batch import map_tiles, settle_batch
from limitset.dynamics._stopping import AbstractStoppingRule
from limitset.networks import DeepNetwork, Stage


class SettledNetwork(eqx.Module):
    """The scores of a network, and where each of its stages stopped."""

    scores: Float[Array, "*b k"]
    stages: tuple[Settled, ...]


def settle_network(
    network: DeepNetwork,
    u: Input,
    rules: Sequence[AbstractStoppingRule],
    cap: int,
    *,
    every: int = 1,
    remember: bool = False,
) -> SettledNetwork:
    """`run_network` at a depth that each stage chooses; differentiable.

    The stages' own depths are not used. An error of a stage's state goes on into the next ones:
    the `error` of a stage speaks of the limit for the input that came.

    **Arguments:** `network`; `u`, shape (m,); `rules`, one for each stage; `cap`, the largest depth
    of each; `every` as for `settle`; `remember` as for `unroll`.

    **Returns:** a `SettledNetwork`. For batches that train, use `jax.vmap`.

    **Raises:** `InputProblem` for another number of rules.

    >>> import jax.numpy as jnp
    >>> from limitset.dynamics import ShrinkingSteps
    >>> from limitset.networks import DenseOperator, LinearReadout, ResidualBlock, Stage
    >>> minus, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(minus, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> network = DeepNetwork((Stage(block, 2),), LinearReadout(jnp.ones((1, 1)), jnp.zeros(1)))
    >>> settle_network(network, jnp.ones(1), [ShrinkingSteps(0.3, 0.5)], 50).scores.tolist()
    [1.75]
    """
    _check(network, rules)
    ends = []
    for stage, rule in zip(network.stages, rules, strict=True):
        start, held = _enter(stage, u)
        ends.append(
            settle(stage.block, held, rule, cap, every=every, initial=start, remember=remember)
        )
        u = _leave(stage, ends[-1].state)
    return SettledNetwork(network.readout(u), tuple(ends))


def settle_network_batch(
    network: DeepNetwork,
    inputs: Float[Array, "b m"],
    rules: Sequence[AbstractStoppingRule],
    cap: int,
    *,
    every: int = 1,
    tile: int = 256,
) -> SettledNetwork:
    """`settle_network` for many inputs, without steps for samples that have stopped.

    **Arguments:** as for `settle_network`, with a leading batch axis; `tile` as for
    `settle_batch`.

    **Returns:** a `SettledNetwork` with a leading batch axis, bit for bit the same for each sample
    in whatever batch it comes.

    **Raises:** `InputProblem` for another number of rules, and sizes that do not fit.

    >>> import jax.numpy as jnp
    >>> from limitset.dynamics import ShrinkingSteps
    >>> from limitset.networks import DenseOperator, LinearReadout, ResidualBlock, Stage
    >>> minus, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(minus, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> network = DeepNetwork((Stage(block, 2),), LinearReadout(jnp.ones((1, 1)), jnp.zeros(1)))
    >>> rules = [ShrinkingSteps(0.3, 0.5)]
    >>> settle_network_batch(network, jnp.array([[1.0], [4.0]]), rules, 50).scores.tolist()
    [[1.75], [7.75]]
    """
    _check(network, rules)
    ends: list[Settled] = []
    for stage, rule in zip(network.stages, rules, strict=True):
        starts, held = map_tiles(eqx.Partial(_enter, stage), inputs, tile)
        ends.append(
            settle_batch(stage.block, held, rule, cap, every=every, initial=starts, tile=tile)
        )
        inputs = map_tiles(eqx.Partial(_leave, stage), ends[-1].state, tile)
    return SettledNetwork(map_tiles(network.readout, inputs, tile), tuple(ends))


def total_depth(settled: SettledNetwork) -> Int[Array, "*b"]:
    """Steps of all stages together, shape () or (b,)."""
    return jnp.stack([end.depth for end in settled.stages]).sum(0)


def _enter(stage: Stage, u: Any) -> tuple[State | None, Input]:
    """The first state of a stage, and the input that its block holds."""
    start = None if stage.start is None else stage.start(u)
    return start, u if stage.block.input_size else jnp.zeros(0, u.dtype)


def _leave(stage: Stage, x: Any) -> State:
    return x if stage.exit is None else stage.exit(x)


def _check(network: DeepNetwork, rules: Sequence[AbstractStoppingRule]) -> None:
    if len(rules) != len(network.stages):
        raise InputProblem(
            f"{len(rules)} rules came for {len(network.stages)} stages; give one for each"
        )
