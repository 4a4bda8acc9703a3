"""What all panels share: how much is simulated, and how parameters are varied."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import jax.numpy as jnp

from limitset._result import InputProblem
from limitset.networks import GatedParameters
from limitset.sweeps import SweepProgress

Report = Callable[[SweepProgress], None]

_FIXED = ("open_update", "open_output", "nonlinearity")
# The numbers of an ensemble that a plane can vary.
VARIABLES = (
    *(f.name for f in fields(GatedParameters) if f.name not in _FIXED),
    "input_variance",
)


@dataclass(frozen=True)
class Effort:
    """How much is simulated for a panel: units of each network, networks, units of time.

    **Arguments:** `units` and `seeds`, 1 or more; `time` that is measured after a transient of the
    same length, positive.

    **Raises:** `InputProblem` for numbers outside these ranges.

    >>> Effort(units=200).seeds
    1
    """

    units: int = 200
    seeds: int = 1
    time: float = 150.0

    def __post_init__(self) -> None:
        for name, least, most in (("units", 2, 20_000), ("seeds", 1, 1000), ("time", 1, 1e6)):
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputProblem(f"{name} is {value}; give a number from {least} to {most:g}")


def varied(
    parameters: GatedParameters, input_variance: float, values: dict[str, float]
) -> tuple[GatedParameters, float]:
    """An ensemble with some of its numbers replaced, by name."""
    for name in values:
        if name not in VARIABLES:
            raise InputProblem(f"{name!r} cannot be varied; use one of {', '.join(VARIABLES)}")
    inner = {k: jnp.asarray(v, jnp.float64) for k, v in values.items() if k != "input_variance"}
    return replace(parameters, **inner), values.get("input_variance", input_variance)
