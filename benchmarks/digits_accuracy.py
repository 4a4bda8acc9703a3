"""What accuracy does the certificate cost, on digits read one pixel per step?

`limitset train digits` with its default settings and 200 epochs, three seeds, against the
unconstrained twin: the same weights at the start, the same training, free parameters, no theorem.
"""

import time
from dataclasses import dataclass, replace

import _measure
import numpy as np

from limitset.cli._devices import set_up_processor
from limitset.contraction import StableAssembly
from limitset.dynamics import ExplicitEuler
from limitset.training import (
    AssemblyCore,
    SequenceClassifier,
    Settings,
    Split,
    Trained,
    build,
    certified_factor,
    find_task,
    freed,
    train_task,
)


@dataclass(frozen=True)
class Run:
    """One training: the result, its certified factor if it has one, and its seconds."""

    trained: Trained
    factor: float | None
    seconds: float


def train(settings: Settings, split: Split, model: SequenceClassifier | None = None) -> Run:
    """Train on the digits, from the settings' own start or from `model`."""
    begun = time.perf_counter()
    trained = train_task("digits", settings, split=split, model=model)
    return Run(trained, certified_factor(trained.fit.model), time.perf_counter() - begun)


def twin_of(core: AssemblyCore, settings: Settings) -> SequenceClassifier:
    """The unconstrained twin, as in `limitset demo`."""
    stable = build(find_task("digits"), settings)
    if not isinstance(stable.core, StableAssembly):
        raise SystemExit("the settings build no stable assembly")
    return SequenceClassifier(
        freed(stable.core), stable.readout, ExplicitEuler(core.step), stable.readout_gain
    )


def summarise(name: str, runs: list[Run]) -> dict[str, object]:
    """Print and return lowest, mean and highest accuracy."""
    scores = [run.trained.test_accuracy for run in runs]
    factors = [run.factor for run in runs]
    shown = ", ".join("none" if f is None else f"{f:.5f}" for f in factors)
    print(
        f"{name:10} test accuracy {min(scores):.4f} / {np.mean(scores):.4f} / {max(scores):.4f}  "
        f"{runs[0].trained.parameters} parameters  factors {shown}  "
        f"{np.mean([run.seconds for run in runs]):.0f} s a run"
    )
    return {
        "test_accuracy": scores,
        "min": min(scores),
        "mean": float(np.mean(scores)),
        "max": max(scores),
        "parameters": runs[0].trained.parameters,
        "factors": factors,
        "seconds": [run.seconds for run in runs],
    }


def main() -> None:
    """Both networks for every seed."""
    arguments = _measure.parse_arguments(__doc__)
    set_up_processor()
    split = find_task("digits").load()
    core, seeds = AssemblyCore(), (0, 1, 2)
    settings = Settings(core, epochs=200)
    if arguments.quick:
        core, seeds = AssemblyCore(modules=2, units=4), (0,)
        settings = Settings(core, epochs=1)
    runs: dict[str, list[Run]] = {"certified": [], "twin": []}
    for seed in seeds:
        own = replace(settings, seed=seed)
        runs["certified"].append(train(own, split))
        runs["twin"].append(train(own, split, twin_of(core, own)))
    results = {name: summarise(name, done) for name, done in runs.items()}
    means = [np.mean([run.trained.test_accuracy for run in done]) for done in runs.values()]
    ratio = float(means[0] / means[1])
    print(
        f"certified / twin = {ratio:.4f} in mean accuracy, {len(seeds)} seeds, lowest/mean/highest"
    )
    _measure.store("digits_accuracy", arguments, {**results, "ratio": ratio, "seeds": list(seeds)})


if __name__ == "__main__":
    main()
