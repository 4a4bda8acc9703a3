"""Upper bounds of the norms of convolutions: verified, and never by power iteration."""

import math

import flint
import numpy as np
from jaxtyping import Float, Int

from limitset._result import InputProblem
from limitset.networks import Padding
from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._complex import ComplexBall
from limitset.proofs._convolution_matrix import Taps, convolution_matrix
from limitset.proofs._functions import arb_bounds, entries
from limitset.proofs._linalg import two_norm_upper
from limitset.proofs._selftest import require_sound_arithmetic

# Up to so many rows or columns, the matrix itself is bounded: nothing is sharper.
_DENSE, _DENSE_ENTRIES = 512, 2**19
# Points of a grid for each step of a kernel, where the image is larger: the symbol exceeds its
# largest value on the grid by 1 / cos(pi / 40) = 1.0031 along each axis at most.
_DENSITY = 20
# Entries of the matrices that are in memory at once.
_CHUNK = 2**21
_RETREATS = (1e-12, 1e-9, 1e-6, 1e-3)


def convolution_norm_upper(
    taps: Ball | Taps,
    height: int,
    width: int,
    padding: Padding | str = Padding.ZERO,
    stride: int = 1,
) -> float:
    """An upper bound of the 2-norm of a convolution of images, for all members of the taps.

    Small ones through their matrix. Otherwise through the symbol `T(w) = sum_q taps_q e^(i w q)`:
    with circular padding the norm is the largest of the `|T(w)|_2` on the grid of the image's
    frequencies. With zeros around the image the convolution is a part of the circular one of an
    image larger by the kernel's reach, whose finer grid bounds it, while the grid of the image
    itself does not. Repeated edges are a convolution of a larger image, whose pixels are each
    repeated a known number of times. Large images: any grid, and M. Riesz's bound of what a
    trigonometric polynomial can do between its points.

    For all frequencies at once, `t - T* T` is factorised as `L L* + R`, so `|T|^2 <= t + |R|`.

    **Arguments:** `taps`, shape (outputs, inputs, k, l), k and l odd; `height` and `width` of the
    image that goes in; `padding`; `stride`.

    **Returns:** the bound; `inf` where nothing is established.

    **Raises:** `InputProblem` for taps of another shape, or an image smaller than they reach.

    **Reference:** arXiv 1805.10408 for circular padding.

    >>> second_difference = np.array([-1.0, 2.0, -1.0]).reshape(1, 1, 1, 3)
    >>> bound = convolution_norm_upper(second_difference, 1, 5)
    >>> round(bound, 9)  # circular padding: 3.618
    3.732050808
    """
    require_sound_arithmetic()
    kernel, padding = _checked(taps, height, width, padding, stride)
    o, i, _, _ = kernel.shape
    rows, columns = o * -(-height // stride) * -(-width // stride), i * height * width
    if min(rows, columns) <= _DENSE and rows * columns <= _DENSE_ENTRIES:
        return two_norm_upper(convolution_matrix(kernel, height, width, padding, stride))
    return symbol_norm_upper(kernel, height, width, padding, stride)


def symbol_norm_upper(
    taps: Ball | Taps,
    height: int,
    width: int,
    padding: Padding | str = Padding.ZERO,
    stride: int = 1,
) -> float:
    """The bound of `convolution_norm_upper` through frequencies, whatever the size."""
    kernel, padding = _checked(taps, height, width, padding, stride)
    repeats = 1
    if padding in (Padding.EDGE, Padding.REFLECT):
        repeats = _most_repeats(height, kernel.shape[2], padding) * _most_repeats(
            width, kernel.shape[3], padding
        )
    whole = height % stride == 0 and width % stride == 0
    if stride > 1 and (padding != Padding.CIRCULAR or whole):
        kernel, height, width = _by_phases(kernel, height, width, stride)
    sizes = (height, width)
    grids, excess = [], Ball.exact(1.0)
    for length, size in zip(sizes, kernel.shape[2:], strict=True):
        exact = length if padding == Padding.CIRCULAR else length + size - 1
        coarse = max(_DENSITY * (size - 1), 1)
        grids.append(min(exact, coarse))
        if coarse < exact and size > 1:
            excess = excess / _cosine(size - 1, 2 * coarse)
    square = _largest_square(kernel, grids[0], grids[1])
    if not math.isfinite(square):
        return math.inf
    root = Ball.exact(square).sqrt() * excess * Ball.exact(float(repeats)).sqrt()
    return float(root.upper())


def gershgorin_norm_upper(
    taps: Ball | Taps,
    height: int,
    width: int,
    padding: Padding | str = Padding.ZERO,
    stride: int = 1,
) -> float:
    """A cheap upper bound of the 2-norm, from the kernel's correlation with itself.

    `|K|^2 <= max_a sum_(b, shift) |(taps * taps)_(a, b, shift)|`: row sums of `K K^T`, without any
    iteration. Less sharp than `convolution_norm_upper`.

    **Arguments:** as there.

    **Reference:** arXiv 2208.03160, 2303.03169.

    >>> second_difference = np.array([-1.0, 2.0, -1.0]).reshape(1, 1, 1, 3)
    >>> round(gershgorin_norm_upper(second_difference, 1, 5), 9)
    4.0
    """
    require_sound_arithmetic()
    kernel, padding = _checked(taps, height, width, padding, stride)
    o, i, k, w = kernel.shape
    repeats = 1
    if padding in (Padding.EDGE, Padding.REFLECT):
        repeats = _most_repeats(height, k, padding) * _most_repeats(width, w, padding)
    # The side with fewer channels: K K^T and K^T K have the same norm.
    if o > i:
        kernel = Ball.moved(lambda a: a.transpose(1, 0, 2, 3), kernel)
        o, i = i, o
    total = np.zeros(o)
    for down in range(1 - k, k):
        for right in range(1 - w, w):
            here = kernel[:, :, max(down, 0) : k + min(down, 0), max(right, 0) : w + min(right, 0)]
            there = kernel[
                :, :, max(-down, 0) : k + min(-down, 0), max(-right, 0) : w + min(-right, 0)
            ]
            product = here.reshape(o, here.size // o) @ there.reshape(o, there.size // o).T
            sums = ball_sum(Ball.exact(product.magnitude()), axis=1)
            total = (Ball.exact(total) + sums).upper()
    root = Ball.exact(total.max()).sqrt() * Ball.exact(float(repeats)).sqrt()
    return float(root.upper())


def convolution_row_sums(taps: Ball | Taps) -> Float[np.ndarray, " o"]:
    """For each output channel, an upper bound of all its rows' sums of absolute values.

    It is the sum over all its taps, for every padding: zeros leave some out, repeated edges add
    some up before the absolute value is taken.

    >>> convolution_row_sums(np.array([-1.0, 2.0, -1.0]).reshape(1, 1, 1, 3)).round(9).tolist()
    [4.0]
    """
    kernel = taps if isinstance(taps, Ball) else Ball.exact(taps)
    rows = Ball.exact(kernel.reshape(kernel.shape[0], kernel.size // kernel.shape[0]).magnitude())
    return np.asarray(ball_sum(rows, axis=1).upper())


def _checked(
    taps: Ball | Taps, height: int, width: int, padding: Padding | str, stride: int
) -> tuple[Ball, Padding]:
    kernel = taps if isinstance(taps, Ball) else Ball.exact(np.asarray(taps, np.float64))
    shape = kernel.shape
    if len(shape) != 4 or 0 in shape or shape[2] % 2 == 0 or shape[3] % 2 == 0:
        raise InputProblem(f"taps have shape {shape}; give (outputs, inputs, k, l), k and l odd")
    if padding not in tuple(Padding):
        raise InputProblem(f"padding {padding!r} is not known; use one of {', '.join(Padding)}")
    if not (height > shape[2] // 2 and width > shape[3] // 2 and stride >= 1):
        raise InputProblem(
            f"images of {height} x {width} and stride {stride} do not fit taps of "
            f"{shape[2]} x {shape[3]}; images need at least {shape[2] // 2 + 1} x "
            f"{shape[3] // 2 + 1} pixels"
        )
    return kernel, Padding(padding)


def _most_repeats(length: int, size: int, padding: Padding) -> int:
    """How often a pixel of a line appears in the padded line, at most."""
    mode = "edge" if padding == Padding.EDGE else "reflect"
    return int(np.bincount(np.pad(np.arange(length), size // 2, mode=mode)).max())


def _by_phases(kernel: Ball, height: int, width: int, stride: int) -> tuple[Ball, int, int]:
    """The same convolution with stride 1, of an image whose channels are every stride-th pixel."""
    o, i, k, w = kernel.shape
    down, k_phases = _phase_places(k, stride)
    right, l_phases = _phase_places(w, stride)

    def rearrange(taps: Taps) -> Taps:
        shape = (o, i, stride, stride, k_phases, l_phases)
        result = np.zeros(shape)
        for row, (b, a) in enumerate(down):
            for column, (d, c) in enumerate(right):
                result[:, :, b, d, a, c] = taps[:, :, row, column]
        return result.reshape(o, i * stride * stride, k_phases, l_phases)

    return Ball.moved(rearrange, kernel), -(-height // stride), -(-width // stride)


def _phase_places(size: int, stride: int) -> tuple[list[tuple[int, int]], int]:
    """For each tap, the phase that it reads and its place in that phase's kernel; its length."""
    offsets = np.arange(size) - size // 2
    places, phases = offsets // stride, offsets % stride
    first = int(places.min())
    pairs = [(int(b), int(a) - first) for b, a in zip(phases, places, strict=True)]
    return pairs, int(places.max()) - first + 1


def _largest_square(kernel: Ball, rows: int, columns: int) -> float:
    """An upper bound of `|T(w)|_2^2` on a grid of frequencies."""
    # Frequencies come in conjugate pairs of one norm: half of the columns are enough.
    symbols = _symbols(kernel, rows, columns)
    count, m, n = symbols.shape
    chunk = max(1, _CHUNK // (4 * max(m, n) * min(m, n)))
    pieces = [
        _real_form(symbols[start : start + chunk], transposed=m < n)
        for start in range(0, count, chunk)
    ]
    grams = [_turned(piece) @ piece for piece in pieces]
    if not all(np.isfinite(gram.rad).all() for gram in grams):
        return math.inf
    largest = max(_approximate_largest(gram) for gram in grams)
    for retreat in _RETREATS:
        shift = largest * (1 + retreat) + 2.0**-900
        bounds = [_below(gram, shift) for gram in grams]
        if all(map(math.isfinite, bounds)):
            return max(bounds)
    return math.inf


def _below(gram: Ball, shift: float) -> float:
    """An upper bound of the eigenvalues of a stack of symmetric matrices, near `shift`.

    `shift - G = L L^T + R` with any real `L`, so `G <= shift + |R|`.
    """
    eye = np.eye(gram.shape[-1])
    rest = Ball.exact(shift * eye) - gram
    try:
        L = Ball.exact(np.linalg.cholesky(rest.mid))
    except (np.linalg.LinAlgError, InputProblem):
        return math.inf
    R = rest - L @ _turned(L)
    sums = ball_sum(Ball.exact(R.magnitude()), axis=2)
    # shift * 1 is exact on the diagonal, shift * 0 off it.
    return float((Ball.exact(shift) + Ball.exact(sums.upper().max())).upper())


def _approximate_largest(gram: Ball) -> float:
    """The largest eigenvalue in floats: a proposal, which `_below` proves or refuses."""
    n = gram.shape[-1] // 2
    hermitian = gram.mid[:, :n, :n] + 1j * gram.mid[:, n:, :n]
    return max(float(np.linalg.eigvalsh(hermitian)[:, -1].max()), 0.0)


def _real_form(symbols: ComplexBall, *, transposed: bool) -> Ball:
    """Complex matrices as real ones of twice the size, of the same norm."""
    if transposed:  # Without conjugation: the norm is the same.
        symbols = ComplexBall(_turned(symbols.re), _turned(symbols.im))

    def join(a: Float[np.ndarray, "f m n"], b: Float[np.ndarray, "f m n"]) -> np.ndarray:
        return np.concatenate([a, b], 2)

    top = Ball.moved(join, symbols.re, -symbols.im)
    bottom = Ball.moved(join, symbols.im, symbols.re)
    return Ball.moved(lambda a, b: np.concatenate([a, b], 1), top, bottom)


def _turned(stack: Ball) -> Ball:
    return Ball.moved(lambda x: x.transpose(0, 2, 1), stack)


def _symbols(kernel: Ball, rows: int, columns: int) -> ComplexBall:
    """`T(w)` at the frequencies of the grid, one of each conjugate pair, shape (f, o, i)."""
    o, i, k, w = kernel.shape
    down = _roots(np.outer(np.arange(k), np.arange(rows)), rows)
    right = _roots(np.outer(np.arange(w), np.arange(columns // 2 + 1)), columns)
    waves = ComplexBall(
        _spread(down.re, 0) * _spread(right.re, 1) - _spread(down.im, 0) * _spread(right.im, 1),
        _spread(down.re, 0) * _spread(right.im, 1) + _spread(down.im, 0) * _spread(right.re, 1),
    )
    flat = kernel.reshape(o * i, k * w)
    frequencies = rows * (columns // 2 + 1)

    def symbol(wave: Ball) -> Ball:
        values = flat @ wave.reshape(k * w, frequencies)
        return Ball.moved(lambda x: x.T.reshape(frequencies, o, i), values)

    return ComplexBall(symbol(waves.re), symbol(waves.im))


def _spread(ball: Ball, axis: int) -> Ball:
    """Axes for taps and frequencies down and right: (k, w, rows, columns)."""
    a, b = ball.shape
    return ball.reshape(a, 1, b, 1) if axis == 0 else ball.reshape(1, a, 1, b)


def _roots(exponents: Int[np.ndarray, "t f"], order: int) -> ComplexBall:
    """`e^(2 pi i j / order)` for each exponent j, enclosed."""
    powers = range(order)
    with flint.ctx.workprec(80):
        turns = [flint.fmpq(2 * j, order) for j in powers]
        cosines = arb_bounds(entries(np.array([flint.arb.cos_pi_fmpq(t) for t in turns], object)))
        sines = arb_bounds(entries(np.array([flint.arb.sin_pi_fmpq(t) for t in turns], object)))
    places = exponents % order
    cosine, sine = Ball.from_bounds(*cosines), Ball.from_bounds(*sines)
    return ComplexBall(cosine[places], sine[places])


def _cosine(a: int, b: int) -> Ball:
    """`cos(pi a / b)`, enclosed."""
    with flint.ctx.workprec(80):
        value = np.array([flint.arb.cos_pi_fmpq(flint.fmpq(a, b))], object)
        lo, hi = arb_bounds(entries(value))
    return Ball.from_bounds(lo[0], hi[0])
