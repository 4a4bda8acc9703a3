"""Upper bounds of 2-norms that training differentiates, of matrices and of convolutions."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from limitset._result import InputProblem
from limitset.contraction._block_parametrisation import rounding_slack
from limitset.networks import AbstractOperator, Convolution, DenseOperator, Padding

# Points of a grid for each step of a kernel, where the image is larger: a convolution then exceeds
# its largest response on the grid by 1 / cos(pi / 40) = 1.0031 along each axis at most.
_DENSITY = 20
_MODES: dict[Padding, Literal["edge", "reflect"]] = {
    Padding.EDGE: "edge",
    Padding.REFLECT: "reflect",
}


def norm_bound(operator: AbstractOperator, *, iterations: int = 6) -> Float[Array, ""]:
    """An upper bound of the 2-norm of a matrix or a convolution, up to rounding; differentiable.

    `|G|_2 <= |(G^T G)^(2^(k-1))|_F^(1/2^k)` after k iterations, from above at each of them, where
    power iteration comes from below. A convolution is bounded frequency by frequency, on a grid
    large enough for what its padding adds. Rounding upwards is allowed for, not proved: what is
    certified is bounded again.

    **Arguments:** `operator`, a `DenseOperator` or a `Convolution`; `iterations`, at least 1.

    **Returns:** a scalar, at least the norm; 0 for zeros.

    **Raises:** `InputProblem` for other operators, or no iteration.

    **Reference:** arXiv 2305.16173, 1805.10408, 2402.00240.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator
    >>> round(float(norm_bound(DenseOperator(jnp.diag(jnp.array([3.0, 1.0]))))), 3)
    3.0
    """
    if not isinstance(operator, DenseOperator | Convolution):
        raise InputProblem(
            f"the norm of a {type(operator).__name__} is not bounded here; give a DenseOperator or "
            "a Convolution"
        )
    if not iterations >= 1:
        raise InputProblem(f"iterations is {iterations}; give a whole number, at least 1")
    return _bound(operator, iterations)


@functools.partial(jax.jit, static_argnums=1)
def _bound(operator: DenseOperator | Convolution, iterations: int) -> Float[Array, ""]:
    if isinstance(operator, DenseOperator):
        matrix = operator.matrix
        slack = rounding_slack(matrix.dtype, sum(matrix.shape))
        return (1 + slack) * _gram_iteration(matrix, iterations)
    response, excess = frequency_response(operator)
    size = operator.taps.shape[0] + operator.taps[0].size
    slack = rounding_slack(operator.taps.dtype, size)
    bounds = jax.vmap(lambda matrix: _gram_iteration(matrix, iterations))(
        jax.lax.stop_gradient(response)
    )
    # Slopes pass through the largest alone: the others are not differentiated, only to be dropped.
    largest = _gram_iteration(response[jnp.argmax(bounds)], iterations)
    return (1 + slack) * excess * padding_norm(operator) * largest


def frequency_response(convolution: Convolution) -> tuple[Inexact[Array, "f o i"], float]:
    """The matrices that a convolution multiplies waves by, and how far others may exceed them.

    Half of the frequencies of a grid: the other half has their conjugates. The grid is the image's
    if padding is circular; otherwise it is larger by the reach of the taps, so that what wraps
    around meets zeros or is cut off. Large images have a coarser one, and M. Riesz's bound of a
    trigonometric polynomial between the points of a grid.
    """
    o, i, *kernel = convolution.taps.shape
    circular = convolution.padding == Padding.CIRCULAR
    excess, grid = 1.0, []
    for size, reach in zip((convolution.height, convolution.width), kernel, strict=True):
        exact = size if circular else size + reach - 1
        grid.append(min(exact, max(_DENSITY * (reach - 1), 1)))
        if grid[-1] < exact and reach > 1:
            excess /= np.cos(np.pi * (reach - 1) / (2 * grid[-1]))
    halves = (np.arange(grid[0] // 2 + 1), np.arange(grid[1]))
    rows, columns = (
        np.outer(wave / size, np.arange(reach))
        for wave, size, reach in zip(halves, grid, kernel, strict=True)
    )
    phases = rows[:, None, :, None] + columns[None, :, None, :]
    waves = np.exp(2j * np.pi * phases).reshape(-1, kernel[0] * kernel[1])
    flat = convolution.taps.reshape(o * i, -1).T
    real = jnp.matmul(waves.real.astype(flat.dtype), flat, precision="highest")
    imaginary = jnp.matmul(waves.imag.astype(flat.dtype), flat, precision="highest")
    return jax.lax.complex(real, imaginary).reshape(-1, o, i), float(excess)


def padding_norm(convolution: Convolution) -> float:
    """The 2-norm of repeating pixels beyond the edge: the root of how often one is repeated."""
    if convolution.padding not in _MODES:
        return 1.0
    mode, most = _MODES[convolution.padding], 1
    sizes = (convolution.height, convolution.width)
    for size, reach in zip(sizes, convolution.taps.shape[-2:], strict=True):
        most *= int(np.bincount(np.pad(np.arange(size), reach // 2, mode=mode)).max())
    # The root of a small whole number, rounded up.
    return float(np.nextafter(np.sqrt(most), np.inf)) if most > 1 else 1.0


def frobenius_norm(matrix: Inexact[Array, "m n"]) -> Float[Array, ""]:
    """`sqrt(sum |entry|^2)`; large entries do not overflow, and the slope at zeros is 0."""
    largest = jax.lax.stop_gradient(jnp.abs(matrix).max())
    largest = jnp.where(largest > 0, largest, 1.0)
    unit = matrix / largest
    squares = jnp.real(unit * jnp.conj(unit)).sum()
    some = squares > 0
    return jnp.where(some, largest * jnp.sqrt(jnp.where(some, squares, 1.0)), 0.0)


def negative_definite(root: Float[Array, "r n"], shift: float) -> Float[Array, "n n"]:
    """`-R^T R - shift I`, exactly symmetric as rounded."""
    gram = jnp.matmul(root.T, root, precision="highest")
    return -(gram + gram.T) / 2 - shift * jnp.eye(root.shape[1], dtype=root.dtype)


def _gram_iteration(matrix: Inexact[Array, "m n"], iterations: int) -> Float[Array, ""]:
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    size = frobenius_norm(matrix)
    some = size > 0
    safe = jnp.where(some, size, 1.0)
    # A zero matrix becomes a unit vector's: no slope is NaN, and the bound is set to 0 below.
    unit = jnp.where(some, matrix / safe, jnp.zeros_like(matrix).at[0, 0].set(1.0))
    # The first of them has another shape; the rest is one loop, which compiles fast.
    start = _squared((jnp.zeros_like(safe), unit), jnp.asarray(0.5, safe.dtype))[0]
    powers = jnp.asarray(0.5 ** np.arange(2, iterations + 1), safe.dtype)
    (logarithm, _), _ = jax.lax.scan(_squared, start, powers)
    # The logarithm of the size itself is left out: an exponential magnifies its rounding.
    return jnp.where(some, safe * jnp.exp(logarithm), 0.0)


def _squared(
    carried: tuple[Float[Array, ""], Inexact[Array, "m n"]], power: Float[Array, ""]
) -> tuple[tuple[Float[Array, ""], Inexact[Array, "n n"]], None]:
    """One iteration, rescaled to Frobenius norm 1: powers of norms overflow."""
    logarithm, unit = carried
    gram = jnp.matmul(jnp.conj(unit.T), unit, precision="highest")
    # At least 1 / sqrt(n), the norm of a unit matrix of this kind.
    size = jnp.sqrt(jnp.real(gram * jnp.conj(gram)).sum())
    return (logarithm + power * jnp.log(size), gram / size), None
