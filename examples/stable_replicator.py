"""A network that copies itself, and to which disturbed copies return: found, proved and checked."""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from limitset.checker import check
from limitset.dynamics import simulate
from limitset.io import save, write_proof
from limitset.networks import SIGMOID
from limitset.proofs import MapFixedPoint, prove_map_fixed_point
from limitset.replication import Particle, ParticleSpec, SelfApplication

# 24 weights; with the identity as activation every self-replicator is unstable.
spec = ParticleSpec(widths=(3, 3), activation=SIGMOID)
rewrite = SelfApplication(spec)

# 200 rounds in which the network overwrites its weights by its answers.
weights = simulate(rewrite, jnp.full(spec.weight_count, -0.5), steps=200).final

proved = prove_map_fixed_point(rewrite, np.asarray(weights))
assert isinstance(proved, MapFixedPoint) and proved.excludes_zero
print(f"{proved.stability} [verified], attracts all weights within {proved.basin_radius:.2g}")

disturbed = weights + 0.1 * jax.random.normal(jax.random.key(0), weights.shape)
distance = float(jnp.abs(simulate(rewrite, disturbed, steps=200).final - weights).max())
print(f"a copy disturbed by 0.1 ends {distance:.1e} from it [sampled]")

with tempfile.TemporaryDirectory() as folder:
    particle = Particle(spec, weights)
    model = save(Path(folder) / "particle", particle)
    verdict = check(write_proof(proved, particle, model / "certificates" / "stable.json"))
assert verdict.accepted
print(f"claim: {verdict.claim}")
