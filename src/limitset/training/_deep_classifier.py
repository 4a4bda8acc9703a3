"""Free parameters of deep classifiers, and what they become when training has ended."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem
from limitset.contraction import DeepParametrisation
from limitset.dynamics import run_network
from limitset.networks import DeepNetwork
from limitset.training._batch_norm import (
    BatchNorm,
    Statistics,
    count_biases,
    fold_batch_norm,
    run_normalised,
)
from limitset.training._standardisation import Standardisation, standardise

# A test set of 10,000 images needs no 10,000 networks' states at once.
_BLOCK = 1000


class AbstractDeepClassifier(eqx.Module):
    """Free parameters of a deep network that scores classes of images."""

    @abc.abstractmethod
    def scores(self, images: Float[Array, "b m"]) -> Float[Array, "b k"]:
        """Scores of a batch, as training sees them."""

    @abc.abstractmethod
    def finished(self, images: Float[Array | np.ndarray, "s m"]) -> DeepNetwork:
        """The network that is deployed; images of the training set give it its statistics."""

    @abc.abstractmethod
    def idle(self) -> int:
        """How many of the stored numbers have no effect."""


class DeepClassifier(AbstractDeepClassifier):
    """A deep network's free parameters, and the standardisation that its first weights take in.

    **Arguments:** `core`; `standardisation` of raw pixels, or `None`.

    >>> from limitset.training import DeepSettings, build_deep, find_image_task
    >>> model = build_deep(find_image_task("nais_digits"), DeepSettings(width=8, depth=5))
    >>> model.explicit().output_size
    10
    """

    core: DeepParametrisation
    standardisation: Standardisation | None = eqx.field(static=True, default=None)

    def explicit(self) -> DeepNetwork:
        """The network that runs on raw pixels. Compute it once per update."""
        network = self.core.explicit()
        return (
            network if self.standardisation is None else standardise(network, self.standardisation)
        )

    def scores(self, images: Float[Array, "b m"]) -> Float[Array, "b k"]:
        """Scores of a batch."""
        network = self.explicit()
        return jax.vmap(lambda image: run_network(network, image))(images)

    def finished(self, images: Float[Array | np.ndarray, "s m"]) -> DeepNetwork:
        """The explicit network; it needs no statistics."""
        del images
        return self.explicit()

    def idle(self) -> int:
        """What the core does not use."""
        return self.core.idle()


class NormalisedClassifier(AbstractDeepClassifier):
    """The same with batch norm before every activation: an ablation, without any promise.

    **Arguments:** `core`, `standardisation`, as in `DeepClassifier`; `norms`, one for each stage.

    **Raises:** `InputProblem` if there is not one for each stage.
    """

    core: DeepParametrisation
    norms: tuple[BatchNorm, ...]
    standardisation: Standardisation | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if len(self.norms) != len(self.core.stages):
            raise InputProblem(
                f"{len(self.norms)} norms came for {len(self.core.stages)} stages; give one for "
                "each"
            )

    def scores(self, images: Float[Array, "b m"]) -> Float[Array, "b k"]:
        """Scores of a batch, which depend on who else is in it."""
        return self._run(self._network(), images)[0]

    def finished(self, images: Float[Array | np.ndarray, "s m"]) -> DeepNetwork:
        """The explicit network with statistics averaged over these images, 1000 at a time.

        **Raises:** `InputProblem` if there is no image.
        """
        if not len(images):
            raise InputProblem("no image came to take statistics from; give training images")
        found = [
            _statistics(self, jnp.asarray(images[start : start + _BLOCK]))
            for start in range(0, len(images), _BLOCK)
        ]
        seen = jax.tree.map(lambda *parts: jnp.stack(parts).mean(0), *found)
        network = self._network()
        parts = zip(network.stages, self.norms, seen, strict=True)
        return DeepNetwork(tuple(fold_batch_norm(*part) for part in parts), network.readout)

    def idle(self) -> int:
        """What the core does not use, and the biases, which normalisation takes away."""
        network = self.core.explicit()
        return self.core.idle() + sum(count_biases(stage) for stage in network.stages)

    def _network(self) -> DeepNetwork:
        return DeepClassifier(self.core, self.standardisation).explicit()

    def _run(
        self, network: DeepNetwork, images: Float[Array, "b m"]
    ) -> tuple[Float[Array, "b k"], tuple[Statistics, ...]]:
        seen = []
        for stage, norm in zip(network.stages, self.norms, strict=True):
            images, found = run_normalised(stage, norm, images)
            seen.append(found)
        return jax.vmap(network.readout)(images), tuple(seen)


@jax.jit
def _statistics(model: NormalisedClassifier, images: Float[Array, "b m"]) -> tuple[Statistics, ...]:
    return model._run(model._network(), images)[1]


def classification_loss(
    model: AbstractDeepClassifier, images: Float[Array, "b m"], labels: Int[Array, " b"]
) -> Float[Array, ""]:
    """Mean cross-entropy of the images' classes."""
    scores = model.scores(images)
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


def score_network(
    network: DeepNetwork,
    images: Float[Array | np.ndarray, "b m"],
    labels: Int[Array | np.ndarray, " b"],
) -> tuple[float, float]:
    """Fraction of right answers, and mean cross-entropy, of a network that runs."""
    hits, loss = 0, 0.0
    for start in range(0, len(labels), _BLOCK):
        block = slice(start, start + _BLOCK)
        found = _score(network, jnp.asarray(images[block]), jnp.asarray(labels[block]))
        hits, loss = hits + int(found[0]), loss + float(found[1])
    return hits / len(labels), loss / len(labels)


@jax.jit
def _score(
    network: DeepNetwork, images: Float[Array, "b m"], labels: Int[Array, " b"]
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    scores = jax.vmap(lambda image: run_network(network, image))(images)
    loss = optax.softmax_cross_entropy_with_integer_labels(scores, labels).sum()
    return (scores.argmax(-1) == labels).sum(), loss


def count_deep_parameters(model: AbstractDeepClassifier) -> int:
    """Number of trained numbers that have an effect."""
    arrays = jax.tree.leaves(eqx.filter(model, eqx.is_array))
    return sum(leaf.size for leaf in arrays) - model.idle()
