"""Training of organisms: self-training of all particles and steps of the task, in turn."""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem
from limitset.replication._columns import (
    column_gradient,
    kappa_of_columns,
    replication_deviations,
)
from limitset.replication._organism import Organism, forward_expanded, unstack_edges
from limitset.replication._organism_tasks import AbstractOrganismTask, Targets, task_loss
from limitset.replication._organism_tasks import task_score as score_of
from limitset.replication._particle_spec import QUESTION
from limitset.replication._plain import PlainNetwork, forward_plain
from limitset.replication._self_training import check_descent


@dataclass(frozen=True)
class Alternation:
    """For every batch: `self_steps` steps of self-training, then one step of the task.

    Each step is one of gradient descent with momentum, `v+ = momentum v + g`, `theta+ = theta -
    rate v+`. The task keeps its velocity for the whole run. Self-training starts every batch with
    a velocity of zero, as the public code does, unless `keeps_velocity`.

    **Arguments:** `self_steps`, 0 or more; `rate` and `momentum` of both kinds of step.

    **Raises:** `InputProblem` for numbers that do not fit.

    **Reference:** arXiv 2212.10078.
    """

    self_steps: int = 10
    rate: float = 0.004
    momentum: float = 0.9
    keeps_velocity: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.self_steps, int) and self.self_steps >= 0):
            raise InputProblem(f"self_steps is {self.self_steps!r}; give a whole number, 0 or more")
        check_descent(self.rate, self.momentum)


class OrganismTraining(eqx.Module):
    """An organism in training: all that the next epoch depends on, besides task and key.

    **Arguments:** `organism`; the velocities of the task and of self-training, (N, n); `epoch`, how
    many are done.
    """

    organism: Organism
    task_velocity: Float[Array, "N n"]
    self_velocity: Float[Array, "N n"]
    epoch: Int[Array, ""]


class OrganismEpoch(eqx.Module):
    """What an epoch left, or many, with an axis for them in front.

    **Arguments:** `task_loss`, mean over the batches, each before its step; `replication_loss`, the
    sum over particles of each one's mean squared error; `score` on the test samples, accuracy or
    mean absolute error; `errors`, `max_i |T(theta)_i - theta_i|` of every particle, and `largest`,
    `max_i |theta_i|`; `edge_weights` (NaN for particles that are not linear). All of them are as
    the last step of the task left them, and errors are computed in float64.
    """

    task_loss: Float[Array, "*epochs"]
    replication_loss: Float[Array, "*epochs"]
    score: Float[Array, "*epochs"]
    errors: Float[Array, "*epochs N"]
    largest: Float[Array, "*epochs N"]
    edge_weights: Float[Array, "*epochs N"]


def start_training(organism: Organism) -> OrganismTraining:
    """Velocities of zero, no epoch done."""
    still = jnp.zeros_like(organism.particles)
    return OrganismTraining(organism, still, still, jnp.asarray(0))


def train_organism(
    training: OrganismTraining,
    task: AbstractOrganismTask,
    alternation: Alternation,
    *,
    epochs: int,
    key: jax.Array,
    report: Callable[[int], None] | None = None,
) -> tuple[OrganismTraining, OrganismEpoch]:
    """So many more epochs of an organism.

    An epoch's batches follow from `key` and its number: to go on from what is returned is the same
    as never to have stopped. Particles that were dropped train themselves, and stay dropped.

    **Arguments:** `training`, from `start_training` or an earlier call; `task`; `alternation`;
    `epochs`, 1 or more; `key`; `report`, called with the number of epochs done.

    **Returns:** the training after these epochs, and what each of them left.

    **Raises:** `InputProblem` for epochs that are none.

    **Example:**

    >>> from limitset.replication import AdditionTask, draw_organism
    >>> start = start_training(draw_organism(jax.random.key(0), (2, 3, 1)))
    >>> task, key = AdditionTask(samples=20, batch=10), jax.random.key(1)
    >>> after, epochs = train_organism(start, task, Alternation(), epochs=3, key=key)
    >>> int(after.epoch), epochs.errors.shape
    (3, (3, 9))

    **Reference:** arXiv 2212.10078.
    """
    if not (isinstance(epochs, int) and epochs > 0):
        raise InputProblem(f"epochs is {epochs!r}; give a positive whole number")
    records = []
    for done in range(epochs):
        training, record = _epoch(training, task, alternation, key)
        records.append(record)
        if report is not None:
            report(done + 1)
    return training, jax.tree.map(lambda *parts: jnp.stack(parts), *records)


Columns = Float[Array, "n N"]


@eqx.filter_jit
def _epoch(
    training: OrganismTraining,
    task: AbstractOrganismTask,
    alternation: Alternation,
    key: jax.Array,
) -> tuple[OrganismTraining, OrganismEpoch]:
    drawing, testing = jax.random.split(jax.random.fold_in(key, training.epoch))
    x, y = task.draw_epoch(drawing)
    frame, dtype = training.organism, training.organism.particles.dtype
    if jnp.issubdtype(y.dtype, jnp.floating):
        y = y.astype(dtype)

    def batch_step(
        now: tuple[Columns, Columns, Columns], batch: tuple[Array, Array]
    ) -> tuple[tuple[Columns, Columns, Columns], Array]:
        columns, task_velocity, self_velocity = now
        if not alternation.keeps_velocity:
            self_velocity = jnp.zeros_like(self_velocity)
        columns, self_velocity = train_selves(frame, alternation, columns, self_velocity)
        columns, task_velocity, loss = train_task(frame, alternation, columns, task_velocity, batch)
        return (columns, task_velocity, self_velocity), loss

    start = (frame.particles.T, training.task_velocity.T, training.self_velocity.T)
    ended, losses = jax.lax.scan(batch_step, start, (x.astype(dtype), y))
    organism = eqx.tree_at(lambda one: one.particles, frame, ended[0].T)
    after = OrganismTraining(organism, ended[1].T, ended[2].T, training.epoch + 1)
    return after, _record(organism, losses.mean(), task.draw_test(testing))


def train_selves(
    frame: Organism, alternation: Alternation, columns: Columns, velocity: Columns
) -> tuple[Columns, Columns]:
    """Self-training. The loss is the sum over particles: each moves by its own mean alone."""

    def step(now: tuple[Columns, Columns], _: None) -> tuple[tuple[Columns, Columns], None]:
        weights, speed = now
        speed = alternation.momentum * speed + column_gradient(frame.spec, weights)
        return (weights - alternation.rate * speed, speed), None

    return jax.lax.scan(step, (columns, velocity), length=alternation.self_steps)[0]


def train_task(
    frame: Organism,
    alternation: Alternation,
    columns: Columns,
    velocity: Columns,
    batch: tuple[Float[Array, "b m"], Targets],
) -> tuple[Columns, Columns, Float[Array, ""]]:
    """One step of the task, and the loss before it."""
    loss, slope = jax.value_and_grad(
        lambda now: task_loss(_answers(frame, now, batch[0]), batch[1])
    )(columns)
    velocity = alternation.momentum * velocity + slope
    return columns - alternation.rate * velocity, velocity, loss


def _answers(frame: Organism, columns: Columns, x: Float[Array, "b m"]) -> Float[Array, "b k"]:
    """What the organism with these particles answers; particles stay columns where they can."""
    if not frame.spec.is_linear:
        organism = eqx.tree_at(lambda one: one.particles, frame, columns.T)
        return forward_expanded(organism, x)
    slopes = jnp.where(frame.kept, kappa_of_columns(frame.spec, columns)[QUESTION], 0)
    plain = PlainNetwork(unstack_edges(slopes, frame.sizes), frame.activations)
    return forward_plain(plain, x)


def _record(
    organism: Organism, loss: Float[Array, ""], test: tuple[Float[Array, "b m"], Targets]
) -> OrganismEpoch:
    columns = organism.particles.T
    deviations = replication_deviations(organism.spec, organism.particles)
    slopes = jnp.full(columns.shape[1], jnp.nan)
    if organism.spec.is_linear:
        slopes = kappa_of_columns(organism.spec, columns.astype(jnp.float64))[QUESTION]
    x = test[0].astype(columns.dtype)
    return OrganismEpoch(
        task_loss=loss,
        replication_loss=jnp.square(deviations).mean(1).sum(),
        score=score_of(_answers(organism, columns, x), test[1]),
        errors=jnp.abs(deviations).max(1),
        largest=jnp.abs(organism.particles.astype(jnp.float64)).max(1),
        edge_weights=slopes,
    )
