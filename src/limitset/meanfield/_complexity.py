"""How many fixed points a network has: the exponent per unit, in two readings.

The number of fixed points of `n` units grows as `exp(n Sigma)`. By the Kac-Rice formula it needs
the typical determinant of the Jacobian, per unit

    L = 1/2 <log(1 + a A^2 + b C^2 + c B^2 + b c B^2 C^2)> - 1/2 (a + b c / a)

with `A = phi' sigma_r`, `B = phi sigma_r'`, `C = phi'`, stationary in positive `a`, `b`, `c`.
"""

import enum
from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import root

from limitset._result import Evidence
from limitset.meanfield._fixed_points import MeanFieldPoint
from limitset.meanfield._gaussian import gaussian_rule
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]
# Of A, B and C at pairs of nodes.
Squares = tuple[Float[Array, "h r"], Float[Array, "h r"], Float[Array, "h r"]]

_SWEEPS = 60
_TOLERANCE = 1e-9


class ComplexityVerdict(enum.Enum):
    """Whether the conditions on the order parameters were solved.

    `TRIVIAL`: the point is stable, the only solution is zero.
    """

    SOLVED = "solved"
    TRIVIAL = "trivial"
    NOT_FOUND = "not_found"


@dataclass(frozen=True)
class Complexity:
    """Exponent of the number of fixed points, per unit; a statement about n -> infinity, float64.

    **Arguments:**

    - `value`: `Sigma`; NaN where nothing was found.
    - `state_variance`, `gate_variance`: of `h` and `r` in the points that are counted.
    - `order_parameters`: `a`, `b`, `c`.
    - `residual`: the largest error of the conditions.
    - `verdict`: whether that is small enough.
    """

    value: float
    state_variance: float
    gate_variance: float
    order_parameters: tuple[float, float, float]
    residual: float
    verdict: ComplexityVerdict
    evidence: Evidence = field(default=Evidence.FLOAT64)


def mean_field_complexity(point: MeanFieldPoint) -> Complexity:
    """`L` in the normal law of a mean-field fixed point; positive exactly where `K > 1`.

    It counts with the law of one kind of fixed point given, and leaves out what it costs the
    couplings to have as many others: see `annealed_complexity`, which differs by a factor of two or
    three. Both say where there are many.

    **Arguments:** `point`, as from `fixed_points`.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> from limitset.meanfield import fixed_points
    >>> vanilla = GatedParameters(gain=2.0, open_output=True)
    >>> round(mean_field_complexity(fixed_points(vanilla)[-1]).value, 6)
    0.010683

    **Reference:** arXiv 1210.5082 for networks without gates; arXiv 2007.14823.
    """
    p = point.parameters
    law = jnp.asarray([point.state_variance, point.gate_variance])
    if point.is_stable:
        zero, verdict = (0.0, 0.0, 0.0), ComplexityVerdict.TRIVIAL
        return Complexity(0.0, float(law[0]), float(law[1]), zero, 0.0, verdict)
    start = _swept(p, law)
    found = root(
        lambda x: np.asarray(_conditions(p, law, jnp.asarray(x))),
        np.asarray(start),
        jac=lambda x: np.asarray(_conditions_slope(p, law, jnp.asarray(x))),
        tol=1e-14,
    )
    parameters = jnp.asarray(found.x)
    residual = float(np.abs(np.asarray(_conditions(p, law, parameters))).max())
    solved = residual < _TOLERANCE and found.x[0] > 0
    return Complexity(
        float(_determinant(p, law, parameters)) if solved else float("nan"),
        float(law[0]),
        float(law[1]),
        (float(found.x[0]), float(found.x[1]), float(found.x[2])),
        residual,
        ComplexityVerdict.SOLVED if solved else ComplexityVerdict.NOT_FOUND,
    )


def annealed_complexity(point: MeanFieldPoint) -> Complexity:
    """The exponent of the expected number of fixed points, over their law too.

    With `m`, `q` the second moments of `phi sigma_r` and of `phi` in a fixed point, multipliers
    `M`, `Q` that hold them there, and `W` the argument of the logarithm in `L`,

        log int N(h; 0, m) N(r; 0, q) exp(M (phi^2 sigma_r^2 - m) + Q (phi^2 - q)) W^(1/2) dh dr
            - 1/2 (a + b c / a)

    stationary in all seven. The points that dominate have another law than the mean-field one.

    **Arguments:** `point`, from which Newton's method starts.

    **Returns:** a `Complexity`. Near the birth of a pair of points no solution is found: the
    verdict says so, and the value is NaN.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> from limitset.meanfield import fixed_points
    >>> vanilla = GatedParameters(gain=2.0, open_output=True)
    >>> found = annealed_complexity(fixed_points(vanilla)[-1])
    >>> round(found.value, 6), round(found.state_variance, 4)
    (0.024825, 0.3849)

    **Reference:** arXiv 1210.5082 for networks without gates; the gated form is limitset's own.
    """
    p = point.parameters
    first = mean_field_complexity(point)
    if first.verdict is not ComplexityVerdict.SOLVED:
        return first
    start = [np.log(first.state_variance), np.log(first.gate_variance), 0.0, 0.0]
    found = root(
        lambda x: np.asarray(_balance(p, jnp.asarray(x))),
        np.array([*start, *first.order_parameters]),
        jac=lambda x: np.asarray(_balance_slope(p, jnp.asarray(x))),
        tol=1e-13,
    )
    residual = float(np.abs(np.asarray(_balance(p, jnp.asarray(found.x)))).max())
    value, order = float(_annealed(p, jnp.asarray(found.x))), found.x[4:]
    solved = residual < _TOLERANCE and bool(order[0] > 0) and value > 0
    return Complexity(
        value if solved else float("nan"),
        float(np.exp(found.x[0])),
        float(np.exp(found.x[1])),
        (float(order[0]), float(order[1]), float(order[2])),
        residual,
        ComplexityVerdict.SOLVED if solved else ComplexityVerdict.NOT_FOUND,
    )


def _squares(
    parameters: GatedParameters, law: Float[Array, "2"]
) -> tuple[Float[Array, "h r"], Squares]:
    """Weights of pairs of nodes, and `A^2`, `B^2`, `C^2` there."""
    p = parameters
    nodes, weights = gaussian_rule()
    h, r = jnp.sqrt(law[0]) * nodes[:, None], jnp.sqrt(law[1]) * nodes
    slope = p.phi_slope(h) ** 2
    direct = slope * p.output_gate(r) ** 2
    feedback = p.phi(h) ** 2 * p.output_gate_slope(r) ** 2
    return weights[:, None] * weights, (direct, feedback, jnp.broadcast_to(slope, direct.shape))


def _inside(squares: Squares, parameters: tuple[Scalar, Scalar, Scalar]) -> Float[Array, "h r"]:
    """The argument of the logarithm."""
    direct, feedback, slope = squares
    a, b, c = parameters
    return (1 + b * slope) * (1 + c * feedback) + a * direct


@eqx.filter_jit
def _determinant(
    parameters: GatedParameters, law: Float[Array, "2"], order: Float[Array, "3"]
) -> Scalar:
    """`L`."""
    weights, squares = _squares(parameters, law)
    a, b, c = order
    logarithm = jnp.log(_inside(squares, (a, b, c)))
    return ((weights * logarithm).sum() - a - b * c / a) / 2


@eqx.filter_jit
def _conditions(
    parameters: GatedParameters, law: Float[Array, "2"], order: Float[Array, "3"]
) -> Float[Array, "3"]:
    """Derivatives of `L`, rearranged so that they stay finite where there is no feedback."""
    x, y, w = _shares(parameters, law, order)
    a, b, c = order
    return jnp.stack([x + y * w - 1, b - a * w, c - a * y])


@eqx.filter_jit
def _conditions_slope(
    parameters: GatedParameters, law: Float[Array, "2"], order: Float[Array, "3"]
) -> Float[Array, "3 3"]:
    return jax.jacfwd(lambda x: _conditions(parameters, law, x))(order)


@eqx.filter_jit
def _swept(parameters: GatedParameters, law: Float[Array, "2"]) -> Float[Array, "3"]:
    """Order parameters near the solution: all conditions but that on `a` hold exactly."""

    def sweep(_: int, order: Float[Array, "3"]) -> Float[Array, "3"]:
        x, y, w = _shares(parameters, law, order)
        a = order[0] * (x + y * w)
        return jnp.stack([a, a * w, a * y])

    return jax.lax.fori_loop(0, _SWEEPS, sweep, jnp.array([1.0, 0.0, 0.0]))


def _shares(
    parameters: GatedParameters, law: Float[Array, "2"], order: Float[Array, "3"]
) -> tuple[Scalar, Scalar, Scalar]:
    weights, squares = _squares(parameters, law)
    return _weighted_shares(weights, squares, order)


def _weighted_shares(
    weights: Float[Array, "h r"], squares: Squares, order: Float[Array, "3"]
) -> tuple[Scalar, Scalar, Scalar]:
    direct, feedback, slope = squares
    a, b, c = order
    share = weights / _inside(squares, (a, b, c))
    return (
        (share * direct).sum(),
        (share * slope * (1 + c * feedback)).sum(),
        (share * feedback * (1 + b * slope)).sum(),
    )


def _tilted(
    parameters: GatedParameters, x: Float[Array, "7"]
) -> tuple[Float[Array, "h r"], Squares, Array, Array]:
    """The weights of the law of the points that dominate, the squares, `phi^2` and `sigma_r^2`."""
    law, (state_force, gate_force), order = jnp.exp(x[:2]), x[2:4], x[4:]
    weights, squares = _squares(parameters, law)
    nodes, _ = gaussian_rule()
    unit = parameters.phi(jnp.sqrt(law[0]) * nodes[:, None]) ** 2
    output = parameters.output_gate(jnp.sqrt(law[1]) * nodes) ** 2
    exponent = state_force * (unit * output - law[0]) + gate_force * (unit - law[1])
    inside = _inside(squares, (order[0], order[1], order[2]))
    return weights * jnp.exp(exponent) * jnp.sqrt(inside), squares, unit, output


@eqx.filter_jit
def _annealed(parameters: GatedParameters, x: Float[Array, "7"]) -> Scalar:
    return jnp.log(_tilted(parameters, x)[0].sum()) - (x[4] + x[5] * x[6] / x[4]) / 2


@eqx.filter_jit
def _balance(parameters: GatedParameters, x: Float[Array, "7"]) -> Float[Array, "7"]:
    """The seven conditions: each second moment is what it says, each force holds it there."""
    (state, gate), order = jnp.exp(x[:2]), x[4:]
    weights, squares, unit, output = _tilted(parameters, x)
    weights = weights / weights.sum()
    nodes, _ = gaussian_rule()
    near, far, fed_back = _weighted_shares(weights, squares, order)
    return jnp.stack(
        [
            (weights * unit * output).sum() / state - 1,
            (weights * unit).sum() / gate - 1,
            ((weights * nodes[:, None] ** 2).sum() - 1) / 2 - x[2] * state,
            ((weights * nodes**2).sum() - 1) / 2 - x[3] * gate,
            near + far * fed_back - 1,
            order[1] - order[0] * fed_back,
            order[2] - order[0] * far,
        ]
    )


@eqx.filter_jit
def _balance_slope(parameters: GatedParameters, x: Float[Array, "7"]) -> Float[Array, "7 7"]:
    return jax.jacfwd(lambda y: _balance(parameters, y))(x)
