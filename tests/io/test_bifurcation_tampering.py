"""Acceptance: edited certificates of bifurcations are still true, or refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset.dynamics import BiasFamily, MapFamily, RateMap, gain_map_family, shift_map_family
from limitset.io import rebuild
from limitset.networks import Elman, RateFamily, RateNetwork, gain_family, shift_family
from limitset.proofs import (
    Ball,
    Refusal,
    prove_flip,
    prove_fold,
    prove_neimark_sacker,
    prove_symmetric_pitchfork,
)

from .bifurcations import CASES
from .forgery import (
    Document,
    accepts,
    changed,
    entry,
    forgeries,
    refused,
    resized,
    sealed,
    spelled,
    tensor,
)

BORN = {
    "fold": ("equilibria", "equilibria_above", "one_is_stable"),
    "pitchfork": ("pair", "pair_above", "pair_is_stable"),
    "flip": ("cycles", "cycles_above", "cycles_are_stable"),
    "neimark_sacker": ("curves", "curves_above", "curves_are_stable"),
}
FAST = ["fold", "robust_fold", "pitchfork"]
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in CASES if name not in FAST]


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Thousands of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _family(document: Document) -> Any:
    tensors = {name: tensor(e) for name, e in document["network"]["tensors"].items()}
    system, family = rebuild(document["network"]["config"], tensors), document["family"]
    assert isinstance(system, RateNetwork | RateMap | Elman)
    if family["kind"] == "bias":
        return BiasFamily(system, jnp.asarray(tensor(family["direction"])))
    if isinstance(system, RateNetwork):
        kinds = {"gain": gain_family, "shift": shift_family}
        known = kinds.get(family["kind"])
        return known(system) if known else RateFamily(system, _direction(family))
    kinds = {"gain": gain_map_family, "shift": shift_map_family}
    known = kinds.get(family["kind"])
    return known(system) if known else MapFamily(system, _direction(family))


def _direction(family: Document) -> jnp.ndarray:
    return jnp.asarray(tensor(family["direction"]))


def _proved(document: Document, original: Document) -> Any:
    """What the prover finds for the network in the file; it shares nothing with the checker."""
    parts = [document[key] for key in ("statement", "network", "family")]
    key = repr([*parts, document["claim"]["weight_radius"], original["witness"]])
    if key not in _PROVED:
        _PROVED[key] = _prove(document, original)
    return _PROVED[key]


_PROVED: dict[str, Any] = {}


def _prove(document: Document, original: Document) -> Any:
    family, start = _family(document), tensor(original["witness"]["candidate"])
    statement, n = document["statement"], family.state_size
    spread = float.fromhex(document["claim"]["weight_radius"])
    if statement == "pitchfork":
        return prove_symmetric_pitchfork(family, start[0], start[1:], weight_radius=spread)
    if statement == "neimark_sacker":
        x, v = start[2 : n + 2], start[n + 2 : 2 * n + 2] + 1j * start[2 * n + 2 :]
        return prove_neimark_sacker(family, start[0], start[1], x, v, weight_radius=spread)
    a, x, v = start[0], start[1 : n + 1], start[n + 1 :]
    if statement == "flip":
        return prove_flip(family, a, x, v, weight_radius=spread)
    is_map = document["network"]["config"].get("discretisation", True) is not None
    return prove_fold(family, a, x, v, discrete=is_map, weight_radius=spread)


def _meets(interval: list[str], ball: Ball) -> bool:
    low, high = map(float.fromhex, interval)
    return bool(low <= ball.upper() and ball.lower() <= high)


def is_true(document: Document, original: Document) -> bool:
    """Whether the claim agrees with what the prover finds."""
    record, claim = _proved(document, original), document["claim"]
    if isinstance(record, Refusal):
        return False
    word, above, stable = BORN[document["statement"]]
    names = [name for name in ("parameter", "angle", "speed", "coefficient") if name in claim]
    held = True
    if "center" in claim:
        away = np.abs(record.state.mid - tensor(claim["center"]))
        held = bool((away <= tensor(claim["radius"]) + record.state.rad).all())
    return (
        held
        and all(_meets(claim[name], getattr(record, name)) for name in names)
        and claim["unstable"] == record.unstable
        and claim[word] == ("above" if getattr(record, above) else "below")
        and claim["stable"] is getattr(record, stable)
    )


@pytest.mark.parametrize("name", CASES)
def test_honest_certificates_are_true(name: str, tmp_path: Path):
    document = CASES[name]().document
    assert accepts(tmp_path / "honest.json", sealed(document))
    assert is_true(document, document)


@pytest.mark.parametrize("name", ["fold", "pitchfork", "flip", "turning", "fold_of_cells"])
def test_T25_no_field_can_be_dropped_or_added(name: str, tmp_path: Path):
    original, path = CASES[name]().document, tmp_path / "field.json"
    for place, document in resized(original):
        assert not accepts(path, sealed(document)), place


# Places where another value may be accepted: the claim is still true, or says nothing.
OPEN = {"claim", "witness", "prover", "network", "family"}


@pytest.mark.parametrize("name", [*FAST, *SLOW])
def test_T25_a_forged_field_claims_nothing_false(name: str, tmp_path: Path):
    """As it is, the digest refuses; with a new digest, the mathematics does, or the claim holds."""
    original, path = CASES[name]().document, tmp_path / "forged.json"
    tried, accepted = 0, set()
    for place, document in forgeries(original, np.random.default_rng(2)):
        tried += 1
        assert not accepts(path, spelled(document)), place
        if accepts(path, sealed(document)):
            accepted.add(place[0])
            assert place[0] in OPEN, place
            said = {key: document.get(key) for key in ("claim", "network", "family")}
            if said == {key: original.get(key) for key in said}:
                continue
            assert is_true(document, original), place
    assert tried > 200
    assert "prover" in accepted


@pytest.mark.parametrize("name", CASES)
def test_wrong_counts_sides_and_signs_arerefused(name: str, tmp_path: Path):
    original = CASES[name]().document
    claim, word = original["claim"], BORN[original["statement"]][0]
    for unstable in (claim["unstable"] + 1, claim["unstable"] + 2, claim["unstable"] - 1):
        refused(changed(original, ("claim", "unstable"), unstable), tmp_path, "unstable")
    side = {"above": "below", "below": "above"}[claim[word]]
    refused(changed(original, ("claim", word), side), tmp_path, "side")
    refused(changed(original, ("claim", "stable"), not claim["stable"]), tmp_path, "stability")
    for number in ("parameter", "angle", "speed", "coefficient"):
        if number in claim:
            low, high = map(float.fromhex, claim[number])
            mirrored = [(-high).hex(), (-low).hex()]
            refused(changed(original, ("claim", number), mirrored), tmp_path, number)
            beside = [(high + 1e-9).hex(), (high + 2e-9).hex()]
            refused(changed(original, ("claim", number), beside), tmp_path, number)
            vague = [(low - 9.0).hex(), (high + 9.0).hex()]
            wide = changed(original, ("claim", number), vague)
            assert accepts(tmp_path / "vague.json", sealed(wide))
            # A vague interval has both signs; what follows is still that of the true one.
            refused(changed(wide, ("claim", word), side), tmp_path, "side")
    if "center" in claim:
        moved = entry(tensor(claim["center"]) + 1e-3)
        refused(changed(original, ("claim", "center"), moved), tmp_path, "box of the state")


def test_one_statement_is_not_another(tmp_path: Path):
    """Names, families and directions of one certificate in another."""
    documents = {name: CASES[name]().document for name in CASES}
    for name, original in documents.items():
        for statement in (*BORN, "hopf", "equilibrium", "all_hopf", "all_equilibria", "zzz"):
            if statement != original["statement"]:
                lie = {**original, "statement": statement, "theorem": statement}
                assert not accepts(tmp_path / "other.json", sealed(lie)), (name, statement)
        for kind in ("gain", "shift", "direction", "bias", "zzz"):
            if kind != original["family"]["kind"]:
                for direction in (None, original["family"]["direction"]):
                    lie = changed(original, ("family",), {"kind": kind, "direction": direction})
                    assert not accepts(tmp_path / "other.json", sealed(lie)), (name, kind)


def test_candidates_prove_nothing(tmp_path: Path):
    """Any start beside the point leads to it; none elsewhere makes it true."""
    original = CASES["turning"]().document
    candidate = tensor(original["witness"]["candidate"])
    near = changed(original, ("witness", "candidate"), entry(candidate + 1e-4))
    assert accepts(tmp_path / "near.json", sealed(near))
    for wrong in (np.zeros_like(candidate), candidate + 3.0, 1e300 + candidate, -candidate):
        lie = changed(original, ("witness", "candidate"), entry(wrong))
        assert not accepts(tmp_path / "lie.json", sealed(lie))
    phi = tensor(original["witness"]["phi"])
    lie = changed(original, ("witness", "phi"), entry(np.zeros_like(phi)))
    assert not accepts(tmp_path / "lie.json", sealed(lie))
    short = changed(original, ("witness", "phi"), entry(phi[:1]))
    refused(short, tmp_path, "does not fit")
