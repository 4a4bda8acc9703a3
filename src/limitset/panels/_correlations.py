"""How long units remember: dynamic mean-field theory beside measured autocorrelations."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.analysis import RungeKutta4, autocorrelation
from limitset.meanfield import (
    DynamicVerdict,
    Fourier,
    Sampled,
    critical_scaling,
    solve_correlations,
    time_scale,
)
from limitset.networks import GatedParameters
from limitset.panels._ensemble import draw_network, part_of
from limitset.panels._panel import Effort, Report
from limitset.sweeps import sweep

_GAIN = 3.0
# (update gain, output gain) of the curves.
_CASES = ((0.0, 0.0), (0.0, 5.0), (0.0, 10.0), (5.0, 10.0))
_LAGS = np.arange(0.0, 20.01, 0.5)
# Gates have rates of 1 at most, which Runge-Kutta steps of this size resolve to 1e-5.
_STEP = 0.25
_TIME_GAINS = (2.05, 2.2, 2.5, 3.0)
_OUTPUT_GAINS = np.linspace(0.0, 10.0, 21)
_VERSION = "1"


def compute_correlations(
    effort: Effort, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Autocorrelations of `h` at gain 3, and the time scale against the output gain.

    **Arguments:** `effort`, whose `time` is measured after a transient of 100, and at least eight
    times the longest lag; `store`; `report`.

    **Returns:** a Dataset with

    - over `case` (with `update_gain` and `output_gain`) and `lag`: `theory`, `C_h`, with
      `theory_error`, 0 where nothing was sampled [float64, sampled with an update gain], and with
      `seed`, `measured` and `measured_error` [sampled]; `kurtosis` and `theory_kurtosis` of `h`.
    - over `time_gain` and `curve_output_gain`: `half_time`, the lag at which `C_h` has fallen to a
      half [float64], and `near_onset`, the same in closed form for gains near the onset [float64].
    - `measured_half_time`, of the networks [sampled].
    """
    cases = range(len(_CASES))
    time = max(float(effort.time), 8 * float(_LAGS[-1]))
    theory = sweep(
        _theory, {"case": cases}, store=part_of(store, "theory"), purpose=f"theory {_VERSION}"
    )
    measured = sweep(
        _measure,
        {"seed": range(effort.seeds), "case": cases},
        store=part_of(store, "networks"),
        settings={"units": effort.units, "time": time},
        purpose=f"correlations {_VERSION}",
        report=report,
    )
    gains = np.array(_CASES)
    named = {"update_gain": ("case", gains[:, 0]), "output_gain": ("case", gains[:, 1])}
    found = xarray.merge([theory.drop_vars("complete"), measured, _time_scales()])
    return found.assign(named).assign_attrs(panel="correlations", units=effort.units, gain=_GAIN)


def _theory(case: int) -> Mapping[str, object]:
    update_gain, output_gain = _CASES[case]
    parameters = GatedParameters(gain=_GAIN, update_gain=update_gain, output_gain=output_gain)
    method = Fourier() if update_gain == 0 else Sampled(jax.random.key(0))
    found = solve_correlations(parameters, method=method)
    there = found.at(jnp.asarray(_LAGS))
    return {
        "theory": ("lag", np.asarray(there.state)),
        "theory_error": ("lag", np.asarray(there.state_error)),
        "theory_kurtosis": float(found.kurtosis),
        "lag": ("lag", _LAGS),
    }


def _measure(seed: int, case: int, units: int, time: float) -> Mapping[str, object]:
    update_gain, output_gain = _CASES[case]
    parameters = GatedParameters(gain=_GAIN, update_gain=update_gain, output_gain=output_gain)
    network, start = draw_network(parameters, units=units, seed=seed)
    found = autocorrelation(
        network,
        start,
        integrator=RungeKutta4(_STEP),
        time=time,
        longest_lag=float(_LAGS[-1]),
        interval=float(_LAGS[1]),
        observe=_states,
    )
    return {
        "measured": ("lag", found.values),
        "measured_error": ("lag", found.standard_errors),
        "measured_half_time": _half_time(found.values),
        "kurtosis": found.kurtosis,
        "lag": ("lag", _LAGS),
    }


def _time_scales() -> xarray.Dataset:
    """Half times for constant update gates, and those of the leading order in the excess gain."""
    shape = len(_TIME_GAINS), len(_OUTPUT_GAINS)
    exact, near = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, gain in enumerate(_TIME_GAINS):
        for k, output_gain in enumerate(_OUTPUT_GAINS):
            parameters = GatedParameters(gain=gain, output_gain=output_gain)
            found = solve_correlations(parameters, method=Fourier())
            if found.verdict is DynamicVerdict.CONVERGED and not bool(found.is_frozen):
                exact[i, k] = float(time_scale(found))
            near[i, k] = _near_onset(parameters)
    names = ("time_gain", "curve_output_gain")
    return xarray.Dataset(
        {"half_time": (names, exact), "near_onset": (names, near)},
        coords={"time_gain": list(_TIME_GAINS), "curve_output_gain": _OUTPUT_GAINS},
    )


def _near_onset(parameters: GatedParameters) -> float:
    """The half time of the small amplitudes; NaN where chaos sets in with a jump."""
    try:
        found = critical_scaling(parameters)
    except InputProblem:
        return np.nan
    return (2 * np.arccosh(2**0.5) if found.is_gated else np.arccosh(2.0)) / found.rate


def _half_time(values: Float[np.ndarray, " lags"]) -> float:
    """The first lag at which a correlation is half of its first value; NaN if there is none."""
    below = np.flatnonzero(values <= values[0] / 2)
    if not below.size or not values[0] > 0:
        return np.nan
    k = below[0]
    return float(np.interp(-values[0] / 2, -values[k - 1 : k + 1], _LAGS[k - 1 : k + 1]))


def _states(x: Float[Array, " n"]) -> Float[Array, " units"]:
    return x[: x.shape[0] // 3]
