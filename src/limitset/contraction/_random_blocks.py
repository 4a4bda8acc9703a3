"""Random free parameters of blocks, by name."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset.contraction._block_parametrisation import AbstractBlockParametrisation
from limitset.contraction._convolution_blocks import RowSumConvolution, SymmetricConvolution
from limitset.contraction._equilibrium_parametrisation import StableEquilibrium
from limitset.contraction._gradient_block import StableGradient
from limitset.contraction._projected_block import ProjectedConvolution, ProjectedDense
from limitset.contraction._spectral_block import FreeSpectrumDense, SpectralDense
from limitset.networks import Convolution, DenseOperator, Padding

Settings = dict[str, Any]


def random_dense_block(
    key: Key[Array, ""],
    *,
    kind: str = "projected",
    units: int,
    inputs: int,
    activation: str = "tanh",
    **settings: float,
) -> AbstractBlockParametrisation:
    """Random free parameters (float32) of a fully connected block.

    **Arguments:** `kind`, a word of `DENSE_BLOCKS`; `units`; `inputs`, 0 for none; `activation`;
    `settings`, numbers that the class of this kind takes: `epsilon`, `step`, `largest`, `leak`,
    `gamma`.

    **Raises:** `InputProblem` for words, sizes or settings that do not fit.

    >>> import jax
    >>> core = random_dense_block(jax.random.key(0), kind="gradient", units=3, inputs=2, leak=0.2)
    >>> core.explicit().state_size
    3
    """
    make = _find(kind, DENSE_BLOCKS)
    if not (units >= 1 and inputs >= 0):
        raise InputProblem(f"units {units}, inputs {inputs}; give at least 1 and 0")
    weight_key, input_key = jax.random.split(key)
    weight = jax.random.normal(input_key, (units, inputs), jnp.float32) / max(inputs, 1) ** 0.5
    shared = {
        "input_operator": DenseOperator(weight) if inputs else None,
        "bias": jnp.zeros(units, jnp.float32),
        "activation": activation,
    }
    return _made(make, weight_key, (units, units), shared, settings)


def random_convolution_block(
    key: Key[Array, ""],
    *,
    kind: str = "projected",
    channels: int,
    inputs: int,
    height: int,
    width: int,
    size: int = 3,
    padding: str = "zero",
    stride: int = 1,
    activation: str = "tanh",
    **settings: float,
) -> AbstractBlockParametrisation:
    """Random free parameters (float32) of a convolutional block, with one bias per channel.

    **Arguments:** `kind`, a word of `CONVOLUTION_BLOCKS`; `channels`, `height` and `width` of
    the state; `inputs`, channels of the input, 0 for none; `size` of both kernels, odd; `padding`,
    a word; `stride` of the input's convolution, whose images are larger than the state by it;
    `activation`; `settings`, numbers that the class of this kind takes: `epsilon`, `eta`, `step`,
    `leak`, `gamma`.

    **Raises:** `InputProblem` for words, sizes or settings that do not fit.

    >>> import jax
    >>> image = {"channels": 2, "inputs": 1, "height": 4, "width": 4}
    >>> core = random_convolution_block(jax.random.key(0), kind="symmetric", **image)
    >>> core.explicit().state_size, core.explicit().input_size
    (32, 16)
    """
    make = _find(kind, CONVOLUTION_BLOCKS)
    if not (min(channels, height, width, size, stride) >= 1 and inputs >= 0):
        raise InputProblem(
            f"channels {channels}, inputs {inputs}, images of {height} x {width}, size {size}, "
            f"stride {stride}; give at least 1 of each, and 0 inputs or more"
        )
    if padding not in tuple(Padding):
        raise InputProblem(f"padding {padding!r} is not known; use one of {', '.join(Padding)}")
    weight_key, input_key = jax.random.split(key)
    entering, around = None, Padding(padding)
    if inputs:
        fan = inputs * size**2
        taps = jax.random.normal(input_key, (channels, inputs, size, size), jnp.float32) / fan**0.5
        entering = Convolution(taps, stride * height, stride * width, around, stride)
    image = {"height": height, "width": width, "padding": around}
    shared = {
        "input_operator": entering,
        "bias": jnp.zeros(channels, jnp.float32),
        "activation": activation,
    }
    return _made(make, weight_key, (channels, channels, size, size), {**shared, **image}, settings)


Shape = tuple[int, ...]
Maker = Callable[..., AbstractBlockParametrisation]


def _find(kind: str, known: dict[str, Maker]) -> Maker:
    if kind not in known:
        raise InputProblem(f"kind {kind!r} is not known; use one of {', '.join(known)}")
    return known[kind]


def _made(
    make: Maker, key: Key[Array, ""], shape: Shape, shared: Settings, settings: Settings
) -> AbstractBlockParametrisation:
    """The parametrisation; a setting that its class lacks is refused in one line."""
    try:
        return make(key, shape, **shared, **settings)
    except TypeError as error:
        names = ", ".join(settings) or "none"
        raise InputProblem(f"settings {names} do not fit this kind of block: {error}") from None


def _normal(key: Key[Array, ""], shape: Shape, size: float) -> Float[Array, "..."]:
    return size * jax.random.normal(key, shape, jnp.float32)


def _gaussian(key: Key[Array, ""], shape: Shape) -> Float[Array, "..."]:
    """Of a 2-norm around 2 or 3: the scale to the limit sets in, whatever the sizes."""
    return _normal(key, shape, math.prod(shape[1:]) ** -0.5)


def _small(key: Key[Array, ""], shape: Shape) -> Float[Array, "..."]:
    """Magnitudes of a row add up to about 0.8."""
    return _normal(key, shape, 1 / math.prod(shape[1:]))


def _projected_dense(key: Key[Array, ""], shape: Shape, **rest: Any) -> ProjectedDense:
    return ProjectedDense(_gaussian(key, shape), **rest).projected()


def _spectral_dense(key: Key[Array, ""], shape: Shape, **rest: Any) -> SpectralDense:
    return SpectralDense(_gaussian(key, shape), **rest)


def _free_spectrum(key: Key[Array, ""], shape: Shape, **rest: Any) -> FreeSpectrumDense:
    turn_key, spectrum_key = jax.random.split(key)
    reflectors = _gaussian(turn_key, shape)
    return FreeSpectrumDense(reflectors, _normal(spectrum_key, shape[:1], 1.0), **rest)


def _gradient_dense(key: Key[Array, ""], shape: Shape, **rest: Any) -> StableGradient:
    return StableGradient(DenseOperator(_gaussian(key, shape)), **rest)


def _equilibrium_dense(key: Key[Array, ""], shape: Shape, **rest: Any) -> StableEquilibrium:
    return StableEquilibrium(DenseOperator(_small(key, shape)), **rest)


def _projected(key: Key[Array, ""], shape: Shape, **rest: Any) -> ProjectedConvolution:
    shifts = jnp.zeros(shape[0], jnp.float32)
    return ProjectedConvolution(_small(key, shape), shifts, **rest).projected()


def _row_sum(key: Key[Array, ""], shape: Shape, **rest: Any) -> RowSumConvolution:
    shifts = jnp.zeros(shape[0], jnp.float32)
    return RowSumConvolution(_small(key, shape), shifts, **rest)


def _symmetric(
    key: Key[Array, ""], shape: Shape, height: int, width: int, padding: Padding, **rest: Any
) -> SymmetricConvolution:
    return SymmetricConvolution(Convolution(_gaussian(key, shape), height, width, padding), **rest)


def _gradient(
    key: Key[Array, ""], shape: Shape, height: int, width: int, padding: Padding, **rest: Any
) -> StableGradient:
    return StableGradient(Convolution(_gaussian(key, shape), height, width, padding), **rest)


def _equilibrium(
    key: Key[Array, ""], shape: Shape, height: int, width: int, padding: Padding, **rest: Any
) -> StableEquilibrium:
    return StableEquilibrium(Convolution(_small(key, shape), height, width, padding), **rest)


DENSE_BLOCKS: dict[str, Maker] = {
    "projected": _projected_dense,
    "spectral": _spectral_dense,
    "free_spectrum": _free_spectrum,
    "gradient": _gradient_dense,
    "equilibrium": _equilibrium_dense,
}
CONVOLUTION_BLOCKS: dict[str, Maker] = {
    "projected": _projected,
    "symmetric": _symmetric,
    "row_sum": _row_sum,
    "gradient": _gradient,
    "equilibrium": _equilibrium,
}
