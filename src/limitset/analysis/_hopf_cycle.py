"""The small cycle beside a Hopf point, by the normal form; float64, nothing is proved."""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from limitset._result import InputProblem
from limitset.analysis._bifurcation import HopfCandidate
from limitset.analysis._cycles import CycleCandidate
from limitset.dynamics import Field

_SAMPLES = 200
# Real parts relative to the modulus: below this, rounding decides the sign.
_TINY = 1e-9

Vector = Float[np.ndarray, " n"]
ComplexVector = Complex[np.ndarray, " n"]
_Value = Callable[[Array], Array]


def cycle_near_hopf(field: Field, point: HopfCandidate, parameter: float) -> CycleCandidate:
    """The periodic orbit that branches off at a Hopf point, at a parameter beside it.

    With `J q = i w q`, `|q|_2 = 1`, `p^H J = i w p^H`, `p^H q = 1` the amplitude `z` obeys
    `z' = (i w + lambda' d) z + c z |z|^2` to leading order, `d = a - a*`, where

        lambda' = p^H (f_xa q + B(q, x')),  x' = -J^-1 f_a,
        c = p^H [C(q,q,qbar) + 2 B(q, h11) + B(qbar, h20)] / 2,  Re c = w l1,
        h11 = -J^-1 B(q,qbar),  h20 = (2 i w - J)^-1 B(q,q),

    so that `|z|^2 = r^2 = -d Re lambda' / Re c`, and the frequency is
    `w + d Im lambda' + r^2 Im c`. The orbit is
    `x* + d x' + 2 Re(z q) + r^2 h11 + Re(h20 z^2)`.

    **Arguments:** `field`: `f(x, a)`, in JAX, three times differentiable; `point`: polished, for
    instance of `find_hopf_points`; `parameter`: near that of the point, on the side of the cycles.

    **Returns:** a candidate; its errors grow with the distance from the point.

    **Raises:** `InputProblem` on the side without cycles, or where `l1` vanishes.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork, shift_family
    >>> family = shift_family(RateNetwork(jnp.array([[0.0, -2.0], [2.0, 0.0]])))
    >>> point = HopfCandidate(1.0, 2.0, np.zeros(2), np.array([1.0, -1.0j]))
    >>> cycle = cycle_near_hopf(family, point, 1.01)
    >>> round(cycle.period, 3), round(float(np.linalg.norm(cycle.state)), 3)
    (3.173, 0.2)

    **Source:** Y. A. Kuznetsov, Elements of Applied Bifurcation Theory, section 5.4.
    """
    form = _normal_form(field, point)
    distance = parameter - point.parameter
    if not abs(form.cubic.real) > _TINY * abs(form.cubic):
        raise InputProblem("the first Lyapunov coefficient seems to vanish; give another point")
    square = -distance * form.speed.real / form.cubic.real
    if not square > 0:
        side = "below" if form.speed.real * form.cubic.real > 0 else "above"
        raise InputProblem(
            f"parameter is {parameter:g}; give one {side} {point.parameter:g}, where the cycles are"
        )
    frequency = point.frequency + distance * form.speed.imag + square * form.cubic.imag
    if not frequency > 0:
        raise InputProblem(
            f"parameter is {parameter:g}; the normal form ends before, give one nearer to "
            f"{point.parameter:g}"
        )
    z = np.sqrt(square) * np.exp(2j * np.pi * np.arange(_SAMPLES) / _SAMPLES)[:, None]
    rest = point.state + distance * form.moved + square * form.mean
    states = rest + np.real(2 * z * form.q + z**2 * form.double)
    return CycleCandidate(float(2 * np.pi / frequency), states)


class _NormalForm(NamedTuple):
    """`speed` is `lambda'`, `cubic` is `c`; `moved`, `mean`, `double` are `x'`, `h11`, `h20`."""

    speed: complex
    cubic: complex
    q: ComplexVector
    moved: Vector
    mean: Vector
    double: ComplexVector


def _normal_form(field: Field, point: HopfCandidate) -> _NormalForm:
    n, w = len(point.state), point.frequency
    y = jnp.asarray(np.append(point.state, point.parameter))
    derivative = np.asarray(_first(field, y))
    J, by_parameter = derivative[:, :n], derivative[:, n]
    q = point.vector / np.linalg.norm(point.vector)
    values, vectors = np.linalg.eig(J.T)
    left = vectors[:, np.abs(values - 1j * w).argmin()]
    left = left / (left @ q)
    moved = -np.linalg.solve(J, by_parameter)

    def along(*directions: Float[np.ndarray, " k"]) -> Vector:
        return np.asarray(_along(field, y, *map(jnp.asarray, directions)))

    def second(u: ComplexVector, v: ComplexVector, t: float = 0.0) -> ComplexVector:
        """`D2f((u, 0), (v, t))`, the last entries along the parameter."""
        real, imaginary = np.append(np.real(u), 0.0), np.append(np.imag(u), 0.0)
        parts = (np.append(np.real(v), t), np.append(np.imag(v), 0.0))
        (a, b), (c, d) = ([along(e, f) for f in parts] for e in (real, imaginary))
        return a - d + 1j * (b + c)

    mean = -np.linalg.solve(J, np.real(second(q, q.conj())))
    double = np.linalg.solve(2j * w * np.eye(n) - J, second(q, q))
    u, v = np.append(np.real(q), 0.0), np.append(np.imag(q), 0.0)
    third = along(u, u, u) + along(u, v, v)
    third = third + 1j * (along(u, u, v) + along(v, v, v))
    cubic = left @ (third + 2 * second(q, mean + 0j) + second(q.conj(), double)) / 2
    speed = left @ second(q, moved + 0j, 1.0)
    return _NormalForm(complex(speed), complex(cubic), q, moved, mean, double)


@eqx.filter_jit
def _first(field: Any, y: Float[Array, " k"]) -> Float[Array, "n k"]:
    return jax.jacfwd(lambda z: field(z[:-1], z[-1]))(y)


@eqx.filter_jit
def _along(
    field: Any, y: Float[Array, " k"], *directions: Float[Array, " k"]
) -> Float[Array, " n"]:
    """The derivative along one direction after the other."""

    def differentiated(value: _Value, direction: Float[Array, " k"]) -> _Value:
        return lambda z: jax.jvp(value, (z,), (direction,))[1]

    return reduce(differentiated, directions, lambda z: field(z[:-1], z[-1]))(y)
