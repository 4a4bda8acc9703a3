"""Stationary correlations of an infinitely large gated network, by one of several methods."""

import enum
from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from limitset._result import Evidence, InputProblem
from limitset.meanfield._dynamic_input import require_dynamic
from limitset.meanfield._ring import at_lags, frozen, gap, roughness
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]
Lags = Float[Array, " lags"]

# A correlation that still moves by more than this over the last eighth of its lags sees the other
# side of the ring.
_LARGEST_GAP = 1e-3
# Variances are then right to 1e-5 and exponents to 1e-3, as measured up to gains of 50.
_LARGEST_ROUGHNESS = 3e-4


class DynamicVerdict(enum.Enum):
    """How a solver ended: only the first value is a solution."""

    CONVERGED = "converged"
    ITERATIONS_EXHAUSTED = "iterations exhausted"
    RING_TOO_SHORT = "ring too short"
    LAGS_TOO_COARSE = "lags too coarse"
    STEP_TOO_LONG = "step too long"


class Correlations(eqx.Module):
    """Stationary correlations at lags 0 to half of a ring; statements about n -> infinity.

    - `times`: the lags. `state`: `C_h = <h(t) h(t + lag)>`; `output`: `C_phi`, of `phi(h)`;
      `gate`: `C_r`, of the gate's variable `r`; zero where the output gate is open.
    - `residual`: how far from self-consistent they are, relative to `state[0]`; for sampled
      correlations, the change over the last iterations. `iterations`: how many were made.
    - `has_converged`: whether the residual is below what the method asked for.
    - `is_attracting`: false for a state that stands still where its stability number is above 1;
      on a ring that is too short there may be no other.
    - `state_error`, `gate_error`: standard errors, zero where nothing was sampled.
    - `kurtosis`, `kurtosis_error`: `<h^4> / <h^2>^2`, 3 for normal `h`.
    - `evidence`: `float64` or `sampled`.
    """

    times: Lags
    state: Lags
    output: Lags
    gate: Lags
    residual: Scalar
    iterations: Int[Array, ""]
    has_converged: Bool[Array, ""]
    is_attracting: Bool[Array, ""]
    state_error: Lags
    gate_error: Lags
    kurtosis: Scalar
    kurtosis_error: Scalar
    evidence: Evidence = eqx.field(static=True)

    @property
    def is_frozen(self) -> Bool[Array, ""]:
        """Whether the state stands still: at a fixed point, or at zero."""
        return frozen(self.state)

    @property
    def reaches_far_enough(self) -> Bool[Array, ""]:
        """Whether the correlation has settled at the largest lag, up to sampling errors."""
        noise = 4 * self.state_error[0] / jnp.where(self.state[0] > 0, self.state[0], 1.0)
        return gap(self.state) <= jnp.maximum(_LARGEST_GAP, noise)

    @property
    def resolves_fast_parts(self) -> Bool[Array, ""]:
        """Whether the lags are close enough for `C_phi`; sampled paths have steps of their own."""
        if self.evidence is Evidence.SAMPLED:
            return jnp.array(True)
        return roughness(self.output) <= _LARGEST_ROUGHNESS

    @property
    def verdict(self) -> DynamicVerdict:
        """How the solver ended; not for use under `jax.jit` and `jax.vmap`."""
        if not bool(self.has_converged):
            return DynamicVerdict.ITERATIONS_EXHAUSTED
        if not bool(self.resolves_fast_parts):
            return DynamicVerdict.LAGS_TOO_COARSE
        far_enough = bool(self.reaches_far_enough) and bool(self.is_attracting)
        return DynamicVerdict.CONVERGED if far_enough else DynamicVerdict.RING_TOO_SHORT

    def at(self, lags: Float[Array, " wanted"]) -> "Correlations":
        """The same correlations at other lags, up to `times[-1]`, by Fourier interpolation."""
        wanted = jnp.asarray(lags, jnp.float64)
        values = (at_lags(v, self.times, wanted) for v in (self.state, self.output, self.gate))
        errors = (jnp.interp(wanted, self.times, e) for e in (self.state_error, self.gate_error))
        return eqx.tree_at(
            lambda c: (c.times, c.state, c.output, c.gate, c.state_error, c.gate_error),
            self,
            (wanted, *values, *errors),
        )


class AbstractCorrelationMethod(eqx.Module):
    """How the self-consistent equations are solved."""

    @abstractmethod
    def solve(self, parameters: GatedParameters, input_variance: Scalar) -> Correlations:
        """Correlations of the attractor, for parameters that are known to be usable."""


def solve_correlations(
    parameters: GatedParameters,
    *,
    method: AbstractCorrelationMethod,
    input_variance: float | Scalar = 0.0,
) -> Correlations:
    """Stationary dynamic mean-field theory: the correlations that generate themselves.

    In an infinitely large network every unit sees Gaussian inputs, independent of each other:

        dh/dt = sigma_z(z) (-h + eta_h)     <eta_h eta_h'> = C_phi C_sr + input_variance
        update_time dz/dt = -z + eta_z      <eta_z eta_z'> = C_phi
        output_time dr/dt = -r + eta_r      <eta_r eta_r'> = C_phi

    with `C_phi = <phi(h) phi(h')>` and `C_sr = <sigma_r(r) sigma_r(r')>`. Solutions that move are
    preferred to fixed points, large ones to small ones.

    **Arguments:**

    - `parameters`: of the ensemble.
    - `method`: `Fourier()`, exact where the update gate is constant; `Sampled(key)`, for all
      others; `Factorised()`, an approximation that loses slow tails.
    - `input_variance`: of an input to `h` that is constant in time and normal across units.

    **Returns:** `Correlations`; look at its `verdict`.

    **Raises:** `InputProblem` for numbers that are negative, not finite or enormous, and for
    `Fourier` with an `update_gain`.

    **Example:**

    >>> from limitset.meanfield import Fourier
    >>> from limitset.networks import GatedParameters
    >>> chaos = solve_correlations(GatedParameters(gain=3.0, output_gain=10.0), method=Fourier())
    >>> round(float(chaos.state[0]), 5), chaos.verdict.value
    (0.15902, 'converged')

    **Reference:** arXiv 2007.14823; sampling as in arXiv 1901.10036.
    """
    require_dynamic(parameters, input_variance)
    if not isinstance(method, AbstractCorrelationMethod):
        raise InputProblem(
            f"method is a {type(method).__name__}; give Fourier(), Sampled(key) or Factorised()"
        )
    return method.solve(parameters, jnp.asarray(input_variance, jnp.float64))
