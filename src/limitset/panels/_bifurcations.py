"""What appears first as the gain grows, fixed points or chaos, and how many fixed points."""

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import xarray
from jaxtyping import Array, Float

from limitset.analysis import EachStep, activity
from limitset.dynamics import ExponentialEuler, discretise
from limitset.meanfield import (
    DynamicVerdict,
    Fourier,
    MeanFieldPoint,
    chaos_gain,
    fixed_points,
    mean_field_complexity,
    output_gain_thresholds,
    phase_curves,
    solve_correlations,
)
from limitset.networks import GatedParameters
from limitset.panels._ensemble import STEP, draw_network
from limitset.panels._panel import Effort, Report
from limitset.sweeps import sweep

_CURVE = np.linspace(0.0, 12.0, 49)
_OUTPUT_GAINS = (0.0, 3.2, 10.0)
_GAINS = np.linspace(1.6, 3.0, 29)
_FINE = np.linspace(1.45, 1.85, 21)
_MEASURED = (1.45, 1.5, 1.55, 1.6, 1.65, 1.7, 1.75, 1.8, 1.85)
_VERSION = "1"


def compute_bifurcations(
    effort: Effort, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Onsets of fixed points and of chaos, and the complexity along the gain, beside networks.

    **Arguments:** `effort`, whose `time` passes before the activity is measured, over a third of
    it; `store`; `report`.

    **Returns:** a Dataset with

    - over `curve`, an output gain: `critical_gain`, `birth_gain`, `chaos_gain`, for an instant
      output gate and a constant update gate [float64]; in the attributes the two thresholds.
    - over `output_gain` and `gain`: `complexity`, the exponent of the number of fixed points per
      unit, at the point of largest variance; NaN without such points [float64].
    - at output bias 0.5, output gain 20 and an open update gate, over `biased_gain`:
      `biased_complexity`, and `biased_variance`, of `h` in the chaotic state, 0 without one
      [float64]; over `seed` and `measured_gain`: `activity`, the variance of `h` long after a large
      start [sampled].
    """
    measured = sweep(
        _measure,
        {"seed": range(effort.seeds), "measured_gain": _MEASURED},
        store=store,
        settings={"units": effort.units, "time": float(effort.time)},
        purpose=f"bifurcations {_VERSION}",
        report=report,
    )
    thresholds = output_gain_thresholds()
    return xarray.merge([measured, _onsets(), _complexities()]).assign_attrs(
        panel="bifurcations",
        units=effort.units,
        fixed_point_threshold=thresholds.fixed_points,
        chaos_threshold=thresholds.chaos,
    )


def _measure(seed: int, measured_gain: float, units: int, time: float) -> Mapping[str, object]:
    parameters = _biased(measured_gain)
    network, start = draw_network(parameters, units=units, seed=seed)
    steps = round(time / STEP)
    found = activity(
        discretise(network, ExponentialEuler(STEP)),
        start,
        steps=max(1, steps // 3),
        transient=steps,
        integrator=EachStep(STEP),
        observable=variance_of_states,
    )
    return {"activity": found}


def _biased(gain: float) -> GatedParameters:
    """An ensemble with fixed points from gain 1.536, and chaos from 1.606 only.

    This window is wide enough to be seen in finite networks.
    """
    return GatedParameters(gain=gain, output_gain=20.0, output_bias=0.5, open_update=True)


def variance_of_states(x: Float[Array, " n"]) -> Float[Array, ""]:
    """The mean of `h^2`, of the state `(h, z, r)` of a gated network."""
    return (x[: x.shape[0] // 3] ** 2).mean()


def _onsets() -> xarray.Dataset:
    curves = phase_curves(_CURVE)
    chaos = jax.jit(jax.vmap(lambda gain: chaos_gain(gain).gain))(_CURVE)
    return xarray.Dataset(
        {
            "critical_gain": ("curve", curves.critical_gain),
            "birth_gain": ("curve", curves.birth_gain),
            "chaos_gain": ("curve", np.asarray(chaos)),
            "curve": _CURVE,
        }
    )


def _complexities() -> xarray.Dataset:
    plain = [
        [_complexity(GatedParameters(gain=gain, output_gain=output)) for gain in _GAINS]
        for output in _OUTPUT_GAINS
    ]
    biased = [_biased(gain) for gain in _FINE]
    return xarray.Dataset(
        {
            "complexity": (("output_gain", "gain"), plain),
            "biased_complexity": ("biased_gain", [_complexity(p) for p in biased]),
            "biased_variance": ("biased_gain", [chaos_variance(p) for p in biased]),
        },
        coords={"output_gain": list(_OUTPUT_GAINS), "gain": _GAINS, "biased_gain": _FINE},
    )


def chaos_variance(parameters: GatedParameters) -> float:
    """The variance of `h` in the chaotic state, 0 without one, NaN where it was not solved for."""
    found = solve_correlations(parameters, method=Fourier())
    if bool(found.is_frozen):
        return 0.0
    return float(found.state[0]) if found.verdict is DynamicVerdict.CONVERGED else float("nan")


def _complexity(parameters: GatedParameters) -> float:
    others: list[MeanFieldPoint] = [p for p in fixed_points(parameters) if p.branch != "zero"]
    return mean_field_complexity(others[-1]).value if others else float("nan")
