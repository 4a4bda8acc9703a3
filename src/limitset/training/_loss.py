"""Losses and scores of a batch; the labels say what is asked (`Dataset`)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from limitset.training._classifier import RunningClassifier

Labels = Int[Array, " b"] | Int[Array, "b t"] | Float[Array, " b"]

# A number counts as right if it is this near, as is customary for the adding task.
NEAR = 0.04


def training_loss(
    classifier: RunningClassifier, inputs: Float[Array, "b t m"], labels: Labels
) -> Float[Array, ""]:
    """Cross-entropy of classes, of whole sequences or of labelled steps; squared error of numbers.

    **Arguments:** `classifier`; `inputs`, shape (b, t, m); `labels`, as in `Dataset`.
    """
    if jnp.issubdtype(labels.dtype, jnp.floating):
        answers = classifier.last_scores(inputs)[:, 0]
        return jnp.square(answers - labels).mean()
    if labels.ndim == 1:
        return cross_entropy(classifier, inputs, labels)
    scores = classifier.all_scores(inputs)
    asked = labels >= 0
    each = optax.softmax_cross_entropy_with_integer_labels(scores, jnp.where(asked, labels, 0))
    return jnp.where(asked, each, 0).sum() / jnp.maximum(asked.sum(), 1)


def cross_entropy(
    classifier: RunningClassifier, inputs: Float[Array, "b t m"], labels: Int[Array, " b"]
) -> Float[Array, ""]:
    """Mean negative log-likelihood of the sequences' classes."""
    scores = classifier.last_scores(inputs)
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


def accuracy(
    classifier: RunningClassifier,
    inputs: Float[Array | np.ndarray, "b t m"],
    labels: Labels | np.ndarray,
) -> float:
    """Fraction of right answers: classes, labelled steps, or numbers within 0.04."""
    hits, asked = 0, 0
    # Blocks of one size, so that a test set of 10,000 long sequences needs no 10,000 at once.
    for start in range(0, len(labels), 1000):
        block = slice(start, start + 1000)
        found = _hits(classifier, jnp.asarray(inputs[block]), jnp.asarray(labels[block]))
        hits, asked = hits + int(found[0]), asked + int(found[1])
    return hits / asked


@jax.jit
def _hits(
    classifier: RunningClassifier, inputs: Float[Array, "b t m"], labels: Labels
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """How many answers are right, and how many were asked for."""
    if labels.ndim == 2:
        said = classifier.all_scores(inputs).argmax(-1)
    elif jnp.issubdtype(labels.dtype, jnp.floating):
        answers = classifier.last_scores(inputs)[:, 0]
        return (jnp.abs(answers - labels) <= NEAR).sum(), jnp.asarray(labels.size)
    else:
        said = classifier.last_scores(inputs).argmax(-1)
    asked = labels >= 0
    return (asked & (said == labels)).sum(), asked.sum()
