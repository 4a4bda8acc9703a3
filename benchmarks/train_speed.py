"""How long does one training step take, ours against the same cell written in PyTorch?

One step is loss, gradient, clipping and Adam for a stable assembly that reads 784 steps of one
input, batch 128, both cores. The peer is the cell as one writes it in PyTorch, a loop over time,
in the faster of two spellings of the block-diagonal product. Both must give the same loss and
gradients before anything is timed.
"""

import _measure
import jax
import jax.numpy as jnp
import numpy as np
import optax
from limitset.cli._devices import use_all_cores
from limitset.training import Settings, build, cross_entropy, find_task
from limitset.training._classifier import SequenceClassifier
from limitset.training._fit import _device_count, _make_update

try:
    import torch
except ImportError:
    torch = None

# (modules, units): ours has to be at least so many times as fast.
TARGETS = {(4, 16): 3.0, (16, 32): 1.0}
STEPS, BATCH, GAIN, LEARNING_RATE, CLIP = 784, 128, 20.0, 2e-3, 1.0
# Relative to the largest entry of each gradient: float32 sums over 784 steps in another order.
TOLERANCE = 1e-3


def make_peer(model: SequenceClassifier, product: str) -> "torch.nn.Module":
    """The same cell with the same numbers; `product` says how modules are multiplied."""
    assert torch is not None
    core = model.core

    def parameter(values: object) -> "torch.nn.Parameter":
        return torch.nn.Parameter(torch.from_numpy(np.array(values)))

    class Peer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.theta = parameter(core.weights.theta)
            self.log_scale = parameter(core.weights.log_scale)
            self.lower = parameter(core.coupling.lower)
            self.input_weight = parameter(core.input_weight)
            self.bias = parameter(core.bias)
            self.readout_weight = parameter(model.readout.weight)
            self.readout_bias = parameter(model.readout.bias)
            units = self.theta.shape[-1]
            owner = torch.arange(len(self.bias)) // units
            constants = torch.tensor(core.time_constants, dtype=torch.float64)
            gain = (model.scheme.step / constants).repeat_interleave(units)
            self.register_buffer("below", owner[:, None] > owner[None, :])
            self.register_buffer("keep", (1 - gain).float())
            self.register_buffer("gain", gain.float())

        def explicit(self) -> tuple["torch.Tensor", "torch.Tensor"]:
            magnitude, scale = self.theta.abs(), self.log_scale.exp()
            left = core.margin / (scale * magnitude.sum(-1).sqrt())
            right = scale / magnitude.sum(-2).sqrt()
            weight = left[..., :, None] * self.theta * right[..., None, :]
            lower = torch.where(self.below, self.lower, 0.0)
            flat = scale.reshape(-1)
            coupling = (lower - lower.T) * (flat[None, :] / flat[:, None])
            identity = torch.eye(len(flat), dtype=torch.float64)
            propagator = torch.linalg.inv(identity - model.scheme.step * coupling.double()).float()
            return weight, propagator

        def forward(self, inputs: "torch.Tensor") -> "torch.Tensor":
            weight, propagator = self.explicit()
            modules, units, _ = weight.shape
            dense, onward = torch.block_diag(*weight).T, propagator.T
            driven = inputs @ self.input_weight.T + self.bias
            x = torch.zeros(len(inputs), modules * units)
            for drive in driven.unbind(1):
                active = torch.tanh(x)
                if product == "bmm":
                    blocks = active.view(-1, modules, units).transpose(0, 1)
                    mixed = torch.bmm(blocks, weight.mT).transpose(0, 1).reshape(x.shape)
                else:
                    mixed = active @ dense
                x = (self.keep * x + self.gain * (mixed + drive)) @ onward
            return (GAIN * x) @ self.readout_weight.T + self.readout_bias

    return Peer()


def peer_step(peer: "torch.nn.Module", inputs: np.ndarray, labels: np.ndarray):
    """One update of the peer, as a function without arguments."""
    assert torch is not None
    optimiser = torch.optim.Adam(peer.parameters(), lr=LEARNING_RATE)
    u, y = torch.from_numpy(inputs), torch.from_numpy(labels)

    def step() -> float:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(peer(u), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(peer.parameters(), CLIP)
        optimiser.step()
        return float(loss.detach())

    return step


def our_step(model: SequenceClassifier, inputs: np.ndarray, labels: np.ndarray):
    """One update by the function that `fit` calls."""
    adam = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, 10**6))
    optimiser = optax.chain(optax.clip_by_global_norm(CLIP), adam)
    update = _make_update(optimiser, _device_count(len(labels)))
    state = [model, optimiser.init(model)]

    def step() -> float:
        state[0], state[1], loss = update(*state, inputs, labels)
        return float(jax.block_until_ready(loss))

    return step


def difference(model: SequenceClassifier, peer, inputs: np.ndarray, labels: np.ndarray) -> float:
    """Largest difference of loss and gradients, each relative to its largest entry."""
    assert torch is not None

    def objective(m: SequenceClassifier):
        return cross_entropy(m.explicit(), jnp.asarray(inputs), jnp.asarray(labels))

    loss, slope = jax.jit(jax.value_and_grad(objective))(model)
    peer.zero_grad()
    theirs = torch.nn.functional.cross_entropy(
        peer(torch.from_numpy(inputs)), torch.from_numpy(labels)
    )
    theirs.backward()
    pairs = [(loss, theirs.detach())]
    core = slope.core
    for ours, name in (
        (core.weights.theta, "theta"),
        (core.weights.log_scale, "log_scale"),
        (core.coupling.lower, "lower"),
        (core.input_weight, "input_weight"),
        (core.bias, "bias"),
        (slope.readout.weight, "readout_weight"),
        (slope.readout.bias, "readout_bias"),
    ):
        pairs.append((ours, getattr(peer, name).grad))
    gaps = [np.abs(np.asarray(a) - b.numpy()).max() / np.abs(b.numpy()).max() for a, b in pairs]
    return float(max(gaps))


def measure(size: tuple[int, int], steps: int, batch: int, repeats: int) -> dict[str, object]:
    """Print and return the figures of one assembly."""
    modules, units = size
    settings = Settings(modules=modules, units=units, readout_gain=GAIN, start="absolute_value")
    model = build(find_task("smnist"), settings)
    generator = np.random.default_rng(0)
    inputs = generator.random((batch, steps, 1), np.float32)
    labels = generator.integers(0, 10, batch)
    tasks = {"limitset": our_step(model, inputs, labels)}
    record: dict[str, object] = {"steps": steps, "batch": batch}
    if torch is not None:
        for product in ("bmm", "dense"):
            peer = make_peer(model, product)
            record[f"difference_{product}"] = gap = difference(model, peer, inputs, labels)
            if not gap <= TOLERANCE:
                raise SystemExit(f"the {product} peer computes something else: {gap:.2g}")
            tasks[f"torch {product}"] = peer_step(peer, inputs, labels)
    timings = _measure.interleave(tasks, repeats=repeats, pause=0.3)
    for name, timing in timings.items():
        print(f"{modules} x {units}  {name:12} {timing}")
        record[name] = timing.record()
    if torch is not None:
        ours = timings["limitset"].median
        ratio = min(timings[n].median for n in timings if n != "limitset") / ours
        met = _measure.verdict(ratio >= TARGETS[size])
        print(f"{modules} x {units}  torch / limitset = {ratio:.2f}, target {TARGETS[size]}: {met}")
        record |= {"ratio": ratio, "target": TARGETS[size], "ratio_bmm": timings["torch bmm"].median / ours}
    return record


def main() -> None:
    """Both assemblies."""
    arguments = _measure.parse_arguments(__doc__)
    use_all_cores()
    if torch is None:
        print("torch is not installed (benchmarks/requirements.txt): no peer, only our own time")
    else:
        torch.manual_seed(0)
        torch.set_num_threads(2)
    results = {}
    for size in TARGETS:
        steps, batch, repeats = (20, 8, 1) if arguments.quick else (STEPS, BATCH, 5)
        results["x".join(map(str, size))] = measure(size, steps, batch, repeats)
    _measure.store("train_speed", arguments, results)


if __name__ == "__main__":
    main()
