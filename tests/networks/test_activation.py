"""What activations promise to theorems: slopes, derivatives, bounds on their values."""

import dataclasses

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitset._result import InputProblem
from limitset.networks import ACTIVATIONS, GELU, SILU, SOFTPLUS, TANH, Activation, find_activation

BOUNDED_SLOPES = [a for a in ACTIVATIONS.values() if a.slope_interval is not None]
WITH_DERIVATIVES = [a for a in ACTIVATIONS.values() if a.derivatives]

# No grid point is 0: ReLU has no derivative there, and needs none.
GRID = np.arange(-30.003, 30.003, 0.006) + 0.001


def name_of(activation: Activation) -> str:
    return activation.name


@pytest.mark.parametrize("activation", BOUNDED_SLOPES, ids=name_of)
def test_slopes_stay_in_the_interval(activation: Activation):
    """And come close to both ends: the interval is the smallest one."""
    assert activation.slope_interval is not None
    low, high = activation.slope_interval
    slopes = np.asarray(jax.vmap(jax.grad(activation.function))(jnp.asarray(GRID)))
    assert low <= slopes.min() <= low + 1e-9
    assert high - 1e-5 <= slopes.max() <= high


@pytest.mark.parametrize("activation", BOUNDED_SLOPES, ids=name_of)
def test_incremental_slopes_stay_in_the_interval(activation: Activation):
    points = st.floats(-1e3, 1e3)

    @given(points, points)
    def check(a: float, b: float):
        assert activation.slope_interval is not None
        low, high = activation.slope_interval
        values = np.asarray(activation(jnp.array([a, b])))
        product = (values[0] - values[1]) * (a - b)
        # Two values, each rounded to a few units in the last place.
        slack = 1e-15 * (1 + np.abs(values).max()) * abs(a - b)
        assert low * (a - b) ** 2 - slack <= product <= high * (a - b) ** 2 + slack

    check()


@pytest.mark.parametrize("activation", WITH_DERIVATIVES, ids=name_of)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_are_those_of_the_function(activation: Activation, order: int):
    x = jnp.asarray(GRID[::10])
    automatic = activation.function
    for _ in range(order):
        automatic = jax.grad(automatic)
    ours = activation.derivatives[order - 1](x)
    assert ours.dtype == x.dtype and ours.shape == x.shape
    np.testing.assert_allclose(ours, jax.vmap(automatic)(x), rtol=0, atol=1e-13)


def test_activations_with_a_slope_interval_have_three_derivatives():
    assert [a.name for a in BOUNDED_SLOPES] == [a.name for a in WITH_DERIVATIVES]
    assert {len(a.derivatives) for a in WITH_DERIVATIVES} == {3}


def exact_derivatives(x: float) -> list[float]:
    """The first three derivatives of tanh at `x`, in 300-bit balls."""
    with flint.ctx.workprec(300):
        t = flint.arb(x).tanh()
        first = 1 / flint.arb(x).cosh() ** 2
        return [float(d) for d in (first, -2 * t * first, first * (6 * t * t - 2))]


@pytest.mark.parametrize("x", [0.0, 1e-8, 0.5, -2.0, 8.0, -19.0, 40.0, 300.0])
def test_derivatives_of_tanh_keep_relative_accuracy_in_saturation(x: float):
    """Where `1 - tanh(x)^2` is 0 in float64, the derivative is not."""
    for ours, exact in zip(TANH.derivatives, exact_derivatives(x), strict=True):
        assert float(ours(jnp.array(x))) == pytest.approx(exact, rel=1e-13, abs=0)


@pytest.mark.parametrize("activation", WITH_DERIVATIVES, ids=name_of)
def test_nothing_is_nan_far_out(activation: Activation):
    x = jnp.array([-1e308, -1e10, -800.0, 800.0, 1e10, 1e308])
    for function in (activation.function, *activation.derivatives):
        assert bool(jnp.isfinite(function(x)).all())


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=name_of)
def test_values_stay_below_the_supremum(activation: Activation):
    values = np.abs(np.asarray(activation(jnp.asarray(GRID))))
    assert values.max() <= activation.supremum
    if np.isfinite(activation.supremum):
        assert values.max() >= activation.supremum * (1 - 1e-9)
    else:
        assert float(activation(jnp.array(1e6))) >= 1e6


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=name_of)
def test_value_at_zero(activation: Activation):
    value = float(activation(jnp.array(0.0)))
    assert abs(value) <= activation.at_zero <= abs(value) + 1e-15


def test_softplus_at_zero_is_rounded_up():
    """A bound must not lie below log 2, not even by half a unit in the last place."""
    with flint.ctx.workprec(200):
        assert flint.arb(SOFTPLUS.at_zero) > flint.arb.const_log2()


@pytest.mark.parametrize("activation", [SILU, GELU], ids=name_of)
def test_no_bound_is_claimed_where_none_is_proved(activation: Activation):
    assert activation.slope_interval is None
    assert activation.derivatives == ()
    slopes = jax.vmap(jax.grad(activation.function))(jnp.asarray(GRID))
    assert float(slopes.min()) < -0.09 and float(slopes.max()) > 1.09


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=name_of)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_precision_is_kept(activation: Activation, dtype: jnp.dtype):
    x = jnp.linspace(-2, 2, 6, dtype=dtype).reshape(2, 3)
    for function in (activation, *activation.derivatives):
        assert function(x).dtype == dtype and function(x).shape == (2, 3)


def test_registry_and_lookup_agree():
    assert list(ACTIVATIONS) == [a.name for a in ACTIVATIONS.values()]
    for name, activation in ACTIVATIONS.items():
        assert find_activation(name) is activation
        assert find_activation(activation) is activation


def test_activations_are_hashable_and_fixed():
    """They are static fields of networks: part of what a compiled function is compiled for."""
    assert len(set(ACTIVATIONS.values())) == len(ACTIVATIONS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(TANH, "name", "other")  # noqa: B010


def test_own_activation():
    own = Activation("sine", jnp.sin, (-1.0, 1.0), supremum=1.0)
    assert find_activation(own) is own
    assert float(own(jnp.array(0.5))) == float(jnp.sin(0.5))


def test_unknown_activation_lists_the_names():
    with pytest.raises(InputProblem) as caught:
        find_activation("Tanh")
    message = str(caught.value)
    assert "'Tanh'" in message and "\n" not in message
    assert all(name in message for name in ACTIVATIONS)


@pytest.mark.parametrize("interval", [(1.0, 0.0), (0.0, np.nan), (np.nan, 1.0), (0.0, np.inf)])
def test_intervals_that_nothing_fulfils_are_refused(interval: tuple[float, float]):
    """A reversed one counted as the constant slope 1, and proved what is false."""
    with pytest.raises(InputProblem, match="finite with lo <= hi"):
        Activation("mine", jnp.tanh, interval)


@pytest.mark.parametrize(
    ("at_zero", "supremum"), [(-0.9, 1.9), (np.nan, 1.0), (0.5, 0.4), (0.0, np.nan)]
)
def test_bounds_of_values_that_bound_nothing_are_refused(at_zero: float, supremum: float):
    with pytest.raises(InputProblem, match="0 <= at_zero <= supremum"):
        Activation("mine", jnp.tanh, (0.0, 1.0), (), supremum, at_zero)
