"""Do initialisations that mean-field theory chooses train better than the usual ones?

Copying, adding and a flip-flop of any height, by GRUs and LSTMs of 24 units in one training loop:
Adam with one learning rate for all, fresh from the same seeds. Only the recurrent weights and the
biases at the start differ:

- `uniform`: PyTorch's law, everything uniform in +-1/sqrt(n).
- `orthogonal`: orthogonal recurrent matrices, no bias but 1 for the LSTM's forget gates.
- `chrono`: PyTorch's law, with gates that forget in 1 to T - 1 steps (arXiv 1804.11188).
- `advised bias`: PyTorch's law, with the one bias of the keeping gate that `advise` gives for T.
- `advised gain`: PyTorch's law, with the candidate's matrix scaled so that theory puts the edge of
  the zero state where T asks for it.

T is the length of the sequences. Losses of the final epoch on held-out sequences, relative to those
of an answer that remembers nothing: 1 is nothing learned. Nobody published these figures.
Finished parts are kept in a folder (`--runs`), so that the study can be interrupted.
"""

import _measure  # noqa: I001  (sets BLAS threads before NumPy loads)

import argparse
import functools
import json
import math
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from limitset.cli._devices import set_up_processor
from limitset.dossier import PhasePoint, advise, phase_point
from limitset.networks import GRU, LSTM, LinearReadout, random_gru, random_lstm
from limitset.training import (
    FreeCell,
    Recipe,
    SequenceClassifier,
    Split,
    fit_seeds,
    make_adding_task,
    make_copy_task,
    make_flip_flop_task,
    training_loss,
)

Cell = GRU | LSTM
Initial = Callable[[jax.Array, Cell, int, PhasePoint], Cell]
UNITS, SEEDS = 24, (0, 1, 2)
RECIPE = Recipe(epochs=20, batch_size=32, learning_rate=5e-3)
DRAWS: dict[str, Callable[[jax.Array, int, int], Cell]] = {"GRU": random_gru, "LSTM": random_lstm}
# The gate that keeps, the gate that lets in, and the candidate, in PyTorch's order of rows.
KEEP, ENTER, CANDIDATE = {GRU: 1, LSTM: 1}, {LSTM: 0}, {GRU: 2, LSTM: 2}


@dataclass(frozen=True)
class Question:
    """A task: its data, how many numbers an answer has, and the loss of remembering nothing."""

    split: Split
    outputs: int
    nothing: float


def questions(samples: int) -> dict[str, Question]:
    """The tasks, with sequences of 60 steps, and of 100 for adding, which is easier."""
    return {
        "copy": Question(make_copy_task(50, samples, symbols=5), 8, math.log(8)),
        "flip-flop": Question(make_flip_flop_task(60, 15.0, samples), 1, 1 / 3),
        "adding": Question(make_adding_task(100, samples), 1, 1 / 6),
    }


def uniform(key: jax.Array, cell: Cell, time: int, point: PhasePoint) -> Cell:
    """As it was drawn."""
    del key, time, point
    return cell


def orthogonal(key: jax.Array, cell: Cell, time: int, point: PhasePoint) -> Cell:
    """Orthogonal recurrent matrices, and biases as Keras sets them."""
    del time, point
    gates = cell.weight_hh.shape[0] // cell.weight_hh.shape[1]
    draw = jax.nn.initializers.orthogonal()
    blocks = [draw(k, (UNITS, UNITS)) for k in jax.random.split(key, gates)]
    cell = eqx.tree_at(lambda c: c.weight_hh, cell, jnp.concatenate(blocks))
    nothing = jnp.zeros_like(cell.bias_hh)
    level = nothing.at[gate(KEEP[LSTM])].set(1.0) if isinstance(cell, LSTM) else nothing
    return eqx.tree_at(lambda c: (c.bias_ih, c.bias_hh), cell, (nothing, level))


def chrono(key: jax.Array, cell: Cell, time: int, point: PhasePoint) -> Cell:
    """Gates that forget in 1 to `time - 1` steps, without recurrent weights."""
    del point
    level = jnp.log(jax.random.uniform(key, (UNITS,), minval=1.0, maxval=time - 1.0))
    cell = with_bias(cell, KEEP[type(cell)], level)
    return with_bias(cell, ENTER[LSTM], -level) if isinstance(cell, LSTM) else cell


def advised_bias(key: jax.Array, cell: Cell, time: int, point: PhasePoint) -> Cell:
    """One bias for all gates that keep, by theory."""
    del key
    level = advise(point, time).value
    if level is None:
        raise SystemExit(f"no bias gives a memory of {time} steps")
    return with_bias(cell, KEEP[type(cell)], jnp.full(UNITS, level))


def advised_gain(key: jax.Array, cell: Cell, time: int, point: PhasePoint) -> Cell:
    """Another gain of the candidate, by theory: the edge is linear in it."""
    del key
    theory = point.theory
    if theory is None:
        raise SystemExit("there is no theory for this cell")
    scale = (math.exp(-1 / time) - theory.floor) / (theory.zero_edge - theory.floor)
    rows = gate(CANDIDATE[type(cell)])
    weight = cell.weight_hh.at[rows].multiply(scale)
    return eqx.tree_at(lambda c: c.weight_hh, cell, weight)


INITIAL: dict[str, Initial] = {
    "uniform": uniform,
    "orthogonal": orthogonal,
    "chrono": chrono,
    "advised bias": advised_bias,
    "advised gain": advised_gain,
}


def gate(index: int) -> slice:
    """The rows of a gate."""
    return slice(index * UNITS, (index + 1) * UNITS)


def with_bias(cell: Cell, index: int, level: jax.Array) -> Cell:
    """The cell with both biases of a gate replaced: by the level, and by none."""
    entering = cell.bias_ih.at[gate(index)].set(0.0)
    own = cell.bias_hh.at[gate(index)].set(level)
    return eqx.tree_at(lambda c: (c.bias_ih, c.bias_hh), cell, (entering, own))


def edge(cell: Cell) -> float:
    """The largest modulus of eigenvalues at the zero state, without input."""
    advance = functools.partial(cell.advance, 0, u=jnp.zeros(cell.input_size))
    jacobian = jax.jacfwd(advance)(jnp.zeros(cell.state_size))
    return float(np.abs(np.linalg.eigvals(np.asarray(jacobian))).max())


def model_of(cell: Cell, key: jax.Array, outputs: int) -> SequenceClassifier:
    """The cell under a readout, in float32."""
    size = cell.state_size
    weight = jax.random.normal(key, (outputs, size)) / size**0.5
    readout = LinearReadout(weight, jnp.zeros(outputs))
    model = SequenceClassifier(FreeCell(cell), readout, None, 1.0)
    return jax.tree.map(lambda a: a.astype(jnp.float32), model)


def study(kind: str, asked: Question, seeds: tuple[int, ...], recipe: Recipe) -> dict[str, Any]:
    """All initialisations and seeds of one kind of cell on one task, in one program."""
    train, test = asked.split.train, asked.split.test
    time, features = train.inputs.shape[1:]
    draw = DRAWS[kind]
    point = phase_point(draw(jax.random.key(0), UNITS, features))
    cells, models = {}, []
    for name, initial in INITIAL.items():
        for seed in seeds:
            keys = jax.random.split(jax.random.key(seed), 3)
            cell = initial(keys[1], draw(keys[0], UNITS, features), time, point)
            cells.setdefault(name, []).append(cell)
            models.append(model_of(cell, keys[2], asked.outputs))
    fits = fit_seeds(models, train, recipe, seeds=seeds * len(INITIAL))
    inputs, labels = jnp.asarray(test.inputs), jnp.asarray(test.labels)
    score = jax.jit(lambda model: training_loss(model.explicit(), inputs, labels))
    losses = np.array([float(score(fit.model)) for fit in fits]) / asked.nothing
    found = {}
    for name, own in zip(INITIAL, losses.reshape(len(INITIAL), -1), strict=True):
        found[name] = {
            "loss": {"min": own.min(), "mean": own.mean(), "max": own.max(), "all": own.tolist()},
            "edge": statistics.mean(edge(cell) for cell in cells[name]),
        }
    return found


def _kept(folder: Path | None, name: str, compute: Callable[[], Any]) -> Any:
    """What was computed before, or is now and is kept."""
    if folder is None:
        return compute()
    store = folder / f"{name}.json"
    if not store.exists():
        folder.mkdir(parents=True, exist_ok=True)
        store.write_text(json.dumps(compute()), encoding="utf-8")
    return json.loads(store.read_text(encoding="utf-8"))


def main() -> None:
    """Print a line for each initialisation, cell and task, and store all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one tiny run, to see that it works")
    parser.add_argument("--runs", type=Path, help="folder of finished parts")
    parser.add_argument("--results", type=Path, help="folder of the JSON record")
    given = parser.parse_args()
    set_up_processor()
    recipe, seeds, samples = RECIPE, SEEDS, 3200
    if given.quick:
        recipe, seeds, samples = Recipe(epochs=1, batch_size=10), SEEDS[:1], 20
    results: dict[str, Any] = {}
    tasks, kinds = questions(samples), tuple(DRAWS)
    if given.quick:
        tasks, kinds = {"flip-flop": tasks["flip-flop"]}, kinds[:1]
    for task, asked in tasks.items():
        for kind in kinds:
            compute = functools.partial(study, kind, asked, seeds, recipe)
            found = _kept(given.runs, f"{task}_{kind}", compute)
            results.setdefault(task, {})[kind] = found
            for name, one in found.items():
                lowest, mean, highest = (one["loss"][k] for k in ("min", "mean", "max"))
                print(
                    f"{task}, {kind}, {name}: loss {lowest:.4f} / {mean:.4f} / {highest:.4f}, "
                    f"edge {one['edge']:.3f}",
                    flush=True,
                )
    folder = given.results or (Path(os.devnull) if given.quick else _measure.RESULTS)
    _measure.store("initialisation_study", _measure.Arguments(given.quick, folder), results)


if __name__ == "__main__":
    main()
