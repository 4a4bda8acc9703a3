"""Where a given network is in the phase diagram: theory beside what its own weights do."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.analysis import LyapunovSpectrum, lyapunov_spectrum, stepping
from limitset.dossier._ensemble import Theory, theory_of
from limitset.dossier._gates import GateStatistics, gate_statistics, units_of
from limitset.dossier._rest import Rest, eigenvalues_at, find_rest, in_float64

_TRANSIENT, _STEPS = 1000, 2000
# Exponents nearer to zero than so many standard errors are called undecided.
_ERRORS = 3.0


@dataclass(frozen=True)
class PhasePoint:
    """What the recurrent weights of one network do without input, beside what theory expects.

    **Arguments:**

    - `gates`: gain and bias of each recurrent matrix; exact for the stored weights.
    - `theory`: for infinitely large random networks of these gains, in float64; `None` where there
      is no formula. Trained weights are not random: where `theory` and the rest differ, believe
      the rest.
    - `rest`: the fixed point that is reached from zero, and its eigenvalues, in float64.
    - `spectrum`: the largest Lyapunov exponents along one trajectory from a random start, sampled.
    - `slow_fraction`: of eigenvalues of the Jacobian at the trajectory's end within `width` of 1
      (map) or of 0 (flow).
    - `is_discrete`: whether it is a map.
    """

    kind: str
    units: int
    is_discrete: bool
    gates: tuple[GateStatistics, ...]
    theory: Theory | None
    rest: Rest
    spectrum: LyapunovSpectrum
    width: float
    slow_fraction: float

    @property
    def edge(self) -> float:
        """Of the eigenvalues at rest: largest modulus for a map, largest real part for a flow."""
        values = self.rest.eigenvalues
        return float(np.abs(values).max() if self.is_discrete else np.real(values).max())

    @property
    def memory_time(self) -> float:
        """Steps or time in which the slowest mode at rest falls to 1/e; infinite if it grows."""
        if self.is_discrete and self.edge == 0:
            return 0.0
        rate = -math.log(self.edge) if self.is_discrete else -self.edge
        return 1 / rate if rate > 0 else math.inf

    @property
    def regime(self) -> str:
        """`quiet`, `chaotic` or `undecided`, by the largest exponent and three standard errors."""
        exponent, error = self.spectrum.exponents[0], self.spectrum.standard_errors[0]
        if exponent > _ERRORS * error:
            return "chaotic"
        # NaN is in no range.
        return "quiet" if exponent < -_ERRORS * error else "undecided"


def phase_point(
    system: AbstractFlow | AbstractMap,
    *,
    exponents: int = 1,
    width: float = 0.05,
    seed: int = 0,
) -> PhasePoint:
    """Where a GRU, LSTM, Elman cell, rate network or gated network is in the phase diagram.

    Everything is about the network without input. Theory takes the gain of every recurrent matrix
    and the mean bias of every gate as those of an ensemble, and the candidate or the state without
    bias.

    **Arguments:** `system`; `exponents`, how many; `width`, what counts as a slow mode; `seed`, of
    the start, whose entries are standard normal.

    **Raises:** `InputProblem` for other systems, and more than 4096 states.

    **Example:**

    >>> import jax
    >>> from limitset.networks import gaussian_gru
    >>> point = phase_point(gaussian_gru(jax.random.key(1), 60, gain=1.0))
    >>> point.regime, round(point.theory.zero_edge, 2), round(point.theory.critical_gain, 2)
    ('quiet', 0.75, 2.0)

    **Reference:** arXiv 2007.14823, 2002.00025.
    """
    if not 0 < width < 1:
        raise InputProblem(f"width is {width}; give a number between 0 and 1")
    gates = gate_statistics(system)
    exact = in_float64(system)
    stepped, integrator = stepping(exact)
    spectrum = lyapunov_spectrum(
        stepped,
        jax.random.key(seed),
        count=exponents,
        inputs=jnp.zeros(system.input_size),
        steps=_STEPS,
        transient=_TRANSIENT,
        integrator=integrator,
    )
    is_discrete = isinstance(system, AbstractMap)
    late = eigenvalues_at(exact, spectrum.final_state)
    return PhasePoint(
        kind=type(system).__name__,
        units=units_of(system),
        is_discrete=is_discrete,
        gates=gates,
        theory=theory_of(system, gates, width),
        rest=find_rest(exact),
        spectrum=spectrum,
        width=width,
        slow_fraction=float(np.mean(np.abs(late - (1 if is_discrete else 0)) < width)),
    )
