"""Acceptance: edited certificates of all equilibria are still true, or refused."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset.io import rebuild
from limitset.io._all_equilibria_certificate import all_equilibria_fields
from limitset.io._certificate import sealed as sealed_by_writer
from limitset.networks import RateNetwork
from limitset.proofs import AllEquilibria, prove_all_equilibria

from .forgery import Document, accepts, forgeries, resized, sealed, spelled, tensor


def _documents() -> dict[str, Document]:
    """In the whole space, in a box with an input, in the range of the weights, of a ball."""
    rng = np.random.default_rng(3)
    weight, bias = 2 * rng.standard_normal((3, 3)) / np.sqrt(3), 0.1 * rng.standard_normal(3)
    free = RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), leak=0.9)
    fork = jnp.array([[2.0, 0.25], [0.5, 1.5]])
    driven = RateNetwork(fork, jnp.array([[0.125], [0.5]]), form="firing_rate", leak=0.5)
    box, u = (np.array([0.0, -3.0]), np.array([3.0, 3.0])), np.array([0.25])
    left, right = rng.standard_normal((4, 1)), rng.standard_normal((1, 4))
    thin = RateNetwork(jnp.asarray(8 * left @ right), activation="sigmoid", time_constant=2.0)
    records = {
        "free": (free, (), {}),
        "driven": (driven, (box, u), {}),
        "thin": (thin, (), {}),
        "ball": (RateNetwork(fork, leak=0.75), (), {"weight_radius": 1e-6}),
    }
    documents = {}
    for name, (network, arguments, options) in records.items():
        record = prove_all_equilibria(network, *arguments, **options)
        fields = all_equilibria_fields(record, network, *arguments)
        documents[name] = sealed_by_writer(fields, None)
    return documents


documents = cache(_documents)
KINDS = ["free", "driven", "thin", "ball"]


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Thousands of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


_FOUND: dict[str, AllEquilibria] = {}


def _found(document: Document) -> AllEquilibria:
    """What the prover finds for the network in the file; it shares nothing with the checker."""
    claim = document["claim"]
    about = {key: claim[key] for key in ("region", "input", "weight_radius")}
    key = repr((document["network"], about))
    if key not in _FOUND:
        tensors = {name: tensor(e) for name, e in document["network"]["tensors"].items()}
        network, region = rebuild(document["network"]["config"], tensors), claim["region"]
        assert isinstance(network, RateNetwork)
        box = region and (tensor(region["low"]), tensor(region["high"]))
        spread = float.fromhex(claim["weight_radius"])
        _FOUND[key] = prove_all_equilibria(
            network, box, tensor(claim["input"]), weight_radius=spread, max_boxes=20_000
        )
    return _FOUND[key]


def is_true(document: Document) -> bool:
    """Whether the prover finds exactly the equilibria of the list."""
    found, listed = _found(document), document["claim"]["equilibria"]
    return found.complete and len(found.equilibria) == len(listed) and all(map(_agrees, [
        (one, [e for e in found.equilibria if _is_in(e, one)]) for one in listed
    ]))  # fmt: skip


def _is_in(found: Any, one: Document) -> bool:
    away = np.abs(found.center - tensor(one["center"]))
    return bool((away <= tensor(one["radius"]) + found.radius).all())


def _agrees(pair: tuple[Document, list[Any]]) -> bool:
    one, near = pair
    return (
        len(near) == 1
        and one["stability"] in ("undecided", near[0].stability.value)
        and one["index"] in (None, near[0].index)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_honest_certificates_are_true(kind: str, tmp_path: Path):
    document = documents()[kind]
    assert accepts(tmp_path / "honest.json", sealed(document))
    assert is_true(document) and len(document["claim"]["equilibria"]) > 0
    assert (document["witness"] is None) == (kind != "thin")


@pytest.mark.parametrize("kind", KINDS)
def test_T25_no_field_can_be_dropped_or_added(kind: str, tmp_path: Path):
    original, path = documents()[kind], tmp_path / "field.json"
    for place, document in resized(original):
        assert not accepts(path, sealed(document)), place


# Places where another value may be accepted: the claim is still true, or says nothing.
OPEN = {"claim", "witness", "prover", "network"}


@pytest.mark.parametrize(
    "kind", ["thin", *(pytest.param(k, marks=pytest.mark.slow) for k in KINDS if k != "thin")]
)
def test_T25_a_forged_field_claims_nothing_false(kind: str, tmp_path: Path):
    """As it is, the digest refuses; with a new digest, the mathematics does, or the claim holds."""
    original, path = documents()[kind], tmp_path / "forged.json"
    tried, accepted = 0, set()
    for place, document in forgeries(original, np.random.default_rng(2)):
        tried += 1
        assert not accepts(path, spelled(document)), place
        if accepts(path, sealed(document)):
            accepted.add(place[0])
            assert place[0] in OPEN, place
            said = {key: document.get(key) for key in ("claim", "network")}
            same = said == {key: original.get(key) for key in said}
            assert same or is_true(document), place
    assert tried > 300
    assert "prover" in accepted
