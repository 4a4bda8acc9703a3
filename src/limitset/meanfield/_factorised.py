"""A closure that treats the update gate as if it did not know of the state: an approximation."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset.meanfield._correlation import AbstractCorrelationMethod, Correlations
from limitset.meanfield._fourier import (
    Stopping,
    assemble,
    drive_of,
    first_guess,
    optional_scalar,
    require_ring,
    self_consistent,
)
from limitset.meanfield._ring import Ring
from limitset.meanfield._two_point import pair_average
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]
Lags = Float[Array, " lags"]


class Factorised(AbstractCorrelationMethod):
    """`C_h'' = C_sz (C_h - C_phi C_sr)` with `C_sz = <sigma_z sigma_z'>`: not the theory.

    It averages the gate apart from what the gate multiplies, and takes `h` for Gaussian. Both are
    right for a constant update gate, and to leading order close to a continuous transition. For
    others it loses slow tails whole: at `gain=3, update_gain=5, output_gain=10` it has
    `C_h(16) = 0.003`, and networks have 0.065, while `C_h(0)` is right within 3%. It is here to be
    compared with; use `Sampled` for results.

    **Arguments:** as for `Fourier`.

    >>> Factorised(duration=240.0).lags
    257
    """

    duration: Scalar | None = eqx.field(converter=optional_scalar, default=None)
    lags: int = eqx.field(static=True, default=257)
    tolerance: float = eqx.field(static=True, default=1e-9)
    iterations: int = eqx.field(static=True, default=200)

    def __check_init__(self) -> None:
        require_ring(self.duration, self.lags, self.tolerance, self.iterations)

    @property
    def stopping(self) -> Stopping:
        """When the iteration ends."""
        return Stopping(self.tolerance, self.iterations)

    def solve(self, parameters: GatedParameters, input_variance: Scalar) -> Correlations:
        """`solve_correlations` for usable parameters."""
        return _solve(self, parameters, input_variance)


@eqx.filter_jit
def _solve(method: Factorised, parameters: GatedParameters, input_variance: Scalar) -> Correlations:
    ring, start, decay = first_guess(method.duration, method.lags, parameters, input_variance)

    def advance(state: Lags) -> Lags:
        output, _, drive = drive_of(parameters, ring, state, input_variance)
        speed = _update_correlation(parameters, ring, output)
        # C'' = S(lag) (C - F), with the largest S on the left so that the rest is positive.
        fastest = speed[0]
        rest = (fastest - speed) * state + speed * drive
        return ring.filtered(rest, 1 / (fastest + ring.frequencies**2))

    ending = self_consistent(advance, parameters, ring, start, decay, method.stopping)
    output, gate, _ = drive_of(parameters, ring, ending.point, input_variance)
    return assemble(parameters, ring, ending, output, gate, input_variance)


def _update_correlation(parameters: GatedParameters, ring: Ring, output: Lags) -> Lags:
    """`<sigma_z sigma_z'>` for the Gaussian `z` that the outputs drive."""
    if parameters.open_update:
        return jnp.ones_like(output)
    z = ring.filtered(output, 1 / (1 + (parameters.update_time * ring.frequencies) ** 2))
    return pair_average(parameters.update_gate, parameters.update_gate_slope, z[0])(z)
