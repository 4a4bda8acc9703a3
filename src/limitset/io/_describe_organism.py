"""Organisms: the weights of all particles, and how they are wired."""

import numpy as np
from jaxtyping import Array

from limitset._result import InputProblem
from limitset.io._entries import Config, Tensors, activation_name, check_keys, check_tensors
from limitset.io._particle_entries import SPEC_KEYS, describe_spec, rebuild_spec
from limitset.networks import ACTIVATIONS
from limitset.replication import Organism, drop, edge_count


def describe_organism(system: Organism) -> tuple[Config, Tensors]:
    """Sizes, activations, the particles' shape, which were dropped; one tensor."""
    config: Config = {
        "kind": "organism",
        "sizes": list(system.sizes),
        "activations": [activation_name(one) for one in system.activations],
        "particle": describe_spec(system.spec),
        "dropped": np.flatnonzero(~np.asarray(system.kept)).tolist(),
    }
    return config, {"particles": np.asarray(system.particles)}


def rebuild_organism(config: Config, tensors: dict[str, Array]) -> Organism:
    """The organism that a description determines."""
    check_keys(config, {"kind", "sizes", "activations", "particle"}, {"dropped"})
    check_tensors(tensors, {"particles"}, set())
    sizes, particle = tuple(_whole_numbers("sizes", config["sizes"])), config["particle"]
    if not isinstance(particle, dict) or set(particle) != set(SPEC_KEYS):
        raise InputProblem(f"particle needs exactly the keys {', '.join(SPEC_KEYS)}")
    names = config["activations"]
    if not isinstance(names, list) or not all(name in list(ACTIVATIONS) for name in names):
        raise InputProblem(
            f"activations is {names!r}; give a list, one for each layer, of "
            f"{', '.join(ACTIVATIONS)}"
        )
    activations = tuple(ACTIVATIONS[name] for name in names)
    organism = Organism(tensors["particles"], sizes, activations, rebuild_spec(particle))
    return _without(organism, _whole_numbers("dropped", config.get("dropped", [])))


def _without(organism: Organism, numbers: list[int]) -> Organism:
    count = edge_count(organism.sizes)
    if numbers and not (0 <= min(numbers) and max(numbers) < count):
        raise InputProblem(f"dropped names particles outside 0 to {count - 1}; leave them out")
    dropped = np.zeros(count, bool)
    dropped[numbers] = True
    return drop(organism, dropped)


def _whole_numbers(name: str, given: object) -> list[int]:
    # In JSON true is no number, but in Python it is one.
    if not isinstance(given, list) or not all(type(number) is int for number in given):
        raise InputProblem(f"{name} is {given!r}; give a list of whole numbers")
    return given
