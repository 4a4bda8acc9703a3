"""How zero draws weights in, and how replicators throw them out: radii and numbers of steps."""

import math

import numpy as np
from jaxtyping import Float
from scipy.optimize import root_scalar

from limitset._result import InputProblem
from limitset.replication._linear_theory import (
    Numbers,
    deviation,
    kappa_gradient,
    read_weights,
    rows_of,
)
from limitset.replication._particle_spec import QUESTION, ParticleSpec

# How far from (1, 0, 0, 0) the answers of a replicator may be, for what first order says of it.
_NEAR = 1e-6


def collapse_radius(spec: ParticleSpec) -> float:
    """A radius within which all linear particles collapse to zero under self-application.

    `|kappa_{0:3}| <= (|theta| / sqrt(L))^L`, by the inequality of arithmetic and geometric means,
    and `T(theta) = X kappa_{0:3}` with `|X|^2 <= |theta|^2 + |Pi|_2^2`. So `T` shrinks every
    `theta` with `|theta| < r`, where `r^(2L-2) (r^2 + |Pi|_2^2) = L^L`, by a factor that falls as
    `|theta|` does.

    **Arguments:** `spec`, with linear particles.

    **Returns:** `r`, in the Euclidean norm of all weights; float64, not rounded downwards.

    **Raises:** `InputProblem` for particles that are not linear.

    **Example:**

    >>> round(collapse_radius(ParticleSpec()), 3)
    1.302
    """
    read_weights(spec, np.zeros(spec.weight_count))
    depth, places = spec.depth, np.linalg.norm(spec.positions, 2)

    def excess(radius: float) -> float:
        return (
            math.log(radius) * (2 * depth - 2)
            + math.log(radius**2 + places**2)
            - depth * math.log(depth)
        )

    # Without places the radius is sqrt(L); at r = 1 / (1 + |Pi|) the left side is below 1.
    return float(root_scalar(excess, bracket=(1 / (1 + places), math.sqrt(depth))).root)


def escape_amplitude(
    spec: ParticleSpec, replicator: Float[Numbers, " n"], noise: Float[Numbers, "*batch n"]
) -> Float[np.ndarray, "*batch"]:
    """How far noise pushes a replicator along itself: the part that self-application makes `L + 1`
    times as large at every step.

    `a = l . noise`, with the left eigenvector `l` of `DT` for the eigenvalue `L + 1` and
    `l . replicator = 1`. To first order the noisy particle moves as `(1 + a) replicator`, which
    collapses for `a < 0` and diverges for `a > 0`, as far as no other eigenvalue is larger.

    **Arguments:** `spec`, with linear particles; `replicator`, with `kappa_{0:3} = (1, 0, 0, 0)` to
    1e-6; `noise`, one vector or a batch of them.

    **Returns:** `a`, without unit.

    **Raises:** `InputProblem` for weights that do not replicate so, and as `kappa_gradient` does.

    **Example:**

    >>> perfect = np.zeros(14)
    >>> perfect[[0, 8, 12]] = 1.0
    >>> round(float(escape_amplitude(ParticleSpec(), perfect, 1e-3 * perfect)), 6)
    0.001
    """
    weights = read_weights(spec, replicator)
    distance = np.abs(deviation(spec, weights)).max()
    if distance > _NEAR:
        raise InputProblem(
            f"kappa_{{0:3}} is {distance:.1e} away from (1, 0, 0, 0); give a replicator, as from "
            "project_to_replicator"
        )
    gradient = kappa_gradient(spec, weights)
    small = gradient @ rows_of(spec, weights)
    # Left eigenvector (1, c) of [[L, g], [0, M]]: c (L I - M) = g.
    rest = np.linalg.solve((spec.depth * np.eye(QUESTION - 1) - small[1:, 1:]).T, small[0, 1:])
    along = np.concatenate([[1.0], rest]) @ gradient / spec.depth
    return np.asarray(read_weights(spec, noise) @ along)


def escape_steps(
    depth: int, amplitude: Float[Numbers, "*batch"], ratio: float = 1e5
) -> Float[np.ndarray, "*batch"]:
    """Self-applications until a replicator scaled by `1 + amplitude` has changed by this ratio.

    Along the ray through a replicator `T(s theta) = s^(L+1) theta`, so after `t` steps the scale is
    `(1 + a)^((L+1)^t)`: `t = log(log(ratio) / |log(1 + a)|) / log(L + 1)`. Ten times less noise
    lasts `1 / log10(L + 1)` steps longer, 1.66 for three matrices.

    **Arguments:** `depth`, the number of matrices `L`; `amplitude` `a`, above -1 and not 0;
    `ratio`, from the weights to what counts as zero or as diverged.

    **Returns:** `t`, not rounded to whole steps; `inf` where `a` is 0.

    **Raises:** `InputProblem` for a depth below 2, amplitudes up to -1, and ratios up to 1.

    **Example:**

    >>> steps = escape_steps(3, np.array([1e-3, 1e-4]))
    >>> round(float(steps[1] - steps[0]), 2)
    1.66
    """
    given = np.asarray(amplitude, np.float64)
    if depth < 2 or not (given > -1).all() or not np.isfinite(given).all():
        raise InputProblem(
            f"depth is {depth} and amplitudes are {given.tolist()}; give a depth of 2 or more and "
            "amplitudes above -1"
        )
    if not 1 < ratio < math.inf:
        raise InputProblem(f"ratio is {ratio}; give a number above 1")
    with np.errstate(divide="ignore"):
        scales = math.log(ratio) / np.abs(np.log1p(given))
        return np.asarray(np.log(scales) / math.log(depth + 1))
