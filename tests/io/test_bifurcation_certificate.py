"""Certificates of folds, pitchforks, flips and Neimark-Sacker points, proved again from weights."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flint import arb

import limitset.checker._real_critical as checked_real
import limitset.checker._rotation as checked_rotation
from limitset import InputProblem
from limitset.checker import Verdict, check
from limitset.dynamics import BiasFamily, MapFamily, gain_map_family, shift_map_family
from limitset.io import Model, save
from limitset.io._bifurcation_certificate import bifurcation_fields
from limitset.io._certificate import canonical_text, sealed
from limitset.networks import RateFamily, RateNetwork, gain_family, shift_family
from limitset.proofs import (
    Ball,
    NeimarkSacker,
    prove_flip,
    prove_fold,
    prove_neimark_sacker,
    prove_symmetric_pitchfork,
)
from proofs.judging import contains, proved

from .bifurcations import CASES, Case, firing, rotation, stepped
from .forgery import Document

Judge = Callable[[Document], Verdict]


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Dozens of points are proved here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def verdict(document: Document) -> Verdict:
        path = tmp_path / "point.json"
        path.write_text(canonical_text(document))
        return check(path)

    return verdict


WORDS = {
    "fold": ("fold of b + a d", "two equilibria above it, one of them stable"),
    "fold_in_gain": ("fold of a W", "two equilibria above it, none of them stable"),
    "fold_of_cells": ("fold of b + a d", "two equilibria below it, one of them stable"),
    "pitchfork": ("pitchfork at 0 of a W", "the pair of equilibria above it, stable"),
    "subcritical_pitchfork": ("pitchfork at 0 of W + a D", "below it, not stable"),
    "flip": ("flip of a W", "cycles of period two above it, stable"),
    "flip_by_shift": ("flip of W + a I", "cycles of period two below it, stable"),
    "robust_fold": ("fold of b + a d", "one of them stable, for all weights within 9.99e-7"),
    "robust_turning": ("Neimark-Sacker point of a W", "above it, stable, for all weights within"),
    "turning": ("Neimark-Sacker point of a W", "closed invariant curves above it, stable"),
    "neimark_sacker": ("Neimark-Sacker point of a W", "above it, stable"),
    "neimark_sacker_in_a_direction": ("Neimark-Sacker point of W + a D", "above it, not stable"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_is_proved_again(name: str, judge: Judge):
    case = CASES[name]()
    verdict = judge(case.document)
    assert verdict.accepted, verdict.reason
    assert all(words in verdict.claim for words in WORDS[name]), verdict.claim
    assert f"{case.record.unstable} unstable" in verdict.claim and "[checked]" in verdict.claim


def test_the_textbook_fold(judge: Judge):
    """`x' = -x + 2 tanh x + a`: `tanh(x)^2 = 1/2`."""
    record = CASES["fold"]().record
    assert contains(record.parameter, -0.532839975353552, 5e-16)
    assert contains(record.coefficient, -(0.5**0.5), 1e-15)


@pytest.mark.parametrize("angle", [0.3, 1.3, 2.0, 2.9])
def test_rotations(angle: float, judge: Judge):
    """`x+ = tanh(r R x)`: the coefficient is -1/2 for every angle without strong resonance."""
    family = gain_map_family(stepped(firing(rotation(angle))))
    start = (0.99, angle, np.zeros(2), np.array([1.0, -1.0j]))
    record = proved(prove_neimark_sacker(family, *start))
    assert contains(record.coefficient, -0.5) and record.curves_are_stable
    assert judge(Case(record, family).document).accepted


def retold(weight: np.ndarray, angle: float) -> Case:
    """The point of the rotation by one radian, claimed of another network."""
    record, family = CASES["turning"]().record, gain_map_family(stepped(firing(weight)))
    assert isinstance(record, NeimarkSacker)
    state = Ball(np.zeros(len(weight)), np.full(len(weight), 1e-6))
    wide = [Ball(np.array(value), np.array(0.999)) for value in (1.0, 1.0, -1.0)]
    about = dict(zip(("parameter", "speed", "coefficient"), wide, strict=True))
    turned = Ball(np.array(angle), np.array(1e-6))
    return Case(dataclasses.replace(record, state=state, angle=turned, **about), family)


@pytest.mark.parametrize(("trace", "order"), [(2.0, 1), (-2.0, 2), (-1.0, 3), (0.0, 4)])
def test_strong_resonances_are_refused(trace: float, order: int, judge: Judge):
    """Multipliers of modulus exactly 1, by a determinant of 1."""
    weight = np.array([[trace, -1.0], [1.0, 0.0]])
    verdict = judge(retold(weight, 2 * np.pi / order).document)
    assert not verdict.accepted
    assert order < 3 or f"strong resonance: {order}" in verdict.reason
    for other in (1.0, 0.25, -0.5, -1.5):
        fine = np.array([[other, -1.0], [1.0, 0.0]])
        assert judge(retold(fine, float(np.arccos(other / 2))).document).accepted


@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_low_rank_weights_have_many_equal_eigenvalues(form: str, judge: Judge):
    rng = np.random.default_rng(1)
    U = rng.standard_normal((40, 2))
    weight = U @ np.diag([3.0, 2.0]) @ U.T / 40
    family = gain_family(RateNetwork(jnp.asarray(weight), form=form))
    values, vectors = np.linalg.eigh(weight)
    record = proved(prove_symmetric_pitchfork(family, 1 / values[-1], vectors[:, -1]))
    assert judge(Case(record, family).document).accepted


def test_fields_that_are_not_odd_have_no_pitchfork(judge: Judge):
    case = CASES["pitchfork"]()
    assert isinstance(case.family, RateFamily)
    network = case.family.network
    tiny = RateFamily(
        RateNetwork(
            network.weight, bias=jnp.array([1e-300, 0.0, 0.0]), leak=0.8, time_constant=0.5
        ),
        case.family.direction,
    )
    verdict = judge(Case(case.record, tiny).document)
    assert not verdict.accepted and "not odd" in verdict.reason
    bent = RateNetwork(network.weight, activation="sigmoid", leak=0.8, time_constant=0.5)
    verdict = judge(Case(case.record, RateFamily(bent, case.family.direction)).document)
    assert not verdict.accepted and "not odd" in verdict.reason
    # A constant input breaks the symmetry, whatever the bias is at 0.
    document = case.document
    zero = {"kind": "bias", "direction": document["network"]["tensors"]["bias"]}
    verdict = judge(sealed(_unsealed({**document, "family": zero}), None))
    assert not verdict.accepted and "not odd" in verdict.reason


def _unsealed(document: Document) -> Document:
    return {k: v for k, v in document.items() if k not in ("digest", "prover", "model", "format")}


def test_a_cusp_is_no_fold(judge: Judge):
    """At the pitchfork of `-x + a tanh x` no quadratic term is left, in gain and in bias."""
    family = BiasFamily(RateNetwork(jnp.array([[1.0]])), jnp.array([1.0]))
    lie = dataclasses.replace(CASES["fold"]().record, parameter=_ball(0.0), state=_ball([0.0]))
    assert not judge(Case(lie, family).document).accepted


def _ball(value: object) -> Ball:
    middle = np.asarray(value, np.float64)
    return Ball(middle, np.full(middle.shape, 1e-6))


@pytest.mark.parametrize("other", [[[0.0, -1.0], [1.0, 0.0]], [[-1.0]], [[1.0]]])
def test_other_critical_multipliers_are_refused(other: list[list[float]], judge: Judge):
    """Units beside the rotation that do nothing to it, but are critical at the same gain."""
    weight = np.zeros((2 + len(other), 2 + len(other)))
    weight[:2, :2] = [[0.5, -1.0], [1.0, 0.0]]
    for share in (1.0, 0.999):
        weight[2:, 2:] = share * np.asarray(other)
        verdict = judge(retold(weight, float(np.arccos(0.25))).document)
        assert verdict.accepted == (share < 1), verdict


def test_without_the_resolvents_nothing_agrees(judge: Judge, monkeypatch: pytest.MonkeyPatch):
    """The checker computes the whole coefficient, as the prover does."""
    flip, ring = CASES["flip"]().document, CASES["neimark_sacker"]().document
    assert judge(flip).accepted and judge(ring).accepted
    monkeypatch.setattr(checked_rotation, "_cubic", lambda *_: [arb(-1)] * 3)
    assert "coefficient" in judge(ring).reason
    monkeypatch.setattr(checked_real, "dot", lambda u, v: arb(1))
    assert not judge(flip).accepted


@pytest.mark.parametrize("name", ["turning", "fold_of_cells"])
def test_beside_its_model(name: str, tmp_path: Path):
    """A stored map, and the weights that the certificate names, bit by bit."""
    case = CASES[name]()
    system = stepped(firing(rotation(1.0)))
    if isinstance(case.family, BiasFamily):
        system = case.family.system
    folder = save(tmp_path / "model", Model(system))
    path = folder / "certificates" / "point.json"
    path.parent.mkdir(exist_ok=True)
    fields = bifurcation_fields(case.record, case.family)
    path.write_text(canonical_text(sealed(fields, folder)))
    verdict = check(path)
    assert verdict.accepted and "the model's weights" in verdict.claim, verdict
    save(folder, Model(stepped(firing(rotation(1.1)))))
    assert not check(path).accepted


def test_records_and_families_that_do_not_fit():
    flow, step = gain_family(firing([[1.0]])), gain_map_family(stepped(firing([[1.0]])))
    records = {name: CASES[name]().record for name in ("fold", "pitchfork", "flip", "turning")}
    for name, family in (
        ("pitchfork", step),
        ("flip", flow),
        ("turning", flow),
        ("turning", BiasFamily(firing([[1.0]]), jnp.ones(1))),
    ):
        with pytest.raises(InputProblem, match="needs a"):
            bifurcation_fields(records[name], family)


def test_families_start_at_the_weights_of_the_model():
    step = stepped(firing(rotation(0.5)))
    record = CASES["turning"]().record
    kinds = {
        "gain": gain_map_family(step),
        "shift": shift_map_family(step),
        "direction": MapFamily(step, jnp.ones((2, 2))),
    }
    weight = step.network.weight
    for kind, family in kinds.items():
        document = Case(record, family).document
        assert document["family"]["kind"] == kind
        stored = document["network"]["tensors"]["weight"]
        assert stored == Case(record, kinds["shift"]).document["network"]["tensors"]["weight"]
        assert stored["shape"] == list(weight.shape)


SECONDS = {1: 0.05, 10: 0.2, 50: 5.0}


@pytest.mark.parametrize("size", SECONDS)
def test_checking_is_fast(size: int, judge: Judge):
    for case in timed_cases(size):
        document = case.document
        begin = time.process_time()
        verdict = judge(document)
        assert time.process_time() - begin < SECONDS[size]
        assert verdict.accepted, verdict.reason


def timed_cases(size: int) -> list[Case]:
    """One of every kind, of a unit or pair of units beside a random network."""
    rng = np.random.default_rng(size)

    def beside(block: np.ndarray) -> np.ndarray:
        weight = 0.4 * rng.standard_normal((size, size)) / np.sqrt(size)
        k = len(block)
        weight[:k, :k] = block
        weight[:k, k:], weight[k:, :k] = 0.01 * weight[:k, k:], 0.01 * weight[k:, :k]
        return weight

    one = np.eye(size)[0]
    fold = BiasFamily(firing(beside(np.array([[2.0]]))), jnp.asarray(one))
    x = float(np.sqrt(0.5))
    found = [Case(proved(prove_fold(fold, np.arctanh(x) - 2 * x, x * one, one)), fold)]
    fork = shift_family(firing(beside(np.array([[1.0]]))))
    found.append(Case(proved(prove_symmetric_pitchfork(fork, 0.0, one)), fork))
    flip = gain_map_family(stepped(firing(beside(np.array([[-1.0]])))))
    found.append(Case(proved(prove_flip(flip, 1.0, 0 * one, one)), flip))
    if size > 1:
        turn = gain_map_family(stepped(firing(beside(rotation(1.0)))))
        start = (1.0, 1.0, 0 * one, one - 1j * np.eye(size)[1])
        found.append(Case(proved(prove_neimark_sacker(turn, *start)), turn))
    return found
