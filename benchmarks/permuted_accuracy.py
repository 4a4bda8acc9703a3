"""What does a certificate cost, or gain, on a task that needs a long memory?

Permuted MNIST at half the width and height (196 steps, `psmnist14`) in one training loop: a gated
assembly below a firing-rate module, and a deep stack of diagonal recurrences, both certified after
every epoch; an LSTM and a Lipschitz network of equal parameter count. Three seeds, accuracy of the
final epoch on the test data. The baselines' learning rates, forget bias and step are the best of a
few runs of 800 updates, judged on the same test data, which favours them.

Finished runs are kept in a folder (`--runs`), so that the benchmark can be interrupted.
"""

import _measure  # noqa: I001  (sets BLAS threads before NumPy loads)

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import _runs
from limitset.cli._devices import set_up_processor
from limitset.training import (
    GatedStackCore,
    LipschitzCore,
    LSTMCore,
    Settings,
    StackCore,
    find_task,
)

TASK, SEEDS, EPOCHS = "psmnist14", (0, 1, 2), 12
# About 11,400 parameters each.
MODELS: dict[str, Settings] = {
    "certified": Settings(GatedStackCore(), learning_rate=5e-3),
    "deep": Settings(StackCore(units=44, width=24, hidden=44), learning_rate=5e-3),
    "lstm": Settings(LSTMCore(units=50), learning_rate=1e-2),
    "lipschitz": Settings(LipschitzCore(units=72, step=0.3), learning_rate=5e-3),
}


def shared(quick: bool) -> dict[str, Any]:
    """What all runs have in common."""
    return {"epochs": 1 if quick else EPOCHS, "batch_size": 128, "readout_gain": 1.0}


def main() -> None:
    """Train what is missing, then print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny runs, to see that it works")
    parser.add_argument("--model", choices=list(MODELS), action="append", help="only this model")
    parser.add_argument("--runs", type=Path, help="folder of finished runs")
    parser.add_argument("--results", type=Path, help="folder of the JSON record")
    given = parser.parse_args()
    set_up_processor()
    task = "digits" if given.quick else TASK
    split = find_task(task).load()
    seeds = SEEDS[:1] if given.quick else SEEDS
    results = {}
    for name in given.model or MODELS:
        settings = replace(MODELS[name], **shared(given.quick))
        runs = _runs.run_seeds(name, task, settings, split, seeds, given.runs)
        results[name] = _runs.summarise(name, runs)
    folder = given.results or (Path(os.devnull) if given.quick else _measure.RESULTS)
    _measure.store("permuted_accuracy", _measure.Arguments(given.quick, folder), results)


if __name__ == "__main__":
    main()
