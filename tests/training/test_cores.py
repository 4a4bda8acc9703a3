"""Cores: what settings build, in one training loop; the baselines promise nothing."""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.contraction import FrozenWeight, StableAssembly
from limitset.dynamics import Cayley, ExplicitEuler, Rotation, SemiImplicit, simulate
from limitset.networks import LSTM, LipschitzNetwork
from limitset.training import (
    CORES,
    AssemblyCore,
    GRUCore,
    LipschitzCell,
    LipschitzCore,
    LSTMCore,
    Settings,
    SparseCore,
    build,
    certified_factor,
    count_parameters,
    find_task,
    parse_settings,
    training_loss,
)
from tiny_training import TINY, tiny_split

BASELINES = [LSTMCore(units=5), GRUCore(units=5), LipschitzCore(units=5)]


@pytest.fixture
def untyped() -> Iterator[None]:
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("core", BASELINES, ids=lambda core: core.name)
def test_baselines_run_in_float32_and_claim_nothing(core):
    model = build(TINY, Settings(core))
    data = tiny_split().train
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(model))
    inputs, labels = jnp.asarray(data.inputs), jnp.asarray(data.labels)

    def loss(model):
        return training_loss(model.explicit(), inputs, labels)

    value, slope = jax.value_and_grad(loss)(model)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    assert certified_factor(model) is None


@pytest.mark.parametrize("core", BASELINES, ids=lambda core: core.name)
def test_every_setting_of_a_baseline_changes_what_it_says(core):
    sequence = jnp.asarray(tiny_split().test.inputs[0])

    def said(core):
        return np.asarray(build(TINY, Settings(core)).explicit()(sequence))

    for field in dataclasses.fields(core):
        value = getattr(core, field.name)
        changed = dataclasses.replace(core, **{field.name: value + 1 if value else 0.5})
        assert not np.array_equal(said(changed), said(core)), field.name


def test_the_forget_gates_of_an_lstm_start_open():
    cell = build(TINY, Settings(LSTMCore(units=3, remember=2.0))).core.explicit()
    assert isinstance(cell, LSTM)
    assert np.asarray(cell.bias_ih + cell.bias_hh).tolist() == [0] * 3 + [2] * 3 + [0] * 6


def test_a_lipschitz_core_blends_its_matrices():
    core = build(TINY, Settings(LipschitzCore(units=4, skewness=0.6, damping=0.2))).core
    assert isinstance(core, LipschitzCell)
    for free, used in (("linear", "linear"), ("weight", "weight")):
        matrix = np.asarray(getattr(core, free))
        expected = 0.4 * (matrix + matrix.T) + 0.6 * (matrix - matrix.T) - 0.2 * np.eye(4)
        assert np.allclose(getattr(core.explicit(), used), expected, atol=1e-6)


def test_a_lipschitz_network_moves_as_its_formula_says(untyped: None):
    del untyped
    rng = np.random.default_rng(0)
    linear, weight, entering, bias = (
        jnp.asarray(rng.normal(size=shape)) for shape in ((3, 3), (3, 3), (3, 2), (3,))
    )
    network = LipschitzNetwork(linear, weight, entering, bias)
    x, u = jnp.asarray(rng.normal(size=3)), jnp.asarray(rng.normal(size=2))
    expected = linear @ x + np.tanh(weight @ x + entering @ u + bias)
    assert np.allclose(network.velocity(0.0, x, u), expected, rtol=1e-12)
    with pytest.raises(InputProblem, match="do not fit"):
        LipschitzNetwork(linear, weight, entering, bias[:2])


def test_parameters_of_an_lstm_are_counted_without_the_second_bias():
    model = build(find_task("smnist"), Settings(LSTMCore(units=7)))
    # Gates of 7 units: 7 states, 1 input, 1 bias; 10 classes read 7 hidden and 7 cell states.
    assert count_parameters(model) == 4 * 7 * (7 + 1 + 1) + 10 * (14 + 1)


@pytest.mark.parametrize("name", list(CORES))
def test_words_name_cores_and_their_sizes(name: str):
    settings = parse_settings([f"core={name}", "units=6", "epochs=2"])
    assert settings.core == dataclasses.replace(CORES[name](), units=6)
    assert settings.epochs == 2 and settings.as_record()["core"] == name
    assert settings.as_record()["units"] == 6
    with pytest.raises(InputProblem):
        parse_settings([f"core={name}", "units=0"])
    with pytest.raises(InputProblem):
        parse_settings([f"core={name}", "units=5000"])


def test_a_flow_without_a_scheme_is_refused():
    model = build(TINY, Settings(LipschitzCore(units=3)))
    assert isinstance(model.scheme, ExplicitEuler)
    with pytest.raises(InputProblem, match="scheme"):
        dataclasses.replace(model, scheme=None).explicit()


def test_a_map_of_a_lipschitz_network_is_its_euler_step():
    model = build(TINY, Settings(LipschitzCore(units=3, step=0.25)))
    system, network = model.explicit().system, model.core.explicit()
    x, u = jnp.ones(3, jnp.float32), jnp.ones(1, jnp.float32)
    assert isinstance(network, LipschitzNetwork)
    step = simulate(system, x, u[None]).final
    assert np.allclose(step, x + 0.25 * network.velocity(0.0, x, u), atol=1e-6)


SPARSE = SparseCore(modules=2, units=6, density=0.4)


@pytest.mark.parametrize(
    "change",
    [
        {"modules": 3},
        {"units": 7},
        {"density": 0.5},
        {"radius": 0.5},
        {"activation": "tanh"},
        {"form": "firing_rate"},
        {"margin": 0.5},
        {"slowest": 2.0},
        {"step": 0.5},
        {"coupling_scheme": "rotation"},
        {"coupling_gain": 1.0},
    ],
    ids=str,
)
def test_every_setting_of_a_sparse_core_changes_what_it_says(change: dict[str, object]):
    sequence = jnp.asarray(tiny_split().test.inputs[0])

    def said(core: SparseCore) -> np.ndarray:
        return np.asarray(build(TINY, Settings(core)).explicit()(sequence))

    assert not np.array_equal(said(dataclasses.replace(SPARSE, **change)), said(SPARSE))


def test_sparse_modules_are_frozen_or_trained_and_certified_both_ways():
    frozen, trained = (
        build(TINY, Settings(dataclasses.replace(SPARSE, weights=word)))
        for word in ("frozen", "trained")
    )
    assert isinstance(frozen.core, StableAssembly) and isinstance(trained.core, StableAssembly)
    assert isinstance(frozen.core.weights, FrozenWeight)
    assert not isinstance(trained.core.weights, FrozenWeight)
    for module in frozen.core.explicit().modules:
        assert int((module.weight != 0).sum()) == round(0.4 * 6 * 5)
    # Trained modules add their existing weights, and the scales and slacks of their metrics.
    assert count_parameters(trained) >= count_parameters(frozen) + 2 * 12
    for model in (frozen, trained):
        factor = certified_factor(model)
        assert factor is not None and factor < 1


@pytest.mark.parametrize("core", [SPARSE, AssemblyCore(modules=2, units=6)], ids=lambda c: c.name)
def test_an_assembly_couples_by_the_scheme_that_was_named(core: SparseCore | AssemblyCore):
    schemes = {"semi_implicit": SemiImplicit, "cayley": Cayley, "rotation": Rotation}
    for name, scheme in schemes.items():
        model = build(TINY, Settings(dataclasses.replace(core, coupling_scheme=name)))
        assert type(model.scheme) is scheme
        assert certified_factor(model) is not None
    with pytest.raises(InputProblem, match="coupling_scheme"):
        dataclasses.replace(core, coupling_scheme="explicit")
    for step in (0.0, 1.5, float("nan")):
        with pytest.raises(InputProblem, match="step"):
            dataclasses.replace(core, step=step)


@pytest.mark.parametrize(
    "change",
    [
        {"density": 0.0},
        {"density": 1.5},
        {"radius": 1.0},
        {"weights": "free"},
        {"slowest": 0.5},
        {"coupling_gain": -1.0},
        {"margin": 1.0},
    ],
    ids=str,
)
def test_settings_that_a_sparse_core_cannot_have_are_refused(change: dict[str, object]):
    with pytest.raises(InputProblem) as problem:
        dataclasses.replace(SPARSE, **change)
    assert next(iter(change)) in str(problem.value) and "\n" not in str(problem.value)
