"""All fixed points of the mean-field equations, as roots of one scalar equation.

A fixed point has `h = J_h (phi(h) sigma_r(r)) + I`, `z = J_z phi(h)`, `r = J_r phi(h)`. In an
infinitely large network all three are normal, and the variance of `h` must reproduce itself.
"""

from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import Evidence
from limitset.meanfield._checks import require_number, require_parameters
from limitset.meanfield._moments import following_variance, moments
from limitset.meanfield._roots import all_roots, named
from limitset.meanfield._stability import stability_number
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]

# One number for all, so that nothing is compiled twice; about 25 points in a decade.
_POINTS = 401
# In units of 1 / gain^2. Below it phi is straight up to a relative 1e-12, far above rounding.
_SMALLEST = 1e-12


@dataclass(frozen=True)
class MeanFieldPoint:
    """One solution of the fixed-point equations: asymptotic (n -> infinity), in float64.

    **Arguments:**

    - `parameters`, `input_variance`: the ensemble.
    - `state_variance`: of `h`; `gate_variance`: of `z` and of `r`.
    - `stability_number`: `K`; below 1 the point is stable.
    - `branch`: `zero`, or `lower`, `middle`, `upper` in the order of their variances; a single one
      is `upper`.
    - `residual`: the relative error that is left in the equation.
    """

    parameters: GatedParameters
    input_variance: float
    state_variance: float
    gate_variance: float
    stability_number: float
    branch: str
    residual: float
    evidence: Evidence = field(default=Evidence.FLOAT64)

    @property
    def is_stable(self) -> bool:
        """Whether `stability_number < 1`. The update gate has no say in it."""
        return self.stability_number < 1


def fixed_points(
    parameters: GatedParameters, input_variance: float = 0.0
) -> tuple[MeanFieldPoint, ...]:
    """All fixed points of an infinitely large network, the smallest first.

    `D = <phi(sqrt(D) x)^2> <sigma_r(sqrt(q) y)^2> + input_variance`, `q = <phi(sqrt(D) x)^2>`, with
    `x` and `y` standard normal. Neither the update gate nor the time constants enter. The function
    `F(D) / D - 1` is looked at on a logarithmic grid, and at its extrema between the grid's points;
    Brent's method does the rest.

    **Arguments:** `parameters`, with biases or without; `input_variance`, of an input to `h` that
    is constant in time and normal across units.

    **Returns:** the points. The zero state is among them where it is a fixed point: without a
    `state_bias` and without inputs.

    **Raises:** `InputProblem` for numbers that are negative, not finite or enormous.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> points = fixed_points(GatedParameters(gain=1.9, output_gain=10.0))
    >>> [(p.branch, round(p.state_variance, 6), p.is_stable) for p in points]
    [('zero', 0.0, True), ('lower', 0.001762, False), ('upper', 0.079458, False)]

    **Reference:** arXiv 2007.14823.
    """
    require_parameters(parameters)
    inputs = require_number("input_variance", input_variance)
    # A float would be compiled in.
    traced = jnp.asarray(inputs)

    def excess(log_variance: float) -> float:
        return float(_excess(parameters, traced, jnp.asarray(log_variance)))

    grid = _grid(parameters, inputs)
    values = np.asarray(_excess_on(parameters, traced, jnp.asarray(grid)))
    roots = all_roots(excess, grid, values)
    found = [_point(parameters, inputs, *each) for each in named(roots)]
    if float(parameters.state_bias) == 0 and inputs == 0:
        found.insert(0, _point(parameters, inputs, 0.0, "zero"))
    return tuple(found)


@eqx.filter_jit
def _excess(parameters: GatedParameters, input_variance: Scalar, log_variance: Scalar) -> Scalar:
    """`F(D) / D - 1`."""
    variance = jnp.exp(log_variance)
    return following_variance(parameters, variance, input_variance) / variance - 1


@eqx.filter_jit
def _excess_on(
    parameters: GatedParameters, input_variance: Scalar, grid: Float[Array, " points"]
) -> Float[Array, " points"]:
    return jax.vmap(lambda x: _excess(parameters, input_variance, x))(grid)


def _grid(parameters: GatedParameters, input_variance: float) -> Float[np.ndarray, " points"]:
    """Logarithms of variances, beyond which there is no root."""
    smallest = _SMALLEST / float(parameters.gain) ** 2
    at_zero = float(following_variance(parameters, 0.0, input_variance))
    if at_zero > 0:
        smallest = min(smallest, at_zero / 2)
    # Units say at most 1 and gates let by at most 1.
    return np.linspace(np.log(smallest), np.log(1.001 * (1 + input_variance)), _POINTS)


def _point(
    parameters: GatedParameters, input_variance: float, variance: float, name: str
) -> MeanFieldPoint:
    stability, gate_variance, following = (
        float(part)
        for part in _describe(parameters, jnp.asarray(input_variance), jnp.asarray(variance))
    )
    return MeanFieldPoint(
        parameters=parameters,
        input_variance=input_variance,
        state_variance=variance,
        gate_variance=gate_variance,
        stability_number=stability,
        branch=name,
        residual=abs(following / variance - 1) if variance > 0 else abs(following),
    )


@eqx.filter_jit
def _describe(
    parameters: GatedParameters, input_variance: Scalar, variance: Scalar
) -> tuple[Scalar, Scalar, Scalar]:
    return (
        stability_number(parameters, variance),
        moments(parameters, variance).gate_variance,
        following_variance(parameters, variance, input_variance),
    )
