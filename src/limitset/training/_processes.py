"""Several processes, on one machine or many, that train one model together."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from limitset._result import InputProblem


def gather(values: PyTree) -> PyTree:
    """The values of all processes, stacked in front; the same on every process.

    One device of each process takes part: collectives among the devices of one process can wait
    for ever inside the threads that the others need.
    """
    mesh, replicate = _meeting()
    place = NamedSharding(mesh, PartitionSpec("process"))
    mine = jax.local_devices()[0]

    def lift(value: jax.Array) -> jax.Array:
        shape = (mesh.size, *value.shape)
        part = jax.device_put(value[None], mine)
        return jax.make_array_from_single_device_arrays(shape, place, [part])

    together = replicate(jax.tree.map(lambda value: lift(jnp.asarray(value)), values))
    return jax.tree.map(lambda array: array.addressable_data(0), together)


def meet_processes() -> None:
    """Wait until all processes that called `jax.distributed.initialize` are there."""
    jax.block_until_ready(gather(np.float32(0)))


def my_share(batch: int) -> slice:
    """The part of a batch that this process feeds.

    **Raises:** `InputProblem` if the processes cannot share it evenly.
    """
    count = jax.process_count()
    if batch % count:
        raise InputProblem(
            f"a batch of {batch} cannot be shared evenly by {count} processes; choose a multiple"
        )
    start = jax.process_index() * (batch // count)
    return slice(start, start + batch // count)


def check_agreement(fingerprint: str) -> None:
    """Refuse to go on if the processes do not stand at the same point of the same run.

    **Raises:** `InputProblem` on every process.
    """
    if jax.process_count() == 1:
        return
    said = np.asarray(gather(np.frombuffer(fingerprint.encode(), np.uint8)))
    if (said != said[0]).any():
        raise InputProblem(
            "processes came with different models, data, recipes or checkpoints; give all of them "
            "the same, checkpoints in a folder that all can read"
        )


@functools.cache
def _meeting() -> tuple[Mesh, Callable[[PyTree], PyTree]]:
    """The first device of each process, and a function that copies to all of them."""
    firsts = [jax.local_devices(process_index=k)[0] for k in range(jax.process_count())]
    mesh = Mesh(np.array(firsts), ("process",))
    whole = NamedSharding(mesh, PartitionSpec())
    return mesh, jax.jit(lambda values: values, out_shardings=whole)
