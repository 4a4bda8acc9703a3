"""Stationary correlations for any update gate, from sampled paths on a ring of times."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from limitset._result import Evidence, InputProblem
from limitset.meanfield._checks import require_number
from limitset.meanfield._correlation import AbstractCorrelationMethod, Correlations
from limitset.meanfield._fourier import first_guess
from limitset.meanfield._ring import Ring, from_spectrum, spectrum
from limitset.meanfield._two_point import pair_average
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]
Lags = Float[Array, " lags"]
Paths = Float[Array, "times paths"]
Noise = Complex[Array, "sources frequencies paths"]

_LARGEST_ARRAY = 2e8
# Iterations halve the distance to a solution at best. What has come down to this share of where it
# began goes on to zero.
_QUIET = 2e-3


class Sampled(AbstractCorrelationMethod):
    """Paths of single units in noise with the correlations that the paths are found to have.

    An update gate that moves makes `h` non-Gaussian, and `C_phi` must be sampled. Noise comes from
    the same random numbers in all iterations, so that they converge, to a solution that depends on
    these numbers; several replicas with numbers of their own say how much.

    **Arguments:**

    - `key`: of the random numbers.
    - `paths`: in each replica; `replicas`: errors are computed from the scatter between them.
    - `duration`: of the ring; ten times the slowest decay, or more. `step`: of time.
    - `iterations`: how many, each moving half of the way; the last `averaged` are averaged.
    - `tolerance`: of the relative change between the two halves of these.

    >>> import jax
    >>> Sampled(jax.random.key(0)).paths
    128

    **Reference:** arXiv 1901.10036.
    """

    key: PRNGKeyArray
    paths: int = eqx.field(static=True, default=128)
    replicas: int = eqx.field(static=True, default=8)
    duration: float = eqx.field(static=True, default=240.0)
    step: float = eqx.field(static=True, default=0.1)
    iterations: int = eqx.field(static=True, default=30)
    averaged: int = eqx.field(static=True, default=8)
    tolerance: float = eqx.field(static=True, default=0.02)

    def __check_init__(self) -> None:
        for name, least in (("paths", 2), ("replicas", 2), ("iterations", 2), ("averaged", 2)):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= least):
                raise InputProblem(f"{name} is {value!r}; give a whole number, {least} or more")
        if self.averaged > self.iterations:
            raise InputProblem(
                f"averaged is {self.averaged}, of {self.iterations} iterations; give no more"
            )
        require_number("step", self.step, least=1e-4, most=1.0)
        require_number("duration", self.duration, least=20 * self.step)
        require_number("tolerance", self.tolerance, least=1e-6, most=1.0)
        if self.paths * self.replicas * self.duration / self.step > _LARGEST_ARRAY:
            raise InputProblem(
                f"{self.replicas} x {self.paths} paths of {self.duration / self.step:.0f} steps "
                "do not fit into memory; give fewer paths, or a shorter ring"
            )

    @property
    def lags(self) -> int:
        """How many lags half of the ring holds."""
        return round(self.duration / self.step / 2) + 1

    def solve(self, parameters: GatedParameters, input_variance: Scalar) -> Correlations:
        """`solve_correlations` for usable parameters."""
        return solve_with_paths(self, parameters, input_variance)[0]


class Replica(NamedTuple):
    """One replica's averages over its last iterations, and its paths in the last one.

    `drive` is the input to `h` and `update` is `z`, both in the middle of the step that ends with
    the `state` of the same index.
    """

    output: Lags
    state_correlation: Lags
    kurtosis: Scalar
    drift: Scalar
    state: Paths
    drive: Paths
    update: Paths


@eqx.filter_jit
def solve_with_paths(
    method: Sampled, parameters: GatedParameters, input_variance: Scalar
) -> tuple[Correlations, Replica]:
    """Correlations, and what the replicas found one by one, stacked."""
    ring, start, _ = first_guess(
        jnp.asarray(method.duration), method.lags, parameters, input_variance
    )
    begin = pair_average(parameters.phi, parameters.phi_slope, start[0])(start)
    keys = jax.random.split(method.key, method.replicas)
    # One replica after the other: what one needs at a time is large enough.
    found = jax.lax.map(
        lambda k: _replica(method, parameters, ring, input_variance, begin, k), keys
    )
    quiet = jnp.mean(found.state_correlation[:, 0]) < jnp.maximum(_QUIET * start[0], 1e-6)
    return _record(method, parameters, ring, found, quiet), found


def _replica(
    method: Sampled,
    parameters: GatedParameters,
    ring: Ring,
    input_variance: Scalar,
    output: Lags,
    key: PRNGKeyArray,
) -> Replica:
    noise = white_noise(key, 2, 2 * (method.lags - 1), method.paths)

    def advance(output: Lags, _: None) -> tuple[Lags, tuple[Lags, Lags, Scalar]]:
        state = walk(parameters, ring, output, input_variance, noise)[0]
        following = (output + correlation(parameters.phi(state))) / 2
        square = jnp.mean(state**2)
        return following, (following, correlation(state), jnp.mean(state**4) / square**2)

    trace = jax.lax.scan(advance, output, None, length=method.iterations)[1]
    outputs, states, kurtoses = (v[-method.averaged :] for v in trace)
    half = method.averaged // 2
    change = jnp.mean(states[:half, 0]) - jnp.mean(states[-half:, 0])
    drift = jnp.abs(change) / jnp.maximum(jnp.mean(states[:, 0]), 1e-8)
    mean = jnp.mean(outputs, 0)
    paths = walk(parameters, ring, mean, input_variance, noise)
    return Replica(mean, jnp.mean(states, 0), jnp.mean(kurtoses), drift, *paths)


def walk(
    parameters: GatedParameters, ring: Ring, output: Lags, input_variance: Scalar, noise: Noise
) -> tuple[Paths, Paths, Paths]:
    """`h` on the ring, with its input and `z` in the middle of the steps, for a given `C_phi`."""
    factor = output_gate_correlations(parameters, ring, output)[1]
    drive = coloured(spectrum(output * factor + input_variance), noise[0])
    w = ring.frequencies
    update = coloured(spectrum(output) / (1 + (parameters.update_time * w) ** 2), noise[1])
    step = ring.duration / (2 * (ring.count - 1))
    keep = jnp.exp(-parameters.update_gate(update) * step)
    return around(keep, (1 - keep) * drive), drive, update


def around(keep: Paths, arriving: Paths) -> Paths:
    """`x <- keep x + arriving` along the ring, from zero, the second time round."""

    def advance(x: Float[Array, " paths"], now: tuple[Array, Array]) -> tuple[Array, Array]:
        following = now[0] * x + now[1]
        return following, following

    first = jax.lax.scan(advance, jnp.zeros(keep.shape[1]), (keep, arriving))[0]
    return jax.lax.scan(advance, first, (keep, arriving))[1]


def output_gate_correlations(
    parameters: GatedParameters, ring: Ring, output: Lags
) -> tuple[Lags, Lags, Lags]:
    """`C_r`, `<sigma_r sigma_r'>` and that of the slopes; `r` is always Gaussian."""
    if parameters.open_output:
        return jnp.zeros_like(output), jnp.ones_like(output), jnp.zeros_like(output)
    gate = ring.filtered(output, 1 / (1 + (parameters.output_time * ring.frequencies) ** 2))
    average = pair_average(parameters.output_gate, parameters.output_gate_slope, gate[0])
    return gate, average(gate), average.derivative(gate)


def white_noise(key: PRNGKeyArray, sources: int, times: int, paths: int) -> Noise:
    """Fourier transforms along time of standard normal numbers, of exactly their mean power.

    Each frequency has the same power summed over paths as it has on average. That takes away most
    of the sampling error, because `phi` is nearly a straight line.
    """
    numbers = jax.random.normal(key, (sources, times, paths), jnp.float64)
    noise = jnp.fft.rfft(numbers, axis=1)
    power = jnp.mean(jnp.abs(noise) ** 2, 2, keepdims=True)
    return noise * jnp.sqrt(times / power)


def coloured(power: Lags, noise: Array) -> Paths:
    """Gaussian paths on the ring with this power spectrum."""
    amplitude = jnp.sqrt(jnp.maximum(power, 0.0))
    return jnp.fft.irfft(amplitude[:, None] * noise, 2 * (power.shape[0] - 1), axis=0)


def correlation(paths: Paths) -> Lags:
    """The average of `x(t) x(t + lag)` over times and paths."""
    power = jnp.mean(jnp.abs(jnp.fft.rfft(paths, axis=0)) ** 2, 1)
    return from_spectrum(power / paths.shape[0])


def _record(
    method: Sampled, parameters: GatedParameters, ring: Ring, found: Replica, quiet: Array
) -> Correlations:
    """Means and errors over the replicas; a state that shrinks without end is zero."""
    gates = jax.vmap(lambda o: output_gate_correlations(parameters, ring, o)[0])(found.output)
    root = jnp.sqrt(method.replicas)
    residual = jnp.where(quiet, 0.0, jnp.mean(found.drift))
    state = jnp.mean(found.state_correlation, 0)

    def error(values: Float[Array, "replicas ..."]) -> Float[Array, "..."]:
        return jnp.where(quiet, 0.0, jnp.std(values, 0, ddof=1) / root)

    return Correlations(
        times=ring.lags,
        state=jnp.where(quiet, 0.0, state),
        output=jnp.where(quiet, 0.0, jnp.mean(found.output, 0)),
        gate=jnp.where(quiet, 0.0, jnp.mean(gates, 0)),
        residual=residual,
        iterations=jnp.array(method.iterations),
        has_converged=(residual <= method.tolerance) & jnp.isfinite(state[0]),
        is_attracting=jnp.array(True),
        state_error=error(found.state_correlation),
        gate_error=error(gates),
        kurtosis=jnp.mean(found.kurtosis),
        kurtosis_error=error(found.kurtosis),
        evidence=Evidence.SAMPLED,
    )
