"""A plane of parameters: what mean-field theory says of it, and what finite networks do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np
import xarray
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.analysis import SpectrumVerdict
from limitset.meanfield import chaos_gain, fixed_points, phase_curves, zero_state_edge
from limitset.networks import GatedParameters
from limitset.panels._ensemble import draw_network, largest_exponent
from limitset.panels._panel import VARIABLES, Effort, Report, varied
from limitset.sweeps import sweep

Scalar = Float[Array, ""]

# Points of a theoretical curve, whatever the simulation's grid.
_FINE = 121
# Changes when what `_point` computes changes: stores of other versions are refused.
_VERSION = "1"


@dataclass(frozen=True)
class Plane:
    """Two numbers of an ensemble that vary, with their values, and the rest of it.

    **Arguments:** `x` and `y`, names of numbers in `GatedParameters`, or `input_variance`;
    `x_values`, `y_values`, increasing; `parameters` and `input_variance`, what stays the same.

    **Raises:** `InputProblem` for names that are not known or equal, and values in disorder.

    >>> plane = Plane("output_gain", (0.0, 10.0), "gain", (1.0, 2.0, 3.0))
    >>> float(plane.at(10.0, 2.0)[0].output_gain)
    10.0
    """

    x: str
    x_values: tuple[float, ...]
    y: str
    y_values: tuple[float, ...]
    parameters: GatedParameters = field(default_factory=GatedParameters)
    input_variance: float = 0.0

    def __post_init__(self) -> None:
        if self.x == self.y:
            raise InputProblem(f"both axes are {self.x}; name two different numbers")
        for name, values in ((self.x, self.x_values), (self.y, self.y_values)):
            if name not in VARIABLES:
                raise InputProblem(f"axis {name!r} is not known; use one of {', '.join(VARIABLES)}")
            steps = np.diff(np.asarray(values, float))
            if len(values) < 2 or not (steps > 0).all():
                raise InputProblem(f"values of {name} do not increase; give two or more that do")

    def at(self, x: float, y: float) -> tuple[GatedParameters, float]:
        """Parameters and input variance of a point."""
        return varied(self.parameters, self.input_variance, {self.x: x, self.y: y})


def compute_diagram(
    plane: Plane, effort: Effort, *, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """The phase diagram of a plane: exponents of finite networks over curves of the theory.

    **Arguments:** `plane`; `effort`, how much is simulated at each point; `store`, a folder from
    which an interrupted diagram goes on; `report`, called with the progress.

    **Returns:** a Dataset over the axes and `seed` with

    - `exponent`, `standard_error`: the largest Lyapunov exponent of one network, started far from
      the zero state [sampled]; `settled`, whether the run came to a verdict of convergence.
    - `activity`: the variance of `h` at the end.
    - `zero_edge`: real part of the rightmost eigenvalue at the zero state, `n -> infinity`, NaN
      where zero is no fixed point [float64].
    - `points`: number of other fixed points of the theory; `stability_number` of the largest.

    Where `y` is the gain and zero a fixed point, also over a finer axis `curve`, the gains at which
    phases change: `critical_gain`, `birth_gain`, `chaos_gain` (for an instant output gate and a
    constant update gate) and `marginal_gain` (for update gates that are switches) [float64].

    **Raises:** `InputProblem` for a store of another plane.
    """
    settings = {
        "units": effort.units,
        "time": float(effort.time),
        "rest": _describe(plane),
    }

    def point(
        seed: int, units: int, time: float, rest: str, **values: float
    ) -> Mapping[str, float]:
        del rest
        parameters, inputs = plane.at(values[plane.x], values[plane.y])
        return _point(parameters, inputs, units, time, seed)

    axes = {
        "seed": range(effort.seeds),
        plane.y: plane.y_values,
        plane.x: plane.x_values,
    }
    found = sweep(
        point, axes, store=store, settings=settings, purpose=f"diagram {_VERSION}", report=report
    )
    return found.merge(_curves(plane)).assign_attrs(x=plane.x, y=plane.y, units=effort.units)


def _point(
    parameters: GatedParameters, input_variance: float, units: int, time: float, seed: int
) -> dict[str, float]:
    network, start = draw_network(parameters, units=units, seed=seed, input_variance=input_variance)
    found = largest_exponent(network, start, time)
    points = fixed_points(parameters, input_variance)
    zero = any(p.branch == "zero" for p in points)
    others = [p for p in points if p.branch != "zero"]
    return {
        "exponent": float(found.exponents[0]),
        "standard_error": float(found.standard_errors[0]),
        "settled": found.verdict is SpectrumVerdict.CONVERGED,
        "activity": float(np.mean(found.final_state[:units] ** 2)),
        "zero_edge": zero_state_edge(parameters) if zero else np.nan,
        "points": len(others),
        "stability_number": others[-1].stability_number if others else np.nan,
    }


def _curves(plane: Plane) -> xarray.Dataset:
    """What theory knows in closed form or nearly so, along the x axis; empty for other planes."""
    rest = plane.parameters
    silent = float(rest.state_bias) == 0 and plane.input_variance == 0
    if plane.y != "gain" or plane.x in ("state_bias", "input_variance") or not silent:
        return xarray.Dataset()
    xs = np.linspace(plane.x_values[0], plane.x_values[-1], _FINE)
    gain, bias = (
        xs if plane.x == name else np.full(_FINE, float(getattr(rest, name)))
        for name in ("output_gain", "output_bias")
    )
    if rest.open_output:
        # An open gate is one that a bias holds open.
        gain, bias = np.zeros(_FINE), np.full(_FINE, 40.0)
    theory = phase_curves(gain, output_bias=bias, nonlinearity=rest.nonlinearity)

    @jax.jit
    @jax.vmap
    def onset(gain: Scalar, bias: Scalar) -> Scalar:
        return chaos_gain(gain, output_bias=bias, nonlinearity=rest.nonlinearity).gain

    return xarray.Dataset(
        {
            "critical_gain": ("curve", theory.critical_gain),
            "birth_gain": ("curve", theory.birth_gain),
            "marginal_gain": ("curve", theory.marginal_gain),
            "chaos_gain": ("curve", np.asarray(onset(gain, bias))),
            "curve": xs,
        }
    )


def _describe(plane: Plane) -> str:
    """All that a point depends on besides its place."""
    rest = plane.parameters
    numbers = {name: float(getattr(rest, name)) for name in VARIABLES if name != "input_variance"}
    numbers["input_variance"] = plane.input_variance
    varying = (plane.x, plane.y)
    words = [f"{name}={value!r}" for name, value in numbers.items() if name not in varying]
    flags = f"open_update={rest.open_update} open_output={rest.open_output}"
    return " ".join([*words, flags, rest.nonlinearity.name])
