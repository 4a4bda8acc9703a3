"""Many small networks, each trained to recall another position, in one program."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from limitset._result import InputProblem
from limitset.dynamics import simulate_batch
from limitset.networks import (
    CellStack,
    LinearReadout,
    random_elman,
    random_gru,
    random_lstm,
)
from limitset.training._fit import Diverged
from limitset.training._random_memory import Recall, draw_recall

_CELLS = {"tanh": random_elman, "gru": random_gru, "lstm": random_lstm}
_TEST_SAMPLES = 10_000
# Test sequences come from a stream of their own.
_TEST = 2**31


@dataclass(frozen=True)
class RecallRecipe:
    """What is trained to recall, and how.

    **Arguments:**

    - `layers` of `cells` units each; `cell`, which is `tanh`, `gru` or `lstm`.
    - `longest`: sequences have at most so many numbers; `shortest`: at least so many, and at least
      as many as the position that is asked for.
    - `updates` of Adam, `batch_size` fresh sequences each; `learning_rate`, which falls to 0 along
      a cosine.
    """

    layers: int = 1
    cells: int = 2
    cell: str = "tanh"
    longest: int = 20
    shortest: int = 1
    updates: int = 6000
    batch_size: int = 100
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        if self.cell not in _CELLS:
            raise InputProblem(f"cell {self.cell!r} is not known; use {', '.join(_CELLS)}")
        for name in ("layers", "cells", "longest", "shortest", "updates", "batch_size"):
            value = getattr(self, name)
            if not 1 <= value <= 10**6:
                raise InputProblem(f"{name} is {value}; give a whole number from 1 to {10**6}")
        if self.shortest > self.longest:
            raise InputProblem(
                f"shortest is {self.shortest} and longest {self.longest}; give them in order"
            )
        if not 0 < self.learning_rate < math.inf:
            raise InputProblem(
                f"learning_rate is {self.learning_rate}; give a positive, finite number"
            )


class RecallNetwork(eqx.Module):
    """A stack of cells, and the readout of its last layer: one number."""

    stack: CellStack
    readout: LinearReadout

    def answers(self, asked: Recall) -> Float[Array, " b"]:
        """What it says at the end of each sequence, from rest."""
        rest = jnp.zeros((asked.inputs.shape[0], self.stack.state_size), asked.inputs.dtype)
        final = simulate_batch(self.stack, rest, asked.inputs, lengths=asked.lengths).final
        return jax.vmap(self.readout)(self.stack.top(final))[:, 0]


@dataclass(frozen=True)
class RecallRun:
    """What came of it: one number for each position, on 10,000 fresh sequences [sampled].

    **Arguments:** `positions`; `errors`, mean absolute errors, 1/4 for a constant answer;
    `squared_correlations` of answers and numbers, 0 for answers that do not vary; `networks`, as
    one `RecallNetwork` whose arrays have the positions in front.
    """

    positions: tuple[int, ...]
    errors: Float[np.ndarray, " k"]
    squared_correlations: Float[np.ndarray, " k"]
    networks: RecallNetwork


def train_recall(recipe: RecallRecipe, positions: Sequence[int], key: Key[Array, ""]) -> RecallRun:
    """A network of its own for each position, all of them side by side in one program.

    Weights start with PyTorch's initial law. The final weights count.

    **Arguments:** `recipe`; `positions`, counted back from the end, 1 is the last number; `key` of
    weights and sequences.

    **Raises:** `InputProblem` for positions beyond the longest sequence; `Diverged` if an error is
    not finite.

    **Example:**

    >>> import jax
    >>> run = train_recall(RecallRecipe(updates=2, longest=5), (1, 2), jax.random.key(0))
    >>> run.errors.shape
    (2,)

    **Reference:** arXiv 2212.11085.
    """
    if not positions or not all(1 <= p <= recipe.longest for p in positions):
        raise InputProblem(
            f"positions are {tuple(positions)}; give some between 1 and {recipe.longest}, the "
            "longest sequence"
        )
    asked = jnp.asarray(positions)
    keys = jax.vmap(lambda p: jax.random.fold_in(key, p))(asked)
    networks, errors, squared = _train(recipe, asked, keys)
    if not bool(jnp.isfinite(errors).all()):
        raise Diverged(f"training diverged (errors {errors}); lower the learning rate")
    return RecallRun(tuple(positions), np.asarray(errors), np.asarray(squared), networks)


@functools.partial(jax.jit, static_argnums=0)
def _train(
    recipe: RecallRecipe, positions: Int[Array, " k"], keys: Key[Array, " k"]
) -> tuple[RecallNetwork, Float[Array, " k"], Float[Array, " k"]]:
    schedule = optax.cosine_decay_schedule(recipe.learning_rate, recipe.updates)
    optimiser = optax.adam(schedule)

    def draw(key: Key[Array, ""], stream: Count, position: Count, samples: int) -> Recall:
        return draw_recall(
            jax.random.fold_in(key, stream),
            samples,
            position=position,
            shortest=jnp.maximum(position, recipe.shortest),
            longest=recipe.longest,
        )

    def update(
        network: RecallNetwork, state: PyTree, key: Key[Array, ""], n: Count, position: Count
    ) -> tuple[RecallNetwork, PyTree]:
        # Stream 0 is that of the first weights.
        slope = jax.grad(_loss)(network, draw(key, n + 1, position, recipe.batch_size))
        step, state = optimiser.update(slope, state)  # pyright: ignore[reportArgumentType]
        return optax.apply_updates(network, step), state  # pyright: ignore[reportArgumentType, reportReturnType]

    def advance(carry: tuple[RecallNetwork, PyTree], n: Count) -> tuple[PyTree, None]:
        networks, states = carry
        return jax.vmap(update, (0, 0, 0, None, 0))(networks, states, keys, n, positions), None

    first = jax.vmap(functools.partial(_first_network, recipe))(keys)
    start = (first, jax.vmap(optimiser.init)(first))  # pyright: ignore[reportArgumentType]
    (networks, _), _ = jax.lax.scan(advance, start, jnp.arange(recipe.updates))
    tests = jax.vmap(lambda key, p: draw(key, _TEST, p, _TEST_SAMPLES))(keys, positions)
    return networks, *jax.vmap(_score)(networks, tests)


Count = int | Int[Array, ""]


def _first_network(recipe: RecallRecipe, key: Key[Array, ""]) -> RecallNetwork:
    *layer_keys, readout_key = jax.random.split(jax.random.fold_in(key, 0), recipe.layers + 1)
    draw = _CELLS[recipe.cell]
    layers = [draw(k, recipe.cells, recipe.cells if i else 1) for i, k in enumerate(layer_keys)]
    bound = recipe.cells**-0.5
    weight = jax.random.uniform(readout_key, (1, recipe.cells), minval=-bound, maxval=bound)
    network = RecallNetwork(CellStack(layers), LinearReadout(weight, jnp.zeros(1)))
    return jax.tree.map(lambda a: a.astype(jnp.float32), network)


def _loss(network: RecallNetwork, asked: Recall) -> Float[Array, ""]:
    return jnp.square(network.answers(asked) - asked.targets).mean()


def _score(network: RecallNetwork, asked: Recall) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean absolute error, and the squared correlation."""
    answers, targets = network.answers(asked), asked.targets
    error = jnp.abs(answers - targets).mean()
    answers, targets = answers - answers.mean(), targets - targets.mean()
    spread = (answers**2).sum() * (targets**2).sum()
    return error, jnp.where(spread > 0, (answers @ targets) ** 2 / spread, 0.0)
