"""Diagonal linear recurrences: the largest modulus is the factor."""

import jax.numpy as jnp
import numpy as np

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._theorem import AbstractTheorem, diagonal_scale
from limitset.networks import DiagonalRecurrence
from limitset.proofs import Ball


class DiagonalLinear(AbstractTheorem):
    """Contraction of `z+ = lambda * z + B u + b`, by the moduli of `lambda`.

    Hypotheses:

    1. The metric is diagonal, with one scale for the real and the imaginary part of a unit.
    2. `max_k |lambda_k| < 1`, for `lambda` as stored.

    Two states differ by `d`, and `d+ = lambda * d`: a rotation and a scaling of each unit's plane.
    So the factor is `max_k |lambda_k|` in every such metric, and no metric has a better one.

    **Reference:** arXiv 2303.06349.
    """

    @property
    def name(self) -> str:
        """`"diagonal_linear"`."""
        return "diagonal_linear"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Diagonal recurrences."""
        return isinstance(system, DiagonalRecurrence)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, or in the Euclidean one if it is `None`."""
        if not isinstance(system, DiagonalRecurrence):
            return Unknown("diagonal_linear speaks of diagonal recurrences only")
        size = system.state_size
        scale = np.ones(size) if metric is None else diagonal_scale(metric, size)
        if scale is None or not np.array_equal(scale[: size // 2], scale[size // 2 :]):
            return Unknown(
                "diagonal_linear needs a diagonal metric with one scale for both parts of a unit"
            )
        parts = (np.asarray(part, np.float64) for part in (system.real, system.imaginary))
        real, imaginary = (Ball.exact(part) for part in parts)
        squares = (real * real + imaginary * imaginary).upper()
        if not np.isfinite(squares).all():
            return Unknown("a modulus is too large for float64")
        factor = float(Ball.exact(squares).sqrt().upper().max())
        if not factor < 1:
            return Unknown(f"the largest modulus is bounded by {factor:.6g}, not below 1")
        used = DiagonalMetric(jnp.asarray(scale))
        return Certificate(system, self.name, used, None, factor, (self.name,), (factor,))
