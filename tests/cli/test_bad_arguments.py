"""Words that are no command: one line that says what came and what to do, and exit code 2."""

from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Reply

Refused = Callable[..., str]


@pytest.mark.parametrize(
    "words, part",
    [
        ([], "Missing command"),
        (["frobnicate"], "frobnicate"),
        (["--frobnicate"], "--frobnicate"),
        (["certify"], "model"),
        (["check"], "certificates"),
        (["train"], "task"),
        (["train", "digits", "--set"], "--set"),
        (["demo", "--epochs"], "--epochs"),
        (["certify", "a", "b"], "b"),
        (["demo", "extra"], "extra"),
        (["certify", "a", "--nope"], "--nope"),
        (["check", "a", "--nope"], "--nope"),
        (["train", "digits", "--nope"], "--nope"),
        (["demo", "--nope"], "--nope"),
        (["demo", "--epochs", "0"], "--epochs"),
        (["demo", "--epochs", "1.5"], "--epochs"),
        (["demo", "--epochs", "many"], "--epochs"),
        (["demo", "--epochs", "1e9"], "--epochs"),
        (["demo", "--seed", "x"], "--seed"),
        (["certify", "a", "--input-bound", "wide"], "--input-bound"),
    ],
)
def test_words(refused: Refused, words: list[str], part: str):
    message = refused(*words)
    assert part in message and message.endswith("see limitset --help\n")


@pytest.mark.parametrize(
    "setting, parts",
    [
        ("unit=3", ["unit=3", "modules, units"]),
        ("units", ["'units'", "key=value"]),
        ("=3", ["'=3'"]),
        ("", ["''"]),
        ("units=", ["int"]),
        ("units=many", ["many", "int"]),
        ("units=1.5", ["1.5", "int"]),
        ("units=nan", ["nan", "int"]),
        ("units=none", ["none", "int"]),
        ("units=" + "9" * 5000, ["int"]),
        ("units=1\n2", ["int"]),
        ("units=0", ["units is 0"]),
        ("units=-5", ["units is -5"]),
        ("units=1000000000", ["1000000000", "choose fewer"]),
        ("modules=0", ["modules is 0"]),
        ("modules=1000000000", ["1000000000", "choose fewer"]),
        ("start=zeros", ["zeros", "delay_line"]),
        ("form=leaky", ["leaky", "hopfield", "firing_rate"]),
        ("activation=step", ["step", "tanh"]),
        ("activation=gelu", ["gelu", "slope"]),
        ("margin=0", ["margin is 0"]),
        ("margin=1", ["margin is 1"]),
        ("margin=nan", ["margin is nan"]),
        ("margin=1e-9", ["margin"]),
        ("slowest=0.5", ["slowest is 0.5"]),
        ("slowest=inf", ["slowest is inf"]),
        ("slowest=nan", ["slowest is nan"]),
        ("step=0", ["step is 0"]),
        ("step=-1", ["step is -1"]),
        ("step=1e400", ["step is inf"]),
        ("step=nan", ["step is nan"]),
        ("step=big", ["step=big", "float"]),
        ("readout_gain=0", ["readout_gain is 0"]),
        ("readout_gain=-inf", ["readout_gain is -inf"]),
        ("epochs=0", ["epochs is 0"]),
        ("epochs=1000000000000", ["epochs is 1000000000000"]),
        ("batch_size=0", ["batch_size is 0"]),
        ("batch_size=-3", ["batch_size is -3"]),
        ("learning_rate=0", ["learning_rate is 0"]),
        ("learning_rate=nan", ["learning_rate is nan"]),
        ("learning_rate=inf", ["learning_rate is inf"]),
        ("clip=0", ["clip is 0"]),
        ("clip=nan", ["clip is nan"]),
        ("seed=-1", ["seed is -1"]),
        ("seed=" + "1" * 30, ["seed is 111"]),
        ("held_out=-1", ["held_out is -1"]),
        ("held_out=1437", ["1437"]),
        ("patience=0", ["patience is 0"]),
        ("patience=3", ["patience", "hold"]),
    ],
)
def test_settings(refused: Refused, tmp_path: Path, setting: str, parts: list[str]):
    message = refused("train", "digits", "--out", tmp_path / "new", "--set", setting)
    assert all(part in message for part in parts), message


def test_a_setting_of_a_run_must_be_representable(refused: Refused, tmp_path: Path):
    """A delay line of n units needs scales down to `margin^n`, which float32 must hold."""
    words = ["--set", "modules=1", "--set", "units=4096"]
    assert "margin" in refused("train", "digits", "--out", tmp_path / "new", *words)


@pytest.mark.parametrize("task", ["mnist10", "", "../digits", "DIGITS", "\N{BULLET}"])
def test_unknown_tasks_are_answered_with_the_known_ones(
    refused: Refused, tmp_path: Path, task: str
):
    assert "psmnist" in refused("train", task, "--out", tmp_path / "new")


@pytest.mark.parametrize("folder", ["", "nowhere", "file"])
def test_missing_data(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path / (folder or "empty")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr("limitset.training._datasets._fetch", lambda *_: "no network")
    refused("train", "smnist", "--out", tmp_path / "new")


@pytest.mark.parametrize("command", [["demo"], ["train", "digits"]])
@pytest.mark.parametrize("place", ["file", "file/below", "name" * 100, "dangling"])
def test_output_that_cannot_be_written_is_refused_before_the_work(
    refused: Refused, tmp_path: Path, command: list[str], place: str
):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "at all")
    assert place[-4:] in refused(*command, "--out", tmp_path / place)


def test_a_finished_model_is_not_replaced_unasked(refused: Refused, model: Path):
    assert "--overwrite" in refused("train", "digits", "--out", model)


@pytest.mark.parametrize("seed", ["-1", "1" * 30])
def test_seeds_of_the_demo(refused: Refused, tmp_path: Path, seed: str):
    assert "seed" in refused("demo", "--out", tmp_path / "new", "--seed", seed)


def test_too_many_epochs_of_the_demo(refused: Refused, tmp_path: Path):
    assert "epochs" in refused("demo", "--out", tmp_path / "new", "--epochs", 10**12)


def test_help_and_version(limitset: Callable[..., Reply]):
    for words in (["--help"], ["train", "--help"], ["--version"]):
        reply = limitset(*words)
        assert reply.code == 0 and "limitset" in reply.out and reply.err == ""
