"""Whole spectra of a rate network by other packages; each is optional."""

from collections.abc import Callable

import numpy as np


def make(
    name: str, weight: np.ndarray, x: np.ndarray, step: float, steps: int
) -> Callable[[], object]:
    """What computes all exponents of `dx/dt = -x + W tanh x`, compiled already where possible."""
    return {"lyapax": _lyapax, "pynamicalsys": _pynamicalsys, "jitcode": _jitcode}[name](
        weight, x, step, steps
    )


def _lyapax(weight: np.ndarray, x: np.ndarray, step: float, steps: int) -> Callable[[], object]:
    import jax.numpy as jnp
    import lyapax

    matrix = jnp.asarray(weight)
    problem = lyapax.ode_problem(lambda y: -y + matrix @ jnp.tanh(y), jnp.asarray(x), step)

    def run() -> object:
        found = lyapax.lyapunov_spectrum(problem, n_steps=steps, renorm_every=5)
        return np.asarray(found.exponents)

    return run


def _pynamicalsys(
    weight: np.ndarray, x: np.ndarray, step: float, steps: int
) -> Callable[[], object]:
    from numba import njit
    from pynamicalsys import ContinuousDynamicalSystem

    size = len(x)

    @njit
    def velocity(time: float, y: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        return -y + weight @ np.tanh(y)

    @njit
    def jacobian(time: float, y: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        return -np.eye(size) + weight * (1 - np.tanh(y) ** 2)

    system = ContinuousDynamicalSystem(
        equations_of_motion=velocity, jacobian=jacobian, system_dimension=size,
        number_of_parameters=1, parameters=[0.0],
    )  # fmt: skip
    system.integrator("rk4", time_step=step)
    return lambda: system.lyapunov(x, steps * step)


def _jitcode(weight: np.ndarray, x: np.ndarray, step: float, steps: int) -> Callable[[], object]:
    import symengine
    from jitcode import jitcode_lyap, y

    size = len(x)
    said = [symengine.tanh(y(j)) for j in range(size)]
    flow = [-y(i) + sum(weight[i, j] * said[j] for j in range(size)) for i in range(size)]
    system = jitcode_lyap(flow, n_lyap=size, simplify=False)
    system.set_integrator("dopri5")

    def run() -> object:
        system.set_initial_value(x, 0.0)
        times = np.arange(1, steps // 5 + 1) * 5 * step
        return np.array([system.integrate(time)[1] for time in times]).mean(0)

    return run
