"""Wrong certificates that look right: each known mistake, and that `certify` does not make it."""

import inspect
import itertools
import typing
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg as sla

import limitset.contraction as contraction
from contraction.families import FAMILIES, Family
from limitset import Evidence, InputProblem
from limitset.contraction import (
    AbsoluteValue,
    Certificate,
    DiagonalMetric,
    QuadraticMetric,
    Refuted,
    SingularValue,
    Unknown,
    certify,
)
from limitset.dynamics import (
    AbstractFlow,
    AbstractMap,
    ExplicitEuler,
    SemiImplicit,
    discretise,
)
from limitset.networks import Activation, Assembly, RateNetwork, module_slices

# Some inputs here are ones that the shape checks of the test suite would catch first.
pytestmark = pytest.mark.usefixtures("no_shape_checks")

# The theorems with diagonal metrics.
DIAGONAL = (AbsoluteValue(), SingularValue())


def rate_network(weight: Any, **options: Any) -> RateNetwork:
    return RateNetwork(jnp.asarray(weight, jnp.float64), **options)


def certified(system: AbstractFlow | AbstractMap, **options: Any) -> Certificate:
    answer = certify(system, **options)
    assert isinstance(answer, Certificate), answer.reason
    return answer


def not_certified(system: AbstractFlow | AbstractMap, **options: Any) -> Unknown | Refuted:
    answer = certify(system, **options)
    assert not isinstance(answer, Certificate), answer.claim()
    return answer


def worst_growth(system: RateNetwork | Assembly, metric: QuadraticMetric | DiagonalMetric) -> float:
    """Largest measure of the Jacobian over all corners of the slope box, by brute force."""
    modules = system.modules if isinstance(system, Assembly) else (system,)
    parts = module_slices(system) if isinstance(system, Assembly) else (slice(None),)
    coupling = np.asarray(system.coupling) if isinstance(system, Assembly) else 0.0
    size, worst = system.state_size, -np.inf
    for corner in itertools.product((0, 1), repeat=size):
        jacobian = np.zeros((size, size))
        for module, part in zip(modules, parts, strict=True):
            slopes = np.array(module.activation.slope_interval or ())[np.array(corner)[part]]
            weight = np.asarray(module.weight)
            driven = weight * (slopes if module.form == "hopfield" else slopes[:, None])
            block = driven - float(module.leak) * np.eye(len(weight))
            jacobian[part, part] = block / float(module.time_constant)
        worst = max(worst, float(metric.measure(jnp.asarray(jacobian + coupling))))
    return worst


def stable_modules(rng: np.random.Generator, count: int = 2, n: int = 4) -> list[RateNetwork]:
    """Modules that need a metric far from round: sparse, large weights one way, small the other."""
    modules = []
    for _ in range(count):
        weight = rng.standard_normal((n, n))
        weight *= 0.8 / np.abs(np.linalg.eigvals(np.abs(weight))).max()
        scale = np.exp(1.5 * rng.standard_normal(n))
        modules.append(rate_network(weight * scale / scale[:, None]))
    return modules


def metric_of(modules: list[RateNetwork]) -> np.ndarray:
    """The modules' own scales, concatenated."""
    found = [certified(m, theorems=DIAGONAL).metric for m in modules]
    return np.concatenate([np.asarray(m.scale) for m in found if isinstance(m, DiagonalMetric)])


def lower_blocks(rng: np.random.Generator, sizes: tuple[int, ...], gain: float) -> np.ndarray:
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return gain * rng.standard_normal((sum(sizes),) * 2) * (owner[:, None] > owner)


@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_weights_with_negative_symmetric_part_may_not_contract(form: str):
    """`W + W^T < 2I` is no certificate: [[0, -4], [4, 0]] satisfies it with room to spare."""
    weight = np.array([[0.0, -4.0], [4.0, 0.0]])
    assert np.linalg.eigvalsh(weight + weight.T).max() < 2
    not_certified(rate_network(weight, form=form))
    for scale in np.exp(np.linspace(-4, 4, 17)):
        not_certified(rate_network(weight, form=form), metric=DiagonalMetric(jnp.array([1, scale])))
    # The theorem `vertices` decides a given metric exactly, and no metric is right.
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = rng.standard_normal((2, 2))
        metric = QuadraticMetric(jnp.asarray(root @ root.T + 1e-3 * np.eye(2)))
        not_certified(rate_network(weight, form=form), metric=metric)


def test_stable_jacobians_at_all_frozen_slopes_do_not_make_a_contraction():
    """For c = 4 every frozen Jacobian is stable; switching slopes makes distances grow."""
    weight = np.array([[0.0, -4.0], [4.0, 0.0]])
    grid = np.linspace(0, 1, 21)
    frozen = [-np.eye(2) + weight * np.array([a, b]) for a in grid for b in grid]
    assert max(np.linalg.eigvals(jacobian).real.max() for jacobian in frozen) < -0.99
    first, second = (sla.expm(-np.eye(2) + weight * np.array(d)) for d in ((1, 0), (0, 1)))
    assert np.abs(np.linalg.eigvals(first @ second)).max() == pytest.approx(1.885, abs=1e-3)


def test_plain_skew_coupling_of_modules_with_other_metrics():
    """`L = B - B^T` is right for round metrics only; the same B in the modules' metric is right."""
    rng = np.random.default_rng(3)
    modules = stable_modules(rng)
    scale = metric_of(modules)
    slowest = min(certified(m, theorems=DIAGONAL).margin for m in modules)
    lower = lower_blocks(rng, (4, 4), 3.0)
    skew = lower - lower.T
    wrong = Assembly(modules, jnp.asarray(skew))
    not_certified(wrong)
    not_certified(wrong, metric=DiagonalMetric(jnp.asarray(scale)))
    assert worst_growth(wrong, DiagonalMetric(jnp.asarray(scale))) > 0
    right = Assembly(
        modules, jnp.asarray(lower - (lower * scale[:, None] ** 2).T / scale[:, None] ** 2)
    )
    answer = certified(right, metric=DiagonalMetric(jnp.asarray(scale)))
    assert answer.margin > (1 - 1e-6) * slowest
    assert certified(right).margin > 0.8 * slowest


def test_coupling_with_the_inverse_metric():
    """`L = B - M B^T M^-1` holds for the inverse metric; with M itself it destabilises."""
    rng = np.random.default_rng(5)
    modules = stable_modules(rng)
    scale = metric_of(modules)
    lower = lower_blocks(rng, (4, 4), 3.0)
    square = scale**2
    wrong = Assembly(modules, jnp.asarray(lower - square[:, None] * lower.T / square))
    right = Assembly(modules, jnp.asarray(lower - lower.T * square / square[:, None]))
    not_certified(wrong)
    not_certified(wrong, metric=DiagonalMetric(jnp.asarray(scale)))
    certified(right)


def test_metric_of_the_hopfield_form_used_for_the_firing_rate_form():
    """Symmetric weights: the metrics of the two forms are inverse to each other."""
    rng = np.random.default_rng(1)
    root = rng.standard_normal((4, 4))
    T = root @ root.T / 4 + 0.05 * np.eye(4)
    a = 0.7
    weight = T - T @ T / (4 * a)
    firing_rate, hopfield = T @ T, np.linalg.inv(T @ T)
    firing_rate, hopfield = ((m + m.T) / 2 for m in (firing_rate, hopfield))
    for form, right, wrong in (
        ("hopfield", hopfield, firing_rate),
        ("firing_rate", firing_rate, hopfield),
    ):
        network = rate_network(weight, form=form)
        answer = certified(network, metric=QuadraticMetric(jnp.asarray(right)))
        assert answer.theorem == "vertices"
        # The closed form promises 1 - a; the corners of the slope box may do better.
        assert answer.rate is not None and answer.rate >= 1 - a - 1e-6
        growth = worst_growth(network, QuadraticMetric(jnp.asarray(right)))
        assert answer.rate == pytest.approx(-growth, rel=1e-6)
        not_certified(network, metric=QuadraticMetric(jnp.asarray(wrong)))
        assert worst_growth(network, QuadraticMetric(jnp.asarray(wrong))) > 0


def test_flow_is_certified_but_its_euler_map_is_not():
    """Strong feedback: the flow contracts, explicit steps explode, semi-implicit steps do not."""
    rng = np.random.default_rng(2)
    modules = stable_modules(rng)
    scale = metric_of(modules)
    lower = lower_blocks(rng, (4, 4), 50.0)
    coupling = (lower - lower.T) * scale / scale[:, None]
    assembly = Assembly(modules, jnp.asarray(coupling))
    metric = DiagonalMetric(jnp.asarray(scale))
    assert certified(assembly, metric=metric).time == "continuous"
    explicit = discretise(assembly, ExplicitEuler(0.03))
    assert isinstance(not_certified(explicit, metric=metric), Refuted)
    answer = certified(discretise(assembly, SemiImplicit(0.03)), metric=metric)
    assert answer.factor is not None and answer.factor <= 1 - 0.03 * 0.2 + 1e-3


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "softplus", "identity"])
@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_self_weights_count_with_their_worst_slope(activation: str, form: str):
    """Positive self-weights count, negative ones count only if the slope cannot vanish."""
    rng = np.random.default_rng(4)
    for diagonal in ([0.9, -3.0, 0.2], [-5.0, -5.0, -5.0], [2.0, 0.0, 0.0], [0.5, 0.5, 3.5]):
        weight = 0.3 * rng.standard_normal((3, 3))
        np.fill_diagonal(weight, diagonal)
        network = rate_network(weight, form=form, activation=activation)
        answer = certify(network)
        if isinstance(answer, Certificate):
            assert isinstance(answer.metric, DiagonalMetric | QuadraticMetric)
            assert answer.rate is not None
            assert answer.rate <= -worst_growth(network, answer.metric) + 1e-9
        if max(diagonal) >= 2 and activation != "sigmoid":
            assert isinstance(answer, Unknown | Refuted)


def test_large_negative_self_weights_limit_the_step_of_the_map():
    """`w = -6`: the flow contracts at rate 1, Euler steps of 0.3 expand, steps of 1/7 do not."""
    network = rate_network([[-6.0]])
    assert certified(network).rate == pytest.approx(1, rel=1e-2)
    refuted = not_certified(discretise(network, ExplicitEuler(0.3)))
    assert isinstance(refuted, Refuted)
    answer = certified(discretise(network, ExplicitEuler(1 / 7)))
    assert answer.factor == pytest.approx(6 / 7, rel=1e-3)


@pytest.mark.parametrize(
    "activation",
    ["silu", "gelu", Activation("mine", jnp.tanh), Activation("tanh", jax.nn.silu, None)],
    ids=["silu", "gelu", "custom", "false name"],
)
def test_activations_without_a_proved_slope_interval(activation: str | Activation):
    """Even zero weights: what is not known of the slopes is not assumed."""
    network = rate_network(np.zeros((2, 2)), activation=activation)
    for system in (
        network,
        discretise(network, ExplicitEuler(0.1)),
        Assembly([network], jnp.zeros((2, 2))),
        discretise(Assembly([network], jnp.zeros((2, 2))), SemiImplicit(0.1)),
    ):
        answer = not_certified(system, metric=DiagonalMetric(jnp.ones(2)))
        assert isinstance(answer, Unknown) and "slopes" in answer.reason


def test_leak_enters_the_bound():
    """`sigma < 1` is not enough where the leak is one half; `c < 2` becomes `c < 1`."""
    weight = np.array([[0.0, 0.9], [-0.9, 0.0]])
    norm = (SingularValue(),)
    answer = certified(rate_network(weight, leak=1.0), theorems=norm)
    assert answer.rate == pytest.approx(0.1, rel=1e-2)
    not_certified(rate_network(weight, leak=0.5), theorems=norm)
    certified(rate_network(weight, leak=0.5))
    not_certified(rate_network(weight, leak=0.44))
    symmetric = rate_network(np.array([[0.0, 0.9], [0.9, 0.0]]), leak=0.5)
    assert isinstance(not_certified(symmetric), Refuted)
    not_certified(rate_network(np.zeros((2, 2)), leak=0.0))


def test_slopes_other_than_one_enter_the_bound():
    """A custom activation twice as steep, one with a floor, and one that falls."""
    steep = Activation("steep", lambda x: 2 * jnp.tanh(x), (0.0, 2.0))
    assert certified(rate_network([[0.4]], activation=steep)).rate == pytest.approx(0.2, rel=1e-3)
    not_certified(rate_network([[0.6]], activation=steep))
    floor = Activation("floor", lambda x: (x + jnp.tanh(x)) / 2, (0.5, 1.0))
    assert certified(rate_network([[-2.0]], activation=floor)).rate == pytest.approx(2, rel=1e-3)
    falling = Activation("falling", lambda x: -jnp.tanh(x), (-1.0, 0.0))
    not_certified(rate_network([[-1.5]], activation=falling))
    certified(rate_network([[-0.5]], activation=falling))
    assert certified(rate_network([[1.5]], activation=falling)).rate == pytest.approx(1, rel=1e-2)


def spoiled(system: Any, index: int, value: float) -> Any:
    """The system with one entry of one leaf replaced."""
    leaves, structure = jax.tree.flatten(system)
    array = np.array(leaves[index])
    array.reshape(-1)[-1] = value
    leaves[index] = jnp.asarray(array)
    return jax.tree.unflatten(structure, leaves)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_nan_and_infinity_in_any_leaf(family: Family):
    """One bad number anywhere, even where no theorem reads it, is a problem and no answer."""
    system = family.stacks[0](np.random.default_rng(0), 1).member(0)
    certified(system)
    for index, leaf in enumerate(jax.tree.leaves(system)):
        for value in (np.nan, np.inf, -np.inf) if leaf.size else ():
            with pytest.raises(InputProblem) as problem:
                certify(spoiled(system, index, value))
            assert "\n" not in str(problem.value) and "NaN or infinity" in str(problem.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_metrics_that_are_none(value: float):
    network = rate_network(np.zeros((2, 2)))
    for system in (
        network,
        discretise(network, ExplicitEuler(0.1)),
        Assembly([network], jnp.zeros((2, 2))),
    ):
        with pytest.raises(InputProblem) as problem:
            certify(system, metric=DiagonalMetric(jnp.array([1.0, value])))
        assert "\n" not in str(problem.value)
    matrix = QuadraticMetric(jnp.array([[1.0, 0.0], [0.0, value]]))
    assert isinstance(certify(network, metric=matrix), Unknown)


def test_metrics_of_the_wrong_size():
    network = rate_network(np.zeros((2, 2)))
    for metric in (DiagonalMetric(jnp.ones(3)), DiagonalMetric(jnp.ones(1))):
        with pytest.raises(InputProblem, match="one scale per state"):
            certify(network, metric=metric)
    assert isinstance(certify(network, metric=QuadraticMetric(jnp.eye(3))), Unknown)
    with pytest.raises(InputProblem):
        DiagonalMetric(jnp.eye(2))
    with pytest.raises(InputProblem):
        QuadraticMetric(jnp.ones((2, 3)))


@pytest.mark.parametrize("matrix", [[[1.0, 0.5], [0.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]])
def test_quadratic_metrics_must_be_symmetric_and_definite(matrix: list[list[float]]):
    network = rate_network(np.zeros((2, 2)))
    answer = not_certified(network, metric=QuadraticMetric(jnp.array(matrix)))
    assert isinstance(answer, Unknown)


@pytest.mark.parametrize("bound", [np.nan, np.inf, -1.0, -np.inf])
def test_input_bounds_that_are_none(bound: float):
    with pytest.raises(InputProblem, match="input_bound") as problem:
        certify(rate_network(np.zeros((2, 2))), input_bound=bound)
    assert "\n" not in str(problem.value)


class Pendulum(AbstractFlow):
    """A flow of the user's own, with a Jacobian that depends on the state."""

    @property
    def state_size(self) -> int:
        return 1

    @property
    def input_size(self) -> int:
        return 0

    def velocity(self, t: Any, x: Any, u: Any) -> Any:
        return -x + 0.5 * jnp.sin(x)


def test_systems_that_no_theorem_knows():
    """Unknown, never certified: this one does contract, but nothing here proves it."""
    for system in (Pendulum(), discretise(Pendulum(), ExplicitEuler(0.1))):
        answer = certify(system)
        assert isinstance(answer, Unknown) and "no theorem speaks" in answer.reason
        assert answer.tried == ()
    with pytest.raises(InputProblem):
        certify(typing.cast(Any, "weights"))


class Growing(RateNetwork):
    """A rate network by name and weights, which runs something else."""

    def velocity(self, t: Any, x: Any, u: Any) -> Any:
        return x

    def drive(self, x: Any, u: Any) -> Any:
        return 3 * x


def test_subclasses_that_run_something_else():
    """Theorems know the class itself, at the top and inside a map."""
    growing = typing.cast(Any, Growing)(jnp.zeros((2, 2)))
    for system in (growing, discretise(growing, ExplicitEuler(0.1))):
        answer = not_certified(system)
        assert isinstance(answer, Unknown) and "Growing" in answer.reason


def test_a_custom_activation_under_a_known_name():
    """Its promise counts for certificates; the known function's slopes refute nothing."""
    gentle = Activation("tanh", lambda x: jnp.tanh(x) / 10, (0.0, 0.1))
    network = rate_network([[0.0, 1.2], [1.2, 0.0]], activation=gentle)
    assert certified(network).rate == pytest.approx(0.88, rel=1e-3)
    unpromised = Activation("tanh", lambda x: jnp.tanh(x) / 10)
    answer = not_certified(rate_network([[0.0, 1.2], [1.2, 0.0]], activation=unpromised))
    assert isinstance(answer, Unknown)


def test_a_singular_step():
    """`I - step L` singular, or its inverse not finite: a problem, and no bound."""
    module = rate_network(np.zeros((1, 1)))
    assembly = Assembly([module, module], jnp.array([[0.0, 1.0], [1.0, 0.0]]))
    with pytest.raises(InputProblem):
        discretise(assembly, SemiImplicit(1.0))
    system = discretise(assembly, SemiImplicit(0.5))
    for value in (np.inf, np.nan):
        spoilt = eqx.tree_at(lambda s: s.propagator, system, jnp.full((2, 2), value))
        with pytest.raises(InputProblem):
            certify(spoilt)


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.float16, jnp.bfloat16, jnp.complex64])
def test_weights_of_other_dtypes(dtype: Any):
    """Refused in one line, when the network is made or when it is certified."""
    with pytest.raises(InputProblem) as problem:
        certify(RateNetwork(jnp.zeros((2, 2), dtype)))
    assert "\n" not in str(problem.value)


def test_nothing_samples_its_way_to_a_certificate():
    """Certificates are born verified; what is measured comes back as numbers only."""
    names = [n for n in dir(contraction) if inspect.isfunction(getattr(contraction, n))]
    returning = {
        name
        for name in names
        if "Certificate" in str(inspect.signature(getattr(contraction, name)).return_annotation)
    }
    # Of these, `compose` and `compose_maps` join proofs; the others start from a system.
    blocks = {"certify_block", "certify_convergence", "certify_network"}
    assert returning == {"certify", "compose", "compose_maps", "discrete_factor"} | blocks
    answer = certified(rate_network(np.zeros((2, 2))))
    assert answer.evidence is Evidence.VERIFIED


def test_huge_and_tiny_weights_end_in_an_answer():
    """Overflow and underflow inside a bound make it useless, never wrong and never a crash."""
    for size in (1e-320, 1e-200, 1e100, 1e200, 1e308):
        for sign in (1.0, -1.0):
            weight = size * np.array([[0.0, 1.0], [sign, 0.0]])
            answer = certify(rate_network(weight))
            assert isinstance(answer, Certificate) == (size < 1)
    far = DiagonalMetric(jnp.array([1e-150, 1e150]))
    not_certified(rate_network(np.array([[0.0, 1.0], [1.0, 0.0]])), metric=far)
    not_certified(rate_network(np.full((2, 2), 1e308)), metric=far)
