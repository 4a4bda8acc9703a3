"""The nearest certified network: certified, near, of the same kind, and trainable from there."""

from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem
from limitset.contraction import (
    AbsoluteValueWeight,
    Certificate,
    SpectralNormWeight,
    StableAssembly,
    certify,
    nearest_certified,
    random_stable_assembly,
    resume,
)
from limitset.dynamics import ExplicitEuler, discretise, simulate
from limitset.networks import Assembly, Elman, RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")

FLOWS = ("absolute_value", "singular_value", "self_damped", "triangular", "symmetric", "sector")
flows = pytest.mark.parametrize("theorem", FLOWS)


def random_network(seed: int, n: int = 5, **kind: Any) -> RateNetwork:
    rng = np.random.default_rng(seed)
    weight = jnp.asarray(rng.standard_normal((n, n)) * 2 / n**0.5)
    inputs = jnp.asarray(rng.standard_normal((n, 2)))
    return RateNetwork(weight, inputs, **kind)


@flows
@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_what_comes_out_is_certified_and_given_back_by_its_free_parameters(theorem: str, form: str):
    network = random_network(0, form=form, activation="sigmoid", leak=0.3, time_constant=2.0)
    near = nearest_certified(network, theorem=theorem, margin=0.8)
    answer = certify(near.system, metric=near.metric)
    assert isinstance(answer, Certificate) and answer.rate is not None
    assert answer.rate >= 0.2 * 0.3 / 2 * (1 - 1e-3)
    assert isinstance(near.system, RateNetwork) and 0 < near.distance < 1
    weight = near.weights[0].explicit(near.limits[0], network.form).weight
    np.testing.assert_allclose(weight, near.system.weight, atol=1e-12)
    change = np.linalg.norm(near.system.weight - network.weight) / np.linalg.norm(network.weight)
    assert near.distance == pytest.approx(change, rel=1e-9)
    np.testing.assert_array_equal(near.system.input_weight, network.input_weight)
    assert near.system.leak == network.leak


def certified_already(theorem: str) -> RateNetwork:
    """Weights inside the class, with slack."""
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((4, 4))
    if theorem == "symmetric":
        weight = (weight + weight.T) * np.sign(-np.linalg.eigvalsh(weight + weight.T).max())
        weight = weight / max(np.linalg.eigvalsh(weight)[-1], 1e-9) * 0.5
    elif theorem == "triangular":
        weight = np.tril(weight, -1) - np.eye(4)
    else:
        weight = 0.5 * weight / np.abs(np.linalg.eigvals(np.abs(weight))).max()
    if theorem == "self_damped":
        weight = weight - 3 * np.eye(4)
    return RateNetwork(jnp.asarray(weight))


@flows
def test_certified_networks_come_back_unchanged(theorem: str):
    network = certified_already(theorem)
    near = nearest_certified(network, theorem=theorem, margin=0.9)
    assert near.system is network and near.distance == 0
    weight = near.weights[0].explicit(near.limits[0], network.form).weight
    np.testing.assert_allclose(weight, network.weight, rtol=1e-12, atol=1e-12)


def best_in_metric(weight: np.ndarray, scale: np.ndarray, absolute: bool) -> float:
    """The distance that a semidefinite program finds for one metric."""
    n = len(weight)
    near = cp.Variable((n, n))
    S, inverse = np.diag(scale), np.diag(1 / scale)
    conditions = []
    if absolute:
        bound = cp.Variable((n, n))
        conditions += [bound >= near, bound >= -near]
    else:
        bound = near
    conditions.append(cp.sigma_max(S @ bound @ inverse) <= 1)
    problem = cp.Problem(cp.Minimize(cp.norm(near - weight, "fro")), conditions)
    problem.solve(solver="CLARABEL")
    return (
        float(np.asarray(near.value - weight).reshape(-1) @ (near.value - weight).reshape(-1))
        ** 0.5
    )


@pytest.mark.parametrize("theorem", ["singular_value", "absolute_value"])
@pytest.mark.parametrize("seed", [0, 1])
def test_distances_are_near_the_best_over_a_grid_of_metrics(theorem: str, seed: int):
    """Two units: one ratio of scales, and for each of them a convex problem."""
    weight = np.random.default_rng(seed).standard_normal((2, 2)) * np.array([[1.5, 4], [0.7, 1.5]])
    ratios = np.geomspace(1e-2, 1e2, 41)
    absolute = theorem == "absolute_value"
    best = min(best_in_metric(weight, np.array([1, r]), absolute) for r in ratios)
    network = RateNetwork(jnp.asarray(0.9 * weight), activation="relu")
    near = nearest_certified(network, theorem=theorem, margin=0.9)
    distance = near.distance * np.linalg.norm(weight)
    assert distance <= 1.05 * best + 1e-6


def test_symmetric_weights_are_projected_exactly():
    """The semidefinite program finds nothing nearer."""
    weight = np.random.default_rng(1).standard_normal((4, 4)) * 2
    near = cp.Variable((4, 4), symmetric=True)
    problem = cp.Problem(cp.Minimize(cp.norm(near - weight, "fro")), [near << 0.9 * np.eye(4)])
    problem.solve(solver="CLARABEL")
    found = nearest_certified(RateNetwork(jnp.asarray(weight)), theorem="symmetric", margin=0.9)
    assert isinstance(found.system, RateNetwork)
    np.testing.assert_allclose(found.system.weight, np.asarray(near.value), atol=1e-5)


def test_the_larger_class_is_nearer_and_both_are_nearer_than_scaling():
    """And what a network does changes less."""
    for seed in (0, 1):
        network = random_network(seed, 8)
        weight = np.asarray(network.weight)
        norm = nearest_certified(network, theorem="singular_value")
        sector = nearest_certified(network, theorem="sector")
        scaled = RateNetwork(
            network.weight * (0.9 / np.linalg.norm(weight, 2)), network.input_weight
        )
        away = np.linalg.norm(scaled.weight - weight) / np.linalg.norm(weight)
        assert sector.distance < norm.distance < 0.8 * away
        u = jnp.asarray(np.random.default_rng(seed).standard_normal((60, 2)))
        runs = [
            np.asarray(simulate(discretise(s, ExplicitEuler(0.1)), jnp.zeros(8), u).states)
            for s in (network, scaled, norm.system, sector.system)
            if isinstance(s, RateNetwork)
        ]
        errors = [np.linalg.norm(run - runs[0]) for run in runs]
        assert errors[2] < errors[1] and errors[3] < errors[1]


@pytest.mark.parametrize("theorem", ["singular_value", "absolute_value"])
def test_elman_cells(theorem: str):
    rng = np.random.default_rng(0)
    shapes = ((4, 2), (4, 4), (4,), (4,))
    first, second, third, fourth = (
        jnp.asarray(rng.standard_normal(x), jnp.float32) for x in shapes
    )
    cell = Elman(first, second, third, fourth)
    near = nearest_certified(cell, theorem=theorem)
    assert isinstance(near.system, Elman) and near.system.weight_hh.dtype == jnp.float32
    answer = certify(near.system, metric=near.metric)
    assert isinstance(answer, Certificate) and answer.factor is not None
    assert answer.factor <= 0.9 * (1 + 1e-5)
    kinds = {"singular_value": SpectralNormWeight, "absolute_value": AbsoluteValueWeight}
    assert type(near.weights[0]) is kinds[theorem]
    with pytest.raises(InputProblem, match="no flow"):
        resume(near)


def noisy(assembly: Assembly, size: float) -> Assembly:
    rng = np.random.default_rng(5)
    moved = jax.tree.map(lambda x: x + size * jnp.asarray(rng.standard_normal(x.shape)), assembly)
    modules = [RateNetwork(m.weight, m.input_weight, m.bias) for m in moved.modules]
    return Assembly(modules, jnp.where(assembly.coupling != 0, moved.coupling, 0.0))


@pytest.mark.parametrize("theorem", ["singular_value", "absolute_value", "symmetric", "sector"])
def test_assemblies_and_training_on_from_them(theorem: str):
    core = random_stable_assembly(
        jax.random.key(0), modules=2, units=3, inputs=1, coupling_gain=3.0
    )
    assembly = jax.tree.map(lambda x: x.astype(jnp.float64), core.explicit())
    if theorem != "symmetric":
        same = nearest_certified(assembly, theorem=theorem, margin=0.91)
        assert same.system is assembly and same.distance == 0
    near = nearest_certified(noisy(assembly, 0.3), theorem=theorem)
    assert isinstance(near.system, Assembly) and 0 < near.distance < 0.8
    answer = certify(near.system, metric=near.metric)
    assert isinstance(answer, Certificate) and answer.rate is not None
    assert answer.rate >= 0.1 * (1 - 1e-2)
    free = resume(near)
    assert isinstance(free, StableAssembly)
    for a, b in zip(jax.tree.leaves(free.explicit()), jax.tree.leaves(near.system), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
    moved = jax.tree.map(lambda leaf: leaf + 0.1, free)
    assert isinstance(certify(moved.explicit(), metric=moved.metric()), Certificate)


@pytest.mark.parametrize(
    ("network", "theorem", "margin", "message"),
    [
        (random_network(0), "magic", 0.9, "magic"),
        (random_network(0), "sector", 1.0, "margin"),
        (random_network(0, activation="silu"), "sector", 0.9, "slope bound"),
        (random_network(0, leak=0.0), "sector", 0.9, "leak"),
        (RateNetwork(jnp.full((2, 2), jnp.nan)), "sector", 0.9, "NaN"),
        (
            Elman(jnp.zeros((2, 1)), jnp.zeros((2, 2)), jnp.zeros(2), jnp.zeros(2)),
            "sector",
            0.9,
            "Elman",
        ),
        ("network", "sector", 0.9, "str came"),
    ],
)
def test_what_cannot_be_projected(network: Any, theorem: str, margin: float, message: str):
    with pytest.raises(InputProblem, match=message) as problem:
        nearest_certified(network, theorem=theorem, margin=margin)
    assert "\n" not in str(problem.value)


def test_mixed_modules_cannot_be_resumed():
    modules = [random_network(0, 2), random_network(1, 2, activation="relu")]
    near = nearest_certified(Assembly(modules, jnp.zeros((4, 4))), theorem="symmetric")
    with pytest.raises(InputProblem, match="one of each"):
        resume(near)
