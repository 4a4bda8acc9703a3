"""Couplings: skew, along a tree, and dissipative, in metrics of any kind."""

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
    AbstractMetric,
    BlockMetric,
    Certificate,
    DiagonalMetric,
    DissipativeCoupling,
    QuadraticMetric,
    SkewCoupling,
    SkewFeedback,
    StableAssembly,
    TreeCoupling,
    certify,
    random_stable_assembly,
    star,
)
from limitset.dynamics import SemiImplicit, discretise

pytestmark = pytest.mark.usefixtures("no_shape_checks")

seeds = st.integers(0, 2**32 - 1)


def core_with(coupling: Any, theorem: str, **change: Any) -> StableAssembly:
    modules = len(coupling.sizes)
    base = random_stable_assembly(
        jax.random.key(2), modules=modules, units=3, inputs=1, theorem=theorem, margin=0.8
    )
    fields = {field: getattr(base, field) for field in base.__dataclass_fields__}
    free = StableAssembly(**{**fields, "coupling": coupling, **change})
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), free)


def matrix_of(metric: AbstractMetric) -> np.ndarray:
    """M, as a matrix."""
    if isinstance(metric, DiagonalMetric):
        return np.diag(np.asarray(metric.scale) ** 2)
    assert isinstance(metric, BlockMetric)
    parts = [
        w * (np.asarray(p.matrix) if isinstance(p, QuadraticMetric) else matrix_of(p))
        for w, p in zip(np.asarray(metric.weights), metric.parts, strict=True)
    ]
    size = sum(metric.sizes)
    M, start = np.zeros((size, size)), 0
    for part in parts:
        M[start : start + len(part), start : start + len(part)] = part
        start += len(part)
    return M


def blocks(seed: int, gain: float = 1.0, modules: int = 3) -> jax.Array:
    rng = np.random.default_rng(seed)
    return gain * jnp.asarray(rng.standard_normal((3 * modules, 3 * modules)))


@pytest.mark.parametrize("theorem", ["absolute_value", "symmetric", "definite", "sector"])
@settings(max_examples=5)
@given(seeds)
def test_negative_feedback_is_skew_in_the_metric_it_is_given_with(theorem: str, seed: int):
    rng = np.random.default_rng(seed)
    free = [
        SkewCoupling(blocks(seed, 10.0), (3,) * 3, ((1, 0), (1, 2))),
        SkewCoupling(blocks(seed), (3,) * 3, log_balance=jnp.asarray(rng.standard_normal(3))),
        TreeCoupling(blocks(seed), jnp.asarray(rng.standard_normal(3)), (3,) * 3, star(3, 1)),
        TreeCoupling(blocks(seed), jnp.asarray(rng.standard_normal(3)), (3,) * 3, (2, 0, -1)),
    ]
    for coupling in free:
        core = core_with(coupling, theorem)
        M, L = matrix_of(core.metric()), np.asarray(core.explicit().coupling)
        product = M @ L
        np.testing.assert_allclose(product, -product.T, atol=1e-9 * np.abs(product).max())
        assert np.abs(product).max() > 0


def test_the_pairs_name_the_modules_that_talk():
    coupling = SkewCoupling(blocks(0), (3,) * 3, ((0, 1), (2, 1)))
    norms = np.abs(np.asarray(core_with(coupling, "symmetric").explicit().coupling))
    between = norms.reshape(3, 3, 3, 3).max((1, 3)) > 0
    np.testing.assert_array_equal(between, [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    assert coupling.idle() == 81 - 18


def test_trees_have_one_gain_per_edge():
    """`L_ji = -gain M_j^-1 B^T M_i`, measured with the modules' own metrics."""
    log_gain = jnp.log(jnp.array([9.0, 3.0, 0.2]))
    core = core_with(TreeCoupling(blocks(1), log_gain, (3,) * 3, star(3)), "symmetric")
    metric = core.metric()
    assert isinstance(metric, BlockMetric)
    own = [np.asarray(p.matrix) for p in metric.parts if isinstance(p, QuadraticMetric)]
    L = np.asarray(core.explicit().coupling)
    for i, gain in ((1, 3.0), (2, 0.2)):
        B, back = L[3 * i : 3 * i + 3, :3], L[:3, 3 * i : 3 * i + 3]
        expected = -gain * np.linalg.solve(own[0], B.T @ own[i])
        np.testing.assert_allclose(back, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(metric.weights, [1, 3, 0.2], rtol=1e-12)
    assert not L[3:6, 6:].any() and core.coupling.idle() == 81 - 18 + 1


@pytest.mark.parametrize("theorem", ["absolute_value", "sector"])
def test_trees_with_strong_gains_are_certified_and_their_gains_train(theorem: str):
    log_gain = jnp.log(jnp.array([1.0, 3.0, 0.2, 7.0]))
    core = core_with(TreeCoupling(blocks(1, 20.0, 4), log_gain, (3,) * 4, star(4)), theorem)
    answer = certify(core.explicit(), metric=core.metric())
    assert isinstance(answer, Certificate) and answer.rate is not None
    assert answer.rate >= 0.2 * (1 - 1e-3)
    slopes = eqx.filter_grad(lambda c: (c.explicit().coupling ** 2).sum())(core)
    assert np.all(np.asarray(slopes.coupling.log_gain)[1:] != 0)


def test_a_tree_in_the_metric_without_its_gains_is_refused():
    """The metric's weights have to follow the gains."""
    log_gain = jnp.log(jnp.array([1.0, 30.0, 0.02]))
    core = core_with(TreeCoupling(blocks(1, 20.0), log_gain, (3,) * 3, star(3)), "absolute_value")
    plain = core_with(SkewCoupling(blocks(1), (3,) * 3), "absolute_value").metric()
    theorems = (SkewFeedback(),)
    answer = certify(core.explicit(), metric=core.metric(), theorems=theorems)
    assert isinstance(answer, Certificate)
    assert not isinstance(certify(core.explicit(), metric=plain, theorems=theorems), Certificate)


@pytest.mark.parametrize("theorem", ["absolute_value", "symmetric"])
def test_dissipative_couplings_keep_the_rate(theorem: str):
    """In the metric, `L - strength I` is negative semidefinite, and the leak has paid for it."""
    coupling = DissipativeCoupling(blocks(1, 20.0), blocks(2, 20.0), (3,) * 3, 2.5)
    core = core_with(coupling, theorem, time_constants=(1.0, 2.0, 1.0))
    M, L = matrix_of(core.metric()), np.asarray(core.explicit().coupling)
    root = np.linalg.cholesky(M).T
    whitened = root @ L @ np.linalg.inv(root)
    largest = np.linalg.eigvalsh((whitened + whitened.T) / 2)[-1]
    assert 2 < largest <= 2.5 * (1 + 1e-12)
    np.testing.assert_allclose([float(m.leak) for m in core.explicit().modules], [3.5, 6, 3.5])
    for system, least in (
        (core.explicit(), 0.1),
        (discretise(core.explicit(), SemiImplicit(0.02)), 0),
    ):
        answer = certify(system, metric=core.metric(), input_bound=None)
        assert isinstance(answer, Certificate), answer.reason
        assert answer.rate is None or answer.rate >= least * (1 - 1e-3)


@settings(max_examples=10)
@given(seeds, st.sampled_from([0.0, 1.0, 100.0]))
def test_dissipative_couplings_for_any_values(seed: int, gain: float):
    coupling = DissipativeCoupling(blocks(seed, gain), blocks(seed + 1, gain), (3,) * 3, 0.7)
    K = np.asarray(coupling.whitened())
    assert np.linalg.eigvalsh((K + K.T) / 2)[-1] <= 0.7 * (1 + 1e-12)
    assert not K.reshape(3, 3, 3, 3)[np.arange(3), :, np.arange(3)].any()
    slopes = jax.grad(lambda c: (c.whitened() ** 2).sum(), allow_int=True)(coupling)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_slowing_never_goes_below_the_time_constants():
    coupling = SkewCoupling(blocks(0), (3,) * 3)
    values = jnp.array([-50.0, 0.0, 2.0])
    core = core_with(coupling, "absolute_value", log_slowing=values, time_constants=(1.0, 1.0, 2.0))
    constants = [float(m.time_constant) for m in core.explicit().modules]
    np.testing.assert_allclose(constants, [1, 2, 2 * (1 + np.exp(2))])
    answer = certify(core.explicit(), metric=core.metric())
    assert isinstance(answer, Certificate) and answer.rate is not None
    assert answer.rate >= 0.2 / constants[2] * (1 - 1e-3)
    velocity = eqx.filter_grad(
        lambda c: (c.explicit().velocity(0.0, jnp.ones(9), jnp.ones(1)) ** 2).sum()
    )
    assert np.asarray(velocity(core).log_slowing)[1:].all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TreeCoupling(blocks(0), jnp.zeros(3), (3,) * 3, (1, 0, -1)), "no tree"),
        (lambda: TreeCoupling(blocks(0), jnp.zeros(3), (3,) * 3, (-1, 3, 0)), "no tree"),
        (lambda: TreeCoupling(blocks(0), jnp.zeros(2), (3,) * 3, star(3)), "one of each"),
        (lambda: TreeCoupling(blocks(0), jnp.zeros(3), (3, 3), star(3)), "sizes"),
        (lambda: SkewCoupling(blocks(0), (3,) * 3, ((0, 3),)), "does not name two"),
        (lambda: SkewCoupling(blocks(0), (3,) * 3, ((1, 1),)), "does not name two"),
        (lambda: SkewCoupling(blocks(0), (3,) * 3, log_balance=jnp.zeros(2)), "log_balance"),
        (lambda: DissipativeCoupling(blocks(0), blocks(0), (3,) * 3, 0.0), "strength"),
        (lambda: DissipativeCoupling(blocks(0), blocks(0)[:3], (3,) * 3, 1.0), "symmetric"),
        (
            lambda: core_with(
                SkewCoupling(blocks(0), (3,) * 3), "sector", log_slowing=jnp.zeros(2)
            ),
            "log_slowing",
        ),
    ],
)
def test_couplings_that_do_not_fit(build: Any, message: str):
    with pytest.raises(InputProblem, match=message) as problem:
        build()
    assert "\n" not in str(problem.value)
