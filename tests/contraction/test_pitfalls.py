"""Known mistakes of the field, one named test for each: the wrong twin is refused."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg as sla

from contraction.wholes import (
    absolute_module,
    certified,
    corner_jacobians,
    draw_lower,
    metrics_of,
    orthogonal_module,
    symmetric_module,
)
from limitset.contraction import (
    THEOREMS,
    AbsoluteValue,
    AbsoluteValueWeight,
    Certificate,
    DiagonalMetric,
    Metzler,
    QuadraticMetric,
    Sector,
    SingularValue,
    SkewFeedback,
    SparsityPattern,
    StableAssembly,
    SymmetricWeight,
    Unknown,
    certify,
    compose,
    discrete_factor,
    explain,
    largest_step,
    measure_distances,
    random_stable_assembly,
    random_stable_ren,
    skew_feedback,
    sparse_assembly,
)
from limitset.dynamics import (
    AbstractFlow,
    BackwardEuler,
    Cayley,
    ExplicitEuler,
    Rotation,
    SemiImplicit,
    discretise,
)
from limitset.networks import (
    REN,
    Activation,
    Assembly,
    Composite,
    GatedAssembly,
    GatedRate,
    RateNetwork,
)

pytestmark = pytest.mark.usefixtures("no_shape_checks")


class _GatedWhole(AbstractFlow):
    """The wrong twin: `x' = nu(u) * (-x + L x)`, with the gate on the coupling too."""

    inner: GatedAssembly

    @property
    def state_size(self) -> int:
        return self.inner.state_size

    @property
    def input_size(self) -> int:
        return self.inner.input_size

    def velocity(self, t: Any, x: jax.Array, u: jax.Array) -> jax.Array:
        return self.inner.units.enter(u)[0] * (-x + self.inner.coupling @ x)


class _GatedByState(AbstractFlow):
    """The other wrong twin: `x' = nu(x) * (-x + u)`, with gates that see the state."""

    @property
    def state_size(self) -> int:
        return 1

    @property
    def input_size(self) -> int:
        return 1

    def velocity(self, t: Any, x: jax.Array, u: jax.Array) -> jax.Array:
        return (0.002 + 0.198 * jax.nn.sigmoid(5 * x)) * (-x + u)


def _proved(system: Any, **options: Any) -> Any:
    answer = certify(system, **options)
    assert isinstance(answer, Certificate), answer.reason
    return answer


def _swapping_units() -> GatedAssembly:
    """No recurrent weights, coupling 2, gates from 0.002 to 0.2 that the sign of an input swaps."""
    units = GatedRate(
        jnp.zeros(2), jnp.zeros((2, 1)), gate_weight=jnp.array([[50.0], [-50.0]]),
        slowest=0.002, fastest=0.2,
    )  # fmt: skip
    return GatedAssembly(units, jnp.array([[0.0, -2.0], [2.0, 0.0]]))


def _monodromy(flow: AbstractFlow, period: float) -> np.ndarray:
    """The linear flow over half a period of input 1, then half a period of input -1."""
    halves = []
    for u in (1.0, -1.0):
        field = jax.jacobian(lambda x, u=u: flow.velocity(0.0, x, jnp.array([u])))
        halves.append(sla.expm(period / 2 * np.asarray(field(jnp.zeros(flow.state_size)))))
    return halves[1] @ halves[0]


def test_pitfall_05_gates_that_multiply_the_coupling_are_refused():
    """Gates swap between (0.2, 0.002) and (0.002, 0.2) every 17 units of time: factor 3.1."""
    good = _swapping_units()
    bad = _GatedWhole(good)
    for u, gates in ((1.0, [0.2, 0.002]), (-1.0, [0.002, 0.2])):
        assert np.allclose(good.units.enter(jnp.array([u]))[0], gates)
    assert abs(np.abs(np.linalg.eigvals(_monodromy(bad, 34.0))).max() - 3.1103) < 1e-4
    for wrong in (bad, discretise(bad, ExplicitEuler(0.1))):
        answer = certify(wrong)
        assert not isinstance(answer, Certificate)
    # The same ingredients, with the gates on the units alone.
    answer = _proved(good)
    assert 0.0019999 < answer.rate <= 0.002
    for period in (1.0, 34.0, 200.0):
        assert np.linalg.norm(_monodromy(good, period), 2) <= np.exp(-answer.rate * period)


def test_pitfall_05_the_map_with_gates_outside_the_coupling_decays():
    """The measured distance under the very inputs that tear the wrong twin apart."""
    good = _swapping_units()
    signs = np.where(np.arange(3400) // 170 % 2, -1.0, 1.0)
    inputs = jnp.asarray(signs)[None, :, None]
    starts = jnp.ones((1, 2)), jnp.zeros((1, 2))
    right, wrong = discretise(good, Cayley(0.1)), discretise(_GatedWhole(good), ExplicitEuler(0.1))
    answer = _proved(right)
    assert answer.factor <= 1 - 0.1 * 0.002 + 1e-9
    pairs = ((start, inputs) for start in starts)
    first, second = pairs
    decay = np.asarray(measure_distances(right, answer.metric, first, second))[0]
    assert (decay[1:] <= answer.factor * decay[:-1] * (1 + 1e-12)).all()
    growth = np.asarray(measure_distances(wrong, answer.metric, first, second))[0]
    assert decay[-1] < 1e-10 and growth[-1] > 1e4


def test_pitfall_05_a_composite_keeps_its_coupling_outside_the_gates():
    """Gated units as a part beside others, under feedback of any size."""
    good = _swapping_units()
    other = RateNetwork(0.4 * jnp.eye(2), jnp.ones((2, 1)))
    coupling = np.zeros((4, 4))
    coupling[:2, :2] = good.coupling
    coupling[2:, :2] = [[10.0, 20.0], [30.0, 40.0]]
    coupling[:2, 2:] = -coupling[2:, :2].T
    answer = _proved(Composite((good.units, other), jnp.asarray(coupling)))
    assert answer.theorem == "composition" and abs(answer.rate - 0.002) < 1e-9
    wrong = Composite((_GatedWhole(good), other), jnp.zeros((4, 4)))
    assert not isinstance(certify(wrong), Certificate)


def test_pitfall_05_gates_that_see_the_state_are_refused():
    """`d/dx nu(x) (u - x)` is positive where a gate opens fast enough: distances grow."""
    flow = _GatedByState()
    slope = jax.jacobian(lambda x: flow.velocity(0.0, x, jnp.array([10.0])))(jnp.zeros(1))
    assert slope[0, 0] > 2
    assert not isinstance(certify(flow), Certificate)
    # No class of this library takes a gate's weights from the state.
    with pytest.raises(TypeError):
        GatedRate(jnp.zeros(1), slowest=0.1, fastest=0.2, state_gate_weight=jnp.ones(1))  # pyright: ignore[reportCallIssue]


def test_pitfall_07_slopes_other_than_one_reach_gates_and_equilibrium_networks():
    """A bound for slopes up to 1 says nothing of silu and gelu, and too little of sigmoid."""
    for activation, weight, fine in (
        ("tanh", 0.9, True), ("tanh", 1.1, False), ("sigmoid", 3.6, True), ("sigmoid", 4.4, False),
        ("silu", 0.9, False), ("gelu", 0.9, False), ("silu", 0.0, False),
    ):  # fmt: skip
        units = GatedRate(jnp.full(2, weight), slowest=0.1, fastest=0.2, activation=activation)
        one, none = jnp.ones((1, 1)), jnp.zeros(1)
        ren = REN(0 * one, weight * one, one, none, one, 0 * one, one, none, activation=activation)
        for system in (units, discretise(units, ExplicitEuler(1.0)), ren):
            assert isinstance(certify(system), Certificate) == fine, (activation, weight)


def test_pitfall_07_a_leak_of_its_own_is_part_of_the_bound():
    """A gate is a leak that varies: at speed 0.1, weights of 1 behind it leave no rate at all."""
    for speed in (0.1, 1.0, 10.0):
        units = GatedRate(jnp.full(2, 0.5), slowest=speed, fastest=2 * speed)
        assert abs(_proved(units).rate / (speed / 2) - 1) < 1e-12
        assert not isinstance(
            certify(eqx.tree_at(lambda s: s.self_weight, units, jnp.ones(2))), Certificate
        )


def test_pitfall_07_the_factor_of_an_equilibrium_network_is_honoured():
    for factor in (0.3, 0.6, 1.0):
        core = random_stable_ren(jax.random.key(0), states=3, units=4, inputs=1, factor=factor)
        assert _proved(core.explicit(), metric=core.metric()).factor <= factor


def _rates(weight: Any, **options: Any) -> RateNetwork:
    return RateNetwork(jnp.asarray(weight, jnp.float64), **options)


def _refused(system: Any, **options: Any) -> None:
    answer = certify(system, **options)
    assert not isinstance(answer, Certificate), answer.claim()


def test_pitfall_01_the_metric_of_the_other_form_is_refused():
    """`W = T - T^2 / (4 a)` has the metric `T^2` for firing rates, `T^-2` in the Hopfield form."""
    half = np.random.default_rng(1).standard_normal((6, 6))
    T = half @ half.T / 6 + 0.1 * np.eye(6)
    weight, inverse = T - T @ T / 2.8, np.linalg.inv(T)
    for form, own, other in (
        ("firing_rate", T @ T, inverse @ inverse),
        ("hopfield", inverse @ inverse, T @ T),
    ):
        right = _proved(_rates(weight, form=form), metric=QuadraticMetric(jnp.asarray(own)))
        assert right.rate > 0.3 - 1e-6
        _refused(_rates(weight, form=form), metric=QuadraticMetric(jnp.asarray(other)))


def test_pitfall_02_elementwise_products_pass_every_weight_and_are_no_test():
    """The tester of a public initialiser, and weights that violate what it passes.

    `0.5 I * (|W| - I)`, entry by entry, keeps the diagonal only, so that it is negative definite
    for all weights without self-weights; `exp` entry by entry makes the integral 0.5 I too.
    """
    rng, passed = np.random.default_rng(0), 0
    for _ in range(20):
        weight = rng.uniform(-10, 10, (8, 8)) * (rng.random((8, 8)) < 0.3)
        np.fill_diagonal(weight, 0.0)
        magnitude = np.abs(weight)
        faulty = 0.5 * np.eye(8) * (magnitude - np.eye(8))
        assert np.linalg.eigvalsh(faulty + faulty.T)[-1] < 0
        honest = 0.5 * (magnitude - np.eye(8))
        if np.linalg.eigvalsh(honest + honest.T)[-1] < 0:
            continue
        passed += 1
        round_metric = DiagonalMetric(jnp.full(8, np.sqrt(0.5)))
        _refused(_rates(weight), metric=round_metric, theorems=(AbsoluteValue(),))
    assert passed > 15


def test_pitfall_06_self_weights_keep_their_sign_and_count_as_nothing_when_negative():
    """A positive one is not dropped; a negative one neither counts as positive nor helps."""
    _refused(_rates(np.diag([1.2, 0.1])))
    for theorem in (AbsoluteValue(), Metzler()):
        positive = _proved(_rates(np.diag([0.9, -5.0])), theorems=(theorem,))
        assert positive.rate == pytest.approx(0.1, abs=1e-3)
        # -5 counted as 5 would refuse it; -5 kept as it is would claim the rate 6.
        negative = _proved(_rates(np.diag([-5.0, -5.0])), theorems=(theorem,))
        assert negative.rate == pytest.approx(1.0, abs=1e-3)
    crossed = np.array([[-4.0, 3.0], [3.0, -4.0]])
    assert np.linalg.eigvalsh(crossed)[-1] == -1  # which would claim the rate 2
    _refused(_rates(crossed), theorems=(AbsoluteValue(),))
    assert _proved(_rates(crossed)).rate <= 1.0


def test_pitfall_07_leaks_and_slopes_other_than_one_enter_the_bound():
    """`sigma < leak / g`: 0.99 is too much for leak 0.5, and for slopes up to 1.1."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    slow = 0.99 * np.eye(2)
    _refused(_rates(slow, leak=0.5))
    assert _proved(_rates(slow, leak=1.0)).rate == pytest.approx(0.01, rel=1e-3)
    steep = Activation("steep", lambda x: 1.1 * jnp.tanh(x), (0.0, 1.1))
    _refused(_rates(0.95 * np.eye(2), activation=steep))
    # Slopes that may be negative: the rotation gains from both ends, and an unknown slope is none.
    dipping = Activation("dipping", lambda x: x * jax.nn.sigmoid(x), (-0.1, 1.1))
    singular = (AbsoluteValue(), SingularValue())
    for scale, holds in ((0.9, True), (0.92, False)):
        answer = certify(_rates(scale * turn, activation=dipping), theorems=singular)
        assert isinstance(answer, Certificate) == holds
    assert _proved(_rates(np.diag([-5.0, -5.0]), activation=dipping)).rate < 0.501
    _refused(_rates(0.1 * turn, activation="silu"))
    assert _proved(_rates(3.9 * turn, activation="sigmoid")).rate > 0.02


def test_pitfall_08_reducible_weights_have_finite_metrics_and_a_told_condition():
    """Perron vectors have zeros there: no NaN, no infinity, and `cond(M)` is reported."""
    rng = np.random.default_rng(2)
    chain = np.tril(2 * rng.standard_normal((12, 12)), -1) + np.diag(rng.uniform(-3, 0.9, 12))
    for weight in (chain, chain.T, np.zeros((3, 3)), np.kron(np.eye(2), 0.3 * np.ones((3, 3)))):
        eigenvectors = np.linalg.eig(np.abs(weight))[1]
        assert (np.abs(eigenvectors) < 1e-12).any()
        for theorem in (AbsoluteValue(), Metzler()):
            certificate = _proved(_rates(weight), theorems=(theorem,))
            scale = np.asarray(certificate.metric.scale)
            assert np.isfinite(scale).all() and (scale > 0).all()
            assert 1 <= certificate.condition < np.inf
            assert f"cond(M) {certificate.condition:.3g}" in explain(certificate)


def test_pitfall_09_sampled_jacobians_and_their_eigenvalues_prove_nothing():
    """All frozen eigenvalues are stable, all sampled log-norms of a stiff network negative: no."""
    turn = np.array([[0.0, -4.0], [4.0, 0.0]])
    slopes = np.random.default_rng(3).random((2000, 2))
    frozen = [np.linalg.eigvals(turn * d - np.eye(2)).real.max() for d in slopes]
    assert max(frozen) <= -1 + 1e-9
    _refused(_rates(turn))
    # One unit in ten thousand corners: most samples miss the corner that expands.
    row = np.full((14, 14), 0.0)
    row[0, 1:] = 0.62
    corners = np.random.default_rng(4).random((300, 14))
    growths = [np.linalg.eigvalsh((row * d + (row * d).T) / 2)[-1] - 1 for d in corners]
    assert max(growths) < 0
    _refused(_rates(row), metric=DiagonalMetric(jnp.ones(14)))


def test_pitfall_14_the_largest_eigenvalue_itself_gives_no_nan():
    """`sqrt(1 - s / a)` at `s = a`, also where the eigenvalue is repeated or 0."""
    rng = np.random.default_rng(5)
    axes = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    for values in ([0.5] * 5, [0.5, 0.5, -1.0, -1.0, 0.0], [0.0] * 5, [-1.0] * 5):
        weight = (axes * np.array(values)) @ axes.T
        for form in ("hopfield", "firing_rate"):
            answer = _proved(_rates((weight + weight.T) / 2, form=form), theorems=(Sector(),))
            assert np.isfinite(np.asarray(answer.metric.matrix)).all()
            assert answer.rate > 1 - max(values[0], 0.0) - 1e-3


def _joint(parts: list[Certificate], coupling: Any) -> float | None:
    """The rate of the parts under the coupling, if it is certified."""
    answer = compose(parts, jnp.asarray(coupling))
    return answer.rate if isinstance(answer, Certificate) else None


def _scales(parts: list[Certificate]) -> np.ndarray:
    """The scales of all units, for parts in diagonal metrics."""
    metrics = [part.metric for part in parts if isinstance(part.metric, DiagonalMetric)]
    return np.concatenate([np.asarray(metric.scale) for metric in metrics])


def test_pitfall_01_the_inverse_metric_in_the_coupling_is_refused():
    """`B - M B^T M^-1` for `B - M^-1 B^T M`; and the Hopfield metric for firing-rate modules."""
    rng = np.random.default_rng(31)
    parts = [certified(orthogonal_module(rng, 3)) for _ in range(2)]
    metrics, lower = metrics_of(parts), draw_lower(rng, [3, 3], 5.0)
    inverse = [DiagonalMetric(1 / m.scale) for m in metrics if isinstance(m, DiagonalMetric)]
    least = min(part.rate or 0.0 for part in parts)
    right = _joint(parts, skew_feedback(lower, metrics))
    assert right is not None and right >= least * (1 - 1e-6)
    assert _joint(parts, skew_feedback(lower, inverse)) is None
    # The same numbers, taken for a metric of the other form.
    firing = [certified(symmetric_module(rng, 3)) for _ in range(2)]
    wrong = [
        QuadraticMetric(jnp.linalg.inv(m.matrix))
        for m in metrics_of(firing)
        if isinstance(m, QuadraticMetric)
    ]
    wrong = [QuadraticMetric((m.matrix + m.matrix.T) / 2) for m in wrong]
    assert _joint(firing, skew_feedback(lower, metrics_of(firing))) is not None
    assert _joint(firing, skew_feedback(lower, wrong)) is None


def test_pitfall_03_skew_in_the_wrong_metric_is_refused():
    """`B - B^T` is negative feedback in round metrics only: here it makes the whole unstable."""
    rng = np.random.default_rng(33)
    parts = [certified(orthogonal_module(rng, 4, spread=1.5)) for _ in range(2)]
    lower = draw_lower(rng, [4, 4], 3.0)
    assert _joint(parts, skew_feedback(lower, metrics_of(parts))) is not None
    plain = lower - lower.T
    answer = compose(parts, plain)
    assert isinstance(answer, Unknown) and answer.pair == (0, 1)
    # The refusal is right: some Jacobian of the whole has an eigenvalue in the right half plane.
    modules = [part.system for part in parts if isinstance(part.system, RateNetwork)]
    frozen = corner_jacobians(modules, 256, rng) + np.asarray(plain)
    assert np.linalg.eigvals(frozen).real.max() > 0.1
    # And along the direction named, the squared distance in the parts' metric grows.
    v, scale = answer.direction, _scales(parts)
    assert v is not None and v @ (scale**2 * (np.asarray(plain) @ v)) > 0


def test_pitfall_05_speeds_belong_to_the_parts_and_not_to_the_coupling():
    """`x_i' = s_i (f_i + sum_j L_ij x_j)`: the coupling is skew in another metric then."""
    rng = np.random.default_rng(35)
    parts = [certified(absolute_module(rng, 3)) for _ in range(3)]
    coupling = skew_feedback(draw_lower(rng, [3, 3, 3], 30.0), metrics_of(parts))
    speeds = np.array([0.05, 1.0, 3.0])
    outside = compose(parts, coupling, speeds=jnp.asarray(speeds))
    assert isinstance(outside, Certificate) and outside.rate is not None
    least = min(s * (part.rate or 0.0) for s, part in zip(speeds, parts, strict=True))
    assert outside.rate >= least * (1 - 1e-6)
    inside = np.repeat(speeds, 3)[:, None] * np.asarray(coupling)
    # Constant speeds only turn the metric into M / s, which the weights find.
    constant = compose(parts, jnp.asarray(inside), speeds=jnp.asarray(speeds))
    assert isinstance(constant, Certificate)
    # No one metric serves two settings of the gates, so that switching them is not certified.
    fixed = constant.metric
    other = Composite(
        [part.system for part in parts if isinstance(part.system, RateNetwork)],
        jnp.asarray(np.repeat(speeds[::-1], 3)[:, None] * np.asarray(coupling)),
        jnp.asarray(speeds[::-1].copy()),
    )
    theorems = tuple(t for t in THEOREMS if t.name == "composition")
    assert isinstance(certify(other, metric=fixed, theorems=theorems), Unknown)


def test_pitfall_11_ill_conditioned_metrics_and_single_precision():
    """Whitened coordinates keep a coupling skew to the last digits; `M^-1 B^T M` does not."""
    rng = np.random.default_rng(37)
    parts = [certified(orthogonal_module(rng, 4, spread=5.0)) for _ in range(2)]
    metrics = metrics_of(parts)
    least = min(part.rate or 0.0 for part in parts)
    scale = _scales(parts)
    assert (scale.max() / scale.min()) ** 2 > 1e8
    # Of size ten thousand as the metric sees it.
    lower = draw_lower(rng, [4, 4], 1e4) * scale / scale[:, None]
    stable = _joint(parts, skew_feedback(lower, metrics))
    assert stable is not None and stable >= least * (1 - 1e-6)
    # The same feedback rounded to float32 is another coupling: it is refused, or pays.
    single = np.asarray(skew_feedback(lower, metrics)).astype(np.float32).astype(np.float64)
    rounded = _joint(parts, single)
    assert rounded is None or rounded < stable
    # Metrics that are not diagonal, with condition numbers of ten million.
    T = np.linalg.qr(rng.standard_normal((4, 4)))[0] * 10.0 ** np.linspace(0, -3.5, 4)
    axes = T @ T.T
    weight = jnp.asarray(axes - axes @ axes / 3.2)
    weight = (weight + weight.T) / 2
    dense = [certified(RateNetwork(weight, activation="relu", form="firing_rate")) for _ in "ab"]
    round_lower = draw_lower(rng, [4, 4], 1.0)
    rate = _joint(dense, skew_feedback(round_lower, metrics_of(dense)))
    least = min(part.rate or 0.0 for part in dense)
    assert rate is not None and rate >= least * (1 - 1e-6)


class _Attentive(AbstractFlow):
    """The wrong twin: `x' = -x + a(x) K x` with K skew, and a weight that sees the state."""

    skew: jax.Array

    @property
    def state_size(self) -> int:
        return self.skew.shape[0]

    @property
    def input_size(self) -> int:
        return 0

    def velocity(self, t: Any, x: jax.Array, u: jax.Array) -> jax.Array:
        return -x + jnp.sum(x**2) * (self.skew @ x)


def test_pitfall_12_couplings_that_see_the_state_are_refused():
    """They add `dL/dx x` to the Jacobian: skew at every state, the flow still pulls apart."""
    skew = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    attentive = _Attentive(skew)
    answer = certify(attentive)
    assert not isinstance(answer, Certificate)
    x = jnp.array([3.0, 0.0])
    J = jax.jacfwd(lambda x: attentive.velocity(0.0, x, jnp.zeros(0)))(x)
    assert float(jnp.linalg.eigvalsh((J + J.T) / 2)[-1]) > 0
    # As a part it is refused too: no theorem speaks of it. With constant weights it contracts.
    whole = Composite([attentive], jnp.zeros((2, 2)))
    assert not isinstance(certify(whole), Certificate)
    zero = certified(RateNetwork(jnp.zeros((1, 1))))
    assert _joint([zero, zero], 9 * skew) == pytest.approx(1.0)


def test_pitfall_04_the_certificate_of_a_flow_says_nothing_about_its_euler_steps():
    """Leak 1 and a rotation of speed 100: the flow has the rate 1, and its Euler steps explode."""
    still = RateNetwork(jnp.zeros((1, 1)))
    whole = Assembly([still, still], jnp.array([[0.0, -100.0], [100.0, 0.0]]))
    flow = certify(whole, metric=DiagonalMetric(jnp.ones(2)))
    assert isinstance(flow, Certificate)
    assert flow.rate == pytest.approx(1, rel=1e-9)
    step = 0.03
    euler = discrete_factor(flow, ExplicitEuler(step))
    assert isinstance(euler, Unknown)
    # The factor is named: |1 - h + 100 i h|.
    assert any(f"{np.hypot(1 - step, 100 * step):.6g}" in a.reason for a in euler.tried)
    start, none = jnp.array([1.0, 0.0]), jnp.zeros(0)
    run = discretise(whole, ExplicitEuler(step))
    assert float(jnp.linalg.norm(run.advance(0, start, none))) > 3
    for scheme in (SemiImplicit(step), Cayley(step), Rotation(step), BackwardEuler(step)):
        answer = discrete_factor(flow, scheme)
        assert isinstance(answer, Certificate) and (answer.factor or 1) <= 1 - step + 2e-3
    # The limit is the speed sqrt((2 - h) / h); and the longest step shrinks with the square.
    longest = largest_step(flow, ExplicitEuler)
    assert isinstance(longest, float) and 1.9e-4 < longest < 2 / (1 + 100**2)


def test_pitfall_04_negative_self_weights_limit_the_euler_step():
    """The flow's theorem exempts them, the step does not: -6 allows `h < 2/7` only."""
    flow = certified(RateNetwork(jnp.array([[-6.0]])))
    assert flow.rate == pytest.approx(1, rel=1e-9)
    short = discrete_factor(flow, ExplicitEuler(1 / 7))
    assert isinstance(short, Certificate) and short.factor == pytest.approx(6 / 7, rel=1e-9)
    long = discrete_factor(flow, ExplicitEuler(0.3))
    assert isinstance(long, Unknown) and any("1.1," in a.reason for a in long.tried)


def _stretched_ring(log_ratio: float) -> StableAssembly:
    """Two units in a ring, with a metric whose scales differ by `exp(log_ratio)`."""
    base = random_stable_assembly(
        jax.random.key(0), modules=2, units=2, inputs=1, activation="relu"
    )
    theta = jnp.tile(jnp.array([[0.0, 1.0], [1.0, 0.0]], jnp.float32), (2, 1, 1))
    log_scale = jnp.tile(jnp.array([0.0, log_ratio], jnp.float32), (2, 1))
    return eqx.tree_at(lambda s: s.weights, base, AbsoluteValueWeight(theta, log_scale))


def test_pitfall_10_averages_of_explicit_weights_are_refused_those_of_free_ones_are_not():
    """Weight decay, averages and projections belong to the free parameters."""
    first, second = _stretched_ring(2.0), _stretched_ring(-2.0)
    assert isinstance(certify(first.explicit(), metric=first.metric()), Certificate)

    def average(a: jax.Array, b: jax.Array) -> jax.Array:
        return (a + b) / 2

    explicit = jax.tree.map(average, first.explicit(), second.explicit())
    assert not isinstance(certify(explicit), Certificate)
    free = jax.tree.map(average, first, second)
    assert isinstance(certify(free.explicit(), metric=free.metric()), Certificate)


def test_pitfall_10_a_coupling_kept_from_before_an_update_is_refused():
    """The metric moves with the weights, and the coupling has to move with the metric."""
    before = _stretched_ring(0.0)
    before = eqx.tree_at(lambda s: s.coupling.lower, before, 100 * before.coupling.lower)
    moved = jnp.tile(jnp.array([0.0, 0.5], jnp.float32), (2, 1))
    after = eqx.tree_at(lambda s: s.weights.log_scale, before, moved)
    assert isinstance(certify(after.explicit(), metric=after.metric()), Certificate)
    stale = eqx.tree_at(lambda a: a.coupling, after.explicit(), before.explicit().coupling)
    assert not isinstance(certify(stale, metric=after.metric()), Certificate)


def test_pitfall_13_sparse_modules_are_scaled_not_drawn_until_they_fit():
    """At 10 % and magnitudes of 10 no draw of 500 fits; scaling the first one does."""
    rng = np.random.default_rng(0)
    draws = 10 * rng.uniform(-1, 1, (500, 32, 32)) * (rng.random((500, 32, 32)) < 0.1)
    radius = np.abs(np.linalg.eigvals(np.abs(draws))).max(-1)
    assert (radius > 1).all()
    for density in (0.033, 0.1, 1.0):
        core = sparse_assembly(
            jax.random.key(0), modules=2, units=32, inputs=1, density=density, coupling_gain=5.0
        )
        theorems = (SkewFeedback(),)
        answer = certify(core.explicit(), metric=core.metric(), theorems=theorems)
        assert isinstance(answer, Certificate) and answer.rate is not None
        assert answer.rate >= 0.1 * (1 - 1e-2)
        for module in core.explicit().modules:
            assert int((module.weight != 0).sum()) == round(density * 32 * 31)


def test_pitfall_14_repeated_eigenvalues_give_gradients_without_eigenvectors():
    """The textbook formula through `eigh` gives NaN where the closed form has a slope."""

    def textbook(weight: jax.Array) -> jax.Array:
        values, vectors = jnp.linalg.eigh(weight)
        theta = 2 * 0.9 * (1 + jnp.sqrt(1 - values / 0.9))
        return ((vectors * theta) @ vectors.T)[0, 1]

    def corner(free: SymmetricWeight) -> jax.Array:
        solved = free.explicit(0.9)
        return solved.factor[0, 1] + solved.weight[0, 1]

    assert not jnp.isfinite(jax.grad(textbook)(0.9 * jnp.eye(3))).all()
    for root in (jnp.zeros((3, 3)), jnp.eye(3)):
        slopes = jax.grad(corner)(SymmetricWeight(root))
        assert jnp.isfinite(slopes.root).all()


def test_pitfall_15_zeros_are_not_masks():
    """A weight that is 0 trains if the pattern has it; one that the pattern lacks never does."""
    mask = np.array([[False, True, True], [True, False, False], [False, True, True]])
    theta = jnp.asarray(mask * 1.0).at[0, 1].set(0.0)
    free = AbsoluteValueWeight(theta, jnp.zeros(3), pattern=SparsityPattern.of(mask))
    target = jnp.full((3, 3), 0.3)

    def loss(free: AbsoluteValueWeight) -> jax.Array:
        return ((free.explicit(0.9).weight - target) ** 2).sum()

    for _ in range(5):
        free = jax.tree.map(lambda a, b: a - 0.1 * b, free, jax.grad(loss)(free))
    np.testing.assert_array_equal(np.asarray(free.explicit(0.9).weight) != 0, mask)
