"""Several processes of `limitset train`: the words that join them, how they meet, one real run."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import listing
from limitset._result import InputProblem
from limitset.cli import _meeting
from limitset.cli._meeting import Meeting, meeting_of

HERE = "127.0.0.1:1234"


@pytest.mark.parametrize(
    "words, part",
    [
        (["--processes", 2], "--coordinator and --process did not come"),
        (["--coordinator", HERE], "--processes and --process did not come"),
        (["--coordinator", HERE, "--processes", 2], "--process did not come"),
        (["--coordinator", "host", "--processes", 2, "--process", 0], "no HOST:PORT"),
        (["--coordinator", ":80", "--processes", 2, "--process", 0], "no HOST:PORT"),
        (["--coordinator", "h:0", "--processes", 2, "--process", 0], "no HOST:PORT"),
        (["--coordinator", "h:65536", "--processes", 2, "--process", 0], "no HOST:PORT"),
        (["--coordinator", HERE, "--processes", 1, "--process", 0], "processes is 1"),
        (["--coordinator", HERE, "--processes", 2, "--process", 2], "from 0 to 1"),
        (["--coordinator", HERE, "--processes", 2, "--process", -1], "process is -1"),
        (["--coordinator", HERE, "--processes", 2, "--process", 0, "--seeds", 2], "leave --seeds"),
    ],
)
def test_words_that_do_not_fit(
    refused: Callable[..., str], tmp_path: Path, words: list[object], part: str
):
    assert part in refused("train", "digits", "--out", tmp_path / "new", *words)


def test_no_words_no_meeting():
    assert meeting_of(None, None, None) is None
    assert meeting_of(HERE, 3, 2) == Meeting(HERE, 3, 2)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def meet(monkeypatch: pytest.MonkeyPatch, patience: float, *who: tuple[int, int]) -> list[str]:
    """What processes, each given as (how many, which), say to each other before JAX starts."""
    monkeypatch.setattr(_meeting, "_PATIENCE", patience)
    port, said = free_port(), [""] * len(who)

    def run(index: int, processes: int, place: int) -> None:
        try:
            meeting = Meeting(f"127.0.0.1:{port}", processes, place)
            (_meeting._await_others if place == 0 else _meeting._report)(meeting)
            said[index] = "went on"
        except TimeoutError:
            said[index] = "timeout"
        except InputProblem as problem:
            said[index] = str(problem)

    threads = [threading.Thread(target=run, args=(i, *words)) for i, words in enumerate(who)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return said


def test_all_go_on_when_all_are_there(monkeypatch: pytest.MonkeyPatch):
    assert meet(monkeypatch, 50, (3, 2), (3, 0), (3, 1)) == ["went on"] * 3


def test_a_process_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch):
    first, other = meet(monkeypatch, 2, (2, 0), (3, 1))
    assert first == "timeout" and "another number of processes than 3" in other
    assert "\n" not in other


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch):
    assert meet(monkeypatch, 0.3, (2, 0)) == ["timeout"]
    assert meet(monkeypatch, 0.3, (2, 1)) == ["timeout"]
    monkeypatch.setattr(_meeting, "_PATIENCE", 0.1)
    with pytest.raises(InputProblem, match="did not meet at 127.0.0.1") as caught:
        _meeting.join(Meeting(f"127.0.0.1:{free_port()}", 2, 0))
    assert "\n" not in str(caught.value)


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("", 0)) as server:
        meeting = Meeting(f"127.0.0.1:{server.getsockname()[1]}", 2, 0)
        with pytest.raises(InputProblem, match="take another port"):
            _meeting._await_others(meeting)


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(programs: Path, tmp_path: Path):
    command = str(Path(sys.executable).with_name("limitset"))
    sizes = ["modules=1", "units=4", "epochs=3", "batch_size=358"]
    words = [command, "train", "digits", *(w for size in sizes for w in ("--set", size))]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LIMITSET"))}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(programs)

    def start(place: Path, *more: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*words, "--out", str(place), *map(str, more)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    alone = start(tmp_path / "alone")
    out, err = alone.communicate(timeout=300)
    assert alone.returncode == 0 and err == ""
    join = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", 2]
    both = [start(tmp_path / "both", *join, "--process", index) for index in range(2)]
    try:
        said = [process.communicate(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][1] == said[1][1] == said[1][0] == ""
    # Two halves of a batch are summed in another order than the parts of one process.
    assert said[0][0].splitlines()[0][:30] == out.splitlines()[0][:30]
    assert sorted(listing(tmp_path / "both")) == sorted(listing(tmp_path / "alone"))
