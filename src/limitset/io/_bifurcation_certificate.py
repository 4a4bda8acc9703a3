"""The fields of certificates of folds, pitchforks, flips and Neimark-Sacker points."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.dynamics import AbstractFlow, AbstractMap, BiasFamily, MapFamily, RateMap
from limitset.io._certificate import network_entry, tensor
from limitset.io._proof_entries import exact, interval, roomier, split_bias, split_family
from limitset.networks import Elman, RateFamily, RateNetwork
from limitset.proofs import Flip, Fold, NeimarkSacker, Pitchfork

Bifurcation = Fold | Pitchfork | Flip | NeimarkSacker
Family = RateFamily | MapFamily | BiasFamily
State = Float[np.ndarray, " n"]
Entry = dict[str, Any]

_STATEMENTS = {
    Fold: "fold",
    Pitchfork: "pitchfork",
    Flip: "flip",
    NeimarkSacker: "neimark_sacker",
}


def bifurcation_fields(record: Bifurcation, family: Family) -> Entry:
    """Statement, network, family, claim, and a candidate of the equations in floats.

    **Arguments:** `family`, the one that the record was proved for: a `RateFamily`, a `MapFamily`,
    or a `BiasFamily` of either.

    **Raises:** `InputProblem` where the record cannot be about it.
    """
    _check_fit(record, family)
    system, kind = _split(family)
    statement = _STATEMENTS[type(record)]
    return {
        "statement": statement,
        "theorem": statement,
        "network": network_entry(system),
        "family": kind,
        "claim": _claim(record),
        "witness": _witness(record, family),
    }


def _check_fit(record: Bifurcation, family: Family) -> None:
    if isinstance(record, Pitchfork):
        fits, needed = isinstance(family, RateFamily), "a RateFamily"
    elif isinstance(record, Fold):
        fits, needed = isinstance(family, Family), "a RateFamily, a MapFamily or a BiasFamily"
    else:
        is_map = isinstance(family, BiasFamily) and not isinstance(family.system, RateNetwork)
        fits, needed = is_map or isinstance(family, MapFamily), "a MapFamily, or a BiasFamily of it"
    if not fits:
        raise InputProblem(
            f"a certificate of a {type(record).__name__} needs {needed}, not this "
            f"{type(family).__name__}; prove it for one of them"
        )


def _split(family: Family) -> tuple[AbstractFlow | AbstractMap, Entry]:
    """The system of a model, and the family that starts at it."""
    if isinstance(family, RateFamily):
        return split_family(family)
    if isinstance(family, BiasFamily):
        return split_bias(family)
    system, direction = family.map, np.asarray(family.direction)
    if np.array_equal(direction, np.eye(len(direction))):
        return system, {"kind": "shift", "direction": None}
    if not np.any(np.asarray(family.weight)):
        whole = eqx.tree_at(_recurrent_weight, system, family.direction)
        return whole, {"kind": "gain", "direction": None}
    return system, {"kind": "direction", "direction": tensor(direction)}


def _recurrent_weight(system: RateMap | Elman) -> Any:
    return system.weight_hh if isinstance(system, Elman) else system.network.weight


def _claim(record: Bifurcation) -> Entry:
    claim: Entry = {
        "parameter": interval(record.parameter),
        "speed": interval(roomier(record.speed, record.weight_radius)),
        "coefficient": interval(roomier(record.coefficient, record.weight_radius)),
        "unstable": record.unstable,
        "weight_radius": float(record.weight_radius).hex(),
    }
    if not isinstance(record, Pitchfork):
        claim |= {"center": exact(record.state.mid), "radius": exact(record.state.rad)}
    if isinstance(record, Fold):
        return {
            **claim,
            "equilibria": _side(record.equilibria_above),
            "stable": record.one_is_stable,
        }
    if isinstance(record, Pitchfork):
        return {**claim, "pair": _side(record.pair_above), "stable": record.pair_is_stable}
    if isinstance(record, Flip):
        return {**claim, "cycles": _side(record.cycles_above), "stable": record.cycles_are_stable}
    claim |= {"angle": interval(record.angle), "curves": _side(record.curves_above)}
    return {**claim, "stable": record.curves_are_stable}


def _side(above: bool) -> str:
    return "above" if above else "below"


def _witness(record: Bifurcation, family: Family) -> Entry:
    """A candidate in floats; the checker encloses a zero beside it."""
    a = float(record.parameter.mid)
    if isinstance(record, Pitchfork):
        phi = _null_vector(_jacobian(family, np.zeros(family.state_size), a))
        return {"candidate": exact(np.concatenate([[a], phi])), "phi": exact(phi)}
    x = record.state.mid
    J = _jacobian(family, x, a)
    if isinstance(record, NeimarkSacker):
        angle = float(record.angle.mid)
        v = _null_vector(J - np.exp(1j * angle) * np.eye(len(x)))
        part = max(np.real(v), np.imag(v), key=np.linalg.norm)
        phi = part / np.linalg.norm(part)
        v = v * (1j / (phi @ v))
        candidate = np.concatenate([[a, angle], x, np.real(v), np.imag(v)])
        return {"candidate": exact(candidate), "phi": exact(phi)}
    is_flow = isinstance(_split(family)[0], AbstractFlow)
    eigenvalue = -1.0 if isinstance(record, Flip) else 0.0 if is_flow else 1.0
    phi = _null_vector(J - eigenvalue * np.eye(len(x)))
    return {"candidate": exact(np.concatenate([[a], x, phi])), "phi": exact(phi)}


def _jacobian(family: Family, x: State, a: float) -> Float[np.ndarray, "n n"]:
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), family)
    return np.asarray(jax.jacfwd(lambda state: wide(state, a))(jnp.asarray(x)))


def _null_vector(matrix: np.ndarray) -> np.ndarray:
    """The unit vector that a matrix makes smallest."""
    return np.linalg.svd(matrix)[2][-1].conj()
