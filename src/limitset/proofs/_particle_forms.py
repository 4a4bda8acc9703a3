"""The linear function of a particle, as a function of its weights: values, derivatives, forms.

A particle with matrices `W_1 ... W_L`, without biases and without activation, is the row vector
`kappa = W_L ... W_1`. Its weights are one vector, matrix by matrix, row by row; `Pi` of shape
`(n, 3)` holds the coordinates by which it is asked for each of them.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flint import fmpq, fmpq_mat
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.proofs._ball import Ball, ball_sum, float_above

Vector = Float[np.ndarray, " n"]
Positions = Float[np.ndarray, "n 3"]
Shapes = tuple[tuple[int, int], ...]

# Inputs that ask for a weight: its value, and three coordinates.
QUESTION = 4


@dataclass(frozen=True, eq=False)
class ParticleShape:
    """Sizes and coordinates of linear particles, checked.

    **Arguments:** `positions` `Pi`; `shapes` of the matrices as (rows, columns), first to last.

    **Raises:** `InputProblem` for shapes that do not chain, and numbers that do not fit them.
    """

    positions: Positions
    shapes: Shapes

    def __post_init__(self) -> None:
        rows, columns = ([shape[k] for shape in self.shapes] for k in range(2))
        fits = len(rows) >= 2 and min(*rows, *columns) > 0 and columns[1:] == rows[:-1]
        if not (fits and columns[0] >= QUESTION and rows[-1] == 1):
            raise InputProblem(
                f"shapes is {self.shapes}; give two or more matrices that chain, from 4 or more "
                "inputs to one output, as ((2, 4), (2, 2), (1, 2))"
            )
        if Ball.exact(self.positions).shape != (self.size, 3):
            raise InputProblem(
                f"positions has shape {np.shape(self.positions)}; these matrices need "
                f"({self.size}, 3)"
            )

    @property
    def size(self) -> int:
        """How many weights, `n`."""
        return sum(rows * columns for rows, columns in self.shapes)

    @property
    def depth(self) -> int:
        """How many matrices, `L`."""
        return len(self.shapes)

    def cut(self, weights: Ball) -> list[Ball]:
        """The matrices of vectors of weights, with the leading axes of those."""
        ends = np.cumsum([rows * columns for rows, columns in self.shapes])
        return [
            weights[..., end - rows * columns : end].reshape(*weights.shape[:-1], rows, columns)
            for end, (rows, columns) in zip(ends, self.shapes, strict=True)
        ]


def times(A: Ball, B: Ball) -> Ball:
    """The matrix product over leading axes, those of one matrix repeated where the other's differ.

    For few rows and columns: all products of entries are held at once.
    """
    return ball_sum(A[..., :, :, None] * B[..., None, :, :], axis=-2)


def kappa(shape: ParticleShape, weights: Ball) -> Ball:
    """`kappa_{0:3}`, the first four entries of `W_L ... W_1`, of shape `(*batch, 4)`.

    >>> shape = ParticleShape(np.zeros((5, 3)), ((1, 4), (1, 1)))
    >>> kappa(shape, Ball.exact([1.0, 2.0, 3.0, 4.0, 2.0])).mid
    array([2., 4., 6., 8.])
    """
    first, *others = shape.cut(weights)
    row = others[-1]
    for weight in reversed(others[:-1]):
        row = times(row, weight)
    return times(row, first[..., :QUESTION])[..., 0, :]


def kappa_gradient(shape: ParticleShape, weights: Ball) -> Ball:
    """`G = D kappa_{0:3}`, of shape `(*batch, 4, n)`.

    `d kappa_j / d W_m[a, b] = (W_L ... W_{m+1})_a (W_{m-1} ... W_1)_{b j}`.
    """
    parts, batch = shape.cut(weights), weights.shape[:-1]
    rows = [Ball.exact(np.ones((*batch, 1, 1)))]
    for weight in reversed(parts[1:]):
        rows.append(times(rows[-1], weight))
    inputs = np.eye(shape.shapes[0][1])[:, :QUESTION]
    columns = [Ball.exact(np.broadcast_to(inputs, (*batch, *inputs.shape)))]
    for weight in parts[:-1]:
        columns.append(times(weight, columns[-1]))
    blocks = []
    for left, right in zip(reversed(rows), columns, strict=True):
        turned = Ball.moved(lambda x: np.swapaxes(x, -1, -2), right)
        block = left[..., 0, None, :, None] * turned[..., :, None, :]
        blocks.append(block.reshape(*batch, QUESTION, -1))
    return Ball.moved(lambda *pieces: np.concatenate(pieces, axis=-1), *blocks)


Exponents = tuple[int, int, int]
Form = dict[Exponents, fmpq]


def kappa_forms(shape: ParticleShape) -> tuple[Form, ...]:
    """`kappa_{0:3}(Pi a)` as four forms of degree `L` in `a`, with exact rational coefficients.

    With `Pi a` cut into matrices `P_m^q` for each coordinate `q`, the coefficients are sums of the
    products `P_L^q ... P_1^r`, one for each choice of coordinates.

    >>> positions = np.array([[0.0, 0.0, 1.0]] * 4 + [[1.0, 0.0, 0.0]])
    >>> kappa_forms(ParticleShape(positions, ((1, 4), (1, 1))))[0]
    {(1, 0, 1): 1}
    """
    parts = [
        [_exact(shape.cut(Ball.exact(column))[layer].mid) for column in shape.positions.T]
        for layer in range(shape.depth)
    ]
    forms: tuple[Form, ...] = tuple({} for _ in range(QUESTION))
    for choice in itertools.product(range(3), repeat=shape.depth):
        product = parts[-1][choice[-1]]
        for layer in range(shape.depth - 2, -1, -1):
            product = product * parts[layer][choice[layer]]
        exponents = (choice.count(0), choice.count(1), choice.count(2))
        for form, coefficient in zip(forms, product.entries()[:QUESTION], strict=True):
            if coefficient != 0:
                form[exponents] = form.get(exponents, fmpq(0)) + coefficient
    return forms


def _exact(matrix: Float[np.ndarray, "r c"]) -> fmpq_mat:
    rows, columns = matrix.shape
    numbers = [fmpq(*float(v).as_integer_ratio()) for v in matrix.ravel()]
    return fmpq_mat(rows, columns, numbers)


def as_balls(coefficients: Sequence[fmpq]) -> Ball:
    """Balls around rational numbers: the nearest float, and a bound of what it misses."""
    middle = np.array([float(int(c.p) / int(c.q)) for c in coefficients])
    missed = [
        abs(c - fmpq(*float(m).as_integer_ratio()))
        for c, m in zip(coefficients, middle, strict=True)
    ]
    # A float at least as large: the quotient of integers is correctly rounded in Python.
    above = [float_above(np.float64(int(r.p) / int(r.q))) if r else 0.0 for r in missed]
    radius = np.array(above, np.float64)
    return Ball(middle, radius)
