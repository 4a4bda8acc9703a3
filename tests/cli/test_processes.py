"""The command line as users meet it: processes, signals, pipes, and the demo from end to end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import listing

COMMAND = str(Path(sys.executable).with_name("limitset"))
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LIMITSET"))}


@pytest.fixture(scope="module", autouse=True)
def environment(programs: Path) -> Iterator[None]:
    """The processes share what they compile, and hear Ctrl-C."""
    ENVIRONMENT["JAX_COMPILATION_CACHE_DIR"] = str(programs)
    ENVIRONMENT["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    ENVIRONMENT["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    # A suite that runs in the background ignores Ctrl-C, and would hand that down.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(*words: object, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, *map(str, words)],
        env=ENVIRONMENT,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},  # pyright: ignore[reportArgumentType, reportCallIssue]
    )


def finish(*words: object, **options: object) -> tuple[int, str, str]:
    process = start(*words, **options)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["certify", "nowhere"],
        ["check", "garbage"],
        ["train", "digits", "--out", "new", "--set", "units=1000000000"],
        ["demo", "--out", "garbage"],
    ],
    ids=lambda words: " ".join(words[:1]),
)
def test_unusable_input_is_one_line(tmp_path: Path, words: list[str]):
    (tmp_path / "garbage").write_bytes(b"\xff" * 100)
    before = listing(tmp_path)
    code, out, err = finish(*words, cwd=tmp_path)
    assert code == 2 and out == ""
    assert err.startswith("limitset: ") and err.count("\n") == 1, err
    assert listing(tmp_path) == before


def test_output_that_nobody_takes(tmp_path: Path):
    """A closed pipe and a full disk end a command without a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    code, _, err = finish("--help", stdout=writing)
    os.close(writing)
    assert code in (0, 1) and err == ""
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            code, _, err = finish("--version", stdout=full)
        assert code == 2 and err.count("\n") == 1 and "No space left" in err
        with open("/dev/full", "w") as full:
            code, _, err = finish("--help", stdout=full)
        assert code == 2 and err.count("\n") == 1 and "No space left" in err


RUN = ["modules=1", "units=4", "epochs=20", "batch_size=359"]
WORDS = ["train", "digits", *(word for setting in RUN for word in ("--set", setting))]


def stop_at_new_checkpoint(place: Path, sign: signal.Signals) -> tuple[int, str, str]:
    """Sends the signal when a run has written a checkpoint of its own."""
    checkpoint = place / "checkpoint.npz"
    old = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    process = start(*WORDS, "--out", place)
    deadline = time.monotonic() + 200
    while not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > old):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(sign)
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


@pytest.mark.slow
def test_a_run_survives_ctrl_c_and_a_kill_bit_for_bit(tmp_path: Path):
    place = tmp_path / "broken"
    code, out, err = stop_at_new_checkpoint(place, signal.SIGINT)
    assert code == 130 and out == "" and "Traceback" not in err
    assert err.count("\n") == 1 and "run it again" in err
    assert list(listing(place)) == ["checkpoint.npz"]
    code, out, err = stop_at_new_checkpoint(place, signal.SIGKILL)
    assert code == -signal.SIGKILL and out == err == ""
    assert (place / "checkpoint.npz").exists() and not (place / "config.json").exists()
    code, resumed, err = finish(*WORDS, "--out", place)
    assert code == 0 and err == ""
    code, whole, err = finish(*WORDS, "--out", tmp_path / "whole")
    assert code == 0 and err == ""
    assert resumed.replace("broken", "whole") == whole
    assert listing(place) == listing(tmp_path / "whole")


@pytest.mark.slow
def test_the_demo_from_end_to_end(tmp_path: Path):
    code, out, err = finish("demo", "--epochs", 3, cwd=tmp_path)
    assert code == 0, out + err
    assert err == "" and len(out.splitlines()) <= 16
    assert all(len(line) <= 120 for line in out.splitlines())
    folder = tmp_path / "limitset-demo"
    files = [
        "model",
        "model/README.md",
        "model/certificates",
        "model/certificates/contraction.json",
        "model/config.json",
        "model/model.safetensors",
        "report.html",
    ]
    assert sorted(listing(folder)) == files
    assert "[verified]" in out and "[checked]" in out and "0 of" in out
    certificate = folder / "model" / "certificates" / "contraction.json"
    checked = subprocess.run(
        [sys.executable, "-m", "limitset.checker", str(certificate)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0 and checked.stdout.startswith("accepted: ")
    assert finish("certify", folder / "model")[0] == 0
    page = (folder / "report.html").read_text()
    assert "<script" not in page and page.count("<svg") == 3
