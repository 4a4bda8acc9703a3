"""Which module reads a kind of network, and which proves a theorem of contraction."""

from collections.abc import Callable
from typing import Any

from limitset.checker._blocks import BLOCK_KINDS, read_block, read_deep
from limitset.checker._composition import prove_composition, prove_small_gain, read_composite
from limitset.checker._contraction import prove_contraction
from limitset.checker._document import require, take
from limitset.checker._gated import prove_input_gates, read_gated
from limitset.checker._metzler import prove_metzler
from limitset.checker._network import Network, read_network
from limitset.checker._particle import read_particle
from limitset.checker._ren import prove_ren, read_ren
from limitset.checker._schemes import prove_backward_euler, prove_euler_step, read_implicit
from limitset.checker._sector import prove_sector
from limitset.checker._stack import (
    prove_cascade,
    prove_diagonal_linear,
    read_recurrence,
    read_stack,
)

_READERS: dict[str, Callable[[Any], Network]] = {
    "rate": read_network,
    "assembly": read_network,
    "elman": read_network,
    "gated": read_gated,
    "ren": read_ren,
    "particle": read_particle,
    **dict.fromkeys(BLOCK_KINDS, read_block),
    "deep": read_deep,
    "diagonal_recurrence": read_recurrence,
    "stack": lambda value: read_stack(value, read_system),
    "composite": lambda value: read_composite(value, read_system),
}
_THEOREMS: dict[str, Callable[[dict[str, Any], Network], None]] = {
    "absolute_value": prove_contraction,
    "singular_value": prove_contraction,
    "skew_feedback": prove_contraction,
    "vertices": prove_contraction,
    "sector": prove_sector,
    "input_gates": prove_input_gates,
    "ren": prove_ren,
    "diagonal_linear": prove_diagonal_linear,
    "metzler": prove_metzler,
}
# Theorems about networks that are not made of layers; all others are about those.
_FAMILIES = {"input_gates": "gated", "ren": "ren", "diagonal_linear": "diagonal"}

# These prove a part first, by a theorem of any kind.
_NESTED: dict[str, Callable[[dict[str, Any], Network, Callable[..., None]], None]] = {
    "backward_euler": prove_backward_euler,
    "euler_step": prove_euler_step,
    "cascade": prove_cascade,
    "composition": prove_composition,
    "small_gain": prove_small_gain,
}


def read_system(value: Any) -> Network:
    """The network of a certificate, if its tensors are those that its configuration calls for."""
    config = take(value, "config tensors")[0]
    kind = str(config.get("kind")) if isinstance(config, dict) else ""
    require(kind in _READERS, "the network's kind is unknown")
    rule = config.get("discretisation")
    if isinstance(rule, dict) and rule.get("scheme") == "backward_euler":
        return read_implicit(value, _READERS[kind])
    return _READERS[kind](value)


def prove_theorem(document: dict[str, Any], network: Network) -> None:
    """Prove a claim of contraction by the theorem that it names, or raise `NotProved`."""
    theorem = document["theorem"]
    if isinstance(theorem, str) and theorem in _NESTED:
        return _NESTED[theorem](document, network, prove_theorem)
    require(isinstance(theorem, str) and theorem in _THEOREMS, "the theorem is unknown")
    require(network.rule != "implicit", "only backward_euler is about implicit maps")
    fits = network.family == _FAMILIES.get(theorem, "layers")
    require(fits, "the theorem is about networks of another kind")
    return _THEOREMS[theorem](document, network)
