"""Explanations: every theorem has words; weak directions are where the inequality is tight."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from contraction.test_sector import network, random, systems
from limitset.contraction import (
    THEOREMS,
    AbsoluteValue,
    Certificate,
    DiagonalMetric,
    MaximumMetric,
    Metzler,
    QuadraticMetric,
    Refuted,
    Sector,
    SingularValue,
    SkewFeedback,
    SumMetric,
    Unknown,
    Weakness,
    certify,
    explain,
    weakest_direction,
)
from limitset.contraction._explain import INEQUALITIES
from limitset.dynamics import BackwardEuler, ExplicitEuler, SemiImplicit, discretise
from limitset.networks import Assembly, RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def weakness(system: Any, **options: Any) -> Weakness:
    found = weakest_direction(certify(system, **options))
    assert found is not None
    return found


def test_every_theorem_has_its_inequality():
    names = {theorem.name for theorem in THEOREMS}
    assert names == set(INEQUALITIES)
    assert all(words and len(words) < 90 for words in INEQUALITIES.values())


@pytest.mark.parametrize("index", range(9))
def test_every_answer_can_be_explained(index: int):
    for theorems in ((AbsoluteValue(), SingularValue(), SkewFeedback()), THEOREMS):
        answer = certify(systems()[index], theorems=theorems)
        lines = explain(answer).split("\n")
        if isinstance(answer, Certificate):
            assert lines[0] == answer.claim()
            assert lines[1].startswith(f"  theorem {answer.theorem}: ")
        else:
            assert lines[0].startswith("unknown: ")
            assert "violated by" in lines[1] or "not proved" in lines[1]
        assert all(len(line) < 400 for line in lines)
        assert sum(line.startswith("  tried ") for line in lines) == len(answer.tried)


def test_the_direction_attains_the_bound():
    """In the metric of the certificate, the worst Jacobian moves along it as the bound says."""
    for seed in range(6):
        weight = random(seed, 6, 0.45)
        for form in ("hopfield", "firing_rate"):
            found = weakness(network(np.abs(weight), form), theorems=(AbsoluteValue(),))
            # Nonnegative weights and all slopes 1: the majorant is the matrix itself.
            answer = certify(network(np.abs(weight), form), theorems=(AbsoluteValue(),))
            assert isinstance(answer, Certificate)
            v = jnp.asarray(found.direction)
            assert answer.metric.norm(v) == pytest.approx(1.0)
            scale = np.asarray(answer.metric.scale)  # pyright: ignore[reportAttributeAccessIssue]
            y = scale * found.direction
            growth = y @ (scale[:, None] * np.abs(weight) / scale) @ y
            assert growth == pytest.approx(found.bound, rel=1e-9)
            assert answer.rate == pytest.approx(found.slack, abs=1e-6)
            assert found.shares.sum() == pytest.approx(1.0)
            assert found.shares == pytest.approx(y**2, abs=1e-12)


@pytest.mark.parametrize("theorem", [SingularValue(), Metzler(), Sector()], ids=lambda t: t.name)
def test_the_slack_is_that_of_the_certificate(theorem: Any):
    for index in (0, 1, 2, 3):
        answer = certify(systems()[index], theorems=(theorem,))
        found = weakest_direction(answer)
        assert isinstance(answer, Certificate) and found is not None
        # What a search over slopes finds may be less than what was proved, never more.
        assert found.slack > answer.margin * 0.999 - 1e-9
        if theorem.name != "sector":
            unit = 1.0 if answer.rate is None else getattr(answer.system, "time_constant", 1.0)
            scaled = answer.margin if theorem.name == "metzler" else answer.margin * float(unit)
            assert found.slack == pytest.approx(scaled, rel=1e-5)


def test_one_bad_unit_is_named():
    weight = np.diag([0.1, 0.9, -3.0, 0.2])
    for theorem in (AbsoluteValue(), Metzler()):
        found = weakness(network(weight), theorems=(theorem,))
        assert found.largest(1) == (1,) and found.shares[1] > 0.99
        assert found.slack == pytest.approx(0.1, abs=1e-3)
    text = explain(certify(network(weight), theorems=(AbsoluteValue(),)))
    assert "unit 1 (100%)" in text and "slack 0.1" in text and "[float64]" in text


def test_a_row_names_those_who_feed_it():
    weight = np.zeros((3, 3))
    weight[0] = [0.0, 0.1, 0.6]
    answer = certify(
        network(weight, "firing_rate"), metric=MaximumMetric(jnp.ones(3)), theorems=(Metzler(),)
    )
    found = weakest_direction(answer)
    assert found is not None and found.bound == pytest.approx(-0.3)
    assert np.abs(found.direction) == pytest.approx(np.ones(3))
    column = certify(network(weight), metric=SumMetric(jnp.ones(3)), theorems=(Metzler(),))
    found = weakest_direction(column)
    assert found is not None and found.largest(1) == (2,) and found.bound == pytest.approx(-0.4)


def assembly_with(coupling: np.ndarray) -> Assembly:
    module = network(0.3 * np.eye(3), "firing_rate")
    return Assembly([module, module, module], jnp.asarray(coupling))


def test_the_pair_whose_coupling_is_not_skew_is_named():
    rng = np.random.default_rng(0)
    lower = np.zeros((9, 9))
    lower[3:6, :3], lower[6:, 3:6] = rng.standard_normal((2, 3, 3))
    skew = lower - lower.T
    for first, second in ((0, 1), (1, 2), (0, 2)):
        wrong = skew.copy()
        wrong[3 * second : 3 * second + 3, 3 * first : 3 * first + 3] += 2 * np.eye(3)
        metric = DiagonalMetric(jnp.ones(9))
        for system in (
            assembly_with(wrong),
            discretise(assembly_with(wrong), SemiImplicit(0.5)),
        ):
            answer = certify(system, metric=metric, theorems=(SkewFeedback(),))
            if isinstance(answer, Refuted):
                continue
            found = weakest_direction(answer)
            assert found is not None and found.pair == (first, second)
            if isinstance(system, Assembly):
                assert found.slack == pytest.approx(0.7 - 1.0, abs=1e-6)
                assert f"between modules {first} and {second}" in explain(answer)
                assert found.modules[first] == pytest.approx(0.5)
    fine = weakness(assembly_with(skew), metric=metric, theorems=(SkewFeedback(),))
    assert fine.pair is None and fine.slack == pytest.approx(0.7)


def test_unknown_answers_tell_by_how_much_they_fail():
    weight = np.array([[0.0, -4.0], [4.0, 0.0]])
    answer = certify(network(weight))
    assert isinstance(answer, Unknown)
    found = weakest_direction(answer)
    assert found is not None and found.theorem in ("absolute_value", "singular_value", "metzler")
    assert found.slack < 0 and "violated by" in explain(answer)
    metric = QuadraticMetric(jnp.eye(2))
    violated = weakness(network(weight), metric=metric)
    v = violated.direction
    worst = max(
        float(v @ (weight * np.array(slopes) - np.eye(2)) @ v)
        for slopes in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
    )
    assert violated.bound == pytest.approx(worst) and violated.bound == pytest.approx(1.0)


def test_answers_without_a_direction():
    assert weakest_direction(Unknown("nothing")) is None
    refuted = certify(network(2 * np.eye(2)))
    assert isinstance(refuted, Refuted) and weakest_direction(refuted) is None
    assert explain(refuted).startswith("refuted: ")
    unbounded = certify(network(np.zeros((2, 2)), activation="silu"))
    assert isinstance(unbounded, Unknown) and weakest_direction(unbounded) is None
    huge = certify(network(np.full((2, 2), 1e300)), metric=DiagonalMetric(jnp.ones(2)))
    assert isinstance(explain(huge), str)


def test_maps_through_their_flow_show_the_weakness_of_the_flow():
    flow = network(random(1, 4, 0.4))
    for scheme in (BackwardEuler(0.5), ExplicitEuler(0.01)):
        answer = certify(discretise(flow, scheme))
        assert isinstance(answer, Certificate)
        found = weakest_direction(answer)
        assert found is not None and found.slack > 0
        assert explain(answer)


def test_large_systems_are_explained_without_a_direction():
    large = RateNetwork(jnp.zeros((1025, 1025)))
    answer = Unknown("too large", certify(network(np.zeros((1, 1)))).tried, large, None)
    found = weakest_direction(answer)
    assert found is not None and found.theorem == "metzler"
