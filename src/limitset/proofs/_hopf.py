"""Hopf points of any field with a parameter: existence, simplicity, crossing, first Lyapunov
coefficient in n dimensions, and what follows for the cycles."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from limitset._result import InputProblem
from limitset.dynamics import Field
from limitset.proofs._ball import Ball
from limitset.proofs._complex import ComplexBall, complex_solve, complex_sum
from limitset.proofs._hopf_system import HopfSystem
from limitset.proofs._krawczyk import ZeroEnclosure, krawczyk, newton
from limitset.proofs._linalg import NotVerified, verified_solve
from limitset.proofs._parametric import ParametricField
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic
from limitset.proofs._spectrum import Spectrum, enclose_spectrum

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class HopfPoint:
    """A proved Hopf point.

    Within the balls there is exactly one equilibrium `state`, parameter and frequency with
    `J q = i frequency q`; `i frequency` is a simple eigenvalue, and no others but its conjugate lie
    on the imaginary axis. `crossing` is `Re dlambda/da`, `lyapunov_coefficient` is `l1` for
    `|q|_2 = 1` and derivatives without factorials; both exclude 0. `unstable` counts the
    eigenvalues of `J` right of the axis.
    """

    parameter: Ball
    frequency: Ball
    state: Ball
    crossing: Ball
    lyapunov_coefficient: Ball
    unstable: int

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
      entry.

    **Returns:** the point, or a refusal with its reason.

    **Raises:** `InputProblem` for numbers that are not finite, or programs without an enclosure.

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
    start = np.concatenate([[parameter, frequency], state, np.real(vector), np.imag(vector)])
    if np.shape(state) != np.shape(vector) or np.ndim(state) != 1 or not np.isfinite(start).all():
        raise InputProblem(
            f"state {np.shape(state)} and vector {np.shape(vector)} with parameter {parameter} and "
            f"frequency {frequency} are no candidate; give finite numbers and two vectors (n,)"
        )
    system = ParametricField(field, weight_radius)
    zero = _enclose_zero(field, system, start)
    if isinstance(zero, Refusal):
        return zero
    a, omega, (x, v1, v2) = zero.box[0], zero.box[1], _thirds(zero.box[2:])
    if not omega.lower() > 0:
        return Refusal(Reason.OMEGA_CONTAINS_ZERO, f"the frequency is in {omega!r}, not above 0")
    y = _joined(x, a)
    derivative = system.jacobian(y)
    unstable = _count_unstable(derivative[:, :-1])
    if isinstance(unstable, Refusal):
        return unstable
    try:
        pair = _critical_pair(derivative[:, :-1], omega, v1, v2)
        crossing, coefficient = _normal_form(system, y, derivative, omega, pair)
    except NotVerified as failure:
        return Refusal(Reason.JACOBIAN_SINGULAR, str(failure), {"defect": failure.number})
    if not crossing.mignitude() > 0:
        return Refusal(Reason.TRANSVERSALITY_UNDECIDED, f"the speed of crossing is in {crossing!r}")
    if not coefficient.mignitude() > 0:
        return Refusal(
            Reason.LYAPUNOV_SIGN_UNDECIDED,
            f"the first Lyapunov coefficient is in {coefficient!r}, which has both signs",
            {"lower": float(coefficient.lower()), "upper": float(coefficient.upper())},
        )
    return HopfPoint(a, omega, x, crossing, coefficient, unstable)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Right and left critical vectors: `J q = i omega q`, `p^H J = i omega p^H`, `p^H q = 1`."""

    q: ComplexBall
    left: ComplexBall


def _enclose_zero(field: Field, system: ParametricField, start: Vector) -> ZeroEnclosure | Refusal:
    """Newton's method on the midpoints, then the Krawczyk test."""
    _, _, (_, v1, v2) = start[0], start[1], np.split(start[2:], 3)
    part = v1 if np.linalg.norm(v1) >= np.linalg.norm(v2) else v2
    size = np.linalg.norm(part)
    if not size > 0:
        return Refusal(Reason.NEWTON_FAILED, "the critical vector of the candidate is 0")
    phi = part / size
    v = (v1 + 1j * v2) * (1j / (phi @ (v1 + 1j * v2)))
    begin = np.concatenate([start[:2], start[2 : 2 + len(phi)], np.real(v), np.imag(v)])
    exact = HopfSystem(ParametricField(field), phi)
    found = newton(exact.value, exact.jacobian, begin)
    if isinstance(found, Refusal):
        return found
    whole = HopfSystem(system, phi)
    return krawczyk(whole.value, whole.jacobian, found, seek_uniqueness=False)


def _count_unstable(J: Ball) -> int | Refusal:
    """Eigenvalues right of the axis, if all but one isolated pair miss the axis.

    The true Jacobian has eigenvalues `+- i omega`, so discs meet the axis; if only an isolated
    pair does, these are in it, simple, and alone on the axis.
    """
    spectrum = enclose_spectrum(J)
    if isinstance(spectrum, Refusal):
        return spectrum
    on_axis = ~(np.abs(np.real(spectrum.centres)) > spectrum.radii)
    if not (on_axis.sum() == 2 and _is_isolated_pair(spectrum, on_axis)):
        return Refusal(
            Reason.SPECTRUM_NOT_SEPARATED,
            f"{on_axis.sum()} eigenvalue discs meet the imaginary axis, where one isolated "
            "conjugate pair may",
            {"largest_radius": float(spectrum.radii.max())},
        )
    return int((np.real(spectrum.centres) > spectrum.radii).sum())


def _is_isolated_pair(spectrum: Spectrum, chosen: np.ndarray) -> bool:
    one, other = spectrum.centres[chosen]
    conjugate = bool(one == np.conj(other) and np.imag(one) != 0)
    return conjugate and bool(spectrum.isolated[chosen].all())


def _critical_pair(J: Ball, omega: Ball, v1: Ball, v2: Ball) -> _Pair:
    """`q = v / |v|`, and the left vector from the bordered system, regular as `i omega` is simple.

    `(J^T - i omega) r + conj(q) s = 0`, `q.r = 1` for `r = conj(p)`; then `s = 0`.
    """
    v = ComplexBall(v1, v2)
    length = complex_sum(ComplexBall.real(v.squared_modulus())).re.sqrt()
    q = v * (1.0 / length)
    n = len(q)
    eye = Ball.exact(np.eye(n))
    shifted = ComplexBall(J.T, -(eye * omega))
    bordered = _bordered(shifted, q)
    right = np.zeros(n + 1)
    right[-1] = 1.0
    return _Pair(q, complex_solve(bordered, ComplexBall.real(right))[:n])


def _bordered(A: ComplexBall, q: ComplexBall) -> ComplexBall:
    """`[[A, conj q], [q^T, 0]]`."""

    def stack(block: Ball, column: Ball, row: Ball) -> Ball:
        n = len(block)
        mid, rad = np.zeros((n + 1, n + 1)), np.zeros((n + 1, n + 1))
        for part, target in ((block, np.s_[:n, :n]), (column, np.s_[:n, n]), (row, np.s_[n, :n])):
            mid[target], rad[target] = part.mid, part.rad
        return Ball(mid, rad)

    return ComplexBall(stack(A.re, q.re, q.re), stack(A.im, -q.im, q.im))


def _normal_form(
    system: ParametricField, y: Ball, derivative: Ball, omega: Ball, pair: _Pair
) -> tuple[Ball, Ball]:
    """`Re dlambda/da`, and the first Lyapunov coefficient with all of its three terms.

    With `x' = -J^-1 f_a` the speed of crossing is `Re p^H D^2 g((q, 0), (x', 1))`.
    """
    q, n = pair.q, len(pair.q)
    J, eye = derivative[:, :-1], Ball.exact(np.eye(n))
    moved = verified_solve(J, -derivative[:, -1])
    along = ComplexBall.real(_joined(moved, Ball.exact(1.0)))
    change, mixed, squared = _seconds(system, y, [(q, along), (q, q.conj()), (q, q)])
    # B(q, conj q) is real, and so is what J^-1 makes of it.
    rest = ComplexBall.real(verified_solve(J, mixed.re))
    double = complex_solve(ComplexBall(-J, eye * (2.0 * omega)), squared)
    shifted, doubled = _seconds(system, y, [(q, rest), (q.conj(), double)])
    terms = _third(system, y, q) - shifted * 2.0 + doubled
    coefficient = complex_sum(pair.left * terms).re / (2.0 * omega)
    return complex_sum(pair.left * change).re, coefficient


def _seconds(
    system: ParametricField, y: Ball, pairs: list[tuple[ComplexBall, ComplexBall]]
) -> list[ComplexBall]:
    """`B(u, v)`, bilinear, for complex directions; of states, or of states with parameter."""
    first = [part for u, _ in pairs for part in (u.re, u.re, u.im, u.im)]
    second = [part for _, v in pairs for part in (v.re, v.im, v.re, v.im)]
    B = system.second(y, _directions(first, len(y)), _directions(second, len(y)))
    fours = [B[4 * k : 4 * k + 4] for k in range(len(pairs))]
    return [ComplexBall(b[0] - b[3], b[1] + b[2]) for b in fours]


def _third(system: ParametricField, y: Ball, q: ComplexBall) -> ComplexBall:
    """`C(q, q, conj q)` for `q = r + i s`: `C(r,r,r) + C(r,s,s) + i (C(r,r,s) + C(s,s,s))`."""
    r, s = q.re, q.im
    columns = [[r, r, r, s], [r, s, r, s], [r, s, s, s]]
    C = system.third(y, *(_directions(column, len(y)) for column in columns))
    return ComplexBall(C[0] + C[1], C[2] + C[3])


def _directions(vectors: list[Ball], size: int) -> Ball:
    """One direction a row; those of states get parameter 0."""
    mid, rad = np.zeros((len(vectors), size)), np.zeros((len(vectors), size))
    for row, vector in enumerate(vectors):
        mid[row, : len(vector)], rad[row, : len(vector)] = vector.mid, vector.rad
    return Ball(mid, rad)


def _thirds(ball: Ball) -> tuple[Ball, Ball, Ball]:
    n = len(ball) // 3
    return ball[:n], ball[n : 2 * n], ball[2 * n :]


def _joined(vector: Ball, last: Ball) -> Ball:
    return Ball(np.append(vector.mid, last.mid), np.append(vector.rad, last.rad))
