"""A discontinuous transition with hysteresis, and inputs that make chaos or end it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray

from limitset.analysis import EachStep, hysteresis_sweep
from limitset.dynamics import AbstractMap, ExponentialEuler, discretise
from limitset.meanfield import (
    DynamicVerdict,
    Fourier,
    chaos_gain,
    critical_gain,
    maximal_exponent,
)
from limitset.networks import GatedNetwork, GatedParameters
from limitset.panels._bifurcations import chaos_variance, variance_of_states
from limitset.panels._ensemble import STEP, draw_network, largest_exponent, part_of
from limitset.panels._panel import Effort, Report
from limitset.sweeps import sweep

_OUTPUT_GAIN = 20.0
_GAINS = tuple(np.linspace(1.5, 2.5, 21).round(10).tolist())
_CURVE = np.linspace(1.7, 2.5, 33)
# The zero state takes larger kicks than this at the gains of the wedge.
_SMALL = 0.01
_INPUT_GAIN, _INPUT_OUTPUT_GAINS = 1.5, (0.0, 30.0)
_INPUTS = tuple(np.geomspace(1e-4, 3.0, 10).tolist())
_INPUT_CURVE = np.geomspace(1e-4, 3.0, 28)
_VERSION = "1"


def compute_transition(
    effort: Effort, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Activity as the gain rises and falls at output gain 20; exponents under constant inputs.

    **Arguments:** `effort`, whose `time` is measured after a transient of the same length at each
    point; `store`; `report`.

    **Returns:** a Dataset with

    - over `seed` and `gain`: `rising` and `falling`, the variance of `h` as the gain grows from a
      small start and falls from a large one [sampled].
    - over `curve`, a gain: `chaos_variance`, of the theory's chaotic state, 0 without one
      [float64]; `chaos_gain` and `critical_gain` [float64] in the attributes.
    - over `seed`, `output_gain` and `input_variance`, at gain 1.5: `exponent`, the largest, with
      `standard_error` [sampled]; over `output_gain` and `input_curve`: `theory` [float64].
    """
    settings = {"units": effort.units, "time": float(effort.time)}
    loops = sweep(
        _loop,
        {"seed": range(effort.seeds)},
        store=part_of(store, "loops"),
        settings=settings,
        purpose=f"transition loops {_VERSION}",
        report=report,
    )
    exponents = sweep(
        _exponent,
        {
            "seed": range(effort.seeds),
            "output_gain": _INPUT_OUTPUT_GAINS,
            "input_variance": _INPUTS,
        },
        store=part_of(store, "inputs"),
        settings=settings,
        purpose=f"transition inputs {_VERSION}",
        report=report,
    )
    found = xarray.merge([loops.drop_vars("complete"), exponents, _theory()])
    return found.assign_attrs(
        panel="transition",
        units=effort.units,
        output_gain=_OUTPUT_GAIN,
        input_gain=_INPUT_GAIN,
        chaos_gain=float(chaos_gain(_OUTPUT_GAIN).gain),
        critical_gain=critical_gain(GatedParameters(output_gain=_OUTPUT_GAIN)),
    )


def _loop(seed: int, units: int, time: float) -> Mapping[str, object]:
    network, start = draw_network(GatedParameters(output_gain=_OUTPUT_GAIN), units=units, seed=seed)

    def at_gain(gain: float) -> AbstractMap:
        parameters = GatedParameters(gain=gain, output_gain=_OUTPUT_GAIN)
        return discretise(_with_parameters(network, parameters), ExponentialEuler(STEP))

    found = hysteresis_sweep(
        at_gain,
        _GAINS,
        small=_SMALL * start,
        large=start,
        steps=round(time / STEP),
        transient=round(time / STEP),
        integrator=EachStep(STEP),
        observable=variance_of_states,
    )
    return {
        "rising": ("gain", found.rising),
        "falling": ("gain", found.falling),
        "gain": ("gain", found.values),
    }


def _with_parameters(network: GatedNetwork, parameters: GatedParameters) -> GatedNetwork:
    weights = network.state_weight, network.update_weight, network.output_weight
    return GatedNetwork(*weights, parameters, state_input=network.state_input)


def _exponent(
    seed: int, output_gain: float, input_variance: float, units: int, time: float
) -> Mapping[str, object]:
    parameters = GatedParameters(gain=_INPUT_GAIN, output_gain=output_gain)
    network, start = draw_network(parameters, units=units, seed=seed, input_variance=input_variance)
    found = largest_exponent(network, start, time)
    return {
        "exponent": float(found.exponents[0]),
        "standard_error": float(found.standard_errors[0]),
    }


def _theory() -> xarray.Dataset:
    chaos = [
        chaos_variance(GatedParameters(gain=gain, output_gain=_OUTPUT_GAIN)) for gain in _CURVE
    ]
    exponents = [
        [_theory_exponent(output_gain, inputs) for inputs in _INPUT_CURVE]
        for output_gain in _INPUT_OUTPUT_GAINS
    ]
    return xarray.Dataset(
        {
            "chaos_variance": ("curve", chaos),
            "theory": (("output_gain", "input_curve"), exponents),
        },
        coords={"curve": _CURVE, "input_curve": _INPUT_CURVE},
    )


def _theory_exponent(output_gain: float, input_variance: float) -> float:
    parameters = GatedParameters(gain=_INPUT_GAIN, output_gain=output_gain)
    found = maximal_exponent(parameters, method=Fourier(), input_variance=input_variance)
    return float(found.value) if found.verdict is DynamicVerdict.CONVERGED else float("nan")
