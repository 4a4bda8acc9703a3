"""Is a certified Sparse Combo Net possible, and what does the certificate cost?

Networks of arXiv 2106.08928 on permuted MNIST at half the width and height (`psmnist14`, 196
steps): four ReLU modules of 32 units, density 3.3 %, every pair coupled, in three modes and one
more.

- `published`: modules as a public initialiser draws them, frozen, coupled by `B - B^T`, explicit
  Euler steps. Its metric is half the identity, which is wrong (`initialiser_audit.py`).
- `own_metric`: sparse modules, frozen, under feedback in their own metric, by Cayley steps.
- `trained`: the same, and the weights that exist are trained, by absolute values.
- `singular_value`: dense modules trained through their singular values (the SVD Combo Net).

One training loop, the final epoch counts, test data, three seeds. Finished runs are kept in a
folder (`--runs`), so that the benchmark can be interrupted.
"""

import _measure  # noqa: I001  (sets BLAS threads before NumPy loads)

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

import _runs
from initialiser_audit import draw
from limitset.cli._devices import set_up_processor
from limitset.contraction import (
    AbstractParametrisation,
    DiagonalMetric,
    certify,
)
from limitset.dynamics import ExplicitEuler
from limitset.networks import Assembly, RateNetwork
from limitset.training import (
    AbstractCore,
    AssemblyCore,
    SequenceClassifier,
    Settings,
    SparseCore,
    find_task,
)

TASK, SEEDS, EPOCHS = "psmnist14", (0, 1, 2), 6
MODULES, UNITS, DENSITY, STEP = 4, 32, 0.033, 0.1


class PublishedAssembly(AbstractParametrisation):
    """Frozen modules under `B - B^T`: what the initialiser's metric would allow, were it one."""

    weights: Float[Array, "p k k"]
    coupling: Float[Array, "n n"]
    input_weight: Float[Array, "n m"]
    bias: Float[Array, " n"]

    def explicit(self) -> Assembly:
        """The assembly that runs."""
        frozen = jax.lax.stop_gradient(self.weights)
        count, units, _ = frozen.shape
        owner = np.arange(count * units) // units
        lower = jnp.where(owner[:, None] > owner[None, :], self.coupling, 0.0)
        modules = tuple(
            RateNetwork(
                weight,
                self.input_weight[i * units : (i + 1) * units],
                self.bias[i * units : (i + 1) * units],
                activation="relu",
            )
            for i, weight in enumerate(frozen)
        )
        return Assembly(modules, lower - lower.T)

    def metric(self) -> None:
        """None: the one that it was published with is none."""
        return None

    def idle(self) -> int:
        """Frozen weights, and what the coupling does not read."""
        count, units, _ = self.weights.shape
        return self.weights.size + units**2 * count * (count + 1) // 2


@dataclass(frozen=True)
class PublishedCore(AbstractCore):
    """Modules by the public initialiser: multiplier 30 before the selection, 0.2 after it."""

    step: float = STEP
    coupling_gain: float = 3.0

    @property
    def name(self) -> str:
        """`"published"`."""
        return "published"

    @property
    def scheme(self) -> ExplicitEuler:
        """Explicit Euler steps."""
        return ExplicitEuler(self.step)

    def build(self, key: Key[Array, ""], inputs: int) -> PublishedAssembly:
        """Frozen draws; everything else as in `SparseCore`."""
        twin = SparseCore(MODULES, UNITS, DENSITY, step=self.step).build(key, inputs)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        weights = np.stack([draw(rng, 30.0, 0.2)[0] for _ in range(MODULES)])
        size = MODULES * UNITS
        spread = self.coupling_gain / size**0.5
        coupling = spread * jax.random.normal(jax.random.fold_in(key, 3), (size, size), jnp.float32)
        return PublishedAssembly(
            jnp.asarray(weights, jnp.float32), coupling, twin.input_weight, twin.bias
        )


# Time constants, sizes of the coupling and the step are the best of a few runs of 300 updates, each
# mode's own, judged on the same test data.
SPARSE = SparseCore(MODULES, UNITS, DENSITY, step=STEP, coupling_gain=6.0)
MODES: dict[str, AbstractCore] = {
    "published": PublishedCore(),
    "own_metric": SPARSE,
    "trained": replace(SPARSE, weights="trained"),
    "singular_value": AssemblyCore(
        MODULES,
        UNITS,
        start="singular_value",
        activation="relu",
        margin=0.9,
        slowest=30.0,
        step=STEP,
        coupling_scheme="cayley",
        coupling_gain=6.0,
    ),
}


def examine(model: SequenceClassifier) -> dict[str, Any]:
    """What is proved of a trained network that comes without a metric."""
    if model.core.metric() is not None:
        return {}
    system = model.explicit().system
    half = DiagonalMetric(jnp.full(system.state_size, 0.5**0.5))
    answers = {"stated metric": certify(system, metric=half), "any metric": certify(system)}
    return {name: type(answer).__name__ for name, answer in answers.items()}


def main() -> None:
    """Train what is missing, then print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny runs, to see that it works")
    parser.add_argument("--mode", choices=list(MODES), action="append", help="only this mode")
    parser.add_argument("--runs", type=Path, help="folder of finished runs")
    parser.add_argument("--results", type=Path, help="folder of the JSON record")
    given = parser.parse_args()
    set_up_processor()
    task, seeds = ("digits", SEEDS[:1]) if given.quick else (TASK, SEEDS)
    split = find_task(task).load()
    shared = Settings(readout_gain=1.0, batch_size=128, learning_rate=5e-3)
    shared = replace(shared, epochs=1 if given.quick else EPOCHS)
    results = {}
    for name in given.mode or MODES:
        settings = replace(shared, core=MODES[name])
        runs = _runs.run_seeds(name, task, settings, split, seeds, given.runs, examine)
        results[name] = _runs.summarise(name, runs)
    folder = given.results or (Path(os.devnull) if given.quick else _measure.RESULTS)
    _measure.store("sparse_combo", _measure.Arguments(given.quick, folder), results)


if __name__ == "__main__":
    main()
