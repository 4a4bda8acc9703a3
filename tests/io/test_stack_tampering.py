"""Diagonal recurrences and stacks: no altered certificate proves anything false."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset import InputProblem
from limitset.checker import check
from limitset.checker._cycle import CLAIM as CYCLE
from limitset.contraction import (
    AbsoluteValue,
    Cascade,
    Certificate,
    DiagonalLinear,
    DiagonalMetric,
    Sector,
    SkewFeedback,
    certify,
)
from limitset.dynamics import (
    AbstractMap,
    ExplicitEuler,
    ExponentialEuler,
    SemiImplicit,
    discretise,
)
from limitset.io import Model, describe, load, rebuild, save, write_certificate
from limitset.networks import (
    ACTIVATIONS,
    Assembly,
    DiagonalRecurrence,
    Elman,
    RateNetwork,
    Relay,
    Stack,
)

from .forgery import (
    Document,
    accepts,
    changed,
    entry,
    forgeries,
    refused,
    resized,
    sealed,
    tensor,
)


def _array(values: object, single: bool = False) -> jax.Array:
    return jnp.asarray(values, jnp.float32 if single else jnp.float64)


def _unit(turn: float, single: bool = False) -> DiagonalRecurrence:
    real, imaginary = (_array([0.75 * part(turn)], single) for part in (np.cos, np.sin))
    return DiagonalRecurrence(real, imaginary, _array([[0.5, 1.0], [-0.25, 0.5]], single))


def _relay(states: int, activation: str = "tanh", single: bool = False) -> Relay:
    rng = np.random.default_rng(states)
    shapes = ((2, states), (2,), (2, 2))
    read, bias, write = (_array(rng.standard_normal(s), single) for s in shapes)
    return Relay(read, bias, write, activation)


def _pair(single: bool = False) -> Stack:
    """Two complex units and a relay: the norm of every Jacobian can be written down."""
    layers = _unit(0.5, single), _unit(2.0, single)
    relay = _relay(2, "sigmoid" if single else "tanh", single)
    return Stack(layers, (relay,), _array([[1.0], [0.5]], single))


def _maps() -> Stack:
    """One layer for every way in which inputs enter."""
    weight, inputs = _array([[0.25, -0.5], [0.625, -0.3]]), _array([[0.5, 1.0], [1.0, -0.5]])
    rates = [RateNetwork(weight, inputs, form=form) for form in ("hopfield", "firing_rate")]
    skew = np.kron([[0.0, -1.0], [1.0, 0.0]], [[0.5, 0.25], [0.125, 0.3]])
    assembly = Assembly(rates, jnp.asarray(np.tril(skew) - np.tril(skew).T))
    layers = [
        _unit(1.0),
        Elman(inputs, weight, weight[0], weight[1], activation="sigmoid"),
        *(discretise(rate, ExplicitEuler(0.5)) for rate in rates),
        discretise(assembly, SemiImplicit(0.25)),
        discretise(assembly, ExplicitEuler(0.0625)),
        discretise(assembly, ExponentialEuler(0.25)),
        _unit(1.5),
    ]
    relays = [_relay(layer.state_size) for layer in layers[:-1]]
    return Stack(layers, relays, _array([[1.0], [0.5]]))


KINDS: dict[str, Callable[[], AbstractMap]] = {
    "recurrence": lambda: _unit(0.5),
    "single": lambda: _unit(2.0, True),
    "pair": _pair,
    "single_pair": lambda: _pair(True),
    "maps": _maps,
    "quadratic": _maps,
}
DIAGONAL = (Cascade((DiagonalLinear(), AbsoluteValue(), SkewFeedback())), DiagonalLinear())
QUADRATIC = (Cascade((DiagonalLinear(), Sector())),)
SMALL = ("recurrence", "single", "pair", "single_pair")


def certificate_of(kind: str) -> Certificate:
    theorems = QUADRATIC if kind == "quadratic" else DIAGONAL
    answer = certify(KINDS[kind](), theorems=theorems)
    assert isinstance(answer, Certificate), answer.reason
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
    root, folders = tmp_path_factory.mktemp("models"), {}
    for kind in KINDS:
        answer = certificate_of(kind)
        folders[kind] = save(root / kind, Model(answer.system, about={"note": "tampering"}))
        write_certificate(answer, certificate_in(folders[kind]), model=folders[kind])
    return folders


def certificate_in(folder: Path) -> Path:
    return folder / "certificates" / "contraction.json"


def read(folder: Path) -> Document:
    return json.loads(certificate_in(folder).read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_honest_certificates_are_accepted(kind: str, models: dict[str, Path], tmp_path: Path):
    verdict = check(certificate_in(models[kind]))
    assert verdict.accepted and "the model's weights" in verdict.claim, verdict.reason
    document = read(models[kind])
    if kind == "quadratic":
        kinds = [part["kind"] for part in document["metric"]["parts"]]
        assert kinds.count("quadratic") == 6
    alone = tmp_path / "alone.json"
    alone.write_bytes(sealed(document))
    verdict = check(alone)
    assert verdict.accepted and "no model compared" in verdict.claim
    for other, folder in models.items():
        same = other == kind or {other, kind} == {"maps", "quadratic"}
        document["model"] = None
        assert accepts(alone, sealed(document)) and check(alone, model=folder).accepted == same


@pytest.mark.parametrize("kind", KINDS)
def test_models_come_back_bit_for_bit(kind: str, models: dict[str, Path]):
    system, back = KINDS[kind](), load(models[kind]).system
    assert jax.tree.structure(system) == jax.tree.structure(back)
    for one, other in zip(jax.tree.leaves(system), jax.tree.leaves(back), strict=True):
        assert one.dtype == other.dtype and (one == other).all()


def test_descriptions_that_do_not_fit_are_refused():
    config, tensors = describe(_pair())
    assert jax.tree.structure(rebuild(config, tensors)) == jax.tree.structure(_pair())
    rate_config, rate_tensors = describe(RateNetwork(jnp.zeros((2, 2)), jnp.zeros((2, 2))))
    flow = {f"layer_0.{name}": array for name, array in rate_tensors.items()}
    others = {name: array for name, array in tensors.items() if not name.startswith("layer_0")}
    problems = [
        ({**config, "layers": 3}, tensors),
        ({**config, "layers": config["layers"][:1]}, tensors),
        ({**config, "layers": [rate_config, config["layers"][1]]}, {**others, **flow}),
        ({**config, "relays": []}, tensors),
        ({**config, "relays": [{}]}, tensors),
        ({**config, "relays": [{"activation": "wiggle"}]}, tensors),
        ({**config, "extra": 1}, tensors),
        (config, {**tensors, "layer_2.real": tensors["layer_0.real"]}),
        (config, {**tensors, "stray": tensors["layer_0.real"]}),
        (config, {name: array for name, array in tensors.items() if name != "relay_0.write"}),
        (config, {name: array for name, array in tensors.items() if name != "embedding"}),
        (config, {**tensors, "relay_0.write": np.zeros((3, 2))}),
        (config, {**tensors, "layer_0.imaginary": np.zeros(2)}),
    ]
    for altered, arrays in problems:
        with pytest.raises(InputProblem) as caught:
            rebuild(altered, arrays)
        assert "\n" not in str(caught.value)


def test_relays_that_only_look_alike_have_no_place_in_a_model():
    class Square(Relay):  # pyright: ignore[reportGeneralTypeIssues]
        def __call__(self, x: jax.Array) -> jax.Array:
            return super().__call__(x) ** 2

    pair = _pair()
    (relay,) = pair.relays
    steep = Square(relay.read, relay.bias, relay.write, relay.activation)
    with pytest.raises(InputProblem, match="something else"):
        describe(Stack(pair.layers, (steep,), pair.embedding))


def is_true(document: Document) -> bool:
    """Whether the claim holds, for one unit or two with a relay, from the file's own numbers.

    With one complex unit per layer, `lambda` is a rotation and a scaling: the norm of a Jacobian in
    `max w_k |x_k|` is the larger of `|J11|` and `w_2 (|J21| / w_1 + |J22| / w_2)`, exactly.
    """
    stored, config = document["network"]["tensors"], document["network"]["config"]
    t = {name: tensor(value) for name, value in stored.items()}
    factor = float.fromhex(document["claim"]["factor"])
    if not 0 <= factor < 1:
        return False
    if config["kind"] != "stack":
        scale = tensor(document["metric"]["scale"])
        return bool(_norm(_turn(t, ""), scale, scale) <= factor + 1e-12)
    scales = [tensor(part["scale"]) for part in document["metric"]["parts"]]
    weights = tensor(document["metric"]["weights"])
    scales = [scale * weight for scale, weight in zip(scales, weights, strict=True)]
    lower, upper = _turn(t, "layer_0."), _turn(t, "layer_1.")
    growth = _norm(lower, scales[0], scales[0])
    for slopes in itertools.product(
        ACTIVATIONS[config["relays"][0]["activation"]].slope_interval or (), repeat=2
    ):
        passed = t["relay_0.write"] @ (np.array(slopes)[:, None] * t["relay_0.read"]) @ lower
        across = _norm(t["layer_1.input_weight"] @ passed, scales[1], scales[0])
        growth = max(growth, across + _norm(upper, scales[1], scales[1]))
    return bool(growth <= factor + 1e-12)


def _turn(t: dict[str, np.ndarray], prefix: str) -> np.ndarray:
    a, b = t[prefix + "real"][0], t[prefix + "imaginary"][0]
    return np.array([[a, -b], [b, a]])


def _norm(matrix: np.ndarray, to: np.ndarray, source: np.ndarray) -> float:
    return float(np.linalg.norm(to[:, None] * matrix / source, 2))


# A layer of its own below another: the longest of them.
FORGED = [pytest.param(k, marks=pytest.mark.slow) if k == "single_pair" else k for k in SMALL]


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_field_with_a_new_digest_claims_nothing_false(
    kind: str, models: dict[str, Path], tmp_path: Path
):
    original = read(models[kind])
    assert is_true(original)
    assert not is_true(changed(original, ("claim", "factor"), (0.74).hex()))
    path, tried, accepted = tmp_path / "forged.json", 0, set()
    for place, document in forgeries(original, np.random.default_rng(2)):
        tried += 1
        if accepts(path, sealed(document)):
            accepted.add(place[0])
            assert place[0] in ("prover", "model") or is_true(document), place
    assert tried > 300 and {"prover", "claim"} <= accepted
    for place, document in resized(original):
        assert not accepts(path, sealed(document)), place


@pytest.mark.parametrize("kind", ["pair", "maps", "quadratic"])
def test_every_bound_is_proved_and_used(kind: str, models: dict[str, Path], tmp_path: Path):
    """A norm a thousandth smaller is not true; a much larger one does not suffice."""
    original = read(models[kind])
    for k, joint in enumerate(original["witness"]["joints"]):
        for name, text in joint.items():
            place, value = ("witness", "joints", k, name), float.fromhex(text)
            layer = f"relay {k}" if name in ("write", "read") else f"layer {k + 1}"
            smaller = changed(original, place, (value * 0.999).hex())
            refused(smaller, tmp_path, f"{layer}: the norm {name} is not established")
            larger = changed(original, place, (value * 1e4).hex())
            refused(larger, tmp_path, "the claim does not follow")
            for nothing in (0.0, -value):
                refused(changed(original, place, nothing.hex()), tmp_path, "not established")


@pytest.mark.parametrize("kind", ["pair", "maps"])
def test_weights_parts_and_claims_cannot_be_stretched(
    kind: str, models: dict[str, Path], tmp_path: Path
):
    original = read(models[kind])
    value = float.fromhex(original["claim"]["factor"])
    for change, expected in ((-1e-6, False), (0.0, True), (1e-6, True)):
        other = changed(original, ("claim", "factor"), (value * (1 + change)).hex())
        assert accepts(tmp_path / "claim.json", sealed(other)) == expected
    weights = tensor(original["metric"]["weights"])
    assert weights[-1] < 1
    for k in range(1, len(weights)):
        other = weights.copy()
        other[k] *= 1.01
        # A weight of 1 is as large as wanted, any other as large as can be.
        assert weights[k] == 1 or not accepts(
            tmp_path / "w.json", sealed(_weighed(original, other))
        )
        other[k] = 0.0
        refused(_weighed(original, other), tmp_path, "no maximum over the layers")
    # All weights times one number are the same metric.
    assert accepts(tmp_path / "scaled.json", sealed(_weighed(original, 8 * weights)))
    part = ("witness", "parts", 0, "claim", "factor")
    refused(changed(original, part, (0.7).hex()), tmp_path, "")
    swapped = changed(original, ("witness", "parts"), original["witness"]["parts"][::-1])
    if kind == "maps":
        refused(swapped, tmp_path, "")
    fewer = changed(original, ("witness", "joints"), original["witness"]["joints"][:-1])
    refused(fewer, tmp_path, "the witness does not fit")


def _weighed(document: Document, weights: np.ndarray) -> Document:
    return changed(document, ("metric", "weights"), entry(weights))


def test_theorems_do_not_prove_other_kinds(models: dict[str, Path], tmp_path: Path):
    """Each theorem's own documents, with another theorem's name or another kind's network."""
    single, pair = read(models["recurrence"]), read(models["pair"])
    words = ("absolute_value", "singular_value", "vertices", "sector", "metzler", "ren")
    words += ("skew_feedback", "backward_euler", "euler_step", "input_gates")
    for document, other in ((single, "cascade"), (pair, "diagonal_linear")):
        for theorem in (*words, other):
            forged = {**document, "theorem": theorem}
            assert not accepts(tmp_path / "other.json", sealed(forged)), theorem
    for one, other in ((single, pair), (pair, single)):
        forged = {**one, "network": other["network"]}
        assert not accepts(tmp_path / "other.json", sealed(forged))
    square, line = jnp.zeros((2, 2)), jnp.zeros(2)
    elman = certify(Elman(square, square, line, line))
    assert isinstance(elman, Certificate)
    write_certificate(elman, tmp_path / "elman.json")
    network = json.loads((tmp_path / "elman.json").read_bytes())["network"]
    for document in (single, pair):
        assert not accepts(tmp_path / "other.json", sealed({**document, "network": network}))


def test_a_unit_outside_the_disc_is_never_accepted(models: dict[str, Path], tmp_path: Path):
    original = read(models["recurrence"])
    original["network"]["tensors"] |= {
        "real": entry(np.array([np.sqrt(0.5)])),
        "imaginary": entry(np.array([np.sqrt(0.5)])),
    }
    for bound in (1.0, 1 - 2.0**-53, 1 + 2.0**-52, 2.0):
        claim = changed(original, ("claim", "factor"), bound.hex())
        forged = changed(claim, ("witness", "modules", 0, "bound"), bound.hex())
        assert not accepts(tmp_path / "outside.json", sealed(forged))


@pytest.mark.parametrize("kind", ["single", "single_pair", "maps"])
def test_one_edited_weight_is_noticed(kind: str, models: dict[str, Path], tmp_path: Path):
    """Every tensor, one entry, one unit in the last place."""
    folder = Path(shutil.copytree(models[kind], tmp_path / "model"))
    path = certificate_in(folder)
    path.write_bytes(sealed({**json.loads(path.read_bytes()), "model": None}))
    model = load(folder)
    leaves, structure = jax.tree.flatten(model.system)
    for index, leaf in enumerate(leaves):
        array = np.array(leaf)
        if not array.size:
            continue
        flat = array.reshape(-1)
        flat[-1] = np.nextafter(flat[-1], np.inf, dtype=flat.dtype)
        edited = [*leaves[:index], jnp.asarray(array), *leaves[index + 1 :]]
        try:
            save(folder, replace(model, system=jax.tree.unflatten(structure, edited)))
        except InputProblem:
            continue
        assert not accepts(path), index
    save(folder, model)
    assert accepts(path)


def test_a_metric_with_two_scales_for_one_unit_is_refused(models: dict[str, Path], tmp_path: Path):
    original = read(models["recurrence"])
    for scale, expected in (([2.0, 2.0], True), ([2.0, 1.0], False)):
        forged = changed(original, ("metric", "scale"), entry(np.array(scale)))
        assert accepts(tmp_path / "scale.json", sealed(forged)) == expected
    assert certificate_of("recurrence").metric.condition() == 1
    assert isinstance(certificate_of("recurrence").metric, DiagonalMetric)


def test_networks_that_cannot_exist_are_refused(models: dict[str, Path], tmp_path: Path):
    """What the claim does not depend on has to fit all the same."""
    document = read(models["pair"])
    document["model"] = None
    tensors = document["network"]["tensors"]
    for width in (0, 1, 7):
        wide = json.loads(json.dumps(document))
        wide["network"]["tensors"]["layer_1.input_weight"] = entry(np.ones((2, width)))
        refused(wide, tmp_path, "the stream's width")
    for name in (".embedding", "layer_0.", "embedding."):
        alias = json.loads(json.dumps(document))
        alias["network"]["tensors"][name] = tensors["embedding"]
        refused(alias, tmp_path, "without head or tail")
    cycle = json.loads(json.dumps(document))
    cycle = {key: cycle[key] for key in ("format", "network", "model", "prover")}
    claim = dict.fromkeys(CYCLE.split())
    cycle |= {"statement": "cycle", "theorem": "shooting", "claim": claim, "witness": None}
    path = tmp_path / "cycle.json"
    path.write_bytes(sealed(cycle))
    assert not check(path).accepted
