"""One step of training: the devices differentiate their parts of a batch, then one updates."""

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PyTree

from limitset.contraction import project
from limitset.dynamics import ImplicitMap
from limitset.training._classifier import SequenceClassifier
from limitset.training._loss import Labels, training_loss
from limitset.training._processes import gather

Update = Callable[..., tuple[SequenceClassifier, PyTree, Float[Array, ""]]]


def make_update(optimiser: optax.GradientTransformation, devices: int) -> Update:
    """One step: each device differentiates its part of the batch, the first one updates.

    The parts are averaged by moving them to the first device, not by a collective: in-process
    collectives of CPU devices wait inside the threads that the other devices need, and can wait
    for ever. Where there are several processes, each averages its own parts first; then all
    exchange them, and every process makes the same update.
    """
    mesh = Mesh(np.array(jax.local_devices()[:devices]), ("batch",))
    whole, shared = PartitionSpec(), PartitionSpec("batch")

    @jax.jit
    @functools.partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(whole, shared, shared),
        out_specs=shared,
        check_vma=False,
    )
    def differentiate(
        model: SequenceClassifier, inputs: Float[Array, "b t m"], labels: Labels
    ) -> PyTree:
        parts = jax.value_and_grad(batch_loss)(model, inputs, labels)
        return jax.tree.map(lambda a: a[None], parts)

    @jax.jit
    def apply(
        model: SequenceClassifier, state: PyTree, parts: PyTree
    ) -> tuple[SequenceClassifier, PyTree, Float[Array, ""]]:
        loss, slope = _mean(parts)
        return *change(optimiser, model, state, slope), loss

    def update(
        model: SequenceClassifier, state: PyTree, inputs: np.ndarray, labels: np.ndarray
    ) -> tuple[SequenceClassifier, PyTree, Float[Array, ""]]:
        place = NamedSharding(mesh, shared)
        everywhere = jax.device_put(model, NamedSharding(mesh, whole))
        parts = differentiate(
            everywhere, jax.device_put(inputs, place), jax.device_put(labels, place)
        )
        parts = jax.device_put(parts, mesh.devices[0])
        if jax.process_count() > 1:
            parts = gather(_mean(parts))
        return apply(model, state, parts)

    return update


def make_seeds_update(optimiser: optax.GradientTransformation, devices: int) -> Update:
    """The same step for many models at once, each with its own batch; devices share the models.

    All arguments have the models in front, and nothing passes between them. The models run over
    time as one vmapped batch. Their weights, which factor matrices, are computed in turn on
    processors: vmapped factorisations on two CPU devices wait for each other for ever
    (`limitset.contraction._one_by_one`).
    """
    mesh = Mesh(np.array(jax.local_devices()[:devices]), ("seed",))
    shared = PartitionSpec("seed")
    over_models = jax.lax.map if mesh.devices[0].platform == "cpu" else _vmapped

    def total(
        models: SequenceClassifier, inputs: Float[Array, "s b t m"], labels: Array
    ) -> tuple[Float[Array, ""], Float[Array, " s"]]:
        running = over_models(SequenceClassifier.explicit, models)
        losses = jax.vmap(training_loss)(running, inputs, labels)
        # No model enters the loss of another: the slope of the sum has the slopes of all.
        return losses.sum(), losses

    def every(
        models: SequenceClassifier,
        states: PyTree,
        inputs: Float[Array, "s b t m"],
        labels: Array,
    ) -> tuple[SequenceClassifier, PyTree, Float[Array, " s"]]:
        slopes, losses = jax.grad(total, has_aux=True)(models, inputs, labels)
        return *jax.vmap(functools.partial(change, optimiser))(models, states, slopes), losses

    return jax.jit(
        jax.shard_map(every, mesh=mesh, in_specs=shared, out_specs=shared, check_vma=False)
    )


def batch_loss(
    model: SequenceClassifier, inputs: Float[Array, "b t m"], labels: Labels
) -> Float[Array, ""]:
    """The loss of free parameters; explicit weights are computed once."""
    return training_loss(model.explicit(), inputs, labels)


def change(
    optimiser: optax.GradientTransformation,
    model: SequenceClassifier,
    state: PyTree,
    slope: SequenceClassifier,
) -> tuple[SequenceClassifier, PyTree]:
    """The model and the optimiser's state after one update.

    What has to be projected is projected here, after clipping, momentum and decay have acted.
    """
    step, state = optimiser.update(slope, state, model)  # pyright: ignore[reportArgumentType]
    return project(optax.apply_updates(model, step)), state  # pyright: ignore[reportArgumentType, reportReturnType]


def device_count(parts: int, model: SequenceClassifier) -> int:
    """The largest number of local devices that share so many parts evenly.

    One processor for implicit steps: they solve many equations at once inside the loop over time,
    and on several CPU devices such calls wait for each other for ever.
    """
    running = eqx.filter_eval_shape(SequenceClassifier.explicit, model)
    nodes = jax.tree.leaves(running, is_leaf=_is_implicit)
    if jax.default_backend() == "cpu" and any(_is_implicit(node) for node in nodes):
        return 1
    return max(k for k in range(1, jax.local_device_count() + 1) if parts % k == 0)


def _is_implicit(node: object) -> bool:
    return isinstance(node, ImplicitMap)


@jax.jit
def _mean(parts: PyTree) -> PyTree:
    return jax.tree.map(lambda a: a.mean(0), parts)


def _vmapped(function: Callable[[PyTree], PyTree], together: PyTree) -> PyTree:
    return jax.vmap(function)(together)
