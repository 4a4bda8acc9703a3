"""Which module size, number of modules and density serve a certified sparse assembly best?

Frozen sparse modules under trained feedback (`SparseCore`) on the digits read pixel by pixel: the
sizes of modules at a fixed number of units, the number of modules at a fixed size, the density.
The final epoch counts, test data, three seeds. Finished runs are kept in a folder (`--runs`).
"""

import _measure  # noqa: I001  (sets BLAS threads before NumPy loads)

import argparse
import os
from dataclasses import replace
from pathlib import Path

import _runs
from limitset.cli._devices import set_up_processor
from limitset.training import Settings, SparseCore, find_task

SEEDS, EPOCHS = (0, 1, 2), 60
BASE = SparseCore(modules=6, units=16, step=0.3, coupling_gain=3.0)
SWEEPS: dict[str, dict[str, SparseCore]] = {
    "size of modules, 96 units in all": {
        f"{96 // units} x {units}": replace(BASE, modules=96 // units, units=units)
        for units in (4, 8, 16, 32, 96)
    },
    "number of modules of 16 units": {
        f"{modules} x 16": replace(BASE, modules=modules) for modules in (1, 2, 4, 6, 12)
    },
    "density of 6 modules of 16 units": {
        f"{density:.0%}": replace(BASE, density=density) for density in (0.03, 0.1, 0.3, 1.0)
    },
}


def main() -> None:
    """Train what is missing, then print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one tiny run, to see that it works")
    parser.add_argument("--runs", type=Path, help="folder of finished runs")
    parser.add_argument("--results", type=Path, help="folder of the JSON record")
    given = parser.parse_args()
    set_up_processor()
    split = find_task("digits").load()
    shared = Settings(readout_gain=1.0, learning_rate=5e-3, epochs=1 if given.quick else EPOCHS)
    sweeps = {"quick": {"1 x 4": SparseCore(1, 4)}} if given.quick else SWEEPS
    results: dict[str, dict[str, object]] = {}
    for sweep, cores in sweeps.items():
        print(sweep)
        for name, core in cores.items():
            settings = replace(shared, core=core)
            # The same settings are in more than one sweep, and are trained once.
            kept = f"{core.modules}x{core.units}_{core.density:g}"
            seeds = SEEDS[:1] if given.quick else SEEDS
            runs = _runs.run_seeds(kept, "digits", settings, split, seeds, given.runs)
            results.setdefault(sweep, {})[name] = _runs.summarise(name, runs)
    folder = given.results or (Path(os.devnull) if given.quick else _measure.RESULTS)
    _measure.store("assembly_sweeps", _measure.Arguments(given.quick, folder), results)


if __name__ == "__main__":
    main()
