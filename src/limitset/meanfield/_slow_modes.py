"""How many modes are slow: the design rule for update gates."""

import math

import jax.numpy as jnp
from scipy.special import ndtr, ndtri

from limitset._result import InputProblem
from limitset.meanfield._checks import require_number
from limitset.meanfield._fixed_points import MeanFieldPoint
from limitset.meanfield._gate_law import gate_argument
from limitset.networks import GatedParameters


def slow_mode_fraction(point: MeanFieldPoint, width: float) -> float:
    """The part of `n` modes whose eigenvalue is smaller than `width`: `P(sigma_z < width)`.

    `Phi((y - update_bias) / (update_gain sqrt(gate_variance)))`, where `y` is the gate's argument
    at the level `width` and `Phi` the normal distribution function. The rule counts units, not
    eigenvalues: exact in the limit of a steep gate, good to a few hundredths before it. See
    `fraction_inside` for eigenvalues.

    **Arguments:** `point`, as from `fixed_points`; `width`, between 0 and 1, per unit of time.

    **Raises:** `InputProblem` for a width that no gate has.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> from limitset.meanfield import fixed_points
    >>> ensemble = GatedParameters(gain=3.0, update_gain=10.0, open_output=True)
    >>> round(slow_mode_fraction(fixed_points(ensemble)[-1], 0.05), 3)
    0.363

    **Reference:** arXiv 2007.14823.
    """
    p = point.parameters
    argument = _argument(p, width)
    if p.open_update:
        return 0.0
    spread = abs(float(p.update_gain)) * math.sqrt(point.gate_variance)
    distance = argument - float(p.update_bias)
    return float(ndtr(distance / spread)) if spread > 0 else float(distance > 0)


def update_gain_for_slow_fraction(point: MeanFieldPoint, *, width: float, fraction: float) -> float:
    """The update gain at which `slow_mode_fraction(point, width)` is `fraction`.

    `(y - update_bias) / (sqrt(gate_variance) PhiInverse(fraction))`, with `y` the gate's argument
    at the level `width`. The point does not depend on its own update gain.

    **Arguments:** `point`, of any update gain, whose bias counts; `width` and `fraction`, both
    between 0 and 1.

    **Raises:** `InputProblem` where no gain gives that fraction: at `update_bias=0` for a half and
    more, and at the zero state, where gates hear nothing.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> from limitset.meanfield import fixed_points
    >>> point = fixed_points(GatedParameters(gain=3.0, open_output=True))[-1]
    >>> round(update_gain_for_slow_fraction(point, width=0.05, fraction=0.363), 1)
    10.0
    """
    p = point.parameters
    require_number("fraction", fraction, most=1.0)
    distance = _argument(p, width) - float(p.update_bias)
    if p.open_update or point.gate_variance == 0:
        raise InputProblem(
            "the update gate is open or hears nothing at this point; give a point other than the "
            "zero state, of an ensemble whose update gate is not open"
        )
    needed = float(ndtri(fraction))
    if not distance * needed > 0 or math.isinf(needed):
        side = "below" if distance < 0 else "above"
        raise InputProblem(
            f"fraction is {fraction}; with update_bias={float(p.update_bias):g} and "
            f"width={width:g} gains give fractions {side} 1/2 only: change the fraction or the bias"
        )
    return distance / (needed * math.sqrt(point.gate_variance))


def _argument(parameters: GatedParameters, width: float) -> float:
    require_number("width", width, most=1.0)
    if not 0 < width < 1:
        raise InputProblem(f"width is {width}; gates lie between 0 and 1, and so must the width")
    return float(gate_argument(parameters.nonlinearity, jnp.asarray(width, jnp.float64)))
