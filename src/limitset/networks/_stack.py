"""Deep stacks: recurrent layers, one above the other, joined by a residual stream."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays, require_several
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.networks._activation import Activation, find_activation


class Relay(eqx.Module):
    """What a layer adds to the stream: `write phi(read x + bias)`, without a state of its own.

    **Arguments:** `read` (h, n) from the layer's state, `bias` (h,), `write` (d, h) into a stream
    of width d; `activation`, a name or an `Activation`.
    """

    read: Float[Array, "h n"]
    bias: Float[Array, " h"]
    write: Float[Array, "d h"]
    activation: Activation = eqx.field(static=True, converter=find_activation, default="relu")

    def __check_init__(self) -> None:
        require_arrays(read=self.read, bias=self.bias, write=self.write)
        shapes = (self.read.shape, self.bias.shape, self.write.shape)
        fits = self.read.ndim == self.write.ndim == 2
        if not (fits and self.read.shape[:1] == self.bias.shape == self.write.shape[1:]):
            raise InputProblem(
                f"a relay has read, bias and write of shapes {shapes}; give (h, n), (h,) and (d, h)"
            )

    def __call__(self, x: Float[Array, "*t n"]) -> Float[Array, "*t d"]:
        """What is added, for one state or for a sequence of states."""
        return self.activation(x @ self.read.T + self.bias) @ self.write.T


class Stack(AbstractMap):
    """Maps one above the other: every layer hears what the layers below have just said.

    `z_0 = embedding u + embedding_bias`, and for `k = 1, 2, ...`

        x_k+ = F_k(x_k, z_(k-1)),        z_k = z_(k-1) + write_k phi(read_k x_k+ + bias_k).

    The state is the concatenation of the layers' states. The last layer needs no relay: nothing
    stands above it. A layer without memory, such as an `Elman` cell with `weight_hh = 0`, makes a
    deep readout a part of the stack.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DiagonalRecurrence
    >>> half = DiagonalRecurrence(jnp.array([0.5]), jnp.zeros(1), jnp.ones((2, 1)))
    >>> relay = Relay(jnp.ones((3, 2)), jnp.zeros(3), jnp.ones((1, 3)))
    >>> stack = Stack((half, half), (relay,), jnp.ones((1, 1)))
    >>> stack.advance(0, jnp.zeros(4), jnp.ones(1)).tolist()
    [1.0, 1.0, 7.0, 7.0]
    """

    layers: tuple[AbstractMap, ...]
    relays: tuple[Relay, ...]
    embedding: Float[Array, "d m"]
    embedding_bias: Float[Array, " d"]

    def __init__(
        self,
        layers: tuple[AbstractMap, ...] | list[AbstractMap],
        relays: tuple[Relay, ...] | list[Relay],
        embedding: Float[Array, "d m"],
        embedding_bias: Float[Array, " d"] | None = None,
    ) -> None:
        """**Arguments:**

        - `layers`: at least one map, each with d inputs, lowest first.
        - `relays`: one between each layer and the next.
        - `embedding`: shape (d, m), from the stack's inputs to the stream.
        - `embedding_bias`: shape (d,), zero if omitted.

        **Raises:** `InputProblem` if sizes or dtypes do not fit.
        """
        require_arrays(embedding=embedding)
        require_several("layers", layers)
        require_several("relays", relays)
        self.layers, self.relays, self.embedding = tuple(layers), tuple(relays), embedding
        width = embedding.shape[:1]
        self.embedding_bias = (
            jnp.zeros(width, embedding.dtype) if embedding_bias is None else embedding_bias
        )

    def __check_init__(self) -> None:
        if not self.layers or not all(isinstance(f, AbstractMap) for f in self.layers):
            raise InputProblem(
                f"layers are {[type(f).__name__ for f in self.layers]}; a stack needs at least one "
                "map: discretise flows first"
            )
        require_arrays(embedding_bias=self.embedding_bias)
        if not all(isinstance(relay, Relay) for relay in self.relays):
            raise InputProblem(
                f"relays are {[type(relay).__name__ for relay in self.relays]}; give a Relay each"
            )
        if len(self.relays) != len(self.layers) - 1:
            raise InputProblem(
                f"{len(self.relays)} relays came for {len(self.layers)} layers; give one between "
                "each layer and the next"
            )
        width = self.embedding.shape[0] if self.embedding.ndim == 2 else -1
        if self.embedding_bias.shape != (width,):
            raise InputProblem(
                f"embedding {self.embedding.shape} and embedding_bias {self.embedding_bias.shape} "
                "do not fit; give shapes (d, m) and (d,)"
            )
        for index, layer in enumerate(self.layers):
            if layer.input_size != width:
                raise InputProblem(
                    f"layer {index} has {layer.input_size} inputs and the stream a width of "
                    f"{width}; make them equal"
                )
        for index, (layer, relay) in enumerate(zip(self.layers, self.relays, strict=False)):
            if (relay.write.shape[0], relay.read.shape[1]) != (width, layer.state_size):
                raise InputProblem(
                    f"relay {index} leads from {relay.read.shape[1]} states to a width of "
                    f"{relay.write.shape[0]}; {layer.state_size} and {width} are needed"
                )
        dtypes = {leaf.dtype for leaf in jax.tree.leaves(self)}
        if len(dtypes) > 1:
            raise InputProblem(
                f"layers, relays and embedding have dtypes {sorted(map(str, dtypes))}; convert all "
                "to one"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of states of each layer."""
        return tuple(layer.state_size for layer in self.layers)

    @property
    def state_size(self) -> int:
        """Number of states of all layers together."""
        return sum(self.sizes)

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.embedding.shape[1]

    def embed(self, u: Float[Array, "*t m"]) -> Float[Array, "*t d"]:
        """The stream below the first layer, for one input or for a sequence of inputs."""
        return u @ self.embedding.T + self.embedding_bias

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state, lowest layer first; `n` is for layers that use it."""
        stream, following = self.embed(u), []
        for index, (layer, part) in enumerate(zip(self.layers, layer_states(self, x), strict=True)):
            following.append(layer.advance(n, part, stream))
            if index < len(self.relays):
                stream = stream + self.relays[index](following[-1])
        return jnp.concatenate(following)


def layer_states(stack: Stack, x: State) -> tuple[Float[Array, " _"], ...]:
    """The layers' states, from the state of a stack."""
    parts, start = [], 0
    for size in stack.sizes:
        parts.append(x[start : start + size])
        start += size
    return tuple(parts)
