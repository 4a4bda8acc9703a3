"""Certificates of Hopf points and bifurcations that hold for a whole ball of weights."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flint import arb

from limitset.analysis import find_hopf_points
from limitset.checker import check
from limitset.checker._family import read_family
from limitset.checker._network import read_network
from limitset.dynamics import BiasFamily, gain_map_family
from limitset.io import proof_document
from limitset.networks import RateFamily, RateNetwork, gain_family, shift_family
from limitset.proofs import (
    Ball,
    HopfPoint,
    Refusal,
    prove_flip,
    prove_fold,
    prove_hopf,
    prove_neimark_sacker,
    prove_symmetric_pitchfork,
)
from proofs.judging import proved

from .bifurcations import CASES, firing, rotation, stepped
from .forgery import Document, accepts, changed, entry, sealed, tensor

Prove = Callable[..., Any]


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Dozens of points are proved here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _beside(block: Any, size: int) -> np.ndarray:
    """A block of weights beside a random network."""
    k, rng = len(block), np.random.default_rng(size)
    weight = 0.4 * rng.standard_normal((size, size)) / np.sqrt(size)
    weight[:k, k:], weight[k:, :k] = 0.01 * weight[:k, k:], 0.01 * weight[k:, :k]
    weight[:k, :k] = block
    return weight


def _points(size: int) -> dict[str, tuple[Prove, Any, tuple[Any, ...]]]:
    """A theorem, a family and a candidate of every kind, of so many units."""
    one, zero, x = np.eye(size)[0], np.zeros(size), float(np.sqrt(0.5))
    lifted = BiasFamily(firing(_beside([[2.0]], size)), jnp.asarray(one))
    fork = shift_family(firing(_beside([[1.0]], size)))
    flip = gain_map_family(stepped(firing(_beside([[-1.0]], size))))
    points: dict[str, tuple[Prove, Any, tuple[Any, ...]]] = {
        "fold": (prove_fold, lifted, (np.arctanh(x) - 2 * x, x * one, one)),
        "pitchfork": (prove_symmetric_pitchfork, fork, (0.0, one)),
        "flip": (prove_flip, flip, (1.0, zero, one)),
    }
    if size > 1:
        v = one - 1j * np.eye(size)[1]
        turn = gain_map_family(stepped(firing(_beside(rotation(1.0), size))))
        points["neimark_sacker"] = (prove_neimark_sacker, turn, (1.0, 1.0, zero, v))
        weight = _beside([[1.0, -2.0], [2.0, 1.0]], size)
        hopf = gain_family(RateNetwork(jnp.asarray(weight), leak=0.9, time_constant=0.5))
        points["hopf"] = (prove_hopf, hopf, (0.9, 3.6, zero, v))
    return points


KINDS = ["fold", "pitchfork", "flip", "neimark_sacker", "hopf"]
POINTS = [(name, 10, radius) for radius in (1e-9, 1e-6) for name in KINDS]
POINTS += [(name, 1, 1e-6) for name in KINDS[:3]]


def _document(record: Any, family: Any) -> Document:
    return proof_document(record, family)


def _accepts(document: Document, folder: Path) -> bool:
    return accepts(folder / "ball.json", sealed(document))


@pytest.mark.parametrize(("name", "size", "radius"), POINTS)
def test_every_kind_is_proved_again_for_a_ball(name: str, size: int, radius: float, tmp_path: Path):
    prove, family, start = _points(size)[name]
    record = proved(prove(family, *start, weight_radius=radius))
    assert record.weight_radius == radius
    document = _document(record, family)
    path = tmp_path / "ball.json"
    path.write_bytes(sealed(document))
    verdict = check(path)
    assert verdict.accepted, verdict.reason
    assert verdict.claim.count("for all weights within") == 1, verdict.claim
    assert ("and a bias of 0" in verdict.claim) == (name == "pitchfork")
    exact = _document(proved(prove(family, *start)), family)
    assert exact["claim"]["weight_radius"] == (0.0).hex()
    path.write_bytes(sealed(exact))
    assert "all weights" not in check(path).claim


@pytest.mark.parametrize("name", KINDS)
def test_balls_of_weights_that_are_too_large_are_refused_by_the_prover(name: str):
    prove, family, start = _points(2)[name]
    assert isinstance(prove(family, *start, weight_radius=0.3), Refusal)


@pytest.mark.parametrize("name", KINDS)
def test_T25_a_weight_radius_claims_nothing_false(name: str, tmp_path: Path):
    """Smaller ones are true; larger ones only as far as the claimed intervals still hold."""
    prove, family, start = _points(2)[name]
    document = _document(proved(prove(family, *start, weight_radius=1e-7)), family)
    place = ("claim", "weight_radius")
    for smaller in (0.0, 1e-300, 1e-9, 9.99e-8):
        assert _accepts(changed(document, place, smaller.hex()), tmp_path)
    for larger in (5e-7, 1e-5, 1e-3, 0.3, 1.0, 1e300):
        assert not _accepts(changed(document, place, larger.hex()), tmp_path), larger
    for wrong in ((-1e-7).hex(), "nan", "inf", "1e-7", 1e-7, 0, True, None, []):
        assert not _accepts(changed(document, place, wrong), tmp_path), wrong
    # Exact weights have tiny intervals, which no ball of weights fits.
    exact = _document(proved(prove(family, *start)), family)
    for larger in (1e-12, 1e-9, 1e-7):
        assert not _accepts(changed(exact, place, larger.hex()), tmp_path)
    # A claim with enough room is true for all radii up to some size, and no larger one.
    wide = document
    for key, value in document["claim"].items():
        if isinstance(value, list):
            low, high = map(float.fromhex, value)
            wide = changed(wide, ("claim", key), [(low - 9.0).hex(), (high + 9.0).hex()])
    if "radius" in document["claim"]:
        wide = changed(wide, ("claim", "radius"), entry(np.full(family.state_size, 9.0)))
    for radius, holds in ((1e-6, True), (1e-5, True), (0.3, False), (1.0, False)):
        assert _accepts(changed(wide, place, radius.hex()), tmp_path) == holds
        answer = prove(family, *start, weight_radius=radius)
        assert isinstance(answer, Refusal) != holds


def _nudged(family: Any, radius: float, rng: np.random.Generator, *, silent: bool) -> Any:
    """A member of the ball, most entries on its border; the factor keeps rounded sums inside."""

    def near(leaf: jax.Array) -> jax.Array:
        if leaf.ndim == 0 or (silent and leaf.ndim == 1):
            return leaf
        shares = np.clip(rng.uniform(-2, 2, leaf.shape), -1, 1)
        return leaf + jnp.asarray(shares * radius * (1 - 1e-6))

    return jax.tree.map(near, family)


@pytest.mark.parametrize("name", KINDS)
def test_members_of_the_ball_are_within_the_claim(name: str, tmp_path: Path):
    prove, family, start = _points(2)[name]
    radius, rng = 1e-5, np.random.default_rng(3)
    record = proved(prove(family, *start, weight_radius=radius))
    claim = _document(record, family)["claim"]
    for _ in range(3):
        silent = name == "pitchfork"
        member = proved(prove(_nudged(family, radius, rng, silent=silent), *start))
        for key, value in claim.items():
            if isinstance(value, list):
                low, high = map(float.fromhex, value)
                assert low <= getattr(member, key).mid <= high, key
        if "center" in claim:
            away = np.abs(member.state.mid - tensor(claim["center"]))
            assert (away <= tensor(claim["radius"])).all()
        assert member.unstable == record.unstable


def test_intervals_get_room_but_no_other_sign():
    record = proved(prove_fold(*_arguments("fold"), weight_radius=1e-3))
    _, family, _ = _points(1)["fold"]
    claim = _document(record, family)["claim"]
    for key, limit in (("speed", 1.5), ("coefficient", 1.5), ("parameter", 1.0)):
        low, high = map(float.fromhex, claim[key])
        assert abs((high - low) / (2 * getattr(record, key).rad) - limit) < 1e-9
    near_zero = dataclasses.replace(record, speed=Ball(np.array(1.0), np.array(0.75)))
    low, high = map(float.fromhex, _document(near_zero, family)["claim"]["speed"])
    assert 0.12 < low < 0.13 and 1.87 < high < 1.88


def _arguments(name: str) -> tuple[Any, ...]:
    _, family, start = _points(1)[name]
    return family, *start


@pytest.mark.parametrize(
    ("form", "activation", "kind"),
    [
        ("hopfield", "sigmoid", "gain"),
        ("firing_rate", "tanh", "bias"),
    ],
)
def test_hopf_points_of_biased_networks(form: str, activation: str, kind: str, tmp_path: Path):
    """With leak and time constant, in the gain and in a constant input."""
    rng = np.random.default_rng(32)
    network = RateNetwork(
        jnp.asarray(4 * rng.standard_normal((5, 5)) / np.sqrt(5)),
        bias=jnp.asarray(0.8 * rng.standard_normal(5)),
        form=form,
        activation=activation,
        leak=0.5,
        time_constant=2.0,
    )
    family: RateFamily | BiasFamily = gain_family(network)
    c = find_hopf_points(family, [np.zeros(5)], (0.0, 4.0), step=0.2)[0]
    parameter = c.parameter
    if kind == "bias":
        # The same point, crossed in another direction.
        start = RateNetwork(
            parameter * network.weight,
            bias=network.bias - 0.25,
            form=form,
            activation=activation,
            leak=0.5,
            time_constant=2.0,
        )
        family, parameter = BiasFamily(start, jnp.ones(5)), 0.25
    for radius in (0.0, 1e-9, 1e-7):
        point = prove_hopf(family, parameter, c.frequency, c.state, c.vector, weight_radius=radius)
        assert isinstance(point, HopfPoint), point
        path = tmp_path / "hopf.json"
        path.write_bytes(sealed(_document(point, family)))
        verdict = check(path)
        assert verdict.accepted, verdict.reason
        words = {"gain": "Hopf point of a W", "bias": "Hopf point of b + a d"}
        assert words[kind] in verdict.claim
        assert ("all weights" in verdict.claim) == (radius > 0)


def test_which_numbers_are_balls():
    """All arrays with an axis, as in the prover; an Elman cell has two biases."""
    plain = CASES["fold_in_gain"]().document
    own = {"kind": "direction", "direction": entry(np.ones((3, 3)))}
    lifted = {"kind": "bias", "direction": entry(np.ones(3))}
    silent = {**plain, "statement": "pitchfork"}
    _compare_widths(plain, {"weight": 1, "direction": 1, "bias": 1})
    _compare_widths(changed(plain, ("family", "kind"), "shift"), {"direction": 1})
    _compare_widths(changed(plain, ("family",), own), {"weight": 1, "direction": 1, "bias": 1})
    _compare_widths(changed(plain, ("family",), lifted), {"weight": 1, "direction": 0, "lift": 1})
    _compare_widths(silent, {"weight": 1, "direction": 1, "bias": 0})
    cell = {"weight": 1, "direction": 0, "bias": 2, "lift": 1}
    _compare_widths(CASES["fold_of_cells"]().document, cell)


def _compare_widths(document: Document, expected: dict[str, int]) -> None:
    radius, network = 2.0**-20, read_network(document["network"])
    exact = read_family(document, network)
    wide = read_family(changed(document, ("claim", "weight_radius"), radius.hex()), network)
    for key, count in expected.items():
        for before, after in zip(_entries(exact, key), _entries(wide, key), strict=True):
            assert after.contains(before + count * radius)
            assert after.contains(before - count * radius)
            assert abs(after - before) <= count * radius * (1 + 1e-6) + 1e-12
    for constant in ("leak", "time"):
        before, after = (getattr(family.field, constant) for family in (exact, wide))
        assert before.rad() == after.rad()


def _entries(family: Any, key: str) -> list[arb]:
    if key == "lift":
        return family.lift
    found = getattr(family.field, key)
    return found if isinstance(found, list) else found.entries()
