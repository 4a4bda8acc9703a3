"""What an organism learns: batches of an epoch, and what is asked of it afterwards."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem, require_arrays

# Classes, or numbers.
Targets = Int[Array, "... b"] | Float[Array, "... b k"]
Samples = tuple[Float[Array, "... b m"], Targets]


class AbstractOrganismTask(eqx.Module):
    """Batches for an epoch, and samples for a test. Both follow from the key alone."""

    @abc.abstractmethod
    def draw_epoch(self, key: jax.Array) -> Samples:
        """The batches of an epoch: inputs (batches, b, m), and targets with the same two axes."""

    @abc.abstractmethod
    def draw_test(self, key: jax.Array) -> Samples:
        """Inputs (b, m) and targets for the score."""


class AdditionTask(AbstractOrganismTask):
    """Two numbers from the standard normal distribution, and their sum; fresh in every epoch.

    **Arguments:** `samples` of an epoch and of a test; `batch`, samples of a batch.

    **Raises:** `InputProblem` for sizes that do not fit.

    **Reference:** arXiv 2212.10078.
    """

    samples: int = eqx.field(static=True, default=1000)
    batch: int = eqx.field(static=True, default=50)

    def __check_init__(self) -> None:
        _check_batch(self.batch, self.samples)

    def draw_epoch(self, key: jax.Array) -> Samples:
        """As many batches as the samples fill."""
        x = jax.random.normal(key, (self.samples // self.batch, self.batch, 2))
        return x, x.sum(-1, keepdims=True)

    def draw_test(self, key: jax.Array) -> Samples:
        """As many samples as an epoch has."""
        x = jax.random.normal(key, (self.samples, 2))
        return x, x.sum(-1, keepdims=True)


class ArrayTask(AbstractOrganismTask):
    """Samples that are given, in a new order in every epoch; those left over by batches wait.

    **Arguments:**

    - `inputs` (s, m) and `targets`: classes, shape (s,), or numbers, shape (s, k).
    - `test_inputs` and `test_targets`, likewise.
    - `batch`, samples of a batch.
    - `noise`, deviation of the normal noise that every epoch adds to its inputs.

    **Raises:** `InputProblem` for NaN, infinities, and shapes that do not fit.

    >>> task = ArrayTask(np.eye(4), np.arange(4), np.eye(4), np.arange(4), batch=2)
    >>> task.draw_epoch(jax.random.key(0))[0].shape
    (2, 2, 4)
    """

    inputs: Float[Array, "s m"]
    targets: Int[Array, " s"] | Float[Array, "s k"]
    test_inputs: Float[Array, "t m"]
    test_targets: Int[Array, " t"] | Float[Array, "t k"]
    batch: int = eqx.field(static=True)
    noise: float = eqx.field(static=True)

    def __init__(
        self,
        inputs: Float[Array | np.ndarray, "s m"],
        targets: Array | np.ndarray,
        test_inputs: Float[Array | np.ndarray, "t m"],
        test_targets: Array | np.ndarray,
        *,
        batch: int,
        noise: float = 0.0,
    ) -> None:
        require_arrays(inputs=inputs, targets=targets)
        require_arrays(test_inputs=test_inputs, test_targets=test_targets)
        _check_samples("inputs", inputs, targets)
        _check_samples("test_inputs", test_inputs, test_targets)
        _check_batch(batch, len(inputs))
        if not (isinstance(noise, float | int) and 0 <= noise < math.inf):
            raise InputProblem(f"noise is {noise!r}; give a finite number, 0 or more")
        self.inputs, self.targets = jnp.asarray(inputs), jnp.asarray(targets)
        self.test_inputs, self.test_targets = jnp.asarray(test_inputs), jnp.asarray(test_targets)
        self.batch, self.noise = batch, float(noise)

    def draw_epoch(self, key: jax.Array) -> Samples:
        """All batches that the samples fill, in an order of the key."""
        ordering, noising = jax.random.split(key)
        count = len(self.inputs) // self.batch
        order = jax.random.permutation(ordering, len(self.inputs))[: count * self.batch]
        order = order.reshape(count, self.batch)
        x = self.inputs[order]
        if self.noise:
            x = x + self.noise * jax.random.normal(noising, x.shape, x.dtype)
        return x, self.targets[order]

    def draw_test(self, key: jax.Array) -> Samples:
        """All test samples."""
        del key
        return self.test_inputs, self.test_targets


def task_loss(answers: Float[Array, "b k"], targets: Targets) -> Float[Array, ""]:
    """Mean cross-entropy of classes, mean squared error of numbers."""
    if jnp.issubdtype(targets.dtype, jnp.integer):
        return optax.softmax_cross_entropy_with_integer_labels(answers, targets).mean()
    return jnp.square(answers - targets).mean()


def task_score(answers: Float[Array, "b k"], targets: Targets) -> Float[Array, ""]:
    """Accuracy for classes, mean absolute error for numbers."""
    if jnp.issubdtype(targets.dtype, jnp.integer):
        return (answers.argmax(-1) == targets).mean()
    return jnp.abs(answers - targets).mean()


def _check_samples(name: str, inputs: Array | np.ndarray, targets: Array | np.ndarray) -> None:
    classes = np.issubdtype(targets.dtype, np.integer) and targets.ndim == 1
    numbers = np.issubdtype(targets.dtype, np.floating) and targets.ndim == 2
    if inputs.ndim != 2 or not (classes or numbers) or len(inputs) != len(targets):
        raise InputProblem(
            f"{name} have shape {inputs.shape}, their targets {targets.shape} and {targets.dtype}; "
            "give (samples, m), and whole numbers (samples,) or floats (samples, k)"
        )
    if not len(inputs):
        raise InputProblem(f"{name} are empty; give at least one sample")
    if not (np.isfinite(np.asarray(inputs)).all() and np.isfinite(np.asarray(targets)).all()):
        raise InputProblem(f"{name} or their targets hold NaN or infinities; repair them")


def _check_batch(batch: int, samples: int) -> None:
    if not (isinstance(batch, int) and isinstance(samples, int) and 0 < batch <= samples):
        raise InputProblem(
            f"batches of {batch!r} samples were asked of {samples!r}; give from 1 to all of them"
        )
