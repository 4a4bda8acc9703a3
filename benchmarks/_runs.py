"""Training runs of a benchmark: trained once, kept in a folder, summarised over seeds."""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from limitset.training import (
    Diverged,
    Epoch,
    SequenceClassifier,
    Settings,
    Split,
    build,
    certified_factor,
    count_parameters,
    find_task,
    train_task,
)

Run = dict[str, Any]
# In the folder of runs, not in the record.
_LOGS = ("losses", "factors_of_epochs")


def run_seeds(
    name: str,
    task: str,
    settings: Settings,
    split: Split,
    seeds: tuple[int, ...],
    folder: Path | None,
    examine: Callable[[SequenceClassifier], Run] | None = None,
) -> list[Run]:
    """One run for each seed; those that `folder` holds already are read from it.

    What `examine` says of a trained classifier is kept with its figures.
    """
    runs = []
    for seed in seeds:
        store = folder / f"{name}_{seed}.json" if folder else None
        own = replace(settings, seed=seed)
        if store is not None and store.exists():
            found = json.loads(store.read_text())
            if found["settings"] != own.as_record():
                raise SystemExit(f"{store} is of other settings; name another folder for --runs")
        else:
            found = _train(task, own, split, examine)
            if store is not None:
                store.parent.mkdir(parents=True, exist_ok=True)
                store.write_text(json.dumps(found, indent=1))
        runs.append(found)
        print(f"{name}, seed {seed}: {_shown(found['test_accuracy'])}", flush=True)
    return runs


def summarise(name: str, runs: list[Run]) -> dict[str, Any]:
    """Print and return lowest, mean and highest accuracy; runs that diverged are counted apart."""
    scores = [run["test_accuracy"] for run in runs if run["test_accuracy"] is not None]
    diverged = len(runs) - len(scores)
    factors = ", ".join("none" if f is None else f"{f:.6f}" for f in (r["factor"] for r in runs))
    ends: dict[str, Any] = {"min": None, "mean": None, "max": None}
    if scores:
        ends = {"min": min(scores), "mean": statistics.mean(scores), "max": max(scores)}
    lowest, mean, highest = (_shown(end) for end in ends.values())
    print(
        f"{name}: test accuracy lowest {lowest}, mean {mean}, highest {highest} of {len(runs)} "
        f"seeds, {diverged} diverged, {runs[0]['parameters']} parameters, factors {factors}"
    )
    short = [{k: v for k, v in run.items() if k not in _LOGS} for run in runs]
    return {**ends, "diverged": diverged, "runs": short}


def _train(
    task: str,
    settings: Settings,
    split: Split,
    examine: Callable[[SequenceClassifier], Run] | None,
) -> Run:
    begun = time.perf_counter()
    model = build(find_task(task), settings)
    log: list[Epoch] = []
    found: Run = {"settings": settings.as_record(), "parameters": count_parameters(model)}
    try:
        trained = train_task(task, settings, split=split, model=model, on_epoch=log.append)
    except Diverged as error:
        found |= {"test_accuracy": None, "factor": None, "diverged": str(error)}
    else:
        model = trained.fit.model
        found |= {"test_accuracy": trained.test_accuracy, "factor": certified_factor(model)}
        found |= examine(model) if examine else {}
    found["losses"] = [epoch.loss for epoch in log]
    found["factors_of_epochs"] = [epoch.factor for epoch in log]
    return found | {"seconds": time.perf_counter() - begun}


def _shown(score: float | None) -> str:
    return "diverged" if score is None else f"{score:.4f}"
