"""Flips of maps: a multiplier crosses -1, and a cycle of period two branches off."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset.dynamics import Field
from limitset.proofs._ball import Ball
from limitset.proofs._critical import (
    RealPair,
    count_unstable,
    inner,
    joined,
    real_critical_zero,
    real_pair,
    refusing,
    require_candidate,
    second,
    third,
    undecided_coefficient,
    undecided_speed,
)
from limitset.proofs._linalg import verified_solve
from limitset.proofs._parametric import ParametricField
from limitset.proofs._refusal import Refusal
from limitset.proofs._selftest import require_sound_arithmetic

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Flip:
    """A proved flip (period doubling).

    The balls hold a fixed point `state` at `parameter` with `J q = -q`, only one with `q` near that
    of the proof; -1 is a simple multiplier and no other lies on the unit circle. On the centre
    manifold
    `y+ = (-1 + speed (a - a*)) y + coefficient y^3 + ...` for `|q|_2 = 1` and derivatives without
    factorials; `speed` is `dlambda/da`. `unstable` counts the multipliers outside the circle.
    With `weight_radius` above 0 all of this holds for every map whose arrays are that near, entry
    by entry.
    """

    parameter: Ball
    state: Ball
    speed: Ball
    coefficient: Ball
    unstable: int
    weight_radius: float = 0.0

    @property
    def is_supercritical(self) -> bool:
        """Whether `coefficient > 0`: the cycle of period two attracts within the centre
        manifold."""
        return bool(self.coefficient.lower() > 0)

    @property
    def cycles_above(self) -> bool:
        """Whether the cycle of period two exists for parameters above, and none nearby below; or
        the reverse."""
        return self.is_supercritical == bool(self.speed.upper() < 0)

    @property
    def cycles_are_stable(self) -> bool:
        """Whether it attracts in all directions."""
        return self.is_supercritical and self.unstable == 0


@refusing
def prove_flip(
    field: Field,
    parameter: float,
    state: Vector,
    vector: Vector,
    *,
    weight_radius: float = 0.0,
) -> Flip | Refusal:
    """Prove a flip of the map `x+ = f(x, a)` near a candidate.

    1. A regular zero of `(phi.v - 1, f - x, J v + v)` by the Krawczyk test.
    2. Discs of the spectrum of `J`: all but one isolated disc miss the unit circle.
    3. `dlambda/da = p.(f_xa q + B(q, x'))` with `x' = (I - J)^-1 f_a` excludes 0.
    4. `c = p.[C(q,q,q) + 3 B(q, (I - J)^-1 B(q,q))] / 6` excludes 0, for `|q|_2 = 1`, `p.q = 1`.

    **Arguments:**

    - `field`: the map `f(x, a)` in JAX, three times differentiable on balls.
    - `parameter`, `state` (n,), `vector` (n,): the candidate; nothing of it is trusted.
    - `weight_radius`: prove it for every map whose arrays differ by at most this, entry by
      entry; single numbers stay as they are.

    **Returns:** the flip, or a refusal with its reason.

    **Raises:** `InputProblem` for numbers that are not finite.

    **Example:** the logistic map doubles its period at 3.

    >>> logistic = lambda x, r: r * x * (1 - x)
    >>> flip = prove_flip(logistic, 3.01, np.array([0.66]), np.array([1.0]))
    >>> flip.parameter.mid.round(9), flip.coefficient.mid.round(9), flip.cycles_above
    (np.float64(3.0), np.float64(9.0), True)

    **Source:** Y. A. Kuznetsov, Elements of Applied Bifurcation Theory, sections 4.5 and 5.4.
    """
    require_sound_arithmetic()
    require_candidate((parameter,), state, vector)
    system = ParametricField(field, weight_radius)
    zero = real_critical_zero(field, system, parameter, state, vector, still=1.0, eigenvalue=-1.0)
    if isinstance(zero, Refusal):
        return zero
    a, x, v = zero
    y = joined(x, a)
    derivative = system.jacobian(y)
    J = derivative[:, :-1]
    unstable = count_unstable(J, 1, discrete=True)
    if isinstance(unstable, Refusal):
        return unstable
    pair = real_pair(J, -1.0, v)
    # 1 is no multiplier: only -1 lies on the circle.
    resting = np.eye(len(x)) - J
    along = joined(verified_solve(resting, derivative[:, -1]), Ball.exact(1.0))
    speed = inner(pair.left, second(system, y, pair.q, along))
    if not speed.mignitude() > 0:
        return undecided_speed(speed)
    coefficient = _coefficient(system, y, resting, pair)
    if not coefficient.mignitude() > 0:
        return undecided_coefficient(coefficient)
    return Flip(a, x, speed, coefficient, unstable, weight_radius)


def _coefficient(system: ParametricField, y: Ball, resting: Ball, pair: RealPair) -> Ball:
    q = pair.q
    bent = verified_solve(resting, second(system, y, q, q))
    return inner(pair.left, third(system, y, q) + second(system, y, q, bent) * 3.0) / 6.0
