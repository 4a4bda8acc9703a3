"""`limitset train --seeds`."""

from pathlib import Path
from statistics import mean

from limitset._result import InputProblem
from limitset.cli._answer import print_json
from limitset.cli._devices import set_up_processor
from limitset.cli._progress import training_bar
from limitset.cli._train import factor_of, require_place, save_trained
from limitset.contraction import Answer, Certificate
from limitset.training import Epoch, Trained, find_task, parse_settings, train_seeds

_MOST_SEEDS = 1000


def run_train_seeds(
    task: str, folder: Path, words: list[str], count: int, *, overwrite: bool, as_json: bool
) -> int:
    """Train one model for each seed in one program, save and certify all; returns the exit code."""
    if not 1 <= count <= _MOST_SEEDS:
        raise InputProblem(f"seeds is {count}; give a whole number from 1 to {_MOST_SEEDS}")
    settings = parse_settings(words)
    find_task(task)
    seeds = range(settings.seed, settings.seed + count)
    if seeds[-1] >= 2**32:
        raise InputProblem(f"the last seed would be {seeds[-1]}; all must be below 2**32")
    places = [folder / f"seed-{seed}" for seed in seeds]
    require_place(folder, overwrite=True)
    for place in places:
        require_place(place, overwrite)
    set_up_processor()
    with training_bar(f"{task}, {count} seeds", settings.epochs) as show:
        trained = train_seeds(
            task, settings, seeds=seeds, on_epoch=lambda lines: show(_together(lines))
        )
    answers = [save_trained(one, place) for one, place in zip(trained, places, strict=True)]
    _tell(task, folder, trained, answers, as_json)
    return 0 if all(isinstance(answer, Certificate) for answer in answers) else 1


def _together(lines: tuple[Epoch, ...]) -> Epoch:
    """One line for all models: the mean of their losses, the factor of the slowest."""
    known = [line.factor for line in lines if line.factor is not None]
    factor = max(known) if len(known) == len(lines) else None
    return Epoch(lines[0].index, mean(line.loss for line in lines), None, factor)


def _tell(
    task: str, folder: Path, trained: tuple[Trained, ...], answers: list[Answer], as_json: bool
) -> None:
    scores = [one.test_accuracy for one in trained]
    spread = {"min": min(scores), "mean": mean(scores), "max": max(scores)}
    if as_json:
        runs = [
            {
                "seed": one.settings.seed,
                "test_accuracy": one.test_accuracy,
                "epochs": len(one.fit.history),
                "factor": factor_of(answer),
            }
            for one, answer in zip(trained, answers, strict=True)
        ]
        parameters = trained[0].parameters
        print_json(
            {
                "task": task,
                "test_accuracy": spread,
                "parameters": parameters,
                "runs": runs,
                "models": str(folder),
            }
        )
        return
    for one, answer in zip(trained, answers, strict=True):
        certified = isinstance(answer, Certificate)
        claim = f"factor {answer.factor:.6g}" if certified else f"not certified: {answer.reason}"
        print(
            f"{task}, seed {one.settings.seed}: test accuracy {one.test_accuracy:.4f}, "
            f"{len(one.fit.history)} epochs, {claim}"
        )
    words = ", ".join(f"{word} {value:.4f}" for word, value in spread.items())
    print(f"{task}: test accuracy of {len(trained)} seeds: {words}")
    print(f"models: {folder}/seed-*")
