"""How a cell moves through the phase diagram while it is trained."""

from dataclasses import dataclass

import numpy as np

from limitset._system import AbstractFlow, AbstractMap
from limitset.dossier._gates import GateStatistics, gate_statistics
from limitset.dossier._rest import find_rest, in_float64


@dataclass(frozen=True)
class PhaseSample:
    """One epoch: `gates`, gain and bias of each; `edge`, of the eigenvalues at rest, in float64."""

    epoch: int
    gates: tuple[GateStatistics, ...]
    edge: float


class PhaseMonitor:
    """Records where a cell is after every epoch: pass it to `fit` as `watch`.

    Only what is cheap: statistics of the weights, and eigenvalues at the fixed point near zero.
    `phase_point` says more of the end.

    >>> import jax
    >>> from limitset.networks import random_gru
    >>> monitor = PhaseMonitor()
    >>> monitor(0, random_gru(jax.random.key(0), 8, 1))
    >>> [gate.name for gate in monitor.samples[0].gates], monitor.samples[0].edge < 1
    (['reset', 'update', 'candidate'], True)
    """

    def __init__(self) -> None:
        self._samples: list[PhaseSample] = []

    @property
    def samples(self) -> tuple[PhaseSample, ...]:
        """What has been recorded, in order."""
        return tuple(self._samples)

    def __call__(self, epoch: int, system: AbstractFlow | AbstractMap) -> None:
        """Record one epoch.

        **Raises:** `InputProblem` for systems of which no ensemble is known.
        """
        gates = gate_statistics(system)
        values = find_rest(in_float64(system)).eigenvalues
        is_discrete = isinstance(system, AbstractMap)
        edge = np.abs(values).max() if is_discrete else np.real(values).max()
        self._samples.append(PhaseSample(epoch, gates, float(edge)))
