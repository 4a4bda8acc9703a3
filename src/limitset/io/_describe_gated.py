"""Gated units, alone and coupled, and the maps that they run as."""

import numpy as np
from jaxtyping import Array

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.dynamics import SCHEMES, AbstractScheme, GatedMap
from limitset.io._entries import (
    Config,
    Tensors,
    activation_name,
    check_keys,
    check_tensors,
    check_word,
    finite,
    shaped,
)
from limitset.networks import ACTIVATIONS, GatedAssembly, GatedRate

_VECTORS = ("self_weight", "bias", "gate_bias", "slowest", "fastest")
_UNITS = (*_VECTORS, "input_weight", "gate_weight")
# Whether units are coupled -> the schemes that make a map of them.
_MAPS = {False: ("explicit_euler",), True: ("semi_implicit", "cayley", "rotation")}


def describe_gated(system: GatedRate | GatedAssembly | GatedMap) -> tuple[Config, Tensors]:
    """The units, and what couples and steps them."""
    units = system if isinstance(system, GatedRate) else system.units
    tensors = {name: np.asarray(getattr(units, name)) for name in _UNITS}
    config: Config = {"kind": "gated", "activation": activation_name(units.activation)}
    if isinstance(system, GatedMap):
        tensors["step"] = np.asarray(system.step)
        if system.propagator is not None:
            tensors["propagator"] = np.asarray(system.propagator)
        scheme = {"scheme": system.scheme.name, "step": float(system.scheme.step)}
        return {**config, "coupled": "propagator" in tensors, "discretisation": scheme}, tensors
    if isinstance(system, GatedAssembly):
        tensors["coupling"] = np.asarray(system.coupling)
    return {**config, "coupled": "coupling" in tensors, "discretisation": None}, tensors


def rebuild_gated(config: Config, tensors: dict[str, Array]) -> AbstractFlow | AbstractMap:
    """The system that a description determines."""
    check_keys(config, {"kind", "activation", "coupled", "discretisation"}, set())
    check_word(config, "activation", list(ACTIVATIONS))
    coupled = config["coupled"]
    if not isinstance(coupled, bool):
        raise InputProblem(f"coupled is {coupled!r}; give true or false")
    scheme = _scheme(config["discretisation"], coupled)
    matrix = "coupling" if scheme is None else "propagator"
    extra = {matrix} if coupled else set()
    check_tensors(tensors, {*_UNITS, *extra, *(() if scheme is None else ("step",))}, set())
    size = tensors["self_weight"].size
    inputs = tensors["input_weight"].shape[-1] if tensors["input_weight"].ndim else 0
    parts = {name: shaped(tensors, name, (size,)) for name in _VECTORS}
    parts |= {n: shaped(tensors, n, (size, inputs)) for n in ("input_weight", "gate_weight")}
    units = GatedRate(**parts, activation=config["activation"])
    joined = shaped(tensors, matrix, (size, size)) if coupled else None
    if scheme is not None:
        return GatedMap(units, shaped(tensors, "step", ()), joined, scheme)
    return units if joined is None else GatedAssembly(units, joined)


def _scheme(given: object, coupled: bool) -> AbstractScheme | None:
    if given is None:
        return None
    if not isinstance(given, dict) or set(given) != {"scheme", "step"}:
        raise InputProblem("discretisation needs exactly the keys 'scheme' and 'step'")
    check_word(given, "scheme", list(_MAPS[coupled]))
    step = finite(given["step"])
    if step is None or not step > 0:
        raise InputProblem(f"step is {given['step']!r}; give a positive number in units of time")
    return SCHEMES[given["scheme"]](step)
