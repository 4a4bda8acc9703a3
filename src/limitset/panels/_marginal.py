"""Steep update gates: how slow the edge of the spectrum becomes, how many modes, and for whom."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Float

from limitset.dynamics import gated_jacobian
from limitset.meanfield import fixed_points, leading_edge, slow_mode_fraction
from limitset.networks import GatedNetwork, GatedParameters, random_gated_network
from limitset.panels._ensemble import after, draw_network, part_of
from limitset.panels._panel import Effort, Report
from limitset.sweeps import sweep

_GAIN = 3.0
_WIDTH = 0.05
_UPDATE_GAINS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_CURVE = np.geomspace(1.0, 100.0, 41)
# As good as a switch, and the gains on both sides of where switches lose a fixed point.
_STEEP = 1000.0
_GAINS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
_GAIN_CURVE = np.linspace(1.1, 5.0, 40)
_VERSION = "1"


def compute_marginal(
    effort: Effort, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Edge and slow modes of fixed points against the update gain, and what switches hold.

    The output gate is open throughout. The networks of the first two have inputs that put a fixed
    point at a random state with the law of the theory; those of the third run freely.

    **Arguments:** `effort`, whose `time` is how long the latter run; `store`; `report`.

    **Returns:** a Dataset with

    - over `seed` and `update_gain`, at gain 3: `edge`, the largest real part of the eigenvalues,
      and `slow`, the part of n eigenvalues below 0.05 in size [sampled].
    - over `curve`, an update gain: `theory_edge` and `theory_slow` [float64].
    - over `seed` and `gain`, at update gain 1000 and update time 2: `open_number`, `K f1` at the
      state reached, and `speed`, the root mean square of `dh/dt` there [sampled].
    - over `gain_curve`: `theory_number`, `K f1` of the fixed point [float64].
    """
    settings = {"units": effort.units}
    edges = sweep(
        _edge,
        {"seed": range(effort.seeds), "update_gain": _UPDATE_GAINS},
        store=part_of(store, "edges"),
        settings=settings,
        purpose=f"marginal edges {_VERSION}",
        report=report,
    )
    states = sweep(
        _switched,
        {"seed": range(effort.seeds), "gain": _GAINS},
        store=part_of(store, "states"),
        settings=settings | {"time": float(effort.time)},
        purpose=f"marginal states {_VERSION}",
        report=report,
    )
    found = xarray.merge([edges.drop_vars("complete"), states, _theory()])
    return found.assign_attrs(
        panel="marginal", units=effort.units, gain=_GAIN, width=_WIDTH, update_gain=_STEEP
    )


def _edge(seed: int, update_gain: float, units: int) -> Mapping[str, object]:
    parameters = GatedParameters(gain=_GAIN, update_gain=update_gain, open_output=True)
    network, state = network_with_fixed_point(parameters, units=units, seed=seed)
    eigenvalues = np.linalg.eigvals(np.asarray(gated_jacobian(network, state, jnp.zeros(0))))
    slow = np.sum(np.abs(eigenvalues) < _WIDTH) / units
    return {"edge": eigenvalues.real.max(), "slow": slow}


def network_with_fixed_point(
    parameters: GatedParameters, *, units: int, seed: int
) -> tuple[GatedNetwork, Float[Array, " n"]]:
    """A network whose constant inputs hold it at a state with the law of the theory's largest one.

    The state does not know of the couplings, as the theory has it.
    """
    drawn, *keys = jax.random.split(jax.random.key(seed), 4)
    point = fixed_points(parameters)[-1]
    h, z, r = (jax.random.normal(key, (units,)) for key in keys)
    h = point.state_variance**0.5 * h
    z, r = (point.gate_variance**0.5 * part for part in (z, r))
    bare = random_gated_network(drawn, units, parameters)
    said = parameters.phi(h)
    network = GatedNetwork(
        bare.state_weight,
        bare.update_weight,
        bare.output_weight,
        parameters,
        state_input=h - bare.state_weight @ (said * parameters.output_gate(r)),
        update_input=z - bare.update_weight @ said,
        output_input=r - bare.output_weight @ said,
    )
    return network, jnp.concatenate([h, z, r])


def _switched(seed: int, gain: float, units: int, time: float) -> Mapping[str, object]:
    parameters = GatedParameters(gain=gain, update_gain=_STEEP, update_time=2.0, open_output=True)
    network, start = draw_network(parameters, units=units, seed=seed)
    state = after(network, start, time)
    h, z, _ = jnp.split(state, 3)
    velocity = network.velocity(0.0, state, jnp.zeros(0))[:units]
    number = jnp.mean(parameters.phi_slope(h) ** 2 * parameters.update_gate(z) ** 2)
    return {
        "open_number": float(number),
        "speed": float(jnp.sqrt(jnp.mean(velocity**2))),
    }


def _theory() -> xarray.Dataset:
    edges, slow = [], []
    for update_gain in _CURVE:
        parameters = GatedParameters(gain=_GAIN, update_gain=update_gain, open_output=True)
        point = fixed_points(parameters)[-1]
        edges.append(leading_edge(point).rate)
        slow.append(slow_mode_fraction(point, _WIDTH))
    numbers = []
    for gain in _GAIN_CURVE:
        parameters = GatedParameters(gain=gain, update_gain=_STEEP, open_output=True)
        point = fixed_points(parameters)[-1]
        numbers.append(leading_edge(point).open_stability_number)
    return xarray.Dataset(
        {
            "theory_edge": ("curve", edges),
            "theory_slow": ("curve", slow),
            "theory_number": ("gain_curve", numbers),
        },
        coords={"curve": _CURVE, "gain_curve": _GAIN_CURVE},
    )
