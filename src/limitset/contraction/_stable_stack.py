"""Free parameters -> deep stacks that contract for every value of them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset.contraction._block_metric import BlockMaximumMetric
from limitset.contraction._parametrisation import AbstractParametrisation
from limitset.contraction._stable_recurrence import random_stable_recurrence
from limitset.networks import Relay, Stack, find_activation


class StableStack(AbstractParametrisation):
    """Free parameters of a stack that contracts for every value they can take.

    Layers contract by their own parametrisations. Relays and embedding are free: nothing acts
    downwards, so no size of theirs can break the contraction of the whole.

    **Arguments:** `layers`, parametrisations of maps with as many inputs as the stream is wide;
    `relays`, one between each layer and the next; `embedding` (d, m); `embedding_bias` (d,).

    **Reference:** the theorem `Cascade`.
    """

    layers: tuple[AbstractParametrisation, ...]
    relays: tuple[Relay, ...]
    embedding: Float[Array, "d m"]
    embedding_bias: Float[Array, " d"]

    def __check_init__(self) -> None:
        for index, relay in enumerate(self.relays):
            if relay.activation.slope_interval is None:
                raise InputProblem(
                    f"relay {index}: activation {relay.activation.name!r} has no proved slope "
                    "bound; a stable stack needs tanh, relu, sigmoid, softplus or identity"
                )

    def explicit(self) -> Stack:
        """The stack that runs. Compute it once per update, outside any loop over time."""
        layers = []
        for index, layer in enumerate(self.layers):
            system = layer.explicit()
            if not isinstance(system, AbstractMap):
                raise InputProblem(
                    f"layer {index} gives a {type(system).__name__}, a flow; a stack needs maps"
                )
            layers.append(system)
        return Stack(tuple(layers), self.relays, self.embedding, self.embedding_bias)

    def metric(self) -> BlockMaximumMetric | None:
        """The layers' metrics, a proposal; the weights are left to the theorem."""
        metrics = [layer.metric() for layer in self.layers]
        parts = [metric for metric in metrics if metric is not None]
        sizes = jax.eval_shape(self.explicit).sizes
        return BlockMaximumMetric(parts, sizes) if len(parts) == len(metrics) else None

    def idle(self) -> int:
        """What the layers do not use."""
        return sum(layer.idle() for layer in self.layers)


def recurrence_stack(
    key: Key[Array, ""],
    *,
    layers: int = 2,
    units: int = 64,
    width: int = 64,
    inputs: int = 1,
    hidden: int | None = None,
    activation: str = "relu",
    r_min: float = 0.9,
    r_max: float = 0.999,
    max_angle: float = 0.314,
) -> StableStack:
    """Random free parameters (float32) of a stack of diagonal recurrences.

    The defaults suit sequences of some hundred to a thousand steps without a local order, such as
    permuted images: memories of 10 to 1,000 steps, slow rotations.

    **Arguments:** `layers`; `units`, complex ones per layer; `width` of the stream; `inputs`;
    `hidden` units of every relay (`width` if omitted), with `activation`; `r_min`, `r_max` and
    `max_angle` as in `random_stable_recurrence`.

    **Raises:** `InputProblem` for sizes or names that do not fit.

    >>> import jax
    >>> recurrence_stack(jax.random.key(0), layers=3, units=4, width=2).explicit().sizes
    (8, 8, 8)
    """
    hidden = width if hidden is None else hidden
    if min(layers, units, width, inputs, hidden) < 1:
        raise InputProblem(
            f"layers {layers}, units {units}, width {width}, inputs {inputs}, hidden {hidden}; "
            "give at least 1 of each"
        )
    embedding_key, *keys = jax.random.split(key, 1 + 2 * layers)
    recurrences = tuple(
        random_stable_recurrence(
            k, units=units, inputs=width, r_min=r_min, r_max=r_max, max_angle=max_angle
        )
        for k in keys[:layers]
    )
    relays = tuple(random_relay(k, (2 * units, hidden, width), activation) for k in keys[layers:-1])
    embedding = jax.random.normal(embedding_key, (width, inputs), jnp.float32)
    bias = jnp.zeros(width, jnp.float32)
    return StableStack(recurrences, relays, embedding / inputs**0.5, bias)


def random_relay(key: Key[Array, ""], sizes: tuple[int, int, int], activation: str) -> Relay:
    """Relays that neither shrink nor swell the stream much."""
    states, hidden, width = sizes
    read_key, write_key = jax.random.split(key)
    read = jax.random.normal(read_key, (hidden, states), jnp.float32) * (2 / states) ** 0.5
    write = jax.random.normal(write_key, (width, hidden), jnp.float32) / hidden**0.5
    bias = jnp.zeros(hidden, jnp.float32)
    return Relay(read, bias, write, find_activation(activation))
