"""The Krawczyk test in Arb: one zero in a box, at which the derivative is regular.

With `A` near the inverse of `DF`, `k = -A F(center) + (I - A DF(box)) (box - center)` holds
`zero - center` for every zero in the box. `|k| < radius` proves exactly one.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from flint import acb_mat, arb, arb_mat, ctx

from limitset.checker._document import NotProved

Matrix = TypeVar("Matrix", arb_mat, acb_mat)
Vector = list[arb]
Value = Callable[[Vector], Vector]
Jacobian = Callable[[Vector], arb_mat]
_STEPS = 8
# How often a box may grow until it holds its image, and up to which radius none is made smaller.
_GROWTHS, _FINE = 4, 2.0**-80


def solve(matrix: Matrix, right: Matrix) -> Matrix:
    """`matrix^-1 right`, real or complex; the matrix must be certainly regular.

    Preconditioned: elimination alone makes balls of matrices wider at each of its steps.
    """
    try:
        return matrix.solve(right, algorithm="precond")
    except ZeroDivisionError:
        raise NotProved("a matrix is not certainly regular") from None


def invert(matrix: arb_mat) -> arb_mat:
    """The midpoint of an inverse of the midpoint: a preconditioner, exact by definition."""
    n = matrix.nrows()
    return solve(
        matrix.mid(), arb_mat(n, n, [float(i == j) for i in range(n) for j in range(n)])
    ).mid()


def column(vector: Sequence[arb]) -> arb_mat:
    """The vector as a matrix of one column."""
    return arb_mat(len(vector), 1, vector)


def around(center: Sequence[arb], radius: Sequence[arb]) -> Vector:
    """The box of all points within the radius, entry by entry."""
    return [c + arb(0, r) for c, r in zip(center, radius, strict=True)]


def contraction(A: arb_mat, derivative: arb_mat) -> arb_mat:
    """`I - A derivative`."""
    product = -(A * derivative)
    for i in range(product.nrows()):
        product[i, i] += 1
    return product


def has_one_zero(Z: arb_mat, shift: Sequence[arb], radius: Sequence[arb]) -> bool:
    """Whether `|shift + Z [-radius, radius]| < radius`; with shift 0, at most one zero is left."""
    image = (Z * column(around([arb(0)] * len(radius), radius))).entries()
    each = zip(shift, image, radius, strict=True)
    return all(abs(s) + abs(k) < r for s, k, r in each)


def refine(value: Value, jacobian: Jacobian, box: Vector) -> Vector:
    """A smaller box with all zeros of the box, by intersection with Krawczyk images."""
    for _ in range(_STEPS):
        center = [b.mid() for b in box]
        A = invert(jacobian(center))
        Z = contraction(A, jacobian(box))
        offsets = column([b - c for b, c in zip(box, center, strict=True)])
        images = (Z * offsets - A * column(value(center))).entries()
        inner = [c + k for c, k in zip(center, images, strict=True)]
        new = [b.intersection(k) for b, k in zip(box, inner, strict=True)]
        done = not any(2 * n.rad() < b.rad() for n, b in zip(new, box, strict=True))
        box = new
        if done:
            break
    return box


def enclose_zero(value: Value, jacobian: Jacobian, start: Sequence[arb]) -> Vector:
    """A small box with exactly one zero, from a candidate that nothing is believed of.

    Of functions that are balls, each of those in them has exactly one.
    """
    center = [s.mid() for s in start]
    A = invert(jacobian(center))
    for _ in range(_STEPS):
        steps = (A * column(value(center))).entries()
        center = [(c - s).mid() for c, s in zip(center, steps, strict=True)]
    shift = (A * column(value(center))).entries()
    tiny = arb(2) ** (8 - ctx.prec)
    radius = [
        (4 * abs(s).upper() + tiny * (1 + abs(c))).upper()
        for s, c in zip(shift, center, strict=True)
    ]
    radius = _grow(A, jacobian, center, shift, radius)
    box = around(center, radius)
    is_fine = all(r < _FINE * (1 + abs(c)) for r, c in zip(radius, center, strict=True))
    return box if is_fine else refine(value, jacobian, box)


def _grow(A: arb_mat, jacobian: Jacobian, center: Vector, shift: Vector, radius: Vector) -> Vector:
    """The radius, or a larger one, within which there is exactly one zero."""
    for _ in range(_GROWTHS):
        Z = contraction(A, jacobian(around(center, radius)))
        if has_one_zero(Z, shift, radius):
            return radius
        image = (Z * column(around([arb(0)] * len(radius), radius))).entries()
        each = zip(radius, shift, image, strict=True)
        radius = [r.max((2 * (abs(s) + abs(k))).upper()) for r, s, k in each]
        if not all(r < 1 for r in radius):
            break
    raise NotProved("the candidate has no zero of the equations beside it")
