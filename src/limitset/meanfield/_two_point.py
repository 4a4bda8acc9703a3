"""Averages over pairs of correlated Gaussian variables, by Mehler's formula.

For `x` and `x'` normal with variance `c` and covariance `rho c`, and `a_k` the coefficients of `f`
in normalised Hermite polynomials of `x / sqrt(c)`,

    E f(x) f(x') = sum_k a_k^2 rho^k

so that one product of a fixed matrix with the values of `f` gives the average for every `rho`, and
its derivative by the covariance, `E f'(x) f'(x')`, too. Functions much steeper than the Gaussian is
wide need more terms than there are. What the missing ones sum to is known at `rho = 1`, with its
derivative: a single power of `rho` takes their place, and makes variances exact.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset.meanfield._gaussian import Integrand, gaussian_rule

Scalar = Float[Array, ""]
Lags = Float[Array, " lags"]

TERMS = 256
_SPACING = 0.03125
_REACH = 10.0
_SMALLEST = 1e-12
# Powers of rho^2 are formed one by one up to this, the rest by Horner's rule in blocks.
_BLOCK = 16


def _hermite_rule(
    terms: int,
) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, "terms nodes"]]:
    """Nodes `x >= 0`, and what to multiply values there by: `weight * polynomial`, doubled."""
    nodes = np.arange(0, _REACH + _SPACING / 2, _SPACING)
    weights = np.full(nodes.size, 2 * _SPACING)
    weights[0] = _SPACING
    root = np.exp(-(nodes**2) / 4) / (2 * np.pi) ** 0.25
    # Hermite functions, not polynomials: the recursion is stable and nothing overflows.
    functions = np.zeros((terms, nodes.size))
    functions[0] = root
    functions[1] = nodes * root
    for k in range(1, terms - 1):
        functions[k + 1] = nodes * functions[k] - np.sqrt(k) * functions[k - 1]
        functions[k + 1] /= np.sqrt(k + 1)
    return nodes, functions * root * weights


_NODES, _RULE = _hermite_rule(TERMS)
_EVEN_RULE, _ODD_RULE = _RULE[0::2], _RULE[1::2]
_DEGREES = np.arange(TERMS)


class PairAverage(eqx.Module):
    """`E f(x) f(x')` as a function of the covariance, for one variance.

    `even` and `odd` are the squares of the coefficients of the two parities; `excess` and `power`
    the sums and the exponents of what comes after them, even first.
    """

    variance: Scalar
    even: Float[Array, " terms"]
    odd: Float[Array, " terms"]
    excess: Float[Array, " 2"]
    power: Float[Array, " 2"]

    def __call__(self, covariance: Lags) -> Lags:
        """`E f(x) f(x')` at each covariance."""
        rho = _ratio(covariance, self.variance)
        size, square = jnp.abs(rho), rho**2
        tail_even, tail_odd = self.excess[:, None] * size ** self.power[:, None]
        body = _powers(self.even, square) + rho * _powers(self.odd, square)
        return body + tail_even + jnp.sign(rho) * tail_odd

    def derivative(self, covariance: Lags) -> Lags:
        """`E f'(x) f'(x')` at each covariance, the derivative of the former by it."""
        rho = _ratio(covariance, self.variance)
        size, square = jnp.abs(rho), rho**2
        degrees = jnp.asarray(_DEGREES)
        odd = degrees[1::2] * self.odd
        even = (degrees[0::2] * self.even)[1:]
        body = _powers(odd, square) + rho * _powers(jnp.append(even, 0.0), square)
        slope = (self.excess * self.power)[:, None] * size ** (self.power[:, None] - 1)
        tail_even, tail_odd = slope
        return (body + jnp.sign(rho) * tail_even + tail_odd) / self.variance


def pair_average(function: Integrand, slope: Integrand, variance: float | Scalar) -> PairAverage:
    """Average `f` over pairs of normal variables with this variance.

    **Arguments:** `function` and `slope`, its derivative, entry by entry; `variance`; 0 counts as
    1e-12.

    >>> import jax.numpy as jnp
    >>> squares = pair_average(lambda x: x**2, lambda x: 2 * x, 1.0)
    >>> [round(float(v), 10) for v in squares(jnp.array([-1.0, 0.0, 0.5]))]
    [3.0, 1.0, 1.5]
    """
    # Below this functions are straight lines, and derivatives by a variance of 0 would be 0 / 0.
    variance = jnp.maximum(jnp.asarray(variance, jnp.float64), _SMALLEST)
    deviation = jnp.sqrt(variance)
    even, odd = hermite_coefficients(function, deviation)
    excess, power = _tail(function, slope, deviation, even, odd)
    return PairAverage(variance, even**2, odd**2, excess, power)


def hermite_coefficients(
    function: Integrand, deviation: Scalar
) -> tuple[Float[Array, " terms"], Float[Array, " terms"]]:
    """Coefficients of `f(deviation x)` in normalised Hermite polynomials, even and odd ones."""
    up, down = function(deviation * _NODES), function(-deviation * _NODES)
    even, odd = jnp.asarray(_EVEN_RULE), jnp.asarray(_ODD_RULE)
    return even @ ((up + down) / 2), odd @ ((up - down) / 2)


def _tail(
    function: Integrand,
    slope: Integrand,
    deviation: Scalar,
    even: Float[Array, " terms"],
    odd: Float[Array, " terms"],
) -> tuple[Float[Array, " 2"], Float[Array, " 2"]]:
    """Sum and mean degree of the terms left out, from the averages of `f^2` and `f'^2`."""
    nodes, weights = gaussian_rule()
    x = deviation * nodes
    up, down = function(x), function(-x)
    up_slope, down_slope = slope(x), slope(-x)
    whole = jnp.stack([weights @ (up + down) ** 2, weights @ (up - down) ** 2]) / 4
    # The derivative of the even part is odd, and the other way round.
    growth = jnp.stack(
        [weights @ (up_slope - down_slope) ** 2, weights @ (up_slope + down_slope) ** 2]
    )
    degrees = jnp.asarray(_DEGREES)
    known = jnp.stack([jnp.sum(even**2), jnp.sum(odd**2)])
    known_growth = jnp.stack([degrees[0::2] @ even**2, degrees[1::2] @ odd**2])
    excess = jnp.maximum(whole - known, 0.0)
    # Where nothing but rounding is left, the mean degree means nothing.
    present = excess > 1e-13 * jnp.sum(whole)
    mean = (deviation**2 * growth / 4 - known_growth) / jnp.where(present, excess, 1.0)
    return jnp.where(present, excess, 0.0), jnp.where(present, jnp.maximum(mean, TERMS), TERMS)


def _ratio(covariance: Lags, variance: Scalar) -> Lags:
    return jnp.clip(covariance / variance, -1.0, 1.0)


def series(
    coefficients: Float[Array, "points terms"], rho: Float[Array, " points"]
) -> Float[Array, " points"]:
    """`sum_k coefficients[i, k] rho[i]^k` for each point."""
    first = _first_powers(rho)
    blocks = coefficients.reshape(rho.shape[0], -1, _BLOCK)
    return _horner(jnp.einsum("ibk,ki->bi", blocks, first), first[-1] * rho)


def _powers(coefficients: Float[Array, " terms"], x: Lags) -> Lags:
    """`sum_k coefficients[k] x^k`, as a product of matrices and a short recursion."""
    first = _first_powers(x)
    return _horner(coefficients.reshape(-1, _BLOCK) @ first, first[-1] * x)


def _first_powers(x: Lags) -> Float[Array, "block lags"]:
    powers, leap = jnp.ones_like(x)[None], x
    while powers.shape[0] < _BLOCK:
        powers = jnp.concatenate([powers, powers * leap])
        leap = leap * leap
    return powers


def _horner(blocks: Float[Array, "blocks lags"], leap: Lags) -> Lags:
    def add(total: Lags, block: Lags) -> tuple[Lags, None]:
        return total * leap + block, None

    return jax.lax.scan(add, jnp.zeros_like(leap), blocks, reverse=True)[0]
