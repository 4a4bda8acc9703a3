"""Neimark-Sacker points of maps: a complex pair crosses the unit circle, and a closed invariant
curve branches off."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from limitset.dynamics import Field
from limitset.proofs._ball import Ball
from limitset.proofs._complex import ComplexBall, complex_solve
from limitset.proofs._critical import (
    ComplexPair,
    complex_inner,
    complex_pair,
    complex_second,
    complex_third,
    count_unstable,
    enclose_zero,
    fixed_phase,
    joined,
    refusing,
    require_candidate,
    undecided_coefficient,
    undecided_speed,
)
from limitset.proofs._functions import FUNCTIONS
from limitset.proofs._krawczyk import ZeroEnclosure
from limitset.proofs._linalg import verified_solve
from limitset.proofs._parametric import ParametricField
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class NeimarkSacker:
    """A proved Neimark-Sacker point.

    The balls hold a fixed point `state` at `parameter` with `J q = exp(i angle) q`, `angle` in
    (0, pi), only one with `q` near that of the proof; the pair is simple, alone on the unit circle,
    and no root of unity of order 1 to 4. On the centre manifold
    `|z|+ = |z| (1 + speed (a - a*) + coefficient |z|^2 + ...)` for `x = x* + 2 Re(z q)`,
    `|q|_2 = 1`; `speed` is `d|lambda|/da`. `unstable` counts the multipliers outside the circle.
    With `weight_radius` above 0 all of this holds for every map whose arrays are that near, entry
    by entry.
    """

    parameter: Ball
    angle: Ball
    state: Ball
    speed: Ball
    coefficient: Ball
    unstable: int
    weight_radius: float = 0.0

    @property
    def is_supercritical(self) -> bool:
        """Whether `coefficient < 0`: the curve attracts within the centre manifold."""
        return bool(self.coefficient.upper() < 0)

    @property
    def curves_above(self) -> bool:
        """Whether the closed invariant curve exists for parameters above, and none nearby below;
        or the reverse."""
        return self.is_supercritical == bool(self.speed.lower() > 0)

    @property
    def curves_are_stable(self) -> bool:
        """Whether it attracts in all directions."""
        return self.is_supercritical and self.unstable == 0


@refusing
def prove_neimark_sacker(
    field: Field,
    parameter: float,
    angle: float,
    state: Vector,
    vector: Complex[np.ndarray, " n"],
    *,
    weight_radius: float = 0.0,
) -> NeimarkSacker | Refusal:
    """Prove a Neimark-Sacker point of the map `x+ = f(x, a)` near a candidate.

    1. A regular zero of `(phi.v1, phi.v2 - 1, f - x, J v - e v)`, `e = exp(i theta)`, by the
       Krawczyk test, with `0 < theta < pi` and `e^k != 1` for `k` up to 4.
    2. Discs of the spectrum of `J`: all but two isolated ones miss the unit circle.
    3. `d|lambda|/da = Re conj(e) p^H (f_xa q + B(q, x'))` with `x' = (I - J)^-1 f_a` excludes 0.
    4. `d = Re conj(e) p^H [C(q,q,qbar) + 2 B(q, (I - J)^-1 B(q,qbar))
       + B(qbar, (e^2 - J)^-1 B(q,q))] / 2` excludes 0, for `|q|_2 = 1`, `p^H q = 1`.

    **Arguments:**

    - `field`: the map `f(x, a)` in JAX, three times differentiable on balls.
    - `parameter`, `angle` (radians), `state` (n,), `vector` (n,): the candidate; nothing of it is
      trusted.
    - `weight_radius`: prove it for every map whose arrays differ by at most this, entry by
      entry; single numbers stay as they are.

    **Returns:** the point, or a refusal with its reason.

    **Raises:** `InputProblem` for numbers that are not finite.

    **Example:** the delayed logistic map.

    >>> import jax.numpy as jnp
    >>> delayed = lambda x, r: jnp.stack([r * x[0] * (1 - x[1]), x[0]])
    >>> point = prove_neimark_sacker(
    ...     delayed, 2.01, 1.04, np.full(2, 0.5), np.array([1.0, 0.5 - 0.9j])
    ... )
    >>> point.parameter.mid.round(9), (3 * point.angle.mid / np.pi).round(9), point.curves_above
    (np.float64(2.0), np.float64(1.0), True)

    **Source:** Y. A. Kuznetsov, Elements of Applied Bifurcation Theory, sections 4.7 and 5.4.
    """
    require_sound_arithmetic()
    require_candidate((parameter, angle), state, vector)
    system = ParametricField(field, weight_radius)
    zero = _rotation_zero(field, system, (parameter, angle), state, vector)
    if isinstance(zero, Refusal):
        return zero
    n = len(state)
    a, theta, x = zero.box[0], zero.box[1], zero.box[2 : n + 2]
    v = ComplexBall(zero.box[n + 2 : 2 * n + 2], zero.box[2 * n + 2 :])
    turn = _nonresonant(theta)
    if isinstance(turn, Refusal):
        return turn
    y = joined(x, a)
    derivative = system.jacobian(y)
    J = derivative[:, :-1]
    unstable = count_unstable(J, 2, discrete=True)
    if isinstance(unstable, Refusal):
        return unstable
    pair = complex_pair(J, turn, v)
    # 1 is no multiplier: only the pair lies on the circle.
    moved = verified_solve(np.eye(n) - J, derivative[:, -1])
    along = ComplexBall.real(joined(moved, Ball.exact(1.0)))
    change = complex_inner(pair.left, complex_second(system, y, pair.q, along))
    speed = (turn.conj() * change).re
    if not speed.mignitude() > 0:
        return undecided_speed(speed)
    coefficient = _coefficient(system, y, J, turn, pair)
    if not coefficient.mignitude() > 0:
        return undecided_coefficient(coefficient)
    return NeimarkSacker(a, theta, x, speed, coefficient, unstable, weight_radius)


def _rotation_zero(
    field: Field,
    system: ParametricField,
    numbers: tuple[float, float],
    state: Vector,
    vector: Complex[np.ndarray, " n"],
) -> ZeroEnclosure | Refusal:
    fixed = fixed_phase(vector)
    if isinstance(fixed, Refusal):
        return fixed
    phi, v = Ball.exact(fixed[0]), fixed[1]
    return enclose_zero(
        field,
        system,
        lambda s, z: s.rotation_value(z, phi),
        lambda s, z: s.rotation_jacobian(z, phi),
        np.concatenate([numbers, state, np.real(v), np.imag(v)]),
    )


def _nonresonant(theta: Ball) -> ComplexBall | Refusal:
    """`exp(i theta)`, if `0 < theta < pi` and its first four powers certainly are not 1."""
    # The float pi is below pi.
    if not (theta.lower() > 0 and theta.upper() < np.pi):
        return Refusal(Reason.OMEGA_CONTAINS_ZERO, f"the angle {theta!r} is not within (0, pi)")
    multiples = theta * np.arange(1.0, 5.0)
    cosine, sine = FUNCTIONS["cos"](multiples), FUNCTIONS["sin"](multiples)
    nonresonant = (cosine.upper() < 1) | (sine.mignitude() > 0)
    if not nonresonant.all():
        order = int(nonresonant.argmin()) + 1
        return Refusal(
            Reason.SPECTRUM_NOT_SEPARATED,
            f"strong resonance: {order} times the angle {theta!r} may be a full turn",
            {"order": float(order)},
        )
    return ComplexBall(cosine[0], sine[0])


def _coefficient(
    system: ParametricField, y: Ball, J: Ball, turn: ComplexBall, pair: ComplexPair
) -> Ball:
    q, eye = pair.q, Ball.exact(np.eye(len(J)))
    # B(q, conj q) is real, and so is what (I - J)^-1 makes of it.
    bent = verified_solve(eye - J, complex_second(system, y, q, q.conj()).re)
    twice = turn * turn
    shifted = ComplexBall(eye * twice.re - J, eye * twice.im)
    double = complex_solve(shifted, complex_second(system, y, q, q))
    terms = (
        complex_third(system, y, q)
        + complex_second(system, y, q, ComplexBall.real(bent)) * 2.0
        + complex_second(system, y, q.conj(), double)
    )
    return (turn.conj() * complex_inner(pair.left, terms)).re * 0.5
