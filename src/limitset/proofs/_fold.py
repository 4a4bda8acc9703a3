"""Folds: two equilibria of a flow, or two fixed points of a map, that meet and vanish."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset.dynamics import Field
from limitset.proofs._ball import Ball
from limitset.proofs._critical import (
    count_unstable,
    inner,
    joined,
    real_critical_zero,
    real_pair,
    refusing,
    require_candidate,
    second,
    undecided_coefficient,
    undecided_speed,
)
from limitset.proofs._parametric import ParametricField
from limitset.proofs._refusal import Refusal
from limitset.proofs._selftest import require_sound_arithmetic

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Fold:
    """A proved fold.

    The balls hold an equilibrium `state` at `parameter` with `J q = 0`, only one with `q` near that
    of the proof; 0 is a simple eigenvalue and no other lies on the imaginary axis. On the centre
    manifold
    `y' = speed (a - a*) + coefficient y^2 + ...`, with `speed = p.f_a` and
    `coefficient = p.B(q,q) / 2`, for `|q|_2 = 1`, `p.q = 1`, `q` turned so that `speed > 0`, and
    derivatives without factorials. `unstable` counts the eigenvalues right of the axis. Of a map
    `x+ = f(x, a)` the same is said with eigenvalue 1, the unit circle, and `y+ - y` for `y'`. With
    `weight_radius` above 0 all of this holds for every field whose arrays are that near, entry by
    entry.
    """

    parameter: Ball
    state: Ball
    speed: Ball
    coefficient: Ball
    unstable: int
    weight_radius: float = 0.0

    @property
    def equilibria_above(self) -> bool:
        """Whether the two equilibria exist for parameters above, and none nearby below; or the
        reverse."""
        return bool(self.coefficient.upper() < 0)

    @property
    def one_is_stable(self) -> bool:
        """Whether one of the two attracts in all directions; the other has one unstable
        direction."""
        return self.unstable == 0


@refusing
def prove_fold(
    field: Field,
    parameter: float,
    state: Vector,
    vector: Vector,
    *,
    discrete: bool = False,
    weight_radius: float = 0.0,
) -> Fold | Refusal:
    """Prove a fold (saddle-node) near a candidate.

    1. A regular zero of `(phi.v - 1, f, J v)` by the Krawczyk test.
    2. Discs of the spectrum of `J`: all but one isolated disc miss the imaginary axis.
    3. `p.f_a` and `p.B(q,q) / 2` exclude 0.

    **Arguments:**

    - `field`: `f(x, a)` in JAX, twice differentiable on balls.
    - `parameter`, `state` (n,), `vector` (n,): the candidate; nothing of it is trusted.
    - `discrete`: `f` is a map, and its fixed points meet.
    - `weight_radius`: prove it for every field whose arrays differ by at most this, entry by
      entry; single numbers, such as a leak, stay as they are.

    **Returns:** the fold, or a refusal with its reason.

    **Raises:** `InputProblem` for numbers that are not finite.

    **Example:** `x' = a + x^2`.

    >>> fold = prove_fold(lambda x, a: a + x**2, 0.1, np.array([0.1]), np.array([1.0]))
    >>> fold.coefficient.mid.round(9), fold.equilibria_above
    (np.float64(1.0), False)

    **Source:** Y. A. Kuznetsov, Elements of Applied Bifurcation Theory, sections 3.2 and 5.4.
    """
    require_sound_arithmetic()
    require_candidate((parameter,), state, vector)
    system = ParametricField(field, weight_radius)
    eigenvalue = 1.0 if discrete else 0.0
    zero = real_critical_zero(
        field, system, parameter, state, vector, still=eigenvalue, eigenvalue=eigenvalue
    )
    if isinstance(zero, Refusal):
        return zero
    a, x, v = zero
    y = joined(x, a)
    derivative = system.jacobian(y)
    J = derivative[:, :-1]
    unstable = count_unstable(J, 1, discrete=discrete)
    if isinstance(unstable, Refusal):
        return unstable
    pair = real_pair(J, eigenvalue, v)
    speed = inner(pair.left, derivative[:, -1])
    if not speed.mignitude() > 0:
        return undecided_speed(speed)
    coefficient = inner(pair.left, second(system, y, pair.q, pair.q)) * 0.5
    if not coefficient.mignitude() > 0:
        return undecided_coefficient(coefficient)
    # Both are odd in q.
    if speed.upper() < 0:
        speed, coefficient = -speed, -coefficient
    return Fold(a, x, speed, coefficient, unstable, weight_radius)
