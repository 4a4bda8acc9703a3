"""What a particle does with rows: ask it, apply it to weights, read off its linear map."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from limitset.replication._particle_spec import QUESTION, ParticleSpec

Weights = Float[Array, " n"]


def matrices(
    spec: ParticleSpec, weights: Float[Array, "*batch n"]
) -> tuple[Float[Array, "*batch _rows _columns"], ...]:
    """The weight vectors cut into the matrices of the particle.

    >>> spec = ParticleSpec()
    >>> [m.shape for m in matrices(spec, jnp.arange(14.0))]
    [(2, 4), (2, 2), (1, 2)]
    """
    found, start = [], 0
    for rows, columns in spec.shapes:
        part = weights[..., start : start + rows * columns]
        found.append(part.reshape(*weights.shape[:-1], rows, columns))
        start += rows * columns
    return tuple(found)


def flatten(parts: tuple[Float[Array, "*batch _rows _columns"], ...]) -> Float[Array, "*batch n"]:
    """The weight vectors of these matrices: the inverse of `matrices`."""
    return jnp.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], axis=-1)


def ask(spec: ParticleSpec, weights: Weights, rows: Float[Array, "k p"]) -> Float[Array, " k"]:
    """What the particle answers to each row."""
    *hidden, last = matrices(spec, weights)
    state = rows
    for weight in hidden:
        state = spec.activation(state @ weight.T)
    return (state @ last.T)[:, 0]


def questions(spec: ParticleSpec, weights: Weights) -> Float[Array, "n p"]:
    """The rows that ask for these weights: value, coordinates, and zeros for the task's inputs."""
    places = jnp.asarray(spec.positions, weights.dtype)
    spare = jnp.zeros((spec.weight_count, spec.inputs - QUESTION), weights.dtype)
    return jnp.concatenate([weights[:, None], places, spare], axis=1)


def kappa(spec: ParticleSpec, weights: Float[Array, "*batch n"]) -> Float[Array, "*batch p"]:
    """The row vector of a linear particle's function, `W_L ... W_2 W_1`.

    >>> import numpy as np
    >>> perfect = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)
    >>> kappa(ParticleSpec(), perfect)
    Array([1., 0., 0., 0.], dtype=float64)
    """
    first, *others = matrices(spec, weights)
    product = first
    for weight in others:
        product = weight @ product
    return product[..., 0, :]


def apply_to(spec: ParticleSpec, weights: Weights, victim: Weights) -> Weights:
    """The victim's weights, each replaced by what this particle answers for it.

    All answers are about the old weights. A linear particle needs no rows:
    `kappa_0 victim + Pi kappa_{1:3}`.
    """
    if not spec.is_linear:
        return ask(spec, weights, questions(spec, victim))
    row = kappa(spec, weights)
    return row[0] * victim + jnp.asarray(spec.positions, victim.dtype) @ row[1:QUESTION]


def draw_particles(
    key: jax.Array, spec: ParticleSpec, count: int, dtype: DTypeLike = jnp.float64
) -> Float[Array, "count n"]:
    """Random particles, uniform within `sqrt(6 / (rows + columns))` for each matrix (Xavier).

    >>> draw_particles(jax.random.key(0), ParticleSpec(), 3).shape
    (3, 14)
    """
    bounds = jnp.concatenate(
        [jnp.full(rows * columns, (6 / (rows + columns)) ** 0.5) for rows, columns in spec.shapes]
    )
    unit = jax.random.uniform(key, (count, spec.weight_count), jnp.float64, -1.0, 1.0)
    return (unit * bounds).astype(dtype)
