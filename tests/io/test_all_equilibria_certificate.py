"""Certificates of all equilibria: the search is done again, and lists that lack one are refused."""

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset import InputProblem
from limitset.checker import Verdict, check
from limitset.io._all_equilibria_certificate import all_equilibria_fields
from limitset.io._certificate import canonical_text, sealed
from limitset.networks import RateNetwork
from limitset.proofs import prove_all_equilibria

from .forgery import Document, changed, entry, tensor
from .forgery import sealed as resealed

FORMS = ("hopfield", "firing_rate")
# Units, gain and number of equilibria, for the seed that equals the number of units.
KNOWN_COUNTS = [(2, 2, 1), (3, 2, 3), (4, 2, 3), (5, 2, 1), (6, 2, 3), (8, 2, 7), (10, 1.5, 1)]

Judge = Callable[[Document], Verdict]


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Dozens of lists are proved here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def verdict(document: Document) -> Verdict:
        path = tmp_path / "all.json"
        path.write_bytes(resealed(document))
        return check(path)

    return verdict


def network(W: Any, b: Any = None, **options: Any) -> RateNetwork:
    return RateNetwork(jnp.asarray(W), bias=None if b is None else jnp.asarray(b), **options)


def recipe(n: int, gain: float, **options: Any) -> RateNetwork:
    rng = np.random.default_rng(n)
    W = gain * rng.standard_normal((n, n)) / np.sqrt(n)
    return network(W, 0.1 * rng.standard_normal(n), **options)


def document(subject: RateNetwork, *arguments: Any, **options: Any) -> Document:
    record = prove_all_equilibria(subject, *arguments, **options)
    return sealed(all_equilibria_fields(record, subject, *arguments), None)


def accepted(verdict: Verdict) -> str:
    assert verdict.accepted, verdict
    return verdict.claim


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("n", "gain", "count"), KNOWN_COUNTS)
def test_T17_known_counts_are_proved_again(
    n: int, gain: float, count: int, form: str, judge: Judge
):
    written = document(recipe(n, gain, form=form))
    begin = time.process_time()
    claim = accepted(judge(written))
    assert time.process_time() - begin < 3
    word = "equilibrium" if count == 1 else "equilibria"
    assert f"exactly {count} {word} in the whole space" in claim and "[checked]" in claim


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_forms_activations_leaks_and_inputs(form: str, activation: str, judge: Judge):
    rng = np.random.default_rng(1)
    W, B = (3 if activation == "tanh" else 12) * rng.standard_normal((3, 3)), np.ones((3, 1))
    options = {"form": form, "activation": activation, "leak": 0.75, "time_constant": 2.0}
    subject = network(W, [0.1, 0.0, -0.2], input_weight=jnp.asarray(B), **options)
    u = np.array([-0.25])
    written = document(subject, None, u)
    accepted(judge(written))
    # The list of another input is another.
    other = changed(written, ("claim", "input"), entry(np.array([0.25])))
    assert not judge(other).accepted


def test_uncoupled_units(judge: Judge):
    claim = accepted(judge(document(network(2 * np.eye(3)))))
    assert "exactly 27 equilibria in the whole space: 8 stable, 19 unstable" in claim


def test_no_equilibrium_can_be_left_out_or_told_twice(judge: Judge):
    for subject in (recipe(6, 2), network(2 * np.eye(2)), recipe(3, 2, form="firing_rate")):
        original = document(subject)
        listed = original["claim"]["equilibria"]
        for k, one in enumerate(listed):
            fewer = changed(original, ("claim", "equilibria"), listed[:k] + listed[k + 1 :])
            verdict = judge(fewer)
            assert not verdict.accepted and "not on the list" in verdict.reason
            assert "[not proved]" in verdict.claim
            twice = changed(original, ("claim", "equilibria"), [*listed, one])
            assert "may be the same" in judge(twice).reason
        accepted(judge(changed(original, ("claim", "equilibria"), listed[::-1])))
        assert not judge(changed(original, ("claim", "equilibria"), [])).accepted


def test_lists_of_other_points_are_refused(judge: Judge):
    original = document(recipe(3, 2))
    listed = original["claim"]["equilibria"]
    center = tensor(listed[0]["center"])
    for shift in (1e-6, 1.0, 1e300):
        moved = changed(original, ("claim", "equilibria", 0, "center"), entry(center + shift))
        assert not judge(moved).accepted
    for radius in (0.0, -1e-9, 10.0):
        other = entry(np.full_like(center, radius))
        assert not judge(changed(original, ("claim", "equilibria", 0, "radius"), other)).accepted
    more = {**listed[0], "center": entry(center + 0.5)}
    verdict = judge(changed(original, ("claim", "equilibria"), [*listed, more]))
    assert not verdict.accepted and "exactly one equilibrium" in verdict.reason
    for key, words in (("stability", ("stable", "unstable")), ("index", (1, -1))):
        for one in range(len(listed)):
            for word in words:
                lie = changed(original, ("claim", "equilibria", one, key), word)
                assert judge(lie).accepted == (word == listed[one][key])
    for key, silent in (("stability", "undecided"), ("index", None)):
        accepted(judge(changed(original, ("claim", "equilibria", 0, key), silent)))


@pytest.mark.parametrize("form", FORMS)
def test_regions(form: str, judge: Judge):
    subject = recipe(6, 2, form=form)
    low, high = np.full(6, -20.0), np.full(6, 20.0)
    low[0] = 0.0
    half = document(subject, (low, high))
    claim = accepted(judge(half))
    assert "in the stored box from about (0 " in claim
    # The same list does not do for a larger region.
    count = len(half["claim"]["equilibria"])
    assert 0 < count < len(document(subject)["claim"]["equilibria"])
    whole = changed(half, ("claim", "region"), None)
    assert "not on the list" in judge(whole).reason
    larger = changed(half, ("claim", "region", "low"), entry(np.full(6, -20.0)))
    assert not judge(larger).accepted
    # An equilibrium that is not in the region is none of it.
    away = changed(half, ("claim", "region", "low"), entry(np.full(6, 10.0)))
    assert "not certainly in the region" in judge(away).reason
    nothing = document(subject, (low + 30.0, high + 30.0))
    assert "exactly 0 equilibria" in accepted(judge(nothing))
    swapped = changed(nothing, ("claim", "region", "high"), entry(low))
    assert "exchanged" in judge(swapped).reason


def test_an_equilibrium_on_the_border_is_refused(judge: Judge):
    subject = network(0.5 * np.eye(2))
    inner = document(subject, (np.full(2, -1.0), np.ones(2)))
    accepted(judge(inner))
    edge = changed(inner, ("claim", "region", "low"), entry(np.zeros(2)))
    assert "not certainly in the region" in judge(edge).reason
    empty = changed(edge, ("claim", "equilibria"), [])
    assert "not on the list" in judge(empty).reason


def test_degenerate_equilibria_are_never_complete(judge: Judge):
    """The pitchfork, and the fold of `-x + 2 tanh x + b`, which floats do not meet exactly."""
    regular = document(network(0.99 * np.eye(1)))
    eye = entry(np.eye(1))
    at_pitchfork = changed(regular, ("network", "tensors", "weight"), eye)
    for listed in (regular["claim"]["equilibria"], []):
        lie = changed(at_pitchfork, ("claim", "equilibria"), listed)
        assert not judge(lie).accepted
    for shift, count in ((1e-6, 3), (-1e-6, 1)):
        beside = network([[2.0]], [-0.532839975353552 + shift])
        assert f"exactly {count} " in accepted(judge(document(beside)))


def test_T23_balls_of_weights(judge: Judge):
    subject = recipe(6, 2)
    written = document(subject, weight_radius=1e-5)
    claim = accepted(judge(written))
    assert "for all weights within" in claim
    # The boxes of one network are too small for all of its neighbours.
    alone = changed(document(subject), ("claim", "weight_radius"), (1e-5).hex())
    assert not judge(alone).accepted
    wider = changed(written, ("claim", "weight_radius"), (1.0).hex())
    assert not judge(wider).accepted
    negative = changed(written, ("claim", "weight_radius"), (-1e-5).hex())
    assert not judge(negative).accepted


@pytest.mark.parametrize("form", FORMS)
def test_low_rank_weights(form: str, judge: Judge):
    rng = np.random.default_rng(1)
    U = rng.standard_normal((20, 2))
    W = U @ np.diag([3.0, 2.0]) @ U.T / 20
    written = document(network(W, 0.01 * rng.standard_normal(20), form=form))
    assert written["witness"]["left"]["shape"] == [20, 2]
    claim = accepted(judge(written))
    listed = written["claim"]["equilibria"]
    assert f"exactly {len(listed)} equilibria" in claim and len(listed) > 1
    # Factors of something else leave a defect that is too large.
    right = tensor(written["witness"]["right"])
    for wrong in (0 * right, 2 * right, right[::-1]):
        lie = copy.deepcopy(written)
        lie["witness"]["right"] = entry(wrong)
        lie["claim"]["equilibria"] = listed[1:]
        assert not judge(lie).accepted
    fewer = changed(written, ("claim", "equilibria"), listed[1:])
    assert "not on the list" in judge(fewer).reason


def test_networks_and_lists_beyond_the_limits(judge: Judge):
    regular = document(network(0.5 * np.eye(2)))
    large = copy.deepcopy(regular)
    n = 300
    for name, array in (("weight", np.zeros((n, n))), ("bias", np.zeros(n))):
        large["network"]["tensors"][name] = entry(array)
    large["network"]["tensors"]["input_weight"] = entry(np.zeros((n, 0)))
    assert "at most 256 units" in judge(large).reason
    many = document(recipe(20, 0.5))
    listed = many["claim"]["equilibria"] * 4000
    assert "more work" in judge(changed(many, ("claim", "equilibria"), listed)).reason
    for name in ("relu", "identity"):
        flat = changed(regular, ("network", "config", "activation"), name)
        assert "tanh and sigmoid" in judge(flat).reason
    still = changed(regular, ("network", "config", "leak"), 0.0)
    assert "without leak" in judge(still).reason


def test_records_without_a_certificate():
    subject = network(2 * np.eye(2))
    part = prove_all_equilibria(subject, max_boxes=3)
    with pytest.raises(InputProblem, match="incomplete"):
        all_equilibria_fields(part, subject)
    whole = prove_all_equilibria(subject)
    with pytest.raises(InputProblem, match="needs"):
        all_equilibria_fields(whole, subject, input=np.zeros(1))
    with pytest.raises(InputProblem, match="needs"):
        all_equilibria_fields(whole, subject, (np.zeros(3), np.ones(3)))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "gain", "seconds"), [(12, 2, 20), (12, 3, 20), (16, 1.5, 20)])
def test_more_units(n: int, gain: float, seconds: float, judge: Judge):
    written = document(recipe(n, gain))
    begin = time.process_time()
    accepted(judge(written))
    assert time.process_time() - begin < seconds


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_rank_two_networks_of_hundred_units(form: str, judge: Judge):
    rng = np.random.default_rng(1)
    U = rng.standard_normal((100, 2))
    W = U @ np.diag([3.0, 2.0]) @ U.T / 100
    written = document(network(W, 0.01 * rng.standard_normal(100), form=form))
    begin = time.process_time()
    assert "exactly 5 equilibria" in accepted(judge(written))
    assert time.process_time() - begin < 20


def test_the_file_is_canonical(tmp_path: Path):
    path = tmp_path / "all.json"
    path.write_text(canonical_text(document(recipe(3, 2))))
    assert check(path).accepted
