"""How long does one training step take, ours against the same cell written in PyTorch?

One step is loss, gradient, clipping and Adam for a stable assembly that reads 784 steps of one
input, batch 128, both cores. The peer is the cell as one writes it in PyTorch, a loop over time.
The reference is its plain spelling, one dense product for all modules, as in the public code of
arXiv 2106.08928 (which derives the coupling anew in every step; here it is derived once). Two
batched spellings are timed besides, and the ratio to the fastest of the three is printed too. All
must give the same loss and gradients before anything is timed.
"""

import functools
import importlib.util
import statistics
from collections.abc import Callable

import _measure
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from limitset.cli._devices import set_up_processor
from limitset.training import (
    AssemblyCore,
    SequenceClassifier,
    Settings,
    build,
    cross_entropy,
    find_task,
)
from limitset.training._update import device_count, make_update

HAS_TORCH = importlib.util.find_spec("torch") is not None
# (modules, units): ours has to be so many times as fast.
TARGETS = {(4, 16): 4.0, (16, 32): 1.5}
STEPS, BATCH, LEARNING_RATE, CLIP = 784, 128, 2e-3, 1.0
# Relative to the largest entry of each gradient: float32 sums over 784 steps in another order.
TOLERANCE = 1e-4
PRODUCTS = "matrix products alone"


def make_model(size: tuple[int, int]) -> SequenceClassifier:
    """So many modules of so many units, on whole images."""
    settings = Settings(AssemblyCore(modules=size[0], units=size[1], start="absolute_value"))
    return build(find_task("smnist"), settings)


def make_step(
    model: SequenceClassifier, inputs: np.ndarray, labels: np.ndarray, devices: int
) -> Callable[[], float]:
    """One update by the function that `fit` calls, the batch shared among so many devices."""
    adam = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, 10**6))
    optimiser = optax.chain(optax.clip_by_global_norm(CLIP), adam)
    update = make_update(optimiser, devices)
    now = [model, optimiser.init(eqx.filter(model, eqx.is_array))]

    def step() -> float:
        now[0], now[1], loss = update(*now, inputs, labels)
        # The optimiser's work comes after the loss.
        return float(jax.block_until_ready((loss, now))[0])

    return step


def difference(
    model: SequenceClassifier,
    theirs: tuple[float, dict[str, np.ndarray]],
    inputs: np.ndarray,
    labels: np.ndarray,
) -> float:
    """Largest difference of loss and gradients, each relative to its largest entry."""
    leaves, structure = jax.tree.flatten(model)

    def objective(parameters: list[jax.Array]) -> jax.Array:
        now: SequenceClassifier = jax.tree.unflatten(structure, parameters)
        return cross_entropy(now.explicit(), jnp.asarray(inputs), jnp.asarray(labels))

    loss, slopes = jax.jit(jax.value_and_grad(objective))(leaves)
    pairs = [(np.asarray(loss), np.asarray(theirs[0]))]
    for (path, _), slope in zip(jax.tree_util.tree_leaves_with_path(model), slopes, strict=True):
        name = jax.tree_util.keystr(path, simple=True, separator="_")
        # `core_weights_theta` here is `theta` there, `readout_weight` is the same.
        matches = [key for key in theirs[1] if name == key or name.endswith(f"_{key}")]
        pairs.append((np.asarray(slope), theirs[1][max(matches, key=len)]))
    return float(max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs))


def make_peers(
    model: SequenceClassifier, inputs: np.ndarray, labels: np.ndarray
) -> tuple[dict[str, float], dict[str, Callable[[], object]]]:
    """By name, the reference first: how far its loss and gradients are from ours, and its step."""
    # Torch is optional.
    import _torch_peer

    cores = _measure.core_count()
    gaps, steps = {}, {}
    for product, threads in (("dense", cores), ("bmm", cores), ("bmm", 1)):
        peer, name = _torch_peer.Peer(model, product), f"torch, {product}, {threads} threads"
        theirs = _torch_peer.loss_and_gradients(peer, inputs, labels)
        gaps[name] = difference(model, theirs, inputs, labels)
        steps[name] = _torch_peer.make_step(
            peer, inputs, labels, learning_rate=LEARNING_RATE, clip=CLIP, threads=threads
        )
    return gaps, steps


def make_products(
    size: tuple[int, int], steps: int, batch: int, cores: int
) -> tuple[Callable[[], object], float]:
    """The matrix products of one update and nothing else, and how many operations they are.

    Per step: one product of all states with the coupling's propagator forward, two backward; one
    batched product with the modules' weights forward, three backward (one of them again forward).
    Each core multiplies its part of the batch, in a loop of its own, as an update does.
    """
    modules, units = size
    n, part = modules * units, batch // cores
    weight = np.full((modules, units, units), 0.01, np.float32)
    propagator = np.full((n, n), 0.01 / modules, np.float32)

    def step(x: jax.Array, _: None) -> tuple[jax.Array, None]:
        def local(x: jax.Array) -> jax.Array:
            blocks = x.reshape(part, modules, units).swapaxes(0, 1)
            return jax.lax.batch_matmul(blocks, weight).swapaxes(0, 1).reshape(part, n)

        for _ in range(3):
            x = local(x) @ propagator
        return local(x), None

    @functools.partial(jax.pmap, devices=jax.local_devices()[:cores])
    def products(x: jax.Array) -> jax.Array:
        return jax.lax.scan(step, x, None, length=steps)[0]

    states = np.ones((cores, part, n), np.float32)
    operations = 2.0 * batch * steps * (3 * n * n + 4 * n * units)
    return lambda: jax.block_until_ready(products(states)), operations


def measure(
    size: tuple[int, int], steps: int, batch: int, repeats: int, sharings: dict[str, int]
) -> dict[str, object]:
    """Print and return the figures of one assembly; `sharings` names numbers of devices."""
    title = "x".join(map(str, size))
    model = make_model(size)
    generator = np.random.default_rng(0)
    inputs = generator.random((batch, steps, 1), np.float32)
    labels = generator.integers(0, 10, batch)
    tasks: dict[str, Callable[[], object]] = {
        name: make_step(model, inputs, labels, devices) for name, devices in sharings.items()
    }
    gaps, peers = make_peers(model, inputs, labels) if HAS_TORCH else ({}, {})
    for name, gap in gaps.items():
        if not gap <= TOLERANCE:
            raise SystemExit(f"{title}: {name} computes something else: {gap:.2g}")
        print(f"{title:6} {name}: loss and gradients agree within {gap:.1g}")
    tasks |= peers
    products, operations = make_products(size, steps, batch, sharings["limitset"])
    tasks[PRODUCTS] = products
    timings = _measure.interleave(tasks, repeats=repeats, warm_up=2, pause=0.3)
    record: dict[str, object] = {"steps": steps, "batch": batch, "differences": gaps}
    for name, timing in timings.items():
        cpu = statistics.median(timing.cpu)
        print(f"{title:6} {name:23} {timing}, processor time {cpu:.4g} s", flush=True)
        record[name] = {**timing.record(), "cpu_median_s": cpu}
    ours, bound = timings["limitset"], timings[PRODUCTS]
    fraction = bound.median / ours.median
    print(
        f"{title:6} {operations / ours.median / 1e9:.3g} of {operations / bound.median / 1e9:.3g} "
        f"billion operations a second: {fraction:.2f} of the bound by matrix products"
    )
    record |= {"operations": operations, "fraction_of_products": fraction}
    if peers:
        record |= compare(title, TARGETS[size], timings, list(peers))
    return record


def compare(
    title: str, target: float, timings: dict[str, _measure.Timing], peers: list[str]
) -> dict[str, float]:
    """Print and return how many times as fast ours is: as the reference, as the fastest peer."""
    ours = timings["limitset"]
    ratio = timings[peers[0]].median / ours.median
    fastest = min(timings[name].median for name in peers) / ours.median
    # Threads of both libraries suffer much from a third process, the best repeats least.
    best = min(min(timings[name].seconds) for name in peers) / min(ours.seconds)
    met = _measure.verdict(ratio >= target)
    print(f"{title:6} reference loop / limitset = {ratio:.2f}, target {target}: {met}")
    print(f"{title:6} fastest loop / limitset = {fastest:.2f}, {best:.2f} between the best repeats")
    return {"ratio": ratio, "ratio_to_fastest": fastest, "ratio_of_best": best, "target": target}


def main() -> None:
    """Both assemblies."""
    arguments = _measure.parse_arguments(__doc__)
    set_up_processor()
    if not HAS_TORCH:
        print("torch is not installed (benchmarks/requirements.txt): no peer, only our own time")
    small = make_model((4, 16))
    if arguments.quick:
        results = {"4x16": measure((4, 16), 10, 8, 1, {"limitset": device_count(8, small)})}
    else:
        sharings = {"limitset": device_count(BATCH, small), "limitset, one device": 1}
        results = {
            "x".join(map(str, size)): measure(size, STEPS, BATCH, repeats, sharings)
            for size, repeats in zip(TARGETS, (9, 5), strict=True)
        }
    _measure.store("train_speed", arguments, results)


if __name__ == "__main__":
    main()
