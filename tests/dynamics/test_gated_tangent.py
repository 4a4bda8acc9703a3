"""The structured Jacobian of gated networks, and the exponential step that steep gates need."""

from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import (
    BackwardEuler,
    Cayley,
    ExplicitEuler,
    ExponentialEuler,
    GatedNetworkMap,
    discretise,
    gated_jacobian,
    linearise,
    simulate,
    tangent,
)
from limitset.networks import (
    ERF_PROBIT,
    GatedNetwork,
    GatedParameters,
    random_gated_network,
)

SIZE = 7
U = jnp.array([0.4, -1.1])
CLOSED = {
    "gain": 2.5,
    "update_gain": 3.0,
    "output_gain": 5.0,
    "state_bias": 0.2,
    "update_bias": -0.3,
    "output_bias": 0.4,
    "update_time": 0.7,
    "output_time": 2.0,
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "closed": CLOSED,
    "twin": {**CLOSED, "nonlinearity": ERF_PROBIT},
    "plain": {},
    "open update": {"gain": 2.0, "output_gain": 4.0, "output_time": 0.5, "open_update": True},
    "open output": {"gain": 2.0, "update_gain": 4.0, "update_bias": 1.0, "open_output": True},
    "both open": {"gain": 1.5, "state_bias": -0.5, "open_update": True, "open_output": True},
}


def network(**given: Any) -> GatedNetwork:
    """With constant inputs to all three variables, and with time-dependent ones."""
    keys = jax.random.split(jax.random.key(3), 5)
    plain = random_gated_network(keys[0], SIZE, GatedParameters(**given))
    h, z, r = (jax.random.normal(key, (SIZE,)) for key in keys[1:4])
    entering = jax.random.normal(keys[4], (3 * SIZE, 2))
    weights = (plain.state_weight, plain.update_weight, plain.output_weight)
    return GatedNetwork(
        *weights,
        plain.parameters,
        state_input=h,
        update_input=z,
        output_input=r,
        input_weight=entering,
    )


def state() -> jax.Array:
    return jax.random.normal(jax.random.key(1), (3 * SIZE,))


@jax.jit
def at_rest(given: GatedNetwork, x: jax.Array) -> GatedNetwork:
    """The network with constant inputs that make `x` a fixed point."""
    own = given.parameters
    h, z, r = jnp.split(x, 3)
    said = own.phi(h)
    return GatedNetwork(
        given.state_weight,
        given.update_weight,
        given.output_weight,
        own,
        state_input=h - given.state_weight @ (said * own.output_gate(r)),
        update_input=z - given.update_weight @ said,
        output_input=r - given.output_weight @ said,
    )


@pytest.mark.parametrize("name", PARAMETERS)
def test_gating_12_jacobian_equals_autodiff(name: str):
    vectors = np.random.default_rng(2).normal(size=(3 * SIZE, 4))

    @jax.jit
    def compare(given: GatedNetwork, x: jax.Array) -> tuple[jax.Array, ...]:
        expected = jax.jacfwd(lambda y: given.velocity(0.0, y, U))(x)
        value, push = linearise(given, 0.0, x, U)
        dense = gated_jacobian(given, x, U)
        return expected, dense, push(jnp.asarray(vectors)), given.velocity(0.0, x, U), value

    expected, dense, pushed, velocity, value = compare(network(**PARAMETERS[name]), state())
    tolerance = 1e-12 * float(np.abs(expected).max())
    np.testing.assert_allclose(dense, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(pushed, np.asarray(dense) @ vectors, rtol=0, atol=tolerance)
    np.testing.assert_allclose(value, velocity, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", ["closed", "open update", "open output"])
def test_tangents_of_the_exponential_step(name: str):
    @jax.jit
    def compare(step: GatedNetworkMap, x: jax.Array) -> tuple[jax.Array, ...]:
        value, push = linearise(step, 0, x, U)
        expected = jax.jacfwd(lambda y: step.advance(0, y, U))(x)
        return expected, push(jnp.eye(3 * SIZE)), step.advance(0, x, U), value

    step = discretise(network(**PARAMETERS[name]), ExponentialEuler(0.3))
    expected, pushed, following, value = compare(step, state())
    np.testing.assert_allclose(value, following, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(pushed, expected, rtol=0, atol=1e-12)


def test_update_gates_decouple_at_a_fixed_point():
    """Where `h = R`, exactly n eigenvalues are -1 / update_time; elsewhere they are not."""
    given = at_rest(network(**CLOSED), state())
    np.testing.assert_allclose(given.velocity(0.0, state(), jnp.zeros(0)), 0, atol=1e-13)
    for x, expected in ((state(), SIZE), (state() + 0.5, 0)):
        eigenvalues = np.linalg.eigvals(jax.jit(gated_jacobian)(given, x, jnp.zeros(0)))
        # Clusters of eigenvalues are known to the root of the precision only.
        assert (np.abs(eigenvalues + 1 / 0.7) < 1e-7).sum() == expected


def test_saturated_units_give_finite_tangents():
    given = network(**{**CLOSED, "update_gain": 1e3, "output_gain": 1e3})
    both = jax.jit(lambda x: tangent(given, 0.0, x, U, jnp.eye(3 * SIZE)))
    for x in (1e3 * state(), 1e200 * state(), jnp.zeros(3 * SIZE)):
        value, pushed = both(x)
        assert np.isfinite(value).all() and np.isfinite(pushed).all()


def final(step: float, scheme: Any, given: GatedNetwork) -> jax.Array:
    run = discretise(given, scheme(step))
    return simulate(run, state(), jnp.broadcast_to(U, (round(2 / step), 2))).final


@pytest.mark.parametrize("scheme", [ExponentialEuler, ExplicitEuler])
def test_steps_converge_with_order_one(scheme: Any):
    given = network(**CLOSED)
    truth = final(1 / 4096, ExponentialEuler, given) * 2 - final(1 / 2048, ExponentialEuler, given)
    gaps = [float(jnp.abs(final(step, scheme, given) - truth).max()) for step in (1 / 64, 1 / 128)]
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1) and gaps[1] < 0.02


def test_without_couplings_the_exponential_step_is_exact():
    """The gate of every unit is then at rest, and every variable decays on its own."""
    zero = jnp.zeros((SIZE, SIZE))
    target = jax.random.normal(jax.random.key(4), (SIZE,))
    gates = jnp.linspace(-2, 2, SIZE)
    own = GatedParameters(update_gain=3.0, output_time=0.3)
    given = GatedNetwork(zero, zero, zero, own, state_input=target, update_input=gates)
    start = jnp.concatenate([jnp.ones(SIZE), gates, jnp.ones(SIZE)])
    reached = simulate(discretise(given, ExponentialEuler(0.5)), start, steps=4).final
    speed = own.update_gate(gates)
    expected = [
        target + jnp.exp(-2 * speed) * (1 - target),
        gates,
        jnp.exp(-2 / 0.3) * jnp.ones(SIZE),
    ]
    np.testing.assert_allclose(reached, jnp.concatenate(expected), rtol=1e-12)


def test_steep_and_fast_gates_stay_bounded_at_a_large_step():
    """Explicit Euler diverges where a gate is faster than half the step."""
    given = network(gain=3.0, update_gain=1e3, output_gain=1e3, update_time=0.01, output_time=0.01)
    inputs = jnp.zeros((500, 2))
    kept, lost = (
        simulate(discretise(given, scheme(0.1)), state(), inputs).states
        for scheme in (ExponentialEuler, ExplicitEuler)
    )
    weights = (given.state_weight, given.update_weight, given.output_weight)
    constant = (given.state_input, given.update_input, given.output_input)
    bound = jnp.concatenate(
        [jnp.abs(w).sum(1) + jnp.abs(c) for w, c in zip(weights, constant, strict=True)]
    )
    assert (jnp.abs(kept) <= jnp.maximum(bound, jnp.abs(state())) * (1 + 1e-12)).all()
    assert not (jnp.abs(lost) < 1e6).all()


def test_the_map_keeps_the_dtype_of_the_weights():
    given = network(**CLOSED)
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), given)
    step = discretise(single, ExponentialEuler(0.1))
    assert isinstance(step, GatedNetworkMap)
    x = step.advance(0, state().astype(jnp.float32), U.astype(jnp.float32))
    assert x.dtype == step.update_keep.dtype == jnp.float32
    double = discretise(given, ExponentialEuler(0.1)).advance(0, state(), U)
    np.testing.assert_allclose(x, double, rtol=1e-4, atol=1e-5)


def test_backward_euler_solves_its_equation():
    given = network(**CLOSED)
    step = discretise(given, BackwardEuler(0.1))
    x = jax.jit(lambda y: step.advance(0, y, U))(state())
    np.testing.assert_allclose(x, state() + 0.1 * given.velocity(0.0, x, U), atol=1e-10)


def test_other_schemes_are_refused():
    with pytest.raises(InputProblem, match="Cayley does not apply to GatedNetwork"):
        discretise(network(), Cayley(0.1))


def test_a_map_with_constants_that_do_not_fit_is_refused():
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(InputProblem, match="update_keep is float32"):
            GatedNetworkMap(
                network(), jnp.array(0.1), jnp.float32(0.5), jnp.array(0.5), ExponentialEuler(0.1)
            )
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
