"""An organism that tells digits apart: its settings, its data, and its training."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from limitset._result import InputProblem
from limitset.experiments._images import resize_bilinear
from limitset.experiments._words import check_range, check_word
from limitset.networks import ACTIVATIONS
from limitset.replication import (
    Alternation,
    ArrayTask,
    Organism,
    OrganismEpoch,
    OrganismTraining,
    ParticleSpec,
    draw_organism,
    forward,
    start_training,
    task_score,
    train_organism,
)
from limitset.training import load_digits_sequences, load_mnist

# Task -> its images' width and height, and samples of a batch, where settings do not say.
_DEFAULTS = {"digits": (8, 48), "mnist": (15, 2000)}


@dataclass(frozen=True)
class ImageOrganismSettings:
    """An organism pixels -> `hidden` -> ... -> 10 of linear particles that tells digits apart.

    **Arguments:**

    - `task`: `digits`, 8 x 8 pixels, or `mnist`, resized to 15 x 15.
    - `self_steps` of self-training for each batch, then one of the task.
    - `hidden` cells in each of `layers` hidden layers; `activation` of these cells.
    - `particle_width` `h` of particles 5 -> h -> h -> 1.
    - `side` of images and samples of a `batch`; those of the task if `None`.
    - `noise`, deviation of what every epoch adds to pixels.
    - `least_deviation`: pixels whose deviation over the training images is below are left out.
    - `rate` and `momentum` of both; `dtype`, float32 or float64; `tolerance` of replication.

    **Raises:** `InputProblem` for numbers and words that do not fit.
    """

    task: str = "digits"
    seeds: int = 5
    epochs: int = 200
    self_steps: int = 10
    hidden: int = 5
    layers: int = 2
    activation: str = "gelu"
    particle_width: int = 5
    side: int | None = None
    batch: int | None = None
    noise: float = 0.0
    least_deviation: float = 0.0
    rate: float = 0.004
    momentum: float = 0.9
    dtype: str = "float32"
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        check_word("task", self.task, tuple(_DEFAULTS))
        check_word("dtype", self.dtype, ("float32", "float64"))
        check_word("activation", self.activation, tuple(ACTIVATIONS))
        for name, most in (("seeds", 1000), ("epochs", 100_000), ("hidden", 1000)):
            check_range(name, getattr(self, name), 1, most)
        check_range("layers", self.layers, 1, 20)
        check_range("particle_width", self.particle_width, 1, 100)
        check_range("side", self.pixels_across, 1, 28)
        check_range("batch", self.batch_size, 1, 60_000)
        if not (0 <= self.noise < 10 and 0 <= self.least_deviation < 0.5):
            raise InputProblem(
                f"noise is {self.noise} and least_deviation {self.least_deviation}; give numbers "
                "from 0 to below 10, and from 0 to below 0.5"
            )
        if not 0 < self.tolerance < float("inf"):
            raise InputProblem(f"tolerance is {self.tolerance}; give a positive number, as 1e-5")
        Alternation(self.self_steps, self.rate, self.momentum)

    @property
    def pixels_across(self) -> int:
        """Width and height of the images."""
        return _DEFAULTS[self.task][0] if self.side is None else self.side

    @property
    def batch_size(self) -> int:
        """Samples of a batch."""
        return _DEFAULTS[self.task][1] if self.batch is None else self.batch

    @property
    def alternation(self) -> Alternation:
        """How both goals take turns."""
        return Alternation(self.self_steps, self.rate, self.momentum)


@dataclass(frozen=True, eq=False)
class ImageTask:
    """Images as an organism sees them; `seen`, which pixels; `deviation` of all over training."""

    task: ArrayTask
    seen: Bool[np.ndarray, " pixels"]
    deviation: Float[np.ndarray, " pixels"]


@dataclass(frozen=True, eq=False)
class GrownOrganism:
    """An organism before and after training, what every epoch left, and keys for what follows."""

    start: Organism
    training: OrganismTraining
    epochs: OrganismEpoch
    training_key: jax.Array
    later_key: jax.Array


def load_images(settings: ImageOrganismSettings) -> ImageTask:
    """The task's images in [0, 1], not standardised, at the size asked for."""
    split = load_mnist() if settings.task == "mnist" else load_digits_sequences()
    parts = [
        resize_bilinear(part.inputs[:, :, 0], settings.pixels_across)
        for part in (split.train, split.test)
    ]
    deviation = parts[0].std(axis=0, dtype=np.float64)
    seen = deviation >= settings.least_deviation
    task = ArrayTask(
        parts[0][:, seen],
        split.train.labels,
        parts[1][:, seen],
        split.test.labels,
        batch=settings.batch_size,
        noise=settings.noise,
    )
    return ImageTask(task, seen, deviation)


def grow_organism(settings: ImageOrganismSettings, images: ImageTask, seed: int) -> GrownOrganism:
    """The organism of a seed, trained."""
    drawn, trained, later = jax.random.split(jax.random.key(seed), 3)
    width = settings.particle_width
    start = draw_organism(
        drawn,
        (int(images.seen.sum()), *(settings.hidden,) * settings.layers, 10),
        activation=ACTIVATIONS[settings.activation],
        spec=ParticleSpec(inputs=5, widths=(width, width)),
        dtype=jnp.dtype(settings.dtype),
    )
    training, epochs = train_organism(
        start_training(start),
        images.task,
        settings.alternation,
        epochs=settings.epochs,
        key=trained,
    )
    return GrownOrganism(start, training, epochs, trained, later)


@eqx.filter_jit
def accuracy_of(organism: Organism, task: ArrayTask) -> Float[Array, ""]:
    """The share of test images that the organism tells right."""
    x = task.test_inputs.astype(organism.particles.dtype)
    return task_score(forward(organism, x), task.test_targets)
