"""`limitset prove`: complete lists, Hopf points with their evidence, and what it refuses."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from command_line import CONTRACTING, Reply
from limitset.cli._prove_subject import enclosure
from limitset.dynamics import ExplicitEuler, discretise
from limitset.io import save
from limitset.networks import RateNetwork, random_gru

Command = Callable[..., Reply]
Refused = Callable[..., str]

ROTATION = np.array([[0.0, -1.7], [1.7, 0.0]])


@pytest.fixture
def bistable(tmp_path: Path) -> Path:
    return save(tmp_path / "bistable", RateNetwork(jnp.array([[2.0]])))


@pytest.fixture
def oscillator(tmp_path: Path) -> Path:
    """`-x + W tanh(x)` with equal self-weights `a`: a Hopf point at 1, and `l1 = -1 / 3.4`."""
    return save(tmp_path / "oscillator", RateNetwork(jnp.asarray(ROTATION)))


def test_all_equilibria_of_a_bistable_unit(limitset: Command, bistable: Path):
    reply = limitset("prove", "equilibria", bistable)
    assert reply.code == 0 and reply.err == ""
    assert reply.out.startswith("exactly 3 equilibria in all of space [verified]\n")
    assert reply.out.count("stable, index +1") == 2 and "unstable, index -1" in reply.out
    answer = limitset("prove", "equilibria", bistable, "--json").answers[0]
    assert answer["complete"] and answer["count"] == 3 and answer["evidence"] == "verified"
    assert [e["stable"] for e in answer["equilibria"]] == [True, False, True]
    assert all(e["radius"] < 1e-12 for e in answer["equilibria"])
    outer = answer["equilibria"][2]["center"][0]
    assert outer == pytest.approx(2 * np.tanh(outer), abs=1e-12)


def test_equilibria_in_a_box(limitset: Command, bistable: Path):
    answer = limitset("prove", "equilibria", bistable, "--box", 0.5, 3, "--json").answers[0]
    assert answer["complete"] and answer["count"] == 1


def test_a_search_that_gives_up_says_so(limitset: Command, tmp_path: Path):
    rng = np.random.default_rng(8)
    weight = 2 * rng.standard_normal((8, 8)) / np.sqrt(8)
    model = save(tmp_path / "many", RateNetwork(jnp.asarray(weight)))
    reply = limitset("prove", "equilibria", model, "--boxes", 3)
    assert reply.code == 1 and "at least" in reply.out and "search_not_finished" in reply.out


def test_hopf_points_in_a_gain(limitset: Command, tmp_path: Path):
    model = save(tmp_path / "turn", RateNetwork(jnp.array([[1.0, -2.0], [2.0, 1.0]])))
    reply = limitset("prove", "hopf", model, "--parameter", "gain", "--range", 0.2, 3)
    assert reply.code == 0, reply
    assert reply.out.startswith("1 Hopf points proved [verified], 0 undecided; the search is in")
    assert "gain = 1.0000" in reply.out and "cycles above, stable" in reply.out


def test_hopf_points_in_a_shift(limitset: Command, oscillator: Path):
    words = ("prove", "hopf", oscillator, "--parameter", "shift", "--range", 0, 2, "--json")
    answer = limitset(*words).answers[0]
    (point,) = answer["proved"]
    assert answer["undecided"] == [] and point["evidence"] == "verified"
    for name, value in (("parameter", 1), ("frequency", 1.7), ("lyapunov_coefficient", -1 / 3.4)):
        low, high = point[name]
        assert low <= value <= high and high - low < 1e-10
    assert point["unstable"] == 0 and point["stable"] and point["cycles"] == "above"


def test_the_pure_class_has_complete_lists(limitset: Command, tmp_path: Path):
    rng = np.random.default_rng(80)
    R = rng.standard_normal((6, 6))
    weight = R - R.T + 0.1 * rng.standard_normal((6, 6))
    pure = RateNetwork(jnp.asarray(weight), form="firing_rate", leak=0.0)
    model = save(tmp_path / "pure", pure)
    answer = limitset("prove", "hopf", model, "--parameter", "shift", "--json").answers[0]
    assert "no others" in answer["remark"] and len(answer["proved"]) == 3
    assert [point["unstable"] for point in answer["proved"]] == [0, 2, 4]
    some = limitset("prove", "hopf", model, "--parameter", "shift", "--range", 0, 1, "--json")
    assert len(some.answers[0]["proved"]) == 1


def test_degenerate_points_stay_undecided(limitset: Command, tmp_path: Path):
    pure = RateNetwork(jnp.asarray(ROTATION), form="firing_rate", leak=0.0)
    model = save(tmp_path / "skew", pure)
    reply = limitset("prove", "hopf", model, "--parameter", "shift")
    assert reply.code == 1 and "0 Hopf points proved" in reply.out
    assert "undecided near shift = 0" in reply.out.replace("-0:", "0:")


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ([0.9, 1.1], "1.0 +- 2e-1"),  # the float 1.1 exceeds eleven tenths
        ([-1.0, 1.0], "0 +- 1e+0"),
        ([1.5, 1.5], None),
        ([0.0, 0.0], None),
        ([1e300, 1.1e300], None),
        ([5e-324, 1e-323], None),
        ([1.786238948147398, 1.786238948147528], "1.78623894814746 +- 7e-14"),
    ],
)
def test_printed_numbers_enclose(bounds: list[float], words: str | None):
    shown, radius = map(Decimal, enclosure(bounds).split(" +- "))
    assert shown - radius <= Decimal(bounds[0]) and Decimal(bounds[1]) <= shown + radius
    assert words is None or enclosure(bounds) == words


def test_pages_have_pictures(limitset: Command, oscillator: Path, tmp_path: Path):
    words = ("prove", "hopf", oscillator, "--parameter", "shift", "--range", 0, 2)
    reply = limitset(*words, "--out", tmp_path / "page")
    assert reply.code == 0 and f"report: {tmp_path / 'page' / 'hopf.html'}" in reply.out
    page = (tmp_path / "page" / "hopf.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1 and "<script" not in page
    assert "Hopf points [verified]" in page and "-0.294118" in page
    pure = RateNetwork(jnp.asarray(ROTATION), form="firing_rate", leak=0.0)
    skew = save(tmp_path / "skew", pure)
    limitset("prove", "hopf", skew, "--parameter", "shift", "--out", tmp_path / "other")
    page = (tmp_path / "other" / "hopf.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1 and "Undecided" in page


def test_certificates_are_written_and_accepted(
    limitset: Command, oscillator: Path, bistable: Path, tmp_path: Path
):
    words = ("prove", "hopf", oscillator, "--parameter", "shift", "--range", 0, 2, "--json")
    (point,) = limitset(*words).answers[0]["proved"]
    assert point["certificate"] == str(oscillator / "certificates" / "hopf_shift_1.json")
    found = limitset("prove", "equilibria", bistable, "--json").answers[0]
    single = [e["certificate"] for e in found["equilibria"]]
    paths = [point["certificate"], found["certificate"], *single]
    assert len(set(paths)) == 5
    reply = limitset("check", *paths)
    assert reply.code == 0 and reply.out.count("accepted: ") == 5, reply.out
    assert "exactly 3 equilibria in the whole space: 2 stable, 1 unstable [checked]" in reply.out
    elsewhere = tmp_path / "elsewhere"
    reply = limitset("prove", "equilibria", bistable, "--out", elsewhere)
    assert f"certificates: 3 of single equilibria and one of the list in {elsewhere}" in reply.out
    # Another network of the same shape: the claims are not about it.
    reply = limitset("check", elsewhere / "equilibrium_1.json", "--model", oscillator)
    assert reply.code == 1


@pytest.mark.parametrize("statement", ["equilibria", "hopf"])
def test_other_models_are_refused(refused: Refused, tmp_path: Path, statement: str):
    network = RateNetwork(jnp.asarray(CONTRACTING))
    stepped = save(tmp_path / "map", discretise(network, ExplicitEuler(0.5)))
    assert "without a discretisation" in refused("prove", statement, stepped)
    gated = save(tmp_path / "gated", random_gru(jax.random.key(0), 3, 2))
    assert "kind 'rate'" in refused("prove", statement, gated)
    assert "nowhere" in refused("prove", statement, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["prove"], "Missing command"),
        (["prove", "everything"], "everything"),
        (["prove", "hopf"], "model"),
    ],
)
def test_words(refused: Refused, words: list[str], part: str):
    assert part.lower() in refused(*words).lower()


def test_options_that_do_not_fit(refused: Refused, oscillator: Path):
    hopf = ("prove", "hopf", oscillator)
    assert "--range is missing" in refused(*hopf)
    assert "LOW < HIGH" in refused(*hopf, "--range", 2, 1)
    assert "LOW < HIGH" in refused(*hopf, "--range", "nan", 1)
    assert "finite" in refused(*hopf, "--range", 0, "inf")
    assert "gain or shift" in refused(*hopf, "--parameter", "bias", "--range", 0, 1)
    equilibria = ("prove", "equilibria", oscillator)
    assert "LOW < HIGH" in refused(*equilibria, "--box", 1, 1)
    assert "--box" in refused(*equilibria, "--box", 1)
    relu = save(oscillator.parent / "relu", RateNetwork(jnp.eye(2), activation="relu"))
    assert "tanh" in refused("prove", "equilibria", relu)


def test_one_equilibrium_and_its_certificate(limitset: Command, bistable: Path, tmp_path: Path):
    reply = limitset("prove", "equilibrium", bistable, "--state", "1.5")
    assert reply.code == 0 and reply.out.startswith("exactly one equilibrium [verified]: stable")
    certificate = bistable / "certificates" / "equilibrium.json"
    assert limitset("check", certificate).code == 0
    np.save(tmp_path / "start.npy", np.array([0.1]))
    words = ("--state", tmp_path / "start.npy", "--out", tmp_path, "--json")
    answer = limitset("prove", "equilibrium", bistable, *words).answers[0]
    assert answer["reason"] is None and answer["proved"]["stable"] is False
    assert answer["proved"]["index"] == -1 and answer["proved"]["evidence"] == "verified"


def test_one_equilibrium_for_a_ball_of_weights(limitset: Command, bistable: Path):
    words = ("prove", "equilibrium", bistable, "--state", "1.5", "--weight-radius")
    reply = limitset(*words, 1e-6)
    assert reply.code == 0 and "for all weights within 1e-06 [verified]" in reply.out
    wide = limitset(*words, 2.0)
    assert wide.code == 1 and wide.out.startswith("not proved: ")
    assert limitset(*words, 2.0, "--json").answers[0]["proved"] is None


@pytest.mark.parametrize(
    "words, parts",
    [
        (["--state", "1,2"], ["(2,)", "needs 1"]),
        (["--state", "one"], ["one", "numbers with commas"]),
        (["--state", "nan"], ["finite"]),
        (["--state", ""], ["numbers with commas"]),
        (["--state", "absent.npy"], ["absent.npy"]),
        (["--weight-radius", "nan"], ["--weight-radius"]),
        (["--weight-radius", "-1"], ["--weight-radius"]),
    ],
)
def test_unusable_starts(refused: Refused, bistable: Path, words: list[str], parts: list[str]):
    message = refused("prove", "equilibrium", bistable, *words)
    assert all(part in message for part in parts)
    assert not (bistable / "certificates").exists()


def test_the_page_of_equilibria_shows_them(limitset: Command, tmp_path: Path):
    weight = jnp.array([[2.0, 0.0], [0.0, 2.0]])
    model, out = save(tmp_path / "four", RateNetwork(weight)), tmp_path / "out"
    reply = limitset("prove", "equilibria", model, "--out", out)
    assert reply.code == 0 and f"report: {out / 'equilibria.html'}" in reply.out
    page = (out / "equilibria.html").read_text()
    assert "Exactly 9 equilibria in all of space [verified]." in page
    assert "unstable equilibrium [verified]" in page and "trajectories [float64]" in page


@pytest.fixture
def spinner(tmp_path: Path) -> Path:
    """A planar network with one cycle around an unstable equilibrium."""
    return save(tmp_path / "spinner", RateNetwork(jnp.array([[2.0, -2.0], [2.0, 2.0]])))


def test_cycles_are_found_and_proved(limitset: Command, spinner: Path, tmp_path: Path):
    out = tmp_path / "out"
    reply = limitset("prove", "cycle", spinner, "--starts", 3, "--out", out)
    assert reply.code == 0 and reply.out.startswith("1 cycle proved [verified], 0 undecided; ")
    assert "stable, smallest period 6.837633548" in reply.out
    page = (out / "cycle.html").read_text()
    assert "cycle [verified]" in page and "6.837633548" in page
    assert limitset("check", out / "cycle_1.json").code == 0


def test_a_guess_of_a_cycle_is_proved_for_a_ball_of_weights(limitset: Command, spinner: Path):
    guess = ("--state", "-2.44421,0.709927", "--period", 6.8376)
    words = ("prove", "cycle", spinner, *guess, "--json")
    (found,) = limitset(*words, "--weight-radius", 1e-9).answers[0]["proved"]
    low, high = found["period"]
    assert low <= 6.8376335480 <= high and high - low < 1e-5
    assert found["weight_radius"] == 1e-9 and found["unstable_multipliers"] == 0
    reply = limitset(*words, "--weight-radius", 1)
    assert reply.code == 1 and reply.answers[0]["proved"] == []
    assert len(reply.answers[0]["undecided"]) == 1


def test_networks_without_cycles_prove_none(limitset: Command, bistable: Path):
    reply = limitset("prove", "cycle", bistable, "--starts", 2)
    assert reply.code == 1 and reply.out.startswith("0 cycles proved [verified], 0 undecided; ")


def test_options_of_cycles_that_do_not_fit(refused: Refused, spinner: Path):
    cycle = ("prove", "cycle", spinner)
    assert "--state" in refused(*cycle, "--period", 6)
    assert "needs 2" in refused(*cycle, "--state", "1", "--period", 6)
    assert "guess_period" in refused(*cycle, "--state", "1,1", "--period", -1)
    assert "--starts" in refused(*cycle, "--starts", 0)


def test_points_that_float64_leaves_open_are_decided_in_arb(limitset: Command, tmp_path: Path):
    """A nearly skew network: two pairs cross 1e-14 apart, and no `l1` is far from 0."""
    rng = np.random.default_rng(3)
    skew, rest = rng.standard_normal((2, 4, 4))
    weight = jnp.asarray(skew - skew.T + 1e-14 * rest)
    model = save(tmp_path / "near", RateNetwork(weight, form="firing_rate", leak=1e-9))
    words = ("prove", "hopf", model, "--parameter", "shift", "--range", -0.1, 0.1, "--json")
    answer = limitset(*words).answers[0]
    assert len(answer["proved"]) == 2 and answer["undecided"] == []
    assert limitset("check", *(point["certificate"] for point in answer["proved"])).code == 0


def test_branches_are_proved_with_counts(limitset: Command, spinner: Path, tmp_path: Path):
    out = tmp_path / "out"
    words = ("prove", "branch", spinner, "--parameter", "shift", "--range", -2, 0.5)
    reply = limitset(*words, "--out", out)
    assert reply.code == 0
    assert reply.out.startswith("exactly 1 Hopf point, 0 folds and 0 pitchforks on the origin, ")
    assert "hopf at shift = -1.0" in reply.out and "unstable eigenvalues 0 -> 2" in reply.out
    page = (out / "branch.html").read_text()
    assert "Hopf points [verified]" in page and "stable [verified]" in page
    assert limitset("check", out / "branch_shift.json").code == 0
    # An end of the interval on the point itself: no count.
    answer = limitset(*words[:-2], -1, 0.5, "--json")
    assert answer.code == 1 and answer.answers[0]["proved"]["complete"] is False


def test_branches_that_cannot_be_proved(limitset: Command, refused: Refused, spinner: Path):
    branch = ("prove", "branch", spinner)
    assert "--range" in refused(*branch)
    assert "LOW < HIGH" in refused(*branch, "--range", 1, 0)
    assert "needs 2" in refused(*branch, "--range", 0, 1, "--state", "1")
    assert "gain or shift" in refused(*branch, "--range", 0, 1, "--parameter", "tau")
    assert "step is 0" in refused(*branch, "--range", 0, 1, "--step", 0)
