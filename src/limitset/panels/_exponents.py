"""Lyapunov spectra of gated networks, and the largest exponent of theory beside them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray

from limitset.analysis import AdamsBashforth4, lyapunov_spectrum
from limitset.meanfield import DynamicVerdict, Fourier, maximal_exponent
from limitset.networks import GatedParameters
from limitset.panels._ensemble import STEP, draw_network, largest_exponent, part_of
from limitset.panels._panel import Effort, Report
from limitset.sweeps import sweep

_GAIN, _TIME_CONSTANT = 3.0, 2.0
_UPDATE_GAINS, _OUTPUT_GAINS = (0.0, 5.0, 20.0), (0.0, 10.0, 20.0, 30.0)
_CURVE = np.linspace(0.0, 30.0, 31)
# Largest exponents come near to theory slowly as networks grow: they are taken of larger ones.
_LARGER = 5
_NEAR_ZERO = 0.02
_VERSION = "1"


def compute_exponents(
    effort: Effort, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Whole Lyapunov spectra for several pairs of gate gains; gain 3, time constants 2.

    **Arguments:** `effort`, whose `time` is measured after a transient of the same length;
    `store`; `report`.

    **Returns:** a Dataset with, over `seed`, `update_gain` and `output_gain`,

    - `exponent`, over `place` (i / n), and `standard_error`: all 3n exponents [sampled].
    - `dimension`: of Kaplan and Yorke, divided by n; `near_zero`: exponents below 0.02 in size,
      divided by n; `settled`: whether the run came to a verdict of convergence.
    - `large_exponent`: the largest, of a network of 5 n units, for `update_gain` 0.

    and over `curve`, an output gain, `theory`: the largest exponent for `update_gain` 0 and
    `n -> infinity` [float64].
    """
    settings = {"units": effort.units, "time": float(effort.time)}
    spectra = sweep(
        _spectrum,
        {
            "seed": range(effort.seeds),
            "update_gain": _UPDATE_GAINS,
            "output_gain": _OUTPUT_GAINS,
        },
        store=part_of(store, "spectra"),
        settings=settings,
        purpose=f"exponents {_VERSION}",
        report=report,
    )
    large = sweep(
        _large,
        {"seed": range(effort.seeds), "output_gain": _OUTPUT_GAINS},
        store=part_of(store, "large"),
        settings=settings | {"units": _LARGER * effort.units},
        purpose=f"large exponents {_VERSION}",
        report=report,
    )
    theory = xarray.Dataset({"theory": ("curve", _theory()), "curve": _CURVE})
    found = xarray.merge([spectra, large.drop_vars("complete"), theory])
    place = np.arange(1, spectra.sizes["place"] + 1) / effort.units
    return found.assign_coords(place=place).assign_attrs(
        panel="exponents", units=effort.units, large_units=_LARGER * effort.units, gain=_GAIN
    )


def _parameters(update_gain: float, output_gain: float) -> GatedParameters:
    return GatedParameters(
        gain=_GAIN,
        update_gain=update_gain,
        output_gain=output_gain,
        update_time=_TIME_CONSTANT,
        output_time=_TIME_CONSTANT,
    )


def _spectrum(
    seed: int, update_gain: float, output_gain: float, units: int, time: float
) -> Mapping[str, object]:
    network, start = draw_network(_parameters(update_gain, output_gain), units=units, seed=seed)
    found = lyapunov_spectrum(
        network,
        start,
        steps=round(time / STEP),
        transient=round(time / STEP),
        integrator=AdamsBashforth4(STEP),
        interval=10,
        blocks=10,
    )
    return {
        "exponent": ("place", found.exponents),
        "standard_error": ("place", found.standard_errors),
        "dimension": np.nan
        if found.kaplan_yorke_dimension is None
        else found.kaplan_yorke_dimension / units,
        "near_zero": found.near_zero_count(_NEAR_ZERO) / units,
        "settled": found.converged,
    }


def _large(seed: int, output_gain: float, units: int, time: float) -> Mapping[str, object]:
    parameters = _parameters(0.0, output_gain)
    network, start = draw_network(parameters, units=units, seed=seed)
    found = largest_exponent(network, start, time)
    return {
        "large_exponent": float(found.exponents[0]),
        "large_error": float(found.standard_errors[0]),
    }


def _theory() -> list[float]:
    values = []
    for output_gain in _CURVE:
        found = maximal_exponent(_parameters(0.0, output_gain), method=Fourier())
        solved = found.verdict is DynamicVerdict.CONVERGED
        values.append(float(found.value) if solved else np.nan)
    return values
