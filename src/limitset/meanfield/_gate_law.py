"""A gate with a normal argument, and averages that nearly diverge where an eigenvalue meets it."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from limitset.meanfield._gaussian import gaussian_rule
from limitset.networks import Nonlinearity

Scalar = Float[Array, ""]

# Beyond it every gate is 0 or 1 in float64.
_FURTHEST = 740.0
_HALVINGS = 60


class GateLaw(eqx.Module):
    """`s = gate(slope x + bias)` with `x` standard normal, or `s = 1` where the gate is open.

    **Arguments:** `slope`, the gate's gain times the standard deviation of what it hears; `bias`;
    `nonlinearity`, whose gate it is; `is_open`.
    """

    slope: Scalar
    bias: Scalar
    nonlinearity: Nonlinearity = eqx.field(static=True)
    is_open: bool = eqx.field(static=True, default=False)

    def level(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """`s` at some `x`."""
        if self.is_open:
            return jnp.ones_like(x)
        return self.nonlinearity.gate(self.slope * x + self.bias)

    def range(self) -> tuple[Scalar, Scalar]:
        """The least and the largest value of `s`; both are approached only, if they differ."""
        constant = self.level(jnp.zeros(()))
        still = jnp.asarray(self.slope == 0) | self.is_open
        return jnp.where(still, constant, 0.0), jnp.where(still, constant, 1.0)

    def average_near(
        self,
        integrand: Callable[[Float[Array, " nodes"], Float[Array, " nodes"]], Float[Array, "..."]],
        pole: Complex[Array, ""],
    ) -> Float[Array, "..."]:
        """`E integrand(x, s)` where the integrand changes fast near `s = pole`.

        The integrand may return several rows. On the segment of values that `s` takes, an
        integrand with a square of `s - pole` in its denominator has no average.
        """
        center, scale = self.steep_part(pole)
        nodes, weights = gaussian_rule(center, scale)
        return integrand(nodes, self.level(nodes)) @ weights

    def steep_part(self, pole: Complex[Array, ""]) -> tuple[Scalar, Scalar]:
        """Where `s` passes the pole, and how wide the peak is there, in units of `x`."""
        size = jnp.abs(pole)
        meets = (pole.real > 0) & (size < 1)
        at = gate_argument(self.nonlinearity, jnp.where(meets, size, jnp.minimum(size, 0.5)))
        flat = jnp.abs(self.slope) < 1e-9
        per_unit = 1 / jnp.where(flat, 1.0, self.slope)
        steepness = jnp.maximum(self.nonlinearity.gate_slope(at), 1e-300)
        width = jnp.where(meets, jnp.minimum(jnp.abs(pole.imag) / steepness, 2.0), 2.0)
        center = jnp.where(flat, 0.0, (at - self.bias) * per_unit)
        return center, jnp.where(flat, 0.004, jnp.clip(width * jnp.abs(per_unit), 1e-12, 0.004))


def gate_argument(nonlinearity: Nonlinearity, level: Scalar) -> Scalar:
    """Where a gate is at some level in (0, 1), by bisection: no inverse function is needed."""

    def halve(_: int, ends: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        low, high = ends
        middle = (low + high) / 2
        below = nonlinearity.gate(middle) < level
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    ends = (jnp.full((), -_FURTHEST), jnp.full((), _FURTHEST))
    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, ends)
    return (low + high) / 2


def resonance(law: GateLaw, eigenvalue: Complex[Array, ""]) -> Scalar:
    """`E s^2 / |eigenvalue + s|^2`; inf where `s` can be `-eigenvalue`, never NaN."""
    x, y = eigenvalue.real, eigenvalue.imag

    def share(_: Float[Array, " nodes"], s: Float[Array, " nodes"]) -> Float[Array, " nodes"]:
        # Neither gates nor eigenvalues are squared: both may be as small as 1e-290.
        distance = jnp.hypot(x + s, y)
        nowhere = distance == 0
        return jnp.where(nowhere, 1.0, s / jnp.where(nowhere, 1.0, distance)) ** 2

    mean = law.average_near(share, -eigenvalue)
    least, largest = law.range()
    inside = (least < -x) & (-x < largest)
    hit = (y == 0) & (inside | ((least == largest) & (-x == least)))
    return jnp.where(hit, jnp.inf, mean)
