"""Acceptance: wholes never decay slower than certified, and liars get no certificate."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.wholes import (
    absolute_module,
    certified,
    draw_lower,
    metrics_of,
    orthogonal_module,
    sizes_of,
)
from limitset._result import InputProblem
from limitset.contraction import (
    THEOREMS,
    BlockMetric,
    Certificate,
    DiagonalMetric,
    MaximumMetric,
    QuadraticMetric,
    Unknown,
    certify,
    compose,
    compose_maps,
    skew_feedback,
)
from limitset.dynamics import (
    AbstractFlow,
    Cayley,
    CompositeMap,
    ExplicitEuler,
    Rotation,
    SemiImplicit,
    discretise,
    propagator,
)
from limitset.networks import Composite, RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")
PAIRS = 32


def starting_pairs(rng: np.random.Generator, n: int) -> tuple[jax.Array, jax.Array]:
    """From very near to very far."""
    x = rng.standard_normal((PAIRS, n)) * 10.0 ** rng.uniform(-2, 2, (PAIRS, 1))
    y = x + rng.standard_normal((PAIRS, n)) * 10.0 ** rng.uniform(-3, 3, (PAIRS, 1))
    return jnp.asarray(x), jnp.asarray(y)


@eqx.filter_jit
def flow_growth(system: AbstractFlow, metric: Any, x: jax.Array, y: jax.Array, u: jax.Array):
    """`d|x - y|/dt / |x - y|`, exactly, for metrics that are differentiable."""

    def one(x: jax.Array, y: jax.Array) -> jax.Array:
        apart = system.velocity(0.0, x, u) - system.velocity(0.0, y, u)
        return jax.jvp(metric.norm, (x - y,), (apart,))[1] / metric.norm(x - y)

    return jax.vmap(one)(x, y)


@eqx.filter_jit
def map_growth(system: CompositeMap, metric: Any, x: jax.Array, y: jax.Array, u: jax.Array):
    """`|x+ - y+| / |x - y|`."""

    def one(x: jax.Array, y: jax.Array) -> jax.Array:
        return metric.norm(system.advance(0, x, u) - system.advance(0, y, u)) / metric.norm(x - y)

    return jax.vmap(one)(x, y)


def modules(rng: np.random.Generator) -> list[RateNetwork]:
    kinds = [absolute_module, orthogonal_module]
    return [kinds[int(rng.integers(2))](rng, 3) for _ in range(3)]


def wiring(rng: np.random.Generator, parts: list[Certificate], kind: int) -> jax.Array:
    """Feedback with a residual, a hierarchy, or weak gains all around."""
    lower = draw_lower(rng, sizes_of(parts), 10.0 ** rng.uniform(-1, 2))
    if kind == 1:
        return lower
    residual = jnp.asarray(10.0 ** rng.uniform(-4, -2) * rng.standard_normal(lower.shape))
    return residual if kind == 2 else skew_feedback(lower, metrics_of(parts)) + residual


def test_flows_decay_as_certified_over_many_draws():
    rng = np.random.default_rng(0)
    names = []
    for draw in range(90):
        parts = [certified(module) for module in modules(rng)]
        speeds = jnp.asarray(np.exp(rng.standard_normal(3) / 2))
        whole = compose(parts, wiring(rng, parts, draw % 3), speeds=speeds)
        if isinstance(whole, Unknown):
            continue
        assert whole.rate is not None and isinstance(whole.system, Composite)
        names.append(whole.theorem)
        x, y = starting_pairs(rng, 9)
        u = jnp.asarray(rng.standard_normal(1))
        growth = np.asarray(flow_growth(whole.system, whole.metric, x, y, u))
        # Rounding of the velocities, relative to the distance.
        size = 1e-12 * (1 + float(jnp.abs(whole.system.coupling).sum()))
        slip = size * np.abs(np.asarray(x)).max(1) / np.abs(np.asarray(x - y)).max(1)
        bound = -whole.rate + 1e-9 + slip * whole.condition**0.5
        assert (growth <= bound).all(), (draw, whole.theorem)
    assert names.count("composition") > 30 and len(names) > 60


@pytest.mark.slow
def test_maps_decay_as_certified_over_many_draws():
    rng = np.random.default_rng(1)
    schemes = [SemiImplicit(0.2), Cayley(0.2), Rotation(0.2)]
    found = 0
    for draw in range(60):
        parts = [certified(discretise(m, ExplicitEuler(0.2))) for m in modules(rng)]
        mixing = propagator(wiring(rng, parts, draw % 3), schemes[draw % 2])
        whole = compose_maps(parts, mixing)
        if isinstance(whole, Unknown):
            continue
        assert whole.factor is not None and isinstance(whole.system, CompositeMap)
        found += 1
        x, y = starting_pairs(rng, 9)
        growth = np.asarray(
            map_growth(whole.system, whole.metric, x, y, jnp.asarray(rng.standard_normal(1)))
        )
        size = 1e-13 * (1 + float(jnp.abs(mixing).sum())) * whole.condition**0.5
        slip = size * np.abs(np.asarray(x)).max(1) / np.abs(np.asarray(x - y)).max(1)
        assert (growth <= whole.factor + 1e-9 + slip).all(), (draw, whole.theorem)
    assert found > 36


def test_a_time_dependent_speed_of_the_whole_is_another_clock():
    """`x' = s(t) F(x)`, `s >= s_min`: at least the rate `s_min` times that of F."""
    rng = np.random.default_rng(2)
    parts = [certified(module) for module in modules(rng)]
    whole = compose(parts, wiring(rng, parts, 0))
    assert isinstance(whole, Certificate) and whole.rate is not None
    system, metric, h = whole.system, whole.metric, 1e-3
    assert isinstance(system, Composite)

    def step(t: Any, x: jax.Array) -> jax.Array:
        def velocity(t: Any, x: jax.Array) -> jax.Array:
            return (1.5 + jnp.sin(3 * t)) * system.velocity(t, x, jnp.ones(1))

        k1 = velocity(t, x)
        k2 = velocity(t + h / 2, x + h / 2 * k1)
        k3 = velocity(t + h / 2, x + h / 2 * k2)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(t + h, x + h * k3))

    x, y = jnp.ones(9), -2.0 * jnp.ones(9)
    pair = jnp.stack([x, y])
    moved = jax.lax.fori_loop(0, 4000, lambda n, p: jax.vmap(lambda x: step(n * h, x))(p), pair)
    ratio = float(metric.norm(moved[0] - moved[1]) / metric.norm(x - y))
    # The integral of the speed over [0, 4], by which the rate is multiplied.
    assert ratio <= np.exp(-whole.rate * (6 + (1 - np.cos(12)) / 3)) * (1 + 1e-6)


def lies(part: Certificate) -> dict[str, Certificate]:
    """Certificates that were not made by a proof, each false in one place."""
    n = part.system.state_size
    indefinite = jnp.eye(n).at[0, 0].set(-1.0)
    lopsided = jnp.eye(n).at[0, 1].set(0.5)
    singular = jnp.ones((n, n))
    negative = eqx.tree_at(lambda m: m.scale, part.metric, -jnp.ones(n))
    unknown = eqx.tree_at(lambda m: m.scale, part.metric, jnp.full(n, jnp.nan))
    block = BlockMetric((part.metric,), (n,))
    return {
        "no rate": replace(part, rate=None),
        "rate NaN": replace(part, rate=float("nan")),
        "rate infinite": replace(part, rate=float("inf")),
        "rate 0": replace(part, rate=0.0),
        "rate negative": replace(part, rate=-1.0),
        "a factor too": replace(part, factor=0.5),
        "indefinite": replace(part, metric=QuadraticMetric(indefinite)),
        "lopsided": replace(part, metric=QuadraticMetric(lopsided)),
        "singular": replace(part, metric=QuadraticMetric(singular)),
        "negative scale": replace(part, metric=negative),
        "NaN scale": replace(part, metric=unknown),
        "another size": replace(part, metric=DiagonalMetric(jnp.ones(n + 1))),
        "weight NaN": replace(
            part, metric=eqx.tree_at(lambda m: m.weights, block, jnp.full(1, jnp.nan))
        ),
        "weight 0": replace(part, metric=eqx.tree_at(lambda m: m.weights, block, jnp.zeros(1))),
        "maximum of another size": replace(part, metric=MaximumMetric(jnp.ones(n + 1))),
    }


def test_liars_among_the_parts_get_no_certificate():
    part = certified(absolute_module(np.random.default_rng(3), 3))
    zero = jnp.zeros((6, 6))
    assert isinstance(compose([part, part], zero), Certificate)
    for name, lie in lies(part).items():
        for parts in ([part, lie], [lie, part]):
            assert isinstance(compose(parts, zero), Unknown), name
    for factor in (None, float("nan"), 1.0, -0.1, 1.5):
        step = certified(
            discretise(absolute_module(np.random.default_rng(3), 3), ExplicitEuler(0.1))
        )
        assert isinstance(compose_maps([step], jnp.eye(3)), Certificate)
        lie = replace(step, factor=factor)
        assert isinstance(compose_maps([lie], jnp.eye(3)), Unknown), factor


def test_liars_among_the_wirings_get_no_certificate():
    """Numbers that constructors refuse, put in afterwards; subclasses that run otherwise."""
    part = certified(absolute_module(np.random.default_rng(4), 3))
    assert isinstance(part.system, RateNetwork)
    system = Composite([part.system] * 2, jnp.zeros((6, 6)))
    for speeds in ([1.0, -1.0], [1.0, 0.0]):
        lie = eqx.tree_at(lambda s: s.speeds, system, jnp.array(speeds))
        assert not isinstance(certify(lie), Certificate)
        # A damping that outweighs the reversed part, if that were only slow.
        damped = eqx.tree_at(lambda s: s.coupling, lie, -1e3 * jnp.eye(6))
        assert not isinstance(certify(damped), Certificate)
    for wrong in (jnp.nan, jnp.inf):
        lie = eqx.tree_at(lambda s: s.coupling, system, jnp.full((6, 6), wrong))
        with pytest.raises(InputProblem):
            certify(lie)

    (theorem,) = (t for t in THEOREMS if t.name == "composition")
    metric = BlockMetric((part.metric, part.metric), (3, 3))
    for wrong_weights in ([1.0, jnp.nan], [1.0, -1.0], [0.0, 1.0], [1.0, jnp.inf]):
        lie = eqx.tree_at(lambda m: m.weights, metric, jnp.array(wrong_weights))
        assert isinstance(theorem.apply(system, lie), Unknown)

    class Backwards(Composite):  # pyright: ignore[reportGeneralTypeIssues]
        """Runs the other way round."""

        def velocity(self, t: Any, x: jax.Array, u: jax.Array) -> jax.Array:
            return -super().velocity(t, x, u)

    other: Any = Backwards
    for lie in (other([part.system], jnp.zeros((3, 3))),):
        assert isinstance(certify(lie), Unknown)
        assert isinstance(certify(Composite([lie], jnp.zeros((3, 3)))), Unknown)


def test_what_expands_is_never_certified():
    """Random wirings with an eigenvalue in the right half plane, by every theorem."""
    rng = np.random.default_rng(5)
    theorems = tuple(t for t in THEOREMS if t.name in ("composition", "small_gain"))
    expanding = 0
    for _ in range(40):
        parts = [certified(absolute_module(rng, 2)) for _ in range(2)]
        coupling = rng.standard_normal((4, 4)) * 10.0 ** rng.uniform(-1, 1)
        flows = [p.system for p in parts if isinstance(p.system, RateNetwork)]
        system = Composite(flows, jnp.asarray(coupling))
        J = jax.jacfwd(lambda x, s=system: s.velocity(0.0, x, jnp.zeros(1)))(jnp.full(4, 50.0))
        if np.linalg.eigvals(np.asarray(J)).real.max() > 0:
            expanding += 1
            assert isinstance(compose(parts, jnp.asarray(coupling)), Unknown)
    assert expanding > 12 and len(theorems) == 2
