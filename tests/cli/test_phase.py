"""`limitset phase`: a model's place, a plane's diagram, panels, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from command_line import Reply
from limitset.io import save
from limitset.networks import GatedRate, RateNetwork, gaussian_gru

Command = Callable[..., Reply]
PLANE = ["--x", "output_gain=0:10:2", "--y", "gain=1.5:3:2", "--units", 10, "--time", 2]


@pytest.fixture
def gru(tmp_path: Path) -> Path:
    return save(tmp_path / "gru", gaussian_gru(jax.random.key(0), 12, gain=1.0, input_size=1))


def test_a_model_has_a_place(limitset: Command, gru: Path):
    reply = limitset("phase", gru, "--memory", 50)
    assert reply.code == 0 and reply.err == ""
    assert "quiet" in reply.out and "update bias" in reply.out
    for evidence in ("[float64, n -> infinity]", "[float64]", "[sampled]"):
        assert evidence in reply.out
    # Mean-field theory and samples claim nothing more.
    assert "verified" not in reply.out and "certified" not in reply.out


def test_a_model_answers_other_programs(limitset: Command, gru: Path):
    reply = limitset("phase", gru, "--exponents", 2, "--json")
    (answer,) = reply.answers
    assert reply.code == 0 and answer["regime"] == "quiet" and answer["advice"] is None
    assert answer["time"] == "discrete" and len(answer["exponents"]) == 2
    assert set(answer["gates"]) == {"reset", "update", "candidate"}
    assert answer["theory"]["evidence"] == "float64" and answer["evidence"] == "sampled"


@pytest.mark.slow
def test_a_plane_is_drawn_once_and_read_again(limitset: Command, tmp_path: Path):
    out = tmp_path / "out"
    first = limitset("phase", *PLANE, "--out", out)
    assert first.code == 0 and "page:" in first.out
    assert (out / "plane.svg").read_text().count("<svg") == 1
    assert "<h1>Phase diagrams</h1>" in (out / "phase.html").read_text()
    complete = sorted((out / "store" / "plane").rglob("*"))
    stamps = [path.stat().st_mtime_ns for path in complete]
    again = limitset("phase", *PLANE, "--out", out, "--json")
    assert again.code == 0 and again.answers[0]["page"] == str(out / "phase.html")
    assert [path.stat().st_mtime_ns for path in complete] == stamps
    other = limitset("phase", *PLANE, "--set", "update_gain=3", "--out", out)
    assert other.code == 2 and "another sweep (rest differs)" in other.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--x", "gain"], "NAME=LOW:HIGH:COUNT"),
        (["--x", "gain=1:2"], "NAME=LOW:HIGH:COUNT"),
        (["--x", "gain=1:2:3:4"], "NAME=LOW:HIGH:COUNT"),
        (["--x", "gain=2:1:3"], "LOW < HIGH"),
        (["--x", "gain=nan:1:3"], "LOW < HIGH"),
        (["--x", "gain=1:2:1"], "from 2 to"),
        (["--x", "gain=1:2:5000"], "from 2 to"),
        (["--x", "speed=1:2:3"], "'speed' is not known"),
        (["--x", "gain=1:2:3"], "both axes are gain"),
        (["--set", "gain=3"], "an axis and a setting"),
        (["--set", "speed=3"], "'speed' is not known"),
        (["--set", "update_gain=fast"], "finite number"),
        (["--set", "update_gain=1", "--set", "update_gain=2"], "set twice"),
        (["--set", "open_output=yes"], "true or false"),
        (["--panel", "nothing"], "'nothing' is not known"),
        (["--panel", "diagram", "--set", "update_gain=1"], "its own plane"),
        (["--units", "1"], "units is 1"),
        (["--seeds", "0"], "seeds is 0"),
        (["--time", "nan"], "time is nan"),
        (["--memory", "3"], "for a model"),
        (["nowhere"], "nowhere is nothing"),
        (["nowhere", "--units", "3"], "for ensembles"),
    ],
)
def test_what_fits_nothing_is_refused(
    refused: Callable[..., str], words: list[str], part: str, tmp_path: Path
):
    place = [] if words[0] == "nowhere" else ["--out", str(tmp_path / "out")]
    assert part in refused("phase", *words, *place)


def test_a_model_without_an_ensemble_is_refused(refused: Callable[..., str], tmp_path: Path):
    half = jnp.full(3, 0.5)
    folder = save(tmp_path / "gated", GatedRate(half, slowest=0.1, fastest=0.2))
    assert "no ensemble is known" in refused("phase", folder)


def test_advice_without_theory_is_refused(refused: Callable[..., str], tmp_path: Path):
    folder = save(tmp_path / "relu", RateNetwork(0.5 * jnp.eye(2), activation="relu"))
    assert "no formula" in refused("phase", folder, "--memory", 3)
