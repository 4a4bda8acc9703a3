"""Timings in one interleaved run, the machine they were taken on, and where the records go.

Import this before NumPy: it gives BLAS one thread, as the figures here are meant.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("limitset", "jax", "jaxlib", "numpy", "scipy", "python-flint", "torch")


@dataclass(frozen=True)
class Timing:
    """Seconds of all repeats; the median is the figure, the range says how much to trust it.

    `cpu` is processor time of all threads of this process, which other processes hardly change.
    """

    seconds: tuple[float, ...]
    cpu: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the repeats."""
        return statistics.median(self.seconds)

    def record(self) -> dict[str, Any]:
        """What a result file keeps."""
        return {
            "median_s": self.median,
            "min_s": min(self.seconds),
            "max_s": max(self.seconds),
            "repeats": len(self.seconds),
        }

    def __str__(self) -> str:
        return f"{self.median:.4g} s ({min(self.seconds):.4g}-{max(self.seconds):.4g})"


@dataclass(frozen=True)
class Arguments:
    """`quick`: only show that the benchmark runs; `results`: where its record goes."""

    quick: bool
    results: Path


def parse_arguments(question: str | None) -> Arguments:
    """The arguments that every benchmark takes."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--results", type=Path, help="folder of the JSON record")
    given = parser.parse_args()
    # A quick run measures nothing worth keeping, so it never replaces a record unasked.
    folder = given.results or (None if given.quick else RESULTS)
    return Arguments(given.quick, folder or Path(os.devnull))


def interleave(
    tasks: Mapping[str, Callable[[], object]], *, repeats: int, warm_up: int = 1, pause: float = 0.0
) -> dict[str, Timing]:
    """Time the tasks in turn, `repeats` times, so that a busy moment hits all of them alike.

    **Arguments:** `pause`, seconds of sleep before each timing: worker threads of one library spin
    for a while after their work, and would slow the next.
    """
    for _ in range(warm_up):
        for task in tasks.values():
            task()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            time.sleep(pause)
            begun, cpu_begun = time.perf_counter(), time.process_time()
            task()
            cpu = time.process_time() - cpu_begun
            taken[name].append((time.perf_counter() - begun, cpu))
    return {name: Timing(*zip(*pairs, strict=True)) for name, pairs in taken.items()}


def machine() -> dict[str, Any]:
    """Processor, cores and their present load, Python."""
    return {
        "cpu": _cpu_model(),
        "cores": core_count(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Installed versions of everything that is compared here."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def store(name: str, arguments: Arguments, results: dict[str, Any]) -> None:
    """Print where and with what it was measured, and write `results/NAME.json`."""
    record = {
        "benchmark": name,
        "date": datetime.now(UTC).date().isoformat(),
        "quick": arguments.quick,
        "machine": machine(),
        "versions": versions(),
        "results": results,
    }
    facts = record["machine"]
    print(f"{facts['cpu']}, {facts['cores']} cores, load {facts['load_1min']}")
    print(", ".join(f"{package} {number}" for package, number in record["versions"].items()))
    if arguments.results == Path(os.devnull):
        return
    arguments.results.mkdir(parents=True, exist_ok=True)
    path = arguments.results / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"stored {path}", file=sys.stderr)


def verdict(holds: bool) -> str:
    """A target's outcome in a word."""
    return "met" if holds else "missed"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
