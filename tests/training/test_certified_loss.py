"""Distances to other classes against closed forms, and the loss against its limit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import (
    DeepNetwork,
    DenseOperator,
    GradientBlock,
    LinearReadout,
    Stage,
)
from limitset.training import certified_loss, class_distances

NORMS = ["euclidean", "maximum"]


def linear(weight: np.ndarray, bias: np.ndarray) -> DeepNetwork:
    """A network that is its readout: the block's step is 0."""
    size = weight.shape[1]
    one = DenseOperator(jnp.eye(size))
    block = GradientBlock(one, None, jnp.zeros(size), jnp.array(0.0), jnp.array(0.0), "relu")
    readout = LinearReadout(jnp.asarray(weight), jnp.asarray(bias))
    return DeepNetwork((Stage(block, 1, start=one),), readout)


@pytest.mark.parametrize("norm", NORMS)
def test_distances_of_a_linear_network_are_exact(norm: str):
    """To the plane between two classes: the margin over the dual norm of the difference."""
    rng = np.random.default_rng(0)
    weight, bias, inputs = rng.normal(size=(4, 6)), rng.normal(size=4), rng.normal(size=(9, 6))
    labels = rng.integers(0, 4, 9)
    network = linear(weight, bias)
    found = class_distances(network, jnp.asarray(inputs), jnp.asarray(labels), norm=norm)
    for u, y, distances in zip(inputs, labels, np.asarray(found), strict=True):
        for j in range(4):
            if j == y:
                assert distances[j] == np.inf
                continue
            w = weight[y] - weight[j]
            dual = np.linalg.norm(w) if norm == "euclidean" else np.abs(w).sum()
            expected = (w @ u + bias[y] - bias[j]) / dual
            assert np.isclose(distances[j], expected, rtol=1e-12)
            # A step of that length onto the plane makes the scores equal, one 1 % off does not.
            towards = w / np.linalg.norm(w) if norm == "euclidean" else np.sign(w)
            scores = weight @ (u - distances[j] * towards) + bias
            assert np.isclose(scores[y], scores[j], atol=1e-10)
            off = weight @ (u - 1.01 * distances[j] * towards) + bias
            assert abs(off[y] - off[j]) > 1e-6


def test_the_gain_divides_the_distances():
    network = linear(np.eye(2), np.zeros(2))
    u, y = jnp.array([[3.0, 1.0]]), jnp.array([0])
    one, two = (class_distances(network, u, y, gain=gain)[0, 1] for gain in (1.0, 2.0))
    assert one == 2 * two


def test_slopes_are_numbers_even_where_rows_agree():
    def loss(weight: jax.Array, norm: str) -> jax.Array:
        network = linear(np.eye(2), np.zeros(2))
        network = DeepNetwork(network.stages, LinearReadout(weight, jnp.zeros(3)))
        distances = class_distances(network, jnp.ones((2, 2)), jnp.array([0, 2]), norm=norm)
        return certified_loss(distances, offset=0.5, temperature=0.1)

    for dtype in (jnp.float32, jnp.float64):
        for norm in NORMS:
            slope = jax.grad(loss)(jnp.ones((3, 2), dtype), norm)
            assert jnp.isfinite(slope).all()


def test_the_loss_is_the_smooth_hinge_of_the_nearest_class():
    """Between the hinge and `T log k` above it, for k classes; equal to it for T -> 0."""
    rng = np.random.default_rng(1)
    distances = rng.normal(0.5, 1.0, (50, 5))
    distances[np.arange(50), rng.integers(0, 5, 50)] = np.inf
    hinge = np.maximum(0, 0.7 - distances.min(1)).mean()
    for temperature in (1.0, 0.1, 1e-4):
        found = certified_loss(jnp.asarray(distances), offset=0.7, temperature=temperature)
        assert hinge <= found <= hinge + temperature * np.log(5)


def test_the_loss_falls_with_every_distance_that_is_short():
    distances = jnp.array([[jnp.inf, 0.2, 5.0]])
    slope = jax.grad(lambda d: certified_loss(d, offset=1.0, temperature=0.1))(distances)
    assert slope[0, 1] < -0.9
    assert -1e-3 < slope[0, 2] <= 0
    assert slope[0, 0] == 0


@pytest.mark.parametrize(
    "wrong",
    [{"offset": -1.0}, {"offset": np.nan}, {"temperature": 0.0}, {"temperature": np.inf}],
)
def test_refuses_offsets_and_temperatures_that_are_none(wrong: dict):
    with pytest.raises(InputProblem, match="offset"):
        certified_loss(jnp.ones((1, 2)), **({"offset": 0.0, "temperature": 1.0} | wrong))


@pytest.mark.parametrize("wrong", [{"norm": "l3"}, {"gain": 0.0}, {"gain": np.nan}])
def test_refuses_norms_and_gains_that_are_none(wrong: dict):
    network = linear(np.eye(2), np.zeros(2))
    with pytest.raises(InputProblem, match="gain"):
        class_distances(network, jnp.ones((1, 2)), jnp.array([0]), **wrong)
