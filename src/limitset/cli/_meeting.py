"""Several processes that train one model: where they meet, from the words of the command."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import jax

from limitset._result import InputProblem
from limitset.training import meet_processes

_PATIENCE = 120
_LENGTH, _GO, _NO = 100, b"go", b"no"


@dataclass(frozen=True)
class Meeting:
    """Process `place` of `processes`, all of which meet at `coordinator`, an address of the first.

    **Raises:** `InputProblem` for words that do not fit.
    """

    coordinator: str
    processes: int
    place: int

    def __post_init__(self) -> None:
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise InputProblem(
                f"coordinator {self.coordinator!r} is no HOST:PORT; give an address of process 0"
            )
        if not self.processes >= 2:
            raise InputProblem(f"processes is {self.processes}; give at least 2")
        if not 0 <= self.place < self.processes:
            raise InputProblem(
                f"process is {self.place}; number {self.processes} processes from 0 to "
                f"{self.processes - 1}"
            )


def meeting_of(coordinator: str | None, processes: int | None, place: int | None) -> Meeting | None:
    """The meeting that three words of the command describe; none of them, none.

    **Raises:** `InputProblem` if some came without the others, or do not fit.
    """
    words = {"--coordinator": coordinator, "--processes": processes, "--process": place}
    missing = [word for word, value in words.items() if value is None]
    if coordinator is not None and processes is not None and place is not None:
        return Meeting(coordinator, processes, place)
    if len(missing) < len(words):
        raise InputProblem(
            f"{' and '.join(missing)} did not come; several processes need all of "
            f"{', '.join(words)}"
        )
    return None


def join(meeting: Meeting) -> None:
    """Wait for the other processes; afterwards `fit` trains one model with all of them.

    Has to run before JAX makes its first array.

    **Raises:** `InputProblem` if they do not come within two minutes, or do not fit together.
    """
    # JAX aborts the process if the others do not come, so it starts when all of them are there.
    try:
        (_await_others if meeting.place == 0 else _report)(meeting)
    except TimeoutError:
        raise InputProblem(
            f"{meeting.processes} processes did not meet at {meeting.coordinator} within "
            f"{_PATIENCE} s; start all of them, with an address of process 0 that all can reach"
        ) from None
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        meeting.coordinator, num_processes=meeting.processes, process_id=meeting.place
    )
    with _silenced():
        meet_processes()


def _await_others(meeting: Meeting) -> None:
    """Hear from every other process once, then let all of them go on."""
    until, lines = time.monotonic() + _PATIENCE, {}
    try:
        server = socket.create_server(("", int(meeting.coordinator.rpartition(":")[2])))
    except OSError as error:
        raise InputProblem(
            f"process 0 cannot listen at {meeting.coordinator} ({error.strerror}); take another "
            "port"
        ) from None
    with server, ExitStack() as stack:
        while len(lines) < meeting.processes - 1:
            server.settimeout(max(until - time.monotonic(), 1e-3))
            line = stack.enter_context(server.accept()[0])
            line.settimeout(max(until - time.monotonic(), 1e-3))
            place = _understood(line.recv(_LENGTH), meeting.processes)
            if place is None or place in lines:
                line.sendall(_NO)
            else:
                lines[place] = line
        for line in lines.values():
            line.sendall(_GO)


def _understood(words: bytes, processes: int) -> int | None:
    """The number of the process that says this, if it fits."""
    known = {_hello(processes, place): place for place in range(1, processes)}
    return known.get(words)


def _report(meeting: Meeting) -> None:
    """Tell process 0 that this one is there, and wait until all are."""
    host, _, port = meeting.coordinator.rpartition(":")
    until = time.monotonic() + _PATIENCE
    while True:
        left = max(until - time.monotonic(), 1e-3)
        try:
            with socket.create_connection((host, int(port)), left) as line:
                line.sendall(_hello(meeting.processes, meeting.place))
                answer = line.recv(_LENGTH)
        except TimeoutError:
            raise
        except OSError:
            # Process 0 has not started yet, or its name is not known yet.
            answer = b""
        if answer == _GO:
            return
        if answer == _NO:
            raise InputProblem(
                f"process 0 has another number of processes than {meeting.processes}, or another "
                f"process {meeting.place}; number them from 0, each once"
            )
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.1)


def _hello(processes: int, place: int) -> bytes:
    return f"limitset {place} of {processes}".encode()


@contextmanager
def _silenced() -> Iterator[None]:
    """Gloo announces its first connection on the standard output of the process."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
