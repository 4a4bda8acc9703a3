"""What does stopping each sample by a certified rule give, and what does a raw threshold leave?

Blocks of 64 units with ReLU and with tanh, on MNIST, trained at 30 steps; then every test image
runs to its own depth, in float64. The true limit is that of steps until they vanish in float64;
the raw threshold on the last step is the rule of arXiv 1804.07209. Speed: all samples at the depth
that the slowest needs, against each at its own, for one error, and for one class.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _measure
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray

from limitset.contraction import (
    AbstractBlockParametrisation,
    BlockCertificate,
    DeepParametrisation,
    StageParametrisation,
    certify_block,
    random_dense_block,
    stopping_rule,
)
from limitset.dynamics import (
    AbstractStoppingRule,
    DecidedClass,
    Exit,
    RawThreshold,
    Settled,
    run_network,
    settle_batch,
    unroll,
)
from limitset.networks import AbstractBlock, LinearReadout, ResidualBlock
from limitset.report import draw_depth
from limitset.training import Split, load_digits_sequences, load_mnist

UNITS, DEPTH, EPSILON, CLASSES, CAP, EVERY = 64, 30, 0.02, 10, 4000, 4
TOLERANCES = (3.0, 1.0, 0.3, 0.1, 0.01, 1e-4)
THRESHOLDS = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4)
DEPTHS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 100, 200)
# The tolerance of the figure.
SHOWN = 0.1
TILE = 512
FIGURE = Path(__file__).parents[1] / "docs" / "images" / "adaptive-depth.svg"
Network = tuple[AbstractBlock, LinearReadout]


def train(activation: str, images: np.ndarray, labels: np.ndarray, epochs: int) -> Network:
    """A block and its readout, trained with Adam at a fixed depth, in float32."""
    keys = jax.random.split(jax.random.key(0), 3)
    core = random_dense_block(
        keys[0],
        kind="spectral",
        units=UNITS,
        inputs=images.shape[1],
        activation=activation,
        epsilon=EPSILON,
    )
    weight = jax.random.normal(keys[1], (CLASSES, UNITS), jnp.float32) / UNITS**0.5
    readout = LinearReadout(weight, jnp.zeros(CLASSES, jnp.float32))
    model = DeepParametrisation((StageParametrisation(_float32(core), DEPTH),), readout)
    batches = len(images) // 128
    optimiser = optax.adam(optax.cosine_decay_schedule(2e-3, epochs * batches))
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def update(
        model: DeepParametrisation, state: optax.OptState, u: Any, y: Any
    ) -> tuple[DeepParametrisation, optax.OptState]:
        def loss(model: DeepParametrisation) -> jax.Array:
            scores = jax.vmap(functools.partial(run_network, model.explicit()))(u)
            return optax.softmax_cross_entropy_with_integer_labels(scores, y).mean()

        gradient = eqx.filter_grad(loss)(model)
        updates, state = optimiser.update(gradient, state)
        return eqx.apply_updates(model, updates), state

    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(images))
        for rows in order[: batches * 128].reshape(batches, 128):
            model, state = update(model, state, images[rows], labels[rows])
    network = model.explicit()
    return network.stages[0].block, network.readout


def _float32(core: AbstractBlockParametrisation) -> AbstractBlockParametrisation:
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), core)


def _widened(tree: Any) -> Any:
    """The same numbers in float64."""
    return jax.tree.map(lambda a: a.astype(jnp.float64), tree)


def true_limits(block: ResidualBlock, inputs: jax.Array) -> np.ndarray:
    """States at which the steps of all samples vanish in float64."""

    def goes_on(now: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return (now[1] > 1e-15) & (now[2] < 10 * CAP)

    @jax.jit
    def run(entering: jax.Array) -> jax.Array:
        def step(now: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
            after = jax.vmap(functools.partial(block.respond, 0))(now[0], entering)
            return after, jnp.abs(after - now[0]).max(), now[2] + 1

        first = (jnp.zeros((len(entering), block.state_size)), jnp.asarray(jnp.inf), jnp.asarray(0))
        return jax.lax.while_loop(goes_on, step, first)[0]

    return np.asarray(run(jax.vmap(block.enter)(inputs)))


@eqx.filter_jit
def run_all(block: AbstractBlock, inputs: jax.Array, depth: int) -> jax.Array:
    """All samples at one depth."""
    return jax.vmap(lambda u: unroll(block, u, depth))(inputs)


class Judge:
    """Accuracies and true errors of states that a rule or a depth leads to."""

    def __init__(self, readout: LinearReadout, limits: np.ndarray, labels: np.ndarray) -> None:
        self.readout, self.limits, self.labels = readout, limits, labels

    def accuracy(self, states: jax.Array) -> float:
        """Share of right answers."""
        scores = np.asarray(jax.vmap(self.readout)(states))
        return float((scores.argmax(1) == self.labels).mean())

    def wrong_classes(self, states: jax.Array) -> int:
        """How many samples have another class than at the limit."""
        at_limit = np.asarray(jax.vmap(self.readout)(jnp.asarray(self.limits))).argmax(1)
        return int((np.asarray(jax.vmap(self.readout)(states)).argmax(1) != at_limit).sum())

    def errors(self, states: jax.Array) -> np.ndarray:
        """Distances from the true limits in the 2-norm, the rules' norm here."""
        return np.linalg.norm(np.asarray(states, np.float64) - self.limits, axis=1)

    def record(self, states: jax.Array, depths: np.ndarray) -> dict[str, float]:
        """Accuracy, depth and true error."""
        errors, depths = self.errors(states), np.asarray(depths)
        return {
            "accuracy": self.accuracy(states),
            "mean_depth": float(depths.mean()),
            "max_depth": int(depths.max()),
            "error_median": float(np.median(errors)),
            "error_99": float(np.quantile(errors, 0.99)),
            "error_max": float(errors.max()),
        }


def by_rule(
    block: AbstractBlock, inputs: jax.Array, rule: AbstractStoppingRule, judge: Judge
) -> tuple[Settled, dict[str, Any]]:
    """Where a rule stops, and how often its bound was exceeded."""
    ended = settle_batch(block, inputs, rule, CAP, every=EVERY, tile=TILE)
    record: dict[str, Any] = judge.record(ended.state, np.asarray(ended.depth))
    bound = np.asarray(ended.error + ended.drift)
    # The true limits are known to some 1e-12 themselves.
    record["violations"] = int((judge.errors(ended.state) > bound + 1e-11).sum())
    reasons = np.asarray(ended.reason)
    record["exits"] = {why.name.lower(): int((reasons == why).sum()) for why in Exit}
    return ended, record


def last_change(block: AbstractBlock, inputs: jax.Array, judge: Judge, most: int) -> int:
    """The depth from which on no class differs from that at the limit: known afterwards alone."""
    entering = jax.vmap(block.enter)(inputs)
    states, last = jnp.zeros((len(inputs), block.state_size)), most
    step = jax.jit(jax.vmap(functools.partial(block.respond, 0)))
    wrong = []
    for _ in range(most):
        states = step(states, entering)
        wrong.append(judge.wrong_classes(states))
    while last > 1 and wrong[last - 2] == 0:
        last -= 1
    return last


def measure_speed(
    block: AbstractBlock, inputs: jax.Array, rule: AbstractStoppingRule, depth: int, *, repeats: int
) -> dict[str, Any]:
    """Adaptive depth against one depth for all, in the same run, for the same certified error."""

    def run_fixed() -> None:
        for first in range(0, len(inputs), TILE):
            jax.block_until_ready(run_all(block, inputs[first : first + TILE], depth))

    def run_adaptive() -> None:
        jax.block_until_ready(settle_batch(block, inputs, rule, CAP, every=EVERY, tile=TILE).state)

    tasks: dict[str, Callable[[], object]] = {"fixed": run_fixed, "adaptive": run_adaptive}
    found = _measure.interleave(tasks, repeats=repeats)
    ratio = found["fixed"].median / found["adaptive"].median
    return {
        "fixed_depth": depth,
        "fixed": found["fixed"].record(),
        "adaptive": found["adaptive"].record(),
        "gain": ratio,
    }


def measure(
    activation: str, split: Split, epochs: int, repeats: int
) -> tuple[dict[str, Any], xarray.Dataset]:
    """Print and return the figures of one network, and what its drawing needs."""
    images, labels = split.train.inputs[..., 0], split.train.labels
    block32, readout32 = train(activation, images, labels, epochs)
    block, readout = _widened(block32), _widened(readout32)
    answer = certify_block(block)
    if not isinstance(answer, BlockCertificate):
        raise SystemExit(f"the trained block is not certified: {answer.reason}")
    inputs = jnp.asarray(split.test.inputs[..., 0], jnp.float64)
    judge = Judge(readout, true_limits(block, inputs), split.test.labels)
    record: dict[str, Any] = {"factor": answer.factor, "samples": len(inputs), "certified": {}}
    ends = {}
    for tolerance in TOLERANCES:
        rule = stopping_rule(answer, tolerance)
        ends[tolerance], record["certified"][f"{tolerance:g}"] = by_rule(block, inputs, rule, judge)
    record["raw"] = {
        f"{t:g}": by_rule(block, inputs, RawThreshold(t), judge)[1] for t in THRESHOLDS
    }
    record["fixed"] = {
        str(depth): judge.record(run_all(block, inputs, depth), np.asarray([depth]))
        for depth in DEPTHS
    }
    record["limit_accuracy"] = judge.accuracy(jnp.asarray(judge.limits))
    shown = stopping_rule(answer, SHOWN)
    deciding = DecidedClass(stopping_rule(answer, TOLERANCES[-1]), readout)
    end, record["decided"] = by_rule(block, inputs, deciding, judge)
    record["decided"]["wrong_classes"] = judge.wrong_classes(end.state)
    record["class_depth"] = last_change(block, inputs, judge, int(end.depth.max()))
    speed = functools.partial(measure_speed, block, inputs, repeats=repeats)
    record["speed"] = {
        "same error": speed(shown, int(ends[SHOWN].depth.max())),
        "same classes": speed(deciding, record["class_depth"]),
        "certified classes": speed(deciding, int(end.depth.max())),
    }
    record["float32"] = _in_float32(block32, inputs, judge)
    _print(activation, record)
    return record, as_dataset(record, np.asarray(ends[SHOWN].depth), split)


def as_dataset(record: dict[str, Any], depths: np.ndarray, split: Split) -> xarray.Dataset:
    """What the figure shows."""
    images = split.test.inputs[..., 0]
    side = int(images.shape[1] ** 0.5)
    found: dict[str, Any] = {
        "depth": ("sample", depths),
        "label": ("sample", np.asarray(split.test.labels)),
        "image": (("sample", "row", "column"), images.reshape(-1, side, side)),
    }
    for kind in ("certified", "raw", "fixed"):
        for name, key in (("depth", "mean_depth"), ("accuracy", "accuracy")):
            found[f"{kind}_{name}"] = (kind, [row[key] for row in record[kind].values()])
    title = f"{split.test.name}, one ReLU block of {UNITS} units"
    return xarray.Dataset(found, attrs={"tolerance": SHOWN, "data": title})


def _in_float32(block: AbstractBlock, inputs: jax.Array, judge: Judge) -> dict[str, Any]:
    """The same weights run in float32: bounds then hold what rounding may have done."""
    answer = certify_block(block)
    if not isinstance(answer, BlockCertificate):
        return {}
    found = {}
    for tolerance in (1.0, SHOWN):
        rule = stopping_rule(answer, tolerance)
        found[f"{tolerance:g}"] = by_rule(block, inputs.astype(jnp.float32), rule, judge)[1]
    return found


def _print(name: str, record: dict[str, Any]) -> None:
    print(f"{name}: accuracy at the limit {record['limit_accuracy']:.4f}")
    rows = {kind: record[kind] for kind in ("certified", "raw", "fixed", "float32")}
    for kind, found in {**rows, "decided": {"class": record["decided"]}}.items():
        for key, row in found.items():
            exceeded = f", bound exceeded {row['violations']}" if "violations" in row else ""
            print(
                f"{name:5} {kind:9} {key:>6}: accuracy {row['accuracy']:.4f}, mean depth "
                f"{row['mean_depth']:.1f}, largest {row['max_depth']}, true error median "
                f"{row['error_median']:.1e}, 99% {row['error_99']:.1e}, max {row['error_max']:.1e}"
                f"{exceeded}"
            )
    print(
        f"{name}: other classes than at the limit {record['decided']['wrong_classes']}; from depth "
        f"{record['class_depth']} on none changes"
    )
    for kind, speed in record["speed"].items():
        print(f"{name}, {kind}: all at depth {speed['fixed_depth']} / own: {speed['gain']:.2f}")


def main() -> None:
    """Both activations; the figure is that of ReLU."""
    arguments = _measure.parse_arguments(__doc__)
    quick = arguments.quick
    split = load_digits_sequences() if quick else load_mnist()
    results: dict[str, Any] = {}
    drawings: dict[str, xarray.Dataset] = {}
    for activation in ("relu", "tanh"):
        results[activation], drawings[activation] = measure(
            activation, split, 1 if quick else 4, 1 if quick else 5
        )
    drawing = draw_depth(drawings["relu"])
    if not quick:
        FIGURE.write_text(drawing, encoding="utf-8")
    _measure.store("adaptive_depth", arguments, results)


if __name__ == "__main__":
    main()
