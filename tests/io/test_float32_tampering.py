"""The float32 section of every kind of map: no altered number proves anything false."""

import base64
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from contraction.float32_kinds import KINDS, certified, single
from limitset.checker import check
from limitset.contraction import (
    Answer,
    Cascade,
    Certificate,
    Composition,
    Implicit,
    InputGates,
    SingularValue,
    certify,
)
from limitset.dynamics import BackwardEuler, CompositeMap, ExplicitEuler, discretise
from limitset.io import write_certificate
from limitset.io._certificate import canonical_text, certificate_document
from limitset.networks import (
    REN,
    Composite,
    DiagonalRecurrence,
    GatedAssembly,
    GatedRate,
    Relay,
    Stack,
)

from .forgery import Document, accepts, changed, refused, resized, sealed

LAYERED = ("recurrence", "recurrence_stack", "gated_stack", "mixed_stack")
# Proving takes a second or more each: a few of them in the fast suite.
FAST = ("gated", "recurrence", "gated_stack", "hierarchy", "ren")
ALL = [pytest.param(k, id=k, marks=() if k in FAST else pytest.mark.slow) for k in KINDS]
# Kinds without tanh, sigmoid or softplus anywhere, so that the assumed error has no effect.
EXACT = ("recurrence", "recurrence_stack")


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Hundreds of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@functools.cache
def document_of(kind: str) -> Document:
    """A certificate of each kind, as written."""
    answer = certified(kind, KINDS[kind](np.random.default_rng(4)))
    assert isinstance(answer, Certificate) and answer.float32 is not None, kind
    return json.loads(canonical_text(certificate_document(answer)))


def edited(document: Document, **factors: float) -> Document:
    """The document with numbers of its float32 section multiplied."""
    section = {**document["float32"]}
    for key, factor in factors.items():
        section[key] = (float.fromhex(section[key]) * factor).hex()
    return changed(document, ("float32",), section)


def with_radii(document: Document, radii: Any) -> Document:
    return changed(document, ("float32", "radii"), radii)


@pytest.mark.parametrize("kind", ALL)
def test_honest_statements_are_accepted_and_told(kind: str, tmp_path: Path):
    path = tmp_path / "honest.json"
    path.write_bytes(sealed(document_of(kind)))
    verdict = check(path)
    assert verdict.accepted and "float32 runs of one input end within" in verdict.claim, verdict
    assert ("radii" in document_of(kind)["float32"]) == (kind in LAYERED)


@pytest.mark.parametrize("kind", ALL)
def test_whatever_is_tightened_is_refused(kind: str, tmp_path: Path):
    document = document_of(kind)
    attempts: list[dict[str, float]] = [
        {"rounding": 0.99, "gap": 0.99},
        {"gap": 0.99},
        {"input_bound": 3.0},
        {"input_bound": -1.0},
        {"state_radius": -1.0},
        {"state_radius": 0.0},
        {"rounding": 0.0, "gap": 0.0},
        {"state_radius": 1e300, "rounding": 1e300, "gap": 1e300},
        {"activation_error": -1.0},
        {"activation_error": 2.0**10},
    ]
    if kind in LAYERED:
        attempts += [{"state_radius": 1.0001}]
    else:
        attempts += [{"rounding": 0.99}, {"state_radius": 1e-3}, {"rounding": 1e20, "gap": 1e20}]
    if kind not in EXACT:
        attempts += [{"activation_error": 16.0}, {"activation_error": 0.0}]
    for attempt in attempts:
        if kind in EXACT and "activation_error" in attempt:
            continue
        assert not accepts(tmp_path / "lie.json", sealed(edited(document, **attempt))), attempt


@pytest.mark.parametrize("kind", [k for k in ALL if k.id in LAYERED])
def test_rounding_of_layers_is_established(kind: str, tmp_path: Path):
    lie = edited(document_of(kind), rounding=0.99)
    refused(lie, tmp_path, "the rounding error of a step is not established")


@pytest.mark.parametrize("kind", [k for k in ALL if k.id in LAYERED])
def test_radii_that_runs_may_leave_are_refused(kind: str, tmp_path: Path):
    document = document_of(kind)
    radii = [[float.fromhex(r) for r in group] for group in document["float32"]["radii"]]
    for k in range(len(radii)):
        for factor in (0.3, 1e-6, -1.0, 0.0, 1e60):
            group = [(radius * factor).hex() for radius in radii[k]]
            whole = [[r.hex() for r in other] for other in radii]
            whole[k] = group
            lie = with_radii(document, whole)
            assert not accepts(tmp_path / "lie.json", sealed(lie)), (k, factor)
    # The widest disc of recurrences is as small as can be.
    if kind == "recurrence":
        widest = int(np.argmax(radii[0]))
        narrow = [r * (1 - 1e-3 * (i == widest)) for i, r in enumerate(radii[0])]
        refused(with_radii(document, [[r.hex() for r in narrow]]), tmp_path, "may leave its disc")


@pytest.mark.parametrize("kind", [k for k in ALL if k.id in LAYERED])
def test_radii_of_another_form_are_refused(kind: str, tmp_path: Path):
    document = document_of(kind)
    radii = document["float32"]["radii"]
    others: list[Any] = [[], None, radii[:-1], [*radii, radii[0]], [[]] * len(radii), radii[0]]
    others += [[group[:-1] for group in radii], [[*group, group[0]] for group in radii]]
    others += [[[None] * len(group) for group in radii], [[1.0] * len(g) for g in radii], 3, "x"]
    for other in others:
        lie = with_radii(document, other)
        assert not accepts(tmp_path / "lie.json", sealed(lie)), other


@pytest.mark.parametrize("kind", ["gated", "recurrence", "hierarchy"])
def test_fields_more_or_less_are_refused(kind: str, tmp_path: Path):
    for place, document in resized(document_of(kind)):
        if place[:1] == ("float32",):
            assert not accepts(tmp_path / "field.json", sealed(document)), place
    section = document_of("recurrence")["float32"]["radii"]
    if kind != "recurrence":
        lie = changed(document_of(kind), ("float32",), {**document_of(kind)["float32"]})
        lie["float32"]["radii"] = section
        assert not accepts(tmp_path / "field.json", sealed(lie))


def _doubled(kind: str, folder: Path) -> Document:
    """The same kind of map in float64, where a certificate has no float32 section."""
    system = KINDS[kind](np.random.default_rng(4))
    answer = certified(kind, jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), system))
    assert isinstance(answer, Certificate) and answer.float32 is None
    return json.loads(write_certificate(answer, folder / "double.json").read_bytes())


@pytest.mark.parametrize("kind", ["gated", "recurrence", "gated_stack", "hierarchy", "ren"])
def test_sections_do_not_travel(kind: str, tmp_path: Path):
    """Not to float64, and not to a map of another kind."""
    double = _doubled(kind, tmp_path)
    assert accepts(tmp_path / "double.json", sealed(double))
    lie = changed(double, ("float32",), document_of(kind)["float32"])
    refused(lie, tmp_path, "maps of float32 tensors only")
    other = document_of("ren" if kind != "ren" else "gated")["float32"]
    tiny = {k: (float.fromhex(v) * 1e-3).hex() for k, v in other.items() if k != "radii"}
    lie = changed(document_of(kind), ("float32",), {**tiny, "input_bound": (1.0).hex()})
    assert not accepts(tmp_path / "lie.json", sealed(lie))


@pytest.mark.parametrize("kind", ["gated", "recurrence", "gated_stack", "hierarchy", "ren"])
def test_numbers_that_overflow_are_refused(kind: str, tmp_path: Path):
    """In real numbers all bounds grow with the inputs; in float32 they end at 2^126."""
    section, lie = document_of(kind)["float32"], {}
    for key, text in section.items():
        if key == "radii":
            lie[key] = [[(1e40 * float.fromhex(r)).hex() for r in group] for group in text]
        elif key != "activation_error":
            lie[key] = (1e40 * float.fromhex(text)).hex()
    lie |= {"input_bound": (3e38).hex(), "activation_error": section["activation_error"]}
    refused(changed(document_of(kind), ("float32",), lie), tmp_path, "overflow")


def test_every_weight_counts(tmp_path: Path):
    """A weight that nothing bounds any more, in each tensor: the section is no longer proved."""
    for kind in ("gated", "recurrence", "ren"):
        document = document_of(kind)
        for name in document["network"]["tensors"]:
            if name in ("propagator", "step", "real", "imaginary", "slowest"):
                continue
            place = ("network", "tensors", name, "data")
            array = _numbers(document, name)
            if array.size == 0 or name == "D11":
                continue
            array[-1] = 1e4
            lie = changed(document, place, _spelled(array))
            assert not accepts(tmp_path / "lie.json", sealed(lie)), (kind, name)


def _numbers(document: Document, name: str) -> np.ndarray:
    stored = document["network"]["tensors"][name]
    return np.frombuffer(base64.b64decode(stored["data"]), "<f4").copy()


def _spelled(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _without_a_step() -> dict[str, Answer]:
    """Flows, and maps that solve equations of other kinds or in parts, all of float32 tensors."""
    units = GatedRate(single([0.5, -0.5]), single(np.ones((2, 2))), slowest=0.1, fastest=0.5)
    coupled = GatedAssembly(units, single([[0.0, 1.0], [-1.0, 0.0]]))
    implicit = discretise(coupled, BackwardEuler(0.5))
    cell = KINDS["hierarchy"](np.random.default_rng(0)).parts[1]  # pyright: ignore[reportAttributeAccessIssue]
    relay = Relay(single(np.ones((1, 2))), single([0.0]), single([[0.5], [0.5]]))
    stack = Stack((implicit, cell), (relay,), single(np.eye(2)))
    pair = Composite((units, units), single(np.zeros((4, 4))))
    theorem = Implicit((InputGates(),))
    return {
        "units": certify(units),
        "coupled": certify(coupled),
        "implicit": certify(implicit),
        "stack": certify(stack, theorems=(Cascade((theorem, SingularValue())),)),
        "composite": certify(pair, theorems=(Composition((InputGates(),)),)),
        "parts": certify(
            CompositeMap((implicit, implicit), single(0.9 * np.eye(4))),
            theorems=(Composition((theorem,)),),
        ),
    }


def test_flows_and_implicit_steps_have_no_section(tmp_path: Path):
    """A rate is no factor, and nothing says what the solvers of layers and parts may leave."""
    huge, tiny = (1e6).hex(), (1e-3).hex()
    numbers = {"input_bound": tiny, "activation_error": (2.0**-19).hex()}
    numbers |= {"state_radius": huge, "rounding": huge, "gap": (1e9).hex()}
    for name, answer in _without_a_step().items():
        assert isinstance(answer, Certificate) and answer.float32 is None, name
        document = json.loads(canonical_text(certificate_document(answer)))
        assert accepts(tmp_path / "honest.json", sealed(document)), name
        layers: dict[str, Any] = {"radii": [[huge], [huge]]} if name == "stack" else {}
        layers |= {"residual": tiny} if name == "implicit" else {}
        for radius in (huge, (10.0).hex()):
            lie = {**numbers, "rounding": radius, "state_radius": radius, **layers}
            refused(changed(document, ("float32",), lie), tmp_path, "float32 is not known")


def test_maps_without_units_inputs_or_weights_are_stated_and_checked(tmp_path: Path):
    def none(*shape: int) -> jax.Array:
        return single(np.zeros(shape))

    still = DiagonalRecurrence(none(2), none(2), none(4, 1), none(4))
    half = single([[0.5, 0.1], [0.0, 0.5]])
    rest = (none(0, 2), none(0, 0), none(0, 1), none(0))
    systems = (
        still,
        DiagonalRecurrence(single([0.5]), single([0.1])),
        Stack((still, still), (Relay(none(1, 4), none(1), none(1, 1)),), none(1, 1)),
        discretise(GatedRate(none(2), slowest=0.1, fastest=0.5), ExplicitEuler(1.0)),
        REN(half, none(2, 0), single([[1.0], [1.0]]), none(2), *rest),
    )
    for system in systems:
        answer = certify(system)
        assert isinstance(answer, Certificate) and answer.float32 is not None
        document = json.loads(canonical_text(certificate_document(answer)))
        assert accepts(tmp_path / "small.json", sealed(document)), type(system).__name__
