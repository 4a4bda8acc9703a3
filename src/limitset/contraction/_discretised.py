"""Parametrised flows as parametrised maps, so that they can be layers of a stack."""

import equinox as eqx

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._parametrisation import AbstractParametrisation
from limitset.dynamics import AbstractScheme, discretise


class Discretised(AbstractParametrisation):
    """Free parameters of a flow, seen as those of the map that a scheme makes of it.

    **Arguments:** `flow`, a parametrisation of a flow; `scheme`.
    """

    flow: AbstractParametrisation
    scheme: AbstractScheme = eqx.field(static=True)

    def explicit(self) -> AbstractMap:
        """The map that runs."""
        system = self.flow.explicit()
        if not isinstance(system, AbstractFlow):
            raise InputProblem(
                f"{type(system).__name__} is a map already; give its parametrisation as it is"
            )
        return discretise(system, self.scheme)

    def metric(self) -> AbstractMetric | None:
        """The flow's proposal."""
        return self.flow.metric()

    def idle(self) -> int:
        """What the flow does not use."""
        return self.flow.idle()
