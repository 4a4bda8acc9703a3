"""Every weight parametrisation: certified for every value of its free parameters, and trainable."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limitset import InputProblem
from limitset.checker import check
from limitset.contraction import (
    PARAMETRISATIONS,
    AbsoluteValueWeight,
    AbstractWeightParametrisation,
    Certificate,
    DefiniteWeight,
    FrozenWeight,
    OrthogonalScaledWeight,
    QuotientWeight,
    SectorWeight,
    SelfDampedWeight,
    SkewCoupling,
    SparsityPattern,
    SpectralNormWeight,
    StableAssembly,
    SymmetricWeight,
    TreeCoupling,
    TriangularWeight,
    WeightAndScale,
    certify,
    random_stable_assembly,
    sparse_assembly,
    star,
)
from limitset.dynamics import BackwardEuler, SemiImplicit, discretise, simulate
from limitset.io import write_certificate
from limitset.networks import Activation, Form

pytestmark = pytest.mark.usefixtures("no_shape_checks")

seeds = st.integers(0, 2**32 - 1)
names = pytest.mark.parametrize("name", PARAMETRISATIONS)
# The metric of the form matters to weights whose metric is not diagonal.
FACTORS = ("symmetric", "definite", "sector")
kinds_and_forms = pytest.mark.parametrize(
    ("name", "form"),
    [(n, f) for n in PARAMETRISATIONS for f in Form if n in FACTORS or f is Form.HOPFIELD],
)


def draw(name: str, seed: int, units: int, gain: float) -> AbstractWeightParametrisation:
    """Free parameters in float64, drawn and multiplied."""
    first, second, third = jax.random.split(jax.random.key(seed), 3)
    free = PARAMETRISATIONS[name]((first, second, third), (2, units))
    return jax.tree.map(lambda leaf: gain * leaf.astype(jnp.float64), free)


def roots(solved: Any) -> tuple[np.ndarray, np.ndarray]:
    """`R` and its inverse of every module."""
    if isinstance(solved, WeightAndScale):
        scale = np.asarray(solved.scale)
        eye = np.eye(scale.shape[-1])
        return scale[..., None] * eye, eye / scale[..., None]
    return np.asarray(solved.factor), np.asarray(solved.inverse)


def jacobians(weight: np.ndarray, form: Form, slopes: np.ndarray) -> np.ndarray:
    """Of one module with leak 1, at many slopes (k, n)."""
    driven = weight * slopes[:, None, :] if form is Form.HOPFIELD else slopes[:, :, None] * weight
    return driven - np.eye(len(weight))


def some_slopes(rng: np.random.Generator, n: int, count: int = 400) -> np.ndarray:
    """Corners of the cube, and points inside."""
    corners = (rng.random((count, n)) < 0.5).astype(float)
    return np.concatenate([np.ones((1, n)), corners, rng.random((count, n))])


@kinds_and_forms
@settings(max_examples=8)
@given(seeds, st.sampled_from([1, 2, 5]), st.sampled_from([0.0, 1e-3, 1.0, 4.0]))
def test_sampled_slopes_never_beat_the_bound(
    name: str, form: Form, seed: int, units: int, gain: float
):
    """In the metric of its form, for slopes in [0, 4] and weights over 4."""
    solved = draw(name, seed, units, gain).explicit(0.8 / 4, form)
    slopes = 4 * some_slopes(np.random.default_rng(seed), units)
    for weight, R, inverse in zip(np.asarray(solved.weight), *roots(solved), strict=True):
        np.testing.assert_allclose(R @ inverse, np.eye(units), atol=1e-8)
        whitened = R @ jacobians(weight, form, slopes) @ inverse
        measures = np.linalg.eigvalsh((whitened + whitened.swapaxes(1, 2)) / 2)[:, -1]
        assert measures.max() <= -0.2 + 1e-7


@names
def test_maps_of_small_steps_never_beat_the_bound(name: str):
    """`|I + h J| <= 1 - h 0.2 + h^2 |J|^2`, which sampled Jacobians of all of them satisfy."""
    solved = draw(name, 3, 4, 1.0).explicit(0.8, Form.FIRING_RATE)
    slopes, h = some_slopes(np.random.default_rng(0), 4), 0.01
    for weight, R, inverse in zip(np.asarray(solved.weight), *roots(solved), strict=True):
        whitened = R @ jacobians(weight, Form.FIRING_RATE, slopes) @ inverse
        norms = np.linalg.norm(np.eye(4) + h * whitened, 2, axis=(1, 2))
        sizes = np.linalg.norm(whitened, 2, axis=(1, 2))
        assert (norms <= 1 - 0.2 * h + h**2 * sizes**2 + 1e-12).all()


@pytest.mark.parametrize("name", FACTORS)
def test_the_metric_of_the_other_form_is_wrong(name: str):
    """Hopfield and firing-rate metrics are not the same, and mixing them up shows."""
    worst = np.inf
    for seed in range(20):
        free: Any = draw(name, seed, 5, 2.0)
        free = eqx.tree_at(lambda f: f.root, free, 2 * free.root)
        if isinstance(free, SectorWeight):
            free = eqx.tree_at(lambda f: f.log_gain, free, jnp.full((2, 5), 1.0))
        weight = np.asarray(free.explicit(0.8, Form.HOPFIELD).weight)[0]
        R, inverse = (r[0] for r in roots(free.explicit(0.8, Form.FIRING_RATE)))
        slopes = some_slopes(np.random.default_rng(seed), 5)
        whitened = R @ jacobians(weight, Form.HOPFIELD, slopes) @ inverse
        measures = np.linalg.eigvalsh((whitened + whitened.swapaxes(1, 2)) / 2)
        worst = min(worst, -float(measures.max()))
    assert worst < 0


def gradient_is_finite(free: AbstractWeightParametrisation, form: Form) -> bool:
    def size(f: AbstractWeightParametrisation) -> jax.Array:
        sizes = [jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(f.explicit(0.9, form))]
        return jnp.stack(sizes).sum()

    value, slopes = jax.value_and_grad(size)(free)
    return all(bool(jnp.isfinite(leaf).all()) for leaf in [value, *jax.tree.leaves(slopes)])


@kinds_and_forms
@pytest.mark.parametrize("value", [0.0, 1.0, -30.0, 30.0, "identity", "singular"])
def test_values_and_gradients_are_finite_in_float32(name: str, form: Form, value: float | str):
    """At zero, at repeated eigenvalues and singular values, with empty rows, in saturation."""
    free = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), draw(name, 0, 5, 1.0))

    def filled(leaf: jax.Array) -> jax.Array:
        if value == "identity" and leaf.ndim == 3:
            return jnp.broadcast_to(jnp.eye(5, dtype=leaf.dtype), leaf.shape)
        if value == "singular" and leaf.ndim == 3:
            return leaf.at[:, 1].set(0.0).at[:, :, 2].set(0.0)
        return leaf if isinstance(value, str) else jnp.full_like(leaf, value)

    free = jax.tree.map(filled, free)
    assert gradient_is_finite(free, form)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(free.explicit(0.9, form)))


@names
def test_idle_numbers_are_idle_and_the_others_are_not(name: str):
    """`idle` counts exactly the numbers that no output depends on, but for mirrored triangles."""
    free = draw(name, 1, 4, 1.0)
    outputs = free.explicit(0.9)
    weights = [
        jax.random.normal(jax.random.key(i), leaf.shape)
        for i, leaf in enumerate(jax.tree.leaves(outputs))
    ]

    def mixed(f: AbstractWeightParametrisation) -> jax.Array:
        leaves = jax.tree.leaves(f.explicit(0.9))
        return jnp.stack([(w * x).sum() for w, x in zip(weights, leaves, strict=True)]).sum()

    slopes = jax.tree.leaves(jax.grad(mixed)(free))
    without = sum(int((np.abs(leaf) < 1e-13).sum()) for leaf in slopes)
    assert without == free.idle()


def test_symmetric_weights_attain_their_bound_and_are_the_log_optimal_ones():
    """`W = T - T^2 / (4 a)` with `T = 2 a (I + S)`; at 0 it is the limit itself."""
    free = draw("symmetric", 5, 4, 1.5)
    assert isinstance(free, SymmetricWeight)
    solved = free.explicit(0.7, Form.FIRING_RATE)
    S = free.root @ free.root.swapaxes(1, 2)
    T = 2 * 0.7 * (jnp.eye(4) + S)
    np.testing.assert_allclose(solved.weight, T - T @ T / (4 * 0.7), atol=1e-12)
    np.testing.assert_array_equal(solved.weight, solved.weight.swapaxes(1, 2))
    np.testing.assert_allclose(2 * 0.7 * solved.factor, T, atol=1e-12)
    limit = SymmetricWeight(jnp.zeros((3, 3))).explicit(0.7).weight
    np.testing.assert_allclose(limit, 0.7 * np.eye(3))


def test_definite_weights_contract_at_the_rate_of_the_leak_whatever_their_size():
    free = draw("definite", 2, 4, 3.0)
    assert isinstance(free, DefiniteWeight)
    for form in Form:
        solved = free.explicit(0.1, form)
        for weight, R, inverse in zip(np.asarray(solved.weight), *roots(solved), strict=True):
            slopes = 100 * some_slopes(np.random.default_rng(1), 4)
            whitened = R @ (jacobians(weight, form, slopes) + np.eye(4)) @ inverse
            measures = np.linalg.eigvalsh((whitened + whitened.swapaxes(1, 2)) / 2)[:, -1]
            assert measures.max() <= 1e-9 * np.abs(whitened).max()


def test_orthogonal_weights_are_products_of_diagonal_and_orthogonal_ones():
    free = draw("orthogonal", 2, 4, 1.0)
    assert isinstance(free, OrthogonalScaledWeight)
    free = eqx.tree_at(lambda f: f.log_scale, free, jnp.linspace(-1, 1, 8).reshape(2, 4))
    solved = free.explicit(0.6)
    left = jnp.exp(-free.log_scale)
    right = 0.6 * jax.nn.sigmoid(free.spectrum) * jnp.exp(free.log_scale)
    turned = solved.weight / left[:, :, None] / right[:, None, :]
    for turn in np.asarray(turned):
        np.testing.assert_allclose(turn @ turn.T, np.eye(4), atol=1e-10)
    assert float((left * right).max()) < 0.6


@pytest.mark.parametrize("kind", [SpectralNormWeight, QuotientWeight])
def test_bounded_weights_stay_below_their_limit_and_reach_it(kind: Any):
    rng = np.random.default_rng(0)
    core, log_scale = jnp.asarray(rng.standard_normal((5, 5))), jnp.asarray(rng.standard_normal(5))
    for gain in (1e-6, 1.0, 1e6):
        solved = kind(gain * core, log_scale).explicit(0.9)
        whitened = np.exp(log_scale)[:, None] * solved.weight / np.exp(log_scale)
        norm = np.linalg.norm(whitened, 2)
        assert norm <= 0.9 * (1 + 1e-12)
        assert gain < 1e6 or norm > 0.9 * (1 - 1e-6)
        if gain < 1e-3:
            # Small cores are the whitened weights themselves.
            np.testing.assert_allclose(whitened, 0.9 * gain * core, rtol=1e-5)


def test_self_damped_weights_attain_their_bound_with_self_weights_exempted():
    free = draw("self_damped", 4, 5, 1.0)
    assert isinstance(free, SelfDampedWeight)
    free = eqx.tree_at(lambda f: f.damping, free, jnp.linspace(-3, 5, 10).reshape(2, 5))
    solved = free.explicit(0.9)
    own = np.diagonal(solved.weight, axis1=1, axis2=2)
    assert own.min() < -1 and (own < 0.9).all()
    for weight, scale in zip(np.asarray(solved.weight), np.asarray(solved.scale), strict=True):
        counting = np.abs(weight) * scale[:, None] / scale
        np.fill_diagonal(counting, np.maximum(np.diag(weight), 0))
        bound = np.linalg.eigvalsh((counting + counting.T) / 2)[-1]
        assert bound <= 0.9 + 1e-12
    # Without the exemption the bound would not hold.
    assert np.linalg.norm(np.abs(solved.weight[1]), 2) > 0.9


def test_triangular_weights_are_triangular_and_ignore_the_rest():
    free = draw("triangular", 4, 6, 1.0)
    assert isinstance(free, TriangularWeight)
    weight = np.asarray(free.explicit(0.9).weight)
    assert not np.triu(weight, 1).any() and weight[:, np.tri(6, k=-1, dtype=bool)].all()
    other = eqx.tree_at(lambda f: f.theta, free, jnp.tril(free.theta, -1) + jnp.triu(weight + 7))
    np.testing.assert_array_equal(other.explicit(0.9).weight, weight)


def test_sector_weights_exceed_norm_and_radius_by_far():
    """The class is larger than those of the norm theorems, at the same rate."""
    free = SectorWeight(100 * jnp.eye(3)[::-1], jnp.zeros((3, 3)), jnp.full(3, 2.0))
    solved = free.explicit(0.8, Form.FIRING_RATE)
    assert np.linalg.norm(solved.weight, 2) > 30
    network = eqx.tree_at(
        lambda s: s.weights,
        random_stable_assembly(
            jax.random.key(0), modules=1, units=3, inputs=1, form="firing_rate", margin=0.8
        ),
        jax.tree.map(lambda leaf: leaf[None].astype(jnp.float32), free),
    )
    answer = certify(network.explicit(), metric=network.metric())
    assert isinstance(answer, Certificate) and answer.rate is not None
    assert answer.rate >= 0.2 * (1 - 1e-3)


def test_patterns_hold_and_slack_reaches_smaller_weights():
    rng = np.random.default_rng(2)
    theta = jnp.asarray(rng.standard_normal((4, 4)))
    mask = rng.random((4, 4)) < 0.5
    free = AbsoluteValueWeight(theta, jnp.zeros(4), pattern=SparsityPattern.of(mask))
    np.testing.assert_array_equal(np.asarray(free.explicit(0.9).weight) != 0, mask)
    assert free.idle() == (~mask).sum()
    np.testing.assert_array_equal(SparsityPattern.of(mask).mask(), mask)
    slack = AbsoluteValueWeight(theta, jnp.zeros(4), jnp.ones(4), jnp.ones(4))
    assert np.linalg.norm(np.abs(slack.explicit(0.9).weight), 2) < 0.9
    with pytest.raises(InputProblem, match="pattern"):
        AbsoluteValueWeight(theta, jnp.zeros(4), pattern=SparsityPattern.of(mask[:3]))
    with pytest.raises(InputProblem, match="booleans"):
        SparsityPattern.of(np.ones((2, 2)))


def test_frozen_weights_get_no_gradient_but_stay_certified_for_any_value():
    core = sparse_assembly(jax.random.key(0), modules=2, units=6, inputs=1, density=0.2)
    assert isinstance(core.weights, FrozenWeight)
    loss = eqx.filter_grad(
        lambda s: (s.explicit().velocity(0.0, jnp.ones(12), jnp.ones(1)) ** 2).sum()
    )
    slopes = loss(core)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(slopes.weights))
    assert np.any(slopes.coupling.lower)
    decayed = eqx.tree_at(lambda s: s.weights, core, jax.tree.map(lambda a: 0.5 * a, core.weights))
    assert isinstance(certify(decayed.explicit(), metric=decayed.metric()), Certificate)
    frozen = sum(leaf.size for leaf in jax.tree.leaves(core.weights))
    assert core.weights.idle() == frozen


@pytest.mark.parametrize("radius", [0.2, 0.95])
def test_sparse_modules_have_the_radius_that_was_asked_for(radius: float):
    """Dense enough to have cycles, `|W|` gets the radius exactly; a bad share is refused."""
    sizes: dict[str, Any] = {"modules": 2, "units": 8, "inputs": 1, "density": 0.5}
    core = sparse_assembly(jax.random.key(0), **sizes, radius=radius, margin=0.8)
    for module in core.explicit().modules:
        values = np.linalg.eigvals(np.abs(np.asarray(module.weight, np.float64)))
        assert np.abs(values).max() == pytest.approx(0.8 * radius, rel=1e-4)
    for bad in (0.0, 1.0, np.nan):
        with pytest.raises(InputProblem, match="radius"):
            sparse_assembly(jax.random.key(0), **sizes, radius=bad)


def test_activations_with_negative_slopes_need_weights_that_take_them():
    wavy = Activation("wavy", lambda x: jnp.sin(x) / 2, (-0.5, 0.5))
    for name in PARAMETRISATIONS:
        core = random_stable_assembly(jax.random.key(0), modules=1, units=2, inputs=1, theorem=name)
        fields = {field: getattr(core, field) for field in core.__dataclass_fields__}
        assert isinstance(core.weights, AbstractWeightParametrisation)
        if core.weights.takes_negative_slopes:
            StableAssembly(**{**fields, "activation": wavy})
        else:
            with pytest.raises(InputProblem, match="slopes down to -0.5"):
                StableAssembly(**{**fields, "activation": wavy})


@pytest.mark.parametrize(
    ("name", "form"),
    [(n, f.value) for i, n in enumerate(PARAMETRISATIONS) for f in list(Form)[i % 2 :: 2]],
)
def test_assemblies_are_certified_as_flows_and_as_maps_with_coupling_blown_up(name: str, form: str):
    core = random_stable_assembly(
        jax.random.key(1), modules=2, units=3, inputs=1, theorem=name, form=form,
        margin=0.8, coupling_gain=50.0, time_constants=(1.0, 2.0),
    )  # fmt: skip
    flow = certify(core.explicit(), metric=core.metric())
    assert isinstance(flow, Certificate) and flow.rate is not None
    assert flow.rate >= 0.2 / 2 * (1 - 2e-3)
    run = discretise(core.explicit(), SemiImplicit(0.02))
    answer = certify(run, metric=core.metric(), input_bound=None)
    assert isinstance(answer, Certificate), answer.reason


@pytest.mark.parametrize("name", ["definite", "sector"])
def test_backward_euler_takes_any_step(name: str):
    core = random_stable_assembly(
        jax.random.key(1), modules=2, units=3, inputs=1, theorem=name, margin=0.8
    )
    run = discretise(core.explicit(), BackwardEuler(5.0))
    answer = certify(run, metric=core.metric(), input_bound=None)
    assert isinstance(answer, Certificate) and answer.factor is not None
    assert answer.factor <= 1 / (1 + 5 * 0.2) * (1 + 1e-3)


def noisy_training(core: StableAssembly, steps: int, rate: float) -> StableAssembly:
    """Steps of random sign and gradient signs through the map that runs."""
    units = core.bias.size

    @eqx.filter_jit
    def update(free: StableAssembly, key: jax.Array) -> StableAssembly:
        target = jax.random.normal(key, (units,), jnp.float32)

        def loss(free: StableAssembly) -> jax.Array:
            system = discretise(free.explicit(), SemiImplicit(0.02))
            u = jnp.ones((3, 1), jnp.float32)
            final = simulate(system, jnp.zeros(units, jnp.float32), u).final
            return ((final - target) ** 2).sum()

        slopes = eqx.filter_grad(loss)(free)
        leaves, structure = jax.tree.flatten(slopes)
        keys = jax.random.split(key, len(leaves))
        moves = [
            -rate * (jnp.sign(s) + jax.random.normal(k, s.shape, s.dtype))
            for s, k in zip(leaves, keys, strict=True)
        ]
        return eqx.apply_updates(free, jax.tree.unflatten(structure, moves))

    for step in range(steps):
        core = update(core, jax.random.fold_in(jax.random.key(5), step))
    return core


def stays_certified(name: str, steps: int) -> None:
    core = random_stable_assembly(
        jax.random.key(3), modules=2, units=3, inputs=1, theorem=name, margin=0.9
    )
    core = noisy_training(core, steps, 0.02)
    blown = eqx.tree_at(lambda c: c.coupling.lower, core, 100 * core.coupling.lower)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(blown))
    run = discretise(blown.explicit(), SemiImplicit(0.02))
    answer = certify(run, metric=blown.metric(), input_bound=None)
    assert isinstance(answer, Certificate), answer.reason


@pytest.mark.parametrize("name", ["absolute_value", "sector"])
def test_noisy_training_and_a_coupling_a_hundred_times_as_large_stay_certified(name: str):
    stays_certified(name, 100)


@pytest.mark.slow
@names
def test_a_thousand_noisy_steps_stay_certified(name: str):
    stays_certified(name, 1000)


@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_modules_of_all_kinds_in_one_assembly(form: str):
    """A tuple of parametrisations, of diagonal and other metrics, on a star with gains."""
    kinds = ("absolute_value", "symmetric", "sector", "definite")
    keys = jax.random.split(jax.random.key(0), 3)
    weights = tuple(
        jax.tree.map(lambda leaf: leaf[0], PARAMETRISATIONS[k](tuple(keys), (1, 3))) for k in kinds
    )
    base = random_stable_assembly(
        jax.random.key(1), modules=4, units=3, inputs=1, form=form, coupling_gain=30.0
    )
    tree = TreeCoupling(
        base.coupling.lower,
        jnp.log(jnp.array([1.0, 3.0, 0.2, 7.0], jnp.float32)),
        (3,) * 4,
        star(4),
    )
    core = eqx.tree_at(lambda c: (c.weights, c.coupling), base, (weights, tree))
    answer = certify(core.explicit(), metric=core.metric())
    assert isinstance(answer, Certificate) and answer.rate is not None
    assert answer.rate >= 0.1 * (1 - 1e-2)
    assert isinstance(base.coupling, SkewCoupling) and core.idle() > base.idle()


@names
def test_the_checker_accepts_the_certificates(name: str, tmp_path: Path):
    core = random_stable_assembly(
        jax.random.key(1), modules=2, units=3, inputs=1, theorem=name, coupling_gain=20.0
    )
    answer = certify(core.explicit(), metric=core.metric())
    assert isinstance(answer, Certificate)
    write_certificate(answer, tmp_path / "certificate.json")
    assert check(tmp_path / "certificate.json").accepted


@kinds_and_forms
def test_no_pair_of_trajectories_decays_slower_than_promised(name: str, form: Form):
    """Pairs far and near, in 9 assemblies: `(x - y)^T M (f(x) - f(y)) <= -rate |x - y|_M^2`."""
    for seed in range(9):
        core = random_stable_assembly(
            jax.random.key(seed), modules=2, units=3, inputs=1, theorem=name, form=form.value,
            activation=("tanh", "relu", "sigmoid")[seed % 3], margin=0.8, coupling_gain=5.0,
        )  # fmt: skip
        core = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), core)
        flow, metric = core.explicit(), core.metric()
        rng = np.random.default_rng(seed)
        x = jnp.asarray(rng.standard_normal((30, 6)) * 3)
        y = x + jnp.asarray(rng.standard_normal((30, 6)) * 10.0 ** rng.uniform(-3, 1, (30, 1)))
        velocity = jax.vmap(flow.velocity, (None, 0, None))
        both = [velocity(0.0, z, jnp.ones(1)) for z in (x, y)]
        step = 1e-4
        # A short step of the difference loses at most what the rate says, up to second order.
        apart, change = x - y, both[0] - both[1]
        before, moved = (jax.vmap(metric.norm)(z) for z in (apart, apart + step * change))
        second = step * jax.vmap(metric.norm)(change)
        allowed = before**2 * (1 - 2 * step * 0.2) + second**2
        assert bool((moved**2 <= allowed * (1 + 1e-9)).all())
