"""How the command line uses the processor."""

import os

import jax


def use_all_cores() -> None:
    """Make every core a JAX device, so that batches are shared among them.

    One recurrent step is too small to be worth splitting; half the batch on each core is 1.7 times
    as fast on two cores (benchmarks/train_speed.py). Has to run before JAX makes its first array.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jax.config.update("jax_num_cpu_devices", max(1, min(cores or 1, 8)))
