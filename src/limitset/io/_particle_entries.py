"""The shape of a particle in configurations: of one alone, and of those of an organism."""

from typing import Any

from limitset._result import InputProblem
from limitset.io._entries import Config, activation_name, check_word
from limitset.networks import ACTIVATIONS
from limitset.replication import ParticleSpec, PositionCode

SPEC_KEYS = ("inputs", "widths", "position", "activation")


def describe_spec(spec: ParticleSpec) -> Config:
    """Sizes, position code and activation."""
    return {
        "inputs": spec.inputs,
        "widths": list(spec.widths),
        "position": spec.position.value,
        "activation": activation_name(spec.activation),
    }


def rebuild_spec(config: Config) -> ParticleSpec:
    """The shape that these four keys determine."""
    check_word(config, "position", [code.value for code in PositionCode])
    check_word(config, "activation", list(ACTIVATIONS))
    return ParticleSpec(
        _whole(config, "inputs", config["inputs"]),
        tuple(_whole(config, "widths", width) for width in _list(config["widths"])),
        PositionCode(config["position"]),
        ACTIVATIONS[config["activation"]],
    )


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InputProblem(f"widths is {value!r}; give a list of whole numbers, as [2, 2]")
    return value


def _whole(config: Config, key: str, value: Any) -> int:
    """A JSON whole number; true and false are none. Weights of 4096 units are the most."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 4096:
        raise InputProblem(f"{key} is {config[key]!r}; whole numbers of 1 to 4096 are needed")
    return value
