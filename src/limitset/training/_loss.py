"""Losses and scores of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from limitset.training._classifier import RunningClassifier


def cross_entropy(
    classifier: RunningClassifier, inputs: Float[Array, "b t m"], labels: Int[Array, " b"]
) -> Float[Array, ""]:
    """Mean negative log-likelihood of the labels."""
    scores = jax.vmap(classifier)(inputs)
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


def accuracy(
    classifier: RunningClassifier,
    inputs: Float[Array | np.ndarray, "b t m"],
    labels: Int[Array | np.ndarray, " b"],
) -> float:
    """Fraction of sequences whose largest score is at the label."""
    total = 0
    # Blocks of one size, so that a test set of 10,000 long sequences needs no 10,000 at once.
    for start in range(0, len(labels), 1000):
        block = slice(start, start + 1000)
        total += int(_hits(classifier, jnp.asarray(inputs[block]), jnp.asarray(labels[block])))
    return total / len(labels)


@jax.jit
def _hits(
    classifier: RunningClassifier, inputs: Float[Array, "b t m"], labels: Int[Array, " b"]
) -> Int[Array, ""]:
    return (jax.vmap(classifier)(inputs).argmax(-1) == labels).sum()
