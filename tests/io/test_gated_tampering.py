"""Gated units and recurrent equilibrium networks: no altered certificate proves anything false."""

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
from limitset.contraction import (
    Certificate,
    DiagonalMetric,
    QuadraticMetric,
    certify,
    gated_assembly,
)
from limitset.contraction._float32_step import local_step
from limitset.contraction._size import exact_inputs
from limitset.dynamics import (
    AbstractFlow,
    AbstractMap,
    BackwardEuler,
    Cayley,
    ExplicitEuler,
    SemiImplicit,
    discretise,
)
from limitset.io import Model, describe, load, rebuild, save, write_certificate
from limitset.networks import ACTIVATIONS, REN, GatedAssembly, GatedRate

from .forgery import (
    Document,
    accepts,
    changed,
    claim_holds,
    entry,
    forgeries,
    resized,
    sealed,
    tensor,
)


def _units(single: bool = False) -> GatedRate:
    dtype = jnp.float32 if single else jnp.float64
    arrays = ([0.5, -1.25, 0.75], [[0.5], [1.0], [-1.0]], [0.1, -0.2, 0.0])
    weight, inputs, bias = (jnp.asarray(a, dtype) for a in arrays)
    return GatedRate(
        weight,
        inputs,
        bias,
        gate_weight=-inputs,
        gate_bias=jnp.asarray([0.0, 0.5, -0.5], dtype),
        slowest=jnp.asarray([0.125, 0.25, 0.0625], dtype),
        fastest=jnp.asarray([0.5, 0.75, 0.875], dtype),
    )


def _assembly(single: bool = False) -> GatedAssembly:
    units = _units(single)
    lower = np.tril([[0, 0, 0], [1.5, 0, 0], [-0.75, 2.25, 0]])
    scale = np.array([1.0, 2.0, 0.5])
    coupling = (lower - lower.T) * scale / scale[:, None]
    return GatedAssembly(units, jnp.asarray(coupling, units.self_weight.dtype))


def _ren(activation: str, single: bool) -> REN:
    rng = np.random.default_rng(3)
    shapes = ((2, 2), (2, 3), (2, 1), (2,), (3, 2), (3, 3), (3, 1), (3,))
    A, B1, B2, bx, C1, D11, D12, bv = (0.3 * rng.standard_normal(shape) for shape in shapes)
    leaves = (A, B1, B2, bx, C1, np.tril(D11, -1), D12, bv)
    dtype = jnp.float32 if single else jnp.float64
    return REN(*(jnp.asarray(leaf, dtype) for leaf in leaves), activation=activation)


KINDS: dict[str, Callable[[], AbstractFlow | AbstractMap]] = {
    "units": _units,
    "units_map": lambda: discretise(_units(True), ExplicitEuler(0.5)),
    "assembly": _assembly,
    "semi_implicit": lambda: discretise(_assembly(), SemiImplicit(0.5)),
    "cayley": lambda: discretise(_assembly(True), Cayley(0.5)),
    "backward_euler": lambda: discretise(_assembly(), BackwardEuler(0.5)),
    "ren": lambda: _ren("tanh", False),
    "ren_sigmoid": lambda: _ren("sigmoid", True),
}


def certificate_of(kind: str) -> Certificate:
    answer = certify(KINDS[kind]())
    assert isinstance(answer, Certificate), answer.reason
    return answer


def certificate_in(folder: Path) -> Path:
    return folder / "certificates" / "contraction.json"


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Thousands of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def models(no_shape_checks: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    folders = {}
    for kind in KINDS:
        answer = certificate_of(kind)
        folders[kind] = save(root / kind, Model(answer.system, about={"note": "tampering"}))
        write_certificate(answer, certificate_in(folders[kind]), model=folders[kind])
    return folders


def jacobians(network: Document) -> Iterator[np.ndarray]:
    """The Jacobians at all corners of gates and slopes, from the stored numbers."""
    t = {name: tensor(stored) for name, stored in network["tensors"].items()}
    config = network["config"]
    slopes = ACTIVATIONS[config["activation"]].slope_interval or ()
    if config["kind"] == "ren":
        for corner in itertools.product(slopes, repeat=len(t["bv"])):
            S = np.diag(corner)
            inner = np.linalg.solve(np.eye(len(S)) - S @ np.tril(t["D11"], -1), S @ t["C1"])
            yield t["A"] + t["B1"] @ inner
        return
    n = len(t["self_weight"])
    scheme = (config["discretisation"] or {}).get("scheme")
    for ends in itertools.product((t["slowest"], t["fastest"]), repeat=n):
        gates = np.array([end[i] for i, end in enumerate(ends)])
        for corner in itertools.product(slopes, repeat=n):
            local = np.diag(gates * (t["self_weight"] * np.array(corner) - 1))
            if scheme is None:
                yield local + t.get("coupling", 0.0)
            elif scheme == "backward_euler":
                flow = local + t.get("coupling", 0.0)
                yield np.linalg.inv(np.eye(n) - t["step"] * flow)
            else:
                yield t.get("propagator", np.eye(n)) @ (np.eye(n) + t["step"] * local)


def is_true(document: Document) -> bool:
    """Whether the claim holds at all corners, and that about float32 too."""
    if not claim_holds(document, jacobians(document["network"])):
        return False
    return document["float32"] is None or float32_is_true(document)


def float32_is_true(document: Document) -> bool:
    """The float32 numbers against the prover's bounds, which share nothing with the checker."""
    stated = {key: float.fromhex(value) for key, value in document["float32"].items()}
    stored = document["network"]["tensors"].items()
    tensors = {name: tensor(one).astype(one["dtype"]) for name, one in stored}
    system = rebuild(document["network"]["config"], tensors)
    assert isinstance(system, AbstractMap)
    metric = {key: tensor(one) for key, one in document["metric"].items() if key != "kind"}
    form = QuadraticMetric if "matrix" in metric else DiagonalMetric
    modules = document["witness"].get("modules", [])
    certificate = Certificate(
        system,
        document["theorem"],
        form(**{key: jnp.asarray(array) for key, array in metric.items()}),
        None,
        float.fromhex(document["claim"]["factor"]),
        (),
        tuple(float.fromhex(module["bound"]) for module in modules),
        tuple(map(float.fromhex, document["witness"].get("coupling", []))),
        tuple(tensor(q).tolist()) if (q := document["witness"].get("multipliers")) else (),
    )
    inputs = exact_inputs(system.input_size, stated["input_bound"])
    step = local_step(certificate, inputs, stated["activation_error"])
    assert step is not None and certificate.factor is not None
    found = step(stated["state_radius"])
    stays = found.reached + stated["rounding"] <= stated["state_radius"] * (1 + 1e-9)
    enough = found.rounding <= stated["rounding"] * (1 + 1e-8)
    follows = 2 * stated["rounding"] <= stated["gap"] * (1 - certificate.factor) * (1 + 1e-12)
    return stays and enough and follows


def test_a_gated_assembly_without_pairs_is_checked_too(tmp_path: Path):
    core = gated_assembly(jax.random.key(0), modules=2, units=3, inputs=1, pairs=0)
    answer = certify(core.explicit(), metric=core.metric())
    assert isinstance(answer, Certificate)
    folder = save(tmp_path / "model", Model(answer.system))
    write_certificate(answer, certificate_in(folder), model=folder)
    assert accepts(certificate_in(folder))


@pytest.mark.parametrize("kind", KINDS)
def test_honest_certificates_are_accepted_and_true(kind: str, models: dict[str, Path]):
    path = certificate_in(models[kind])
    verdict = check(path)
    assert verdict.accepted and "the model's weights" in verdict.claim, verdict.reason
    document = json.loads(path.read_bytes())
    assert sealed(document) == path.read_bytes() and is_true(document)
    name = "rate" if "rate" in document["claim"] else "factor"
    value = float.fromhex(document["claim"][name])
    bolder = 3 * value if name == "rate" else value / 3
    assert not is_true(changed(document, ("claim", name), bolder.hex()))


@pytest.mark.parametrize("kind", KINDS)
def test_models_come_back_bit_for_bit(kind: str, models: dict[str, Path]):
    system, model = KINDS[kind](), load(models[kind])
    assert jax.tree.structure(model.system) == jax.tree.structure(system)
    same = jax.tree.map(
        lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), model.system, system
    )
    assert jax.tree.all(same)


@pytest.mark.parametrize("kind", KINDS)
def test_forged_fields_claim_nothing_false(kind: str, models: dict[str, Path], tmp_path: Path):
    original = json.loads(certificate_in(models[kind]).read_bytes())
    path, tried, accepted = tmp_path / "forged.json", 0, set()
    for place, document in forgeries(original, np.random.default_rng(2)):
        tried += 1
        if accepts(path, sealed(document)):
            accepted.add(place[0])
            assert place[0] in ("prover", "model") or is_true(document), place
    assert tried > 300 and "prover" in accepted


@pytest.mark.parametrize("kind", KINDS)
def test_fields_more_or_less_are_refused(kind: str, models: dict[str, Path], tmp_path: Path):
    original = json.loads(certificate_in(models[kind]).read_bytes())
    for place, document in resized(original):
        assert not accepts(tmp_path / "forged.json", sealed(document)), place


@pytest.mark.parametrize("kind", KINDS)
def test_a_claim_is_accepted_exactly_as_far_as_it_is_proved(
    kind: str, models: dict[str, Path], tmp_path: Path
):
    document = json.loads(certificate_in(models[kind]).read_bytes())
    document["float32"] = None  # its gap follows from the factor as it stands
    name = "rate" if "rate" in document["claim"] else "factor"
    value, sign = float.fromhex(document["claim"][name]), 1 if name == "rate" else -1
    for change, expected in ((1e-5, False), (0.0, True), (-1e-5, True)):
        other = changed(document, ("claim", name), (value * (1 + sign * change)).hex())
        assert accepts(tmp_path / "claim.json", sealed(other)) == expected, change


BORROWED = {
    "absolute_value": {"modules": [], "coupling": []},
    "singular_value": {"modules": [], "coupling": []},
    "skew_feedback": {"modules": [], "coupling": [(4.0).hex()]},
    "sector": {"multipliers": {"dtype": "float64", "shape": [0], "data": ""}},
    "input_gates": {"modules": [{"theorem": "input_gates", "bound": (0.1).hex()}], "coupling": []},
    "ren": {"multipliers": {"dtype": "float64", "shape": [0], "data": ""}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_theorems_about_other_networks_prove_nothing(
    kind: str, models: dict[str, Path], tmp_path: Path
):
    """A theorem about layers finds none here, and must not conclude that all is well."""
    original = json.loads(certificate_in(models[kind]).read_bytes())
    name = "rate" if "rate" in original["claim"] else "factor"
    bold = changed(original, ("claim", name), (9.0 if name == "rate" else 1e-9).hex())
    for theorem, witness in BORROWED.items():
        document = changed(changed(bold, ("theorem",), theorem), ("witness",), witness)
        assert not accepts(tmp_path / "borrowed.json", sealed(document)), theorem


@pytest.mark.parametrize("coupled", [False, True])
def test_an_implicit_step_is_not_taken_for_an_explicit_one(coupled: bool, tmp_path: Path):
    """`1 - h r`, the factor of the explicit step, is less than the `1 / (1 + h r)` of this one."""
    flow = _assembly() if coupled else _units()
    answer = certify(discretise(flow, BackwardEuler(0.5)))
    assert isinstance(answer, Certificate) and answer.theorem == "backward_euler"
    original = json.loads(write_certificate(answer, tmp_path / "implicit.json").read_bytes())
    explicit = certify(discretise(_units(), ExplicitEuler(0.5)))
    assert isinstance(explicit, Certificate)
    assert (explicit.factor or 1) < (answer.factor or 0)
    other = json.loads(write_certificate(explicit, tmp_path / "explicit.json").read_bytes())
    document = {**original, **{key: other[key] for key in ("theorem", "claim", "witness")}}
    assert coupled or not is_true(document)  # the coupling damps, but nothing here proves it
    assert not accepts(tmp_path / "lie.json", sealed(document))


@pytest.mark.parametrize("kind", KINDS)
def test_one_edited_weight_is_noticed(kind: str, models: dict[str, Path], tmp_path: Path):
    folder = Path(shutil.copytree(models[kind], tmp_path / "model"))
    path = certificate_in(folder)
    path.write_bytes(sealed({**json.loads(path.read_bytes()), "model": None}))
    assert accepts(path)
    model = load(folder)
    leaves, structure = jax.tree.flatten(model.system)
    for index, leaf in enumerate(leaves):
        array = np.array(leaf)
        flat = array.reshape(-1)
        flat[-1] = np.nextafter(flat[-1], np.inf, dtype=flat.dtype)
        edited = [*leaves[:index], jnp.asarray(array), *leaves[index + 1 :]]
        save(folder, replace(model, system=jax.tree.unflatten(structure, edited)))
        assert not accepts(path), index


def test_entries_above_the_diagonal_of_d11_are_refused(models: dict[str, Path], tmp_path: Path):
    """A network whose units wait for one another in a circle is not what the theorem is about."""
    original = json.loads(certificate_in(models["ren"]).read_bytes())
    place = ("network", "tensors", "D11", "data")
    raw = np.zeros((3, 3))
    raw[0, 2] = 1e-300
    document = changed(original, place, entry(raw)["data"])
    assert not accepts(tmp_path / "circle.json", sealed(document))


def test_a_metric_that_does_not_suit_is_refused(models: dict[str, Path], tmp_path: Path):
    """The coupling is skew in one metric; with another in its place nothing follows."""
    original = json.loads(certificate_in(models["assembly"]).read_bytes())
    other = certify(_units(), metric=DiagonalMetric(jnp.ones(3)))
    assert isinstance(other, Certificate)
    path = write_certificate(other, tmp_path / "units.json")
    document = changed(original, ("metric",), json.loads(path.read_bytes())["metric"])
    assert not accepts(tmp_path / "metric.json", sealed(document))


@pytest.mark.parametrize(
    "change",
    [
        {"coupled": True},
        {"coupled": 1},
        {"activation": "swish"},
        {"discretisation": {"scheme": "cayley", "step": 0.5}},
        {"discretisation": {"scheme": "explicit_euler", "step": 0}},
        {"discretisation": "explicit_euler"},
        {"extra": 1},
    ],
)
def test_configurations_that_do_not_fit_are_refused_in_one_line(change: dict[str, object]):
    config, tensors = describe(KINDS["units_map"]())
    with pytest.raises(InputProblem) as problem:
        rebuild({**config, **change}, tensors)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("kind", ["units", "cayley", "ren"])
def test_tensors_that_do_not_fit_are_refused_in_one_line(kind: str):
    config, tensors = describe(KINDS[kind]())
    for name, array in tensors.items():
        broken = np.zeros((5, *array.shape), array.dtype)
        others = {k: v for k, v in tensors.items() if k != name}
        for wrong in (others, {**others, name: broken}, {**tensors, "more": array}):
            with pytest.raises(InputProblem) as problem:
                rebuild(config, wrong)
            assert "\n" not in str(problem.value)
