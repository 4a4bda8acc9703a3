"""`limitset train`."""

import os
from pathlib import Path

from limitset._result import InputProblem
from limitset.cli._answer import print_json
from limitset.cli._devices import set_up_processor
from limitset.cli._progress import training_bar
from limitset.contraction import Answer, Certificate, certify, explain
from limitset.io import Model, require_writable, save, write_certificate
from limitset.training import Trained, find_task, parse_settings, train_task


def run_train(task: str, folder: Path, words: list[str], overwrite: bool, as_json: bool) -> int:
    """Train, save, certify; returns the exit code."""
    settings = parse_settings(words)
    find_task(task)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise InputProblem(f"{folder} is a file; give a folder for the model")
    require_writable(folder)
    if (folder / "config.json").exists() and not overwrite:
        raise InputProblem(
            f"{folder} holds a finished model; give another --out, or --overwrite to replace it"
        )
    set_up_processor()
    checkpoint = folder / "checkpoint.npz"
    with training_bar(task, settings.epochs) as show:
        trained = train_task(task, settings, checkpoint=checkpoint, on_epoch=show)
    answer = save_trained(trained, folder)
    checkpoint.unlink(missing_ok=True)
    certified = isinstance(answer, Certificate)
    factor = answer.factor if isinstance(answer, Certificate) else None
    if as_json:
        print_json(
            {
                "task": task,
                "test_accuracy": trained.test_accuracy,
                "parameters": trained.parameters,
                "epochs": len(trained.fit.history),
                "factor": factor,
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
    return 0 if certified else 1


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
