"""Pitchforks of odd fields: the origin passes its stability to, or takes it from, a pair."""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._types import State
from limitset.dynamics import Field
from limitset.networks import IDENTITY, TANH, RateFamily, RateNetwork
from limitset.proofs._ball import Ball
from limitset.proofs._critical import (
    count_unstable,
    enclose_zero,
    inner,
    joined,
    real_pair,
    refusing,
    require_candidate,
    second,
    third,
    undecided_coefficient,
    undecided_speed,
    unit_vector,
)
from limitset.proofs._parametric import ParametricField
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Pitchfork:
    """A proved pitchfork at the origin, in the class of odd fields `f(-x, a) = -f(x, a)`.

    The ball holds a `parameter` with `J(0, a) q = 0`, only one with `q` near that of the proof; 0
    is a simple eigenvalue and no other lies on the imaginary axis. On the centre manifold
    `y' = speed (a - a*) y + coefficient y^3 + ...` for `|q|_2 = 1` and derivatives without
    factorials. `unstable` counts the eigenvalues right of the axis. With `weight_radius` above 0
    all of this holds for every family whose `weight` and `direction` are that near, entry by entry.
    """

    parameter: Ball
    speed: Ball
    coefficient: Ball
    unstable: int
    weight_radius: float = 0.0

    @property
    def is_supercritical(self) -> bool:
        """Whether `coefficient < 0`: the pair attracts within the centre manifold."""
        return bool(self.coefficient.upper() < 0)

    @property
    def pair_above(self) -> bool:
        """Whether the pair of equilibria `x`, `-x` exists for parameters above, and none nearby
        below; or the reverse."""
        return self.is_supercritical == bool(self.speed.lower() > 0)

    @property
    def pair_is_stable(self) -> bool:
        """Whether both attract in all directions."""
        return self.is_supercritical and self.unstable == 0


@refusing
def prove_symmetric_pitchfork(
    field: Field, parameter: float, vector: Vector, *, weight_radius: float = 0.0
) -> Pitchfork | Refusal:
    """Prove a pitchfork of an odd field at the origin, near a candidate.

    0. The field is odd by its form: a `RateFamily` with bias 0 and tanh or the identity. Other
       fields are refused: a pitchfork without symmetry breaks up under almost any change.
    1. A regular zero of `(phi.v - 1, J(0, a) v)` by the Krawczyk test.
    2. Discs of the spectrum of `J`: all but one isolated disc miss the imaginary axis.
    3. `p.f_xa q` and `p.C(q,q,q) / 6` exclude 0, for `|q|_2 = 1`, `p.q = 1`. The quadratic terms
       `B` vanish by symmetry.

    **Arguments:**

    - `field`: a `RateFamily`.
    - `parameter`, `vector` (n,): the candidate; nothing of it is trusted.
    - `weight_radius`: prove it for every family whose `weight` and `direction` differ by at most
      this, entry by entry; the bias remains 0.

    **Returns:** the pitchfork, or a refusal with its reason.

    **Raises:** `InputProblem` for numbers that are not finite.

    **Example:** `x' = -x + a tanh x`.

    >>> from limitset.networks import gain_family
    >>> family = gain_family(RateNetwork(jnp.array([[1.0]])))
    >>> fork = prove_symmetric_pitchfork(family, 1.1, np.array([1.0]))
    >>> fork.parameter.mid.round(9), fork.coefficient.mid.round(9), fork.pair_is_stable
    (np.float64(1.0), np.float64(-0.333333333), True)

    **Source:** Y. A. Kuznetsov, Elements of Applied Bifurcation Theory, section 7.4.
    """
    require_sound_arithmetic()
    require_candidate((parameter,), np.zeros(np.shape(vector)), vector)
    # Refuses NaN in any array of the field.
    ParametricField(field)
    odd = odd_field(field)
    if isinstance(odd, Refusal):
        return odd
    system = ParametricField(odd, weight_radius)
    zero = _origin_zero(odd, system, parameter, vector)
    if isinstance(zero, Refusal):
        return zero
    a, v = zero
    y = joined(Ball.exact(np.zeros(len(v))), a)
    J = system.jacobian(y)[:, :-1]
    unstable = count_unstable(J, 1)
    if isinstance(unstable, Refusal):
        return unstable
    pair = real_pair(J, 0.0, v)
    # The equilibrium stays at 0, so only the parameter moves.
    along = Ball.exact(np.eye(len(y))[-1])
    speed = inner(pair.left, second(system, y, pair.q, along))
    if not speed.mignitude() > 0:
        return undecided_speed(speed)
    coefficient = inner(pair.left, third(system, y, pair.q)) / 6.0
    if not coefficient.mignitude() > 0:
        return undecided_coefficient(coefficient)
    return Pitchfork(a, speed, coefficient, unstable, weight_radius)


class _OddFamily(eqx.Module):
    """A family without bias: every member of a ball of its weights is odd."""

    family: RateFamily

    def __call__(self, x: State, parameter: float | Float[Array, ""]) -> State:
        silent = eqx.tree_at(_bias, self.family, jnp.zeros_like(x), is_leaf=lambda n: n is None)
        return silent(x, parameter)


def _bias(family: RateFamily) -> object:
    return family.network.bias


def odd_field(field: Field) -> _OddFamily | Refusal:
    """The field without its bias of 0, if it is odd by its form."""
    if isinstance(field, RateFamily) and _is_odd(field):
        return _OddFamily(eqx.tree_at(_bias, field, None))
    return Refusal(
        Reason.NOT_SYMMETRIC,
        "fold pair or symmetric only: a pitchfork is proved for a RateFamily with bias 0 and tanh "
        "or identity; look for folds of other fields",
    )


def _is_odd(family: RateFamily) -> bool:
    # A subclass may compute anything.
    is_plain = type(family) is RateFamily and type(family.network) is RateNetwork
    activation, bias = family.network.activation, np.asarray(family.network.bias)
    return is_plain and activation in (TANH, IDENTITY) and bool((bias == 0).all())


def _origin_zero(
    field: Field, system: ParametricField, parameter: float, vector: Vector
) -> tuple[Ball, Ball] | Refusal:
    phi = unit_vector(vector)
    if isinstance(phi, Refusal):
        return phi
    fixing = Ball.exact(phi)
    zero = enclose_zero(
        field,
        system,
        lambda s, z: s.origin_value(z, fixing),
        lambda s, z: s.origin_jacobian(z, fixing),
        np.append(parameter, phi),
    )
    return zero if isinstance(zero, Refusal) else (zero.box[0], zero.box[1:])
