"""The largest Lyapunov exponent where the update gate moves, from sampled tangent paths."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset.meanfield._correlation import Correlations
from limitset.meanfield._ring import Ring, from_spectrum, spectrum
from limitset.meanfield._sampled import (
    Noise,
    Paths,
    Replica,
    Sampled,
    around,
    coloured,
    correlation,
    output_gate_correlations,
    white_noise,
)
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]
Lags = Float[Array, " lags"]

_SWEEPS = 40
_AVERAGED = 10


class Growth(NamedTuple):
    """An exponent with its error, and the mean change per sweep over the last ones."""

    value: Scalar
    standard_error: Scalar
    residual: Scalar


class Tangents(NamedTuple):
    """What the tangent paths of one replica see: the same in all sweeps.

    `speed` is the update gate, `pull` its slope times `eta_h - h`, both in the middle of steps,
    `slope` that of `phi` at the end of them.
    """

    speed: Paths
    pull: Paths
    slope: Paths
    factor: Lags
    through_gate: Lags


@eqx.filter_jit
def sampled_growth(
    method: Sampled, parameters: GatedParameters, found: Correlations, replicas: Replica
) -> Growth:
    """Exponent of each replica from its own paths; their mean and its error.

    With differences `e^(lambda t) u(t)` between two replicas of the network,

        du/dt = -(sigma_z(z) + lambda) u + sigma_z(z) e + sigma_z'(z) (eta_h - h) y

    where `e` and `y` are Gaussian and independent of the path, with the power spectra of
    `C_sr Q + C_phi C_sr' psi_r` and `Q / |1 + update_time (lambda + i w)|^2`, and
    `Q = <phi' phi'' u u''>` over the paths. A stationary `Q` reproduces its size; after each sweep
    `lambda` moves by the logarithm of its growth.
    """
    ring = Ring(2 * found.times[-1], found.times.shape[0])
    keys = jax.random.split(jax.random.fold_in(method.key, 1), method.replicas)

    def one(given: tuple[Array, Replica]) -> tuple[Scalar, Scalar]:
        key, replica = given
        noise = white_noise(key, 2, 2 * (method.lags - 1), method.paths)
        tangents = _tangents(parameters, ring, replica)
        pace = jnp.mean(tangents.speed) / 4

        def sweep(state: tuple[Scalar, Lags], _: None) -> tuple[tuple[Scalar, Lags], Scalar]:
            growth, spread = state
            following = _advance(parameters, ring, tangents, growth, spread, noise)
            gain = following[0] / spread[0]
            growth = jnp.maximum(growth + pace * jnp.log(gain), 0.0)
            return (growth, following / following[0]), growth

        start = (jnp.zeros(()), replica.output / replica.output[0])
        trace = jax.lax.scan(sweep, start, None, length=_SWEEPS)[1][-_AVERAGED:]
        half = _AVERAGED // 2
        return jnp.mean(trace), jnp.mean(trace[:half]) - jnp.mean(trace[half:])

    values, drifts = jax.lax.map(one, (keys, replicas))
    error = jnp.std(values, ddof=1) / jnp.sqrt(method.replicas)
    return Growth(jnp.mean(values), error, jnp.abs(jnp.mean(drifts)))


def _tangents(parameters: GatedParameters, ring: Ring, replica: Replica) -> Tangents:
    _, factor, slopes = output_gate_correlations(parameters, ring, replica.output)
    # States are at the ends of steps; in the middle they are the mean of two.
    middle = (replica.state + jnp.roll(replica.state, 1, 0)) / 2
    return Tangents(
        speed=parameters.update_gate(replica.update),
        pull=parameters.update_gate_slope(replica.update) * (replica.drive - middle),
        slope=parameters.phi_slope(replica.state),
        factor=factor,
        through_gate=replica.output * slopes,
    )


def _advance(
    parameters: GatedParameters,
    ring: Ring,
    tangents: Tangents,
    growth: Scalar,
    spread: Lags,
    noise: Noise,
) -> Lags:
    """The correlation `Q` that one sweep makes of another."""
    w = ring.frequencies
    power = spectrum(spread)
    delay = (1 + parameters.output_time * growth) ** 2 + (parameters.output_time * w) ** 2
    gate = from_spectrum(power / delay)
    direct = coloured(spectrum(tangents.factor * spread + tangents.through_gate * gate), noise[0])
    lag = (1 + parameters.update_time * growth) ** 2 + (parameters.update_time * w) ** 2
    update = coloured(power / lag, noise[1])
    rate = tangents.speed + growth
    step = ring.duration / (2 * (ring.count - 1))
    keep = jnp.exp(-rate * step)
    arriving = (1 - keep) / rate * (tangents.speed * direct + tangents.pull * update)
    return correlation(tangents.slope * around(keep, arriving))
