import jax.numpy as jnp
import numpy as np
import pytest

from limitset.networks import TANH
from limitset.replication import (
    ParticleSpec,
    PositionCode,
    draw_particles,
    kappa,
    replication_error,
    replication_gradient,
)
from limitset.replication._columns import (
    column_gradient,
    kappa_of_columns,
    replication_deviations,
)

SPECS = [
    ParticleSpec(),
    ParticleSpec(inputs=5, widths=(5, 5)),
    ParticleSpec(inputs=6, widths=(3,), position=PositionCode.RAW),
    ParticleSpec(widths=(2, 3, 2), position=PositionCode.PERLAYER),
]


@pytest.mark.parametrize("spec", SPECS)
def test_columns_are_particles(spec: ParticleSpec, getkey):
    weights = draw_particles(getkey(), spec, 7)
    assert np.allclose(kappa_of_columns(spec, weights.T).T, kappa(spec, weights), atol=1e-14)


@pytest.mark.parametrize("spec", [*SPECS, ParticleSpec(inputs=5, activation=TANH)])
def test_gradient_is_that_of_every_particle_alone(spec: ParticleSpec, getkey):
    weights = draw_particles(getkey(), spec, 7)
    alone = jnp.stack([replication_gradient(spec, one) for one in weights])
    assert np.allclose(column_gradient(spec, weights.T).T, alone, atol=1e-13)


def test_deviations_are_of_the_self_application(getkey):
    spec = SPECS[1]
    weights = draw_particles(getkey(), spec, 7, jnp.float32)
    deviations = replication_deviations(spec, weights)
    assert deviations.dtype == jnp.float64
    exact = replication_error(spec, weights.astype(jnp.float64))
    assert np.allclose(jnp.abs(deviations).max(1), exact, rtol=1e-12)
