"""Elman, GRU and LSTM cells with PyTorch's weight layout and bias semantics."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.networks._activation import Activation, find_activation


class Elman(AbstractMap):
    """`torch.nn.RNN`'s cell: `x+ = phi(weight_ih u + bias_ih + weight_hh x + bias_hh)`.

    **Arguments:** `weight_ih` (n, m), `weight_hh` (n, n), `bias_ih` and `bias_hh` (n,);
    `activation` is tanh or relu in PyTorch, any here.

    **Reference:** Elman, Cognitive Science 14 (1990).
    """

    weight_ih: Float[Array, "n m"]
    weight_hh: Float[Array, "n n"]
    bias_ih: Float[Array, " n"]
    bias_hh: Float[Array, " n"]
    activation: Activation = eqx.field(static=True, converter=find_activation, default="tanh")

    def __check_init__(self) -> None:
        _check_shapes("Elman", self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, gates=1)

    @property
    def state_size(self) -> int:
        """Number of hidden units."""
        return self.weight_hh.shape[1]

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.weight_ih.shape[1]

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next hidden state; `n` is not used."""
        del n
        return self.activation(
            self.weight_ih @ u + self.bias_ih + self.weight_hh @ x + self.bias_hh
        )


class GRU(AbstractMap):
    """`torch.nn.GRU`'s cell, gates stacked as (reset, update, new).

    `r = s(..)`, `z = s(..)`, `c = tanh(W_in u + b_in + r * (W_hn x + b_hn))`,
    `x+ = (1 - z) * c + z * x`. The reset gate acts after the product, as in PyTorch and cuDNN.

    **Arguments:** `weight_ih` (3n, m), `weight_hh` (3n, n), `bias_ih` and `bias_hh` (3n,).

    **Reference:** arXiv 1406.1078 (with PyTorch's placement of the reset gate).
    """

    weight_ih: Float[Array, "gates m"]
    weight_hh: Float[Array, "gates n"]
    bias_ih: Float[Array, " gates"]
    bias_hh: Float[Array, " gates"]

    def __check_init__(self) -> None:
        _check_shapes("GRU", self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, gates=3)

    @property
    def state_size(self) -> int:
        """Number of hidden units."""
        return self.weight_hh.shape[1]

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.weight_ih.shape[1]

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next hidden state; `n` is not used."""
        del n
        reset_u, update_u, new_u = jnp.split(self.weight_ih @ u + self.bias_ih, 3)
        reset_x, update_x, new_x = jnp.split(self.weight_hh @ x + self.bias_hh, 3)
        reset = jax.nn.sigmoid(reset_u + reset_x)
        update = jax.nn.sigmoid(update_u + update_x)
        new = jnp.tanh(new_u + reset * new_x)
        return (1 - update) * new + update * x


class LSTM(AbstractMap):
    """`torch.nn.LSTM`'s cell, gates stacked as (input, forget, cell, output).

    The state is `(h, c)` concatenated: hidden state first, cell state second, 2n in all.

    **Arguments:** `weight_ih` (4n, m), `weight_hh` (4n, n), `bias_ih` and `bias_hh` (4n,).

    **Reference:** Hochreiter and Schmidhuber, Neural Computation 9 (1997).
    """

    weight_ih: Float[Array, "gates m"]
    weight_hh: Float[Array, "gates n"]
    bias_ih: Float[Array, " gates"]
    bias_hh: Float[Array, " gates"]

    def __check_init__(self) -> None:
        _check_shapes("LSTM", self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, gates=4)

    @property
    def state_size(self) -> int:
        """Twice the number of hidden units: hidden and cell state."""
        return 2 * self.weight_hh.shape[1]

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.weight_ih.shape[1]

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next `(h, c)`; `n` is not used."""
        del n
        hidden, cell = jnp.split(x, 2)
        gates = self.weight_ih @ u + self.bias_ih + self.weight_hh @ hidden + self.bias_hh
        input_gate, forget_gate, candidate, output_gate = jnp.split(gates, 4)
        cell = jax.nn.sigmoid(forget_gate) * cell + jax.nn.sigmoid(input_gate) * jnp.tanh(candidate)
        return jnp.concatenate([jax.nn.sigmoid(output_gate) * jnp.tanh(cell), cell])


def random_elman(
    key: Key[Array, ""], state_size: int, input_size: int, activation: str | Activation = "tanh"
) -> Elman:
    """An Elman cell with PyTorch's initial law: all entries uniform in +-1/sqrt(n)."""
    return Elman(*_uniform(key, state_size, input_size, 1), activation=activation)  # pyright: ignore[reportArgumentType]


def random_gru(key: Key[Array, ""], state_size: int, input_size: int) -> GRU:
    """A GRU cell with PyTorch's initial law: all entries uniform in +-1/sqrt(n)."""
    return GRU(*_uniform(key, state_size, input_size, 3))


def random_lstm(key: Key[Array, ""], state_size: int, input_size: int) -> LSTM:
    """An LSTM cell with PyTorch's initial law: all entries uniform in +-1/sqrt(n)."""
    return LSTM(*_uniform(key, state_size, input_size, 4))


def _uniform(
    key: Key[Array, ""], state_size: int, input_size: int, gates: int
) -> list[Float[Array, "..."]]:
    if state_size < 1 or input_size < 1:
        raise InputProblem(
            f"sizes {state_size} and {input_size} make no cell; use n >= 1 units, m >= 1 inputs"
        )
    rows, bound = gates * state_size, 1 / math.sqrt(state_size)
    shapes = [(rows, input_size), (rows, state_size), (rows,), (rows,)]
    return [
        jax.random.uniform(k, shape, minval=-bound, maxval=bound)
        for k, shape in zip(jax.random.split(key, 4), shapes, strict=True)
    ]


def _check_shapes(
    name: str,
    weight_ih: Float[Array, "..."],
    weight_hh: Float[Array, "..."],
    bias_ih: Float[Array, "..."],
    bias_hh: Float[Array, "..."],
    *,
    gates: int,
) -> None:
    shapes = [a.shape for a in (weight_ih, weight_hh, bias_ih, bias_hh)]
    fits = weight_ih.ndim == weight_hh.ndim == 2 and weight_hh.shape[1] > 0
    if fits:
        n, m = weight_hh.shape[1], weight_ih.shape[1]
        fits = shapes == [(gates * n, m), (gates * n, n), (gates * n,), (gates * n,)]
    if not fits:
        raise InputProblem(
            f"{name} tensors have shapes {shapes}; weight_ih ({gates}n, m), weight_hh "
            f"({gates}n, n), bias_ih and bias_hh ({gates}n,) are needed, as PyTorch stores them"
        )
