"""What do injected inputs and a stability promise cost, or gain, in deep networks on images?

MNIST: one fully connected block, 30 steps, tied, without batch norm (arXiv 1804.07209), beside the
same network without one or more of its ingredients: as many weights, the same weight decay, the
same start, three seeds. CIFAR-10: a small convolutional network of three stages, unrolled 2 and 10
times, with the published projection and with gradient blocks, beside its residual twin; CIFAR-10 is
not downloaded, and skipped where it is missing. The final epoch counts. The scores at 1 to 10 times
the trained depth are in the record, as a figure.

Finished runs are kept in a folder (`--runs`), so that the benchmark can be interrupted.
"""

import _measure  # noqa: I001  (sets BLAS threads before NumPy loads)

import argparse
import dataclasses
import json
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from limitset._result import InputProblem
from limitset.cli._devices import set_up_processor
from limitset.contraction import NetworkCertificate, certify_network
from limitset.report import draw_depths
from limitset.training import (
    DeepSettings,
    Diverged,
    ImageTask,
    Split,
    evaluate_depths,
    find_image_task,
    load_images,
    train_deep,
)

Run = dict[str, Any]
SEEDS = (0, 1, 2)
MNIST = find_image_task("nais_mnist").defaults
# With weights for each depth, 51 units come to as many numbers as 128 tied ones.
MODELS: dict[str, DeepSettings] = {
    "NAIS-Net": MNIST,
    "ResNet-SH-NA": replace(MNIST, stable=False),
    "ResNet-SH-Stable": replace(MNIST, non_autonomous=False),
    "ResNet-SH": replace(MNIST, non_autonomous=False, stable=False),
    "ResNet-SH-BN": replace(MNIST, non_autonomous=False, stable=False, batch_norm=True),
    "ResNet": replace(MNIST, non_autonomous=False, stable=False, shared=False, width=51),
}
CIFAR = replace(
    find_image_task("nais_cifar10").defaults,
    reduce=2,
    blocks=1,
    pool=4,
    epochs=6,
    schedule="cosine",
    learning_rate=0.05,
)
CIFAR_MODELS: dict[str, DeepSettings] = {
    "NAIS-Net1": CIFAR,
    "ResNet twin": replace(CIFAR, non_autonomous=False, stable=False),
    "NAIS-Net1, gradient blocks": replace(CIFAR, kind="gradient"),
    "NAIS-Net10": replace(CIFAR, depth=10),
}
PARTS = {"nais_mnist": MODELS, "nais_cifar10": CIFAR_MODELS}
_DEPTHS = tuple(range(1, 31)) + tuple(range(40, 301, 10))


def main() -> None:
    """Train what is missing, then print and draw all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny runs, to see that it works")
    parser.add_argument("--task", choices=list(PARTS), action="append", help="only this task")
    parser.add_argument("--model", action="append", help="only this model")
    parser.add_argument("--runs", type=Path, help="folder of finished runs")
    parser.add_argument("--results", type=Path, help="folder of the JSON record")
    given = parser.parse_args()
    set_up_processor()
    folder = given.results or (Path(os.devnull) if given.quick else _measure.RESULTS)
    for name in given.task or PARTS:
        models = {m: s for m, s in PARTS[name].items() if m in (given.model or PARTS[name])}
        store(name, compare(name, models, given.quick, given.runs), given.quick, folder)


def store(name: str, found: dict[str, Any], quick: bool, folder: Path) -> None:
    """One record a task, so that a run of one leaves the others' records; and its curves."""
    if not found:
        return
    record = f"deep_accuracy_{name}"
    _measure.store(record, _measure.Arguments(quick, folder), found)
    curves = curves_of(found)
    if curves and folder != Path(os.devnull):
        (folder / f"{record}.svg").write_text(draw_depths(curves))


def compare(
    name: str, models: dict[str, DeepSettings], quick: bool, folder: Path | None
) -> dict[str, Any]:
    """These models of a task, all seeds."""
    task = find_image_task("nais_digits" if quick else name)
    try:
        split = load_images(task)
    except InputProblem as problem:
        print(f"{name} skipped: {problem}")
        return {}
    found = {}
    # Seed by seed, so that an interrupted benchmark has all models of some seeds.
    runs: dict[str, list[Run]] = {model: [] for model in models}
    for seed in SEEDS[:1] if quick else SEEDS:
        for model, settings in models.items():
            settings = shrunk(settings, seed) if quick else replace(settings, seed=seed)
            place = folder / f"{name}_{model.replace(' ', '_')}_{seed}.json" if folder else None
            runs[model].append(run_one(model, task, settings, split, place))
    for model, of_model in runs.items():
        found[model] = summarise(model, of_model)
    return found


def shrunk(settings: DeepSettings, seed: int) -> DeepSettings:
    """So small that a run takes seconds."""
    small = {"width": 4, "depth": 3, "epochs": 1, "groups": 1, "reduce": 1, "pool": 1}
    return replace(settings, seed=seed, **small)


def run_one(
    model: str, task: ImageTask, settings: DeepSettings, split: Split, place: Path | None
) -> Run:
    """One run, read from its place if it is there."""
    if place is not None and place.exists():
        found = json.loads(place.read_text())
        if found["settings"] != settings.as_record():
            raise SystemExit(f"{place} is of other settings; name another folder for --runs")
        return found
    begun, cpu_begun = time.perf_counter(), time.process_time()
    found = {"settings": settings.as_record(), "diverged": None}
    checkpoint = None if place is None else place.with_suffix(".npz")
    try:
        found |= figures(task, settings, split, checkpoint)
    except Diverged as error:
        found |= {"diverged": str(error), "test_accuracy": None}
    found["seconds"] = time.perf_counter() - begun
    found["processor_seconds"] = time.process_time() - cpu_begun
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(found, indent=1))
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    print(f"{model}, seed {settings.seed}: {shown(found['test_accuracy'])}", flush=True)
    return found


def figures(task: ImageTask, settings: DeepSettings, split: Split, checkpoint: Path | None) -> Run:
    """What is kept of a run that ended."""
    trained = train_deep(task, settings, split=split, checkpoint=checkpoint)
    depths = _DEPTHS if settings.block == "dense" else (1, 2, 5, 10, 20, 50, 100)
    curve = evaluate_depths(trained.network, split.test, depths)
    answer = certify_network(trained.network)
    certified = isinstance(answer, NetworkCertificate)
    return {
        "parameters": trained.parameters,
        "train_accuracy": trained.train_accuracy,
        "test_accuracy": trained.test_accuracy,
        "test_loss": trained.test_loss,
        "gap": trained.gap,
        "losses": [epoch.loss for epoch in trained.fit.history],
        "curve": dataclasses.asdict(curve),
        "certificate": [b.claim() for b in answer.blocks] if certified else answer.reason,
        "gains": [answer.euclidean_gain, answer.maximum_gain] if certified else None,
    }


def summarise(name: str, runs: list[Run]) -> dict[str, Any]:
    """Lowest, mean and highest of the final figures; runs that diverged are counted apart."""
    ended = [run for run in runs if run["diverged"] is None]
    found: dict[str, Any] = {"diverged": len(runs) - len(ended), "runs": runs}
    for key in ("test_accuracy", "train_accuracy", "gap", "test_loss") if ended else ():
        values = [run[key] for run in ended]
        found[key] = {"min": min(values), "mean": statistics.mean(values), "max": max(values)}
    if not ended:
        print(f"{name}: all diverged")
        return found
    deeper = [run["curve"]["accuracy"][-1] for run in ended]
    last = ended[0]["curve"]["depths"][-1]
    test, train, gap = (found[key] for key in ("test_accuracy", "train_accuracy", "gap"))
    print(
        f"{name}, {ended[0]['parameters']} parameters: test lowest {test['min']:.4f}, mean "
        f"{test['mean']:.4f}, highest {test['max']:.4f}; train {train['mean']:.4f}, gap "
        f"{gap['mean']:.4f}; at depth {last} {statistics.mean(deeper):.4f}; "
        f"{found['diverged']} diverged; {ended[0]['certificate']}"
    )
    return found


def curves_of(models: dict[str, Any]) -> dict[str, dict[str, list[Any]]]:
    """Depths, and accuracies and losses of every seed, for each model."""
    curves = {}
    for name, found in models.items():
        ended = [run["curve"] for run in found["runs"] if run["diverged"] is None]
        if ended:
            curves[name] = {
                "depths": ended[0]["depths"],
                "accuracy": [curve["accuracy"] for curve in ended],
                "loss": [curve["loss"] for curve in ended],
                "trained": [found["runs"][0]["settings"]["depth"]],
            }
    return curves


def shown(score: float | None) -> str:
    """An accuracy, or that there is none."""
    return "diverged" if score is None else f"{score:.4f}"


if __name__ == "__main__":
    main()
