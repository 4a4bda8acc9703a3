"""Every benchmark runs in its quick version and leaves a record; its figures are not judged."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from source_tree import ROOT

# Packages that a benchmark may lack, and the modules that they install.
PEERS = {"torch": "torch", "crival": "ival", "crlin": "crlin", "immrax": "immrax"}
BENCHMARKS = sorted((ROOT / "benchmarks").glob("[a-z]*.py"))


def numbers(value: object) -> list[float]:
    """All numbers in a JSON value."""
    if isinstance(value, dict):
        return [n for part in value.values() for n in numbers(part)]
    if isinstance(value, list):
        return [n for part in value for n in numbers(part)]
    return [value] if isinstance(value, int | float) else []


def test_benchmarks_are_found():
    assert len(BENCHMARKS) >= 5


# Each compiles much: training steps of several networks, or many ways to compute one thing.
LONG = (
    "adaptive_depth",
    "assembly_sweeps",
    "certified_accuracy",
    "check_speed",
    "deep_accuracy",
    "digits_accuracy",
    "initialisation_study",
    "initialiser_audit",
    "lyapunov_speed",
    "meanfield_speed",
    "norm_bounds",
    "parallel_in_time",
    "permuted_accuracy",
    "proof_peers",
    "prove_speed",
    "replicator_search",
    "sparse_combo",
    "train_speed",
)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, marks=pytest.mark.slow if p.stem in LONG else (), id=p.stem)
        for p in BENCHMARKS
    ],
)
def test_quick_run(path: Path, tmp_path: Path):
    unset = ("PYTEST", "IMMRAX")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(unset)}
    command = [sys.executable, str(path), "--quick", "--results", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / f"{path.stem}.json").read_text(encoding="utf-8"))
    assert record["quick"] is True
    assert record["machine"]["cores"] >= 1 and record["versions"]["limitset"]
    found = numbers(record["results"])
    assert found and all(map(math.isfinite, found))
    source = path.read_text(encoding="utf-8")
    for package, module in PEERS.items():
        if package in source and importlib.util.find_spec(module) is None:
            assert f"{package} is not installed" in done.stdout


def test_records_are_of_full_runs():
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["quick"] is False and record["benchmark"] == path.stem
