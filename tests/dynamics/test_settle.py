"""Depth that each sample chooses: bounds hold, frozen samples stand still, batches do not mix."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import (
    DecidedClass,
    Exit,
    RawThreshold,
    Roundoff,
    Settled,
    ShrinkingSteps,
    StateNorm,
    VanishingDrive,
    run_network,
    settle,
    settle_batch,
    settle_network,
    settle_network_batch,
    total_depth,
    unroll,
)
from limitset.networks import (
    DeepNetwork,
    DenseOperator,
    LinearReadout,
    ResidualBlock,
    Stage,
    untie,
)

EPSILON, UNITS, INPUTS, CAP = 0.05, 6, 4, 2000
# The slowest direction shrinks by this a step; no other is faster than 0.9.
FACTOR = 1 - EPSILON


def make(activation: str = "relu", seed: int = 0, dtype: Any = np.float64) -> ResidualBlock:
    """A symmetric block with eigenvalues from -0.9 to -0.05 and step 1."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((UNITS, UNITS)))[0]
    A = -(Q * np.linspace(EPSILON, 0.9, UNITS)) @ Q.T
    return ResidualBlock(
        DenseOperator(jnp.asarray((A + A.T) / 2, dtype)),
        DenseOperator(jnp.asarray(rng.standard_normal((UNITS, INPUTS)), dtype)),
        jnp.asarray(rng.standard_normal(UNITS), dtype),
        jnp.asarray(1.0, dtype),
        activation,
    )


def draw_inputs(count: int, seed: int = 1) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal((count, INPUTS)) * 3)


def limits(block: ResidualBlock, inputs: jax.Array) -> np.ndarray:
    return np.asarray(jax.jit(jax.vmap(lambda u: unroll(block, u, 3000)))(inputs))


def distances(ended: Settled, exact: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.asarray(ended.state, np.float64) - exact, axis=-1)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("tolerance", [1.0, 1e-2, 1e-6])
def test_nais_stop_rule_bounds_the_true_error(activation: str, tolerance: float):
    block, inputs = make(activation), draw_inputs(60)
    gain = 1 / EPSILON * (1 + 1e-9)
    rules = {"relu": ShrinkingSteps(tolerance, FACTOR), "tanh": VanishingDrive(tolerance, gain)}
    ended = settle_batch(block, inputs, rules[activation], CAP, tile=32)
    error = distances(ended, limits(block, inputs))
    assert (np.asarray(ended.reason) == Exit.CONVERGED).all()
    assert (np.asarray(ended.error) <= tolerance).all()
    assert (error <= np.asarray(ended.error) + 1e-12).all()
    assert len(set(np.asarray(ended.depth).tolist())) > 1


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_nais_stop_rule_is_violated_by_a_constant_one_percent_off(activation: str):
    """On the slowest direction alone the bound is attained: with 1 % less it is exceeded."""
    slow = ResidualBlock(
        DenseOperator(jnp.array([[-EPSILON]])),
        DenseOperator(jnp.ones((1, 1))),
        jnp.zeros(1),
        jnp.array(1.0),
        activation,
    )
    u, limit = jnp.ones(1), 1 / EPSILON
    for shift, holds in ((1.0, True), (0.99, False)):
        rule: Any = VanishingDrive(1e-4, shift / EPSILON)
        if activation == "relu":
            # The constant of the bound is factor / (1 - factor).
            constant = shift * FACTOR / (1 - FACTOR)
            rule = ShrinkingSteps(1e-4, constant / (1 + constant))
        ended = settle(slow, u, rule, CAP)
        error = abs(float(ended.state[0]) - limit)
        # tanh: the bound is of the state before the last step, which shrinks it by the factor.
        error = error / FACTOR if activation == "tanh" else error
        assert (error <= float(ended.error) * (1 + 1e-6)) == holds


def test_nais_pitfall_a_short_step_is_not_convergence():
    """The raw threshold's true error is up to q / (1 - q) times the threshold."""
    block, inputs = make("tanh"), draw_inputs(60)
    ended = settle_batch(block, inputs, RawThreshold(1e-4), CAP, tile=32)
    error = distances(ended, limits(block, inputs))
    assert (np.asarray(ended.residual) <= 1e-4).all()
    assert error.max() > 15e-4
    assert np.isinf(np.asarray(ended.error)).all()


def test_nais_pitfall_outputs_do_not_depend_on_the_batch():
    """Stopping when the slowest of a batch has stopped would change everybody's output."""
    block, inputs = make(dtype=np.float32), draw_inputs(37).astype(jnp.float32)
    rule = ShrinkingSteps(1e-2, FACTOR)
    whole = settle_batch(block, inputs, rule, CAP, tile=8)
    assert len(set(np.asarray(whole.depth).tolist())) > 5
    for part in (inputs[3:4], inputs[::-1][20:33]):
        where = [int(np.flatnonzero((np.asarray(inputs) == row).all(1))[0]) for row in part]
        alone = settle_batch(block, part, rule, CAP, tile=8)
        for one, all_ in zip(jax.tree.leaves(alone), jax.tree.leaves(whole), strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(all_)[where])


def test_batch_and_sample_agree():
    block, inputs = make(), draw_inputs(20)
    rule = ShrinkingSteps(1e-3, FACTOR)
    several = settle_batch(block, inputs, rule, CAP, tile=8)
    singly = jax.vmap(lambda u: settle(block, u, rule, 400))(inputs)
    np.testing.assert_array_equal(np.asarray(several.depth), np.asarray(singly.depth))
    np.testing.assert_allclose(np.asarray(several.state), np.asarray(singly.state), rtol=1e-12)
    np.testing.assert_allclose(np.asarray(several.error), np.asarray(singly.error), rtol=1e-9)


def test_nais_pitfall_float32_stagnation_is_no_convergence():
    """Steps below the last bit vanish: the computed step is 0 far from the limit."""
    start = jnp.array([2.0**24], jnp.float32)
    block = ResidualBlock(
        DenseOperator(jnp.array([[-(2.0**-26)]], jnp.float32)),
        None,
        jnp.array([0.75], jnp.float32),
        jnp.array(1.0, jnp.float32),
        "relu",
    )
    # The limit is 0.75 * 2**26, three times the start, but each step of 0.5 is rounded away.
    for rule in (RawThreshold(1e-4), ShrinkingSteps(1e-4, 1 - 2.0**-26, roundoff=Roundoff(6e-8))):
        ended = settle(block, jnp.zeros(0, jnp.float32), rule, 50, initial=start)
        assert float(ended.residual) == 0
        assert Exit(int(ended.reason)) is Exit.STALLED
        assert float(ended.error) >= 2.0**25


def test_frozen_samples_stand_still_and_gradients_are_those_of_the_steps():
    block, u = make("tanh"), draw_inputs(1)[0]
    rule = ShrinkingSteps(1.0, FACTOR)
    ended = settle(block, u, rule, CAP)
    depth = int(ended.depth)
    assert 3 < depth < 300
    np.testing.assert_allclose(np.asarray(ended.state), np.asarray(unroll(block, u, depth)))
    just = settle(block, u, rule, depth)
    np.testing.assert_array_equal(np.asarray(ended.state), np.asarray(just.state))

    def loss(block: ResidualBlock, cap: int | None, remember: bool = False) -> jax.Array:
        if cap is None:
            return (unroll(block, u, depth) ** 2).sum()
        return (settle(block, u, rule, cap, remember=remember).state ** 2).sum()

    exact = jax.jit(jax.grad(lambda b: loss(b, None)))(block)
    for remember in (False, True):
        found = jax.jit(jax.grad(lambda b, r=remember: loss(b, depth + 50, r)))(block)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
            assert np.isfinite(np.asarray(one)).all()
            np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-12, atol=1e-12)


def test_looking_less_often_gives_multiples():
    block, inputs = make(), draw_inputs(12)
    rule = ShrinkingSteps(1e-2, FACTOR)
    always = np.asarray(settle_batch(block, inputs, rule, CAP, tile=8).depth)
    rarely = settle_batch(block, inputs, rule, CAP, every=5, tile=8)
    np.testing.assert_array_equal(np.asarray(rarely.depth), -(-always // 5) * 5)
    assert (distances(rarely, limits(block, inputs)) <= np.asarray(rarely.error)).all()


def test_exits():
    block, u = make(), draw_inputs(1)[0]
    capped = settle(block, u, ShrinkingSteps(1e-9, FACTOR), 7)
    assert Exit(int(capped.reason)) is Exit.CAP and int(capped.depth) == 7
    error = np.linalg.norm(np.asarray(capped.state) - limits(block, u[None])[0])
    assert 1e-9 < error <= float(capped.error)
    grows = dataclasses.replace(
        block, state_operator=DenseOperator(1e60 * jnp.eye(UNITS)), bias=jnp.ones(UNITS)
    )
    many = settle_batch(grows, jnp.ones((1, INPUTS)), RawThreshold(1e-4), 50, tile=2)
    one = settle(grows, jnp.ones(INPUTS), RawThreshold(1e-4), 50)
    for ended in (one, jax.tree.map(lambda a: a[0], many)):
        assert Exit(int(ended.reason)) is Exit.NOT_FINITE
        assert np.isfinite(np.asarray(ended.state)).all() and np.isinf(float(ended.error))
        assert 0 < int(ended.depth) < 50
    missing = settle(block, jnp.full(INPUTS, jnp.nan), ShrinkingSteps(1.0, FACTOR), 9)
    assert Exit(int(missing.reason)) is Exit.NOT_FINITE and int(missing.depth) == 0


def test_decided_classes_are_those_of_the_limit():
    block, inputs = make(), draw_inputs(200)
    readout = LinearReadout(
        jnp.asarray(np.random.default_rng(3).standard_normal((4, UNITS))), jnp.zeros(4)
    )
    plain = ShrinkingSteps(1e-6, FACTOR)
    ended = settle_batch(block, inputs, DecidedClass(plain, readout), CAP, tile=64)
    at_limit = np.asarray(jax.vmap(readout)(jnp.asarray(limits(block, inputs)))).argmax(1)
    found = np.asarray(jax.vmap(readout)(ended.state)).argmax(1)
    np.testing.assert_array_equal(found, at_limit)
    full = settle_batch(block, inputs, plain, CAP, tile=64)
    assert ended.depth.mean() < 0.5 * full.depth.mean()


@pytest.mark.usefixtures("untyped")
def test_rules_that_bound_nothing_decide_nothing():
    readout: Any = LinearReadout(jnp.eye(2, UNITS), jnp.zeros(2))
    rule: Any = RawThreshold(1e-4)
    with pytest.raises(InputProblem, match="bounds no error"):
        DecidedClass(rule, readout)


def test_decided_class_margin_in_the_maximum_norm():
    """The dual of the maximum norm is the sum: with the 2-norm, a class would be called early."""
    readout = LinearReadout(jnp.array([[1.0, 1.0], [0.0, 0.0]]), jnp.zeros(2))
    rule = DecidedClass(ShrinkingSteps(1e-3, 0.5, StateNorm(1.0, maximum=True)), readout)
    assert float(rule.gaps[0, 1]) == 2.0
    weighed = DecidedClass(ShrinkingSteps(1e-3, 0.5, StateNorm(jnp.array([2.0, 4.0]))), readout)
    assert float(weighed.gaps[0, 1]) == pytest.approx((0.25 + 0.0625) ** 0.5)


def deep() -> DeepNetwork:
    first, second = make(seed=1), make(seed=2)
    mix = DenseOperator(jnp.asarray(np.random.default_rng(5).standard_normal((UNITS, UNITS)) / 3))
    second = dataclasses.replace(second, input_operator=mix)
    readout = LinearReadout(jnp.eye(3, UNITS), jnp.zeros(3))
    return DeepNetwork((Stage(first, 40), Stage(second, 40)), readout)


def test_networks_report_a_depth_for_each_stage():
    network, inputs = deep(), draw_inputs(9)
    rules = [ShrinkingSteps(1e-8, FACTOR)] * 2
    ended = settle_network_batch(network, inputs, rules, CAP, tile=4)
    deeper = eqx.tree_at(lambda n: n, network, replace=network)
    deeper = DeepNetwork(tuple(Stage(stage.block, 1500) for stage in deeper.stages), deeper.readout)
    exact = jax.vmap(lambda u: run_network(deeper, u))(inputs)
    np.testing.assert_allclose(np.asarray(ended.scores), np.asarray(exact), atol=1e-6)
    depths = [np.asarray(stage.depth) for stage in ended.stages]
    np.testing.assert_array_equal(np.asarray(total_depth(ended)), sum(depths))
    assert not np.array_equal(depths[0], depths[1])
    single = settle_network(network, inputs[2], rules, 800)
    np.testing.assert_allclose(np.asarray(single.scores), np.asarray(ended.scores)[2], rtol=1e-10)
    again = settle_network_batch(network, inputs[2:3], rules, CAP, tile=4)
    np.testing.assert_array_equal(np.asarray(again.scores)[0], np.asarray(ended.scores)[2])


def test_first_states_and_untied_blocks():
    block, inputs = make(), draw_inputs(3)
    starts = jnp.ones((3, UNITS))
    ended = settle_batch(block, inputs, ShrinkingSteps(1e-6, FACTOR), CAP, initial=starts, tile=2)
    exact = jax.vmap(lambda u, x: unroll(block, u, 3000, initial=x))(inputs, starts)
    assert (distances(ended, np.asarray(exact)) <= np.asarray(ended.error)).all()
    layers = untie([make(seed=s) for s in range(3)])
    once = settle(layers, inputs[0], RawThreshold(1e-9), 3)
    np.testing.assert_allclose(np.asarray(once.state), np.asarray(unroll(layers, inputs[0], 3)))


@pytest.mark.parametrize("given", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.usefixtures("untyped")
def test_numbers_that_are_no_tolerance_are_refused(given: float):
    for make_rule in (
        RawThreshold,
        lambda t: ShrinkingSteps(t, 0.5),
        lambda t: VanishingDrive(t, 1.0),
        lambda t: VanishingDrive(1.0, t),
    ):
        with pytest.raises(InputProblem, match="finite number above 0"):
            make_rule(given)


@pytest.mark.parametrize("factor", [1.0, 1.5, -0.1, float("nan")])
@pytest.mark.usefixtures("untyped")
def test_factors_that_do_not_shrink_are_refused(factor: float):
    with pytest.raises(InputProblem, match="run to a fixed depth"):
        ShrinkingSteps(1e-3, factor)


@pytest.mark.usefixtures("untyped")
def test_unusable_arguments_are_refused_in_one_line():
    block, u, rule = make(), jnp.ones(INPUTS), ShrinkingSteps(1e-3, FACTOR)
    calls: list[Any] = [
        lambda: settle(block, u, rule, 0),
        lambda: settle(block, u, rule, 7, every=2),
        lambda: settle(block, u, rule, 7, every=0),
        lambda: settle(block, jnp.ones(9), rule, 7),
        lambda: settle_batch(block, jnp.ones((0, INPUTS)), rule, 7),
        lambda: settle_batch(block, jnp.ones((2, INPUTS)), rule, 7, tile=1),
        lambda: settle_batch(block, jnp.ones((2, INPUTS)), rule, 7, initial=jnp.ones((3, UNITS))),
        lambda: settle_network(deep(), u, [rule], 7),
        lambda: settle(untie([block]), u, VanishingDrive(1.0, 1.0), 7),
    ]
    for call in calls:
        with pytest.raises(InputProblem) as refused:
            call()
        assert "\n" not in str(refused.value)
