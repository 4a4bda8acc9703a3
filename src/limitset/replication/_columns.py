"""Many linear particles at once, one a column: sums over weights become sums of long vectors."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset.replication._particle import apply_to
from limitset.replication._particle_spec import QUESTION, ParticleSpec
from limitset.replication._self_training import replication_gradient

Columns = Float[Array, "n N"]


def kappa_of_columns(spec: ParticleSpec, columns: Columns) -> Float[Array, "p N"]:
    """The row vector `kappa = W_L ... W_1` of every particle.

    Products are sums of vectors as long as there are particles: compilers make ten times less of
    as many products of tiny matrices.
    """
    first, *others = _cut(spec, columns)
    return _times(_products_after(others)[0], first)


def column_gradient(spec: ParticleSpec, columns: Columns) -> Columns:
    """`replication_gradient` of every particle.

    For a linear particle, with `X = [theta, Pi]` and `delta = kappa_{0:3} - e_0`, the loss is
    `delta' X' X delta / n`, and its slope in `kappa` is `2 X' X delta / n`: no row is asked. The
    slope is pulled back by hand, in a fifth of the time of what differentiation makes of sums.
    """
    if not spec.is_linear:
        return replication_gradient(spec, columns.T).T
    parts = _cut(spec, columns)
    after = _products_after(parts[1:])
    slope = _slope_in_kappa(spec, columns, _times(after[0], parts[0]))
    found = []
    for part, product in zip(parts, after, strict=True):
        found.append((product[:, None] * slope).reshape(-1, columns.shape[1]))
        slope = (part * slope).sum(1)
    return jnp.concatenate(found)


def _slope_in_kappa(
    spec: ParticleSpec, columns: Columns, kappa: Float[Array, "p N"]
) -> Float[Array, "p N"]:
    places = jnp.asarray(spec.positions, columns.dtype)
    delta = kappa[:QUESTION].at[0].add(-1)
    squares, mixed = (columns * columns).sum(0), places.T @ columns
    by_value = (squares * delta[0] + (mixed * delta[1:]).sum(0))[None]
    by_place = mixed * delta[0] + (places.T @ places) @ delta[1:]
    unseen = jnp.zeros((spec.inputs - QUESTION, columns.shape[1]), columns.dtype)
    return jnp.concatenate([by_value, by_place, unseen]) * (2 / spec.weight_count)


def _cut(spec: ParticleSpec, columns: Columns) -> list[Float[Array, "_ _ N"]]:
    """The matrices of all particles."""
    start, parts = 0, []
    for rows, width in spec.shapes:
        parts.append(columns[start : start + rows * width].reshape(rows, width, -1))
        start += rows * width
    return parts


def _products_after(others: list[Float[Array, "_ _ N"]]) -> list[Float[Array, "_ N"]]:
    """What comes after each layer, `W_L ... W_{l+1}`, from all matrices but the first."""
    found = [jnp.ones((1, others[0].shape[-1]), others[0].dtype)]
    for part in reversed(others):
        found.append(_times(found[-1], part))
    return found[::-1]


def _times(row: Float[Array, "rows N"], part: Float[Array, "rows width N"]) -> Float[Array, "w N"]:
    return (row[:, None] * part).sum(0)


def replication_deviations(spec: ParticleSpec, weights: Float[Array, "N n"]) -> Float[Array, "N n"]:
    """`T(theta) - theta` of every particle, computed in float64.

    In float32 the error of computing it is near the thresholds by which particles are labelled.
    """
    exact = weights.astype(jnp.float64)
    return jax.vmap(lambda one: apply_to(spec, one, one) - one)(exact)
