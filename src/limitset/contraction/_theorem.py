"""What a contraction theorem is: hypotheses in, certificate or the reason why not out."""

import abc

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._layer import Vector
from limitset.contraction._metric import AbstractMetric, DiagonalMetric


class AbstractTheorem(eqx.Module):
    """A sufficient condition for contraction at all states, for all inputs.

    A subclass lists its hypotheses in its docstring in the order in which `apply` checks them, and
    joins `THEOREMS`, over which property tests run.
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The word used in certificates."""

    @abc.abstractmethod
    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Whether the theorem speaks about this kind of system at all."""

    @abc.abstractmethod
    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Try to prove contraction in `metric`, or in a metric of the theorem's own choice."""


def diagonal_scale(metric: AbstractMetric, size: int) -> Vector | None:
    """The scale of a diagonal metric, checked; `None` for a metric of another kind."""
    return checked_scale(metric.scale, size) if isinstance(metric, DiagonalMetric) else None


def checked_scale(given: Float[Array, " n"], size: int) -> Vector:
    """The scale of a metric that has one positive number for each state."""
    scale = np.asarray(given, np.float64)
    if scale.shape != (size,):
        raise InputProblem(
            f"the metric has {scale.size} entries and the system {size} states; give one scale per "
            "state"
        )
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise InputProblem("the metric's scale must be positive and finite in every entry")
    return scale
