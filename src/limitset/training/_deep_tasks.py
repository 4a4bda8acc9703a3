"""Deep networks on named image tasks: from settings to a trained network with its figures."""

import dataclasses
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from limitset._result import InputProblem
from limitset.networks import DeepNetwork
from limitset.training._assignment import parse_value
from limitset.training._cifar import load_cifar10, load_cifar100
from limitset.training._datasets import (
    Split,
    hold_out,
    load_digits_sequences,
    load_fashion_mnist,
    load_mnist,
)
from limitset.training._deep_classifier import (
    AbstractDeepClassifier,
    count_deep_parameters,
    score_network,
)
from limitset.training._deep_settings import DeepSettings, build_network, recipe_of
from limitset.training._fit_deep import DeepEpoch, DeepFit, fit_deep
from limitset.training._images import Augmentation, ImageShape, as_images, images_of
from limitset.training._standardisation import Standardisation, measure_standardisation

# Images that batch norm takes its final statistics from.
_STATISTICS = 10_000


@dataclass(frozen=True)
class ImageTask:
    """A question about images, by name.

    **Arguments:** `name`, the word for it on the command line; `load`, which reads the data as
    pixel sequences; `classes`; `shape`, (channels, height, width); `description`, one line;
    `defaults`, the settings that `limitset train` starts from.
    """

    name: str
    load: Callable[[], Split]
    classes: int
    shape: ImageShape
    description: str
    defaults: DeepSettings = field(default_factory=DeepSettings)


_CONVOLUTION = DeepSettings(
    block="convolution",
    epsilon=0.05,
    eta=0.1,
    width=16,
    depth=2,
    groups=3,
    blocks=2,
    pool=8,
    epochs=100,
    optimiser="sgd",
    learning_rate=0.1,
    schedule="step",
    weight_decay=5e-4,
    augment="flip_shift",
)
_SMALL = DeepSettings(width=32, epochs=40, batch_size=64)

IMAGE_TASKS: dict[str, ImageTask] = {
    task.name: task
    for task in (
        ImageTask(
            "nais_digits", load_digits_sequences, 10, (1, 8, 8), "handwritten digits", _SMALL
        ),
        ImageTask("nais_mnist", load_mnist, 10, (1, 28, 28), "MNIST"),
        ImageTask("nais_fashion", load_fashion_mnist, 10, (1, 28, 28), "Fashion-MNIST"),
        ImageTask("nais_cifar10", load_cifar10, 10, (3, 32, 32), "CIFAR-10", _CONVOLUTION),
        ImageTask("nais_cifar100", load_cifar100, 100, (3, 32, 32), "CIFAR-100", _CONVOLUTION),
    )
}


@dataclass(frozen=True)
class TrainedDeep:
    """A finished run: parameters and log, the network that runs, its final figures.

    `gap` is the training accuracy less the test accuracy.
    """

    task: ImageTask
    settings: DeepSettings
    fit: DeepFit
    network: DeepNetwork
    train_accuracy: float
    test_accuracy: float
    test_loss: float
    parameters: int

    @property
    def gap(self) -> float:
        """Training accuracy less test accuracy."""
        return self.train_accuracy - self.test_accuracy


def find_image_task(name: str) -> ImageTask:
    """The image task of that name.

    **Raises:** `InputProblem` for a name that is not in `IMAGE_TASKS`.

    >>> find_image_task("nais_mnist").shape
    (1, 28, 28)
    """
    if name not in IMAGE_TASKS:
        raise InputProblem(f"task {name!r} is not known; use one of {', '.join(IMAGE_TASKS)}")
    return IMAGE_TASKS[name]


def parse_deep_settings(pairs: list[str], defaults: DeepSettings) -> DeepSettings:
    """Settings from `key=value` words.

    **Raises:** `InputProblem` for an unknown key or a value of the wrong type.

    >>> parse_deep_settings(["depth=5", "stable=false"], DeepSettings()).stable
    False
    """
    hints = typing.get_type_hints(DeepSettings)
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or key not in hints:
            raise InputProblem(
                f"setting {pair!r} is not known; use key=value with a key of {', '.join(hints)}"
            )
        values[key] = parse_value(key, text, hints[key])
    return dataclasses.replace(defaults, **values)


def twin_of(settings: DeepSettings) -> DeepSettings:
    """The residual network beside it: the same, with the input as first state instead of injected.

    It has as many weights, on the same weight decay.
    """
    return dataclasses.replace(settings, non_autonomous=False)


def build_deep(
    task: ImageTask, settings: DeepSettings, standardisation: Standardisation | None = None
) -> AbstractDeepClassifier:
    """The untrained classifier that a task and settings determine.

    **Raises:** `InputProblem` for settings that do not fit the images.
    """
    return build_network(settings, task.shape, task.classes, standardisation)


def load_images(task: ImageTask) -> Split:
    """The task's images as vectors, one step each.

    **Raises:** `InputProblem` for missing or damaged data.
    """
    return as_images(task.load())


def train_deep(
    task: ImageTask,
    settings: DeepSettings,
    *,
    split: Split | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[DeepEpoch], None] | None = None,
) -> TrainedDeep:
    """Train on a task and score the final network on its training and test images.

    **Arguments:** `split`, images as `load_images` gives them, instead of the task's own; the rest
    as in `fit_deep`.

    **Raises:** `InputProblem` for settings that do not fit, or missing data; `Diverged`.
    """
    data = load_images(task) if split is None else split
    data = hold_out(data, settings.held_out) if settings.held_out else data
    model = build_deep(task, settings, measure_standardisation(data.train, task.shape[0]))
    augmentation = None
    if settings.augment != "none":
        augmentation = Augmentation(task.shape, flip=settings.augment == "flip_shift")
    result = fit_deep(
        model,
        data.train,
        recipe_of(settings),
        augmentation=augmentation,
        validation=data.validation,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    network = result.model.finished(images_of(data.train)[:_STATISTICS])
    train_accuracy, _ = score_network(network, images_of(data.train), data.train.labels)
    test_accuracy, test_loss = score_network(network, images_of(data.test), data.test.labels)
    parameters = count_deep_parameters(result.model)
    return TrainedDeep(
        task, settings, result, network, train_accuracy, test_accuracy, test_loss, parameters
    )
