"""Hopf points whose signs float64 cannot tell from 0: the same theorem in Arb, at any precision."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import acb, acb_mat, arb, arb_mat
from jaxtyping import Complex, Float, Shaped

from limitset._result import InputProblem
from limitset.dynamics import Field
from limitset.proofs._arithmetic import ArbArithmetic, ArbArray
from limitset.proofs._ball import Ball
from limitset.proofs._critical import (
    fixed_phase,
    refusing,
    require_candidate,
    undecided_coefficient,
    undecided_speed,
)
from limitset.proofs._derivative import (
    directional,
    jacobian,
    second_directional,
    third_directional,
)
from limitset.proofs._enclose import enclose
from limitset.proofs._functions import arb_bounds, as_arb, entries
from limitset.proofs._hopf import HopfPoint
from limitset.proofs._hopf_system import HopfSystem
from limitset.proofs._krawczyk import newton
from limitset.proofs._linalg import NotVerified
from limitset.proofs._parametric import ParametricField
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic

Vector = Float[np.ndarray, " n"]
AcbArray = Shaped[np.ndarray, "..."]  # of dtype object, holding flint.acb

_INFLATIONS = 6
# What Newton's method in float64 reaches at least, in bits; each further step doubles it.
_FLOAT_BITS = 30

_absolute = np.frompyfunc(abs, 1, 1)
_midpoint = np.frompyfunc(lambda v: v.mid(), 1, 1)
_upper = np.frompyfunc(lambda v: v.upper(), 1, 1)
_interval = np.frompyfunc(arb, 2, 1)
_acb = np.frompyfunc(acb, 2, 1)
_real = np.frompyfunc(lambda z: z.real, 1, 1)
_imaginary = np.frompyfunc(lambda z: z.imag, 1, 1)
_conjugate = np.frompyfunc(lambda z: z.conjugate(), 1, 1)


@refusing
def refine_hopf(
    field: Field,
    parameter: float,
    frequency: float,
    state: Vector,
    vector: Complex[np.ndarray, " n"],
    *,
    precision: int = 250,
) -> HopfPoint | Refusal:
    """Prove a Hopf point as `prove_hopf` does, with all of its numbers in Arb.

    For points that `prove_hopf` leaves with `lyapunov_sign_undecided` or
    `transversality_undecided`, or where two pairs are close to the axis. The balls of the point are
    float64 ones around those of Arb: crossing and coefficient have about 16 certain digits each,
    and a certain sign however small they are.

    **Arguments:**

    - `field`, `parameter`, `frequency`, `state` (n,), `vector` (n,): as in `prove_hopf`; the
      weights are the stored ones.
    - `precision`: bits of Arb, at least 64. A coefficient that is 0 stays undecided at any.

    **Returns:** the point, or a refusal with its reason.

    **Raises:** `InputProblem` for numbers that are not finite, or a precision below 64 bits.

    **Example:**

    >>> from limitset.networks import RateNetwork, shift_family
    >>> weight = jnp.array([[1e-15, -1.0], [2.0, -1e-15]])
    >>> family = shift_family(RateNetwork(weight, form="firing_rate", leak=0.0))
    >>> candidate = 0.0, 1.4142, np.zeros(2), np.array([1.0, -1.4142j])
    >>> float(refine_hopf(family, *candidate).lyapunov_coefficient.mid.round(23))
    2.3570226e-16

    **Source:** arXiv 2202.05073; F. Johansson, Arb, IEEE Trans. Comput. 66, 2017.
    """
    require_sound_arithmetic()
    require_candidate((parameter, frequency), state, vector)
    if not precision >= 64:
        raise InputProblem(f"precision is {precision} bits; give at least 64, say 250")
    machine = ArbArithmetic(precision)
    fixed = fixed_phase(np.asarray(vector, complex))
    if isinstance(fixed, Refusal):
        return fixed
    phi, v = fixed
    exact = ParametricField(field)
    floats = HopfSystem(exact, phi)
    start = np.concatenate([[parameter, frequency], state, np.real(v), np.imag(v)])
    near = newton(floats.value, floats.jacobian, start)
    if isinstance(near, Refusal):
        return near
    with machine.session():
        zero = _enclose_zero(_augmented(exact, phi, machine), as_arb(near), machine)
        return zero if isinstance(zero, Refusal) else _point(exact, zero, machine)


def _point(exact: ParametricField, zero: ArbArray, machine: ArbArithmetic) -> HopfPoint | Refusal:
    """What follows from the zero `(a, omega, x, v1, v2)`, in the order of `prove_hopf`."""
    box = _box(zero)
    a, omega, (x, v1, v2) = zero[0], zero[1], np.split(zero[2:], 3)
    if not omega > 0:
        return Refusal(Reason.OMEGA_CONTAINS_ZERO, f"the frequency is in {omega}, not above 0")
    local = _Local(exact, np.append(x, a), machine)
    unstable = _count_unstable(local.derivative[:, :-1])
    if isinstance(unstable, Refusal):
        return unstable
    speed, l1 = _normal_form(local, omega, _complex(v1, v2))
    crossing, coefficient = _hull(speed), _hull(l1)
    if not crossing.mignitude() > 0:
        return _at_precision(undecided_speed(crossing), machine)
    if not coefficient.mignitude() > 0:
        return _at_precision(undecided_coefficient(coefficient), machine)
    return HopfPoint(box[0], box[1], box[2 : len(x) + 2], crossing, coefficient, unstable)


def _count_unstable(J: ArbArray) -> int | Refusal:
    """Eigenvalues right of the axis, if all are simple and two may lie on it: `+- i omega` do."""
    try:
        values = acb_mat(J.tolist()).eig()
    except ValueError:
        return Refusal(
            Reason.SPECTRUM_NOT_SEPARATED,
            f"not all eigenvalues are told apart at {flint.ctx.prec} bits; raise the precision",
        )
    beyond = sum(bool(value.real > 0) for value in values)
    meets = len(values) - beyond - sum(bool(value.real < 0) for value in values)
    if meets != 2:
        message = f"{meets} eigenvalues may be on the imaginary axis, at {flint.ctx.prec} bits"
        return Refusal(Reason.SPECTRUM_NOT_SEPARATED, message)
    return beyond


def _at_precision(undecided: Refusal, machine: ArbArithmetic) -> Refusal:
    message = f"{undecided.message}, at {machine.precision} bits"
    return replace(undecided, message=message)


def _hull(values: ArbArray | arb) -> Ball:
    """Float64 balls around those of Arb."""
    return Ball.from_bounds(*arb_bounds(entries(values)))


def _box(zero: ArbArray) -> Ball:
    """Float64 balls of the unknowns, none much smaller than the roundoff of the largest.

    An unknown that is 0 would have a radius that no other precision reaches.
    """
    hull = _hull(zero)
    return Ball(hull.mid, np.maximum(hull.rad, 2.0**-60 * np.abs(hull.mid).max()))


# --- The zero ---


@dataclass(frozen=True)
class _Augmented:
    """The system of `hopf_system`, and its Jacobian, of arrays of `arb`."""

    value: Callable[[ArbArray], ArbArray]
    jacobian: Callable[[ArbArray], ArbArray]


def _augmented(exact: ParametricField, phi: Vector, machine: ArbArithmetic) -> _Augmented:
    """Enclosed as a whole; its derivatives are those of `directional`, which know kinks."""

    def system(z: jax.Array, weights: list[jax.Array]) -> jax.Array:
        a, omega, (x, v1, v2) = z[:1], z[1], jnp.split(z[2:], 3)
        y = jnp.concatenate([x, a])

        def along(v: jax.Array) -> jax.Array:
            return directional(exact.function)(y, jnp.append(v, 0.0), weights)

        scale = jnp.stack([phi @ v1, phi @ v2 - 1])
        rotated = [along(v1) + omega * v2, along(v2) - omega * v1]
        return jnp.concatenate([scale, exact.function(y, weights), *rotated])

    value, derivative = enclose(system, machine), enclose(jacobian(system), machine)
    return _Augmented(lambda z: value(z, exact.weights), lambda z: derivative(z, exact.weights))


def _enclose_zero(
    system: _Augmented, start: ArbArray, machine: ArbArithmetic
) -> ArbArray | Refusal:
    """Newton's method at full precision, then the Krawczyk test (see `krawczyk`), twice.

    The second one is for the cube around the float64 balls of the box, which are wider: these
    hold no other zero.
    """
    c = start
    for _ in range(math.ceil(math.log2(machine.precision / _FLOAT_BITS))):
        step = _solve(_midpoint(system.jacobian(c)), _midpoint(system.value(c)))
        c = _finite(_midpoint(c - step))
    A = _midpoint(_inverse(_midpoint(system.jacobian(c))))
    Y, eye = _absolute(A @ system.value(c)), as_arb(np.eye(len(c)))

    def image(rho: ArbArray) -> ArbArray:
        """`Z rho`."""
        slope = system.jacobian(entries(_interval(c, rho)))
        return machine.matmul(_absolute(eye - machine.matmul(A, slope)), rho[:, None])[:, 0]

    rho = _upper(3 * Y + as_arb(np.full(len(c), 2.0 ** -min(machine.precision, 1000))))
    for _ in range(_INFLATIONS):
        reached = Y + image(rho)
        if all(reached < rho):
            break
        rho = _finite(_upper(2 * reached + rho))
    else:
        return _not_contained(machine.precision)
    zero = entries(_interval(c, rho))
    box = _box(zero)
    sides = np.concatenate([as_arb(box.lower()) - c, as_arb(box.upper()) - c])
    sides = _finite(_absolute(sides))
    sigma = np.full(len(c), max(side.upper() for side in sides), dtype=object)
    return zero if all(image(sigma) < sigma) else _not_contained(machine.precision)


def _not_contained(precision: int) -> Refusal:
    return Refusal(
        Reason.KRAWCZYK_NOT_CONTAINED,
        f"the Krawczyk image leaves the box at {precision} bits; raise the precision",
    )


# --- The normal form ---


class _Local:
    """The field at one point `y = (x, a)` in Arb: its first derivative, and forms of the others."""

    def __init__(self, exact: ParametricField, y: ArbArray, machine: ArbArithmetic) -> None:
        g = exact.function
        self._place = y, exact.weights
        self.derivative: ArbArray = enclose(jacobian(g), machine)(*self._place)
        self._second = enclose(jax.vmap(second_directional(g), (None, 0, 0, None)), machine)
        self._third = enclose(jax.vmap(third_directional(g), (None, 0, 0, 0, None)), machine)

    def second(self, u: AcbArray, v: AcbArray) -> AcbArray:
        """`B(u, v)`, bilinear; directions of states get parameter 0."""
        y, weights = self._place
        (a, b), (c, d) = _parts(u, len(y)), _parts(v, len(y))
        B = self._second(y, np.stack([a, a, b, b]), np.stack([c, d, c, d]), weights)
        return _complex(B[0] - B[3], B[1] + B[2])

    def third(self, q: AcbArray) -> AcbArray:
        """`C(q, q, conj q)`."""
        y, weights = self._place
        r, s = _parts(q, len(y))
        columns = [[r, r, r, s], [r, s, r, s], [r, s, s, s]]
        C = self._third(y, *(np.stack(column) for column in columns), weights)
        return _complex(C[0] + C[1], C[2] + C[3])


def _complex(re: ArbArray, im: ArbArray) -> AcbArray:
    return entries(_acb(re, im))


def _parts(u: AcbArray, size: int) -> tuple[ArbArray, ArbArray]:
    """Real and imaginary parts, filled up with zeros."""
    _finite(u)
    zeros = as_arb(np.zeros(size - len(u)))
    return np.append(_real(u), zeros), np.append(_imaginary(u), zeros)


def _normal_form(local: _Local, omega: arb, v: AcbArray) -> tuple[arb, arb]:
    """`Re dlambda/da` and the first Lyapunov coefficient; the formulas are in `prove_hopf`."""
    J, n = local.derivative[:, :-1], len(v)
    length = sum((z * z.conjugate() for z in v), acb(0)).real.sqrt()
    q = v / length
    conjugate, eye = _conjugate(q), np.eye(n).astype(int).astype(object)
    bordered = np.empty((n + 1, n + 1), dtype=object)
    bordered[:n, :n] = J.T - eye * acb(0, omega)
    bordered[:n, n], bordered[n, :n], bordered[n, n] = conjugate, q, acb(0)
    left = _complex_solve(bordered, np.append(np.zeros(n, int), 1).astype(object))[:n]
    moved = _solve(J, -local.derivative[:, -1])
    along = _complex(np.append(moved, as_arb(np.ones(1))), as_arb(np.zeros(n + 1)))
    speed = sum(left * local.second(q, along), acb(0)).real
    # B(q, conj q) is real, and so is what J^-1 makes of it.
    rest = _complex(_solve(J, _real(local.second(q, conjugate))), as_arb(np.zeros(n)))
    double = _complex_solve(eye * acb(0, 2 * omega) - J, local.second(q, q))
    terms = local.third(q) - 2 * local.second(q, rest) + local.second(conjugate, double)
    return speed, sum(left * terms, acb(0)).real / (2 * omega)


def _finite(values: object) -> ArbArray:
    """The numbers themselves; raises `NotVerified` where one is unbounded or NaN."""
    array = entries(values)
    if not all(value.is_finite() for value in array.flat):
        raise NotVerified("A number is unbounded at this precision.", math.inf)
    return array


def _solve(A: ArbArray, b: ArbArray) -> ArbArray:
    """Every solution; raises `NotVerified` where a member of `A` may be singular."""
    columns = arb_mat(len(b), 1, b.tolist())
    return _verified(lambda: arb_mat(A.tolist()).solve(columns), b.shape)


def _inverse(A: ArbArray) -> ArbArray:
    return _verified(arb_mat(A.tolist()).inv, A.shape)


def _complex_solve(A: AcbArray, b: AcbArray) -> AcbArray:
    columns = acb_mat(len(b), 1, b.tolist())
    return _verified(lambda: acb_mat(A.tolist()).solve(columns), b.shape)


def _verified(
    operation: Callable[[], flint.arb_mat | flint.acb_mat], shape: tuple[int, ...]
) -> ArbArray:
    try:
        result = operation()
    except ZeroDivisionError as error:
        raise NotVerified("A matrix may be singular at this precision.", math.inf) from error
    return np.array(result.entries(), dtype=object).reshape(shape)
