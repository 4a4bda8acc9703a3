"""Averages over Gaussian variables, by one rule that serves steep functions and flat ones.

The trapezoid rule in `t`, after `x = center + scale sinh(t)`, crowds its nodes around the center.
A gate of gain `alpha` has its poles at the distance `pi / alpha`, and in `t` they stay away from
the real line for every `alpha`: the same nodes do for all of them.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

Integrand = Callable[[Float[Array, "..."]], Inexact[Array, "..."]]

_SCALE = 0.004
# To 12 standard deviations from the mean for every center that is allowed.
_REACH = 12.0
_FURTHEST_CENTER = 6.0
_HALF = 146

Scalar = Float[Array, ""]


def gaussian_rule(
    center: float | Scalar = 0.0, scale: float | Scalar = _SCALE, *, half: int = _HALF
) -> tuple[Float[Array, " nodes"], Float[Array, " nodes"]]:
    """Nodes and weights of the standard normal law, crowded around `center`.

    **Arguments:** `center`: where functions are steep, in standard deviations; cut to 6, beyond
    which lies a billionth of the mass. `scale`: from there on nodes grow apart, as far as 0.06
    |x - center|; of the order of the width of what is steep, 1e-12 or more. `half`: there are
    `2 half + 1` nodes; with fewer of them they are further apart.

    **Returns:** nodes and weights, the weights to be summed as they are.

    >>> nodes, weights = gaussian_rule()
    >>> bool(abs(weights @ nodes**4 - 3) < 1e-13)
    True
    """
    step = jnp.arcsinh((_REACH + _FURTHEST_CENTER) / scale) / half
    t = step * np.arange(-half, half + 1)
    nodes = jnp.clip(center, -_FURTHEST_CENTER, _FURTHEST_CENTER) + scale * jnp.sinh(t)
    density = jnp.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
    return nodes, step * scale * jnp.cosh(t) * density


def average(
    function: Integrand,
    variance: float | Scalar,
    center: float | Scalar = 0.0,
    scale: float | Scalar = _SCALE,
) -> Inexact[Array, ""]:
    """`E f(sqrt(variance) x)` with `x` standard normal.

    The error is below 1e-13 for tanh, logistic and probit functions of any gain, as measured up to
    `gain * sqrt(variance)` of 1,000, if they are steep at `center` or within a few of their own
    widths from it. Derivatives by the variance need a positive one.

    **Arguments:** `function`, entry by entry, real or complex; `variance`, zero or more; `center`
    and `scale`, where the function is steep, in standard deviations.

    >>> round(float(average(lambda x: x**2, 3.0)), 12)
    3.0
    """
    nodes, weights = gaussian_rule(center, scale)
    return weights @ function(jnp.sqrt(variance) * nodes)


def second_moment(function: Integrand, variance: float | Scalar) -> Scalar:
    """`E f(sqrt(variance) x)^2`.

    >>> round(float(second_moment(lambda x: x**2, 1.0)), 12)
    3.0
    """
    return average(lambda x: jnp.abs(function(x)) ** 2, variance)


def average_pair(
    function: Callable[[Float[Array, "..."], Float[Array, "..."]], Inexact[Array, "..."]],
    first: float | Scalar,
    second: float | Scalar,
) -> Inexact[Array, ""]:
    """`E f(sqrt(first) x, sqrt(second) y)` with `x` and `y` standard normal and independent.

    >>> round(float(average_pair(lambda x, y: x**2 * y**2, 2.0, 3.0)), 12)
    6.0
    """
    nodes, weights = gaussian_rule()
    values = function(jnp.sqrt(first) * nodes[:, None], jnp.sqrt(second) * nodes)
    return weights @ values @ weights
