"""Averages of a gated network's functions over the Gaussian law of its state."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset.meanfield._gaussian import average
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]


class Moments(eqx.Module):
    """What the conditions on a fixed point are made of, at one variance of the state.

    `gate_variance` is `<phi^2>`, the variance of `z` and `r`; the others are `<phi'^2>`,
    `<sigma_r^2>` and `<sigma_r'^2>`, gains included.
    """

    gate_variance: Scalar
    slope: Scalar
    output: Scalar
    output_slope: Scalar


def steep_part(
    gain: Scalar, bias: Scalar, variance: float | Scalar, *, widest: float = 0.004
) -> tuple[Scalar, Scalar]:
    """Center and scale for averages of `f(gain sqrt(variance) x + bias)`."""
    slope = gain * jnp.sqrt(variance)
    flat = jnp.abs(slope) < 1.0
    width = 1 / jnp.where(flat, 1.0, slope)
    return jnp.where(flat, 0.0, -bias * width), jnp.clip(2 * jnp.abs(width), 1e-12, widest)


def moments(parameters: GatedParameters, state_variance: float | Scalar) -> Moments:
    """All four, where `h` is normal with that variance, and `r` with the variance that follows.

    Exact for fixed points of infinitely large networks without inputs to their gates; such states
    have `h = R`, normal and independent of `r`.
    """
    p = parameters
    variance = jnp.asarray(state_variance, jnp.float64)
    steep = steep_part(p.gain, p.state_bias, variance)
    gate_variance = average(lambda h: p.phi(h) ** 2, variance, *steep)
    slope = average(lambda h: p.phi_slope(h) ** 2, variance, *steep)
    if p.open_output:
        return Moments(gate_variance, slope, jnp.ones(()), jnp.zeros(()))
    steep = steep_part(p.output_gain, p.output_bias, gate_variance)
    return Moments(
        gate_variance,
        slope,
        average(lambda r: p.output_gate(r) ** 2, gate_variance, *steep),
        average(lambda r: p.output_gate_slope(r) ** 2, gate_variance, *steep),
    )


def following_variance(
    parameters: GatedParameters, state_variance: float | Scalar, input_variance: float | Scalar
) -> Scalar:
    """`<phi^2> <sigma_r^2> + input_variance`: a fixed point reproduces the variance it has."""
    found = moments(parameters, state_variance)
    return found.gate_variance * found.output + input_variance
