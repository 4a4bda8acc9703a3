"""The float32 section of backward Euler: no altered number proves anything false."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from contraction.implicit_maps import FLOWS, at_step, certified, double, single
from limitset.checker import check
from limitset.contraction import (
    Certificate,
    MaximumMetric,
    QuadraticMetric,
    SumMetric,
    certify,
)
from limitset.dynamics import ExplicitEuler, discretise
from limitset.io._certificate import canonical_text, certificate_document
from limitset.networks import RateNetwork

from .forgery import Document, accepts, changed, entry, refused, resized, sealed, spelled

KINDS = ("hopfield_tanh", "firing_rate_relu", "assembly")
EXACT = ("firing_rate_relu",)


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Many files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def written(answer: object) -> Document:
    assert isinstance(answer, Certificate)
    return json.loads(canonical_text(certificate_document(answer)))


@functools.cache
def document_of(kind: str) -> Document:
    return written(certified(at_step(FLOWS[kind](np.random.default_rng(4)), 0.5)))


def edited(document: Document, **factors: float) -> Document:
    """The document with numbers of its float32 section multiplied."""
    section = {**document["float32"]}
    for key, factor in factors.items():
        section[key] = (float.fromhex(section[key]) * factor).hex()
    return changed(document, ("float32",), section)


@pytest.mark.parametrize("kind", KINDS)
def test_the_condition_is_told(kind: str, tmp_path: Path):
    path = tmp_path / "honest.json"
    path.write_bytes(sealed(document_of(kind)))
    verdict = check(path)
    assert verdict.accepted and "residual of every step <= " in verdict.claim, verdict
    told = float(verdict.claim.split("residual of every step <= ")[1].split(")")[0])
    residual = float.fromhex(document_of(kind)["float32"]["residual"])
    assert 0 <= residual - told <= 1e-8 * residual


@pytest.mark.parametrize("kind", KINDS)
def test_residuals_and_radii_are_believed_as_far_as_the_rest_follows(kind: str, tmp_path: Path):
    """A smaller residual, with the rounding and gap as they were, is a weaker claim."""
    document, path = document_of(kind), tmp_path / "other.json"
    assert accepts(path, sealed(edited(document, residual=0.5)))
    assert accepts(path, sealed(edited(document, residual=1e-30)))
    attempts: list[dict[str, float]] = [
        {"residual": 1.001},
        {"residual": 2.0},
        {"residual": 0.0},
        {"residual": -1.0},
        {"residual": -1e-300},
        {"residual": 1e300},
        {"residual": 0.5, "rounding": 0.4, "gap": 0.4},
        {"rounding": 0.99, "gap": 0.99},
        {"rounding": 0.0, "gap": 0.0},
        {"rounding": -1.0, "gap": -1.0},
        {"rounding": 1e20, "gap": 1e20},
        {"residual": 1e9, "rounding": 1e9, "gap": 1e9},
        {"gap": 0.99},
        {"input_bound": 3.0},
        {"input_bound": -1.0},
        {"state_radius": 1e-3},
        {"state_radius": 0.0},
        {"state_radius": -1.0},
        {"state_radius": 1e300, "rounding": 1e300, "gap": 1e300, "residual": 1e300},
        {"activation_error": -1.0},
        {"activation_error": 2.0**10},
    ]
    if kind not in EXACT:
        attempts += [{"activation_error": 16.0}, {"activation_error": 0.0}]
    for attempt in attempts:
        if kind not in EXACT or "activation_error" not in attempt:
            assert not accepts(path, sealed(edited(document, **attempt))), attempt


def test_every_metric_of_entries_carries_the_statement(tmp_path: Path):
    flow = FLOWS["hopfield_tanh"](np.random.default_rng(4))
    assert isinstance(flow, RateNetwork)
    system = at_step(eqx.tree_at(lambda f: f.weight, flow, 0.3 * flow.weight), 0.5)
    metrics = (
        QuadraticMetric(jnp.asarray(np.eye(4) + 0.1)),
        SumMetric(jnp.ones(4)),
        MaximumMetric(jnp.ones(4)),
    )
    for metric in metrics:
        document = written(certify(system, metric=metric))
        assert document["float32"] is not None
        assert accepts(tmp_path / "honest.json", sealed(document)), type(metric).__name__
        for attempt in ({"rounding": 0.99}, {"residual": 1.001}, {"gap": 0.99}):
            assert not accepts(tmp_path / "lie.json", sealed(edited(document, **attempt)))


@pytest.mark.parametrize("kind", KINDS)
def test_fields_of_another_form_are_refused(kind: str, tmp_path: Path):
    document = document_of(kind)
    for place, other in resized(document):
        if place[:1] == ("float32",):
            assert not accepts(tmp_path / "field.json", sealed(other)), place
    for value in (None, 0, 1e-6, True, [], "nan", "inf", "-inf", "0x0p+0", "1e-6", "NaN"):
        lie = changed(document, ("float32", "residual"), value)
        assert not accepts(tmp_path / "field.json", sealed(lie)), value
    for value in (float("nan"), float("inf")):
        lie = changed(document, ("float32", "residual"), value)
        assert not accepts(tmp_path / "field.json", spelled(lie)), value
    layered = {**document["float32"], "radii": [[document["float32"]["state_radius"]]]}
    assert not accepts(tmp_path / "f.json", sealed(changed(document, ("float32",), layered)))


def test_a_residual_on_a_map_that_solves_nothing_is_refused(tmp_path: Path):
    network = RateNetwork(single([[0.5, 0.1], [0.0, 0.5]]), single(np.ones((2, 1))))
    document = written(certify(discretise(network, ExplicitEuler(0.5))))
    assert accepts(tmp_path / "honest.json", sealed(document))
    section = {**document["float32"], "residual": (1e-6).hex()}
    refused(changed(document, ("float32",), section), tmp_path, "exactly the keys")


def test_sections_do_not_travel_to_other_steps_weights_or_arithmetic(tmp_path: Path):
    """Not to float64, not to a longer step of the same flow, not to a wider network."""
    flow = FLOWS["hopfield_tanh"](np.random.default_rng(4))
    section = document_of("hopfield_tanh")["float32"]
    assert isinstance(flow, RateNetwork)
    wider = eqx.tree_at(lambda f: f.input_weight, flow, 4 * flow.input_weight)
    for other in (double(at_step(flow, 0.5)), at_step(flow, 5.0), at_step(wider, 0.5)):
        document = written(certified(other))
        assert accepts(tmp_path / "honest.json", sealed(document))
        lie = changed(document, ("float32",), section)
        assert not accepts(tmp_path / "lie.json", sealed(lie))
    mixed = document_of("hopfield_tanh")
    step = {**entry(np.array([0.5])), "shape": []}
    lie = changed(mixed, ("network", "tensors", "step"), step)
    refused(lie, tmp_path, "float32 tensors only")


def test_constants_that_no_float32_holds_are_refused(tmp_path: Path):
    """Leak and time constant stand in the configuration, and are computed with."""
    document = document_of("firing_rate_relu")
    config = ("network", "config")
    for name, value in (("leak", 0.1), ("time_constant", 0.1), ("leak", 2.0**-130)):
        lie = changed(document, (*config, name), value)
        # Whether the rate still follows is another question: give it away.
        lie["float32"] = {**lie["float32"], "gap": (1e3).hex(), "rounding": (1e-2).hex()}
        assert not accepts(tmp_path / "lie.json", sealed(lie)), (name, value)
    still = RateNetwork(single([[0.0]]), leak=1.0, time_constant=1.0)
    honest = written(certified(at_step(still, 0.5)))
    assert accepts(tmp_path / "honest.json", sealed(honest))
    # A larger leak only helps the proof of contraction.
    for value, reason in ((1.1, "no float32"), (2.0**27, "no float32"), (1.5, "")):
        lie = changed(honest, (*config, "leak"), value)
        if reason:
            refused(lie, tmp_path, reason)
    tiny = changed(honest, (*config, "time_constant"), 2.0**-130)
    refused(tiny, tmp_path, "subnormal, or enormous")
