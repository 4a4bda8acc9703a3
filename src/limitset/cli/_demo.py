"""`limitset demo`: from real data to a certificate that another program has checked."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.cli._devices import set_up_processor
from limitset.cli._progress import training_bar
from limitset.cli._train import save_trained
from limitset.contraction import (
    AbstractMetric,
    Certificate,
    DiagonalMetric,
    StableAssembly,
    measure_distances,
)
from limitset.dynamics import AbstractMap, ExplicitEuler
from limitset.io import require_writable, write_whole
from limitset.report import Page, Section, Table, draw_recovery, draw_training, render_page
from limitset.training import (
    AssemblyCore,
    RunningClassifier,
    SequenceClassifier,
    Settings,
    Split,
    Trained,
    build,
    find_task,
    freed,
    train_task,
)

_RUNS, _DIGITS, _FAULT = 64, 12, 64


@dataclass(frozen=True)
class _Recovery:
    """Distances to the clean runs, (runs, steps + 1), and how many exceed the certified bound."""

    stable: Float[np.ndarray, "b t"]
    free: Float[np.ndarray, "b t"]
    exceeded: int
    start: int


def run_demo(out: Path, seed: int, epochs: int) -> int:
    """The whole story; returns 0 if everything that is claimed holds."""
    if os.path.exists(out) and not os.path.isdir(out):
        raise InputProblem(f"{out} is a file; give a folder with --out")
    require_writable(out)
    begun = time.perf_counter()
    set_up_processor()
    core = AssemblyCore()
    settings = Settings(core, seed=seed, epochs=epochs)
    split = find_task("digits").load()
    print("limitset demo: read handwritten digits pixel by pixel, and prove that it forgets")
    print(
        f"data       {len(split.train.labels)} training and {len(split.test.labels)} test digits "
        "(scikit-learn), 64 steps each"
    )
    stable, free = _train_both(core, settings, split)
    model_folder = out / "model"
    answer = save_trained(stable, model_folder)
    if not isinstance(answer, Certificate):
        print(f"certify    no certificate: {answer.reason}")
        return 1
    path = model_folder / "certificates" / "contraction.json"
    _tell_certificate(answer)
    checked = subprocess.run(
        [sys.executable, "-m", "limitset.checker", str(path)], capture_output=True, text=True
    )
    said = (checked.stdout or checked.stderr).strip().splitlines() or ["no answer"]
    verdict = said[-1]
    label = " [checked]" if checked.returncode == 0 else ""
    print(f"check      another process, other code: {verdict.split(': ')[0]}{label}")
    starts = _corrupted_starts(answer, stable, free, split, seed)
    faults = _sensor_faults(answer, stable, free, split, seed)
    for word, recovery in (("start", starts), ("fault", faults)):
        _tell_recovery(word, recovery)
    page = _page(stable, free, answer, verdict, starts, faults, time.perf_counter() - begun)
    write_whole(out / "report.html", render_page(page).encode())
    print(f"model      {model_folder}   certificate {path}")
    print(f"report     {out / 'report.html'}   ({time.perf_counter() - begun:.0f} s)")
    holds = checked.returncode == 0 and starts.exceeded == faults.exceeded == 0
    return 0 if holds else 1


def _train_both(core: AssemblyCore, settings: Settings, split: Split) -> tuple[Trained, Trained]:
    with training_bar("certified assembly", settings.epochs) as show:
        stable = train_task("digits", settings, split=split, on_epoch=show)
    constrained = build(stable.task, settings)
    if not isinstance(constrained.core, StableAssembly):
        raise TypeError("the demo's settings build a stable assembly")
    unconstrained = SequenceClassifier(
        freed(constrained.core),
        constrained.readout,
        ExplicitEuler(core.step),
        constrained.readout_gain,
    )
    with training_bar("unconstrained twin", settings.epochs) as show:
        free = train_task("digits", settings, split=split, model=unconstrained, on_epoch=show)
    print(
        f"train      {core.modules} modules of {core.units} units, {stable.parameters} "
        f"parameters, {settings.epochs} epochs: test accuracy {stable.test_accuracy:.4f}"
    )
    print(
        f"           unconstrained twin, same start and training: test accuracy "
        f"{free.test_accuracy:.4f}"
    )
    return stable, free


def _tell_certificate(answer: Certificate) -> None:
    factor = answer.factor or 1.0
    print(f"certify    {answer.claim()}")
    print(
        f"           the map that runs: semi-implicit, float32 weights; halves distances every "
        f"{np.log(0.5) / np.log(factor):.0f} steps, cond(M) {answer.condition:.3g}"
    )
    if answer.float32 is not None:
        print(f"float32    {answer.float32.claim()} [verified]")


def _tell_recovery(word: str, recovery: _Recovery) -> None:
    total = recovery.stable[:, recovery.start :].size
    what = {"start": "corrupted starts", "fault": "sensor faults of 64 steps"}[word]
    print(
        f"{word}      {len(recovery.stable)} {what}: {recovery.exceeded} of {total} distances "
        "exceed the certified bound"
    )
    print(
        f"           left of the distance 128 steps later: {_left(recovery.stable, recovery):.1e}; "
        f"unconstrained twin: {_left(recovery.free, recovery):.1e} [sampled]"
    )


def _left(distances: Float[np.ndarray, "b t"], recovery: _Recovery) -> float:
    """Median over runs of the distance 128 steps after the disturbance, relative to its end."""
    with np.errstate(all="ignore"):
        ratio = distances[:, recovery.start + 128] / distances[:, recovery.start]
    return float(np.median(np.nan_to_num(ratio, nan=np.inf)))


def _streams(split: Split, seed: int) -> Float[np.ndarray, "b t m"]:
    """Test digits one after the other, as a sensor would deliver them."""
    generator = np.random.default_rng([seed, 1])
    chosen = generator.integers(len(split.test.labels), size=(_RUNS, _DIGITS))
    return split.test.inputs[chosen].reshape(_RUNS, -1, 1)


def _corrupted_starts(
    answer: Certificate, stable: Trained, free: Trained, split: Split, seed: int
) -> _Recovery:
    inputs = jnp.asarray(_streams(split, seed))
    size = answer.system.state_size
    rest = jnp.zeros((_RUNS, size), jnp.float32)
    noise = jax.random.normal(jax.random.key(seed), (_RUNS, size), jnp.float32)
    first, second = (rest, inputs), (noise, inputs)
    return _compare(answer, stable, free, first, second, 0)


def _sensor_faults(
    answer: Certificate, stable: Trained, free: Trained, split: Split, seed: int
) -> _Recovery:
    clean = _streams(split, seed)
    begin = clean.shape[1] // 2 - _FAULT
    faulty = clean.copy()
    generator = np.random.default_rng([seed, 2])
    faulty[:, begin : begin + _FAULT] = generator.random((_RUNS, _FAULT, 1), np.float32)
    # The picture starts with the fault; both runs enter it from the state that the clean run has.
    rest = jnp.zeros((_RUNS, answer.system.state_size), jnp.float32)
    before = begin
    first, second = (rest, jnp.asarray(clean)), (rest, jnp.asarray(faulty))
    whole = _compare(answer, stable, free, first, second, begin + _FAULT)
    return _Recovery(
        whole.stable[:, before:], whole.free[:, before:], whole.exceeded, whole.start - before
    )


def _compare(
    answer: Certificate,
    stable: Trained,
    free: Trained,
    first: tuple[jax.Array, jax.Array],
    second: tuple[jax.Array, jax.Array],
    start: int,
) -> _Recovery:
    round_metric = DiagonalMetric(jnp.ones(answer.system.state_size))
    measured = _distances(stable.fit.model.explicit(), answer.metric, first, second)
    other = _distances(free.fit.model.explicit(), round_metric, first, second)
    gap = answer.float32.gap if answer.float32 is not None else 0.0
    steps = np.arange(measured.shape[1] - start)
    bound = measured[:, start : start + 1] * (answer.factor or 1.0) ** steps + gap
    # Counted this way round, NaN would count as exceeding.
    exceeded = int((~(measured[:, start:] <= bound)).sum())
    return _Recovery(measured, other, exceeded, start)


def _distances(
    classifier: RunningClassifier,
    metric: AbstractMetric,
    first: tuple[jax.Array, jax.Array],
    second: tuple[jax.Array, jax.Array],
) -> Float[np.ndarray, "b t"]:
    system: AbstractMap = classifier.system
    return np.asarray(measure_distances(system, metric, first, second))


def _page(
    stable: Trained,
    free: Trained,
    answer: Certificate,
    verdict: str,
    starts: _Recovery,
    faults: _Recovery,
    seconds: float,
) -> Page:
    factor = answer.factor or 1.0
    gap = answer.float32.gap if answer.float32 is not None else 0.0
    figures = [
        draw_recovery(r.stable, r.free, factor, _relative(gap, r), title, r.start)
        for r, title in ((starts, "corrupted initial states"), (faults, "sensor fault"))
    ]
    losses, factors, free_losses = (
        np.array([getattr(e, name) or np.nan for e in run.fit.history])
        for run, name in ((stable, "loss"), (stable, "factor"), (free, "loss"))
    )
    rows = (
        ("test accuracy", f"{stable.test_accuracy:.4f}", f"{free.test_accuracy:.4f}"),
        ("trained parameters", str(stable.parameters), str(free.parameters)),
        ("factor per step", f"{factor:.6f} [verified]", "no certificate"),
        ("cond(M)", f"{answer.condition:.3g}", "-"),
        ("float32 runs end within", f"{gap:.3g} in the metric [verified]", "-"),
        (
            "left 128 steps after a corrupted start",
            f"{_left(starts.stable, starts):.1e} [sampled]",
            f"{_left(starts.free, starts):.1e} [sampled]",
        ),
        (
            "left 128 steps after a sensor fault",
            f"{_left(faults.stable, faults):.1e} [sampled]",
            f"{_left(faults.free, faults):.1e} [sampled]",
        ),
    )
    return Page(
        "A network that reads digits, and the proof that it forgets",
        f"Two runs of this network on one input approach each other: every step multiplies their "
        f"distance, in a fixed metric, by {factor:.4f} or less, from any two states. The bound "
        "holds for the discretised map with the float32 weights in the model folder.",
        (
            Section("Result", (f"Independent check: {verdict}.",), (), Table(_HEADER, rows)),
            Section("What the guarantee buys", _BUYS, tuple(figures)),
            Section("Training", _TRAINING, (draw_training(losses, factors, free_losses),)),
        ),
        f"Made by limitset demo --seed {stable.settings.seed} --epochs {stable.settings.epochs} "
        f"in {seconds:.0f} s.",
    )


_HEADER = ("", "certified", "unconstrained twin")
_BUYS = (
    "Each run reads a stream of test digits. Once its state is corrupted at the start, once its "
    "sensor delivers noise for 64 steps. Shaded: all runs; line: median. The certified network "
    "must stay below the black line (plus the float32 gap); its distances are taken in its metric. "
    "Nothing is promised for the other, whose distances are Euclidean.",
)
_TRAINING = (
    "The certified network is trained through a parametrisation whose every value contracts, so "
    "the factor stays below one after every update. It is verified anew after each epoch.",
)


def _relative(gap: float, recovery: _Recovery) -> float:
    return float(gap / recovery.stable[:, recovery.start].min())
