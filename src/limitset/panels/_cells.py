"""Spectra of GRU and LSTM cells over their boundaries, and where their fixed points appear."""

from collections.abc import Callable, Mapping
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Complex, Float

from limitset.analysis import EachStep, activity
from limitset.meanfield import (
    AbstractCellEnsemble,
    GRUEnsemble,
    LSTMEnsemble,
    ResetAfterGRUEnsemble,
    cell_fixed_points,
    edge_of_initialisation,
    outside_fraction,
    spectral_boundary,
)
from limitset.networks import gaussian_gru, gaussian_reset_before_gru, random_lstm
from limitset.panels._cell_states import Cell, cell_with_fixed_point
from limitset.panels._ensemble import part_of
from limitset.panels._panel import Effort, Report
from limitset.sweeps import sweep

Law = Callable[..., AbstractCellEnsemble]

MARGIN = 0.06
_GRU_GAINS = {"candidate_gain": 3.0, "reset_gain": 5.0, "update_gain": 10.0}
_LSTM_GAINS = {"candidate_gain": 3.0, "input_gain": 1.0, "forget_gain": 1.0, "output_gain": 1.0}
_LAWS: tuple[tuple[Law, dict[str, float]], ...] = (
    (GRUEnsemble, _GRU_GAINS),
    (ResetAfterGRUEnsemble, _GRU_GAINS),
    (LSTMEnsemble, _LSTM_GAINS),
)
_COMPONENTS, _POINTS = 2, 129
_RESET_CURVE = np.linspace(0.0, 20.0, 21)
_RESET_GAINS, _CANDIDATE_GAINS = (0.0, 5.0, 10.0, 15.0, 20.0), tuple(np.arange(1.5, 2.41, 0.15))
_CANDIDATE_RANGE = (1.2, 2.05)
_HALVINGS = 14
_FORGET_BIASES, _FORGET_CURVE = (-1.0, 0.0, 1.0, 2.0, 3.0), np.linspace(-1.0, 3.0, 41)
# The standard deviation of weights uniform within 1/sqrt(n), times sqrt(n).
_UNIFORM = 3**-0.5
_VERSION = "1"


def compute_cells(
    effort: Effort, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Cells as maps, without inputs: spectra, phases of both places of the reset gate, defaults.

    Kinds 0, 1 and 2 are the GRU with the reset gate before and after the product, and the LSTM.
    The cells of the spectra have biases that put a fixed point at a random state with the law of
    the theory's largest one.

    **Arguments:** `effort`, whose `time` is how many steps pass before activity is measured, over
    a third of it; `store`; `report`.

    **Returns:** a Dataset with

    - over `seed` and `kind`: `real` and `imaginary`, all eigenvalues of the Jacobian, NaN where a
      kind has fewer, and `outside`, their part beyond a margin of 6 % [sampled]; over `kind`,
      `boundary_real` and `boundary_imaginary` [float64].
    - over `seed`, `phase_kind` (0 and 1), `reset_gain` and `candidate_gain`: `activity`, the mean
      square of the state long after a large start [sampled]; over `phase_kind` and `reset_curve`:
      `birth_gain`, above which there are fixed points other than zero [float64].
    - over `forget_bias`: `edge`, the largest modulus of an eigenvalue at zero of LSTM cells with
      uniform weights [sampled]; over `forget_curve`: `theory_edge` [float64].
    """
    seeds, settings = range(effort.seeds), {"units": effort.units}
    spectra = sweep(
        _spectrum,
        {"seed": seeds, "kind": range(len(_LAWS))},
        store=part_of(store, "spectra"),
        settings=settings,
        purpose=f"cell spectra {_VERSION}",
        report=report,
    )
    phases = sweep(
        _activity,
        {
            "seed": seeds,
            "phase_kind": (0, 1),
            "reset_gain": _RESET_GAINS,
            "candidate_gain": _CANDIDATE_GAINS,
        },
        store=part_of(store, "phases"),
        settings=settings | {"steps": round(effort.time)},
        purpose=f"cell phases {_VERSION}",
        report=report,
    )
    edges = sweep(
        _edge,
        {"seed": seeds, "forget_bias": _FORGET_BIASES},
        store=part_of(store, "edges"),
        settings=settings,
        purpose=f"cell edges {_VERSION}",
    )
    parts = (phases.drop_vars("complete"), edges.drop_vars("complete"), _theory())
    return xarray.merge([spectra, *parts]).assign_attrs(
        panel="cells", units=effort.units, margin=MARGIN
    )


def _spectrum(seed: int, kind: int, units: int) -> Mapping[str, object]:
    law, gains = _LAWS[kind]
    point = cell_fixed_points(law(**gains))[-1]
    cell, state = cell_with_fixed_point(jax.random.key(seed), units, point)
    eigenvalues = _eigenvalues(cell, state)
    curves = np.full((_COMPONENTS, 2 * _POINTS - 1), complex(np.nan, np.nan))
    for k, curve in enumerate(spectral_boundary(point.spectrum, points=_POINTS).curves):
        curves[k] = curve
    padded = np.full(2 * units, complex(np.nan, np.nan))
    padded[: len(eigenvalues)] = eigenvalues
    return {
        "real": ("eigenvalue", np.real(padded)),
        "imaginary": ("eigenvalue", np.imag(padded)),
        "outside": outside_fraction(point.spectrum, eigenvalues, MARGIN),
        "boundary_real": (("component", "curve_place"), np.real(curves)),
        "boundary_imaginary": (("component", "curve_place"), np.imag(curves)),
    }


def _eigenvalues(cell: Cell, state: Float[Array, " n"]) -> Complex[np.ndarray, " n"]:
    return np.linalg.eigvals(np.asarray(_jacobian(cell, state)))


@eqx.filter_jit
def _jacobian(cell: Cell, state: Float[Array, " n"]) -> Float[Array, "n n"]:
    nothing = jnp.zeros(cell.input_size)
    return jax.jacfwd(lambda x: cell.advance(0, x, nothing))(state)


def _activity(
    seed: int, phase_kind: int, reset_gain: float, candidate_gain: float, units: int, steps: int
) -> Mapping[str, object]:
    draw = (gaussian_reset_before_gru, gaussian_gru)[phase_kind]
    drawn, started = jax.random.split(jax.random.key(seed))
    cell = draw(drawn, units, gain=candidate_gain, reset_gain=reset_gain)
    found = activity(
        cell,
        jnp.tanh(jax.random.normal(started, (units,))),
        steps=max(1, steps // 3),
        transient=steps,
        integrator=EachStep(),
    )
    return {"activity": found}


def _edge(seed: int, forget_bias: float, units: int) -> Mapping[str, object]:
    cell = random_lstm(jax.random.key(seed), units, 1)
    level = jnp.zeros(4 * units).at[units : 2 * units].set(forget_bias)
    cell = eqx.tree_at(lambda c: (c.bias_ih, c.bias_hh), cell, (jnp.zeros(4 * units), level))
    eigenvalues = _eigenvalues(cell, jnp.zeros(2 * units))
    return {"edge": float(np.abs(eigenvalues).max())}


def _theory() -> xarray.Dataset:
    births = [[_birth_gain(law, reset_gain) for reset_gain in _RESET_CURVE] for law, _ in _LAWS[:2]]
    edges = [edge_of_initialisation("lstm", _UNIFORM, {"forget": b}) for b in _FORGET_CURVE]
    return xarray.Dataset(
        {
            "birth_gain": (("phase_kind", "reset_curve"), births),
            "theory_edge": ("forget_curve", edges),
        },
        coords={"phase_kind": [0, 1], "reset_curve": _RESET_CURVE, "forget_curve": _FORGET_CURVE},
    )


def _birth_gain(law: Law, reset_gain: float) -> float:
    """The least gain of the candidate at which there is a fixed point beside zero, by bisection."""
    low, high = _CANDIDATE_RANGE
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        ensemble = law(candidate_gain=middle, reset_gain=reset_gain, update_gain=0.0)
        if len(cell_fixed_points(ensemble)) > 1:
            high = middle
        else:
            low = middle
    return high
