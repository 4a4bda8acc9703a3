"""Which module reads a kind of network, and which proves a theorem of contraction."""

from collections.abc import Callable
from typing import Any

from limitset.checker._contraction import prove_contraction
from limitset.checker._document import require, take
from limitset.checker._network import Network, read_network
from limitset.checker._sector import prove_sector

_READERS: dict[str, Callable[[Any], Network]] = {
    "rate": read_network,
    "assembly": read_network,
    "elman": read_network,
}
_THEOREMS: dict[str, Callable[[dict[str, Any], Network], None]] = {
    "absolute_value": prove_contraction,
    "singular_value": prove_contraction,
    "skew_feedback": prove_contraction,
    "vertices": prove_contraction,
    "sector": prove_sector,
}


def read_system(value: Any) -> Network:
    """The network of a certificate, if its tensors are those that its configuration calls for."""
    config = take(value, "config tensors")[0]
    kind = str(config.get("kind")) if isinstance(config, dict) else ""
    require(kind in _READERS, "the network's kind is unknown")
    return _READERS[kind](value)


def prove_theorem(document: dict[str, Any], network: Network) -> None:
    """Prove a claim of contraction by the theorem that it names, or raise `NotProved`."""
    theorem = document["theorem"]
    require(isinstance(theorem, str) and theorem in _THEOREMS, "the theorem is unknown")
    _THEOREMS[theorem](document, network)
