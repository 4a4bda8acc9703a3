"""What does a certificate cost, or gain, on a task that needs a long memory?

Permuted MNIST at half the width and height (196 steps, `psmnist14`) in one training loop: a gated
assembly below a firing-rate module, certified after every epoch; an LSTM and a Lipschitz network of
equal parameter count. Three seeds, accuracy of the final epoch on the test data. The baselines'
learning rates, forget bias and step are the best of a few runs of 800 updates, judged on the same
test data, which favours them.

Finished runs are kept in a folder (`--runs`), so that the benchmark can be interrupted.
"""

import _measure  # noqa: I001  (sets BLAS threads before NumPy loads)

import argparse
import json
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from limitset.cli._devices import set_up_processor
from limitset.training import (
    GatedStackCore,
    LipschitzCore,
    LSTMCore,
    Settings,
    Split,
    certified_factor,
    find_task,
    train_task,
)

TASK, SEEDS, EPOCHS = "psmnist14", (0, 1, 2), 12
# About 11,400 parameters each.
MODELS: dict[str, Settings] = {
    "certified": Settings(GatedStackCore(), learning_rate=5e-3),
    "lstm": Settings(LSTMCore(units=50), learning_rate=1e-2),
    "lipschitz": Settings(LipschitzCore(units=72, step=0.3), learning_rate=5e-3),
}


def run(settings: Settings, split: Split) -> dict[str, Any]:
    """Train once; what a result file keeps of it."""
    begun = time.perf_counter()
    trained = train_task(TASK, settings, split=split)
    history = trained.fit.history
    return {
        "test_accuracy": trained.test_accuracy,
        "parameters": trained.parameters,
        "factor": certified_factor(trained.fit.model),
        "factors_of_epochs": [epoch.factor for epoch in history],
        "losses": [epoch.loss for epoch in history],
        "seconds": time.perf_counter() - begun,
        "settings": settings.as_record(),
    }


def shared(quick: bool) -> dict[str, Any]:
    """What all runs have in common."""
    return {"epochs": 1 if quick else EPOCHS, "batch_size": 128, "readout_gain": 1.0}


def summarise(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Print and return lowest, mean and highest accuracy of a model."""
    scores = [found["test_accuracy"] for found in runs]
    factors = [found["factor"] for found in runs]
    shown = ", ".join("none" if f is None else f"{f:.6f}" for f in factors)
    print(
        f"{name}: test accuracy lowest {min(scores):.4f}, mean {statistics.mean(scores):.4f}, "
        f"highest {max(scores):.4f} of {len(runs)} seeds, {runs[0]['parameters']} parameters, "
        f"factors {shown}"
    )
    return {
        "min": min(scores),
        "mean": statistics.mean(scores),
        "max": max(scores),
        "runs": runs,
    }


def main() -> None:
    """Train what is missing, then print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny runs, to see that it works")
    parser.add_argument("--model", choices=list(MODELS), action="append", help="only this model")
    parser.add_argument("--runs", type=Path, help="folder of finished runs")
    parser.add_argument("--results", type=Path, help="folder of the JSON record")
    given = parser.parse_args()
    set_up_processor()
    split = find_task("digits" if given.quick else TASK).load()
    found: dict[str, list[dict[str, Any]]] = {}
    for name in given.model or MODELS:
        for seed in SEEDS[:1] if given.quick else SEEDS:
            store = given.runs / f"{name}_{seed}.json" if given.runs else None
            if store is not None and store.exists():
                result = json.loads(store.read_text())
            else:
                settings = replace(MODELS[name], seed=seed, **shared(given.quick))
                result = run(settings, split)
                if store is not None:
                    store.parent.mkdir(parents=True, exist_ok=True)
                    store.write_text(json.dumps(result, indent=1))
            found.setdefault(name, []).append(result)
            print(f"{name}, seed {seed}: {result['test_accuracy']:.4f}", flush=True)
    results = {name: summarise(name, runs) for name, runs in found.items()}
    folder = given.results or (Path(os.devnull) if given.quick else _measure.RESULTS)
    _measure.store("permuted_accuracy", _measure.Arguments(given.quick, folder), results)


if __name__ == "__main__":
    main()
