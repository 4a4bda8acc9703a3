"""Classifiers trained for certified radii: a network of gain 1, and the loss of its margins."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from limitset._result import InputProblem
from limitset.contraction import (
    DeepParametrisation,
    RowSumConvolution,
    StableGradient,
    StageParametrisation,
    UnitGain,
    UntiedParametrisation,
)
from limitset.dynamics import run_network
from limitset.networks import DeepNetwork, DenseOperator, LinearReadout
from limitset.training._certified_loss import certified_loss, class_distances
from limitset.training._deep_classifier import AbstractDeepClassifier

# What row sums leave below 1, per step.
_EPSILON = 1e-3


class CertifiedClassifier(AbstractDeepClassifier):
    """A deep network whose last state moves no more than its input.

    **Arguments:** `core`, a `UnitGain`.
    """

    core: UnitGain

    def explicit(self) -> DeepNetwork:
        """The network that runs. Compute it once per update."""
        return self.core.explicit()

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


@dataclass(frozen=True)
class RadiusLoss:
    """`certified_loss` of a `CertifiedClassifier`, for `fit_deep`.

    **Arguments:** `offset` and `temperature`, radii in the norm of the classifier.

    **Raises:** `InputProblem` for numbers that `certified_loss` refuses.
    """

    offset: float
    temperature: float

    def __post_init__(self) -> None:
        certified_loss(jnp.zeros((1, 1)), offset=self.offset, temperature=self.temperature)

    def __call__(
        self, model: AbstractDeepClassifier, images: Float[Array, "b m"], labels: Int[Array, " b"]
    ) -> Float[Array, ""]:
        """The mean loss of a batch."""
        if not isinstance(model, CertifiedClassifier):
            raise InputProblem(
                f"a {type(model).__name__} came; radii need a CertifiedClassifier, whose gain is "
                "known"
            )
        core = model.core
        distances = class_distances(
            model.explicit(), images, labels, norm=core.norm, gain=core.gain
        )
        return certified_loss(distances, offset=self.offset, temperature=self.temperature)


def certified_classifier(
    key: Key[Array, ""],
    *,
    pixels: int,
    classes: int,
    norm: Literal["euclidean", "maximum"] = "euclidean",
    units: int = 256,
    layers: int = 4,
) -> CertifiedClassifier:
    """A random, fully connected classifier (float32) for radii in the 2-norm or the maximum norm.

    One stage of layers with weights of their own, after a matrix of norm 1:

        x+ = x - R^T relu(R x + b),  |R|^2 <= 2              2-norm
        x+ = x + relu(-x + V x + b) = max(x, V x + b)        maximum norm, row sums |V| < 1

    In either norm no layer drives states apart, and neither has to bring them closer: the first
    can be the absolute value in any orthogonal coordinates, the second the larger of two units.

    **Arguments:** `pixels`, `classes`, `units`, `layers`, each at least 1; `norm`.

    **Raises:** `InputProblem` for other numbers and norms.

    >>> import jax
    >>> model = certified_classifier(jax.random.key(0), pixels=9, classes=3, units=4, layers=2)
    >>> model.explicit().output_size
    3
    """
    if not (min(pixels, units, layers) >= 1 and classes >= 2):
        raise InputProblem(
            f"pixels {pixels}, classes {classes}, units {units}, layers {layers}; give 2 classes "
            "and 1 of the others, or more"
        )
    start_key, readout_key, *keys = jax.random.split(key, 2 + layers)
    make = {"euclidean": _gradient_layer, "maximum": _maximum_layer}
    if norm not in make:
        raise InputProblem(f"norm {norm!r} is not known; use one of {', '.join(make)}")
    core = UntiedParametrisation(tuple(make[norm](one, units) for one in keys))
    start = DenseOperator(_orthogonal(start_key, (units, pixels)))
    if norm == "maximum":
        start = DenseOperator(_normal(start_key, (units, pixels)))
    readout = LinearReadout(_normal(readout_key, (classes, units)), jnp.zeros(classes, jnp.float32))
    stage = StageParametrisation(core, layers, start)
    return CertifiedClassifier(UnitGain(DeepParametrisation((stage,), readout), norm))


def _gradient_layer(key: Key[Array, ""], units: int) -> StableGradient:
    operator = DenseOperator(_orthogonal(key, (units, units)))
    return StableGradient(operator, None, jnp.zeros(units, jnp.float32), 0.0, 1.0, "relu")


def _maximum_layer(key: Key[Array, ""], units: int) -> RowSumConvolution:
    """Dense, as the convolution of an image of one pixel."""
    zeros = jnp.zeros(units, jnp.float32)
    taps = _normal(key, (units, units))[:, :, None, None]
    return RowSumConvolution(
        taps, zeros, None, zeros, 1, 1, epsilon=_EPSILON, eta=0.5, activation="relu"
    )


def _orthogonal(key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "r n"]:
    return jax.nn.initializers.orthogonal()(key, shape, jnp.float32)


def _normal(key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "r n"]:
    return jax.random.normal(key, shape, jnp.float32) / shape[1] ** 0.5
