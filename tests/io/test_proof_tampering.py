"""Acceptance: edited certificates of equilibria and Hopf points are still true, or refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset.analysis import HopfCandidate, find_hopf_points
from limitset.checker import check
from limitset.dynamics import BiasFamily
from limitset.io import rebuild, write_proof
from limitset.networks import (
    RateFamily,
    RateNetwork,
    gain_family,
    shift_family,
    widened,
)
from limitset.proofs import (
    AllPureHopf,
    Ball,
    Equilibrium,
    HopfPoint,
    prove_all_hopf,
    prove_equilibrium,
    prove_hopf,
)
from proofs.judging import FOUR_NEURONS

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


def _pure(weight: np.ndarray) -> RateNetwork:
    return RateNetwork(jnp.asarray(weight), form="firing_rate", leak=0.0)


def _biased() -> RateFamily:
    """A leaky network with bias, whose second Hopf point has another sign in the plane."""
    rng = np.random.default_rng(32)
    weight = rng.standard_normal((5, 5)) / np.sqrt(5)
    bias = 0.8 * rng.standard_normal(5)
    return gain_family(RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate"))


def _hopf(family: RateFamily, start: HopfCandidate, **options: float) -> HopfPoint:
    exact = widened(family)
    candidate = start.parameter, start.frequency, start.state, start.vector
    point = prove_hopf(exact, *candidate, **options)
    assert isinstance(point, HopfPoint), point
    return point


def _equilibrium(network: RateNetwork, near: list[float], **options: Any) -> Equilibrium:
    record = prove_equilibrium(network, np.array(near), **options)
    assert isinstance(record, Equilibrium), record
    return record


def _write_all(folder: Path) -> dict[str, Path]:
    """One certificate of every statement, form, activation and family."""
    paths = {}

    def write(name: str, record: Any, subject: Any, **options: Any) -> None:
        paths[name] = write_proof(record, subject, folder / f"{name}.json", **options)

    weight = jnp.array([[0.25, -0.5], [0.625, -0.3]])
    resting = RateNetwork(weight, bias=jnp.array([0.1, -0.2]), leak=1.5, time_constant=2.0)
    write("stable", _equilibrium(resting, [0.0, 0.0]), resting)
    inputs = jnp.array([[0.5], [-1.0]])
    driven = RateNetwork(4 * weight, inputs, form="firing_rate", activation="sigmoid", leak=0.25)
    u = np.array([0.5])
    small = _equilibrium(driven, [2.0, 2.0], input=u, weight_radius=1e-9)
    write("driven", small, driven, input=u)
    double = RateNetwork(jnp.array([[2.0, 0.5], [0.0, 0.5]]))
    write("unstable", _equilibrium(double, [0.0, 0.0]), double)
    biased = _biased()
    rest = np.tanh(np.asarray(biased.network.bias))
    second = find_hopf_points(biased, [rest], (0.0, 4.0), step=0.1)[1]
    write("gain", _hopf(biased, second), biased)
    write("robust", _hopf(biased, second, weight_radius=1e-8), biased)
    values, vectors = np.linalg.eig(FOUR_NEURONS)
    k = int(np.argmax(np.imag(values)))
    four = shift_family(_pure(FOUR_NEURONS))
    fast = HopfCandidate(-values[k].real, values[k].imag, np.zeros(4), vectors[:, k])
    write("shift", _hopf(four, fast), four)
    turn = jnp.array([[0.75, -2.0], [2.0, 0.5]], jnp.float32)
    one = RateFamily(
        RateNetwork(turn, leak=0.75, time_constant=0.5), jnp.array([[1, 0], [0, 0]], jnp.float32)
    )
    write("direction", _hopf(one, HopfCandidate(0.25, 3.9, np.zeros(2), np.array([1, -1j]))), one)
    everything = prove_all_hopf(FOUR_NEURONS)
    assert isinstance(everything, AllPureHopf) and everything.complete
    write("all", everything, _pure(FOUR_NEURONS))
    return paths


KINDS = ["stable", "driven", "unstable", "gain", "robust", "shift", "direction", "all"]
# Hundreds of Hopf points each are for the slow suite.
FAST = ("stable", "driven", "unstable", "all")
FORGED = [pytest.param(kind, marks=pytest.mark.slow if kind not in FAST else ()) for kind in KINDS]
HOPF = ["gain", "robust", "shift", "direction"]


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Thousands of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def paths(no_shape_checks: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return _write_all(tmp_path_factory.mktemp("proofs"))


def _read(path: Path) -> Document:
    return json.loads(path.read_bytes())


# What a certificate says, decided by the prover, which shares nothing with the checker.


def _ends(interval: list[str]) -> tuple[float, float]:
    low, high = map(float.fromhex, interval)
    return low, high


def _meets(interval: list[str], ball: Ball) -> bool:
    low, high = _ends(interval)
    return bool(low <= ball.upper() and ball.lower() <= high)


def _network(document: Document) -> RateNetwork:
    entries = document["network"]["tensors"].items()
    tensors = {name: tensor(entry) for name, entry in entries}
    network = rebuild(document["network"]["config"], tensors)
    assert isinstance(network, RateNetwork)
    return network


def _family(document: Document) -> RateFamily | BiasFamily:
    network, family = _network(document), document["family"]
    if family["kind"] == "bias":
        return BiasFamily(network, jnp.asarray(tensor(family["direction"])))
    if family["kind"] == "gain":
        return gain_family(network)
    if family["kind"] == "shift":
        return shift_family(network)
    return RateFamily(network, jnp.asarray(tensor(family["direction"])))


def _holds_one(document: Document, radius: np.ndarray) -> bool:
    """`Z radius < radius` in float64, `Z = |I - A J|` over the box, from ends of the slopes."""
    config, claim = document["network"]["config"], document["claim"]
    t = {name: tensor(entry) for name, entry in document["network"]["tensors"].items()}
    W, center = t["weight"], tensor(claim["center"])
    is_firing = config["form"] == "firing_rate"
    entering = t["bias"] + t["input_weight"] @ tensor(claim["input"])
    y, spread = (W @ center + entering, np.abs(W) @ radius) if is_firing else (center, radius)

    def slope(v: np.ndarray) -> np.ndarray:
        half = v if config["activation"] == "tanh" else v / 2
        peak = 1.0 if config["activation"] == "tanh" else 0.25
        return peak / np.cosh(np.minimum(half, 300.0)) ** 2

    high, low = slope(np.maximum(np.abs(y) - spread, 0)), slope(np.abs(y) + spread)

    def jacobian(d: np.ndarray) -> np.ndarray:
        return (d[:, None] * W if is_firing else W * d) - config["leak"] * np.eye(len(W))

    A = np.linalg.inv(jacobian(slope(y)))
    weights = np.eye(len(W)) - A @ jacobian((high + low) / 2)
    half = (high - low) / 2
    reach = np.abs(A) @ (half[:, None] * np.abs(W) if is_firing else np.abs(W) * half)
    return bool(((np.abs(weights) + reach) @ radius < radius * (1 + 1e-9)).all())


def _equilibrium_is_true(document: Document) -> bool:
    claim = document["claim"]
    center, radius = tensor(claim["center"]), tensor(claim["radius"])
    widest, spread = (float.fromhex(claim[f"{name}_radius"]) for name in ("uniqueness", "weight"))
    record = prove_equilibrium(
        _network(document), center, tensor(claim["input"]), weight_radius=spread
    )
    if not isinstance(record, Equilibrium):
        return False
    held = bool((np.abs(record.center - center) <= radius + record.radius).all())
    alone = widest == 0 or _holds_one(document, np.full_like(radius, widest))
    stable = claim["stability"] in ("undecided", record.stability.value)
    return held and alone and _holds_one(document, radius) and stable and claim["index"] in (
        None, record.index,
    )  # fmt: skip


def _hopf_is_true(document: Document, original: Document) -> bool:
    claim, start = document["claim"], tensor(original["witness"]["candidate"])
    n = (len(start) - 2) // 3
    x, v = start[2 : n + 2], start[n + 2 : 2 * n + 2] + 1j * start[2 * n + 2 :]
    spread = float.fromhex(claim["weight_radius"])
    point = prove_hopf(_family(document), start[0], start[1], x, v, weight_radius=spread)
    if not isinstance(point, HopfPoint):
        return False
    center, radius = tensor(claim["center"]), tensor(claim["radius"])
    return (
        bool((np.abs(point.state.mid - center) <= radius + point.state.rad).all())
        and all(
            _meets(claim[name], getattr(point, name))
            for name in ("parameter", "frequency", "crossing", "lyapunov_coefficient")
        )
        and claim["unstable"] == point.unstable
        and claim["cycles"] == ("above" if point.cycles_above else "below")
        and claim["stable"] is point.cycles_are_stable
    )


def _all_is_true(document: Document) -> bool:
    found = prove_all_hopf(np.asarray(_network(document).weight))
    if not isinstance(found, AllPureHopf) or not found.complete:
        return False
    points, proved = document["claim"]["points"], found.proved
    return len(points) == len(proved) and all(
        _meets(point["parameter"], proved.parameter[k])
        and _meets(point["frequency"], proved.frequency[k])
        and _meets(point["lyapunov_coefficient"], proved.coefficient[k])
        and point["unstable"] == proved.unstable[k]
        and point["cycles"] == ("above" if proved.supercritical[k] else "below")
        and point["stable"] is bool(proved.stable[k])
        for k, point in enumerate(points)
    )


def is_true(document: Document, original: Document) -> bool:
    """Whether the claim agrees with what the prover finds for the network in the file."""
    if document["statement"] == "equilibrium":
        return _equilibrium_is_true(document)
    if document["statement"] == "hopf":
        return _hopf_is_true(document, original)
    return _all_is_true(document)


# Honest ones, and every field of them.


@pytest.mark.parametrize("kind", KINDS)
def test_honest_certificates_are_accepted(kind: str, paths: dict[str, Path]):
    verdict = check(paths[kind])
    assert verdict.accepted, verdict.reason
    assert "[checked]" in verdict.claim and "no model compared" in verdict.claim
    document = _read(paths[kind])
    # The forger's pen writes the same file, so that what follows fails for the change alone.
    assert sealed(document) == paths[kind].read_bytes()
    assert is_true(document, document)


@pytest.mark.parametrize("kind", KINDS)
def test_T25_no_field_can_be_dropped_or_added(kind: str, paths: dict[str, Path], tmp_path: Path):
    original, path = _read(paths[kind]), tmp_path / "field.json"
    for place, document in resized(original):
        assert not accepts(path, sealed(document)), place


# Places where another value may be accepted: the claim is still true, or says nothing.
OPEN = {"claim", "witness", "prover", "model", "network", "family"}


@pytest.mark.parametrize("kind", FORGED)
def test_T25_a_forged_field_claims_nothing_false(kind: str, paths: dict[str, Path], tmp_path: Path):
    """As it is, the digest refuses; with a new digest, the mathematics does, or the claim holds."""
    original, path = _read(paths[kind]), tmp_path / "forged.json"
    tried, accepted = 0, set()
    for place, document in forgeries(original, np.random.default_rng(2)):
        tried += 1
        assert not accepts(path, spelled(document)), place
        if accepts(path, sealed(document)):
            accepted.add(place[0])
            assert place[0] in OPEN, place
            said = {key: document.get(key) for key in ("claim", "network", "family")}
            same = said == {key: original.get(key) for key in said}
            assert same or is_true(document, original), place
    assert tried > 300
    assert "prover" in accepted


# Liars.


def _interval(center: float, radius: float) -> list[str]:
    return [(center - radius).hex(), (center + radius).hex()]


def test_the_planar_coefficient_isrefused(paths: dict[str, Path], tmp_path: Path):
    """Without the resolvent terms the sign is wrong here: `-0.25522`, where `+0.62823` is true."""
    original = _read(paths["gain"])
    assert abs(_ends(original["claim"]["lyapunov_coefficient"])[0] - 0.6282256) < 1e-7
    lie = changed(original, ("claim", "lyapunov_coefficient"), _interval(-0.25522, 1e-4))
    lie["claim"] |= {"cycles": "above", "stable": True}
    refused(lie, tmp_path, "lyapunov_coefficient")
    # A vague interval has both signs; the side must still be that of the true one.
    vague = changed(original, ("claim", "lyapunov_coefficient"), _interval(0.0, 10.0))
    path = tmp_path / "vague.json"
    assert accepts(path, sealed(vague))
    side = {"above": "below", "below": "above"}[original["claim"]["cycles"]]
    refused(changed(vague, ("claim", "cycles"), side), tmp_path, "other side")
    refused(changed(vague, ("claim", "stable"), True), tmp_path, "stability of the cycles")


@pytest.mark.parametrize("kind", HOPF)
def test_wrong_counts_sides_and_signs_arerefused(kind: str, paths: dict[str, Path], tmp_path: Path):
    original = _read(paths[kind])
    claim = original["claim"]
    for unstable in (claim["unstable"] + 1, claim["unstable"] + 2, claim["unstable"] - 2):
        refused(changed(original, ("claim", "unstable"), unstable), tmp_path, "unstable")
    side = {"above": "below", "below": "above"}[claim["cycles"]]
    refused(changed(original, ("claim", "cycles"), side), tmp_path, "other side")
    refused(changed(original, ("claim", "stable"), not claim["stable"]), tmp_path, "stability")
    for name in ("parameter", "frequency", "crossing", "lyapunov_coefficient"):
        low, high = _ends(claim[name])
        mirrored = [(-high).hex(), (-low).hex()]
        refused(changed(original, ("claim", name), mirrored), tmp_path, name)
        beside = [(high + 1e-9).hex(), (high + 2e-9).hex()]
        refused(changed(original, ("claim", name), beside), tmp_path, name)


def test_a_negative_coefficient_alone_makes_no_stable_cycle(paths: dict[str, Path], tmp_path: Path):
    original = _read(paths["shift"])
    assert original["claim"]["unstable"] == 2
    assert _ends(original["claim"]["lyapunov_coefficient"])[1] < 0
    refused(changed(original, ("claim", "stable"), True), tmp_path, "stability of the cycles")


def test_all_points_or_none(paths: dict[str, Path], tmp_path: Path):
    original = _read(paths["all"])
    points = original["claim"]["points"]
    for other in (points[:1], points[1:], [], [*points, points[0]], points[::-1]):
        refused(changed(original, ("claim", "points"), other), tmp_path, "")
    point = {**points[1], "unstable": 0, "stable": True}
    refused(changed(original, ("claim", "points", 1), point), tmp_path, "unstable")
    skewed = changed(original, ("network", "config", "leak"), 1.0)
    refused(skewed, tmp_path, "leak 0")


@pytest.mark.parametrize("kind", ["stable", "driven", "unstable"])
def test_equilibria_are_not_claimed_beyond_the_truth(
    kind: str, paths: dict[str, Path], tmp_path: Path
):
    original = _read(paths[kind])
    claim = original["claim"]

    center, radius = tensor(claim["center"]), tensor(claim["radius"])
    moved = changed(original, ("claim", "center"), entry(center + 1e-3))
    refused(moved, tmp_path, "within the radius")
    # Off by 1e-6: refused with a radius of 1e-7, accepted with 1e-5.
    shifted = changed(original, ("claim", "center"), entry(center + 1e-6))
    for size, fits in ((1e-7, False), (1e-5, True)):
        other = changed(shifted, ("claim", "radius"), entry(np.full_like(radius, size)))
        assert accepts(tmp_path / "shifted.json", sealed(other)) == fits
    # The first network contracts, so its equilibrium is alone wherever one looks.
    wider = changed(original, ("claim", "uniqueness_radius"), (100.0).hex())
    assert accepts(tmp_path / "wider.json", sealed(wider)) == (kind == "stable")
    words = {"stable": "unstable", "unstable": "stable"}
    word = words[claim["stability"]]
    assert not accepts(
        tmp_path / "word.json", sealed(changed(original, ("claim", "stability"), word))
    )
    refused(changed(original, ("claim", "index"), -claim["index"]), tmp_path, "index")
    vague = changed(original, ("claim", "stability"), "undecided")
    vague["witness"] = None
    assert accepts(tmp_path / "vague.json", sealed(vague))


def test_stale_weights_arerefused(paths: dict[str, Path], tmp_path: Path):
    """The claim of one network under the weights of another, 1e-5 away."""
    for kind in ("stable", "driven", "gain", "shift", "all"):  # the others rest at 0 whatever W
        original = _read(paths[kind])
        weight = tensor(original["network"]["tensors"]["weight"])
        weight[0, 0] += 1e-5
        stale = changed(original, ("network", "tensors", "weight"), entry(weight))
        assert not accepts(tmp_path / "stale.json", sealed(stale)), kind


def test_degenerate_points_are_never_accepted(paths: dict[str, Path], tmp_path: Path):
    """Skew weights: every coefficient is exactly 0, at any precision; and two pairs at once."""
    skew = np.array(
        [[0.0, -1.0, 0.5, 0.25], [1, 0, -2, 0.5], [-0.5, 2, 0, 1], [-0.25, -0.5, -1, 0]]
    )
    original = _read(paths["all"])
    for weight in (skew, np.kron(np.eye(2), [[0.3, -1.0], [2.0, -0.3]])):
        lie = changed(original, ("network", "tensors", "weight"), entry(weight))
        values = sorted(np.linalg.eigvals(weight), key=lambda v: v.imag)[2:]
        for point, value in zip(lie["claim"]["points"], values, strict=True):
            point["parameter"] = _interval(-value.real, 1e-3)
            point["frequency"] = _interval(value.imag, 1e-3)
            point["lyapunov_coefficient"] = _interval(0.0, 1.0)
        assert not accepts(tmp_path / "skew.json", sealed(lie))
