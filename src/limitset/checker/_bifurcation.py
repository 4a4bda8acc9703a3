"""The statements `fold`, `pitchfork`, `flip` and `neimark_sacker`: one point of a family."""

from collections.abc import Callable
from typing import Any, NamedTuple

from limitset.checker._document import require, take
from limitset.checker._equilibrium import read_vector
from limitset.checker._family import Family, read_family
from limitset.checker._field import Vector
from limitset.checker._hopf import compare
from limitset.checker._network import Network
from limitset.checker._real_critical import Point, find_flip, find_fold, find_pitchfork
from limitset.checker._rotation import find_neimark_sacker


class _Kind(NamedTuple):
    """A search for such points, the keys of their claims, and words for readers.

    A candidate has so many numbers and vectors of n entries. A pitchfork is at the origin, so its
    claim has no box for the state. `word` is the key of the side on which is `born` what the
    point gives birth to.
    """

    find: Callable[[Family, Vector, Vector], Point]
    intervals: tuple[str, ...]
    word: str
    numbers: int
    vectors: int
    has_state: bool
    name: str
    born: str
    stable: str = "stable"
    unstable: str = "not stable"


_REAL = ("parameter", "speed", "coefficient")
_TWO = ("fold", "the two equilibria", "one of them stable", "none of them stable")
KINDS = {
    "fold": _Kind(find_fold, _REAL, "equilibria", 1, 2, True, *_TWO),
    "pitchfork": _Kind(
        find_pitchfork, _REAL, "pair", 1, 1, False, "pitchfork at 0", "the pair of equilibria"
    ),
    "flip": _Kind(find_flip, _REAL, "cycles", 1, 2, True, "flip", "cycles of period two"),
    "neimark_sacker": _Kind(
        find_neimark_sacker,
        ("parameter", "angle", "speed", "coefficient"),
        "curves",
        2,
        3,
        True,
        "Neimark-Sacker point",
        "closed invariant curves",
    ),
}


def prove_bifurcation(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    kind, claim = read_claim(document)
    require(document["theorem"] == document["statement"], "the theorem is unknown")
    family = read_family(document, network)
    candidate, phi = take(document["witness"], "candidate phi")
    start = read_vector(candidate, kind.numbers + kind.vectors * family.size)
    point = kind.find(family, start, read_vector(phi, family.size))
    for name in kind.intervals:
        compare(claim[name], point.numbers[name], name)
    if kind.has_state:
        _compare_state(claim, point.state, family)
    counted = type(claim["unstable"]) is int and claim["unstable"] == point.unstable
    require(counted, "the number of unstable eigenvalues is not established")
    side = "above" if point.above else "below"
    require(claim[kind.word] == side, f"the side of the {kind.word} is another")
    require(claim["stable"] is point.stable, f"the stability of the {kind.word} is another")


def read_claim(document: dict[str, Any]) -> tuple[_Kind, dict[str, Any]]:
    """What the statement needs, and the claim, which has exactly that."""
    kind = KINDS[document["statement"]]
    box = "center radius" if kind.has_state else ""
    keys = f"{' '.join(kind.intervals)} {box} unstable {kind.word} stable weight_radius"
    take(document["claim"], keys)
    return kind, document["claim"]


def _compare_state(claim: dict[str, Any], state: Vector, family: Family) -> None:
    center, radius = (read_vector(claim[name], family.size) for name in ("center", "radius"))
    inside = all(abs(x - c) <= r for x, c, r in zip(state, center, radius, strict=True))
    require(inside, "the claimed box of the state does not hold it")
