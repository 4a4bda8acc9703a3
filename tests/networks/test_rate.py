"""Rate networks against their formulas, and what they refuse."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import ACTIVATIONS, Form, LinearReadout, RateNetwork, random_rate_network

W = np.array([[0.3, -1.2, 0.0], [0.7, 0.1, -0.4], [0.0, 2.0, -0.5]])
B = np.array([[1.0, 0.0], [-0.5, 0.25], [0.0, 2.0]])
BIAS = np.array([0.1, -0.2, 0.3])
X, U = np.array([0.4, -1.1, 2.0]), np.array([0.6, -0.9])
ZERO_U = jnp.zeros(0)


@pytest.fixture
def untyped():
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def network(**changes: object) -> RateNetwork:
    given = {"weight": jnp.asarray(W), "input_weight": jnp.asarray(B), "bias": jnp.asarray(BIAS)}
    return RateNetwork(**{**given, "leak": 0.7, "time_constant": 2.5, **changes})


def velocity(net: RateNetwork) -> np.ndarray:
    u = jnp.asarray(U)[: net.input_size]
    return np.asarray(net.velocity(0.0, jnp.asarray(X), u))


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputProblem) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_hopfield_form(name: str):
    phi = np.asarray(ACTIVATIONS[name](jnp.asarray(X)))
    expected = (-0.7 * X + W @ phi + B @ U + BIAS) / 2.5
    np.testing.assert_allclose(velocity(network(activation=name)), expected, atol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_firing_rate_form(name: str):
    drive = np.asarray(ACTIVATIONS[name](jnp.asarray(W @ X + B @ U + BIAS)))
    expected = (-0.7 * X + drive) / 2.5
    net = network(activation=name, form="firing_rate")
    np.testing.assert_allclose(velocity(net), expected, atol=1e-15)


def test_forms_are_conjugate():
    """`y = W x + b` carries the firing-rate form to the Hopfield form, if leak and drive agree."""
    firing = RateNetwork(jnp.asarray(W), bias=jnp.asarray(BIAS), form=Form.FIRING_RATE)
    hopfield = RateNetwork(jnp.asarray(W), bias=jnp.asarray(BIAS))
    x = jnp.asarray(X)
    carried = jnp.asarray(W) @ firing.velocity(0.0, x, ZERO_U)
    there = hopfield.velocity(0.0, jnp.asarray(W) @ x + jnp.asarray(BIAS), ZERO_U)
    np.testing.assert_allclose(carried, there, atol=1e-14)


def test_linear_network_has_its_matrix_as_jacobian():
    for form in Form:
        net = network(activation="identity", form=form)
        jacobian = jax.jacobian(net.velocity, 1)(0.0, jnp.asarray(X), jnp.asarray(U))
        np.testing.assert_allclose(jacobian, (W - 0.7 * np.eye(3)) / 2.5, atol=1e-15)


def test_velocity_does_not_depend_on_time():
    net = network()
    first, later = (net.velocity(t, jnp.asarray(X), jnp.asarray(U)) for t in (0.0, 9.0))
    assert np.array_equal(first, later)


def test_defaults():
    net = RateNetwork(jnp.asarray(W))
    assert (net.state_size, net.input_size) == (3, 0)
    assert net.form is Form.HOPFIELD and net.activation.name == "tanh"
    expected = -X + W @ np.tanh(X)
    np.testing.assert_allclose(net.velocity(0.0, jnp.asarray(X), ZERO_U), expected, atol=1e-15)


@pytest.mark.parametrize(
    "change",
    [
        {"weight": jnp.asarray(W.T)},
        {"input_weight": -jnp.asarray(B)},
        {"bias": jnp.zeros(3)},
        {"activation": "sigmoid"},
        {"form": "firing_rate"},
        {"leak": 0.0},
        {"time_constant": 1.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_argument_matters(change: dict):
    assert not np.allclose(velocity(network(**change)), velocity(network()))


def test_weights_are_leaves_and_the_rest_is_static():
    net = network()
    assert len(jax.tree.leaves(net)) == 5
    doubled = jax.tree.map(lambda leaf: 2 * leaf, net)
    assert np.array_equal(doubled.weight, 2 * W) and doubled.activation is net.activation
    compiled = eqx.filter_jit(lambda n, x, u: n.velocity(0.0, x, u))
    np.testing.assert_allclose(
        compiled(net, jnp.asarray(X), jnp.asarray(U)), velocity(net), atol=1e-15
    )


def test_constants_may_be_traced():
    """A training loop may learn leaks and time constants."""

    def first(leak: jax.Array, time_constant: jax.Array) -> jax.Array:
        net = network(leak=leak, time_constant=time_constant)
        return net.velocity(0.0, jnp.asarray(X), jnp.asarray(U))[0]

    slope = jax.jit(jax.grad(first))(jnp.array(0.7), jnp.array(2.5))
    assert float(slope) == pytest.approx(-X[0] / 2.5, rel=1e-14)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_precision_is_the_weights(dtype: jnp.dtype):
    net = RateNetwork(jnp.asarray(W, dtype), leak=0.7)
    assert {leaf.dtype for leaf in jax.tree.leaves(net)} == {jnp.dtype(dtype)}
    assert net.velocity(0.0, jnp.asarray(X, dtype), jnp.zeros(0, dtype)).dtype == dtype


# --- Random networks ----------------------------------------------------------------------------


def test_random_network_has_the_stated_law(getkey: Callable[[], jax.Array]):
    n, m, gain = 400, 300, 1.7
    net = random_rate_network(getkey(), n, m, gain=gain)
    for entries, variance in ((net.weight, gain**2 / n), (net.input_weight, 1 / m)):
        z = np.asarray(entries).ravel() / variance**0.5
        # Mean and variance of `z` are normal to good approximation: five standard deviations.
        assert abs(z.mean()) < 5 / z.size**0.5
        assert abs(z.var() - 1) < 5 * (2 / z.size) ** 0.5
    assert not net.bias.any()


def test_random_network_repeats_with_its_key():
    one, same, other = (random_rate_network(jax.random.key(k), 4, 2) for k in (0, 0, 1))
    assert np.array_equal(one.weight, same.weight)
    assert not np.array_equal(one.weight, other.weight)
    # Weights and input weights are drawn independently.
    square = random_rate_network(jax.random.key(0), 4, 4)
    assert not np.allclose(square.weight * 2, square.input_weight * 2)


def test_random_network_passes_its_options_on():
    net = random_rate_network(
        jax.random.key(0), 4, 0, gain=0.0, activation="relu", form="firing_rate"
    )
    assert not net.weight.any() and net.input_size == 0
    assert net.activation.name == "relu" and net.form is Form.FIRING_RATE


# --- Refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 2), (0, 0), (2, 3, 3)])
def test_weight_must_be_square(untyped: None, shape: tuple[int, ...]):
    message = refusal(lambda: RateNetwork(jnp.zeros(shape)))
    assert str(shape) in message and "(n, n)" in message


@pytest.mark.parametrize(
    "change",
    [{"bias": jnp.zeros(2)}, {"input_weight": jnp.zeros((2, 3))}],
    ids=lambda c: next(iter(c)),
)
def test_parts_must_fit(untyped: None, change: dict):
    message = refusal(lambda: network(**change))
    assert "3 units" in message and "(3,)" in message and "(3, m)" in message


def test_unknown_form(untyped: None):
    message = refusal(lambda: network(form="elman"))
    assert "'elman'" in message and "'hopfield' or 'firing_rate'" in message


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"leak": -0.1}, "leak is -0.1"),
        ({"leak": float("nan")}, "leak is nan"),
        ({"leak": float("inf")}, "leak is inf"),
        ({"time_constant": 0.0}, "time_constant is 0.0"),
        ({"time_constant": -1.0}, "time_constant is -1.0"),
        ({"time_constant": float("nan")}, "time_constant is nan"),
    ],
)
def test_constants_are_tested(change: dict, part: str):
    message = refusal(lambda: network(**change))
    assert part in message and "leak >= 0" in message and "time_constant > 0" in message


@pytest.mark.parametrize("sizes", [(0, 1), (-1, 0), (3, -1)])
def test_random_network_needs_units(sizes: tuple[int, int]):
    message = refusal(lambda: random_rate_network(jax.random.key(0), *sizes))
    assert f"{sizes[0]} and {sizes[1]}" in message and "n >= 1" in message


# --- Readout ------------------------------------------------------------------------------------


def test_readout_is_affine():
    readout = LinearReadout(jnp.asarray(B.T), jnp.array([1.0, -1.0]))
    np.testing.assert_allclose(readout(jnp.asarray(X)), B.T @ X + [1.0, -1.0], atol=1e-15)


@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((3,), (3,))])
def test_readout_parts_must_fit(untyped: None, shapes: tuple):
    message = refusal(lambda: LinearReadout(jnp.zeros(shapes[0]), jnp.zeros(shapes[1])))
    assert str(shapes[0]) in message and "(outputs, n)" in message
