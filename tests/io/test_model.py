"""Model folders: bit for bit what was saved, written whole or not at all, never unpickled."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import safetensors.numpy

from command_line import CONTRACTING, RATE, listing, write_model
from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction import DiagonalMetric
from limitset.dynamics import (
    BackwardEuler,
    Cayley,
    ExplicitEuler,
    ExponentialEuler,
    Rotation,
    SemiImplicit,
    discretise,
)
from limitset.io import Model, describe, load, rebuild, save
from limitset.networks import (
    ACTIVATIONS,
    Activation,
    Assembly,
    Elman,
    LinearReadout,
    RateNetwork,
    random_elman,
    random_gru,
    random_lstm,
    random_rate_network,
)

System = AbstractFlow | AbstractMap
KEY = jax.random.key(7)

# Floats that only exact storage keeps: a negative zero, a subnormal, the largest, many digits.
AWKWARD = {np.float32: [-0.0, 1e-45, 3.4028235e38, 0.1], np.float64: [-0.0, 5e-324, 1.7e308, 0.1]}


def awkward(dtype: type[np.floating]) -> RateNetwork:
    values = jnp.asarray(np.array(AWKWARD[dtype], dtype).reshape(2, 2))
    return RateNetwork(
        values,
        values[:, :1],
        values[0],
        form="firing_rate",
        activation="softplus",
        leak=float(dtype(0.1)),
        time_constant=float(dtype(3.3)),
    )


def assembly(dtype: type[np.floating] = np.float64) -> Assembly:
    weight = jnp.asarray(CONTRACTING, dtype)
    modules = (
        RateNetwork(weight, jnp.ones((2, 1), dtype), activation="relu", time_constant=2.0),
        RateNetwork(weight[:1, :1], jnp.ones((1, 1), dtype), form="firing_rate"),
        RateNetwork(-weight, jnp.zeros((2, 1), dtype), leak=0.5),
    )
    skew = jnp.asarray(np.triu(np.ones((5, 5)), 2), dtype).at[3, 4].set(0).at[0, 1].set(0)
    return Assembly(modules, skew - skew.T)


SYSTEMS: dict[str, Callable[[], System]] = {
    "rate float32": lambda: awkward(np.float32),
    "rate float64": lambda: awkward(np.float64),
    "rate without inputs": lambda: random_rate_network(KEY, 5),
    "rate explicit Euler": lambda: discretise(random_rate_network(KEY, 3, 2), ExplicitEuler(0.3)),
    "rate exponential Euler": lambda: discretise(awkward(np.float32), ExponentialEuler(0.7)),
    "assembly": assembly,
    "assembly float32": lambda: assembly(np.float32),
    "assembly semi-implicit": lambda: discretise(assembly(np.float32), SemiImplicit(0.1)),
    "assembly Cayley": lambda: discretise(assembly(np.float32), Cayley(0.1)),
    "assembly rotation": lambda: discretise(assembly(), Rotation(0.1)),
    "assembly backward Euler": lambda: discretise(assembly(np.float32), BackwardEuler(0.1)),
    "rate backward Euler": lambda: discretise(awkward(np.float32), BackwardEuler(0.1)),
    "assembly explicit Euler": lambda: discretise(assembly(), ExplicitEuler(0.1)),
    "assembly exponential Euler": lambda: discretise(assembly(), ExponentialEuler(0.1)),
    "elman": lambda: random_elman(KEY, 4, 2, "relu"),
    "gru": lambda: random_gru(KEY, 4, 2),
    "lstm": lambda: random_lstm(KEY, 4, 2),
}


def assert_same(first: Any, second: Any) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_round_trip_bit_for_bit(tmp_path: Path, name: str):
    system = SYSTEMS[name]()
    folder = save(tmp_path / "deep" / "model", system)
    stored = load(folder)
    assert type(stored.system) is type(system)
    assert_same(stored.system, system)
    assert stored.readout is None and stored.metric is None and stored.about == {}
    again = save(tmp_path / "again", stored)
    assert listing(again) == listing(folder)
    assert_same(rebuild(*describe(system)), system)


@pytest.mark.parametrize("name", ["rate float32", "assembly semi-implicit", "lstm"])
def test_what_belongs_to_a_system_round_trips(tmp_path: Path, name: str):
    system = SYSTEMS[name]()
    size = system.state_size
    readout = LinearReadout(
        jax.random.normal(KEY, (3, size), jnp.float32), jnp.arange(3, dtype=jnp.float32)
    )
    metric = DiagonalMetric(jnp.linspace(0.1, 1e100, size))
    about = {
        "task": "digits \N{GREEK SMALL LETTER PI}",
        "scores": [0.1, None, {"deep": True}],
        "n": 10**30,
    }
    folder = save(tmp_path, Model(system, readout, metric, about))
    stored = load(folder)
    assert_same((stored.system, stored.readout, stored.metric), (system, readout, metric))
    assert stored.about == about


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_has_its_name(tmp_path: Path, activation: str):
    for system in (
        RateNetwork(jnp.zeros((1, 1)), activation=activation),
        Elman(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.zeros(1), jnp.zeros(1), activation),  # pyright: ignore[reportArgumentType]
    ):
        stored = load(save(tmp_path, system)).system
        assert stored.activation.name == activation  # pyright: ignore[reportAttributeAccessIssue]


def test_the_folder_holds_what_the_format_says(tmp_path: Path):
    network = RateNetwork(jnp.asarray(CONTRACTING), leak=2.0)
    folder = save(tmp_path, Model(network, metric=DiagonalMetric(jnp.ones(2))))
    assert sorted(listing(folder)) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    assert config == {**RATE, "leak": 2.0, "discretisation": None}
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    assert {name: array.shape for name, array in tensors.items()} == {
        "weight": (2, 2),
        "bias": (2,),
        "input_weight": (2, 0),
        "metric": (2,),
    }
    assert "`rate` model" in (folder / "README.md").read_text()
    mask = os.umask(0)
    os.umask(mask)
    assert all(path.stat().st_mode & 0o777 == 0o666 & ~mask for path in folder.iterdir())


def test_optional_parts_may_be_left_out(tmp_path: Path):
    folder = write_model(tmp_path / "rate", RATE, {"weight": CONTRACTING})
    assert_same(load(folder).system, RateNetwork(jnp.asarray(CONTRACTING)))
    config = {"format": RATE["format"], "kind": "gru"}
    gru = random_gru(KEY, 2, 1)
    tensors = {
        "weight_ih_l0": np.asarray(gru.weight_ih),
        "weight_hh_l0": np.asarray(gru.weight_hh),
    }
    stored = load(write_model(tmp_path / "gru", config, tensors)).system
    zero = jnp.zeros(6, gru.weight_hh.dtype)
    assert_same(stored, type(gru)(gru.weight_ih, gru.weight_hh, zero, zero))


def test_saving_again_replaces_all_files(tmp_path: Path):
    first = Model(assembly(), LinearReadout(jnp.ones((2, 5)), jnp.zeros(2)), about={"a": 1})
    save(tmp_path, first)
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "contraction.json").write_text("kept")
    network = random_rate_network(KEY, 3)
    save(tmp_path, network)
    stored = load(tmp_path)
    assert_same(stored.system, network)
    assert stored.readout is None and stored.about == {}
    assert (tmp_path / "certificates" / "contraction.json").read_text() == "kept"
    assert not [name for name in listing(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize("call", ["os.fsync", "os.chmod", "os.replace", "os.fdopen"])
@pytest.mark.parametrize("position", [1, 2, 3])
def test_a_failure_in_the_middle_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, position: int
):
    """The disk may fill up at any of the three files."""
    folder = save(tmp_path / "model", Model(random_rate_network(KEY, 3), about={"version": 1}))
    before, calls = listing(tmp_path), 0
    module, name = call.split(".")
    original = getattr(sys.modules[module], name)

    def fail(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == position:
            raise OSError(28, "No space left on device")
        return original(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(call, fail)
        with pytest.raises(InputProblem, match="No space left"):
            save(folder, Model(random_rate_network(KEY, 4), about={"version": 2}))
    after = listing(tmp_path)
    assert set(after) == set(before)
    if call != "os.replace" or position == 1:
        assert after == before and load(folder).about == {"version": 1}


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, random_rate_network(KEY, 3))
    assert listing(tmp_path) == {}


@pytest.fixture
def untyped():
    """Our own messages are under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    "make, part",
    [
        (lambda: 3, "int has no place"),
        (lambda: RateNetwork(jnp.zeros((2, 2), jnp.float16)), "float16"),
        (
            lambda: RateNetwork(jnp.zeros((2, 2)), bias=jnp.zeros(2, jnp.float32)),
            "float32, float64",
        ),
        (lambda: Model(assembly(), LinearReadout(jnp.zeros((2, 4)), jnp.zeros(2))), "(2, 4)"),
        (lambda: Model(assembly(), metric=DiagonalMetric(jnp.ones(4))), "(4,)"),
        (lambda: Model(assembly(), about={"x": np.float32(1)}), "about"),
        (lambda: Model(assembly(), about={"x": float("nan")}), "about"),
        (lambda: Model(assembly(), about={"x": float("inf")}), "about"),
        (lambda: Model(assembly(), about={"x": object()}), "about"),
    ],
)
def test_what_has_no_place_is_refused_before_writing(
    tmp_path: Path, make: Callable[[], Any], part: str
):
    with pytest.raises(InputProblem) as caught:
        save(tmp_path / "model", make())
    assert part in str(caught.value) and "\n" not in str(caught.value)
    assert listing(tmp_path) == {}


def test_an_activation_of_ones_own_has_no_name(tmp_path: Path):
    own = type(ACTIVATIONS["tanh"])("mine", jnp.sin)
    with pytest.raises(InputProblem, match="'mine' has no name"):
        save(tmp_path / "model", RateNetwork(jnp.zeros((1, 1)), activation=own))
    assert listing(tmp_path) == {}


def test_loading_imports_no_pickle_and_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Not even for a valid model: nothing below `load` may reach for pickle."""
    folder = save(tmp_path / "model", assembly())

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(f"pickle.{name}", refuse)
    assert isinstance(load(folder).system, Assembly)


def test_text_that_is_not_ascii_survives(tmp_path: Path):
    folder = save(tmp_path / "mod\N{LATIN SMALL LETTER E WITH ACUTE}le", assembly())
    assert isinstance(load(str(folder)).system, Assembly)


def test_another_function_under_a_known_name_is_refused(tmp_path: Path):
    """Else the checker would prove a claim about a network that nobody has."""
    impostor = Activation("sigmoid", jnp.tanh, (0.0, 1.0))
    with pytest.raises(InputProblem, match="stands for another function"):
        save(tmp_path / "model", RateNetwork(jnp.zeros((2, 2)), activation=impostor))
    assert not (tmp_path / "model").exists()
