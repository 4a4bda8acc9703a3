"""How densely the eigenvalues lie inside the bulk, at a mean-field fixed point.

With `A = phi' sr`, `B = phi sr'`, `C = phi'`, `t = 1 + output_time l`, the logarithm of the
determinant of `l - J`, per unit and up to terms without `l`, is

    U = 1/2 <log W> - 1/2 (a + b c / a)
    W = |l + sz|^2 |t|^2 + sz^2 |t|^2 (a A^2 + b C^2) + |l + sz|^2 c B^2 + sz^2 b c B^2 C^2

stationary in `a`, `b`, `c >= 0`, which vanish outside the bulk. `U` is the potential of the
eigenvalues, `G = 2 dU/dl` their field, and `dG/d(conj l) / pi` their density. Without feedback
through the output gate only `a` remains.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from limitset._result import InputProblem
from limitset.meanfield._checks import require_number
from limitset.meanfield._fixed_points import MeanFieldPoint
from limitset.meanfield._gate_law import GateLaw
from limitset.meanfield._gaussian import gaussian_rule
from limitset.meanfield._moments import steep_part
from limitset.meanfield._spectral_law import update_gate_law
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]
Triple = Float[Array, "z h r"]

# Half the numbers of nodes for z, h and r. A product of three rules has to be a small one.
_NODES_WITH_FEEDBACK = (60, 20, 20)
_NODES_WITHOUT = (60, 24, 0)
# Few nodes must not crowd where nothing is steep.
_WIDEST = 0.5
_SWEEPS, _NEWTON_STEPS = 12, 8
_DIFFERENCE = 1e-4


class _Units(eqx.Module):
    """Nodes and weights, and the gate and the squares of slopes there."""

    weight: Triple
    gate: Float[Array, "z 1 1"]
    direct: Float[Array, "1 h r"]
    feedback: Float[Array, "1 h r"]
    slope: Float[Array, "1 h 1"]


def log_potential(
    point: MeanFieldPoint, eigenvalues: Inexact[Array | np.ndarray, "..."]
) -> Float[np.ndarray, " k"]:
    """`U`: the mean of `log |l - eigenvalue|` over the modes of `h`, and of `r` where it is alive.

    Up to a constant. A statement about n -> infinity, in float64.

    **Arguments:** `point`, as from `fixed_points`; `eigenvalues`, where.
    """
    return np.asarray(_over(point, eigenvalues)[1])


def eigenvalue_density(
    point: MeanFieldPoint, eigenvalues: Inexact[Array | np.ndarray, "..."]
) -> Float[np.ndarray, " k"]:
    """Eigenvalues per area, as a part of `n`; 0 outside the bulk.

    Eigenvalues that all equal `-1 / update_time`, and `-1 / output_time` where the output gate is
    constant, are left out. By central differences of the field: 6 digits or so, fewer at the edge.

    **Arguments:** `point`, as from `fixed_points`; `eigenvalues`, where.

    **Example:** a disc, everywhere as dense

    >>> from limitset.networks import GatedParameters
    >>> from limitset.meanfield import fixed_points
    >>> zero = fixed_points(GatedParameters(gain=2.0))[0]  # centre -1/2, radius 1/2
    >>> (np.pi * eigenvalue_density(zero, np.array([-0.5, -0.3 + 0.2j, 0.3]))).round(4).tolist()
    [4.0, 4.0, 0.0]
    """
    at = np.asarray(eigenvalues, complex)
    right, left, above, below = (
        np.asarray(_over(point, at + _DIFFERENCE * step)[0]) for step in (1, -1, 1j, -1j)
    )
    slope = (right - left + 1j * (above - below)) / (4 * _DIFFERENCE)
    return np.maximum(slope.real / np.pi, 0.0)


def fraction_inside(
    point: MeanFieldPoint, *, center: float = 0.0, radius: float, points: int = 48
) -> float:
    """How many eigenvalues lie in a disc about a real centre, as a part of `n`.

    The integral of the field along the circle, divided by `2 pi i`.

    **Arguments:** `point`, as from `fixed_points`; `center`, `radius`, of the disc; `points`, of
    the upper half of the circle. Eigenvalues are left out as in `eigenvalue_density`.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> from limitset.meanfield import fixed_points
    >>> ensemble = GatedParameters(gain=3.0, update_gain=10.0, open_output=True)
    >>> round(fraction_inside(fixed_points(ensemble)[-1], radius=0.05), 3)
    0.362
    """
    require_number("center", center, least=-1e6)
    require_number("radius", radius, least=1e-12)
    if not isinstance(points, int) or points < 1:
        raise InputProblem(f"points is {points!r}; give a whole number, 1 or more")
    angles = np.pi * (np.arange(points) + 0.5) / points
    spoke = radius * np.exp(1j * angles)
    field = np.asarray(_over(point, center + spoke)[0])
    # The lower half is the mirror image.
    return float((field * spoke).real.mean())


def _over(
    point: MeanFieldPoint, eigenvalues: Inexact[Array | np.ndarray, "..."]
) -> tuple[Complex[Array, " k"], Float[Array, " k"]]:
    at = np.asarray(eigenvalues, complex)
    if at.ndim != 1 or not np.isfinite(at).all():
        raise InputProblem(f"eigenvalues have shape {at.shape}; give a vector of finite numbers")
    p = point.parameters
    feedback = not p.open_output and float(p.output_gain) != 0 and point.gate_variance > 0
    # Floats would be compiled in.
    variances = jnp.asarray(point.state_variance), jnp.asarray(point.gate_variance)
    return _field(p, *variances, jnp.asarray(at), feedback)


@eqx.filter_jit
def _field(
    parameters: GatedParameters,
    state_variance: Scalar,
    gate_variance: Scalar,
    eigenvalues: Complex[Array, " k"],
    feedback: bool,
) -> tuple[Complex[Array, " k"], Float[Array, " k"]]:
    """`G` and `U` at every eigenvalue."""
    halves = _NODES_WITH_FEEDBACK if feedback else _NODES_WITHOUT
    law = update_gate_law(parameters, gate_variance)

    def one(eigenvalue: Complex[Array, ""]) -> tuple[Complex[Array, ""], Scalar]:
        units = _units(parameters, state_variance, gate_variance, law, eigenvalue, halves)
        delay = 1 + parameters.output_time * eigenvalue if feedback else jnp.ones((), complex)
        order = _order_parameters(units, eigenvalue, jnp.abs(delay) ** 2)
        rate = parameters.output_time if feedback else jnp.zeros(())
        return _resolvent(units, eigenvalue, delay, rate, order)

    return jax.lax.map(one, eigenvalues)


def _units(
    parameters: GatedParameters,
    state_variance: Scalar,
    gate_variance: Scalar,
    law: GateLaw,
    eigenvalue: Complex[Array, ""],
    halves: tuple[int, int, int],
) -> _Units:
    p = parameters
    z, of_z = gaussian_rule(*law.steep_part(-eigenvalue), half=halves[0])
    near_h = steep_part(p.gain, p.state_bias, state_variance, widest=_WIDEST)
    near_r = steep_part(p.output_gain, p.output_bias, gate_variance, widest=_WIDEST)
    x, of_h = gaussian_rule(*near_h, half=halves[1])
    y, of_r = gaussian_rule(*near_r, half=halves[2]) if halves[2] else (jnp.zeros(1), jnp.ones(1))
    h, r = jnp.sqrt(state_variance) * x[:, None], jnp.sqrt(gate_variance) * y
    slope = p.phi_slope(h) ** 2
    return _Units(
        of_z[:, None, None] * of_h[:, None] * of_r,
        law.level(z)[:, None, None],
        (slope * p.output_gate(r) ** 2)[None],
        (p.phi(h) ** 2 * p.output_gate_slope(r) ** 2)[None],
        slope[None],
    )


def _inside(
    units: _Units, far: Float[Array, "z 1 1"], delay: Scalar, order: Float[Array, "3"]
) -> tuple[Triple, Float[Array, "1 h r"], Triple]:
    """`W`, and the parts of it that multiply `|l + sz|^2` and `|t|^2`."""
    a, b, c = order
    gate = units.gate**2
    with_far = delay + c * units.feedback
    with_delay = far + gate * (a * units.direct + b * units.slope)
    whole = far * with_far + gate * (
        a * delay * units.direct + b * units.slope * (delay + c * units.feedback)
    )
    return whole, with_far, with_delay


def _order_parameters(
    units: _Units, eigenvalue: Complex[Array, ""], delay: Scalar
) -> Float[Array, "3"]:
    """`a`, `b`, `c`, or 0 outside the bulk: sweeps until Newton's method can take over."""
    far = (eigenvalue.real + units.gate) ** 2 + eigenvalue.imag**2
    gate = units.gate**2

    def shares(order: Float[Array, "3"]) -> tuple[Scalar, Scalar, Scalar]:
        _, b, c = order
        share = units.weight / jnp.maximum(_inside(units, far, delay, order)[0], 1e-300)
        return (
            (share * gate * delay * units.direct).sum(),
            (share * gate * units.slope * (delay + c * units.feedback)).sum(),
            (share * units.feedback * (far + gate * b * units.slope)).sum(),
        )

    def sweep(_: int, order: Float[Array, "3"]) -> Float[Array, "3"]:
        x, y, w = shares(order)
        a = order[0] * (x + y * w)
        return jnp.stack([a, a * w, a * y])

    def errors(order: Float[Array, "3"]) -> Float[Array, "3"]:
        x, y, w = shares(order)
        return jnp.stack([x + y * w - 1, order[1] - order[0] * w, order[2] - order[0] * y])

    def newton(_: int, order: Float[Array, "3"]) -> Float[Array, "3"]:
        change = jnp.linalg.solve(jax.jacfwd(errors)(order), errors(order))
        return jnp.maximum(order - change, order / 4)

    order = jax.lax.fori_loop(0, _SWEEPS, sweep, jnp.array([1.0, 0.0, 0.0]))
    order = jax.lax.fori_loop(0, _NEWTON_STEPS, newton, order)
    x, y, w = shares(jnp.array([1e-12, 0.0, 0.0]))
    return jnp.where(x + y * w > 1, order, 0.0)


def _resolvent(
    units: _Units,
    eigenvalue: Complex[Array, ""],
    delay: Complex[Array, ""],
    rate: Scalar,
    order: Float[Array, "3"],
) -> tuple[Complex[Array, ""], Scalar]:
    distance = eigenvalue + units.gate
    far = jnp.abs(distance) ** 2
    whole, with_far, with_delay = _inside(units, far, jnp.abs(delay) ** 2, order)
    field = jnp.conj(distance) * with_far + rate * jnp.conj(delay) * with_delay
    a, b, c = order
    cost = a + b * c / jnp.where(a > 0, a, 1.0)
    safe = jnp.maximum(whole, 1e-300)
    return (units.weight * field / safe).sum(), ((units.weight * jnp.log(safe)).sum() - cost) / 2
