"""The command line inside this process: words in, exit code and both streams out."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax.numpy as jnp
import pytest

from command_line import CONTRACTING, Reply, listing
from limitset.cli import main
from limitset.io import save
from limitset.networks import RateNetwork
from tiny_training import compiled_once

Command = Callable[..., Reply]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled programs are kept for the whole run."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True)
def compiled(programs: Path) -> Iterator[None]:
    """Runs of one shape are compiled once, in this process and in those that tests start."""
    with compiled_once(programs):
        yield


@pytest.fixture
def limitset(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], untyped: None
) -> Command:
    """Runs `limitset` with these words."""
    del untyped
    for command in ("_demo", "_train", "_train_deep", "_train_seeds"):
        # JAX has started in this process: its devices are what they are.
        monkeypatch.setattr(f"limitset.cli.{command}.set_up_processor", lambda: None)

    def run(*words: object) -> Reply:
        monkeypatch.setattr(sys, "argv", ["limitset", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return Reply(stop.value.code, out, err)

    return run


@pytest.fixture
def refused(limitset: Command, tmp_path: Path) -> Callable[..., str]:
    """Runs a command that must call its input unusable: one line, code 2, nothing written."""

    def run(*words: object) -> str:
        before = listing(tmp_path)
        reply = limitset(*words)
        assert reply.code == 2, reply
        assert reply.err.count("\n") == 1 and reply.err.endswith("\n"), reply.err
        assert reply.err.startswith("limitset: ") and len(reply.err) > 30, reply.err
        assert reply.out == ""
        assert listing(tmp_path) == before
        return reply.err

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a rate network that contracts at rate 1/2."""
    return save(tmp_path / "model", RateNetwork(jnp.asarray(CONTRACTING)))


@pytest.fixture
def certificate(model: Path, limitset: Command) -> Path:
    """Its certificate."""
    assert limitset("certify", model).code == 0
    return model / "certificates" / "contraction.json"
