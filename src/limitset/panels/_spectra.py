"""Eigenvalues of networks at states that they visit, over the boundary that theory gives them."""

from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import xarray

from limitset.dynamics import gated_jacobian
from limitset.meanfield import SampledSpectrum, outside_fraction, spectral_boundary
from limitset.networks import GatedParameters
from limitset.panels._ensemble import after, draw_network
from limitset.panels._panel import Effort, Report
from limitset.sweeps import sweep

_GAIN = 3.0
_GATE_GAINS = (0.0, 10.0)
MARGIN = 0.06
# The law has a segment for the update gate and a pole for each other variable.
_COMPONENTS, _POINTS = 3, 129
_VERSION = "1"


def compute_spectra(
    effort: Effort, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Eigenvalues at chaotic states without gates, with either, and with both; gain 3.

    **Arguments:** `effort`, whose `time` is how long a network runs before it is looked at;
    `store`; `report`.

    **Returns:** a Dataset over `seed`, `update_gain` and `output_gain` with

    - `real`, `imaginary`: all eigenvalues of the Jacobian at the last state [sampled].
    - `boundary_real`, `boundary_imaginary`: the curves around the bulk for `n -> infinity`, with
      averages over that state, NaN after the last component [float64].
    - `outside`: the part of the eigenvalues beyond a margin of 6 % in the couplings.
    """
    axes = {
        "seed": range(effort.seeds),
        "update_gain": _GATE_GAINS,
        "output_gain": _GATE_GAINS,
    }
    found = sweep(
        _point,
        axes,
        store=store,
        settings={"units": effort.units, "time": float(effort.time)},
        purpose=f"spectra {_VERSION}",
        report=report,
    )
    return found.assign_attrs(panel="spectra", units=effort.units, gain=_GAIN, margin=MARGIN)


def _point(
    seed: int, update_gain: float, output_gain: float, units: int, time: float
) -> Mapping[str, object]:
    parameters = GatedParameters(gain=_GAIN, update_gain=update_gain, output_gain=output_gain)
    network, start = draw_network(parameters, units=units, seed=seed)
    state = after(network, start, time)
    nothing = jnp.zeros(0)
    eigenvalues = np.linalg.eigvals(np.asarray(gated_jacobian(network, state, nothing)))
    h, z, r = jnp.split(state, 3)
    drive = network.state_weight @ (parameters.phi(h) * parameters.output_gate(r))
    law = SampledSpectrum(parameters, h=h, z=z, r=r, drive=drive)
    curves = np.full((_COMPONENTS, 2 * _POINTS - 1), complex(np.nan, np.nan))
    for k, curve in enumerate(spectral_boundary(law, points=_POINTS).curves):
        curves[k] = curve
    return {
        "real": ("eigenvalue", eigenvalues.real),
        "imaginary": ("eigenvalue", eigenvalues.imag),
        "boundary_real": (("component", "place"), np.real(curves)),
        "boundary_imaginary": (("component", "place"), np.imag(curves)),
        "outside": outside_fraction(law, eigenvalues, MARGIN),
    }
