"""Pixels centred and scaled by the network's own first weights, which so speak of raw pixels."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.networks import (
    AbstractBlock,
    AbstractOperator,
    Convolution,
    DeepNetwork,
    DenseOperator,
    EquilibriumBlock,
    GradientBlock,
    ResidualBlock,
    UntiedBlock,
)
from limitset.training._datasets import Dataset
from limitset.training._images import images_of


@dataclasses.dataclass(frozen=True)
class Standardisation:
    """Mean and standard deviation of the pixels of each channel, over a training set.

    **Raises:** `InputProblem` if they are not one positive deviation for each finite mean.
    """

    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def __post_init__(self) -> None:
        finite = np.isfinite([*self.means, *self.deviations]).all()
        if not (
            finite
            and len(self.means) == len(self.deviations)
            and min(self.deviations, default=0) > 0
        ):
            raise InputProblem(
                f"means {self.means} and deviations {self.deviations}; give a finite mean and a "
                "positive deviation for each channel"
            )


def measure_standardisation(train: Dataset, channels: int) -> Standardisation:
    """Means and deviations of the pixels of each channel.

    **Raises:** `InputProblem` if a channel is constant, or images do not have so many channels.
    """
    images = images_of(train)
    if not channels >= 1 or images.shape[1] % channels:
        raise InputProblem(f"images of {images.shape[1]} numbers do not have {channels} channels")
    planes = images.reshape(len(images), channels, -1)
    means = planes.mean((0, 2), dtype=np.float64)
    squares = np.stack([np.square(planes[:, c] - means[c]).mean() for c in range(channels)])
    return Standardisation(tuple(means.tolist()), tuple(np.sqrt(squares).tolist()))


def standardise(network: DeepNetwork, by: Standardisation) -> DeepNetwork:
    """The network that does with raw pixels what the given one does with standardised ones.

    The first block's input operator is scaled, and its bias, now one number per entry, is moved by
    what the means bring. Zero padding of a convolution therefore stands for pixels of mean
    brightness. A stage's start has no bias: pixels there are scaled, not centred.

    **Raises:** `InputProblem` for a first stage whose operators are neither dense nor convolutions.

    >>> import jax.numpy as jnp
    >>> from limitset.dynamics import run_network
    >>> from limitset.networks import LinearReadout, Stage
    >>> one = DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(one, one, jnp.zeros(1), jnp.array(1.0), "identity")
    >>> network = DeepNetwork((Stage(block, 1),), LinearReadout(jnp.ones((1, 1)), jnp.zeros(1)))
    >>> raw = standardise(network, Standardisation((3.0,), (0.5,)))
    >>> float(run_network(network, jnp.ones(1))[0]), float(run_network(raw, jnp.array([3.5]))[0])
    (1.0, 1.0)
    """
    first, *others = network.stages
    start = None if first.start is None else _scaled(first.start, by)
    first = dataclasses.replace(first, block=_folded(first.block, by), start=start)
    return DeepNetwork((first, *others), network.readout)


def _folded(block: AbstractBlock, by: Standardisation) -> AbstractBlock:
    if isinstance(block, UntiedBlock):
        return UntiedBlock(jax.vmap(functools.partial(_folded, by=by))(block.layers))
    if not isinstance(block, ResidualBlock | GradientBlock | EquilibriumBlock):
        raise InputProblem(
            f"a {type(block).__name__} came; standardise a block with an input operator"
        )
    if block.input_operator is None:
        return block
    operator = _scaled(block.input_operator, by)
    size, inputs = operator.output_size, operator.input_size
    brought = operator(_spread(by.means, inputs, block.bias))
    bias = jnp.repeat(block.bias, size // block.bias.shape[0]) - brought
    return eqx.tree_at(lambda b: (b.input_operator, b.bias), block, (operator, bias))


def _scaled(operator: AbstractOperator, by: Standardisation) -> AbstractOperator:
    inverse = [1 / deviation for deviation in by.deviations]
    if operator.input_size % len(inverse):
        raise InputProblem(
            f"an image of {operator.input_size} numbers does not have {len(inverse)} channels; "
            "measure the standardisation on the images that enter"
        )
    if isinstance(operator, DenseOperator):
        return DenseOperator(
            operator.matrix * _spread(tuple(inverse), operator.input_size, operator.matrix)
        )
    if isinstance(operator, Convolution) and operator.input_channels == len(inverse):
        scale = jnp.asarray(inverse, operator.taps.dtype)[:, None, None]
        return eqx.tree_at(lambda c: c.taps, operator, operator.taps * scale)
    raise InputProblem(
        f"a {type(operator).__name__} does not take {len(inverse)} channels; give a DenseOperator, "
        "or a Convolution of so many channels"
    )


def _spread(values: tuple[float, ...], size: int, like: Float[Array, "..."]) -> Float[Array, " m"]:
    return jnp.repeat(jnp.asarray(values, like.dtype), size // len(values))
