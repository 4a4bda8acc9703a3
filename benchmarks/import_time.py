"""How long until limitset is there: its own import beyond Equinox and JAX, and `limitset --help`?

Every start is a fresh interpreter. The figure is the best of several, since whatever else the
machine does only adds to it.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import _measure

# Seconds.
OWN_IMPORT, HELP = 0.3, 0.5


def main() -> None:
    """Imports and the help text, in turn."""
    arguments = _measure.parse_arguments(__doc__)
    words = {
        "python": ["-c", "pass"],
        "import equinox": ["-c", "import equinox"],
        "import limitset": ["-c", "import limitset"],
        "limitset.RateNetwork": ["-c", "import limitset; limitset.RateNetwork"],
    }
    if find_spec("torch"):
        words["import torch"] = ["-c", "import torch"]
    else:
        print("torch is not installed (benchmarks/requirements.txt): no figure for its import")
    commands = {name: [sys.executable, *rest] for name, rest in words.items()}
    # The scripts of an environment lie beside its interpreter.
    commands["limitset --help"] = [str(Path(sys.executable).with_name("limitset")), "--help"]
    tasks = {
        name: lambda command=command: subprocess.run(command, capture_output=True, check=True)
        for name, command in commands.items()
    }
    timings = _measure.interleave(
        tasks, repeats=1 if arguments.quick else 9, warm_up=0 if arguments.quick else 1
    )
    best = {name: min(timing.seconds) for name, timing in timings.items()}
    for name, timing in timings.items():
        print(f"{name:22} best {best[name]:.3f} s, median {timing.median:.3f} s")
    own = max(best["import limitset"], best["limitset.RateNetwork"]) - best["import equinox"]
    met = _measure.verdict(own < OWN_IMPORT)
    print(f"own import {own:.3f} s beyond equinox, target {OWN_IMPORT} s: {met}")
    met = _measure.verdict(best["limitset --help"] < HELP)
    print(f"help {best['limitset --help']:.3f} s, target {HELP} s: {met}")
    results = {
        **{name: {**timing.record(), "best_s": best[name]} for name, timing in timings.items()},
        "own_import_s": own,
        "ratio_to_equinox": best["limitset.RateNetwork"] / best["import equinox"],
        "targets_s": {"own_import": OWN_IMPORT, "help": HELP},
    }
    _measure.store("import_time", arguments, results)


if __name__ == "__main__":
    main()
