"""Acceptance: whatever is changed in a certificate, no false claim is ever accepted."""

import copy
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset.checker import check
from limitset.contraction import (
    AbsoluteValue,
    Certificate,
    DiagonalMetric,
    EulerStep,
    Implicit,
    QuadraticMetric,
    Sector,
    SingularValue,
    SkewFeedback,
    Vertices,
    certify,
)
from limitset.contraction._rounding import rounded_step, step_bounds
from limitset.contraction._rounding_implicit import equation_of, residual_bounds
from limitset.contraction._size import exact_inputs, fixed, norm_of, plus, reach_of, scale_of
from limitset.dynamics import (
    AbstractFlow,
    AbstractMap,
    BackwardEuler,
    Cayley,
    ExplicitEuler,
    ExponentialEuler,
    Rotation,
    SemiImplicit,
    discretise,
)
from limitset.io import Model, load, rebuild, save, write_certificate
from limitset.networks import ACTIVATIONS, Assembly, Elman, Form, RateNetwork
from limitset.proofs import Ball

from .forgery import Document, accepts, changed, claim_holds, forgeries, resized, sealed, tensor

# The certificates that are tampered with.


def _array(*values: Any, single: bool = False) -> jax.Array:
    return jnp.asarray(values, jnp.float32 if single else jnp.float64)


def _rate(single: bool = False, **options: Any) -> RateNetwork:
    weight = _array([0.25, -0.5], [0.625, -0.3], single=single)
    inputs, bias = _array([0.5], [1.0], single=single), _array(0.1, -0.2, single=single)
    return RateNetwork(weight, inputs, bias, **options)


def _assembly(single: bool = False) -> Assembly:
    first, second = _rate(single), _rate(single, form="firing_rate", activation="relu")
    lower = np.zeros((4, 4))
    lower[2:, :2] = [[0.5, 0.25], [0.125, 0.3]]
    return Assembly([first, second], jnp.asarray(lower - lower.T, first.weight.dtype))


def _elman() -> Elman:
    rate = _rate(single=True)
    return Elman(rate.input_weight, rate.weight, rate.bias, rate.bias)


KINDS: dict[str, Callable[[], AbstractFlow | AbstractMap]] = {
    "flow": lambda: _rate(leak=1.5, time_constant=2.0, activation="sigmoid"),
    "vertices": lambda: _rate(form="firing_rate"),
    "rate_map": lambda: discretise(_rate(single=True), ExplicitEuler(0.5)),
    "elman": _elman,
    "assembly": _assembly,
    "semi_implicit": lambda: discretise(_assembly(single=True), SemiImplicit(0.25)),
    "explicit_euler": lambda: discretise(_assembly(), ExplicitEuler(0.0625)),
    "exponential_euler": lambda: discretise(_assembly(), ExponentialEuler(0.25)),
    "sector_flow": lambda: _rate(form="firing_rate", activation="relu"),
    "sector_map": lambda: discretise(_rate(single=True), ExplicitEuler(0.375)),
    "sector_semi_implicit": lambda: discretise(_assembly(single=True), SemiImplicit(0.125)),
    "cayley": lambda: discretise(_assembly(single=True), Cayley(0.25)),
    "rotation": lambda: discretise(_assembly(), Rotation(0.25)),
    "float32_explicit_euler": lambda: discretise(_assembly(single=True), ExplicitEuler(0.0625)),
    "float32_exponential_euler": lambda: discretise(_assembly(True), ExponentialEuler(0.25)),
    "backward_euler": lambda: discretise(_assembly(), BackwardEuler(0.5)),
    "sector_backward_euler": lambda: discretise(_rate(single=True), BackwardEuler(0.5)),
    "euler_step": lambda: discretise(_assembly(), ExplicitEuler(0.03125)),
    "sector_euler_step": lambda: discretise(_rate(single=True), ExplicitEuler(0.0625)),
}
DIAGONAL = (AbsoluteValue(), SingularValue(), SkewFeedback())
FLOAT32 = (
    "rate_map",
    "elman",
    "semi_implicit",
    "sector_map",
    "sector_semi_implicit",
    "cayley",
    "float32_explicit_euler",
    "float32_exponential_euler",
    "sector_euler_step",
    "sector_backward_euler",
)


def certificate_of(kind: str) -> Certificate:
    system = KINDS[kind]()
    metric = None
    if kind == "vertices":
        metric = QuadraticMetric(_array([1.0, 0.125], [0.125, 1.25]))
    elif "sector" not in kind and system.state_size == 4:
        metric = DiagonalMetric(jnp.ones(4))
    theorems = {"vertices": (Vertices(),)}.get(kind, DIAGONAL)
    theorems = (Sector(),) if "sector" in kind else theorems
    if "backward_euler" in kind:
        theorems = (Implicit(theorems),)
    if "euler_step" in kind:
        theorems = (EulerStep(theorems),)
    answer = certify(system, metric=metric, input_bound=1.0, theorems=theorems)
    assert isinstance(answer, Certificate), answer.reason
    assert (answer.float32 is not None) == (kind in FLOAT32)
    return answer


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Thousands of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def models(no_shape_checks: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model folder with a certificate for each kind."""
    root = tmp_path_factory.mktemp("models")
    folders = {}
    for kind in KINDS:
        answer = certificate_of(kind)
        folders[kind] = save(root / kind, Model(answer.system, about={"note": "tampering"}))
        write_certificate(answer, certificate_in(folders[kind]), model=folders[kind])
    return folders


def certificate_in(folder: Path) -> Path:
    return folder / "certificates" / "contraction.json"


@pytest.mark.parametrize("kind", KINDS)
def test_honest_certificates_are_accepted(kind: str, models: dict[str, Path], tmp_path: Path):
    path = certificate_in(models[kind])
    verdict = check(path)
    assert verdict.accepted, verdict.reason
    assert "the model's weights" in verdict.claim
    # The forger's pen writes the same file, so that what follows fails for the change alone.
    raw = path.read_bytes()
    assert sealed(json.loads(raw)) == raw
    alone = tmp_path / "alone.json"
    alone.write_bytes(raw)
    verdict = check(alone)
    assert verdict.accepted and "no model compared" in verdict.claim
    assert check(alone, model=models[kind]).accepted


@pytest.mark.parametrize("kind", ["flow", "rate_map"])
def test_no_digit_can_be_changed(kind: str, models: dict[str, Path], tmp_path: Path):
    """Every digit of the file, wherever it stands, to another digit."""
    raw = bytearray(certificate_in(models[kind]).read_bytes())
    rng = np.random.default_rng(0)
    places = [i for i, byte in enumerate(raw) if chr(byte).isdigit()]
    assert len(places) > 150
    path = tmp_path / "digit.json"
    for place in places:
        changed = bytearray(raw)
        changed[place] = ord("0") + (raw[place] - ord("0") + int(rng.integers(1, 10))) % 10
        assert not accepts(path, bytes(changed)), (place, raw[max(0, place - 30) : place + 30])


def test_no_byte_can_be_changed_dropped_or_added(models: dict[str, Path], tmp_path: Path):
    raw = certificate_in(models["semi_implicit"]).read_bytes()
    rng = np.random.default_rng(1)
    path = tmp_path / "byte.json"
    for place in rng.choice(len(raw), 300, replace=False):
        other = bytes([raw[place] ^ int(rng.integers(1, 128))])
        for content in (
            raw[:place] + other + raw[place + 1 :],
            raw[:place] + raw[place + 1 :],
            raw[:place] + raw[place : place + 1] + raw[place:],
            raw[:place],
        ):
            if content != raw:
                assert not accepts(path, content), place
    for content in (b"", b" " + raw, raw + b" ", raw + b"\n", raw[:-1], b"\xef\xbb\xbf" + raw):
        assert not accepts(path, content)
    assert not accepts(path, raw.replace(b"\n", b"\r\n"))
    assert not accepts(path, json.dumps(json.loads(raw)).encode())


# Every field, with the digest computed again.


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_can_be_dropped_or_added(kind: str, models: dict[str, Path], tmp_path: Path):
    """At every level, with and without a new digest; unknown content is never ignored."""
    original = json.loads(certificate_in(models[kind]).read_bytes())
    path = tmp_path / "field.json"
    for place, document in resized(original):
        assert not accepts(path, sealed(document)), place


# What a certificate says, decided in another way: all corners of the slope box, in float64.


def corner_jacobians(network: Document) -> Iterator[np.ndarray]:
    """The Jacobian of the network at every corner, straight from the formulas of the format."""
    config = network["config"]
    t = {name: tensor(entry) for name, entry in network["tensors"].items()}
    if config["kind"] == "elman":
        modules = [{**config, "form": "firing_rate", "leak": 1.0, "time_constant": 1.0}]
        weights = [t["weight_hh_l0"]]
    elif config["kind"] == "rate":
        modules, weights = [config], [t["weight"]]
    else:
        modules = config["modules"]
        weights = [t[f"module_{i}.weight"] for i in range(len(modules))]
    ends = [ACTIVATIONS[m["activation"]].slope_interval or () for m in modules]
    units = [pair for pair, w in zip(ends, weights, strict=True) for _ in w]
    leak, tau = (
        np.concatenate([np.full(len(w), m[key]) for m, w in zip(modules, weights, strict=True)])
        for key in ("leak", "time_constant")
    )
    for corner in itertools.product(*map(set, units)):
        driven, start = np.zeros((len(units), len(units))), 0
        for module, weight in zip(modules, weights, strict=True):
            part = slice(start, start := start + len(weight))
            slopes = np.array(corner[part])
            hopfield = module["form"] == Form.HOPFIELD
            driven[part, part] = weight * (slopes if hopfield else slopes[:, None])
        scheme = (config.get("discretisation") or {}).get("scheme")
        if config["kind"] == "elman":
            yield driven
        elif config["kind"] == "rate" and scheme in ("explicit_euler", "exponential_euler"):
            yield t["keep"] * np.eye(len(units)) + t["gain"] * driven
        elif scheme in ("semi_implicit", "cayley", "rotation"):
            yield t["propagator"] @ (np.diag(t["keep"]) + t["gain"][:, None] * driven)
        elif scheme == "explicit_euler":
            yield t["transition"] + t["gain"][:, None] * driven
        elif scheme == "exponential_euler":
            yield t["transition"] + t["response"] @ driven
        else:
            flow = (driven - np.diag(leak)) / tau[:, None] + t.get("coupling", 0.0)
            implicit = scheme == "backward_euler"
            yield np.linalg.inv(np.eye(len(units)) - t["step"] * flow) if implicit else flow


def is_true(document: Document) -> bool:
    """Whether the claim holds at all corners, and that about float32 too."""
    if not claim_holds(document, corner_jacobians(document["network"])):
        return False
    return document["float32"] is None or float32_is_true(document)


def float32_is_true(document: Document) -> bool:
    """The float32 numbers against the prover's formulas, which share nothing with the checker."""
    stated = {key: float.fromhex(value) for key, value in document["float32"].items()}
    stored = document["network"]["tensors"].items()
    tensors = {name: tensor(entry).astype(entry["dtype"]) for name, entry in stored}
    config = copy.deepcopy(document["network"]["config"])
    # Leak, time constant and coupling of a map are remarks: what runs is in its other tensors.
    if "residual" not in stated:
        for module in config.get("modules", [config] if config["kind"] == "rate" else []):
            module |= {"leak": 1.0, "time_constant": 1.0}
        if "coupling" in tensors:
            tensors["coupling"] = 0 * tensors["coupling"]
    system: Any = rebuild(config, tensors)
    stored = {
        key: jnp.asarray(tensor(document["metric"][key]))
        for key in document["metric"]
        if key != "kind"
    }
    metric = DiagonalMetric(**stored) if "scale" in stored else QuadraticMetric(**stored)
    reach = reach_of(metric)
    assert reach is not None
    inputs = exact_inputs(system.input_size, stated["input_bound"])
    factor, limits = (
        float.fromhex(document["claim"]["factor"]),
        ("state_radius", "activation_error"),
    )
    radius, error = (stated[name] for name in limits)
    if "residual" in stated:
        equation = equation_of(system, metric, inputs)
        assert equation is not None and stated["residual"] > 0
        left = Ball.exact(np.full(system.state_size, stated["residual"]))
        found = plus(residual_bounds(equation, radius, error).error, fixed(left, scale_of(metric)))
        rounding = factor * norm_of(found, metric, radius)
    else:
        step = rounded_step(system, metric, reach, inputs)
        rounding = norm_of(step_bounds(step, radius, error).error, metric, radius)
    enough = rounding <= stated["rounding"] * (1 + 1e-8)
    return enough and 2 * stated["rounding"] <= stated["gap"] * (1 - factor) * (1 + 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_honest_certificates_are_true(kind: str, models: dict[str, Path]):
    """The yardstick of the next tests accepts them, and not a bolder claim."""
    document = json.loads(certificate_in(models[kind]).read_bytes())
    assert is_true(document)
    name = "rate" if "rate" in document["claim"] else "factor"
    value = float.fromhex(document["claim"][name])
    bolder = 3 * value if name == "rate" else value / 3
    assert not is_true(changed(document, ("claim", name), bolder.hex()))


# Places where another value may be accepted: the claim is still true, or says nothing.
OPEN = {"claim", "witness", "metric", "float32", "prover", "model", "network"}


# The same rules of the checker as another kind, in other numbers: for the slow suite.
TWINS = (
    "exponential_euler",
    "sector_semi_implicit",
    "cayley",
    "rotation",
    "float32_explicit_euler",
    "float32_exponential_euler",
    "explicit_euler",
    "elman",
    "sector_map",
    "sector_backward_euler",
    "sector_euler_step",
)
FORGED = [pytest.param(k, marks=[pytest.mark.slow] if k in TWINS else []) for k in KINDS]


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_field_with_a_new_digest_claims_nothing_false(
    kind: str, models: dict[str, Path], tmp_path: Path
):
    """Far from any model. What is still accepted is true of the network in the certificate."""
    original = json.loads(certificate_in(models[kind]).read_bytes())
    path, tried, accepted = tmp_path / "forged.json", 0, set()
    for place, document in forgeries(original, np.random.default_rng(2)):
        tried += 1
        if accepts(path, sealed(document)):
            accepted.add(place[0])
            assert place[0] in OPEN, place
            assert place[0] in ("prover", "model") or is_true(document), place
    assert tried > 300
    # The test sees acceptances too: informational words, looser bounds, and weaker claims (a gap
    # is tied to its factor, which cannot move alone).
    assert {"prover", "witness"} <= accepted
    if "sector" not in kind:  # whose search leaves some room in the factor
        assert ("claim" in accepted) == (original["float32"] is None)


@pytest.mark.parametrize("kind", ["flow", "rate_map", "semi_implicit"])
def test_beside_the_model_no_network_field_can_be_forged(
    kind: str, models: dict[str, Path], tmp_path: Path
):
    folder = Path(shutil.copytree(models[kind], tmp_path / kind))
    path = certificate_in(folder)
    original = json.loads(path.read_bytes())
    for place, document in forgeries(original, np.random.default_rng(3)):
        # Equal numbers are one number: 1 for 1.0 is not a forgery.
        same = document["network"] == original["network"]
        if place[0] == "model" or place[0] == "network" and not same:
            if place == ("model",) or not accepts(path, sealed(document)):
                continue
            raise AssertionError(place)


def test_a_claim_is_accepted_exactly_as_far_as_it_is_proved(
    models: dict[str, Path], tmp_path: Path
):
    """Weaker claims are accepted, claims a millionth bolder are not."""
    path = tmp_path / "claim.json"
    for kind in KINDS:
        document = json.loads(certificate_in(models[kind]).read_bytes())
        name = "rate" if "rate" in document["claim"] else "factor"
        value = float.fromhex(document["claim"][name])
        sign = 1 if name == "rate" else -1
        for change, expected in ((1e-6, False), (0.0, True), (-1e-6, True)):
            other = changed(document, ("claim", name), (value * (1 + sign * change)).hex())
            # The gap was proved for the factor as it was; it is another claim.
            other["float32"] = None
            assert accepts(path, sealed(other)) == expected, (kind, change)


# The model.


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_belongs_to_its_model(kind: str, models: dict[str, Path], tmp_path: Path):
    """Beside every other model it is refused, by place and by argument."""
    alone = tmp_path / "alone.json"
    shutil.copy(certificate_in(models[kind]), alone)
    for other, folder in models.items():
        assert check(alone, model=folder).accepted == (other == kind)
        if other != kind:
            copied = Path(shutil.copytree(folder, tmp_path / other))
            shutil.copy(alone, certificate_in(copied))
            assert not accepts(certificate_in(copied))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bound", [True, False], ids=["with digests", "without digests"])
def test_one_edited_weight_is_noticed(
    kind: str, bound: bool, models: dict[str, Path], tmp_path: Path
):
    """Every tensor, one entry, one unit in the last place; with or without the files' digests."""
    folder = Path(shutil.copytree(models[kind], tmp_path / "model"))
    path = certificate_in(folder)
    if not bound:
        path.write_bytes(sealed({**json.loads(path.read_bytes()), "model": None}))
    assert accepts(path)
    model = load(folder)
    leaves, structure = jax.tree.flatten(model.system)
    edited = 0
    for index, leaf in enumerate(leaves):
        array = np.array(leaf)
        if not array.size:
            continue
        flat = array.reshape(-1)
        flat[-1] = np.nextafter(flat[-1], np.inf, dtype=flat.dtype)
        system = jax.tree.unflatten(
            structure, [*leaves[:index], jnp.asarray(array), *leaves[index + 1 :]]
        )
        save(folder, replace(model, system=system))
        assert not accepts(path), index
        edited += 1
    assert edited >= 4
    save(folder, model)
    assert accepts(path)


def test_files_of_the_model_that_are_missing_or_damaged(models: dict[str, Path], tmp_path: Path):
    for name, content in (
        ("config.json", None),
        ("model.safetensors", None),
        ("config.json", b"{}"),
        ("config.json", b"no json"),
        ("model.safetensors", b""),
        ("model.safetensors", b"\xff" * 16),
    ):
        folder = tmp_path / "model"
        shutil.copytree(models["flow"], folder)
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        assert not accepts(certificate_in(folder)), (name, content)
        shutil.rmtree(folder)
    assert not check(certificate_in(models["flow"]), model=tmp_path / "nowhere").accepted


def test_other_configurations_of_the_model(models: dict[str, Path], tmp_path: Path):
    """The same tensors under another form, activation, leak, time constant or scheme."""
    for kind, changes in (
        ("flow", {"form": "firing_rate"}),
        ("flow", {"activation": "tanh"}),
        ("flow", {"leak": 1.25}),
        ("flow", {"time_constant": 1.0}),
        ("rate_map", {"discretisation": None}),
        ("rate_map", {"discretisation": {"scheme": "explicit_euler", "step": 0.25}}),
        ("elman", {"activation": "relu"}),
        ("elman", {"format": "limitset-model/2"}),
        ("elman", {"extra": 1}),
    ):
        folder = Path(shutil.copytree(models[kind], tmp_path / "model"))
        path = certificate_in(folder)
        path.write_bytes(sealed({**json.loads(path.read_bytes()), "model": None}))
        config = json.loads((folder / "config.json").read_bytes())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))
        assert not accepts(path), (kind, changes)
        shutil.rmtree(folder)


def test_remarks_do_not_bind_a_certificate_without_digests(models: dict[str, Path], tmp_path: Path):
    """`about` may change where the certificate names no files; digests, where given, forbid it."""
    folder = Path(shutil.copytree(models["flow"], tmp_path / "model"))
    path = certificate_in(folder)
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "about": {"note": "other"}}))
    assert not accepts(path)
    path.write_bytes(sealed({**json.loads(path.read_bytes()), "model": None}))
    assert accepts(path)
