"""Where fixed points appear, and where steep update gates no longer hold them: curves and planes.

All fixed points of an ensemble with a given output gate lie on one curve, which is explicit in
`u = gain sqrt(D)`, what `phi` sees: with `q = <unit(u x + state_bias)^2>`,

    D = q <sigma_r(sqrt(q) y)^2> + input_variance        gain = u / sqrt(D)

so that nothing is iterated: the gain at birth is a minimum along the curve, and a point at a given
gain one root.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from limitset._result import Evidence, InputProblem
from limitset.meanfield._checks import require_number, require_parameters
from limitset.meanfield._moments import moments
from limitset.meanfield._stability import stability_number
from limitset.networks import TANH_LOGISTIC, GatedParameters, Nonlinearity

Scalar = Float[Array, ""]
Curve = Float[Array, " points"]

# Logarithms of u. At the first, phi is straight up to a relative 1e-8.
_GRID = np.linspace(np.log(1e-4), np.log(1e4), 161)
_HALVINGS = 60


class PhaseCurves(eqx.Module):
    """Gains at which the phases change, as functions of the output gate; n -> infinity, float64.

    Arrays of one shape:

    - `critical_gain`: the zero state is stable below it.
    - `birth_gain`: fixed points other than zero exist above it. The two coincide where they
      appear continuously; else the wedge between them has a stable zero state beside fixed points.
    - `birth_variance`, `birth_stability`: of `h`, and `K`, of the point that appears; 0 and 1 where
      that is continuous.
    - `marginal_gain`: where `K open_fraction = 1` on the upper branch. Between birth and this gain
      fixed points are left at rates that vanish as update gates become switches. NaN where there
      is no such window, since `K open_fraction >= 1` at birth.
    """

    critical_gain: Float[np.ndarray, "..."]
    birth_gain: Float[np.ndarray, "..."]
    birth_variance: Float[np.ndarray, "..."]
    birth_stability: Float[np.ndarray, "..."]
    marginal_gain: Float[np.ndarray, "..."]
    evidence: Evidence = eqx.field(static=True, default=Evidence.FLOAT64)

    @property
    def has_wedge(self) -> Bool[np.ndarray, "..."]:
        """Where fixed points appear while the zero state is stable."""
        return np.asarray(self.birth_gain < self.critical_gain)


class PhasePlane(eqx.Module):
    """Fixed points other than zero over a plane of gains; n -> infinity, float64.

    Arrays of shape (output gains, gains):

    - `count`: how many there are.
    - `variance`, `stability`: of `h`, and `K`, at the one of largest variance; NaN without any.
    - `zero_stability`: `K` of the zero state.
    """

    count: Float[np.ndarray, "outputs gains"]
    variance: Float[np.ndarray, "outputs gains"]
    stability: Float[np.ndarray, "outputs gains"]
    zero_stability: Float[np.ndarray, "outputs gains"]
    evidence: Evidence = eqx.field(static=True, default=Evidence.FLOAT64)


def phase_curves(
    output_gain: Float[np.ndarray, "..."] | float,
    *,
    output_bias: Float[np.ndarray, "..."] | float = 0.0,
    open_fraction: float = 0.5,
    nonlinearity: Nonlinearity = TANH_LOGISTIC,
) -> PhaseCurves:
    """Critical gain, gain at birth and marginal gain for many output gates at once.

    **Arguments:** `output_gain` and `output_bias`, arrays that broadcast against each other;
    `open_fraction`, of update gates that are switches, `1/2` without an update bias;
    `nonlinearity`.

    **Returns:** `PhaseCurves`. For chaos see the dynamic theory: it may begin later than the fixed
    points do.

    **Raises:** `InputProblem` for entries that are not finite or gains that are negative.

    **Example:**

    >>> import numpy as np
    >>> curves = phase_curves(np.array([2.0, 10.0, 30.0]))
    >>> curves.birth_gain.round(5).tolist(), curves.marginal_gain.round(4).tolist()
    ([2.0, 1.75398, 1.57552], [4.2854, 2.1206, 1.5811])

    **Reference:** arXiv 2007.14823.
    """
    require_number("open_fraction", open_fraction, least=1e-3, most=1.0)
    gains, biases = np.broadcast_arrays(
        _finite("output_gain", output_gain, 0.0), _finite("output_bias", output_bias, -30.0)
    )
    flat = jnp.asarray(gains.ravel()), jnp.asarray(biases.ravel())
    found = _curves(*flat, jnp.asarray(open_fraction), nonlinearity)
    critical, birth, variance, stability, marginal = (
        np.asarray(part).reshape(gains.shape) for part in found
    )
    return PhaseCurves(critical, birth, variance, stability, marginal)


def phase_plane(
    gain: Float[np.ndarray, "..."],
    output_gain: Float[np.ndarray, "..."],
    *,
    output_bias: float = 0.0,
    input_variance: float = 0.0,
    nonlinearity: Nonlinearity = TANH_LOGISTIC,
) -> PhasePlane:
    """How many fixed points there are over a plane of gains, and how stable the largest is.

    **Arguments:** `gain` and `output_gain`, the axes; `output_bias`; `input_variance`, of constant
    inputs to `h`; `nonlinearity`.

    **Raises:** `InputProblem` for entries that are not finite, or gains that are not positive.

    **Example:**

    >>> import numpy as np
    >>> phase_plane(np.array([1.5, 1.9, 2.5]), np.array([0.0, 10.0])).count.tolist()
    [[0.0, 0.0, 1.0], [0.0, 2.0, 1.0]]
    """
    axes = _finite("gain", gain, 1e-8), _finite("output_gain", output_gain, 0.0)
    if axes[0].ndim != 1 or axes[1].ndim != 1:
        raise InputProblem(
            f"gain has shape {axes[0].shape} and output_gain {axes[1].shape}; give two vectors"
        )
    bias = require_number("output_bias", output_bias, least=-30.0)
    inputs = require_number("input_variance", input_variance)
    gains, outputs = jnp.asarray(axes[0]), jnp.asarray(axes[1])
    found = _plane(gains, outputs, jnp.asarray(bias), jnp.asarray(inputs), nonlinearity)
    count, variance, stability, zero_stability = (np.asarray(part) for part in found)
    return PhasePlane(count, variance, stability, zero_stability)


def marginal_gain(parameters: GatedParameters, *, open_fraction: float = 0.5) -> float:
    """The gain above which open update gates alone make the upper fixed point unstable.

    `K open_fraction = 1` there, with `K` as a function of the gain; the gain in `parameters`, and
    its update gate, do not matter. As a field of `phase_curves`, for one ensemble, with a state
    bias and with open gates.

    **Returns:** the gain, or NaN where `K open_fraction >= 1` as soon as there is a fixed point.

    >>> from limitset.networks import GatedParameters
    >>> round(marginal_gain(GatedParameters(open_output=True)), 5)
    3.27318
    """
    require_parameters(parameters)
    require_number("open_fraction", open_fraction, least=1e-3, most=1.0)
    return float(_curves_of(parameters, jnp.asarray(open_fraction))[4])


def _finite(name: str, value: object, least: float) -> Float[np.ndarray, "..."]:
    array = np.asarray(value, float)
    if array.size == 0 or not np.isfinite(array).all() or array.min() < least or array.max() > 1e6:
        raise InputProblem(f"{name} has entries that are not from {least:g} to 1e+06; change them")
    return array


def _along(
    parameters: GatedParameters, log_u: Scalar, input_variance: float | Scalar = 0.0
) -> tuple[Scalar, Scalar, Scalar]:
    """Logarithm of the gain, variance and stability number at one place of the curve."""
    seen = eqx.tree_at(lambda p: p.gain, parameters, jnp.exp(log_u))
    found = moments(seen, 1.0)
    variance = found.gate_variance * found.output + input_variance
    feedback = found.output + found.gate_variance * found.output_slope
    return log_u - jnp.log(variance) / 2, variance, found.slope / variance * feedback


def _bisect(function: Callable[[Scalar], Scalar], low: Scalar, high: Scalar) -> Scalar:
    """Where an increasing function is 0."""

    def halve(_: int, ends: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        middle = (ends[0] + ends[1]) / 2
        below = function(middle) < 0
        return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, (low, high))
    return (low + high) / 2


def _birth(
    parameters: GatedParameters, gains: Curve, input_variance: float | Scalar = 0.0
) -> tuple[Scalar, Bool[Array, ""]]:
    """Where the gain is least along the curve, as log u, and whether that is within the grid.

    `gains`: their logarithms on the grid.
    """
    grid = jnp.asarray(_GRID)
    k = jnp.argmin(gains)
    slope = jax.grad(lambda x: _along(parameters, x, input_variance)[0])
    low, high = grid[jnp.maximum(k - 1, 0)], grid[jnp.minimum(k + 1, grid.size - 1)]
    return _bisect(slope, low, high), (k > 0)


@eqx.filter_jit
def _curves_of(parameters: GatedParameters, open_fraction: Scalar) -> tuple[Scalar, ...]:
    p = eqx.tree_at(lambda q: q.gain, parameters, jnp.ones(()))
    zero = jnp.zeros(())
    critical = 1 / (p.nonlinearity.unit_slope(p.state_bias) * p.output_gate(zero))
    gains, _, stabilities = jax.vmap(lambda x: _along(p, x))(jnp.asarray(_GRID))
    at, inside = _birth(p, gains)
    log_gain, variance, stability = _along(p, at)
    gain = jnp.where(inside, jnp.exp(log_gain), critical)
    stability = jnp.where(inside, stability, 1.0)
    grid = jnp.asarray(_GRID)
    excess = stabilities * open_fraction - 1
    above = grid > jnp.where(inside, at, -jnp.inf)
    k = jnp.argmax(above & (excess > 0))
    low = jnp.where(inside, jnp.maximum(at, grid[k - 1]), grid[k - 1])
    marginal = _bisect(lambda x: _along(p, x)[2] * open_fraction - 1, low, grid[k])
    exists = (stability * open_fraction < 1) & (above & (excess > 0)).any()
    return (
        critical,
        gain,
        jnp.where(inside, variance, 0.0),
        stability,
        jnp.where(exists, jnp.exp(_along(p, marginal)[0]), jnp.nan),
    )


@eqx.filter_jit
def _curves(
    output_gain: Curve, output_bias: Curve, open_fraction: Scalar, nonlinearity: Nonlinearity
) -> tuple[Curve, ...]:
    def one(gain: Scalar, bias: Scalar) -> tuple[Scalar, ...]:
        p = GatedParameters(output_gain=gain, output_bias=bias, nonlinearity=nonlinearity)
        return _curves_of(p, open_fraction)

    return jax.lax.map(lambda pair: one(*pair), (output_gain, output_bias), batch_size=16)


@eqx.filter_jit
def _plane(
    gains: Float[Array, " gains"],
    output_gains: Float[Array, " outputs"],
    bias: Scalar,
    inputs: Scalar,
    nonlinearity: Nonlinearity,
) -> tuple[Float[Array, "outputs gains"], ...]:
    def row(output_gain: Scalar) -> tuple[Float[Array, " gains"], ...]:
        p = GatedParameters(
            gain=1.0, output_gain=output_gain, output_bias=bias, nonlinearity=nonlinearity
        )
        # With the least gain among the grid's points no pair of roots hides between two of them.
        along = jax.vmap(lambda x: _along(p, x, inputs)[0])(jnp.asarray(_GRID))
        birth = _birth(p, along, inputs)[0]
        grid = jnp.append(jnp.asarray(_GRID), birth)
        order = jnp.argsort(grid)
        along = jnp.append(along, _along(p, birth, inputs)[0])[order]
        return jax.vmap(lambda gain: _at_gain(p, gain, grid[order], along, inputs))(gains)

    return jax.lax.map(row, output_gains)


def _at_gain(
    parameters: GatedParameters, gain: Scalar, grid: Curve, along: Curve, inputs: Scalar
) -> tuple[Scalar, ...]:
    """Number of roots, and variance and stability number at the last."""
    excess = along - jnp.log(gain)
    crossings = (excess[1:] > 0) != (excess[:-1] > 0)
    last = grid.size - 2 - jnp.argmax(crossings[::-1])
    at = _bisect(
        lambda x: _along(parameters, x, inputs)[0] - jnp.log(gain), grid[last], grid[last + 1]
    )
    _, variance, stability = _along(parameters, at, inputs)
    some = crossings.any()
    here = eqx.tree_at(lambda p: p.gain, parameters, gain)
    return (
        crossings.sum().astype(float),
        jnp.where(some, variance, jnp.nan),
        jnp.where(some, stability, jnp.nan),
        stability_number(here, 0.0),
    )
