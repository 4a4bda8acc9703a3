"""What proofs of local bifurcations share: the critical vectors, directions, and counting."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np
from jaxtyping import Bool, Complex, Float

from limitset._result import InputProblem
from limitset.dynamics import Field
from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._complex import ComplexBall, complex_solve, complex_sum
from limitset.proofs._inertia import count_right_by_inertia
from limitset.proofs._krawczyk import ZeroEnclosure, krawczyk, newton
from limitset.proofs._linalg import NotVerified, verified_solve
from limitset.proofs._parametric import ParametricField
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._spectrum import Spectrum, enclose_spectrum
from limitset.proofs._value import Undecided, UnsupportedPrimitive

Vector = Float[np.ndarray, " n"]
Augmented = Callable[[ParametricField, Ball], Ball]
Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class RealPair:
    """Right and left critical vectors: `J q = m q`, `p^T J = m p^T`, `|q|_2 = 1`, `p.q = 1`."""

    q: Ball
    left: Ball


@dataclass(frozen=True, eq=False)
class ComplexPair:
    """The same for a complex eigenvalue; `left` is `p^H`, and `p^H q = 1`."""

    q: ComplexBall
    left: ComplexBall


def refusing(prove: Callable[Arguments, Answer]) -> Callable[Arguments, Answer | Refusal]:
    """The same proof, which refuses where a number that it needs has no enclosure."""

    @functools.wraps(prove)
    def proof(*arguments: Arguments.args, **options: Arguments.kwargs) -> Answer | Refusal:
        try:
            return prove(*arguments, **options)
        except NotVerified as failure:
            return Refusal(Reason.JACOBIAN_SINGULAR, str(failure), {"defect": failure.number})
        except UnsupportedPrimitive as problem:
            return Refusal(Reason.UNSUPPORTED_PRIMITIVE, str(problem))
        except Undecided as problem:
            return Refusal(Reason.BRANCH_UNDECIDED, str(problem))

    return proof


def require_candidate(numbers: tuple[float, ...], state: np.ndarray, vector: np.ndarray) -> None:
    """Raises `InputProblem` unless all is finite and state and vector are vectors of one size."""
    fits = np.ndim(state) == 1 and np.size(state) > 0 and np.shape(state) == np.shape(vector)
    if not (fits and all(np.isfinite(part).all() for part in (numbers, state, vector))):
        raise InputProblem(
            f"state {np.shape(state)} and vector {np.shape(vector)} with {numbers} are no "
            "candidate; give finite numbers and two vectors (n,)"
        )


def enclose_zero(
    field: Field, system: ParametricField, value: Augmented, jacobian: Augmented, start: Vector
) -> ZeroEnclosure | Refusal:
    """Newton's method for the stored weights, then the Krawczyk test for all of them."""
    exact = system.exact
    found = newton(lambda z: value(exact, z), lambda z: jacobian(exact, z), start)
    if isinstance(found, Refusal):
        return found
    return krawczyk(lambda z: value(system, z), lambda z: jacobian(system, z), found)


def real_critical_zero(
    field: Field,
    system: ParametricField,
    parameter: float,
    state: Vector,
    vector: Vector,
    *,
    still: float,
    eigenvalue: float,
) -> tuple[Ball, Ball, Ball] | Refusal:
    """The parameter, the state and the vector with `f = still x`, `J v = eigenvalue v`."""
    phi = unit_vector(vector)
    if isinstance(phi, Refusal):
        return phi
    constants = Ball.exact(phi), Ball.exact(still), Ball.exact(eigenvalue)
    zero = enclose_zero(
        field,
        system,
        lambda s, z: s.real_critical_value(z, *constants),
        lambda s, z: s.real_critical_jacobian(z, *constants),
        np.concatenate([[parameter], state, phi]),
    )
    if isinstance(zero, Refusal):
        return zero
    n = len(phi)
    return zero.box[0], zero.box[1 : n + 1], zero.box[n + 1 :]


def unit_vector(vector: Vector) -> Vector | Refusal:
    """`vector / |vector|`, which also fixes the scale of the critical vector."""
    size = np.linalg.norm(vector)
    if not 0 < size < np.inf:
        return Refusal(Reason.NEWTON_FAILED, "the critical vector of the candidate is 0 or huge")
    return vector / size


def fixed_phase(
    vector: Complex[np.ndarray, " n"],
) -> tuple[Vector, Complex[np.ndarray, " n"]] | Refusal:
    """A real unit vector `phi`, far from orthogonal to the vector, and `v` with `phi.v = i`."""
    real, imaginary = np.real(vector), np.imag(vector)
    larger = real if np.linalg.norm(real) >= np.linalg.norm(imaginary) else imaginary
    phi = unit_vector(larger)
    return phi if isinstance(phi, Refusal) else (phi, vector * (1j / (phi @ vector)))


def count_unstable(J: Ball, critical: int, *, discrete: bool = False) -> int | Refusal:
    """Eigenvalues right of the imaginary axis, or outside the unit circle if `discrete`.

    For a caller who has proved that `critical` distinct eigenvalues lie on the axis or circle.
    Refused unless exactly as many discs meet it, each isolated, or, beside the axis, two lines
    have as many eigenvalues between them (by inertia, which decides where eigenvectors are too
    ill-conditioned for discs): then these are the known ones, simple, and alone there.
    """
    by_discs = _beyond_discs(J, critical, discrete)
    if isinstance(by_discs, Refusal) and not discrete:
        between = _beyond_strip(J, critical)
        return by_discs if between is None else between
    return by_discs


def _beyond_discs(J: Ball, critical: int, discrete: bool) -> int | Refusal:
    spectrum = enclose_spectrum(J)
    if isinstance(spectrum, Refusal):
        return spectrum
    beyond, within = _beside_circle(spectrum) if discrete else _beside_axis(spectrum)
    meets = ~(beyond | within)
    if not (meets.sum() == critical and spectrum.isolated[meets].all()):
        border = "unit circle" if discrete else "imaginary axis"
        return Refusal(
            Reason.SPECTRUM_NOT_SEPARATED,
            f"{meets.sum()} eigenvalue discs meet the {border}, where {critical} isolated may",
            {"largest_radius": float(spectrum.radii.max())},
        )
    return int(beyond.sum())


def _beyond_strip(J: Ball, critical: int) -> int | None:
    """Eigenvalues right of a strip around the axis that holds `critical` of them, or None."""
    distances = np.sort(np.abs(np.real(np.linalg.eigvals(J.mid))))
    if not (len(distances) > critical and np.isfinite(distances).all()):
        return None
    half = float(distances[critical]) / 2
    right = count_right_by_inertia(J, half)
    if right is None:
        return None
    both = count_right_by_inertia(J, -half)
    return right if both is not None and both - right == critical else None


Mask = Bool[np.ndarray, " n"]


def _beside_axis(spectrum: Spectrum) -> tuple[Mask, Mask]:
    real = np.real(spectrum.centres)
    return real > spectrum.radii, -real > spectrum.radii


def _beside_circle(spectrum: Spectrum) -> tuple[Mask, Mask]:
    centres = ComplexBall.exact(spectrum.centres)
    least, largest = centres.mignitude(), np.minimum(centres.magnitude(), 2.0**1000)
    outside = (Ball.exact(least) - 1.0).lower() > spectrum.radii
    inside = (1.0 - Ball.exact(largest)).lower() > spectrum.radii
    return outside, inside


def real_pair(J: Ball, eigenvalue: float, v: Ball) -> RealPair:
    """`q = v / |v|`, and the left vector from a bordered system, regular as `m` is simple.

    `(J^T - m) p + q s = 0`, `q.p = 1`; then `s |q|^2 = 0`.
    """
    q = v / _length(ball_sum(v * v))
    n = len(q)
    shifted = J.T - Ball.exact(eigenvalue * np.eye(n))
    return RealPair(q, verified_solve(_bordered(shifted, q, q), _last_unit(n))[:n])


def complex_pair(J: Ball, eigenvalue: ComplexBall, v: ComplexBall) -> ComplexPair:
    """The same for a complex eigenvalue: `(J^T - m) r + conj(q) s = 0`, `q.r = 1`, `r = conj p`."""
    q = v * (1.0 / _length(ball_sum(v.squared_modulus())))
    n = len(q)
    eye = Ball.exact(np.eye(n))
    shifted = ComplexBall(J.T - eye * eigenvalue.re, -(eye * eigenvalue.im))
    bordered = ComplexBall(_bordered(shifted.re, q.re, q.re), _bordered(shifted.im, -q.im, q.im))
    return ComplexPair(q, complex_solve(bordered, ComplexBall.real(_last_unit(n)))[:n])


def _length(squares: Ball) -> Ball:
    if not squares.lower() > 0:
        raise NotVerified("The critical vector is not bounded away from 0.", np.inf)
    return squares.sqrt()


def _last_unit(n: int) -> Ball:
    return Ball.exact(np.eye(n + 1)[-1])


def _bordered(block: Ball, column: Ball, row: Ball) -> Ball:
    """`[[block, column], [row, 0]]`."""
    n = len(block)
    mid, rad = np.zeros((n + 1, n + 1)), np.zeros((n + 1, n + 1))
    for part, target in ((block, np.s_[:n, :n]), (column, np.s_[:n, n]), (row, np.s_[n, :n])):
        mid[target], rad[target] = part.mid, part.rad
    return Ball(mid, rad)


def inner(p: Ball, u: Ball) -> Ball:
    """`p.u`."""
    return ball_sum(p * u)


def complex_inner(left: ComplexBall, u: ComplexBall) -> ComplexBall:
    """`p^H u`, for `left = p^H`."""
    return complex_sum(left * u)


def second(system: ParametricField, y: Ball, u: Ball, v: Ball) -> Ball:
    """`B(u, v)` for directions of states, or of states with parameter."""
    return system.second(y, _directions([u], len(y)), _directions([v], len(y)))[0]


def third(system: ParametricField, y: Ball, q: Ball) -> Ball:
    """`C(q, q, q)`."""
    direction = _directions([q], len(y))
    return system.third(y, direction, direction, direction)[0]


def complex_second(system: ParametricField, y: Ball, u: ComplexBall, v: ComplexBall) -> ComplexBall:
    """`B(u, v)`, bilinear, for complex directions."""
    return complex_seconds(system, y, [(u, v)])[0]


def complex_seconds(
    system: ParametricField, y: Ball, pairs: list[tuple[ComplexBall, ComplexBall]]
) -> list[ComplexBall]:
    """`B(u, v)` for several pairs of complex directions, in one evaluation."""
    first = [part for u, _ in pairs for part in (u.re, u.re, u.im, u.im)]
    other = [part for _, v in pairs for part in (v.re, v.im, v.re, v.im)]
    B = system.second(y, _directions(first, len(y)), _directions(other, len(y)))
    fours = [B[4 * k : 4 * k + 4] for k in range(len(pairs))]
    return [ComplexBall(b[0] - b[3], b[1] + b[2]) for b in fours]


def complex_third(system: ParametricField, y: Ball, q: ComplexBall) -> ComplexBall:
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


def joined(vector: Ball, last: Ball) -> Ball:
    """The vector with one more entry."""
    return Ball(np.append(vector.mid, last.mid), np.append(vector.rad, last.rad))


def undecided_speed(speed: Ball) -> Refusal:
    """What an enclosure of the speed of crossing that holds 0 says."""
    return Refusal(Reason.TRANSVERSALITY_UNDECIDED, f"the speed in the parameter is in {speed!r}")


def undecided_coefficient(coefficient: Ball) -> Refusal:
    """What an enclosure of a normal form coefficient that holds 0 says."""
    return Refusal(
        Reason.LYAPUNOV_SIGN_UNDECIDED,
        f"the coefficient of the normal form is in {coefficient!r}, which has both signs",
        {"lower": float(coefficient.lower()), "upper": float(coefficient.upper())},
    )
