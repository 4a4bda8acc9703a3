"""Complex balls: rectangles with real and imaginary parts, by real products only."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.proofs._ball import Ball, Exact, as_ball, ball_sum
from limitset.proofs._linalg import verified_solve

Reals = Float[np.ndarray, "..."]


@dataclass(frozen=True, slots=True, eq=False)
class ComplexBall:
    """Every complex array whose real part is in `re` and whose imaginary part is in `im`.

    Products take four real ones: the three-product form has no entrywise error bound.

    **Raises:** `InputProblem` for parts of unequal shapes.

    >>> z = ComplexBall.exact(1.0 + 2.0j)
    >>> product = z * z.conj()
    >>> float(product.re.mid), float(product.im.mid)
    (5.0, 0.0)
    """

    re: Ball
    im: Ball

    # NumPy arrays on the left hand side defer to the reflected operators below.
    __array_ufunc__ = None

    def __post_init__(self) -> None:
        if self.re.shape != self.im.shape:
            raise InputProblem(
                f"Real part of shape {self.re.shape} and imaginary part of shape {self.im.shape}; "
                "make them one."
            )

    @staticmethod
    def exact(array: object) -> "ComplexBall":
        """The ball of radius 0 around complex floats, taken as exact numbers."""
        given = np.asarray(array)
        if given.dtype not in (np.complex128, np.complex64):
            return ComplexBall.real(Ball.exact(given))
        return ComplexBall(Ball.exact(np.real(given)), Ball.exact(np.imag(given)))

    @staticmethod
    def real(part: Ball | Exact) -> "ComplexBall":
        """A real ball as a complex one."""
        ball = as_ball(part)
        return ComplexBall(ball, Ball.exact(np.zeros(ball.shape)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of both parts."""
        return self.re.shape

    @property
    def guaranteed(self) -> bool:
        """Whether both parts are."""
        return self.re.guaranteed and self.im.guaranteed

    @property
    def T(self) -> "ComplexBall":
        """The transpose, without conjugation (exact)."""
        return ComplexBall(self.re.T, self.im.T)

    def __len__(self) -> int:
        return len(self.re)

    def __getitem__(self, key: Any) -> "ComplexBall":
        return ComplexBall(self.re[key], self.im[key])

    def conj(self) -> "ComplexBall":
        """The complex conjugate (exact)."""
        return ComplexBall(self.re, -self.im)

    def times_i(self) -> "ComplexBall":
        """The product with the imaginary unit (exact)."""
        return ComplexBall(-self.im, self.re)

    def __neg__(self) -> "ComplexBall":
        return ComplexBall(-self.re, -self.im)

    def __add__(self, other: "ComplexBall | Ball | Exact") -> "ComplexBall":
        other = as_complex(other)
        return ComplexBall(self.re + other.re, self.im + other.im)

    __radd__ = __add__

    def __sub__(self, other: "ComplexBall | Ball | Exact") -> "ComplexBall":
        return self + (-as_complex(other))

    def __rsub__(self, other: "Ball | Exact") -> "ComplexBall":
        return (-self) + other

    def __mul__(self, other: "ComplexBall | Ball | Exact") -> "ComplexBall":
        if not isinstance(other, ComplexBall):
            real = as_ball(other)
            return ComplexBall(self.re * real, self.im * real)
        return ComplexBall(
            self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re
        )

    __rmul__ = __mul__

    def __matmul__(self, other: "ComplexBall | Ball | Exact") -> "ComplexBall":
        if not isinstance(other, ComplexBall):
            real = as_ball(other)
            return ComplexBall(self.re @ real, self.im @ real)
        return ComplexBall(
            self.re @ other.re - self.im @ other.im, self.re @ other.im + self.im @ other.re
        )

    def __rmatmul__(self, other: "Ball | Exact") -> "ComplexBall":
        real = as_ball(other)
        return ComplexBall(real @ self.re, real @ self.im)

    def squared_modulus(self) -> Ball:
        """`re^2 + im^2` of every member, entrywise."""
        return self.re * self.re + self.im * self.im

    def magnitude(self) -> Reals:
        """Floats that are at least the modulus of every member; infinite where it is unbounded."""
        return modulus_upper(self.re.magnitude(), self.im.magnitude())

    def mignitude(self) -> Reals:
        """Nonnegative floats that are at most the modulus of every member."""
        a, b = Ball.exact(self.re.mignitude()), Ball.exact(self.im.mignitude())
        squares = Ball.exact(np.maximum((a * a + b * b).lower(), 0.0))
        return np.maximum(squares.sqrt().lower(), 0.0)


def as_complex(value: "ComplexBall | Ball | Exact") -> ComplexBall:
    """The value itself if it is a complex ball, else a real one with imaginary part 0."""
    return value if isinstance(value, ComplexBall) else ComplexBall.real(value)


def modulus_upper(re: Reals, im: Reals) -> Reals:
    """Floats at least `sqrt(re^2 + im^2)` for nonnegative floats, infinite ones included."""
    finite = np.isfinite(re) & np.isfinite(im)
    a, b = Ball.exact(np.where(finite, re, 0.0)), Ball.exact(np.where(finite, im, 0.0))
    squares = (a * a + b * b).upper()
    finite &= np.isfinite(squares)
    root = Ball.exact(np.where(finite, squares, 0.0)).sqrt().upper()
    return np.where(finite, root, np.inf)


def complex_sum(ball: ComplexBall, axis: int | None = None) -> ComplexBall:
    """Sum over one axis, or over all entries."""
    return ComplexBall(ball_sum(ball.re, axis), ball_sum(ball.im, axis))


def complex_solve(A: ComplexBall, b: ComplexBall) -> ComplexBall:
    """Every solution of `A x = b`; proves all members of `A` nonsingular too.

    The real system of double size `[[Re A, -Im A], [Im A, Re A]] [Re x; Im x] = [Re b; Im b]`
    holds all complex ones, so `verified_solve` applies.

    **Arguments:** `A` of shape `(n, n)`; `b` of shape `(n,)` or `(n, k)`.

    **Raises:** `NotVerified` where a member of `A` may be singular.

    >>> x = complex_solve(ComplexBall.exact([[2.0j]]), ComplexBall.exact([4.0 + 2.0j]))
    >>> bool(abs(x.re.mid[0] - 1.0) <= x.re.rad[0]), bool(abs(x.im.mid[0] + 2.0) <= x.im.rad[0])
    (True, True)
    """
    if len(A.shape) != 2 or len(b.shape) not in (1, 2):
        raise InputProblem(f"A linear system of shapes {A.shape} and {b.shape}; sizes must agree.")
    top, bottom = _joined(A.re, -A.im, 1), _joined(A.im, A.re, 1)
    x = verified_solve(_joined(top, bottom, 0), _joined(b.re, b.im, 0))
    return ComplexBall(x[: len(b)], x[len(b) :])


def complex_inverse(A: ComplexBall) -> ComplexBall:
    """The inverses of all members of `A`: `complex_solve` with the identity on the right."""
    return complex_solve(A, ComplexBall.real(np.eye(len(A))))


def _joined(a: Ball, b: Ball, axis: int) -> Ball:
    mid, rad = np.concatenate([a.mid, b.mid], axis), np.concatenate([a.rad, b.rad], axis)
    return Ball(mid, rad, a.guaranteed and b.guaranteed)
