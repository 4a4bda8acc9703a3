import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import GELU, IDENTITY, TANH
from limitset.replication import (
    ArrayTask,
    PlainNetwork,
    draw_plain,
    forward_plain,
    hidden_activations,
    layer_inputs,
    task_loss,
    train_plain,
)


def test_layers_hear_what_layers_say(getkey):
    network = draw_plain(getkey(), (4, 3, 2), (TANH, IDENTITY), jnp.float64)
    x = jax.random.normal(getkey(), (5, 4))
    first, second = layer_inputs(network, x)
    assert np.array_equal(first, x)
    assert np.allclose(second, jnp.tanh(x @ network.weights[0].T))
    assert np.allclose(forward_plain(network, x), second @ network.weights[1].T)


def test_weights_fill_their_range(getkey):
    network = draw_plain(getkey(), (40, 50), (IDENTITY,))
    bound = (6 / 90) ** 0.5
    assert network.weights[0].dtype == jnp.float32
    assert 0.97 * bound < float(jnp.abs(network.weights[0]).max()) <= bound


def test_hidden_layers_only():
    assert hidden_activations(3, GELU) == (GELU, GELU, IDENTITY)


def test_training_is_descent_with_momentum(getkey):
    x = jax.random.normal(getkey(), (4, 3))
    y = x[:, :1] + x[:, 1:2]
    task = ArrayTask(x, y, x, y, batch=4)
    start = draw_plain(getkey(), (3, 2, 1), (TANH, IDENTITY), jnp.float64)
    run = train_plain(start, task, rate=0.1, epochs=3, key=getkey())
    now, velocity = start, jax.tree.map(jnp.zeros_like, start)
    for _ in range(3):
        slope = jax.grad(lambda one: task_loss(forward_plain(one, x), y))(now)
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, slope)
        now = jax.tree.map(lambda w, v: w - 0.1 * v, now, velocity)
    for a, b in zip(run.network.weights, now.weights, strict=True):
        assert np.allclose(a, b, atol=1e-13)
    assert run.score.shape == (3,) and float(run.task_loss[-1]) < float(run.task_loss[0])


def test_what_does_not_fit_is_refused(getkey):
    with pytest.raises(InputProblem, match="1 weights came with 2 activations"):
        PlainNetwork((jnp.eye(2),), (TANH, TANH))
    with pytest.raises(InputProblem, match="weights have shapes"):
        PlainNetwork((jnp.ones((3, 2)), jnp.ones((2, 2))), (TANH, TANH))
    task = ArrayTask(np.eye(2), np.arange(2), np.eye(2), np.arange(2), batch=1)
    network = draw_plain(getkey(), (2, 2), (IDENTITY,))
    with pytest.raises(InputProblem, match="rate is 0.0"):
        train_plain(network, task, rate=0.0, epochs=1, key=getkey())
    with pytest.raises(InputProblem, match="epochs is 0"):
        train_plain(network, task, epochs=0, key=getkey())
