"""Particles: networks that may be asked for their own weights."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from limitset.io._entries import Config, Tensors, check_keys, check_tensors, shaped
from limitset.io._particle_entries import SPEC_KEYS, describe_spec, rebuild_spec
from limitset.replication import Particle, flatten, matrices


def describe_particle(system: Particle) -> tuple[Config, Tensors]:
    """Sizes, position code and activation; the matrices, first to last."""
    parts = matrices(system.spec, system.weights)
    tensors = {f"weight_{k}": np.asarray(part) for k, part in enumerate(parts)}
    return {"kind": "particle", **describe_spec(system.spec)}, tensors


def rebuild_particle(config: Config, tensors: dict[str, Array]) -> Particle:
    """The particle that a description determines."""
    check_keys(config, {"kind", *SPEC_KEYS}, set())
    spec = rebuild_spec(config)
    names = [f"weight_{k}" for k in range(spec.depth)]
    check_tensors(tensors, set(names), set())
    parts = [shaped(tensors, n, s) for n, s in zip(names, spec.shapes, strict=True)]
    return Particle(spec, jnp.asarray(flatten(tuple(parts))))
