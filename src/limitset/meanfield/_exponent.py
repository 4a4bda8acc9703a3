"""The largest Lyapunov exponent of an infinitely large network, from how two replicas part."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from limitset._result import Evidence, InputProblem
from limitset.meanfield._correlation import (
    AbstractCorrelationMethod,
    Correlations,
    DynamicVerdict,
    solve_correlations,
)
from limitset.meanfield._dynamic_input import require_dynamic
from limitset.meanfield._fourier import Fourier
from limitset.meanfield._ring import Ring
from limitset.meanfield._sampled import Sampled, solve_with_paths
from limitset.meanfield._sampled_exponent import sampled_growth
from limitset.meanfield._two_point import pair_average
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]
Lags = Float[Array, " lags"]

_ROUNDS = 8
_POWERS = 20
_NEWTON_STEPS = 25
_TOLERANCE = 1e-9
_HALVINGS = 80
# Of sampled exponents, between the two halves of the sweeps that count.
_DRIFT = 1e-3


class MaximalExponent(eqx.Module):
    """The largest Lyapunov exponent, per unit time; a statement about n -> infinity.

    - `value`; `standard_error`, zero where nothing was sampled.
    - `residual`: of the eigenvalue problem. `has_converged`: whether it was solved, its eigenvector
      is that of the largest eigenvalue, and the correlations are a solution.
    - `correlations`: of the state that it belongs to.
    """

    value: Scalar
    standard_error: Scalar
    residual: Scalar
    has_converged: Bool[Array, ""]
    correlations: Correlations

    @property
    def evidence(self) -> Evidence:
        """`float64`, or `sampled`."""
        return self.correlations.evidence

    @property
    def verdict(self) -> DynamicVerdict:
        """How the solvers ended; not for use under `jax.jit` and `jax.vmap`."""
        if self.correlations.verdict is not DynamicVerdict.CONVERGED:
            return self.correlations.verdict
        return (
            DynamicVerdict.CONVERGED
            if bool(self.has_converged)
            else DynamicVerdict.ITERATIONS_EXHAUSTED
        )


class TwoReplicas(eqx.Module):
    """The equation for differences `e^(lambda (t + t')) psi(t - t')` between two replicas.

        psi_h = a^2 / ((a + lambda)^2 + w^2) [C_sr C_phi' psi_h + C_phi C_sr' psi_r]
        psi_r = [C_phi' psi_h] / ((1 + output_time lambda)^2 + (output_time w)^2)

    with `C_phi' = <phi'(h) phi'(h')>` and likewise `C_sr'`. The right side is a map of `psi_h`
    whose largest eigenvalue falls as `lambda` grows, and the exponent is where it is 1.
    """

    ring: Ring
    rate: Scalar
    output_time: Scalar
    direct: Lags
    through_gate: Lags
    slopes: Lags

    def __call__(self, growth: Scalar, state: Lags) -> Lags:
        """The right side for `psi_h`."""
        w = self.ring.frequencies
        delay = (1 + self.output_time * growth) ** 2 + (self.output_time * w) ** 2
        gate = self.ring.filtered(self.slopes * state, 1 / delay)
        gain = self.rate**2 / ((self.rate + growth) ** 2 + w**2)
        return self.ring.filtered(self.direct * state + self.through_gate * gate, gain)


def two_replicas(parameters: GatedParameters, found: Correlations) -> TwoReplicas:
    """The equation around a stationary state with a constant update gate."""
    unit = pair_average(parameters.phi, parameters.phi_slope, found.state[0])
    slopes = unit.derivative(found.state)
    if parameters.open_output:
        factor, gate_slopes = jnp.ones_like(slopes), jnp.zeros_like(slopes)
    else:
        gate = pair_average(parameters.output_gate, parameters.output_gate_slope, found.gate[0])
        factor, gate_slopes = gate(found.gate), gate.derivative(found.gate)
    return TwoReplicas(
        ring=Ring(2 * found.times[-1], found.times.shape[0]),
        rate=parameters.update_gate(jnp.zeros(())),
        output_time=parameters.output_time,
        direct=factor * slopes,
        through_gate=found.output * gate_slopes,
        slopes=slopes,
    )


def maximal_exponent(
    parameters: GatedParameters,
    *,
    method: AbstractCorrelationMethod,
    input_variance: float | Scalar = 0.0,
) -> MaximalExponent:
    """The largest Lyapunov exponent of the attractor that `solve_correlations` finds.

    A random tangent vector knows nothing of the path, so that differences of two replicas have
    Gaussian inputs too. With a constant update gate their covariance obeys a linear equation with
    correlations known; otherwise it is sampled. At a state that stands still the exponent is the
    right end of its spectrum.

    **Arguments:** as in `solve_correlations`; `method` is `Fourier()` or `Sampled(key)`.

    **Returns:** a `MaximalExponent`; look at its `verdict`.

    **Raises:** `InputProblem` as `solve_correlations` does, and for other methods.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> vanilla = GatedParameters(gain=2.0, open_update=True, open_output=True)
    >>> round(float(maximal_exponent(vanilla, method=Fourier()).value), 5)
    0.11246

    **Reference:** arXiv 2007.14823; without gates, Sompolinsky, Crisanti and Sommers, Phys. Rev.
    Lett. 61 (1988) 259.
    """
    if isinstance(method, Fourier):
        found = solve_correlations(parameters, method=method, input_variance=input_variance)
        return _deterministic(parameters, found)
    if isinstance(method, Sampled):
        return _sampled(method, parameters, input_variance)
    raise InputProblem(
        f"method is a {type(method).__name__}; exponents need Fourier() or Sampled(key)"
    )


@eqx.filter_jit
def _deterministic(parameters: GatedParameters, found: Correlations) -> MaximalExponent:
    equation = two_replicas(parameters, found)
    moving, residual, solved = _moving(equation, found.state)
    still = frozen_exponent(parameters, equation)
    return MaximalExponent(
        value=jnp.where(found.is_frozen, still, moving),
        standard_error=jnp.zeros(()),
        residual=jnp.where(found.is_frozen, 0.0, residual),
        has_converged=found.has_converged & found.is_attracting & (found.is_frozen | solved),
        correlations=found,
    )


def _sampled(
    method: Sampled, parameters: GatedParameters, input_variance: float | Scalar
) -> MaximalExponent:
    require_dynamic(parameters, input_variance)
    inputs = jnp.asarray(input_variance, jnp.float64)
    found, replicas = solve_with_paths(method, parameters, inputs)
    growth = sampled_growth(method, parameters, found, replicas)
    # At h = z = r = 0 the update gate is constant.
    quiet = found.state[0] <= 0
    still = frozen_exponent(parameters, two_replicas(parameters, found))
    settled = growth.residual <= jnp.maximum(2 * growth.standard_error, _DRIFT)
    return MaximalExponent(
        value=jnp.where(quiet, still, growth.value),
        standard_error=jnp.where(quiet, 0.0, growth.standard_error),
        residual=jnp.where(quiet, 0.0, growth.residual),
        has_converged=found.has_converged & (quiet | (settled & jnp.isfinite(growth.value))),
        correlations=found,
    )


def frozen_exponent(parameters: GatedParameters, equation: TwoReplicas) -> Scalar:
    """The exponent at a state that stands still, where the equation is one for numbers.

    The slowest of the gates' own relaxations, and of the root of `direct / (1 + l / a)^2 +
    through_gate slopes / ((1 + l / a) (1 + output_time l))^2 = 1`, whose left side falls.
    """
    rate, delay = equation.rate, equation.output_time
    direct, indirect = equation.direct[0], equation.through_gate[0] * equation.slopes[0]
    ends = [-1 / parameters.update_time] if not parameters.open_update else []
    ends += [-1 / delay] if not parameters.open_output else []
    # 0 times infinity must not arise at the lower end, nor must it be left out.
    low = -rate if parameters.open_output else jnp.maximum(-rate, -1 / delay)
    high = rate * jnp.sqrt(direct + indirect) + rate

    def halve(_: int, ends: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        middle = (ends[0] + ends[1]) / 2
        own = (1 + middle / rate) ** 2
        above = direct * (1 + delay * middle) ** 2 + indirect > own * (1 + delay * middle) ** 2
        return jnp.where(above, middle, ends[0]), jnp.where(above, ends[1], middle)

    root = jax.lax.fori_loop(0, _HALVINGS, halve, (low, high))[0]
    return jnp.max(jnp.stack([root, *ends]))


def _moving(equation: TwoReplicas, state: Lags) -> tuple[Scalar, Scalar, Array]:
    """Exponent, residual, and whether it is the largest one, for a state that moves.

    The eigenvector of the largest eigenvalue has no sign changes. Power iterations with steps of
    Newton's method in between come close to it, Newton's method for vector and exponent ends it.
    """
    height = state - jnp.min(state)
    shape = (height / jnp.maximum(height[0], 1e-300)) ** 1.5

    def approach(_: int, pair: tuple[Scalar, Lags]) -> tuple[Scalar, Lags]:
        growth, vector = pair
        vector = jax.lax.fori_loop(0, _POWERS, lambda _, v: _unit(equation(growth, v)), vector)

        def quotient(g: Scalar) -> Scalar:
            return vector @ equation(g, vector) / (vector @ vector)

        value, slope = jax.value_and_grad(quotient)(growth)
        return jnp.maximum(growth - (value - 1) / slope, 0.0), vector

    start = (jnp.zeros(()), _unit(shape + 1e-6))
    growth, vector = jax.lax.fori_loop(0, _ROUNDS, approach, start)
    growth, vector, residual = _polish(equation, growth, vector)
    positive = jnp.min(vector) > -1e-6 * jnp.max(vector)
    return growth, residual, (residual <= _TOLERANCE) & positive


def _polish(equation: TwoReplicas, growth: Scalar, vector: Lags) -> tuple[Scalar, Lags, Scalar]:
    """Newton's method for `M(lambda) psi = psi` with `psi(0) = 1`."""
    count = vector.shape[0]

    def proceeds(state: tuple[Scalar, Lags, Scalar, Array]) -> Array:
        return (state[3] < _NEWTON_STEPS) & ~(state[2] <= _TOLERANCE)

    def step(state: tuple[Scalar, Lags, Scalar, Array]) -> tuple[Scalar, Lags, Scalar, Array]:
        growth, vector, _, steps = state
        columns = jax.vmap(lambda v: equation(growth, v))(jnp.eye(count)).T
        tilt = jax.jvp(lambda g: equation(g, vector), (growth,), (jnp.ones(()),))[1]
        # psi(0) stays 1, so that its place among the unknowns is free for the exponent.
        matrix = (columns - jnp.eye(count)).at[:, 0].set(tilt)
        change = jnp.linalg.solve(matrix, vector - equation(growth, vector))
        growth = growth + change[0]
        vector = vector + change.at[0].set(0.0)
        error = jnp.max(jnp.abs(equation(growth, vector) - vector))
        return growth, vector, error / jnp.max(jnp.abs(vector)), steps + 1

    begin = (growth, vector / vector[0], jnp.array(jnp.inf), jnp.array(0))
    growth, vector, residual, _ = jax.lax.while_loop(proceeds, step, begin)
    return growth, vector, residual


def _unit(vector: Lags) -> Lags:
    return vector / jnp.max(jnp.abs(vector))
