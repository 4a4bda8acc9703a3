"""How fast self-training reaches the replicators: the linearised law of its last steps."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset.replication._linear_theory import Numbers, kappa_gradient, read_weights, rows_of
from limitset.replication._particle_spec import ParticleSpec
from limitset.replication._self_training import check_descent


@dataclass(frozen=True)
class SelfTrainingRates:
    """What self-training does to small deviations `delta = kappa_{0:3} - (1, 0, 0, 0)`; float64.

    **Arguments:** `eigenvalues` of `K = (2/n) G G^T X^T X`, smallest first; `factors`, by which
    each mode of `delta` shrinks per step in the long run, in the same order.
    """

    eigenvalues: Float[np.ndarray, "*batch 4"]
    factors: Float[np.ndarray, "*batch 4"]

    @property
    def slowest(self) -> Float[np.ndarray, "*batch"]:
        """The largest factor: what is seen at the end. Replicators attract where it is below 1."""
        return np.asarray(self.factors.max(axis=-1))


def self_training_rates(
    spec: ParticleSpec,
    weights: Float[Numbers, "*batch n"],
    *,
    rate: float,
    momentum: float = 0.0,
    subject: Float[Numbers, "*batch n"] | None = None,
) -> SelfTrainingRates:
    """The factors by which full-batch self-training approaches the replicators nearby.

    The loss, rows and targets held, is `|X delta|^2 / n`. A step of `h` without momentum makes
    `delta+ = (I - h K) delta` to first order, and the eigenvalues `k` of `K` are real and not
    negative. With momentum `m` each has the factor `max |z|`, `z^2 - (1 + m - h k) z + m = 0`. All
    other directions of weight space are neutral: what is reached depends on the start.

    **Arguments:** `spec`, with linear particles; `weights` at replicators or near them, one vector
    or a batch; `rate` `h` and `momentum` `m`, as for `self_training_step`; `subject`, the weights
    that are learnt, where they are not the particle's own: the replicators attract all the same.

    **Returns:** eigenvalues and factors, exact at replicators to first order.

    **Raises:** `InputProblem` for rates that are not positive, momenta outside `[0, 1)`, particles
    that are not linear and weights that do not fit.

    **Example:**

    >>> perfect = np.zeros(14)
    >>> perfect[[0, 8, 12]] = 1.0
    >>> rates = self_training_rates(ParticleSpec(), perfect, rate=0.004)
    >>> bool((rates.factors < 1).all())
    True
    """
    check_descent(rate, momentum)
    given = read_weights(spec, weights)
    rows = rows_of(spec, given if subject is None else read_weights(spec, subject))
    # K = (2/n) G G^T R^T R with X = Q R, whose eigenvalues are squared singular values of R G.
    triangle = np.linalg.qr(rows, mode="r")
    stretch = np.linalg.svd(triangle @ kappa_gradient(spec, given), compute_uv=False)
    eigenvalues = 2 / spec.weight_count * stretch[..., ::-1] ** 2
    return SelfTrainingRates(eigenvalues, _factors(rate * eigenvalues, momentum))


def _factors(
    strengths: Float[np.ndarray, "*batch 4"], momentum: float
) -> Float[np.ndarray, "*batch 4"]:
    """The largest modulus of the roots of `z^2 - (1 + m - k) z + m`."""
    total = 1 + momentum - strengths
    discriminant = total**2 - 4 * momentum
    real = (np.abs(total) + np.sqrt(np.maximum(discriminant, 0.0))) / 2
    return np.where(discriminant >= 0, real, math.sqrt(momentum))
