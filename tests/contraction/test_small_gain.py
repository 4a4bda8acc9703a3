"""Small gain: weak and one-way couplings, in norms of every kind, and none beyond the edge."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contraction.wholes import absolute_module, certified, draw_lower, owners, sizes_of
from limitset.contraction import (
    AbstractMetric,
    BlockMaximumMetric,
    BlockMetric,
    Certificate,
    DiagonalMetric,
    MaximumMetric,
    QuadraticMetric,
    SumMetric,
    Unknown,
    certify,
    compose,
    compose_maps,
)
from limitset.contraction._frame import Frame, gain_upper, measure_upper, ruler_of
from limitset.contraction._small_gain import join_by_gains
from limitset.contraction._wiring import Wiring, wiring_of
from limitset.dynamics import CompositeMap, ExplicitEuler, discretise
from limitset.networks import Composite, RateNetwork
from limitset.proofs import Ball

pytestmark = pytest.mark.usefixtures("no_shape_checks")
seeds = st.integers(0, 2**32 - 1)


def joined(parts: list[Certificate], system: Composite | CompositeMap) -> Certificate | Unknown:
    """By small gain only, whatever composition could do."""
    wiring = wiring_of(system)
    assert isinstance(wiring, Wiring)
    return join_by_gains(wiring, tuple(parts))


def scalar(leak: float) -> Certificate:
    """`x' = -leak x`."""
    return certified(RateNetwork(jnp.zeros((1, 1)), leak=leak))


def draw_metric(rng: np.random.Generator, kind: str) -> AbstractMetric:
    scale = jnp.asarray(np.exp(rng.standard_normal(3)))
    root = rng.standard_normal((3, 3))
    if kind == "block":
        halves = (DiagonalMetric(scale[:1]), QuadraticMetric(jnp.asarray(root[:2] @ root[:2].T)))
        return BlockMetric(halves, (1, 2), scale[:2])
    if kind == "block_maximum":
        return BlockMaximumMetric((SumMetric(scale[:1]), MaximumMetric(scale[1:])), (1, 2))
    plain = {"diagonal": DiagonalMetric, "sum": SumMetric, "maximum": MaximumMetric}
    return (
        QuadraticMetric(jnp.asarray(root @ root.T)) if kind == "quadratic" else plain[kind](scale)
    )


KINDS = ["diagonal", "quadratic", "sum", "maximum", "block", "block_maximum"]


@settings(max_examples=36)
@given(seeds, st.sampled_from(KINDS), st.sampled_from(KINDS))
def test_gains_between_norms_are_bounds(seed: int, to: str, source: str):
    """No vector grows by more; on itself, no vector grows faster than the measure."""
    rng = np.random.default_rng(seed)
    first, second = draw_metric(rng, to), draw_metric(rng, source)
    rulers = ruler_of(first, 3), ruler_of(second, 3)
    if isinstance(rulers[0], str) or isinstance(rulers[1], str):
        assert "ill-conditioned" in str(rulers) or "definite" in str(rulers)
        return
    B = rng.standard_normal((3, 3))
    bound = gain_upper(rulers[0], rulers[1], Ball.exact(B))
    vectors = rng.standard_normal((20, 3)) * 10.0 ** rng.uniform(-3, 3, (20, 3))
    grown = [float(first.norm(jnp.asarray(B @ v)) / second.norm(jnp.asarray(v))) for v in vectors]
    assert max(grown) <= bound * (1 + 1e-9)
    measure = measure_upper(rulers[0], Ball.exact(B))
    for v in vectors:
        here = float(first.norm(jnp.asarray(v)))
        ahead = float(first.norm(jnp.asarray(v + 1e-7 * (B @ v))))
        assert (ahead / here - 1) / 1e-7 <= measure + 1e-4 * (1 + bound * 1e3)
    if isinstance(rulers[0], Frame) and to == source == "quadratic":
        exact = float(first.gain(jnp.asarray(B)))
        again = gain_upper(rulers[0], rulers[0], Ball.exact(B))
        assert exact * (1 - 1e-9) <= again <= exact * (1 + 1e-6)


def test_block_metrics_bound_gains_and_measures_as_the_proofs_do():
    """The floats of `BlockMaximumMetric` are those of the proof, up to rounding."""
    rng = np.random.default_rng(2)
    metric = BlockMaximumMetric(
        tuple(draw_metric(rng, kind) for kind in ("diagonal", "quadratic", "sum", "maximum")),
        (3, 3, 3, 3),
        jnp.asarray(np.exp(rng.standard_normal(4))),
    )
    J = rng.standard_normal((12, 12))
    ruler = ruler_of(metric, 12)
    assert not isinstance(ruler, str)
    assert measure_upper(ruler, Ball.exact(J)) <= float(metric.measure(jnp.asarray(J))) * (1 + 1e-9)
    for v in rng.standard_normal((50, 12)):
        grown = metric.norm(jnp.asarray(J @ v)) / metric.norm(jnp.asarray(v))
        assert grown <= metric.gain(jnp.asarray(J)) * (1 + 1e-12)


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.01, 0.99), st.floats(-3, 3))
def test_two_scalars_contract_up_to_the_edge(a: float, b: float, share: float, skew: float):
    """`|L_01 L_10| < rate_0 rate_1` is enough, and the rate is the matrix's own."""
    size = (share * a * b) ** 0.5
    L = jnp.array([[0.0, size * np.exp(skew)], [size * np.exp(-skew), 0.0]])
    parts = [scalar(a), scalar(b)]
    answer = joined(parts, Composite([p.system for p in parts], L))  # pyright: ignore
    assert isinstance(answer, Certificate) and answer.rate is not None
    abscissa = float(np.linalg.eigvals(np.asarray(L) - np.diag([a, b])).real.max())
    assert -abscissa * 0.99 <= answer.rate <= -abscissa * (1 + 1e-9)
    beyond = joined(parts, Composite([p.system for p in parts], L / share))  # pyright: ignore
    assert isinstance(beyond, Unknown) and beyond.pair == (0, 1)


@settings(max_examples=10)
@given(seeds, st.sampled_from([1.0, 1e3, 1e6]))
def test_hierarchies_of_any_gain_keep_the_least_rate(seed: int, gain: float):
    rng = np.random.default_rng(seed)
    parts = [certified(absolute_module(rng, 3)) for _ in range(4)]
    lower = draw_lower(rng, sizes_of(parts), gain)
    owner = owners(sizes_of(parts))
    # In any order of the parts, not only from the first to the last.
    blocks = rng.permutation(4)
    moved = np.concatenate([np.flatnonzero(owner == k) for k in blocks])
    coupling = jnp.asarray(np.asarray(lower)[np.ix_(moved, moved)])
    chosen = [parts[k] for k in blocks]
    whole = compose(chosen, coupling)
    assert isinstance(whole, Certificate) and whole.rate is not None
    least = min(p.rate or 0.0 for p in chosen)
    # A metric ten times less wide is worth a thousandth of the rate.
    assert whole.rate >= 0.97 * least
    answer = joined(chosen, whole.system)  # pyright: ignore[reportArgumentType]
    assert isinstance(answer, Certificate) and answer.rate is not None
    assert answer.rate >= 0.97 * least


def test_the_cascade_of_two_needs_a_small_weight():
    """`eps gamma^2 / 4 < rate_0 rate_1`: the weights found obey it, and equal ones do not."""
    parts = [scalar(1.0), scalar(2.0)]
    gamma = 30.0
    whole = compose(parts, jnp.array([[0.0, 0.0], [gamma, 0.0]]))
    assert isinstance(whole, Certificate) and isinstance(whole.metric, BlockMetric)
    eps = float(whole.metric.weights[1] / whole.metric.weights[0])
    assert eps * gamma**2 / 4 < 2.0 < gamma**2 / 4


@settings(max_examples=4)
@given(seeds)
def test_mixed_norms_combine(seed: int):
    """The slopes at many corners: the float measure of the whole is below the claim."""
    rng = np.random.default_rng(seed)
    metrics: list[AbstractMetric | None] = [
        MaximumMetric(jnp.asarray(np.exp(rng.standard_normal(3) / 3))),
        SumMetric(jnp.asarray(np.exp(rng.standard_normal(3) / 3))),
        None,
    ]
    modules = [RateNetwork(jnp.asarray(rng.uniform(-0.15, 0.15, (3, 3)))) for _ in metrics]
    parts = []
    for module, metric in zip(modules, metrics, strict=True):
        part = certify(module, metric=metric)
        assert isinstance(part, Certificate)
        parts.append(part)
    coupling = 0.01 * rng.standard_normal((9, 9))
    whole = compose(parts, jnp.asarray(coupling))
    assert isinstance(whole, Certificate) and whole.rate is not None
    assert isinstance(whole.metric, BlockMaximumMetric)
    for _ in range(8):
        J = np.array(coupling)
        for k, module in enumerate(modules):
            at = slice(3 * k, 3 * k + 3)
            J[at, at] += np.asarray(module.weight) * (rng.random(3) < 0.5) - np.eye(3)
        assert float(whole.metric.measure(jnp.asarray(J))) <= -whole.rate + 1e-9


@settings(max_examples=10)
@given(seeds)
def test_maps_combine_by_the_gains_of_the_mixing(seed: int):
    rng = np.random.default_rng(seed)
    parts = [certified(discretise(absolute_module(rng, 3), ExplicitEuler(0.5))) for _ in range(3)]
    lower = np.asarray(draw_lower(rng, sizes_of(parts), 100.0))
    worst = max(p.factor or 0.0 for p in parts)
    whole = compose_maps(parts, jnp.asarray(np.eye(9) + lower))
    assert isinstance(whole, Certificate) and whole.factor is not None
    assert whole.factor <= 1 - 0.98 * (1 - worst)
    back = np.zeros((9, 9))
    back[0, 8] = 1.0
    answer = compose_maps(parts, jnp.asarray(np.eye(9) + lower + back))
    assert isinstance(answer, Unknown)


def test_feedback_that_is_not_small_is_refused():
    parts = [scalar(1.0), scalar(1.0)]
    for L in ([[0.0, -2.0], [2.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [[1.5, 0.0], [0.0, 0.0]]):
        answer = joined(parts, Composite([p.system for p in parts], jnp.array(L)))  # pyright: ignore
        assert isinstance(answer, Unknown) and "gains are too large" in answer.reason
