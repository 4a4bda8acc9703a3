"""Parametrisations: every value of the free parameters gives weights within the promised bound."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limitset import InputProblem
from limitset.contraction import (
    AbsoluteValue,
    AbsoluteValueWeight,
    AbstractTheorem,
    Certificate,
    DiagonalMetric,
    SingularValue,
    SingularValueWeight,
    SkewCoupling,
    StableAssembly,
    certify,
    delay_line_assembly,
    random_stable_assembly,
)
from limitset.dynamics import ExplicitEuler, SemiImplicit, discretise, simulate
from limitset.networks import RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")

seeds = st.integers(0, 2**32 - 1)
sizes = st.sampled_from([1, 6])
spreads = st.sampled_from([0.0, 1.0, 8.0])
gains = st.sampled_from([1e-30, 1e-3, 1.0, 1e3, 1e30])


def whitened(weight: Any, scale: Any) -> np.ndarray:
    weight, scale = np.asarray(weight, np.float64), np.asarray(scale, np.float64)
    return scale[..., :, None] * weight / scale[..., None, :]


def draw(seed: int, *shapes: tuple[int, ...]) -> list[jax.Array]:
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(shape)) for shape in shapes]


@given(seeds, sizes, spreads, gains)
def test_absolute_values_attain_their_bound_exactly(seed: int, n: int, spread: float, gain: float):
    """`||S W S^-1||_2` of absolute values is the limit itself where no entry vanishes."""
    theta, log_scale = draw(seed, (3, n, n), (3, n))
    solved = AbsoluteValueWeight(gain * theta, spread * log_scale).explicit(0.9)
    norms = np.linalg.norm(np.abs(whitened(solved.weight, solved.scale)), 2, axis=(1, 2))
    np.testing.assert_allclose(norms, 0.9, rtol=1e-10)


@given(seeds, sizes)
def test_absolute_values_with_empty_rows_and_columns(seed: int, n: int):
    """Zeros stay zero, nothing divides by them, the bound holds, and gradients are finite."""
    (theta,) = draw(seed, (n, n))
    rng = np.random.default_rng(seed)
    mask = rng.random((n, n)) < 0.5
    mask[rng.integers(n)] = False
    mask[:, rng.integers(n)] = False
    free = AbsoluteValueWeight(theta * mask, jnp.zeros(n))
    solved = free.explicit(1.0)
    assert not np.asarray(solved.weight)[~mask].any()
    assert np.linalg.norm(np.abs(solved.weight), 2) <= 1 + 1e-12
    slopes = jax.grad(lambda f: (f.explicit(1.0).weight ** 2).sum())(free)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@settings(max_examples=10)
@given(seeds, sizes, spreads, st.sampled_from([1e-3, 1.0, 30.0]))
def test_singular_values_stay_below_their_bound(seed: int, n: int, spread: float, gain: float):
    left, right, spectrum, log_scale = draw(seed, (2, n, n), (2, n, n), (2, n), (2, n))
    free = SingularValueWeight(gain * left, gain * right, gain * spectrum, spread * log_scale / 4)
    solved = free.explicit(0.9)
    values = np.linalg.svd(whitened(solved.weight, solved.scale), compute_uv=False)
    expected = np.sort(0.9 * np.asarray(jax.nn.sigmoid(gain * spectrum)))[:, ::-1]
    np.testing.assert_allclose(values, expected, rtol=1e-7, atol=1e-9)
    slopes = jax.grad(lambda f: (f.explicit(0.9).weight ** 2).sum())(free)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@given(seeds, spreads)
def test_couplings_are_skew_in_their_metric(seed: int, spread: float):
    """To relative rounding, whatever the metric's condition; blocks on the diagonal are empty."""
    rng = np.random.default_rng(seed)
    parts = tuple(int(k) for k in rng.integers(1, 5, rng.integers(1, 5)))
    n = sum(parts)
    lower, log_scale = draw(seed, (n, n), (n,))
    scale = jnp.exp(spread * log_scale)
    coupling = SkewCoupling(1e3 * lower, parts).explicit(scale)
    skew = whitened(coupling, scale)
    np.testing.assert_allclose(skew, -skew.T, rtol=1e-14)
    owner = np.repeat(np.arange(len(parts)), parts)
    assert not np.asarray(coupling)[owner[:, None] == owner].any()
    below = owner[:, None] > owner
    np.testing.assert_allclose(skew[below], 1e3 * np.asarray(lower)[below], rtol=1e-14)
    # Every skew coupling is reached, and by one value of the free blocks only.
    unused = SkewCoupling(jnp.where(below, 1e3 * lower, 7.0), parts).explicit(scale)
    np.testing.assert_array_equal(unused, coupling)


def test_coupling_sizes_must_fit():
    with pytest.raises(InputProblem, match="units? per module|sizes"):
        SkewCoupling(jnp.zeros((3, 3)), (2, 2))


@pytest.mark.parametrize("theorem", ["absolute_value", "singular_value"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_explicit_assemblies_are_certified_at_their_margin(
    theorem: str, activation: str, form: str
):
    """Rate `1 - margin` over the slowest time constant, less float32 rounding; not 1% more."""
    free = random_stable_assembly(
        jax.random.key(1),
        modules=3,
        units=4,
        inputs=2,
        theorem=theorem,
        activation=activation,
        form=form,
        time_constants=(1.0, 2.0, 0.5),
        margin=0.8,
        coupling_gain=20.0,
    )
    if theorem == "singular_value":
        full = jnp.full((3, 4), 30.0, jnp.float32)
        free = eqx.tree_at(lambda f: f.weights.spectrum, free, full)  # pyright: ignore[reportAttributeAccessIssue]
    answer = certify(free.explicit(), metric=free.metric())
    assert isinstance(answer, Certificate) and answer.rate is not None
    assert answer.rate >= 0.2 / 2 * (1 - 1e-4)


@pytest.mark.parametrize("proof", [AbsoluteValue(), SingularValue()], ids=lambda t: t.name)
def test_one_percent_beyond_the_limit_nothing_is_certified(proof: AbstractTheorem):
    """The negative control. Steps of 1 keep nothing of the state: the factor is the bound."""
    (theta,) = draw(7, (5, 5))
    free = (
        AbsoluteValueWeight(theta, jnp.zeros(5))
        if isinstance(proof, AbsoluteValue)
        else SingularValueWeight(theta, theta.T + 1, jnp.full(5, 40.0), jnp.zeros(5))
    )
    for limit in (0.99, 1.01):
        system = discretise(RateNetwork(free.explicit(limit).weight), ExplicitEuler(1.0))
        metric = DiagonalMetric(free.explicit(limit).scale)
        answer = certify(system, metric=metric, theorems=(proof,))
        assert isinstance(answer, Certificate) == (limit < 1)
        if isinstance(answer, Certificate):
            assert answer.factor == pytest.approx(limit, rel=1e-6)
    twice = RateNetwork(2 * free.explicit(0.99).weight, activation="sigmoid")
    assert isinstance(certify(twice, metric=DiagonalMetric(jnp.ones(5))), Certificate)


@pytest.mark.parametrize("theorem", ["absolute_value", "singular_value"])
def test_two_hundred_large_steps_of_training(theorem: str):
    """Random gradients with a learning rate far too large: the map that runs stays certified."""
    free = random_stable_assembly(
        jax.random.key(3), modules=2, units=4, inputs=2, theorem=theorem, margin=0.9
    )
    inputs = jax.random.normal(jax.random.key(4), (5, 2), jnp.float32)

    @eqx.filter_jit
    def update(free: StableAssembly, key: jax.Array) -> tuple[StableAssembly, jax.Array]:
        target = jax.random.normal(key, (8,), jnp.float32)

        def loss(free: StableAssembly) -> jax.Array:
            system = discretise(free.explicit(), SemiImplicit(0.2))
            return ((simulate(system, jnp.zeros(8, jnp.float32), inputs).final - target) ** 2).sum()

        slopes = eqx.filter_grad(loss)(free)
        finite = jnp.stack([jnp.isfinite(s).all() for s in jax.tree.leaves(slopes)]).all()
        leaves, structure = jax.tree.flatten(slopes)
        keys = jax.random.split(key, len(leaves))
        # Sign descent in steps of 0.3, with half of the signs at random.
        moves = [
            -0.3 * jnp.sign(s) * jax.random.rademacher(k, s.shape, s.dtype) ** (i % 2)
            for i, (s, k) in enumerate(zip(leaves, keys, strict=True))
        ]
        return eqx.apply_updates(free, jax.tree.unflatten(structure, moves)), finite

    for step in range(200):
        free, finite = update(free, jax.random.fold_in(jax.random.key(5), step))
        assert finite
        if step % 20 == 19:
            system = discretise(free.explicit(), SemiImplicit(0.2))
            answer = certify(system, metric=free.metric(), input_bound=None)
            assert isinstance(answer, Certificate), answer.reason
            assert answer.factor is not None and answer.factor <= 1 - 0.2 * 0.1 + 1e-3
    assert float(jnp.abs(free.coupling.lower).max()) > 1


BASE: dict[str, Any] = {"modules": 2, "units": 3, "inputs": 2}
OTHERS: dict[str, Any] = {
    "modules": 3,
    "units": 4,
    "inputs": 1,
    "theorem": "singular_value",
    "activation": "sigmoid",
    "form": "firing_rate",
    "time_constants": (1.0, 3.0),
    "margin": 0.5,
    "coupling_gain": 2.0,
}


def differ(first: StableAssembly, second: StableAssembly) -> bool:
    """Whether two assemblies move differently from one state under one input."""
    a, b = first.explicit(), second.explicit()
    if (a.state_size, a.input_size) != (b.state_size, b.input_size):
        return True
    x, u = jnp.linspace(-1, 1, a.state_size), jnp.ones(a.input_size)
    return not bool(jnp.allclose(a.velocity(0.0, x, u), b.velocity(0.0, x, u), atol=1e-7))


@pytest.mark.parametrize("name", OTHERS)
def test_every_argument_of_random_assemblies_changes_something(name: str):
    key = jax.random.key(0)
    first = random_stable_assembly(key, **BASE)
    assert not differ(first, random_stable_assembly(key, **BASE))
    assert differ(first, random_stable_assembly(key, **{**BASE, name: OTHERS[name]}))
    assert differ(first, random_stable_assembly(jax.random.key(1), **BASE))


@pytest.mark.parametrize(
    "name",
    [
        "weights",
        "coupling",
        "input_weight",
        "bias",
        "activation",
        "form",
        "time_constants",
        "margin",
    ],
)
def test_every_field_of_a_stable_assembly_changes_something(name: str):
    first = random_stable_assembly(jax.random.key(0), **BASE)
    other = random_stable_assembly(
        jax.random.key(9),
        **BASE,
        activation="relu",
        form="firing_rate",
        margin=0.3,
        time_constants=(2.0, 0.5),
    )
    fields = {field: getattr(first, field) for field in first.__dataclass_fields__}
    assert set(fields) >= {name}
    changed = StableAssembly(**{**fields, name: getattr(other, name)})
    assert differ(first, changed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modules": 0}, "at least 1"),
        ({"units": 0}, "at least 1"),
        ({"inputs": -1}, "at least 1"),
        ({"theorem": "magic"}, "magic"),
        ({"activation": "silu"}, "slope"),
        ({"activation": "nonsense"}, "nonsense"),
        ({"margin": 1.0}, "margin"),
        ({"margin": 0.0}, "margin"),
        ({"margin": float("nan")}, "margin"),
        ({"time_constants": (1.0,)}, "time constants"),
    ],
)
def test_arguments_that_do_not_fit(change: dict[str, Any], message: str):
    with pytest.raises(InputProblem, match=message) as problem:
        random_stable_assembly(jax.random.key(0), **{**BASE, **change})
    assert "\n" not in str(problem.value)


def test_delay_lines_delay():
    """Without noise, a pulse at the head arrives at unit k after k steps, and the line forgets."""
    line = delay_line_assembly(
        jax.random.key(0), modules=2, units=5, inputs=1, noise=0.0, activation="relu"
    )
    system = discretise(line.explicit(), ExplicitEuler(1.0))
    pulse = jnp.zeros((7, 1), jnp.float32).at[0].set(1.0)
    states = np.asarray(simulate(system, jnp.zeros(10, jnp.float32), pulse).states)
    expected = np.tile(0.3 * np.eye(7, 5), (1, 2))
    np.testing.assert_allclose(states, expected, atol=1e-6)
    answer = certify(system, metric=line.metric(), input_bound=None)
    assert isinstance(answer, Certificate) and answer.factor == pytest.approx(0.97, rel=1e-4)
    assert answer.condition == pytest.approx(0.97**-8, rel=1e-4)


@pytest.mark.parametrize("noise", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("units", [1, 2, 12])
def test_delay_lines_are_certified(noise: float, units: int):
    line = delay_line_assembly(
        jax.random.key(0), modules=3, units=units, inputs=2, noise=noise, form="firing_rate"
    )
    answer = certify(line.explicit(), metric=line.metric())
    assert isinstance(answer, Certificate) and answer.rate is not None
    assert answer.rate >= 0.03 * (1 - 1e-3)


@pytest.mark.parametrize(
    "change",
    [{**{k: OTHERS[k]}} for k in OTHERS if k != "theorem"] + [{"input_gain": 0.9}, {"noise": 0.5}],
    ids=str,
)
def test_every_argument_of_delay_lines_changes_something(change: dict[str, Any]):
    key = jax.random.key(0)
    assert differ(delay_line_assembly(key, **BASE), delay_line_assembly(key, **{**BASE, **change}))


def test_metrics_are_float64_and_proposals_only():
    """A metric that belongs to other parameters does not certify."""
    free = random_stable_assembly(jax.random.key(0), **BASE, margin=0.95, coupling_gain=5.0)
    metric = free.metric()
    assert isinstance(metric, DiagonalMetric)
    scale = metric.scale
    assert scale.dtype == jnp.float64
    stretched = DiagonalMetric(scale * jnp.exp(jnp.linspace(0, 4, scale.size)))
    assert not isinstance(certify(free.explicit(), metric=stretched), Certificate)
