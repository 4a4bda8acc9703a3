"""What training sees of a system: free parameters that determine it, and a metric to propose."""

import abc

import equinox as eqx

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._metric import AbstractMetric


class AbstractParametrisation(eqx.Module):
    """Free parameters of a system. Gradient steps act on them, never on what they determine."""

    @abc.abstractmethod
    def explicit(self) -> AbstractFlow | AbstractMap:
        """The system that runs. Compute it once per update, outside any loop over time."""

    @abc.abstractmethod
    def metric(self) -> AbstractMetric | None:
        """A metric for `certify` to verify; `None` where the parameters promise nothing."""

    @abc.abstractmethod
    def idle(self) -> int:
        """How many of the stored numbers have no effect: masked, or cancelled by symmetry."""
