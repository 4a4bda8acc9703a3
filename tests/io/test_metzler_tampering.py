"""Sums and maxima: whatever is changed in a certificate, no false claim is accepted."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset.checker import check
from limitset.contraction import (
    Certificate,
    DiagonalMetric,
    MaximumMetric,
    Metzler,
    QuadraticMetric,
    Sector,
    SumMetric,
    certify,
)
from limitset.dynamics import (
    AbstractFlow,
    AbstractMap,
    BackwardEuler,
    ExplicitEuler,
    SemiImplicit,
    discretise,
)
from limitset.io import Model, save, write_certificate
from limitset.networks import Assembly, Elman, RateNetwork

from .forgery import Document, accepts, changed, forgeries, refused, resized, sealed, tensor
from .test_certificate_tampering import certificate_in, corner_jacobians


def _rate(**options: Any) -> RateNetwork:
    weight, inputs = jnp.array([[-2.0, 0.75], [0.5, -1.5]]), jnp.array([[0.5], [1.0]])
    return RateNetwork(weight, inputs, jnp.array([0.1, -0.2]), **options)


def _assembly(*forms: str) -> Assembly:
    modules = [_rate(form=form, activation="sigmoid") for form in forms]
    coupling = np.zeros((4, 4))
    coupling[2:, :2], coupling[:2, 2:] = [[0.125, 0.0], [0.0625, 0.1]], [[0.0, -0.1], [0.2, 0.05]]
    return Assembly(modules, jnp.asarray(coupling))


def _elman() -> Elman:
    rate = _rate()
    return Elman(rate.input_weight, 0.3 * rate.weight, rate.bias, rate.bias)


KINDS: dict[str, Callable[[], AbstractFlow | AbstractMap]] = {
    "sum": _rate,
    "maximum": lambda: _rate(form="firing_rate", activation="relu"),
    "sum_map": lambda: discretise(_rate(), ExplicitEuler(0.25)),
    "elman": _elman,
    "assembly": lambda: _assembly("hopfield", "hopfield"),
    "mixed": lambda: _assembly("hopfield", "firing_rate"),
    "propagator": lambda: discretise(_assembly(*["firing_rate"] * 2), SemiImplicit(0.25)),
}


def certificate_of(kind: str) -> Certificate:
    answer = certify(KINDS[kind](), theorems=(Metzler(),), input_bound=None)
    assert isinstance(answer, Certificate), answer.reason
    return answer


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def models(no_shape_checks: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root, folders = tmp_path_factory.mktemp("models"), {}
    for kind in KINDS:
        answer = certificate_of(kind)
        folders[kind] = save(root / kind, Model(answer.system))
        write_certificate(answer, certificate_in(folders[kind]), model=folders[kind])
    return folders


def is_true(document: Document) -> bool:
    """Whether the claim holds at all corners of the slopes, up to float64 rounding."""
    scale, claim = tensor(document["metric"]["scale"]), document["claim"]
    axis = {"sum": 0, "maximum": 1}[document["metric"]["kind"]]
    for jacobian in corner_jacobians(document["network"]):
        whitened = np.abs(scale[:, None] * jacobian / scale)
        if claim["time"] == "continuous":
            np.fill_diagonal(whitened, np.diag(jacobian))
            growth = whitened.sum(axis).max()
            if not (growth <= -float.fromhex(claim["rate"]) + 1e-12 and growth < 0):
                return False
        elif not whitened.sum(axis).max() <= min(float.fromhex(claim["factor"]) + 1e-12, 1.0):
            return False
    return document["float32"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_honest_certificates_are_accepted_and_true(kind: str, models: dict[str, Path]):
    path = certificate_in(models[kind])
    verdict = check(path)
    assert verdict.accepted and "the model's weights" in verdict.claim, verdict.reason
    document = json.loads(path.read_bytes())
    assert is_true(document) and sealed(document) == path.read_bytes()
    name = "rate" if "rate" in document["claim"] else "factor"
    value = float.fromhex(document["claim"][name])
    bolder = 3 * value if name == "rate" else value / 3
    assert not is_true(changed(document, ("claim", name), bolder.hex()))


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_can_be_dropped_or_added(kind: str, models: dict[str, Path], tmp_path: Path):
    original = json.loads(certificate_in(models[kind]).read_bytes())
    for place, document in resized(original):
        assert not accepts(tmp_path / "field.json", sealed(document)), place


@pytest.mark.parametrize("kind", KINDS)
def test_a_forged_field_with_a_new_digest_claims_nothing_false(
    kind: str, models: dict[str, Path], tmp_path: Path
):
    original = json.loads(certificate_in(models[kind]).read_bytes())
    path, tried, accepted = tmp_path / "forged.json", 0, set()
    for place, document in forgeries(original, np.random.default_rng(2)):
        tried += 1
        if accepts(path, sealed(document)):
            accepted.add(place[0])
            assert place[0] in ("prover", "model") or is_true(document), place
    assert tried > 250 and {"prover", "claim"} <= accepted


def test_a_claim_is_accepted_exactly_as_far_as_it_is_proved(
    models: dict[str, Path], tmp_path: Path
):
    for kind in KINDS:
        document = json.loads(certificate_in(models[kind]).read_bytes())
        name = "rate" if "rate" in document["claim"] else "factor"
        value, sign = float.fromhex(document["claim"][name]), 1 if name == "rate" else -1
        for change, expected in ((1e-9, False), (0.0, True), (-1e-6, True)):
            other = changed(document, ("claim", name), (value * (1 + sign * change)).hex())
            assert accepts(tmp_path / "c.json", sealed(other)) == expected, (kind, change)


def test_the_wrong_norm_is_refused(models: dict[str, Path], tmp_path: Path):
    """A sum for a maximum, or either for a sum of squares: the same numbers say something else."""
    for kind, other in (("sum", "maximum"), ("maximum", "sum"), ("sum", "diagonal")):
        document = json.loads(certificate_in(models[kind]).read_bytes())
        lie = changed(document, ("metric", "kind"), other)
        assert other == "diagonal" or not is_true(lie)
        refused({**lie, "model": None}, tmp_path, "" if other == "diagonal" else "not established")
    document = json.loads(certificate_in(models["sum"]).read_bytes())
    for theorem in ("absolute_value", "singular_value", "sector", "vertices", "skew_feedback"):
        lie = changed({**document, "model": None}, ("theorem",), theorem)
        refused(lie, tmp_path, "")


def test_sums_are_no_metric_for_skew_feedback(models: dict[str, Path], tmp_path: Path):
    document = json.loads(certificate_in(models["assembly"]).read_bytes())
    refused(changed({**document, "model": None}, ("theorem",), "skew_feedback"), tmp_path, "")


def test_backward_euler_of_a_sum_is_accepted_and_no_bolder_claim(tmp_path: Path):
    system = discretise(_rate(), BackwardEuler(0.5))
    answer = certify(system, metric=SumMetric(jnp.ones(2)), input_bound=None)
    assert isinstance(answer, Certificate) and answer.theorem == "backward_euler"
    path = write_certificate(answer, tmp_path / "c.json")
    assert check(path).accepted
    document = json.loads(path.read_bytes())
    factor = float.fromhex(document["claim"]["factor"])
    lie = changed(document, ("claim", "factor"), (0.999 * factor).hex())
    assert not accepts(tmp_path / "lie.json", sealed(lie))


@pytest.mark.parametrize("metric", [DiagonalMetric(jnp.array([1.0, 1.25])), None])
def test_a_sector_in_a_given_metric_claims_nothing_false(
    metric: DiagonalMetric | None, tmp_path: Path
):
    used = metric or QuadraticMetric(jnp.array([[1.0, 0.125], [0.125, 1.5]]))
    answer = certify(_rate(), metric=used, theorems=(Sector(),), input_bound=None)
    assert isinstance(answer, Certificate)
    path = write_certificate(answer, tmp_path / "c.json")
    assert check(path).accepted
    original = json.loads(path.read_bytes())
    for place, document in forgeries(original, np.random.default_rng(3)):
        if place[0] in ("claim", "metric", "witness", "theorem", "network"):
            if not accepts(path, sealed(document)):
                continue
            rate = float.fromhex(document["claim"]["rate"])
            entry = document["metric"]
            scale = tensor(entry["scale"]) if "scale" in entry else None
            M = np.diag(scale**2) if scale is not None else tensor(entry["matrix"])
            for jacobian in corner_jacobians(document["network"]):
                growth = QuadraticMetric(jnp.asarray(M)).measure(jnp.asarray(jacobian))
                assert growth <= -rate + 1e-12, place


def test_weights_of_many_magnitudes_are_decided(tmp_path: Path):
    """Scales far apart: what the prover accepts, the checker accepts."""
    weight = jnp.array([[-1.0, 1e8], [1e-9, -2.0]])
    for form, kind in (("hopfield", SumMetric), ("firing_rate", MaximumMetric)):
        answer = certify(RateNetwork(weight, form=form), theorems=(Metzler(),))
        assert isinstance(answer, Certificate) and isinstance(answer.metric, kind)
        assert check(write_certificate(answer, tmp_path / "c.json")).accepted
