"""How long does an organism of 1,200 particles train, against one module a particle in PyTorch?

The organism of arXiv 2212.10078 for MNIST: 225 -> 5 -> 5 -> 10, GELU, particles 5 -> 5 -> 5 -> 1,
float32. The peer is a loop over particles, as one writes it with modules; beside it stands a
batched spelling of what limitset computes. All start at the same weights, and must have the same
ones after steps of both goals before anything is timed; one thread for PyTorch. Then a whole run is
timed: 60,000 random images of MNIST's size, batches of 2,000, 10 steps of self-training for each,
200 epochs with their records. All of it depends on sizes, not on pixels.
"""

import functools
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import _measure
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from limitset.networks import GELU
from limitset.replication import (
    Alternation,
    ArrayTask,
    Organism,
    draw_organism,
    start_training,
    train_organism,
)
from limitset.replication._organism_training import train_selves, train_task

HAS_TORCH = importlib.util.find_spec("torch") is not None
# Ours has to be so many times as fast, and a run has to end within so many seconds.
TARGETS = {"self-training": 300.0, "task": 50.0}
RUN_TARGET = 180.0
TURNS = Alternation(self_steps=10)
# Of weights near 1, after two steps of the task and ten of self-training in float32.
TOLERANCE = 1e-5


def our_steps(
    organism: Organism, x: np.ndarray, y: np.ndarray
) -> tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]:
    """Ten steps of self-training, and one of the task; each goes on where the last one was."""
    selves = eqx.filter_jit(lambda now, still: train_selves(organism, TURNS, now, still)[0])
    task = eqx.filter_jit(lambda now, speed, xy: train_task(organism, TURNS, now, speed, xy)[:2])
    still = jnp.zeros_like(organism.particles.T)
    now, batch = [organism.particles.T, still], (jnp.asarray(x), jnp.asarray(y))

    def run_selves() -> np.ndarray:
        now[0] = jax.block_until_ready(selves(now[0], still))
        return np.asarray(now[0]).T

    def run_task() -> np.ndarray:
        now[0], now[1] = jax.block_until_ready(task(now[0], now[1], batch))
        return np.asarray(now[0]).T

    return run_selves, run_task


def compare(
    organism: Organism, x: np.ndarray, y: np.ndarray, repeats: int
) -> dict[str, dict[str, Any]]:
    """Print and return what a step of each goal takes."""
    run_selves, run_task = our_steps(organism, x, y)
    tasks: dict[str, Callable[[], object]] = {"self-training": run_selves, "task": run_task}
    gaps: dict[str, float] = {}
    if HAS_TORCH:
        import _torch_organism
        import torch

        torch.set_num_threads(1)
        batch = torch.from_numpy(x), torch.from_numpy(y)
        for _ in range(2):
            run_task()
        ours = run_selves()
        for name, kind in (("loop", _torch_organism.Loop), ("batch", _torch_organism.Batch)):
            peer = kind(organism, TURNS.rate, TURNS.momentum)
            for _ in range(2):
                peer.train_task(*batch)
            peer.train_selves(TURNS.self_steps)
            gaps[name] = float(np.abs(ours - peer.weights()).max())
            if not gaps[name] <= TOLERANCE:
                raise SystemExit(f"torch, {name}, computes something else: {gaps[name]:.2g}")
            print(f"torch, {name}: weights agree within {gaps[name]:.1g} after steps of both goals")
            tasks[f"{name} self-training"] = functools.partial(peer.train_selves, 1)
            tasks[f"{name} task"] = functools.partial(peer.train_task, *batch)
    timings = _measure.interleave(tasks, repeats=repeats, warm_up=1, pause=0.1)
    record: dict[str, dict[str, Any]] = {"differences": gaps}
    for goal, steps in (("self-training", TURNS.self_steps), ("task", 1)):
        record[goal] = _compare_goal(goal, steps, timings)
    return record


def _compare_goal(goal: str, steps: int, timings: dict[str, _measure.Timing]) -> dict[str, Any]:
    ours = timings[goal]
    record: dict[str, Any] = {"steps_a_call": steps, "limitset": ours.record()}
    print(f"{goal}: limitset {ours}, {steps} steps; {min(ours.seconds) / steps:.3g} s a step, best")
    for name in ("loop", "batch"):
        theirs = timings.get(f"{name} {goal}")
        if theirs is None:
            continue
        ratio = steps * theirs.median / ours.median
        best = steps * min(theirs.seconds) / min(ours.seconds)
        print(f"{goal}: torch, {name} {theirs}, one step")
        print(
            f"{goal}: torch, {name} / limitset = {ratio:,.1f}, {best:,.1f} between the best repeats"
        )
        if name == "loop":
            met = _measure.verdict(ratio >= TARGETS[goal])
            print(f"{goal}: target for the loop {TARGETS[goal]:.0f}: {met}")
        record[name] = {**theirs.record(), "ratio": ratio, "ratio_of_best": best}
    return record


def time_run(organism: Organism, samples: int, batch: int, epochs: int) -> dict[str, Any]:
    """Print and return what epochs take, and a run of 200."""
    generator = np.random.default_rng(1)
    x = generator.random((samples, organism.sizes[0]), np.float32)
    y = generator.integers(0, 10, samples)
    tested = max(1, samples // 6)
    task = ArrayTask(x, y, x[:tested], y[:tested], batch=batch)
    training, key, each = start_training(organism), jax.random.key(0), list[float]()
    for _ in range(epochs):
        begun = time.perf_counter()
        training, record = train_organism(training, task, TURNS, epochs=1, key=key)
        jax.block_until_ready((training, record))
        each.append(time.perf_counter() - begun)
    whole = sum(each)
    best, middle = min(each), statistics.median(each)
    met = _measure.verdict(whole <= RUN_TARGET)
    print(
        f"run of {epochs} epochs, compiled anew: {whole:.3g} s, target {RUN_TARGET:.0f}: {met}; an "
        f"epoch {middle:.3g} s in the middle, {best:.3g} s at best"
    )
    return {"epochs": epochs, "seconds": whole, "epoch_median_s": middle, "epoch_min_s": best}


def main() -> None:
    """Steps against the peer, then a run."""
    arguments = _measure.parse_arguments(__doc__)
    if not HAS_TORCH:
        print("torch is not installed (benchmarks/requirements.txt): no peer, only our own time")
    sizes, batch = ((9, 2, 2, 3), 8) if arguments.quick else ((225, 5, 5, 10), 2000)
    organism = draw_organism(jax.random.key(0), sizes, activation=GELU)
    generator = np.random.default_rng(0)
    x = generator.random((batch, sizes[0]), np.float32)
    y = generator.integers(0, sizes[-1], batch)
    results: dict[str, Any] = compare(organism, x, y, 1 if arguments.quick else 7)
    samples, epochs = (24, 3) if arguments.quick else (60_000, 200)
    results["run"] = time_run(organism, samples, batch, epochs)
    _measure.store("organism_speed", arguments, results)


if __name__ == "__main__":
    main()
