"""What a trained network says at other depths than those it was trained for."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree

from limitset._result import InputProblem
from limitset.dynamics import unroll
from limitset.networks import DeepNetwork, Stage
from limitset.training._datasets import Dataset
from limitset.training._images import images_of

_BLOCK = 500


@dataclass(frozen=True)
class DepthCurve:
    """Accuracy and mean cross-entropy on one data set, against the steps of the last stage.

    The loss is infinite or NaN where states overflowed; answers that are not finite count as wrong.
    """

    depths: tuple[int, ...]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]


def evaluate_depths(network: DeepNetwork, data: Dataset, depths: Sequence[int]) -> DepthCurve:
    """The readout after each of these numbers of steps of the last stage; the others as trained.

    A stage of the stable kind stays where it came to; others may part from it, slowly or fast,
    and what is bounded (tanh and small states) may still be lost: look at the loss.

    **Arguments:** `network`; `data`, images with one class each; `depths`, increasing, from 1.

    **Raises:** `InputProblem` for depths that are none.
    """
    wanted = np.asarray(depths)
    if not (wanted.ndim == 1 and wanted.size and wanted[0] >= 1 and (np.diff(wanted) > 0).all()):
        raise InputProblem(f"depths are {list(depths)}; give increasing whole numbers, at least 1")
    images, labels = images_of(data), data.labels
    hits, losses = np.zeros(wanted.size), np.zeros(wanted.size)
    for start in range(0, len(labels), _BLOCK):
        block = slice(start, start + _BLOCK)
        right, summed = _follow(network, images[block], jnp.asarray(labels[block]), wanted)
        hits, losses = hits + right, losses + summed
    return DepthCurve(
        tuple(wanted.tolist()),
        tuple((hits / len(labels)).tolist()),
        tuple((losses / len(labels)).tolist()),
    )


def _follow(
    network: DeepNetwork,
    images: Float[np.ndarray, "b m"],
    labels: Int[Array, " b"],
    wanted: Int[np.ndarray, " d"],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Right answers and summed cross-entropies at each depth."""
    # Step by step: inside XLA's loops convolutions are slow, and few depths are read out.
    states, entering = _begin(network, jnp.asarray(images))
    right, summed, depth = [], [], 0
    for goal in wanted.tolist():
        for n in range(depth, goal):
            states = _advance(network, jnp.asarray(n), states, entering)
        depth = goal
        hits, loss = _score(network, states, labels)
        right.append(int(hits))
        summed.append(float(loss))
    return np.asarray(right, float), np.asarray(summed)


@jax.jit
def _begin(network: DeepNetwork, images: Float[Array, "b m"]) -> tuple[Array, PyTree]:
    """First states of the last stage, and what its input adds to each step."""
    *earlier, last = network.stages

    def begin(image: Float[Array, " m"]) -> tuple[Array, PyTree]:
        for stage in earlier:
            held, first = _enter(stage, image)
            image = _leave(stage, unroll(stage.block, held, stage.depth, initial=first))
        held, first = _enter(last, image)
        return first, last.block.enter(held)

    return jax.vmap(begin)(images)


@jax.jit
def _advance(network: DeepNetwork, n: Array, states: Array, entering: PyTree) -> Array:
    block = network.stages[-1].block
    return jax.vmap(lambda x, e: block.respond(n, x, e))(states, entering)


@jax.jit
def _score(
    network: DeepNetwork, states: Float[Array, "b n"], labels: Int[Array, " b"]
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    scores = jax.vmap(lambda x: network.readout(_leave(network.stages[-1], x)))(states)
    losses = optax.softmax_cross_entropy_with_integer_labels(scores, labels)
    right = (scores.argmax(-1) == labels) & jnp.isfinite(scores).all(-1)
    return right.sum(), losses.sum()


def _enter(
    stage: Stage, image: Float[Array, " m"]
) -> tuple[Float[Array, " i"], Float[Array, " n"]]:
    """What a block holds as its input, and its first state."""
    held = image if stage.block.input_size else image[:0]
    if stage.start is None:
        return held, jnp.zeros(stage.block.state_size, image.dtype)
    return held, stage.start(image)


def _leave(stage: Stage, x: Float[Array, " n"]) -> Float[Array, " l"]:
    return x if stage.exit is None else stage.exit(x)
