"""Diagonal recurrences and stacks: exact factors, cascades of any gain, liars, parametrisations."""

from fractions import Fraction
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from limitset import InputProblem
from limitset.contraction import (
    AbsoluteValue,
    BlockMaximumMetric,
    Cascade,
    Certificate,
    DiagonalLinear,
    DiagonalMetric,
    InputGain,
    QuadraticMetric,
    Refuted,
    Sector,
    SingularValue,
    SkewFeedback,
    StableRecurrence,
    StableStack,
    Unknown,
    certify,
    explain,
    input_gain,
    measure_distances,
    random_stable_recurrence,
    recurrence_stack,
)
from limitset.contraction._cascade import cascade_holds
from limitset.dynamics import (
    ExplicitEuler,
    ExponentialEuler,
    SemiImplicit,
    discretise,
    run_stack_batch,
)
from limitset.networks import (
    GELU,
    SILU,
    Assembly,
    DiagonalRecurrence,
    Elman,
    RateNetwork,
    Relay,
    Stack,
)

pytestmark = pytest.mark.usefixtures("no_shape_checks")

QUICK = (Cascade((DiagonalLinear(), AbsoluteValue(), SingularValue(), SkewFeedback())),)
INPUTS, WIDTH = 2, 3


def recurrence(rng: np.random.Generator, units: int, inputs: int = WIDTH) -> DiagonalRecurrence:
    modulus, angle = rng.uniform(0.3, 0.98, units), rng.uniform(0, np.pi, units)
    weight, bias = rng.standard_normal((2 * units, inputs)), rng.standard_normal(2 * units)
    arrays = (modulus * np.cos(angle), modulus * np.sin(angle), weight, bias)
    return DiagonalRecurrence(*map(jnp.asarray, arrays))


def rate_network(rng: np.random.Generator, form: str, activation: str, n: int = 4) -> RateNetwork:
    weight = rng.standard_normal((n, n))
    weight *= 0.8 / np.abs(np.linalg.eigvals(np.abs(weight))).max()
    scale = np.exp(rng.standard_normal(n))
    return RateNetwork(
        jnp.asarray(weight * scale / scale[:, None]),
        jnp.asarray(rng.standard_normal((n, WIDTH))),
        jnp.asarray(rng.standard_normal(n)),
        form=form,
        activation=activation,
        time_constant=float(rng.uniform(0.5, 2)),
    )


def elman(rng: np.random.Generator, activation: str = "tanh") -> Elman:
    rate = rate_network(rng, "firing_rate", activation)
    return Elman(rate.input_weight, rate.weight, rate.bias, rate.bias, activation=activation)


def assembly(rng: np.random.Generator) -> Assembly:
    modules = [rate_network(rng, form, "tanh", 2) for form in ("hopfield", "firing_rate")]
    lower = np.zeros((4, 4))
    lower[2:, :2] = 5 * rng.standard_normal((2, 2))
    plain = [RateNetwork(0.4 * jnp.eye(2), m.input_weight, form=m.form) for m in modules]
    return Assembly(plain, jnp.asarray(lower - lower.T))


LAYERS = {
    "recurrence": lambda rng: recurrence(rng, 2),
    "elman": elman,
    "hopfield": lambda rng: discretise(rate_network(rng, "hopfield", "relu"), ExplicitEuler(0.3)),
    "firing_rate": lambda rng: discretise(
        rate_network(rng, "firing_rate", "tanh"), ExponentialEuler(0.4)
    ),
    "semi_implicit": lambda rng: discretise(assembly(rng), SemiImplicit(0.3)),
    "exponential_euler": lambda rng: discretise(assembly(rng), ExponentialEuler(0.3)),
}
STRUCTURES = {
    "linear": ("recurrence", "recurrence", "recurrence"),
    "mixed": ("recurrence", "elman", "hopfield", "recurrence"),
    "maps": ("firing_rate", "semi_implicit", "exponential_euler", "elman"),
}


def relay(rng: np.random.Generator, states: int, gain: float, activation: str = "relu") -> Relay:
    read, bias, write = (rng.standard_normal(s) for s in ((4, states), (4,), (WIDTH, 4)))
    return Relay(jnp.asarray(gain * read), jnp.asarray(bias), jnp.asarray(write), activation)  # pyright: ignore[reportArgumentType]


def stack_of(rng: np.random.Generator, kinds: tuple[str, ...], gain: float) -> Stack:
    layers = [LAYERS[kind](rng) for kind in kinds]
    words = ("relu", "tanh", "softplus", "sigmoid", "identity")
    relays = [
        relay(rng, layer.state_size, gain, words[index]) for index, layer in enumerate(layers[:-1])
    ]
    return Stack(layers, relays, jnp.asarray(rng.standard_normal((WIDTH, INPUTS))))


def certified(system: Any, **options: Any) -> Any:
    """The certificate, untyped: the kind of its metric and its factor differ from test to test."""
    answer = certify(system, input_bound=None, **options)
    assert isinstance(answer, Certificate), answer.reason
    return answer


def input_of(answer: Certificate) -> InputGain:
    found = input_gain(answer)
    assert isinstance(found, InputGain), found.reason
    return found


def refused(system: Any, reason: str, **options: Any) -> None:
    answer = certify(system, input_bound=None, **options)
    assert isinstance(answer, Unknown | Refuted), answer.claim()
    assert reason in answer.reason, answer.reason


# Diagonal recurrences.


def test_the_factor_is_the_largest_modulus_and_not_below_it():
    """Against exact rational arithmetic, and never more than a few roundings above."""
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        for _ in range(50):
            system = jax.tree.map(lambda a, d=dtype: a.astype(d), recurrence(rng, 5, 1))
            answer = certified(system)
            pairs = zip(np.asarray(system.real), np.asarray(system.imaginary), strict=True)
            square = max(Fraction(float(a)) ** 2 + Fraction(float(b)) ** 2 for a, b in pairs)
            assert answer.theorem == "diagonal_linear" and answer.factor is not None
            assert square <= Fraction(answer.factor) ** 2 <= square * (1 + Fraction(1, 2**45))


@pytest.mark.parametrize("modulus", [1.0, 1.0 + 2.0**-52, 1.5])
def test_a_unit_that_does_not_forget_is_refused(modulus: float):
    for angle in (0.0, 0.3, np.pi / 2):
        parts = np.array([0.5, modulus * np.cos(angle)]), np.array([0.0, modulus * np.sin(angle)])
        if parts[0][1] ** 2 + parts[1][1] ** 2 < 1:  # rounded into the disc
            continue
        refused(DiagonalRecurrence(*map(jnp.asarray, parts)), "largest modulus")


def test_the_disc_ends_where_exact_numbers_say():
    """`sqrt(1/2)` on both axes: rounded up it is outside, some units below it is inside."""
    above = np.sqrt(0.5)
    below = above - 2.0**-51
    assert 2 * Fraction(float(above)) ** 2 > 1 > 2 * Fraction(float(below)) ** 2
    part = jnp.array([below])
    assert certified(DiagonalRecurrence(part, part)).factor < 1
    part = jnp.array([above])
    refused(DiagonalRecurrence(part, part), "not below 1")


def test_metrics_of_a_recurrence():
    system = recurrence(np.random.default_rng(1), 2)
    plain = certified(system)
    equal = DiagonalMetric(jnp.array([1.0, 7.0, 1.0, 7.0]))
    assert certified(system, metric=equal).factor == plain.factor
    refused(system, "both parts", metric=DiagonalMetric(jnp.array([1.0, 7.0, 7.0, 1.0])))
    refused(system, "diagonal metric", metric=QuadraticMetric(jnp.eye(4)))


# Cascades.


@pytest.mark.parametrize("gain", [0.0, 1.0, 1e8])
@pytest.mark.parametrize("kinds", STRUCTURES.values(), ids=STRUCTURES)
def test_no_gain_of_the_relays_moves_the_factor(kinds: tuple[str, ...], gain: float):
    rng = np.random.default_rng(2)
    answer = certified(stack_of(rng, kinds, gain), theorems=QUICK)
    slowest = max(answer.module_bounds)
    assert answer.theorem == "cascade" and answer.factor is not None
    assert slowest < answer.factor <= slowest + 0.011 * (1 - slowest)
    assert [part.factor for part in answer.parts] == list(answer.module_bounds)
    assert isinstance(answer.metric, BlockMaximumMetric)
    weights = np.asarray(answer.metric.weights)
    assert weights[0] == 1 and (weights > 0).all()
    assert (gain < 1e3) or weights[-1] < 1e-3
    assert "cascade" in explain(answer)


def test_one_layer_has_the_factor_of_its_own():
    rng = np.random.default_rng(3)
    layer = recurrence(rng, 3)
    answer = certified(Stack((layer,), (), jnp.ones((WIDTH, 1))))
    assert answer.factor == certified(layer).factor


def test_more_slack_buys_less_growth():
    system = stack_of(np.random.default_rng(4), STRUCTURES["mixed"], 1.0)
    quick = QUICK[0].theorems
    answers = [certified(system, theorems=(Cascade(quick, share),)) for share in (0.01, 0.5)]
    assert answers[0].factor < answers[1].factor < 1
    assert answers[0].condition > 100 * answers[1].condition
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(InputProblem):
            Cascade(quick, share)


def test_layers_choose_full_metrics_where_they_gain_by_it():
    """The sector theorem's quadratic metrics are as good as diagonal ones in a cascade."""
    rng = np.random.default_rng(5)
    system = stack_of(rng, ("recurrence", "elman", "firing_rate", "elman"), 1.0)
    answer = certified(system)
    assert "sector" in answer.module_theorems
    slower = certified(system, theorems=QUICK)
    for own, other in zip(answer.module_bounds, slower.module_bounds, strict=True):
        assert own <= other * (1 + 1e-3)
    assert input_of(answer).gain > 0
    closest = measure(answer, np.random.default_rng(6), pairs=64)
    assert closest <= answer.factor


def measure(answer: Any, rng: np.random.Generator, pairs: int) -> float:
    """The largest ratio of two distances in a row, for starts that differ in some layers only."""
    system, sizes = answer.system, answer.metric.sizes
    x = 10.0 ** rng.uniform(-1, 1, (pairs, 1)) * rng.standard_normal((pairs, sum(sizes)))
    owner = np.repeat(np.arange(len(sizes)), sizes)
    chosen = rng.integers(-1, len(sizes), (pairs, 1))
    apart = rng.standard_normal(x.shape) * ((chosen == owner) | (chosen == -1))
    u = jnp.asarray(2 * rng.standard_normal((pairs, 5, INPUTS)))
    first, second = (jnp.asarray(x), u), (jnp.asarray(x + apart), u)
    distance = np.asarray(measure_distances(system, answer.metric, first, second))
    # Rounding of the lowest layer weighs most; below that floor nothing is measured.
    valid = distance[:, :-1] > 1e-9 * np.abs(x).max(1, keepdims=True)
    ratio = np.where(valid, distance[:, 1:] / np.where(valid, distance[:, :-1], 1), 0.0)
    assert not np.isnan(ratio).any()
    assert ratio.max() <= answer.factor * (1 + 1e-6)
    return float(ratio.max())


@pytest.mark.parametrize("kinds", STRUCTURES.values(), ids=STRUCTURES)
def test_no_pair_decays_slower_than_certified(kinds: tuple[str, ...]):
    rng, closest = np.random.default_rng(7), 0.0
    for gain in (0.01, 1.0, 30.0):
        answer = certified(stack_of(rng, kinds, gain), theorems=QUICK)
        closest = max(closest, measure(answer, rng, 128) / (answer.factor or 1.0))
    assert closest > 0.6  # pairs that the bound nearly describes are among them


def line(gain: float, weight: float) -> tuple[Stack, BlockMaximumMetric]:
    """Two units in a row, all numbers positive: the inequality of the cascade is an equality."""
    half = DiagonalRecurrence(jnp.array([0.5]), jnp.zeros(1), jnp.array([[1.0], [0.0]]))
    link = Relay(jnp.array([[gain, 0.0]]), jnp.zeros(1), jnp.ones((1, 1)), "relu")
    parts = (DiagonalMetric(jnp.ones(2)),) * 2
    metric = BlockMaximumMetric(parts, (2, 2), jnp.array([1.0, weight]))
    return Stack((half, half), (link,), jnp.ones((1, 1))), metric


def test_larger_weights_than_those_proved_are_no_metric():
    """The weight is the largest possible: a twentieth more, and a pair decays slower."""
    system, _ = line(8.0, 1.0)
    answer = certified(system)
    assert isinstance(answer.metric, BlockMaximumMetric) and answer.factor is not None
    weight = float(answer.metric.weights[1])
    assert weight == pytest.approx((answer.factor - 0.5) / (answer.factor * 8.0))
    quiet = jnp.zeros((1, 1, 1))
    for share, holds in ((1.0, True), (1.05, False)):
        _, metric = line(8.0, weight * share)
        joints, weights = [(8.0, 1.0)], np.asarray(metric.weights)
        assert cascade_holds(answer.factor, [0.5, 0.5], joints, weights) == holds
        start = jnp.array([[1.0, 0.0, 1 / (weight * share), 0.0]])
        first, second = (start, quiet), (0 * start, quiet)
        before, after = measure_distances(system, metric, first, second)[0]
        assert (after <= answer.factor * before * (1 + 1e-12)) == holds


def test_a_given_metric_chooses_for_the_layers_and_its_weights_are_not_believed():
    system, metric = line(8.0, 1e6)
    answer = certified(system, metric=metric)
    assert float(answer.metric.weights[1]) < 1
    refused(system, "block maximum", metric=DiagonalMetric(jnp.ones(4)))
    parts = (DiagonalMetric(jnp.ones(1)), DiagonalMetric(jnp.ones(3)))
    refused(system, "block maximum", metric=BlockMaximumMetric(parts, (1, 3)))
    parts = (QuadraticMetric(jnp.eye(2)), QuadraticMetric(jnp.eye(2)))
    refused(system, "layer 0", metric=BlockMaximumMetric(parts, (2, 2)))


# Liars.


def test_pitfall_01_a_layer_without_certificate_is_refused():
    rng = np.random.default_rng(8)
    good, link = recurrence(rng, 2), relay(rng, 4, 1.0)
    wild = elman(rng)
    wild = eqx.tree_at(lambda e: e.weight_hh, wild, 30 * wild.weight_hh)
    grows = eqx.tree_at(lambda r: r.real, good, good.real + 1)
    for layers, place in (((wild, good), 0), ((good, wild), 1), ((good, grows), 1)):
        refused(Stack(layers, (link,), jnp.ones((WIDTH, 1))), f"layer {place} is not certified")


def test_pitfall_07_activations_without_slope_bound_are_refused():
    rng = np.random.default_rng(9)
    good, free = recurrence(rng, 2), recurrence_stack(jax.random.key(0), units=2, width=WIDTH)
    for activation in (GELU, SILU):
        link = relay(rng, 4, 1.0, activation.name)
        refused(Stack((good, good), (link,), jnp.ones((WIDTH, 1))), "relay 0")
        below = eqx.tree_at(lambda e: e.weight_hh, elman(rng, "relu"), jnp.zeros((4, 4)))
        curved = Elman(*jax.tree.leaves(below), activation=activation)
        layers = (good, curved)
        refused(Stack(layers, (relay(rng, 4, 1.0),), jnp.ones((WIDTH, 1))), "layer 1")
        with pytest.raises(InputProblem, match="slope bound"):
            StableStack(free.layers, (link,), free.embedding, free.embedding_bias)


def test_numbers_that_are_none_are_refused():
    system = stack_of(np.random.default_rng(10), STRUCTURES["mixed"], 1.0)
    leaves, structure = jax.tree.flatten(system)
    for index, leaf in enumerate(leaves):
        for bad in (jnp.nan, jnp.inf):
            spoilt = [*leaves[:index], jnp.asarray(leaf).at[...].set(bad), *leaves[index + 1 :]]
            with pytest.raises(InputProblem, match="NaN or infinity"):
                certify(jax.tree.unflatten(structure, spoilt))


def test_relays_beyond_float64_are_not_certified():
    rng = np.random.default_rng(11)
    layer = recurrence(rng, 2)
    for gain in (1e200, 1e307):
        system = Stack((layer,) * 4, [relay(rng, 4, gain)] * 3, jnp.ones((WIDTH, 1)))
        assert not isinstance(certify(system), Certificate)


def test_classes_that_only_look_alike_are_refused():
    class Louder(Stack):  # pyright: ignore[reportGeneralTypeIssues]
        def advance(self, n: Any, x: jax.Array, u: jax.Array) -> jax.Array:
            return 2 * super().advance(n, x, u)

    class Growing(DiagonalRecurrence):  # pyright: ignore[reportGeneralTypeIssues]
        def advance(self, n: Any, x: jax.Array, u: jax.Array) -> jax.Array:
            return 2 * super().advance(n, x, u)

    class Square(Relay):  # pyright: ignore[reportGeneralTypeIssues]
        def __call__(self, x: jax.Array) -> jax.Array:
            return super().__call__(x) ** 2

    rng = np.random.default_rng(12)
    plain, link = recurrence(rng, 2), relay(rng, 4, 1.0)
    steep = Square(link.read, link.bias, link.write, link.activation)
    refused(Stack((plain, plain), (steep,), jnp.ones((WIDTH, 1))), "may run something else")
    growing = Growing(plain.real, plain.imaginary, plain.input_weight, plain.bias)
    refused(growing, "may run something else")
    for kind, layers in ((Louder, (plain, plain)), (Stack, (plain, growing))):
        build: Any = kind
        refused(build(layers, (link,), jnp.ones((WIDTH, 1))), "may run something else")


def test_layers_whose_inputs_have_no_bound_stay_below():
    """A stack as a layer: its own certificate is no bound of what its inputs do."""
    rng = np.random.default_rng(13)
    inner = Stack((recurrence(rng, 2),), (), jnp.ones((WIDTH, WIDTH)))
    system = Stack((recurrence(rng, 2), inner), (relay(rng, 4, 1.0),), jnp.ones((WIDTH, 1)))
    refused(system, "layer 1 is not certified")


# Inputs.


@pytest.mark.parametrize("kind", LAYERS)
def test_input_gains_bound_every_derivative(kind: str):
    """Against derivatives at random points, in the metric; exact where no slope is in between."""
    rng, closest = np.random.default_rng(14), 0.0
    for _ in range(5):
        system = LAYERS[kind](rng)
        answer = certified(system, theorems=(DiagonalLinear(), *QUICK[0].theorems))
        found = input_of(answer)
        root = np.asarray(answer.metric.scale)[:, None]

        def derivative(x: jax.Array, u: jax.Array, system: Any = system) -> jax.Array:
            return jax.jacfwd(lambda u: system.advance(0, x, u))(u)

        x, u = 3 * rng.standard_normal((64, len(root))), 3 * rng.standard_normal((64, WIDTH))
        x[0], u[0] = 0, 0
        jacobians = np.asarray(jax.vmap(derivative)(jnp.asarray(x), jnp.asarray(u)))
        norms = np.linalg.norm(root * jacobians, 2, axis=(1, 2))
        assert norms.max() <= found.gain * (1 + 1e-12)
        closest = max(closest, norms.max() / found.gain)
        assert found.spread == pytest.approx(found.gain / (1 - answer.factor), rel=1e-12)
    assert closest > (0.999999 if kind in ("recurrence", "hopfield") else 0.2)


def test_input_gains_of_flows():
    rng = np.random.default_rng(15)
    for form in ("hopfield", "firing_rate"):
        network = rate_network(rng, form, "sigmoid")
        answer = certified(network, theorems=QUICK[0].theorems)
        scale, tau = np.asarray(answer.metric.scale)[:, None], float(network.time_constant)
        steepest = 0.25 if form == "firing_rate" else 1.0
        expected = steepest * np.linalg.norm(scale * np.asarray(network.input_weight), 2) / tau
        found = input_of(answer)
        assert found.gain == pytest.approx(expected, rel=1e-9) and found.gain >= expected
        assert found.spread == pytest.approx(found.gain / answer.rate, rel=1e-12)


@pytest.mark.parametrize("kinds", STRUCTURES.values(), ids=STRUCTURES)
def test_pairs_with_other_inputs_stay_within_the_spread(kinds: tuple[str, ...]):
    rng = np.random.default_rng(16)
    answer = certified(stack_of(rng, kinds, 1.0), theorems=QUICK)
    found = input_of(answer)
    x = rng.standard_normal((32, answer.system.state_size))
    u, push = rng.standard_normal((2, 32, 40, INPUTS))
    push /= np.linalg.norm(push, axis=-1, keepdims=True)
    pushed = (jnp.asarray(x), jnp.asarray(u + 0.3 * push))
    distance = measure_distances(
        answer.system, answer.metric, (jnp.asarray(x), jnp.asarray(u)), pushed
    )
    assert 0 < distance.max() <= 0.3 * found.spread
    first = np.asarray(distance)[:, 1]
    assert first.max() <= 0.3 * found.gain * (1 + 1e-9)


def test_systems_without_a_bound_of_their_inputs_say_so():
    answer = certified(recurrence(np.random.default_rng(17), 2))
    odd = eqx.tree_at(lambda m: m.scale, answer.metric, answer.metric.scale)
    metric = BlockMaximumMetric((odd,), (4,))
    found = input_gain(
        Certificate(answer.system, "other", metric, None, 0.5, (), ())  # pyright: ignore[reportArgumentType]
    )
    assert isinstance(found, Unknown) and "no bound" in found.reason


# Parametrisations.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_parameters_stay_inside_the_disc(dtype: type):
    """The stored numbers, exactly; huge parameters give no NaN, nor do their gradients."""
    extremes = np.array([-1e30, -200, -20, -10, -1, 0, 1, 3, 10, 1e4, 1e30])
    moduli, angles = (a.ravel() for a in np.meshgrid(extremes, extremes))
    n = len(moduli)
    arrays = moduli, angles, np.ones((2 * n, 2)), np.ones(2 * n)
    free = StableRecurrence(*(jnp.asarray(a, dtype) for a in arrays))
    system = jax.jit(StableRecurrence.explicit)(free)
    assert system.real.dtype == dtype
    pairs = zip(np.asarray(system.real), np.asarray(system.imaginary), strict=True)
    for a, b in pairs:
        assert Fraction(float(a)) ** 2 + Fraction(float(b)) ** 2 < 1
    assert certified(system, metric=free.metric()).factor < 1

    def total(free: StableRecurrence) -> jax.Array:
        return jnp.sum(jnp.stack([jnp.sum(leaf) for leaf in jax.tree.leaves(free.explicit())]))

    slopes = jax.jit(jax.grad(total))(free)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_random_moduli_just_below_the_edge_are_inside():
    rng = np.random.default_rng(18)
    for dtype in (np.float32, np.float64):
        n = 20_000
        logs = rng.uniform(-40, 0, n), rng.uniform(-12, 1.2, n)
        arrays = (*logs, np.zeros((2 * n, 0)), np.zeros(2 * n))
        free = StableRecurrence(*(jnp.asarray(a, dtype) for a in arrays))
        system = jax.jit(StableRecurrence.explicit)(free)
        assert certified(system).factor < 1 - 2 * np.finfo(dtype).eps


def test_the_ring_is_filled_evenly_and_inputs_are_normalised():
    free = random_stable_recurrence(
        jax.random.key(0), units=4000, inputs=1, r_min=0.5, r_max=0.9, max_angle=1.0
    )
    system = free.explicit()
    z = np.asarray(system.real) + 1j * np.asarray(system.imaginary)
    assert (np.abs(z) > 0.5 - 1e-6).all() and (np.abs(z) < 0.9 + 1e-6).all()
    assert np.quantile(np.abs(z) ** 2, 0.5) == pytest.approx((0.25 + 0.81) / 2, abs=0.01)
    assert np.quantile(np.angle(z), 0.5) == pytest.approx(0.5, abs=0.02)
    gamma = np.asarray(system.input_weight / free.input_weight)[:4000, 0]
    np.testing.assert_allclose(gamma**2 + np.abs(z) ** 2, 1, rtol=1e-5)
    for options in ({"units": 0}, {"r_max": 1.0}, {"r_min": 0.95}, {"max_angle": 4.0}):
        with pytest.raises(InputProblem):
            random_stable_recurrence(
                jax.random.key(0), **{"units": 2, "inputs": 1, "r_max": 0.9, **options}
            )


def test_training_steps_keep_the_certificate():
    """Steps far too large, from a start that is asked to remember: still certified, all of them."""
    free: Any = recurrence_stack(jax.random.key(0), layers=2, units=4, width=3, hidden=5)
    optimiser = optax.adam(0.3)
    u = jax.random.normal(jax.random.key(1), (8, 12, 1), jnp.float32)

    @jax.jit
    def step(free: Any, state: Any) -> tuple[Any, Any, jax.Array]:
        def loss(free: StableStack) -> jax.Array:
            system = free.explicit()
            rest = jnp.zeros((8, system.state_size), jnp.float32)
            final = run_stack_batch(system, rest, u).final
            return jnp.mean((final.sum(-1) - 5 * u[:, 0, 0]) ** 2)

        value, slope = jax.value_and_grad(loss)(free)
        change, state = optimiser.update(slope, state)
        return optax.apply_updates(free, change), state, value

    state = optimiser.init(free)
    for round_ in range(100):
        free, state, value = step(free, state)
        assert np.isfinite(value)
        if round_ % 20 == 0:
            answer = certified(jax.jit(StableStack.explicit)(free), metric=free.metric())
            assert answer.factor <= max(answer.module_bounds) * 0.99 + 0.01 + 1e-12


def test_a_stack_of_parametrisations():
    free = recurrence_stack(jax.random.key(0), layers=2, units=4, width=5, inputs=2, hidden=6)
    system = jax.jit(StableStack.explicit)(free)
    assert system.sizes == (8, 8) and system.input_size == 2 and free.idle() == 0
    assert {leaf.dtype for leaf in jax.tree.leaves(system)} == {np.dtype(np.float32)}
    metric = free.metric()
    assert isinstance(metric, BlockMaximumMetric) and metric.sizes == system.sizes
    answer = certified(system, metric=metric)
    assert answer.factor == certified(system).factor
    for options in ({"layers": 0}, {"hidden": 0}, {"width": 0}, {"activation": "wiggle"}):
        with pytest.raises(InputProblem):
            recurrence_stack(jax.random.key(0), **{"units": 2, **options})


def test_sector_is_among_what_certifies_layers_by_default():
    """`certify` hands its own theorems on: an Elman layer alone and in a stack has one factor."""
    cell = elman(np.random.default_rng(19))
    alone = certified(cell)
    answer = certified(Stack((cell,), (), jnp.ones((WIDTH, 1))))
    assert alone.theorem in ("sector", "singular_value", "absolute_value")
    assert answer.factor == alone.factor
    assert any(isinstance(t, Sector) for t in Cascade((Sector(),)).theorems)


def test_moduli_that_overflow_are_not_certified():
    answer = certify(DiagonalRecurrence(jnp.array([1e200]), jnp.array([0.5])))
    assert isinstance(answer, Unknown) and "too large" in answer.reason


def test_gains_of_answers_that_decided_nothing_are_refused():
    unknown: Any = certify(DiagonalRecurrence(jnp.array([1.5]), jnp.array([0.5])))
    with pytest.raises(InputProblem, match="give certificates"):
        input_gain(unknown)
