"""Lipschitz bounds of deep networks, their scores in balls, and radii that no attack crosses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.deep_blocks import (
    contracting_weight,
    convolution,
    definite,
    dense,
    equilibrium,
    gradient,
    number,
    residual,
)
from limitset._result import InputProblem
from limitset.contraction import (
    NetworkCertificate,
    Unknown,
    block_gain,
    certified_radii,
    certify,
    certify_network,
    enclose_scores,
)
from limitset.contraction._operator_balls import apply_adjoint, apply_operator
from limitset.dynamics import run_network
from limitset.networks import (
    DeepNetwork,
    LinearReadout,
    MeanPool,
    NegativeGram,
    Padding,
    Stage,
    UntiedBlock,
    untie,
)
from limitset.proofs import Ball

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def readout(rng: np.random.Generator, classes: int, size: int) -> LinearReadout:
    weight, bias = rng.standard_normal((classes, size)), rng.standard_normal(classes)
    return LinearReadout(jnp.asarray(weight), jnp.asarray(bias))


def dense_network(seed: int = 0, activation: str = "relu", depth: int = 12) -> DeepNetwork:
    rng = np.random.default_rng(seed)
    P = definite(rng, 6, 0.3, 0.95)
    block = residual(-P, rng.standard_normal((6, 4)), activation=activation, bias=np.ones(6) * 0.1)
    return DeepNetwork((Stage(block, depth),), readout(rng, 3, 6))


def image_network(seed: int = 0) -> DeepNetwork:
    """All kinds of blocks and operators in a row, from images of 2 x 8 x 8."""
    rng = np.random.default_rng(seed)

    def taps(o: int, i: int, size: float) -> np.ndarray:
        return rng.standard_normal((o, i, 3, 3)) * size

    inner = convolution(taps(3, 3, 0.1), 4, 4, "edge")
    rates = jnp.asarray(rng.uniform(0.5, 1.0, 48))
    gram = NegativeGram(inner, number(0.5), number(0.2), rates)
    entering = convolution(taps(3, 2, 0.3), 8, 8, "reflect", 2)
    first = residual(gram, entering, activation="leaky_relu:0.25", bias=np.ones(3) * 0.2)
    second = gradient(
        convolution(taps(4, 3, 0.2), 2, 2, "circular"),
        convolution(taps(4, 3, 0.5), 2, 2),
        step=0.3,
        leak=0.2,
        activation="tanh",
    )
    third = [
        equilibrium(contracting_weight(rng, 5, 0.3), rng.standard_normal((5, 12)), step=0.1)
        for _ in range(2)
    ]
    stages = (
        Stage(first, 3, exit=MeanPool(3, 4, 4, 2)),
        Stage(second, 4, start=dense(np.eye(12) * 0.5)),
        Stage(untie(third), 5),
    )
    return DeepNetwork(stages, readout(rng, 3, 5))


NETWORKS = {
    "dense": dense_network,
    "tanh": lambda: dense_network(1, "tanh"),
    "images": image_network,
}


def certified(network: DeepNetwork) -> NetworkCertificate:
    answer = certify_network(network)
    assert isinstance(answer, NetworkCertificate), answer
    return answer


def scores(network: DeepNetwork, inputs: np.ndarray) -> np.ndarray:
    return np.asarray(jax.vmap(lambda u: run_network(network, u))(jnp.asarray(inputs)))


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_are_enclosed(name: str):
    network = NETWORKS[name]()
    inputs = np.random.default_rng(2).standard_normal((9, network.input_size))
    found = enclose_scores(certified(network), inputs)
    # XLA's own error is some roundoffs beside the radius.
    assert (np.abs(found.mid - scores(network, inputs)) <= found.rad + 1e-12).all()
    assert found.guaranteed and 0 < found.rad.max() < 1e-8
    narrow = jax.tree.map(lambda a: a.astype(jnp.float32), network)
    assert enclose_scores(certified(narrow), inputs.astype(np.float32)).rad.max() < 1e-8


def test_scores_of_a_deep_block_hold_the_exact_ones():
    """In fractions: `x+ = x / 2 + u / 2`, forty times."""
    from fractions import Fraction

    block = residual([[-0.5]], [[0.1]], activation="relu")
    network = DeepNetwork((Stage(block, 40),), LinearReadout(jnp.array([[3.0]]), jnp.zeros(1)))
    u, x = np.array([[0.7]]), Fraction(0)
    for _ in range(40):
        x += max(Fraction(-0.5) * x + Fraction(0.1) * Fraction(0.7), 0)
    found = enclose_scores(certified(network), u)
    assert abs(Fraction(float(found.mid[0, 0])) - 3 * x) <= Fraction(float(found.rad[0, 0]))
    assert found.rad[0, 0] < 1e-13


@pytest.mark.parametrize("padding", Padding)
def test_operators_and_adjoints_on_balls_hold_their_images(padding: Padding):
    rng = np.random.default_rng(3)
    for stride in (1, 2):
        operator = convolution(rng.standard_normal((2, 3, 3, 3)), 5, 4, padding, stride)
        x = rng.standard_normal((operator.input_size, 3))
        y = rng.standard_normal((operator.output_size, 3))
        image, back = (
            apply_operator(operator, Ball.exact(x)),
            apply_adjoint(operator, Ball.exact(y)),
        )
        exact = np.asarray(jax.vmap(operator, 1, 1)(jnp.asarray(x)))
        assert (np.abs(image.mid - exact) <= image.rad + 1e-14).all() and image.rad.max() < 1e-13
        exact = np.asarray(jax.vmap(operator.adjoint, 1, 1)(jnp.asarray(y)))
        assert (np.abs(back.mid - exact) <= back.rad + 1e-14).all() and back.rad.max() < 1e-13
        # <K x, y> = <x, K^T y>.
        assert np.abs((image.mid * y).sum(0) - (back.mid * x).sum(0)).max() < 1e-12


# Programs of images take long to compile.
ATTACKED = ["dense", "tanh", pytest.param("images", marks=pytest.mark.slow)]


@pytest.mark.parametrize("name", ATTACKED)
def test_no_change_of_input_moves_the_last_state_further(name: str):
    network = NETWORKS[name]()
    certificate = certified(network)
    eye = LinearReadout(
        jnp.eye(network.readout.weight.shape[1]), jnp.zeros(network.readout.weight.shape[1])
    )
    bare = DeepNetwork(network.stages, eye)
    rng = np.random.default_rng(4)
    slope = jax.jit(jax.jacfwd(lambda u: run_network(bare, u)))
    for _ in range(5):
        J = np.asarray(slope(jnp.asarray(rng.standard_normal(network.input_size) * 2)))
        assert np.linalg.norm(J, 2) <= certificate.euclidean_gain * (1 + 1e-12)
        assert np.linalg.norm(J, np.inf) <= certificate.maximum_gain * (1 + 1e-12)


@pytest.mark.parametrize("name", ATTACKED)
def test_nais_no_attack_crosses_a_certified_radius(name: str):
    """Ten steps against the margin's gradient, on the edge of the ball and just inside."""
    network = NETWORKS[name]()
    certificate = certified(network)
    inputs = np.random.default_rng(5).standard_normal((20, network.input_size))

    def margin(u, c):
        y = run_network(network, u)
        return y[c] - jnp.max(jnp.where(jnp.arange(3) == c, -jnp.inf, y))

    push = jax.jit(jax.vmap(jax.value_and_grad(margin)))
    for norm in ("euclidean", "maximum"):
        found = certified_radii(certificate, inputs, norm)
        assert (found.classes == scores(network, inputs).argmax(1)).all()
        assert found.evidence.label == "verified" and (found.radii > 0).any()
        classes = jnp.asarray(found.classes)
        for factor in (0.999, 1.0):
            moved = jnp.asarray(inputs)
            for _ in range(10):
                g = np.asarray(push(moved, classes)[1])
                step = -np.sign(g)
                if norm == "euclidean":
                    step = -g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-300)
                moved = jnp.asarray(inputs + factor * found.radii[:, None] * step)
                assert (np.asarray(push(moved, classes)[0]) >= -1e-9).all()


def test_nais_radius_of_a_linear_network_is_exact_and_one_percent_more_flips():
    """One step of the identity: `y = W B u`, and the bound is the distance to the boundary."""
    block = residual(-0.5 * np.eye(2), np.eye(2), activation="identity")
    weight = jnp.array([[1.0, 2.0], [-1.0, 0.5]])
    network = DeepNetwork((Stage(block, 1),), LinearReadout(weight, jnp.zeros(2)))
    u = np.array([[0.3, 1.0]])
    gap = np.asarray(weight[0] - weight[1])
    for norm, dual, worst in (
        ("euclidean", 2, gap / np.linalg.norm(gap)),
        ("maximum", 1, np.sign(gap)),
    ):
        found = certified_radii(certified(network), u, norm)  # pyright: ignore
        assert found.radii[0] == pytest.approx((u @ gap)[0] / np.linalg.norm(gap, dual), rel=1e-9)
        inside = u - 0.999 * found.radii[0] * worst
        outside = u - 1.01 * found.radii[0] * worst
        assert scores(network, inside).argmax() == 0 and scores(network, outside).argmax() == 1


def test_radii_are_zero_where_the_class_is_not_certain():
    network = dense_network()
    tied = DeepNetwork(
        network.stages, LinearReadout(jnp.tile(network.readout.weight[:1], (3, 1)), jnp.zeros(3))
    )
    inputs = np.random.default_rng(6).standard_normal((5, 4))
    found = certified_radii(certified(tied), inputs, "euclidean")
    assert (found.radii == 0).all()
    empty = certified_radii(certified(network), np.zeros((0, 4)), "euclidean")
    assert empty.radii.shape == (0,)


def test_nais_pitfall_pooling_norms():
    """Means over 2 x 2: 1/2 in the 2-norm and 1 in the maximum norm; both enter the product."""
    rng = np.random.default_rng(7)
    block = residual(-0.5 * np.eye(16), rng.standard_normal((16, 3)))
    plain = DeepNetwork((Stage(block, 4),), readout(rng, 2, 16))
    pooled = DeepNetwork((Stage(block, 4, exit=MeanPool(1, 4, 4, 2)),), readout(rng, 2, 4))
    one, two = certified(plain), certified(pooled)
    assert two.euclidean_gain == pytest.approx(one.euclidean_gain / 2, rel=1e-12)
    assert two.maximum_gain == pytest.approx(one.maximum_gain, rel=1e-12)
    # 1 % below 1/2 would be beaten by a constant image.
    constant = np.asarray(MeanPool(1, 4, 4, 2)(jnp.ones(16)))
    assert np.linalg.norm(constant) / 4 > 0.495 * (1 + 1e-9)


def test_start_and_input_both_count():
    rng = np.random.default_rng(8)
    P = definite(rng, 4, 0.3, 0.9)
    block = residual(-P, rng.standard_normal((4, 4)))
    both = certified(DeepNetwork((Stage(block, 3, start=dense(np.eye(4))),), readout(rng, 2, 4)))
    held = certified(DeepNetwork((Stage(block, 3),), readout(rng, 2, 4)))
    assert both.euclidean_gain > held.euclidean_gain
    assert held.euclidean_gain == pytest.approx(block_gain(held.blocks[0], 3, "euclidean"))
    alone = residual(-P)
    started = certified(DeepNetwork((Stage(alone, 3, start=dense(np.eye(4))),), readout(rng, 2, 4)))
    assert started.euclidean_gain == pytest.approx(np.sqrt(0.9 / 0.3), rel=1e-6)


def test_networks_without_a_certificate_say_which_stage():
    rng = np.random.default_rng(9)
    good = residual(-0.5 * np.eye(4), rng.standard_normal((4, 4)))
    bad = residual(-3.0 * np.eye(4), rng.standard_normal((4, 4)))
    network = DeepNetwork((Stage(good, 2), Stage(bad, 2)), readout(rng, 2, 4))
    answer = certify_network(network)
    assert isinstance(answer, Unknown) and answer.reason.startswith("stage 1: ")
    with pytest.raises(InputProblem, match="certify_network"):
        certify(network)  # pyright: ignore[reportArgumentType]


def test_unusable_inputs_are_refused():
    certificate = certified(dense_network())
    for inputs in (
        np.full((2, 4), np.nan),
        np.full((2, 4), np.inf),
        np.zeros((2, 5)),
        np.zeros(4),
        np.zeros((2, 4), dtype=np.int64),
    ):
        with pytest.raises(InputProblem):
            certified_radii(certificate, inputs, "euclidean")
    with pytest.raises(InputProblem, match="norm"):
        certified_radii(certificate, np.zeros((1, 4)), "manhattan")  # pyright: ignore
    with pytest.raises(InputProblem):
        certified_radii(dense_network(), np.zeros((1, 4)), "euclidean")  # pyright: ignore
    nan = dense_network()
    nan = DeepNetwork(nan.stages, LinearReadout(nan.readout.weight * jnp.nan, nan.readout.bias))
    with pytest.raises(InputProblem, match="NaN"):
        certify_network(nan)
    assert isinstance(image_network().stages[2].block, UntiedBlock)


@pytest.mark.slow
def test_a_thousand_images_take_seconds():
    rng = np.random.default_rng(10)
    P = definite(rng, 128, 0.1, 0.95)
    block = residual(-P, rng.standard_normal((128, 784)) / 40, activation="relu")
    network = DeepNetwork((Stage(block, 30),), readout(rng, 10, 128))
    found = certified_radii(certified(network), rng.random((1000, 784)), "euclidean")
    assert (found.radii > 0).mean() > 0.99
