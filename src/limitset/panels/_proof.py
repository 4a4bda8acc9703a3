"""One finite network beside the theory of its ensemble: what is proved of it, and what sampled."""

from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Float

from limitset.analysis import find_hopf_points
from limitset.meanfield import critical_gain, phase_curves
from limitset.networks import GatedNetwork, GatedParameters
from limitset.panels._ensemble import draw_network, largest_exponent
from limitset.panels._panel import Effort, Report
from limitset.proofs import HopfPoint, decay_gain, prove_hopf
from limitset.sweeps import sweep

_ENSEMBLE = GatedParameters(output_gain=5.0, update_gain=2.0)
_GAINS = np.linspace(0.2, 4.0, 20)
_SEED = 1
_VERSION = "1"


class GainFamily(eqx.Module):
    """The velocity of a gated network as a function of its state and its gain."""

    network: GatedNetwork

    def __call__(self, x: Float[Array, " n"], gain: Float[Array, ""]) -> Float[Array, " n"]:
        """`velocity(0, x, none)` with that gain."""
        return self.at(gain).velocity(0.0, x, jnp.zeros(self.network.input_size))

    def at(self, gain: float | Float[Array, ""]) -> GatedNetwork:
        """The network with that gain."""
        return eqx.tree_at(lambda n: n.parameters.gain, self.network, jnp.asarray(gain))


def compute_proof(
    effort: Effort, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """The gain of one network of about 20 units: theory, exponents and theorems in one figure.

    **Returns:** a Dataset over `gain` with `exponent` and `standard_error` [sampled]; over `hopf`
    with `hopf_gain`, `hopf_frequency`, `hopf_coefficient`, their `hopf_radius`, and whether
    `cycles_are_stable`, one for each proved Hopf point of the zero state [verified]; attributes
    `undecided` (candidates without a proof), `decays_below` [verified], and `critical_gain` and
    `birth_gain` of the theory [float64].

    Below `decays_below` every trajectory of this network decays: see `proofs.decay_gain`.
    """
    network, start = draw_network(_ENSEMBLE, units=effort.units, seed=_SEED)
    family = GainFamily(network)

    def point(gain: float, units: int, time: float) -> dict[str, float]:
        del units
        found = largest_exponent(family.at(gain), start, time)
        return {
            "exponent": float(found.exponents[0]),
            "standard_error": float(found.standard_errors[0]),
        }

    settings = {"units": effort.units, "time": float(effort.time)}
    found = sweep(
        point, {"gain": _GAINS}, store=store, settings=settings, purpose=f"proof {_VERSION}",
        report=report,
    )  # fmt: skip
    points, undecided = _prove(family)
    return found.merge(_as_dataset(points)).assign_attrs(
        units=effort.units,
        undecided=undecided,
        decays_below=decay_gain(np.asarray(family.network.state_weight)),
        critical_gain=critical_gain(_ENSEMBLE),
        birth_gain=float(phase_curves(float(_ENSEMBLE.output_gain)).birth_gain),
    )


def _prove(family: GainFamily) -> tuple[list[HopfPoint], int]:
    """Proved Hopf points of the zero state within the gains, and how many stay undecided."""
    zero = np.zeros(family.network.state_size)
    candidates = find_hopf_points(family, [zero], (float(_GAINS[0]), float(_GAINS[-1])))
    answers = [prove_hopf(family, c.parameter, c.frequency, c.state, c.vector) for c in candidates]
    proved = [answer for answer in answers if isinstance(answer, HopfPoint)]
    return proved, len(answers) - len(proved)


def _as_dataset(points: list[HopfPoint]) -> xarray.Dataset:
    def column(name: str) -> tuple[str, list[float]]:
        return "hopf", [float(getattr(point, name).mid) for point in points]

    return xarray.Dataset(
        {
            "hopf_gain": column("parameter"),
            "hopf_frequency": column("frequency"),
            "hopf_coefficient": column("lyapunov_coefficient"),
            "hopf_radius": ("hopf", [float(point.parameter.rad) for point in points]),
            "cycles_are_stable": ("hopf", [bool(point.cycles_are_stable) for point in points]),
        }
    )
