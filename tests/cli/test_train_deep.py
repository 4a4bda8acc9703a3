"""`limitset train` of deep networks: what it says, writes and refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Reply, listing
from deep_training import SHAPE, tiny_deep
from limitset.io import load
from limitset.networks import DeepNetwork
from limitset.training import IMAGE_TASKS, Dataset, ImageTask, Split
from tiny_training import tiny_split

Command = Callable[..., Reply]


def load_tiny() -> Split:
    """Images of 4 x 4 pixels, pixel by pixel, as loaders give them."""

    def widen(part: Dataset) -> Dataset:
        pixels = part.inputs.repeat(3, 1)[:, :16]
        return Dataset(pixels, part.labels, part.name, part.part)

    split = tiny_split()
    return Split(widen(split.train), widen(split.test))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    task = ImageTask("nais_tiny", load_tiny, 3, SHAPE, "for tests", tiny_deep(epochs=1))
    monkeypatch.setitem(IMAGE_TASKS, "nais_tiny", task)


def test_a_network_its_twin_and_its_certificate(limitset: Command, tmp_path: Path):
    place = tmp_path / "model"
    reply = limitset("train", "nais_tiny", "--out", place)
    assert reply.code == 0 and reply.err == ""
    assert reply.out.startswith("nais_tiny, seed 0: test accuracy ")
    for words in ("twin without injected input", "at depth 40", "[verified]", "[sampled]"):
        assert words in reply.out
    names = ["README.md", "certificates", "certificates/network.json", "config.json"]
    assert sorted(listing(place)) == [*names, "model.safetensors"]
    model = load(place)
    assert isinstance(model.system, DeepNetwork)
    assert model.about["settings"]["depth"] == 4 and model.about["twin"]["gap"] is not None
    checked = limitset("check", place / "certificates" / "network.json", "--json")
    assert checked.code == 0 and checked.answers[0]["accepted"]
    again = limitset("train", "nais_tiny", "--out", place)
    assert again.code == 2 and "--overwrite" in again.err


def test_seeds_and_json_and_no_certificate_without_a_promise(limitset: Command, tmp_path: Path):
    words = ("--set", "stable=false", "--set", "twin=false", "--set", "learning_rate=2")
    reply = limitset("train", "nais_tiny", "--out", tmp_path, *words, "--seeds", 2, "--json")
    assert reply.code == 1 and reply.err == ""
    answer = json.loads(reply.out)
    assert [run["seed"] for run in answer["runs"]] == [0, 1]
    assert {run["certificate"]["verdict"] for run in answer["runs"]} == {"unknown"}
    assert all(run["twin"] is None for run in answer["runs"])
    low, mean, high = (answer["test_accuracy"][key] for key in ("min", "mean", "max"))
    assert low <= mean <= high
    assert (tmp_path / "seed-1" / "config.json").exists()
    assert not (tmp_path / "seed-1" / "certificates").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nais_imagenet",), "use one of nais_digits"),
        (("nais_tiny", "--set", "shared=false"), "norm of its own"),
        (("nais_tiny", "--set", "shared=perhaps"), "no truth value"),
        (("nais_tiny", "--set", "modules=3"), "is not known"),
        (("nais_tiny", "--seeds", "0"), "seeds is 0"),
        (("mnist",), "nais_mnist"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    limitset: Command, tmp_path: Path, words: tuple[str, ...], said: str
):
    reply = limitset("train", *words, "--out", tmp_path / "model")
    assert reply.code == 2 and reply.out == "" and said in reply.err
    assert reply.err.count("\n") == 1 and not (tmp_path / "model").exists()
