"""What is proved of blocks that settle, whether or not they contract."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.deep_blocks import (
    convolution,
    definite,
    dominant_taps,
    jacobian,
    number,
    residual,
    row_dominant,
)
from limitset.contraction import (
    BlockCertificate,
    ConvergenceCertificate,
    MaximumMetric,
    Unknown,
    certify_block,
    certify_convergence,
)
from limitset.dynamics import unroll, unroll_path
from limitset.networks import NegativeGram

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def test_nais_converged_tanh_blocks_are_affine():
    rng = np.random.default_rng(11)
    P = definite(rng, 4, 0.1, 0.9)
    B = rng.standard_normal((4, 2))
    block = residual(-P, B, activation="tanh", bias=rng.standard_normal(4))
    found = certify_convergence(block)
    assert isinstance(found, ConvergenceCertificate) and found.limit == "affine"
    u = jnp.asarray(rng.standard_normal((6, 2)))
    for start in (np.zeros(4), rng.standard_normal(4) * 3):
        x = jax.vmap(lambda v, x0=start: unroll(block, v, 4000, initial=jnp.asarray(x0)))(u)
        goal = np.linalg.solve(P, (np.asarray(u) @ B.T + np.asarray(block.bias)).T).T
        assert np.abs(np.asarray(x) - goal).max() < 1e-9
    # |x - limit| <= reach |z| along the way, and 1 % of an honest reach is not enough.
    path = np.asarray(unroll_path(block, u[0], 200))
    z = path @ -P + np.asarray(u[0]) @ B.T + np.asarray(block.bias)
    errors = np.linalg.norm(path - goal[0], axis=1)
    sizes = np.linalg.norm(z, axis=1)
    assert (errors <= found.reach * sizes * (1 + 1e-9) + 1e-12).all()
    assert found.reach == pytest.approx(1 / 0.1, rel=1e-6)
    tail = errors[100:140] / sizes[100:140]
    assert tail.max() > 0.99 * found.reach * 0.9


def test_nais_tanh_energy_decreases_and_one_percent_more_does_not():
    """`V+ - V <= -h (1 - h lmax / 2) |phi(z)|^2`."""
    rng = np.random.default_rng(12)
    P = definite(rng, 4, 0.1, 1.0)
    h, v = 1.2, rng.standard_normal(4)
    block = residual(-P, step=h, activation="tanh", bias=v)

    def energy(x: np.ndarray) -> np.ndarray:
        return (x @ P * x).sum(-1) / 2 - x @ v

    x = rng.standard_normal((500, 4)) * 3
    following = np.asarray(jax.vmap(lambda s: block.advance(0, s, jnp.zeros(0)))(jnp.asarray(x)))
    drop = energy(following) - energy(x)
    size = (np.tanh(-x @ P + v) ** 2).sum(1)
    assert (drop <= -h * (1 - h * 1.0 / 2) * size + 1e-12).all()
    # At a small drive along the steepest direction the constant is attained.
    top = np.linalg.eigh(P)[1][:, -1]
    near = np.linalg.solve(P, v) - top * 1e-3
    after = np.asarray(block.advance(0, jnp.asarray(near), jnp.zeros(0)))
    z = -P @ near + v
    exact = (energy(after) - energy(near)) / (np.tanh(z) ** 2).sum()
    assert exact > -h * (1 - h / 2) * 1.01


@pytest.mark.parametrize("kind", ("symmetric", "rated", "row_sum", "disk"))
def test_nais_relu_steps_shrink_and_the_error_is_bounded(kind: str):
    rng = np.random.default_rng(13)
    reached = 0.0
    for _ in range(20):
        size = 4
        if kind in ("symmetric", "rated"):
            A = -definite(rng, size, 0.05, 0.95)
            if kind == "rated":
                A = np.array([[1.0], [0.25], [1.0], [0.25]]) * A
        elif kind == "row_sum":
            A = row_dominant(rng, size, 0.05)
        else:
            M = rng.standard_normal((size, size))
            A = 0.95 * M / np.linalg.norm(M, 2) - np.eye(size)
        block = residual(A, bias=rng.standard_normal(size))
        found = certify_convergence(block)
        assert isinstance(found, ConvergenceCertificate) and found.limit == "depends_on_start"
        order = np.inf if isinstance(found.metric, MaximumMetric) else 2
        scale = np.asarray(found.metric.scale)  # pyright: ignore[reportAttributeAccessIssue]
        start = rng.standard_normal(size)
        path = [start]
        for _ in range(2000):
            drive = np.maximum(A @ path[-1] + np.asarray(block.bias), 0.0)
            path.append(path[-1] + drive)
        path = np.array(path)
        assert (np.diff(path, axis=0) >= -1e-15).all()
        moves = np.linalg.norm(np.diff(path, axis=0) * scale, order, axis=1)
        errors = np.linalg.norm((path - path[-1]) * scale, order, axis=1)
        seen = moves[:-1] > 1e-5
        assert (moves[1:][seen] <= found.factor * moves[:-1][seen] * (1 + 1e-8)).all()
        assert (errors[1:] <= found.step_reach * moves + 1e-9).all()
        r = np.maximum(path[:-1] @ A.T + np.asarray(block.bias), 0)
        drives = np.linalg.norm(r * scale, order, axis=1)
        assert (errors[:-1] <= found.reach * drives + 1e-9).all()
        ratios = errors[1:][moves > 1e-7] / moves[moves > 1e-7]
        reached = max(reached, float(ratios.max(initial=0.0)) / found.step_reach)
    assert 0.05 < reached <= 1 + 1e-6


def test_nais_relu_error_bound_is_sharp():
    """One unit with slope 1: the bound is the error, and 1 % less is beaten."""
    block = residual(np.array([[-0.1]]), bias=np.ones(1))
    found = certify_convergence(block)
    assert isinstance(found, ConvergenceCertificate)
    path = np.asarray(unroll_path(block, jnp.zeros(0), 20))[:, 0]
    error, move = 10.0 - path[-1], path[-1] - path[-2]
    assert 0.99 * found.step_reach * move < error <= found.step_reach * move * (1 + 1e-12)


def test_nais_disk_condition_converges_and_is_not_incremental():
    """`|I + h A| = q < 1`, A not symmetric: products of Jacobians at different gates expand."""
    worst, product, found = 0.0, 0.0, None
    for seed in range(40):
        rng = np.random.default_rng(seed)
        M = rng.standard_normal((3, 3))
        A = 0.98 * M / np.linalg.norm(M, 2) - np.eye(3)
        block = residual(A, np.eye(3), bias=rng.standard_normal(3))
        answer = certify_block(block)
        found = certify_convergence(block)
        assert isinstance(found, ConvergenceCertificate)
        assert found.factor <= 0.98 * (1 + 1e-9)
        if isinstance(answer, BlockCertificate):
            continue  # Rows are dominant by chance.
        gates = [np.array(d) for d in itertools.product((0.0, 1.0), repeat=3)]
        J = [jacobian(block, d) for d in gates]
        worst = max(worst, *(float(np.linalg.norm(j, 2)) for j in J))
        pairs = (a @ b for a, b in itertools.product(J, J))
        product = max(product, *(float(np.abs(np.linalg.eigvals(p)).max()) for p in pairs))
    assert worst > 1.3 and product > 1.01
    assert not hasattr(found, "euclidean_gain")


def test_nais_disk_condition_one_percent_above_is_refused():
    A = 1.0101 * np.eye(2) - np.eye(2) * 0.0001 - np.eye(2)
    assert isinstance(certify_convergence(residual(A)), Unknown)
    rotation = np.array([[0.0, -1.0], [1.0, 0.0]])
    assert isinstance(
        certify_convergence(residual(0.99 * rotation - np.eye(2))), (ConvergenceCertificate)
    )
    assert isinstance(certify_convergence(residual(1.01 * rotation - np.eye(2))), Unknown)


def test_nais_convergence_of_convolutions():
    rng = np.random.default_rng(14)
    taps = dominant_taps(rng, 2, (3, 3), 0.1, 0.0)
    for height in (4, 16):
        found = certify_convergence(residual(convolution(taps, height, 13)))
        assert isinstance(found, ConvergenceCertificate)
        assert found.factor <= 0.9 * (1 + 1e-9)
    inner = convolution(rng.standard_normal((2, 2, 3, 3)) * 0.1, 20, 20)
    gram = residual(NegativeGram(inner, number(0.5), number(0.2)), activation="tanh")
    large = certify_convergence(gram)
    assert isinstance(large, ConvergenceCertificate) and large.factor == pytest.approx(0.8)
    for activation in ("sigmoid", "softplus", "silu"):
        assert isinstance(certify_convergence(residual(-np.eye(2), activation=activation)), Unknown)
