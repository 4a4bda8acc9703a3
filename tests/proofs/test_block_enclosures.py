"""Blocks of deep networks are maps: what is proved and measured of maps applies to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.analysis import find_equilibria, lyapunov_spectrum
from limitset.dynamics import simulate
from limitset.networks import (
    AbstractBlock,
    Convolution,
    DenseOperator,
    EquilibriumBlock,
    GradientBlock,
    NegativeGram,
    Padding,
    ResidualBlock,
    dense_matrix,
)
from limitset.proofs import Ball, MapFixedPoint, Stability, enclose, jacobian, prove_map_fixed_point

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def blocks() -> dict[str, AbstractBlock]:
    """One without input of each kind, images of 3 x 4 among them."""
    rng = np.random.default_rng(0)

    def convolution(padding: str) -> Convolution:
        taps = jnp.asarray(rng.standard_normal((2, 2, 3, 3)) * 0.2)
        return Convolution(taps, 3, 4, Padding(padding))

    one, bias = jnp.array(1.0), jnp.asarray(rng.standard_normal(2))
    gram = NegativeGram(convolution("zero"), jnp.array(0.5), jnp.array(0.2))
    eye = DenseOperator(-0.5 * jnp.eye(3))
    return {
        # Not leaky ReLU: such a block settles where its argument is 0, at the kink.
        "dense": ResidualBlock(eye, None, jnp.ones(3) * 0.3, one, "tanh"),
        "zero": ResidualBlock(gram, None, bias, one, "tanh"),
        "edge": GradientBlock(convolution("edge"), None, bias, jnp.array(0.3), one * 0.5, "relu"),
        "reflect": EquilibriumBlock(convolution("reflect"), None, bias, one * 0.5, "tanh"),
        "circular": EquilibriumBlock(convolution("circular"), None, bias, one * 0.5, "relu"),
    }


@pytest.mark.parametrize("name", blocks())
def test_blocks_and_their_jacobians_are_enclosed(name: str):
    block = blocks()[name]
    rng = np.random.default_rng(1)
    mid = rng.standard_normal(block.state_size)

    def step(x):
        return block.advance(0, x, jnp.zeros(0))

    wide = Ball(mid, np.full(mid.shape, 0.1))
    image = enclose(step)(wide)
    # The enclosure is of real arithmetic, XLA's results err by a few roundoffs.
    room = image.rad + 1e-13
    for _ in range(20):
        x = mid + rng.uniform(-0.1, 0.1, mid.shape)
        assert (np.abs(np.asarray(step(jnp.asarray(x))) - image.mid) <= room).all()
    point = Ball.exact(mid)
    slope = enclose(jacobian(step))(point)
    exact = np.asarray(jax.jacfwd(step)(jnp.asarray(mid)))
    assert (np.abs(exact - slope.mid) <= slope.rad + 1e-13).all() and slope.rad.max() < 1e-12


@pytest.mark.parametrize("name", blocks())
def test_fixed_points_of_blocks_are_found_and_proved(name: str):
    """`simulate` settles, Newton's method agrees, and a proof stands around both."""
    block = blocks()[name]
    settled = simulate(block, jnp.zeros(block.state_size), steps=300).final

    def displacement(x, a):
        return block.advance(0, x, jnp.zeros(0)) - a * x

    (found,) = find_equilibria(displacement, 1.0, block.state_size, starts=1)
    assert np.abs(found - np.asarray(settled)).max() < 1e-6
    answer = prove_map_fixed_point(block, found)
    assert isinstance(answer, MapFixedPoint), answer
    assert answer.stability is Stability.STABLE and answer.basin_radius > 0
    assert (np.abs(found - answer.center) <= answer.radius + 1e-9).all()


def test_a_converged_tanh_block_has_the_exponents_of_its_limit():
    """At the limit the slopes are 1, and the Jacobian is `I + A`."""
    block = blocks()["zero"]
    assert isinstance(block, ResidualBlock)
    found = lyapunov_spectrum(block, jnp.zeros(block.state_size), steps=400, count=3)
    A = np.asarray(dense_matrix(block.state_operator))
    expected = np.log(np.sort(np.abs(np.linalg.eigvalsh(np.eye(len(A)) + A))))[::-1]
    assert np.allclose(found.exponents, expected[:3], atol=2e-3)
