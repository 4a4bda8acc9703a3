"""Correlations after a start and under inputs that change: against stationary theory."""

import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem
from limitset.meanfield import DynamicVerdict, Fourier, solve_correlations, solve_two_time
from limitset.networks import GatedParameters

GATED = GatedParameters(output_gain=10.0)


@pytest.mark.slow
def test_late_times_are_stationary_and_steps_of_second_order():
    exact = solve_correlations(GATED, method=Fourier()).at(jnp.array([0.0, 4.0])).state
    errors = []
    for step in (0.4, 0.2):
        found = solve_two_time(GATED, duration=36.0, step=step, initial_variance=0.2)
        assert found.verdict is DynamicVerdict.CONVERGED
        late = jnp.array([found.state[-1, -1], found.state[-1, -1 - round(4 / step)]])
        errors.append(np.abs(late - exact).max())
    assert errors[0] < 1e-3 and errors[1] < 0.35 * errors[0]


def test_a_quiet_network_forgets_its_start():
    """Without feedback `<h h'> = exp(-(t + t')) <h(0)^2>`, exactly."""
    silent = GatedParameters(gain=1e-6, open_update=True, open_output=True)
    found = solve_two_time(silent, duration=3.0, step=0.25, initial_variance=2.0)
    t = found.times
    assert np.allclose(found.state, 2 * jnp.exp(-(t[:, None] + t)), rtol=0, atol=1e-9)


def test_an_input_that_is_a_straight_line_is_exact():
    """`h = t - 1 + exp(-t)` times a normal number, for the input `t` times that number."""
    silent = GatedParameters(gain=1e-6, open_update=True, open_output=True)
    t = 0.5 * jnp.arange(9)
    found = solve_two_time(
        silent, duration=4.0, step=0.5, initial_variance=0.0, input_covariance=jnp.outer(t, t)
    )
    h = t - 1 + jnp.exp(-t)
    assert np.allclose(found.state, jnp.outer(h, h), rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_frozen_input_that_is_switched_on_ends_chaos():
    """Its variance is 0 until time 20, and 1 afterwards: correlations become constant."""
    vanilla = GatedParameters(gain=1.5, open_update=True, open_output=True)
    times = 0.25 * jnp.arange(161)
    size = jnp.where(times > 20, 1.0, 0.0)
    found = solve_two_time(
        vanilla, duration=40.0, step=0.25, input_covariance=jnp.outer(size, size)
    )
    stationary = solve_correlations(vanilla, method=Fourier(), input_variance=1.0)
    assert abs(float(found.variance[-1] - stationary.state[0])) < 1e-3
    assert float(found.variance[80] - found.state[80, 60]) > 0.05
    assert abs(float(found.variance[-1] - found.state[-1, -21])) < 1e-3


def test_steps_that_are_too_long_are_no_solution():
    found = solve_two_time(
        GatedParameters(gain=8.0, open_update=True, open_output=True), duration=15.0, step=3.0
    )
    assert found.verdict is DynamicVerdict.STEP_TOO_LONG


def test_unusable_input():
    with pytest.raises(InputProblem, match="update_gain"):
        solve_two_time(GatedParameters(update_gain=1.0), duration=1.0, step=0.1)
    with pytest.raises(InputProblem, match=r"\(11, 11\)"):
        solve_two_time(GATED, duration=1.0, step=0.1, input_covariance=jnp.zeros((3, 3)))
    with pytest.raises(InputProblem, match="step"):
        solve_two_time(GATED, duration=1.0, step=float("nan"))
    with pytest.raises(InputProblem, match="initial_variance"):
        solve_two_time(GATED, duration=1.0, step=0.1, initial_variance=-1.0)
    with pytest.raises(InputProblem, match="at most"):
        solve_two_time(GATED, duration=1e4, step=0.1)
