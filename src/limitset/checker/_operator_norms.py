"""Bounds of the 2-norm of dense matrices and convolutions, proved or refused; row sums.

A small operator is a matrix. A large convolution has the symbol `T(w) = sum_q taps_q exp(i w q)`:
on a grid of frequencies so large that what the taps read never meets itself around the edge, its
largest norm bounds the convolution's. With circular padding the grid is that of the image. Repeated
edges are a larger image, whose pixels are each repeated a known number of times. With a stride, all
pixels of a square are channels.
"""

from collections.abc import Iterator
from functools import reduce

from flint import arb, arb_mat, fmpq

from limitset.checker._arithmetic import is_positive_definite
from limitset.checker._document import TooMuchWork
from limitset.checker._operators import (
    Convolution,
    Dense,
    Gram,
    Operator,
    Pool,
    convolution_row,
    dense_rows,
    distinct_pixels,
)

Plain = Dense | Convolution | Pool
_DENSE, _LARGEST, _MOST_WORK = 512, 4096, 2**34


def norm_at_most(operator: Operator, bound: arb) -> bool:
    """Whether `|K|_2 <= bound` is certain."""
    operator = as_plain(operator)
    if isinstance(operator, Pool):
        return bool(operator.window * bound >= 1)
    if isinstance(operator, Dense):
        return matrix_norm_at_most(operator.matrix, bound)
    # The matrix itself is sharper where edges matter, but takes longer.
    sizes = operator.inputs, operator.outputs
    small = min(sizes) <= _DENSE and max(sizes) <= _LARGEST
    return symbol_at_most(operator, bound) or (
        small and matrix_norm_at_most(matrix_of(operator), bound)
    )


def matrix_of(operator: Operator) -> arb_mat:
    """The matrix of a small operator."""
    operator = as_plain(operator)
    if isinstance(operator, Dense):
        return operator.matrix
    _refuse_work(operator.inputs * operator.outputs * 2**10)
    matrix = arb_mat(operator.outputs, operator.inputs)
    for i, row in enumerate(dense_rows(operator)):
        for j, entry in row.items():
            matrix[i, j] = entry
    return matrix


def matrix_norm_at_most(V: arb_mat, bound: arb) -> bool:
    """`|V|_2 <= bound`: by `|V|_2^2 <= |V|_1 |V|_inf`, or by the smaller of two Gram matrices."""
    if not bound >= 0:
        return False
    if V.nrows() < V.ncols():
        V = V.transpose()
    rows = [[abs(entry) for entry in row] for row in V.tolist()]
    sides = (rows, list(zip(*rows, strict=True)))
    across, down = (_largest([sum(line, arb(0)) for line in side]) for side in sides)
    if across * down <= bound**2:
        return True
    _refuse_work(V.nrows() * V.ncols() ** 2)
    return is_positive_definite(bound**2 - V.transpose() * V)


def row_sums(operator: Operator, rows: list[arb], columns: list[arb]) -> Iterator[arb]:
    """`sum_j |K_ij| columns_j rows_i`, for all rows i, or for enough to have all of a convolution.

    `rows` and `columns` must be the same for all pixels of a channel, unless all rows are needed.
    """
    for i, row in each_row(operator, _is_by_channel(operator, rows, columns)):
        yield rows[i] * sum((abs(x) * columns[j] for j, x in row.items()), arb(0))


def each_row(operator: Operator, few: bool) -> Iterator[tuple[int, dict[int, arb]]]:
    """Rows of the matrix with their numbers; `few`: one for each way in which taps meet edges."""
    operator = as_plain(operator)
    if not (few and isinstance(operator, Convolution)):
        yield from enumerate(dense_rows(operator))
        return
    width = len(operator.columns[0])
    pixels = len(operator.rows[0]) * width
    for channel in range(operator.shape[0]):
        for p, q in distinct_pixels(operator):
            yield channel * pixels + p * width + q, convolution_row(operator, channel, p, q)


def _is_by_channel(operator: Operator, rows: list[arb], columns: list[arb]) -> bool:
    """Whether the weights are the same for all pixels of a channel."""
    if not isinstance(operator, Convolution):
        return False
    for weights, channels in ((rows, operator.shape[0]), (columns, operator.shape[1])):
        size = len(weights) // channels
        for start in range(0, len(weights), size):
            if any(w != weights[start] for w in weights[start : start + size]):
                return False
    return True


def symbol_at_most(operator: Convolution, bound: arb) -> bool:
    """Whether `|T(w)|_2 sqrt(repeats) <= bound` is certain at all frequencies of the grid."""
    square = bound**2 / _repeats(operator)
    if not (bound >= 0 and square >= 0):
        return False
    if _absolute_sums(operator) <= square:
        return True
    circular, stride = operator.padding == "circular", operator.stride
    if circular and (operator.height % stride or operator.width % stride):
        # Around the edge squares do not fit; rows left out do not raise the norm.
        stride = 1
    places, sizes = [], []
    for size, reach in ((operator.height, operator.shape[2]), (operator.width, operator.shape[3])):
        at, length = _phases(reach, stride)
        places.append(at)
        sizes.append(-(-size // stride) + (0 if circular else length - 1))
    (m, n), (o, i) = sizes, operator.shape[:2]
    i *= stride**2
    _refuse_work(m * (n // 2 + 1) * (o + i) * min(o, i) ** 2 * 2**5)
    return all(
        _is_below(*_symbol(operator, places, (fmpq(u, m), fmpq(v, n)), stride), square)
        for u in range(m)
        for v in range(n // 2 + 1)
    )


def _absolute_sums(operator: Convolution) -> arb:
    """The largest sums over the taps of an output and of an input channel: a crude square."""
    _, inputs, k, q = operator.shape
    rows = [[abs(tap) for tap in row] for row in operator.taps.tolist()]
    across = _largest([sum(row, arb(0)) for row in rows])
    parts = [slice(i * k * q, (i + 1) * k * q) for i in range(inputs)]
    down = _largest([sum((x for row in rows for x in row[part]), arb(0)) for part in parts])
    return across * down


def _symbol(
    operator: Convolution,
    places: list[list[tuple[int, int]]],
    turns: tuple[fmpq, fmpq],
    s: int,
) -> tuple[arb_mat, arb_mat]:
    """Real and imaginary part of `T(w)`, with a column for each channel and pixel of a square."""
    _, i, k, q = operator.shape
    # One column of the taps goes to one column of the symbol, times its wave.
    real, imaginary = (arb_mat(i * k * q, i * s * s) for _ in range(2))
    for a, (phase, step) in enumerate(places[0]):
        for b, (other, move) in enumerate(places[1]):
            angle = 2 * (turns[0] * step + turns[1] * move)
            cosine, sine = arb.cos_pi_fmpq(angle), arb.sin_pi_fmpq(angle)
            for channel in range(i):
                row, column = (channel * k + a) * q + b, (channel * s + phase) * s + other
                real[row, column], imaginary[row, column] = cosine, sine
    return operator.taps * real, operator.taps * imaginary


def _is_below(real: arb_mat, imaginary: arb_mat, square: arb) -> bool:
    """Whether `T* T < square`, for a complex matrix, as a real one of twice the size."""
    if real.nrows() < real.ncols():
        real, imaginary = real.transpose(), imaginary.transpose()
    a = real.transpose() * real + imaginary.transpose() * imaginary
    b = real.transpose() * imaginary
    b = b - b.transpose()
    n = a.nrows()
    rest = (square - a).tolist()
    turned = b.tolist()
    whole = [rest[i] + turned[i] for i in range(n)]
    whole += [[-x for x in turned[i]] + rest[i] for i in range(n)]
    return is_positive_definite(arb_mat(whole))


def _phases(reach: int, stride: int) -> tuple[list[tuple[int, int]], int]:
    """For each tap, which pixel of a square it reads and in which square; how many squares."""
    pairs = [divmod(a - reach // 2, stride) for a in range(reach)]
    squares = [square for square, _ in pairs]
    return [(phase, square) for square, phase in pairs], max(squares) - min(squares) + 1


def _repeats(operator: Convolution) -> int:
    """How often a pixel of the image appears in the image with its repeated edges, at most."""
    if operator.padding not in ("edge", "reflect"):
        return 1
    product = 1
    for size, reach in ((operator.height, operator.shape[2]), (operator.width, operator.shape[3])):
        counts = [1] * size
        for beyond in range(1, reach // 2 + 1):
            for far in (False, True):
                near = 0 if operator.padding == "edge" else beyond
                counts[size - 1 - near if far else near] += 1
        product *= max(counts)
    return product


def _largest(values: list[arb]) -> arb:
    return reduce(arb.max, values, arb(0))


def _refuse_work(count: int) -> None:
    if count > _MOST_WORK:
        raise TooMuchWork("the norm of an operator of this size is not checked here")


def as_plain(operator: Operator) -> Plain:
    """The operator itself, or the matrix of a small Gram operator."""
    if not isinstance(operator, Gram):
        return operator
    P = gram_matrix(operator)
    rates = operator.rates or [arb(1)] * operator.inputs
    rows = [[-r * x for x in row] for r, row in zip(rates, P.tolist(), strict=True)]
    return Dense(arb_mat(rows), operator.inputs, operator.inputs)


def gram_matrix(gram: Gram) -> arb_mat:
    """`scale inner^T inner + shift`."""
    inner = matrix_of(gram.inner)
    _refuse_work(inner.nrows() * inner.ncols() ** 2)
    return inner.transpose() * inner * gram.scale + gram.shift
