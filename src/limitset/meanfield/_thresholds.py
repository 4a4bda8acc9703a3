"""How steep an output gate must be to turn transitions round: closed forms, from small amplitudes.

With `unit(x) = x - c x^3 + ...` and variances small, a fixed point near zero has

    D = g^2 s^2 D (1 - 6 c g^2 D + (A + B) g^2 D),    A = alpha^2 s''/s,    B = alpha^2 (s'/s)^2

where `s` is the output gate at 0 and `s'`, `s''` are its derivatives by its argument. For chaos,
`A + 2 B / 3` takes the place of `A + B`, because `r` is correlated with itself for a finite time
only; for the stability number under an input it is `A + 2 B`.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from limitset._result import InputProblem
from limitset.meanfield._checks import require_number
from limitset.networks import TANH_LOGISTIC, Nonlinearity


@dataclass(frozen=True)
class OutputGainThresholds:
    """Output gains above which something happens first below the critical gain, or inf for never.

    **Arguments:**

    - `fixed_points`: above, fixed points appear at gains at which the zero state is stable.
    - `chaos`: above, chaos does, so that the transition is discontinuous.
    - both are local: of large amplitudes either may happen below the threshold, or without one.
    - `input_instability`: above, a weak constant input raises the stability number.
    """

    fixed_points: float
    chaos: float
    input_instability: float


def output_gain_thresholds(
    output_bias: float = 0.0, *, nonlinearity: Nonlinearity = TANH_LOGISTIC
) -> OutputGainThresholds:
    """The three thresholds, for any bias of the output gate.

    For tanh and the logistic gate with `s = sigma(output_bias)` they are the positive roots of

    - `fixed_points`: `(1-s) (2-3s) alpha^2 = 2`, at `s = 1/2` the root of 8
    - `chaos`: `(1-s) (5-8s) alpha^2 = 6`, at `s = 1/2` the root of 12
    - `input_instability`: `(1-s) (3-4s) alpha^2 = 2`, at `s = 1/2` 2

    and infinite for `s` of 2/3, 5/8 and 3/4 or more. Neither the update gate nor time constants
    enter. Closed forms for n -> infinity, of small amplitudes: with `output_bias = 0.7` there is no
    threshold, and still at `output_gain = 20` fixed points of finite size exist from gain 1.4913,
    where the zero state is stable up to 1.4966 (`limitset.proofs.prove_phase_boundary`).

    **Raises:** `InputProblem` for a bias that is no finite number or leaves the gate shut.

    **Example:**

    >>> found = output_gain_thresholds(-1.0)
    >>> [round(x, 4) for x in (found.fixed_points, found.chaos, found.input_instability)]
    [1.5142, 1.6974, 1.1924]

    **Reference:** arXiv 2007.14823.
    """
    bias = jnp.asarray(require_number("output_bias", output_bias, least=-1e8), jnp.float64)
    if not isinstance(nonlinearity, Nonlinearity):
        raise InputProblem(
            f"nonlinearity is a {type(nonlinearity).__name__}; give TANH_LOGISTIC or ERF_PROBIT"
        )
    zero = jnp.zeros(())
    level, slope = nonlinearity.gate(bias), nonlinearity.gate_slope(bias)
    if not (float(level) > 0 and float(slope) ** 2 > 0):
        raise InputProblem(
            f"output_bias is {float(bias):g}, where the gate is constant in float64; give a bias "
            "at which it can change"
        )
    curved = float(jax.grad(nonlinearity.gate_slope)(bias) / level)
    fed_back = float(slope / level) ** 2
    saturation = -float(jax.grad(nonlinearity.unit_curvature)(zero) / nonlinearity.unit_slope(zero))

    def threshold(share: float) -> float:
        effect = curved + share * fed_back
        # What rounding leaves of a sum that vanishes is no effect.
        rounding = 1e-14 * (abs(curved) + share * fed_back)
        return math.sqrt(saturation / effect) if effect > rounding else math.inf

    return OutputGainThresholds(threshold(1.0), threshold(2 / 3), threshold(2.0))
