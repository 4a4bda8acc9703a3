"""Importing limitset stays light, and the command line answers at once.

Every measurement runs in a fresh interpreter, without the test suite's type-checking hook.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

HELP_SECONDS = 0.5
# Of the time that Equinox and JAX take, so that a slow or busy machine slows both.
OWN_IMPORT_SHARE = 0.5

HEAVY = ["flint", "jinja2", "matplotlib", "scipy", "sklearn", "typer", "xarray", "zarr"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=True, timeout=120
    )


def loaded_after(statement: str) -> set[str]:
    """Top-level packages in `sys.modules` after the statement ran in a fresh interpreter."""
    report = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    return set(json.loads(run(sys.executable, "-c", f"{statement}\n{report}").stdout))


def seconds(*arguments: str, repeats: int) -> float:
    """The least processor time of several runs.

    Not wall-clock time: the suite keeps every core busy, and would measure its own other tests.
    """
    timings = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        timings.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(timings)


@pytest.mark.parametrize("package", HEAVY)
def test_import_limitset_leaves_out(package: str):
    assert package not in loaded_after("import limitset")


def test_networks_and_dynamics_leave_out_the_heavy_packages():
    """Plotting, data sets and balls load when they are used, not when a network is built."""
    loaded = loaded_after("import limitset.networks, limitset.dynamics")
    assert loaded.isdisjoint(HEAVY)


def test_plotting_loads_with_the_report_only():
    loaded = loaded_after(
        "import limitset.contraction, limitset.io, limitset.proofs, limitset.training"
    )
    assert loaded.isdisjoint({"jinja2", "matplotlib", "sklearn", "typer"})


def test_checker_needs_neither_numpy_nor_jax():
    loaded = loaded_after("import limitset.checker")
    assert loaded.isdisjoint({"equinox", "jax", "jaxlib", "numpy", "scipy"})


def test_own_import_is_fast():
    """`import limitset`, and a network with it, costs little beyond Equinox and JAX."""
    base = seconds(sys.executable, "-c", "import equinox", repeats=3)
    bare = seconds(sys.executable, "-c", "import limitset", repeats=3)
    used = seconds(sys.executable, "-c", "import limitset; limitset.RateNetwork", repeats=3)
    assert max(bare, used) - base <= OWN_IMPORT_SHARE * base


def test_help_is_fast():
    command = Path(sys.executable).with_name("limitset")
    assert "demo" in run(str(command), "--help").stdout
    assert seconds(str(command), "--help", repeats=5) < HELP_SECONDS
