"""Recurrent equilibrium networks: closed forms, optima, measured decay, liars, parametrisation."""

import warnings
from pathlib import Path
from typing import Any

import cvxpy as cp
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from limitset import InputProblem
from limitset.checker import check
from limitset.contraction import (
    Certificate,
    DiagonalMetric,
    QuadraticMetric,
    RecurrentEquilibrium,
    SingularValue,
    StableREN,
    certify,
    random_stable_ren,
    stable_ren_from,
)
from limitset.contraction._recurrent_equilibrium import equilibrium_of, ren_holds
from limitset.contraction._ren_search import Equilibrium
from limitset.dynamics import (
    AbstractMap,
    CompositeMap,
    ExplicitEuler,
    discretise,
    simulate_batch,
)
from limitset.io import write_certificate
from limitset.networks import ACTIVATIONS, REN, Elman, GatedRate

pytestmark = pytest.mark.usefixtures("no_shape_checks")

CERTIFIABLE = [a.name for a in ACTIVATIONS.values() if a.slope_interval is not None]
INPUTS = 2


def ren_of(
    rng: np.random.Generator, n: int, k: int, size: float = 0.5, activation: str = "tanh"
) -> REN:
    """Random matrices of about this size."""

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(size * rng.standard_normal(shape) / max(shape[-1], 1) ** 0.5)

    return REN(
        draw(n, n), draw(n, k), draw(n, INPUTS), draw(n), draw(k, n), jnp.tril(draw(k, k), -1),
        draw(k, INPUTS), draw(k), activation=activation,
    )  # fmt: skip


def certified(system: AbstractMap, **options: Any) -> Any:
    answer = certify(system, **options)
    assert isinstance(answer, Certificate), answer.reason
    return answer


def refused(system: REN, reason: str = "", **options: Any) -> None:
    answer = certify(system, **options)
    assert not isinstance(answer, Certificate), answer.claim()
    assert reason in answer.reason, answer.reason


def one(**entries: float) -> REN:
    """One state and one unit; entries that are not given are 0."""
    A, B1, C1 = (jnp.array([[entries.get(name, 0.0)]]) for name in ("A", "B1", "C1"))
    return REN(A, B1, 0 * A, jnp.zeros(1), C1, 0 * A, 0 * A, jnp.zeros(1))


def slopes_jacobian(system: REN, slopes: np.ndarray) -> np.ndarray:
    """`A + B1 (I - S D11)^-1 S C1`."""
    A, B, C, D = (np.asarray(m) for m in (system.A, system.B1, system.C1, system.D11))
    S = np.diag(slopes)
    return A + B @ np.linalg.solve(np.eye(len(S)) - S @ D, S @ C)


# The network.


def test_units_hear_those_before_them_only():
    system = ren_of(np.random.default_rng(0), 3, 5)
    x, u = jnp.arange(3.0), jnp.ones(INPUTS)
    entering = system.C1 @ x + system.D12 @ u + system.bv
    w = np.zeros(5)
    for i in range(5):
        w[i] = np.tanh(entering[i] + system.D11[i, :i] @ w[:i])
    assert np.allclose(system.respond(x, u), w, atol=1e-14)
    following = system.A @ x + system.B1 @ w + system.B2 @ u + system.bx
    assert np.allclose(system.advance(0, x, u), following, atol=1e-14)
    raised = eqx.tree_at(lambda s: s.D11, system, system.D11 + 7 * jnp.triu(jnp.ones((5, 5))))
    assert np.allclose(raised.respond(x, u), w, atol=1e-14)


def test_an_elman_cell_is_a_ren():
    rng = np.random.default_rng(1)
    W, U, b = (jnp.asarray(rng.standard_normal(s)) for s in ((4, 4), (4, 2), (4,)))
    W = 0.7 * W / jnp.linalg.norm(W, 2)
    cell, none = Elman(U, W, b, 0 * b), jnp.zeros((4, 4))
    system = REN(none, jnp.eye(4), jnp.zeros((4, 2)), 0 * b, W, none, U, b)
    x, u = jnp.asarray(rng.standard_normal(4)), jnp.ones(2)
    assert np.allclose(system.advance(0, x, u), cell.advance(0, x, u))
    other: Any = certify(cell, theorems=(SingularValue(),))
    assert certified(system).factor < other.factor * (1 + 1e-3)


# The theorem.


def test_a_linear_system_has_the_factor_of_its_spectral_radius():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((4, 4))
        A *= 0.9 / np.abs(np.linalg.eigvals(A)).max()
        none = jnp.zeros((0, 4))
        system = REN(
            jnp.asarray(A),
            none.T,
            jnp.eye(4),
            jnp.zeros(4),
            none,
            none @ none.T,
            none,
            jnp.zeros(0),
        )
        assert 0.9 <= certified(system).factor < 0.9 + 2e-3


@pytest.mark.parametrize(
    "a, b, c", [(0.5, 0.3, 1.0), (0.5, -1.2, 1.0), (-0.2, 2.0, 0.3), (0.0, 0.9, 1.0)]
)
def test_one_unit_is_decided_exactly(a: float, b: float, c: float):
    """`max(|a|, |a + b c|)`: with one constraint, multipliers lose nothing."""
    exact = max(abs(a), abs(a + b * c))
    assert exact <= certified(one(A=a, B1=b, C1=c)).factor < exact + 1e-3


def test_the_edge_of_contraction_is_refused():
    for entries in (
        {"A": 1.0},
        {"A": 0.5, "B1": 0.5, "C1": 1.0},
        {"A": 0.5, "B1": -1.5, "C1": 1.0},
    ):
        refused(one(**entries), "not certainly below 1")
    refused(ren_of(np.random.default_rng(0), 4, 6, 3.0))


def best_factor(ren: Equilibrium) -> float:
    """The optimum over metrics and multipliers, by bisection over semidefinite programs."""
    n, k = ren.B.shape
    low, high = 0.0, 2.0
    for _ in range(14):
        r = (low + high) / 2
        P, q, room = cp.Variable((n, n), symmetric=True), cp.Variable(k), cp.Variable()
        across = -(ren.A.T @ P @ ren.B + ren.gain * ren.C.T @ cp.diag(q))
        own = ren.gain * cp.diag(q) @ ren.D
        rest = 2 * cp.diag(q) - own - own.T - ren.B.T @ P @ ren.B
        whole = cp.bmat([[r * r * P - ren.A.T @ P @ ren.A, across], [across.T, rest]])
        limits = [P >> np.eye(n), (whole + whole.T) / 2 >> room * np.eye(n + k), q >= 1e-6]
        problem = cp.Problem(cp.Maximize(room), [*limits, cp.trace(P) <= 1e5])  # pyright: ignore[reportArgumentType]
        with warnings.catch_warnings():
            # Near the optimum the solver doubts itself; a point it found counts, others do not.
            warnings.simplefilter("ignore")
            problem.solve(solver=cp.CLARABEL)
        low, high = (low, r) if room.value is not None and room.value > 1e-7 else (r, high)
    return high


@pytest.mark.parametrize("seed", range(2))
def test_the_search_comes_close_to_the_optimum(seed: int):
    system = ren_of(np.random.default_rng(seed), 3, 4, 0.55, ("tanh", "sigmoid", "relu")[seed])
    inside = equilibrium_of(system)
    assert inside is not None
    assert certified(system).factor < best_factor(inside) * 1.005 + 0.002


@pytest.mark.parametrize("activation", CERTIFIABLE)
def test_sampled_slopes_never_beat_the_bound(activation: str):
    """Corners and interiors of the slope box, in the certified metric."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        system = ren_of(rng, 4, 5, 0.45, activation)
        answer = certified(system)
        root = np.linalg.cholesky(np.asarray(answer.metric.matrix)).T
        lowest, highest = ACTIVATIONS[activation].slope_interval or (0.0, 0.0)
        for _ in range(60):
            share = rng.random(5) if rng.random() < 0.5 else rng.integers(2, size=5)
            J = slopes_jacobian(system, lowest + (highest - lowest) * share)
            assert np.linalg.norm(root @ J @ np.linalg.inv(root), 2) <= answer.factor + 1e-9


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_pair_approaches_slower_than_certified(count: int):
    """Eight pairs each, ten steps, under random inputs."""
    n, k = 3, 4
    core = random_stable_ren(jax.random.key(0), states=n, units=k, inputs=INPUTS, factor=0.9)
    leaves, structure = jax.tree.flatten(core)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    drawn = [jax.random.normal(key, (count, *a.shape)) for key, a in zip(keys, leaves, strict=True)]
    cores = jax.tree.unflatten(structure, drawn)
    systems, metrics = eqx.filter_jit(eqx.filter_vmap(lambda c: (c.explicit(), c.metric())))(cores)
    factors, roots = np.zeros(count), np.zeros((count, n, n))
    for index in range(count):
        system, metric = jax.tree.map(lambda a, i=index: np.asarray(a)[i], (systems, metrics))
        answer = certified(system, metric=metric, input_bound=None)
        factors[index] = answer.factor
        roots[index] = np.linalg.cholesky(np.asarray(answer.metric.matrix)).T
    assert (factors <= 0.9).all()
    rng, closest = np.random.default_rng(2), 0.0
    advance = eqx.filter_jit(
        eqx.filter_vmap(lambda s, x, u: jax.vmap(lambda x: s.advance(0, x, u))(x))
    )
    x = rng.standard_normal((count, 8, n)) * 10.0 ** rng.uniform(-2, 1, (count, 8, 1))
    y = x + rng.standard_normal((count, 8, n)) * 10.0 ** rng.uniform(-3, 2, (count, 8, 1))
    for _ in range(10):
        u = jnp.asarray(rng.standard_normal((count, INPUTS)))
        before = np.linalg.norm(np.einsum("cij,cpj->cpi", roots, x - y), axis=-1)
        weigh = np.linalg.norm(roots, axis=(1, 2))[:, None]
        x, y = (np.asarray(advance(systems, z, u)) for z in (x, y))
        after = np.linalg.norm(np.einsum("cij,cpj->cpi", roots, x - y), axis=-1)
        slip = 1e-12 * weigh * (np.abs(x).max(-1) + np.abs(y).max(-1) + 10)
        assert (after <= factors[:, None] * before + slip).all()
        seen = slip < 1e-9 * before
        closest = max(closest, float((after / (factors[:, None] * before))[seen].max(initial=0.0)))
    assert closest > 0.9


@pytest.mark.parametrize("metric", [None, "given"])
@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_activations_without_a_bound_are_refused(activation: str, metric: str | None):
    given = None if metric is None else QuadraticMetric(jnp.eye(1))
    system = one(A=0.1, B1=0.1, C1=0.1)
    silent = REN(*jax.tree.leaves(system), activation=activation)
    refused(silent, "no proved bound", metric=given)
    with pytest.raises(InputProblem, match="no proved slope bound"):
        random_stable_ren(jax.random.key(0), states=2, units=2, inputs=1, activation=activation)


def test_the_slope_of_the_activation_counts():
    """`x+ = 0.2 x + b phi(x)`: behind a sigmoid b may be four times as large."""
    for activation, b, fine in (("tanh", 0.79, True), ("tanh", 0.81, False),
                                ("sigmoid", 3.1, True), ("sigmoid", 3.3, False)):  # fmt: skip
        system = REN(*jax.tree.leaves(one(A=0.2, B1=b, C1=1.0)), activation=activation)
        assert isinstance(certify(system), Certificate) == fine, (activation, b)


def test_wrong_metrics_and_multipliers_prove_nothing():
    system = ren_of(np.random.default_rng(3), 3, 4)
    answer, inside = certified(system), equilibrium_of(system)
    assert inside is not None and isinstance(answer.metric, QuadraticMetric)
    P, q = np.asarray(answer.metric.matrix), np.array(answer.multipliers)
    assert ren_holds(inside, P, q, answer.factor)
    assert not ren_holds(inside, P, q, 0.999 * answer.factor)
    assert not ren_holds(inside, P, -q, answer.factor)
    assert not ren_holds(inside, -P, q, answer.factor)
    assert not ren_holds(inside, P, 1e3 * q, answer.factor)
    for matrix in (-np.eye(3), np.zeros((3, 3)), np.diag([1.0, 1e-9, 1.0])):
        refused(system, metric=QuadraticMetric(jnp.asarray(matrix)))
    with pytest.raises(InputProblem):
        certify(system, metric=QuadraticMetric(jnp.eye(2)))
    with pytest.raises(InputProblem):
        certify(system, metric=DiagonalMetric(jnp.ones(2)))
    assert certified(one(A=0.5), metric=DiagonalMetric(jnp.ones(1))).factor < 0.501


def test_the_given_metric_is_the_metric_of_the_certificate():
    core = random_stable_ren(jax.random.key(4), states=40, units=9, inputs=1, factor=0.8)
    answer = certified(core.explicit(), metric=core.metric())
    assert np.allclose(answer.metric.matrix, core.metric().matrix)
    refused(core.explicit(), "no metric and multipliers")  # too many states for the search


def test_it_is_a_part_like_any_other(tmp_path: Path):
    """Beside gated units; the composition is proved, and the checker agrees."""
    core = random_stable_ren(jax.random.key(0), states=2, units=3, inputs=INPUTS, factor=0.8)
    units = GatedRate(jnp.zeros(2), jnp.ones((2, INPUTS)), slowest=0.1, fastest=0.2)
    ren = jax.tree.map(lambda a: a.astype(jnp.float64), core.explicit())
    system = CompositeMap((discretise(units, ExplicitEuler(0.5)), ren), jnp.eye(4))
    answer = certified(system)
    assert [part.theorem for part in answer.parts] == ["input_gates", "ren"]
    assert abs(answer.factor - 0.95) < 1e-6
    verdict = check(write_certificate(answer, tmp_path / "parts.json"))
    assert verdict.accepted, verdict.reason


def test_hidden_instability_of_the_triangular_layer_is_seen():
    """Large entries of D11 multiply along the chain of units; each alone looks harmless."""
    D = jnp.asarray(np.diag(np.full(3, 2.0), -1))
    B1, C1 = jnp.zeros((1, 4)).at[0, 3].set(0.2), jnp.zeros((4, 1)).at[0, 0].set(1.0)
    none = jnp.zeros((1, 0))
    system = REN(
        jnp.full((1, 1), 0.1), B1, none, jnp.zeros(1), C1, D, jnp.zeros((4, 0)), jnp.zeros(4)
    )
    assert abs(slopes_jacobian(system, np.ones(4))[0, 0] - 1.7) < 1e-12
    refused(system)


def test_subclasses_are_not_trusted():
    class Twisted(REN):
        def advance(self, n: Any, x: Any, u: Any) -> Any:
            return 2 * x

    refused(Twisted(*jax.tree.leaves(one(A=0.1))), "may run something else")


def test_misfits_are_told_in_one_line():
    names = ("A", "B1", "B2", "bx", "C1", "D11", "D12", "bv")
    leaves = jax.tree.leaves(ren_of(np.random.default_rng(0), 3, 4))
    whole: dict[str, Any] = dict(zip(names, leaves, strict=True))
    for name in whole:
        broken: Any = {**whole, name: jnp.zeros((7,) * whole[name].ndim)}
        with pytest.raises(InputProblem) as problem:
            REN(**broken)
        assert "\n" not in str(problem.value)
    circle: Any = {**whole, "D11": jnp.eye(4)}
    with pytest.raises(InputProblem, match="hears only those before it"):
        REN(**circle)


# The parametrisation.


@pytest.mark.parametrize("factor", [0.3, 0.7, 0.99, 1.0])
@pytest.mark.parametrize("single", [True, False], ids=["float32", "float64"])
def test_the_factor_is_honoured_everywhere(factor: float, single: bool):
    """For random free parameters of all sizes the verified factor stays below the one asked for."""
    for seed, size in enumerate((0.2, 1.0, 3.0)):
        activation = CERTIFIABLE[seed]
        core = random_stable_ren(
            jax.random.key(seed), states=4, units=6, inputs=1, factor=factor, activation=activation
        )
        dtype = jnp.float32 if single else jnp.float64
        core = jax.tree.map(lambda a, s=size, d=dtype: (s * a).astype(d), core)
        answer = certified(core.explicit(), metric=core.metric())
        assert answer.factor <= factor, (seed, answer.factor)
        assert answer.system.A.dtype == dtype


def forgetful(core: StableREN) -> REN:
    """The explicit network with the square of the factor left out of `E`."""
    H = np.asarray(core.free.T @ core.free, np.float64) + 1e-4 * np.eye(len(core.free))
    n, k = core.bias.size, core.unit_bias.size
    E = (H[:n, :n] + H[n + k :, n + k :]) / 2 + np.asarray(core.turn - core.turn.T) / 2
    own = np.diag(H)[n : n + k, None] / 2
    right = core.explicit()
    state = np.linalg.solve(E, H[n + k :, : n + k])
    parts = (state[:, :n], state[:, n:], -H[n : n + k, :n] / own)
    swap = lambda s: (s.A, s.B1, s.C1)  # noqa: E731
    return eqx.tree_at(swap, right, tuple(jnp.asarray(p) for p in parts))


def test_without_its_square_in_one_place_the_factor_is_broken():
    """The twin that forgets `1 / factor^2` contracts, but slower than it says."""
    broken = 0
    for seed in range(10):
        core = random_stable_ren(jax.random.key(seed), states=4, units=2, inputs=1, factor=0.3)
        core = jax.tree.map(lambda a: a.astype(jnp.float64), core)
        assert certified(core.explicit(), metric=core.metric()).factor <= 0.3
        twin = forgetful(core)
        radius = np.abs(np.linalg.eigvals(np.asarray(twin.A))).max()
        answer = certify(twin)
        assert not isinstance(answer, Certificate) or answer.factor >= radius
        broken += radius > 0.3
    assert broken >= 8


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_free_parameters_of_a_given_network(activation: str):
    """`stable_ren_from` gives back the very network, and training keeps what it promises."""
    for seed in range(4):
        system = ren_of(np.random.default_rng(seed), 4, 5, 0.45, activation)
        found = certified(system).factor
        core = stable_ren_from(system, factor=(1 + found) / 2)
        for mine, given in zip(
            jax.tree.leaves(core.explicit()), jax.tree.leaves(system), strict=True
        ):
            assert np.allclose(mine, given, atol=1e-8)
        assert certified(core.explicit(), metric=core.metric()).factor <= (1 + found) / 2
    with pytest.raises(InputProblem, match="factor below 0.1"):
        stable_ren_from(ren_of(np.random.default_rng(0), 4, 5), factor=0.1)
    with pytest.raises(InputProblem):
        stable_ren_from(ren_of(np.random.default_rng(0), 4, 5, 3.0))


def test_training_keeps_the_factor():
    core = random_stable_ren(jax.random.key(0), states=4, units=5, inputs=1, factor=0.95)
    inputs = jax.random.normal(jax.random.key(1), (8, 12, 1), jnp.float32)
    optimiser = optax.adam(0.1)
    first = core

    @eqx.filter_jit
    def update(core: StableREN, state: Any) -> tuple[StableREN, Any]:
        def loss(core: StableREN) -> jax.Array:
            final = simulate_batch(core.explicit(), jnp.zeros((8, 4), jnp.float32), inputs).final
            return ((final[:, 0] - inputs[:, 6, 0]) ** 2).mean()

        gradient = jax.grad(loss)(core)
        change, state = optimiser.update(gradient, state)
        return eqx.apply_updates(core, change), state

    state = optimiser.init(eqx.filter(core, eqx.is_array))
    for step in range(60):
        core, state = update(core, state)
        if step % 20 == 19:
            assert certified(core.explicit(), metric=core.metric()).factor <= 0.95
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a != b).any()), first, core))


def test_idle_counts_what_has_no_effect():
    core = random_stable_ren(jax.random.key(0), states=3, units=4, inputs=1)
    core = jax.tree.map(lambda a: a.astype(jnp.float64), core)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((10, 10)))[0]
    twin = eqx.tree_at(
        lambda c: (c.free, c.turn), core, (turn @ core.free, core.turn + np.ones((3, 3)))
    )
    for mine, other in zip(
        jax.tree.leaves(core.explicit()), jax.tree.leaves(twin.explicit()), strict=True
    ):
        assert np.allclose(mine, other)
    assert core.idle() == 45 + 6
    jacobian = jax.jacobian(
        lambda c: jnp.concatenate([a.ravel() for a in jax.tree.leaves(c.explicit())])
    )
    columns = [np.asarray(a).reshape(len(a), -1) for a in jax.tree.leaves(jacobian(core))]
    rank = np.linalg.matrix_rank(np.hstack(columns), tol=1e-8)
    total = sum(a.size for a in jax.tree.leaves(core))
    # One more: H and c H are one network.
    assert rank <= total - core.idle()


@pytest.mark.parametrize("options", [{"states": 0}, {"units": -1}, {"inputs": -1}, {"factor": 0.0},
                                     {"factor": 1.01}, {"factor": float("nan")}])  # fmt: skip
def test_unusable_settings_are_told(options: dict[str, Any]):
    settings: dict[str, Any] = {"states": 2, "units": 2, "inputs": 1, **options}
    with pytest.raises(InputProblem) as problem:
        random_stable_ren(jax.random.key(0), **settings)
    assert "\n" not in str(problem.value)


def test_the_theorem_is_the_only_one_that_speaks_of_them():
    answer = certified(one(A=0.5))
    assert [a.theorem for a in answer.tried] == ["ren"]
    assert RecurrentEquilibrium().applies_to(answer.system)


def test_a_network_without_units_is_linear_and_runs():
    e = jnp.zeros
    system = REN(
        0.5 * jnp.eye(2), e((2, 0)), e((2, 1)), e(2), e((0, 2)), e((0, 0)), e((0, 1)), e(0)
    )
    assert system.advance(0, jnp.ones(2), jnp.ones(1)).tolist() == [0.5, 0.5]
    answer = certify(system)
    assert isinstance(answer, Certificate) and answer.factor is not None
    assert answer.factor == pytest.approx(0.5, abs=1e-6)
