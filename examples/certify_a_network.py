"""A recurrent network whose spectral radius says nothing, and whose certificate says it all."""

import jax.numpy as jnp
import numpy as np

from limitset import Certificate, Elman, certify, check, save
from limitset.contraction import explain
from limitset.io import write_certificate

rng = np.random.default_rng(1)
units, inputs = 16, 3


def draw(*shape: int, spread: float) -> jnp.ndarray:
    return jnp.asarray(rng.normal(0, spread, shape), jnp.float32)


# PyTorch's layout: weight_ih (n, m), weight_hh (n, n), and two biases.
cell = Elman(
    draw(units, inputs, spread=0.3),
    draw(units, units, spread=0.12),
    draw(units, spread=0.1),
    draw(units, spread=0.1),
)

answer = certify(cell)
print(explain(answer))

if isinstance(answer, Certificate):
    folder = save("elman", cell)
    path = write_certificate(answer, folder / "certificates" / "contraction.json", model=folder)
    verdict = check(path)
    assert verdict.accepted, verdict.reason
    print("claim:", verdict.claim)
