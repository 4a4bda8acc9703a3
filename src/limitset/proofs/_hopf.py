"""Hopf points of any field with a parameter: existence, simplicity, crossing, first Lyapunov
coefficient in n dimensions, and what follows for the cycles."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Complex, Float

from limitset.dynamics import Field
from limitset.proofs._ball import Ball
from limitset.proofs._complex import ComplexBall, complex_solve
from limitset.proofs._critical import (
    ComplexPair,
    complex_inner,
    complex_pair,
    complex_seconds,
    complex_third,
    count_unstable,
    fixed_phase,
    joined,
    refusing,
    require_candidate,
    undecided_coefficient,
    undecided_speed,
)
from limitset.proofs._hopf_system import HopfSystem
from limitset.proofs._krawczyk import ZeroEnclosure, krawczyk, newton
from limitset.proofs._linalg import verified_solve
from limitset.proofs._parametric import ParametricField
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class HopfPoint:
    """A proved Hopf point.

    Within the balls there is exactly one equilibrium `state`, parameter and frequency with
    `J q = i frequency q`; `i frequency` is a simple eigenvalue, and no others but its conjugate lie
    on the imaginary axis. `crossing` is `Re dlambda/da`, `lyapunov_coefficient` is `l1` for
    `|q|_2 = 1` and derivatives without factorials; both exclude 0. `unstable` counts the
    eigenvalues of `J` right of the axis. With `weight_radius` above 0 all of this holds for every
    field whose arrays are that near, entry by entry.
    """

    parameter: Ball
    frequency: Ball
    state: Ball
    crossing: Ball
    lyapunov_coefficient: Ball
    unstable: int
    weight_radius: float = 0.0

    @property
    def is_supercritical(self) -> bool:
        """Whether `l1 < 0`: cycles are stable within the centre manifold."""
        return bool(self.lyapunov_coefficient.upper() < 0)

    @property
    def cycles_above(self) -> bool:
        """Whether the small cycles exist for parameters above: `l1` and the crossing differ in
        sign."""
        return self.is_supercritical == bool(self.crossing.lower() > 0)

    @property
    def cycles_are_stable(self) -> bool:
        """Whether small cycles attract in all directions: `l1 < 0` and no unstable eigenvalue."""
        return self.is_supercritical and self.unstable == 0


@refusing
def prove_hopf(
    field: Field,
    parameter: float,
    frequency: float,
    state: Vector,
    vector: Complex[np.ndarray, " n"],
    *,
    weight_radius: float = 0.0,
) -> HopfPoint | Refusal:
    """Prove a Hopf point near a candidate; the theorem of Hopf then gives a branch of cycles.

    1. A regular zero of the augmented system `(phi.v1, phi.v2 - 1, f, J v1 + omega v2,
       J v2 - omega v1)` by the Krawczyk test, with `omega > 0`.
    2. Discs of the spectrum of `J`: all but an isolated conjugate pair miss the imaginary axis.
    3. `Re dlambda/da = Re p^H (f_xa q + B(q, x'))` with `x' = -J^-1 f_a` excludes 0.
    4. `l1 = Re[p^H C(q,q,qbar) - 2 p^H B(q, J^-1 B(q,qbar)) + p^H B(qbar, (2 i omega - J)^-1
       B(q,q))] / (2 omega)` excludes 0, for `|q|_2 = 1`, `p^H q = 1`.

    **Arguments:**

    - `field`: `f(x, a)` in JAX, three times differentiable on balls.
    - `parameter`, `frequency`, `state` (n,), `vector` (n,): the candidate, for instance of
      `limitset.analysis.find_hopf_points`; nothing of it is trusted.
    - `weight_radius`: prove it for every field whose arrays differ by at most this, entry by
      entry; single numbers, such as a leak, stay as they are.

    **Returns:** the point, or a refusal with its reason. Where only a sign is undecided,
    `refine_hopf` may decide it.

    **Raises:** `InputProblem` for numbers that are not finite.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork, shift_family
    >>> family = shift_family(RateNetwork(jnp.array([[0.0, -2.0], [2.0, 0.0]])))
    >>> point = prove_hopf(family, 1.01, 1.98, np.zeros(2), np.array([1.0, -1.0j]))
    >>> point.lyapunov_coefficient.mid.round(6), point.cycles_are_stable
    (np.float64(-0.25), True)

    **Source:** arXiv 2202.05073; Y. A. Kuznetsov, Elements of Applied Bifurcation Theory,
    section 5.4.
    """
    require_sound_arithmetic()
    require_candidate((parameter, frequency), state, vector)
    fixed = fixed_phase(np.asarray(vector, complex))
    if isinstance(fixed, Refusal):
        return fixed
    phi, v = fixed
    start = np.concatenate([[parameter, frequency], state, np.real(v), np.imag(v)])
    system = ParametricField(field, weight_radius)
    zero = _enclose_zero(system, phi, start)
    if isinstance(zero, Refusal):
        return zero
    a, omega, (x, v1, v2) = zero.box[0], zero.box[1], _thirds(zero.box[2:])
    if not omega.lower() > 0:
        return Refusal(Reason.OMEGA_CONTAINS_ZERO, f"the frequency is in {omega!r}, not above 0")
    y = joined(x, a)
    derivative = system.jacobian(y)
    # The true Jacobian has the eigenvalues +- i omega; discs meet the axis only for these.
    unstable = count_unstable(derivative[:, :-1], 2)
    if isinstance(unstable, Refusal):
        return unstable
    rotation = ComplexBall(omega * 0.0, omega)
    pair = complex_pair(derivative[:, :-1], rotation, ComplexBall(v1, v2))
    crossing, coefficient = _normal_form(system, y, derivative, omega, pair)
    if not crossing.mignitude() > 0:
        return _with_remedy(undecided_speed(crossing), weight_radius)
    if not coefficient.mignitude() > 0:
        return _with_remedy(undecided_coefficient(coefficient), weight_radius)
    return HopfPoint(a, omega, x, crossing, coefficient, unstable, weight_radius)


def _with_remedy(undecided: Refusal, weight_radius: float) -> Refusal:
    remedy = "prove it for a smaller weight_radius" if weight_radius > 0 else "try refine_hopf"
    return replace(undecided, message=f"{undecided.message}; {remedy}")


def _enclose_zero(
    system: ParametricField, phi: Vector, start: Float[np.ndarray, " k"]
) -> ZeroEnclosure | Refusal:
    """Newton's method for the stored weights, then the Krawczyk test for all of them."""
    exact = HopfSystem(system.exact, phi)
    found = newton(exact.value, exact.jacobian, start)
    if isinstance(found, Refusal):
        return found
    whole = HopfSystem(system, phi)
    return krawczyk(whole.value, whole.jacobian, found, seek_uniqueness=False)


def _normal_form(
    system: ParametricField, y: Ball, derivative: Ball, omega: Ball, pair: ComplexPair
) -> tuple[Ball, Ball]:
    """`Re dlambda/da`, and the first Lyapunov coefficient with all of its three terms.

    With `x' = -J^-1 f_a` the speed of crossing is `Re p^H D^2 g((q, 0), (x', 1))`.
    """
    q, n = pair.q, len(pair.q)
    J, eye = derivative[:, :-1], Ball.exact(np.eye(n))
    moved = verified_solve(J, -derivative[:, -1])
    along = ComplexBall.real(joined(moved, Ball.exact(1.0)))
    change, mixed, squared = complex_seconds(system, y, [(q, along), (q, q.conj()), (q, q)])
    # B(q, conj q) is real, and so is what J^-1 makes of it.
    rest = ComplexBall.real(verified_solve(J, mixed.re))
    double = complex_solve(ComplexBall(-J, eye * (2.0 * omega)), squared)
    shifted, doubled = complex_seconds(system, y, [(q, rest), (q.conj(), double)])
    terms = complex_third(system, y, q) - shifted * 2.0 + doubled
    coefficient = complex_inner(pair.left, terms).re / (2.0 * omega)
    return complex_inner(pair.left, change).re, coefficient


def _thirds(ball: Ball) -> tuple[Ball, Ball, Ball]:
    n = len(ball) // 3
    return ball[:n], ball[n : 2 * n], ball[2 * n :]
