"""Networks that gate themselves, and the map that they run as."""

import math

import numpy as np
from jaxtyping import Array

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.dynamics import ExponentialEuler, GatedNetworkMap
from limitset.io._entries import (
    Config,
    Tensors,
    check_keys,
    check_tensors,
    check_word,
    finite,
    shaped,
    stored_number,
)
from limitset.networks import NONLINEARITIES, GatedNetwork, GatedParameters, Nonlinearity

_WEIGHTS = ("state_weight", "update_weight", "output_weight")
_INPUTS = ("state_input", "update_input", "output_input")
_CONSTANTS = ("step", "update_keep", "output_keep")
_NUMBERS = (
    "gain",
    "update_gain",
    "output_gain",
    "state_bias",
    "update_bias",
    "output_bias",
    "update_time",
    "output_time",
)
_SWITCHES = ("open_update", "open_output")


def describe_gated_network(system: GatedNetwork | GatedNetworkMap) -> tuple[Config, Tensors]:
    """A gated network, or the map made of it."""
    network = system if isinstance(system, GatedNetwork) else system.network
    own = network.parameters
    config: Config = {"kind": "gated_network", "nonlinearity": _name(own.nonlinearity)}
    config |= {name: float(getattr(own, name)) for name in _NUMBERS}
    config |= {name: getattr(own, name) for name in _SWITCHES}
    tensors = {
        name: np.asarray(getattr(network, name)) for name in (*_WEIGHTS, *_INPUTS, "input_weight")
    }
    if isinstance(system, GatedNetwork):
        return {**config, "discretisation": None}, tensors
    tensors |= {name: np.asarray(getattr(system, name)) for name in _CONSTANTS}
    scheme = {"scheme": system.scheme.name, "step": float(system.scheme.step)}
    return {**config, "discretisation": scheme}, tensors


def rebuild_gated_network(config: Config, tensors: dict[str, Array]) -> AbstractFlow | AbstractMap:
    """The system that a description determines."""
    check_keys(config, {"kind", "nonlinearity", *_NUMBERS, *_SWITCHES}, {"discretisation"})
    scheme = _scheme(config.get("discretisation"))
    extra = () if scheme is None else _CONSTANTS
    check_tensors(tensors, {*_WEIGHTS, *extra}, {*_INPUTS, "input_weight"})
    state, update, output = (tensors[name] for name in _WEIGHTS)
    inputs = {name: tensors[name] for name in (*_INPUTS, "input_weight") if name in tensors}
    network = GatedNetwork(state, update, output, _parameters(config, state.dtype), **inputs)
    if scheme is None:
        return network
    step, update_keep, output_keep = (shaped(tensors, name, ()) for name in _CONSTANTS)
    if not 0 < float(step) < math.inf:
        raise InputProblem(f"the tensor step is {float(step)}; give a positive number")
    for name, keep in (("update_keep", update_keep), ("output_keep", output_keep)):
        if not 0 <= float(keep) < 1:
            raise InputProblem(
                f"{name} is {float(keep)}; a share that decays lies between 0 and 1, 1 excluded"
            )
    return GatedNetworkMap(network, step, update_keep, output_keep, scheme)


def _parameters(config: Config, dtype: np.dtype) -> GatedParameters:
    check_word(config, "nonlinearity", list(NONLINEARITIES))
    for name in _SWITCHES:
        if not isinstance(config[name], bool):
            raise InputProblem(f"{name} is {config[name]!r}; give true or false")
    numbers = {name: stored_number(config, name, dtype) for name in _NUMBERS}
    return GatedParameters(
        **numbers,
        open_update=config["open_update"],
        open_output=config["open_output"],
        nonlinearity=NONLINEARITIES[config["nonlinearity"]],
    )


def _name(nonlinearity: Nonlinearity) -> str:
    # A name alone would let other functions be stored under it.
    if NONLINEARITIES.get(nonlinearity.name) != nonlinearity:
        raise InputProblem(
            f"nonlinearity {nonlinearity.name!r} has no name in the model format, or its name "
            f"stands for other functions there; use one of {', '.join(NONLINEARITIES)}"
        )
    return nonlinearity.name


def _scheme(given: object) -> ExponentialEuler | None:
    if given is None:
        return None
    if not isinstance(given, dict) or set(given) != {"scheme", "step"}:
        raise InputProblem("discretisation needs exactly the keys 'scheme' and 'step'")
    check_word(given, "scheme", ["exponential_euler"])
    step = finite(given["step"])
    if step is None or not step > 0:
        raise InputProblem(f"step is {given['step']!r}; give a positive number in units of time")
    return ExponentialEuler(step)
