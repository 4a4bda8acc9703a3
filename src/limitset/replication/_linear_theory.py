"""The function of a linear particle and its gradient, in float64: what the exact theory is about.

A linear particle answers a row by `kappa . row`, with `kappa = W_L ... W_1`. With the four columns
`X = [theta, Pi]` of its questions, `T(theta) = X kappa_{0:3}`.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset.replication._particle_spec import QUESTION, ParticleSpec

Numbers = Array | np.ndarray

# Products stay below 1e250, so that sums over the units are finite too.
_DIGITS = 250


def kappa_gradient(
    spec: ParticleSpec, weights: Float[Numbers, "*batch n"]
) -> Float[np.ndarray, "*batch 4 n"]:
    """The derivative `G` of `kappa_{0:3}` in all weights of linear particles.

    The derivative of `kappa_j` in entry `(r, c)` of `W_l` is `A_l[r] B_l[c, j]`, with what comes
    after the layer, `A_l = W_L ... W_{l+1}`, and what comes before, `B_l = W_{l-1} ... W_1`. Since
    `kappa` is homogeneous of degree `L`, `G theta = L kappa_{0:3}`.

    **Arguments:** `spec`, with linear particles; `weights`, one vector or a batch of them.

    **Returns:** `G`, in float64.

    **Raises:** `InputProblem` for particles that are not linear and weights that do not fit.

    **Example:**

    >>> perfect = np.zeros(14)
    >>> perfect[[0, 8, 12]] = 1.0
    >>> (kappa_gradient(ParticleSpec(), perfect) @ perfect).tolist()
    [3.0, 0.0, 0.0, 0.0]
    """
    factors = _factors(spec, read_weights(spec, weights))
    after = _products_after(factors)
    before = np.broadcast_to(
        np.eye(spec.inputs)[:, :QUESTION], (*factors[0].shape[:-2], spec.inputs, QUESTION)
    )
    found = []
    for later, factor in zip(after, factors, strict=True):
        blocks = np.einsum("...r,...cj->...jrc", later, before)
        found.append(blocks.reshape(*blocks.shape[:-2], factor.shape[-2] * factor.shape[-1]))
        before = factor @ before
    return np.concatenate(found, axis=-1)


def deviation(
    spec: ParticleSpec, weights: Float[Numbers, "*batch n"]
) -> Float[np.ndarray, "*batch 4"]:
    """How far linear particles are from copying: `delta = kappa_{0:3} - (1, 0, 0, 0)`.

    `T(theta) - theta = X delta` exactly, so `|delta| <= |T(theta) - theta| / sigma_min(X)`, and a
    particle whose `delta` is 0 copies any weights that it is asked for, not only its own. For
    courses in time, give all weights as one batch; of particles that diverge, as far as they are
    finite.

    **Arguments:** `spec`, with linear particles; `weights`, one vector or a batch of them.

    **Returns:** `delta`, computed in float64.

    **Raises:** `InputProblem` for particles that are not linear and weights that do not fit.

    **Example:**

    >>> deviation(ParticleSpec(), np.zeros((2, 14))).tolist()
    [[-1.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]]
    """
    return answer(spec, read_weights(spec, weights)) - np.eye(QUESTION)[0]


def answer(
    spec: ParticleSpec, weights: Float[np.ndarray, "*batch n"]
) -> Float[np.ndarray, "*batch 4"]:
    """`kappa_{0:3}`."""
    first, *_ = factors = _factors(spec, weights)
    return np.einsum("...r,...rj->...j", _products_after(factors)[0], first[..., :QUESTION])


def later_product(
    spec: ParticleSpec, weights: Float[np.ndarray, "*batch n"]
) -> Float[np.ndarray, "*batch h"]:
    """The row vector `u = W_L ... W_2`, so that `kappa = u W_1`."""
    return _products_after(_factors(spec, weights))[0]


def first_matrix(
    spec: ParticleSpec, weights: Float[np.ndarray, "*batch n"]
) -> Float[np.ndarray, "*batch h p"]:
    """`W_1`, as a view."""
    return _factors(spec, weights)[0]


def rows_of(
    spec: ParticleSpec, weights: Float[np.ndarray, "*batch n"]
) -> Float[np.ndarray, "*batch n 4"]:
    """`X = [theta, Pi]`: the questions about these weights, without the task's inputs."""
    places = np.broadcast_to(spec.positions, (*weights.shape, QUESTION - 1))
    return np.concatenate([weights[..., None], places], axis=-1)


def read_weights(
    spec: ParticleSpec, weights: Float[Numbers, "*batch n"]
) -> Float[np.ndarray, "*batch n"]:
    """The weights in float64; refused unless finite, of this size, and of linear particles."""
    if not spec.is_linear:
        raise InputProblem(
            f"the activation is {spec.activation.name!r}; the exact theory is about linear "
            "particles, with the activation 'identity'"
        )
    require_arrays(weights=weights)
    given = np.asarray(weights)
    if given.shape[-1:] != (spec.weight_count,):
        raise InputProblem(
            f"weights have the shape {given.shape}; give {spec.weight_count} for each particle"
        )
    if not jnp.issubdtype(given.dtype, jnp.floating):
        raise InputProblem(f"weights are of dtype {given.dtype}; give real floating-point numbers")
    if not np.isfinite(given).all():
        raise InputProblem("weights are not all finite; give particles that have not diverged")
    given = given.astype(np.float64)
    largest = np.abs(given).max(initial=0.0)
    if largest > largest_weight(spec):
        raise InputProblem(
            f"weights reach {largest:.1e}, and products of {spec.depth + 1} such numbers overflow; "
            "give particles that have not diverged"
        )
    return given


def largest_weight(spec: ParticleSpec) -> float:
    """A size up to which no product of all layers and one more weight overflows."""
    return 10.0 ** (_DIGITS / (spec.depth + 1))


def _factors(spec: ParticleSpec, weights: Float[np.ndarray, "*batch n"]) -> list[np.ndarray]:
    """`W_1, ..., W_L`."""
    ends = np.cumsum([rows * columns for rows, columns in spec.shapes])[:-1]
    cut = np.split(weights, ends, axis=-1)
    return [
        part.reshape(*weights.shape[:-1], *shape)
        for part, shape in zip(cut, spec.shapes, strict=True)
    ]


def _products_after(factors: list[np.ndarray]) -> list[np.ndarray]:
    """The row vectors `W_L ... W_{l+1}`, `l = 1, ..., L`; the last one is 1."""
    product = np.ones((*factors[-1].shape[:-2], 1))
    found = [product]
    for factor in reversed(factors[1:]):
        product = np.einsum("...r,...rc->...c", product, factor)
        found.append(product)
    return found[::-1]
