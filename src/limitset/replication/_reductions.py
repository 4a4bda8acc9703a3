"""Networks that hear averages of their weights, or the sequence of them."""

import math
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem
from limitset.networks import IDENTITY, Activation
from limitset.replication._particle import Weights
from limitset.replication._reduction import AbstractReduction

Shapes = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Aggregating(AbstractReduction):
    """A network that maps averages of its weights to new ones: `a -> widths -> a`, without biases.

    The list of weights is cut into `a` chunks of `floor(n / a)`, the last with what is left over;
    each weight of a chunk becomes what the network answers for the chunk. Matrices are listed in
    order as (sources, targets), row by row.

    **Arguments:** `chunks` `a`; `widths` of the hidden layers; `activation` of the hidden layers.

    **Raises:** `InputProblem` for sizes that do not fit.

    >>> Aggregating().weight_count
    20

    **Reference:** Gabor et al., ALIFE 2019, doi 10.1162/isal_a_00197.
    """

    chunks: int = 4
    widths: tuple[int, ...] = (2, 2)
    activation: Activation = field(default=IDENTITY)

    def __post_init__(self) -> None:
        _check_sizes(chunks=(self.chunks,), widths=self.widths)

    @property
    def _shapes(self) -> Shapes:
        sizes = (self.chunks, *self.widths, self.chunks)
        return tuple(zip(sizes[:-1], sizes[1:], strict=True))

    @property
    def weight_count(self) -> int:
        """How many weights, `n`."""
        return sum(math.prod(shape) for shape in self._shapes)

    def draw(self, key: jax.Array, count: int, dtype: DTypeLike) -> Float[Array, "count n"]:
        """Uniform within `sqrt(6 / (rows + columns))` for each matrix (Glorot)."""
        keys = jax.random.split(key, len(self._shapes))
        parts = [_glorot(k, count, s) for k, s in zip(keys, self._shapes, strict=True)]
        return jnp.concatenate(parts, axis=1).astype(dtype)

    def lesson(self, subject: Weights) -> tuple[Float[Array, "k p"], Float[Array, "k q"]]:
        """The averages, as one sample; the same."""
        places = self._places
        sums = jnp.zeros(self.chunks, subject.dtype).at[places].add(subject)
        means = (sums / np.bincount(places).astype(subject.dtype))[None]
        return means, means

    def answer(self, weights: Weights, shown: Float[Array, "k p"]) -> Float[Array, "k q"]:
        """The averages that the network answers."""
        *hidden, last = _cut(self._shapes, weights)
        state = shown
        for weight in hidden:
            state = self.activation(state @ weight)
        return state @ last

    def rewrite(self, weights: Weights, subject: Weights) -> Weights:
        """Each weight of a chunk becomes the answer for its chunk."""
        return self.answer(weights, self.lesson(subject)[0])[0][self._places]

    @property
    def _places(self) -> Int[np.ndarray, " n"]:
        """The chunk of each weight."""
        size = self.weight_count // self.chunks
        return np.minimum(np.arange(self.weight_count) // size, self.chunks - 1)


@dataclass(frozen=True)
class Recurrent(AbstractReduction):
    """A recurrent network that reads its weights one after the other and answers as many.

    Layers `1 -> widths -> 1`, each `h_t = a(x_t K + h_{t-1} R)` from `h = 0`, the last without
    `a`; without biases. The list of weights holds `K`, then `R`, for each layer, as (sources,
    targets), row by row.

    **Arguments:** `widths` of the hidden layers; `activation` `a`.

    **Raises:** `InputProblem` for sizes that do not fit.

    >>> Recurrent().weight_count
    17

    **Reference:** Gabor et al., ALIFE 2019, doi 10.1162/isal_a_00197.
    """

    widths: tuple[int, ...] = (2, 2)
    activation: Activation = field(default=IDENTITY)

    def __post_init__(self) -> None:
        _check_sizes(widths=self.widths)

    @property
    def _shapes(self) -> Shapes:
        pairs = zip((1, *self.widths), (*self.widths, 1), strict=True)
        return tuple(shape for sources, size in pairs for shape in ((sources, size), (size, size)))

    @property
    def weight_count(self) -> int:
        """How many weights, `n`."""
        return sum(math.prod(shape) for shape in self._shapes)

    def draw(self, key: jax.Array, count: int, dtype: DTypeLike) -> Float[Array, "count n"]:
        """`K` uniform within `sqrt(6 / (rows + columns))`, `R` orthogonal, as in Keras of 2019.

        That drew the left singular vectors of a normal matrix, whose signs are LAPACK's: of two
        units `R` is always a reflection. Of evenly drawn ones far fewer networks diverge.
        """
        keys = jax.random.split(key, len(self._shapes))
        parts = []
        for k, (one, shape) in enumerate(zip(keys, self._shapes, strict=True)):
            if k % 2:
                normal = jax.random.normal(one, (count, *shape), jnp.float64)
                parts.append(jnp.linalg.svd(normal)[0].reshape(count, -1))
            else:
                parts.append(_glorot(one, count, shape))
        return jnp.concatenate(parts, axis=1).astype(dtype)

    def lesson(self, subject: Weights) -> tuple[Float[Array, "k p"], Float[Array, "k q"]]:
        """The weights in their order, as one sample; the same."""
        return subject[None], subject[None]

    def answer(self, weights: Weights, shown: Float[Array, "k p"]) -> Float[Array, "k q"]:
        """What the network answers to each sequence."""
        parts = _cut(self._shapes, weights)
        layers = tuple(zip(parts[::2], parts[1::2], strict=True))
        still = tuple(jnp.zeros((shown.shape[0], r.shape[0]), shown.dtype) for _, r in layers)

        def hear(states: tuple[Array, ...], x: Float[Array, "k 1"]) -> tuple[tuple, Array]:
            heard, after = x, []
            for number, ((kernel, back), state) in enumerate(zip(layers, states, strict=True)):
                heard = heard @ kernel + state @ back
                heard = self.activation(heard) if number < len(self.widths) else heard
                after.append(heard)
            return tuple(after), heard

        return jax.lax.scan(hear, still, shown.T[..., None])[1][..., 0].T

    def rewrite(self, weights: Weights, subject: Weights) -> Weights:
        """The sequence that the network answers to the subject's."""
        return self.answer(weights, subject[None])[0]


def _check_sizes(**sizes: tuple[int, ...]) -> None:
    for name, given in sizes.items():
        whole = isinstance(given, tuple) and all(isinstance(size, int) for size in given)
        if not (whole and given and min(given) > 0):
            raise InputProblem(f"{name} is {given!r}; give positive whole numbers, as (2, 2)")


def _glorot(key: jax.Array, count: int, shape: tuple[int, int]) -> Float[Array, "count k"]:
    bound = (6 / sum(shape)) ** 0.5
    return jax.random.uniform(key, (count, math.prod(shape)), jnp.float64, -bound, bound)


def _cut(shapes: Shapes, weights: Weights) -> tuple[Float[Array, "rows columns"], ...]:
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    return tuple(
        part.reshape(shape) for part, shape in zip(jnp.split(weights, ends), shapes, strict=True)
    )
