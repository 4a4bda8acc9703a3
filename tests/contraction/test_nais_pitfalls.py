"""What goes wrong with stable deep blocks elsewhere, by name, and numbers of small ones."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.deep_blocks import (
    certified,
    convolution,
    definite,
    dense,
    equilibrium,
    gradient,
    jacobian,
    matrix,
    number,
    residual,
)
from limitset._result import InputProblem
from limitset.contraction import (
    BlockCertificate,
    MaximumMetric,
    QuadraticMetric,
    Unknown,
    block_gain,
    certify_block,
    certify_convergence,
)
from limitset.dynamics import unroll, unroll_path
from limitset.networks import RELU, TANH, Activation, NegativeGram, ResidualBlock, untie

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def one_unit(a: float) -> ResidualBlock:
    return residual([[a]], activation="tanh", bias=np.ones(1))


# --- Numbers known of small blocks ---


@pytest.mark.parametrize(
    ("a", "values"),
    ((-0.99, (0.7616, 1.0028, 1.0100)), (-1.9, (0.7616, 0.3421, 0.6785, 0.3972))),
)
def test_nais_one_unit_of_tanh(a: float, values: tuple[float, ...]):
    path = np.asarray(unroll_path(one_unit(a), jnp.zeros(0), 400))[:, 0]
    assert np.abs(path[: len(values)] - values).max() < 5e-5
    assert path[-1] == pytest.approx(1 / -a, abs=1e-6)
    assert certified(one_unit(a)).factor == 1.0


TWO = np.array([[0.6, 0.3], [0.3, 0.6]])
DRIVE = np.array([1.0, 0.5])


@pytest.mark.parametrize(
    ("P", "step", "start", "relu_limit"),
    (
        (TWO, 1.0, (0, 0), (1.41667, 0.5)),
        (TWO, 1.0, (3, 0), (3, 0)),
        (TWO, 1.0, (0, 3), (0.16667, 3)),
        (TWO, 0.05, (0, 0), (1.50426, 0.32481)),
        (TWO * [[1, -1], [-1, 1]], 1.0, (0, 0), (2.77778, 2.22222)),
        (TWO * [[1, -1], [-1, 1]], 0.05, (0, 0), (2.77778, 2.22222)),
    ),
)
def test_nais_two_units_of_relu_remember_start_and_step(
    P: np.ndarray, step: float, start: tuple[float, float], relu_limit: tuple[float, float]
):
    first = jnp.asarray(start, jnp.float64)
    relu = residual(-P, step=step, bias=DRIVE)
    reached = unroll(relu, jnp.zeros(0), 4000, initial=first)
    assert np.abs(np.asarray(reached) - relu_limit).max() < 5e-6
    # tanh forgets both: one limit, the solution of P x = b.
    tanh = residual(-P, step=step, bias=DRIVE, activation="tanh")
    ends = unroll(tanh, jnp.zeros(0), 8000, initial=first)
    assert np.abs(np.asarray(ends) - np.linalg.solve(P, DRIVE)).max() < 5e-6
    for block, limit in ((relu, "depends_on_start"), (tanh, "affine")):
        assert certify_convergence(block).limit == limit  # pyright: ignore


# --- Pitfalls ---


def all_reading_the_first(channels: int = 16) -> np.ndarray:
    """Every channel reads channel 0: rows are dominant, columns are not."""
    A = -np.eye(channels)
    A[1:, 0] = 0.95
    A[0, 0] = -0.05
    return A


def test_nais_pitfall_two_norm_from_row_sums():
    """`|I + A|_inf = 0.95` and `|I + A|_2 = 3.8`: no 2-norm statement follows from rows."""
    A = all_reading_the_first()
    taps = A.reshape(16, 16, 1, 1)
    block = residual(convolution(taps, 2, 2), np.eye(64), activation="identity")
    J = jacobian(block, np.ones(64))
    assert np.abs(J).sum(1).max() == pytest.approx(0.95)
    assert np.linalg.norm(J, 2) == pytest.approx(0.95 * 4, rel=1e-9)
    found = certified(block, metric=MaximumMetric(jnp.ones(64)))
    assert isinstance(found.metric, MaximumMetric) and found.factor == pytest.approx(0.95)
    # What is said of the 2-norm is by equivalence, and holds.
    assert found.euclidean_transient >= np.linalg.norm(J, 2)
    reached = np.linalg.norm(np.linalg.inv(np.eye(64) - J), 2)
    assert found.maximum_gain < reached <= found.euclidean_gain
    assert any("maximum norm" in condition for condition in found.conditions)


def test_nais_pitfall_spectral_radius_is_not_contraction():
    """`rho(J) < 1` at every gate, and a product of two expands: refused."""
    rng = np.random.default_rng(0)
    gates = [np.array(d) for d in itertools.product((0.0, 1.0), repeat=3)]
    seen = 0
    for _ in range(300):
        M = rng.standard_normal((3, 3))
        block = residual(0.98 * M / np.linalg.norm(M, 2) - np.eye(3))
        J = [jacobian(block, d) for d in gates]
        worst = max(np.abs(np.linalg.eigvals(a @ b)).max() for a in J for b in J)
        if worst > 1.01:
            seen += 1
            assert isinstance(certify_block(block), Unknown)
    assert seen > 0


def test_nais_pitfall_untied_because_each_layer_is_projected():
    rng = np.random.default_rng(1)
    layers = []
    for _ in range(4):
        R = rng.standard_normal((6, 6))
        R *= np.sqrt(0.98 / np.linalg.norm(R.T @ R))
        P = R.T @ R + 0.01 * np.eye(6)
        layers.append(residual(-(P + P.T) / 2))
        assert certified(layers[-1]).theorem == "symmetric"
    answer = certify_block(untie(layers))
    assert isinstance(answer, Unknown) and "change from depth to depth" in answer.reason
    # Sliced from a stack of Gram operators too.
    grams = [
        residual(NegativeGram(dense(rng.standard_normal((3, 3)) * 0.3), number(1.0), number(0.1)))
        for _ in range(2)
    ]
    only = QuadraticMetric(jnp.eye(3))
    assert isinstance(certify_block(untie(grams), metric=only), Unknown)
    assert isinstance(certify_block(untie(grams[:1] * 2), metric=only), BlockCertificate)


def test_nais_pitfall_batch_norm_inside_the_block():
    """`A` becomes `G A`: inside the step limit for positive gains, else refused."""
    rng = np.random.default_rng(2)
    R = rng.standard_normal((4, 4))
    R *= np.sqrt(0.98 / np.linalg.norm(R.T @ R))

    def folded(gains: np.ndarray) -> ResidualBlock:
        gram = NegativeGram(dense(R), number(1.0), number(0.01), jnp.asarray(gains))
        return residual(gram)

    assert certified(folded(np.array([0.2, 1.0, 0.5, 0.9]))).factor == 1.0
    for gains in ((3.0,) * 4, (1.0, 1.0, 1.0, -0.5), (1.0, 1.0, 0.0, 1.0)):
        assert isinstance(certify_block(folded(np.array(gains))), Unknown)
    P = matrix(NegativeGram(dense(R), number(-1.0), number(-0.01)))
    fastest = np.linalg.eigvalsh(P)[-1]
    for moved, allowed in ((1 - 1e-6, True), (1.01, False)):
        answer = certify_block(folded(np.full(4, 2 / fastest * moved)))
        assert isinstance(answer, BlockCertificate) == allowed
    # The folded matrix itself is rounded, and no longer of the form: refused, not believed.
    dense_folded = residual(np.array([[3.0], [1.1], [0.7], [0.3]]) * -P)
    assert isinstance(certify_block(dense_folded, metric=QuadraticMetric(jnp.eye(4))), Unknown)


def test_nais_pitfall_step_too_large_or_slopes_above_one():
    P = definite(np.random.default_rng(3), 4, 0.1, 1.0)
    steep = Activation("elu:2", lambda z: jnp.where(z > 0, z, 2 * jnp.expm1(z)), (0.0, 2.0))
    usual = certified(residual(-P)).step_limit
    for activation, ratio in ((TANH, 1.0), (RELU, 1.0), (steep, 0.5)):
        block = dataclasses.replace(residual(-P, step=0.5), activation=activation)
        limit = certified(block).step_limit
        assert limit == pytest.approx(ratio * usual, rel=1e-9)
        above = dataclasses.replace(block, step=number(limit * 1.01))
        assert isinstance(certify_block(above), Unknown)
        below = dataclasses.replace(block, step=number(limit * (1 - 1e-9)))
        assert isinstance(certify_block(below), BlockCertificate)
    for step in (0.0, -1.0):
        for block in (
            residual(-P, step=step),
            gradient(P, step=step, leak=0.1),
            equilibrium(-P, step=step),
        ):
            assert isinstance(certify_block(block), Unknown)
    assert isinstance(certify_convergence(residual(-P, step=-0.5)), Unknown)


def test_nais_pitfall_boundedness_is_not_stability():
    """`a = -2.1`: tanh hides the instability in a 2-cycle that stays bounded."""
    block = one_unit(-2.1)
    path = np.asarray(unroll_path(block, jnp.zeros(0), 400))[:, 0]
    assert np.abs(path).max() < 1
    assert sorted(path[-2:]) == pytest.approx([0.29084, 0.66154], abs=1e-5)
    # Increments tell: they do not shrink, and neither is the block certified nor convergent.
    assert abs(path[-1] - path[-2]) > 0.3
    assert isinstance(certify_block(block), Unknown)
    assert isinstance(certify_convergence(block), Unknown)


def test_nais_pitfall_steps_that_look_small():
    """A raw threshold on the step, 1e-4, leaves a larger error; the bound holds."""
    P = definite(np.random.default_rng(4), 6, 0.01, 0.99)
    found = certify_convergence(residual(-P, bias=np.ones(6)))
    path = np.asarray(unroll_path(residual(-P, bias=np.ones(6)), jnp.zeros(0), 6000))
    moves = np.linalg.norm(np.diff(path, axis=0), axis=1)
    stop = int(np.argmax(moves < 1e-4))
    error = np.linalg.norm(path[-1] - path[stop + 1])
    assert error > 3 * 1e-4
    assert error <= found.step_reach * moves[stop]  # pyright: ignore[reportAttributeAccessIssue]


def test_unusable_numbers_are_refused():
    good = residual(-np.eye(2) * 0.5, np.eye(2))
    for bad in (np.nan, np.inf):
        block = dataclasses.replace(good, step=number(bad))
        with pytest.raises(InputProblem):
            certify_block(block)
        with pytest.raises(InputProblem):
            certify_convergence(block)
        with pytest.raises(InputProblem):
            certify_block(dataclasses.replace(good, bias=jnp.full(2, bad)))
    half = jax.tree.map(lambda a: a.astype(jnp.float16), good)
    with pytest.raises(InputProblem, match="float16"):
        certify_block(half)
    with pytest.raises(InputProblem, match="traced"):
        jax.jit(certify_block)(good)
    with pytest.raises(InputProblem, match="certify_network"):
        certify_block(3)  # pyright: ignore[reportArgumentType]
    certificate = certified(good)
    for depth in (-1, math.nan):
        with pytest.raises(InputProblem):
            block_gain(certificate, depth, "euclidean")
    with pytest.raises(InputProblem, match="one scale per"):
        certify_block(good, metric=MaximumMetric(jnp.ones(3)))
    with pytest.raises(InputProblem, match="positive"):
        certify_block(good, metric=MaximumMetric(jnp.array([1.0, -1.0])))


@pytest.mark.parametrize("scale", (1e-300, 1e-30, 1e30, 1e150))
def test_enormous_and_tiny_weights_give_no_nonsense(scale: float):
    P = definite(np.random.default_rng(5), 3, 0.5, 1.0)
    for block in (
        residual(-P * scale, np.eye(3)),
        gradient(P * scale, np.eye(3), step=0.5, leak=0.1),
        equilibrium(-P * scale, np.eye(3), step=0.5),
    ):
        answer = certify_block(block)
        if isinstance(answer, BlockCertificate):
            numbers = (answer.factor, answer.euclidean_gain, answer.maximum_gain, answer.step_limit)
            assert not any(math.isnan(n) or n < 0 for n in numbers)
            assert scale < 1
