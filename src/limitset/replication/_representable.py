"""Replicators whose weights are floats, so that copies are exact: sums of integers on a grid."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from math import ceil, gcd, log2

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.replication._exact import later_fractions
from limitset.replication._linear_theory import Numbers, read_weights
from limitset.replication._particle_spec import QUESTION, ParticleSpec
from limitset.replication._projection import project_to_replicator

# Shorter products of later matrices would ask for first matrices of hundreds.
_SHORTEST = 1e-2


@dataclass(frozen=True)
class RepresentableReplicator:
    """A replicator without rounding, in floats.

    **Arguments:** `weights`, in the dtype of those that were given; `distance`, how far they were
    moved (Euclidean, over all weights).
    """

    weights: Float[Array, " n"]
    distance: float


def representable_replicator(
    spec: ParticleSpec, weights: Float[Numbers, " n"]
) -> RepresentableReplicator:
    """A float network near this one that copies itself bit for bit, for ever.

    Self-application throws every replicator out, and rounding is enough to begin with. Here there
    is none: all weights on which `kappa_{0:3}` depends are multiples of powers of two, so coarse
    that every product and partial sum of it is a float, whatever the order. Later matrices are
    rounded to such a grid; then `u w = 1` or `u w = 0` is solved for each column of the first one,
    in integers near the projection. Columns of the task move along `u`, so that `kappa_4, ...` stay
    the same up to rounding.

    **Arguments:** `spec`, with linear particles whose first layer has two units or more; `weights`
    of one particle, float32 or float64: with a longer mantissa the replicator is nearer.

    **Returns:** a replicator in the sense of `is_exact_replicator`.

    **Raises:** `InputProblem` for particles that are not linear, weights that do not fit, one unit
    in the first layer, and particles near which no grid has a solution.

    **Example:**

    >>> import jax
    >>> from limitset.replication import draw_particles, is_exact_replicator
    >>> spec = ParticleSpec(inputs=5, widths=(3, 3))
    >>> found = representable_replicator(spec, draw_particles(jax.random.key(0), spec, 1)[0])
    >>> is_exact_replicator(spec, found.weights)
    True
    """
    given = read_weights(spec, weights)
    if spec.widths[0] < 2:
        raise InputProblem("the first layer has one unit; give two or more, among which to choose")
    mantissa = jnp.finfo(weights.dtype).nmant + 1
    # With the most bits here, first and later matrices are moved by about as much. Where integers
    # have a common divisor, one later weight is rounded the other way, or the grid is made coarser.
    finest, last = mantissa // (2 * spec.depth - 1), len(given) - 1
    for bits, nudged in product(range(finest, 1, -1), [None, *range(last, last - 4, -1)]):
        start = given.copy()
        if nudged is not None:
            start[nudged] += 2.0**-bits
        found = _on_grid(spec, start, bits, mantissa)
        if found is not None:
            found = _with_task_of(spec, given, found)
            result = jnp.asarray(found, weights.dtype)
            moved = np.linalg.norm(np.asarray(result, np.float64) - given)
            return RepresentableReplicator(result, float(moved))
    raise InputProblem(
        "no grid near these weights has a replicator; give a particle with moderate weights, whose "
        "later matrices have a product that is not near 0"
    )


def _on_grid(
    spec: ParticleSpec, weights: Float[np.ndarray, " n"], bits: int, mantissa: int
) -> Float[np.ndarray, " n"] | None:
    """The replicator whose later matrices are multiples of `2^-bits`, if there is one."""
    cut = spec.shapes[0][0] * spec.shapes[0][1]
    rounded = weights.copy()
    rounded[cut:] = np.round(weights[cut:] * 2.0**bits) / 2.0**bits
    later = _later(spec, rounded)
    if not np.linalg.norm(later) > _SHORTEST:
        return None
    first = np.array(project_to_replicator(spec, rounded).weights)[:cut].reshape(spec.shapes[0])
    coarse = bits * (spec.depth - 1)
    fine = mantissa - coarse - ceil(log2(_largest_sum(spec, first, rounded[cut:]))) - 1
    integers = [int(u * 2**coarse) for u in later_fractions(spec, _fractions(rounded))]
    pair = _coprime_pair(integers)
    if fine < 1 or pair is None:
        return None
    for column in range(QUESTION):
        near = [round(entry * 2**fine) for entry in first[:, column].tolist()]
        total = 2 ** (fine + coarse) if column == 0 else 0
        first[:, column] = np.array(_solve(integers, pair, near, total), float) / 2.0**fine
    if _largest_sum(spec, first, rounded[cut:]) * 2.0 ** (fine + coarse) > 2.0**mantissa:
        return None
    return np.concatenate([first.ravel(), rounded[cut:]])


def _with_task_of(
    spec: ParticleSpec, wanted: Float[np.ndarray, " n"], found: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The columns of the task moved along `u`, to the answers that are wanted."""
    rows, columns = spec.shapes[0]
    given, first = (w[: rows * columns].reshape(rows, columns).copy() for w in (wanted, found))
    before, after = _later(spec, wanted), _later(spec, found)
    missing = before @ given[:, QUESTION:] - after @ first[:, QUESTION:]
    first[:, QUESTION:] += np.outer(after, missing) / (after @ after)
    return np.concatenate([first.ravel(), found[rows * columns :]])


def _later(spec: ParticleSpec, weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " h"]:
    """`u = W_L ... W_2`."""
    return np.array([float(u) for u in later_fractions(spec, _fractions(weights))])


def _fractions(weights: Float[np.ndarray, " n"]) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, weights.tolist()))


def _largest_sum(
    spec: ParticleSpec, first: Float[np.ndarray, "h p"], later: Float[np.ndarray, " m"]
) -> float:
    """What no partial sum of a product of these matrices exceeds."""
    sizes = np.abs(np.concatenate([first.ravel(), later]))
    return max(1.0, float((_later(spec, sizes) @ np.abs(first[:, :QUESTION])).max()))


def _coprime_pair(integers: list[int]) -> tuple[int, int] | None:
    """Two entries whose common divisors are powers of two, and divide all others."""
    whole = gcd(*integers)
    if whole & (whole - 1):
        return None
    fitting = [
        (max(abs(integers[r]), abs(integers[s])), r, s)
        for r, s in combinations(range(len(integers)), 2)
        if integers[r] and integers[s] and gcd(integers[r], integers[s]) == whole
    ]
    return min(fitting)[1:] if fitting else None


def _solve(integers: list[int], pair: tuple[int, int], near: list[int], total: int) -> list[int]:
    """Integers `w` with `integers . w = total`, two of them not `near` but not far from it."""
    r, s = pair
    whole = gcd(integers[r], integers[s])
    a, b = integers[r] // whole, integers[s] // whole
    missing = (total - sum(u * w for u, w in zip(integers, near, strict=True))) // whole
    # a x + b y = missing, with the x of least size.
    x = missing * pow(a, -1, abs(b)) % abs(b)
    x -= abs(b) * (2 * x > abs(b))
    solved = [*near]
    solved[r] += x
    solved[s] += (missing - a * x) // b
    return solved
