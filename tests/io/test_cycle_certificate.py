"""Certificates of periodic orbits: written, proved again from the weights, refused where false."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.analysis import find_cycle
from limitset.checker import Verdict, check
from limitset.io._certificate import sealed as signed
from limitset.io._cycle_certificate import cycle_fields
from limitset.networks import RateNetwork, gain_family
from limitset.proofs import Cycle, prove_cycle
from oscillators import PLANAR, PLANAR_PERIOD, SLOW, network, recipe

from .forgery import Document, changed, entry, sealed, tensor

Judge = Callable[[Document], Verdict]


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Dozens of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def verdict_of(tmp_path: Path) -> Judge:
    def judge(document: Document) -> Verdict:
        path = tmp_path / "cycle.json"
        path.write_bytes(sealed(document))
        return check(path)

    return judge


def cycle_of(subject: RateNetwork, start: np.ndarray, period: float, **options: Any) -> Cycle:
    cycle = prove_cycle(subject, start, period, **options)
    assert isinstance(cycle, Cycle), cycle
    return cycle


def document_of(record: Cycle, subject: RateNetwork, input: np.ndarray | None = None) -> Document:
    return signed(cycle_fields(record, subject, input), None)


def of_recipe(n: int) -> tuple[Cycle, Document]:
    W, b = recipe(n) if n > 2 else (PLANAR, np.zeros(2))
    subject = network(W, b)
    found = find_cycle(gain_family(subject), 1.0, np.linspace(0.5, 1.0, n))
    assert found is not None
    cycle = cycle_of(subject, found.state, found.period)
    return cycle, document_of(cycle, subject)


@pytest.fixture(scope="module")
def slow(no_shape_checks: None) -> Cycle:
    """An orbit of few segments."""
    return cycle_of(network(SLOW), np.array([1.0, 0.0]), 7.9, segments=40)


@pytest.fixture(scope="module")
def document(slow: Cycle) -> Document:
    return document_of(slow, network(SLOW))


def beside(slow: Cycle, gains: tuple[float, ...], periods: int = 1) -> tuple[Cycle, RateNetwork]:
    """With more neurons at rest, of multipliers `exp((gain - 1) T)`."""
    W = np.diag([0.0, 0.0, *gains])
    W[:2, :2] = SLOW
    start = np.concatenate([slow.states[0], np.zeros(len(gains))])
    period = periods * float(slow.period.mid)
    return cycle_of(network(W), start, period, segments=40 * periods), network(W)


def claiming(document: Document, **claims: Any) -> Document:
    return {**document, "claim": document["claim"] | claims}


def accepted(verdict: Verdict) -> str:
    assert verdict.accepted, verdict
    return verdict.claim


def refused(verdict: Verdict, reason: str) -> None:
    assert not verdict.accepted and reason in verdict.reason, verdict


def test_T25_the_planar_cycle_is_checked(verdict_of: Judge) -> None:
    cycle, document = of_recipe(2)
    assert abs(cycle.period.mid - PLANAR_PERIOD) < 1e-11
    claim = accepted(verdict_of(document))
    assert claim.startswith("exactly one periodic orbit with its start in the plane of the phase")
    assert f"stored boxes around {len(cycle.states)} points" in claim
    assert "in the stored range, period in [6.83763354804, 6." in claim
    assert "the smallest one, stability: stable, 0 multipliers outside the unit circle" in claim
    assert "[checked]" in claim


@pytest.mark.slow
@pytest.mark.parametrize(("n", "seconds"), [(2, 3.0), (3, 4.0), (5, 6.0), (10, 30.0)])
def test_T25_recipes_are_checked_in_reasonable_time(
    n: int, seconds: float, verdict_of: Judge
) -> None:
    _, document = of_recipe(n)
    before = time.process_time()
    accepted(verdict_of(document))
    assert time.process_time() - before < seconds


def test_the_file_is_the_record(slow: Cycle, document: Document) -> None:
    claim = document["claim"]
    assert np.array_equal(tensor(claim["states"]), slow.states)
    assert np.array_equal(tensor(claim["phase"]), slow.phase)
    assert float.fromhex(claim["step"]) == slow.step
    assert sealed(document) == sealed(signed(cycle_fields(slow, network(SLOW), None), None))
    vague = dataclasses.replace(slow, multipliers=None, multiplier_radii=None, outside=None)
    assert cycle_fields(vague, network(SLOW), None)["claim"]["multipliers"] is None
    with pytest.raises(InputProblem, match="input has shape"):
        cycle_fields(slow, network(SLOW), np.zeros(2))


def test_firing_rates_leak_time_constant_and_input(slow: Cycle, verdict_of: Judge) -> None:
    """`x = W v + b` turns one form into the other; the input makes up for the bias."""
    b, u = np.array([0.25, -0.125]), np.array([0.5])
    found = find_cycle(gain_family(network(SLOW, 0.75 * b, leak=0.75)), 1.0, np.ones(2))
    assert found is not None
    inputs = jnp.array([[1.0], [0.5]])
    options = {"form": "firing_rate", "leak": 0.75, "time_constant": 2.5}
    firing = RateNetwork(jnp.asarray(SLOW), inputs, jnp.array([-0.25, -0.375]), **options)
    rates = np.linalg.solve(SLOW, found.state - b)
    cycle = cycle_of(firing, rates, 2.5 * found.period, input=u, segments=60)
    assert abs(cycle.period.mid - 2.5 * found.period) < 1e-6
    document = document_of(cycle, firing, u)
    accepted(verdict_of(document))
    other = claiming(document, input=entry(np.array([0.5001])))
    refused(verdict_of(other), "exactly one closed orbit")


@pytest.mark.parametrize(("gains", "outside"), [((2.0,), 1), ((0.5, 0.5), 0)])
def test_unstable_cycles_and_equal_multipliers(
    gains: tuple[float, ...], outside: int, slow: Cycle, verdict_of: Judge
) -> None:
    cycle, subject = beside(slow, gains)
    assert cycle.outside == outside
    document = document_of(cycle, subject)
    accepted(verdict_of(document))
    for other in (1 - outside, bool(outside)):
        assert not verdict_of(claiming(document, outside=other)).accepted, other
    lie = claiming(document, stability="stable" if outside else "unstable")
    refused(verdict_of(lie), "stability")


def test_a_second_multiplier_at_1_is_refused(slow: Cycle, verdict_of: Judge) -> None:
    cycle, subject = beside(slow, (0.5,))
    lie = document_of(cycle, subject)
    weight = tensor(lie["network"]["tensors"]["weight"])
    weight[2, 2] = 1.0
    lie = changed(lie, ("network", "tensors", "weight"), entry(weight))
    assert not verdict_of(lie).accepted


def test_balls_of_weights(slow: Cycle, verdict_of: Judge) -> None:
    radius = 1e-5
    robust = cycle_of(network(SLOW), slow.states[0], 7.9, weight_radius=radius)
    document = document_of(robust, network(SLOW))
    assert "for all weights within" in accepted(verdict_of(document))
    twice = claiming(document, weight_radius=(2 * radius).hex())
    refused(verdict_of(twice), "exactly one closed orbit")


def test_the_double_period_is_not_minimal(slow: Cycle, verdict_of: Judge) -> None:
    double, subject = beside(slow, (), 2)
    assert not double.is_minimal
    document = document_of(double, subject)
    assert "smallest" not in accepted(verdict_of(document))
    refused(verdict_of(claiming(document, minimal=True)), "the smallest one")


def test_wrong_periods_and_states_are_refused(
    slow: Cycle, document: Document, verdict_of: Judge
) -> None:
    states, m, reason = slow.states, len(slow.states), "exactly one closed orbit"
    wide = {"state_radius": (1e-6).hex(), "step_radius": (1e-8).hex()}
    low, high = (float.fromhex(end) for end in document["claim"]["period"])
    lies: list[tuple[dict[str, Any], str]] = [
        ({"step": (slow.step + 1e-3 / m).hex()}, reason),
        ({"states": entry(states * (1 + 1e-8))}, reason),
        ({"states": entry(states[::-1])}, reason),
        ({"states": entry(1.2 * states)}, reason),
        ({"state_radius": (1e-17).hex()}, reason),
        ({"step_radius": (1e-19).hex()}, reason),
        ({"state_radius": (0.5).hex()}, ""),
        ({"phase": entry(np.zeros(2))}, "regular"),
        ({"period": [low.hex(), (low + 1e-15).hex()]}, "period"),
        ({"period": [(high - 1e-15).hex(), high.hex()]}, "period"),
        # All states at rest: a solution for every step, so none is the only one.
        ({"states": entry(0 * states), **wide}, "regular"),
    ]
    for claims, why in lies:
        refused(verdict_of(claiming(document, **claims)), why)


def test_other_true_claims_are_accepted(slow: Cycle, document: Document, verdict_of: Judge) -> None:
    low, high = (float.fromhex(end) for end in document["claim"]["period"])
    wide = {"state_radius": (1e-6).hex(), "step_radius": (1e-8).hex()}
    truths: list[dict[str, Any]] = [
        {"period": [(low - 1).hex(), (high + 1).hex()]},
        {**wide, "states": entry(slow.states * (1 + 1e-8))},
        {"states": entry(np.roll(slow.states, 1, axis=0))},  # from another start
        {"minimal": False, "multipliers": None, "outside": None, "stability": "undecided"},
    ]
    for claims in truths:
        accepted(verdict_of(claiming(document, **claims)))


def test_multipliers_are_held_to_the_truth(document: Document, verdict_of: Judge) -> None:
    def with_disc(**parts: float) -> Document:
        claimed = {name: entry(np.array([value])) for name, value in parts.items()}
        return claiming(document, multipliers=document["claim"]["multipliers"] | claimed)

    for parts in ({"real": 1.0}, {"imaginary": 1e-3}, {"radius": 1e-30}):
        refused(verdict_of(with_disc(**parts)), "a disc of the multipliers")
    for parts in ({"radius": 0.5}, {"imaginary": 1e-15}):
        accepted(verdict_of(with_disc(**parts)))
    silent = claiming(document, multipliers=None, outside=None)
    accepted(verdict_of(silent))
    refused(verdict_of(claiming(silent, stability="unstable")), "stability")


def test_long_segments_and_large_files_are_refused(
    slow: Cycle, document: Document, verdict_of: Judge
) -> None:
    few = {"states": entry(slow.states[::10]), "step": (10 * slow.step).hex()}
    refused(verdict_of(claiming(document, **few)), "a segment is too long")
    refused(verdict_of(claiming(document, step=(1e300).hex())), "a segment is too long")
    many = claiming(document, states=entry(np.zeros((20_000, 2))))
    refused(verdict_of(many), "more work than is allowed")
    for shape in ((20, 4), (80,), (0, 2), (1, 80)):
        odd = claiming(document, states=entry(np.resize(slow.states, shape)))
        assert not verdict_of(odd).accepted, shape
    sigmoid = changed(document, ("network", "config", "activation"), "sigmoid")
    refused(verdict_of(sigmoid), "tanh")
    wide = document_of(slow, network(np.zeros((33, 33))))
    refused(verdict_of(wide), "at most 32 units")
