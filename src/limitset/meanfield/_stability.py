"""Numbers that decide about the stability of a state, from the parameters alone."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.meanfield._checks import require_parameters, require_variance
from limitset.meanfield._moments import moments
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]


def stability_number(parameters: GatedParameters, state_variance: float | Scalar) -> Scalar:
    """`K = <phi'^2> (<sigma_r^2> + <phi^2> <sigma_r'^2>)`; a fixed point is stable if `K < 1`.

    The second term is the feedback through the output gate. For `K > 1` the point is unstable
    whatever the update gate does; a steep update gate only makes the growth slow. A statement about
    n -> infinity, in float64; may be compiled, mapped over parameters and differentiated.

    **Arguments:** `parameters`; `state_variance` of `h`, as from `fixed_points`.

    **Raises:** `InputProblem` for a variance that is negative or not finite.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> round(float(stability_number(GatedParameters(gain=3.0, output_gain=10.0), 0.237655)), 4)
    2.829

    **Reference:** arXiv 2007.14823.
    """
    require_variance(parameters, state_variance)
    found = moments(parameters, state_variance)
    return found.slope * (found.output + found.gate_variance * found.output_slope)


def critical_gain(parameters: GatedParameters) -> float:
    """The gain at which the zero state loses stability, `1 / (phi'(0) sigma_r(0))`.

    Closed form. It depends on the bias of the output gate alone; without one it is 2, and 1 where
    the gate is open.

    **Raises:** `InputProblem` where there is a `state_bias`: zero is no fixed point then.

    >>> from limitset.networks import GatedParameters
    >>> critical_gain(GatedParameters(output_gain=7.0))
    2.0
    >>> critical_gain(GatedParameters(open_output=True))
    1.0
    """
    _require_zero_state(parameters)
    zero = jnp.zeros(())
    return float(1 / (parameters.nonlinearity.unit_slope(zero) * parameters.output_gate(zero)))


def zero_state_edge(parameters: GatedParameters) -> float:
    """The largest real part in the bulk of the zero state's spectrum, `a (g s - 1)`.

    The bulk is a disc with centre `-a` and radius `a g s`, where `a` and `s` are the update and the
    output gate at 0. Eigenvalues `-1 / update_time` and `-1 / output_time` lie beside it. Closed
    form, for n -> infinity; in one network the edge varies by about `1 / sqrt(n)`.

    **Raises:** `InputProblem` where there is a `state_bias`: zero is no fixed point then.

    >>> from limitset.networks import GatedParameters
    >>> zero_state_edge(GatedParameters(gain=2.2, update_gain=10.0, output_gain=10.0))
    0.05...
    """
    gain = float(parameters.gain) / critical_gain(parameters)
    return float(parameters.update_gate(jnp.zeros(()))) * (gain - 1)


def _require_zero_state(parameters: GatedParameters) -> None:
    require_parameters(parameters)
    if float(parameters.state_bias) != 0:
        raise InputProblem(
            f"state_bias is {float(parameters.state_bias)}, so that zero is no fixed point; use "
            "fixed_points for those there are"
        )
