"""Runs before any test module: float64, checked array shapes, repeatable randomness."""

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

# Before JAX and matplotlib are imported: no window, and one thread per worker process.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Most of the suite's time is XLA compiling functions that then run once: compile plainly.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_use_fusion_emitters=false",
)

import hypothesis
import jax
import jaxtyping
import pytest

from shape_checks import checked_modules

jax.config.update("jax_enable_x64", True)

# Must run before limitset is imported anywhere. LIMITSET_TYPECHECK=0 turns the checks off, to
# debug a failure without beartype's frames; the subprocesses of test_import_cost.py never load
# this file.
if os.environ.get("LIMITSET_TYPECHECK", "1") != "0":
    from jaxtyping import install_import_hook

    install_import_hook(checked_modules(), "shape_checks.checked")

# No deadline: the first example of a property compiles. Few examples: each one runs real
# mathematics. In CI the examples are the same on every run.
hypothesis.settings.register_profile(
    "local",
    deadline=None,
    max_examples=25,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "ci", hypothesis.settings.get_profile("local"), derandomize=True
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="module", autouse=True)
def programs_of_few_files() -> Iterator[None]:
    """Forgets compiled programs between files, when there are many.

    Each holds several memory maps, of which Linux allows a process 65,530: with those of the whole
    suite the compiler would fail, and take the process with it.
    """
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or len(maps.read_bytes().splitlines()) > 20_000:
        jax.clear_caches()


@pytest.fixture
def untyped() -> Iterator[None]:
    """As users run it: the suite's shape checks would come before the library's own messages."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def getkey(request: pytest.FixtureRequest) -> Callable[[], jax.Array]:
    """A function that returns a new random key at each call, the same ones on every run.

    The keys derive from the test's name, so a test's numbers do not depend on which other tests
    run, in what order, or in which worker.
    """
    root = jax.random.key(zlib.crc32(request.node.name.encode()))
    calls = 0

    def next_key() -> jax.Array:
        nonlocal calls
        calls += 1
        return jax.random.fold_in(root, calls)

    return next_key
