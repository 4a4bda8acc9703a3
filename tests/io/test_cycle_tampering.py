"""Acceptance: edited certificates of periodic orbits are still true, or refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset.checker import check
from limitset.io import rebuild
from limitset.io._certificate import canonical_text
from limitset.io._certificate import sealed as signed
from limitset.io._cycle_certificate import cycle_fields
from limitset.networks import RateNetwork
from limitset.proofs import Cycle, prove_cycle
from limitset.proofs._rate_field import rate_field
from limitset.proofs._shooting import ClosedOrbit, prove_closed
from oscillators import SLOW, network

from .forgery import (
    Document,
    accepts,
    changed,
    entry,
    forgeries,
    resized,
    sealed,
    spelled,
    tensor,
)

KINDS = ["plain", "driven"]


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Hundreds of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _write(record: object, subject: RateNetwork, path: Path, input: np.ndarray | None) -> Path:
    assert isinstance(record, Cycle), record
    path.write_text(canonical_text(signed(cycle_fields(record, subject, input), None)))
    return path


@pytest.fixture(scope="module")
def paths(no_shape_checks: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exact weights, and a ball of weights in the other form with a third, unstable unit."""
    folder = tmp_path_factory.mktemp("cycles")
    plain = network(SLOW)
    record = prove_cycle(plain, np.array([1.0, 0.0]), 7.9, segments=36)
    assert isinstance(record, Cycle)
    W = np.diag([0.0, 0.0, 2.0])
    W[:2, :2] = SLOW
    bias, inputs = jnp.array([-0.125, 0.25, 0.0]), jnp.array([[0.25], [-0.5], [0.0]])
    options = {"form": "firing_rate", "time_constant": 0.5}
    driven, u = RateNetwork(jnp.asarray(W), inputs, bias, **options), np.array([0.5])
    start = np.append(np.linalg.solve(SLOW, record.states[0]), 0.0)
    robust = prove_cycle(driven, start, 3.97, u, segments=36, weight_radius=1e-12)
    return {
        "plain": _write(record, plain, folder / "plain.json", None),
        "driven": _write(robust, driven, folder / "driven.json", u),
    }


def _read(path: Path) -> Document:
    return json.loads(path.read_bytes())


def _number(text: str) -> float:
    return float.fromhex(text)


def is_true(document: Document, original: Document) -> bool:
    """Whether the claim agrees with what the prover finds for the network in the file."""
    claim, first = document["claim"], original["claim"]
    entries = document["network"]["tensors"].items()
    subject = rebuild(document["network"]["config"], {k: tensor(v) for k, v in entries})
    assert isinstance(subject, RateNetwork)
    states, u = tensor(claim["states"]), tensor(claim["input"])
    step, *radii = (_number(claim[name]) for name in ("step", "state_radius", "step_radius"))
    spread, tau = _number(claim["weight_radius"]), float(subject.time_constant)
    start = tensor(first["states"])[0]
    record = prove_cycle(
        subject, start, len(states) * _number(first["step"]) * tau, u, weight_radius=spread
    )
    if not isinstance(record, Cycle):
        return False
    low, high = map(_number, claim["period"])
    meets = low <= record.period.upper() and record.period.lower() <= high
    return (
        bool(meets)
        and _encloses(document, original, subject, (step, radii[0], radii[1]))
        and claim["minimal"] in (False, record.is_minimal)
        and claim["outside"] in (None, record.outside)
        and claim["stability"] in ("undecided", record.stability.value)
        and _discs_are_true(claim["multipliers"], record)
    )


def _encloses(
    document: Document,
    original: Document,
    subject: RateNetwork,
    box: tuple[float, float, float],
) -> bool:
    """Whether the box meets that of the original; if it is larger, whether the prover agrees."""
    claim, first = document["claim"], original["claim"]
    states, known = tensor(claim["states"]), tensor(first["states"])
    step, *radii = box
    reach = [_number(first[f"{name}_radius"]) for name in ("state", "step")]
    if states.shape != known.shape or np.abs(states - known).max() > radii[0] + reach[0]:
        return False
    if abs(step - _number(first["step"])) > radii[1] + reach[1]:
        return False
    if radii[0] <= reach[0] and radii[1] <= reach[1]:
        return True
    field = rate_field(subject, tensor(claim["input"]), _number(claim["weight_radius"]))
    wide = (max(radii[0], reach[0]), max(radii[1], reach[1]))
    return isinstance(prove_closed(field, states.T.copy(), step, wide), ClosedOrbit)


def _discs_are_true(claimed: Document | None, record: Cycle) -> bool:
    """Whether each claimed disc meets a disc of the record, all different."""
    if claimed is None:
        return True
    if record.multipliers is None or record.multiplier_radii is None:
        return False
    real, imaginary, radius = (tensor(claimed[k]) for k in ("real", "imaginary", "radius"))
    distance = np.abs((real + 1j * imaginary)[:, None] - record.multipliers)
    meets = distance <= radius[:, None] + record.multiplier_radii
    return bool(meets.any(0).all() and meets.any(1).all())


@pytest.mark.parametrize("kind", KINDS)
def test_honest_certificates_are_accepted(kind: str, paths: dict[str, Path]) -> None:
    verdict = check(paths[kind])
    assert verdict.accepted and "[checked]" in verdict.claim, verdict
    document = _read(paths[kind])
    assert sealed(document) == paths[kind].read_bytes()
    assert is_true(document, document)


@pytest.mark.parametrize("kind", KINDS)
def test_T25_no_field_can_be_dropped_or_added(
    kind: str, paths: dict[str, Path], tmp_path: Path
) -> None:
    original, path = _read(paths[kind]), tmp_path / "field.json"
    for place, document in resized(original):
        assert not accepts(path, sealed(document)), place


# Places where another value may be accepted: the claim is still true, or says nothing.
OPEN = {"claim", "prover", "model", "network"}


def _try(kind: str, paths: dict[str, Path], folder: Path, share: float) -> tuple[int, set[str]]:
    original, path = _read(paths[kind]), folder / "forged.json"
    rng, tried, accepted = np.random.default_rng(7), 0, set()
    for place, document in forgeries(original, np.random.default_rng(2)):
        if rng.random() >= share:
            continue
        tried += 1
        assert not accepts(path, spelled(document)), place
        if accepts(path, sealed(document)):
            accepted.add(place[0])
            assert place[0] in OPEN, place
            same = all(document[key] == original[key] for key in ("claim", "network"))
            assert same or is_true(document, original), place
    return tried, accepted


def test_T25_some_forged_fields_claim_nothing_false(paths: dict[str, Path], tmp_path: Path) -> None:
    assert _try("plain", paths, tmp_path, 0.04)[0] > 15


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_T25_a_forged_field_claims_nothing_false(
    kind: str, paths: dict[str, Path], tmp_path: Path
) -> None:
    """As it is, the digest refuses; with a new digest, the mathematics does, or the claim holds."""
    tried, accepted = _try(kind, paths, tmp_path, 1.0)
    assert tried > 500 and {"claim", "prover"} <= accepted


@pytest.mark.parametrize("kind", KINDS)
def test_stale_weights_are_refused(kind: str, paths: dict[str, Path], tmp_path: Path) -> None:
    """The claim of one network under the weights of another."""
    original = _read(paths[kind])
    for name, change in (("weight", 1e-4), ("bias", 1e-4), ("bias", -1e-5)):
        array = tensor(original["network"]["tensors"][name])
        array.flat[0] += change
        stale = changed(original, ("network", "tensors", name), entry(array))
        assert not accepts(tmp_path / "stale.json", sealed(stale)), name
    config = original["network"]["config"]
    for key, value in (("leak", 1.001), ("time_constant", config["time_constant"] * 1.001)):
        other = changed(original, ("network", "config", key), value)
        assert not accepts(tmp_path / "stale.json", sealed(other)), key
    form = {"hopfield": "firing_rate", "firing_rate": "hopfield"}[config["form"]]
    other = changed(original, ("network", "config", "form"), form)
    assert not accepts(tmp_path / "stale.json", sealed(other))
