"""Recurrent equilibrium networks, with the names of their matrices in formulas."""

import numpy as np
from jaxtyping import Array

from limitset._system import AbstractMap
from limitset.io._entries import (
    Config,
    Tensors,
    activation_name,
    check_keys,
    check_tensors,
    check_word,
)
from limitset.networks import ACTIVATIONS, REN

_TENSORS = ("A", "B1", "B2", "bx", "C1", "D11", "D12", "bv")


def describe_ren(system: REN) -> tuple[Config, Tensors]:
    """Activation and eight tensors."""
    config: Config = {"kind": "ren", "activation": activation_name(system.activation)}
    return config, {name: np.asarray(getattr(system, name)) for name in _TENSORS}


def rebuild_ren(config: Config, tensors: dict[str, Array]) -> AbstractMap:
    """The network that a description determines."""
    check_keys(config, {"kind", "activation"}, set())
    check_word(config, "activation", list(ACTIVATIONS))
    check_tensors(tensors, set(_TENSORS), set())
    return REN(*(tensors[name] for name in _TENSORS), activation=config["activation"])
