"""What float32 does to certified maps, measured against what `float32_gap` says."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.families import CERTIFIABLE, FAMILIES, INPUTS, Stack, System
from limitset import InputProblem
from limitset.contraction import Certificate, DiagonalMetric, Float32Gap, certify
from limitset.contraction._float32 import ACTIVATION_ERROR, float32_gap
from limitset.dynamics import (
    BackwardEuler,
    ExplicitEuler,
    ExponentialEuler,
    RateMap,
    Rotation,
    SemiImplicit,
    discretise,
)
from limitset.networks import ACTIVATIONS, Activation, Assembly, Elman, RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")

WITH_A_GAP = (
    "hopfield_explicit_euler",
    "firing_rate_exponential_euler",
    "elman",
    "assembly_semi_implicit",
    "assembly_cayley",
    "assembly_explicit_euler",
    "assembly_exponential_euler",
)
MAPS = {family.name: family for family in FAMILIES if family.name in WITH_A_GAP}
STRUCTURES = [(f"{n}_{k}", stack) for n, f in MAPS.items() for k, stack in enumerate(f.stacks)]
BOUND = 1.0


def single_precision(system: System) -> System:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), system)


def double_precision(system: System) -> System:
    """The same numbers, to be computed with in float64."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), system)


def certified_members(stack: Stack) -> Iterator[tuple[System, Certificate, Float32Gap]]:
    """Float32 members of a stack that have a gap, with certificate and gap."""
    for index in range(len(stack)):
        system = single_precision(stack.member(index))
        metric = DiagonalMetric(jnp.asarray(stack.scales[index]))
        answer = certify(system, metric=metric, input_bound=BOUND)
        if isinstance(answer, Certificate) and answer.float32 is not None:
            yield system, answer, answer.float32


def gap_of(system: System, **options: Any) -> Float32Gap | None:
    answer = certify(system, **options)
    assert isinstance(answer, Certificate), answer.reason
    return answer.float32


def in_ball(rng: np.random.Generator, scale: np.ndarray, radius: float, count: int) -> np.ndarray:
    """Float32 states of M-norm just below the radius, some along single units."""
    directions = rng.standard_normal((count, len(scale)))
    for i in range(min(len(scale), count // 2)):
        directions[i] = 0.01 * directions[i] + np.eye(len(scale))[i]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return ((1 - 1e-6) * radius * directions / scale).astype(np.float32)


def renumbered(rng: np.random.Generator, system: Any) -> tuple[Any, np.ndarray]:
    """The same map with its units in another order, so that sums are added up in that order."""
    order = rng.permutation(system.state_size)
    if isinstance(system, Elman):
        W = system.weight_hh[order][:, order]
        rest = (system.bias_ih[order], system.bias_hh[order])
        return Elman(system.weight_ih[order], W, *rest, activation=system.activation), order
    if isinstance(system, RateMap):
        n = system.network
        parts = (n.weight[order][:, order], n.input_weight[order], n.bias[order])

        def places(s: RateMap) -> tuple[jax.Array, ...]:
            return s.network.weight, s.network.input_weight, s.network.bias

        return eqx.tree_at(places, system, parts), order
    return system, np.arange(system.state_size)


@pytest.mark.parametrize("name", CERTIFIABLE)
def test_activations_err_less_than_assumed_at_all_magnitudes(name: str):
    """A million float32 numbers of every exponent, against float64, with and without jit."""
    activation = ACTIVATIONS[name]
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 2**20, dtype=np.uint32)
    near = np.concatenate([np.linspace(-120, 120, 200_001), np.geomspace(1e-9, 1e3, 100_001)])
    x = np.concatenate([bits.view(np.float32), near.astype(np.float32), -near.astype(np.float32)])
    x = x[np.isfinite(x)]
    exact = np.asarray(activation(jnp.asarray(x, jnp.float64)))
    allowed = 0.0 if name in ("relu", "identity") else ACTIVATION_ERROR
    functions: tuple[Callable[..., Any], ...] = (activation, jax.jit(activation))
    for function in functions:
        values = np.asarray(function(jnp.asarray(x)))
        assert values.dtype == np.float32
        representable = np.abs(exact) <= np.finfo(np.float32).max
        slip = np.abs(values - exact)[representable]
        limit = allowed * np.abs(exact)[representable] + 2.0**-120
        assert (slip <= limit).all(), x[representable][slip > limit][:5]


def test_values_of_activations_at_zero_and_at_their_supremum():
    """The facts that the bounds use: `phi(0)` rounded up, and `|phi| <= supremum`."""
    far = jnp.asarray([-1e30, -50.0, 0.0, 50.0, 1e30])
    for name in CERTIFIABLE:
        activation = ACTIVATIONS[name]
        assert abs(float(activation(jnp.zeros(())))) <= activation.at_zero
        assert (np.abs(activation(far)) <= activation.supremum).all()


# One structure of each family in the fast suite: each one compiles, in both precisions.
SELECTED = [
    pytest.param(case, marks=[] if case[0].endswith("_0") else [pytest.mark.slow], id=case[0])
    for case in STRUCTURES
]


@pytest.mark.parametrize("case", SELECTED)
def test_measured_rounding_stays_below_the_bounds(case: tuple[str, Any]):
    """One step from the edge of the ball, against float64; then two runs, differently rounded."""
    rng = np.random.default_rng(5)
    members = list(certified_members(case[1](rng, 4)))
    assert len(members) >= 2
    for system, answer, gap in members:
        assert isinstance(answer.metric, DiagonalMetric) and answer.factor is not None
        scale = np.asarray(answer.metric.scale)
        exact = double_precision(system)
        check_steps(rng, system, exact, scale, gap)
        check_runs(rng, system, scale, answer.factor, gap)


@eqx.filter_jit
def advance(system: Any, x: np.ndarray, u: np.ndarray) -> jax.Array:
    """One step from many states."""
    return jax.vmap(lambda x, u: system.advance(0, x, u))(x, u)


@eqx.filter_jit
def run(system: Any, x: np.ndarray, u: jax.Array, towards: jax.Array) -> jax.Array:
    """A run that is moved by one unit in the last place at every step, unless `towards` is NaN."""

    def step(x: jax.Array, given: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        following = system.advance(0, x, given[0])
        moved = jnp.nextafter(following, given[1])
        following = jnp.where(jnp.isnan(given[1]), following, moved)
        return following, following

    return jax.lax.scan(step, jnp.asarray(x), (u, towards))[1]


def check_steps(
    rng: np.random.Generator, system: Any, exact: Any, scale: np.ndarray, gap: Float32Gap
) -> None:
    """`|float32 step - exact step|_M <= rounding`, and the ball maps into itself."""
    x = in_ball(rng, scale, gap.state_radius, 32)
    u = (BOUND * rng.choice([-1, 1], (32, INPUTS))).astype(np.float32)
    u[::2] *= rng.random((16, INPUTS)).astype(np.float32)
    coarse = np.asarray(advance(system, x, u), np.float64)
    fine = np.asarray(advance(exact, x.astype(np.float64), u.astype(np.float64)))
    slip = np.linalg.norm(scale * (coarse - fine), axis=1)
    # Float64's own errors are a billion times smaller than what is measured.
    assert (slip <= gap.rounding * (1 + 1e-6)).all()
    assert slip.max() > 0 or system_is_trivial(system)
    assert (np.linalg.norm(scale * coarse, axis=1) <= gap.state_radius * (1 + 1e-12)).all()


def system_is_trivial(system: Any) -> bool:
    return all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(system) if leaf.ndim == 2)


def check_runs(
    rng: np.random.Generator,
    system: Any,
    scale: np.ndarray,
    factor: float,
    gap: Float32Gap,
) -> None:
    """`|x_n - y_n|_M <= factor^n |x_0 - y_0|_M + gap` for two float32 runs of one input."""
    other, order = renumbered(rng, system)
    steps = 60
    x, y = in_ball(rng, scale, gap.state_radius, 2)
    u = jnp.asarray(BOUND * rng.choice([-1, 1], (steps, INPUTS)), jnp.float32)
    towards = jnp.asarray(rng.choice([-np.inf, np.inf], (steps, len(scale))), jnp.float32)

    still = jnp.full_like(towards, jnp.nan)
    first = np.asarray(run(system, x, u, still), np.float64)
    second = np.asarray(run(other, y[order], u, towards), np.float64)
    apart = np.linalg.norm(scale[order] * (first[:, order] - second), axis=1)
    start = np.linalg.norm(scale * (x.astype(np.float64) - y))
    allowed = factor ** np.arange(1, steps + 1) * start + gap.gap
    assert (apart <= allowed * (1 + 1e-12)).all()
    # Neither run forgets its rounding: what stays apart is not zero, and below the gap.
    assert 0 < apart[-1] <= gap.gap + factor**steps * start


def test_the_gap_follows_from_rounding_and_factor():
    rng = np.random.default_rng(0)
    for _, answer, gap in certified_members(MAPS["elman"].stacks[0](rng, 4)):
        assert answer.factor is not None
        assert gap.gap == pytest.approx(2 * gap.rounding / (1 - answer.factor), rel=1e-9)
        assert gap.gap >= 2 * gap.rounding / (1 - answer.factor) * (1 - 1e-15)
        assert gap.input_bound == BOUND
        assert 0 < gap.rounding < gap.gap and gap.state_radius > 0


def test_larger_inputs_have_a_larger_gap():
    network = Elman(
        jnp.ones((3, 2), jnp.float32),
        0.2 * jnp.eye(3, dtype=jnp.float32),
        jnp.zeros(3, jnp.float32),
        jnp.zeros(3, jnp.float32),
        activation="relu",
    )
    gaps = [gap_of(network, input_bound=b) for b in (0.0, 1.0, 10.0)]
    sizes = [g.gap for g in gaps if g is not None]
    assert len(sizes) == 3 and sizes == sorted(sizes) and sizes[0] < sizes[2]
    assert gap_of(network, input_bound=None) is None


@pytest.mark.parametrize("activation", ["tanh", "relu", "identity", "softplus", "sigmoid"])
def test_activation_error_is_zero_only_where_values_are_exact(activation: str):
    zero, weight = jnp.zeros(2, jnp.float32), 0.1 * jnp.eye(2, dtype=jnp.float32)
    known = ACTIVATIONS[activation]
    custom = dataclasses.replace(known, function=lambda x: jnp.tanh(x) / 8)
    for phi, error in (
        (known, 0 if activation in ("relu", "identity") else ACTIVATION_ERROR),
        # The name does not make values exact.
        (custom, ACTIVATION_ERROR),
    ):
        gap = gap_of(Elman(jnp.zeros((2, 1), jnp.float32), weight, zero, zero, activation=phi))
        assert gap is not None and gap.activation_error == error


def test_zero_weights_have_a_gap_too():
    zero = jnp.zeros(2, jnp.float32)
    square = jnp.zeros((2, 2), jnp.float32)
    answer = certify(Elman(square, square, zero, zero))
    assert isinstance(answer, Certificate) and answer.float32 is not None
    assert answer.float32.gap < 1e-28
    assert "factor" in answer.claim()


def test_no_gap_where_none_is_proved():
    """Flows, float64 maps, and maps with one float64 tensor."""
    weight = 0.3 * jnp.eye(2)
    small = RateNetwork(weight.astype(jnp.float32))
    step = discretise(small, ExplicitEuler(0.5))
    assembly = Assembly([small, small], jnp.zeros((4, 4), jnp.float32))
    without = [
        RateNetwork(weight),
        small,
        assembly,
        discretise(RateNetwork(weight), ExplicitEuler(0.5)),
        eqx.tree_at(lambda s: s.network.bias, step, jnp.zeros(2, jnp.float64)),  # pyright: ignore[reportAttributeAccessIssue]
        discretise(RateNetwork(weight), BackwardEuler(0.5)),
    ]
    for system in without:
        answer = certify(system)
        assert isinstance(answer, Certificate) and answer.float32 is None
        assert float32_gap(answer, 1.0) is None
    schemes = (SemiImplicit(0.5), Rotation(0.5), ExplicitEuler(0.5), ExponentialEuler(0.5))
    schemes = (*schemes, BackwardEuler(0.5))
    for system in (step, *(discretise(assembly, scheme) for scheme in schemes)):
        answer = certify(system)
        assert isinstance(answer, Certificate) and answer.float32 is not None


def test_a_marginal_factor_leaves_no_room_for_rounding():
    """Unbounded activation, factor `1 - 1e-7`: no radius is found, and no gap is invented."""
    zero = jnp.zeros(1, jnp.float32)
    weight = jnp.full((1, 1), np.float32(1) - np.float32(2.0**-24))
    cell = Elman(jnp.ones((1, 1), jnp.float32), weight, zero, zero, activation="identity")
    answer = certify(cell)
    assert isinstance(answer, Certificate) and answer.float32 is None


def test_activations_that_are_not_0_at_0_have_to_say_so():
    """With the default `at_zero` the ball of radius 0.01 counted as invariant; runs leave it."""
    weight = jnp.array([[0.5]], jnp.float32)
    shifted = Activation("shifted", lambda x: jnp.tanh(x) + 5, (0.0, 1.0))
    runner = discretise(RateNetwork(weight, activation=shifted), ExplicitEuler(0.1))
    with pytest.raises(InputProblem, match="give it an at_zero"):
        certify(runner)
    assert isinstance(certify(runner, input_bound=None), Certificate)
    told = dataclasses.replace(shifted, at_zero=5.0, supremum=6.0)
    answer = certify(discretise(RateNetwork(weight, activation=told), ExplicitEuler(0.1)))
    assert isinstance(answer, Certificate) and answer.float32 is not None
    resting = 5.0
    for _ in range(400):
        resting += 0.1 * (0.5 * (np.tanh(resting) + 5) - resting)
    assert float(answer.metric.norm(jnp.array([resting]))) < answer.float32.state_radius
