"""Linear operators of deep blocks, read strictly, and applied to vectors of balls.

Images are vectors: (channels, height, width), row by row. A convolution is
`y[o, p] = sum_(i, q) taps[o, i, q] x[i, stride p + q - centre]`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._document import Tensor, require, take

Vector = list[arb]
Tensors = dict[str, Tensor]
PADDINGS = ("zero", "circular", "edge", "reflect")
_LARGEST_SIDE, _LARGEST_STATE = 2**16, 2**22


class Dense(NamedTuple):
    """`x -> matrix x`."""

    matrix: arb_mat
    inputs: int
    outputs: int


class Convolution(NamedTuple):
    """Taps as a matrix of `channels_out` rows; `inputs` and `outputs` count pixels of all channels.

    `rows[a][p]` is the row of the image that tap row `a` reads for the row `p` that comes out, or
    `None` where it reads 0; `columns` likewise.
    """

    taps: arb_mat
    shape: tuple[int, ...]
    height: int
    width: int
    stride: int
    padding: str
    rows: list[list[int | None]]
    columns: list[list[int | None]]
    inputs: int
    outputs: int


class Pool(NamedTuple):
    """Means over squares that do not overlap."""

    channels: int
    height: int
    width: int
    window: int
    inputs: int
    outputs: int


class Gram(NamedTuple):
    """`x -> -rates * (scale inner^T inner x + shift x)`."""

    inner: Any
    scale: arb
    shift: arb
    rates: Vector | None
    inputs: int
    outputs: int


Operator = Dense | Convolution | Pool | Gram


def read_operator(config: Any, tensors: Tensors, name: str) -> Operator:
    """The operator of a configuration; takes its tensors, under `name.`, out of the others."""
    kind = config.get("kind") if isinstance(config, dict) else None
    if kind == "dense":
        take(config, "kind")
        matrix = _pop(tensors, f"{name}.matrix", 2)
        outputs, inputs = matrix.shape
        return Dense(arb_mat(outputs, inputs, matrix.values), inputs, outputs)
    if kind == "convolution":
        return _read_convolution(config, _pop(tensors, f"{name}.taps", 4))
    if kind == "mean_pool":
        _, *sizes = take(config, "kind channels height width window")
        channels, height, width, window = map(_side, sizes)
        fits = height % window == 0 == width % window
        require(fits, "the window of a mean_pool does not divide the image")
        inputs = _state(channels * height * width)
        return Pool(channels, height, width, window, inputs, inputs // window**2)
    require(kind == "negative_gram", "an operator's kind is unknown")
    _, inner, has_rates = take(config, "kind inner rates")
    nested = isinstance(inner, dict) and inner.get("kind") == "negative_gram"
    require(type(has_rates) is bool and not nested, "a negative_gram is malformed")
    operator = read_operator(inner, tensors, f"{name}.inner")
    scale, shift = (_pop(tensors, f"{name}.{key}", 0).values[0] for key in ("scale", "shift"))
    require(scale >= 0 and shift >= 0, "scale or shift of a negative_gram is negative")
    rates, n = None, operator.inputs
    if has_rates:
        given = _pop(tensors, f"{name}.rates", 1)
        require(given.shape == (n,) and min(given.values) > 0, "the rates are not positive")
        rates = list(map(arb, given.values))
    return Gram(operator, arb(scale), arb(shift), rates, n, n)


def _read_convolution(config: Any, taps: Tensor) -> Convolution:
    _, *sizes, padding = take(config, "kind height width stride padding")
    height, width, stride = map(_side, sizes)
    o, i, k, m = taps.shape
    odd = k % 2 == 1 == m % 2 and o > 0 < i
    fits = odd and height > k // 2 and width > m // 2 and padding in PADDINGS
    require(fits, "a convolution's taps, image and padding do not fit")
    rows, columns = (
        [[_source(padding, s, p * stride + a - reach // 2) for p in range(-(-s // stride))]
         for a in range(reach)]
        for s, reach in ((height, k), (width, m))
    )  # fmt: skip
    outputs = _state(o * len(rows[0]) * len(columns[0]))
    matrix = arb_mat(o, i * k * m, taps.values)
    inputs = _state(i * height * width)
    return Convolution(
        matrix, taps.shape, height, width, stride, padding, rows, columns, inputs, outputs
    )


def _source(padding: str, size: int, position: int) -> int | None:
    """Which pixel stands at a position that may lie beyond the edge."""
    if 0 <= position < size:
        return position
    if padding == "circular":
        return position % size
    if padding == "edge":
        return 0 if position < 0 else size - 1
    if padding == "reflect":
        return -position if position < 0 else 2 * (size - 1) - position
    return None


def apply(operator: Operator, x: Vector) -> Vector:
    """The image of a vector of balls."""
    if isinstance(operator, Dense):
        return (operator.matrix * arb_mat(len(x), 1, x)).entries()
    if isinstance(operator, Convolution):
        flat = [arb(0) if at is None else x[at] for at in _reads(operator)]
        pixels = len(operator.rows[0]) * len(operator.columns[0])
        return (operator.taps * arb_mat(operator.taps.ncols(), pixels, flat)).entries()
    if isinstance(operator, Pool):
        sums = [arb(0)] * operator.outputs
        for at, value in zip(_squares(operator), x, strict=True):
            sums[at] += value
        return [total / operator.window**2 for total in sums]
    image = adjoint(operator.inner, apply(operator.inner, x))
    image = [-operator.scale * y - operator.shift * v for y, v in zip(image, x, strict=True)]
    if operator.rates is None:
        return image
    return [r * y for r, y in zip(operator.rates, image, strict=True)]


def adjoint(operator: Operator, y: Vector) -> Vector:
    """The image of a vector of balls under the transpose."""
    if isinstance(operator, Dense):
        return (arb_mat(1, len(y), y) * operator.matrix).entries()
    if isinstance(operator, Convolution):
        pixels = len(operator.rows[0]) * len(operator.columns[0])
        spread = operator.taps.transpose() * arb_mat(operator.shape[0], pixels, y)
        image = [arb(0)] * operator.inputs
        for at, value in zip(_reads(operator), spread.entries(), strict=True):
            if at is not None:
                image[at] += value
        return image
    if isinstance(operator, Pool):
        return [y[at] / operator.window**2 for at in _squares(operator)]
    if operator.rates is not None:
        y = [r * v for r, v in zip(operator.rates, y, strict=True)]
    return apply(operator._replace(rates=None), y)


def dense_rows(operator: Dense | Convolution | Pool) -> Iterator[dict[int, arb]]:
    """The rows of the matrix, by column, without what is certainly 0."""
    if isinstance(operator, Dense):
        for row in operator.matrix.tolist():
            yield {j: x for j, x in enumerate(row) if x != 0}
        return
    if isinstance(operator, Pool):
        rows: list[dict[int, arb]] = [{} for _ in range(operator.outputs)]
        for j, at in enumerate(_squares(operator)):
            rows[at][j] = arb(1) / operator.window**2
        yield from rows
        return
    for channel in range(operator.shape[0]):
        for p in range(len(operator.rows[0])):
            for q in range(len(operator.columns[0])):
                yield convolution_row(operator, channel, p, q)


def convolution_row(operator: Convolution, channel: int, p: int, q: int) -> dict[int, arb]:
    """The row of the matrix for one pixel that comes out; pixels that are read twice add up."""
    _, inputs, k, m = operator.shape
    found: dict[int, arb] = {}
    size, column = operator.height * operator.width, 0
    for i in range(inputs):
        for a in range(k):
            for b in range(m):
                row, place = operator.rows[a][p], operator.columns[b][q]
                if row is not None and place is not None:
                    at = i * size + row * operator.width + place
                    found[at] = found.get(at, arb(0)) + operator.taps[channel, column]
                column += 1
    return found


def distinct_pixels(operator: Convolution) -> Iterator[tuple[int, int]]:
    """Pixels that come out, one for each way in which taps meet the edges of the image."""
    _, _, k, m = operator.shape
    ways = ((operator.rows, operator.height, k), (operator.columns, operator.width, m))
    chosen = []
    for sources, size, reach in ways:
        seen = {}
        for p in range(len(sources[0])):
            at = p * operator.stride
            seen.setdefault((min(at, reach // 2), min(size - 1 - at, reach // 2)), p)
        chosen.append(list(seen.values()))
    for p in chosen[0]:
        for q in chosen[1]:
            yield p, q


def _reads(operator: Convolution) -> Iterator[int | None]:
    """Which number each tap of each input channel reads, for each pixel that comes out."""
    size = operator.height * operator.width
    for i in range(operator.shape[1]):
        for rows in operator.rows:
            for columns in operator.columns:
                for row in rows:
                    start = None if row is None else i * size + row * operator.width
                    for column in columns:
                        yield None if start is None or column is None else start + column


def _squares(pool: Pool) -> Iterator[int]:
    """To which mean each pixel goes."""
    width = pool.width // pool.window
    size = width * (pool.height // pool.window)
    for channel in range(pool.channels):
        for row in range(pool.height):
            start = channel * size + row // pool.window * width
            for column in range(pool.width):
                yield start + column // pool.window


def _pop(tensors: Tensors, name: str, axes: int) -> Tensor:
    tensor = tensors.pop(name, None)
    require(tensor is not None and len(tensor.shape) == axes, "a tensor is missing, or has axes")
    return tensor  # pyright: ignore[reportReturnType]


def _side(value: Any) -> int:
    require(type(value) is int and 0 < value <= _LARGEST_SIDE, "a size is no whole number")
    return value


def _state(count: int) -> int:
    require(0 < count <= _LARGEST_STATE, f"an operator has over {_LARGEST_STATE} numbers")
    return count
