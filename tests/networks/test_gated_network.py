"""Gated networks: the formula, their limits, conventions that are easy to mistake, refusals."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from scipy.special import expit, ndtr

from limitset._result import InputProblem
from limitset.dynamics import ExponentialEuler, discretise, gated_jacobian, simulate
from limitset.networks import (
    ERF_PROBIT,
    NONLINEARITIES,
    GatedNetwork,
    GatedParameters,
    RateNetwork,
    gaussian_gru,
    gaussian_reset_before_gru,
    parameters_in_paper_signs,
    random_gated_network,
)

KEY = jax.random.key(5)
NONE = jnp.zeros(0)
EVERYTHING: dict[str, Any] = {
    "gain": 2.5,
    "update_gain": 3.0,
    "output_gain": 5.0,
    "state_bias": 0.2,
    "update_bias": -0.3,
    "output_bias": 0.4,
    "update_time": 0.7,
    "output_time": 2.0,
}


def network(size: int = 6, **given: Any) -> GatedNetwork:
    return random_gated_network(KEY, size, GatedParameters(**given))


def state(size: int = 6) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (3 * size,))


@jax.jit
def velocity(given: GatedNetwork, x: jax.Array) -> jax.Array:
    return given.velocity(0.0, x, NONE)


def parts(x: jax.Array) -> tuple[np.ndarray, ...]:
    h, z, r = np.split(np.asarray(x), 3)
    return h, z, r


def test_velocity_is_the_formula_unit_by_unit():
    size, rng = 4, np.random.default_rng(0)
    j_h, j_z, j_r = rng.normal(size=(3, size, size))
    i_h, i_z, i_r, h, z, r = rng.normal(size=(6, size))
    entering, u = rng.normal(size=(3 * size, 2)), rng.normal(size=2)
    given = GatedNetwork(
        jnp.asarray(j_h),
        jnp.asarray(j_z),
        jnp.asarray(j_r),
        GatedParameters(**EVERYTHING),
        state_input=jnp.asarray(i_h),
        update_input=jnp.asarray(i_z),
        output_input=jnp.asarray(i_r),
        input_weight=jnp.asarray(entering),
    )
    expected = np.zeros(3 * size)
    said = np.tanh(2.5 * h + 0.2)
    for i in range(size):
        heard = sum(j_h[i, j] * said[j] * expit(5.0 * r[j] + 0.4) for j in range(size))
        outside = [entering[k * size + i] @ u for k in range(3)]
        expected[i] = expit(3.0 * z[i] - 0.3) * (-h[i] + heard + i_h[i] + outside[0])
        expected[size + i] = (-z[i] + j_z[i] @ said + i_z[i] + outside[1]) / 0.7
        expected[2 * size + i] = (-r[i] + j_r[i] @ said + i_r[i] + outside[2]) / 2.0
    x = jnp.concatenate([jnp.asarray(v) for v in (h, z, r)])
    np.testing.assert_allclose(given.velocity(0.0, x, jnp.asarray(u)), expected, rtol=1e-13)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_slopes_and_curvatures_are_derivatives(name: str):
    own = GatedParameters(**EVERYTHING, nonlinearity=NONLINEARITIES[name])
    x = jnp.linspace(-8, 8, 101)
    for function, slope in (
        (own.phi, own.phi_slope),
        (own.phi_slope, own.phi_curvature),
        (own.update_gate, own.update_gate_slope),
        (own.output_gate, own.output_gate_slope),
    ):
        slopes, derivatives = jax.jit(
            lambda x, f=function, s=slope: (s(x), jax.vmap(jax.grad(f))(x))
        )(x)
        np.testing.assert_allclose(slopes, derivatives, rtol=1e-9, atol=1e-13)


def test_the_twin_is_the_normal_distribution():
    x = jnp.linspace(-3, 3, 7)
    expected = ndtr((2 * np.pi) ** 0.5 / 4 * np.asarray(x))
    np.testing.assert_allclose(ERF_PROBIT.gate(x), expected, rtol=1e-12)
    np.testing.assert_allclose(ERF_PROBIT.unit_slope(jnp.zeros(1)), 1.0)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_functions_keep_float32(name: str):
    pair, x = NONLINEARITIES[name], jnp.ones(2, jnp.float32)
    functions = (pair.unit, pair.unit_slope, pair.unit_curvature, pair.gate, pair.gate_slope)
    assert {jax.eval_shape(f, x).dtype for f in functions} == {jnp.dtype(jnp.float32)}


def test_saturated_slopes_keep_their_accuracy():
    own = GatedParameters(gain=1.0)
    np.testing.assert_allclose(own.phi_slope(jnp.array(50.0)), 4 * np.exp(-100.0), rtol=1e-12)


@pytest.mark.parametrize("bias", [-2.0, 0.0, 1.0])
def test_without_update_gain_the_gate_only_rescales_time(bias: float):
    slow, fast = network(update_bias=bias), network(open_update=True)
    own, full = (parts(velocity(n, state())) for n in (slow, fast))
    np.testing.assert_allclose(own[0], expit(bias) * full[0], rtol=1e-13)
    np.testing.assert_array_equal(own[1], full[1])


@pytest.mark.parametrize("bias", [-2.0, 0.0, 1.0])
def test_without_output_gain_the_gate_only_scales_the_weight(bias: float):
    given = network(output_bias=bias)
    scaled = GatedNetwork(
        expit(bias) * given.state_weight,
        given.update_weight,
        given.output_weight,
        GatedParameters(open_output=True),
    )
    own, other = (velocity(n, state()) for n in (given, scaled))
    np.testing.assert_allclose(own, other, rtol=1e-12)


def test_open_gates_give_the_rate_network():
    """In the variable `gain h`, with the gain moved into the matrix."""
    given = network(gain=1.7, open_update=True, open_output=True)
    rate = RateNetwork(1.7 * given.state_weight)
    h = state()[:6]
    own = velocity(given, state())[:6]
    np.testing.assert_allclose(1.7 * own, rate.velocity(0.0, 1.7 * h, NONE), rtol=1e-12)


def test_fast_gates_follow_at_once():
    """The gap to slaved gates falls with their time constant, in proportion."""
    gaps = []
    for time in (0.02, 0.01):
        own = network(**{**EVERYTHING, "update_time": time, "output_time": time})
        step = discretise(own, ExponentialEuler(2e-4))
        h, z, r = parts(simulate(step, state(), steps=10_000).final)
        said = own.parameters.phi(jnp.asarray(h))
        slaved = jnp.concatenate([own.update_weight @ said, own.output_weight @ said])
        gaps.append(float(jnp.abs(jnp.concatenate([z, r]) - slaved).max()))
    assert gaps[1] < 0.05 and gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)


def test_float32_networks_stay_float32():
    given = network(**EVERYTHING)
    weight = given.state_weight.astype(jnp.float32)
    single = GatedNetwork(weight, weight, weight, given.parameters)
    x = state().astype(jnp.float32)
    assert single.velocity(0.0, x, jnp.zeros(0, jnp.float32)).dtype == jnp.float32


def test_gains_may_be_traced_and_mapped():
    def speed(gain: jax.Array) -> jax.Array:
        return network(output_gain=gain).velocity(0.0, state(), NONE)

    gains = jnp.array([0.0, 2.0])
    many = jax.jit(jax.vmap(speed))(gains)
    for one, gain in zip(many, gains, strict=True):
        np.testing.assert_allclose(one, speed(gain), rtol=1e-12)


def test_gating_pitfall_01_gain_is_inside_the_unit():
    """The gain in the matrix instead multiplies `h` by it, and its variance by the square."""
    gain, x = 2.5, state()
    inside = network(**EVERYTHING)
    outside = GatedNetwork(
        gain * inside.state_weight,
        inside.update_weight,
        inside.output_weight,
        GatedParameters(**{**EVERYTHING, "gain": 1.0}),
    )
    scale = jnp.repeat(jnp.array([gain, 1.0, 1.0]), 6)
    own, other = velocity(inside, x), outside.velocity(0.0, scale * x, NONE)
    np.testing.assert_allclose(scale * own, other, rtol=1e-12)


def test_gating_pitfall_02_bias_signs():
    """A positive bias opens; the source's sign closes; in a GRU a large `z` keeps."""
    z = jnp.linspace(-2, 2, 5)
    assert (GatedParameters(update_bias=3.0).update_gate(z) > 0.9).all()
    paper = parameters_in_paper_signs(
        update_gain=1.5, update_bias=3.0, output_gain=0.5, output_bias=-2.0, state_bias=0.3
    )
    np.testing.assert_allclose(paper.update_gate(z), 1 / (1 + np.exp(-1.5 * z + 3.0)), rtol=1e-13)
    np.testing.assert_allclose(paper.output_gate(z), 1 / (1 + np.exp(-0.5 * z - 2.0)), rtol=1e-13)
    assert float(paper.state_bias) == 0.3
    x = jnp.ones(4)
    for make in (gaussian_gru, gaussian_reset_before_gru):
        moved = [
            jnp.abs(make(KEY, 4, gain=1.0, update_bias=b).advance(0, x, NONE) - x).max()
            for b in (-5.0, 5.0)
        ]
        assert moved[1] < 0.02 < 0.2 < moved[0]
    speeds = [network(update_bias=b).velocity(0.0, state(), NONE)[:6] for b in (-5.0, 5.0)]
    assert jnp.abs(speeds[0]).max() < 0.02 * jnp.abs(speeds[1]).max()


def test_gating_pitfall_03_output_gate_acts_before_the_matrix():
    """Closing the output gate of one unit silences it for all others, and not the others for it."""
    given = network(output_gain=1.0)
    closed = state().at[12].set(-800.0)
    h = closed[:6]
    said = (given.parameters.phi(h) * given.parameters.output_gate(closed[12:])).at[0].set(0)
    heard = velocity(given, closed)[:6] * 2 + h
    np.testing.assert_allclose(heard, given.state_weight @ said, rtol=1e-12)


def test_gating_pitfall_04_critical_gain_is_two():
    """Not 1: without bias the output gate is half open at rest."""
    for gain, stable in ((1.6, True), (2.4, False)):
        given = random_gated_network(KEY, 300, GatedParameters(gain=gain))
        top = np.linalg.eigvals(jax.jit(gated_jacobian)(given, jnp.zeros(900), NONE)).real.max()
        assert bool(top < 0) is stable
    opened = random_gated_network(KEY, 300, GatedParameters(gain=1.3, open_output=True))
    assert np.linalg.eigvals(gated_jacobian(opened, jnp.zeros(900), NONE)).real.max() > 0


@pytest.mark.parametrize("gain, update_bias, output_bias", [(1.8, 0.0, 0.0), (2.2, -1.0, 0.5)])
def test_gating_01_zero_state_spectrum(gain: float, update_bias: float, output_bias: float):
    """A disc with centre -a and radius a g s, and -1 / tau, for any gate gain."""
    size = 300
    own = GatedParameters(
        gain=gain,
        update_gain=20.0,
        output_gain=10.0,
        update_bias=update_bias,
        output_bias=output_bias,
        update_time=3.0,
        output_time=0.5,
    )
    given = random_gated_network(KEY, size, own)
    eigenvalues = np.linalg.eigvals(jax.jit(gated_jacobian)(given, jnp.zeros(3 * size), NONE))
    fixed = [np.abs(eigenvalues + 1 / tau) < 1e-9 for tau in (3.0, 0.5)]
    assert [f.sum() for f in fixed] == [size, size]
    speed, radius = expit(update_bias), expit(update_bias) * gain * expit(output_bias)
    reached = np.abs(eigenvalues[~(fixed[0] | fixed[1])] + speed).max()
    assert reached == pytest.approx(radius, rel=3 / size**0.5)


@pytest.mark.parametrize("gates", [(0.0, 0.0), (20.0, 5.0), (-3.0, 100.0)])
def test_small_weights_decay_whatever_the_gates(gates: tuple[float, float]):
    """If gain * rho(|J|) < 1, `max_i |h_i| / v_i` falls, with `v` the Perron vector of `|J|`."""
    weight = np.abs(np.asarray(network(8).state_weight))
    perron = np.ones(8)
    for _ in range(100):
        perron = weight @ perron / np.linalg.norm(weight @ perron)
    own = GatedParameters(
        gain=0.9 / float(np.linalg.norm(weight @ perron)),
        update_gain=gates[0],
        output_gain=gates[1],
        update_time=2.0,
    )
    step = discretise(random_gated_network(KEY, 8, own), ExponentialEuler(0.2))
    run = simulate(step, 3 * state(8), steps=3000).states[:, :8]
    size = jnp.abs(run / perron).max(1)
    assert (size[1:] <= size[:-1] * (1 + 1e-12)).all() and size[-1] < 1e-2 * size[0]


@pytest.fixture
def untyped():
    """Our own messages are under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


SQUARE = jnp.eye(2)
OWN = GatedParameters()
# Arguments of wrong types are the point below.
anything: Any = GatedParameters
any_network: Any = GatedNetwork
PROBLEMS: dict[str, tuple[Callable[[], Any], str]] = {
    "word": (lambda: anything(gain="high"), "str came"),
    "none": (lambda: anything(gain=None), "NoneType came"),
    "nan": (lambda: anything(gain=float("nan")), "gain is nan"),
    "infinite": (lambda: anything(output_bias=float("inf")), "output_bias is inf"),
    "many": (lambda: anything(gain=jnp.ones(3)), "gain has shape (3,)"),
    "still": (lambda: anything(update_time=0.0), "positive time constant"),
    "backward": (lambda: anything(output_time=-1.0), "positive time constant"),
    "open with gain": (lambda: anything(update_gain=1.0, open_update=True), "leave"),
    "open with bias": (lambda: anything(output_bias=1.0, open_output=True), "leave"),
    "open with time": (lambda: anything(output_time=2.0, open_output=True), "leave"),
    "switch": (lambda: anything(open_update=1), "open_update is 1"),
    "pair": (lambda: anything(nonlinearity="tanh"), "nonlinearity is a str"),
    "list": (lambda: any_network([[1.0]], SQUARE, SQUARE, OWN), "state_weight is a list"),
    "numbers": (lambda: any_network(SQUARE, SQUARE, SQUARE, {}), "parameters are a dict"),
    "empty": (lambda: any_network(jnp.zeros((0, 0)), SQUARE, SQUARE, OWN), "n >= 1"),
    "vector": (lambda: any_network(jnp.zeros(2), SQUARE, SQUARE, OWN), "(2, 2)"),
    "size": (lambda: any_network(SQUARE, jnp.eye(3), SQUARE, OWN), "update_weight has shape"),
    "whole": (lambda: any_network(jnp.eye(2, dtype=int), SQUARE, SQUARE, OWN), "dtype int64"),
    "mixed": (
        lambda: any_network(SQUARE, SQUARE.astype(jnp.float32), SQUARE, OWN),
        "update_weight is float32",
    ),
    "bad weight": (lambda: any_network(SQUARE * jnp.nan, SQUARE, SQUARE, OWN), "NaN or infinite"),
    "input": (
        lambda: any_network(SQUARE, SQUARE, SQUARE, OWN, state_input=jnp.zeros(3)),
        "state_input has shape (3,)",
    ),
    "input weight": (
        lambda: any_network(SQUARE, SQUARE, SQUARE, OWN, input_weight=jnp.zeros((2, 1))),
        "(6, 1)",
    ),
}


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("name", PROBLEMS)
def test_what_does_not_fit_is_refused_in_one_line(name: str):
    make, part = PROBLEMS[name]
    with pytest.raises(InputProblem) as caught:
        make()
    assert part in str(caught.value) and "\n" not in str(caught.value)
