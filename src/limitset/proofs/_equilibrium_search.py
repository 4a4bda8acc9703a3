"""The search space of all equilibria: the states themselves, or the range of a low-rank weight."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset.networks import Form
from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._elementary import logistic, tanh
from limitset.proofs._rate_field import RateField
from limitset.proofs._tanh_system import TanhSystem

# Below this share of the largest singular value, a direction of the weight goes to the defect.
_NEGLIGIBLE = 1e-11


@dataclass(frozen=True)
class SearchSpace:
    """A system whose zeros hold all equilibria: `states` encloses those that a box of zeros means.

    Every equilibrium is among the states of some zero. The converse is not claimed.
    """

    system: TanhSystem
    states: Callable[[Ball], Ball]
    changes_states: bool


def search_space(field: RateField) -> SearchSpace:
    """The smallest system known to hold all equilibria of a rate network with positive leak.

    With `W = U V^T + E`, `z = V^T phi(x)` (Hopfield) or `z = V^T x` (firing rate) has as many
    entries as `U` has columns; `E phi(x)` or `E x` goes into a ball around the bias. The factors
    come from a float singular value decomposition, `E` encloses what they miss.
    """
    factors = _low_rank_factors(field.weight)
    if factors is None:
        return _full_space(field)
    U, V = Ball.exact(factors[0]), Ball.exact(factors[1])
    defect = (field.weight - U @ V.T).magnitude()
    # |phi| <= 1 for tanh and sigmoid, so |x| <= 1 / leak in the firing-rate form.
    missed = ball_sum(Ball.exact(defect), axis=1)
    if field.form is Form.FIRING_RATE:
        missed = missed / field.leak
    reach = missed.upper()
    offset = field.bias + Ball(np.zeros_like(reach), reach)
    zero = Ball.exact(np.zeros(U.shape[1]))
    if field.form is Form.FIRING_RATE:
        system = _as_tanh(field, field.leak, V.T, U, offset, zero)

        def states(z: Ball) -> Ball:
            return _activation(field, z @ U.T + offset) / field.leak
    else:
        system = _as_tanh(field, 1.0, V.T, U / field.leak, offset / field.leak, zero)

        def states(z: Ball) -> Ball:
            return (z @ U.T + offset) / field.leak

    return SearchSpace(system, states, True)


def _full_space(field: RateField) -> SearchSpace:
    """States (Hopfield), or inputs to the units `y = W x + b` (firing rate).

    `leak x = phi(W x + b)` makes `leak y = W phi(y) + leak b`, and `x = phi(y) / leak`: the same
    system, in which every row of `W` couples all unknowns.
    """
    identity, zero = Ball.exact(np.eye(field.size)), Ball.exact(np.zeros(field.size))
    if field.form is Form.HOPFIELD:
        system = _as_tanh(field, field.leak, field.weight, identity, zero, field.bias)
        return SearchSpace(system, lambda z: z, False)
    drive = field.bias * field.leak
    system = _as_tanh(field, field.leak, field.weight, identity, zero, drive)
    return SearchSpace(system, lambda y: _activation(field, y) / field.leak, True)


def _activation(field: RateField, y: Ball) -> Ball:
    return tanh(y) if field.is_tanh else logistic(y)


def _as_tanh(field: RateField, leak: float, A: Ball, C: Ball, c: Ball, d: Ball) -> TanhSystem:
    """`leak z = A phi(C z + c) + d`; `logistic(y) = 1/2 + tanh(y/2) / 2`."""
    if field.is_tanh:
        return TanhSystem(leak, A, C, c, d)
    half = A * 0.5
    return TanhSystem(leak, half, C * 0.5, c * 0.5, d + ball_sum(half, axis=1))


def _low_rank_factors(
    weight: Ball,
) -> tuple[Float[np.ndarray, "n r"], Float[np.ndarray, "n r"]] | None:
    """Float factors of the weight, if its numerical rank is at most half its size."""
    try:
        left, values, right = np.linalg.svd(weight.mid)
    except np.linalg.LinAlgError:
        return None
    rank = int(np.count_nonzero(values > _NEGLIGIBLE * values[0]))
    if not 0 < 2 * rank <= len(values):
        return None
    # Equal shares keep both factors, and the boxes of z, at moderate sizes.
    share = np.sqrt(values[:rank])
    return left[:, :rank] * share, right[:rank].T * share
