"""Eigenvalues of self-application: of n of them, all but four are one known number."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from limitset.replication._linear_theory import (
    Numbers,
    answer,
    kappa_gradient,
    read_weights,
    rows_of,
)
from limitset.replication._particle_spec import QUESTION, ParticleSpec


@dataclass(frozen=True)
class SelfApplicationSpectrum:
    """The eigenvalues of `DT(theta)` of a linear particle, with algebraic multiplicities; float64.

    **Arguments:** `repeated`, the eigenvalue `kappa_0`, which occurs `multiplicity = n - 4` times,
    and may be among `others`, the other four, largest modulus first.
    """

    repeated: Float[np.ndarray, "*batch"]
    multiplicity: int
    others: Complex[np.ndarray, "*batch 4"]

    @property
    def radius(self) -> Float[np.ndarray, "*batch"]:
        """The spectral radius."""
        return np.asarray(np.maximum(np.abs(self.repeated), np.abs(self.others[..., 0])))


def self_application_spectrum(
    spec: ParticleSpec, weights: Float[Numbers, "*batch n"]
) -> SelfApplicationSpectrum:
    """The spectrum of self-application at any weights of linear particles, from 4 by 4 matrices.

    `DT = kappa_0 I + X G` with `X = [theta, Pi]` and `G` of `kappa_gradient`, so that
    `det(z I - DT) = (z - kappa_0)^(n-4) det((z - kappa_0) I - G X)`. At every fixed point other
    than 0, `theta` is an eigenvector with the eigenvalue `L + kappa_0`; see the page on
    self-replicators in the manual.

    **Arguments:** `spec`, with linear particles; `weights`, one vector or a batch of them.

    **Returns:** the eigenvalues. The work grows as `n`, not as `n^3`.

    **Raises:** `InputProblem` for particles that are not linear and weights that do not fit.

    **Example:** a particle that copies itself, and why nobody sees it do so for long.

    >>> perfect = np.zeros(14)
    >>> perfect[[0, 8, 12]] = 1.0
    >>> found = self_application_spectrum(ParticleSpec(), perfect)
    >>> float(found.repeated), found.multiplicity, float(found.radius.round(9))
    (1.0, 10, 4.0)
    """
    weights = read_weights(spec, weights)
    repeated = np.asarray(answer(spec, weights)[..., 0])
    small = kappa_gradient(spec, weights) @ rows_of(spec, weights)
    others = np.linalg.eigvals(small).astype(complex) + repeated[..., None]
    order = np.argsort(-np.abs(others), axis=-1, kind="stable")
    return SelfApplicationSpectrum(
        repeated, spec.weight_count - QUESTION, np.take_along_axis(others, order, axis=-1)
    )
