"""`limitset train` inside this process: what it says, writes, keeps when stopped, and refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from command_line import Reply, listing
from limitset.cli import _train
from limitset.io import load
from limitset.training import TASKS, Epoch, Split
from tiny_training import SMALL, TINY, tiny_split

Command = Callable[..., Reply]
WORDS = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
FILES = ["README.md", "certificates", "certificates/contraction.json", "config.json"]
FILES.append("model.safetensors")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "tiny", TINY)


def stop_after(monkeypatch: pytest.MonkeyPatch, epochs: int, stop: BaseException) -> None:
    """Raises after some epochs, where a signal would."""
    train_task = _train.train_task

    def stopped(*words: object, on_epoch: Callable[[Epoch], None], **named: object) -> object:
        def show(record: Epoch) -> None:
            on_epoch(record)
            if record.index + 1 == epochs:
                raise stop

        return train_task(*words, on_epoch=show, **named)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(_train, "train_task", stopped)


def test_an_interrupted_run_keeps_its_epochs_and_goes_on(
    limitset: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = limitset("train", "tiny", "--out", tmp_path / "whole", *WORDS)
    assert whole.code == 0 and whole.err == ""
    assert whole.out.startswith("tiny: test accuracy 0.") and "contracting, factor" in whole.out
    assert sorted(listing(tmp_path / "whole")) == FILES
    place = tmp_path / "broken"
    with monkeypatch.context() as patch:
        stop_after(patch, 2, KeyboardInterrupt())
        reply = limitset("train", "tiny", "--out", place, *WORDS)
    assert reply.code == 130 and reply.out == "" and "interrupted" in reply.err
    assert reply.err.count("\n") == 1
    assert list(listing(place)) == ["checkpoint.npz"]
    other = limitset("train", "tiny", "--out", place, *WORDS, "--set", "clip=0.5")
    assert other.code == 2 and "another run" in other.err and other.err.count("\n") == 1
    assert list(listing(place)) == ["checkpoint.npz"]
    resumed = limitset("train", "tiny", "--out", place, *WORDS)
    assert resumed.code == 0
    assert resumed.out.replace("broken", "whole") == whole.out
    assert listing(place) == listing(tmp_path / "whole")


def test_a_run_answers_in_json_and_its_folder_is_a_certified_model(
    limitset: Command, tmp_path: Path
):
    place = tmp_path / "model"
    reply = limitset("train", "tiny", "--out", place, *WORDS, "--json")
    assert reply.code == 0 and reply.err == "" and len(reply.answers) == 1
    answer = reply.answers[0]
    assert set(answer) == {"task", "test_accuracy", "parameters", "epochs", "factor", "model"}
    assert answer["task"] == "tiny" and answer["epochs"] == 3 and answer["model"] == str(place)
    assert 0 <= answer["test_accuracy"] <= 1 and 0 < answer["factor"] < 1
    model = load(place)
    assert model.readout is not None and model.metric is not None
    assert model.about["settings"]["units"] == 3 and model.about["task"] == "tiny"
    assert model.about["test_accuracy"] == answer["test_accuracy"]
    certificate = place / "certificates" / "contraction.json"
    assert limitset("check", certificate).code == 0
    claim = json.loads(certificate.read_text())["claim"]
    assert float.fromhex(claim["factor"]) == answer["factor"]
    again = limitset("train", "tiny", "--out", place, *WORDS)
    assert again.code == 2 and "--overwrite" in again.err
    changed = limitset("train", "tiny", "--out", place, *WORDS, "--set", "seed=5", "--overwrite")
    assert changed.code == 0 and sorted(listing(place)) == FILES
    assert load(place).about["settings"]["seed"] == 5
    assert limitset("check", certificate).code == 0


def test_several_seeds_in_one_program(limitset: Command, tmp_path: Path):
    place = tmp_path / "models"
    words = ["train", "tiny", "--out", place, *WORDS, "--set", "seed=4", "--seeds", "2"]
    reply = limitset(*words)
    assert reply.code == 0 and reply.err == ""
    first, second, spread, where = reply.out.splitlines()
    assert first.startswith("tiny, seed 4: test accuracy 0.") and "3 epochs, factor 0." in first
    assert second.startswith("tiny, seed 5: ") and str(place) in where
    files = {f"seed-{seed}/{name}" for seed in (4, 5) for name in FILES}
    assert files <= set(listing(place))
    about = [load(place / f"seed-{seed}").about for seed in (4, 5)]
    assert [one["settings"]["seed"] for one in about] == [4, 5]
    scores = [one["test_accuracy"] for one in about]
    words = f"min {min(scores):.4f}, mean {sum(scores) / 2:.4f}, max {max(scores):.4f}"
    assert spread == f"tiny: test accuracy of 2 seeds: {words}"


@pytest.mark.slow
def test_several_seeds_answer_in_json(limitset: Command, tmp_path: Path):
    place = tmp_path / "models"
    words = ["train", "tiny", "--out", place, *WORDS, "--seeds", "2", "--json"]
    answer = limitset(*words).answers[0]
    assert set(answer) == {"task", "test_accuracy", "parameters", "runs", "models"}
    assert answer["task"] == "tiny" and answer["models"] == str(place)
    scores = [run["test_accuracy"] for run in answer["runs"]]
    spread = {"min": min(scores), "mean": sum(scores) / 2, "max": max(scores)}
    assert answer["test_accuracy"] == pytest.approx(spread)
    assert [run["seed"] for run in answer["runs"]] == [0, 1]
    assert all(run["epochs"] == 3 and 0 < run["factor"] < 1 for run in answer["runs"])
    assert limitset("check", place / "seed-1" / "certificates" / "contraction.json").code == 0
    again = limitset(*words)
    assert again.code == 2 and "--overwrite" in again.err and "seed-0" in again.err
    assert limitset(*words, "--overwrite").answers == [answer]


@pytest.mark.parametrize("words", [["--seeds", "0"], ["--seeds", "2", "--set", "seed=4294967295"]])
def test_seeds_that_are_none(limitset: Command, tmp_path: Path, words: list[str]):
    reply = limitset("train", "tiny", "--out", tmp_path / "models", *WORDS, *words)
    assert reply.code == 2 and "seed" in reply.err and reply.err.count("\n") == 1
    assert listing(tmp_path) == {}


def test_a_run_that_diverges_says_so_in_one_line(
    limitset: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def spoiled() -> Split:
        split = tiny_split()
        split.train.inputs[0, 0, 0] = np.nan
        return split

    monkeypatch.setattr(_train, "find_task", lambda name: TINY)
    monkeypatch.setitem(TASKS, "tiny", type(TINY)("tiny", spoiled, 3, 6, "spoiled"))
    reply = limitset("train", "tiny", "--out", tmp_path / "model", *WORDS)
    assert reply.code == 2 and reply.out == "" and reply.err.count("\n") == 1
    assert "diverged" in reply.err and "learning rate" in reply.err
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04" + b"\0" * 500])
def test_a_damaged_checkpoint_is_refused(limitset: Command, tmp_path: Path, content: bytes):
    place = tmp_path / "model"
    place.mkdir()
    (place / "checkpoint.npz").write_bytes(content)
    reply = limitset("train", "tiny", "--out", place, *WORDS)
    assert reply.code == 2 and reply.err.count("\n") == 1 and "damaged" in reply.err
    assert listing(place) == {"checkpoint.npz": content}
