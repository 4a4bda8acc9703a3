"""Model folders of deep blocks and networks: bit-exact, and refused in one line where damaged."""

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limitset._result import InputProblem
from limitset.dynamics import run_network
from limitset.io import Model, describe, load, rebuild, save
from limitset.networks import (
    AbstractBlock,
    AbstractOperator,
    Activation,
    Convolution,
    DeepNetwork,
    DenseOperator,
    EquilibriumBlock,
    GradientBlock,
    LinearReadout,
    MeanPool,
    NegativeGram,
    Padding,
    ResidualBlock,
    Stage,
    leaky_relu,
    untie,
)

# Floats that only exact storage keeps: a negative zero, a subnormal, the largest, many digits.
AWKWARD = {np.float32: [-0.0, 1e-45, 3.4028235e38, 0.1], np.float64: [-0.0, 5e-324, 1.7e308, 0.1]}


def floats(rng: np.random.Generator, dtype: Any, *shape: int) -> jax.Array:
    """Random bits of everyday numbers, and some that are not."""
    values = rng.standard_normal(shape).astype(dtype)
    odd = rng.random(shape) < 0.2
    values[odd] = rng.choice(np.array(AWKWARD[dtype], dtype), shape)[odd]
    return jnp.asarray(values)


def positive(rng: np.random.Generator, dtype: Any, *shape: int) -> jax.Array:
    return jnp.asarray(rng.uniform(0.1, 1.0, shape).astype(dtype))


def dense(rng: np.random.Generator, dtype: Any, outputs: int, inputs: int) -> DenseOperator:
    return DenseOperator(floats(rng, dtype, outputs, inputs))


def convolution(rng: np.random.Generator, dtype: Any, channels: int, padding: str) -> Convolution:
    kernel = 2 * rng.integers(0, 2, 2) + 1
    return Convolution(floats(rng, dtype, channels, channels, *kernel), 2, 4, Padding(padding))


def some_block(seed: int, kind: str, dtype: Any, padding: str = "zero") -> AbstractBlock:
    """A block of 8 states and 3 inputs, or without inputs."""
    rng = np.random.default_rng(seed)
    rates = positive(rng, dtype, 8) if seed % 2 else None
    by_image = convolution(rng, dtype, 1, padding)
    state: AbstractOperator = by_image if kind == "nais_conv" else dense(rng, dtype, 8, 8)
    if seed % 3 == 0:
        state = NegativeGram(state, positive(rng, dtype), positive(rng, dtype), rates)
    entering = None if seed % 5 == 4 else dense(rng, dtype, 8, 3)
    bias, step = floats(rng, dtype, 8 if seed % 2 else 1), positive(rng, dtype)
    activation = ["relu", "tanh", leaky_relu(0.1)][seed % 3]
    if kind == "gradient_block":
        inner = by_image if seed % 2 else dense(rng, dtype, 8, 8)
        return GradientBlock(inner, entering, bias, step, positive(rng, dtype), activation)
    if kind == "equilibrium_block":
        return EquilibriumBlock(state, entering, bias, step, activation)
    return ResidualBlock(state, entering, bias, step, activation)


def some_network(dtype: Any = np.float64) -> DeepNetwork:
    """An image through a tied convolution, means, and an untied dense block."""
    rng = np.random.default_rng(0)
    reading = Convolution(floats(rng, dtype, 2, 1, 3, 3), 8, 8, Padding.REFLECT, 2)
    first = Convolution(floats(rng, dtype, 2, 2, 3, 3), 4, 4, Padding.CIRCULAR)
    block = ResidualBlock(first, reading, floats(rng, dtype, 2), positive(rng, dtype), "relu")
    untied = untie([some_block(seed, "nais_dense", dtype) for seed in (1, 7)])
    stages = (
        Stage(block, 3, None, MeanPool(2, 4, 4, 2)),
        Stage(
            GradientBlock(
                dense(rng, dtype, 2, 3),
                None,
                floats(rng, dtype, 2),
                positive(rng, dtype),
                positive(rng, dtype),
                "relu",
            ),
            1,
            dense(rng, dtype, 3, 8),
            None,
        ),
        Stage(untied, 2, dense(rng, dtype, 8, 3)),
    )
    return DeepNetwork(stages, LinearReadout(floats(rng, dtype, 5, 8), floats(rng, dtype, 5)))


def assert_same(first: Any, second: Any) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


KINDS = ("nais_dense", "nais_conv", "gradient_block", "equilibrium_block")


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 10**6),
    single=st.booleans(),
    padding=st.sampled_from([word.value for word in Padding]),
    layers=st.integers(0, 3),
)
def test_blocks_round_trip_bit_for_bit(
    kind: str, seed: int, single: bool, padding: str, layers: int
):
    dtype = np.float32 if single else np.float64
    block = some_block(seed, kind, dtype, padding)
    if layers:
        block = untie([jax.tree.map(lambda a, k=k: a / (k + 1), block) for k in range(layers)])
    config, tensors = describe(block)
    assert config["kind"] == kind and json.loads(json.dumps(config)) == config
    assert_same(rebuild(config, tensors), block)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_folders_of_blocks_and_networks_round_trip(tmp_path: Path, dtype: Any):
    readout = LinearReadout(jnp.ones((2, 8), dtype), jnp.zeros(2, dtype))
    for kind in KINDS:
        stored = load(save(tmp_path / kind, Model(some_block(1, kind, dtype), readout)))
        assert_same((stored.system, stored.readout), (some_block(1, kind, dtype), readout))
    network = some_network(dtype)
    stored = load(save(tmp_path / "deep", Model(network, about={"accuracy": 0.5})))
    assert isinstance(stored.system, DeepNetwork) and stored.readout is None
    assert_same(stored.system, network)
    assert stored.about == {"accuracy": 0.5}
    u = jnp.ones(64, dtype)
    again, first = run_network(stored.system, u), run_network(network, u)
    assert np.array_equal(again, first, equal_nan=True)


def test_a_deep_network_takes_no_second_readout(tmp_path: Path):
    readout = LinearReadout(jnp.ones((2, 8)), jnp.zeros(2))
    with pytest.raises(InputProblem, match="has its own readout"):
        save(tmp_path / "model", Model(some_network(), readout))
    assert not (tmp_path / "model").exists()


def test_slopes_of_leaky_relu_keep_every_digit():
    for slope in (0.1, 1 / 3, 5e-324, 1.0):
        block = ResidualBlock(
            DenseOperator(-jnp.eye(1)), None, jnp.zeros(1), jnp.array(1.0), leaky_relu(slope)
        )
        again = rebuild(*describe(block))
        assert isinstance(again, ResidualBlock) and again.activation is leaky_relu(slope)


def test_impostors_are_refused():
    """Else a claim would be proved about a network that nobody has."""
    for name in ("relu", "leaky_relu:0.5"):
        impostor = Activation(name, jnp.tanh, (0.0, 1.0))
        block = ResidualBlock(
            DenseOperator(-jnp.eye(1)), None, jnp.zeros(1), jnp.array(1.0), impostor
        )
        with pytest.raises(InputProblem, match="stands for another function"):
            describe(block)

    class Negation(DenseOperator):
        def __call__(self, x: Any) -> Any:
            return -super().__call__(x)

    for operator in (Negation(jnp.eye(1)), NegativeGram(Negation(jnp.eye(1)), *jnp.ones((2,)))):
        block = ResidualBlock(operator, None, jnp.zeros(1), jnp.array(1.0))
        with pytest.raises(InputProblem, match="Negation has no place"):
            describe(block)


def _edited(config: Any, path: tuple[Any, ...], value: Any) -> Any:
    config = copy.deepcopy(config)
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return config


def _refused(config: Any, tensors: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputProblem, match=message or None) as problem:
        rebuild(config, tensors)
    assert "\n" not in str(problem.value) and len(str(problem.value)) < 400


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("activation",), "cube", "'cube' is not known"),
        (("activation",), "leaky_relu:0.250", "has one spelling|is not known"),
        (("activation",), "leaky_relu:nan", "has no slope"),
        (("activation",), "leaky_relu:2", "has no slope"),
        (("activation",), None, "is not known"),
        (("layers",), 2, "no first axis of 2"),
        (("layers",), 0, "layers is 0"),
        (("layers",), True, "layers is True"),
        (("layers",), 10**30, "layers is"),
        (("layers",), KeyError, "misses"),
        (("surprise",), 1, "unknown keys"),
        (("input_operator",), None, "belong to no input_operator"),
        (("input_operator",), {"kind": "identity"}, "is not known"),
        (("input_operator",), "dense", "is not known"),
        (("state_operator",), None, "is not known"),
        (("state_operator", "padding"), "polar", "padding 'polar'"),
        (("state_operator", "padding"), ["zero"], "padding"),
        (("state_operator", "height"), 0, "height is 0"),
        (("state_operator", "height"), 1, "do not fit|is not"),
        (("state_operator", "height"), True, "height is True"),
        (("state_operator", "height"), 4.0, "height is 4.0"),
        (("state_operator", "height"), 10**9, "height is"),
        (("state_operator", "width"), 2**16, "at most|bias|do not fit|gives"),
        (("state_operator", "stride"), 2, "from states to states"),
        (("state_operator", "stride"), -1, "stride is -1"),
        (("state_operator", "groups"), 2, "unknown keys"),
        (("state_operator", "width"), KeyError, "misses"),
        (("kind",), "nais_dense", "'nais_conv' does"),
        (("kind",), "equilibrium_block", ""),
    ],
)
def test_configurations_of_blocks_that_do_not_fit(path: Any, value: Any, message: str):
    rng = np.random.default_rng(0)
    state = Convolution(jnp.asarray(rng.standard_normal((1, 1, 3, 3))), 4, 4)
    entering = DenseOperator(jnp.ones((16, 2)))
    block = ResidualBlock(state, entering, jnp.zeros(1), jnp.array(1.0), "relu")
    config, tensors = describe(block)
    if message:
        _refused(_edited(config, path, value), tensors, message)
    else:
        # Another kind of the same shape is another model, and is told apart from this one.
        assert isinstance(rebuild(_edited(config, path, value), tensors), EquilibriumBlock)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("stages",), [], "stages is no list"),
        (("stages",), {}, "stages is no list"),
        (("stages", 0), "block", "exactly the keys"),
        (("stages", 0, "depth"), 0, "depth is 0"),
        (("stages", 0, "depth"), True, "depth is True"),
        (("stages", 0, "depth"), 10**30, "depth is"),
        (("stages", 0, "note"), 1, "exactly the keys"),
        (("stages", 0, "exit"), None, "takes?"),
        (("stages", 0, "exit", "window"), 3, "does not divide"),
        (("stages", 0, "exit", "window"), None, "window is None"),
        (("stages", 1, "start"), None, "belong to no start"),
        (("stages", 0, "block", "kind"), "deep", "block 'deep' is not known"),
        (("stages", 0, "block", "kind"), "rate", "block 'rate' is not known"),
        (("stages", 0, "block"), None, "block None is not known"),
        (("readout",), {"outputs": 4}, "'outputs': 5"),
        (("readout",), KeyError, "misses"),
    ],
)
def test_configurations_of_networks_that_do_not_fit(path: Any, value: Any, message: str):
    config, tensors = describe(some_network())
    _refused(_edited(config, path, value), tensors, message)


def _broken(name: str) -> list[Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]]:
    def with_value(value: float) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
        def change(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            array = np.array(tensors[name])
            array.flat[0] = value
            return {**tensors, name: array}

        return change

    return [
        with_value(np.nan),
        with_value(np.inf),
        lambda tensors: {k: v for k, v in tensors.items() if k != name},
        lambda tensors: {**tensors, f"{name}.more": np.zeros(2)},
        lambda tensors: {**tensors, "more": np.zeros(2)},
        lambda tensors: {**tensors, name: np.zeros((2, 3, 4, 5, 6, 7))},
        lambda tensors: {**tensors, name: np.zeros_like(tensors[name], np.float32)},
        lambda tensors: {**tensors, name: np.zeros_like(tensors[name], np.int64)},
        lambda tensors: {**tensors, name: tensors[name][None]},
    ]


def test_tensors_that_do_not_fit_are_refused(untyped: None):
    gram = NegativeGram(DenseOperator(jnp.eye(3)), jnp.array(1.0), jnp.array(0.5), jnp.ones(3))
    block = ResidualBlock(gram, gram, jnp.zeros(3), jnp.array(1.0), "relu")
    for system in (block, untie([block, block]), some_network()):
        config, tensors = describe(system)
        for name in tensors:
            for change in _broken(name):
                _refused(config, change(dict(tensors)), "")


@pytest.mark.parametrize(
    ("name", "value"), [("scale", -1.0), ("shift", -1e-9), ("rates", 0.0), ("rates", -1.0)]
)
def test_gram_operators_with_signs_that_drive_apart_are_refused(name: str, value: float):
    gram = NegativeGram(DenseOperator(jnp.eye(3)), jnp.array(1.0), jnp.array(0.5), jnp.ones(3))
    config, tensors = describe(ResidualBlock(gram, None, jnp.zeros(3), jnp.array(1.0)))
    changed = np.array(tensors[f"state_operator.{name}"])
    changed.flat[-1] = value
    _refused(config, {**tensors, f"state_operator.{name}": changed}, f"tensor {name}")


def test_a_network_that_diverged_is_not_stored(tmp_path: Path):
    block = ResidualBlock(
        DenseOperator(jnp.full((1, 1), jnp.nan)), None, jnp.zeros(1), jnp.array(1.0)
    )
    with pytest.raises(InputProblem, match="NaN or infinity"):
        save(tmp_path / "model", block)
    assert not (tmp_path / "model").exists()


def test_deep_networks_are_no_parts_of_systems():
    deep, tensors = describe(some_network())
    inner = {f"part_0.{name}": array for name, array in tensors.items()}
    mixing = {"mixing": np.eye(2)}
    config = {"kind": "composite", "time": "discrete", "parts": [deep]}
    _refused(config, {**inner, **mixing}, "part 0 is a DeepNetwork")


def test_an_untouched_folder_is_written_again_byte_for_byte():
    with tempfile.TemporaryDirectory() as place:
        first = save(Path(place) / "first", some_network())
        second = save(Path(place) / "second", load(first))
        for name in ("config.json", "model.safetensors", "README.md"):
            assert (first / name).read_bytes() == (second / name).read_bytes()
