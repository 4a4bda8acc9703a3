"""Composition: feedback of any size keeps the slowest rate, and every wrong twin is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contraction.wholes import (
    absolute_module,
    certified,
    corner_jacobians,
    draw_lower,
    draw_parts,
    metrics_of,
    orthogonal_module,
    owners,
    sizes_of,
    symmetric_module,
    worst_growth,
)
from limitset._result import Evidence, InputProblem
from limitset.contraction import (
    THEOREMS,
    AbsoluteValue,
    BlockMetric,
    Certificate,
    Composition,
    DiagonalMetric,
    QuadraticMetric,
    Unknown,
    certify,
    compose,
    compose_maps,
    dissipative_coupling,
    explain,
    skew_feedback,
)
from limitset.dynamics import (
    Cayley,
    CompositeMap,
    ExplicitEuler,
    Rotation,
    SemiImplicit,
    discretise,
    propagator,
)
from limitset.networks import Assembly, Composite, RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")
seeds = st.integers(0, 2**32 - 1)
(COMPOSITION,) = (t for t in THEOREMS if isinstance(t, Composition))


def proved(answer: Certificate | Unknown) -> Certificate:
    assert isinstance(answer, Certificate), answer.reason
    return answer


def rate_of(part: Certificate) -> float:
    assert part.rate is not None
    return part.rate


def slowest(parts: list[Certificate]) -> float:
    return min(rate_of(part) for part in parts)


@settings(max_examples=10)
@given(seeds, st.sampled_from([1.0, 1e2, 1e4]))
def test_feedback_of_any_size_keeps_the_slowest_rate(seed: int, gain: float):
    rng = np.random.default_rng(seed)
    parts = draw_parts(rng)
    lower = draw_lower(rng, sizes_of(parts), gain)
    whole = proved(compose(parts, skew_feedback(lower, metrics_of(parts))))
    assert slowest(parts) * (1 - 1e-6) <= rate_of(whole) <= slowest(parts)
    assert whole.evidence is Evidence.VERIFIED and len(whole.parts) == len(parts)


def test_the_mix_of_four_theorems_keeps_its_rate_under_a_coupling_of_ten_thousand():
    rng = np.random.default_rng(0)
    modules = [
        orthogonal_module(rng, 6),
        absolute_module(rng, 5),
        symmetric_module(rng, 4),
        orthogonal_module(rng, 3),
    ]
    parts = [certified(module) for module in modules]
    coupling = skew_feedback(draw_lower(rng, sizes_of(parts), 1e4), metrics_of(parts))
    assert float(jnp.linalg.norm(coupling, 2)) > 1e4
    whole = proved(compose(parts, coupling))
    assert rate_of(whole) >= slowest(parts) * (1 - 1e-6)
    # A fifth module takes the assembly as one part, in the metric of the whole.
    fifth = certified(absolute_module(rng, 3))
    both = [whole, fifth]
    outer = skew_feedback(draw_lower(rng, sizes_of(both), 1e4), metrics_of(both))
    larger = proved(compose(both, outer))
    assert rate_of(larger) >= min(slowest(parts), rate_of(fifth)) * (1 - 1e-6)
    # Twice more, and the parts are still those proved at first.
    twice = proved(compose([larger, larger], jnp.zeros((42, 42))))
    assert rate_of(twice) >= rate_of(larger) * (1 - 1e-12)
    assert twice.parts[0].parts[0].parts[0].system is modules[0]


@settings(max_examples=10)
@given(seeds)
def test_claims_hold_at_all_corners(seed: int):
    """The measure in the metric found, computed in floats at corners of the slope box."""
    rng = np.random.default_rng(seed)
    parts = draw_parts(rng)
    speeds = jnp.asarray(np.exp(rng.standard_normal(len(parts))))
    lower = draw_lower(rng, sizes_of(parts), 10.0)
    residual = 1e-2 * rng.standard_normal(lower.shape)
    answer = compose(parts, skew_feedback(lower, metrics_of(parts)) + residual, speeds=speeds)
    if isinstance(answer, Unknown) or answer.theorem != "composition":
        return
    modules = [p.system for p in parts if isinstance(p.system, RateNetwork)]
    J = corner_jacobians(modules, 256, rng)
    system = answer.system
    assert isinstance(system, Composite)
    own = np.asarray(speeds)[owners(sizes_of(parts))]
    whole = J * own[:, None] + np.asarray(system.coupling)
    assert worst_growth(answer.metric, whole) <= -rate_of(answer) + 1e-9


@settings(max_examples=10)
@given(seeds)
def test_stars_take_a_gain_for_every_edge(seed: int):
    """The metric finds the weights; around a cycle their product must be 1."""
    rng = np.random.default_rng(seed)
    parts = [certified(absolute_module(rng, n)) for n in (3, 3, 3, 3)]
    owner = owners(sizes_of(parts))
    lower = draw_lower(rng, sizes_of(parts), 50.0)
    gains = jnp.ones((4, 4)).at[1:, 0].set(jnp.array([3.0, 0.2, 7.0]))
    star = skew_feedback(jnp.where(owner == 0, lower, 0), metrics_of(parts), gains)
    whole = proved(compose(parts, star))
    assert rate_of(whole) >= slowest(parts) * (1 - 1e-6)
    assert isinstance(whole.metric, BlockMetric)
    weights = np.asarray(whole.metric.weights)
    assert weights[1:] / weights[0] == pytest.approx([1 / 3.0, 1 / 0.2, 1 / 7.0]) or (
        weights[1:] / weights[0] == pytest.approx([3.0, 0.2, 7.0])
    )
    cycle = skew_feedback(lower, metrics_of(parts), gains)
    answer = compose(parts, cycle)
    assert isinstance(answer, Unknown) and "parts" in answer.reason
    # Gains k_i / k_j multiply to 1 around every cycle.
    k = jnp.asarray([1.0, 3.0, 0.2, 7.0])
    fitting = skew_feedback(lower, metrics_of(parts), k[:, None] / k)
    assert rate_of(proved(compose(parts, fitting))) >= slowest(parts) * (1 - 1e-6)


@settings(max_examples=10)
@given(seeds, st.sampled_from([1.0, 1e3]))
def test_damping_costs_nothing(seed: int, size: float):
    rng = np.random.default_rng(seed)
    parts = draw_parts(rng)
    n = sum(sizes_of(parts))
    exchange, damping = (jnp.asarray(size * rng.standard_normal((n, n))) for _ in range(2))
    coupling = dissipative_coupling(exchange, damping / size**0.5, metrics_of(parts))
    whole = proved(compose(parts, coupling))
    assert rate_of(whole) >= slowest(parts) * (1 - 1e-6)
    assert isinstance(compose(parts, -coupling), Unknown)


def test_slack_of_fast_parts_is_used():
    """Two parts of rates 1 and 3 under a residual of 1/2 per entry: exactly `2 - sqrt(1.25)`."""
    zero = jnp.zeros((1, 1))
    parts = [certified(RateNetwork(zero, leak=leak)) for leak in (1.0, 3.0)]
    residual = jnp.array([[0.0, 0.5], [0.5, 0.0]])
    whole = proved(compose(parts, residual))
    assert rate_of(whole) == pytest.approx(2 - 1.25**0.5, rel=1e-9)
    assert isinstance(compose(parts, 4 * residual), Unknown)


@settings(max_examples=10)
@given(seeds)
def test_speeds_scale_the_rates_of_parts_only(seed: int):
    rng = np.random.default_rng(seed)
    parts = draw_parts(rng)
    speeds = np.exp(rng.standard_normal(len(parts)))
    lower = draw_lower(rng, sizes_of(parts), 100.0)
    coupling = skew_feedback(lower, metrics_of(parts))
    whole = proved(compose(parts, coupling, speeds=jnp.asarray(speeds)))
    expected = min(s * rate_of(p) for s, p in zip(speeds, parts, strict=True))
    assert expected * (1 - 1e-6) <= rate_of(whole) <= expected


@settings(max_examples=10)
@given(seeds, st.sampled_from([SemiImplicit, Cayley, Rotation]))
def test_maps_keep_the_worst_factor_under_any_propagator(seed: int, scheme: type):
    rng = np.random.default_rng(seed)
    parts = draw_parts(rng, step=0.1)
    lower = draw_lower(rng, sizes_of(parts), 1e3)
    coupling = skew_feedback(lower, metrics_of(parts))
    whole = proved(compose_maps(parts, propagator(coupling, scheme(0.1))))
    worst = max(part.factor or 0.0 for part in parts)
    assert whole.factor is not None and whole.factor <= worst + 1e-6 * (1 - worst)
    if scheme is not SemiImplicit:
        assert whole.factor >= worst * (1 - 1e-6)


def test_maps_find_the_weights_of_stars():
    rng = np.random.default_rng(3)
    parts = [certified(discretise(absolute_module(rng, 3), ExplicitEuler(0.2))) for _ in range(3)]
    gains = jnp.ones((3, 3)).at[1, 0].set(30.0).at[2, 0].set(0.02)
    lower = draw_lower(rng, sizes_of(parts), 10.0).at[:, 3:].set(0)
    coupling = skew_feedback(lower, metrics_of(parts), gains)
    for scheme in (SemiImplicit(0.2), Cayley(0.2), Rotation(0.2)):
        whole = proved(compose_maps(parts, propagator(coupling, scheme)))
        worst = max(part.factor or 0.0 for part in parts)
        assert whole.factor is not None and whole.factor <= worst + 1e-4 * (1 - worst)


def test_certify_proves_what_compose_takes_as_data():
    """The same bound, for composites and assemblies, from the same theorem about the parts."""
    rng = np.random.default_rng(0)
    answers = [certify(absolute_module(rng, 3), theorems=(AbsoluteValue(),)) for _ in range(3)]
    parts = [part for part in answers if isinstance(part, Certificate)]
    coupling = skew_feedback(draw_lower(rng, sizes_of(parts), 10.0), metrics_of(parts))
    flows = [p.system for p in parts if isinstance(p.system, RateNetwork)]
    expected = proved(compose(parts, coupling))
    for system in (Composite(flows, coupling), Assembly(flows, coupling)):
        answer = certify(system, theorems=(Composition((AbsoluteValue(),)),))
        assert isinstance(answer, Certificate)
        assert rate_of(answer) == pytest.approx(rate_of(expected), rel=1e-12)
        assert "module 1: absolute_value" in explain(answer)


def test_a_block_metric_is_passed_on_to_the_parts():
    rng = np.random.default_rng(1)
    parts = [certified(absolute_module(rng, n)) for n in (2, 3)]
    coupling = skew_feedback(draw_lower(rng, [2, 3], 1e3), metrics_of(parts))
    modules = [p.system for p in parts if isinstance(p.system, RateNetwork)]
    scales = [np.exp(rng.standard_normal(n) / 10) for n in (2, 3)]
    for system in (Composite(modules, coupling), Assembly(modules, coupling)):
        metric = BlockMetric(metrics_of(parts), [2, 3], jnp.array([2.0, 2.0]))
        answer = certify(system, metric=metric, theorems=(COMPOSITION,))
        assert isinstance(answer, Certificate)
        assert isinstance(answer.metric, BlockMetric)
        assert answer.metric.weights.tolist() == [2.0, 2.0]
        other = BlockMetric([DiagonalMetric(jnp.asarray(s)) for s in scales], [2, 3])
        assert isinstance(certify(system, metric=other, theorems=(COMPOSITION,)), Unknown)
        turned = BlockMetric(metrics_of(parts)[::-1], [3, 2])
        answer = certify(system, metric=turned, theorems=(COMPOSITION,))
        assert isinstance(answer, Unknown) and "BlockMetric" in answer.reason


def test_evidence_is_the_least_of_the_parts():
    part = certified(RateNetwork(jnp.zeros((1, 1))))
    weaker = Certificate(
        part.system, "sector", part.metric, 1.0, None, (), (), evidence=Evidence.SAMPLED
    )
    whole = proved(compose([part, weaker], jnp.zeros((2, 2))))
    assert whole.evidence is Evidence.SAMPLED and "[sampled]" in whole.claim()


def test_refusals_name_the_pair_and_the_direction():
    """Along the direction the float measure of the whole is positive, in the parts' metric."""
    rng = np.random.default_rng(5)
    parts = [certified(orthogonal_module(rng, 3)) for _ in range(3)]
    owner = owners(sizes_of(parts))
    fine = skew_feedback(draw_lower(rng, sizes_of(parts), 5.0), metrics_of(parts))
    spoiled = jnp.where((owner[:, None] == 2) & (owner == 0), -fine, fine)
    answer = compose(parts, spoiled)
    assert isinstance(answer, Unknown)
    assert answer.pair == (0, 2) and "parts 0 and 2" in answer.reason
    v = answer.direction
    assert v is not None and v.shape == (9,)
    M = np.diag(np.concatenate([np.asarray(p.metric.scale) ** 2 for p in parts]))  # pyright: ignore
    assert v @ M @ np.asarray(spoiled) @ v > slowest(parts) * (v @ M @ v)


def test_parts_and_couplings_that_do_not_fit():
    flow = certified(RateNetwork(jnp.zeros((1, 1))))
    step = certified(discretise(RateNetwork(jnp.zeros((1, 1))), ExplicitEuler(0.5)))
    with pytest.raises(InputProblem, match="compose_maps"):
        compose([flow, step], jnp.zeros((2, 2)))
    with pytest.raises(InputProblem, match="compose joins flows"):
        compose_maps([flow, step], jnp.zeros((2, 2)))
    with pytest.raises(InputProblem, match="shape"):
        compose([flow, flow], jnp.zeros((3, 3)))
    with pytest.raises(InputProblem, match="certificates"):
        compose([flow, flow.system], jnp.zeros((2, 2)))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputProblem, match="finite"):
        compose([flow], jnp.full((1, 1), jnp.nan))
    with pytest.raises(InputProblem, match="speeds"):
        compose([flow], jnp.zeros((1, 1)), speeds=jnp.array([-1.0]))
    with pytest.raises(InputProblem, match="at least one"):
        compose([], jnp.zeros((0, 0)))


@settings(max_examples=10)
@given(seeds)
def test_skew_feedback_is_skew(seed: int):
    """`M L + L^T M = 0`, for metrics of every quadratic kind."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((3, 3))
    dense = QuadraticMetric(jnp.asarray(root @ root.T + np.eye(3)))
    diagonal = DiagonalMetric(jnp.asarray(np.exp(rng.standard_normal(2))))
    metrics = [diagonal, dense, BlockMetric((dense, diagonal), (3, 2), jnp.array([2.0, 0.3]))]
    lower = draw_lower(rng, [2, 3, 5], 1.0)
    L = skew_feedback(lower, metrics)
    M = np.zeros((10, 10))
    M[:2, :2] = M[8:, 8:] = np.diag(np.asarray(diagonal.scale) ** 2)
    M[2:5, 2:5] = M[5:8, 5:8] = np.asarray(dense.matrix)
    M[5:8, 5:8] *= 2
    M[8:, 8:] *= 0.3
    skew = M @ np.asarray(L)
    assert np.abs(skew + skew.T).max() <= 1e-12 * np.abs(skew).max()
    assert np.array_equal(np.tril(np.asarray(lower)), np.tril(np.asarray(L)) * (lower != 0))
    loss = M @ np.asarray(dissipative_coupling(lower, lower, metrics))
    assert np.linalg.eigvalsh(loss + loss.T)[-1] <= 1e-10 * np.abs(loss).max()


def test_couplings_are_differentiable_and_refuse_what_does_not_fit():
    metrics = [DiagonalMetric(jnp.ones(1)), QuadraticMetric(jnp.eye(2))]
    lower = jnp.zeros((3, 3)).at[1:, 0].set(1.0)
    gradient = jax.grad(lambda x: (skew_feedback(x, metrics) ** 2).sum())(lower)
    assert gradient.tolist() == (4 * lower).tolist()
    for wrong in (lower.T, jnp.eye(3)):
        with pytest.raises(InputProblem, match="below the diagonal"):
            skew_feedback(wrong, metrics)
    with pytest.raises(InputProblem, match="sizes"):
        skew_feedback(jnp.zeros((2, 2)), metrics)
    with pytest.raises(InputProblem, match="gains"):
        skew_feedback(lower, metrics, jnp.ones((3, 3)))
    with pytest.raises(InputProblem, match="damping"):
        dissipative_coupling(lower, jnp.ones((2, 1)), metrics)


def test_composite_maps_know_the_metric_of_their_flow():
    """The metric of a certified composite serves the map of it, part by part."""
    rng = np.random.default_rng(11)
    parts = [certified(orthogonal_module(rng, n)) for n in (3, 2)]
    whole = proved(compose(parts, skew_feedback(draw_lower(rng, [3, 2], 1e3), metrics_of(parts))))
    both = [whole, parts[0]]
    lower = draw_lower(rng, sizes_of(both), 1e3)
    nested = proved(compose(both, skew_feedback(lower, metrics_of(both))))
    for scheme in (SemiImplicit(0.2), Cayley(0.2), Rotation(0.2)):
        system = nested.system
        assert isinstance(system, Composite)
        running = discretise(system, scheme)
        assert isinstance(running, CompositeMap)
        answer = certify(running, metric=nested.metric, theorems=(COMPOSITION,))
        assert isinstance(answer, Certificate), answer.reason
        assert answer.factor is not None and answer.factor <= 1 - 0.2 * 0.299
