"""Rules from certificates: the true limit is within what they say, in the dtype that runs."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.contraction import (
    CONVOLUTION_BLOCKS,
    DENSE_BLOCKS,
    BlockCertificate,
    certify_block,
    random_convolution_block,
    random_dense_block,
    stopping_rule,
)
from limitset.dynamics import (
    Exit,
    ShrinkingSteps,
    VanishingDrive,
    settle_batch,
    unroll,
)
from limitset.networks import (
    AbstractBlock,
    DenseOperator,
    GradientBlock,
    NegativeGram,
    ResidualBlock,
    untie,
)

CAP = 2000


def draw(where: str, kind: str, activation: str, dtype: Any, **settings: float) -> AbstractBlock:
    key = jax.random.key(7)
    if where == "dense":
        core = random_dense_block(
            key, kind=kind, units=10, inputs=5, activation=activation, **settings
        )
    else:
        sizes: dict[str, Any] = {"channels": 2, "inputs": 1, "height": 3, "width": 4}
        core = random_convolution_block(
            key, kind=kind, activation=activation, **{**sizes, **settings}
        )
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_array(a) else a, core.explicit())


def certify_surely(block: AbstractBlock) -> BlockCertificate:
    answer = certify_block(block)
    assert isinstance(answer, BlockCertificate), answer
    return answer


def true_limits(block: AbstractBlock, inputs: jax.Array) -> np.ndarray:
    """In float64, from what the inputs add in the dtype of the block."""
    entering = jax.tree.map(lambda a: a.astype(np.float64), jax.vmap(block.enter)(inputs))
    exact = jax.tree.map(lambda a: a.astype(np.float64), block)
    start = jnp.zeros(block.state_size)

    def run(held: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 4 * CAP, lambda n, x: exact.respond(n, x, held), start)

    return np.asarray(jax.jit(jax.vmap(run))(entering))


# Kinds that are slow by default are made faster.
SETTINGS = {"spectral": {"epsilon": 0.1}, "symmetric": {"epsilon": 0.1}}
SETTINGS["free_spectrum"] = SETTINGS["spectral"]
KINDS = [("dense", kind) for kind in DENSE_BLOCKS] + [("conv", k) for k in CONVOLUTION_BLOCKS]


FAST = {("dense", "spectral", "relu"), ("dense", "gradient", "relu")}
CASES = [
    pytest.param(*place, phi, marks=() if (*place, phi) in FAST else pytest.mark.slow)
    for place in KINDS
    for phi in ("relu", "tanh")
]


@pytest.mark.parametrize(("where", "kind", "activation"), CASES)
def test_nais_true_limits_are_within_the_bound(where: str, kind: str, activation: str):
    rng, settings = np.random.default_rng(0), dict(SETTINGS.get(kind, {}))
    if (where, kind) == ("dense", "projected"):
        settings = {"epsilon": 0.1}
    for dtype in (np.float32, np.float64):
        block = draw(where, kind, activation, dtype, **settings)
        inputs = jnp.asarray(3 * rng.standard_normal((16, block.input_size)), dtype)
        exact = true_limits(block, inputs)
        for tolerance in (0.1, 1e-5):
            rule = stopping_rule(certify_surely(block), tolerance)
            ended = settle_batch(block, inputs, rule, CAP, tile=16)
            gaps = ended.state.astype(np.float64) - exact
            error = np.asarray(jax.vmap(rule.norm)(jnp.asarray(gaps)))
            assert (error <= np.asarray(ended.error + ended.drift) + 1e-13).all()
            reasons = set(np.asarray(ended.reason).tolist())
            if dtype == np.float64:
                assert reasons == {Exit.CONVERGED}
            else:
                # What rounding may have done is more than this tolerance in float32.
                assert reasons <= {Exit.CONVERGED, Exit.STALLED}
                assert tolerance > 1e-5 or reasons == {Exit.STALLED}


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_nais_bound_holds_for_ten_thousand_inputs(activation: str):
    core = random_dense_block(
        jax.random.key(1), kind="spectral", units=32, inputs=20, activation=activation, epsilon=0.05
    )
    for dtype in (np.float32, np.float64):
        block = jax.tree.map(lambda a, to=dtype: a.astype(to), core.explicit())
        inputs = jnp.asarray(np.random.default_rng(0).standard_normal((10_000, 20)), dtype)
        rule = stopping_rule(certify_surely(block), 0.01)
        ended = settle_batch(block, inputs, rule, CAP, every=4, tile=512)
        error = np.linalg.norm(np.asarray(ended.state, float) - true_limits(block, inputs), axis=1)
        assert (error <= np.asarray(ended.error + ended.drift)).all()


def residual(matrix: Any, activation: str = "relu", step: float = 1.0) -> ResidualBlock:
    A = jnp.asarray(matrix, jnp.float64)
    eye = DenseOperator(jnp.eye(len(A)))
    return ResidualBlock(DenseOperator(A), eye, jnp.zeros(len(A)), jnp.array(step), activation)


@pytest.mark.parametrize("step", [0.5, 1.0, 1.9])
def test_nais_steps_of_relu_shrink_by_the_factor(step: float):
    """`|r+| <= q |r|` in every state with the verified q, and for no q that is 1 % smaller."""
    rng = np.random.default_rng(1)
    Q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    A = -(Q * np.linspace(0.1, 1.0, 5)) @ Q.T
    block = residual((A + A.T) / 2, step=step)
    rule = stopping_rule(certify_surely(block), 1e-3)
    assert isinstance(rule, ShrinkingSteps)
    q = float(rule.factor)
    assert q == pytest.approx(max(1 - 0.1 * step, step - 1), rel=1e-9)
    z = rng.standard_normal((20_000, 5))
    # Where all units are active, the slowest direction shrinks by q exactly.
    slowest = Q[:, 0 if 1 - 0.1 * step > step - 1 else -1]
    z[0] = np.abs(z[0]) + 1e3
    r = np.maximum(z, 0)
    following = np.maximum(z + step * r @ A, 0)
    assert (np.linalg.norm(following, axis=1) <= q * np.linalg.norm(r, axis=1)).all()
    linear = np.linalg.norm(slowest + step * A @ slowest)
    assert linear > 0.99 * q


def test_nais_drive_bounds_the_distance_to_the_affine_limit():
    """`|x - xbar| = |A^-1 z| <= gain |z|`, attained along the slowest direction."""
    A = np.array([[-0.6, -0.3], [-0.3, -0.6]])
    rule = stopping_rule(certify_surely(residual(A, "tanh")), 1e-3)
    assert isinstance(rule, VanishingDrive)
    assert float(rule.gain) == pytest.approx(1 / 0.3, rel=1e-9)
    z = np.array([1.0, -1.0])
    distance = np.linalg.norm(np.linalg.solve(A, z))
    assert distance <= float(rule.gain) * np.linalg.norm(z) * (1 + 1e-12)
    assert distance > 0.99 * float(rule.gain) * np.linalg.norm(z)


def test_nais_pitfall_tanh_blocks_run_to_convergence_are_affine():
    """Their limit is `-A^-1 (B u + b)`: accuracy falls to that of a linear network."""
    block = draw("dense", "spectral", "tanh", np.float64, epsilon=0.2)
    u, v = jnp.linspace(-4, 4, 5), jnp.linspace(2, -7, 5)
    both = jnp.stack([u, v, (u + v) / 2])
    ended = settle_batch(block, both, stopping_rule(certify_surely(block), 1e-8), CAP, tile=4)
    np.testing.assert_allclose(
        np.asarray(ended.state[2]), np.asarray(ended.state[0] + ended.state[1]) / 2, atol=2e-8
    )
    shallow = jax.vmap(lambda w: unroll(block, w, 3))(both)
    assert np.abs(np.asarray(shallow[2] - (shallow[0] + shallow[1]) / 2)).max() > 0.05


def test_nais_pitfall_the_limit_of_relu_depends_on_start_and_step():
    A = [[-0.6, -0.3], [-0.3, -0.6]]
    block = dataclasses.replace(residual(A), bias=jnp.array([1.0, 0.5]))
    rule = stopping_rule(certify_surely(block), 1e-9)
    starts = jnp.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    ended = settle_batch(block, jnp.zeros((3, 2)), rule, CAP, initial=starts, tile=4)
    expected = [[1 + 5 / 12, 0.5], [3.0, 0.0], [1 / 6, 3.0]]
    np.testing.assert_allclose(np.asarray(ended.state), expected, atol=1e-8)
    slow = dataclasses.replace(block, step=jnp.array(0.05))
    slowly = settle_batch(
        slow, jnp.zeros((1, 2)), stopping_rule(certify_surely(slow), 1e-9), CAP, tile=4
    )
    np.testing.assert_allclose(np.asarray(slowly.state[0]), [1.50426, 0.32481], atol=1e-5)
    assert isinstance(rule, ShrinkingSteps) and float(rule.carry) > 0


@pytest.mark.slow
def test_rates_change_the_norm():
    """`A = -rates P`: the steps shrink in `|v / sqrt(rates)|`, where `I + h A` is symmetric."""
    rates = jnp.array([0.25, 1.0, 0.5])
    inner = DenseOperator(0.5 * jnp.asarray(np.random.default_rng(2).standard_normal((3, 3))))
    gram = NegativeGram(inner, jnp.array(0.5), jnp.array(0.2), rates)
    for activation in ("relu", "tanh", "leaky_relu:0.25"):
        block = ResidualBlock(
            gram, DenseOperator(jnp.eye(3)), jnp.zeros(3), jnp.array(0.5), activation
        )
        rule = stopping_rule(certify_surely(block), 1e-4)
        inputs = jnp.asarray(np.random.default_rng(3).standard_normal((8, 3)))
        ended = settle_batch(block, inputs, rule, CAP, tile=8)
        error = jax.vmap(rule.norm)(ended.state - true_limits(block, inputs))
        assert (np.asarray(error) <= np.asarray(ended.error + ended.drift)).all()
        if activation == "relu":
            np.testing.assert_allclose(np.asarray(rule.norm.scale), [2.0, 1.0, 2**0.5], rtol=1e-15)


def test_blocks_without_a_known_limit_are_refused():
    two = residual(-0.5 * np.eye(2))
    refused: list[tuple[AbstractBlock, str]] = [
        (untie([two, two]), "need not have a limit"),
        (dataclasses.replace(two, activation="sigmoid"), "no limit is known"),
        (dataclasses.replace(two, activation="softplus"), "no limit is known"),
    ]
    zero = jnp.array(0.0)
    flat = GradientBlock(
        DenseOperator(jnp.eye(2)), None, jnp.zeros(2), jnp.array(0.5), zero, "relu"
    )
    refused.append((flat, "give the block a leak"))
    for block, reason in refused:
        with pytest.raises(InputProblem, match=reason) as told:
            stopping_rule(certify_surely(block), 1e-3)
        assert "\n" not in str(told.value)


@pytest.mark.usefixtures("untyped")
def test_only_certificates_give_rules():
    with pytest.raises(InputProblem, match="certify_block"):
        stopping_rule(certify_block(residual([[0.5]])), 1e-3)  # type: ignore[arg-type]
    with pytest.raises(InputProblem, match="finite number above 0"):
        stopping_rule(certify_surely(residual([[-0.5]])), float("nan"))


def test_nais_disk_of_a_step_that_is_too_large_has_no_rule():
    """1 % above `h lmax = 2` there is no certificate; 1 % below, steps shrink by 0.98."""
    assert not isinstance(
        certify_block(residual(-np.diag([1.0, 0.5]), step=2.02)), BlockCertificate
    )
    below = residual(-np.diag([1.0, 0.5]), step=1.98)
    rule = stopping_rule(certify_surely(below), 1e-3)
    assert isinstance(rule, ShrinkingSteps) and float(rule.factor) == pytest.approx(0.98)
