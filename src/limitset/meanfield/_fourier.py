"""Stationary correlations where the update gate is constant: exact, in Fourier space."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import Evidence, InputProblem
from limitset.meanfield._anderson import Ending, find_fixed_point
from limitset.meanfield._checks import require_number
from limitset.meanfield._correlation import AbstractCorrelationMethod, Correlations
from limitset.meanfield._dynamic_input import is_traced, require_constant_update
from limitset.meanfield._ring import Ring, frozen
from limitset.meanfield._slaved import slaved_force, slaved_state
from limitset.meanfield._two_point import pair_average
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]
Lags = Float[Array, " lags"]

# How many decay lengths fit into half of a ring.
_DECAYS = 18.0
# Correlations smaller than this are not told from zero.
_FLOOR = 1e-3
_ZERO = 1e-8
# Of the stability number of a state that stands still.
_MARGIN = 1e-6
_SETTLING = 500


def optional_scalar(value: float | Scalar | None) -> Scalar | None:
    """A number as an array, so that compiled functions serve all numbers."""
    return None if value is None else jnp.asarray(value, jnp.float64)


class Stopping(NamedTuple):
    """When an iteration ends: at a residual, or after so many steps."""

    tolerance: float
    iterations: int


class Fourier(AbstractCorrelationMethod):
    """Exact for `update_gain = 0`, or an open update gate, where `h` is Gaussian.

        C_h = a^2 / (a^2 + w^2) [C_phi C_sr + input_variance]
        C_r = 1 / (1 + output_time^2 w^2) [C_phi]

    on a ring of times, `a = sigma_z(0)`; solved from the limit without delay by Anderson's
    acceleration.

    **Arguments:**

    - `duration`: of the ring; chosen from the limit without delay if omitted: 18 decay lengths of
      the slowest part on either side.
    - `lags`: how many lags; solutions are smooth, and errors fall exponentially with it.
    - `tolerance`: of the residual; `iterations`: at most so many.

    >>> Fourier().lags
    257
    """

    duration: Scalar | None = eqx.field(converter=optional_scalar, default=None)
    lags: int = eqx.field(static=True, default=257)
    tolerance: float = eqx.field(static=True, default=1e-9)
    iterations: int = eqx.field(static=True, default=100)

    def __check_init__(self) -> None:
        require_ring(self.duration, self.lags, self.tolerance, self.iterations)

    @property
    def stopping(self) -> Stopping:
        """When the iteration ends."""
        return Stopping(self.tolerance, self.iterations)

    def solve(self, parameters: GatedParameters, input_variance: Scalar) -> Correlations:
        """`solve_correlations` for usable parameters."""
        require_constant_update(parameters, "Fourier", "Sampled(key)")
        return _solve(self, parameters, input_variance)


def require_ring(duration: object, lags: int, tolerance: float, iterations: int) -> None:
    """Refuse rings and stopping rules that make no sense."""
    if duration is not None and not is_traced(duration):
        require_number("duration", duration, least=1e-3)
    if not (isinstance(lags, int) and 9 <= lags <= 100_001):
        raise InputProblem(f"lags is {lags!r}; give a whole number from 9 to 100,001")
    require_number("tolerance", tolerance, least=1e-13, most=1.0)
    if not (isinstance(iterations, int) and iterations >= 1):
        raise InputProblem(f"iterations is {iterations!r}; give a whole number, 1 or more")


@eqx.filter_jit
def _solve(method: Fourier, parameters: GatedParameters, input_variance: Scalar) -> Correlations:
    ring, start, decay = first_guess(method.duration, method.lags, parameters, input_variance)

    def advance(state: Lags) -> Lags:
        return gaussian_step(parameters, ring, state, input_variance)[0]

    ending = self_consistent(advance, parameters, ring, start, decay, method.stopping)
    _, output, gate = gaussian_step(parameters, ring, ending.point, input_variance)
    return assemble(parameters, ring, ending, output, gate, input_variance)


def self_consistent(
    advance: Callable[[Lags], Lags],
    parameters: GatedParameters,
    ring: Ring,
    start: Lags,
    decay: Scalar,
    stopping: Stopping,
) -> Ending:
    """Where `advance` reproduces the state.

    Close to a transition all solutions are slow, and `advance` moves slow parts hardly at all. Its
    steps are therefore stretched by `(a^2 + w^2) / (decay^2 + w^2)`: so they undo the operator that
    is nearly singular there. If no solution is found, plain iteration follows the network itself to
    smaller states, until another is near.
    """
    rate = parameters.update_gate(jnp.zeros(()))
    squares = ring.frequencies**2
    stretch = (rate**2 + squares) / (decay**2 + squares)

    def stretched(state: Lags) -> Lags:
        return state + ring.filtered(advance(state) - state, stretch)

    def search(begin: Lags) -> Ending:
        return find_fixed_point(
            stretched,
            begin,
            tolerance=stopping.tolerance,
            iterations=stopping.iterations,
            floor=_FLOOR,
        )

    def attempt(state: tuple[Ending, Lags, Array]) -> tuple[Ending, Lags, Array]:
        before, begin, tries = state
        rounds = jnp.where(tries > 0, _SETTLING, 0)
        settled = jax.lax.fori_loop(0, rounds, lambda _, x: advance(x), begin)
        found = search(settled)
        total = found._replace(iterations=found.iterations + before.iterations)
        return total, settled, tries + 1

    none = Ending(start, jnp.array(jnp.inf), jnp.array(0), jnp.array(False))
    begin = (none, start, jnp.array(0))
    return jax.lax.while_loop(lambda s: ~s[0].converged & (s[2] < 2), attempt, begin)[0]


def assemble(
    parameters: GatedParameters,
    ring: Ring,
    ending: Ending,
    output: Lags,
    gate: Lags,
    input_variance: Scalar,
) -> Correlations:
    """The record of a solution that was iterated; what has collapsed is zero."""
    variance = ending.point[0]
    # Both functions of the network lie between -1 and 1. Comparisons with NaN fail.
    possible = (variance > -_ZERO) & (variance < 1 + input_variance + _ZERO)
    alive = ~(ending.converged & (jnp.abs(ending.point[0]) < _ZERO))
    state, output, gate = (jnp.where(alive, v, 0.0) for v in (ending.point, output, gate))
    zero = jnp.zeros_like(state)
    # The delay of the gate has no part in the stability of what stands still.
    steepness = slaved_force(parameters, state[0], input_variance).slope(state[:1])[0]
    return Correlations(
        times=ring.lags,
        state=state,
        output=output,
        gate=gate,
        residual=ending.residual,
        iterations=ending.iterations,
        has_converged=ending.converged & possible,
        is_attracting=~frozen(state) | (steepness < 1 + _MARGIN),
        state_error=zero,
        gate_error=zero,
        kurtosis=jnp.array(3.0),
        kurtosis_error=jnp.array(0.0),
        evidence=Evidence.FLOAT64,
    )


def gaussian_step(
    parameters: GatedParameters, ring: Ring, state: Lags, input_variance: Scalar
) -> tuple[Lags, Lags, Lags]:
    """One round: the correlation of `h` that follows, and those of `phi(h)` and `r` on the way."""
    output, gate, drive = drive_of(parameters, ring, state, input_variance)
    rate = parameters.update_gate(jnp.zeros(()))
    return ring.filtered(drive, rate**2 / (rate**2 + ring.frequencies**2)), output, gate


def drive_of(
    parameters: GatedParameters, ring: Ring, state: Lags, input_variance: Scalar
) -> tuple[Lags, Lags, Lags]:
    """Correlations of `phi(h)`, of `r` and of the input to `h`, for Gaussian `h`."""
    output = pair_average(parameters.phi, parameters.phi_slope, state[0])(state)
    if parameters.open_output:
        return output, jnp.zeros_like(output), output + input_variance
    gate = ring.filtered(output, 1 / (1 + (parameters.output_time * ring.frequencies) ** 2))
    factor = pair_average(parameters.output_gate, parameters.output_gate_slope, gate[0])(gate)
    return output, gate, output * factor + input_variance


def first_guess(
    duration: Scalar | None,
    lags: int,
    parameters: GatedParameters,
    input_variance: Scalar,
) -> tuple[Ring, Lags, Scalar]:
    """A ring, a correlation on it, and its rate of decay, from the limit of a gate without delay.

    There the solution is known at lag 0 and at infinity, with its curvature at both: one `sech^2`,
    which is exact close to a continuous transition.
    """
    near = slaved_state(parameters, input_variance, zooms=4)
    rate = parameters.update_gate(jnp.zeros(()))
    force = slaved_force(parameters, near.variance, input_variance)
    pull = force(near.variance[None])[0] - near.variance
    final = jnp.where(pull > 1e-7 * near.variance, near.final, near.variance)
    height = near.variance - final
    # C'' = -(k^2 / 2) height at lag 0, and C'' = (decay rate)^2 (C - final) far away.
    curvature = 2 * jnp.maximum(pull, 0.0) / jnp.where(height > 0, height, 1.0)
    width = rate * jnp.sqrt(jnp.clip(curvature, 1e-7, 1.0))
    decay = rate * jnp.sqrt(jnp.clip(1 - force.slope(final[None])[0], 1e-7, 1.0))
    if duration is None:
        slowest = 1 / jnp.minimum(decay, width)
        if not parameters.open_output:
            slowest = jnp.maximum(slowest, parameters.output_time)
        duration = 2 * _DECAYS * slowest
    ring = Ring(duration, lags)
    shape = 1 / jnp.cosh(jnp.minimum(width * ring.lags / 2, 300.0)) ** 2
    return ring, final + height * shape, decay
