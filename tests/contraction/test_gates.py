"""Gated units: exact rates and factors, measured decay, liars, and the parametrisation."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from limitset import InputProblem
from limitset.contraction import (
    Certificate,
    DiagonalMetric,
    InputGates,
    QuadraticMetric,
    StableGatedAssembly,
    Unknown,
    certify,
    gated_assembly,
    measure_distances,
)
from limitset.dynamics import (
    AbstractFlow,
    AbstractMap,
    AbstractScheme,
    BackwardEuler,
    Cayley,
    ExplicitEuler,
    GatedMap,
    Rotation,
    SemiImplicit,
    discretise,
    simulate_batch,
)
from limitset.networks import ACTIVATIONS, Activation, GatedAssembly, GatedRate

pytestmark = pytest.mark.usefixtures("no_shape_checks")

CERTIFIABLE = [a.name for a in ACTIVATIONS.values() if a.slope_interval is not None]
SPLIT = (SemiImplicit, Cayley, Rotation)
INPUTS = 2


def units_of(rng: np.random.Generator, n: int, activation: str = "tanh") -> GatedRate:
    """Random gated units whose self-weights leave room; some gates may shut to a tenth."""
    highest = (ACTIVATIONS[activation].slope_interval or (0.0, 1.0))[1]
    slowest = 10.0 ** rng.uniform(-2, -0.5, n)
    return GatedRate(
        jnp.asarray(rng.uniform(-1.5, 0.95, n) / highest),
        jnp.asarray(rng.standard_normal((n, INPUTS))),
        jnp.asarray(rng.standard_normal(n)),
        gate_weight=jnp.asarray(3 * rng.standard_normal((n, INPUTS))),
        gate_bias=jnp.asarray(rng.standard_normal(n)),
        slowest=jnp.asarray(slowest),
        fastest=jnp.asarray(slowest * rng.uniform(1, 10, n)),
        activation=activation,
    )


def skew_in(rng: np.random.Generator, scale: np.ndarray, size: float = 3.0) -> np.ndarray:
    free = np.tril(size * rng.standard_normal((len(scale),) * 2), -1)
    return (free - free.T) * scale / scale[:, None]


def certified(system: AbstractFlow | AbstractMap, **options: Any) -> Any:
    answer = certify(system, **options)
    assert isinstance(answer, Certificate), answer.reason
    return answer


def refused(system: AbstractFlow | AbstractMap, reason: str, **options: Any) -> None:
    answer = certify(system, **options)
    assert not isinstance(answer, Certificate), answer.claim()
    assert reason in answer.reason, answer.reason


def least_rate(units: GatedRate) -> float:
    """`min nu (1 - w s)` over the corners of gates and slopes."""
    w = np.asarray(units.self_weight)
    ends = units.activation.slope_interval or ()
    speeds = (np.asarray(units.slowest), np.asarray(units.fastest))
    return min(float((nu * (1 - w * s)).min()) for nu in speeds for s in ends)


def largest_step(units: GatedRate, step: float) -> float:
    """`max |1 - step nu (1 - w s)|` over the corners of gates and slopes."""
    w = np.asarray(units.self_weight)
    ends = units.activation.slope_interval or ()
    speeds = (np.asarray(units.slowest), np.asarray(units.fastest))
    return max(float(np.abs(1 - step * nu * (1 - w * s)).max()) for nu in speeds for s in ends)


# Exactness.


@pytest.mark.parametrize("activation", CERTIFIABLE)
def test_rates_and_factors_are_those_of_the_corners(activation: str):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        units = units_of(rng, 6, activation)
        if not least_rate(units) > 0:
            refused(units, "does not contract")
            continue
        scale = np.exp(rng.standard_normal(6))
        assembly = GatedAssembly(units, jnp.asarray(skew_in(rng, scale, 30.0)))
        for system in (units, assembly):
            assert abs(certified(system).rate / least_rate(units) - 1) < 1e-9
        for kind in SPLIT:
            map_ = discretise(assembly, kind(0.3))
            assert isinstance(map_, GatedMap)
            certificate = certified(map_)
            whitened = scale[:, None] * np.asarray(map_.propagator) / scale
            expected = np.linalg.norm(whitened, 2) * largest_step(units, 0.3)
            assert abs(certificate.factor - expected) < 1e-9
        alone = discretise(units, ExplicitEuler(0.3))
        assert abs(certified(alone).factor - largest_step(units, 0.3)) < 1e-12


def test_every_diagonal_metric_fits_the_units():
    rng = np.random.default_rng(0)
    units = units_of(rng, 5)
    for _ in range(5):
        metric = DiagonalMetric(jnp.asarray(np.exp(3 * rng.standard_normal(5))))
        answer = certified(units, metric=metric)
        assert abs(answer.rate - least_rate(units)) < 1e-12
        assert (answer.metric.scale == metric.scale).all()


def test_a_coupling_may_use_the_slack_of_faster_units():
    """`sym(S L S^-1) < diag(r)` is what counts, not the slowest rate alone."""
    units = GatedRate(jnp.zeros(2), slowest=jnp.array([0.1, 10.0]), fastest=jnp.array([0.2, 20.0]))
    coupling = jnp.array([[0.0, 0.9], [0.9, 0.0]])
    answer = certified(GatedAssembly(units, coupling), metric=DiagonalMetric(jnp.ones(2)))
    expected = np.linalg.eigvalsh(np.diag([0.1, 10.0]) - np.asarray(coupling))[0]
    assert 0 < answer.rate <= expected and answer.rate > expected - 1e-12


@pytest.mark.parametrize("kind", SPLIT)
def test_the_map_agrees_with_the_flow_to_first_order(kind: type[SemiImplicit]):
    rng = np.random.default_rng(1)
    flow = GatedAssembly(units_of(rng, 4), jnp.asarray(skew_in(rng, np.ones(4))))
    x, u = jnp.asarray(rng.standard_normal(4)), jnp.asarray(rng.standard_normal(INPUTS))
    errors = []
    for h in (1e-2, 1e-3):
        change = discretise(flow, kind(h)).advance(0, x, u) - x
        errors.append(float(jnp.linalg.norm(change - h * flow.velocity(0.0, x, u))))
    assert errors[1] < 0.02 * errors[0]


def test_gates_stay_between_their_ends_and_follow_the_input():
    units = units_of(np.random.default_rng(2), 7)
    inputs = 100 * np.random.default_rng(3).standard_normal((50, INPUTS))
    gates = np.asarray(jax.vmap(lambda u: units.enter(u)[0])(jnp.asarray(inputs)))
    assert (gates >= np.asarray(units.slowest)).all() and (gates <= units.fastest).all()
    assert (np.ptp(gates, axis=0) > 0.5 * np.asarray(units.fastest - units.slowest)).all()


# Decay, measured: inputs move the gates at every step.


def stacked(build: Any, count: int, seed: int) -> tuple[Any, list[Any]]:
    members = [build(np.random.default_rng((seed, k))) for k in range(count)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members), members


def pairs(rng: np.random.Generator, count: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """From very near to very far; every third along one axis, where slow units show."""
    x = rng.standard_normal((count, 8, n)) * 10.0 ** rng.uniform(-3, 1, (count, 8, 1))
    apart = rng.standard_normal((count, 8, n)) * 10.0 ** rng.uniform(-3, 2, (count, 8, 1))
    apart[:, ::3] *= np.eye(n)[rng.integers(n, size=(count, 3))]
    return x, x + apart


COUNTS = pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.slow)])


@COUNTS
@pytest.mark.parametrize("activation", CERTIFIABLE)
def test_no_flow_decays_slower_than_certified(activation: str, count: int):
    """`(x - y)^T M (f(x) - f(y)) <= -rate |x - y|^2` for random assemblies and inputs."""
    n = 5

    def build(rng: np.random.Generator) -> GatedAssembly:
        units = units_of(rng, n, activation)
        if activation == "identity":
            units = eqx.tree_at(lambda u: u.self_weight, units, jnp.abs(units.self_weight) / 2)
        return GatedAssembly(units, jnp.asarray(skew_in(rng, np.exp(rng.standard_normal(n)))))

    systems, members = stacked(build, count, 5)
    answers = [certified(member) for member in members]
    scales = np.stack([a.metric.scale for a in answers])[:, None]
    rates, closest = np.array([a.rate for a in answers])[:, None], 0.0
    rng = np.random.default_rng(6)
    move = eqx.filter_jit(
        eqx.filter_vmap(lambda s, x, u: jax.vmap(lambda x: s.velocity(0.0, x, u))(x))
    )
    for _ in range(5):
        x, y = pairs(rng, count, n)
        u = jnp.asarray(5 * rng.standard_normal((count, INPUTS)))
        apart = scales * (x - y)
        change = scales * np.asarray(move(systems, x, u) - move(systems, y, u))
        decay, allowed = -(apart * change).sum(-1), rates * (apart**2).sum(-1)
        slip = 1e-13 * (
            np.linalg.norm(apart, axis=-1) * (np.abs(change).sum(-1) + 1 + np.abs(x).max())
        )
        assert (decay >= allowed - slip * (1 + scales.max((1, 2))[:, None])).all()
        closest = max(closest, float((allowed / decay)[slip < 1e-9 * decay].max(initial=0.0)))
    assert closest > 0.9


@COUNTS
@pytest.mark.parametrize("kind", SPLIT)
def test_no_map_decays_slower_than_certified(kind: type[SemiImplicit], count: int):
    """40 steps under wild inputs; step by step."""
    n = 5

    def build(rng: np.random.Generator) -> AbstractMap:
        units = units_of(rng, n)
        flow = GatedAssembly(units, jnp.asarray(skew_in(rng, np.exp(rng.standard_normal(n)))))
        return discretise(flow, kind(0.25))

    systems, members = stacked(build, count, 7)
    answers = [certified(member, input_bound=None) for member in members]
    scales = np.stack([a.metric.scale for a in answers])[:, None]
    factors = np.array([a.factor for a in answers])[:, None]
    rng, closest = np.random.default_rng(8), 0.0
    advance = eqx.filter_jit(
        eqx.filter_vmap(lambda s, x, u: jax.vmap(lambda x: s.advance(0, x, u))(x))
    )
    x, y = pairs(rng, count, n)
    for _ in range(40):
        u = jnp.asarray(5 * rng.standard_normal((count, INPUTS)))
        before = np.linalg.norm(scales * (x - y), axis=-1)
        slip = 1e-13 * np.linalg.norm(scales * (np.abs(x) + np.abs(y) + 10), axis=-1)
        x, y = (np.asarray(advance(systems, z, u)) for z in (x, y))
        after = np.linalg.norm(scales * (x - y), axis=-1)
        assert (after <= factors * before + slip).all()
        seen = slip < 1e-9 * before
        closest = max(closest, float((after / (factors * before))[seen].max(initial=0.0)))
    assert closest > (0.9 if kind is SemiImplicit else 0.99)


# What must be refused.


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_activations_without_a_bound_are_refused(activation: str):
    units = GatedRate(jnp.full(2, 0.1), slowest=0.1, fastest=0.2, activation=activation)
    refused(units, "no proved bound")
    refused(GatedAssembly(units, jnp.zeros((2, 2))), "no proved bound")
    refused(discretise(units, ExplicitEuler(0.5)), "no proved bound")
    with pytest.raises(InputProblem, match="no proved slope bound"):
        gated_assembly(jax.random.key(0), modules=2, units=2, inputs=1, activation=activation)


def test_the_slope_of_the_activation_counts():
    """A self-weight of 3.9 is fine behind a sigmoid (slope 1/4), and far too large behind tanh."""
    for activation, weight, fine in (("sigmoid", 3.9, True), ("sigmoid", 4.0, False),
                                     ("tanh", 0.99, True), ("tanh", 1.0, False),
                                     ("identity", -50.0, True)):  # fmt: skip
        units = GatedRate(jnp.full(2, weight), slowest=0.1, fastest=0.2, activation=activation)
        assert isinstance(certify(units), Certificate) == fine, (activation, weight)


def test_a_negative_self_weight_gains_nothing():
    """Its slope may vanish: the rate is that of a unit without feedback."""
    units = GatedRate(jnp.full(2, -8.0), slowest=0.1, fastest=0.2)
    assert abs(certified(units).rate - 0.1) < 1e-12
    # And a step that suits slope 0 may be too large for slope 1: |1 - h nu 9| with h nu = 0.4.
    refused(discretise(units, ExplicitEuler(2.0)), "factor of the units' steps")


@pytest.mark.parametrize("ends", [(0.0, 0.2), (-0.1, 0.2), (0.1, 0.0), (0.2, -1e-9)])
def test_gates_that_may_stop_or_turn_back_are_refused(ends: tuple[float, float]):
    low, high = (jnp.asarray(end) for end in ends)
    units = GatedRate(jnp.zeros(2), slowest=low, fastest=high)
    refused(units, "not positive")
    refused(discretise(units, ExplicitEuler(0.5)), "not positive")


def test_ends_of_gates_in_the_wrong_order_are_still_ends():
    units = GatedRate(jnp.full(2, 0.5), slowest=0.2, fastest=0.01)
    assert abs(certified(units).rate - 0.005) < 1e-12


def test_steps_that_overshoot_are_refused():
    """Nothing is concluded from the flow: what runs may leap over its rest."""
    units = GatedRate(jnp.zeros(2), slowest=0.1, fastest=2.5)
    certified(units)
    certified(discretise(units, ExplicitEuler(0.5)))
    refused(discretise(units, ExplicitEuler(1.0)), "factor of the units' steps is bounded by 1.5")


def test_couplings_that_are_not_skew_in_the_metric_are_refused():
    rng = np.random.default_rng(4)
    units = GatedRate(jnp.zeros(4), slowest=0.1, fastest=0.2)
    free = np.tril(rng.standard_normal((4, 4)), -1)
    refused(GatedAssembly(units, jnp.asarray(free + free.T)), "not skew")
    scale = np.array([1.0, 2.0, 4.0, 8.0])
    coupling = jnp.asarray(skew_in(rng, scale))
    certified(GatedAssembly(units, coupling))
    for wrong in (np.ones(4), 1 / scale):
        metric = DiagonalMetric(jnp.asarray(wrong))
        refused(GatedAssembly(units, coupling), "not skew", metric=metric)
        refused(discretise(GatedAssembly(units, coupling), Cayley(1.0)), "factor", metric=metric)


def test_propagators_that_do_not_come_from_a_skew_coupling_are_refused():
    units = GatedRate(jnp.zeros(3), slowest=0.1, fastest=0.2)
    coupling = jnp.asarray(skew_in(np.random.default_rng(5), np.ones(3)))
    turn: Any = discretise(GatedAssembly(units, coupling), Cayley(1.0))
    certified(turn)
    refused(eqx.tree_at(lambda m: m.propagator, turn, 1.2 * turn.propagator), "factor")
    refused(eqx.tree_at(lambda m: m.propagator, turn, 0 * turn.propagator + 1), "factor")
    # The series of the exponential to second order is no rotation: its norm is sqrt(1 + s^4 / 4).
    skew = skew_in(np.random.default_rng(6), np.ones(3))
    series = np.eye(3) + skew + skew @ skew / 2
    refused(eqx.tree_at(lambda m: m.propagator, turn, jnp.asarray(series)), "factor")


def test_full_metrics_are_refused_and_subclasses_are_not_trusted():
    class Twisted(GatedRate):
        def velocity(self, t: Any, x: Any, u: Any) -> Any:
            return x * x

    units = GatedRate(jnp.zeros(2), slowest=0.1, fastest=0.2)
    refused(units, "diagonal metric", metric=QuadraticMetric(jnp.array([[2.0, 1.0], [1.0, 2.0]])))
    twisted = Twisted(jnp.zeros(2), slowest=0.1, fastest=0.2)  # pyright: ignore[reportCallIssue]
    for system in (twisted, GatedAssembly(twisted, jnp.zeros((2, 2)))):
        refused(system, "may run something else")
    promised = Activation("tanh", lambda x: 5 * x, None)
    refused(GatedRate(jnp.zeros(2), slowest=0.1, fastest=0.2, activation=promised), "no proved")
    assert isinstance(InputGates().apply(discretise(units, BackwardEuler(0.5)), None), Unknown)


def test_numbers_that_are_not_finite_are_unusable():
    for place in ("slowest", "self_weight", "gate_weight"):
        units = GatedRate(jnp.zeros(2), jnp.ones((2, 1)), slowest=0.1, fastest=0.2)
        broken = eqx.tree_at(
            lambda u, p=place: getattr(u, p), units, replace_fn=lambda a: a * jnp.nan
        )
        with pytest.raises(InputProblem, match="NaN"):
            certify(broken)


@pytest.mark.parametrize("huge", [1e200, 1e308])
def test_numbers_that_overflow_are_unknown(huge: float):
    units = GatedRate(jnp.full(2, -huge), slowest=huge, fastest=huge, activation="identity")
    for system in (units, discretise(units, ExplicitEuler(0.5))):
        assert not isinstance(certify(system), Certificate)


def test_misfits_are_told_in_one_line():
    good = GatedRate(jnp.zeros(2), slowest=0.1, fastest=0.2)
    for build in (
        lambda: GatedRate(jnp.zeros((2, 2)), slowest=0.1, fastest=0.2),
        lambda: GatedRate(jnp.zeros(2), bias=jnp.zeros(3), slowest=0.1, fastest=0.2),
        lambda: GatedRate(jnp.zeros(2), jnp.zeros((3, 1)), slowest=0.1, fastest=0.2),
        lambda: GatedRate(jnp.zeros(2), slowest=0.0, fastest=0.2),
        lambda: GatedRate(jnp.zeros(2), slowest=0.1, fastest=jnp.ones(3)),
        lambda: GatedRate(jnp.zeros(2, int), slowest=1, fastest=2),
        lambda: GatedAssembly(good, jnp.zeros((3, 3))),
        lambda: GatedAssembly(good, jnp.zeros((2, 2), jnp.float32)),
        lambda: discretise(good, SemiImplicit(0.1)),
        lambda: discretise(GatedAssembly(good, jnp.zeros((2, 2))), ExplicitEuler(0.1)),
    ):
        with pytest.raises(InputProblem) as problem:
            build()
        assert "\n" not in str(problem.value)


# The parametrisation.


def wild(core: StableGatedAssembly, key: jax.Array, size: float) -> StableGatedAssembly:
    """Every free parameter replaced by noise of this size."""
    leaves, structure = jax.tree.flatten(core)
    keys = jax.random.split(key, len(leaves))
    noise = [
        size * jax.random.normal(k, a.shape, a.dtype) for k, a in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, noise)


@pytest.mark.parametrize(
    "scheme, activation",
    [
        (SemiImplicit(0.5), "tanh"),
        (Cayley(1.0), "sigmoid"),
        (Rotation(2.0), "relu"),
        (Cayley(0.5), "identity"),
        (SemiImplicit(3.0), "softplus"),
    ],
)
def test_all_free_parameters_are_certified_in_float32(scheme: AbstractScheme, activation: str):
    for seed, size in enumerate((0.1, 1.0, 10.0)):
        key = jax.random.key(seed)
        core = gated_assembly(
            key, modules=3, units=4, inputs=2, pairs=2, scheme=scheme, activation=activation,
            slowest=0.02, margin=0.9,
        )  # fmt: skip
        core = wild(core, key, size)
        answer = certified(core.explicit(), metric=core.metric())
        # Rounding of a coupling of size 10 and metrics of condition e^8 costs the rest.
        assert answer.factor <= 1 - scheme.step * core.floor * (1 - core.margin) + 1e-4
        assert answer.system.units.self_weight.dtype == jnp.float32


def test_speeds_start_spread_over_decades():
    core = gated_assembly(jax.random.key(0), modules=3, units=4, inputs=1, scheme=Cayley(0.5))
    units = core.explicit().units
    middle = np.asarray(units.slowest + units.fastest) / 2 * 0.5
    spread = middle.reshape(3, 4)
    assert (spread[:, 0] < 2e-3).all() and (spread[:, -1] > 0.3).all()
    assert (np.diff(np.log(spread), axis=1) > 0).all()
    assert (np.asarray(units.slowest) * 0.5 > 0.5e-3).all()
    assert (np.asarray(units.fastest) * 0.5 < 1).all()


def test_few_pairs_cost_few_parameters():
    core = gated_assembly(jax.random.key(0), modules=3, units=4, inputs=1, pairs=2)
    assert core.blocks.shape == (2, 4, 4) and len(set(core.pairs)) == 2
    coupling = np.asarray(core.coupling()).reshape(3, 4, 3, 4)
    busy = np.abs(coupling).max((1, 3)) > 0
    assert busy.sum() == 4 and (busy == busy.T).all() and not busy.diagonal().any()
    whole = gated_assembly(jax.random.key(0), modules=3, units=4, inputs=1)
    assert len(whole.pairs) == 3
    none = gated_assembly(jax.random.key(0), modules=3, units=4, inputs=1, pairs=0)
    assert none.explicit().propagator is None and certified(none.explicit()).factor < 1
    assert isinstance(none.explicit().scheme, ExplicitEuler)


def test_couplings_are_skew_in_the_metric_to_the_last_bit_of_float32():
    core = wild(
        gated_assembly(jax.random.key(1), modules=3, units=4, inputs=1), jax.random.key(2), 1.0
    )
    L, scale = (
        np.asarray(core.coupling(), np.float64),
        np.asarray(core.metric().scale),
    )
    whitened = scale[:, None] * L / scale
    assert np.abs(whitened + whitened.T).max() < 1e-5 * np.abs(whitened).max()


def test_training_with_a_blown_up_coupling_stays_certified():
    """Adam with a huge learning rate, and couplings a hundred times too large."""
    core = gated_assembly(jax.random.key(3), modules=3, units=4, inputs=1, scheme=SemiImplicit(1.0))
    core = eqx.tree_at(lambda c: c.blocks, core, 100 * core.blocks)
    inputs = jax.random.normal(jax.random.key(4), (8, 30, 1), jnp.float32)
    optimiser = optax.adam(0.3)

    @eqx.filter_jit
    def update(core: StableGatedAssembly, state: Any) -> tuple[StableGatedAssembly, Any]:
        def loss(core: StableGatedAssembly) -> jax.Array:
            final = simulate_batch(core.explicit(), jnp.zeros((8, 12), jnp.float32), inputs).final
            return ((final[:, 0] - inputs[:, 3, 0]) ** 2).mean()

        gradient = jax.grad(loss)(core)
        change, state = optimiser.update(gradient, state)
        return eqx.apply_updates(core, change), state

    state = optimiser.init(eqx.filter(core, eqx.is_array))
    first = core
    for step in range(100):
        core, state = update(core, state)
        if step % 20 == 19:
            assert certified(core.explicit(), metric=core.metric()).factor < 1
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), first, core)
    assert jax.tree.all(moved), "a parameter has no gradient"


def test_measured_decay_in_float32_obeys_the_certificate():
    core = wild(
        gated_assembly(jax.random.key(5), modules=3, units=4, inputs=2), jax.random.key(6), 1.0
    )
    system = core.explicit()
    answer = certified(system, metric=core.metric())
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(3 * rng.standard_normal((6, 60, 2)), jnp.float32)
    starts = [jnp.asarray(rng.standard_normal((6, 12)), jnp.float32) for _ in range(2)]
    distances = measure_distances(system, answer.metric, (starts[0], inputs), (starts[1], inputs))
    slip = 1e-4 * np.exp(np.abs(core.log_scale).max())
    assert (distances[:, 1:] <= answer.factor * distances[:, :-1] + slip).all()


def test_idle_counts_what_has_no_effect():
    core = gated_assembly(jax.random.key(0), modules=3, units=4, inputs=1)
    moved = 3 * jnp.arctanh(jnp.tanh(core.log_scale / 3) + 0.5 / 3)
    shifted = eqx.tree_at(lambda c: c.log_scale, core, moved)
    assert np.allclose(core.coupling(), shifted.coupling(), atol=1e-6) and core.idle() == 1
    assert gated_assembly(jax.random.key(0), modules=1, units=4, inputs=1).idle() == 4


@pytest.mark.parametrize(
    "options",
    [
        {"modules": 0},
        {"pairs": 4},
        {"pairs": -1},
        {"slowest": 0.6},
        {"fastest": 1.0},
        {"margin": 1.0},
        {"inputs": -1},
        {"scheme": ExplicitEuler(0.1)},
    ],
)
def test_unusable_settings_are_told(options: dict[str, Any]):
    settings: dict[str, Any] = {"modules": 3, "units": 2, "inputs": 1, **options}
    with pytest.raises(InputProblem) as problem:
        gated_assembly(jax.random.key(0), **settings).explicit()
    assert "\n" not in str(problem.value)
