"""Pairs of functions that gated networks are made of: what a unit says, and what a gate lets by."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset.networks._activation import SIGMOID, TANH, Pointwise


@dataclass(frozen=True)
class Nonlinearity:
    """The output `phi(x)` of a unit and the gate `sigma(x)`, each with its slope.

    Gains and biases are not in them: a network computes `phi(gain * h + bias)`.

    **Arguments:** `unit` and `gate` with `unit_slope`, `gate_slope`, their derivatives, and
    `unit_curvature`, the second derivative of `unit`.

    **Example:**

    >>> float(TANH_LOGISTIC.gate(0.0)), float(ERF_PROBIT.gate(0.0))
    (0.5, 0.5)
    """

    name: str
    unit: Pointwise
    unit_slope: Pointwise
    unit_curvature: Pointwise
    gate: Pointwise
    gate_slope: Pointwise


def _erf(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jax.scipy.special.erf(jnp.pi**0.5 / 2 * x)


def _erf_slope(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.exp(-jnp.pi * x**2 / 4)


def _erf_curvature(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return -jnp.pi / 2 * x * _erf_slope(x)


# Its slope at 0 is 1/4, the logistic function's.
_PROBIT_SCALE = (2 * jnp.pi) ** 0.5 / 4


def _probit(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jax.scipy.special.ndtr(_PROBIT_SCALE * x)


def _probit_slope(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.exp(-((_PROBIT_SCALE * x) ** 2) / 2) / 4


TANH_LOGISTIC = Nonlinearity(
    "tanh_logistic",
    TANH.function,
    TANH.derivatives[0],
    TANH.derivatives[1],
    SIGMOID.function,
    SIGMOID.derivatives[0],
)
# Averages of these over Gaussian variables have closed forms; slopes at 0 are those of the pair
# above.
ERF_PROBIT = Nonlinearity("erf_probit", _erf, _erf_slope, _erf_curvature, _probit, _probit_slope)

NONLINEARITIES = {pair.name: pair for pair in (TANH_LOGISTIC, ERF_PROBIT)}
