"""Training of plain networks by the steps that organisms take for a task: their twins."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.replication._organism_tasks import AbstractOrganismTask, task_loss, task_score
from limitset.replication._plain import PlainNetwork, forward_plain
from limitset.replication._self_training import check_descent


class PlainTraining(eqx.Module):
    """A plain network after training; mean loss of the batches and test score, for each epoch."""

    network: PlainNetwork
    task_loss: Float[Array, " epochs"]
    score: Float[Array, " epochs"]


def train_plain(
    network: PlainNetwork,
    task: AbstractOrganismTask,
    *,
    rate: float = 0.004,
    momentum: float = 0.9,
    epochs: int,
    key: jax.Array,
) -> PlainTraining:
    """Gradient descent with momentum, with the batches that `train_organism` sees for this key.

    **Raises:** `InputProblem` for rates, momenta and epochs that do not fit.
    """
    check_descent(rate, momentum)
    if not (isinstance(epochs, int) and epochs > 0):
        raise InputProblem(f"epochs is {epochs!r}; give a positive whole number")
    velocity, losses, scores = jax.tree.map(jnp.zeros_like, network), [], []
    # As arrays, so that other rates need no other program.
    pace = jnp.asarray([rate, momentum], network.weights[0].dtype)
    for index in range(epochs):
        once = jax.random.fold_in(key, index)
        network, velocity, loss, score = _epoch(network, velocity, task, pace, once)
        losses.append(loss)
        scores.append(score)
    return PlainTraining(network, jnp.stack(losses), jnp.stack(scores))


@eqx.filter_jit
def _epoch(
    network: PlainNetwork,
    velocity: PlainNetwork,
    task: AbstractOrganismTask,
    pace: Float[Array, "2"],
    key: jax.Array,
) -> tuple[PlainNetwork, PlainNetwork, Float[Array, ""], Float[Array, ""]]:
    drawing, testing = jax.random.split(key)
    dtype = network.weights[0].dtype
    x, y = task.draw_epoch(drawing)
    if jnp.issubdtype(y.dtype, jnp.floating):
        y = y.astype(dtype)

    def step(
        now: tuple[PlainNetwork, PlainNetwork], batch: tuple[Array, Array]
    ) -> tuple[tuple[PlainNetwork, PlainNetwork], Array]:
        weights, speed = now
        loss, slope = jax.value_and_grad(
            lambda one: task_loss(forward_plain(one, batch[0]), batch[1])
        )(weights)
        speed = jax.tree.map(lambda v, g: pace[1] * v + g, speed, slope)
        return (jax.tree.map(lambda w, v: w - pace[0] * v, weights, speed), speed), loss

    (network, velocity), losses = jax.lax.scan(step, (network, velocity), (x.astype(dtype), y))
    shown, wanted = task.draw_test(testing)
    score = task_score(forward_plain(network, shown.astype(dtype)), wanted)
    return network, velocity, losses.mean(), score
