"""Chaos close to a continuous transition: closed forms of its leading order, and time scales."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.meanfield._correlation import Correlations
from limitset.meanfield._dynamic_input import require_constant_update, require_dynamic
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]


class CriticalScaling(eqx.Module):
    """Chaos just above its onset, to leading order in `excess`.

    - `excess`: `(gain sigma_r(0))^2 - 1` for tanh; how far beyond the transition.
    - `variance`: `C_h(0)`. `rate`: `k`, of the decay of correlations. `exponent`: the largest
      Lyapunov exponent, per unit time.
    - `is_gated`: whether the output gate moves. `C_h(t) = C_h(0) sech^2(k t / 2)` if it does, and
      `C_h(0) sech(k t)` if not.
    """

    excess: float = eqx.field(static=True)
    variance: float = eqx.field(static=True)
    rate: float = eqx.field(static=True)
    exponent: float = eqx.field(static=True)
    is_gated: bool = eqx.field(static=True)

    def state(self, lags: Float[Array, " lags"]) -> Float[Array, " lags"]:
        """`C_h` at the lags."""
        if self.is_gated:
            return self.variance / jnp.cosh(self.rate * lags / 2) ** 2
        return self.variance / jnp.cosh(self.rate * lags)


def critical_scaling(parameters: GatedParameters) -> CriticalScaling:
    """How chaos sets in where the zero state loses its stability.

    With `f1`, `f3` the first and third derivatives of `phi` at 0, `s`, `s1`, `s2` the gate there
    and its derivatives, and `a = sigma_z(0)`,

        C'' = -a^2 (excess C + A C(0) C + B C^2)    A = f1 f3 s^2 + f1^4 s s2    B = f1^4 s1^2

    so that `C(0) = -excess / (A + 2 B / 3)`, `k^2 = 2 a^2 B C(0) / 3`, and the exponent is
    `5 k^2 / (8 a)`. An output gate that moves, however little, changes the powers: times grow as
    `excess^(-1/2)` and not as `1 / excess`, exponents as `excess` and not as its square.

    **Arguments:** `parameters` without a `state_bias`, beyond the transition, with a constant
    update gate. Output times do not matter.

    **Raises:** `InputProblem` below the transition, and where it is discontinuous.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> near = critical_scaling(GatedParameters(gain=2.01, output_gain=2.0))
    >>> round(near.variance, 6), round(near.exponent, 6)
    (0.001861, 0.001566)

    **Reference:** arXiv 2007.14823; without gates, Sompolinsky, Crisanti and Sommers, Phys. Rev.
    Lett. 61 (1988) 259.
    """
    require_dynamic(parameters, 0.0)
    require_constant_update(parameters, "critical_scaling", "simulations")
    if float(parameters.state_bias) != 0:
        raise InputProblem(
            f"state_bias is {float(parameters.state_bias):g}; there is a zero state, and a "
            "transition from it, for 0 only"
        )
    p, zero = parameters, jnp.zeros(())
    slope, third = float(p.phi_slope(zero)), float(jax.grad(p.phi_curvature)(zero))
    gate, gate_slope = float(p.output_gate(zero)), float(p.output_gate_slope(zero))
    gate_curvature = float(jax.grad(p.output_gate_slope)(zero))
    rate = float(p.update_gate(zero))
    excess = (slope * gate) ** 2 - 1
    if excess <= 0:
        raise InputProblem(
            f"gain is {float(p.gain):g}, where the zero state is stable; chaos sets in at "
            f"{float(p.gain) / (slope * gate):g}"
        )
    # Divided by (slope gate)^2, which is 1 to leading order.
    linear = third / slope + slope**2 * gate_curvature / gate
    quadratic = (slope * gate_slope / gate) ** 2
    bend = linear + 2 * quadratic / 3
    if bend >= 0:
        raise InputProblem(
            f"output_gain is {float(p.output_gain):g}, where chaos sets in with a jump; "
            "see chaos_gain"
        )
    variance = -excess / bend
    if quadratic > 0:
        decay = rate * math.sqrt(2 * quadratic * variance / 3)
        return CriticalScaling(excess, variance, decay, 5 * decay**2 / (8 * rate), True)
    # The next term of C'', in C^3 with the coefficient (third / slope)^2 / 6, takes its place.
    decay = rate * abs(third) / slope * variance / math.sqrt(12)
    return CriticalScaling(excess, variance, decay, 1.5 * decay**2 / rate, False)


def time_scale(correlations: Correlations) -> Scalar:
    """The lag at which the state's correlation has fallen half of its way.

    **Returns:** a lag, interpolated between two of `correlations.times`; infinity for a state that
    stands still.

    >>> from limitset.meanfield import Fourier, solve_correlations
    >>> from limitset.networks import GatedParameters
    >>> vanilla = GatedParameters(gain=2.0, open_update=True, open_output=True)
    >>> round(float(time_scale(solve_correlations(vanilla, method=Fourier()))), 2)
    5.36
    """
    state, times = correlations.state, correlations.times
    # The mean of the last lags, for what was sampled.
    final = jnp.mean(state[-max(1, state.shape[0] // 8) :])
    half = (state[0] + final) / 2
    after = jnp.clip(jnp.argmax(state <= half), 1, state.shape[0] - 1)
    above, below = state[after - 1], state[after]
    fall = jnp.where(above > below, above - below, 1.0)
    lag = times[after - 1] + (above - half) / fall * (times[after] - times[after - 1])
    return jnp.where(correlations.is_frozen, jnp.inf, lag)
