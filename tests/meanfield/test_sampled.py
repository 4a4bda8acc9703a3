"""Sampled correlations and exponents: against exact theory, and against networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import Evidence
from limitset.meanfield import (
    DynamicVerdict,
    Factorised,
    Fourier,
    Sampled,
    maximal_exponent,
    solve_correlations,
)
from limitset.networks import GatedParameters

# Each compiles much.
pytestmark = pytest.mark.slow

MOVING = GatedParameters(update_gain=5.0, output_gain=10.0)
LAGS = jnp.array([0.0, 1.0, 2.0, 4.0, 8.0, 16.0])


def few(**settings: int | float) -> Sampled:
    numbers = {"paths": 32, "replicas": 4, "duration": 60.0, "step": 0.25, "iterations": 16}
    return Sampled(jax.random.key(0), **(numbers | settings))  # pyright: ignore


def test_a_constant_update_gate_has_the_exact_solution():
    parameters = GatedParameters(output_gain=10.0)
    exact = solve_correlations(parameters, method=Fourier()).at(LAGS[:4])
    found = solve_correlations(parameters, method=few()).at(LAGS[:4])
    assert found.evidence is Evidence.SAMPLED
    assert (found.state_error > 0).all()
    assert (jnp.abs(found.state - exact.state) < 5 * found.state_error + 0.003).all()
    assert abs(float(found.kurtosis) - 3) < 0.3


def test_quiet_networks_are_quiet():
    found = maximal_exponent(GatedParameters(gain=1.0, update_gain=5.0), method=few())
    assert found.verdict is DynamicVerdict.CONVERGED
    assert float(found.correlations.state[0]) == 0.0
    assert abs(float(found.value) - 0.5 * (0.5 - 1)) < 1e-6


def test_the_same_key_gives_the_same_numbers():
    found = [solve_correlations(MOVING, method=few()) for _ in range(2)]
    assert (found[0].state == found[1].state).all()


def test_changes_between_iterations_are_no_solution():
    hasty = solve_correlations(
        GatedParameters(gain=5.0, update_gain=5.0),
        method=few(paths=4, iterations=2, averaged=2, tolerance=1e-6),
    )
    assert hasty.verdict is not DynamicVerdict.CONVERGED


def simulated(parameters: GatedParameters, size: int, seed: int) -> np.ndarray:
    """Correlations of `h` at `LAGS`, and `<r^2>`, in one network, by an exponential step."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((3 * size, size)) / np.sqrt(size)
    h, z, r = 0.5 * rng.standard_normal((3, size))
    g, update, output = (
        float(v) for v in (parameters.gain, parameters.update_gain, parameters.output_gain)
    )
    step, kept, gates = 0.1, [], []
    leak = np.exp(-step)
    for n in range(2200):
        out = np.tanh(g * h)
        drives = weights[size:] @ out
        arriving = weights[:size] @ (out / (1 + np.exp(-output * r)))
        keep = np.exp(-step / (1 + np.exp(-update * z)))
        h = keep * h + (1 - keep) * arriving
        z = leak * z + (1 - leak) * drives[:size]
        r = leak * r + (1 - leak) * drives[size:]
        if n >= 700:
            kept.append(h)
            gates.append(np.mean(r**2))
    paths = np.array(kept)
    shifts = [round(float(lag) / step) for lag in LAGS]
    found = [np.mean(paths[s:] * paths[: len(paths) - s]) for s in shifts]
    return np.array([*found, np.mean(gates)])


def test_gating_10_and_11_correlations_of_networks():
    """Sampling agrees with networks of 1,000 units, and the factorised closure does not."""
    found = solve_correlations(MOVING, method=Sampled(jax.random.key(1), step=0.1)).at(LAGS)
    assert found.verdict is DynamicVerdict.CONVERGED
    runs = np.array([simulated(MOVING, 1000, seed) for seed in range(4)])
    mean, error = runs.mean(0), runs.std(0, ddof=1) / 2
    theory = np.append(found.state, found.gate[0])
    noise = np.hypot(np.append(found.state_error, found.gate_error[0]), error)
    assert (np.abs(theory - mean) < 3 * noise).all()
    assert float(found.kurtosis) > 3 + 2 * float(found.kurtosis_error)
    approximate = solve_correlations(MOVING, method=Factorised()).at(LAGS)
    assert mean[5] > 10 * float(approximate.state[5])


def test_gating_19_sampled_exponents():
    """Within 10% of the exact one, and of 0.166 and 0.205, from networks of 2,000 and 1,000."""
    for numbers, expected in (
        ((3.0, 0.0, 10.0, 1.0), 0.18227),
        ((3.0, 5.0, 10.0, 1.0), 0.166),
        ((3.0, 20.0, 20.0, 2.0), 0.205),
    ):
        gain, update, output, time = numbers
        found = maximal_exponent(
            GatedParameters(
                gain=gain,
                update_gain=update,
                output_gain=output,
                update_time=time,
                output_time=time,
            ),
            method=Sampled(jax.random.key(2)),
        )
        assert found.verdict is DynamicVerdict.CONVERGED
        assert abs(float(found.value) / expected - 1) < 0.1, (numbers, float(found.value))
