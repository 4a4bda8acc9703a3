"""Tangents of flows and maps of every kind against autodiff."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset._types import Input, State, Time
from limitset.dynamics import (
    AbstractFlow,
    AbstractMap,
    BackwardEuler,
    ExplicitEuler,
    ExponentialEuler,
    SemiImplicit,
    discretise,
    linearise,
    tangent,
)
from limitset.networks import (
    Assembly,
    Elman,
    GatedParameters,
    RateNetwork,
    gaussian_gru,
    gaussian_lstm,
    gaussian_reset_before_gru,
    random_elman,
    random_gated_network,
    random_rate_network,
)

KEY = jax.random.key(8)
U = jnp.array([0.4, -1.1])
SIZE = 6


class Swing(AbstractFlow):
    """A flow of the user's own, which depends on time."""

    @property
    def state_size(self) -> int:
        return 2

    @property
    def input_size(self) -> int:
        return 2

    def velocity(self, t: Time, x: State, u: Input) -> State:
        return jnp.array([x[1] * t, -jnp.sin(x[0]) + u[0] * x[1]])


class Louder(Elman):
    """Runs something else than the class that it derives from."""

    def advance(self, n: int | jax.Array, x: State, u: Input) -> State:
        return 3 * Elman.advance(self, n, x, u)


class Quiet(RateNetwork):
    """Runs something else than the class that it derives from."""

    def respond(self, x: State, entering: State) -> State:
        return 0.1 * RateNetwork.respond(self, x, entering)


def assembly() -> Assembly:
    modules = tuple(random_rate_network(k, 3, 2) for k in jax.random.split(KEY))
    skew = jnp.zeros((6, 6)).at[:3, 3:].set(1.0).at[3:, :3].set(-1.0)
    return Assembly(modules, skew)


def quiet() -> Quiet:
    return Quiet(jnp.ones((3, 3)), jnp.ones((3, 2)))  # pyright: ignore[reportCallIssue]


def louder() -> Louder:
    plain = random_elman(KEY, SIZE, 2)
    return Louder(plain.weight_ih, plain.weight_hh, plain.bias_ih, plain.bias_hh)


GRU_GAINS = {"gain": 2.0, "update_gain": 3.0, "reset_gain": 4.0, "bias": 0.5, "reset_bias": 0.2}
SYSTEMS: dict[str, Callable[[], AbstractFlow | AbstractMap]] = {
    "hopfield": lambda: random_rate_network(KEY, SIZE, 2),
    "firing rate": lambda: RateNetwork(
        jax.random.normal(KEY, (SIZE, SIZE)),
        jnp.ones((SIZE, 2)),
        form="firing_rate",
        activation="softplus",
        leak=0.5,
        time_constant=3.0,
    ),
    "elman": lambda: random_elman(KEY, SIZE, 2),
    "relu": lambda: random_elman(KEY, SIZE, 2, "relu"),
    "gru": lambda: gaussian_gru(KEY, SIZE, **GRU_GAINS, input_size=2),
    "reset before": lambda: gaussian_reset_before_gru(KEY, SIZE, **GRU_GAINS, input_size=2),
    "lstm": lambda: gaussian_lstm(
        KEY,
        SIZE,
        cell_gain=2.0,
        input_gain=1.0,
        forget_gain=3.0,
        output_gain=2.0,
        forget_bias=1.0,
        input_size=2,
    ),
    "gated": lambda: random_gated_network(
        KEY, SIZE, GatedParameters(update_gain=3.0, output_gain=5.0), input_size=2
    ),
    "explicit Euler": lambda: discretise(random_rate_network(KEY, SIZE, 2), ExplicitEuler(0.1)),
    "step of firing rate": lambda: discretise(
        RateNetwork(jnp.eye(SIZE), jnp.ones((SIZE, 2)), form="firing_rate"), ExponentialEuler(0.3)
    ),
    "Euler of gated": lambda: discretise(
        random_gated_network(KEY, SIZE, GatedParameters(output_gain=5.0), input_size=2),
        ExplicitEuler(0.1),
    ),
    "semi-implicit": lambda: discretise(assembly(), SemiImplicit(0.1)),
    "backward Euler": lambda: discretise(random_rate_network(KEY, 3, 2), BackwardEuler(0.1)),
    "one's own": Swing,
    "Euler of one's own": lambda: discretise(Swing(), ExplicitEuler(0.1)),
    "altered": louder,
    "step of altered": lambda: discretise(quiet(), ExponentialEuler(0.3)),
}


def at(system: AbstractFlow | AbstractMap, t: float | int, x: State) -> State:
    if isinstance(system, AbstractFlow):
        return system.velocity(t, x, U)
    return system.advance(int(t), x, U)


@pytest.mark.parametrize("name", SYSTEMS)
def test_value_and_pushforward_equal_autodiff(name: str):
    system = SYSTEMS[name]()
    t = 3.0 if isinstance(system, AbstractFlow) else 3
    x, *vectors = np.random.default_rng(1).normal(size=(4, system.state_size))

    @jax.jit
    def compare(y: jax.Array, v: jax.Array) -> tuple[jax.Array, ...]:
        value, pushed = tangent(system, t, y, U, v)
        return value, pushed, at(system, t, y), jax.jacfwd(lambda z: at(system, t, z))(y) @ v

    value, pushed, expected, columns = compare(jnp.asarray(x), jnp.asarray(vectors).T)
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(pushed, columns, rtol=0, atol=1e-12 * np.abs(columns).max())


def test_one_linearisation_pushes_many_matrices():
    system = SYSTEMS["gru"]()
    x = jnp.ones(SIZE)
    identity = np.eye(SIZE)

    @jax.jit
    def push_twice(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        _, push = linearise(system, 0, x, U)
        return push(jnp.asarray(identity[:, :2])), push(jnp.asarray(identity))

    left, whole = push_twice(x)
    np.testing.assert_allclose(left, whole[:, :2], rtol=1e-14)


@pytest.mark.parametrize("name", ["gated", "gru", "lstm", "reset before", "hopfield", "elman"])
def test_float32_stays_float32(name: str):
    system = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), SYSTEMS[name]())
    x = jnp.ones(system.state_size, jnp.float32)
    short = jnp.asarray([0.4, -1.1], jnp.float32)
    value, pushed = jax.eval_shape(lambda y: tangent(system, 0, y, short, y[:, None]), x)
    assert value.dtype == pushed.dtype == jnp.float32


def test_a_scan_of_tangents_has_a_gradient():
    """By the weights, through the pushforward: what flossing gradients needs."""
    own = GatedParameters(output_gain=2.0)

    def growth(gain: jax.Array) -> jax.Array:
        scaled = random_gated_network(
            KEY, 4, GatedParameters(gain=gain, output_gain=own.output_gain)
        )
        step = discretise(scaled, ExponentialEuler(0.1))

        def body(carry: tuple[State, jax.Array], _: None):
            return tangent(step, 0, carry[0], jnp.zeros(0), carry[1]), None

        start = (jnp.linspace(-1, 1, 12), jnp.ones((12, 1)))
        return jnp.log(jnp.linalg.norm(jax.lax.scan(body, start, None, length=20)[0][1]))

    both = jax.jit(jax.value_and_grad(growth))
    value, slope = both(jnp.array(2.0))
    difference = (both(jnp.array(2.0 + 1e-5))[0] - both(jnp.array(2.0 - 1e-5))[0]) / 2e-5
    assert jnp.isfinite(value) and float(slope) == pytest.approx(float(difference), rel=1e-5)


@pytest.mark.parametrize(
    "call, part",
    [
        (lambda: linearise(3, 0.0, jnp.zeros(2), jnp.zeros(0)), "a int came"),  # pyright: ignore[reportArgumentType]
        (lambda: linearise(Swing(), 0.0, jnp.zeros(3), jnp.zeros(2)), "(3,)"),
        (lambda: linearise(Swing(), 0.0, jnp.zeros(2), jnp.zeros(0)), "(0,)"),
        (lambda: tangent(Swing(), 0.0, jnp.zeros(2), U, jnp.zeros((3, 1))), "(2, k)"),
        (lambda: tangent(Swing(), 0.0, jnp.zeros(2), U, jnp.zeros(2)), "(2, k)"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(call: Callable[[], object], part: str):
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(InputProblem) as caught:
            call()
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert part in str(caught.value) and "\n" not in str(caught.value)
