"""How long do 30 steps of a block take, forward and backward, ours against PyTorch?

A dense block and a convolution with ReLU in float32, one thread each, the same weights, in turn.
PyTorch's is the plain loop, with `B u + b` computed once as here. The bound is the state's
products alone: one a step forward, three a step with the gradient.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import _measure
import jax
import jax.numpy as jnp
import numpy as np

from limitset.dynamics import unroll
from limitset.networks import AbstractOperator, Convolution, DenseOperator, ResidualBlock

DEPTH = 30
HAS_TORCH = importlib.util.find_spec("torch") is not None
Tasks = dict[str, Callable[[], object]]


def dense_block(units: int, inputs: int) -> ResidualBlock:
    """A damped dense block."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((units, units)) / (2 * units**0.5)
    A = -(root.T @ root) - 0.1 * np.eye(units)
    B = rng.standard_normal((units, inputs)) / inputs**0.5
    return ResidualBlock(_dense(A), _dense(B), _array(np.zeros(units)), _array(1.0), "relu")


def convolution_block(channels: int, inputs: int, side: int) -> ResidualBlock:
    """A damped convolutional block of 3 x 3 taps."""
    rng = np.random.default_rng(0)
    taps = rng.standard_normal((channels, channels, 3, 3)) / (30 * channels**0.5)
    taps[np.arange(channels), np.arange(channels), 1, 1] = -0.9
    entering = rng.standard_normal((channels, inputs, 3, 3)) / 3
    return ResidualBlock(
        Convolution(_array(taps), side, side),
        Convolution(_array(entering), side, side),
        _array(np.zeros(channels)),
        _array(1.0),
        "relu",
    )


def _array(values: Any) -> jax.Array:
    return jnp.asarray(values, jnp.float32)


def _dense(values: np.ndarray) -> DenseOperator:
    return DenseOperator(_array(values))


def our_tasks(block: ResidualBlock, inputs: jax.Array) -> Tasks:
    """Forward, and the gradient of the sum of squares for all weights."""

    @jax.jit
    def forward(block: ResidualBlock, u: jax.Array) -> jax.Array:
        return jax.vmap(lambda v: unroll(block, v, DEPTH))(u)

    @jax.jit
    def backward(block: ResidualBlock, u: jax.Array) -> ResidualBlock:
        return jax.grad(lambda b: (forward(b, u) ** 2).sum())(block)

    return {
        "limitset, forward": lambda: jax.block_until_ready(forward(block, inputs)),
        "limitset, gradient": lambda: jax.block_until_ready(backward(block, inputs)),
    }


def bound_tasks(block: ResidualBlock, inputs: jax.Array) -> Tasks:
    """The state's products alone, as XLA computes them."""
    x = jnp.ones((len(inputs), block.state_size), jnp.float32)

    @jax.jit
    def products(operator: AbstractOperator, x: jax.Array) -> jax.Array:
        for _ in range(DEPTH):
            x = 0.5 * jax.vmap(operator)(x)
        return x

    return {"products": lambda: jax.block_until_ready(products(block.state_operator, x))}


def measure(name: str, block: ResidualBlock, inputs: jax.Array, repeats: int) -> dict[str, Any]:
    """Print and return seconds and ratios; check that both libraries compute the same."""
    tasks = {**our_tasks(block, inputs), **bound_tasks(block, inputs)}
    record: dict[str, Any] = {}
    if HAS_TORCH:
        # PyTorch is optional.
        import _torch_block

        peer = _torch_block.tasks(block, np.asarray(inputs), DEPTH)
        ours = np.asarray(jax.vmap(lambda v: unroll(block, v, DEPTH))(inputs))
        record["difference"] = _torch_block.difference(block, np.asarray(inputs), DEPTH, ours)
        tasks.update(peer)
    found = _measure.interleave(tasks, repeats=repeats, pause=0.05)
    for what, products in (("forward", 1), ("gradient", 3)):
        mine = found[f"limitset, {what}"]
        row: dict[str, Any] = {"limitset": mine.record()}
        row["fraction_of_products"] = products * found["products"].median / mine.median
        text = f"{name:12} {what:8} {mine}, {row['fraction_of_products']:.2f} of the products"
        if HAS_TORCH:
            torch = found[f"torch, {what}"]
            row["torch"], row["ratio"] = torch.record(), torch.median / mine.median
            text += f"; PyTorch {torch}, ratio {row['ratio']:.2f}"
        print(text, flush=True)
        record[what] = row
    return record


def main() -> None:
    """Both blocks."""
    arguments = _measure.parse_arguments(__doc__)
    quick = arguments.quick
    if not HAS_TORCH:
        print("torch is not installed (benchmarks/requirements.txt): left out")
    key, repeats = jax.random.key(1), 1 if quick else 5
    batch, units, entries = (2, 8, 6) if quick else (128, 128, 784)
    channels, side, images = (2, 4, 2) if quick else (16, 16, 32)
    u = jax.random.normal(key, (batch, entries), jnp.float32)
    v = jax.random.normal(key, (images, 3 * side * side), jnp.float32)
    results = {
        "dense": measure("dense", dense_block(units, entries), u, repeats),
        "convolution": measure("convolution", convolution_block(channels, 3, side), v, repeats),
        "sizes": {"dense": [batch, units, entries], "convolution": [images, channels, side, side]},
        "depth": DEPTH,
    }
    _measure.store("block_speed", arguments, results)


if __name__ == "__main__":
    main()
