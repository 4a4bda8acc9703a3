"""Which steps suit a network: as long as its own time constants and gates allow."""

from limitset.analysis._multistep import AdamsBashforth4
from limitset.analysis._tangent_step import AbstractIntegrator, EachStep, System
from limitset.dynamics import AbstractMap, ExponentialEuler, discretise
from limitset.networks import GatedNetwork, RateNetwork

# Steeper gates than this act as switches within a step; gates that are faster than this leave
# explicit steps unstable. Exponential steps take both.
_STEEPEST, _FASTEST = 50.0, 0.5


def stepping(system: System, step: float = 0.1) -> tuple[System, AbstractIntegrator]:
    """What to step, and by which rule, for exponents along a trajectory.

    - maps: as they are, `EachStep()`
    - rate networks: `AdamsBashforth4`, in units of their time constant over their leak
    - gated networks: `AdamsBashforth4`, or exponential steps where a gate has a gain above 50 or a
      time constant below 1/2
    - other flows: `AdamsBashforth4(step)`; whether that is short enough is not looked at

    **Arguments:** `system`; `step`, positive, in units of the state's time constant.

    **Returns:** the system, or the map that its exponential steps make, and the integrator.

    >>> import jax.numpy as jnp
    >>> stepping(RateNetwork(jnp.zeros((2, 2)), time_constant=3.0))[1].step
    0.30000000000000004
    """
    if isinstance(system, AbstractMap):
        return system, EachStep()
    if isinstance(system, RateNetwork):
        fastest = float(system.time_constant) / max(float(system.leak), 1.0)
        return system, AdamsBashforth4(step * fastest)
    if isinstance(system, GatedNetwork):
        own = system.parameters
        steepest = max(float(own.update_gain), float(own.output_gain))
        fastest = min(float(own.update_time), float(own.output_time))
        if steepest > _STEEPEST or fastest < _FASTEST:
            return discretise(system, ExponentialEuler(step)), EachStep(step)
    return system, AdamsBashforth4(step)
