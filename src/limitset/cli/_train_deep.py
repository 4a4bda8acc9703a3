"""`limitset train` of deep networks on images."""

import dataclasses
from pathlib import Path
from statistics import mean
from typing import Any

from limitset._result import InputProblem
from limitset.cli._answer import print_json
from limitset.cli._devices import set_up_processor
from limitset.cli._progress import epoch_bar
from limitset.cli._train import require_place
from limitset.contraction import NetworkCertificate, Unknown, certify_network
from limitset.io import Model, save, write_deep_certificate
from limitset.training import (
    DeepSettings,
    DepthCurve,
    Diverged,
    ImageTask,
    Split,
    TrainedDeep,
    evaluate_depths,
    find_image_task,
    load_images,
    parse_deep_settings,
    train_deep,
    twin_of,
)

_MOST_SEEDS = 1000
# How much deeper than trained the network is run, to see whether it stays.
_DEEPER = 10


@dataclasses.dataclass(frozen=True)
class _Report:
    """What is said of one seed: the network, its certificate, its figures deeper down, its twin.

    `twin` is `None` where none was asked for, and a word where it diverged.
    """

    trained: TrainedDeep
    answer: NetworkCertificate | Unknown
    deeper: DepthCurve
    twin: TrainedDeep | str | None
    folder: Path


def run_train_deep(
    task: str, folder: Path, words: list[str], count: int | None, *, overwrite: bool, as_json: bool
) -> int:
    """Train one network, or one for each of `count` seeds, with twins; returns the exit code."""
    found = find_image_task(task)
    settings = parse_deep_settings(words, found.defaults)
    seeds = _seeds(settings, count)
    places = [folder if count is None else folder / f"seed-{seed}" for seed in seeds]
    for place in places:
        require_place(place, overwrite)
    set_up_processor()
    split = load_images(found)
    reports = []
    for seed, place in zip(seeds, places, strict=True):
        own = dataclasses.replace(settings, seed=seed)
        reports.append(_run(found, own, split, place))
        if not as_json:
            _tell(reports[-1])
    if as_json:
        print_json(_record(task, reports, many=count is not None))
    elif count is not None:
        scores = [report.trained.test_accuracy for report in reports]
        print(
            f"{task}: test accuracy of {len(reports)} seeds: min {min(scores):.4f}, mean "
            f"{mean(scores):.4f}, max {max(scores):.4f}"
        )
    return 0 if all(isinstance(r.answer, NetworkCertificate) for r in reports) else 1


def _seeds(settings: DeepSettings, count: int | None) -> range:
    if count is not None and not 1 <= count <= _MOST_SEEDS:
        raise InputProblem(f"seeds is {count}; give a whole number from 1 to {_MOST_SEEDS}")
    seeds = range(settings.seed, settings.seed + (count or 1))
    if seeds[-1] >= 2**32:
        raise InputProblem(f"the last seed would be {seeds[-1]}; all must be below 2**32")
    return seeds


def _run(task: ImageTask, settings: DeepSettings, split: Split, folder: Path) -> _Report:
    checkpoint, beside = folder / "checkpoint.npz", folder / "twin-checkpoint.npz"
    with epoch_bar(task.name, settings.epochs) as show:
        trained = train_deep(task, settings, split=split, checkpoint=checkpoint, on_epoch=show)
    twin = None
    if settings.twin and settings.non_autonomous:
        with epoch_bar(f"{task.name}, twin", settings.epochs) as show:
            try:
                twin = train_deep(
                    task, twin_of(settings), split=split, checkpoint=beside, on_epoch=show
                )
            except Diverged as error:
                twin = str(error)
    depth = settings.depth
    deeper = evaluate_depths(trained.network, split.test, (depth, _DEEPER * depth))
    answer = certify_network(trained.network)
    report = _Report(trained, answer, deeper, twin, folder)
    _save(report)
    for path in (checkpoint, beside):
        path.unlink(missing_ok=True)
    return report


def _save(report: _Report) -> None:
    trained = report.trained
    about = {
        "task": trained.task.name,
        "settings": trained.settings.as_record(),
        **_figures(trained),
        "twin": _twin(report),
    }
    save(report.folder, Model(trained.network, about=about))
    if isinstance(report.answer, NetworkCertificate):
        path = report.folder / "certificates" / "network.json"
        write_deep_certificate(report.answer, path, model=report.folder)


def _figures(trained: TrainedDeep) -> dict[str, Any]:
    return {
        "test_accuracy": trained.test_accuracy,
        "train_accuracy": trained.train_accuracy,
        "gap": trained.gap,
        "test_loss": trained.test_loss,
        "trained_parameters": trained.parameters,
        "epochs": len(trained.fit.history),
    }


def _twin(report: _Report) -> dict[str, Any] | str | None:
    return _figures(report.twin) if isinstance(report.twin, TrainedDeep) else report.twin


def _record(task: str, reports: list[_Report], *, many: bool) -> dict[str, Any]:
    runs = [
        {
            "seed": report.trained.settings.seed,
            **_figures(report.trained),
            "deeper": dataclasses.asdict(report.deeper),
            "certificate": _certificate(report.answer),
            "twin": _twin(report),
            "model": str(report.folder),
        }
        for report in reports
    ]
    if not many:
        return {"task": task, **runs[0]}
    scores = [report.trained.test_accuracy for report in reports]
    spread = {"min": min(scores), "mean": mean(scores), "max": max(scores)}
    return {"task": task, "test_accuracy": spread, "runs": runs}


def _certificate(answer: NetworkCertificate | Unknown) -> dict[str, Any]:
    if isinstance(answer, Unknown):
        return {"verdict": "unknown", "reason": answer.reason}
    return {
        "verdict": "certified",
        "evidence": answer.evidence.label,
        "theorems": [block.theorem for block in answer.blocks],
        "factors": [block.factor for block in answer.blocks],
        "euclidean_gain": answer.euclidean_gain,
        "maximum_gain": answer.maximum_gain,
    }


def _tell(report: _Report) -> None:
    trained, settings = report.trained, report.trained.settings
    print(
        f"{trained.task.name}, seed {settings.seed}: test accuracy {trained.test_accuracy:.4f} "
        f"(train {trained.train_accuracy:.4f}, gap {trained.gap:.4f}) with {trained.parameters} "
        f"trained parameters, {len(trained.fit.history)} epochs"
    )
    if isinstance(report.twin, TrainedDeep):
        twin = report.twin
        print(
            f"twin without injected input: test accuracy {twin.test_accuracy:.4f} (train "
            f"{twin.train_accuracy:.4f}, gap {twin.gap:.4f}) with {twin.parameters} trained "
            "parameters"
        )
    elif report.twin is not None:
        print(f"twin without injected input: {report.twin}")
    curve = report.deeper
    print(
        f"test accuracy at depth {curve.depths[0]}: {curve.accuracy[0]:.4f}, at depth "
        f"{curve.depths[1]}: {curve.accuracy[1]:.4f} [sampled]"
    )
    if isinstance(report.answer, Unknown):
        print(f"not certified: {report.answer.reason}")
    else:
        for index, block in enumerate(report.answer.blocks):
            print(f"block {index}: {block.claim()}")
        print(
            f"gain from input to last state: {report.answer.euclidean_gain:.4g} in the 2-norm, "
            f"{report.answer.maximum_gain:.4g} in the maximum norm [{report.answer.evidence.label}]"
        )
    print(f"model: {report.folder}")
