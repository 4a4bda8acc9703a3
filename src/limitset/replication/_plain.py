"""A network without biases whose weights are plain numbers: what an organism amounts to."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.networks import IDENTITY, Activation


class PlainNetwork(eqx.Module):
    """`x_l = a_l(A_l x_{l-1})`, layer by layer, without biases.

    **Arguments:** `weights`, the matrices `A_l`, (targets, sources); `activations` `a_l`, one for
    each.

    **Raises:** `InputProblem` for sizes that do not fit.
    """

    weights: tuple[Float[Array, "_ _"], ...]
    activations: tuple[Activation, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        sizes = [weight.shape for weight in self.weights]
        if not sizes or len(sizes) != len(self.activations):
            raise InputProblem(
                f"{len(sizes)} weights came with {len(self.activations)} activations; give one "
                "activation for each matrix, at least one"
            )
        if any(below[0] != above[1] for below, above in zip(sizes, sizes[1:], strict=False)):
            raise InputProblem(
                f"weights have shapes {sizes}; each must have as many columns as the one before "
                "it has rows"
            )


def forward_plain(network: PlainNetwork, x: Float[Array, "b m"]) -> Float[Array, "b k"]:
    """What the network answers to each row of `x`.

    >>> from limitset.networks import GELU
    >>> network = PlainNetwork((jnp.eye(2), jnp.ones((1, 2))), (IDENTITY, IDENTITY))
    >>> forward_plain(network, jnp.array([[1.0, 2.0]]))
    Array([[3.]], dtype=float64)
    """
    for weight, activation in zip(network.weights, network.activations, strict=True):
        x = activation(x @ weight.T)
    return x


def layer_inputs(network: PlainNetwork, x: Float[Array, "b m"]) -> tuple[Float[Array, "b _"], ...]:
    """What each layer hears while the network answers to `x`."""
    heard = []
    for weight, activation in zip(network.weights, network.activations, strict=True):
        heard.append(x)
        x = activation(x @ weight.T)
    return tuple(heard)


def draw_plain(
    key: jax.Array,
    sizes: tuple[int, ...],
    activations: tuple[Activation, ...],
    dtype: DTypeLike = jnp.float32,
) -> PlainNetwork:
    """A random network, uniform within `sqrt(6 / (rows + columns))` for each matrix (Xavier)."""
    weights = []
    for layer, (sources, targets) in enumerate(zip(sizes, sizes[1:], strict=False)):
        bound = (6 / (sources + targets)) ** 0.5
        drawn = jax.random.uniform(
            jax.random.fold_in(key, layer), (targets, sources), jnp.float64, -bound, bound
        )
        weights.append(drawn.astype(dtype))
    return PlainNetwork(tuple(weights), activations)


def hidden_activations(layers: int, activation: Activation) -> tuple[Activation, ...]:
    """This activation after every layer but the last, which has none."""
    return (activation,) * (layers - 1) + (IDENTITY,)
