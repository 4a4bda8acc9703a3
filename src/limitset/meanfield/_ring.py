"""Even functions of the lag on a ring of times, and the filters that act on them."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array, ""]
Lags = Float[Array, " lags"]


class Ring(eqx.Module):
    """Lags 0 to half of `duration`, both ends included; functions of the lag are even.

    A stationary correlation that has decayed by half of the ring is the same as on a line.
    """

    duration: Scalar
    count: int = eqx.field(static=True)

    @property
    def lags(self) -> Lags:
        """The lags, `count` of them."""
        return self.duration / 2 * jnp.linspace(0.0, 1.0, self.count)

    @property
    def frequencies(self) -> Lags:
        """Angular frequencies of the ring, as many as lags."""
        return 2 * jnp.pi / self.duration * jnp.arange(self.count)

    def filtered(self, values: Lags, gain: Lags) -> Lags:
        """Multiply the power spectrum of a correlation by `gain`, one for each frequency."""
        return from_spectrum(spectrum(values) * gain)


def spectrum(values: Lags) -> Lags:
    """Fourier sum over the ring of an even function, real."""
    return jnp.fft.rfft(jnp.concatenate([values, values[-2:0:-1]])).real


def from_spectrum(power: Lags) -> Lags:
    """Inverse of `spectrum`."""
    count = power.shape[0]
    return jnp.fft.irfft(power, 2 * (count - 1))[:count]


def at_lags(values: Lags, times: Lags, lags: Float[Array, " wanted"]) -> Float[Array, " wanted"]:
    """Trigonometric interpolation of an even function on a ring, exact for smooth ones."""
    count = values.shape[0]
    frequencies = jnp.pi / times[-1] * jnp.arange(count)
    weight = jnp.full(count, 2.0).at[0].set(1.0).at[-1].set(1.0) / (2 * (count - 1))
    return jnp.cos(jnp.outer(lags, frequencies)) @ (weight * spectrum(values))


def gap(values: Lags) -> Scalar:
    """How far a correlation still moves over the last eighth of its lags, relative to its start."""
    last = values[-values.shape[0] // 8 :]
    return (jnp.max(last) - jnp.min(last)) / jnp.where(values[0] > 0, values[0], 1.0)


def roughness(values: Lags) -> Scalar:
    """The share of the highest eighth of frequencies in the spectrum; 0 for what is resolved."""
    power = jnp.abs(spectrum(values))
    total = jnp.sum(power)
    return jnp.sum(power[-values.shape[0] // 8 :]) / jnp.where(total > 0, total, 1.0)


def frozen(values: Lags) -> Array:
    """Whether a correlation is the same at all lags: the state then stands still."""
    return jnp.max(values) - jnp.min(values) <= 1e-6 * jnp.abs(values[0])
