"""Settings of a deep network and its training, and the untrained classifier that they determine."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from limitset._result import InputProblem
from limitset.contraction import (
    CONVOLUTION_BLOCKS,
    DENSE_BLOCKS,
    AbstractBlockParametrisation,
    DeepParametrisation,
    FreeBlock,
    StageParametrisation,
    UntiedParametrisation,
    random_convolution_block,
    random_dense_block,
)
from limitset.networks import AbstractOperator, Convolution, DenseOperator, LinearReadout, MeanPool
from limitset.training._batch_norm import BatchNorm
from limitset.training._deep_classifier import (
    AbstractDeepClassifier,
    DeepClassifier,
    NormalisedClassifier,
)
from limitset.training._fit_deep import DeepRecipe
from limitset.training._images import ImageShape
from limitset.training._standardisation import Standardisation

_BLOCKS = {"dense": tuple(DENSE_BLOCKS), "convolution": tuple(CONVOLUTION_BLOCKS)}
AUGMENTATIONS = ("none", "shift", "flip_shift")
# What the checker and a test of the settings still take.
_LARGEST = 4096
_COUNTS = ("width", "groups", "blocks", "depth", "size", "reduce", "pool")


@dataclass(frozen=True)
class DeepSettings:
    """Everything that decides a deep training run besides the task; stored with the model.

    The network:

    - `block`: "dense" or "convolution"; `kind`: how its weights are kept stable, a word of
      `DENSE_BLOCKS` or `CONVOLUTION_BLOCKS`: "projected" as published, or "spectral", "symmetric",
      "gradient", ...; `activation`, `epsilon` (the leak of "gradient"), `eta` (of "projected"
      and "row_sum" convolutions), `step`.
    - `width`: units, or channels of the first group; `depth`: steps of each block; `groups` of
      `blocks` blocks each; a group of convolutions has twice the channels and half the width and
      height of the one before; `size` of kernels; `reduce`: the first convolution's stride;
      `pool`: window of the means before the readout.
    - The ablations, each by itself: `shared` weights in depth, `non_autonomous` (the input injected
      at every step; otherwise it is the first state), `batch_norm` before the activation, `stable`
      (otherwise weights are free, and start from those of the stable network).

    The training: as in `DeepRecipe`; `augment`: "none", "shift" (by up to 4 pixels) or
    "flip_shift"; `held_out` training images validate. `twin`: `limitset train` trains the network
    without injected input too, and reports it beside.
    """

    block: str = "dense"
    kind: str = "projected"
    activation: str = "relu"
    epsilon: float = 0.1
    eta: float = 0.2
    step: float = 1.0
    width: int = 128
    depth: int = 30
    groups: int = 1
    blocks: int = 1
    size: int = 3
    reduce: int = 1
    pool: int = 1
    shared: bool = True
    non_autonomous: bool = True
    batch_norm: bool = False
    stable: bool = True
    epochs: int = 8
    batch_size: int = 128
    optimiser: str = "adam"
    learning_rate: float = 3e-3
    schedule: str = "cosine"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip: float | None = 1.0
    average: float | None = None
    augment: str = "none"
    held_out: int = 0
    seed: int = 0
    twin: bool = True

    def __post_init__(self) -> None:
        _check_words(self)
        for name in _COUNTS:
            if not 1 <= getattr(self, name) <= _LARGEST:
                raise InputProblem(
                    f"{name} is {getattr(self, name)}; give a whole number from 1 to {_LARGEST}"
                )
        if not self.held_out >= 0:
            raise InputProblem(f"held_out is {self.held_out}; give at least 0")
        if self.block == "dense" and (self.groups, self.reduce, self.pool) != (1, 1, 1):
            raise InputProblem("groups, reduce and pool are for block=convolution; leave them at 1")
        if self.size % 2 == 0:
            raise InputProblem(f"size is {self.size}; kernels have an odd size")
        if self.batch_norm and self.kind not in (
            "projected",
            "spectral",
            "free_spectrum",
            "row_sum",
        ):
            raise InputProblem(
                f"batch_norm does not fit kind={self.kind}: it folds into residual blocks "
                "with rows alone; use kind=projected"
            )
        recipe_of(self)

    def as_record(self) -> dict[str, Any]:
        """Names and numbers only, as they are stored with a model."""
        return dataclasses.asdict(self)


def recipe_of(settings: DeepSettings) -> DeepRecipe:
    """The part of the settings that says how to train."""
    names = {field.name for field in dataclasses.fields(DeepRecipe)}
    return DeepRecipe(**{name: getattr(settings, name) for name in names})


def build_network(
    settings: DeepSettings,
    shape: ImageShape,
    classes: int,
    standardisation: Standardisation | None = None,
) -> AbstractDeepClassifier:
    """The untrained classifier of images of that shape, in float32.

    **Arguments:** `settings`; `shape`, (channels, height, width); `classes`; `standardisation` of
    raw pixels, which the first weights take in.

    **Raises:** `InputProblem` for settings that do not fit the images or each other.
    """
    stage_key, readout_key = jax.random.split(jax.random.key(settings.seed))
    stages: list[StageParametrisation] = []
    places = _dense_places if settings.block == "dense" else _convolution_places
    for index, place in enumerate(places(settings, shape)):
        stages.append(_stage(jax.random.fold_in(stage_key, index), settings, place))
    features = stages[-1].explicit().output_size
    weight = jax.random.normal(readout_key, (classes, features), jnp.float32) / features**0.5
    readout = LinearReadout(weight, jnp.zeros(classes, jnp.float32))
    core = DeepParametrisation(tuple(stages), readout)
    if not settings.batch_norm:
        return DeepClassifier(core, standardisation)
    rows = 1 if settings.shared else settings.depth
    sizes = [(rows, place.channels) for place in places(settings, shape)]
    norms = tuple(BatchNorm(jnp.ones(s, jnp.float32), jnp.zeros(s, jnp.float32)) for s in sizes)
    return NormalisedClassifier(core, norms, standardisation)


@dataclass(frozen=True)
class _Place:
    """Where a stage sits: what enters, its channels (units of a dense block), what leaves."""

    inputs: int
    channels: int
    height: int = 1
    width: int = 1
    stride: int = 1
    pool: int = 1


def _dense_places(settings: DeepSettings, shape: ImageShape) -> list[_Place]:
    pixels = shape[0] * shape[1] * shape[2]
    enters = [pixels, *[settings.width] * (settings.blocks - 1)]
    return [_Place(inputs, settings.width) for inputs in enters]


def _convolution_places(settings: DeepSettings, shape: ImageShape) -> list[_Place]:
    channels, height, width = shape
    window = settings.reduce * 2 ** (settings.groups - 1) * settings.pool
    if height % window or width % window:
        raise InputProblem(
            f"images of {height} x {width} do not divide by {window}, which reduce, groups and "
            "pool come to; choose smaller ones"
        )
    places = []
    for group in range(settings.groups):
        for block in range(settings.blocks):
            stride = 1
            if block == 0:
                stride = settings.reduce if group == 0 else 2
            height, width = height // stride, width // stride
            wide = settings.width * 2**group
            places.append(_Place(channels, wide, height, width, stride))
            channels = wide
    return [*places[:-1], dataclasses.replace(places[-1], pool=settings.pool)]


def _stage(key: Key[Array, ""], settings: DeepSettings, place: _Place) -> StageParametrisation:
    core_key, start_key = jax.random.split(key)
    start = None if settings.non_autonomous else _start(start_key, settings, place)
    if settings.shared:
        core = _core(core_key, settings, place)
    else:
        keys = jax.random.split(core_key, settings.depth)
        core = UntiedParametrisation(tuple(_core(one, settings, place) for one in keys))
    leave = None
    if place.pool > 1:
        leave = MeanPool(place.channels, place.height, place.width, place.pool)
    return StageParametrisation(core, settings.depth, start, leave)


def _core(
    key: Key[Array, ""], settings: DeepSettings, place: _Place
) -> AbstractBlockParametrisation:
    inputs = place.inputs if settings.non_autonomous else 0
    numbers: dict[str, Any] = {_leak_name(settings.kind): settings.epsilon}
    if settings.kind != "equilibrium":
        numbers["step"] = settings.step
    if settings.block == "convolution" and settings.kind in ("projected", "row_sum"):
        numbers["eta"] = settings.eta
    if settings.block == "dense":
        core = random_dense_block(
            key,
            kind=settings.kind,
            units=place.channels,
            inputs=inputs,
            activation=settings.activation,
            **numbers,
        )
    else:
        core = random_convolution_block(
            key,
            kind=settings.kind,
            channels=place.channels,
            inputs=inputs,
            height=place.height,
            width=place.width,
            size=settings.size,
            stride=place.stride,
            activation=settings.activation,
            **numbers,
        )
    return core if settings.stable else FreeBlock(core.explicit())


def _start(key: Key[Array, ""], settings: DeepSettings, place: _Place) -> AbstractOperator:
    """What makes the first state of an image, of the size of the injected input's operator."""
    if settings.block == "dense":
        matrix = jax.random.normal(key, (place.channels, place.inputs), jnp.float32)
        return DenseOperator(matrix / place.inputs**0.5)
    taps = (place.channels, place.inputs, settings.size, settings.size)
    fan = place.inputs * settings.size**2
    return Convolution(
        jax.random.normal(key, taps, jnp.float32) / fan**0.5,
        place.stride * place.height,
        place.stride * place.width,
        stride=place.stride,
    )


def _leak_name(kind: str) -> str:
    return {"gradient": "leak", "equilibrium": "gamma"}.get(kind, "epsilon")


def _check_words(settings: DeepSettings) -> None:
    if settings.block not in _BLOCKS:
        raise InputProblem(f"block {settings.block!r} is not known; use {', '.join(_BLOCKS)}")
    known = {"kind": _BLOCKS[settings.block], "augment": AUGMENTATIONS}
    for name, words in known.items():
        if getattr(settings, name) not in words:
            raise InputProblem(
                f"{name} {getattr(settings, name)!r} is not known; use {', '.join(words)}"
            )
