"""What is proved of blocks of deep networks, against the worst slopes that a search finds.

Every guarantee is tried with its constant moved by 1 %: the moved one is refused, or violated.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.deep_blocks import (
    KINDS,
    certified,
    contracting_weight,
    convolution,
    definite,
    dense,
    dominant_taps,
    equilibrium,
    gradient,
    jacobian,
    layers,
    linear_parts,
    matrix,
    number,
    residual,
    row_dominant,
    slope_count,
)
from limitset.contraction import (
    BlockCertificate,
    Certificate,
    DiagonalMetric,
    GramMetric,
    MaximumMetric,
    QuadraticMetric,
    Unknown,
    block_gain,
    certify,
    certify_block,
    certify_convergence,
    explain,
    input_gain,
)
from limitset.dynamics import unroll
from limitset.networks import (
    AbstractBlock,
    DenseOperator,
    NegativeGram,
    Padding,
    ResidualBlock,
    find_activation,
    untie,
)

pytestmark = pytest.mark.usefixtures("no_shape_checks")

ACTIVATIONS = ("relu", "tanh", "leaky_relu:0.25", "sigmoid", "identity")


def roots(certificate: BlockCertificate) -> np.ndarray:
    """Q with `|v|_M = |Q v|`, in the 2-norm or the maximum norm."""
    metric = certificate.metric
    if isinstance(metric, QuadraticMetric):
        values, vectors = np.linalg.eigh(np.asarray(metric.matrix))
        return (vectors * np.sqrt(values)) @ vectors.T
    if isinstance(metric, DiagonalMetric | MaximumMetric):
        return np.diag(np.asarray(metric.scale))
    assert isinstance(metric, GramMetric)
    gram = NegativeGram(metric.inner, metric.scale, metric.shift)
    values, vectors = np.linalg.eigh(-matrix(gram))
    return (vectors * np.sqrt(values)) @ vectors.T


def gain_of(certificate: BlockCertificate, J: np.ndarray) -> float:
    Q = roots(certificate)
    order = np.inf if isinstance(certificate.metric, MaximumMetric) else 2
    return float(np.linalg.norm(Q @ J @ np.linalg.inv(Q), order))


def patterns(rng: np.random.Generator, count: int, lo: float, hi: float) -> list[np.ndarray]:
    """All corners of few slopes, corners and inner points of many."""
    if count <= 8:
        corners = [np.array(c) for c in itertools.product((lo, hi), repeat=count)]
    else:
        corners = [np.where(rng.random(count) < p, hi, lo) for p in (0.1, 0.5, 0.9, 0, 1)]
    return corners + [rng.uniform(lo, hi, count) for _ in range(10)]


def worst_input_gain(
    rng: np.random.Generator, block: AbstractBlock, depth: int, order: float
) -> float:
    """The largest gain of products of Jacobians that a coordinate search over slopes finds."""
    lo, hi = slopes(block)
    known = [linear_parts(layer) for layer in layers(block)]
    each = [known[min(k, len(known) - 1)] for k in range(depth)]
    pattern = np.where(rng.random((depth, slope_count(layers(block)[0]))) < 0.7, hi, lo)

    def gain(slopes_at: np.ndarray) -> float:
        moved = np.zeros((block.state_size, block.input_size))
        for (kept, left, A, B), d in zip(each, slopes_at, strict=True):
            moved = kept * moved + left @ (d[:, None] * (A @ moved + B))
        return float(np.linalg.norm(moved, order))

    best = gain(pattern)
    for place in rng.permutation(pattern.size)[:60]:
        tried = pattern.copy()
        tried.flat[place] = lo + hi - tried.flat[place]
        if (value := gain(tried)) > best:
            best, pattern = value, tried
    return best


def slopes(block: AbstractBlock) -> tuple[float, float]:
    interval = layers(block)[0].activation.slope_interval  # pyright: ignore
    assert interval is not None
    return interval


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_nais_no_slopes_beat_the_factor(kind: str, activation: str):
    rng = np.random.default_rng(len(kind))
    block = KINDS[kind](rng, activation)
    certificate = certified(block)
    lo, hi = slopes(block)
    assert 0 <= certificate.factor <= 1 and certificate.evidence.label == "verified"
    assert certificate.theorem == kind.split("_untied")[0].split("_conv")[0]
    closest = 0.0
    for layer in layers(block):
        kept, left, A, _ = linear_parts(layer)
        for d in patterns(rng, slope_count(layer), lo, hi):
            J = kept * np.eye(block.state_size) + left @ (d[:, None] * A)
            closest = max(closest, gain_of(certificate, J))
    assert closest <= certificate.factor * (1 + 1e-12)
    # All slopes at one end attain the bound: the constant cannot be 1 % smaller. The gradient
    # block leaves out what slopes above 0 would add.
    assert closest > certificate.factor * (1 - 1e-6) or (kind.startswith("gradient") and lo > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_nais_pairs_never_part_faster_than_certified(kind: str):
    rng = np.random.default_rng(len(kind) + 1)
    for activation in ("relu", "leaky_relu:0.25"):
        block = KINDS[kind](rng, activation)
        certificate = certified(block)
        Q = roots(certificate)
        order = np.inf if isinstance(certificate.metric, MaximumMetric) else 2
        step = jax.jit(jax.vmap(block.advance, (None, 0, None)))
        x = jnp.asarray(rng.standard_normal((40, block.state_size)) * 2)
        for n in range(4):
            u = jnp.asarray(rng.standard_normal(block.input_size))
            following = step(n, x, u)
            before = np.linalg.norm((x[:20] - x[20:]) @ Q.T, order, axis=1)
            after = np.linalg.norm((following[:20] - following[20:]) @ Q.T, order, axis=1)
            assert (after <= certificate.factor * before * (1 + 1e-12)).all()
            x = following


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ("relu", "leaky_relu:0.25"))
def test_nais_no_slopes_beat_the_input_gains(kind: str, activation: str):
    rng = np.random.default_rng(len(kind) + 2)
    block = KINDS[kind](rng, activation)
    certificate = certified(block)
    for depth in (1, 2, 7):
        for norm in ("euclidean", "maximum"):
            order = 2 if norm == "euclidean" else np.inf
            worst = worst_input_gain(rng, block, depth, order)
            bound = block_gain(certificate, depth, norm)
            assert worst <= bound * (1 + 1e-12), (depth, norm)
            assert bound <= block_gain(certificate, math.inf, norm) * (1 + 1e-12)
            if depth == 1 and norm == "euclidean" and kind in ("symmetric", "row_sum"):
                # One step with all slopes 1 is the input operator itself.
                assert worst > 0.99 * bound or activation == "relu"


# --- The metric of a symmetric block ---


@pytest.mark.parametrize("size", range(2, 9))
def test_nais_metric_lemma_at_all_corners_and_one_percent_above(size: int):
    P = definite(np.random.default_rng(size), size, 0.01, 0.99)
    values, vectors = np.linalg.eigh(P)
    root, inverse = (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T
    for step, allowed in ((1.0, True), (2 / 0.99 * (1 - 1e-9), True), (2 / 0.99 * 1.01, False)):
        block = residual(-P, step=step)
        worst = max(
            np.linalg.norm(root @ jacobian(block, np.array(d)) @ inverse, 2)
            for d in itertools.product((0.0, 1.0), repeat=size)
        )
        answer = certify_block(block)
        assert isinstance(answer, BlockCertificate) == allowed
        assert worst <= 1 + 1e-12 if allowed else worst == pytest.approx(1.02, rel=1e-3)
        limit = certified(residual(-P)).step_limit
        assert 2 / 0.99 * (1 - 1e-10) < limit <= 2 / 0.99 * (1 + 1e-13)
        if not allowed:
            assert "step" in answer.reason and "2.0202" in answer.reason  # pyright: ignore


def test_nais_rate_of_slopes_bounded_below_is_attained():
    """`max(1 - h s lmin, h lmax - 1)`, and 1 % less is beaten."""
    P = definite(np.random.default_rng(0), 6, 0.1, 0.9)
    for step in (1.0, 2.1):
        certificate = certified(residual(-P, step=step, activation="leaky_relu:0.5"))
        expected = max(1 - step * 0.5 * 0.1, step * 0.9 - 1)
        assert certificate.factor == pytest.approx(expected, rel=1e-9)
        J = [jacobian(certificate.block, np.full(6, s)) for s in (0.5, 1.0)]
        worst = max(gain_of(certificate, one) for one in J)
        assert 0.99 * certificate.factor < worst <= certificate.factor * (1 + 1e-12)


def test_nais_rates_for_units_keep_the_metric():
    """`A = -Lambda P`: rates are recovered where quotients are exact, or come with the operator."""
    rng = np.random.default_rng(1)
    P = definite(rng, 5, 0.2, 1.0)
    rates = np.array([1.0, 0.5, 2.0, 0.25, 1.0])
    fastest = np.linalg.eigvalsh(np.sqrt(rates)[:, None] * P * np.sqrt(rates))[-1]
    block = residual(-rates[:, None] * P)
    certificate = certified(block)
    M = np.asarray(certificate.metric.matrix)  # pyright: ignore[reportAttributeAccessIssue]
    assert np.allclose(M / M[0, 0], P / P[0, 0], rtol=1e-14)
    assert certificate.step_limit == pytest.approx(2 / fastest, rel=1e-9)
    assert isinstance(certify_block(residual(-rates[:, None] * P, step=2.02 / fastest)), Unknown)
    R = rng.standard_normal((5, 5)) * 0.3
    uneven = jnp.asarray(rng.uniform(0.3, 1.2, 5))
    gram = NegativeGram(dense(R), number(1.0), number(0.1), uneven)
    found = certified(residual(gram))
    for d in itertools.product((0.0, 1.0), repeat=5):
        assert gain_of(found, jacobian(found.block, np.array(d))) <= 1 + 1e-12


def test_nais_no_other_matrix_has_a_metric():
    """Necessity: slopes `t e_i e_i'`, t small, refuse every metric that is not `Lambda^-1 A`."""
    rng = np.random.default_rng(2)
    P = definite(rng, 3, 0.2, 1.0)
    for M in (np.eye(3), P + 0.01 * np.diag([1.0, 0.0, 0.0]), np.diag([1.0, 2.0, 3.0])):
        values, vectors = np.linalg.eigh(M)
        root, inverse = vectors * np.sqrt(values), vectors / np.sqrt(values)
        worst = max(
            np.linalg.norm(root.T @ (np.eye(3) - t * np.outer(np.eye(3)[i], P[i])) @ inverse, 2)
            for i in range(3)
            for t in (1e-3, 1e-2)
        )
        assert worst > 1
    # One entry moved by 1 %: no Lambda P any more, and refused with the reason.
    A = -P.copy()
    A[0, 1] *= 1.01
    answer = certify_block(residual(A), metric=QuadraticMetric(jnp.asarray(P)))
    assert isinstance(answer, Unknown) and "not -Lambda P" in answer.reason
    # The tree of ratios is consistent up to rounding, the cycle is not exactly so.
    B = -P * np.array([[1.0], [1.1], [1.3]])
    answer = certify_block(residual(B), metric=QuadraticMetric(jnp.asarray(P)))
    assert isinstance(answer, Unknown)


def test_nais_input_gain_needs_more_than_one():
    """ReLU exceeds `|P^-1 B|`, tanh at infinite depth does not; twice it holds for both."""
    worst = 0.0
    for seed in range(40):
        rng, size = np.random.default_rng(seed), 2
        P = definite(rng, size, 0.02, 0.99)
        block = residual(-P, np.eye(size), bias=rng.standard_normal(size) * 0.3)
        inverse = np.linalg.inv(P)
        root = np.linalg.cholesky(P)
        u, x = rng.standard_normal((2, 40, size)), np.zeros((2, 40, size))
        for _ in range(300):
            x = x + np.maximum(u + np.asarray(block.bias) - x @ P, 0.0)
        e, w = x[0] - x[1], u[0] - u[1]
        ratio = np.linalg.norm(e @ root, axis=1) / np.linalg.norm(w @ inverse @ root, axis=1)
        worst = max(worst, float(ratio.max()))
        bound = certified(block).euclidean_gain
        assert (np.linalg.norm(e, axis=1) <= bound * np.linalg.norm(w, axis=1)).all()
        exact = 2 * np.linalg.norm(np.linalg.inv(root), 2) / np.sqrt(np.linalg.eigvalsh(P)[0])
        assert bound == pytest.approx(exact, rel=1e-6)
    assert 1.0 < worst < 2.0


# --- Row sums ---

KERNELS = ((1, 1), (3, 3), (1, 3), (5, 3))


@pytest.mark.parametrize("padding", Padding)
@pytest.mark.parametrize("kernel", KERNELS)
def test_nais_row_sums_hold_at_every_padding(padding: Padding, kernel: tuple[int, int]):
    """Against the dense operator; the margin `eps` moved by 1 % is beaten where rows are full."""
    rng, slack = np.random.default_rng(3), 0.2
    for shift in (0.0, 0.5, -0.5):
        taps = dominant_taps(rng, 3, kernel, slack, shift)
        own = np.arange(3)
        alone = np.abs(taps).sum((1, 2, 3)) - np.abs(taps[own, own, kernel[0] // 2, kernel[1] // 2])
        assert (alone <= 1 - abs(shift) - slack + 1e-12).all()
        block = residual(convolution(taps, 5, 4, padding), activation="leaky_relu:0.5")
        certificate = certified(block)
        rest = 1 - abs(shift) - slack
        expected = max(abs(1 - t * (1 + shift)) + t * rest for t in (0.5, 1.0))
        assert certificate.factor == pytest.approx(expected, rel=1e-9)
        assert expected <= 1 - 0.5 * slack + 1e-12
        worst = max(
            float(np.abs(jacobian(block, d)).sum(1).max())
            for d in patterns(rng, block.state_size, 0.5, 1.0)
        )
        assert worst <= certificate.factor * (1 + 1e-12)
        if padding == Padding.ZERO and max(kernel) <= 4:
            assert worst > 0.99 * certificate.factor
    assert certified(residual(convolution(taps, 5, 4, padding))).factor == 1.0


@pytest.mark.parametrize("shift", (0.5, 0.0, -0.5))
def test_nais_row_sum_step_limit_and_one_percent_above(shift: float):
    slack = 0.05
    A = row_dominant(np.random.default_rng(4), 6, slack, shift)
    limit = 2 / (2 + shift - abs(shift) - slack)
    found = certified(residual(A), metric=MaximumMetric(jnp.ones(6)))
    assert found.step_limit == pytest.approx(limit, rel=1e-12) and found.step_limit <= limit
    assert certified(residual(A, step=found.step_limit * (1 - 1e-12))).factor == 1.0
    above = residual(A, step=limit * 1.01)
    assert isinstance(certify_block(above), Unknown)
    worst = max(float(np.abs(jacobian(above, np.full(6, d))).sum(1).max()) for d in (0.0, 1.0))
    assert worst > 1.005


def test_nais_row_sum_gain_is_attained_and_one_percent_less_is_beaten():
    """`|B|_inf / eps`: with nonnegative couplings the gain is reached at great depth."""
    slack = 0.25
    A = np.abs(row_dominant(np.random.default_rng(5), 4, slack))
    A[np.diag_indices(4)] = -1.0
    block = residual(A, np.ones((4, 1)), activation="identity")
    certificate = certified(block, metric=MaximumMetric(jnp.ones(4)))
    reached = float(jnp.abs(unroll(block, jnp.ones(1), 400)).max())
    assert certificate.maximum_gain == pytest.approx(1 / slack, rel=1e-9)
    assert 0.99 * certificate.maximum_gain < reached <= certificate.maximum_gain
    assert block_gain(certificate, 2, "maximum") == pytest.approx(1.75, rel=1e-9)


def test_nais_learned_diagonal_metric_certifies_what_equal_weights_do_not():
    rng = np.random.default_rng(6)
    scale = np.array([1.0, 10.0, 0.1])
    A = row_dominant(rng, 3, 0.1) * scale[None, :] / scale[:, None]
    assert np.abs(A - np.diag(np.diag(A))).sum(1).max() > 1
    found = certified(residual(A), metric=MaximumMetric(jnp.asarray(scale)))
    assert found.factor == 1.0 and found.theorem == "row_sum"
    # Without a proposal the block finds weights of its own.
    assert certified(residual(A)).factor == 1.0
    unit = certify_block(residual(A), metric=MaximumMetric(jnp.ones(3)))
    assert isinstance(unit, Unknown)


# --- Gradient and equilibrium blocks ---


def test_nais_gradient_block_contracts_up_to_its_step_limit():
    rng = np.random.default_rng(7)
    R = rng.standard_normal((4, 4))
    norm = float(np.linalg.norm(R, 2))
    leak = 0.3
    limit = 2 / (leak + norm**2)
    assert certified(gradient(R, step=0.1, leak=leak)).step_limit == pytest.approx(limit, rel=1e-9)
    usual = 2 / (norm**2 + 2 * leak)
    found = certified(gradient(R, step=usual * (1 - 1e-9), leak=leak))
    assert found.factor == pytest.approx(1 - usual * leak, rel=1e-6)
    J = jacobian(found.block, np.zeros(4))
    assert np.linalg.norm(J, 2) > 0.99 * found.factor
    assert isinstance(certify_block(gradient(R, step=limit * 1.01, leak=leak)), Unknown)
    over = jacobian(gradient(R, step=limit * 1.01, leak=leak), np.ones(4))
    assert np.linalg.norm(over, 2) > 1.01
    assert isinstance(certify_block(gradient(R, step=0.1, leak=-0.01)), Unknown)


def test_nais_gradient_gain_beats_the_plain_one_and_holds():
    """About `|B| / (2 sqrt(leak))` against `|R| |B| / leak`; K steps without leak: sqrt(K)."""
    leak, step = 0.01, 0.05
    block = gradient(np.eye(1), np.eye(1), step=step, leak=leak)
    found = certified(block)
    assert found.euclidean_gain < 1.05 / (2 * np.sqrt(leak)) < 1 / leak
    # The gain at rest with slope d is d / (leak + d), largest where leak + d is small: below it.
    rng = np.random.default_rng(8)
    assert worst_input_gain(rng, block, 60, 2) <= found.euclidean_gain
    without = certified(gradient(np.eye(1), np.eye(1), step=step, leak=0.0))
    assert without.euclidean_gain == math.inf and without.factor == 1.0
    root = block_gain(without, 100, "euclidean")
    assert root == pytest.approx(math.sqrt(100 * step / (2 - step)), rel=1e-9)
    # The slope that moves most at each step: d with R e + w of one sign, found by search.
    for depth in (1, 4, 16):
        bound = block_gain(without, depth, "euclidean")
        assert worst_input_gain(rng, without.block, depth, 2) <= bound


def test_nais_the_gradient_gain_is_needed():
    """Slopes that alternate with the sign of the drive come near the bound; 1 % of it is real."""
    leak, step = 0.04, 0.02
    R, B = np.array([[1.0], [-1.0]]) * 0.5, np.array([[1.0], [0.0]])
    block = gradient(R, B, step=step, leak=leak)
    bound = certified(block).euclidean_gain
    kept, left, A, B = linear_parts(block)
    corners = [np.array(c) for c in itertools.product((0.0, 1.0), repeat=2)]
    e = reached = 0.0
    for _ in range(4000):
        e = min(float((kept * e + left @ (d * (A[:, 0] * e + B[:, 0])))[0]) for d in corners)
        reached = max(reached, abs(e))
    assert 0.2 * bound < reached <= bound


def test_nais_equilibrium_factor_is_attained_and_one_percent_more_is_refused():
    rng = np.random.default_rng(9)
    for level in (0.9, 0.4, -0.3):
        W = contracting_weight(rng, 5, level)
        step = 1 / (1 - min(np.diag(W).min(), 0.0))
        found = certified(equilibrium(W, np.ones((5, 1)), step=step))
        expected = 1 - (1 - max(level, 0.0)) * step
        assert found.factor == pytest.approx(expected, rel=1e-9)
        ends = [jacobian(found.block, np.full(5, d)) for d in (0.0, 1.0)]
        worst = max(float(np.abs(J).sum(1).max()) for J in ends)
        assert 0.99 * found.factor < worst <= found.factor * (1 + 1e-12)
        assert found.maximum_gain == pytest.approx(1 / (1 - level), rel=1e-9)
        above = equilibrium(W, step=found.step_limit * 1.01)
        assert isinstance(certify_block(above), Unknown)
        assert certified(equilibrium(W, step=found.step_limit * (1 - 1e-9))).factor <= 1
    # Row sums of 1 leave nothing to contract by.
    edge = certify_block(equilibrium(contracting_weight(rng, 5, 1.01), step=0.1))
    assert isinstance(edge, Unknown)


@pytest.mark.parametrize("padding", Padding)
def test_nais_equilibrium_convolutions_at_every_padding(padding: Padding):
    rng = np.random.default_rng(10)
    taps = rng.standard_normal((2, 2, 3, 3))
    own = np.arange(2)
    taps[own, own, 1, 1] = 0.0
    taps[own, own, 1, 1] = 0.5 - np.abs(taps).sum((1, 2, 3))
    block = equilibrium(convolution(taps, 4, 4, padding), step=0.05)
    found = certified(block)
    assert found.factor == pytest.approx(1 - 0.05 * 0.5, rel=1e-9)
    for d in patterns(rng, block.state_size, 0.0, 1.0):
        assert np.abs(jacobian(block, d)).sum(1).max() <= found.factor * (1 + 1e-12)


# --- Untied blocks ---


def untied_counterexample() -> list[ResidualBlock]:
    """Two layers, each nonexpansive in a metric of its own, whose product expands."""
    blocks = []
    for angle in (1.99314, 2.72209):
        v = np.array([np.cos(angle), np.sin(angle)])
        P = 0.98 * np.outer(v, v) + 0.01 * np.eye(2)
        blocks.append(residual(-(P + P.T) / 2))
    return blocks


def test_nais_untied_layers_of_different_metrics_are_refused():
    first, second = untied_counterexample()
    product = jacobian(second, np.array([0.0, 1.0])) @ jacobian(first, np.array([1.0, 0.0]))
    assert np.abs(np.linalg.eigvals(product)).max() == pytest.approx(1.232, abs=5e-4)
    for block in (first, second):
        assert certified(block).theorem == "symmetric"
    answer = certify_block(untie([first, second]))
    assert isinstance(answer, Unknown) and "symmetric: the weights change" in answer.reason


def test_nais_untied_layers_share_a_metric_or_a_norm():
    rng = np.random.default_rng(15)
    P = definite(rng, 4, 0.1, 0.9)
    shared = untie([residual(-P, rng.standard_normal((4, 2)), step=h) for h in (0.5, 1.0, 2.0)])
    found = certified(shared)
    assert found.theorem == "symmetric"
    for depth in (3, 6):
        assert worst_input_gain(rng, shared, depth, 2) <= block_gain(found, depth, "euclidean")
    # 1 % more of one entry at one depth, and P is not shared.
    other = P.copy()
    other[0, 0] *= 1.01
    moved = untie([residual(-P), residual(-other)])
    assert isinstance(certify_block(moved, metric=QuadraticMetric(jnp.asarray(P))), Unknown)
    gram = [
        residual(NegativeGram(dense(np.eye(3)), number(0.5), number(0.1), jnp.full(3, r)))
        for r in (0.5, 1.0)
    ]
    assert certified(untie(gram)).theorem == "symmetric"


# --- As one of all theorems ---


def test_blocks_that_contract_are_certified_like_any_system():
    rng = np.random.default_rng(16)
    for kind in KINDS:
        answer = certify(KINDS[kind](rng, "leaky_relu:0.25"))
        assert isinstance(answer, Certificate), kind
        assert answer.theorem == "deep_block" and answer.factor is not None and answer.factor < 1
        assert "norm below 1" in explain(answer) and answer.condition >= 1 - 1e-12
        assert isinstance(input_gain(answer), Unknown)
        # Nothing is said of float32 runs.
        narrow = certify(jax.tree.map(lambda a: a.astype(jnp.float32), answer.system))
        assert isinstance(narrow, Certificate) and narrow.float32 is None
    relu = certify(KINDS["symmetric"](rng, "relu"))
    assert isinstance(relu, Unknown) and "certify_block" in relu.reason


def test_subclasses_and_unknown_operators_are_refused():
    class Louder(ResidualBlock):
        def respond(self, n, x, entering):
            return 2 * super().respond(n, x, entering)

    good = residual(-np.eye(2) * 0.5, activation="leaky_relu:0.5")
    bad = Louder(good.state_operator, None, good.bias, good.step, good.activation)
    assert isinstance(certify_block(bad), Unknown) and isinstance(certify(bad), Unknown)

    class Liar(DenseOperator):
        def __call__(self, x):
            return 3 * x

    lying = ResidualBlock(Liar(jnp.eye(2) * -0.5), None, good.bias, good.step, good.activation)
    assert isinstance(certify_block(lying), Unknown) and isinstance(certify(lying), Unknown)
    assert isinstance(certify_convergence(lying), Unknown)


@pytest.mark.parametrize("name", ("silu", "gelu"))
def test_activations_without_known_slopes_are_refused(name: str):
    for block in (
        residual(-np.eye(2) * 0.5, activation=name),
        gradient(np.eye(2), step=0.1, leak=0.1, activation=name),
        equilibrium(np.zeros((2, 2)), step=0.5, activation=name),
    ):
        answer = certify_block(block)
        assert isinstance(answer, Unknown) and find_activation(name).name in answer.reason
