"""`limitset train`."""

import os
from pathlib import Path

from limitset._result import InputProblem
from limitset.cli._answer import print_json
from limitset.cli._devices import set_up_processor
from limitset.cli._meeting import Meeting, join
from limitset.cli._progress import training_bar
from limitset.contraction import Answer, Certificate, certify, explain
from limitset.io import Model, require_writable, save, write_certificate
from limitset.training import Trained, find_task, parse_settings, train_task


def run_train(
    task: str,
    folder: Path,
    words: list[str],
    *,
    overwrite: bool,
    as_json: bool,
    meeting: Meeting | None,
) -> int:
    """Train, save, certify; returns the exit code. Of several processes the first saves."""
    settings = parse_settings(words)
    find_task(task)
    require_place(folder, overwrite)
    set_up_processor()
    if meeting is not None:
        join(meeting)
    checkpoint = folder / "checkpoint.npz"
    first = meeting is None or meeting.place == 0
    with training_bar(task, settings.epochs, shown=first) as show:
        trained = train_task(task, settings, checkpoint=checkpoint, on_epoch=show)
    if not first:
        return 0
    answer = save_trained(trained, folder)
    checkpoint.unlink(missing_ok=True)
    if as_json:
        print_json(
            {
                "task": task,
                "test_accuracy": trained.test_accuracy,
                "parameters": trained.parameters,
                "epochs": len(trained.fit.history),
                "factor": factor_of(answer),
                "model": str(folder),
            }
        )
    else:
        print(
            f"{task}: test accuracy {trained.test_accuracy:.4f} with {trained.parameters} trained "
            f"parameters, {len(trained.fit.history)} epochs"
        )
        print(explain(answer))
        print(f"model: {folder}")
    return 0 if isinstance(answer, Certificate) else 1


def require_place(folder: Path, overwrite: bool) -> None:
    """Refuse a folder for a model that cannot be written, or must not be.

    **Raises:** `InputProblem`.
    """
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise InputProblem(f"{folder} is a file; give a folder for the model")
    require_writable(folder)
    if (folder / "config.json").exists() and not overwrite:
        raise InputProblem(
            f"{folder} holds a finished model; give another --out, or --overwrite to replace it"
        )


def factor_of(answer: Answer) -> float | None:
    """The certified factor per step, if there is one."""
    return answer.factor if isinstance(answer, Certificate) else None


def save_trained(trained: Trained, folder: Path) -> Answer:
    """Save a trained classifier with its certificate; returns what `certify` answered."""
    running = trained.fit.model.explicit()
    metric = trained.fit.model.core.metric()
    about = {
        "task": trained.task.name,
        "settings": trained.settings.as_record(),
        "test_accuracy": trained.test_accuracy,
        "trained_parameters": trained.parameters,
        "epochs": len(trained.fit.history),
    }
    save(folder, Model(running.system, running.readout, metric, about))
    answer = certify(running.system, metric=metric)
    if isinstance(answer, Certificate):
        write_certificate(answer, folder / "certificates" / "contraction.json", model=folder)
    return answer
