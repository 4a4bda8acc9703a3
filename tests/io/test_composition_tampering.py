"""Acceptance: compositions are checked part by part, and nothing in their files can be forged."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import scipy.linalg as sla

from contraction.wholes import absolute_module, certified, draw_lower, metrics_of, sizes_of
from limitset.checker import check
from limitset.contraction import (
    Certificate,
    MaximumMetric,
    SumMetric,
    Unknown,
    certify,
    compose,
    compose_maps,
    skew_feedback,
)
from limitset.contraction._small_gain import join_by_gains
from limitset.contraction._wiring import Wiring, wiring_of
from limitset.dynamics import Cayley, ExplicitEuler, SemiImplicit, discretise, propagator
from limitset.io import Model, load, save, write_certificate
from limitset.networks import Assembly, RateNetwork

from .forgery import (
    Document,
    accepts,
    at,
    changed,
    entry,
    forgeries,
    refused,
    resized,
    sealed,
    tensor,
)


def _module(seed: int, size: int = 2) -> RateNetwork:
    return absolute_module(np.random.default_rng(seed), size)


def _parts(count: int = 2) -> list[Certificate]:
    return [certified(_module(seed)) for seed in range(count)]


def _feedback(parts: list[Certificate], gain: float) -> jnp.ndarray:
    lower = draw_lower(np.random.default_rng(9), sizes_of(parts), gain)
    return skew_feedback(lower, metrics_of(parts))


def _skew() -> Certificate | Unknown:
    parts = _parts()
    return compose(parts, _feedback(parts, 100.0), speeds=jnp.array([0.5, 2.0]))


def _nested() -> Certificate | Unknown:
    inner = _skew()
    assert isinstance(inner, Certificate)
    outer = [inner, *_parts(1)]
    return compose(outer, _feedback(outer, 10.0))


def _dense() -> Certificate | Unknown:
    weight = jnp.array([[-0.5, 0.4], [0.4, 0.3]])
    network = RateNetwork(weight, activation="relu", form="firing_rate")
    inputs = RateNetwork(jnp.array([[0.25]]))
    parts = [certified(network), certified(inputs)]
    return compose(parts, _feedback(parts, 3.0))


def _map() -> Certificate | Unknown:
    parts = [certified(discretise(_module(seed), ExplicitEuler(0.25))) for seed in range(2)]
    return compose_maps(parts, propagator(_feedback(parts, 20.0), Cayley(0.25)))


def _cascade() -> Certificate | Unknown:
    parts = _parts()
    lower = draw_lower(np.random.default_rng(9), sizes_of(parts), 5.0)
    whole = compose(parts, lower)
    wiring = wiring_of(whole.system) if isinstance(whole, Certificate) else ""
    assert isinstance(wiring, Wiring)
    return join_by_gains(wiring, tuple(parts))


def _mixed() -> Certificate | Unknown:
    parts = []
    for module, metric in (
        (_module(0), None),
        (RateNetwork(jnp.array([[0.25, 0.1], [-0.1, 0.125]]), jnp.ones((2, 1))), "sum"),
        (RateNetwork(jnp.array([[0.25, 0.2], [-0.1, 0.125]]), jnp.ones((2, 1))), "maximum"),
    ):
        kind = {"sum": SumMetric, "maximum": MaximumMetric, None: None}[metric]
        part = certify(module, metric=None if kind is None else kind(jnp.array([1.0, 1.5])))
        assert isinstance(part, Certificate)
        parts.append(part)
    return compose(parts, 0.02 * jnp.asarray(np.random.default_rng(3).standard_normal((6, 6))))


def _small_map() -> Certificate | Unknown:
    parts = [certified(discretise(_module(seed), ExplicitEuler(0.25))) for seed in range(2)]
    mixing = np.eye(4) + 0.01 * np.random.default_rng(4).standard_normal((4, 4))
    return compose_maps(parts, jnp.asarray(mixing))


KINDS: dict[str, Callable[[], Certificate | Unknown]] = {
    "skew": _skew,
    "nested": _nested,
    "dense": _dense,
    "map": _map,
    "cascade": _cascade,
    "mixed": _mixed,
    "small_map": _small_map,
}


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Thousands of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def models(no_shape_checks: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model folder with a certificate for each kind."""
    root = tmp_path_factory.mktemp("composites")
    folders = {}
    for kind, make in KINDS.items():
        answer = make()
        assert isinstance(answer, Certificate), answer.reason
        folders[kind] = save(root / kind, Model(answer.system, metric=answer.metric))
        write_certificate(answer, certificate_in(folders[kind]), model=folders[kind])
    return folders


def certificate_in(folder: Path) -> Path:
    return folder / "certificates" / "contraction.json"


def original(models: dict[str, Path], kind: str) -> Document:
    return json.loads(certificate_in(models[kind]).read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_honest_certificates_are_accepted(kind: str, models: dict[str, Path], tmp_path: Path):
    verdict = check(certificate_in(models[kind]))
    assert verdict.accepted, verdict.reason
    assert "the model's weights" in verdict.claim and "contracting" in verdict.claim
    alone = tmp_path / "alone.json"
    shutil.copy(certificate_in(models[kind]), alone)
    assert check(alone).accepted
    # The model proposes the metric of the certificate, whatever its kind.
    metric = load(models[kind]).metric
    assert type(metric).__name__ in ("BlockMetric", "BlockMaximumMetric")


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_can_be_dropped_or_added(kind: str, models: dict[str, Path], tmp_path: Path):
    """At every level; unknown content is never ignored."""
    path = tmp_path / "field.json"
    for place, document in resized(original(models, kind)):
        assert not accepts(path, sealed(document)), place


def jacobian_bounds(network: Document) -> Iterator[np.ndarray]:
    """Jacobians of the network at random corners, straight from the formulas of the format."""
    rng = np.random.default_rng(0)
    for _ in range(16):
        yield jacobian(network["config"], network["tensors"], rng)


def jacobian(config: Document, tensors: Document, rng: np.random.Generator) -> np.ndarray:
    if config["kind"] == "composite":
        blocks = []
        for index, part in enumerate(config["parts"]):
            head = f"part_{index}."
            own = {k.removeprefix(head): v for k, v in tensors.items() if k.startswith(head)}
            blocks.append(jacobian(part, own, rng))
        sizes = [len(block) for block in blocks]
        J, ends = np.zeros((sum(sizes),) * 2), np.cumsum(sizes)
        speeds = tensor(tensors["speeds"]) if "speeds" in tensors else np.ones(len(blocks))
        for block, end, speed in zip(blocks, ends, speeds, strict=True):
            J[end - len(block) : end, end - len(block) : end] = speed * block
        mixing = tensor(tensors["mixing"]) @ J if "mixing" in tensors else J
        return mixing + (tensor(tensors["coupling"]) if "coupling" in tensors else 0)
    W = tensor(tensors["weight"])
    slopes = (rng.random(len(W)) < 0.5).astype(float)
    if config["activation"] in ("sigmoid",):
        slopes /= 4
    if config["activation"] == "identity":
        slopes[:] = 1
    driven = W * (slopes if config["form"] == "hopfield" else slopes[:, None])
    if config["discretisation"] is not None:
        return tensor(tensors["keep"]) * np.eye(len(W)) + tensor(tensors["gain"]) * driven
    return (driven - config["leak"] * np.eye(len(W))) / config["time_constant"]


def norm_of(metric: Document) -> Callable[[np.ndarray], float]:
    """The norm that a metric describes, in floats."""
    kind = metric["kind"]
    if kind == "quadratic":
        M = tensor(metric["matrix"])
        return lambda v: float(v @ M @ v) ** 0.5
    if kind in ("diagonal", "sum", "maximum"):
        scale, order = tensor(metric["scale"]), {"diagonal": 2, "sum": 1, "maximum": np.inf}[kind]
        return lambda v: float(np.linalg.norm(scale * v, order))
    norms, weights = [norm_of(part) for part in metric["parts"]], tensor(metric["weights"])
    sizes = [size_of(part) for part in metric["parts"]]
    places = [slice(end - size, end) for end, size in zip(np.cumsum(sizes), sizes, strict=True)]

    def whole(v: np.ndarray) -> float:
        values = np.array([norm(v[at]) for norm, at in zip(norms, places, strict=True)])
        if kind == "block":
            return float(np.sqrt((weights * values**2).sum()))
        return float((weights * values).max())

    return whole


def size_of(metric: Document) -> int:
    if "parts" in metric:
        return sum(size_of(part) for part in metric["parts"])
    return len(tensor(metric["scale"] if "scale" in metric else metric["matrix"]))


def form_of(metric: Document) -> np.ndarray | None:
    """M of a metric that comes from a quadratic form."""
    if metric["kind"] == "diagonal":
        return np.diag(tensor(metric["scale"]) ** 2)
    if metric["kind"] == "quadratic":
        return tensor(metric["matrix"])
    if metric["kind"] != "block":
        return None
    forms = [form_of(part) for part in metric["parts"]]
    pairs = zip(tensor(metric["weights"]), forms, strict=True)
    return np.asarray(sla.block_diag(*(w * form for w, form in pairs if form is not None)))


def is_true(document: Document) -> bool:
    """At random corners of the slope box nothing grows faster than claimed, up to rounding."""
    M, norm, claim = form_of(document["metric"]), norm_of(document["metric"]), document["claim"]
    word = "rate" if claim["time"] == "continuous" else "factor"
    value, rng = float.fromhex(claim[word]), np.random.default_rng(1)
    for J in jacobian_bounds(document["network"]):
        size = 1e-6 * (1 + np.abs(J).sum())
        if M is not None:
            growth = M @ J + J.T @ M if word == "rate" else J.T @ M @ J
            largest = sla.eigh(growth, M, eigvals_only=True)[-1]
            if not largest <= (-2 * value + size if word == "rate" else value**2 + size):
                return False
            continue
        h = 1e-7 / (1 + np.abs(J).sum())
        for v in rng.standard_normal((8, len(J))):
            ahead = norm(v + h * (J @ v)) if word == "rate" else norm(J @ v)
            limit = (1 - h * (value - size)) if word == "rate" else value + size
            if not ahead <= limit * norm(v):
                return False
    return True


# Places where another value may be accepted: the claim is still true, or says nothing.
OPEN = {"claim", "witness", "metric", "prover", "model", "network"}


# Those with the most fields take the longest.
LONG = ("nested", "mixed", "map", "small_map", "dense")
FORGED = [pytest.param(k, marks=pytest.mark.slow) if k in LONG else k for k in KINDS]


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_field_with_a_new_digest_claims_nothing_false(
    kind: str, models: dict[str, Path], tmp_path: Path
):
    """Far from any model. What is still accepted is true of the network in the certificate."""
    path, tried, accepted = tmp_path / "forged.json", 0, set()
    for place, document in forgeries(original(models, kind), np.random.default_rng(2)):
        tried += 1
        if accepts(path, sealed(document)):
            accepted.add(place[0])
            assert place[0] in OPEN, place
            assert place[0] in ("prover", "model") or is_true(document), place
    assert tried > 300
    assert {"prover", "witness"} <= accepted


@pytest.mark.parametrize("kind", ["skew", "nested", "map"])
def test_no_claim_is_bolder_than_its_proof(kind: str, models: dict[str, Path], tmp_path: Path):
    """Of the whole, and of any part: a millionth more is refused."""
    document = original(models, kind)
    path = tmp_path / "claim.json"
    word = "factor" if kind == "map" else "rate"
    places = [("claim", word), ("witness", "parts", 0, "claim", word)]
    if kind == "nested":
        places.append(("witness", "parts", 0, "witness", "parts", 1, "claim", word))
    for place in places:
        value = float.fromhex(at(document, place))
        bolder = value * (1 + 1e-6 if word == "rate" else 1 - 1e-6)
        weaker = value * (1 - 1e-6 if word == "rate" else 1 + 1e-6)
        assert not accepts(path, sealed(changed(document, place, bolder.hex()))), place
        # Of the whole only: what a part claims less, the whole misses, unless the part is fast.
        if place == places[0]:
            assert accepts(path, sealed(changed(document, place, weaker.hex())))


def test_parts_cannot_be_exchanged_or_borrowed(models: dict[str, Path], tmp_path: Path):
    """Proofs and metrics belong to their parts, in their order."""
    document, path = original(models, "skew"), tmp_path / "exchanged.json"
    for place in (("witness", "parts"), ("metric", "parts"), ("network", "config", "parts")):
        turned = changed(document, place, at(document, place)[::-1])
        same = turned == document
        assert same or not accepts(path, sealed(turned)), place
    other = original(models, "nested")
    for place in (("witness",), ("metric",), ("network",), ("theorem",)):
        if at(other, place) != at(document, place):
            assert not accepts(path, sealed(changed(document, place, at(other, place)))), place
    # A theorem about something else, in the place of one about a part.
    for theorem in ("composition", "small_gain", "backward_euler", "euler_step", "sector", "ren"):
        forged = changed(document, ("witness", "parts", 0, "theorem"), theorem)
        assert not accepts(path, sealed(forged)), theorem


def test_couplings_that_expand_are_refused(models: dict[str, Path], tmp_path: Path):
    document, path = original(models, "skew"), tmp_path / "expanding.json"
    place = ("network", "tensors", "coupling")
    coupling = tensor(at(document, place))
    for other in (coupling.T, np.abs(coupling), np.tril(coupling), coupling * 1.01 + np.eye(4)):
        assert not accepts(path, sealed(changed(document, place, entry(other))))
    # Twice the feedback is feedback still.
    assert accepts(path, sealed(changed(document, place, entry(2 * coupling))))
    slower = changed(document, ("network", "tensors", "speeds"), entry(np.array([0.25, 2.0])))
    assert not accepts(path, sealed(slower))
    for speeds in ([0.5, -2.0], [0.5, 0.0], [0.5]):
        forged = changed(document, ("network", "tensors", "speeds"), entry(np.array(speeds)))
        assert not accepts(path, sealed(forged))


def wrapped(document: Document) -> Document:
    """The whole as the only part of another composite, which claims a little less."""
    network = document["network"]
    tensors = {f"part_0.{name}": value for name, value in network["tensors"].items()}
    tensors |= {"coupling": entry(np.zeros((4, 4))), "speeds": entry(np.ones(1))}
    config = {"kind": "composite", "time": "continuous", "parts": [network["config"]]}
    rate = float.fromhex(document["claim"]["rate"]) * (1 - 1e-9)
    return {
        **document,
        "theorem": "composition",
        "claim": {"time": "continuous", "rate": rate.hex()},
        "network": {"config": {**config, "discretisation": None}, "tensors": tensors},
        "metric": {"kind": "block", "parts": [document["metric"]], "weights": entry(np.ones(1))},
        "witness": {"parts": [{key: document[key] for key in ("theorem", "claim", "witness")}]},
        "model": None,
    }


@pytest.mark.parametrize("levels", [10, 60, 300])
def test_depth_is_limited(levels: int, models: dict[str, Path], tmp_path: Path):
    """Composites of composites are checked, and refused without harm where they are too deep."""
    document = original(models, "skew")
    for _ in range(levels):
        document = wrapped(document)
    assert accepts(tmp_path / "deep.json", sealed(document)) == (levels == 10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_belongs_to_its_model(kind: str, models: dict[str, Path], tmp_path: Path):
    alone = tmp_path / "alone.json"
    shutil.copy(certificate_in(models[kind]), alone)
    for other, folder in models.items():
        assert check(alone, model=folder).accepted == (other == kind), other


def test_one_edited_weight_of_a_part_is_noticed(models: dict[str, Path], tmp_path: Path):
    folder = Path(shutil.copytree(models["nested"], tmp_path / "model"))
    path = certificate_in(folder)
    document = json.loads(path.read_bytes())
    path.write_bytes(sealed({**document, "model": None}))
    assert accepts(path)
    for name, stored in document["network"]["tensors"].items():
        array = tensor(stored)
        if not array.size:
            continue
        array.reshape(-1)[-1] = np.nextafter(array.reshape(-1)[-1], np.inf)
        place = ("network", "tensors", name)
        path.write_bytes(sealed({**changed(document, place, entry(array)), "model": None}))
        assert not accepts(path), name


def test_assemblies_are_composed_of_their_modules(tmp_path: Path):
    """The theorem speaks of assemblies and their split maps too, in the metrics of the modules."""
    parts = _parts()
    modules = [p.system for p in parts if isinstance(p.system, RateNetwork)]
    coupling = _feedback(parts, 50.0)
    whole = compose(parts, coupling)
    assert isinstance(whole, Certificate)
    for system in (Assembly(modules, coupling),):
        for running in (system, discretise(system, SemiImplicit(0.1))):
            answer = certify(running, metric=whole.metric, input_bound=None)
            assert isinstance(answer, Certificate), answer.reason
            assert answer.theorem == "composition"
            verdict = check(write_certificate(answer, tmp_path / "assembly.json"))
            assert verdict.accepted, verdict.reason


def test_parts_hear_the_same_inputs(models: dict[str, Path], tmp_path: Path):
    """The claim does not depend on the inputs, but such a composite cannot exist."""
    document = original(models, "dense")
    document["model"] = None
    tensors = document["network"]["tensors"]
    units = tensors["part_0.weight"]["shape"][0]
    tensors["part_0.input_weight"] = entry(np.ones((units, 7)))
    refused(document, tmp_path, "other inputs")
